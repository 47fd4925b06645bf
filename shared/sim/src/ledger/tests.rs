//! What the books in memory add to the suite: snapshots, the journal, the same bytes twice.

use domain::intent::OrderIntent;
use domain::ports::{DeadLetter, Ledger, Marking};
use domain::symbol::Underlying;

use super::MemLedger;
use crate::conformance::block_on;
use crate::fixtures::{self as sample, SESSION, at};

/// An entry of user 1, marked.
async fn marked(ledger: &MemLedger) -> domain::ids::IntentId {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await.unwrap();
    sample::trigger(ledger, 1).await.unwrap();
    let fence = ledger.take_lease(&account, "worker", at(9, 0, 0), at(17, 0, 0)).await.unwrap().unwrap();
    let new = sample::ready(OrderIntent::Opening(sample::opening(&account, 1, 3)));
    ledger.record_intent(&new).await.unwrap();
    let id = new.intent.head().id;
    let view = sample::read(ledger, &account, id).await.unwrap();
    let marking = ledger.mark_submitting(&sample::mark(&view, fence, 3, at(10, 1, 0))).await.unwrap();
    assert!(matches!(marking, Marking::Marked(_)), "{marking:?}");
    id
}

#[test]
fn a_snapshot_goes_on_by_itself() {
    let ledger = MemLedger::new();
    let account = sample::account(1);
    let id = block_on(marked(&ledger)).unwrap();
    let branch = MemLedger::from_state(ledger.snapshot());
    block_on(branch.request_stop(&account, id, at(10, 2, 0))).unwrap().unwrap();
    let stopped = |it: &MemLedger| {
        block_on(it.intent(&account, id)).unwrap().unwrap().is_some_and(|it| it.stop_requested)
    };
    assert_eq!((stopped(&ledger), stopped(&branch)), (false, true));
}

#[test]
fn the_same_calls_leave_the_same_books() {
    let books = [(), ()].map(|()| {
        let ledger = MemLedger::new();
        block_on(marked(&ledger)).unwrap();
        format!("{:?}", ledger.snapshot())
    });
    assert_eq!(books[0], books[1]);
}

#[test]
fn the_journal_tells_what_was_written_in_order() {
    let ledger = MemLedger::new();
    let id = block_on(marked(&ledger)).unwrap();
    let account = sample::account(1).account;
    let lines: Vec<_> = ledger.audit().into_iter().filter(|it| it.account == Some(account)).collect();
    let told: Vec<&str> = lines.iter().map(|it| it.what.as_str()).collect();
    let expected =
        ["credential stored".to_owned(), format!("intent {id} enter ready"), format!("submitting cx-{id}-1")];
    assert_eq!(told, expected);
    assert_eq!(lines[2].at, at(10, 1, 0));
}

#[test]
fn what_the_port_only_writes_can_be_read_here() {
    let ledger = MemLedger::new();
    let id = block_on(marked(&ledger)).unwrap();
    let account = sample::account(1);
    let letter =
        DeadLetter { queue: "exits".into(), message_id: "1".into(), reason: "no".into(), at: at(10, 0, 0) };
    let later = DeadLetter { reason: "again".into(), ..letter.clone() };
    let other = domain::market::Microbar { volume: 7, ..sample::microbar(0) };
    block_on(async {
        ledger.record_dead_letter(&letter).await.unwrap();
        ledger.record_dead_letter(&later).await.unwrap();
        ledger.store_microbars(Underlying::SPX, &[sample::microbar(1), sample::microbar(0)]).await.unwrap();
        ledger.store_microbars(Underlying::SPX, &[other]).await.unwrap();
        ledger.store_report(&account, SESSION, "one", at(16, 15, 0)).await.unwrap();
        ledger.store_report(&account, SESSION, "two", at(16, 16, 0)).await.unwrap();
    })
    .unwrap();
    assert_eq!(ledger.dead_letters(), [letter]);
    assert_eq!(ledger.microbars(Underlying::SPX), [sample::microbar(0), sample::microbar(1)]);
    assert_eq!(ledger.report(account.account, SESSION).as_deref(), Some("two"));
    assert_eq!(ledger.gates(id), sample::approving_gates());
    assert_eq!(ledger.breakdown(id), "");
}
