use super::*;
use domain::ids::UserId;
use domain::intent::OrderIntent;
use domain::money::Usd;
use domain::ports::{Difference, Members as _, Message, ReconciliationRun, UserMessage};
use lambda_kit::http::Role;
use sim::conformance::block_on;
use sim::fixtures::{self as sample, SESSION, at};
use sim::ledger::MemLedger;
use sim::shown::{Stands, run};

fn call(ledger: &MemLedger, user: UserId, method: &str, path: &str, body: &str) -> Result<Answer, Problem> {
    let call = Call {
        method: method.to_owned(),
        path: path.trim_start_matches('/').split('/').map(str::to_owned).collect(),
        query: Default::default(),
        body: Some(body.to_owned()),
        caller: Some(Caller { user, role: Role::Operator }),
    };
    let clock = Stands(at(11, 0, 0));
    run(Control { ledger, clock: &clock }.call(&call))
}

fn post(ledger: &MemLedger, n: u8, path: &str) -> Result<Answer, Problem> {
    let body = serde_json::json!({ "account": sample::account(1).account, "series": sample::series(5_605) });
    call(ledger, sample::user(n), "POST", path, &body.to_string())
}

/// Account 1, which the last reconciliation found to hold a series that was opened by hand.
fn by_hand() -> MemLedger {
    let ledger = MemLedger::new();
    for n in [1, 2] {
        run(sample::enrol(&ledger, &sample::account(n))).unwrap();
    }
    let foreign = Difference {
        kind: DifferenceKind::Foreign,
        about: sample::series(5_605).to_string(),
        ours: "0 held".to_owned(),
        broker: "2 held".to_owned(),
        cure: "none".to_owned(),
    };
    let differences = vec![foreign];
    let run_of = ReconciliationRun { at: at(10, 59, 0), differences, steps: Vec::new(), alerts: Vec::new() };
    run(ledger.record_reconciliation(&sample::account(1), &run_of)).unwrap();
    ledger
}

fn taken_over(ledger: &MemLedger) -> Vec<(OccSymbol, u32)> {
    run(ledger.taken_over(&sample::account(1))).unwrap()
}

#[test]
fn what_was_opened_by_hand_is_taken_over_and_given_back() {
    let ledger = by_hand();
    assert_eq!(post(&ledger, 1, "/v1/positions/take-over").unwrap().status, 200);
    assert_eq!(taken_over(&ledger), [(sample::series(5_605), u32::MAX)]);
    assert_eq!(post(&ledger, 1, "/v1/positions/mine-now").unwrap().status, 200);
    assert_eq!(taken_over(&ledger), []);
    assert_eq!(post(&ledger, 1, "/v1/positions/mine-now").unwrap_err().status, 404);
}

#[test]
fn nobody_hands_over_what_is_anothers_or_what_is_not_there() {
    let ledger = by_hand();
    for path in ["/v1/positions/take-over", "/v1/positions/mine-now"] {
        assert_eq!(post(&ledger, 2, path).unwrap_err().status, 404, "{path}");
    }
    let ask = |series: &str| {
        let body = serde_json::json!({ "account": sample::account(1).account, "series": series });
        call(&ledger, sample::user(1), "POST", "/v1/positions/take-over", &body.to_string())
            .unwrap_err()
            .status
    };
    assert_eq!((ask("SPXW261120C05610000"), ask("nonsense")), (409, 400));
    assert_eq!(taken_over(&ledger), []);
}

