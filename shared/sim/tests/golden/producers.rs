//! What makes the sandbox produce each shape.

use std::time::Duration;

use broker::rows;
use broker::stream::{account_frame, market_frame};
use broker::transport::Method;
use domain::market::{MarketEvent, Points, PrintCounts, Quote, QuoteSide, Trade};
use domain::money::Usd;
use domain::symbol::Underlying;
use jiff::civil::date;
use sim::broker::{DayBar, Latencies, StreamKind};

use super::world::{CALL, HIGHER, MARGIN, PUTS, World, id};

/// One shape and what makes the sandbox write it.
pub(crate) struct Producer {
    /// The golden file's name.
    pub(crate) name: &'static str,
    /// Its body.
    pub(crate) golden: &'static str,
    /// The answer's status.
    pub(crate) status: u16,
    /// Makes the sandbox write it.
    pub(crate) produce: fn() -> (u16, String),
    /// Whether the client can read it.
    pub(crate) read: fn(&str) -> bool,
}

macro_rules! producers {
    ($($name:literal $status:literal $produce:expr, $read:expr;)*) => {
        /// Every golden file.
        pub(crate) const PRODUCERS: &[Producer] = &[$(Producer {
            name: $name,
            golden: include_str!(concat!("../../../broker/tests/golden/", $name, ".json")),
            status: $status,
            produce: $produce,
            read: $read,
        }),*];
    };
}

fn balances_of(token: &str, number: &str) -> (u16, String) {
    World::new().ask_as(token, Method::Get, &format!("/accounts/{number}/balances"), &[])
}

fn butterfly() -> (u16, String) {
    let mut world = World::new();
    let answer = world.post(&[
        ("class", "multileg"),
        ("symbol", "SPX"),
        ("type", "debit"),
        ("duration", "day"),
        ("price", "1.60"),
        ("option_symbol[0]", PUTS[0]),
        ("side[0]", "buy_to_open"),
        ("quantity[0]", "1"),
        ("option_symbol[1]", PUTS[1]),
        ("side[1]", "sell_to_open"),
        ("quantity[1]", "2"),
        ("option_symbol[2]", PUTS[2]),
        ("side[2]", "buy_to_open"),
        ("quantity[2]", "1"),
    ]);
    world.wait();
    let order = id(&answer.1);
    world.order(&order)
}

fn net_credit() -> (u16, String) {
    let mut world = World::new();
    world.vertical(true, "debit", "1.20");
    world.wait();
    let order = world.vertical(false, "credit", "1.05");
    world.wait();
    world.order(&order)
}

fn pending() -> (u16, String) {
    let mut world = World::with(Latencies::USUAL);
    let order = world.vertical(true, "market", "");
    world.order(&order)
}

fn rejected() -> (u16, String) {
    let mut world = World::with(Latencies::USUAL);
    let answer = world.post(&[
        ("class", "option"),
        ("symbol", "SPX"),
        ("option_symbol", CALL),
        ("side", "buy_to_open"),
        ("quantity", "1"),
        ("type", "limit"),
        ("duration", "day"),
        ("price", "2.33"),
        ("tag", "q7-01k9x"),
    ]);
    world.wait();
    let order = id(&answer.1);
    world.order(&order)
}

fn bracket() -> (u16, String) {
    let mut world = World::new();
    world.single(CALL, "buy_to_open", "limit", "3.50");
    let answer = world.post(&[
        ("class", "oco"),
        ("duration", "gtc"),
        ("option_symbol[0]", CALL),
        ("side[0]", "sell_to_close"),
        ("quantity[0]", "1"),
        ("type[0]", "limit"),
        ("price[0]", "6.00"),
        ("option_symbol[1]", CALL),
        ("side[1]", "sell_to_close"),
        ("quantity[1]", "1"),
        ("type[1]", "stop"),
        ("stop[1]", "1.20"),
    ]);
    world.wait();
    let order = id(&answer.1);
    assert!(!order.is_empty(), "{answer:?}");
    world.order(&order)
}

