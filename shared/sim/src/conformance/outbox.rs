//! The outbox, broker events, dead letters.

use domain::ids::BrokerOrderId;
use domain::ports::{DeadLetter, Ledger, Message, Queue};

use super::Outcome;
use super::stage::{drain, opened, ready, version, working};
use crate::fixtures::{self as sample, at};

cases! {
    the_outbox_is_ordered_by_due_time_then_by_writing,
    the_outbox_gives_no_more_than_is_asked_for_and_nothing_early,
    what_was_sent_is_not_due_again,
    the_same_message_waits_once,
    an_early_message_waits_once_under_its_highest_count,
    an_alert_is_told_once,
    a_broker_event_becomes_a_message_once,
    other_messages_leave_with_a_step_or_not_at_all,
    a_dead_letter_is_kept_once,
}

/// Message `n`: all alike, and different.
fn pass(n: u32) -> Message {
    Message::Transition { setup: sample::setup_id(1), sequence: n, tries: 0 }
}

async fn due<L: Ledger>(ledger: &L) -> Result<Vec<Message>, super::Broken> {
    Ok(ledger.due_outbox(at(23, 0, 0), 100).await?.into_iter().map(|it| it.message).collect())
}

async fn the_outbox_is_ordered_by_due_time_then_by_writing<L: Ledger>(ledger: &L) -> Outcome {
    for (no, second) in [(0, 5), (1, 3), (2, 5), (3, 1), (4, 3)] {
        ledger.send_later(Queue::Flatten, &pass(no), at(10, 0, second)).await?;
    }
    let rows = ledger.due_outbox(at(23, 0, 0), 100).await?;
    let messages: Vec<Message> = rows.iter().map(|it| it.message.clone()).collect();
    same!(messages, [3, 1, 4, 0, 2].map(pass));
    let mut keys: Vec<_> = rows.iter().map(|it| (it.due_at, it.id)).collect();
    keys.sort_unstable();
    keys.dedup();
    same!(keys, rows.iter().map(|it| (it.due_at, it.id)).collect::<Vec<_>>());
    same!(rows.first().map(|it| it.queue), Some(Queue::Flatten));
    Ok(())
}

async fn the_outbox_gives_no_more_than_is_asked_for_and_nothing_early<L: Ledger>(ledger: &L) -> Outcome {
    same!(ledger.next_due().await?, None);
    same!(ledger.due_outbox(at(23, 0, 0), 100).await?, []);
    for no in 0..3 {
        ledger.send_later(Queue::Flatten, &pass(no), at(10, 0, no)).await?;
    }
    same!(ledger.next_due().await?, Some(at(10, 0, 0)));
    same!(ledger.due_outbox(at(9, 59, 59), 100).await?.len(), 0);
    same!(ledger.due_outbox(at(10, 0, 1), 100).await?.len(), 2);
    same!(ledger.due_outbox(at(10, 0, 2), 2).await?.len(), 2);
    same!(ledger.due_outbox(at(10, 0, 2), 0).await?.len(), 0);
    Ok(())
}

async fn what_was_sent_is_not_due_again<L: Ledger>(ledger: &L) -> Outcome {
    for no in 0..3 {
        ledger.send_later(Queue::Flatten, &pass(no), at(10, 0, no)).await?;
    }
    let rows = ledger.due_outbox(at(10, 0, 1), 100).await?;
    let ids: Vec<i64> = rows.iter().map(|it| it.id).collect();
    ledger.mark_sent(&ids, at(10, 0, 1)).await?;
    ledger.mark_sent(&ids, at(10, 0, 1)).await?;
    ledger.mark_sent(&[], at(10, 0, 1)).await?;
    same!(due(ledger).await?, [pass(2)]);
    same!(ledger.next_due().await?, Some(at(10, 0, 2)));
    drain(ledger).await?;
    same!(ledger.next_due().await?, None);
    Ok(())
}

async fn the_same_message_waits_once<L: Ledger>(ledger: &L) -> Outcome {
    for _ in 0..2 {
        ledger.send_later(Queue::Flatten, &pass(0), at(10, 0, 0)).await?;
    }
    same!(due(ledger).await?.len(), 1);
    ledger.send_later(Queue::Flatten, &pass(0), at(10, 0, 1)).await?;
    ledger.send_later(Queue::Exits, &pass(0), at(10, 0, 0)).await?;
    same!(due(ledger).await?.len(), 3);
    drain(ledger).await?;
    ledger.send_later(Queue::Flatten, &pass(0), at(10, 0, 0)).await?;
    same!(due(ledger).await?, [pass(0)]);
    Ok(())
}

