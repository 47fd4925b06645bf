//! Structures, from the recorded decision to a flat account: real sandbox, real client, books in memory.

use domain::combo::{ComboEntry, LegHeld};
use domain::ports::Recorded;
use domain::symbol::OccSymbol;
use sim::broker::faults::FaultScript;
use sim::fixtures::combos as spread;

mod random;

use super::*;

/// Bid and ask of the short and of the wing, in cents; zero for none.
type Quotes = [(u32, u32); 2];

/// Naturally 1.55 received, at best 1.70.
const WIDE: Quotes = [(210, 220), (50, 55)];

impl Bench {
    fn legs(&self, quotes: Quotes) {
        for (leg, (bid, ask)) in spread::legs(1).iter().zip(quotes) {
            let side = |cents| (cents > 0).then_some(Price::from_cents(cents));
            let (bid, ask) = (side(bid), side(ask));
            let quote = OptionQuote { ts: self.clock.now(), bid, ask, bid_size: 20, ask_size: 20 };
            self.sandbox.borrow_mut().on_market(&MarketEvent::OptionQuote(leg.series, quote));
        }
    }

    /// Seconds in which the legs' quotes keep coming.
    fn spread_lives(&self, seconds: u64, quotes: Quotes) {
        for _ in 0..seconds {
            self.legs(quotes);
            self.pass(1);
        }
    }

    fn decide(&self, units: u32) -> ComboEntry {
        let mut entry = spread::entry(&ACCOUNT, 1, units).unwrap();
        entry.head.decided_at = self.clock.now();
        let new = sample::ready(OrderIntent::OpeningCombo(entry.clone()));
        assert_eq!(block_on(self.ledger.record_intent(&new)).unwrap().unwrap(), Recorded::New);
        entry
    }

    fn exit(&self, entry: &ComboEntry, sequence: u32, action: Action) -> IntentId {
        let mut exit = spread::exit(entry, sequence, action);
        exit.head.decided_at = self.clock.now();
        let id = exit.head.id;
        let new = sample::ready(OrderIntent::ClosingCombo(exit));
        assert_eq!(block_on(self.ledger.record_intent(&new)).unwrap().unwrap(), Recorded::New);
        id
    }

    /// Contracts of the short and of the wing at the broker.
    fn at_broker(&self) -> (i64, i64) {
        let sandbox = self.sandbox.borrow();
        let account = sandbox.account("VA00000001").unwrap();
        let [short, wing] = [0, 1].map(|n| account.held(&spread::legs(1)[n].series));
        (short, wing)
    }

    /// The same in our books, without sign.
    fn in_books(&self) -> Vec<u32> {
        let all = block_on(self.ledger.structures(&ACCOUNT, SESSION)).unwrap().unwrap();
        all.iter().flat_map(|it| it.held()).map(|it: LegHeld| it.contracts).collect()
    }

    fn opened(&self, units: u32) -> ComboEntry {
        let entry = self.decide(units);
        self.spread_lives(40, WIDE);
        assert_eq!(self.stands(entry.head.id).0, IntentState::Done, "{:?}", self.failures);
        let held = i64::from(units);
        assert_eq!((self.at_broker(), self.in_books()), ((-held, held), vec![units; 2]));
        self.accepted();
        entry
    }

    fn faults(&self, script: &str) {
        self.sandbox.borrow_mut().set_faults(FaultScript::parse(script).unwrap());
    }

    /// The exit that was written for an imbalance, where there is one.
    fn balance(&self, entry: &ComboEntry) -> Option<IntentView> {
        let ids = self.ledger.intent_ids();
        let mut views = ids.into_iter().map(|it| self.view(it));
        views.find(|it| {
            it.intent.head().action == Action::Balance && it.intent.opening() == Some(entry.head.id)
        })
    }

    fn has_alert(&self, start: &str) -> bool {
        self.ledger.alerted().iter().any(|it| it.starts_with(start))
    }

    /// Series, contracts and price of the orders an intent sent.
    fn sent(&self, id: IntentId) -> Vec<(Vec<OccSymbol>, u32, i64)> {
        let attempts = self.view(id).attempts;
        let combos = attempts.into_iter().map(|it| (it.quantity, it.combo.unwrap()));
        combos
            .map(|(units, it)| (it.legs.iter().map(|leg| leg.series).collect(), units, it.net.cents()))
            .collect()
    }
}

fn series_of_spread() -> [OccSymbol; 2] {
    [0, 1].map(|n| spread::legs(1)[n].series)
}

