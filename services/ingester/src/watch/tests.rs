//! Halts and blindness over a generated session of which feeds are taken away.

use domain::kill::halted_since;
use domain::market::MarketSource;
use domain::setup::SetupState;
use engine::profile::Profile;
use sim::conformance::block_on;
use sim::ledger::MemLedger;
use sim::market::{GeneratedSession, SessionSpec};

use super::*;
use crate::{Emission, Ingester, Signal};

/// What still comes.
#[derive(Clone, Copy)]
struct Feeds {
    index: bool,
    proxy: bool,
    options: bool,
}

const ALL: Feeds = Feeds { index: true, proxy: true, options: true };

/// A session that is fed until its first trigger, and from then on as `feeds` say for `seconds`.
#[expect(clippy::type_complexity, reason = "what a test looks at, once")]
fn after_the_trigger(seconds: i64, feeds: Feeds) -> (Vec<(i64, Signal)>, Vec<(i64, Emission)>, MemLedger) {
    let mut source = GeneratedSession::new(&SessionSpec::of_seed(5)).unwrap();
    let index = source.profile().index;
    let mut ingester = Ingester::new(source.profile(), &Profile::orb_v1(), true);
    let ledger = MemLedger::new();
    let (mut from, mut signals, mut steps) = (None::<UtcNanos>, Vec::new(), Vec::new());
    while let Some(event) = source.next_event().unwrap() {
        let passed = from.map_or(0, |it| event.ts().0 - it.0) / NANOS_PER_SEC;
        if passed > seconds {
            break;
        }
        while let Some(due) = ingester.next_due().filter(|it| *it < event.ts()) {
            ingester.on_time(due);
        }
        let comes = match event {
            MarketEvent::Trade(symbol, _) | MarketEvent::Quote(symbol, _) if symbol == index => feeds.index,
            MarketEvent::Trade(..) | MarketEvent::Quote(..) => feeds.proxy,
            MarketEvent::OptionQuote(..) => feeds.options,
        };
        if from.is_none() || comes {
            ingester.on_event(&event);
        }
        signals.extend(ingester.signals().map(|it| (passed, it.clone())));
        steps.extend(ingester.emissions().filter(|_| from.is_some()).map(|it| (passed, it.clone())));
        let triggers = |it: &Emission| it.record.transition.to == SetupState::Triggered;
        if from.is_none() && ingester.emissions().any(triggers) {
            from = Some(event.ts());
        }
        if ingester.wants_commit() {
            block_on(ingester.commit(&ledger)).unwrap().unwrap();
        }
    }
    assert!(from.is_some(), "the session has a trigger");
    (signals, steps, ledger)
}

fn is_flipped(ledger: &MemLedger) -> bool {
    let rows = block_on(ledger.kill_switch()).unwrap().unwrap();
    halted_since(&rows, Underlying::SPX).is_some()
}

#[test]
fn a_session_with_all_feeds_is_never_halted_and_never_blind() {
    let (signals, _, ledger) = after_the_trigger(3_600, ALL);
    assert_eq!((signals, is_flipped(&ledger)), (Vec::new(), false));
}

#[test]
fn options_that_stand_for_a_minute_halt_the_market_in_the_books_and_page_once() {
    let (signals, _, ledger) = after_the_trigger(120, Feeds { options: false, ..ALL });
    let [(at, Signal::Halted { .. })] = signals.as_slice() else { panic!("{signals:?}") };
    // Quotes stand for some seconds before the trigger.
    assert!((45..=62).contains(at), "{at}");
    assert!(is_flipped(&ledger));
    let keys = ledger.alerted();
    assert_eq!(keys.iter().filter(|it| it.starts_with("halted:SPX:")).count(), 1, "{keys:?}");
}

#[test]
fn a_silent_index_is_led_by_its_proxy_and_nobody_is_blind() {
    let (signals, steps, _) = after_the_trigger(3_000, Feeds { index: false, ..ALL });
    assert_eq!(signals, []);
    // Targets, stops and the time go on being watched.
    assert!(!steps.is_empty());
    assert!(steps.iter().all(|(_, it)| it.record.transition.reason != "blind"));
}

#[test]
fn index_and_proxy_silent_the_implied_spot_leads() {
    let (signals, steps, _) = after_the_trigger(3_000, Feeds { index: false, proxy: false, ..ALL });
    assert_eq!(signals, []);
    assert!(steps.iter().all(|(_, it)| it.record.transition.reason != "blind"), "{steps:?}");
}

#[test]
fn without_any_source_disaster_orders_are_tightened_and_after_a_minute_the_setup_is_closed() {
    let (signals, steps, ledger) =
        after_the_trigger(70, Feeds { index: false, proxy: false, options: false });
    // Time is told by what falls due alone. For five seconds the last quotes still imply a spot.
    let kinds: Vec<(i64, &str)> = signals
        .iter()
        .map(|(at, it)| match it {
            Signal::Tighten { .. } => (*at, "tighten"),
            Signal::Blind { .. } => (*at, "blind"),
            Signal::Halted { .. } => (*at, "halted"),
            Signal::Reopened { .. } => (*at, "reopened"),
        })
        .collect();
    let [(tighten, "tighten"), (blind, "blind")] = kinds.as_slice() else { panic!("{kinds:?}") };
    assert!((14..=21).contains(tighten) && (59..=66).contains(blind), "{kinds:?}");
    let ended: Vec<&str> = steps.iter().map(|it| it.1.record.transition.reason.as_str()).collect();
    assert!(ended.contains(&"blind"), "{ended:?}");
    assert!(ledger.alerted().iter().any(|it| it.starts_with("blind:SPX:")));
}
