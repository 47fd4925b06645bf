//! Combinations, brackets, protection and the emergency's market order: what leaves, and until when.

use domain::intent::Approved;
use domain::lookup::{Sought, TagLookup};
use domain::ticket::{
    BoundedRisk, BracketTicket, ComboLeg, ComboOpening, ComboTicket, CoveredClose, EmergencyEvidence,
    EmergencyToken, Exits, HeldLeg, LegSide, MarketTicket, Net, ProtectiveTicket, Reading, StopLimit,
};

use super::*;

const OK: &str = r#"{"order":{"id":88120001,"status":"ok","partner_id":"p"}}"#;

fn cents(cents: u32) -> Price {
    Price::from_cents(cents)
}

fn leg(symbol: &str, side: LegSide) -> ComboLeg {
    ComboLeg { series: symbol.parse().unwrap(), side, ratio: 1 }
}

fn gates() -> Vec<GateCheck> {
    intent::OPENING_GATES
        .iter()
        .chain([&intent::LEG_COLLISION])
        .map(|it| GateCheck::holds(it, true, "yes", "yes", ""))
        .collect()
}

/// A put spread sold for at least 1.50, three units approved.
fn spread() -> Approved<ComboOpening> {
    let legs =
        [leg("SPXW261120P05560000", LegSide::SellToOpen), leg("SPXW261120P05550000", LegSide::BuyToOpen)];
    let risk = BoundedRisk::check(&legs, Net::credit(cents(150))).unwrap();
    intent::approve_combo(ComboOpening { risk, units: 3 }, &gates()).unwrap()
}

fn held(quantity: u32) -> Approved<intent::CloseBound> {
    let closing = ClosingIntent {
        head: head(Action::Stop),
        opening: None,
        amount: CloseAmount::All,
        reason: "stop".to_owned(),
    };
    intent::approve_closing(&closing, quantity, quantity).unwrap()
}

/// The form a placement left with.
fn sent(tape: &Tape) -> String {
    let sent = tape.sent.borrow();
    assert_eq!(
        (sent.len(), sent[0].method, &*sent[0].path),
        (1, Method::Post, "/v1/accounts/VA00009876/orders")
    );
    let form: Vec<String> = sent[0].form.iter().map(|(name, value)| format!("{name}={value}")).collect();
    form.join("&")
}

#[test]
fn a_combination_leaves_as_one_multileg_whose_sign_is_its_type() {
    for (net, want) in [
        (Net::credit(cents(155)), "type=credit&duration=day&price=1.55"),
        // Never worse than was checked: a walk that goes too far stops at the bound.
        (Net::credit(cents(100)), "type=credit&duration=day&price=1.50"),
        (Net::debit(cents(5)), "type=credit&duration=day&price=1.50"),
    ] {
        let (broker, tape) = account(vec![Ok(reply(200, OK))]);
        let ticket = ComboTicket::open(&spread(), &mark(NOW), 9, net);
        assert_eq!(now(broker.place_combo(&ticket)), Ok(BrokerOrderId(88_120_001)));
        assert_eq!(
            sent(&tape),
            format!(
                "class=multileg&symbol=SPX&{want}&option_symbol[0]=SPXW261120P05560000&side[0]=sell_to_open&quantity[0]=3&option_symbol[1]=SPXW261120P05550000&side[1]=buy_to_open&quantity[1]=3&tag={}",
                tag()
            )
        );
    }
}

#[test]
fn a_combination_closes_whole_and_may_be_even() {
    let held = [
        HeldLeg { series: "SPXW261120P05560000".parse().unwrap(), quantity: -2 },
        HeldLeg { series: "SPXW261120P05550000".parse().unwrap(), quantity: 2 },
    ];
    let legs =
        [leg("SPXW261120P05560000", LegSide::BuyToClose), leg("SPXW261120P05550000", LegSide::SellToClose)];
    let covered = CoveredClose::check(&legs, 2, &held).unwrap();
    for (net, want) in [
        (Net::debit(cents(40)), "type=debit&duration=day&price=0.40&"),
        (Net::EVEN, "type=even&duration=day&option"),
    ] {
        let (broker, tape) = account(vec![Ok(reply(200, OK))]);
        // However old its mark: a close is late at no time.
        let ticket = ComboTicket::close(&covered, &mark(NOW.minus(Duration::from_secs(900))), net);
        assert!(now(broker.place_combo(&ticket)).is_ok());
        let form = sent(&tape);
        assert!(form.contains(want) && form.contains("side[0]=buy_to_close&quantity[0]=2"), "{form}");
        assert_eq!(tape.sent.borrow()[0].leaves_within, None);
    }
}

