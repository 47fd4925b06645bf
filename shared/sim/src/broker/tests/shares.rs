//! Shares: orders of class equity, their stops and hours, and what they do to balances.

use super::*;

fn world() -> World {
    let mut world = World::new();
    world.stock(561.00, 561.02, 300);
    world.print(561.01);
    world
}

#[test]
fn shares_trade_at_the_touch_and_their_rows_name_no_option() {
    let mut world = world();
    let id = world
        .taken("class=equity symbol=SPY side=buy quantity=100 type=limit price=561.05 duration=day tag=a-1");
    assert_eq!(
        world.row(id),
        r#"{"order":{"id":141000001,"type":"limit","symbol":"SPY","side":"buy","quantity":100.0,"status":"filled","duration":"day","price":561.05,"avg_fill_price":561.02,"exec_quantity":100.0,"last_fill_price":561.02,"last_fill_quantity":100.0,"remaining_quantity":0.0,"create_date":"2026-11-20T15:00:00.006Z","transaction_date":"2026-11-20T15:00:00.006Z","class":"equity","tag":"a-1"}}"#
    );
    assert_eq!(world.shares(), 100);
    assert_eq!(world.account().cash, Usd::from_dollars(100_000 - 56_102), "shares cost no commission");
    let positions = world.get("/accounts/VA00000001/positions", &[]);
    assert!(
        positions.contains(r#""cost_basis":56102.0"#) && positions.contains(r#""symbol":"SPY""#),
        "{positions}"
    );
    world.taken("class=equity symbol=SPY side=sell quantity=100 type=market duration=day");
    assert_eq!((world.shares(), world.account().realized), (0, Usd::from_dollars(-2)));
}

#[test]
fn parameters_in_the_query_place_an_order_of_shares_too() {
    let mut world = world();
    let pairs = ["class=equity", "symbol=SPY", "side=buy", "quantity=1", "type=market", "duration=day"];
    let query = pairs.iter().map(|it| it.split_once('=').unwrap());
    let request = Request {
        method: Method::Post,
        path: "/v1/accounts/VA00000001/orders".to_owned(),
        query: query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        form: Vec::new(),
        token: Token::new("stub-token"),
        leaves_within: None,
    };
    assert_eq!(world.broker.answer(world.now, &request).status, 200);
    world.after(Duration::from_millis(1));
    assert_eq!(world.shares(), 1);
}

#[test]
fn more_shares_than_are_shown_wait_for_the_next_quote() {
    let mut world = world();
    let id =
        world.taken("class=equity symbol=SPY side=buy quantity=150 type=limit price=561.02 duration=day");
    world.stock(561.00, 561.02, 20);
    world.stock(561.01, 561.03, 500);
    assert_eq!((world.order(id).0, world.shares()), (Status::Filled, 150));
    let short =
        world.taken("class=equity symbol=SPY side=sell quantity=150 type=limit price=562.00 duration=day");
    assert_eq!(world.status(short), Status::Open);
}

#[test]
fn shares_are_sold_short_and_bought_back_and_each_side_has_its_rule() {
    let mut world = world();
    let form = |side: &str, n: u32| {
        format!("class=equity symbol=SPY side={side} quantity={n} type=market duration=day")
    };
    assert!(world.post(MARGIN, &form("sell", 1)).contains("Sell order is for more shares"));
    assert_eq!(world.post(MARGIN, &form("buy_to_cover", 1)), refusal("ShortPositionCrossZero"));
    world.taken(&form("sell_short", 50));
    assert_eq!(world.shares(), -50);
    assert_eq!(world.post(MARGIN, &form("buy", 1)), refusal("UnexpectedBuyOrder"));
    assert_eq!(world.post(MARGIN, &form("buy_to_cover", 51)), refusal("ShortPositionCrossZero"));
    world.taken(&form("buy_to_cover", 50));
    world.taken(&form("buy", 10));
    assert_eq!(world.post(MARGIN, &form("sell_short", 1)), refusal("UnexpectedSellShortOrder"));
    let gtc = "class=equity symbol=SPY side=sell_short quantity=1 type=limit price=570 duration=gtc";
    assert_eq!(world.post(MARGIN, gtc), refusal("ShortOrderIsGtc"));
    world.token = "other-token";
    assert_eq!(world.post(CASH, &form("sell_short", 1)), refusal("ShortStockTradingDeniedForAccount"));
}

#[test]
fn half_of_what_shares_cost_is_lent_in_a_margin_account_and_nothing_in_a_cash_account() {
    let mut world = world();
    world.stock(561.00, 561.00, 1_000);
    let form =
        |n: u32| format!("class=equity symbol=SPY side=buy quantity={n} type=limit price=561 duration=day");
    assert_eq!(
        world.post(MARGIN, &form(357)),
        sentence("You do not have enough buying power for this trade.")
    );
    world.taken(&form(356));
    let body = world.get("/accounts/VA00000001/balances", &[]);
    for part in [
        r#""stock_long_value":199716.0"#,
        r#""current_requirement":99858.0"#,
        r#""option_buying_power":142.0,"stock_buying_power":284.0"#,
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    world.token = "other-token";
    assert!(world.post(CASH, &form(9)).contains("enough buying power"));
    assert!(number(&world.post(CASH, &form(8))).is_some());
}

#[test]
fn stops_of_shares_wait_for_the_last_price_not_for_the_quote() {
    let mut world = world();
    world.taken("class=equity symbol=SPY side=buy quantity=10 type=market duration=day");
    let id = world.taken("class=equity symbol=SPY side=sell quantity=10 type=stop stop=560.50 duration=day");
    world.stock(560.40, 560.42, 100);
    assert_eq!(world.status(id), Status::Open, "nothing traded there");
    world.print(560.45);
    assert_eq!((world.status(id), world.order(id).2), (Status::Filled, Usd::from_cents(56_040)));
}

#[test]
fn orders_for_before_the_open_and_after_the_close_work_in_their_hours_by_limit_alone() {
    let mut world = world();
    let form = |kind: &str, duration: &str| {
        format!("class=equity symbol=SPY side=buy quantity=1 type={kind} price=561.10 duration={duration}")
    };
    let closed = "Invalid parameter, duration: pre/post market no longer available";
    assert_eq!(world.post(MARGIN, &form("limit", "pre")), closed, "it is ten o'clock");
    assert_eq!(world.post(MARGIN, &form("market", "post")), closed);
    let post = world.taken(&form("limit", "post"));
    assert_eq!(world.status(post), Status::Pending);
    world.now = world.broker.session().close.plus(Duration::from_secs(60));
    world.stock(561.00, 561.05, 10);
    assert_eq!(world.status(post), Status::Filled);
    let waits = world.taken("class=equity symbol=SPY side=buy quantity=1 type=limit price=500 duration=post");
    world.after(Duration::from_secs(4 * 3_600));
    assert_eq!(world.status(waits), Status::Expired, "post hours end at 19:55");
    let early = at_new_york(date(2026, 11, 20), time(8, 0, 0, 0));
    let mut morning = World { broker: Sandbox::new(config(Rules::live(7))), now: early, token: "stub-token" };
    let pre = morning.taken(&form("limit", "pre"));
    morning.after(Duration::from_secs(1));
    morning.stock(561.00, 561.05, 10);
    assert_eq!(morning.status(pre), Status::Filled);
}

#[test]
fn a_day_order_of_shares_expires_and_one_after_the_close_waits_for_the_next_session() {
    let mut world = world();
    let form = "class=equity symbol=SPY side=buy quantity=1 type=limit price=500 duration=day";
    let today = world.taken(form);
    world.now = world.broker.session().close.plus(Duration::from_secs(10));
    let tomorrow = world.taken(form);
    world.after(Duration::from_secs(3_600));
    assert_eq!((world.status(today), world.status(tomorrow)), (Status::Expired, Status::Pending));
    let next = world.broker.session().next().unwrap();
    world.broker.start_session(next, &[]);
    world.now = next.open;
    world.stock(499.0, 499.5, 10);
    world.after(Duration::from_secs(1));
    assert_eq!(world.status(tomorrow), Status::Filled);
}

#[test]
fn an_index_is_no_share_and_an_unknown_one_is_not_listed() {
    let mut world = world();
    let form =
        |symbol: &str| format!("class=equity symbol={symbol} side=buy quantity=1 type=market duration=day");
    assert_eq!(world.post(MARGIN, &form("SPX")), "Invalid parameter, symbol: is not valid");
    assert_eq!(world.post(MARGIN, &form("spy")), "Invalid parameter, symbol: is not valid");
    assert_eq!(world.post(MARGIN, &form("ZZZZ")), refusal("SecurityUndefined"));
    let options = "class=equity symbol=SPY side=buy_to_open quantity=1 type=market duration=day";
    assert_eq!(world.post(MARGIN, options), "Invalid parameter, side: is not valid.");
}

#[test]
fn shares_and_a_call_against_them_are_one_order_at_one_net_price() {
    let mut world = world();
    world.stock(561.00, 561.02, 300);
    world.quote("SPY261120C00565000", 120, 125, 50, 50);
    let id = world.taken(
        "class=combo symbol=SPY type=debit price=559.82 duration=day side[0]=buy quantity[0]=200 option_symbol[1]=SPY261120C00565000 side[1]=sell_to_open quantity[1]=2",
    );
    let row = world.row(id);
    for part in [
        r#""side":"buy","quantity":202.0,"status":"filled""#,
        r#""avg_fill_price":559.82"#,
        r#""class":"combo","num_legs":2,"strategy":"covered_call""#,
        r#""class":"equity"}"#,
        r#""class":"option","option_symbol":"SPY261120C00565000"}"#,
    ] {
        assert!(row.contains(part), "{part} in {row}");
    }
    assert_eq!((world.shares(), world.held("SPY261120C00565000")), (200, -2));
    assert_eq!(world.account().required, Usd::ZERO, "the shares cover the calls");
    let sold = world.taken("class=equity symbol=SPY side=sell quantity=200 type=market duration=day");
    assert_eq!(world.status(sold), Status::Rejected, "they may not leave before the calls");
    let odd = "class=combo symbol=SPY type=debit price=559 duration=day side[0]=buy quantity[0]=150 option_symbol[1]=SPY261120C00565000 side[1]=sell_to_open quantity[1]=1";
    assert_eq!(world.post(MARGIN, odd), "Invalid parameter, quantity[0]: must be whole hundreds of shares.");
}
