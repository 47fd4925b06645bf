//! Structures before their last trade.

use domain::ids::{AttemptNo, OrderTag};
use domain::ports::NotedCombo;
use sim::fixtures::combos as spread;

use super::*;

impl Bench {
    /// Bid and ask of the short and of its wing, in cents; zero for none.
    fn legs(&self, quotes: [(u32, u32); 2]) {
        for (leg, (bid, ask)) in spread::legs(1).iter().zip(quotes) {
            let side = |cents| (cents > 0).then_some(Price::from_cents(cents));
            let (ts, bid, ask) = (self.clock.now(), side(bid), side(ask));
            let quote = OptionQuote { ts, bid, ask, bid_size: 50, ask_size: 50 };
            self.sandbox.borrow_mut().on_market(&MarketEvent::OptionQuote(leg.series, quote));
        }
    }

    /// A put spread of two units, in the books and at the broker.
    fn spread_held(&self) -> domain::combo::ComboEntry {
        self.legs([(200, 220), (50, 60)]);
        for (n, side) in [(1, LegSide::BuyToOpen), (0, LegSide::SellToOpen)] {
            let order = ForeignOrder {
                account: NUMBER.to_owned(),
                series: spread::legs(1)[n].series,
                side,
                quantity: 2,
                price: None,
                tag: None,
            };
            self.sandbox.borrow_mut().place_foreign(self.clock.now(), order).unwrap();
            self.advance(self.clock.now().plus(Duration::from_secs(5)));
        }
        let entry = spread::entry(&ACCOUNT, 1, 2).unwrap();
        block_on(async {
            let now = self.clock.now();
            spread::open(&self.ledger, &entry, 1, now).await.unwrap();
            let rows = self.ledger.due_outbox(UtcNanos(i64::MAX), 100).await.unwrap();
            self.ledger.mark_sent(&rows.iter().map(|it| it.id).collect::<Vec<_>>(), now).await.unwrap();
        })
        .unwrap();
        assert_eq!(self.spread_at_broker(), (-2, 2));
        entry
    }

    fn spread_at_broker(&self) -> (i64, i64) {
        let sandbox = self.sandbox.borrow();
        let account = sandbox.account(NUMBER).unwrap();
        (account.held(&spread::legs(1)[0].series), account.held(&spread::legs(1)[1].series))
    }

    fn noted(&self) {
        let owned = block_on(self.ledger.structures(&ACCOUNT, SESSION)).unwrap().unwrap();
        let structures = owned.iter().map(NotedCombo::of).collect();
        let note =
            OwnedNote { account: ACCOUNT, structures, owned: vec![], flatten: true, at: self.clock.now() };
        block_on(self.notes.put(&note)).unwrap().unwrap();
    }

    /// Legs of the orders the broker accepted from us, in order.
    fn accepted(&self) -> Vec<usize> {
        let lines = self.sandbox.borrow_mut().take_transcript();
        let legs = lines.into_iter().filter_map(|it| {
            let TranscriptEvent::Accepted { tag: Some(_), legs, .. } = it.event else { return None };
            Some(legs.len())
        });
        legs.collect()
    }
}

#[test]
fn a_structure_that_stops_trading_is_handed_over_once_and_watched_until_it_is_flat() {
    let bench = Bench::new();
    let entry = bench.spread_held();
    let told = bench.run(at(15, 50, 0));
    let exits: Vec<_> = block_on(bench.ledger.open_intents(&ACCOUNT)).unwrap().unwrap();
    let exit = match exits.as_slice() {
        [only] => only,
        other => panic!("{other:?}"),
    };
    let OrderIntent::ClosingCombo(closing) = &exit.intent else { panic!("{exit:?}") };
    assert_eq!((closing.opening, exit.state), (entry.head.id, IntentState::Ready));
    // The order router was told once; the wing was not sold as a single long.
    let steps = told.iter().filter(|it| matches!(it.1, Message::Step { .. })).count();
    assert_eq!((steps, bench.accepted(), bench.spread_at_broker()), (1, vec![], (-2, 2)));
}

#[test]
fn with_the_database_down_a_structure_is_closed_whole_as_one_combination() {
    let bench = Bench::new();
    bench.spread_held();
    bench.noted();
    bench.ledger.set_down(true);
    bench.accepted();
    bench.run(at(15, 58, 0));
    assert_eq!((bench.spread_at_broker(), bench.accepted()), ((0, 0), vec![2]));
}

#[test]
fn a_long_wing_without_a_bid_is_never_sold_before_its_short_is_bought_back() {
    let bench = Bench::new();
    bench.spread_held();
    bench.noted();
    bench.ledger.set_down(true);
    bench.accepted();
    bench.legs([(5, 10), (0, 5)]);
    bench.run(at(15, 58, 0));
    let accepted = bench.accepted();
    assert_eq!(bench.spread_at_broker(), (0, 2), "{accepted:?}");
    assert!(accepted.iter().all(|it| *it == 1), "{accepted:?}");
}

#[test]
fn foreign_longs_are_closed_for_who_asked_and_the_wings_of_structures_are_not_among_them() {
    let mut bench = Bench::new();
    bench.switches.include_foreign = true;
    bench.spread_held();
    bench.accepted();
    bench.run(at(15, 52, 0));
    assert_eq!((bench.spread_at_broker(), bench.accepted()), ((-2, 2), vec![]));
}

#[test]
fn with_database_and_notes_gone_a_long_of_ours_that_may_be_a_wing_stays_until_somebody_knows() {
    for (has_short, left) in [(false, 0), (true, 2)] {
        let bench = Bench::new();
        bench.legs([(200, 220), (50, 60)]);
        let tag = OrderTag { intent: sample::opening(&ACCOUNT, 1, 2).head.id, attempt: AttemptNo(1) };
        let long = (1, LegSide::BuyToOpen, Some(tag.to_string()));
        let short = has_short.then_some((0, LegSide::SellToOpen, None));
        for (leg, side, tag) in [Some(long), short].into_iter().flatten() {
            let series = spread::legs(1)[leg].series;
            let order =
                ForeignOrder { account: NUMBER.to_owned(), series, side, quantity: 2, price: None, tag };
            bench.sandbox.borrow_mut().place_foreign(bench.clock.now(), order).unwrap();
            bench.advance(bench.clock.now().plus(Duration::from_secs(5)));
        }
        bench.ledger.set_down(true);
        bench.run(at(15, 58, 0));
        assert_eq!(bench.spread_at_broker(), (if has_short { -2 } else { 0 }, left));
    }
}
