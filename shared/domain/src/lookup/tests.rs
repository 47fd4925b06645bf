use super::*;
use crate::ids::{AttemptNo, IntentId};
use crate::order::{BrokerLeg, BrokerStatus};

/// 2026-11-20, 10:00 in New York.
const SENT: UtcNanos = UtcNanos::from_secs(1_795_186_800);
const CALL: &str = "SPXW261120C05610000";

fn tag(attempt: u16) -> OrderTag {
    OrderTag { intent: IntentId::of(&[b"an intent"]), attempt: AttemptNo(attempt) }
}

fn order(id: u64, tag: Option<OrderTag>, quantity: u32, created_ms: i64) -> BrokerOrder {
    let leg = BrokerLeg {
        series: CALL.parse().unwrap(),
        side: Side::Buy,
        opens: true,
        quantity,
        executed: 0,
        average: None,
    };
    BrokerOrder {
        id: BrokerOrderId(id),
        tag,
        status: BrokerStatus::Open,
        price: None,
        legs: vec![leg],
        created_at: Some(UtcNanos(SENT.0 + created_ms * 1_000_000)),
        changed_at: None,
        reason: None,
    }
}

fn sought(tag_is_kept: bool) -> Sought {
    let leg = SoughtLeg { series: CALL.parse().unwrap(), side: Side::Buy, opens: true, quantity: 2 };
    Sought { legs: vec![leg], sent_at: SENT, tag_is_kept }
}

const LATER: UtcNanos = UtcNanos::from_secs(1_795_186_830);

#[test]
fn section_14_an_order_is_known_again_by_its_tag_and_its_shape() {
    let id = BrokerOrderId;
    let not_found = |covered| TagLookup::NotFound { covered };
    for (what, orders, want) in [
        ("ours", vec![order(5, Some(tag(1)), 2, 60)], TagLookup::Found(id(5))),
        ("accepted a minute late", vec![order(5, Some(tag(1)), 2, 60_000)], TagLookup::Found(id(5))),
        ("listed on two pages", vec![order(5, Some(tag(1)), 2, 60); 2], TagLookup::Found(id(5))),
        (
            "twice at the broker",
            vec![order(5, Some(tag(1)), 2, 60), order(6, Some(tag(1)), 2, 90)],
            TagLookup::Several(vec![id(5), id(6)]),
        ),
        ("our tag on another order", vec![order(5, Some(tag(1)), 3, 60)], TagLookup::Other(id(5))),
        ("another attempt alone, before it", vec![order(5, Some(tag(2)), 2, -60)], not_found(false)),
        ("another attempt, after it", vec![order(5, Some(tag(2)), 2, 60)], not_found(true)),
        ("the same order by hand", vec![order(5, None, 2, 60)], not_found(true)),
        ("an empty list", vec![], not_found(false)),
    ] {
        assert_eq!(look_up(&orders, tag(1), &sought(true), LATER), want, "{what}");
    }
}

#[test]
fn section_14_a_list_of_another_day_covers_nothing() {
    let next_day = SENT.plus(Duration::from_secs(86_400));
    let orders = [order(5, Some(tag(2)), 2, 60)];
    assert_eq!(look_up(&orders, tag(1), &sought(true), next_day), TagLookup::NotFound { covered: false });
}

#[test]
fn section_9_a_bracket_that_lost_its_tag_is_known_again_by_shape_and_time() {
    for (what, orders, want) in [
        ("without its tag", vec![order(5, None, 2, 60)], TagLookup::Found(BrokerOrderId(5))),
        ("of another size", vec![order(5, None, 3, 60)], TagLookup::NotFound { covered: true }),
        ("of this morning", vec![order(5, None, 2, -600_000)], TagLookup::NotFound { covered: false }),
        ("of much later", vec![order(5, None, 2, 600_000)], TagLookup::NotFound { covered: true }),
        ("somebody else's", vec![order(5, Some(tag(2)), 2, 60)], TagLookup::NotFound { covered: true }),
    ] {
        assert_eq!(look_up(&orders, tag(1), &sought(false), LATER), want, "{what}");
    }
}
