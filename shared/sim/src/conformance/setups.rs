//! Chains, setups and their steps, bars, checkpoints.

use domain::ids::{ChainId, SetupId};
use domain::ports::{Ledger, Message, Queue, Recorded};
use domain::setup::SetupState;
use domain::symbol::Underlying;

use super::Outcome;
use crate::fixtures::{self as sample, SESSION, at};

cases! {
    a_chain_is_kept_by_its_content,
    a_transition_is_recorded_once_and_leaves_one_message,
    a_step_that_is_not_the_next_is_refused,
    a_step_the_lifecycle_does_not_have_is_refused,
    a_transition_with_a_chain_that_is_not_stored_is_refused,
    a_step_is_read_back_with_the_setup_as_it_was_then,
    steps_are_handled_in_order_and_once,
    setups_of_a_session_come_in_order_of_forming,
    bars_are_stored_once,
    a_checkpoint_is_replaced,
}

async fn a_chain_is_kept_by_its_content<L: Ledger>(ledger: &L) -> Outcome {
    let chain = sample::chain();
    let id = ledger.store_chain(&chain).await?;
    same!(ledger.store_chain(&chain).await?, id);
    same!(id, chain.id());
    same!(ledger.chain(id).await?, Some(chain));
    same!(ledger.chain(ChainId::of(&[b"another"])).await?, None);
    Ok(())
}

async fn a_transition_is_recorded_once_and_leaves_one_message<L: Ledger>(ledger: &L) -> Outcome {
    let step = sample::formed(1);
    same!(ledger.record_transition(&step, at(9, 50, 2)).await?, Recorded::New);
    same!(ledger.record_transition(&step, at(9, 50, 3)).await?, Recorded::Known);
    let rows = ledger.due_outbox(at(23, 0, 0), 10).await?;
    let rows: Vec<_> = rows.into_iter().map(|it| (it.queue, it.message, it.due_at)).collect();
    let message = Message::Transition { setup: step.setup.id, sequence: 0, tries: 0 };
    same!(rows, [(Queue::Transitions, message, at(9, 50, 2))]);
    Ok(())
}

async fn a_step_that_is_not_the_next_is_refused<L: Ledger>(ledger: &L) -> Outcome {
    let formed = sample::formed(1);
    let ready = sample::then(&formed, SetupState::Ready);
    refuses!(ledger.record_transition(&ready, at(10, 0, 0)).await);
    ledger.record_transition(&formed, at(10, 0, 0)).await?;
    let triggered = sample::then(&ready, SetupState::Triggered);
    refuses!(ledger.record_transition(&triggered, at(10, 0, 0)).await);
    same!(ledger.record_transition(&ready, at(10, 0, 0)).await?, Recorded::New);
    same!(ledger.due_outbox(at(23, 0, 0), 10).await?.len(), 2);
    Ok(())
}

async fn a_step_the_lifecycle_does_not_have_is_refused<L: Ledger>(ledger: &L) -> Outcome {
    let formed = sample::formed(1);
    ledger.record_transition(&formed, at(10, 0, 0)).await?;
    let leap = sample::then(&formed, SetupState::T1Hit);
    refuses!(ledger.record_transition(&leap, at(10, 0, 0)).await);
    let mut torn = sample::then(&formed, SetupState::Ready);
    torn.setup.state = SetupState::Triggered;
    refuses!(ledger.record_transition(&torn, at(10, 0, 0)).await);
    same!(ledger.transition(formed.setup.id, 1).await?, None);
    Ok(())
}

async fn a_transition_with_a_chain_that_is_not_stored_is_refused<L: Ledger>(ledger: &L) -> Outcome {
    let chain = sample::chain();
    let mut step = sample::formed(1);
    step.chain = Some(chain.id());
    refuses!(ledger.record_transition(&step, at(10, 0, 0)).await);
    ledger.store_chain(&chain).await?;
    same!(ledger.record_transition(&step, at(10, 0, 0)).await?, Recorded::New);
    same!(ledger.transition(step.setup.id, 0).await?, Some(step));
    Ok(())
}

async fn a_step_is_read_back_with_the_setup_as_it_was_then<L: Ledger>(ledger: &L) -> Outcome {
    let last = sample::trigger(ledger, 1).await?;
    same!(ledger.transition(last.setup.id, 0).await?, Some(sample::formed(1)));
    same!(ledger.transition(last.setup.id, 2).await?.as_ref(), Some(&last));
    same!(ledger.transition(last.setup.id, 3).await?, None);
    same!(ledger.transition(SetupId::of(&[b"another"]), 0).await?, None);
    Ok(())
}

async fn steps_are_handled_in_order_and_once<L: Ledger>(ledger: &L) -> Outcome {
    let id = sample::setup_id(1);
    refuses!(ledger.mark_handled(id, 0).await);
    same!(ledger.handled_up_to(id).await?, None);
    sample::trigger(ledger, 1).await?;
    same!(ledger.handled_up_to(id).await?, None);
    refuses!(ledger.mark_handled(id, 1).await);
    for sequence in [0, 1, 1, 0, 2] {
        ledger.mark_handled(id, sequence).await?;
    }
    same!(ledger.handled_up_to(id).await?, Some(2));
    refuses!(ledger.mark_handled(id, 3).await);
    Ok(())
}

async fn setups_of_a_session_come_in_order_of_forming<L: Ledger>(ledger: &L) -> Outcome {
    let later = sample::trigger(ledger, 2).await?;
    sample::trigger(ledger, 1).await?;
    let books = ledger.setups(SESSION).await?;
    let order: Vec<_> = books.iter().map(|it| (it.setup.id, it.transitions.len())).collect();
    same!(order, [(sample::setup_id(1), 3), (sample::setup_id(2), 3)]);
    same!(books.last().map(|it| &it.setup), Some(&later.setup));
    same!(books.last().and_then(|it| it.transitions.last()), Some(&later.transition));
    same!(ledger.setups(SESSION.tomorrow().unwrap_or(SESSION)).await?, []);
    Ok(())
}

async fn bars_are_stored_once<L: Ledger>(ledger: &L) -> Outcome {
    let bars = [sample::microbar(0), sample::microbar(1)];
    ledger.store_microbars(Underlying::SPX, &bars).await?;
    ledger.store_microbars(Underlying::SPX, &bars).await?;
    ledger.store_microbars(Underlying::SPY, &bars).await?;
    ledger.store_microbars(Underlying::SPX, &[]).await?;
    Ok(())
}

async fn a_checkpoint_is_replaced<L: Ledger>(ledger: &L) -> Outcome {
    same!(ledger.checkpoint(SESSION).await?, None);
    for bytes in [&b"one"[..], b"two", b"\0\xff"] {
        ledger.save_checkpoint(SESSION, bytes).await?;
        same!(ledger.checkpoint(SESSION).await?, Some(bytes.to_vec()));
    }
    same!(ledger.checkpoint(SESSION.tomorrow().unwrap_or(SESSION)).await?, None);
    Ok(())
}