#[test]
fn an_entry_into_a_structure_walks_from_the_net_mid_and_is_booked_leg_by_leg() {
    let bench = Bench::new();
    bench.legs(WIDE);
    let entry = bench.decide(2);
    bench.pass(0);
    // Mid 1.625, rounded to the passive side.
    assert_eq!(bench.sent(entry.head.id), [(series_of_spread().to_vec(), 2, -165)]);
    bench.spread_lives(9, WIDE);
    assert_eq!(bench.sent(entry.head.id)[0].2, -165);
    bench.spread_lives(2, WIDE);
    assert_eq!(bench.sent(entry.head.id)[0].2, -160);
    bench.spread_lives(30, WIDE);
    let view = bench.view(entry.head.id);
    let fills: Vec<_> = view.fills.iter().map(|it| (it.side, it.to, it.price)).collect();
    let cents = |it| Some(Usd::from_cents(it));
    use domain::money::Side;
    assert_eq!(fills, [(Side::Sell, 2, cents(210)), (Side::Buy, 2, cents(55))], "{:?}", bench.failures);
    assert_eq!((view.state, bench.at_broker()), (IntentState::Done, (-2, 2)));
    assert_eq!((bench.line.posts(), bench.accepted(), view.attempts.len()), (1, 1, 1));
}

#[test]
fn an_entry_into_a_structure_ends_after_two_minutes_at_its_worst_net() {
    let bench = Bench::new();
    // Naturally 1.40: under the worst net of 1.50.
    let far: Quotes = [(200, 220), (50, 60)];
    bench.legs(far);
    let entry = bench.decide(2);
    bench.spread_lives(119, far);
    assert_eq!(bench.sent(entry.head.id)[0].2, -150);
    bench.spread_lives(10, far);
    assert_eq!((bench.stands(entry.head.id), bench.at_broker()), (done("timed_out", 0), (0, 0)));
}

#[test]
fn a_request_for_a_structure_is_sent_once_whatever_becomes_of_it() {
    for (fault, accepted, filled) in [
        (Fault::AnswerLost, 1, 4),
        (Fault::ErrorAfterEffect, 1, 4),
        (Fault::RequestLost, 0, 0),
        (Fault::NotSent, 0, 0),
    ] {
        let bench = Bench::new();
        bench.line.next(Method::Post, &[fault]);
        bench.legs(WIDE);
        let entry = bench.decide(2);
        bench.spread_lives(60, WIDE);
        let view = bench.view(entry.head.id);
        assert_eq!((bench.accepted(), view.filled), (accepted, filled), "{fault:?}: {:?}", bench.failures);
        assert_eq!(bench.line.posts(), 1, "{fault:?}");
    }
}

#[test]
fn whole_spreads_of_a_partial_fill_are_kept() {
    let bench = Bench::new();
    bench.legs(WIDE);
    let entry = bench.decide(2);
    // One unit is offered at the entry's price, then the market runs away.
    bench.spread_lives(12, WIDE);
    for (leg, (bid, ask)) in spread::legs(1).iter().zip([(215, 220), (50, 55)]) {
        let side = |it| Some(Price::from_cents(it));
        let quote =
            OptionQuote { ts: bench.clock.now(), bid: side(bid), ask: side(ask), bid_size: 1, ask_size: 1 };
        bench.sandbox.borrow_mut().on_market(&MarketEvent::OptionQuote(leg.series, quote));
    }
    bench.pass(1);
    let away: Quotes = [(100, 140), (50, 60)];
    bench.spread_lives(120, away);
    assert_eq!((bench.stands(entry.head.id), bench.at_broker()), (done("", 2), (-1, 1)));
    assert_eq!((bench.in_books(), bench.balance(&entry).is_none()), (vec![1, 1], true));
}

#[test]
fn a_leg_imbalance_is_closed_at_once_with_an_alert_and_nothing_else_is() {
    let bench = Bench::new();
    bench.faults("{\"rules\": [{\"fault\": \"partial_legs\"}]}");
    bench.legs(WIDE);
    let entry = bench.decide(2);
    bench.spread_lives(40, WIDE);
    // The short came alone: its order was cancelled, and it was bought back by itself.
    let view = bench.view(entry.head.id);
    assert_eq!((view.state, view.filled), (IntentState::Done, 2), "{:?}", bench.failures);
    let balance = bench.balance(&entry).expect("an exit of the excess");
    assert_eq!(
        (balance.state, balance.filled, balance.intent.head().action),
        (IntentState::Done, 2, Action::Balance)
    );
    assert_eq!(bench.sent(balance.intent.head().id)[0], (vec![series_of_spread()[0]], 2, 220));
    assert_eq!((bench.at_broker(), bench.in_books()), ((0, 0), vec![0, 0]));
    assert!(bench.has_alert("leg_imbalance:"));
    assert!(!bench.has_alert("partial_fill_not_resolved:"));
}

