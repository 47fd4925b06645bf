//! Structures in a reconciliation: short legs, settlement, adoption.

use domain::combo::combo_flatten_id;
use sim::fixtures::combos as spread;

use super::*;

/// Two units of a put spread in the books, and what the broker shows of its legs.
fn held(ledger: &MemLedger, short: i64, wing: i64) -> (domain::combo::ComboEntry, Shown) {
    let account = sample::account(1);
    let entry = spread::entry(&account, 1, 2).unwrap();
    run(async {
        sample::enrol(ledger, &account).await.unwrap();
        spread::open(ledger, &entry, 101, at(10, 1, 0)).await.unwrap();
    });
    let position = |n: usize, quantity| BrokerPosition {
        series: spread::legs(1)[n].series,
        quantity,
        cost_basis: Usd::ZERO,
    };
    let positions = vec![position(0, short), position(1, wing)];
    let positions = positions.into_iter().filter(|it: &BrokerPosition| it.quantity != 0).collect();
    (entry, Shown { positions, ..Shown::default() })
}

fn with(shown: Shown) -> Accounts {
    Accounts([(sample::account(1).account, shown)].into())
}

fn pending(ledger: &MemLedger) -> Vec<(ExpiryStatus, Option<Usd>)> {
    let rows = run(ledger.expiries(&sample::account(1), SESSION)).unwrap();
    rows.iter().map(|it| (it.status, it.cash())).collect()
}

fn differences(ledger: &MemLedger) -> Vec<(domain::ports::DifferenceKind, String)> {
    let book = run(ledger.day_book(&sample::account(1), SESSION)).unwrap();
    book.differences.iter().map(|it| (it.kind, it.broker.clone())).collect()
}

#[test]
fn the_short_and_long_legs_of_a_structure_agree_with_the_broker() {
    let ledger = MemLedger::new();
    let (_, shown) = held(&ledger, -2, 2);
    let done = reconcile(&ledger, &with(shown), at(10, 5, 0), on(), None);
    assert_eq!((done.faults, done.foreign), (0, 0), "{:?}", differences(&ledger));
}

#[test]
fn a_leg_that_the_broker_shows_less_of_is_a_difference_and_told() {
    use domain::ports::DifferenceKind as Kind;
    for (short, wing, want) in [
        (-1, 2, (Kind::QuantityMismatch, "-1 held")),
        (0, 2, (Kind::MissingAtBroker, "0 held")),
        (-2, 0, (Kind::MissingAtBroker, "0 held")),
    ] {
        let ledger = MemLedger::new();
        let (_, shown) = held(&ledger, short, wing);
        let brokers = with(shown);
        reconcile(&ledger, &brokers, at(10, 5, 0), on(), None);
        assert_eq!(differences(&ledger), [(want.0, want.1.to_owned())], "{short} {wing}");
        assert_eq!(alerts(&ledger), Vec::<String>::new(), "an order may still explain it");
        reconcile(&ledger, &brokers, at(10, 6, 0), on(), None);
        assert_eq!(alerts(&ledger).len(), 1);
    }
    // More than ours on our side is somebody else's.
    let ledger = MemLedger::new();
    let (_, shown) = held(&ledger, -3, 2);
    let done = reconcile(&ledger, &with(shown), at(10, 5, 0), on(), None);
    assert_eq!((done.faults, done.foreign), (0, 1));
}

#[test]
fn a_structure_settles_when_the_broker_shows_none_of_its_legs() {
    let ledger = MemLedger::new();
    let (entry, shown) = held(&ledger, -2, 2);
    let done = reconcile(&ledger, &with(shown.clone()), at(16, 1, 0), on(), None);
    assert_eq!(done.settled, 0, "the official close is not known");
    assert_eq!(
        pending(&ledger),
        [(ExpiryStatus::ExpiredPending, None), (ExpiryStatus::ExpiredPending, None)]
    );
    let done = reconcile(&ledger, &with(shown), at(16, 2, 0), on(), Some(5_475));
    assert_eq!(done.settled, 0, "a leg is still shown");
    let done = reconcile(&ledger, &with(Shown::default()), at(16, 7, 0), on(), Some(5_475));
    assert_eq!(done.settled, 1);
    let owned = run(ledger.structures(&sample::account(1), SESSION)).unwrap();
    // 1.55 received, five points of the short owed, nothing for the wing.
    assert_eq!((owned[0].is_flat(), owned[0].realized()), (true, Usd::from_dollars(-690)));
    assert_eq!(owned[0].opening, entry.head.id);
    let settled = |cash| (ExpiryStatus::Settled, Some(Usd::from_dollars(cash)));
    let mut legs = pending(&ledger);
    legs.sort();
    assert_eq!(legs, [settled(-1_000), settled(0)], "each leg has its own amount, and the short owes it");
    let done = reconcile(&ledger, &with(Shown::default()), at(16, 8, 0), on(), Some(5_475));
    assert_eq!((done.settled, done.faults), (0, 0));
}

