//! Executions: each stretch once, whoever tells, priced from the averages.

use domain::ids::AttemptNo;
use domain::money::{Side, Usd};
use domain::ports::{IntentView, Ledger};
use domain::position::{Fill, FillSource};

use super::Outcome;
use super::stage::{opened, polled, ready, reread, version, working};
use crate::fixtures::{self as sample, at};

cases! {
    fills_are_applied_once_whoever_tells,
    a_stretch_is_priced_from_the_averages_and_charged_by_contract,
    an_observation_below_the_record_changes_nothing,
    an_average_that_comes_later_completes_the_price_once,
    one_late_average_completes_every_stretch_without_a_price,
    a_quantity_and_its_price_may_come_in_one_observation_after_an_unpriced_one,
    an_execution_beyond_the_order_is_refused,
    an_execution_of_another_order_is_refused,
    attempts_are_counted_apart_and_filled_together,
    a_refused_write_leaves_nothing_of_it,
}

/// (attempt, from, to, cents, dollars of fees) of each fill.
fn figures(view: &IntentView) -> Vec<(u16, u32, u32, Option<i64>, i64)> {
    let cents = |it: Usd| it.e4() / 100;
    let figure = |it: &Fill| (it.attempt.0, it.from, it.to, it.price.map(cents), it.fees.e4() / 10_000);
    view.fills.iter().map(figure).collect()
}

async fn fills_are_applied_once_whoever_tells<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let mut view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    for source in [FillSource::Stream, FillSource::Poll, FillSource::Reconciliation] {
        let mut progress = sample::progress(&view, Some(fence), at(10, 1, 3));
        let seen = Fill { source, ..sample::observed(&view, 2, Some(240), at(10, 1, 3))? };
        progress.fills = vec![seen, seen];
        version(ledger.record_progress(&progress).await?)?;
        view = reread(ledger, &view).await?;
        same!(figures(&view), [(1, 0, 2, Some(240), 2)]);
    }
    same!((view.filled, view.fills.first().map(|it| it.source)), (2, Some(FillSource::Stream)));
    same!(view.fills.first().map(|it| (it.side, it.at)), Some((Side::Buy, at(10, 1, 3))));
    Ok(())
}

async fn a_stretch_is_priced_from_the_averages_and_charged_by_contract<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 5).await?;
    let view = working(ledger, &view, fence, 5, 71, at(10, 1, 0)).await?;
    let view = polled(ledger, &view, fence, 2, Some(200), at(10, 1, 1)).await?;
    let view = polled(ledger, &view, fence, 5, Some(230), at(10, 1, 2)).await?;
    same!(figures(&view), [(1, 0, 2, Some(200), 2), (1, 2, 5, Some(250), 3)]);
    let attempt = view.last_attempt().map(|it| (it.executed, it.average));
    same!(attempt, Some((5, Some(Usd::from_cents(230)))));
    Ok(())
}

async fn an_observation_below_the_record_changes_nothing<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let mut view = polled(ledger, &view, fence, 2, Some(240), at(10, 1, 1)).await?;
    for to in [0, 1, 2] {
        let seen = polled(ledger, &view, fence, to, Some(240), at(10, 1, 2)).await?;
        same!((&seen.fills, seen.filled), (&view.fills, 2));
        same!(seen.last_attempt().map(|it| it.executed), Some(2));
        view = seen;
    }
    Ok(())
}

async fn an_average_that_comes_later_completes_the_price_once<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let view = polled(ledger, &view, fence, 3, None, at(10, 1, 1)).await?;
    same!(figures(&view), [(1, 0, 3, None, 3)]);
    let view = polled(ledger, &view, fence, 3, Some(245), at(10, 1, 2)).await?;
    same!(figures(&view), [(1, 0, 3, Some(245), 3)]);
    let view = polled(ledger, &view, fence, 3, Some(999), at(10, 1, 3)).await?;
    same!(figures(&view), [(1, 0, 3, Some(245), 3)]);
    same!(view.fills.first().map(|it| it.at), Some(at(10, 1, 1)));
    Ok(())
}

