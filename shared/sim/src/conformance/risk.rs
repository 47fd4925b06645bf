//! What the gate reads.

use domain::intent::{Action, CloseAmount, OrderIntent};
use domain::kill::KillScope;
use domain::money::Usd;
use domain::order::AttemptState;
use domain::ports::{DayRisk, Ledger};
use domain::setup::Direction;

use super::stage::{done, held, opened, polled, ready, reread, version, working, written};
use super::{Broken, Outcome};
use crate::fixtures::{self as sample, SESSION, at};

cases! {
    a_context_of_a_new_account_is_empty,
    a_context_of_a_stranger_has_nothing_of_the_account,
    an_entry_that_is_only_ready_counts_nowhere_but_its_series_is_taken,
    a_working_entry_counts_at_its_worst,
    a_held_entry_counts_at_its_cost,
    a_missing_price_counts_at_the_limit,
    the_day_counts_realised_less_charges,
    losses_in_a_row_end_at_the_last_gain,
    an_entry_closed_in_parts_is_one_day_trade_and_a_settlement_is_none,
    puts_count_on_the_short_side,
}

async fn day<L: Ledger>(ledger: &L) -> Result<DayRisk, Broken> {
    Ok(ledger.opening_context(&sample::account(1), SESSION, &[]).await?.day)
}

async fn a_context_of_a_new_account_is_empty<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    let context = ledger.opening_context(&account, SESSION, &sample::scopes(&account)).await?;
    same!(context.day, DayRisk::default());
    same!(context.settings, ledger.settings(account.user).await?);
    same!(context.credential.map(|it| it.account), Some(account));
    same!((context.kill.len(), context.snapshot, context.owned_series.len()), (0, None, 0));
    Ok(())
}

async fn a_context_of_a_stranger_has_nothing_of_the_account<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    held(ledger, &account, fence, 1, (3, 240)).await?;
    ledger.record_snapshot(&account, &sample::snapshot(at(9, 30, 0)), "open").await?;
    let thief = domain::account::AccountRef { user: sample::user(2), ..account };
    let context = ledger.opening_context(&thief, SESSION, &[KillScope::Global]).await?;
    same!((context.credential, context.snapshot), (None, None));
    same!((context.day, context.owned_series.len()), (DayRisk::default(), 0));
    Ok(())
}

async fn an_entry_that_is_only_ready_counts_nowhere_but_its_series_is_taken<L: Ledger>(
    ledger: &L,
) -> Outcome {
    let (account, _) = opened(ledger).await?;
    let entry = ready(ledger, &account, 1, 3).await?;
    let context = ledger.opening_context(&account, SESSION, &[]).await?;
    same!(context.day, DayRisk::default());
    same!(context.owned_series, [(entry.intent.head().series, Some(sample::setup_id(1)))]);
    Ok(())
}

async fn a_working_entry_counts_at_its_worst<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = ready(ledger, &account, 1, 3).await?;
    let entry = working(ledger, &entry, fence, 3, 71, at(10, 1, 0)).await?;
    let worst = Usd::from_dollars(750);
    let expected = DayRisk {
        open_premium: worst,
        working_debits: worst,
        entries: 1,
        long_contracts: 3,
        ..DayRisk::default()
    };
    same!(day(ledger).await?, expected);
    polled(ledger, &entry, fence, 2, Some(240), at(10, 1, 3)).await?;
    let expected = DayRisk {
        realized: Usd::from_dollars(-2),
        open_premium: Usd::from_dollars(480 + 250),
        working_debits: Usd::from_dollars(250),
        ..expected
    };
    same!(day(ledger).await?, expected);
    Ok(())
}

async fn a_held_entry_counts_at_its_cost<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    held(ledger, &account, fence, 1, (3, 240)).await?;
    held(ledger, &account, fence, 2, (1, 200)).await?;
    let expected = DayRisk {
        realized: Usd::from_dollars(-4),
        open_premium: Usd::from_dollars(720 + 200),
        entries: 2,
        long_contracts: 4,
        ..DayRisk::default()
    };
    same!(day(ledger).await?, expected);
    let series = ledger.opening_context(&account, SESSION, &[]).await?.owned_series;
    let taken = [1, 2].map(|n| (sample::opening(&account, n, 1).head.series, Some(sample::setup_id(n))));
    same!(series, taken);
    let next = SESSION.tomorrow().map_err(|it| Broken(it.to_string()))?;
    let tomorrow = ledger.opening_context(&account, next, &[]).await?.day;
    same!((tomorrow.entries, tomorrow.realized), (0, Usd::ZERO));
    same!((tomorrow.open_premium, tomorrow.long_contracts), (Usd::from_dollars(920), 4));
    Ok(())
}

