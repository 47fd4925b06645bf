use std::task::{Context, Poll, Waker};

use super::*;
use domain::ports::{Message, Queue};
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
    ledger
}

fn call(ledger: &MemLedger, role: Role, method: &str, path: &str, body: &str) -> Result<Answer, Problem> {
    let call = Call {
        method: method.to_owned(),
        path: path.trim_start_matches('/').split('/').map(str::to_owned).collect(),
        query: Default::default(),
        body: Some(body.to_owned()),
        caller: Some(Caller { user: sample::user(1), role }),
    };
    let clock = Stands(at(11, 0, 0));
    run(Control { ledger, clock: &clock }.call(&call))
}

fn flip(ledger: &MemLedger, role: Role, scope: &str, state: &str) -> Result<Answer, Problem> {
    let body = serde_json::json!({ "scope": scope, "state": state, "reason": "a test" }).to_string();
    call(ledger, role, "PUT", "/v1/kill-switch", &body)
}

fn flattened(ledger: &MemLedger) -> Vec<UserId> {
    let rows = run(ledger.due_outbox(at(23, 0, 0), 100)).unwrap();
    let of = |message: &Message| {
        let Message::Flatten { account, session: SESSION, at_once: true } = message else { return None };
        Some(account.user)
    };
    rows.iter().filter(|it| it.queue == Queue::Flatten).filter_map(|it| of(&it.message)).collect()
}

#[test]
fn the_operator_flips_every_scope_and_a_hard_stop_flattens_what_it_covers() {
    let ledger = enrolled();
    let mine = format!("user:{}", sample::user(2));
    let answer = flip(&ledger, Role::Operator, &mine, "hard_stop").unwrap();
    assert_eq!((&answer.body["scope"], &answer.body["state"]), (&mine.into(), &"hard_stop".into()));
    assert_eq!(flattened(&ledger), [sample::user(2)]);
    assert!(flip(&ledger, Role::Operator, "global", "no_entries").is_ok());
    assert_eq!(run(ledger.kill_switch()).unwrap().iter().filter(|it| it.version > 0).count(), 2);
}

#[test]
fn a_member_tightens_their_own_switch_and_lets_nothing_go() {
    let ledger = enrolled();
    let mine = format!("user:{}", sample::user(1));
    let status = |scope: &str, state: &str| match flip(&ledger, Role::Member, scope, state) {
        Ok(answer) => answer.status,
        Err(problem) => problem.status,
    };
    assert_eq!(status(&mine, "no_entries"), 200);
    assert_eq!(status(&mine, "safe_mode"), 200);
    assert_eq!(status(&mine, "normal"), 403);
    assert_eq!(status(&mine, "hard_stop"), 403);
    assert_eq!(status("global", "no_entries"), 403);
    assert_eq!(status(&format!("user:{}", sample::user(2)), "no_entries"), 403);
    assert_eq!(flip(&ledger, Role::Operator, &mine, "normal").unwrap().body["state"], "normal");
}

#[test]
fn what_cannot_be_read_names_its_field() {
    let ledger = enrolled();
    for (scope, state, field) in
        [("everything", "normal", "scope"), ("user:me", "normal", "scope"), ("global", "off", "state")]
    {
        let problem = flip(&ledger, Role::Operator, scope, state).unwrap_err();
        assert_eq!((problem.status, problem.field.as_deref()), (400, Some(field)));
    }
    let empty = r#"{"scope":"global","state":"normal","reason":" "}"#;
    let problem = call(&ledger, Role::Operator, "PUT", "/v1/kill-switch", empty).unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("reason"));
    assert_eq!(call(&ledger, Role::Operator, "GET", "/v1/kill-switch", "").unwrap_err().status, 405);
}