#[test]
fn an_imbalance_that_stands_for_a_minute_is_critical() {
    let bench = Bench::new();
    bench.faults("{\"rules\": [{\"fault\": \"partial_legs\"}]}");
    bench.legs(WIDE);
    bench.decide(2);
    bench.spread_lives(25, WIDE);
    // Nobody offers the short any more.
    let gone: Quotes = [(210, 0), (50, 55)];
    bench.legs(gone);
    bench.spread_lives(100, gone);
    assert!(bench.at_broker().0 == 0 || bench.has_alert("partial_fill_not_resolved:"));
    let bench = Bench::new();
    bench.faults("{\"rules\": [{\"fault\": \"partial_legs\"}]}");
    bench.legs(WIDE);
    let entry = bench.decide(2);
    while bench.at_broker() == (0, 0) {
        bench.spread_lives(1, WIDE);
    }
    bench.legs(gone);
    bench.spread_lives(70, gone);
    assert_eq!(bench.at_broker(), (-2, 0));
    assert!(bench.has_alert(&format!("partial_fill_not_resolved:{}", entry.head.id)));
    // As soon as it is offered again it is bought back.
    bench.spread_lives(10, WIDE);
    assert_eq!((bench.at_broker(), bench.in_books()), ((0, 0), vec![0, 0]));
}

#[test]
fn a_structure_is_closed_whole_as_one_combination() {
    let bench = Bench::new();
    let entry = bench.opened(2);
    let stop = bench.exit(&entry, 1, Action::Stop);
    bench.spread_lives(10, WIDE);
    // The natural price at once: 2.20 paid, 0.50 received.
    assert_eq!(bench.sent(stop), [(series_of_spread().to_vec(), 2, 170)]);
    assert_eq!((bench.stands(stop), bench.at_broker()), (done("", 4), (0, 0)), "{:?}", bench.failures);
    assert_eq!(bench.accepted(), 1);
}

#[test]
fn a_patient_close_starts_at_the_net_mid() {
    let bench = Bench::new();
    let entry = bench.opened(2);
    let target = bench.exit(&entry, 1, Action::TakeProfit1);
    bench.spread_lives(5, WIDE);
    assert_eq!(bench.sent(target)[0].2, 160);
    bench.spread_lives(30, WIDE);
    assert_eq!((bench.stands(target), bench.at_broker()), (done("", 4), (0, 0)));
}

#[test]
fn each_leg_of_a_structure_is_measured_against_its_own_market() {
    let bench = Bench::new();
    let entry = bench.opened(2);
    let fills = engine::fidelity::of(&bench.view(entry.head.id), None);
    assert!(fills.len() >= 2, "{fills:?}");
    for fill in &fills {
        let (mid, price) = (fill.arrival_mid.unwrap(), fill.price.unwrap());
        let worse = if fill.side == domain::money::Side::Buy { price - mid } else { mid - price };
        assert_eq!(fill.slippage, Some(worse.times(100 * i64::from(fill.contracts))), "{fill:?}");
        assert!(fill.slippage_ticks.is_some() && fill.arrival_spread_ticks.is_some());
    }
}

#[test]
fn an_emergency_pays_the_natural_price_and_two_ticks_at_a_limit() {
    let bench = Bench::new();
    let entry = bench.opened(2);
    let emergency = bench.exit(&entry, 1, Action::Emergency);
    bench.legs(WIDE);
    bench.pass(0);
    assert_eq!(bench.sent(emergency), [(series_of_spread().to_vec(), 2, 180)]);
    bench.spread_lives(5, WIDE);
    assert_eq!((bench.stands(emergency), bench.at_broker()), (done("", 4), (0, 0)));
}

#[test]
fn a_wing_without_a_bid_stays_until_its_short_is_bought_back() {
    let bench = Bench::new();
    let entry = bench.opened(2);
    let stop = bench.exit(&entry, 1, Action::Stop);
    let worthless: Quotes = [(10, 20), (0, 5)];
    bench.spread_lives(6, worthless);
    let sent = bench.sent(stop);
    assert_eq!(sent[0], (vec![series_of_spread()[0]], 2, 20), "{sent:?}");
    assert_eq!(bench.at_broker(), (0, 2));
    // Then the wing is offered by itself, at a tick.
    assert_eq!(bench.sent(stop)[1], (vec![series_of_spread()[1]], 2, -5));
}

#[test]
fn whole_units_whose_wing_loses_its_bid_are_closed_short_first() {
    let bench = Bench::new();
    let entry = bench.opened(2);
    let target = bench.exit(&entry, 1, Action::TakeProfit1);
    bench.spread_lives(3, WIDE);
    assert_eq!(bench.sent(target)[0].0.len(), 2, "the units are offered whole");
    bench.spread_lives(12, [(300, 320), (0, 5)]);
    let sent = bench.sent(target);
    assert_eq!(bench.at_broker(), (0, 2), "{sent:?}");
    let lone: Vec<_> = sent.iter().filter(|it| it.0.len() == 1).map(|it| it.0[0]).collect();
    assert_eq!(lone, series_of_spread(), "{sent:?}");
}