#[test]
fn a_structure_settles_although_an_earlier_one_in_its_series_was_closed_by_an_order() {
    let ledger = MemLedger::new();
    let (entry, _) = held(&ledger, -2, 2);
    let account = sample::account(1);
    let by = domain::combo::Decided {
        account,
        origin: Origin::Decision(spread::decision(2)),
        sequence: 0,
        at: at(10, 2, 0),
    };
    let other = domain::combo::ComboEntry::decided(by, "put_spread", None, 2, entry.terms.clone()).unwrap();
    run(spread::open(&ledger, &other, 102, at(10, 3, 0))).unwrap();
    let prices: Vec<_> = spread::legs(1).iter().map(|it| (it.series, Usd::from_cents(50))).collect();
    let source = domain::position::FillSource::Poll;
    run(ledger.record_combo_settlement(&account, other.head.id, &prices, at(11, 0, 0), source)).unwrap();
    let leg = |n: usize, side| BrokerLeg {
        series: spread::legs(1)[n].series,
        side,
        opens: false,
        quantity: 2,
        executed: 2,
        average: Some(Usd::from_cents(50)),
    };
    let close = BrokerOrder {
        legs: vec![leg(0, Side::Buy), leg(1, Side::Sell)],
        ..super::order(103, Some(OrderTag { intent: other.head.id, attempt: AttemptNo(2) }), Side::Buy, 2)
    };
    let shown = Shown { orders: vec![close], ..Shown::default() };
    let done = reconcile(&ledger, &with(shown), at(16, 7, 0), on(), Some(5_475));
    assert_eq!(done.settled, 1, "{:?}", differences(&ledger));
}

#[test]
fn the_closes_of_a_flatten_without_the_database_are_booked_afterwards() {
    let ledger = MemLedger::new();
    let (entry, shown) = held(&ledger, 0, 0);
    let intent = combo_flatten_id(SESSION, sample::account(1).account, entry.head.id);
    let leg = |n: usize, side, cents| BrokerLeg {
        series: spread::legs(1)[n].series,
        side,
        opens: false,
        quantity: 2,
        executed: 2,
        average: Some(Usd::from_cents(cents)),
    };
    let order = BrokerOrder {
        legs: vec![leg(0, Side::Buy, 90), leg(1, Side::Sell, 20)],
        created_at: Some(at(15, 49, 50)),
        ..super::order(501, Some(OrderTag { intent, attempt: AttemptNo(22_501) }), Side::Buy, 2)
    };
    let shown = Shown { orders: vec![order], ..shown };
    let done = reconcile(&ledger, &with(shown.clone()), at(15, 50, 0), on(), None);
    assert_eq!(done.adopted, 1);
    let owned = run(ledger.structures(&sample::account(1), SESSION)).unwrap();
    assert_eq!((owned[0].is_flat(), owned[0].realized()), (true, Usd::from_dollars(170)));
    let done = reconcile(&ledger, &with(shown), at(15, 50, 30), on(), None);
    assert_eq!((done.adopted, done.faults), (0, 0), "{:?}", differences(&ledger));
}

#[test]
fn an_attempt_that_a_flatten_without_the_database_overtook_is_booked_too() {
    let ledger = MemLedger::new();
    let (entry, shown) = held(&ledger, 0, 0);
    let account = sample::account(1);
    let by =
        domain::combo::Decided { account, origin: Origin::Flatten(SESSION), sequence: 0, at: at(15, 45, 0) };
    let all = domain::intent::CloseAmount::All;
    let exit = entry.exit(by, domain::intent::Action::Flatten, all, "session_end");
    let intent = exit.head.id;
    run(async {
        ledger.record_intent(&sample::ready(OrderIntent::ClosingCombo(exit))).await.unwrap();
        let now = at(15, 45, 4);
        let fence = ledger.take_lease(&account, "flatten", now, now).await.unwrap().unwrap();
        let view = sample::read(&ledger, &account, intent).await.unwrap();
        let short =
            [domain::ticket::ComboLeg { side: domain::ticket::LegSide::BuyToClose, ..spread::legs(1)[0] }];
        let net = domain::ticket::Net::debit(Price::from_cents(75));
        ledger.mark_submitting(&spread::marked(&view, fence, (2, &short), net, now)).await.unwrap();
        let view = sample::read(&ledger, &account, intent).await.unwrap();
        ledger.record_answer(&sample::accepted(&view, fence, 501, now).unwrap()).await.unwrap();
        ledger.release_lease(&account, fence).await.unwrap();
    });
    let order = |id: u64, attempt: u16, leg: usize, side, cents| BrokerOrder {
        legs: vec![BrokerLeg {
            series: spread::legs(1)[leg].series,
            side,
            opens: false,
            quantity: 2,
            executed: 2,
            average: Some(Usd::from_cents(cents)),
        }],
        created_at: Some(at(15, 45, 5)),
        ..super::order(id, Some(OrderTag { intent, attempt: AttemptNo(attempt) }), side, 2)
    };
    // The first attempt executed, then the database was away and the wing went by a derived tag.
    let orders = vec![order(501, 1, 0, Side::Buy, 75), order(502, 45_132, 1, Side::Sell, 5)];
    let brokers = with(Shown { orders, ..shown });
    reconcile(&ledger, &brokers, at(15, 50, 0), on(), None);
    reconcile(&ledger, &brokers, at(15, 51, 0), on(), None);
    let owned = run(ledger.structures(&account, SESSION)).unwrap();
    assert!(owned[0].is_flat(), "{:?}", differences(&ledger));
}