async fn a_missing_price_counts_at_the_limit<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = ready(ledger, &account, 1, 3).await?;
    let entry = working(ledger, &entry, fence, 3, 71, at(10, 1, 0)).await?;
    polled(ledger, &entry, fence, 3, None, at(10, 1, 3)).await?;
    same!(day(ledger).await?.open_premium, Usd::from_dollars(720));
    let owned = ledger.owned(&account, SESSION).await?;
    same!(owned.first().map(|it| (it.paid, it.price_missing)), Some((Usd::ZERO, true)));
    Ok(())
}

/// Closes `quantity` contracts of entry `n` at `average` cents, `minute` minutes past ten.
async fn close<L: Ledger>(
    ledger: &L,
    n: u8,
    sequence: u32,
    (quantity, average): (u32, i64),
    minute: u32,
) -> Result<(), Broken> {
    let account = sample::account(1);
    let fence = super::stage::lease(ledger, &account, "worker").await?;
    let entry = sample::opening(&account, n, 9);
    let intent = sample::closing(&entry, sequence, Action::Stop, CloseAmount::All);
    let view = written(ledger, OrderIntent::Closing(intent)).await?;
    let order = 1_000 + 10 * u64::from(n) + u64::from(sequence);
    done(ledger, &view, fence, (quantity, average), order, at(10, minute, 0)).await?;
    Ok(())
}

async fn the_day_counts_realised_less_charges<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    held(ledger, &account, fence, 1, (3, 240)).await?;
    close(ledger, 1, 3, (2, 300), 10).await?;
    // 2 x (300 - 240) less 5 dollars of charges; one contract is still held.
    let risk = day(ledger).await?;
    same!((risk.realized, risk.open_premium), (Usd::from_dollars(115), Usd::from_dollars(240)));
    same!((risk.long_contracts, risk.losses_in_a_row, risk.day_trades), (1, 0, 1));
    close(ledger, 1, 4, (1, 100), 20).await?;
    let risk = day(ledger).await?;
    same!((risk.realized, risk.open_premium), (Usd::from_dollars(-26), Usd::ZERO));
    same!((risk.long_contracts, risk.losses_in_a_row), (0, 1));
    Ok(())
}

async fn losses_in_a_row_end_at_the_last_gain<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    for n in 1..=3 {
        held(ledger, &account, fence, n, (1, 240)).await?;
    }
    close(ledger, 2, 3, (1, 100), 10).await?;
    same!(day(ledger).await?.losses_in_a_row, 1);
    close(ledger, 3, 3, (1, 241), 20).await?;
    same!(day(ledger).await?.losses_in_a_row, 2);
    close(ledger, 1, 3, (1, 300), 30).await?;
    same!(day(ledger).await?.losses_in_a_row, 0);
    Ok(())
}

async fn an_entry_closed_in_parts_is_one_day_trade_and_a_settlement_is_none<L: Ledger>(
    ledger: &L,
) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    held(ledger, &account, fence, 1, (2, 240)).await?;
    let settled = held(ledger, &account, fence, 2, (2, 240)).await?;
    close(ledger, 1, 3, (1, 300), 10).await?;
    close(ledger, 1, 4, (1, 300), 20).await?;
    let source = domain::position::FillSource::Settlement;
    let id = settled.intent.head().id;
    ledger.record_settlement(&account, id, Usd::ZERO, at(16, 1, 0), source).await?;
    let risk = day(ledger).await?;
    same!((risk.day_trades, risk.losses_in_a_row, risk.long_contracts), (1, 1, 0));
    same!(risk.realized, Usd::from_dollars(120 - 480 - 6));
    let wednesday = jiff::civil::date(2026, 11, 25);
    let monday = jiff::civil::date(2026, 11, 30);
    same!(ledger.opening_context(&account, wednesday, &[]).await?.day.day_trades, 1);
    same!(ledger.opening_context(&account, monday, &[]).await?.day.day_trades, 0);
    Ok(())
}

async fn puts_count_on_the_short_side<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let mut entry = sample::opening(&account, 1, 2);
    entry.direction = Direction::Short;
    let view = written(ledger, OrderIntent::Opening(entry)).await?;
    let view = working(ledger, &view, fence, 2, 71, at(10, 1, 0)).await?;
    let risk = day(ledger).await?;
    same!((risk.long_contracts, risk.short_contracts), (0, 2));
    let mut missed = sample::progress(&view, Some(fence), at(10, 1, 3));
    missed.attempts.push(sample::ended(&view, AttemptState::Canceled)?);
    missed.state = domain::intent::IntentState::Done;
    missed.follow_up = None;
    version(ledger.record_progress(&missed).await?)?;
    same!(reread(ledger, &view).await?.filled, 0);
    same!(day(ledger).await?, DayRisk { entries: 1, ..DayRisk::default() });
    Ok(())
}
