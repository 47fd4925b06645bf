//! The thirty shapes of the broker's answers, each read by the client (TRADIER.md section 21).
//!
//! `golden/shapes.txt` names them; the sandbox's own test goes by the same list.

use std::collections::BTreeSet;

use broker::rows::{self, MarketState, OrderClass, OrderKind, QuoteKind, TimeInForce};
use broker::stream::{MarketItem, account_frame, market_frame};
use broker::tradier::{BarLength, SaleLength};
use domain::account::AccountType;
use domain::ids::BrokerOrderId;
use domain::market::Points;
use domain::money::{Price, Side, Usd};
use domain::order::BrokerStatus;
use domain::ports::{BrokerError, BrokerPort};
use domain::symbol::{Root, Strike, Underlying};
use domain::time::UtcNanos;
use jiff::civil::{date, time};

use crate::played::{answered, kind, now};

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../golden/", $name, ".json"))
    };
}

/// The names of the shapes, `r01` to `r30`.
const SHAPES: &str = include_str!("../golden/shapes.txt");

fn at(text: &str) -> UtcNanos {
    UtcNanos::parse(text).unwrap()
}

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

macro_rules! shapes {
    ($($name:ident $read:block)*) => {
        $(#[test] fn $name() $read)*

        #[test]
        fn every_shape_of_the_list_is_read_by_a_test_of_its_name() {
            let listed: BTreeSet<&str> = SHAPES.lines().map(|it| it.split_once(' ').unwrap().0).collect();
            let tested: BTreeSet<&str> = [$(stringify!($name)),*].iter().map(|it| it.split_once('_').unwrap().0).collect();
            assert_eq!((listed.len(), &listed), (30, &tested));
        }
    };
}

shapes! {
    r01_a_profile_with_one_account {
        let profile = now(answered(200, golden!("r01_profile")).profile()).unwrap();
        let account = &profile.accounts[0];
        assert_eq!((profile.accounts.len(), account.number.as_str()), (1, "VA12345678"));
        assert_eq!((account.account_type, account.option_level, account.active), (Some(AccountType::Margin), Some(6), Some(true)));
        assert_eq!((account.day_trader, account.created_at), (Some(false), Some(at("2024-05-02T18:11:09.000Z"))));
    }
    r02_balances_of_a_margin_account {
        let it = now(answered(200, golden!("r02_balances_margin")).balances()).unwrap();
        assert_eq!((it.account_type, it.total_equity, it.close_pl), (AccountType::Margin, usd("100410.25"), usd("35")));
        assert_eq!((it.usable(), it.day_trade_buying_power, it.pending_orders), (Some(usd("99650.25")), None, 1));
    }
    r03_balances_of_cash_and_pdt_accounts {
        let it = now(answered(200, golden!("r03_balances_pdt")).balances()).unwrap();
        assert_eq!((it.account_type, it.day_trade_buying_power), (AccountType::Pdt, Some(usd("398601"))));
        assert_eq!(it.usable(), Some(usd("99650.25")), "the smaller of the two");
        let it = now(answered(200, golden!("r03_balances_cash")).balances()).unwrap();
        assert_eq!((it.account_type, it.option_buying_power), (AccountType::Cash, None));
        assert_eq!((it.cash_available, it.unsettled_funds), (Some(usd("4310")), Some(usd("620"))));
    }
    r04_positions_none_one_and_many {
        let read = |body| now(answered(200, body).positions()).unwrap();
        assert_eq!(read(golden!("r04_positions_none")), []);
        let one = read(golden!("r04_positions_one"));
        assert_eq!((one.len(), one[0].quantity, one[0].cost_basis), (1, 1, usd("235")));
        let many = read(golden!("r04_positions_many"));
        assert_eq!((many.len(), many[1].quantity, many[1].cost_basis), (2, -1, usd("-150")));
        assert_eq!(many[1].series.to_string(), "SPXW261120C05620000");
    }
    r05_orders_none_and_one {
        assert_eq!(now(answered(200, golden!("r05_orders_none")).orders()), Ok(vec![]));
        let one = rows::orders(golden!("r05_orders_one")).unwrap();
        let it = &one[0];
        assert_eq!((one.len(), it.id, it.status, it.tag), (1, BrokerOrderId(141_000_201), BrokerStatus::Open, None));
        assert_eq!((it.price, it.legs[0].side, it.legs[0].quantity), (Some(Price::from_cents(235)), Side::Buy, 1));
        assert_eq!(it.created_at, Some(at("2026-11-20T14:31:05.118Z")));
    }
    r06_a_filled_butterfly_whose_legs_say_what_it_cost {
        let it = rows::order_detail(golden!("r06_order_butterfly")).unwrap();
        assert_eq!((it.class, it.kind, it.strategy.as_deref()), (OrderClass::Multileg, OrderKind::Debit, Some("butterfly")));
        assert_eq!((it.net_fill(), it.parent_agrees()), (Some(usd("1.60")), Some(true)));
        let executed: Vec<u32> = it.order.legs.iter().map(|it| it.executed).collect();
        assert_eq!((executed, it.order.legs[1].average), (vec![1, 2, 1], Some(usd("15.62"))));
        assert_eq!(it.legs.iter().map(|it| it.id.0).collect::<Vec<_>>(), [141_000_301, 141_000_302, 141_000_303]);
    }
    r07_a_close_for_a_credit_fills_below_zero {
        let it = rows::order_detail(golden!("r07_order_credit")).unwrap();
        assert_eq!((it.kind, it.order.price, it.parent_average), (OrderKind::Credit, Some(Price::from_cents(105)), Some(usd("-1.05"))));
        assert_eq!((it.net_fill(), it.parent_agrees()), (Some(usd("-1.05")), Some(true)));
        assert!(it.order.legs.iter().all(|it| !it.opens));
    }
    r08_a_pending_market_order_has_no_price {
        let it = rows::order_detail(golden!("r08_order_pending")).unwrap();
        assert_eq!((it.order.status, it.kind, it.order.price), (BrokerStatus::Pending, OrderKind::Market, None));
        assert_eq!((it.legs.len(), it.net_fill(), it.parent_average), (2, None, None));
        assert!(!it.order.status.is_final());
    }
    r09_an_asynchronous_rejection_says_why {
        let it = rows::order(golden!("r09_order_rejected")).unwrap();
        assert_eq!((it.status, it.legs[0].executed), (BrokerStatus::Rejected, 0));
        assert_eq!(it.reason.as_deref(), Some("You do not have enough buying power for this trade."));
    }
    r10_a_bracket_is_its_legs_with_ids_of_their_own {
        let it = rows::order_detail(golden!("r10_order_oco")).unwrap();
        assert_eq!((it.class, it.kind, it.duration), (OrderClass::Oco, OrderKind::Other, TimeInForce::Gtc));
        let kinds: Vec<_> = it.legs.iter().map(|it| (it.id.0, it.kind, it.stop, it.status)).collect();
        let stop = Some(Price::from_cents(120));
        assert_eq!(kinds, [(141_000_401, OrderKind::Limit, None, BrokerStatus::Open), (141_000_402, OrderKind::Stop, stop, BrokerStatus::Open)]);
        assert_eq!((it.order.legs.len(), it.order.price), (2, None));
    }
    r11_answers_to_placing_changing_and_cancelling {
        assert_eq!(rows::answer(200, golden!("r11_answer_placed")), Ok(BrokerOrderId(141_000_500)));
        let id = BrokerOrderId(141_000_500);
        assert_eq!(now(answered(200, golden!("r11_answer_changed")).modify(id, Price::from_cents(105), false)), Ok(()));
        assert!(now(answered(200, golden!("r11_answer_cancelled")).cancel(id)).is_ok());
        let refused = |reason: &str| Err(BrokerError::Refused { reason: reason.to_owned() });
        assert_eq!(rows::answer(200, golden!("r11_answer_refused")), refused("Sell order is for more shares than your current long position, please review current position quantity along with open orders for security."));
        assert_eq!(rows::answer(200, golden!("r11_answer_refused_list")), refused("Backoffice rejected override of the order. InitialMargin"));
    }
    r12_a_chain_row_with_its_greeks {
        let day = date(2026, 11, 20);
        let rows = now(answered(200, golden!("r12_chain")).chain_with_greeks(Underlying::SPX, day, Some(Root::SPXW))).unwrap();
        let (row, greeks) = (rows[0].row, rows[0].greeks.unwrap());
        assert_eq!((row.quote.bid, row.quote.ask_size, row.open_interest), (Some(Price::from_cents(230)), 37, Some(1_204)));
        assert_eq!((greeks.delta, greeks.mid_iv, greeks.updated.unwrap().hour()), (Some(0.41), Some(0.103), 14));
        let am = now(answered(200, golden!("r12_chain")).chain(Underlying::SPX, day, Some(Root::SPX))).unwrap();
        assert!(am.is_empty(), "another root");
    }
    r13_quotes_with_one_symbol_nobody_knows {
        let it = now(answered(200, golden!("r13_quotes_unmatched")).symbol_quotes(&["SPX", "NOSUCH"])).unwrap();
        assert_eq!((it.found.len(), it.unmatched), (1, vec!["NOSUCH".to_owned()]));
        let spx = &it.found[0];
        assert_eq!((spx.kind, spx.last.unwrap().0, spx.close), (QuoteKind::Index, Points(56_112_500), None));
        assert_eq!((spx.roots.as_slice(), spx.last.unwrap().1), (&[Root::SPXW, Root::SPX][..], UtcNanos::from_secs(1_795_187_001)));
    }
    r14_quotes_of_nothing_that_is_known {
        let it = now(answered(200, golden!("r14_quotes_none")).symbol_quotes(&["NOSUCH", "ZZZZQ"])).unwrap();
        assert_eq!((it.found.len(), it.unmatched.len()), (0, 2));
        let series = ["SPXW261120C05610000".parse().unwrap()];
        assert_eq!(now(answered(200, golden!("r14_quotes_none")).quotes(&series)), Ok(vec![None]));
    }
    r15_expirations_as_dates {
        let it = now(answered(200, golden!("r15_expirations_plain")).expirations(Underlying::SPX, false)).unwrap();
        assert_eq!(it.iter().map(|it| it.date).collect::<Vec<_>>(), [date(2026, 11, 20), date(2026, 11, 23)]);
    }
    r16_expirations_with_strikes {
        let it = now(answered(200, golden!("r16_expirations_full")).expirations(Underlying::SPX, true)).unwrap();
        assert_eq!((it[0].contract_size, it[0].kind.as_deref()), (Some(100), Some("weeklys")));
        assert_eq!(it[0].strikes, [Strike::from_points(5_600), Strike::from_points(5_605)]);
    }
    r17_strikes_as_numbers {
        let it = now(answered(200, golden!("r17_strikes")).strikes(Underlying::SPX, date(2026, 11, 20))).unwrap();
        assert_eq!(it, [Strike::from_points(5_600), Strike::from_points(5_605)]);
    }
    r18_symbols_by_root {
        let it = now(answered(200, golden!("r18_lookup")).lookup(Underlying::SPX)).unwrap();
        assert_eq!((it[0].0, it[1].0, it[1].1[0].to_string()), (Root::SPX, Root::SPXW, "SPXW261120C05600000".to_owned()));
    }
    r19_the_clock_in_seconds {
        let it = now(answered(200, golden!("r19_clock")).market_clock()).unwrap();
        assert_eq!((it.state, it.at, it.next_change), (MarketState::Open, UtcNanos::from_secs(1_795_187_010), Some(time(16, 0, 0, 0))));
    }
    r20_a_calendar_with_a_holiday_and_an_early_close {
        let it = now(answered(200, golden!("r20_calendar")).calendar(2026, 11)).unwrap();
        let (holiday, short) = (&it.days[0], &it.days[1]);
        assert_eq!((holiday.open, holiday.regular, holiday.premarket), (false, None, None));
        let regular = short.regular.unwrap();
        assert_eq!((short.date, regular.start, regular.end), (date(2026, 11, 27), time(9, 30, 0, 0), time(13, 0, 0, 0)));
    }
    r21_daily_bars_and_none {
        let read = |body| now(answered(200, body).bars("SPX", BarLength::Daily, date(2026, 11, 19), date(2026, 11, 19))).unwrap();
        let bars = read(golden!("r21_history_bars"));
        assert_eq!((bars.len(), bars[0].close, bars[0].volume), (1, Some(Points(56_071_500)), Some(0)));
        assert_eq!(read(golden!("r21_history_none")), []);
    }
    r22_time_and_sales {
        let (from, to) = (at("2026-11-20T14:30:00Z"), at("2026-11-20T14:35:00Z"));
        let it = now(answered(200, golden!("r22_timesales")).sales("SPX", SaleLength::OneMinute, from, to)).unwrap();
        assert_eq!((it[0].at, it[0].vwap), (UtcNanos::from_secs(1_795_185_000), Some(Points(56_060_000))));
    }
    r23_a_preview_of_a_sale_costs_less_than_nothing {
        let it = rows::preview(golden!("r23_preview")).unwrap();
        assert_eq!((it.result, it.cost, it.order_cost), (true, Some(usd("-3.65")), Some(usd("-4"))));
        assert_eq!((it.commission, it.day_trades), (Some(usd("0.35")), Some(1)));
    }
    r24_a_gateways_fault_is_about_the_token {
        let broker = answered(401, golden!("r24_fault"));
        assert_eq!(kind(&now(broker.balances())), "authentication");
    }
    r25_a_stream_session {
        let it = now(answered(200, golden!("r25_session")).stream_session()).unwrap();
        assert_eq!(it.url, "wss://ws.tradier.com/v1/accounts/events");
        assert_eq!(it.session_id, "0b4c9c0e-5f4d-4b8e-a1f7-3f6f5c0d9e21");
    }
    r26_an_order_event_names_its_order {
        let frame = account_frame(&one_line(golden!("r26_account_event")));
        assert_eq!((frame.orders, frame.unknown), (vec![BrokerOrderId(141_000_300)], 0));
    }
    r27_a_heartbeat {
        let frame = account_frame(&one_line(golden!("r27_heartbeat")));
        assert_eq!((frame.heartbeats, frame.is_good()), (1, true));
    }
    r28_a_streamed_quote {
        let frame = market_frame(&one_line(golden!("r28_stream_quote")));
        let [MarketItem::Quote(it)] = frame.items.as_slice() else { panic!("{frame:?}") };
        let (bid, ask) = it.quote.valid().unwrap();
        assert_eq!((bid.price, bid.size, ask.price), (Points(23_000), Some(41), Points(24_000)));
        assert_eq!(it.quote.ts, UtcNanos::from_secs(1_795_187_010));
    }
    r29_a_streamed_trade_and_a_time_and_sale {
        let frame = market_frame(&one_line(golden!("r29_stream_trade")));
        let [MarketItem::Trade(it)] = frame.items.as_slice() else { panic!("{frame:?}") };
        assert_eq!((it.price, it.size, it.volume), (Points(23_500), 3, Some(812)));
        let frame = market_frame(&one_line(golden!("r29_stream_timesale")));
        let [MarketItem::Sale(it)] = frame.items.as_slice() else { panic!("{frame:?}") };
        assert_eq!((it.price, it.size, it.sequence, it.session.as_str()), (Points(5_610_100), 100, Some(352_795), "normal"));
    }
    r30_closed_positions {
        let it = now(answered(200, golden!("r30_gainloss")).gain_loss(date(2026, 11, 19), date(2026, 11, 19))).unwrap();
        assert_eq!((it.len(), it[0].gain, it[0].cost, it[0].term_days), (1, usd("-65"), usd("170"), Some(0)));
        assert_eq!((it[0].series.unwrap().root, it[0].quantity), (Root::SPXW, usd("1")));
    }
}

/// Frames are lines on the wire; the file is laid out for reading.
fn one_line(text: &str) -> String {
    serde_json::from_str::<serde_json::Value>(text).unwrap().to_string()
}
