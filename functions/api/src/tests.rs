use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::reads::Schema;
use domain::account::Environment;
use domain::ids::UserId;
use domain::kill::KillState;
use domain::ports::{KillFlip, LedgerError, Members as _, UserMessage};
use domain::time::UtcNanos;
use serde_json::json;
use sim::fixtures::{self as sample, at};
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

/// Reads that answer with what they were asked.
struct Echo {
    schema: Result<Schema, LedgerError>,
    last_bar: Option<UtcNanos>,
}

impl Default for Echo {
    fn default() -> Self {
        let schema = Schema { found: Some(2), expected: 2, is_bound: true };
        Self { schema: Ok(schema), last_bar: Some(at(10, 59, 58)) }
    }
}

fn an_intent() -> String {
    sample::opening(&sample::account(1), 1, 2).head.id.to_string()
}

fn asked(what: &str, user: UserId, session: Option<Date>) -> Result<Value, LedgerError> {
    Ok(json!([{ "what": what, "user": user, "session": session, "id": sample::setup_id(1) }]))
}

impl Reads for Echo {
    async fn status(&self, user: UserId) -> Result<Value, LedgerError> {
        let scopes = ["global".to_owned(), format!("user:{user}"), format!("user:{}", sample::user(9))];
        let rows: Vec<Value> = scopes.iter().map(|it| json!({ "scope": it })).collect();
        let last = self.last_bar.map(|it| it.to_string());
        Ok(json!({ "killSwitch": rows, "outboxUnsent": 3, "deadLetters": 0, "lastMicrobarAt": last }))
    }
    async fn setups(&self, user: UserId, session: Date) -> Result<Value, LedgerError> {
        asked("setups", user, Some(session))
    }
    async fn orders(&self, user: UserId, session: Date) -> Result<Value, LedgerError> {
        asked("orders", user, Some(session))
    }
    async fn order(&self, user: UserId, name: &str) -> Result<Value, LedgerError> {
        let known = name == "141000001" || name == an_intent();
        Ok(if known { json!({ "user": user, "name": name }) } else { Value::Null })
    }
    async fn positions(&self, user: UserId) -> Result<Value, LedgerError> {
        asked("positions", user, None)
    }
    async fn fills(&self, user: UserId, session: Date) -> Result<Value, LedgerError> {
        asked("fills", user, Some(session))
    }
    async fn snapshots(&self, user: UserId, session: Date) -> Result<Value, LedgerError> {
        asked("snapshots", user, Some(session))
    }
    async fn report(&self, user: UserId, session: Date) -> Result<Value, LedgerError> {
        asked("report", user, Some(session))
    }
    async fn reconciliation(&self, user: UserId, session: Date) -> Result<Value, LedgerError> {
        asked("reconciliation", user, Some(session))
    }
    async fn schema(&self) -> Result<Schema, LedgerError> {
        self.schema.clone()
    }
}

#[derive(Default)]
struct Stage {
    ledger: MemLedger,
    reads: Echo,
    cache: Cache,
}

impl Stage {
    fn call(&self, method: &str, path: &str, body: &str) -> Result<Answer, Problem> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query: BTreeMap<String, String> =
            query.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect();
        let call = Call {
            method: method.to_owned(),
            path: path.trim_start_matches('/').split('/').map(str::to_owned).collect(),
            query,
            body: (!body.is_empty()).then(|| body.to_owned()),
            caller: Some(Caller { user: sample::user(1), role: Role::Member }),
        };
        let clock = Stands(at(11, 0, 0));
        let switches = Switches::default();
        let (ledger, reads, cache) = (&self.ledger, &self.reads, &self.cache);
        run(Api { ledger, reads, clock: &clock, switches, cache }.call(&call))
    }

    /// Account 1 with a triggered setup, as the gates see it.
    fn enrolled(self) -> Self {
        let account = sample::account(1);
        run(sample::enrol(&self.ledger, &account)).unwrap();
        run(self.ledger.record_snapshot(&account, &sample::snapshot(at(10, 0, 0)), "test")).unwrap();
        self
    }
}

