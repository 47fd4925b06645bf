//! Every call of our client against the sandbox: what is sent is taken, what is written is read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so at once"
)]

mod client {
    pub(crate) mod desk;
}

use std::time::Duration;

use broker::rows::{MarketState, OrderClass, OrderKind};
use broker::stream::{
    Next, StreamKind as Kind, StreamLimits, StreamPlan, Subscription, account_frame, market_frame,
};
use broker::tradier::{BarLength, Change, SaleLength};
use domain::ids::BrokerOrderId;
use domain::intent::approve_combo;
use domain::lookup::{Sought, TagLookup};
use domain::market::{MarketEvent, Points};
use domain::money::Usd;
use domain::order::{BrokerStatus, Ticket};
use domain::ports::{BrokerError, BrokerPort, Clock};
use domain::symbol::{OccSymbol, Root, Underlying};
use domain::ticket::{
    BoundedRisk, BracketTicket, ComboLeg, ComboOpening, ComboTicket, CoveredClose, EmergencyEvidence,
    EmergencyToken, Exits, HeldLeg, LegSide, MarketTicket, Net, ProtectiveTicket, Reading, StopLimit,
};
use jiff::civil::{date, time};
use sim::broker::{DayBar, StreamKind};
use sim::fixtures;

use client::desk::{CALL, Desk, HIGHER, cents, done, series};

fn vertical(near: LegSide, far: LegSide) -> [ComboLeg; 2] {
    [
        ComboLeg { series: series(CALL), side: near, ratio: 1 },
        ComboLeg { series: series(HIGHER), side: far, ratio: 1 },
    ]
}

#[test]
fn the_user_the_money_and_the_reports_are_read() {
    let desk = Desk::new();
    let profile = done(desk.client.profile()).unwrap();
    assert_eq!((profile.accounts.len(), profile.accounts[0].option_level), (1, Some(6)));
    assert_eq!(&profile.accounts[0].number, desk.client.number());
    assert_eq!(done(desk.client.balances()).unwrap().usable(), Some(Usd::from_dollars(100_000)));
    let day = date(2026, 11, 20);
    assert_eq!(done(desk.client.gain_loss(day, day)), Ok(vec![]));
    desk.buy(1, 350);
    let ticket = Ticket::sell_to_close(&desk.held(1), &desk.mark(), series(CALL), cents(340));
    let sold = done(desk.client.place(&ticket)).unwrap();
    desk.after(Duration::from_secs(1));
    assert_eq!(desk.status(sold), BrokerStatus::Filled);
    let closed = done(desk.client.gain_loss(day, day)).unwrap();
    assert_eq!((closed.len(), closed[0].series, closed[0].gain < Usd::ZERO), (1, Some(series(CALL)), true));
    let history = done(desk.client.history(day, day, None)).unwrap();
    assert!(history.iter().filter(|it| it.kind == "trade").count() >= 2, "{history:?}");
}