async fn an_early_message_waits_once_under_its_highest_count<L: Ledger>(ledger: &L) -> Outcome {
    let early =
        |sequence: u32, tries: u16| Message::Transition { setup: sample::setup_id(1), sequence, tries };
    for (tries, second) in [(3, 1), (3, 2), (2, 3), (1, 4)] {
        ledger.send_later(Queue::Transitions, &early(2, tries), at(10, 0, second)).await?;
    }
    same!(due(ledger).await?, [early(2, 3)]);
    // What was handed on and is not noted yet does not stand in the way of what follows from it.
    ledger.send_later(Queue::Transitions, &early(2, 4), at(10, 0, 5)).await?;
    // Another step, and the first writing of this one, are other messages.
    ledger.send_later(Queue::Transitions, &early(3, 1), at(10, 0, 6)).await?;
    ledger.send_later(Queue::Transitions, &early(2, 0), at(10, 0, 7)).await?;
    same!(due(ledger).await?, [early(2, 3), early(2, 4), early(3, 1), early(2, 0)]);
    drain(ledger).await?;
    ledger.send_later(Queue::Transitions, &early(2, 1), at(10, 0, 8)).await?;
    same!(due(ledger).await?, [early(2, 1)]);
    Ok(())
}

async fn an_alert_is_told_once<L: Ledger>(ledger: &L) -> Outcome {
    let alert = |key: &str, text: &str| Message::Alert {
        key: key.to_owned(),
        level: "critical".to_owned(),
        text: text.to_owned(),
    };
    let first = alert("not_flat:1", "three contracts are left");
    ledger.send_later(Queue::Alerts, &first, at(15, 55, 0)).await?;
    ledger.send_later(Queue::Alerts, &alert("not_flat:1", "two are left"), at(15, 56, 0)).await?;
    same!(due(ledger).await?.as_slice(), std::slice::from_ref(&first));
    drain(ledger).await?;
    ledger.send_later(Queue::Alerts, &first, at(15, 57, 0)).await?;
    same!(due(ledger).await?, []);
    let other = alert("not_flat:2", "one is left");
    ledger.send_later(Queue::Alerts, &other, at(15, 57, 0)).await?;
    same!(due(ledger).await?, [other]);
    Ok(())
}

async fn a_broker_event_becomes_a_message_once<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    let order = BrokerOrderId(u64::from(u32::MAX) + 7);
    refuses!(ledger.record_broker_event(&account, order, at(10, 0, 0)).await);
    sample::enrol(ledger, &account).await?;
    for _ in 0..2 {
        ledger.record_broker_event(&account, order, at(10, 0, 0)).await?;
    }
    let rows = ledger.due_outbox(at(10, 0, 0), 100).await?;
    let rows: Vec<_> = rows.into_iter().map(|it| (it.queue, it.message)).collect();
    same!(rows, [(Queue::BrokerEvents, Message::BrokerOrder { account, order })]);
    ledger.record_broker_event(&account, order, at(10, 0, 1)).await?;
    same!(due(ledger).await?.len(), 2);
    let thief = domain::account::AccountRef { user: sample::user(2), ..account };
    refuses!(ledger.record_broker_event(&thief, order, at(10, 0, 0)).await);
    Ok(())
}

async fn other_messages_leave_with_a_step_or_not_at_all<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    drain(ledger).await?;
    let mut progress = sample::progress(&view, Some(fence), at(10, 1, 3));
    progress.also.push((Queue::Flatten, pass(0), at(10, 1, 3)));
    version(ledger.record_progress(&progress).await?)?;
    same!(due(ledger).await?.len(), 2);
    drain(ledger).await?;
    progress.also = vec![(Queue::Flatten, pass(1), at(10, 1, 3))];
    same!(ledger.record_progress(&progress).await?, domain::ports::Written::Stale);
    same!(due(ledger).await?, []);
    Ok(())
}

async fn a_dead_letter_is_kept_once<L: Ledger>(ledger: &L) -> Outcome {
    let letter = DeadLetter {
        queue: "entries".to_owned(),
        message_id: "m-1".to_owned(),
        reason: "message version 9 is unknown".to_owned(),
        at: at(10, 0, 0),
    };
    ledger.record_dead_letter(&letter).await?;
    ledger.record_dead_letter(&DeadLetter { reason: "again".to_owned(), ..letter.clone() }).await?;
    ledger.record_dead_letter(&DeadLetter { queue: "exits".to_owned(), ..letter }).await?;
    same!(ledger.next_due().await?, None);
    Ok(())
}