#[test]
fn each_read_is_the_callers_and_of_the_session_asked_for() {
    let stage = Stage::default();
    for what in ["setups", "orders", "fills", "snapshots", "report", "reconciliation"] {
        let answer = stage.call("GET", &format!("/v1/{what}?session=2026-11-19"), "").unwrap();
        assert_eq!(answer.body[0]["what"], what);
        assert_eq!(answer.body[0]["session"], "2026-11-19");
        assert_eq!(answer.body[0]["user"], sample::user(1).to_string());
        assert_eq!(stage.call("GET", &format!("/v1/{what}"), "").unwrap().body[0]["session"], "2026-11-20");
        let problem = stage.call("GET", &format!("/v1/{what}?session=monday"), "").unwrap_err();
        assert_eq!((problem.status, problem.field.as_deref()), (400, Some("session")));
    }
    assert_eq!(stage.call("GET", "/v1/positions", "").unwrap().body[0]["what"], "positions");
    assert_eq!(stage.call("GET", "/v1/health", "").unwrap().body["status"], "up");
    assert_eq!(stage.call("GET", "/v1/nothing", "").unwrap_err().status, 404);
    assert_eq!(stage.call("DELETE", "/v1/orders", "").unwrap_err().status, 405);
}

#[test]
fn a_setup_is_found_by_its_id() {
    let stage = Stage::default();
    run(sample::trigger(&stage.ledger, 1)).unwrap();
    let path = format!("/v1/setups/{}", sample::setup_id(1));
    assert_eq!(stage.call("GET", &path, "").unwrap().body["what"], "setups");
    let unknown = format!("/v1/setups/{}", sample::setup_id(7));
    assert_eq!(stage.call("GET", &unknown, "").unwrap_err().status, 404);
    assert_eq!(stage.call("GET", "/v1/setups/x", "").unwrap_err().field.as_deref(), Some("id"));
}

#[test]
fn an_order_is_found_by_its_intent_its_tag_and_its_number() {
    let stage = Stage::default();
    let intent = an_intent();
    for (asked, name) in [
        (intent.clone(), intent.clone()),
        (format!("cx-{intent}-1"), intent),
        ("141000001".to_owned(), "141000001".to_owned()),
    ] {
        let answer = stage.call("GET", &format!("/v1/orders/{asked}"), "").unwrap();
        assert_eq!(
            (&answer.body["name"], &answer.body["user"]),
            (&name.into(), &sample::user(1).to_string().into())
        );
    }
    assert_eq!(stage.call("GET", "/v1/orders/141000002", "").unwrap_err().status, 404);
    for wrong in ["x", "-1", "1.5", "cx-x-1"] {
        let problem = stage.call("GET", &format!("/v1/orders/{wrong}"), "").unwrap_err();
        assert_eq!((problem.status, problem.field.as_deref()), (400, Some("id")), "{wrong}");
    }
}

#[test]
fn the_switches_of_other_users_are_not_shown() {
    let stage = Stage::default();
    let scopes = |body: &Value| -> Vec<String> {
        body.as_array().unwrap().iter().map(|it| it["scope"].as_str().unwrap().to_owned()).collect()
    };
    let status = stage.call("GET", "/v1/status", "").unwrap().body;
    let mine = format!("user:{}", sample::user(1));
    assert_eq!(scopes(&status["killSwitch"]), ["global".to_owned(), mine.clone()]);
    assert_eq!((&status["executionEnabled"], &status["sandbox"]), (&false.into(), &true.into()));
    for n in [1, 9] {
        let flip = KillFlip {
            if_version: None,
            scope: KillScope::User(sample::user(n)),
            state: KillState::NoEntries,
            by: "test".to_owned(),
            reason: "test".to_owned(),
            at: at(10, 0, 0),
        };
        run(stage.ledger.flip_kill_switch(&flip)).unwrap();
    }
    let rows = stage.call("GET", "/v1/kill-switch", "").unwrap().body;
    let shown: Vec<String> = scopes(&rows).into_iter().filter(|it| it.starts_with("user:")).collect();
    assert_eq!(shown, [mine]);
}