#[test]
fn what_opens_leaves_within_two_seconds_of_its_mark_or_not_at_all() {
    let marked = |ms: u64| mark(NOW.minus(Duration::from_millis(ms)));
    for (age_ms, want) in [(0, Some(2_000)), (1_400, Some(600)), (2_000, Some(0)), (2_001, None)] {
        let (broker, tape) = account(vec![Ok(reply(200, OK)), Ok(reply(200, OK)), Ok(reply(200, OK))]);
        let placed = [
            now(broker.place(&entry_ticket(NOW.minus(Duration::from_millis(age_ms))))),
            now(broker.place_combo(&ComboTicket::open(
                &spread(),
                &marked(age_ms),
                1,
                Net::credit(cents(150)),
            ))),
            now(broker.place_bracket(&bracket(&marked(age_ms)))),
        ];
        let left: Vec<_> = tape.sent.borrow().iter().map(|it| it.leaves_within).collect();
        match want {
            Some(ms) => assert_eq!(left, [Some(Duration::from_millis(ms)); 3]),
            None => assert!(
                left.is_empty() && placed.iter().all(|it| matches!(it, Err(BrokerError::NotSent { .. })))
            ),
        }
    }
}

fn bracket(mark: &Mark) -> BracketTicket {
    let stop = StopLimit::new(cents(120), cents(70)).unwrap();
    BracketTicket::with_entry(&opening(), mark, 2, cents(205), Exits::Both(cents(400), stop)).unwrap()
}

#[test]
fn brackets_leave_as_their_parts_in_order_with_stops_that_have_limits() {
    let stop = StopLimit::new(cents(120), cents(70)).unwrap();
    let entry =
        format!("option_symbol[0]={SERIES}&side[0]=buy_to_open&quantity[0]=2&type[0]=limit&price[0]=2.05");
    let target = |i: u32, q: u32| {
        format!(
            "option_symbol[{i}]={SERIES}&side[{i}]=sell_to_close&quantity[{i}]={q}&type[{i}]=limit&price[{i}]=4.00"
        )
    };
    let protection = |i: u32, q: u32| {
        format!(
            "option_symbol[{i}]={SERIES}&side[{i}]=sell_to_close&quantity[{i}]={q}&type[{i}]=stop_limit&price[{i}]=0.70&stop[{i}]=1.20"
        )
    };
    let with = |exits| BracketTicket::with_entry(&opening(), &mark(NOW), 2, cents(205), exits).unwrap();
    let of_held =
        BracketTicket::of_held(&held(3), &mark(NOW), SERIES.parse().unwrap(), cents(400), stop).unwrap();
    for (ticket, class, parts) in [
        (with(Exits::Both(cents(400), stop)), "otoco", vec![entry.clone(), target(1, 2), protection(2, 2)]),
        (with(Exits::Target(cents(400))), "oto", vec![entry.clone(), target(1, 2)]),
        (with(Exits::Protection(stop)), "oto", vec![entry, protection(1, 2)]),
        (of_held, "oco", vec![target(0, 3), protection(1, 3)]),
    ] {
        let (broker, tape) = account(vec![Ok(reply(200, OK))]);
        assert!(now(broker.place_bracket(&ticket)).is_ok());
        assert_eq!(sent(&tape), format!("class={class}&duration=day&{}&tag={}", parts.join("&"), tag()));
    }
}

#[test]
fn a_bracket_on_the_wrong_side_of_its_entry_is_none() {
    let stop = |at| StopLimit::new(cents(at), cents(5)).unwrap();
    let with = |exits| BracketTicket::with_entry(&opening(), &mark(NOW), 2, cents(205), exits).is_ok();
    assert!(!with(Exits::Target(cents(205))) && with(Exits::Target(cents(210))));
    assert!(!with(Exits::Protection(stop(205))) && with(Exits::Protection(stop(200))));
    let of_held = |target, at| {
        BracketTicket::of_held(&held(3), &mark(NOW), SERIES.parse().unwrap(), cents(target), stop(at)).is_ok()
    };
    assert!(!of_held(120, 120) && of_held(125, 120));
}