#[test]
fn a_short_bought_back_before_its_wing_is_no_imbalance_while_its_exit_works() {
    let bench = Bench::new();
    let entry = bench.opened(2);
    let stop = bench.exit(&entry, 1, Action::Stop);
    let worthless: Quotes = [(10, 20), (0, 5)];
    bench.spread_lives(6, worthless);
    assert_eq!(bench.at_broker(), (0, 2));
    let order = bench.view(stop).attempts[0].broker_order.unwrap();
    block_on(bench.orders().handle(&Message::BrokerOrder { account: ACCOUNT, order })).unwrap().unwrap();
    assert!(bench.balance(&entry).is_none() && !bench.has_alert("leg_imbalance:"));
}

#[test]
fn before_any_close_the_brokers_positions_are_read_and_what_it_confirms_is_closed() {
    let bench = Bench::new();
    let entry = bench.opened(2);
    // One short is bought back by hand: the broker shows one short, two long.
    let by_hand = ForeignOrder {
        account: "VA00000001".to_owned(),
        series: series_of_spread()[0],
        side: LegSide::BuyToClose,
        quantity: 1,
        price: None,
        tag: None,
    };
    bench.sandbox.borrow_mut().place_foreign(bench.clock.now(), by_hand).unwrap();
    bench.spread_lives(2, WIDE);
    assert_eq!(bench.at_broker(), (-1, 2));
    bench.accepted();
    let stop = bench.exit(&entry, 1, Action::Stop);
    bench.spread_lives(60, WIDE);
    let sent = bench.sent(stop);
    // The whole structure first, then the wing: as soon as the broker was asked often enough about its short.
    assert_eq!(sent[0].0, series_of_spread().to_vec(), "{sent:?}");
    assert_eq!((sent[0].1, sent[1].0.clone(), sent[1].1), (1, vec![series_of_spread()[1]], 1), "{sent:?}");
    assert_eq!(bench.at_broker(), (0, 0));
    assert!(bench.has_alert("precheck_close:"));
}

#[test]
fn a_stop_ends_the_entry_that_still_works_and_closes_what_it_opened() {
    let bench = Bench::new();
    let far: Quotes = [(200, 220), (50, 60)];
    bench.legs(far);
    let entry = bench.decide(2);
    bench.spread_lives(5, far);
    let stop = bench.exit(&entry, 1, Action::Stop);
    bench.spread_lives(10, far);
    assert_eq!(bench.stands(entry.head.id), done("superseded", 0));
    assert_eq!((bench.stands(stop), bench.at_broker()), (done("nothing_held", 0), (0, 0)));
}

#[test]
fn the_second_pass_asks_every_gate_and_the_collision_of_legs() {
    let bench = Bench::new();
    let first = bench.opened(1);
    // Another decision wants to be short the wing we are long.
    let mut second = spread::entry(&ACCOUNT, 1, 1).unwrap();
    let legs: Vec<_> = second
        .terms
        .legs()
        .iter()
        .map(|it| domain::ticket::ComboLeg { series: it.series, ..*it })
        .zip([domain::ticket::LegSide::BuyToOpen, domain::ticket::LegSide::SellToOpen])
        .map(|(leg, side)| domain::ticket::ComboLeg { side, ..leg })
        .collect();
    let worst = domain::ticket::Net::debit(Price::from_cents(200));
    second.terms = domain::ticket::ComboTerms::check(legs, worst).unwrap();
    let origin = domain::intent::Origin::Decision(spread::decision(2));
    second.head.origin = origin;
    second.head.id = domain::intent::intent_id(origin, 0, ACCOUNT.account, Action::Enter, None);
    second.head.decided_at = bench.clock.now();
    let id = second.head.id;
    block_on(bench.ledger.record_intent(&sample::ready(OrderIntent::OpeningCombo(second)))).unwrap().unwrap();
    bench.spread_lives(3, WIDE);
    let (state, reason, _) = bench.stands(id);
    assert_eq!((state, reason.as_str()), (IntentState::Blocked, "series_owned"));
    let gates = bench.ledger.gates(id);
    let asked =
        gates.iter().filter(|it| it.gate == "leg_collision").map(|it| it.reason.as_str()).collect::<Vec<_>>();
    assert_eq!(asked, ["", "leg_collision"], "the sample's pass, then the second one");
    assert!(bench.view(first.head.id).state.is_final());
}
