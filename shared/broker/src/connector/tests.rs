use domain::ids::BrokerOrderId;
use domain::ids::UserId;
use domain::money::Price;
use domain::ports::{BrokerError, BrokerPort};

use super::*;
use crate::tradier::tests::{NOW, Tape, now};
use crate::transport::Reply;

/// A clock the test moves.
type Hand = Rc<Cell<UtcNanos>>;

#[derive(Clone, Debug)]
struct HandClock(Hand);

impl Clock for HandClock {
    fn now(&self) -> UtcNanos {
        self.0.get()
    }
}

/// Secrets in memory that count how often they are read.
#[derive(Clone, Debug)]
struct Shared(Rc<Safe>);

/// What [`Shared`] shares.
#[derive(Debug, Default)]
struct Safe {
    held: RefCell<Vec<BrokerCredential>>,
    reads: Cell<u32>,
}

impl Secrets for Shared {
    async fn credential(&self, _: UserId, account: AccountId) -> Result<BrokerCredential, SecretError> {
        self.0.reads.set(self.0.reads.get() + 1);
        let held = self.0.held.borrow();
        let found = held.iter().find(|it| it.account.account == account).cloned();
        found.ok_or_else(|| SecretError::Missing(format!("of {account}")))
    }

    async fn all_credentials(&self) -> Result<Vec<BrokerCredential>, SecretError> {
        Ok(self.0.held.borrow().clone())
    }

    async fn put(&self, credential: &BrokerCredential) -> Result<String, SecretError> {
        self.0.held.borrow_mut().push(credential.clone());
        Ok("name".to_owned())
    }

    async fn remove(&self, _: UserId, account: AccountId) -> Result<(), SecretError> {
        self.0.held.borrow_mut().retain(|it| it.account.account != account);
        Ok(())
    }
}

fn of(account: u128, environment: Environment) -> AccountRef {
    AccountRef {
        user: UserId(uuid::Uuid::from_u128(1)),
        account: AccountId(uuid::Uuid::from_u128(account)),
        environment,
    }
}

fn credential(account: AccountRef, token: &str) -> BrokerCredential {
    let number = "VA00009876".parse().unwrap();
    BrokerCredential { account, token: Token::new(token), number, flatten_foreign: false }
}

struct World {
    safe: Rc<Safe>,
    hand: Hand,
    sandbox: Rc<Tape>,
    live: Rc<Tape>,
}

fn world(credentials: Vec<BrokerCredential>, live: bool) -> (Connector<Shared, Rc<Tape>, HandClock>, World) {
    let safe = Rc::new(Safe { held: RefCell::new(credentials), reads: Cell::new(0) });
    let it = World { safe, hand: Rc::new(Cell::new(NOW)), sandbox: Rc::default(), live: Rc::default() };
    let way = live.then(|| Rc::clone(&it.live));
    let connector = Connector::new(
        Shared(Rc::clone(&it.safe)),
        HandClock(Rc::clone(&it.hand)),
        Rc::clone(&it.sandbox),
        way,
    );
    (connector, it)
}

#[test]
fn a_sandbox_deployment_never_reaches_the_live_host_and_reads_no_secret_for_it() {
    let account = of(7, Environment::Live);
    let (connector, it) = world(vec![credential(account, "t")], false);
    assert_eq!(
        now(connector.account(&account)).unwrap_err(),
        ConnectError::Environment { environment: "live" }
    );
    assert_eq!(it.safe.reads.get(), 0);
}

#[test]
fn each_environment_goes_to_its_own_host_and_paper_to_none() {
    let (sandbox, live, paper) =
        (of(1, Environment::Sandbox), of(2, Environment::Live), of(3, Environment::Paper));
    let (connector, it) = world(vec![credential(sandbox, "s"), credential(live, "l")], true);
    assert!(now(now(connector.account(&sandbox)).unwrap().positions()).is_err());
    assert_eq!((it.sandbox.sent.borrow().len(), it.live.sent.borrow().len()), (1, 0));
    assert!(now(now(connector.account(&live)).unwrap().positions()).is_err());
    assert_eq!((it.sandbox.sent.borrow().len(), it.live.sent.borrow().len()), (1, 1));
    assert_eq!(
        now(connector.account(&paper)).unwrap_err(),
        ConnectError::Environment { environment: "paper" }
    );
}