#[test]
fn protection_is_a_stop_with_a_limit_and_an_emergency_sells_at_any_price() {
    let (broker, tape) = account(vec![Ok(reply(200, OK))]);
    let terms = StopLimit::new(cents(120), cents(70)).unwrap();
    let ticket = ProtectiveTicket::sell_to_close(&held(3), &mark(NOW), SERIES.parse().unwrap(), terms);
    assert!(now(broker.place_protection(&ticket)).is_ok());
    let head = format!("class=option&symbol=SPX&option_symbol={SERIES}&side=sell_to_close&quantity=3");
    assert_eq!(
        sent(&tape),
        format!("{head}&type=stop_limit&stop=1.20&price=0.70&duration=day&tag={}", tag())
    );

    let reading = |ago: u64, value| Reading { at: NOW.minus(Duration::from_secs(ago)), value };
    let evidence = EmergencyEvidence {
        vix_before: reading(50, 20.0),
        vix_first: reading(12, 22.1),
        vix_second: reading(1, 22.4),
        moved_against: 0.005,
    };
    let token = EmergencyToken::declare(&evidence, NOW).unwrap();
    let (broker, tape) = account(vec![Ok(reply(200, OK))]);
    let ticket = MarketTicket::sell_to_close(&held(3), &mark(NOW), SERIES.parse().unwrap(), token);
    assert!(now(broker.place_market(&ticket)).is_ok());
    assert_eq!(sent(&tape), format!("{head}&type=market&duration=day&tag={}", tag()));
}

#[test]
fn a_preview_leaves_no_order_and_a_lost_one_is_no_unknown_order() {
    let body =
        r#"{"order":{"status":"ok","cost":411.0,"result":true,"order_cost":410.0,"margin_change":0.0}}"#;
    let (broker, tape) = account(vec![Ok(reply(200, body))]);
    assert_eq!(now(broker.preview(&entry_ticket(NOW))).unwrap().cost, Some(Usd::from_dollars(411)));
    assert!(sent(&tape).ends_with("&preview=true"));
    let (broker, _) = account(vec![Err(TransportError::Unknown("time-out".into()))]);
    let ticket = ComboTicket::open(&spread(), &mark(NOW), 1, Net::credit(cents(150)));
    assert_eq!(kind(now(broker.preview_combo(&ticket))), "broken");
    let refused_body = r#"{"errors":{"error":"You do not have enough buying power for this trade."}}"#;
    assert_eq!(kind(now(answering(200, refused_body).preview(&entry_ticket(NOW)))), "refused");
}

#[test]
fn every_placement_leaves_once_whatever_comes_back() {
    for answer in [
        Err(TransportError::Unknown("reset".into())),
        Err(TransportError::NotSent("refused".into())),
        Ok(reply(502, "<html>")),
        Ok(reply(429, "")),
        Ok(reply(200, "")),
    ] {
        let (broker, tape) = account(vec![answer.clone(), Ok(reply(200, OK))]);
        let ticket = ComboTicket::open(&spread(), &mark(NOW), 1, Net::credit(cents(150)));
        assert!(now(broker.place_combo(&ticket)).is_err());
        assert_eq!(tape.sent.borrow().len(), 1, "{answer:?}");
        let (broker, tape) = account(vec![answer.clone(), Ok(reply(200, OK))]);
        assert!(now(broker.place_bracket(&bracket(&mark(NOW)))).is_err());
        assert_eq!(tape.sent.borrow().len(), 1, "{answer:?}");
    }
}

#[test]
fn a_lost_combination_is_found_by_its_tag_and_its_legs() {
    let ticket = ComboTicket::open(&spread(), &mark(NOW), 2, Net::credit(cents(150)));
    let leg = |id: u64, symbol: &str, side: &str, quantity: u32| {
        format!(
            r#"{{"id":{id},"side":"{side}","quantity":{quantity}.0,"status":"open","exec_quantity":0.0,"class":"option","option_symbol":"{symbol}"}}"#
        )
    };
    let list = |quantity: u32| {
        let legs = [
            leg(91, "SPXW261120P05550000", "buy_to_open", quantity),
            leg(92, "SPXW261120P05560000", "sell_to_open", quantity),
        ];
        format!(
            r#"{{"orders":{{"order":{{"id":90,"class":"multileg","type":"credit","side":"buy","quantity":4.0,"status":"open","create_date":"{NOW}","tag":"{}","leg":[{}]}}}}}}"#,
            tag(),
            legs.join(",")
        )
    };
    let look = |body: String| {
        let (broker, _) = account(vec![Ok(reply(200, &body)), Ok(reply(200, r#"{"orders":"null"}"#))]);
        now(broker.look_up(tag(), &Sought::combo(&ticket, NOW)))
    };
    assert_eq!(look(list(2)), Ok(TagLookup::Found(BrokerOrderId(90))));
    assert_eq!(look(list(3)), Ok(TagLookup::Other(BrokerOrderId(90))));
    assert_eq!(look(r#"{"orders":"null"}"#.to_owned()), Ok(TagLookup::NotFound { covered: false }));
    // Half a list proves less than nothing.
    let (broker, _) = account(vec![Ok(reply(200, &list(2))), Ok(reply(502, ""))]);
    assert_eq!(kind(now(broker.look_up(tag(), &Sought::combo(&ticket, NOW)))), "broken");
}
