//! What a session reads like.

use super::*;
use crate::testing::{DAY, account, balances, closing, opening, owned, selected, view};
use domain::ids::AttemptNo;
use domain::intent::{Action, ClosingIntent, IntentHead};
use domain::order::AttemptState;
use domain::ports::{DifferenceKind, Snapshot};
use domain::position::FillSource;

fn session() -> Session {
    Session::of(DAY).unwrap().unwrap()
}

/// Bought 3 at 9.10 (mid 9.10), 1 stopped at 10.00, 2 flattened at 10.00.
fn book() -> DayBook {
    let chosen = selected();
    let entry = view(
        OrderIntent::Opening(opening(&chosen, TickGrid::FIVE_TEN.up(chosen.ask), 3)),
        IntentState::Done,
        AttemptState::Filled,
        3,
        3,
    );
    let sold = |intent: ClosingIntent, n: u32| {
        let mut it = view(OrderIntent::Closing(intent), IntentState::Done, AttemptState::Filled, n, n);
        it.fills[0].price = Some(Usd::from_dollars(10));
        it
    };
    let stop = closing(&entry, 3);
    let flatten = ClosingIntent {
        head: IntentHead { id: IntentId::of(&[b"f"]), action: Action::Flatten, ..stop.head },
        opening: None,
        reason: "session_end".to_owned(),
        ..stop.clone()
    };
    let mut blocked = entry.clone();
    blocked.state = IntentState::Blocked;
    blocked.reason = "no_consent".to_owned();
    blocked.attempts.clear();
    blocked.fills.clear();
    blocked.filled = 0;
    if let OrderIntent::Opening(it) = &mut blocked.intent {
        it.head.id = IntentId::of(&[b"b"]);
    }
    let owned = owned(&entry, 3, 3);
    let at = entry.intent.head().decided_at;
    DayBook {
        structures: Vec::new(),
        expiries: Vec::new(),
        account: account(),
        session: DAY,
        intents: vec![sold(flatten, 2), entry, sold(stop, 1), blocked],
        owned: vec![owned],
        snapshots: vec![
            Snapshot { at, balances: balances(10_000) },
            Snapshot { at, balances: balances(10_264) },
        ],
        differences: Vec::new(),
        reconciled_at: Some(at),
    }
}

#[test]
fn a_trade_is_told_with_its_prices_exits_fees_and_result() {
    let report = AccountReport::build(&book(), &session());
    let [trade] = report.trades.as_slice() else { panic!("{report:#?}") };
    assert_eq!((trade.contracts, trade.held), (3, 0));
    assert_eq!(trade.entry_price, Some(Usd::from_cents(910)));
    assert_eq!((trade.slippage, trade.rungs, trade.time_to_fill_ms), (Some(Usd::ZERO), 2, Some(4_000)));
    let exits: Vec<_> = trade.exits.iter().map(|it| (it.action.as_str(), it.contracts)).collect();
    assert_eq!(exits, [("stop", 1), ("flatten", 2)]);
    // 3 x 100 x (10.00 - 9.10), less six charges of 1.05.
    assert_eq!(trade.realized_gross, Some(Usd::from_dollars(270)));
    assert_eq!(trade.realized_net, Some(Usd::from_cents(26_370)));
    let r = trade.r_multiple.unwrap();
    assert!((r - 263.7 / 1_500.0).abs() < 1e-9, "{r}");
}

#[test]
fn totals_count_orders_fills_and_refusals_and_the_day_is_clean() {
    let report = DailyReport::build(&[book(), book()], &[], &session());
    let one = report.accounts[0].totals;
    assert_eq!((one.trades, one.intents, one.orders, one.fills, one.refused), (1, 4, 3, 3, 1));
    assert_eq!(report.totals.realized_net, one.realized_net.times(2));
    assert_eq!(report.accounts[0].refused[0].reason, "no_consent");
    assert!(report.is_clean());
}

#[test]
fn what_is_held_what_differs_and_what_was_never_reconciled_is_said() {
    let mut held = book();
    held.owned[0].sold = 2;
    assert!(!AccountReport::build(&held, &session()).flat);
    let mut never = book();
    never.reconciled_at = None;
    assert!(!AccountReport::build(&never, &session()).reconciled);
    let difference = |kind| Difference {
        kind,
        about: "x".to_owned(),
        ours: "1".to_owned(),
        broker: "2".to_owned(),
        cure: "alert".to_owned(),
    };
    for (kind, reconciled) in [(DifferenceKind::Foreign, true), (DifferenceKind::QuantityMismatch, false)] {
        let book = DayBook { differences: vec![difference(kind)], ..book() };
        assert_eq!(AccountReport::build(&book, &session()).reconciled, reconciled);
    }
}

#[test]
fn a_missing_price_leaves_the_result_open_and_is_counted() {
    let mut book = book();
    book.owned[0].price_missing = true;
    book.intents[1].fills[0].price = None;
    let report = AccountReport::build(&book, &session());
    assert_eq!((report.trades[0].entry_price, report.trades[0].realized_net), (None, None));
    assert_eq!((report.totals.unpriced, report.totals.realized_gross), (1, Usd::ZERO));
    assert!(report.to_text().contains("bought 3 SPXW261120C05605000 at (no price yet)"));
}

