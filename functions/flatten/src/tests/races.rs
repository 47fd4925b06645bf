//! Two passes at once, one with the books and one without.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::*;

const PASS: Message = Message::Flatten { account: ACCOUNT, session: SESSION, at_once: false };

/// A future polled once.
fn polled<F: Future<Output = Result<(), HandleError>>>(pass: Pin<&mut F>) -> Poll<Result<(), HandleError>> {
    pass.poll(&mut Context::from_waker(Waker::noop()))
}

/// Two of ours and three opened by hand beside them, at 15:46: a second close would sell what is not ours.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.entered(2);
    bench.bought_by_hand(3);
    bench.note(2);
    bench.tags();
    bench.advance(at(15, 46, 0));
    bench
}

impl Bench {
    /// One whole pass, with the books or without.
    fn pass(&self, with_books: bool) {
        self.ledger.set_down(!with_books);
        block_on(self.flatten().handle(&PASS)).unwrap().unwrap();
    }

    /// A pass that stands still where its notes say, while `meanwhile` happens.
    fn stalled(&self, with_books: bool, meanwhile: impl Fn()) {
        self.ledger.set_down(!with_books);
        let flatten = self.flatten();
        let mut pass = pin!(flatten.handle(&PASS));
        assert!(polled(pass.as_mut()).is_pending(), "it did not come to its claim");
        meanwhile();
        self.ledger.set_down(!with_books);
        assert!(polled(pass).is_ready());
    }
}

#[test]
fn of_two_passes_at_one_instant_with_and_without_the_books_one_sends() {
    for (with_books, before) in [(false, true), (false, false), (true, true), (true, false)] {
        let bench = bench();
        if before {
            bench.notes.before.set(true)
        } else {
            bench.notes.after.set(true)
        }
        bench.stalled(with_books, || bench.pass(!with_books));
        assert_eq!(bench.tags().len(), 1, "stalled with books: {with_books}, before its claim: {before}");
        bench.ledger.set_down(false);
        bench.run(at(15, 59, 0));
        assert_eq!(bench.held(), 3, "what was opened by hand stays");
    }
}

#[test]
fn a_pass_that_stood_still_between_look_up_and_request_sends_nothing() {
    for with_books in [false, true] {
        let bench = bench();
        bench.notes.after.set(true);
        bench.stalled(with_books, || {
            bench.advance(at(15, 46, 30));
            bench.market(5_612, 1_190, 1_210);
            bench.pass(!with_books);
            assert_eq!(bench.tags().len(), 1, "the other pass sends");
            bench.advance(at(15, 46, 35));
        });
        assert_eq!(bench.tags(), Vec::<String>::new(), "stalled with books: {with_books}");
    }
}

#[test]
fn two_passes_without_the_books_at_one_instant_send_once() {
    let bench = bench();
    bench.notes.after.set(true);
    bench.stalled(false, || bench.pass(false));
    assert_eq!(bench.tags().len(), 1);
}

#[test]
fn a_row_never_carries_a_tag_that_stands_for_one() {
    let tags = [true, false].map(|with_books| {
        let bench = bench();
        bench.pass(with_books);
        bench.tags()
    });
    assert_eq!(tags.each_ref().map(Vec::len), [1, 1]);
    assert_ne!(tags[0], tags[1], "both passes are of one instant");
}

#[test]
fn without_the_books_what_was_opened_by_hand_beside_ours_stays() {
    let bench = bench();
    bench.ledger.set_down(true);
    bench.run(at(15, 59, 0));
    assert_eq!(bench.held(), 3);
}
