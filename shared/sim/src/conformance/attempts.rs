//! Marks, answers and steps: versions, fences, leases, follow-ups, final states.

use domain::ids::{AttemptNo, BrokerOrderId, OrderTag};
use domain::intent::{Action, CloseAmount, IntentState, OrderIntent};
use domain::money::{Price, Side};
use domain::order::{Attempt, AttemptState};
use domain::ports::{Fence, Ledger, Marking, Written};

use super::Outcome;
use super::stage::{
    LIMIT, done, drain, held, marked, opened, polled, ready, reread, steps, version, working, written,
};
use crate::fixtures::{self as sample, at};

cases! {
    a_lease_has_one_holder_and_its_fence_rises,
    a_lease_given_back_is_free_and_a_later_one_stays,
    leases_belong_to_the_accounts_owner,
    a_mark_commits_the_attempt_and_its_follow_up,
    a_second_mark_of_the_same_version_is_stale,
    two_workers_that_read_the_same_intent_mark_it_once,
    a_late_writer_with_an_old_fence_is_told,
    a_mark_out_of_turn_is_refused,
    an_entry_is_not_marked_again_while_its_order_may_live,
    an_entry_never_orders_more_than_it_wants,
    an_intent_trades_in_its_own_direction_only,
    a_final_intent_is_not_marked,
    an_answer_binds_the_order_and_leaves_one_follow_up,
    an_answer_to_what_was_never_marked_is_refused,
    one_order_has_one_intent,
    a_write_that_leaves_work_needs_a_follow_up,
    every_write_raises_the_version_and_leaves_one_step_for_it,
    a_step_written_for_an_old_version_is_stale,
    a_final_attempt_stays_final_and_its_quantity_grows,
    a_final_intent_stays_final,
    a_final_intent_may_leave_a_step_that_asks_for_more,
    a_close_adopts_an_order_that_has_no_row_and_an_entry_never_does,
    reconciliation_writes_facts_without_a_lease,
    an_attempt_keeps_the_market_it_met_and_when_it_was_taken_and_first_filled,
}

async fn a_lease_has_one_holder_and_its_fence_rises<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    let (now, until) = (at(10, 0, 0), at(10, 0, 30));
    let first = ledger.take_lease(&account, "a", now, until).await?;
    same!(ledger.take_lease(&account, "b", at(10, 0, 29), at(10, 1, 0)).await?, None);
    let again = ledger.take_lease(&account, "a", at(10, 0, 29), until).await?;
    let taken = ledger.take_lease(&account, "b", until, at(10, 1, 0)).await?;
    ensure!(first.is_some() && first < again && again < taken, "fences {first:?}, {again:?}, {taken:?}");
    same!(ledger.take_lease(&account, "a", until, at(10, 1, 0)).await?, None);
    Ok(())
}

async fn a_lease_given_back_is_free_and_a_later_one_stays<L: Ledger>(ledger: &L) -> Outcome {
    let (account, first) = opened(ledger).await?;
    ledger.release_lease(&account, first).await?;
    ledger.release_lease(&account, first).await?;
    let second = ledger.take_lease(&account, "other", at(10, 0, 0), at(11, 0, 0)).await?;
    ensure!(second > Some(first), "fences {first:?}, {second:?}");
    ledger.release_lease(&account, first).await?;
    same!(ledger.take_lease(&account, "third", at(10, 0, 0), at(11, 0, 0)).await?, None);
    Ok(())
}

async fn leases_belong_to_the_accounts_owner<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let thief = domain::account::AccountRef { user: sample::user(2), ..account };
    for stranger in [thief, sample::account(9)] {
        refuses!(ledger.take_lease(&stranger, "worker", at(10, 0, 0), at(11, 0, 0)).await);
        refuses!(ledger.release_lease(&stranger, fence).await);
    }
    same!(ledger.take_lease(&account, "other", at(10, 0, 0), at(11, 0, 0)).await?, None);
    Ok(())
}