#[test]
fn a_secret_of_another_account_environment_or_without_a_token_is_refused() {
    let asked = of(1, Environment::Sandbox);
    for wrong in [credential(of(1, Environment::Live), "t"), credential(asked, " ")] {
        let (connector, _) = world(vec![wrong], true);
        let error = now(connector.account(&asked)).unwrap_err();
        assert!(matches!(error, ConnectError::Secret(SecretError::Malformed { .. })), "{error}");
    }
    let (connector, _) = world(vec![], true);
    let error = now(connector.account(&asked)).unwrap_err();
    assert!(matches!(error, ConnectError::Secret(SecretError::Missing(_))), "{error}");
}

#[test]
fn a_secret_is_read_once_a_minute() {
    let account = of(1, Environment::Sandbox);
    let (connector, it) = world(vec![credential(account, "t")], false);
    for (at, reads) in [(0, 1), (59, 1), (60, 2), (61, 2)] {
        it.hand.set(NOW.plus(Duration::from_secs(at)));
        now(connector.account(&account)).unwrap();
        assert_eq!(it.safe.reads.get(), reads, "after {at} s");
    }
}

#[test]
fn a_refused_token_is_read_anew_at_once() {
    let account = of(1, Environment::Sandbox);
    let (connector, it) = world(vec![credential(account, "old")], false);
    let fault = r#"{"fault":{"faultstring":"Access Token expired"}}"#;
    let reply = Reply { status: 401, headers: Vec::new(), body: fault.as_bytes().to_vec() };
    it.sandbox.answers.borrow_mut().push_back(Ok(reply));
    let opened = now(connector.account(&account)).unwrap();
    assert!(matches!(now(opened.balances()), Err(BrokerError::Authentication { .. })));
    it.safe.held.replace(vec![credential(account, "new")]);
    let opened = now(connector.account(&account)).unwrap();
    assert!(now(opened.balances()).is_err());
    assert_eq!(it.safe.reads.get(), 2);
    assert_eq!(it.sandbox.sent.borrow().last().unwrap().token.reveal(), "new");
}

#[test]
fn accounts_with_one_token_share_one_rate_budget() {
    let (a, b, c) = (of(1, Environment::Sandbox), of(2, Environment::Sandbox), of(3, Environment::Sandbox));
    let (connector, _) =
        world(vec![credential(a, "same"), credential(b, "same"), credential(c, "other")], false);
    let open = |account| now(connector.account(account)).unwrap();
    for _ in 0..48 {
        assert!(
            now(open(&a).modify(BrokerOrderId(1), Price::from_cents(5), false)).is_err(),
            "the tape is empty"
        );
    }
    let entry = |account| now(open(account).modify(BrokerOrderId(1), Price::from_cents(5), false));
    assert!(matches!(entry(&b), Err(BrokerError::RateLimited { .. })));
    assert!(matches!(entry(&c), Err(BrokerError::NotSent { .. })), "another token has a budget of its own");
}

#[test]
fn every_worker_of_a_process_counts_in_one_budget_and_the_fifth_is_left_for_exits() {
    let (first, at) = world(vec![credential(of(7, Environment::Sandbox), "one token")], false);
    let budgets = Budgets::default();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            Connector::new(
                Shared(Rc::clone(&at.safe)),
                HandClock(Rc::clone(&at.hand)),
                Rc::clone(&at.sandbox),
                None,
            )
            .counting_in(&budgets)
            .reading_for(Purpose::Entry)
        })
        .collect();
    let closer = Connector::new(
        Shared(Rc::clone(&at.safe)),
        HandClock(Rc::clone(&at.hand)),
        Rc::clone(&at.sandbox),
        None,
    )
    .counting_in(&budgets);
    drop(first);
    let account = of(7, Environment::Sandbox);
    let answer = || Ok(Reply { status: 200, headers: Vec::new(), body: br#"{"positions":"null"}"#.to_vec() });
    at.sandbox.answers.borrow_mut().extend(std::iter::repeat_with(answer).take(100));
    let read = |worker: &Connector<Shared, Rc<Tape>, HandClock>| {
        now(now(worker.account(&account)).unwrap().positions()).is_ok()
    };
    // Turn by turn, as workers do: together they get what one would.
    let done = (0..100).filter(|n| read(&workers[n % 4])).count();
    assert_eq!(done, 48, "four fifths of sixty");
    assert_eq!((0..100).filter(|_| read(&closer)).count(), 12, "the rest is for exits");
    // Another token has a budget of its own.
    let other = of(8, Environment::Sandbox);
    at.safe.held.borrow_mut().push(credential(other, "another token"));
    assert!(now(now(workers[0].account(&other)).unwrap().positions()).is_ok());
}
