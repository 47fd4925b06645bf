//! Closes of an emergency, with what rests at the broker and whatever becomes of the one order at the market.

use super::*;
use domain::kill::Reading;
use domain::ports::Members as _;

impl Bench {
    /// The VIX from 20 to 22.4 in 50 seconds and the index 0.43 % down, read until five seconds ago.
    fn panics(&self) {
        let ago = |seconds| self.clock.now().minus(Duration::from_secs(seconds));
        for (seconds, vix, index) in [(55, 20.0, 5_600), (15, 22.1, 5_580), (5, 22.4, 5_576)] {
            let index = Some(Points::whole(index));
            let reading = Reading { at: ago(seconds), vix: Some(vix), index, ..Reading::default() };
            block_on(self.ledger.record_reading(&reading)).unwrap().unwrap();
        }
    }

    /// How the orders were priced that the broker received since the last look, but for what rests there.
    fn kinds(&self) -> Vec<OrderType> {
        let lines = self.sandbox.borrow_mut().take_transcript();
        let kind = |event| if let TranscriptEvent::Accepted { kind, .. } = event { Some(kind) } else { None };
        lines.into_iter().filter_map(|it| kind(it.event)).filter(|it| *it != OrderType::StopLimit).collect()
    }

    fn emergency(&self, entry: &OpeningIntent) -> IntentId {
        self.kinds();
        self.close(entry, 2, Action::Emergency, CloseAmount::All)
    }
}

#[test]
fn in_an_emergency_a_single_long_is_sold_at_the_market_once_what_rests_was_cancelled() {
    let bench = Bench::new();
    let entry = bench.filled_entry(3);
    bench.panics();
    let close = bench.emergency(&entry);
    bench.pass(20);
    assert_eq!((bench.kinds(), bench.held()), (vec![OrderType::Market], 0), "{:?}", bench.failures);
    assert_eq!(bench.stands(close), done("", 3));
    let views = block_on(bench.ledger.intents_of(&ACCOUNT, sample::setup_id(1))).unwrap().unwrap();
    assert!(views.iter().all(|it| it.state.is_final()), "its protections ended");
}

#[test]
fn without_readings_or_once_it_is_over_an_emergency_is_closed_like_a_stop() {
    for is_over in [false, true] {
        let bench = Bench::new();
        let entry = bench.filled_entry(3);
        if is_over {
            bench.panics();
            bench.pass(60);
        }
        let close = bench.emergency(&entry);
        bench.pass(30);
        assert_eq!((bench.kinds(), bench.stands(close)), (vec![OrderType::Limit], done("", 3)));
        assert_eq!(bench.view(close).attempts[0].price, Price::from_cents(510), "the bid at once");
    }
}

#[test]
fn an_order_at_the_market_whose_answer_was_lost_is_asked_for_and_sells_once() {
    for fault in [Fault::AnswerLost, Fault::ErrorAfterEffect, Fault::HalfAnswer] {
        let bench = Bench::new();
        let entry = bench.filled_entry(3);
        bench.panics();
        let close = bench.emergency(&entry);
        bench.line.next(Method::Post, &[fault]);
        bench.pass(60);
        assert_eq!((bench.kinds(), bench.held()), (vec![OrderType::Market], 0), "{fault:?}");
        assert_eq!(bench.stands(close), done("", 3), "{fault:?}");
    }
}

#[test]
fn an_emergency_whose_order_never_left_goes_on_by_what_the_readings_show_then() {
    for fault in [Fault::NotSent, Fault::RequestLost] {
        let bench = Bench::new();
        let entry = bench.filled_entry(3);
        bench.panics();
        let close = bench.emergency(&entry);
        bench.line.next(Method::Post, &[fault]);
        bench.pass(60);
        assert_eq!((bench.kinds(), bench.stands(close)), (vec![OrderType::Market], done("", 3)), "{fault:?}");
    }
}

#[test]
fn an_order_at_the_market_that_nobody_takes_makes_way_for_an_offer() {
    let bench = Bench::new();
    let entry = bench.filled_entry(3);
    bench.panics();
    let close = bench.emergency(&entry);
    bench.quote(0, 520, 50);
    bench.pass(90);
    assert_eq!(bench.held(), 3);
    bench.quote(480, 500, 50);
    bench.pass(30);
    assert_eq!((bench.held(), bench.stands(close)), (0, done("", 3)), "{:?}", bench.failures);
    let kinds = bench.kinds();
    assert_eq!(kinds.first(), Some(&OrderType::Market));
    assert!(kinds.contains(&OrderType::Limit), "{kinds:?}");
}

#[test]
fn a_later_stop_waits_for_the_emergency_and_sells_nothing_twice() {
    let bench = Bench::new();
    let entry = bench.filled_entry(3);
    bench.panics();
    bench.quote(0, 520, 50);
    let close = bench.emergency(&entry);
    bench.pass(3);
    let stop = bench.close(&entry, 3, Action::Stop, CloseAmount::All);
    bench.pass(5);
    bench.quote(500, 520, 50);
    bench.pass(60);
    assert_eq!(bench.held(), 0, "{:?}", bench.failures);
    assert_eq!(bench.stands(close).2 + bench.stands(stop).2, 3);
    assert!(bench.view(close).state.is_final() && bench.view(stop).state.is_final());
}
