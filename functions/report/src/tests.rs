use std::task::{Context, Poll, Waker};

use super::*;
use domain::time::UtcNanos;
use sim::fixtures::{self as sample, SESSION, at};
use sim::ledger::MemLedger;

struct Stands(UtcNanos);

impl Clock for Stands {
    fn now(&self) -> UtcNanos {
        self.0
    }
}

fn run<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the use case waits for something else than its ports"),
    }
}

fn enrolled() -> MemLedger {
    let ledger = MemLedger::new();
    for n in [1, 2] {
        run(sample::enrol(&ledger, &sample::account(n))).unwrap();
    }
    run(sample::trigger(&ledger, 1)).unwrap();
    ledger
}

#[test]
fn each_account_gets_a_report_of_its_own_and_one_message() {
    let ledger = enrolled();
    let clock = Stands(at(16, 15, 0));
    let report = Report { ledger: &ledger, clock: &clock };
    let day = run(report.run()).unwrap().unwrap();
    assert_eq!((day.accounts.len(), day.setups.len()), (2, 1));
    let (one, two) = (sample::account(1), sample::account(2));
    let stored = ledger.report(one.account, SESSION).unwrap();
    assert!(
        stored.contains(&one.account.to_string()) && !stored.contains(&two.account.to_string()),
        "{stored}"
    );
    assert!(ledger.report(two.account, SESSION).is_some());
    let rows = run(ledger.due_outbox(at(17, 0, 0), 100)).unwrap();
    let told: Vec<_> = rows.iter().filter(|it| it.queue == Queue::Alerts).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    let Message::Alert { level, text, .. } = &told[0].message else { panic!("{told:?}") };
    assert_eq!(level, "info");
    assert!(text.contains("flat, NOT reconciled"), "{text}");
}

#[test]
fn before_the_close_and_without_a_session_there_is_nothing_to_report() {
    let ledger = enrolled();
    for now in [at(13, 15, 0), UtcNanos::parse("2026-11-21T21:15:00Z").unwrap()] {
        let clock = Stands(now);
        assert_eq!(run(Report { ledger: &ledger, clock: &clock }.run()).unwrap(), None, "{now}");
    }
    let clock = Stands(at(10, 0, 0));
    let report = Report { ledger: &ledger, clock: &clock };
    assert_eq!(run(report.of(SESSION)).unwrap().session, SESSION);
    let error = run(report.of(jiff::civil::date(2026, 11, 21))).unwrap_err();
    assert!(error.to_string().contains("2026-11-21 has no session"), "{error}");
}