#[test]
fn slippage_is_measured_from_mid_at_the_decision() {
    let mut book = book();
    book.intents[1].fills[0].price = Some(Usd::from_cents(930));
    let report = AccountReport::build(&book, &session());
    let ticks = report.trades[0].slippage_ticks.unwrap();
    assert!((ticks - 2.0).abs() < 1e-9, "{ticks}");
    assert_eq!(report.totals.slippage, Usd::from_dollars(60));
}

#[test]
fn a_settlement_is_an_exit_and_no_fill() {
    let mut book = book();
    book.intents.remove(0);
    let entry = &mut book.intents[0];
    let settled = Fill {
        attempt: SETTLEMENT,
        side: Side::Sell,
        to: 2,
        price: Some(Usd::ZERO),
        source: FillSource::Settlement,
        ..entry.fills[0]
    };
    entry.fills.push(settled);
    let report = AccountReport::build(&book, &session());
    let exits: Vec<_> = report.trades[0].exits.iter().map(|it| (it.action.as_str(), it.contracts)).collect();
    assert_eq!(exits, [("stop", 1), ("settlement", 2)]);
    assert_eq!((report.totals.fills, report.trades[0].contracts), (2, 3));
    assert!(report.flat && settled.attempt == AttemptNo(0));
}

#[test]
fn the_terminal_reads_like_the_day() {
    let text = DailyReport::build(&[book()], &[], &session()).to_text();
    for expected in [
        "Session 2026-11-20: 0 setups",
        "(sandbox): flat, reconciled",
        "10:15:00  bought 3 SPXW261120C05605000 at 9.10 (+0.0 ticks to mid, 2 rungs, 4.0 s)",
        "sold 1 at 10.00 (stop: stop)",
        "sold 2 at 10.00 (flatten: session_end)",
        "net 263.70 after 6.30 fees, +0.18 R",
        "enter SPXW261120C05605000  blocked: no_consent",
        "gross 270.00, fees 6.30, net 263.70, slippage 0.00",
        "equity 10000.00 -> 10264.00",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
}

#[test]
fn what_expired_is_reported_as_provisional_until_the_broker_showed_what_became_of_it() {
    use domain::expiry::{Expiry, ExpiryStatus};
    let session = Session::of(book().session).unwrap().unwrap();
    let text = |status| {
        let owned = book().owned[0];
        let expiry = Expiry {
            opening: owned.opening,
            series: owned.series,
            contracts: 2,
            is_short: false,
            price: Some(Usd::from_dollars(7)),
            status,
            at: session.close,
        };
        AccountReport::build(&DayBook { expiries: vec![expiry], ..book() }, &session).to_text()
    };
    let (pending, settled) = (text(ExpiryStatus::ExpiredPending), text(ExpiryStatus::Settled));
    assert!(pending.contains("expired_pending: 2 ") && pending.contains("(provisional)"), "{pending}");
    assert!(settled.contains("settled: 2 ") && !settled.contains("provisional"), "{settled}");
}

#[test]
fn a_structure_is_reported_leg_by_leg_and_is_flat_when_no_leg_is_held() {
    use domain::combo::{OwnedCombo, OwnedLeg};
    use domain::ticket::{ComboLeg, ComboTerms, LegSide, Net};
    let leg = |text: &str, side| ComboLeg { series: text.parse().unwrap(), side, ratio: 1 };
    let legs =
        [leg("SPXW261120P05480000", LegSide::SellToOpen), leg("SPXW261120P05470000", LegSide::BuyToOpen)];
    let net = Net::credit(domain::money::Price::from_cents(150));
    let terms = ComboTerms::check(legs.to_vec(), net).unwrap();
    let traded = |n: usize, closed: u32, opened_for: i64, closed_for: i64| OwnedLeg {
        leg: legs[n],
        opened: 2,
        closed,
        opened_for: Usd::from_dollars(opened_for),
        closed_for: Usd::from_dollars(closed_for),
    };
    let combo = |closed: u32| OwnedCombo {
        opening: domain::ids::IntentId::of(&[b"s"]),
        origin: domain::intent::Origin::Decision(domain::ids::DecisionId::of(&[b"d"])),
        strategy: "put_spread".to_owned(),
        direction: Some(Direction::Long),
        environment: account().environment,
        terms: terms.clone(),
        legs: vec![traded(0, 2, 410, 180), traded(1, closed, 100, 40)],
        fees: Usd::from_dollars(5),
        price_missing: false,
    };
    let report = |closed| {
        let book =
            DayBook { structures: vec![combo(closed)], intents: Vec::new(), owned: Vec::new(), ..book() };
        AccountReport::build(&book, &session())
    };
    assert!(!report(0).flat, "a wing is held");
    let report = report(2);
    assert!(report.flat);
    let text = report.to_text();
    for words in ["put_spread long", "sold 2 SPXW261120P05480000 at 2.05", "bought 2 SPXW261120P05470000"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    // 230 on the short, 60 lost on the wing.
    assert_eq!(report.structures[0].realized_gross, Some(Usd::from_dollars(170)));
    assert_eq!(report.totals.realized_net, Usd::from_dollars(165));
}