async fn one_late_average_completes_every_stretch_without_a_price<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 4).await?;
    let view = working(ledger, &view, fence, 4, 71, at(10, 1, 0)).await?;
    let view = polled(ledger, &view, fence, 1, Some(100), at(10, 1, 1)).await?;
    let view = polled(ledger, &view, fence, 2, None, at(10, 1, 2)).await?;
    let view = polled(ledger, &view, fence, 4, None, at(10, 1, 3)).await?;
    same!(figures(&view), [(1, 0, 1, Some(100), 1), (1, 1, 2, None, 1), (1, 2, 4, None, 2)]);
    let view = polled(ledger, &view, fence, 4, Some(250), at(10, 1, 4)).await?;
    same!(figures(&view), [(1, 0, 1, Some(100), 1), (1, 1, 2, Some(300), 1), (1, 2, 4, Some(300), 2)]);
    Ok(())
}

async fn a_quantity_and_its_price_may_come_in_one_observation_after_an_unpriced_one<L: Ledger>(
    ledger: &L,
) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 4).await?;
    let view = working(ledger, &view, fence, 4, 71, at(10, 1, 0)).await?;
    let view = polled(ledger, &view, fence, 1, None, at(10, 1, 1)).await?;
    let view = polled(ledger, &view, fence, 4, Some(220), at(10, 1, 2)).await?;
    same!(figures(&view), [(1, 0, 1, Some(220), 1), (1, 1, 4, Some(220), 3)]);
    Ok(())
}

async fn an_execution_beyond_the_order_is_refused<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let mut progress = sample::progress(&view, Some(fence), at(10, 1, 3));
    progress.fills.push(sample::observed(&view, 4, Some(240), at(10, 1, 3))?);
    refuses!(ledger.record_progress(&progress).await);
    same!(reread(ledger, &view).await?, view);
    Ok(())
}

async fn an_execution_of_another_order_is_refused<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let seen = sample::observed(&view, 2, Some(240), at(10, 1, 3))?;
    let wrong = [
        Fill { attempt: AttemptNo(2), ..seen },
        Fill { side: Side::Sell, ..seen },
        Fill { series: sample::series(5_700), ..seen },
        Fill { intent: sample::opening(&account, 2, 1).head.id, ..seen },
    ];
    for fill in wrong {
        let mut progress = sample::progress(&view, Some(fence), at(10, 1, 3));
        progress.fills.push(fill);
        refuses!(ledger.record_progress(&progress).await);
    }
    same!(reread(ledger, &view).await?, view);
    Ok(())
}

async fn attempts_are_counted_apart_and_filled_together<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let mut progress = sample::progress(&view, Some(fence), at(10, 1, 3));
    progress.attempts.push(sample::ended(&view, domain::order::AttemptState::Canceled)?);
    progress.fills.push(sample::observed(&view, 1, Some(240), at(10, 1, 3))?);
    version(ledger.record_progress(&progress).await?)?;
    let view = reread(ledger, &view).await?;
    let view = working(ledger, &view, fence, 2, 72, at(10, 1, 4)).await?;
    let view = polled(ledger, &view, fence, 2, Some(250), at(10, 1, 5)).await?;
    same!(figures(&view), [(1, 0, 1, Some(240), 1), (2, 0, 2, Some(250), 2)]);
    same!(view.filled, 3);
    Ok(())
}

async fn a_refused_write_leaves_nothing_of_it<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let before = ledger.due_outbox(at(23, 0, 0), 100).await?;
    let mut progress = sample::progress(&view, Some(fence), at(10, 1, 3));
    progress.attempts.push(sample::ended(&view, domain::order::AttemptState::Canceled)?);
    progress.fills.push(sample::observed(&view, 1, Some(240), at(10, 1, 3))?);
    progress.fills.push(sample::observed(&view, 9, Some(240), at(10, 1, 3))?);
    refuses!(ledger.record_progress(&progress).await);
    same!(reread(ledger, &view).await?, view);
    same!(ledger.due_outbox(at(23, 0, 0), 100).await?, before);
    Ok(())
}