#[test]
fn the_market_is_read_in_every_way_it_is_told() {
    let desk = Desk::new();
    let (day, spx) = (date(2026, 11, 20), Underlying::SPX);
    let quotes = done(desk.client.symbol_quotes(&["SPX", CALL, "NOSUCH"])).unwrap();
    assert_eq!((quotes.found.len(), quotes.unmatched), (2, vec!["NOSUCH".to_owned()]));
    let many: Vec<OccSymbol> =
        (0..300).map(|n| series(&format!("SPXW261120C{:08}", 5_000_000 + n * 5_000))).collect();
    let found = done(desk.client.quotes(&many)).unwrap();
    assert_eq!((found.len(), found.iter().flatten().count()), (300, 2), "by POST");
    let chain = done(desk.client.chain(spx, day, Some(Root::SPXW))).unwrap();
    assert_eq!(chain.iter().map(|it| it.series.to_string()).collect::<Vec<_>>(), [CALL, HIGHER]);
    let greeks = done(desk.client.chain_with_greeks(spx, day, None)).unwrap();
    assert!(greeks.iter().all(|it| it.greeks.is_some_and(|it| it.delta > Some(0.0))), "{greeks:?}");
    assert!(done(desk.client.chain(spx, date(2026, 11, 21), None)).unwrap().is_empty(), "a Saturday");
    let expirations = done(desk.client.expirations(spx, true)).unwrap();
    assert!(expirations.iter().any(|it| it.date == day && it.strikes.len() == 2), "{expirations:?}");
    assert_eq!(done(desk.client.strikes(spx, day)).unwrap().len(), 2);
    let lookup = done(desk.client.lookup(spx)).unwrap();
    assert!(lookup.iter().any(|it| it.0 == Root::SPXW && it.1.contains(&series(CALL))), "{lookup:?}");
    let clock = done(desk.client.market_clock()).unwrap();
    assert_eq!((clock.state, clock.date), (MarketState::Open, day));
    let calendar = done(desk.client.calendar(2026, 11)).unwrap();
    let open = calendar.days.iter().filter(|it| it.open).count();
    assert_eq!((calendar.days.len(), open), (30, 20));
    assert_eq!(calendar.days[26].regular.unwrap().end, time(13, 0, 0, 0), "the day after Thanksgiving");
    let at = Points::from_f64;
    let bar = DayBar {
        date: date(2026, 11, 19),
        open: at(5_600.0),
        high: at(5_622.2),
        low: at(5_590.3),
        close: at(5_607.15),
        volume: 0,
    };
    desk.broker.borrow_mut().learn_days(spx, vec![bar]);
    let bars =
        done(desk.client.bars("SPX", BarLength::Daily, date(2026, 11, 19), date(2026, 11, 19))).unwrap();
    assert_eq!((bars.len(), bars[0].close), (1, Some(at(5_607.15))));
    desk.after(Duration::from_secs(90));
    desk.index(5_612.0);
    let open = desk.broker.borrow().session().open;
    let sales = done(desk.client.sales("SPX", SaleLength::OneMinute, open, desk.clock.now())).unwrap();
    assert!(sales.iter().any(|it| it.close == Some(at(5_611.25))), "{sales:?}");
    let now = done(desk.client.market(series(CALL))).unwrap();
    assert_eq!((now.quote.unwrap().bid, now.index.unwrap().0), (Some(cents(340)), at(5_612.0)));
}

#[test]
fn a_combination_is_previewed_opened_found_by_its_tag_and_closed_whole() {
    let desk = Desk::new();
    let legs = vertical(LegSide::BuyToOpen, LegSide::SellToOpen);
    let risk = BoundedRisk::check(&legs, Net::debit(cents(130))).unwrap();
    let approved = approve_combo(ComboOpening { risk, units: 2 }, &fixtures::approving_gates()).unwrap();
    let mark = desk.mark();
    let ticket = ComboTicket::open(&approved, &mark, 2, Net::debit(cents(120)));
    let preview = done(desk.client.preview_combo(&ticket)).unwrap();
    assert!(preview.result && preview.order_cost == Some(Usd::from_dollars(240)), "{preview:?}");
    assert_eq!(done(desk.client.orders()), Ok(vec![]), "a preview leaves nothing");
    let id = done(desk.client.place_combo(&ticket)).unwrap();
    desk.after(Duration::from_secs(1));
    let detail = done(desk.client.order_detail(id)).unwrap();
    assert_eq!(
        (detail.order.status, detail.class, detail.order.tag),
        (BrokerStatus::Filled, OrderClass::Multileg, Some(mark.tag))
    );
    assert_eq!((detail.net_fill(), detail.parent_agrees()), (Some(Usd::from_cents(120)), Some(true)));
    assert_eq!(
        done(desk.client.look_up(mark.tag, &Sought::combo(&ticket, mark.at))),
        Ok(TagLookup::Found(id))
    );
    let positions = done(desk.client.positions()).unwrap();
    let held: Vec<HeldLeg> =
        positions.iter().map(|it| HeldLeg { series: it.series, quantity: it.quantity }).collect();
    let close = CoveredClose::check(&vertical(LegSide::SellToClose, LegSide::BuyToClose), 2, &held).unwrap();
    let ticket = ComboTicket::close(&close, &desk.mark(), Net::credit(cents(105)));
    let id = done(desk.client.place_combo(&ticket)).unwrap();
    desk.after(Duration::from_secs(1));
    let detail = done(desk.client.order_detail(id)).unwrap();
    assert_eq!((detail.net_fill(), detail.parent_agrees()), (Some(Usd::from_cents(-105)), Some(true)));
    assert_eq!(done(desk.client.positions()), Ok(vec![]));
}

