//! What delivers shares: closed before the others, exercised or assigned where it was held past its last trade.

use domain::combo::{ComboEntry, Decided};
use domain::intent::Origin;
use domain::setup::Direction;
use domain::symbol::OccSymbol;
use domain::ticket::{ComboLeg, ComboTerms, LegSide, Net};
use sim::fixtures::combos as spread;

use super::*;

const ACCOUNT: AccountRef = sample::account(1);

fn spy(points: u32) -> OccSymbol {
    format!("SPY261120P00{points}000").parse().unwrap()
}

/// A put spread on SPY, 560 sold and 550 bought, one unit, in the books.
fn spread_held(ledger: &MemLedger) -> ComboEntry {
    let leg = |points, side| ComboLeg { series: spy(points), side, ratio: 1 };
    let legs = vec![leg(560, LegSide::SellToOpen), leg(550, LegSide::BuyToOpen)];
    let terms = ComboTerms::check(legs, Net::credit(Price::from_cents(150))).unwrap();
    let origin = Origin::Decision(spread::decision(1));
    let by = Decided { account: ACCOUNT, origin, sequence: 0, at: at(10, 0, 1) };
    let entry = ComboEntry::decided(by, "put_spread", Some(Direction::Long), 1, terms).unwrap();
    run(sample::enrol(ledger, &ACCOUNT)).unwrap();
    run(spread::open(ledger, &entry, 101, at(10, 1, 0))).unwrap();
    entry
}

fn shows(positions: &[(u32, i64)], last: Option<i64>) -> Accounts {
    let of = |(points, quantity): &(u32, i64)| BrokerPosition {
        series: spy(*points),
        quantity: *quantity,
        cost_basis: Usd::ZERO,
    };
    let index = last.map(|it| (Points::whole(it), at(15, 59, 59)));
    let shown = Shown { positions: positions.iter().map(of).collect(), index, ..Shown::default() };
    Accounts([(ACCOUNT.account, shown)].into())
}

fn passes(ledger: &MemLedger) -> usize {
    let rows = run(ledger.due_outbox(at(23, 0, 0), 100)).unwrap();
    rows.iter().filter(|it| it.queue == Queue::Flatten).count()
}

#[test]
fn a_structure_that_delivers_shares_starts_its_flatten_at_a_quarter_past_three() {
    let ledger = MemLedger::new();
    spread_held(&ledger);
    let brokers = shows(&[(560, -1), (550, 1)], None);
    reconcile(&ledger, &brokers, at(15, 14, 0), on(), None);
    assert_eq!(passes(&ledger), 0);
    reconcile(&ledger, &brokers, at(15, 15, 0), on(), None);
    assert_eq!(passes(&ledger), 1);
}

#[test]
fn a_short_held_past_its_last_trade_is_assigned_and_its_wing_ends_with_it() {
    let ledger = MemLedger::new();
    let entry = spread_held(&ledger);
    reconcile(&ledger, &shows(&[(560, -1), (550, 1)], Some(555)), at(16, 6, 0), on(), Some(5_600));
    let rows = || run(ledger.expiries(&ACCOUNT, SESSION)).unwrap();
    let stands = || {
        let mut all: Vec<_> = rows().iter().map(|it| (it.series, it.status, it.cash())).collect();
        all.sort();
        all
    };
    let cash = |dollars| Some(Usd::from_dollars(dollars));
    let pending = ExpiryStatus::ExpiredPending;
    // On what it is written on, and not on the index.
    assert_eq!(stands(), [(spy(550), pending, cash(0)), (spy(560), pending, cash(-500))]);
    let done = reconcile(&ledger, &shows(&[], Some(555)), at(16, 7, 0), on(), Some(5_600));
    assert_eq!((done.settled, done.faults), (1, 0));
    let (settled, assigned) = (ExpiryStatus::Settled, ExpiryStatus::Assigned);
    assert_eq!(stands(), [(spy(550), settled, cash(0)), (spy(560), assigned, cash(-500))]);
    let owned = run(ledger.structures(&ACCOUNT, SESSION)).unwrap();
    assert_eq!((owned[0].opening, owned[0].is_flat()), (entry.head.id, true));
    let told = run(ledger.user_messages(ACCOUNT.user, 10)).unwrap();
    let told: Vec<_> = told.iter().map(|it| (it.reason.as_str(), it.text.contains("100 shares"))).collect();
    assert_eq!(told, [("assigned", true)], "its owner hears of the shares");
}

#[test]
fn a_long_in_the_money_is_exercised_and_one_out_of_it_settles_at_nothing() {
    for (last, status, words) in [(545, ExpiryStatus::Exercised, 2), (575, ExpiryStatus::Settled, 0)] {
        let ledger = MemLedger::new();
        spread_held(&ledger);
        reconcile(&ledger, &shows(&[(560, -1), (550, 1)], Some(last)), at(16, 6, 0), on(), None);
        reconcile(&ledger, &shows(&[], Some(last)), at(16, 7, 0), on(), None);
        let rows = run(ledger.expiries(&ACCOUNT, SESSION)).unwrap();
        let long = rows.iter().find(|it| it.series == spy(550)).unwrap();
        assert_eq!(long.status, status, "SPY at {last}");
        assert_eq!(run(ledger.user_messages(ACCOUNT.user, 10)).unwrap().len(), words);
    }
}
