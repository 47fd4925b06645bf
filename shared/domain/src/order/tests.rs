//! Attempts through every event, and tags.

use super::*;
use crate::ids::IntentId;
use proptest::prelude::*;

fn attempt(state: AttemptState) -> Attempt {
    let bound = !matches!(
        state,
        AttemptState::Created | AttemptState::Submitting | AttemptState::Unknown | AttemptState::Missed
    );
    Attempt {
        no: AttemptNo::FIRST,
        state,
        broker_order: bound.then_some(BrokerOrderId(7)),
        side: Side::Buy,
        quantity: 3,
        price: Price::from_cents(250),
        rung: 0,
        executed: 0,
        average: None,
        marked_at: UtcNanos(0),
        repriced_at: UtcNanos(0),
        cancel_at: None,
        reason: None,
        combo: None,
        trace: Trace::default(),
    }
}

fn seen(status: BrokerStatus, executed: u32) -> AttemptEvent {
    AttemptEvent::Observed { id: BrokerOrderId(7), status, executed, average: None }
}

#[test]
fn a_lost_answer_is_adopted_by_tag_and_never_forgotten_by_an_empty_list() {
    let lost = attempt(AttemptState::Submitting).apply(&AttemptEvent::AnswerLost).unwrap();
    let still = lost.apply(&AttemptEvent::NotFound).unwrap();
    assert_eq!(still.state, AttemptState::Unknown);
    let found = still.apply(&seen(BrokerStatus::Open, 0)).unwrap();
    assert_eq!((found.state, found.broker_order), (AttemptState::Working, Some(BrokerOrderId(7))));
}

#[test]
fn a_fill_that_races_a_cancel_counts_and_the_final_state_stays() {
    let canceled = attempt(AttemptState::Working).apply(&seen(BrokerStatus::Canceled, 1)).unwrap();
    let late = canceled.apply(&seen(BrokerStatus::Canceled, 2)).unwrap();
    assert_eq!((late.state, late.executed), (AttemptState::Canceled, 2));
}

#[test]
fn an_average_is_kept_for_the_quantity_it_was_said_with_and_for_no_other() {
    let average = Some(Usd::from_cents(890));
    let of = |executed, average| AttemptEvent::Observed {
        id: BrokerOrderId(7),
        status: BrokerStatus::PartiallyFilled,
        executed,
        average,
    };
    let one = attempt(AttemptState::Working).apply(&of(1, average)).unwrap();
    assert_eq!((one.executed, one.average), (1, average));
    assert_eq!(one.apply(&of(1, None)).unwrap().average, average, "said before, and nothing more executed");
    // The status shows before the price: what two more cost is not known yet.
    assert_eq!(one.apply(&of(3, None)).unwrap().average, None);
    // A list that lags speaks of fewer than have executed: its average is not theirs.
    let two = one.apply(&of(2, None)).unwrap();
    assert_eq!((two.executed, two.average), (2, None));
    let behind = two.apply(&of(1, average)).unwrap();
    assert_eq!((behind.executed, behind.average), (2, None));
    assert_eq!(one.apply(&seen(BrokerStatus::Filled, 1)).unwrap().average, None);
}

#[test]
fn more_than_ordered_and_a_second_order_are_errors() {
    let working = attempt(AttemptState::Working);
    assert!(matches!(working.apply(&seen(BrokerStatus::Open, 4)), Err(AttemptError::Overfilled { .. })));
    let other = AttemptEvent::Accepted(BrokerOrderId(8));
    assert!(matches!(working.apply(&other), Err(AttemptError::TwoOrders { .. })));
}

fn any_event() -> impl Strategy<Value = AttemptEvent> {
    let status = prop_oneof![
        Just(BrokerStatus::Pending),
        Just(BrokerStatus::Open),
        Just(BrokerStatus::PartiallyFilled),
        Just(BrokerStatus::PendingCancel),
        Just(BrokerStatus::Filled),
        Just(BrokerStatus::Canceled),
        Just(BrokerStatus::Expired),
        Just(BrokerStatus::Rejected),
        Just(BrokerStatus::Other),
    ];
    prop_oneof![
        Just(AttemptEvent::Marked),
        Just(AttemptEvent::NotSent),
        Just(AttemptEvent::AnswerLost),
        Just(AttemptEvent::NotFound),
        Just(AttemptEvent::GivenUp),
        Just(AttemptEvent::Refused("no".to_owned())),
        (6u64..9).prop_map(|id| AttemptEvent::Accepted(BrokerOrderId(id))),
        (6u64..9, status, 0u32..5).prop_map(|(id, status, executed)| {
            AttemptEvent::Observed { id: BrokerOrderId(id), status, executed, average: None }
        }),
    ]
}

proptest! {
    #[test]
    fn prop_no_history_overfills_unfills_rebinds_or_leaves_a_final_state(events in prop::collection::vec(any_event(), 0..40)) {
        let mut it = attempt(AttemptState::Created);
        for event in events {
            let before = it.clone();
            it = it.apply(&event).unwrap_or(it);
            prop_assert!(before.executed <= it.executed && it.executed <= it.quantity);
            prop_assert!(before.broker_order.is_none() || before.broker_order == it.broker_order);
            prop_assert!(!before.state.is_final() || before.state == it.state);
            prop_assert!(!(it.state == AttemptState::Submitting && before.state != AttemptState::Submitting)
                || before.state == AttemptState::Created);
        }
    }
}

#[test]
fn tags_name_intent_and_attempt() {
    let tag = OrderTag { intent: IntentId::of(&[b"i"]), attempt: AttemptNo::FIRST.next() };
    assert!(tag.to_string().ends_with("-2"));
}