#[test]
fn a_bracket_loses_its_tag_and_is_found_by_what_it_is() {
    let desk = Desk::new();
    let stop = StopLimit::new(cents(120), cents(70)).unwrap();
    let mark = desk.mark();
    let bracket =
        BracketTicket::with_entry(&desk.approved(1), &mark, 1, cents(350), Exits::Both(cents(600), stop))
            .unwrap();
    let id = done(desk.client.place_bracket(&bracket)).unwrap();
    desk.after(Duration::from_secs(1));
    let detail = done(desk.client.order_detail(id)).unwrap();
    assert_eq!((detail.class, detail.legs.len(), detail.order.tag), (OrderClass::Otoco, 3, None));
    assert_eq!(detail.legs[0].status, BrokerStatus::Filled);
    assert_eq!((detail.legs[2].kind, detail.legs[2].stop), (OrderKind::StopLimit, Some(cents(120))));
    let found = done(desk.client.look_up(mark.tag, &Sought::bracket(&bracket, mark.at)));
    assert_eq!(found, Ok(TagLookup::Found(id)));
    // A leg is changed by its own id; the whole is cancelled by its parent's.
    let change = Change { price: None, stop: Some(cents(130)) };
    assert_eq!(done(desk.client.change(detail.legs[2].id, change, true)), Ok(()));
    desk.after(Duration::from_secs(1));
    assert_eq!(done(desk.client.order_detail(id)).unwrap().legs[2].stop, Some(cents(130)));
    done(desk.client.cancel(id)).unwrap();
    desk.after(Duration::from_secs(1));
    let detail = done(desk.client.order_detail(id)).unwrap();
    assert!(detail.legs[1..].iter().all(|it| it.status == BrokerStatus::Canceled), "{detail:?}");
    let held = BracketTicket::of_held(&desk.held(1), &desk.mark(), series(CALL), cents(600), stop).unwrap();
    let id = done(desk.client.place_bracket(&held)).unwrap();
    desk.after(Duration::from_secs(1));
    assert_eq!(done(desk.client.order_detail(id)).unwrap().class, OrderClass::Oco);
}

#[test]
fn protection_rests_at_the_broker_and_stands_in_the_way_of_another_close() {
    let desk = Desk::new();
    desk.buy(2, 350);
    let terms = StopLimit::new(cents(120), cents(70)).unwrap();
    let rests = done(desk.client.place_protection(&ProtectiveTicket::sell_to_close(
        &desk.held(2),
        &desk.mark(),
        series(CALL),
        terms,
    )))
    .unwrap();
    desk.after(Duration::from_secs(1));
    assert_eq!(desk.status(rests), BrokerStatus::Open);
    let close = |desk: &Desk| {
        let ticket = Ticket::sell_to_close(&desk.held(2), &desk.mark(), series(CALL), cents(340));
        done(desk.client.place(&ticket))
    };
    assert!(
        matches!(close(&desk), Err(BrokerError::Refused { .. })),
        "working orders count against the position"
    );
    done(desk.client.cancel(rests)).unwrap();
    desk.after(Duration::from_secs(1));
    assert_eq!(desk.status(rests), BrokerStatus::Canceled);
    assert!(close(&desk).is_ok());
}

#[test]
fn an_emergency_sells_at_the_market() {
    let desk = Desk::new();
    desk.buy(2, 350);
    let now = desk.clock.now();
    let reading = |ago: u64, value| Reading { at: now.minus(Duration::from_secs(ago)), value };
    let evidence = EmergencyEvidence {
        vix_before: reading(40, 20.0),
        vix_first: reading(12, 22.4),
        vix_second: reading(1, 22.6),
        moved_against: 0.006,
    };
    let token = EmergencyToken::declare(&evidence, now).unwrap();
    let ticket = MarketTicket::sell_to_close(&desk.held(2), &desk.mark(), series(CALL), token);
    let id = done(desk.client.place_market(&ticket)).unwrap();
    desk.after(Duration::from_secs(1));
    let order = done(desk.client.order(id)).unwrap();
    assert_eq!(
        (order.status, order.price, order.legs[0].average),
        (BrokerStatus::Filled, None, Some(Usd::from_cents(340)))
    );
}

#[test]
fn a_single_leg_is_previewed_repriced_and_found_by_its_tag() {
    let desk = Desk::new();
    let mark = desk.mark();
    let ticket = Ticket::buy_to_open(&desk.approved(1), &mark, 1, cents(330));
    let preview = done(desk.client.preview(&ticket)).unwrap();
    assert!(preview.result && preview.order_cost == Some(Usd::from_dollars(330)), "{preview:?}");
    let id = done(desk.client.place(&ticket)).unwrap();
    assert_eq!(
        done(desk.client.look_up(mark.tag, &Sought::single(&ticket, mark.at))),
        Ok(TagLookup::Found(id))
    );
    let other = desk.mark();
    let unsent = Ticket::buy_to_open(&desk.approved(1), &other, 1, cents(330));
    let found = done(desk.client.look_up(other.tag, &Sought::single(&unsent, mark.at)));
    assert_eq!(
        found,
        Ok(TagLookup::NotFound { covered: true }),
        "another order of the same instant is in the list"
    );
    desk.after(Duration::from_secs(1));
    assert_eq!(done(desk.client.modify(id, cents(350), false)), Ok(()));
    desk.after(Duration::from_secs(1));
    assert_eq!(desk.status(id), BrokerStatus::Filled, "a price that reaches the ask");
    assert!(matches!(done(desk.client.modify(id, cents(350), false)), Err(BrokerError::Refused { .. })));
}

