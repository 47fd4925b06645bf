//! The page of the rules of execution: each rule is there with its proof, and each proof exists.

use std::collections::BTreeSet;

use super::tidy::sources;

const PAGE: &str = include_str!("../../docs/execution.md");
/// Invariants of the simulated world.
const INVARIANTS: u8 = 18;

/// Every test and every case of the conformance suite, and every file that must not compile.
fn proofs() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in sources() {
        let file = path.to_string_lossy();
        if file.contains("tests/compile_fail/") {
            found.extend(path.file_stem().map(|it| it.to_string_lossy().into_owned()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let is_case = file.contains("sim/src/conformance/");
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some(name) = function(line) {
                if is_test || is_case || name.starts_with("prop_") {
                    found.insert(name.to_owned());
                }
                is_test = false;
            }
        }
    }
    found
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub(super) ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    line.split(['(', '<']).next()
}

/// Rows of the page's tables: the rule, and what stands in backticks in its last column.
fn rules() -> Vec<(&'static str, Vec<&'static str>)> {
    let rows = PAGE
        .lines()
        .filter(|it| it.starts_with("| ") && !it.starts_with("| ---") && *it != "| rule | proof |");
    rows.map(|row| {
        let (rule, proof) = row.trim_matches(['|', ' ']).rsplit_once(" | ").unwrap();
        (rule, proof.split('`').skip(1).step_by(2).collect())
    })
    .collect()
}

#[test]
fn every_rule_of_execution_has_a_proof_that_exists() {
    let (rules, proofs) = (rules(), proofs());
    assert!(rules.len() > 100 && proofs.len() > 500, "{} rules, {} proofs", rules.len(), proofs.len());
    let exists = |name: &str| {
        let invariant = name.strip_prefix("INV").and_then(|it| it.parse::<u8>().ok());
        proofs.contains(name) || invariant.is_some_and(|it| (1..=INVARIANTS).contains(&it))
    };
    let unproven: Vec<_> = rules.iter().filter(|it| it.1.is_empty()).map(|it| it.0).collect();
    let missing: Vec<_> = rules.iter().flat_map(|it| &it.1).filter(|it| !exists(it)).collect();
    assert!(unproven.is_empty(), "rules without a proof: {unproven:#?}");
    assert!(missing.is_empty(), "proofs that do not exist: {missing:#?}");
}
