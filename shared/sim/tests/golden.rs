//! The sandbox produces each of the thirty shapes of the broker's answers (TRADIER.md section 21), and the client reads
//! what it produced.
//!
//! The list is the client's own, `broker/tests/golden/shapes.txt`, and so are the bodies: what the sandbox writes has the
//! same keys in the same order and values of the same type, at every depth. Values differ.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so at once"
)]

mod golden {
    pub(crate) mod like;
    pub(crate) mod producers;
    mod world;
}

use std::collections::BTreeSet;

use golden::like::differences;
use golden::producers::PRODUCERS;

const SHAPES: &str = include_str!("../../broker/tests/golden/shapes.txt");

#[test]
fn every_shape_of_the_list_has_a_producer() {
    let listed: BTreeSet<&str> = SHAPES.lines().map(|it| it.split_once(' ').unwrap().0).collect();
    let produced: BTreeSet<&str> = PRODUCERS.iter().map(|it| it.name.split_once('_').unwrap().0).collect();
    assert_eq!((listed.len(), &listed), (30, &produced));
}

#[test]
fn what_the_sandbox_writes_has_the_shape_of_the_brokers_own_answer() {
    let mut wrong = Vec::new();
    for it in PRODUCERS {
        let (status, body) = (it.produce)();
        if status != it.status {
            wrong.push(format!("{}: HTTP {status} instead of {}: {body}", it.name, it.status));
            continue;
        }
        for difference in differences(it.golden, &body) {
            wrong.push(format!("{}: {difference}", it.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_client_reads_what_the_sandbox_writes() {
    for it in PRODUCERS {
        let (_, body) = (it.produce)();
        assert!((it.read)(&body), "{}: {body}", it.name);
        assert!((it.read)(it.golden), "{}: the golden body itself", it.name);
    }
}
