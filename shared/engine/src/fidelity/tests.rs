//! What a fill cost beyond the market it met.

use super::*;
use crate::testing::{DAY, account, closing, opening, selected, view};
use domain::intent::IntentState;
use domain::order::AttemptState;
use domain::order::Trace;
use std::time::Duration;

/// Three bought at 9.10 after a decision at 9.00 x 9.20 less `ticks`, on the second rung, three seconds after the mark.
fn bought(bid: u32, ask: u32, price: Option<i64>) -> IntentView {
    let chosen = selected();
    let mut intent = opening(&chosen, TickGrid::FIVE_TEN.up(chosen.ask), 3);
    (intent.market.bid, intent.market.ask) = (Price::from_cents(bid), Price::from_cents(ask));
    let mut view = view(OrderIntent::Opening(intent), IntentState::Done, AttemptState::Filled, 3, 3);
    let marked = view.attempts[0].marked_at;
    view.fills[0].price = price.map(Usd::from_cents);
    view.fills[0].at = marked.plus(Duration::from_secs(3));
    view.attempts[0].trace = Trace {
        arrival: Some(Touch { bid: Price::from_cents(bid + 5), ask: Price::from_cents(ask + 15) }),
        acked_at: Some(marked.plus(Duration::from_millis(40))),
        filled_at: Some(view.fills[0].at),
    };
    view
}

#[test]
fn every_fill_has_decision_price_arrival_mid_fill_price_slippage_time_and_rungs() {
    let view = bought(900, 920, Some(920));
    let found = of(&view, None);
    let [it] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((it.decision_mid, it.arrival_mid), (Some(Usd::from_cents(910)), Some(Usd::from_cents(920))));
    assert_eq!((it.price, it.contracts, it.arrival_spread_ticks), (Some(Usd::from_cents(920)), 3, Some(3)));
    // Ten cents over mid: a tick, thirty dollars over three contracts, R of 500 each.
    assert!((it.slippage_ticks.unwrap() - 1.0).abs() < 1e-9, "{it:?}");
    assert_eq!(it.slippage, Some(Usd::from_dollars(30)));
    assert!((it.slippage_bp.unwrap() - 10.0 / 910.0 * 1e4).abs() < 1e-9, "{it:?}");
    assert!((it.slippage_r.unwrap() - 30.0 / 1_500.0).abs() < 1e-12, "{it:?}");
    assert_eq!((it.time_to_fill_ms, it.rungs), (3_000, 2));
    assert_eq!(it.acked_at, Some(it.submitted_at.plus(Duration::from_millis(40))));
    assert_eq!(it.first_fill_at, Some(it.submitted_at.plus(Duration::from_secs(3))));
}

#[test]
fn a_sale_slips_downwards_and_is_measured_against_its_own_arrival() {
    let entry = bought(900, 920, Some(910));
    let OrderIntent::Opening(opening) = &entry.intent else { panic!("an entry opens") };
    let mut sold =
        view(OrderIntent::Closing(closing(&entry, 3)), IntentState::Done, AttemptState::Filled, 3, 3);
    sold.fills[0].price = Some(Usd::from_cents(1_000));
    let touch = Touch { bid: Price::from_cents(1_000), ask: Price::from_cents(1_030) };
    sold.attempts[0].trace.arrival = Some(touch);
    let it = of(&sold, Some(opening)).remove(0);
    assert_eq!((it.decision_mid, it.slippage), (Some(Usd::from_cents(1_015)), Some(Usd::from_dollars(45))));
    assert!((it.slippage_ticks.unwrap() - 1.5).abs() < 1e-9, "{it:?}");
    assert!(it.slippage_r.is_some());
    let alone = of(&sold, None).remove(0);
    assert_eq!(alone.slippage_r, None, "without its entry nobody knows R");
}

#[test]
fn what_is_missing_leaves_its_figures_missing() {
    let unpriced = of(&bought(900, 920, None), None).remove(0);
    assert_eq!((unpriced.price, unpriced.slippage, unpriced.slippage_ticks), (None, None, None));
    let mut blind = bought(900, 920, Some(910));
    blind.attempts[0].trace = Trace::default();
    let it = of(&blind, None).remove(0);
    assert_eq!((it.arrival_mid, it.acked_at, it.first_fill_at), (None, None, None));
    assert_eq!(it.slippage, Some(Usd::ZERO), "the decision is enough for an entry");
    let mut settled = blind.clone();
    settled.fills[0].attempt = SETTLEMENT;
    assert!(of(&settled, None).is_empty(), "a settlement is no execution");
}

#[test]
fn realised_slippage_rolls_by_family_hour_and_spread() {
    let book = |intents| DayBook {
        account: account(),
        session: DAY,
        intents,
        owned: Vec::new(),
        snapshots: Vec::new(),
        differences: Vec::new(),
        reconciled_at: None,
        structures: Vec::new(),
        expiries: Vec::new(),
    };
    let (good, bad, unknown) =
        (bought(900, 920, Some(910)), bought(900, 920, Some(930)), bought(900, 920, None));
    let mut tight = bought(900, 920, Some(920));
    let touch = Touch { bid: Price::from_cents(910), ask: Price::from_cents(920) };
    tight.attempts[0].trace.arrival = Some(touch);
    let found = realised(&[book(vec![good, unknown]), book(vec![bad, tight])]);
    let of_spread = |spread| found.iter().find(|it| it.0.spread == spread).map(|it| *it.1).unwrap();
    let normal = of_spread(SpreadBucket::Normal);
    assert_eq!((normal.fills, normal.contracts, normal.total), (2, 6, Usd::from_dollars(60)));
    assert!((normal.mean_ticks - 1.0).abs() < 1e-9 && normal.mean_r.is_some(), "{normal:?}");
    assert_eq!(of_spread(SpreadBucket::Tight).fills, 1);
    assert!(found.keys().all(|it| it.family == Some("orb_breakout") && it.opens), "{found:?}");
}