/// A round trip of yesterday's money, and its report.
fn gain_loss() -> (u16, String) {
    let mut world = World::new();
    for (series, bid) in [(CALL, "3.40"), (HIGHER, "2.25")] {
        world.single(series, "buy_to_open", "limit", "9.00");
        world.single(series, "sell_to_close", "limit", bid);
    }
    world.get("/accounts/{}/gainloss", &[("page", "1"), ("limit", "100")])
}

fn trade_frame(symbols: &str, word: &str) -> (u16, String) {
    let mut world = World::new();
    let rest = format!(r#""symbols":[{symbols}],"filter":["quote","trade","timesale"],"linebreak":true"#);
    world.stream(StreamKind::Market, &rest);
    drop(world.broker.take_frames());
    let (ts, price) = (world.now, Points::from_f64(561.01));
    let side = |cents: f64| Some(QuoteSide { price: Points::from_f64(561.0 + cents), size: Some(400) });
    world
        .broker
        .on_market(&MarketEvent::Quote(Underlying::SPY, Quote { ts, bid: side(0.0), ask: side(0.01) }));
    let trade = Trade { ts, sequence: Some(352_795), price, size: 100, counts: PrintCounts::Everywhere };
    world.broker.on_market(&MarketEvent::Trade(Underlying::SPY, trade));
    world.quote(CALL, 341, 346);
    world.frame(word)
}

producers! {
    "r01_profile" 200 || World::new().get("/user/profile", &[]), |it| rows::profile(it).is_ok_and(|it| it.accounts.len() == 1);
    "r02_balances_margin" 200 || balances_of("one", MARGIN), |it| rows::balances(it, &MARGIN.parse().unwrap()).is_ok();
    "r03_balances_pdt" 200 || balances_of("two", "VA00000002"), |it| {
        [MARGIN, "VA00000002"].iter().any(|number| rows::balances(it, &number.parse().unwrap()).is_ok_and(|it| it.usable().is_some()))
    };
    "r03_balances_cash" 200 || balances_of("three", "VA00000003"), |it| {
        [MARGIN, "VA00000003"].iter().any(|number| rows::balances(it, &number.parse().unwrap()).is_ok_and(|it| it.usable().is_some()))
    };
    "r04_positions_none" 200 || World::new().get("/accounts/{}/positions", &[]), |it| rows::positions(it).is_ok_and(|it| it.is_empty());
    "r04_positions_one" 200 || {
        let mut world = World::new();
        world.single(CALL, "buy_to_open", "limit", "3.50");
        world.get("/accounts/{}/positions", &[])
    }, |it| rows::positions(it).is_ok_and(|it| it.len() == 1);
    "r04_positions_many" 200 || {
        let mut world = World::new();
        world.vertical(true, "debit", "1.20");
        world.wait();
        world.get("/accounts/{}/positions", &[])
    }, |it| rows::positions(it).is_ok_and(|it| it.len() == 2 && it[1].quantity == -1);
    "r05_orders_none" 200 || World::new().get("/accounts/{}/orders", &[("includeTags", "true")]), |it| rows::orders(it).is_ok_and(|it| it.is_empty());
    "r05_orders_one" 200 || {
        let mut world = World::new();
        world.post(&[
            ("class", "option"), ("symbol", "SPX"), ("option_symbol", CALL), ("side", "buy_to_open"), ("quantity", "1"),
            ("type", "limit"), ("duration", "day"), ("price", "2.35"), ("tag", "q7-01k9x"),
        ]);
        world.get("/accounts/{}/orders", &[("includeTags", "true")])
    }, |it| rows::orders(it).is_ok_and(|it| it.len() == 1);
    "r06_order_butterfly" 200 butterfly, |it| rows::order_detail(it).is_ok_and(|it| it.parent_agrees() == Some(true) && it.strategy.as_deref() == Some("butterfly"));
    "r07_order_credit" 200 net_credit, |it| rows::order_detail(it).is_ok_and(|it| it.parent_agrees() == Some(true) && it.net_fill().is_some_and(|it| it < Usd::ZERO));
    "r08_order_pending" 200 pending, |it| rows::order_detail(it).is_ok_and(|it| it.order.status == domain::order::BrokerStatus::Pending && it.order.price.is_none());
    "r09_order_rejected" 200 rejected, |it| rows::order(it).is_ok_and(|it| it.reason.is_some());
    "r10_order_oco" 200 bracket, |it| rows::order_detail(it).is_ok_and(|it| it.class == rows::OrderClass::Oco && it.legs.len() == 2);
    "r11_answer_placed" 200 || World::new().single(CALL, "buy_to_open", "limit", "2.35").1, |it| rows::answer(200, it).is_ok();
    "r11_answer_changed" 200 || {
        let mut world = World::new();
        let (order, _) = world.single(CALL, "buy_to_open", "limit", "2.35");
        world.ask_as("one", Method::Put, &format!("/accounts/{{}}/orders/{order}"), &[("price", "2.40")])
    }, |it| rows::answer(200, it).is_ok();
    "r11_answer_cancelled" 200 || {
        let mut world = World::new();
        let (order, _) = world.single(CALL, "buy_to_open", "limit", "2.35");
        world.ask_as("one", Method::Delete, &format!("/accounts/{{}}/orders/{order}"), &[])
    }, |it| rows::answer(200, it).is_ok();
    "r11_answer_refused" 200 || World::new().single(CALL, "sell_to_close", "limit", "3.40").1, |it| {
        rows::answer(200, it).is_err_and(|it| it.to_string().contains("more shares than your current long position"))
    };
    "r11_answer_refused_list" 200 || {
        let mut world = World::new();
        let sell = [
            ("class", "option"), ("symbol", "SPX"), ("option_symbol", CALL), ("side", "sell_to_open"), ("quantity", "1"),
            ("type", "limit"), ("duration", "day"), ("price", "3.40"),
        ];
        world.post(&sell)
    }, |it| rows::answer(200, it).is_err_and(|it| it.to_string().contains("Backoffice rejected override of the order."));
    "r12_chain" 200 || {
        World::new().get("/markets/options/chains", &[("symbol", "SPX"), ("expiration", "2026-11-20"), ("greeks", "true")])
    }, |it| rows::chain_with_greeks(it, None).is_ok_and(|it| it.iter().any(|it| it.greeks.is_some()));
    "r13_quotes_unmatched" 200 || World::new().get("/markets/quotes", &[("symbols", "SPX,NOSUCH")]), |it| {
        rows::symbol_quotes(it).is_ok_and(|it| it.found.len() == 1 && it.unmatched == ["NOSUCH"])
    };
    "r14_quotes_none" 200 || World::new().get("/markets/quotes", &[("symbols", "NOSUCH,ZZZZQ")]), |it| {
        rows::symbol_quotes(it).is_ok_and(|it| it.found.is_empty() && it.unmatched.len() == 2)
    };
    "r15_expirations_plain" 200 || {
        let mut world = World::new();
        world.quote("SPXW261123C05610000", 900, 920);
        world.get("/markets/options/expirations", &[("symbol", "SPX"), ("includeAllRoots", "true")])
    }, |it| rows::expirations(it).is_ok_and(|it| it.len() == 2);
    "r16_expirations_full" 200 || {
        let mut world = World::new();
        world.quote("SPXW261123C05610000", 900, 920);
        world.quote("SPXW261123C05620000", 850, 870);
        world.get("/markets/options/expirations", &[
            ("symbol", "SPX"), ("includeAllRoots", "true"), ("strikes", "True"), ("contractSize", "True"), ("expirationType", "True"),
        ])
    }, |it| rows::expirations(it).is_ok_and(|it| it.iter().all(|it| !it.strikes.is_empty()));
    "r17_strikes" 200 || World::new().get("/markets/options/strikes", &[("symbol", "SPX"), ("expiration", "2026-11-20")]), |it| {
        rows::strikes(it).is_ok_and(|it| it.len() >= 2)
    };
    "r18_lookup" 200 || {
        let mut world = World::new();
        world.quote("SPX261218C05600000", 9_000, 9_100);
        world.get("/markets/options/lookup", &[("underlying", "SPX")])
    }, |it| rows::lookup(it).is_ok_and(|it| it.len() == 2);
    "r19_clock" 200 || World::new().get("/markets/clock", &[]), |it| rows::clock(it).is_ok_and(|it| it.state == rows::MarketState::Open);
    "r20_calendar" 200 || World::new().get("/markets/calendar", &[("month", "11"), ("year", "2026")]), |it| rows::calendar(it).is_ok_and(|it| it.days.iter().any(|it| !it.open));
    "r21_history_bars" 200 || {
        let mut world = World::new();
        let at = Points::from_f64;
        let day = |on| DayBar { date: on, open: at(5_600.1), high: at(5_622.2), low: at(5_590.3), close: at(5_607.15), volume: 0 };
        world.broker.learn_days(Underlying::SPX, vec![day(date(2026, 11, 18)), day(date(2026, 11, 19))]);
        world.get("/markets/history", &[("symbol", "SPX"), ("interval", "daily"), ("start", "2026-11-18"), ("end", "2026-11-19")])
    }, |it| rows::bars(it).is_ok_and(|it| !it.is_empty());
    "r21_history_none" 200 || {
        World::new().get("/markets/history", &[("symbol", "SPX"), ("interval", "daily"), ("start", "2020-01-06"), ("end", "2020-01-07")])
    }, |it| rows::bars(it).is_ok_and(|it| it.is_empty());
    "r22_timesales" 200 || {
        let mut world = World::new();
        world.now = world.now.plus(Duration::from_secs(120));
        world.index(5_612.0);
        world.get("/markets/timesales", &[
            ("symbol", "SPX"), ("interval", "1min"), ("start", "2026-11-20 09:30"), ("end", "2026-11-20 10:05"),
        ])
    }, |it| rows::sales(it).is_ok_and(|it| !it.is_empty());
    "r23_preview" 200 || {
        let mut world = World::new();
        world.single(CALL, "buy_to_open", "limit", "3.50");
        world.post(&[
            ("class", "option"), ("symbol", "SPX"), ("option_symbol", CALL), ("side", "sell_to_close"), ("quantity", "1"),
            ("type", "limit"), ("duration", "day"), ("price", "3.40"), ("preview", "true"),
        ])
    }, |it| rows::preview(it).is_ok_and(|it| it.result && it.cost < Some(Usd::ZERO));
    "r24_fault" 401 || World::new().ask_as("nobody's", Method::Get, "/user/profile", &[]), |it| {
        rows::answer(401, it).is_err_and(|it| matches!(it, domain::ports::BrokerError::Authentication { .. }))
    };
    "r25_session" 200 || World::new().ask_as("one", Method::Post, "/accounts/events/session", &[]), |it| rows::stream_session(it).is_ok();
    "r26_account_event" 200 || {
        let mut world = World::new();
        world.stream(StreamKind::Account, r#""events":["order"],"excludeAccounts":[]"#);
        world.single(CALL, "buy_to_open", "limit", "3.50");
        world.frame("\"filled\"")
    }, |it| account_frame(&flat(it)).orders.len() == 1;
    "r27_heartbeat" 200 || {
        let mut world = World::new();
        world.stream(StreamKind::Account, r#""events":["order"],"excludeAccounts":[]"#);
        world.now = world.now.plus(Duration::from_secs(61));
        world.broker.advance(world.now);
        world.frame("heartbeat")
    }, |it| account_frame(&flat(it)).heartbeats == 1;
    "r28_stream_quote" 200 || trade_frame(r#""SPXW261120C05610000""#, "\"quote\""), |it| market_frame(&flat(it)).items.len() == 1;
    "r29_stream_trade" 200 || trade_frame("\"SPY\"", "\"trade\""), |it| market_frame(&flat(it)).items.len() == 1;
    "r29_stream_timesale" 200 || trade_frame("\"SPY\"", "\"timesale\""), |it| market_frame(&flat(it)).items.len() == 1;
    "r30_gainloss" 200 gain_loss, |it| rows::gain_loss(it).is_ok_and(|it| !it.is_empty());
}

/// On one line, as frames are on the wire.
fn flat(text: &str) -> String {
    serde_json::from_str::<serde_json::Value>(text).unwrap().to_string()
}
