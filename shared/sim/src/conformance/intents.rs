//! Intents: their key, their first message, who sees them, how they stop.

use domain::ids::{IntentId, SetupId};
use domain::intent::{Action, CloseAmount, IntentState, OrderIntent};
use domain::ports::{Ledger, Message, Queue, Recorded};

use super::stage::{drain, held, opened, ready, reread, steps, working, written};
use super::{Broken, Outcome};
use crate::fixtures::{self as sample, at};

cases! {
    an_intent_is_recorded_once_and_leaves_its_first_step,
    a_blocked_intent_is_kept_with_its_reason_and_leaves_nothing,
    an_intent_does_not_begin_in_the_middle,
    a_flatten_works_its_own_intents_and_leaves_no_message,
    an_intent_needs_its_account_its_setup_and_its_entry,
    closing_intents_go_to_the_exits,
    another_users_intent_is_invisible,
    another_user_writes_nothing,
    intents_of_a_setup_come_in_order_of_sequence,
    open_intents_are_those_that_are_not_final,
    a_stop_is_requested_once_and_leaves_one_step,
    a_final_intent_is_not_asked_to_stop,
}

async fn an_intent_is_recorded_once_and_leaves_its_first_step<L: Ledger>(ledger: &L) -> Outcome {
    let (account, _) = opened(ledger).await?;
    drain(ledger).await?;
    let new = sample::ready(OrderIntent::Opening(sample::opening(&account, 1, 3)));
    same!(ledger.record_intent(&new).await?, Recorded::New);
    same!(ledger.record_intent(&new).await?, Recorded::Known);
    let id = new.intent.head().id;
    let view = sample::read(ledger, &account, id).await?;
    same!((&view.intent, view.state, view.version), (&new.intent, IntentState::Ready, 1));
    same!((view.attempts.len(), view.fills.len(), view.filled, view.stop_requested), (0, 0, 0, false));
    let rows = ledger.due_outbox(at(23, 0, 0), 10).await?;
    let rows: Vec<_> = rows.into_iter().map(|it| (it.queue, it.message, it.due_at)).collect();
    let step = Message::Step { account, intent: id, version: 1, tries: 0 };
    same!(rows, [(Queue::Entries, step, new.at)]);
    Ok(())
}

async fn a_blocked_intent_is_kept_with_its_reason_and_leaves_nothing<L: Ledger>(ledger: &L) -> Outcome {
    let (account, _) = opened(ledger).await?;
    for (n, state) in [(1, IntentState::Blocked), (2, IntentState::WouldSubmit)] {
        let mut new = sample::ready(OrderIntent::Opening(sample::opening(&account, n, 3)));
        new.state = state;
        new.reason = "trade_count".to_owned();
        new.breakdown = r#"{"suggestedContracts":0}"#.to_owned();
        same!(ledger.record_intent(&new).await?, Recorded::New);
        same!(ledger.record_intent(&new).await?, Recorded::Known);
        let view = sample::read(ledger, &account, new.intent.head().id).await?;
        same!((view.state, view.reason.as_str(), view.version), (state, "trade_count", 1));
        same!(steps(ledger, new.intent.head().id).await?, []);
    }
    same!(ledger.open_intents(&account).await?, []);
    Ok(())
}

async fn an_intent_does_not_begin_in_the_middle<L: Ledger>(ledger: &L) -> Outcome {
    let (account, _) = opened(ledger).await?;
    for state in [IntentState::Working, IntentState::Done] {
        let mut new = sample::ready(OrderIntent::Opening(sample::opening(&account, 1, 3)));
        new.state = state;
        refuses!(ledger.record_intent(&new).await);
    }
    same!(ledger.open_intents(&account).await?, []);
    Ok(())
}

async fn a_flatten_works_its_own_intents_and_leaves_no_message<L: Ledger>(ledger: &L) -> Outcome {
    let (account, _) = opened(ledger).await?;
    drain(ledger).await?;
    let close = sample::flattening(&account, sample::series(5_600));
    let id = close.head.id;
    let mut new = sample::ready(OrderIntent::Closing(close));
    new.state = IntentState::Working;
    same!(ledger.record_intent(&new).await?, Recorded::New);
    same!(ledger.record_intent(&new).await?, Recorded::Known);
    same!(steps(ledger, id).await?, []);
    same!(sample::read(ledger, &account, id).await?.state, IntentState::Working);
    Ok(())
}

async fn an_intent_needs_its_account_its_setup_and_its_entry<L: Ledger>(ledger: &L) -> Outcome {
    let stranger = sample::ready(OrderIntent::Opening(sample::opening(&sample::account(9), 1, 3)));
    refuses!(ledger.record_intent(&stranger).await);
    let (account, _) = opened(ledger).await?;
    refuses!(ledger.record_intent(&stranger).await);
    let no_setup = sample::ready(OrderIntent::Opening(sample::opening(&account, 9, 3)));
    refuses!(ledger.record_intent(&no_setup).await);
    let entry = sample::opening(&account, 1, 3);
    let close = sample::closing(&entry, 3, Action::Stop, CloseAmount::All);
    refuses!(ledger.record_intent(&sample::ready(OrderIntent::Closing(close.clone()))).await);
    ready(ledger, &account, 1, 3).await?;
    let mut other_series = close.clone();
    other_series.head.series = sample::series(5_700);
    refuses!(ledger.record_intent(&sample::ready(OrderIntent::Closing(other_series))).await);
    same!(ledger.record_intent(&sample::ready(OrderIntent::Closing(close))).await?, Recorded::New);
    Ok(())
}