/// Follows a plan up to its subscription, by the client's sessions and the sandbox's own door.
fn subscribe(desk: &Desk, subscription: Subscription, kind: StreamKind) -> StreamPlan {
    let mut plan = StreamPlan::new(subscription, StreamLimits::default());
    let zero = Duration::ZERO;
    assert_eq!(plan.next(zero), Next::OpenSession);
    let wants = match kind {
        StreamKind::Account => Kind::Account,
        StreamKind::Market => Kind::Market,
    };
    plan.opened(zero, Ok(done(desk.client.session(wants)).unwrap()));
    let Next::Connect(url, _) = plan.next(zero) else { panic!("it connects") };
    assert!(url.starts_with("wss://") && url.ends_with(kind.path()), "{url}");
    plan.connected(zero);
    let Next::Send(hello) = plan.next(zero) else { panic!("it subscribes") };
    desk.broker.borrow_mut().attach(desk.clock.now(), kind, &hello).unwrap();
    plan.sent(zero);
    plan.told(zero);
    plan
}

#[test]
fn both_streams_are_subscribed_by_our_own_messages_and_read_by_our_own_readers() {
    let desk = Desk::new();
    let symbols = Subscription::Symbols(vec![CALL.to_owned(), "SPX".to_owned()]);
    let mut market = subscribe(&desk, symbols, StreamKind::Market);
    let account = subscribe(&desk, Subscription::Orders, StreamKind::Account);
    assert!(account.is_connected());
    let id = desk.buy(1, 350);
    desk.quote(CALL, 341, 351);
    desk.index(5_613.0);
    let frames: Vec<String> =
        desk.broker.borrow_mut().take_frames().into_iter().map(|it| it.text.to_string()).collect();
    let told: Vec<BrokerOrderId> = frames.iter().flat_map(|it| account_frame(it).orders).collect();
    assert!(told.contains(&id), "{frames:?}");
    let events: Vec<MarketEvent> =
        frames.iter().flat_map(|it| market_frame(it).items).filter_map(|it| it.event()).collect();
    assert!(events.iter().any(|it| matches!(it, MarketEvent::OptionQuote(of, quote) if *of == series(CALL) && quote.bid == Some(cents(341)))), "{frames:?}");
    // Other symbols on the same connection: the whole list, in the same session.
    market.subscribe(Subscription::Symbols(vec![HIGHER.to_owned()]));
    let Next::Send(again) = market.next(Duration::from_secs(1)) else { panic!("it sends") };
    desk.broker.borrow_mut().attach(desk.clock.now(), StreamKind::Market, &again).unwrap();
    drop(desk.broker.borrow_mut().take_frames());
    desk.quote(CALL, 342, 352);
    desk.quote(HIGHER, 231, 236);
    let frames: Vec<String> =
        desk.broker.borrow_mut().take_frames().into_iter().map(|it| it.text.to_string()).collect();
    assert!(
        frames.iter().all(|it| !it.contains(CALL)) && frames.iter().any(|it| it.contains(HIGHER)),
        "{frames:?}"
    );
}

#[test]
fn a_session_older_than_five_minutes_is_ended_by_the_broker_and_renewed_by_the_plan() {
    let desk = Desk::new();
    let session = done(desk.client.market_session()).unwrap();
    desk.after(Duration::from_secs(301));
    let hello = format!(r#"{{"symbols":["SPX"],"sessionid":"{}"}}"#, session.session_id);
    let refused = desk.broker.borrow_mut().attach(desk.clock.now(), StreamKind::Market, &hello).unwrap_err();
    let frame = market_frame(&refused.to_string());
    assert!(frame.error.is_some(), "{refused}");
    let mut plan = StreamPlan::new(Subscription::Symbols(vec!["SPX".to_owned()]), StreamLimits::default());
    assert_eq!(plan.next(Duration::ZERO), Next::OpenSession);
    plan.opened(Duration::ZERO, Ok(session));
    // Ours never tries it: it is asked for anew before it is five minutes old.
    assert_eq!(plan.next(Duration::from_secs(290)), Next::OpenSession);
}