#[test]
fn a_flatten_is_of_ones_own_unless_the_operator_says_otherwise() {
    let ledger = enrolled();
    let other = format!(r#"{{"user":"{}"}}"#, sample::user(2));
    let flatten = |role, body: &str| match call(&ledger, role, "POST", "/v1/flatten", body) {
        Ok(answer) => answer.status,
        Err(problem) => problem.status,
    };
    assert_eq!(flatten(Role::Member, r#"{"all":true}"#), 403);
    assert_eq!(flatten(Role::Coach, &other), 403);
    assert!(flattened(&ledger).is_empty());
    assert_eq!(flatten(Role::Member, ""), 202);
    assert_eq!(flattened(&ledger), [sample::user(1)]);
    assert_eq!(flatten(Role::Operator, r#"{"all":true}"#), 202);
    // The first one is asked for once.
    assert_eq!(flattened(&ledger), [sample::user(1), sample::user(2)]);
}

fn observed(
    ledger: &MemLedger,
    now: UtcNanos,
    ratio: f64,
    regime_failed: Option<bool>,
) -> Vec<(String, KillState)> {
    let clock = Stands(now);
    let control = Control { ledger, clock: &clock };
    let reading = Reading {
        at: now,
        vix_ratio: Some(ratio),
        macro_window: Some(false),
        regime_failed,
        ..Reading::default()
    };
    let observed = run(control.observe(&reading, &Reach::default())).unwrap();
    observed.flipped.into_iter().map(|it| (it.by, it.state)).collect()
}

#[test]
fn a_system_trip_lets_go_ten_minutes_after_its_cause_and_an_operators_does_not() {
    let ledger = enrolled();
    let minute = |n: u32| at(11, n, 0);
    let vix = |state| vec![("system:vix".to_owned(), state)];
    assert_eq!(observed(&ledger, minute(0), 1.01, None), vix(KillState::SafeMode));
    assert_eq!(observed(&ledger, minute(1), 1.05, None), []);
    for n in 2..12 {
        assert_eq!(observed(&ledger, minute(n), 0.96, None), [], "minute {n}");
    }
    assert_eq!(observed(&ledger, minute(12), 0.96, None), vix(KillState::Normal));
    flip(&ledger, Role::Operator, "strategy:credit", "safe_mode").unwrap();
    for n in 13..30 {
        assert_eq!(observed(&ledger, minute(n), 0.90, None), [], "minute {n}");
    }
}

#[test]
fn what_an_operator_stopped_a_little_is_stopped_more_and_still_ends_by_the_operator() {
    let ledger = enrolled();
    flip(&ledger, Role::Operator, "global", "no_entries").unwrap();
    let by = format!("operator:{}", sample::user(1));
    assert_eq!(observed(&ledger, at(11, 1, 0), 0.9, Some(true)), [(by, KillState::SafeMode)]);
    for n in 2..20 {
        assert_eq!(observed(&ledger, at(11, n, 0), 0.9, Some(false)), [], "minute {n}");
    }
}

#[test]
fn a_hard_stop_is_on_its_way_at_the_instant_of_the_flip_and_with_the_market_closed_in_the_next_session() {
    let flattens = |now: UtcNanos| {
        let ledger = enrolled();
        let clock = Stands(now);
        let control = Control { ledger: &ledger, clock: &clock };
        run(control.flip(KillScope::Global, KillState::HardStop, "operator", "a test")).unwrap();
        let rows = run(ledger.due_outbox(now, 100)).unwrap();
        let of = |message: &Message| match message {
            Message::Flatten { session, at_once: true, .. } => Some(session.to_string()),
            Message::Flatten { .. }
            | Message::Step { .. }
            | Message::BrokerOrder { .. }
            | Message::Transition { .. }
            | Message::Alert { .. } => None,
        };
        rows.iter().filter_map(|it| of(&it.message)).collect::<Vec<_>>()
    };
    assert_eq!(flattens(at(11, 0, 0)), ["2026-11-20"; 2]);
    assert_eq!(flattens(at(8, 0, 0)), ["2026-11-20"; 2]);
    // A Friday evening: Monday.
    assert_eq!(flattens(at(17, 0, 0)), ["2026-11-23"; 2]);
}

#[test]
fn readings_are_posted_by_the_operator_alone() {
    let ledger = enrolled();
    let post = |role, body: &str| match call(&ledger, role, "POST", "/v1/kill-switch/readings", body) {
        Ok(answer) => answer.status,
        Err(problem) => problem.status,
    };
    assert_eq!(post(Role::Member, r#"{"vix": 20, "vix3m": 21}"#), 403);
    assert_eq!(post(Role::Operator, r#"{"vix": 20, "vix3m": 0}"#), 400);
    assert_eq!(post(Role::Operator, r#"{"vix": 22, "vix3m": 21}"#), 200);
    assert_eq!(run(ledger.kill_switch()).unwrap()[0].state, KillState::SafeMode);
}
