//! Declared on readings, written once, told once.

use std::time::Duration;

use domain::combo::ComboEntry;
use domain::intent::{IntentState, OpeningIntent};
use domain::market::Points;
use domain::order::AttemptState;
use domain::ports::IntentView;
use domain::setup::Direction;
use domain::time::UtcNanos;
use engine::trips::Reach;
use sim::fixtures::{self as sample, SESSION, at};
use sim::ledger::MemLedger;
use sim::shown::{Stands as Now, run};

use super::*;

const ACCOUNT: AccountRef = sample::account(1);

/// An account that holds two calls and a put spread.
fn holding() -> (MemLedger, OpeningIntent, ComboEntry) {
    let ledger = MemLedger::new();
    run(sample::enrol(&ledger, &ACCOUNT)).unwrap();
    run(sample::trigger(&ledger, 1)).unwrap();
    let call = sample::opening(&ACCOUNT, 1, 2);
    run(async {
        let now = at(10, 1, 0);
        let id = call.head.id;
        ledger.record_intent(&sample::ready(OrderIntent::Opening(call.clone()))).await.unwrap();
        let fence = ledger.take_lease(&ACCOUNT, "entry", now, now).await.unwrap().unwrap();
        let view = sample::read(&ledger, &ACCOUNT, id).await.unwrap();
        ledger.mark_submitting(&sample::mark(&view, fence, 2, now)).await.unwrap();
        let view = sample::read(&ledger, &ACCOUNT, id).await.unwrap();
        ledger.record_answer(&sample::accepted(&view, fence, 1, now).unwrap()).await.unwrap();
        let view = sample::read(&ledger, &ACCOUNT, id).await.unwrap();
        let mut filled = sample::progress(&view, Some(fence), now);
        filled.attempts = vec![sample::ended(&view, AttemptState::Filled).unwrap()];
        filled.fills = vec![sample::observed(&view, 2, Some(240), now).unwrap()];
        (filled.state, filled.follow_up) = (IntentState::Done, None);
        ledger.record_progress(&filled).await.unwrap();
        ledger.release_lease(&ACCOUNT, fence).await.unwrap();
    });
    let spread = sample::combos::entry(&ACCOUNT, 2, 1).unwrap();
    run(sample::combos::open(&ledger, &spread, 2, at(10, 2, 0))).unwrap();
    (ledger, call, spread)
}

/// Posts a reading each five seconds from 11:00:00; the VIX and the index by reading.
fn observed(ledger: &MemLedger, readings: &[(f64, f64)]) -> u32 {
    let mut exits = 0;
    for (n, (vix, index)) in (0u64..).zip(readings) {
        let now = at(11, 0, 0).plus(Duration::from_secs(5 * n));
        let reading =
            Reading { at: now, vix: Some(*vix), index: Some(Points::from_f64(*index)), ..Reading::default() };
        let control = Control { ledger, clock: &Now(now) };
        exits += run(control.observe(&reading, &Reach::default())).unwrap().emergency_exits;
    }
    exits
}

const PANIC: [(f64, f64); 6] =
    [(20.0, 5_600.0), (20.2, 5_595.0), (22.1, 5_585.0), (22.3, 5_580.0), (22.5, 5_576.0), (22.5, 5_575.0)];

fn exits(ledger: &MemLedger) -> Vec<IntentView> {
    let mut open = run(ledger.open_intents(&ACCOUNT)).unwrap();
    open.retain(|it| it.intent.head().action == Action::Emergency);
    open
}

fn told(ledger: &MemLedger) -> Vec<String> {
    let rows = run(ledger.due_outbox(UtcNanos(i64::MAX), 100)).unwrap();
    let alert = |message| {
        let Message::Alert { key, level, text } = message else { return None };
        key.starts_with("emergency:").then(|| format!("{level}: {text}"))
    };
    rows.into_iter().filter_map(|it| alert(it.message)).collect()
}

#[test]
fn an_emergency_writes_an_exit_for_each_position_it_goes_against_once_and_tells() {
    let (ledger, call, spread) = holding();
    assert_eq!(observed(&ledger, &PANIC), 2, "a call and a put spread that expects the index to rise");
    let written = exits(&ledger);
    let of: Vec<_> = written.iter().filter_map(|it| it.intent.opening()).collect();
    assert_eq!(of, [call.head.id, spread.head.id]);
    assert!(written.iter().all(|it| it.state == IntentState::Ready));
    let told = told(&ledger);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|it| it.starts_with("critical: ")), "{told:?}");
    assert!(told[0].contains("2 SPXW261120C05605000 at the market"), "{told:?}");
    assert!(told[1].contains("at a limit"), "{told:?}");
    let kept = ledger.breakdown(written[0].intent.head().id);
    assert!(
        kept.contains("\"vixBefore\"") && kept.contains("22.5"),
        "what it was declared on is kept: {kept}"
    );
}

#[test]
fn an_emergency_leaves_alone_what_gains_from_it() {
    let (ledger, ..) = holding();
    let up: Vec<(f64, f64)> = PANIC.iter().map(|(vix, index)| (*vix, 11_200.0 - index)).collect();
    assert_eq!((observed(&ledger, &up), exits(&ledger).len()), (0, 0));
    assert_eq!(Direction::Long.right(), sample::series(5_605).right);
}

#[test]
fn without_readings_of_both_nothing_is_an_emergency() {
    let (ledger, ..) = holding();
    for (n, (vix, _)) in (0u64..).zip(PANIC) {
        let now = at(11, 0, 0).plus(Duration::from_secs(5 * n));
        let reading = Reading { at: now, vix: Some(vix), ..Reading::default() };
        let control = Control { ledger: &ledger, clock: &Now(now) };
        assert_eq!(run(control.observe(&reading, &Reach::default())).unwrap().emergency_exits, 0);
    }
    assert_eq!((exits(&ledger).len(), run(ledger.owned(&ACCOUNT, SESSION)).unwrap().len()), (0, 1));
}
