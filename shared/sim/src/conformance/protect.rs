//! Disaster orders: closes of one entry that rest beside each other.

use domain::intent::{Action, CloseAmount, IntentState, OrderIntent};
use domain::order::{Attempt, AttemptState};
use domain::ports::{Ledger, Recorded};
use engine::protect;

use super::stage::{done, held, opened, reread, version, working, written};
use super::{Broken, Outcome};
use crate::fixtures::{self as sample, at};

cases! {
    an_entry_has_two_protections_of_its_own_and_each_is_recorded_once,
    a_protection_keeps_how_many_moves_of_the_trail_its_price_took_in,
    what_a_protection_sells_closes_its_entry_like_any_other_close,
}

async fn an_entry_has_two_protections_of_its_own_and_each_is_recorded_once<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    held(ledger, &account, fence, 1, (3, 240)).await?;
    let entry = sample::opening(&account, 1, 3);
    for expected in [Recorded::New, Recorded::Known] {
        for new in protect::intents(&entry, 5_000, at(10, 2, 0)) {
            same!(ledger.record_intent(&new).await?, expected);
        }
    }
    let views = ledger.intents_of(&account, sample::setup_id(1)).await?;
    let mut actions: Vec<Action> = views.iter().map(|it| it.intent.head().action).collect();
    actions.sort();
    same!(actions, [Action::Enter, Action::ProtectT1, Action::ProtectRunner]);
    let amounts: Vec<Option<CloseAmount>> = views.iter().map(|it| amount(&it.intent)).collect();
    for wanted in [CloseAmount::FractionBp(5_000), CloseAmount::RestBp(5_000)] {
        ensure!(amounts.contains(&Some(wanted)), "{wanted:?} is not among {amounts:?}");
    }
    Ok(())
}

async fn a_protection_keeps_how_many_moves_of_the_trail_its_price_took_in<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    held(ledger, &account, fence, 1, (3, 240)).await?;
    let [_, runner] = protect::intents(&sample::opening(&account, 1, 3), 5_000, at(10, 2, 0));
    let view = written(ledger, runner.intent).await?;
    let view = working(ledger, &view, fence, 1, 201, at(10, 2, 5)).await?;
    let Some(last) = view.last_attempt() else { return Err(Broken("no attempt".to_owned())) };
    let moved = Attempt { rung: 3, repriced_at: at(10, 7, 5), ..last.clone() };
    let mut progress = sample::progress(&view, Some(fence), at(10, 7, 5));
    progress.attempts.push(moved.clone());
    version(ledger.record_progress(&progress).await?)?;
    let view = reread(ledger, &view).await?;
    same!(view.last_attempt(), Some(&moved));
    same!((view.state, view.filled), (IntentState::Working, 0));
    Ok(())
}

async fn what_a_protection_sells_closes_its_entry_like_any_other_close<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    held(ledger, &account, fence, 1, (3, 240)).await?;
    let mut left = Vec::new();
    for (new, (contracts, order)) in protect::intents(&sample::opening(&account, 1, 3), 5_000, at(10, 2, 0))
        .into_iter()
        .zip([(2, 201), (1, 202)])
    {
        let view = written(ledger, new.intent).await?;
        let view = done(ledger, &view, fence, (contracts, 110), order, at(10, 9, 0)).await?;
        same!(view.last_attempt().map(|it| it.state), Some(AttemptState::Filled));
        let owned = ledger.owned(&account, sample::SESSION).await?;
        left.push(owned.iter().map(|it| it.held()).sum::<u32>());
    }
    same!(left, [1, 0]);
    Ok(())
}

const fn amount(intent: &OrderIntent) -> Option<CloseAmount> {
    match intent {
        OrderIntent::Closing(it) => Some(it.amount),
        OrderIntent::ClosingCombo(it) => Some(it.amount),
        OrderIntent::Opening(_) | OrderIntent::OpeningCombo(_) => None,
    }
}
