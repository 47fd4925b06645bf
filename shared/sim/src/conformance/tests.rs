//! The suite on the books in memory, and the suite on itself.

use std::collections::BTreeSet;

use super::{Stuck, block_on, cases, run_all};
use crate::ledger::MemLedger;

#[test]
fn the_books_in_memory_pass_every_case() {
    let failures = block_on(run_all(async || Ok(MemLedger::new()))).unwrap();
    let told: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{} cases fail:\n{}", told.len(), told.join("\n"));
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let cases = cases::<MemLedger>();
    let names: BTreeSet<&str> = cases.iter().map(|it| it.name).collect();
    assert_eq!(names.len(), cases.len());
    assert!(names.len() >= 40, "only {} cases", names.len());
}

#[test]
fn a_ledger_that_cannot_be_had_fails_every_case_by_name() {
    let failures = block_on(run_all(async || Err::<MemLedger, _>("no database".to_owned()))).unwrap();
    assert_eq!(failures.len(), cases::<MemLedger>().len());
    assert!(failures[0].to_string().ends_with(": no fresh ledger: no database"), "{}", failures[0]);
}

#[test]
fn a_future_that_waits_for_nobody_is_stuck() {
    assert_eq!(block_on(std::future::pending::<()>()), Err(Stuck));
}
