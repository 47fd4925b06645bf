//! Orders that depend on each other.

use super::*;

const OCO: &str = "class=oco duration=day symbol[0]=SPX option_symbol[0]=SPXW261120C05610000 side[0]=sell_to_close quantity[0]=4 type[0]=limit price[0]=3.00 option_symbol[1]=SPXW261120C05610000 side[1]=sell_to_close quantity[1]=4 type[1]=stop stop[1]=1.20 tag=pair";
const OTOCO: &str = "class=otoco duration=day symbol=SPX option_symbol[0]=SPXW261120C05610000 side[0]=buy_to_open quantity[0]=2 type[0]=limit price[0]=2.30 option_symbol[1]=SPXW261120C05610000 side[1]=sell_to_close quantity[1]=2 type[1]=limit price[1]=3.00 option_symbol[2]=SPXW261120C05610000 side[2]=sell_to_close quantity[2]=2 type[2]=stop stop[2]=1.20";
const OTO: &str = "class=oto duration=day symbol=SPX option_symbol[0]=SPXW261120C05610000 side[0]=buy_to_open quantity[0]=2 type[0]=limit price[0]=2.30 option_symbol[1]=SPXW261120C05610000 side[1]=sell_to_close quantity[1]=2 type[1]=market";

fn holding() -> World {
    let mut world = World::new();
    world.placed(CALL, "buy_to_open", "4", "2.40");
    world
}