/// Two contracts of 5605 of our own.
async fn bought(ledger: &MemLedger) {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await.unwrap();
    let (account, fence) =
        (account, ledger.take_lease(&account, "t", at(9, 0, 0), at(10, 0, 0)).await.unwrap().unwrap());
    sample::trigger(ledger, 1).await.unwrap();
    let entry = sample::opening(&account, 1, 2);
    let id = entry.head.id;
    ledger.record_intent(&sample::ready(OrderIntent::Opening(entry))).await.unwrap();
    let view = sample::read(ledger, &account, id).await.unwrap();
    ledger.mark_submitting(&sample::mark(&view, fence, 2, at(9, 50, 0))).await.unwrap();
    let view = sample::read(ledger, &account, id).await.unwrap();
    ledger.record_answer(&sample::accepted(&view, fence, 101, at(9, 50, 1)).unwrap()).await.unwrap();
    let view = sample::read(ledger, &account, id).await.unwrap();
    let mut done = sample::progress(&view, Some(fence), at(9, 50, 2));
    done.attempts.push(sample::ended(&view, domain::order::AttemptState::Filled).unwrap());
    done.fills.push(sample::observed(&view, 2, Some(240), at(9, 50, 2)).unwrap());
    (done.state, done.follow_up) = (domain::intent::IntentState::Done, None);
    ledger.record_progress(&done).await.unwrap();
    ledger.release_lease(&account, fence).await.unwrap();
}

#[test]
fn mine_now_takes_our_position_out_of_the_books_at_its_cost_and_sends_nothing() {
    let ledger = MemLedger::new();
    block_on(bought(&ledger)).unwrap();
    let owned = || run(ledger.owned(&sample::account(1), SESSION)).unwrap()[0];
    assert_eq!(owned().held(), 2);
    let answer = post(&ledger, 1, "/v1/positions/mine-now").unwrap();
    assert_eq!((answer.status, &answer.body["givenBack"]), (200, &2.into()));
    assert_eq!((owned().held(), owned().realized()), (0, Usd::ZERO));
    let rows = run(ledger.due_outbox(at(23, 0, 0), 100)).unwrap();
    let sends = |it: &Message| matches!(it, Message::Flatten { .. } | Message::BrokerOrder { .. });
    assert!(!rows.iter().any(|it| sends(&it.message)), "{rows:?}");
}

#[test]
fn mine_now_waits_for_our_orders_in_the_series_and_asks_them_to_stop() {
    let ledger = MemLedger::new();
    block_on(bought(&ledger)).unwrap();
    let account = sample::account(1);
    let entry = run(ledger.intents_of(&account, sample::setup_id(1))).unwrap().remove(0);
    let OrderIntent::Opening(opening) = &entry.intent else { panic!("an entry opens") };
    let all = domain::intent::CloseAmount::All;
    let closing = sample::closing(opening, 3, domain::intent::Action::Stop, all);
    let id = closing.head.id;
    run(ledger.record_intent(&sample::ready(OrderIntent::Closing(closing)))).unwrap();
    assert_eq!(post(&ledger, 1, "/v1/positions/mine-now").unwrap_err().status, 409);
    let close = run(sample::read(&ledger, &account, id)).unwrap();
    assert!(close.stop_requested);
    assert_eq!(run(ledger.owned(&account, SESSION)).unwrap()[0].held(), 2);
}

#[test]
fn a_member_reads_their_own_message_and_nobody_elses() {
    let ledger = by_hand();
    let message = UserMessage {
        user: sample::user(1),
        reason: "buying_power".to_owned(),
        key: "buying_power".to_owned(),
        text: "low".to_owned(),
        at: at(10, 0, 0),
    };
    run(ledger.tell_user(&message)).unwrap();
    let read = |n: u8, id: &str| match call(
        &ledger,
        sample::user(n),
        "POST",
        &format!("/v1/messages/{id}/read"),
        "{}",
    ) {
        Ok(answer) => answer.status,
        Err(problem) => problem.status,
    };
    assert_eq!((read(2, "1"), read(1, "1"), read(1, "x")), (404, 200, 400));
    let stored = run(ledger.user_messages(sample::user(1), 10)).unwrap();
    assert_eq!(stored[0].read_at, Some(at(11, 0, 0)));
}

#[test]
fn a_members_consent_is_stored_with_its_date_and_can_be_taken_back() {
    let ledger = by_hand();
    let consent = |n: u8, given: bool| {
        let body = serde_json::json!({ "consent": given }).to_string();
        call(&ledger, sample::user(n), "PUT", "/v1/consent", &body).unwrap();
        run(ledger.settings(sample::user(1))).unwrap().consent_at
    };
    assert_eq!(consent(2, true), None, "nobody consents for another");
    assert_eq!(consent(1, true), Some(at(11, 0, 0)));
    assert_eq!(consent(1, false), None);
}
