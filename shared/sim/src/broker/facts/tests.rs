//! Facts from transcripts written by hand.

use super::*;
use crate::broker::order::{LegSide, Lifetime, OrderType};
use domain::money::Price;
use domain::time::UtcNanos;
use jiff::civil::date;

const CALL: &str = "SPXW261120C05610000";
const HIGHER: &str = "SPXW261120C05620000";

struct Script(Vec<TranscriptLine>);

fn option(series: &str) -> Instrument {
    Instrument::Option(series.parse().unwrap())
}

impl Script {
    fn new() -> Self {
        let mut it = Self(Vec::new());
        it.line(TranscriptEvent::SessionOpened { date: date(2026, 11, 20), close: UtcNanos(1_000) });
        it
    }

    fn line(&mut self, event: TranscriptEvent) -> &mut Self {
        let seq = self.0.len() as u64 + 1;
        self.0.push(TranscriptLine { seq, at: UtcNanos(seq as i64), event });
        self
    }

    fn accept(&mut self, order: u64, tag: &str, side: LegSide, quantity: u32) -> &mut Self {
        self.line(TranscriptEvent::Accepted {
            account: "VA1".to_owned(),
            order,
            class: OrderClass::Option,
            kind: OrderType::Limit,
            duration: Lifetime::Day,
            price: Some(Price::from_cents(200)),
            stop: None,
            tag: Some(tag.to_owned()),
            foreign: false,
            legs: vec![AcceptedLeg { instrument: option(CALL), side, quantity }],
            parent: None,
        })
    }

    fn fill(&mut self, order: u64, legs: &[(&str, LegSide, u32, u32)], whole: bool) -> &mut Self {
        let leg = |&(series, side, quantity, cents): &(&str, LegSide, u32, u32)| FilledLeg {
            instrument: option(series),
            side,
            quantity,
            price: Price::from_cents(cents),
            fee: Usd::from_dollars(1).times(i64::from(quantity)),
        };
        let legs = legs.iter().map(leg).collect();
        self.line(TranscriptEvent::Filled { account: "VA1".to_owned(), order, legs, whole })
    }

    fn cancel(&mut self, order: u64) -> &mut Self {
        self.line(TranscriptEvent::Canceled { account: "VA1".to_owned(), order })
    }

    fn close(&mut self) -> &mut Self {
        self.line(TranscriptEvent::SessionClosed { date: date(2026, 11, 20) })
    }

    fn facts(&self) -> AccountFacts {
        Facts::from_transcript(&self.0).total
    }
}

fn tag(intent: &[u8], attempt: u16) -> String {
    let attempt = domain::ids::AttemptNo(attempt);
    OrderTag { intent: IntentId::of(&[intent]), attempt }.to_string()
}

use LegSide::{BuyToOpen, SellToClose, SellToOpen};

#[test]
fn a_round_trip_is_flat_and_its_gain_is_net_of_charges() {
    let mut script = Script::new();
    script.accept(1, &tag(b"in", 1), BuyToOpen, 2).fill(1, &[(CALL, BuyToOpen, 2, 200)], true);
    script.accept(2, &tag(b"out", 1), SellToClose, 2).fill(2, &[(CALL, SellToClose, 1, 300)], false);
    script.fill(2, &[(CALL, SellToClose, 1, 310)], true).close();
    let facts = script.facts();
    assert_eq!((facts.broker_orders, facts.fills, facts.duplicate_orders), (2, 3, 0));
    assert_eq!((facts.naked_shorts, facts.flat_at_close), (0, true));
    assert_eq!(facts.realized_pnl, Usd::from_dollars(210 - 4));
    assert_eq!(facts.fees, Usd::from_dollars(4));
}

#[test]
fn what_is_held_at_the_close_is_not_flat_and_settles_into_the_gain() {
    let mut script = Script::new();
    script.accept(1, &tag(b"in", 1), BuyToOpen, 1).fill(1, &[(CALL, BuyToOpen, 1, 200)], true).close();
    script.line(TranscriptEvent::Settled {
        account: "VA1".to_owned(),
        series: CALL.parse().unwrap(),
        quantity: 1,
        value: Usd::from_dollars(5),
        cash: Usd::from_dollars(500),
    });
    let facts = script.facts();
    assert!(!facts.flat_at_close);
    assert_eq!(facts.realized_pnl, Usd::from_dollars(500 - 200 - 1));
}

#[test]
fn a_session_that_never_closed_was_not_flat_at_its_close() {
    assert!(!Script::new().facts().flat_at_close);
    assert!(Script::new().close().facts().flat_at_close);
}

#[test]
fn the_same_tag_twice_is_a_duplicate_even_after_the_first_ended() {
    let mut script = Script::new();
    script.accept(1, &tag(b"in", 1), BuyToOpen, 1).cancel(1).accept(2, &tag(b"in", 1), BuyToOpen, 1);
    assert_eq!(script.facts().duplicate_orders, 1);
}

#[test]
fn a_foreign_program_may_reuse_its_tag() {
    let mut script = Script::new();
    script.accept(1, "robot", BuyToOpen, 1).accept(2, "robot", BuyToOpen, 1);
    assert_eq!(script.facts().duplicate_orders, 0);
}

#[test]
fn two_working_orders_of_one_intent_are_a_duplicate_and_one_after_the_other_is_not() {
    let mut beside = Script::new();
    beside.accept(1, &tag(b"out", 1), SellToClose, 1).accept(2, &tag(b"out", 2), SellToClose, 1);
    assert_eq!(beside.facts().duplicate_orders, 1);
    let mut after = Script::new();
    after.accept(1, &tag(b"out", 1), SellToClose, 1).cancel(1);
    after.accept(2, &tag(b"out", 2), SellToClose, 1);
    assert_eq!(after.facts().duplicate_orders, 0);
}

#[test]
fn an_opening_that_executes_beyond_its_largest_order_is_a_duplicate() {
    let mut script = Script::new();
    script.accept(1, &tag(b"in", 1), BuyToOpen, 2).fill(1, &[(CALL, BuyToOpen, 1, 200)], false).cancel(1);
    script.accept(2, &tag(b"in", 2), BuyToOpen, 2).fill(2, &[(CALL, BuyToOpen, 1, 200)], false);
    assert_eq!(script.facts().duplicate_orders, 0);
    script.fill(2, &[(CALL, BuyToOpen, 1, 200)], true);
    assert_eq!(script.facts().duplicate_orders, 1);
}

#[test]
fn a_short_leg_is_naked_unless_a_long_one_stands_beside_it() {
    let mut naked = Script::new();
    naked.accept(1, "x", SellToOpen, 1).fill(1, &[(CALL, SellToOpen, 1, 200)], true);
    assert_eq!(naked.facts().naked_shorts, 1);
    let mut spread = Script::new();
    let legs = [(CALL, SellToOpen, 1, 200), (HIGHER, BuyToOpen, 1, 100)];
    spread.accept(1, "x", SellToOpen, 1).fill(1, &legs, true);
    assert_eq!(spread.facts().naked_shorts, 0);
    spread.accept(2, "y", SellToClose, 1).fill(2, &[(HIGHER, SellToClose, 1, 100)], true);
    assert_eq!(spread.facts().naked_shorts, 1, "closing the long leg alone uncovers the short one");
}