#[test]
fn a_bracket_shows_its_orders_and_leaves_out_what_it_has_no_value_for() {
    let mut world = holding();
    let id = world.taken(OCO);
    assert_eq!(
        world.row(id),
        r#"{"order":{"id":141000002,"status":"open","duration":"day","create_date":"2026-11-20T15:00:00.005Z","transaction_date":"2026-11-20T15:00:00.005Z","class":"oco","num_legs":2,"leg":[{"id":141000003,"type":"limit","symbol":"SPX","side":"sell_to_close","quantity":4.0,"status":"open","duration":"day","price":3.0,"avg_fill_price":0.0,"exec_quantity":0.0,"last_fill_price":0.0,"last_fill_quantity":0.0,"remaining_quantity":4.0,"create_date":"2026-11-20T15:00:00.005Z","transaction_date":"2026-11-20T15:00:00.005Z","class":"option","option_symbol":"SPXW261120C05610000"},{"id":141000004,"type":"stop","symbol":"SPX","side":"sell_to_close","quantity":4.0,"status":"open","duration":"day","stop_price":1.2,"avg_fill_price":0.0,"exec_quantity":0.0,"last_fill_price":0.0,"last_fill_quantity":0.0,"remaining_quantity":4.0,"create_date":"2026-11-20T15:00:00.005Z","transaction_date":"2026-11-20T15:00:00.005Z","class":"option","option_symbol":"SPXW261120C05610000"}]}}"#
    );
    let list = world.get("/accounts/VA00000001/orders", &[("includeTags", "true")]);
    assert!(!list.contains("pair"), "brackets lose their tag: {list}");
    assert_eq!(list.matches(r#""class":"oco""#).count(), 1);
    assert_eq!(list.matches(r#""id":"#).count(), 4, "its orders are in it, not beside it: {list}");
    assert!(
        world.row(id + 1).starts_with(r#"{"order":{"id":141000003,"type":"limit""#),
        "and have ids of their own"
    );
    assert!(world.get("/accounts/VA00000001/balances", &[]).contains(r#""pending_orders_count":1"#));
    let practice = Practice { bracket_tags: true, held: true, ..Practice::USUAL };
    let mut kept = World::with(Rules { practice, latencies: Latencies::NONE, ..Rules::live(7) });
    let id = kept.taken(&format!("{OTOCO} tag=three"));
    let row = kept.row(id);
    assert!(row.contains(r#""tag":"three""#) && row.matches(r#""status":"held""#).count() == 2, "{row}");
}

#[test]
fn one_execution_ends_the_other() {
    let mut world = holding();
    let id = world.taken(OCO);
    world.quote(CALL, 310, 320, 10, 10);
    assert_eq!(
        [id, id + 1, id + 2].map(|it| world.status(it)),
        [Status::Filled, Status::Filled, Status::Canceled]
    );
    assert_eq!(world.held(CALL), 0);
    let mut world = holding();
    let id = world.taken(OCO);
    world.quote(CALL, 110, 120, 10, 10);
    assert_eq!(
        [id, id + 1, id + 2].map(|it| world.status(it)),
        [Status::Filled, Status::Canceled, Status::Filled]
    );
}

#[test]
fn parts_of_both_never_sell_more_than_is_held() {
    let mut world = holding();
    let id = world.taken(OCO);
    world.quote(CALL, 310, 320, 3, 10);
    assert_eq!((world.held(CALL), world.order(id + 1).1), (1, 3));
    world.quote(CALL, 110, 120, 9, 10);
    assert_eq!((world.held(CALL), world.order(id + 2).1), (0, 1));
    assert!([id, id + 1, id + 2].iter().all(|it| world.status(*it).is_final()));
    assert_eq!(world.status(id), Status::Filled, "together they did what one of them was for");
}

#[test]
fn two_exits_claim_their_contracts_once() {
    let mut world = holding();
    let id = world.taken(OCO);
    assert!(world.limit(CALL, "sell_to_close", "1", "2.90").contains("Sell order is for more shares"));
    world.cancel(id + 1);
    world.after(Duration::from_millis(1));
    assert_eq!((world.status(id + 1), world.status(id + 2)), (Status::Canceled, Status::Open));
    assert!(
        world.limit(CALL, "sell_to_close", "1", "2.90").contains("Sell order is for more shares"),
        "the one that is left claims them"
    );
    world.cancel(id);
    world.after(Duration::from_millis(1));
    assert_eq!(world.status(id), Status::Canceled);
    assert!(number(&world.limit(CALL, "sell_to_close", "4", "2.90")).is_some());
}

#[test]
fn exits_wait_for_their_entry_and_go_with_it() {
    let mut world = World::new();
    let id = world.taken(OTOCO);
    assert_eq!(
        [id + 1, id + 2, id + 3].map(|it| world.status(it)),
        [Status::Open, Status::Held, Status::Held]
    );
    assert_eq!(world.row(id).matches(r#""status":"pending""#).count(), 2, "which shows as pending");
    world.quote(CALL, 220, 230, 10, 1);
    assert_eq!((world.held(CALL), world.status(id + 2)), (1, Status::Held), "a part is not enough");
    world.quote(CALL, 220, 230, 10, 10);
    world.after(Duration::from_millis(1));
    assert_eq!(
        [id + 1, id + 2, id + 3].map(|it| world.status(it)),
        [Status::Filled, Status::Open, Status::Open]
    );
    world.quote(CALL, 115, 120, 10, 10);
    assert_eq!((world.held(CALL), world.status(id)), (0, Status::Filled));
    let mut world = World::new();
    let id = world.taken(OTOCO);
    world.cancel(id + 1);
    world.after(Duration::from_millis(1));
    assert!([id, id + 1, id + 2, id + 3].iter().all(|it| world.status(*it) == Status::Canceled));
}

#[test]
fn the_second_of_two_is_sent_when_the_first_is_done() {
    let mut world = World::new();
    let id = world.taken(OTO);
    world.quote(CALL, 220, 230, 10, 10);
    world.after(Duration::from_millis(1));
    assert_eq!(
        (world.status(id + 2), world.held(CALL), world.status(id)),
        (Status::Filled, 0, Status::Filled)
    );
}

#[test]
fn an_exit_that_finds_nothing_to_close_is_rejected_with_its_bracket() {
    let mut world = World::new();
    let id = world.taken(OTO);
    world.quote(CALL, 220, 230, 10, 1);
    let sold = world.placed(CALL, "sell_to_close", "1", "2.20");
    assert_eq!(world.status(sold), Status::Filled);
    world.quote(CALL, 220, 230, 10, 10);
    world.after(Duration::from_millis(1));
    assert_eq!((world.status(id + 2), world.status(id)), (Status::Rejected, Status::Rejected));
    assert!(world.row(id).contains("Sell order is for more shares"));
}

#[test]
fn an_order_of_a_bracket_is_changed_by_its_own_id_and_the_bracket_not_at_all() {
    let mut world = World::new();
    let id = world.taken(OTOCO);
    assert_eq!(world.change(id, "price", "2.20"), (200, refusal("OrderContingentChangeNotAllowed")));
    assert_eq!(world.change(id + 2, "price", "2.80").0, 200);
    assert!(world.row(id).contains(r#""price":2.8"#));
    assert_eq!(world.status(id + 2), Status::Held);
}

#[test]
fn what_a_bracket_may_not_be_is_said_by_the_code() {
    let mut world = holding();
    let with = |form: &str, from: &str, to: &str| {
        assert!(form.contains(from), "{from}");
        form.replace(from, to)
    };
    for (form, expected) in [
        (
            with(OTO, "type[0]=limit price[0]=2.30", "type[0]=market"),
            refusal("OtoFirstLesIsMarketNotAllowed"),
        ),
        (with(OCO, "type[1]=stop stop[1]=1.20", "type[1]=market"), refusal("OtoOcoMarketNotAllowed")),
        (with(OCO, "stop[1]=1.20", "stop[1]=1.20 duration[1]=gtc"), refusal("OcoExpirationTypeNotTheSame")),
        (with(OCO, "side[1]=sell_to_close", "side[1]=buy_to_open"), refusal("OcoOrderWithOppositeLegs")),
        (
            with(OCO, "type[1]=stop stop[1]=1.20", "type[1]=limit price[1]=3.00"),
            refusal("OcoPriceDifferenceIsLessThanDelta"),
        ),
        (
            with(OCO, "quantity[1]=4", "quantity[1]=9"),
            sentence(
                "Sell order is for more shares than your current long position, please review current position quantity along with open orders for security. ",
            ),
        ),
        (with(OCO, "quantity[1]=4 ", ""), "Invalid parameter, quantity[1]: is required.".to_owned()),
        (
            with(OCO, "symbol[0]=SPX", "symbol[0]=SPY"),
            "Invalid parameter, symbol[0]: is not valid".to_owned(),
        ),
        (format!("{OCO} side[2]=buy"), "Invalid parameter, side: must have 2 legs.".to_owned()),
    ] {
        assert_eq!(world.post(MARGIN, &form), expected, "{form}");
        world.after(Duration::from_secs(2));
    }
    assert_eq!(world.broker.account(MARGIN).unwrap().live.len(), 0);
}

#[test]
fn a_bracket_of_shares_needs_no_option_symbol() {
    let mut world = World::new();
    world.stock(561.00, 561.02, 300);
    world.print(561.01);
    let id = world.taken("class=otoco duration=day symbol[0]=SPY side[0]=buy quantity[0]=5 type[0]=limit price[0]=561.02 symbol[1]=SPY side[1]=sell quantity[1]=5 type[1]=limit price[1]=562 symbol[2]=SPY side[2]=sell quantity[2]=5 type[2]=stop stop[2]=560");
    world.after(Duration::from_millis(1));
    assert_eq!(world.shares(), 5);
    world.stock(562.00, 562.02, 300);
    assert_eq!((world.shares(), world.status(id)), (0, Status::Filled));
    let facts = Facts::from_transcript(&world.broker.take_transcript()).total;
    assert_eq!((facts.broker_orders, facts.fills, facts.duplicate_orders), (1, 2, 0));
}

#[test]
fn facts_count_a_bracket_of_ours_once_and_a_second_one_beside_it_as_a_duplicate() {
    let tag = |n: u16| {
        let intent = domain::ids::IntentId::of(&[b"bracket"]);
        domain::ids::OrderTag { intent, attempt: domain::ids::AttemptNo(n) }.to_string()
    };
    let mut world = World::new();
    world.taken(&format!("{OTOCO} tag={}", tag(1)));
    world.quote(CALL, 220, 230, 10, 10);
    world.after(Duration::from_millis(1));
    world.quote(CALL, 110, 120, 10, 10);
    let mut lines = world.broker.take_transcript();
    assert_eq!(
        Facts::from_transcript(&lines).total.duplicate_orders,
        0,
        "entry and exit are no two openings"
    );
    world.quote(CALL, 230, 240, 10, 10);
    world.taken(&format!("{OTOCO} tag={}", tag(2)));
    world.taken(&format!("{OTOCO} tag={}", tag(3)));
    lines.extend(world.broker.take_transcript());
    assert_eq!(Facts::from_transcript(&lines).total.duplicate_orders, 1);
}
