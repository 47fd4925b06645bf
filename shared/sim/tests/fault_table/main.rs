//! Every fault of the sandbox against our own client: what the caller saw, what the broker held, how the caller found
//! out. Each row is a test, and `docs/faults.md` shows the same table.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: what fails here fails the test")]

mod desk;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use desk::{Desk, Outcome};
use sim::broker::faults::Fault;

/// A row of the table.
struct Row {
    rule: &'static str,
    asked: &'static str,
    run: fn(&'static str) -> Outcome,
    saw: &'static str,
    held: &'static str,
    found: &'static str,
}

impl Row {
    fn check(&self) {
        let Outcome { saw, held, found } = (self.run)(self.rule);
        let (is, must) = ((saw.as_str(), held.as_str(), found.as_str()), (self.saw, self.held, self.found));
        assert_eq!(is, must, "{} while the caller {}", self.rule, self.asked);
    }
}

fn place(rule: &'static str) -> Outcome {
    Desk::new().with(rule).place()
}

fn spread(rule: &'static str) -> Outcome {
    Desk::new().with(rule).place_spread()
}

fn read(rule: &'static str) -> Outcome {
    Desk::new().with(rule).place_and_read()
}

fn cancel(rule: &'static str) -> Outcome {
    Desk::new().cancel(rule)
}

fn cancel_under(rule: &'static str) -> Outcome {
    Desk::new().with(rule).cancel_under()
}

fn modify(rule: &'static str) -> Outcome {
    Desk::new().modify(rule)
}

fn list(rule: &'static str) -> Outcome {
    Desk::new().list(rule)
}

fn quotes(rule: &'static str) -> Outcome {
    Desk::new().with(rule).quotes()
}

fn listen(rule: &'static str) -> Outcome {
    Desk::new().with(rule).listen()
}

fn watch(rule: &'static str) -> Outcome {
    Desk::new().with(rule).watch()
}

macro_rules! table {
    ($($name:ident: $run:ident, $asked:literal, $rule:literal => $saw:literal, $held:literal, $found:literal;)*) => {
        const TABLE: &[Row] = &[$(
            Row { rule: $rule, asked: $asked, run: $run, saw: $saw, held: $held, found: $found },
        )*];

        $(
            #[test]
            fn $name() {
                Row { rule: $rule, asked: $asked, run: $run, saw: $saw, held: $held, found: $found }.check();
            }
        )*
    };
}

include!("rows.rs");

/// The table as the page shows it.
fn shown() -> String {
    let mut text = String::from(
        "| rule | the caller | saw | the broker held | and how the caller found out |\n| --- | --- | --- | --- | --- |\n",
    );
    for row in TABLE {
        let Row { rule, asked, saw, held, found, .. } = row;
        writeln!(text, "| `{rule}` | {asked} | {saw} | {held} | {found} |").unwrap();
    }
    text
}

#[test]
fn the_page_shows_this_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/faults.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let table: String =
        page.lines().filter(|it| it.starts_with("| ")).fold(String::new(), |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        });
    assert_eq!(table, shown(), "docs/faults.md must show:\n\n{}", shown());
}

#[test]
fn every_fault_has_its_row() {
    let of = |row: &Row| {
        let rule: serde_json::Value = serde_json::from_str(row.rule).unwrap();
        rule["fault"].as_str().unwrap().to_owned()
    };
    let shown: BTreeSet<String> = TABLE.iter().map(of).collect();
    let all: BTreeSet<String> = Fault::ALL.iter().map(|it| it.as_str().to_owned()).collect();
    assert_eq!(shown, all);
}