async fn closing_intents_go_to_the_exits<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = held(ledger, &account, fence, 1, (3, 240)).await?;
    drain(ledger).await?;
    let OrderIntent::Opening(opening) = &entry.intent else {
        return Err(Broken("an opening intent was read back as a close".to_owned()));
    };
    let stop = sample::closing(opening, 3, Action::Stop, CloseAmount::All);
    let flatten = sample::flattening(&account, opening.head.series);
    for close in [stop, flatten] {
        let view = written(ledger, OrderIntent::Closing(close.clone())).await?;
        same!(view.intent, OrderIntent::Closing(close));
    }
    let rows = ledger.due_outbox(at(23, 0, 0), 10).await?;
    let queues: Vec<Queue> = rows.iter().map(|it| it.queue).collect();
    same!(queues, [Queue::Exits, Queue::Exits]);
    Ok(())
}

async fn another_users_intent_is_invisible<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let id = view.intent.head().id;
    let other = sample::account(2);
    sample::enrol(ledger, &other).await?;
    let thief = domain::account::AccountRef { user: other.user, ..account };
    for stranger in [other, thief] {
        same!(ledger.intent(&stranger, id).await?, None);
        same!(ledger.intents_of(&stranger, sample::setup_id(1)).await?, []);
        same!(ledger.open_intents(&stranger).await?, []);
        same!(ledger.intent_of_order(&stranger, domain::ids::BrokerOrderId(71)).await?, None);
        same!(ledger.day_book(&stranger, sample::SESSION).await?.intents, []);
    }
    same!(ledger.intent(&account, IntentId::of(&[b"another"])).await?, None);
    Ok(())
}

async fn another_user_writes_nothing<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let id = view.intent.head().id;
    let other = sample::account(2);
    sample::enrol(ledger, &other).await?;
    for stranger in [other, domain::account::AccountRef { user: other.user, ..account }] {
        let mut mark = sample::mark(&view, fence, 3, at(10, 1, 0));
        mark.account = stranger;
        refuses!(ledger.mark_submitting(&mark).await);
        let mut progress = sample::progress(&view, None, at(10, 1, 0));
        progress.account = stranger;
        refuses!(ledger.record_progress(&progress).await);
        refuses!(ledger.request_stop(&stranger, id, at(10, 1, 0)).await);
    }
    same!(reread(ledger, &view).await?, view);
    Ok(())
}

async fn intents_of_a_setup_come_in_order_of_sequence<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    held(ledger, &account, fence, 1, (3, 240)).await?;
    ready(ledger, &account, 2, 1).await?;
    let entry = sample::opening(&account, 1, 3);
    for (sequence, action) in [(4, Action::Stop), (3, Action::TakeProfit1)] {
        let close = sample::closing(&entry, sequence, action, CloseAmount::All);
        written(ledger, OrderIntent::Closing(close)).await?;
    }
    let views = ledger.intents_of(&account, sample::setup_id(1)).await?;
    let actions: Vec<Action> = views.iter().map(|it| it.intent.head().action).collect();
    same!(actions, [Action::Enter, Action::TakeProfit1, Action::Stop]);
    same!(ledger.intents_of(&account, SetupId::of(&[b"another"])).await?, []);
    Ok(())
}

async fn open_intents_are_those_that_are_not_final<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    held(ledger, &account, fence, 1, (3, 240)).await?;
    let waiting = ready(ledger, &account, 2, 1).await?;
    let walking = ready(ledger, &account, 3, 1).await?;
    let walking = working(ledger, &walking, fence, 1, 73, at(10, 2, 0)).await?;
    same!(ledger.open_intents(&account).await?, [waiting, walking]);
    Ok(())
}

async fn a_stop_is_requested_once_and_leaves_one_step<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let id = view.intent.head().id;
    drain(ledger).await?;
    ledger.request_stop(&account, id, at(10, 2, 0)).await?;
    ledger.request_stop(&account, id, at(10, 2, 1)).await?;
    let stopping = reread(ledger, &view).await?;
    same!((stopping.stop_requested, stopping.state), (true, IntentState::Working));
    same!(stopping.version, view.version + 1);
    same!(steps(ledger, id).await?, [(stopping.version, at(10, 2, 0))]);
    refuses!(ledger.request_stop(&account, IntentId::of(&[b"another"]), at(10, 2, 0)).await);
    Ok(())
}

async fn a_final_intent_is_not_asked_to_stop<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = held(ledger, &account, fence, 1, (3, 240)).await?;
    drain(ledger).await?;
    ledger.request_stop(&account, view.intent.head().id, at(10, 2, 0)).await?;
    same!(reread(ledger, &view).await?, view);
    same!(ledger.next_due().await?, None);
    Ok(())
}
