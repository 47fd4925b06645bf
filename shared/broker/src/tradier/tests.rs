//! The account against bodies in the broker's shapes, with a transport that plays them back and keeps what was sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use super::*;
use domain::account::{AccountRef, AccountType, Environment};
use domain::gate::GateCheck;
use domain::ids::{AccountId, AttemptNo, BrokerOrderId, IntentId, OrderTag, UserId};
use domain::intent::{
    self, Action, CloseAmount, ClosingIntent, DecisionMarket, IntentHead, OpeningIntent, Origin,
};
use domain::market::Points;
use domain::money::{Price, Side, Usd};
use domain::order::{BrokerOrder, BrokerStatus, Mark, Ticket};
use domain::ports::{BrokerPort, CancelAnswer};
use domain::setup::{Direction, SetupKind, SetupLevels};
use domain::symbol::{OccSymbol, Root, Underlying};
use domain::time::UtcNanos;

mod fuzz;
mod market;
mod orders;
mod reads;
mod tickets;
mod writes;

/// Drives a future that never waits.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits for something no port gave"),
    }
}

pub(crate) const NOW: UtcNanos = UtcNanos::from_secs(1_795_187_000);
const SERIES: &str = "SPXW261120C05610000";

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fixed(pub(crate) UtcNanos);

impl Clock for Fixed {
    fn now(&self) -> UtcNanos {
        self.0
    }
}

/// Plays answers back, in order, and keeps the requests.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    pub(crate) answers: RefCell<VecDeque<Result<Reply, TransportError>>>,
    pub(crate) sent: RefCell<Vec<Request>>,
}

impl Transport for Tape {
    async fn send(&self, request: &Request) -> Result<Reply, TransportError> {
        self.sent.borrow_mut().push(request.clone());
        self.answers
            .borrow_mut()
            .pop_front()
            .unwrap_or_else(|| Err(TransportError::NotSent("end of tape".into())))
    }
}

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
}

type Account = Tradier<Rc<Tape>, Fixed>;

fn account(answers: Vec<Result<Reply, TransportError>>) -> (Account, Rc<Tape>) {
    let tape = Rc::new(Tape { answers: RefCell::new(answers.into()), sent: RefCell::default() });
    let budget = Rc::new(RateBudget::new(Environment::Sandbox));
    let number = "VA00009876".parse().unwrap();
    (Tradier::new(Rc::clone(&tape), Fixed(NOW), Token::new("tok-3n"), number, budget), tape)
}

fn answering(status: u16, body: &str) -> Account {
    account(vec![Ok(reply(status, body))]).0
}

fn tag() -> OrderTag {
    OrderTag { intent: IntentId::of(&[b"an intent"]), attempt: AttemptNo(2) }
}

fn mark(at: UtcNanos) -> Mark {
    Mark { tag: tag(), at, version: 3 }
}

fn head(action: Action) -> IntentHead {
    IntentHead {
        id: IntentId::of(&[b"an intent"]),
        account: AccountRef {
            user: UserId(uuid::Uuid::from_u128(1)),
            account: AccountId(uuid::Uuid::from_u128(2)),
            environment: Environment::Sandbox,
        },
        origin: Origin::Flatten(NOW.new_york_date()),
        sequence: 1,
        action,
        series: SERIES.parse().unwrap(),
        decided_at: NOW,
    }
}

fn levels() -> SetupLevels {
    SetupLevels {
        zone_low: Points::whole(5_609),
        zone_high: Points::whole(5_611),
        stop: Points::whole(5_600),
        t1: Points::whole(5_620),
        t2: Points::whole(5_630),
        r_index: Points::whole(10),
    }
}

fn opening() -> intent::Approved<OpeningIntent> {
    let gates: Vec<GateCheck> =
        intent::OPENING_GATES.iter().map(|it| GateCheck::holds(it, true, "yes", "yes", "")).collect();
    let opening = OpeningIntent {
        head: head(Action::Enter),
        kind: SetupKind::OrbBreakout,
        direction: Direction::Long,
        quantity: 2,
        worst: Price::from_cents(260),
        market: DecisionMarket {
            spot: Points::whole(5_611),
            bid: Price::from_cents(230),
            ask: Price::from_cents(240),
        },
        levels: levels(),
        risk_per_contract: Usd::from_dollars(120),
        release_at: None,
    };
    intent::approve_opening(opening, &gates).unwrap()
}

fn entry_ticket(marked_at: UtcNanos) -> Ticket {
    Ticket::buy_to_open(&opening(), &mark(marked_at), 2, Price::from_cents(205))
}

fn exit_ticket() -> Ticket {
    let closing = ClosingIntent {
        head: head(Action::Stop),
        opening: None,
        amount: CloseAmount::All,
        reason: "stop".to_owned(),
    };
    let approved = intent::approve_closing(&closing, 3, 3).unwrap();
    let long_ago = NOW.minus(Duration::from_secs(600));
    Ticket::sell_to_close(&approved, &mark(long_ago), SERIES.parse().unwrap(), Price::from_cents(310))
}

fn refused(reason: &str) -> BrokerError {
    BrokerError::Refused { reason: reason.to_owned() }
}

/// The variant of an error: what the caller goes by.
fn kind<T: std::fmt::Debug>(result: Result<T, BrokerError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(BrokerError::Refused { .. }) => "refused",
        Err(BrokerError::NotSent { .. }) => "not sent",
        Err(BrokerError::Unknown { .. }) => "unknown",
        Err(BrokerError::RateLimited { .. }) => "rate limited",
        Err(BrokerError::Authentication { .. }) => "authentication",
        Err(BrokerError::Broken { .. }) => "broken",
    }
}

const FAULT: &str = r#"{"fault":{"faultstring":"Invalid Access Token","detail":{"errorcode":"keymanagement.service.invalid_access_token"}}}"#;
const QUOTA: &str = r#"{"fault":{"faultstring":"Rate limit quota violation. Quota limit exceeded.","detail":{"errorcode":"policies.ratelimit.QuotaViolation"}}}"#;

fn order_row(extra: &str) -> String {
    format!(
        r#"{{"id":88120001,"type":"limit","symbol":"SPX","side":"buy_to_open","quantity":3.0,"status":"open","duration":"day","price":2.35,"avg_fill_price":0.0,"exec_quantity":0.0,"last_fill_price":0.0,"last_fill_quantity":0.0,"remaining_quantity":3.0,"create_date":"2026-11-20T14:31:05.118Z","transaction_date":"2026-11-20T14:31:05.201Z","class":"option","option_symbol":"{SERIES}"{extra}}}"#
    )
}