async fn a_mark_commits_the_attempt_and_its_follow_up<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    drain(ledger).await?;
    let request = sample::mark(&view, fence, 3, at(10, 1, 0));
    let Marking::Marked(mark) = ledger.mark_submitting(&request).await? else {
        return Err(super::Broken("a free entry is not marked".to_owned()));
    };
    let tag = OrderTag { intent: request.intent, attempt: AttemptNo::FIRST };
    same!((mark.tag, mark.at, mark.version), (tag, at(10, 1, 0), view.version + 1));
    let view = reread(ledger, &view).await?;
    same!((view.state, view.version), (IntentState::Working, mark.version));
    let attempt = Attempt {
        no: AttemptNo::FIRST,
        state: AttemptState::Submitting,
        broker_order: None,
        side: Side::Buy,
        quantity: 3,
        price: LIMIT,
        rung: 0,
        executed: 0,
        average: None,
        marked_at: at(10, 1, 0),
        repriced_at: at(10, 1, 0),
        cancel_at: None,
        reason: None,
        combo: None,
        trace: Default::default(),
    };
    same!(view.attempts, [attempt]);
    same!(steps(ledger, request.intent).await?, [(mark.version, at(10, 1, 5))]);
    Ok(())
}

async fn a_second_mark_of_the_same_version_is_stale<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let request = sample::mark(&view, fence, 3, at(10, 1, 0));
    ensure!(matches!(ledger.mark_submitting(&request).await?, Marking::Marked(_)), "the first mark fails");
    same!(ledger.mark_submitting(&request).await?, Marking::Stale);
    same!(reread(ledger, &view).await?.attempts.len(), 1);
    Ok(())
}

async fn two_workers_that_read_the_same_intent_mark_it_once<L: Ledger>(ledger: &L) -> Outcome {
    let (account, first) = opened(ledger).await?;
    ready(ledger, &account, 1, 3).await?;
    let id = sample::opening(&account, 1, 3).head.id;
    let read_by_first = sample::read(ledger, &account, id).await?;
    let second = ledger.take_lease(&account, "other", at(18, 0, 0), at(19, 0, 0)).await?;
    let second = second.unwrap_or(first);
    let read_by_second = sample::read(ledger, &account, id).await?;
    marked(ledger, &read_by_second, second, 3, at(10, 1, 0)).await?;
    let late = sample::mark(&read_by_first, first, 3, at(10, 1, 0));
    same!(ledger.mark_submitting(&late).await?, Marking::LeaseLost);
    let stale = sample::mark(&read_by_first, second, 3, at(10, 1, 0));
    same!(ledger.mark_submitting(&stale).await?, Marking::Stale);
    same!(sample::read(ledger, &account, id).await?.attempts.len(), 1);
    Ok(())
}

async fn a_late_writer_with_an_old_fence_is_told<L: Ledger>(ledger: &L) -> Outcome {
    let (account, old) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = marked(ledger, &view, old, 3, at(10, 1, 0)).await?;
    let new = ledger.take_lease(&account, "worker", at(10, 1, 0), at(18, 0, 0)).await?;
    ensure!(new.is_some(), "the same holder does not get its lease again");
    same!(ledger.record_answer(&sample::accepted(&view, old, 71, at(10, 1, 1))?).await?, Written::LeaseLost);
    let progress = sample::progress(&view, Some(old), at(10, 1, 1));
    same!(ledger.record_progress(&progress).await?, Written::LeaseLost);
    let unknown = sample::progress(&view, Some(Fence(1_000_000)), at(10, 1, 1));
    same!(ledger.record_progress(&unknown).await?, Written::LeaseLost);
    same!(reread(ledger, &view).await?, view);
    Ok(())
}

async fn a_mark_out_of_turn_is_refused<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let mut request = sample::mark(&view, fence, 3, at(10, 1, 0));
    for no in [0, 2, 7] {
        request.attempt = AttemptNo(no);
        refuses!(ledger.mark_submitting(&request).await);
    }
    request.attempt = AttemptNo::FIRST;
    request.kill_scopes.clear();
    refuses!(ledger.mark_submitting(&request).await);
    same!(reread(ledger, &view).await?, view);
    Ok(())
}