#[test]
fn the_deep_health_fails_with_the_part_that_fails() {
    let verdicts = |reads: Echo| {
        let answer = Stage { reads, ..Stage::default() }.call("GET", "/v1/health/deep", "").unwrap();
        let of = |part: &str| answer.body[part]["verdict"].as_str().unwrap().to_owned();
        (answer.status, ["database", "migrations", "queues", "feed", "killSwitch"].map(of).join(" "))
    };
    assert_eq!(verdicts(Echo::default()), (200, "ok ok ok ok ok".to_owned()));
    let old = Schema { found: Some(1), expected: 2, is_bound: true };
    assert_eq!(verdicts(Echo { schema: Ok(old), ..Echo::default() }).1, "ok fail ok ok ok");
    let bold = Schema { found: Some(2), expected: 2, is_bound: false };
    assert_eq!(verdicts(Echo { schema: Ok(bold), ..Echo::default() }), (503, "fail ok ok ok ok".to_owned()));
    let down = LedgerError::Unavailable { what: "health", why: "refused".to_owned() };
    assert_eq!(verdicts(Echo { schema: Err(down), ..Echo::default() }).1, "fail unknown ok ok ok");
    let late = Echo { last_bar: Some(at(10, 57, 59)), ..Echo::default() };
    assert_eq!(verdicts(late), (503, "ok ok ok fail ok".to_owned()));
}

/// A question about a setup of its own, with quotes around 5600.
fn given(change: impl FnOnce(&mut Value)) -> String {
    let quote = |strike: u32, mid: f64| {
        let series = sample::series(strike).to_string();
        json!({ "series": series, "bid": format!("{:.2}", mid - 0.10), "ask": format!("{:.2}", mid + 0.10) })
    };
    let quotes = [quote(5_600, 18.3), quote(5_605, 15.8), quote(5_610, 13.5), quote(5_615, 11.5)];
    let mut body = json!({ "setup": { "direction": "long", "spot": 5600.0, "zoneLow": 5599.0, "zoneHigh": 5601.0,
        "stop": 5590.0, "t1": 5615.0, "t2": 5630.0, "quotes": quotes } });
    change(&mut body);
    body.to_string()
}

#[test]
fn a_selection_answers_with_the_whole_breakdown() {
    let stage = Stage::default().enrolled();
    let body = stage.call("POST", "/v1/contract-selection", &given(|_| ())).unwrap().body;
    assert_eq!(body["accountId"], sample::account(1).account.to_string());
    assert!(body["selected"]["delta"].as_f64().unwrap() > 0.35, "{body}");
    let (sizing, n) = (&body["sizing"], body["suggestedContracts"].as_u64().unwrap());
    assert!(sizing["perContractDebit"].as_f64().unwrap() > 1_000.0, "{body}");
    assert_eq!(sizing["buyingPower"], 48_000.0);
    assert_eq!(n, sizing["suggestedContracts"].as_u64().unwrap());
    assert!(body["reason"].is_string());
}

#[test]
fn a_selection_without_a_contract_says_why() {
    let stage = Stage::default().enrolled();
    let body = given(|it| it["setup"]["quotes"].as_array_mut().unwrap().truncate(0));
    let problem = stage.call("POST", "/v1/contract-selection", &body).unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("quotes"));
    let puts = given(|it| {
        it["setup"]["quotes"] = json!([{ "series": "SPXW261120P05600000", "bid": "9", "ask": "9.1" }])
    });
    let answer = stage.call("POST", "/v1/contract-selection", &puts).unwrap().body;
    assert_eq!((&answer["suggestedContracts"], &answer["selected"]), (&0.into(), &Value::Null));
    assert_eq!(answer["reason"], "no_series");
}

