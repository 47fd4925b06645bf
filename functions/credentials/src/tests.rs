use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;
use domain::account::Balances;
use domain::intent::OrderIntent;
use lambda_kit::http::{Answer, Call, Caller, Problem, Role};
use sim::fixtures::{self as sample, at};
use sim::ledger::MemLedger;
use sim::shown::{Accounts, Shown, Stands, run};

/// Secrets in memory.
#[derive(Default)]
struct Kept(RefCell<BTreeMap<AccountId, BrokerCredential>>);

impl Secrets for Kept {
    async fn credential(&self, _: UserId, account: AccountId) -> Result<BrokerCredential, SecretError> {
        let found = self.0.borrow().get(&account).cloned();
        found.ok_or_else(|| SecretError::Missing(account.to_string()))
    }
    async fn all_credentials(&self) -> Result<Vec<BrokerCredential>, SecretError> {
        Ok(self.0.borrow().values().cloned().collect())
    }
    async fn put(&self, credential: &BrokerCredential) -> Result<String, SecretError> {
        self.0.borrow_mut().insert(credential.account.account, credential.clone());
        Ok(format!("claxton/{}", credential.account.account))
    }
    async fn remove(&self, _: UserId, account: AccountId) -> Result<(), SecretError> {
        let removed = self.0.borrow_mut().remove(&account);
        removed.map(drop).ok_or_else(|| SecretError::Missing(account.to_string()))
    }
}

#[derive(Default)]
struct Stage {
    ledger: MemLedger,
    secrets: Kept,
    brokers: Accounts,
}

impl Stage {
    fn call(&self, method: &str, path: &str, body: &str) -> Result<Answer, Problem> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = query.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        let call = Call {
            method: method.to_owned(),
            path: path.trim_start_matches('/').split('/').map(str::to_owned).collect(),
            query: query.into_iter().collect(),
            body: (!body.is_empty()).then(|| body.to_owned()),
            caller: Some(Caller { user: sample::user(1), role: Role::Member }),
        };
        let clock = Stands(at(10, 0, 0));
        let (ledger, secrets, brokers) = (&self.ledger, &self.secrets, &self.brokers);
        run(Credentials { ledger, secrets, brokers, clock: &clock }.call(&call))
    }

    fn stored(&self) -> AccountId {
        let answer = self.call("PUT", "/v1/credentials", GOOD).unwrap();
        answer.body["accountId"].as_str().unwrap().parse().unwrap()
    }
}

const GOOD: &str = r#"{"token":"very-secret","accountNumber":"VA00000001","environment":"sandbox"}"#;

#[test]
fn a_credential_is_stored_once_and_shows_only_its_last_four() {
    let stage = Stage::default();
    let first = stage.call("PUT", "/v1/credentials", GOOD).unwrap();
    let again = stage.call("PUT", "/v1/credentials", GOOD).unwrap();
    assert_eq!(first, again);
    assert_eq!((first.status, &first.body["last4"]), (200, &"0001".into()));
    let list = stage.call("GET", "/v1/credentials", "").unwrap();
    assert_eq!(list.body.as_array().unwrap().len(), 1);
    assert!(!list.body.to_string().contains("very-secret") && !list.body.to_string().contains("VA0000"));
    assert_eq!(stage.secrets.0.borrow().len(), 1);
}

#[test]
fn accounts_of_other_users_environments_and_numbers_are_others() {
    let number = |it: &str| AccountNumber::try_from(it.to_owned()).unwrap();
    let base = account_id(sample::user(1), Environment::Sandbox, &number("VA1"));
    assert_eq!(base, account_id(sample::user(1), Environment::Sandbox, &number("VA1")));
    for other in [
        account_id(sample::user(2), Environment::Sandbox, &number("VA1")),
        account_id(sample::user(1), Environment::Live, &number("VA1")),
        account_id(sample::user(1), Environment::Sandbox, &number("VA2")),
    ] {
        assert_ne!(base, other);
    }
}

