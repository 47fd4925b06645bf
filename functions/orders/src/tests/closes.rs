//! Targets and stops: what they wait for, and what they sell.

use super::*;

#[test]
fn a_close_that_has_waited_for_a_minute_looks_every_five_seconds() {
    let bench = Bench::new();
    bench.line.next(Method::Post, &[Fault::RequestLost]);
    let entry = bench.enter(2);
    bench.pass(60);
    let stop = bench.close(&entry, 3, Action::Stop, CloseAmount::All);
    let looks = |seconds| {
        let before = bench.view(stop).version;
        bench.pass(seconds);
        bench.view(stop).version - before
    };
    let (at_first, later) = (looks(12), looks(60) + looks(60));
    assert!((11..=13).contains(&at_first), "{at_first} looks in the first twelve seconds");
    assert!((24..=34).contains(&later), "{later} looks in two minutes");
    assert_eq!(bench.view(stop).state, IntentState::Ready);
}

#[test]
fn a_close_whose_request_was_lost_goes_on_and_one_whose_answer_was_lost_sells_once() {
    for (fault, accepted, attempts) in
        [(Fault::RequestLost, 1, 2), (Fault::AnswerLost, 1, 1), (Fault::NotSent, 1, 2)]
    {
        let bench = Bench::new();
        let entry = bench.filled_entry(3);
        bench.accepted();
        bench.line.next(Method::Post, &[fault]);
        let stop = bench.close(&entry, 3, Action::Stop, CloseAmount::All);
        bench.pass(60);
        assert_eq!((bench.stands(stop), bench.held()), (done("", 3), 0), "{fault:?}: {:?}", bench.failures);
        assert_eq!((bench.accepted(), bench.view(stop).attempts.len()), (accepted, attempts), "{fault:?}");
    }
}

#[test]
fn a_target_closes_its_share_and_the_stop_the_rest() {
    let bench = Bench::new();
    let entry = bench.filled_entry(3);
    let t1 = bench.close(&entry, 3, Action::TakeProfit1, CloseAmount::FractionBp(5_000));
    bench.pass(30);
    assert_eq!((bench.stands(t1), bench.held()), (done("", 2), 1));
    let stop = bench.close(&entry, 4, Action::Stop, CloseAmount::All);
    bench.pass(30);
    assert_eq!((bench.stands(stop), bench.held()), (done("", 1), 0));
}

#[test]
fn a_stop_ends_the_entry_that_still_works_and_closes_what_filled() {
    let bench = Bench::new();
    bench.quote(510, 520, 1);
    let entry = bench.enter(3);
    bench.pass(8);
    assert_eq!(bench.view(entry.head.id).state, IntentState::Working);
    let stop = bench.close(&entry, 3, Action::Stop, CloseAmount::All);
    bench.quote(500, 530, 50);
    bench.pass(30);
    let filled = bench.view(entry.head.id).filled;
    assert_eq!((filled, bench.view(entry.head.id).state), (1, IntentState::Done));
    assert_eq!((bench.stands(stop), bench.held()), (done("", 1), 0), "{:?}", bench.failures);
}

#[test]
fn a_stop_of_an_entry_that_bought_nothing_closes_nothing() {
    let bench = Bench::new();
    let entry = bench.enter(2);
    let stop = bench.close(&entry, 3, Action::Stop, CloseAmount::All);
    bench.quote(300, 900, 5);
    bench.pass(60);
    assert_eq!((bench.stands(stop), bench.held()), (done("nothing_held", 0), 0));
    assert!(bench.view(entry.head.id).state.is_final());
}
