//! The account against bodies in the broker's shapes, with a transport that plays them back and keeps what was sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use domain::account::{AccountRef, AccountType, Environment};
use domain::gate::GateCheck;
use domain::ids::{AccountId, AttemptNo, IntentId, OrderTag, UserId};
use domain::intent::{
    self, Action, CloseAmount, ClosingIntent, DecisionMarket, IntentHead, OpeningIntent, Origin,
};
use domain::market::Points;
use domain::money::{Side, Usd};
use domain::order::{BrokerStatus, Mark};
use domain::setup::{Direction, SetupKind, SetupLevels};
use domain::time::UtcNanos;
use proptest::prelude::*;

use super::*;

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

fn entry_ticket(marked_at: UtcNanos) -> Ticket {
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
    };
    let approved = intent::approve_opening(opening, &gates).unwrap();
    Ticket::buy_to_open(&approved, &mark(marked_at), 2, Price::from_cents(205))
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

#[test]
fn an_entry_is_a_day_limit_order_under_the_underlying_with_two_decimals_and_its_tag() {
    let (broker, tape) =
        account(vec![Ok(reply(200, r#"{"order":{"id":88120001,"status":"ok","partner_id":"p"}}"#))]);
    assert_eq!(now(broker.place(&entry_ticket(NOW))), Ok(BrokerOrderId(88_120_001)));
    let sent = tape.sent.borrow();
    let form: Vec<String> = sent[0].form.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        (sent.len(), sent[0].method, &*sent[0].path),
        (1, Method::Post, "/v1/accounts/VA00009876/orders")
    );
    assert_eq!(
        form.join("&"),
        format!(
            "class=option&symbol=SPX&option_symbol={SERIES}&side=buy_to_open&quantity=2&type=limit&duration=day&price=2.05&tag={}",
            tag()
        )
    );
}

#[test]
fn a_close_sells_to_close_however_old_its_mark() {
    let (broker, tape) = account(vec![Ok(reply(200, r#"{"order":{"id":5,"status":"ok"}}"#))]);
    assert_eq!(now(broker.place(&exit_ticket())), Ok(BrokerOrderId(5)));
    let form = tape.sent.borrow()[0].form.clone();
    let value = |name: &str| form.iter().find(|it| it.0 == name).map(|it| it.1.clone());
    assert_eq!(
        (value("side").as_deref(), value("quantity").as_deref(), value("price").as_deref()),
        (Some("sell_to_close"), Some("3"), Some("3.10"))
    );
}

#[test]
fn an_entry_leaves_up_to_two_seconds_after_its_mark_and_not_a_nanosecond_later() {
    let at = |age_ns: i64| UtcNanos(NOW.0 - age_ns);
    let (broker, tape) = account(vec![Ok(reply(200, r#"{"order":{"id":5,"status":"ok"}}"#))]);
    assert_eq!(kind(now(broker.place(&entry_ticket(at(2_000_000_001))))), "not sent");
    assert_eq!(tape.sent.borrow().len(), 0);
    assert_eq!(kind(now(broker.place(&entry_ticket(at(2_000_000_000))))), "ok");
}

#[test]
fn every_answer_to_a_post_is_final_only_where_it_proves_something() {
    let errors = |text: &str| format!(r#"{{"errors":{{"error":{text}}}}}"#);
    for (status, body, want) in [
        (200, r#"{"order":{"id":7,"status":"ok"}}"#.to_owned(), "ok"),
        (200, r#"{"order":{"id":7.0,"status":"new_word"}}"#.to_owned(), "ok"),
        (200, errors(r#""You do not have enough buying power for this trade.""#), "refused"),
        (200, errors(r#"["Backoffice rejected override of the order.","InitialMargin"]"#), "refused"),
        (400, errors(r#""InitialMargin""#), "refused"),
        (200, r#"{"errors":"plain"}"#.to_owned(), "refused"),
        (200, errors(r#""OmsInternalError""#), "unknown"),
        (200, errors(r#"["OMS trouble","OmsUnavailable: try later"]"#), "unknown"),
        (500, errors(r#""InitialMargin""#), "unknown"),
        (200, r#"{"order":{"id":7},"errors":{"error":"x"}}"#.to_owned(), "unknown"),
        (200, r#"{"order":{"status":"ok"}}"#.to_owned(), "unknown"),
        (200, r#"{"order":"null"}"#.to_owned(), "unknown"),
        (200, String::new(), "unknown"),
        (200, r#"{"order":{"id":7,"#.to_owned(), "unknown"),
        (200, "<html>welcome</html>".to_owned(), "unknown"),
        (302, String::new(), "unknown"),
        (400, "Invalid parameter, tag: contains invalid characters.".to_owned(), "refused"),
        (400, "Unexpected server error".to_owned(), "unknown"),
        (401, FAULT.to_owned(), "authentication"),
        (401, "Access Token expired".to_owned(), "authentication"),
        (401, "Unauthorized Account: VA00009876".to_owned(), "refused"),
        (401, String::new(), "unknown"),
        (404, String::new(), "unknown"),
        (429, String::new(), "unknown"),
        (429, QUOTA.to_owned(), "unknown"),
        (500, QUOTA.to_owned(), "unknown"),
        (500, "An error occurred while communicating with the backend.".to_owned(), "unknown"),
        (500, r#"{"fault":{"faultstring":"Datastore Error"}}"#.to_owned(), "unknown"),
        (502, "<html>Bad Gateway</html>".to_owned(), "unknown"),
        (503, String::new(), "unknown"),
        (504, String::new(), "unknown"),
    ] {
        let (broker, tape) = account(vec![Ok(reply(status, &body))]);
        assert_eq!(kind(now(broker.place(&exit_ticket()))), want, "{status} {body}");
        assert_eq!(tape.sent.borrow().len(), 1, "a POST leaves once: {status} {body}");
    }
}

#[test]
fn a_post_without_an_answer_is_unknown_unless_it_never_left() {
    for (error, want) in [
        (TransportError::NotSent("refused".into()), "not sent"),
        (TransportError::Unknown("time-out".into()), "unknown"),
    ] {
        let (broker, tape) = account(vec![Err(error)]);
        assert_eq!(kind(now(broker.place(&entry_ticket(NOW)))), want);
        assert_eq!(tape.sent.borrow().len(), 1);
    }
}

#[test]
fn reasons_are_the_brokers_words_without_the_account_number_or_the_token() {
    let body = r#"{"errors":{"error":["First. ","VA00009876 and tok-3n"]}}"#;
    assert_eq!(now(answering(200, body).place(&exit_ticket())), Err(refused("First. [hidden] and [hidden]")));
    let text = "Unauthorized Account: VA00009876";
    assert_eq!(now(answering(401, text).balances()), Err(refused("Unauthorized Account: [hidden]")));
    let long = format!("<html>{}</html>", "x".repeat(10_000));
    let Err(BrokerError::Broken { reason }) = now(answering(502, &long).balances()) else {
        panic!("a 502 is broken")
    };
    assert!(reason.len() < 400, "{} bytes", reason.len());
}

#[test]
fn every_answer_to_a_cancel_says_no_more_than_it_knows() {
    for (status, body, want) in [
        (200, r#"{"order":{"id":9,"status":"ok"}}"#, Ok("requested")),
        (200, r#"{"order":{"id":9,"status":"pending_cancel"}}"#, Ok("requested")),
        (200, r#"{"order":{"id":8,"status":"ok"}}"#, Err("unknown")),
        (400, "order already in finalized state: canceled", Ok("final")),
        (400, "order already in finalized state: filled", Ok("final")),
        (200, "order already in finalized state: filled", Ok("final")),
        (200, r#"{"errors":{"error":"order already in finalized state: expired"}}"#, Ok("final")),
        (200, r#"{"errors":{"error":"OmsUnavailable"}}"#, Err("unknown")),
        (401, "Unauthorized Account: VA00009876", Err("refused")),
        (401, FAULT, Err("authentication")),
        (429, QUOTA, Err("rate limited")),
        (500, "An error occurred while communicating with the backend.", Err("unknown")),
        (200, "", Err("unknown")),
        (404, "", Err("unknown")),
    ] {
        let (broker, tape) = account(vec![Ok(reply(status, body))]);
        let got = match now(broker.cancel(BrokerOrderId(9))) {
            Ok(CancelAnswer::Requested) => Ok("requested"),
            Ok(CancelAnswer::AlreadyFinal) => Ok("final"),
            Err(error) => Err(kind(Err::<(), _>(error))),
        };
        assert_eq!(got, want, "{status} {body}");
        let sent = tape.sent.borrow();
        assert_eq!((sent[0].method, &*sent[0].path), (Method::Delete, "/v1/accounts/VA00009876/orders/9"));
    }
}

#[test]
fn a_change_sends_the_price_alone_and_is_confirmed_by_the_orders_id() {
    for (status, body, want) in [
        (200, r#"{"order":{"id":9,"status":"ok","partner_id":"p"}}"#, "ok"),
        (200, r#"{"order":{"id":9,"status":"ok"}}"#, "ok"),
        (200, r#"{"order":{"id":10,"status":"ok"}}"#, "unknown"),
        (400, "order already in finalized state: filled", "refused"),
        (400, "Invalid parameter, price: must use up to 2 decimal place(s)", "refused"),
        (200, r#"{"errors":{"error":"OrderContingentChangeNotAllowed"}}"#, "refused"),
        (429, "", "rate limited"),
        (502, "", "unknown"),
    ] {
        let (broker, tape) = account(vec![Ok(reply(status, body))]);
        assert_eq!(
            kind(now(broker.modify(BrokerOrderId(9), Price::from_cents(300), true))),
            want,
            "{status} {body}"
        );
        let sent = tape.sent.borrow();
        assert_eq!(
            (sent[0].method, &sent[0].form),
            (Method::Put, &vec![("price".to_owned(), "3.00".to_owned())])
        );
    }
}

#[test]
fn every_answer_to_a_read_is_sorted_by_what_the_caller_does_next() {
    for (status, body, want) in [
        (200, "", "broken"),
        (200, "{}", "broken"),
        (200, r#"{"orders":{"page":1}}"#, "broken"),
        (200, r#"{"orders":{"order":{"status":"open"}}}"#, "broken"),
        (200, "\u{1}", "broken"),
        (401, FAULT, "authentication"),
        (401, "Unauthorized Account: VA00009876", "refused"),
        (429, "Quota Violation", "rate limited"),
        (403, "quota violation", "rate limited"),
        (404, "", "broken"),
        (500, r#"{"fault":{"faultstring":"Datastore Error"}}"#, "broken"),
        (503, "<html></html>", "broken"),
    ] {
        assert_eq!(kind(now(answering(status, body).orders())), want, "{status} {body}");
    }
    let (broker, _) = account(vec![Err(TransportError::Unknown("time-out".into()))]);
    assert_eq!(kind(now(broker.orders())), "unknown");
}

#[test]
fn a_rate_limited_read_waits_for_the_windows_end_and_nothing_leaves_before() {
    for expiry in [NOW.millis() + 20_000, NOW.secs() + 20] {
        let limited = Reply {
            status: 429,
            headers: vec![("x-ratelimit-expiry".to_owned(), expiry.to_string())],
            body: Vec::new(),
        };
        let (broker, tape) = account(vec![Ok(limited)]);
        let until = NOW.plus(Duration::from_secs(20));
        assert_eq!(now(broker.positions()), Err(BrokerError::RateLimited { until }));
        assert_eq!(now(broker.positions()), Err(BrokerError::RateLimited { until }));
        assert_eq!(tape.sent.borrow().len(), 1);
    }
}

#[test]
fn an_entry_never_takes_the_fifth_that_is_kept_for_exits() {
    let ok = || Ok(reply(200, r#"{"order":{"id":5,"status":"ok"}}"#));
    let (broker, tape) = account(std::iter::repeat_with(ok).take(100).collect());
    let entries = (0..60).take_while(|_| now(broker.place(&entry_ticket(NOW))).is_ok()).count();
    assert_eq!((entries, kind(now(broker.place(&entry_ticket(NOW))))), (48, "rate limited"));
    assert_eq!(kind(now(broker.modify(BrokerOrderId(5), Price::from_cents(5), false))), "rate limited");
    assert!(now(broker.cancel(BrokerOrderId(5))).is_ok());
    assert!(now(broker.modify(BrokerOrderId(5), Price::from_cents(5), true)).is_ok());
    assert!(now(broker.place(&exit_ticket())).is_ok());
    assert_eq!(tape.sent.borrow().len(), 51);
}

fn balances_body(account_type: &str, block: &str) -> String {
    format!(
        r#"{{"balances":{{"option_short_value":-310.0,"total_equity":51200.750000000000000,"account_number":"VA00009876","account_type":"{account_type}","close_pl":-42.5,"current_requirement":0,"equity":0,"long_market_value":0,"market_value":0,"open_pl":7,"option_long_value":0,"option_requirement":0,"pending_orders_count":2,"short_market_value":0,"stock_long_value":0,"total_cash":50000,"uncleared_funds":0,"pending_cash":0,{block}}}}}"#
    )
}

#[test]
fn buying_power_comes_from_the_block_named_like_the_account_type() {
    let margin = r#""margin":{"fed_call":0,"option_buying_power":49000.25,"stock_buying_power":98000.5}"#;
    let pdt = r#""pdt":{"day_trade_buying_power":196001.0,"option_buying_power":49000.25}"#;
    let cash = r#""cash":{"cash_available":3100.0,"sweep":0,"unsettled_funds":450.0}"#;
    let read = |kind: &str, block: &str| now(answering(200, &balances_body(kind, block)).balances());
    let it = read("margin", margin).unwrap();
    assert_eq!((it.account_type, it.total_equity), (AccountType::Margin, Usd::from_e4(512_007_500)));
    assert_eq!((it.close_pl, it.open_pl), (Usd::from_cents(-4_250), Usd::from_dollars(7)));
    assert_eq!((it.option_buying_power, it.cash_available), (Some(Usd::from_cents(4_900_025)), None));
    assert_eq!(it.pending_orders, 2);
    let it = read("pdt", pdt).unwrap();
    assert_eq!(it.day_trade_buying_power, Some(Usd::from_dollars(196_001)));
    assert_eq!(read("pdt", margin).unwrap().usable(), None, "a margin block is not a pdt block");
    let it = read("cash", cash).unwrap();
    assert_eq!(
        (it.usable(), it.unsettled_funds),
        (Some(Usd::from_dollars(3_100)), Some(Usd::from_dollars(450)))
    );
    for (body, why) in [
        (balances_body("offshore", margin), "an unknown account type"),
        (balances_body("margin", margin).replace("VA00009876", "VA11110000"), "another account"),
        (balances_body("margin", margin).replace("\"total_cash\":50000,", ""), "no total_cash"),
    ] {
        assert_eq!(kind(now(answering(200, &body).balances())), "broken", "{why}");
    }
}

#[test]
fn positions_are_none_one_or_many_and_shares_are_left_out() {
    let row = |symbol: &str, quantity: &str| {
        format!(
            r#"{{"cost_basis":-150.0,"date_acquired":"2026-11-20T15:02:11.204Z","id":1,"quantity":{quantity},"symbol":"{symbol}"}}"#
        )
    };
    let read = |positions: &str| now(answering(200, &format!(r#"{{"positions":{positions}}}"#)).positions());
    assert_eq!(read(r#""null""#), Ok(vec![]));
    assert_eq!(read("null"), Ok(vec![]));
    let one = read(&format!(r#"{{"position":{}}}"#, row(SERIES, "-2.00000000"))).unwrap();
    assert_eq!((one[0].quantity, one[0].cost_basis), (-2, Usd::from_dollars(-150)));
    let many =
        format!(r#"{{"position":[{},{},{}]}}"#, row(SERIES, "1.0"), row("SPY", "10.5"), row("BRK/B", "1"));
    assert_eq!(read(&many).unwrap().len(), 1);
    for (broken, why) in [
        (row(SERIES, "1.5"), "half a contract"),
        (row(SERIES, "null"), "no quantity"),
        (row(SERIES, "1.0").replace("-150.0", "\"x\""), "a cost that is no number"),
        ("{}".to_owned(), "no symbol"),
        ("7".to_owned(), "no row"),
    ] {
        assert_eq!(kind(read(&format!(r#"{{"position":{broken}}}"#))), "broken", "{why}");
    }
}

fn order_row(extra: &str) -> String {
    format!(
        r#"{{"id":88120001,"type":"limit","symbol":"SPX","side":"buy_to_open","quantity":3.0,"status":"open","duration":"day","price":2.35,"avg_fill_price":0.0,"exec_quantity":0.0,"last_fill_price":0.0,"last_fill_quantity":0.0,"remaining_quantity":3.0,"create_date":"2026-11-20T14:31:05.118Z","transaction_date":"2026-11-20T14:31:05.201Z","class":"option","option_symbol":"{SERIES}"{extra}}}"#
    )
}

fn read_order(body: &str) -> Result<BrokerOrder, BrokerError> {
    now(answering(200, &format!(r#"{{"order":{body}}}"#)).order(BrokerOrderId(88_120_001)))
}

#[test]
fn orders_are_read_page_by_page_until_one_brings_nothing_new() {
    let page = |ids: &[u64]| {
        let rows: Vec<String> =
            ids.iter().map(|id| order_row("").replace("88120001", &id.to_string())).collect();
        Ok(reply(200, &format!(r#"{{"orders":{{"order":[{}]}}}}"#, rows.join(","))))
    };
    let empty = || Ok(reply(200, r#"{"orders":"null"}"#));
    let ids = |orders: Vec<BrokerOrder>| orders.iter().map(|it| it.id.0).collect::<Vec<_>>();
    let (broker, tape) = account(vec![page(&[1, 2]), page(&[2, 3]), empty()]);
    assert_eq!(ids(now(broker.orders()).unwrap()), [1, 2, 3]);
    let query: Vec<String> =
        tape.sent.borrow()[1].query.iter().map(|it| format!("{}={}", it.0, it.1)).collect();
    assert_eq!(query, ["page=2", "limit=1500", "includeTags=true"]);
    let (broker, tape) = account(vec![page(&[1]), page(&[1])]);
    assert_eq!(ids(now(broker.orders()).unwrap()), [1], "a server that ignores the page does not hang us");
    assert_eq!(tape.sent.borrow().len(), 2);
    let (broker, _) = account(vec![page(&[1]), Ok(reply(502, ""))]);
    assert_eq!(kind(now(broker.orders())), "broken", "half a list is no list");
    assert_eq!(now(account(vec![empty()]).0.orders()), Ok(vec![]));
}

#[test]
fn a_list_of_one_order_is_an_object_and_our_tag_is_read_back() {
    let body = format!(r#"{{"orders":{{"order":{}}}}}"#, order_row(&format!(r#","tag":"{}""#, tag())));
    let (broker, _) = account(vec![Ok(reply(200, &body)), Ok(reply(200, r#"{"orders":"null"}"#))]);
    let orders = now(broker.orders()).unwrap();
    let leg = orders[0].single().unwrap();
    assert_eq!(
        (orders[0].tag, orders[0].status, orders[0].price),
        (Some(tag()), BrokerStatus::Open, Some(Price::from_cents(235)))
    );
    assert_eq!((leg.side, leg.opens, leg.quantity, leg.executed, leg.average), (Side::Buy, true, 3, 0, None));
    assert_eq!(orders[0].created_at, UtcNanos::parse("2026-11-20T14:31:05.118Z"));
}

#[test]
fn a_status_we_do_not_know_is_not_final() {
    for (word, want) in [
        (r#""pending""#, BrokerStatus::Pending),
        (r#""partially_filled""#, BrokerStatus::PartiallyFilled),
        (r#""pending_cancel""#, BrokerStatus::PendingCancel),
        (r#""filled""#, BrokerStatus::Filled),
        (r#""canceled""#, BrokerStatus::Canceled),
        (r#""expired""#, BrokerStatus::Expired),
        (r#""rejected""#, BrokerStatus::Rejected),
        (r#""error""#, BrokerStatus::Other),
        (r#""held""#, BrokerStatus::Other),
        (r#""calculated""#, BrokerStatus::Other),
        ("null", BrokerStatus::Other),
        ("3", BrokerStatus::Other),
    ] {
        let order = read_order(&order_row("").replace(r#""open""#, word)).unwrap();
        assert_eq!(order.status, want, "{word}");
        assert_eq!(order.status.is_final(), !matches!(want, BrokerStatus::Other) && want.is_final());
    }
}

#[test]
fn a_fill_may_show_before_its_price_and_its_quantity() {
    let filled = order_row("").replace(r#""open""#, r#""filled""#);
    let leg = |body: &str| *read_order(body).unwrap().single().unwrap();
    assert_eq!((leg(&filled).executed, leg(&filled).average), (0, None));
    let bare = filled.replace(r#""avg_fill_price":0.0,"exec_quantity":0.0,"#, "");
    assert_eq!((leg(&bare).executed, leg(&bare).average), (0, None));
    let whole = filled.replace(
        r#""avg_fill_price":0.0,"exec_quantity":0.0"#,
        r#""avg_fill_price":2.3166666666,"exec_quantity":3.0"#,
    );
    assert_eq!((leg(&whole).executed, leg(&whole).average), (3, Some(Usd::from_e4(23_167))));
}

#[test]
fn what_a_canceled_order_executed_is_read_and_never_derived() {
    let canceled = order_row("")
        .replace(r#""open""#, r#""canceled""#)
        .replace(r#""remaining_quantity":3.0"#, r#""remaining_quantity":0.0"#);
    let part = canceled.replace(r#""exec_quantity":0.0"#, r#""exec_quantity":1.0"#);
    assert_eq!(read_order(&canceled).unwrap().single().unwrap().executed, 0);
    assert_eq!(read_order(&part).unwrap().single().unwrap().executed, 1);
    assert_eq!(kind(read_order(&canceled.replace(r#""exec_quantity":0.0,"#, ""))), "broken");
}

#[test]
fn a_rejection_keeps_the_brokers_words() {
    let body = order_row(r#","reason_description":"You do not have enough buying power for this trade.""#);
    let order = read_order(&body.replace(r#""open""#, r#""rejected""#)).unwrap();
    assert_eq!(order.reason.as_deref(), Some("You do not have enough buying power for this trade."));
}

#[test]
fn a_multi_leg_order_is_its_legs_and_a_market_order_has_no_price() {
    let leg = |id: u32, side: &str, symbol: &str, average: &str| {
        format!(
            r#"{{"id":{id},"type":"credit","symbol":"SPX","side":"{side}","quantity":2.0,"status":"filled","price":1.05,"avg_fill_price":{average},"exec_quantity":2.0,"class":"option","option_symbol":"{symbol}"}}"#
        )
    };
    let legs = format!(
        "[{},{}]",
        leg(88_120_002, "sell_to_close", "SPXW261120P05550000", "4.77"),
        leg(88_120_003, "buy_to_close", "SPXW261120P05540000", "3.72")
    );
    let parent = |kind: &str, legs: &str| {
        format!(
            r#"{{"id":88120001,"type":"{kind}","symbol":"SPX","side":"buy","quantity":4.0,"status":"filled","price":1.05,"avg_fill_price":-1.05,"exec_quantity":4.0,"class":"multileg","num_legs":2,"strategy":"spread","leg":{legs}}}"#
        )
    };
    let order = read_order(&parent("credit", &legs)).unwrap();
    let seen: Vec<_> = order.legs.iter().map(|it| (it.side, it.opens, it.quantity, it.average)).collect();
    assert_eq!(
        seen,
        [
            (Side::Sell, false, 2, Some(Usd::from_cents(477))),
            (Side::Buy, false, 2, Some(Usd::from_cents(372)))
        ]
    );
    assert_eq!(order.single(), None);
    let one = read_order(&parent("market", &leg(88_120_002, "sell_to_close", SERIES, "1.0"))).unwrap();
    assert_eq!((one.legs.len(), one.price), (1, None), "a single leg collapses to an object");
    assert_eq!(kind(read_order(&parent("credit", r#""null""#))), "broken");
}

#[test]
fn foreign_orders_of_any_class_do_not_hide_ours() {
    let oco = format!(
        r#"{{"id":4,"status":"open","duration":"gtc","class":"oco","num_legs":2,"leg":[{},{{"id":6,"type":"stop","side":"sell_to_close","stop_price":1.2}}]}}"#,
        order_row("")
    );
    let rows = [
        r#"{"id":1,"type":"market","symbol":"SPY","side":"buy","quantity":1.25,"status":"filled","class":"equity"}"#.to_owned(),
        oco,
        order_row("").replace("88120001", "7").replace("3.0,\"status\"", "1.5,\"status\""),
        order_row("").replace("88120001", "8").replace("buy_to_open", "sideways"),
        order_row("").replace("88120001", "9").replace(r#""tag""#, "").replace(SERIES, "ADJ1 weird"),
        order_row(&format!(r#","tag":"{}""#, tag())),
    ];
    let list = |rows: &[String]| format!(r#"{{"orders":{{"order":[{}]}}}}"#, rows.join(","));
    let (broker, _) = account(vec![Ok(reply(200, &list(&rows))), Ok(reply(200, r#"{"orders":"null"}"#))]);
    let legs: Vec<(u64, usize)> =
        now(broker.orders()).unwrap().iter().map(|it| (it.id.0, it.legs.len())).collect();
    assert_eq!(legs, [(1, 0), (4, 1), (7, 0), (8, 0), (9, 0), (88_120_001, 1)]);
    let ours = order_row(&format!(r#","tag":"{}""#, tag())).replace("buy_to_open", "sideways");
    assert_eq!(kind(now(answering(200, &list(&[ours])).orders())), "broken", "our own must be readable");
}

#[test]
fn the_order_asked_for_is_the_order_read() {
    let other = order_row("").replace("88120001", "88120009");
    assert_eq!(kind(read_order(&other)), "broken");
    assert_eq!(
        kind(now(answering(401, "Unauthorized Account: VA00009876").order(BrokerOrderId(1)))),
        "refused"
    );
}

const QUOTE: &str = r#"{"symbol":"SPXW261120C05610000","description":"SPXW \"Nov\" 20","exch":"C","type":"option","last":null,"volume":12,"bid":2.3,"ask":2.4,"underlying":"SPX","strike":5610.0,"bidsize":41,"bid_date":1795186801000,"asksize":37,"ask_date":1795186802000,"open_interest":1204,"root_symbol":"SPXW","greeks":{"delta":0.41}}"#;

#[test]
fn quotes_come_back_in_the_order_asked_with_gaps_for_what_is_not_known() {
    let unknown: OccSymbol = "SPXW261120C09990000".parse().unwrap();
    let known: OccSymbol = SERIES.parse().unwrap();
    let read =
        |quotes: &str| now(answering(200, &format!(r#"{{"quotes":{quotes}}}"#)).quotes(&[unknown, known]));
    let both =
        read(&format!(r#"{{"quote":{QUOTE},"unmatched_symbols":{{"symbol":"SPXW261120C09990000"}}}}"#))
            .unwrap();
    let quote = both[1].unwrap();
    assert_eq!(both[0], None);
    assert_eq!(quote.two_sided(), Some((Price::from_cents(230), Price::from_cents(240))));
    assert_eq!((quote.bid_size, quote.ask_size, quote.ts), (41, 37, UtcNanos::from_secs(1_795_186_802)));
    assert_eq!(read(r#"{"unmatched_symbols":{"symbol":["A","B"]}}"#), Ok(vec![None, None]));
    assert_eq!(kind(read("{}")), "broken");
    let no_bid = QUOTE
        .replace(r#""bid":2.3"#, r#""bid":0.0"#)
        .replace("1795186801000", "0")
        .replace("1795186802000", "0");
    let quote = read(&format!(r#"{{"quote":[{no_bid}]}}"#)).unwrap()[1].unwrap();
    assert_eq!((quote.bid, quote.bid_size, quote.ts), (None, 0, UtcNanos(0)));
    assert_eq!(kind(read(&format!(r#"{{"quote":{}}}"#, QUOTE.replace("2.4", "\"n/a\"")))), "broken");
}

#[test]
fn many_quotes_are_asked_for_in_bounded_requests() {
    let many: Vec<OccSymbol> =
        (1..=450).map(|n| format!("SPXW261120C{:08}", n * 5_000).parse().unwrap()).collect();
    let empty = || Ok(reply(200, r#"{"quotes":{"unmatched_symbols":{"symbol":"A"}}}"#));
    let (broker, tape) = account(vec![empty(), empty(), empty()]);
    assert_eq!(now(broker.quotes(&many)).unwrap().len(), 450);
    assert_eq!(tape.sent.borrow().len(), 3);
    assert_eq!(now(account(vec![]).0.quotes(&[])), Ok(vec![]), "nothing asked, nothing sent");
}

#[test]
fn a_chain_is_filtered_by_root_and_may_be_absent() {
    let am = QUOTE
        .replace("SPXW261120C", "SPX261120C")
        .replace(r#""root_symbol":"SPXW""#, r#""root_symbol":"SPX""#);
    let read = |options: &str, root| {
        let broker = answering(200, &format!(r#"{{"options":{options}}}"#));
        now(broker.chain(Underlying::SPX, jiff::civil::date(2026, 11, 20), root))
    };
    let both = format!(r#"{{"option":[{QUOTE},{am}]}}"#);
    let rows = read(&both, Some(Root::SPXW)).unwrap();
    assert_eq!((rows.len(), rows[0].open_interest, rows[0].volume), (1, Some(1_204), Some(12)));
    assert_eq!(rows[0].series, SERIES.parse().unwrap());
    assert_eq!(read(&both, None).unwrap().len(), 2);
    assert_eq!(read("null", None), Ok(vec![]));
    assert_eq!(kind(read("7", None)), "broken");
}

#[test]
fn a_stream_session_is_asked_for_with_an_empty_form_and_its_pass_does_not_print() {
    let body = r#"{"stream":{"url":"wss://ws.example/v1/accounts/events","sessionid":"s-77"}}"#;
    let (broker, tape) = account(vec![Ok(reply(200, body))]);
    let session = now(broker.stream_session()).unwrap();
    assert_eq!((&*session.url, &*session.session_id), ("wss://ws.example/v1/accounts/events", "s-77"));
    assert!(!format!("{session:?}").contains("s-77"));
    let sent = tape.sent.borrow();
    assert_eq!(
        (sent[0].method, &*sent[0].path, sent[0].form.len()),
        (Method::Post, "/v1/accounts/events/session", 0)
    );
    assert_eq!(
        kind(now(answering(200, r#"{"stream":{"url":"","sessionid":"s"}}"#).stream_session())),
        "broken"
    );
}

/// Fragments of the broker's JSON in no particular order: deeper than random bytes get.
fn json_like() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "null",
        "\"null\"",
        "1e309",
        "-0",
        "1.5",
        "99999999999999999999",
        "\\u12",
        "\"orders\":",
        "\"order\":",
        "\"id\":",
        "\"leg\":",
        "\"errors\":",
        "\"error\":",
        "\"fault\":",
        "\"quotes\":",
        "\"quote\":",
        "\"symbol\":",
        "\"SPXW261120C05610000\"",
        "\"options\":",
        "\"option\":",
        "\"balances\":",
        "\"positions\":",
        "\"position\":",
        "\"stream\":",
        "\"option_symbol\":",
        "\"quantity\":",
        "é",
        " ",
    ]);
    prop::collection::vec(part, 0..40).prop_map(|it| it.concat())
}

fn ask_everything(reply: &Reply) {
    let fresh = || account(vec![Ok(reply.clone())]).0;
    let series = [SERIES.parse().unwrap()];
    let id = BrokerOrderId(5);
    let _ =
        (now(fresh().balances()), now(fresh().positions()), now(fresh().orders()), now(fresh().order(id)));
    let _ = (now(fresh().quotes(&series)), now(fresh().stream_session()), now(fresh().cancel(id)));
    let _ = now(fresh().chain(Underlying::SPX, jiff::civil::date(2026, 11, 20), None));
    let _ = now(fresh().modify(id, Price::from_cents(5), true));
    let placed = now(fresh().place(&exit_ticket()));
    assert!(placed.is_err() || reply.status / 100 == 2, "an order is accepted by a 2xx alone: {reply:?}");
}

proptest! {
    #[test]
    fn prop_no_body_makes_us_panic(status in 100u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
        ask_everything(&Reply { status, headers: Vec::new(), body });
    }

    #[test]
    fn prop_no_mangled_json_makes_us_panic(good in any::<bool>(), text in json_like()) {
        ask_everything(&reply(if good { 200 } else { 400 }, &text));
    }

    #[test]
    fn prop_a_truncated_order_is_never_read_as_something_else(cut in 0usize..400) {
        let whole = format!(r#"{{"order":{}}}"#, order_row(""));
        let cut = cut.min(whole.len() - 1);
        prop_assert_eq!(kind(now(answering(200, &whole[..cut]).order(BrokerOrderId(88_120_001)))), "broken");
    }
}