async fn an_entry_is_not_marked_again_while_its_order_may_live<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let mut view = marked(ledger, &view, fence, 1, at(10, 1, 0)).await?;
    for state in [AttemptState::Submitting, AttemptState::Unknown, AttemptState::Working] {
        let mut progress = sample::progress(&view, Some(fence), at(10, 1, 1));
        progress.attempts.push(sample::ended(&view, state)?);
        version(ledger.record_progress(&progress).await?)?;
        view = reread(ledger, &view).await?;
        refuses!(ledger.mark_submitting(&sample::mark(&view, fence, 1, at(10, 1, 2))).await);
    }
    let mut progress = sample::progress(&view, Some(fence), at(10, 1, 3));
    progress.attempts.push(sample::ended(&view, AttemptState::Canceled)?);
    version(ledger.record_progress(&progress).await?)?;
    let view = reread(ledger, &view).await?;
    let view = marked(ledger, &view, fence, 1, at(10, 1, 4)).await?;
    same!(view.last_attempt().map(|it| (it.no, it.rung)), Some((AttemptNo(2), 0)));
    Ok(())
}

async fn an_entry_never_orders_more_than_it_wants<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    for quantity in [0, 4] {
        refuses!(ledger.mark_submitting(&sample::mark(&view, fence, quantity, at(10, 1, 0))).await);
    }
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let mut progress = sample::progress(&view, Some(fence), at(10, 1, 3));
    progress.attempts.push(sample::ended(&view, AttemptState::Canceled)?);
    progress.fills.push(sample::observed(&view, 2, Some(240), at(10, 1, 3))?);
    version(ledger.record_progress(&progress).await?)?;
    let view = reread(ledger, &view).await?;
    refuses!(ledger.mark_submitting(&sample::mark(&view, fence, 2, at(10, 1, 4))).await);
    marked(ledger, &view, fence, 1, at(10, 1, 4)).await?;
    Ok(())
}

async fn an_intent_trades_in_its_own_direction_only<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = ready(ledger, &account, 1, 3).await?;
    let mut sell = sample::mark(&entry, fence, 3, at(10, 1, 0));
    sell.side = Side::Sell;
    refuses!(ledger.mark_submitting(&sell).await);
    let flatten = sample::flattening(&account, entry.intent.head().series);
    let flatten = written(ledger, OrderIntent::Closing(flatten)).await?;
    let mut buy = sample::mark(&flatten, fence, 3, at(15, 45, 0));
    buy.side = Side::Buy;
    refuses!(ledger.mark_submitting(&buy).await);
    Ok(())
}

async fn a_final_intent_is_not_marked<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let mut new = sample::ready(OrderIntent::Opening(sample::opening(&account, 1, 3)));
    new.state = IntentState::Blocked;
    ledger.record_intent(&new).await?;
    let view = sample::read(ledger, &account, new.intent.head().id).await?;
    refuses!(ledger.mark_submitting(&sample::mark(&view, fence, 3, at(10, 1, 0))).await);
    let asked = ready(ledger, &account, 2, 3).await?;
    ledger.request_stop(&account, asked.intent.head().id, at(10, 1, 0)).await?;
    let asked = reread(ledger, &asked).await?;
    refuses!(ledger.mark_submitting(&sample::mark(&asked, fence, 3, at(10, 1, 0))).await);
    Ok(())
}

async fn an_answer_binds_the_order_and_leaves_one_follow_up<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = marked(ledger, &view, fence, 3, at(10, 1, 0)).await?;
    drain(ledger).await?;
    let answer = sample::accepted(&view, fence, 71, at(10, 1, 1))?;
    same!(ledger.record_answer(&answer).await?, Written::Version(view.version + 1));
    same!(ledger.record_answer(&answer).await?, Written::Stale);
    let bound = reread(ledger, &view).await?;
    same!(bound.attempts, [answer.attempt]);
    let id = view.intent.head().id;
    same!(ledger.intent_of_order(&account, BrokerOrderId(71)).await?, Some(id));
    same!(ledger.intent_of_order(&account, BrokerOrderId(72)).await?, None);
    same!(steps(ledger, id).await?, [(bound.version, at(10, 1, 4))]);
    Ok(())
}

