//! Events: each is what AWS hands its function, and those that need no broker get their expected answer here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::reads::Schema;
use api::{Api, Reads};
use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use aws_lambda_events::sqs::SqsEvent;
use broker::connector::Connector;
use broker::transport::{Reply, Request, Transport, TransportError};
use control::Control;
use credentials::Credentials;
use domain::account::{AccountRef, BrokerCredential, Switches};
use domain::ids::{AccountId, UserId};
use domain::ports::{
    Clock, HandleError, LedgerError, Message, NoteError, OwnedNote, OwnedNotes, Queue, SecretError, Secrets,
    SendError, Sender,
};
use domain::time::UtcNanos;
use jiff::civil::Date;
use lambda_kit::{http, sqs, wiring};
use serde_json::{Value, json};
use sim::fixtures::{self as sample, at};
use sim::ledger::MemLedger;

/// One case.
struct Case {
    function: String,
    name: String,
    event: Value,
    expected: Value,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}

fn json_of(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|it| panic!("{}: {it}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|it| panic!("{}: {it}", path.display()))
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for folder in std::fs::read_dir(root()).unwrap().map(|it| it.unwrap().path()).filter(|it| it.is_dir()) {
        for path in std::fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()) {
            let file = path.file_name().unwrap().to_str().unwrap().to_owned();
            let Some(name) = file.strip_suffix(".json").filter(|it| !it.ends_with(".expected")) else {
                continue;
            };
            cases.push(Case {
                function: folder.file_name().unwrap().to_str().unwrap().to_owned(),
                name: name.to_owned(),
                event: json_of(&path),
                expected: json_of(&folder.join(format!("{name}.expected.json"))),
            });
        }
    }
    cases.sort_by(|a, b| (&a.function, &a.name).cmp(&(&b.function, &b.name)));
    cases
}

impl Case {
    /// Whether it shows how something is refused.
    fn is_bad(&self) -> bool {
        let status = self.expected.get("statusCode").and_then(Value::as_i64).unwrap_or(200);
        let failures = self.expected.get("batchItemFailures").and_then(Value::as_array);
        status >= 400 || failures.is_some_and(|it| !it.is_empty()) || self.expected.get("errorType").is_some()
    }

    fn is_queue(&self) -> bool {
        self.event.get("Records").is_some()
    }
}

const HTTP: [&str; 3] = ["api", "control", "credentials"];

#[test]
fn every_function_has_an_event_that_works_and_one_that_is_refused() {
    let functions = std::fs::read_dir(root().join("../functions")).unwrap();
    let functions: BTreeSet<String> =
        functions.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    let having = |bad: bool| -> BTreeSet<String> {
        cases().into_iter().filter(|it| it.is_bad() == bad).map(|it| it.function).collect()
    };
    assert_eq!(having(false), functions);
    assert_eq!(having(true), functions);
}

#[test]
fn every_event_is_what_its_function_takes() {
    for case in cases() {
        let name = format!("{}/{}", case.function, case.name);
        if HTTP.contains(&case.function.as_str()) {
            let event: ApiGatewayV2httpRequest = serde_json::from_value(case.event).expect(&name);
            let call = http::Call::of(&event).expect(&name);
            assert_eq!(call.path.first().map(String::as_str), Some("v1"), "{name}");
        } else if case.is_queue() {
            let expected = case.expected["batchItemFailures"].as_array().expect(&name).len();
            let event: SqsEvent = serde_json::from_value(case.event).expect(&name);
            let body = |it: &aws_lambda_events::sqs::SqsMessage| it.body.clone().unwrap_or_default();
            let unread = event.records.iter().filter(|it| wire::message::decode(&body(it)).is_err()).count();
            assert!(
                unread <= expected,
                "{name}: {unread} bodies cannot be read, {expected} failures are expected"
            );
        } else if wiring::object(case.event).is_err() {
            assert_eq!(case.expected["errorType"], "claxton", "{name}");
        }
    }
}

/// A clock that stands in the session of the samples.
struct Stands;

impl Clock for Stands {
    fn now(&self) -> UtcNanos {
        at(11, 0, 0)
    }
}

/// Everything outside that these cases do not reach.
#[derive(Clone)]
struct Nowhere;

impl Transport for Nowhere {
    async fn send(&self, request: &Request) -> Result<Reply, TransportError> {
        panic!("{request:?} reaches the broker")
    }
}

impl Secrets for Nowhere {
    async fn credential(&self, _: UserId, account: AccountId) -> Result<BrokerCredential, SecretError> {
        panic!("the secret of {account} is read")
    }
    async fn all_credentials(&self) -> Result<Vec<BrokerCredential>, SecretError> {
        panic!("secrets are listed")
    }
    async fn put(&self, _: &BrokerCredential) -> Result<String, SecretError> {
        panic!("a secret is written")
    }
    async fn remove(&self, _: UserId, account: AccountId) -> Result<(), SecretError> {
        panic!("the secret of {account} is removed")
    }
}

impl OwnedNotes for Nowhere {
    async fn put(&self, _: &OwnedNote) -> Result<(), NoteError> {
        panic!("a note is written")
    }
    async fn get(&self, _: &AccountRef) -> Result<Option<OwnedNote>, NoteError> {
        panic!("a note is read")
    }
    async fn claim(&self, _: &AccountRef, what: &str, _: bool) -> Result<bool, NoteError> {
        panic!("{what} is claimed")
    }
}