#[test]
fn what_cannot_be_stored_names_its_field_and_repeats_no_token() {
    let stage = Stage::default();
    for (from, to, field) in [
        ("very-secret", "very-secret with spaces", "token"),
        ("very-secret", " ", "token"),
        ("VA00000001", "VA 1", "accountNumber"),
        ("sandbox", "paper", "environment"),
        ("sandbox", "production", "environment"),
        ("\"token\":\"very-secret\",", "", "token"),
        ("\"environment\"", "\"accountId\":\"x\",\"environment\"", "accountId"),
    ] {
        let problem = stage.call("PUT", "/v1/credentials", &GOOD.replace(from, to)).unwrap_err();
        assert_eq!((problem.status, problem.field.as_deref()), (400, Some(field)), "{problem:?}");
        assert!(!format!("{problem:?}").contains("very-secret"), "{problem:?}");
    }
    let strange =
        GOOD.replace("\"sandbox\"", "\"sandbox\",\"accountId\":\"00000000-0000-0000-0000-000000000009\"");
    assert_eq!(stage.call("PUT", "/v1/credentials", &strange).unwrap_err().status, 404);
    assert!(stage.secrets.0.borrow().is_empty());
}

#[test]
fn a_test_proves_or_refuses_and_an_answer_that_says_nothing_changes_nothing() {
    let mut stage = Stage::default();
    let id = stage.stored();
    let body = format!(r#"{{"accountId":"{id}"}}"#);
    let status = |stage: &Stage| {
        let list = stage.call("GET", "/v1/credentials", "").unwrap().body;
        (list[0]["status"].as_str().unwrap().to_owned(), list[0]["proofAt"].is_string())
    };
    let mut test = |balances: Result<Balances, BrokerError>| {
        stage.brokers.0.insert(id, Shown { balances: Some(balances), ..Shown::default() });
        let answer = stage.call("POST", "/v1/credentials/test", &body);
        (answer.map(|it| it.body["proven"].clone()).map_err(|it| it.status), status(&stage))
    };
    let silence = BrokerError::Unknown { reason: "silence".to_owned() };
    assert_eq!(test(Err(silence)), (Err(502), ("active".to_owned(), false)));
    assert_eq!(test(Ok(sample::balances())), (Ok(true.into()), ("active".to_owned(), true)));
    let refused = BrokerError::Authentication { reason: "Invalid access token".to_owned() };
    let (proven, (status, _)) = test(Err(refused));
    assert_eq!((proven, status.as_str()), (Ok(false.into()), "refused"));
}

#[test]
fn a_credential_is_not_removed_while_something_of_ours_is_at_work_there() {
    let stage = Stage::default();
    let id = stage.stored();
    let account = AccountRef { user: sample::user(1), account: id, environment: Environment::Sandbox };
    let path = format!("/v1/credentials?accountId={id}");
    run(sample::trigger(&stage.ledger, 1)).unwrap();
    let entry = OrderIntent::Opening(sample::opening(&account, 1, 2));
    run(stage.ledger.record_intent(&sample::ready(entry.clone()))).unwrap();
    let problem = stage.call("DELETE", &path, "").unwrap_err();
    assert_eq!(problem.status, 409);
    assert!(problem.detail.contains("POST /v1/flatten"), "{problem:?}");
    // Another number under the same id would leave the position behind just the same.
    let renumbered = GOOD.replace("VA00000001", "VA00000002");
    let renumbered = renumbered.replace("\"sandbox\"", &format!("\"sandbox\",\"accountId\":\"{id}\""));
    assert_eq!(stage.call("PUT", "/v1/credentials", &renumbered).unwrap_err().status, 409);
    run(stage.ledger.request_stop(&account, entry.head().id, at(10, 0, 1))).unwrap();
    let view = run(sample::read(&stage.ledger, &account, entry.head().id)).unwrap();
    let mut ended = sample::progress(&view, None, at(10, 0, 2));
    (ended.state, ended.follow_up) = (domain::intent::IntentState::Done, None);
    run(stage.ledger.record_progress(&ended)).unwrap();
    assert_eq!(stage.call("DELETE", &path, "").unwrap().status, 200);
    assert!(stage.secrets.0.borrow().is_empty());
    assert_eq!(stage.call("GET", "/v1/credentials", "").unwrap().body, serde_json::json!([]));
    assert_eq!(stage.call("DELETE", &path, "").unwrap_err().status, 404);
    assert_eq!(stage.call("DELETE", "/v1/credentials", "").unwrap_err().field.as_deref(), Some("accountId"));
}