async fn an_answer_to_what_was_never_marked_is_refused<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = marked(ledger, &view, fence, 3, at(10, 1, 0)).await?;
    let mut answer = sample::accepted(&view, fence, 71, at(10, 1, 1))?;
    answer.tag.attempt = AttemptNo(2);
    refuses!(ledger.record_answer(&answer).await);
    answer.attempt.no = AttemptNo(2);
    refuses!(ledger.record_answer(&answer).await);
    same!(reread(ledger, &view).await?, view);
    Ok(())
}

async fn one_order_has_one_intent<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let first = ready(ledger, &account, 1, 3).await?;
    let first = working(ledger, &first, fence, 3, 71, at(10, 1, 0)).await?;
    let second = ready(ledger, &account, 2, 3).await?;
    let second = marked(ledger, &second, fence, 3, at(10, 1, 0)).await?;
    refuses!(ledger.record_answer(&sample::accepted(&second, fence, 71, at(10, 1, 1))?).await);
    refuses!(ledger.record_answer(&sample::accepted(&first, fence, 72, at(10, 1, 1))?).await);
    same!(reread(ledger, &second).await?, second);
    same!(ledger.intent_of_order(&account, BrokerOrderId(71)).await?, Some(first.intent.head().id));
    Ok(())
}

async fn a_write_that_leaves_work_needs_a_follow_up<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = marked(ledger, &view, fence, 3, at(10, 1, 0)).await?;
    let mut answer = sample::accepted(&view, fence, 71, at(10, 1, 1))?;
    answer.follow_up = None;
    refuses!(ledger.record_answer(&answer).await);
    let mut progress = sample::progress(&view, Some(fence), at(10, 1, 1));
    progress.follow_up = None;
    refuses!(ledger.record_progress(&progress).await);
    same!(reread(ledger, &view).await?, view);
    Ok(())
}

async fn every_write_raises_the_version_and_leaves_one_step_for_it<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let progress = sample::progress(&view, Some(fence), at(10, 1, 3));
    same!(ledger.record_progress(&progress).await?, Written::Version(view.version + 1));
    ledger.request_stop(&account, progress.intent, at(10, 1, 4)).await?;
    let mut versions: Vec<i64> = steps(ledger, progress.intent).await?.iter().map(|it| it.0).collect();
    versions.sort_unstable();
    same!(versions, [1, 2, 3, 4, 5]);
    Ok(())
}

async fn a_step_written_for_an_old_version_is_stale<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let mut late = sample::progress(&view, Some(fence), at(10, 1, 3));
    late.fills.push(sample::observed(&view, 3, Some(240), at(10, 1, 3))?);
    ledger.request_stop(&account, late.intent, at(10, 1, 2)).await?;
    let before = reread(ledger, &view).await?;
    same!(ledger.record_progress(&late).await?, Written::Stale);
    late.fence = None;
    same!(ledger.record_progress(&late).await?, Written::Stale);
    same!(reread(ledger, &view).await?, before);
    Ok(())
}

async fn a_final_attempt_stays_final_and_its_quantity_grows<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let mut view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let seen = |state, executed| (state, executed);
    let tried =
        [seen(AttemptState::Canceled, 1), seen(AttemptState::Working, 2), seen(AttemptState::Rejected, 1)];
    for (state, executed) in tried {
        let mut progress = sample::progress(&view, Some(fence), at(10, 1, 3));
        progress.attempts.push(Attempt { executed, reason: None, ..sample::ended(&view, state)? });
        version(ledger.record_progress(&progress).await?)?;
        view = reread(ledger, &view).await?;
    }
    let last = view.last_attempt().map(|it| (it.state, it.executed, it.broker_order));
    same!(last, Some((AttemptState::Canceled, 2, Some(BrokerOrderId(71)))));
    let mut over = sample::progress(&view, Some(fence), at(10, 1, 4));
    over.attempts.push(Attempt { executed: 4, ..sample::ended(&view, AttemptState::Filled)? });
    refuses!(ledger.record_progress(&over).await);
    Ok(())
}