impl Sender for Nowhere {
    async fn send(&self, _: Queue, message: &Message, _: Duration) -> Result<(), SendError> {
        panic!("{message:?} is sent")
    }
}

/// Reads of an empty database.
impl Reads for Nowhere {
    async fn status(&self, _: UserId) -> Result<Value, LedgerError> {
        Ok(json!({}))
    }
    async fn setups(&self, _: UserId, _: Date) -> Result<Value, LedgerError> {
        Ok(json!([]))
    }
    async fn orders(&self, _: UserId, _: Date) -> Result<Value, LedgerError> {
        Ok(json!([]))
    }
    async fn order(&self, _: UserId, _: &str) -> Result<Value, LedgerError> {
        Ok(json!({}))
    }
    async fn positions(&self, _: UserId) -> Result<Value, LedgerError> {
        Ok(json!([]))
    }
    async fn fills(&self, _: UserId, _: Date) -> Result<Value, LedgerError> {
        Ok(json!([]))
    }
    async fn snapshots(&self, _: UserId, _: Date) -> Result<Value, LedgerError> {
        Ok(json!([]))
    }
    async fn report(&self, _: UserId, _: Date) -> Result<Value, LedgerError> {
        Ok(json!([]))
    }
    async fn reconciliation(&self, _: UserId, _: Date) -> Result<Value, LedgerError> {
        Ok(json!([]))
    }
    async fn schema(&self) -> Result<Schema, LedgerError> {
        Ok(Schema { found: None, expected: 1, is_bound: true })
    }
}

/// What the function answers with the rows of `events/README.md`; `None` where the case needs more.
async fn answer(case: &Case) -> Option<Value> {
    let ledger = MemLedger::new();
    sample::enrol(&ledger, &sample::account(1)).await.unwrap();
    let (clock, switches) = (Stands, Switches::default());
    let brokers = Connector::new(Nowhere, &clock, Nowhere, None);
    if HTTP.contains(&case.function.as_str()) {
        let event = serde_json::from_value(case.event.clone()).unwrap();
        let answer = match case.function.as_str() {
            "api" => {
                let cache = api::Cache::default();
                let api = Api { ledger: &ledger, reads: &Nowhere, clock: &clock, switches, cache: &cache };
                http::respond(&event, async |call| api.call(call).await).await
            }
            "control" => {
                let control = Control { ledger: &ledger, clock: &clock };
                http::respond(&event, async |call| control.call(call).await).await
            }
            _ => {
                let this =
                    Credentials { ledger: &ledger, secrets: &Nowhere, brokers: &brokers, clock: &clock };
                http::respond(&event, async |call| this.call(call).await).await
            }
        };
        return Some(serde_json::to_value(answer).unwrap());
    }
    if case.is_queue() {
        let event = serde_json::from_value(case.event.clone()).unwrap();
        let notes = Nowhere;
        let orders = orders::Orders {
            ledger: &ledger,
            brokers: &brokers,
            clock: &clock,
            notes: &notes,
            switches,
            holder: "test",
        };
        let flatten = flatten::Flatten {
            ledger: &ledger,
            brokers: &brokers,
            clock: &clock,
            notes: &notes,
            secrets: &Nowhere,
            sender: &Nowhere,
            switches,
            holder: "test",
        };
        let transitions = transitions::Transitions { ledger: &ledger, clock: &clock, switches };
        let handle = async |message: &Message| match case.function.as_str() {
            "orders" => orders.handle(message).await,
            "flatten" => flatten.handle(message).await,
            "transitions" => transitions.handle(message).await,
            other => Err(HandleError::Poison(format!("{other} takes no queue"))),
        };
        let answer = sqs::batch(event, &ledger, &clock, handle).await.unwrap();
        return Some(serde_json::to_value(answer).unwrap());
    }
    if let Err(error) = wiring::object(case.event.clone()) {
        return Some(json!({ "errorType": error.error_type, "errorMessage": error.error_message }));
    }
    if case.function == "report"
        && let Some(date) = case.event["session"].as_str().and_then(|it| it.parse().ok())
    {
        let report = report::Report { ledger: &ledger, clock: &clock };
        return Some(match report.of(date).await {
            Ok(report) => serde_json::to_value(report).unwrap(),
            Err(error) => {
                let error = wiring::failed(error);
                json!({ "errorType": error.error_type, "errorMessage": error.error_message })
            }
        });
    }
    None
}

/// Where `answer` lacks something that is expected.
fn lacks(expected: &Value, answer: &Value, at: &str) -> Option<String> {
    match (expected, answer) {
        (Value::Object(expected), Value::Object(answer)) => expected.iter().find_map(|(key, value)| {
            let at = format!("{at}.{key}");
            lacks(value, answer.get(key).unwrap_or(&Value::Null), &at)
        }),
        (expected, answer) if expected == answer => None,
        (expected, answer) => Some(format!("{at} is {answer}, expected {expected}")),
    }
}

#[tokio::test]
async fn events_that_need_no_broker_get_their_expected_answer() {
    let mut worked: BTreeMap<String, u32> = BTreeMap::new();
    for case in cases() {
        let Some(answer) = answer(&case).await else { continue };
        let lacks = lacks(&case.expected, &answer, "answer");
        assert_eq!(lacks, None, "events/{}/{}.json", case.function, case.name);
        *worked.entry(case.function).or_default() += 1;
    }
    assert!(worked.values().sum::<u32>() >= 30, "{worked:?}");
}