#[test]
fn a_question_that_cannot_be_answered_names_its_field() {
    let stage = Stage::default().enrolled();
    let field = |body: &str| {
        let problem = stage.call("POST", "/v1/contract-selection", body).unwrap_err();
        (problem.status, problem.field.unwrap_or_default())
    };
    assert_eq!(field("{}"), (400, "setupId".to_owned()));
    assert_eq!(field(r#"{"setupId":"x"}"#), (400, "setupId".to_owned()));
    assert_eq!(field(&given(|it| it["setup"]["stop"] = 5_620.0.into())), (400, "stop".to_owned()));
    assert_eq!(field(&given(|it| it["setup"]["spot"] = 0.0.into())), (400, "spot".to_owned()));
    assert_eq!(
        field(&given(|it| it["accountId"] = json!(sample::account(2).account))),
        (400, "accountId".to_owned())
    );
    assert_eq!(field(&given(|it| it["leverage"] = 2.into())), (400, "leverage".to_owned()));
    let unknown = json!({ "setupId": sample::setup_id(3) }).to_string();
    assert_eq!(stage.call("POST", "/v1/contract-selection", &unknown).unwrap_err().status, 404);
}

#[test]
fn a_stored_setup_is_sized_on_the_chain_of_its_own_step() {
    let stage = Stage::default().enrolled();
    assert_eq!(sample::account(1).environment, Environment::Sandbox);
    let chain = run(stage.ledger.store_chain(&sample::chain())).unwrap();
    let mut step = sample::formed(1);
    run(stage.ledger.record_transition(&step, step.transition.ts)).unwrap();
    let question = json!({ "setupId": sample::setup_id(1) }).to_string();
    assert_eq!(stage.call("POST", "/v1/contract-selection", &question).unwrap_err().status, 409);
    step = sample::then(&step, domain::setup::SetupState::Ready);
    step.chain = Some(chain);
    run(stage.ledger.record_transition(&step, step.transition.ts)).unwrap();
    let body = stage.call("POST", "/v1/contract-selection", &question).unwrap().body;
    assert_eq!(body["setupId"], sample::setup_id(1).to_string());
    assert_eq!(body["asOf"], step.transition.ts.to_string());
}

#[test]
fn a_user_reads_their_own_messages_and_nobody_elses() {
    let stage = Stage::default().enrolled();
    run(sample::enrol(&stage.ledger, &sample::account(2))).unwrap();
    for n in [1, 2] {
        let message = UserMessage {
            user: sample::user(n),
            reason: "buying_power".to_owned(),
            key: "buying_power".to_owned(),
            text: format!("for {n}"),
            at: at(10, 0, 0),
        };
        run(stage.ledger.tell_user(&message)).unwrap();
    }
    let body = stage.call("GET", "/v1/messages", "").unwrap().body;
    let texts: Vec<_> = body.as_array().unwrap().iter().map(|it| it["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["for 1"]);
    assert_eq!((&body[0]["readAt"], &body[0]["reason"]), (&Value::Null, &"buying_power".into()));
}

#[test]
fn an_answer_about_a_stored_setup_is_kept_by_its_risk_inputs_and_one_about_another_bypasses_the_cache() {
    let stage = Stage::default().enrolled();
    stage.call("POST", "/v1/contract-selection", &given(|_| ())).unwrap();
    assert_eq!(stage.cache.len(), 0);
    let chain = run(stage.ledger.store_chain(&sample::chain())).unwrap();
    let formed = sample::formed(1);
    let ready = sample::then(&formed, domain::setup::SetupState::Ready);
    let mut trigger = sample::then(&ready, domain::setup::SetupState::Triggered);
    trigger.chain = Some(chain);
    for step in [&formed, &ready, &trigger] {
        run(stage.ledger.record_transition(step, step.transition.ts)).unwrap();
    }
    let ask = json!({ "setupId": formed.setup.id.to_string() }).to_string();
    let first = stage.call("POST", "/v1/contract-selection", &ask).unwrap().body;
    assert_eq!(stage.call("POST", "/v1/contract-selection", &ask).unwrap().body, first);
    assert_eq!(stage.cache.len(), 1);
    let mut settings = run(stage.ledger.settings(sample::user(1))).unwrap();
    settings.limits.max_contracts = 1;
    run(stage.ledger.store_settings(sample::user(1), &settings)).unwrap();
    stage.call("POST", "/v1/contract-selection", &ask).unwrap();
    assert_eq!(stage.cache.len(), 2, "another limit is another fingerprint");
}

#[test]
fn a_clients_word_about_its_standing_is_heard_where_it_is_stricter() {
    let stage = Stage::default().enrolled();
    let ask = |power: i64| {
        let body = given(|it| it["standing"] = json!({ "buyingPower": power }));
        stage.call("POST", "/v1/contract-selection", &body).unwrap().body
    };
    let (known, more, less) = (ask(48_000 * 10_000), ask(1_000_000 * 10_000), ask(10_000));
    assert_eq!(known["suggestedContracts"], more["suggestedContracts"]);
    assert!(known["suggestedContracts"].as_u64() > Some(0), "{known}");
    assert_eq!(less["suggestedContracts"], 0, "{less}");
}