async fn a_final_intent_stays_final<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let mut progress = sample::progress(&view, Some(fence), at(10, 1, 3));
    progress.attempts.push(sample::ended(&view, AttemptState::Canceled)?);
    progress.state = IntentState::Done;
    progress.reason = "timed_out".to_owned();
    progress.follow_up = None;
    version(ledger.record_progress(&progress).await?)?;
    let missed = reread(ledger, &view).await?;
    let mut late = sample::progress(&missed, None, at(10, 1, 9));
    late.fills.push(sample::observed(&missed, 1, Some(240), at(10, 1, 9))?);
    version(ledger.record_progress(&late).await?)?;
    let after = reread(ledger, &missed).await?;
    same!((after.state, after.reason.as_str(), after.filled), (IntentState::Done, "timed_out", 1));
    same!(after.last_attempt().map(|it| (it.state, it.executed)), Some((AttemptState::Canceled, 1)));
    Ok(())
}

async fn a_final_intent_may_leave_a_step_that_asks_for_more<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = done(ledger, &view, fence, (3, 240), 71, at(10, 1, 0)).await?;
    drain(ledger).await?;
    let progress = sample::progress(&view, Some(fence), at(10, 1, 3));
    version(ledger.record_progress(&progress).await?)?;
    same!(steps(ledger, progress.intent).await?, [(view.version + 1, at(10, 1, 6))]);
    Ok(())
}

async fn a_close_adopts_an_order_that_has_no_row_and_an_entry_never_does<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = held(ledger, &account, fence, 1, (3, 240)).await?;
    let series = entry.intent.head().series;
    let flatten = written(ledger, OrderIntent::Closing(sample::flattening(&account, series))).await?;
    let sent = Attempt {
        no: AttemptNo(2),
        side: Side::Sell,
        broker_order: Some(BrokerOrderId(90)),
        ..sample::ended(&entry, AttemptState::Working)?
    };
    let mut progress = sample::progress(&flatten, None, at(15, 50, 0));
    progress.attempts.push(sent.clone());
    version(ledger.record_progress(&progress).await?)?;
    let adopted = reread(ledger, &flatten).await?;
    same!(adopted.attempts.as_slice(), std::slice::from_ref(&sent));
    same!(ledger.intent_of_order(&account, BrokerOrderId(90)).await?, Some(progress.intent));
    let waiting = ready(ledger, &account, 2, 3).await?;
    let mut invented = sample::progress(&waiting, None, at(15, 50, 0));
    invented.attempts.push(Attempt { side: Side::Buy, ..sent });
    refuses!(ledger.record_progress(&invented).await);
    Ok(())
}

async fn reconciliation_writes_facts_without_a_lease<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    held(ledger, &account, fence, 1, (3, 240)).await?;
    let close = sample::closing(&sample::opening(&account, 1, 3), 3, Action::Stop, CloseAmount::All);
    let close = written(ledger, OrderIntent::Closing(close)).await?;
    let close = working(ledger, &close, fence, 3, 72, at(10, 5, 0)).await?;
    let mut facts = sample::progress(&close, None, at(10, 6, 0));
    facts.fills.push(sample::observed(&close, 2, Some(300), at(10, 6, 0))?);
    version(ledger.record_progress(&facts).await?)?;
    same!(reread(ledger, &close).await?.filled, 2);
    Ok(())
}

async fn an_attempt_keeps_the_market_it_met_and_when_it_was_taken_and_first_filled<L: Ledger>(
    ledger: &L,
) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let touch = domain::order::Touch { bid: Price::from_cents(230), ask: Price::from_cents(245) };
    let mut request = sample::mark(&view, fence, 3, at(10, 1, 0));
    request.arrival = Some(touch);
    ledger.mark_submitting(&request).await?;
    let view = reread(ledger, &view).await?;
    let mut answer = sample::accepted(&view, fence, 71, at(10, 1, 1))?;
    answer.attempt.trace.acked_at = Some(at(10, 1, 1));
    version(ledger.record_answer(&answer).await?)?;
    let view = reread(ledger, &view).await?;
    let view = polled(ledger, &view, fence, 1, Some(240), at(10, 1, 2)).await?;
    let view = polled(ledger, &view, fence, 2, Some(240), at(10, 1, 5)).await?;
    let trace = view.attempts.first().map(|it| it.trace);
    let (acked_at, filled_at) = (Some(at(10, 1, 1)), Some(at(10, 1, 2)));
    same!(trace, Some(domain::order::Trace { arrival: Some(touch), acked_at, filled_at }));
    Ok(())
}
