//! The kill switch and reconciliation.

use domain::account::AccountRef;
use domain::ids::IntentId;
use domain::intent::OrderIntent;
use domain::kill::{KillScope, KillState, Reading};
use domain::ports::{
    CredentialChange, Difference, DifferenceKind, KillFlip, Ledger, Marking, Message, Queue,
    ReconciliationRun,
};
use domain::position::FillSource;
use domain::symbol::Underlying;
use domain::time::UtcNanos;

use super::stage::{drain, held, lease, marked, opened, ready, reread, steps, working, written};
use super::{Broken, Outcome};
use crate::fixtures::{self as sample, SESSION, at};

cases! {
    a_flip_raises_the_version_and_twice_is_once,
    a_flip_that_expects_another_version_leaves_the_row_as_it_stands,
    readings_are_kept_once_and_in_order,
    a_mark_is_refused_while_the_kill_switch_stops_entries,
    the_strictest_row_stops_an_entry_and_other_scopes_do_not,
    an_exit_is_marked_whatever_the_kill_switch_says,
    a_flip_to_no_entries_leaves_working_entries_alone,
    a_flip_to_safe_mode_asks_every_entry_it_covers_to_stop,
    a_flip_stops_entries_of_its_scope_only,
    a_halted_market_stops_its_entries_and_marks_none_until_it_reopens,
    a_hard_stop_is_written_with_the_flatten_of_every_account_it_covers,
    a_hard_stop_of_a_scope_flattens_the_accounts_that_hold_or_work_something_of_it,
    a_context_shows_the_rows_of_its_scopes,
    a_reconciliation_is_written_once_with_its_steps_and_alerts,
    a_reconciliation_that_names_a_strange_intent_is_refused,
    a_day_book_shows_the_last_reconciliation,
    the_books_agreed_when_a_reconciliation_of_the_session_first_found_no_fault,
}

fn flip(scope: KillScope, state: KillState, at: UtcNanos) -> KillFlip {
    KillFlip { scope, state, by: "operator".to_owned(), reason: "a test".to_owned(), at, if_version: None }
}

async fn a_flip_raises_the_version_and_twice_is_once<L: Ledger>(ledger: &L) -> Outcome {
    same!(ledger.kill_switch().await?, []);
    let stop = flip(KillScope::Global, KillState::NoEntries, at(10, 0, 0));
    let row = ledger.flip_kill_switch(&stop).await?;
    same!((row.state, row.version, row.flipped_at), (KillState::NoEntries, 1, at(10, 0, 0)));
    same!((&row.scope, row.reason.as_str()), (&KillScope::Global, "a test"));
    same!(ledger.flip_kill_switch(&stop).await?, row);
    let free = flip(KillScope::Global, KillState::Normal, at(10, 5, 0));
    let row = ledger.flip_kill_switch(&free).await?;
    same!((row.state, row.version), (KillState::Normal, 2));
    same!(ledger.kill_switch().await?, [row]);
    Ok(())
}

async fn a_mark_is_refused_while_the_kill_switch_stops_entries<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let mut minute = 0;
    for state in [KillState::NoEntries, KillState::SafeMode, KillState::HardStop] {
        minute += 1;
        // A flip may have asked the entry to stop, so each state meets one of its own.
        let row = ledger.flip_kill_switch(&flip(KillScope::Global, state, at(10, minute, 0))).await?;
        let view = reread(ledger, &view).await?;
        let request = sample::mark(&view, fence, 3, at(10, 30, 0));
        same!(ledger.mark_submitting(&request).await?, Marking::Killed(row));
        same!(reread(ledger, &view).await?, view);
    }
    let free = flip(KillScope::Global, KillState::Normal, at(10, 20, 0));
    ledger.flip_kill_switch(&free).await?;
    let other = ready(ledger, &account, 2, 3).await?;
    marked(ledger, &other, fence, 3, at(10, 30, 0)).await?;
    Ok(())
}

async fn the_strictest_row_stops_an_entry_and_other_scopes_do_not<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let elsewhere = [
        KillScope::User(sample::user(2)),
        KillScope::Strategy("another".to_owned()),
        KillScope::Symbol(Underlying::SPY),
        KillScope::Broker("another".to_owned()),
    ];
    for scope in elsewhere {
        ledger.flip_kill_switch(&flip(scope, KillState::HardStop, at(10, 0, 0))).await?;
    }
    let view = reread(ledger, &view).await?;
    same!(view.stop_requested, false);
    let mild = flip(KillScope::Global, KillState::NoEntries, at(10, 0, 0));
    ledger.flip_kill_switch(&mild).await?;
    let strict = flip(KillScope::Strategy("orb_breakout".to_owned()), KillState::SafeMode, at(10, 0, 1));
    let row = ledger.flip_kill_switch(&strict).await?;
    let view = reread(ledger, &view).await?;
    let request = sample::mark(&view, fence, 3, at(10, 1, 0));
    same!(ledger.mark_submitting(&request).await?, Marking::Killed(row));
    Ok(())
}

async fn an_exit_is_marked_whatever_the_kill_switch_says<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = held(ledger, &account, fence, 1, (3, 240)).await?;
    ledger.flip_kill_switch(&flip(KillScope::Global, KillState::HardStop, at(10, 5, 0))).await?;
    let flatten = sample::flattening(&account, entry.intent.head().series);
    let flatten = written(ledger, OrderIntent::Closing(flatten)).await?;
    let mut request = sample::mark(&flatten, fence, 3, at(10, 6, 0));
    request.kill_scopes = sample::scopes(&account);
    let marking = ledger.mark_submitting(&request).await?;
    ensure!(matches!(marking, Marking::Marked(_)), "a close is not marked: {marking:?}");
    Ok(())
}

async fn a_flip_to_no_entries_leaves_working_entries_alone<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    ledger.flip_kill_switch(&flip(KillScope::Global, KillState::NoEntries, at(10, 5, 0))).await?;
    same!(reread(ledger, &view).await?, view);
    Ok(())
}

async fn a_flip_to_safe_mode_asks_every_entry_it_covers_to_stop<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let other = sample::account(2);
    sample::enrol(ledger, &other).await?;
    let other_fence = lease(ledger, &other, "worker").await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let first = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let view = ready(ledger, &other, 1, 3).await?;
    let second = working(ledger, &view, other_fence, 3, 71, at(10, 1, 0)).await?;
    let bought = held(ledger, &account, fence, 2, (1, 240)).await?;
    let close = sample::flattening(&account, bought.intent.head().series);
    let close = written(ledger, OrderIntent::Closing(close)).await?;
    drain(ledger).await?;
    let safe = flip(KillScope::Global, KillState::SafeMode, at(10, 5, 0));
    ledger.flip_kill_switch(&safe).await?;
    ledger.flip_kill_switch(&safe).await?;
    for view in [first, second] {
        let after = reread(ledger, &view).await?;
        same!((after.stop_requested, after.version), (true, view.version + 1));
        same!(steps(ledger, view.intent.head().id).await?, [(after.version, at(10, 5, 0))]);
    }
    same!((reread(ledger, &bought).await?, reread(ledger, &close).await?), (bought, close));
    Ok(())
}

async fn a_flip_stops_entries_of_its_scope_only<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let scopes = [
        (KillScope::User(sample::user(2)), false),
        (KillScope::Strategy("another".to_owned()), false),
        (KillScope::Symbol(Underlying::SPY), false),
        (KillScope::Market(Underlying::SPY), false),
        (KillScope::Broker("another".to_owned()), false),
        (KillScope::Broker("tradier".to_owned()), true),
    ];
    for (scope, stops) in scopes {
        ledger.flip_kill_switch(&flip(scope.clone(), KillState::SafeMode, at(10, 5, 0))).await?;
        let stopped = reread(ledger, &view).await?.stop_requested;
        ensure!(stopped == stops, "after a flip of {scope} the entry's stop is {stopped}");
    }
    Ok(())
}

async fn a_halted_market_stops_its_entries_and_marks_none_until_it_reopens<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let works = ready(ledger, &account, 1, 3).await?;
    let works = working(ledger, &works, fence, 3, 71, at(10, 1, 0)).await?;
    let market = KillScope::Market(Underlying::SPX);
    let row = ledger.flip_kill_switch(&flip(market.clone(), KillState::SafeMode, at(10, 5, 0))).await?;
    same!(reread(ledger, &works).await?.stop_requested, true);
    let rows = ledger.kill_switch().await?;
    same!(domain::kill::halted_since(&rows, Underlying::SPX), Some(at(10, 5, 0)));
    let later = ready(ledger, &account, 2, 3).await?;
    let request = sample::mark(&later, fence, 3, at(10, 6, 0));
    same!(ledger.mark_submitting(&request).await?, Marking::Killed(row));
    ledger.flip_kill_switch(&flip(market, KillState::Normal, at(10, 20, 0))).await?;
    let rows = ledger.kill_switch().await?;
    same!(domain::kill::halted_since(&rows, Underlying::SPX), None);
    marked(ledger, &later, fence, 3, at(10, 21, 0)).await?;
    Ok(())
}

/// The accounts whose flatten waits, started at once for this session at `at`, and due then by every clock.
async fn flattened<L: Ledger>(ledger: &L, at: UtcNanos) -> Result<Vec<AccountRef>, Broken> {
    let due = at.minus(domain::books::CLOCKS_APART);
    let rows = ledger.due_outbox(UtcNanos(i64::MAX), 1_000).await?;
    let mut accounts = Vec::new();
    for row in rows {
        if let Message::Flatten { account, session, at_once } = row.message {
            same!((row.queue, row.due_at, session, at_once), (Queue::Flatten, due, SESSION, true));
            accounts.push(account);
        }
    }
    accounts.sort_by_key(|it| it.account);
    Ok(accounts)
}

async fn a_hard_stop_is_written_with_the_flatten_of_every_account_it_covers<L: Ledger>(
    ledger: &L,
) -> Outcome {
    let [first, second, gone] = [1, 2, 3].map(sample::account);
    for account in [first, second, gone] {
        sample::enrol(ledger, &account).await?;
    }
    ledger.change_credential(&gone, &CredentialChange::Removed, at(9, 50, 0)).await?;
    let mild = flip(KillScope::Global, KillState::SafeMode, at(10, 0, 0));
    ledger.flip_kill_switch(&mild).await?;
    same!(flattened(ledger, at(10, 0, 0)).await?, []);
    // Somebody else flipped in between: nothing of this flip happens.
    let hard = flip(KillScope::Global, KillState::HardStop, at(10, 1, 0));
    ledger.flip_kill_switch(&KillFlip { if_version: Some(7), ..hard.clone() }).await?;
    same!(flattened(ledger, at(10, 1, 0)).await?, []);
    ledger.flip_kill_switch(&hard).await?;
    ledger.flip_kill_switch(&hard).await?;
    same!(flattened(ledger, at(10, 1, 0)).await?, [first, second]);
    drain(ledger).await?;
    for (scope, covered) in [
        (KillScope::User(second.user), vec![second]),
        (KillScope::Broker("tradier".to_owned()), vec![first, second]),
        (KillScope::Broker("another".to_owned()), Vec::new()),
    ] {
        ledger.flip_kill_switch(&flip(scope, KillState::HardStop, at(10, 2, 0))).await?;
        same!(flattened(ledger, at(10, 2, 0)).await?, covered);
        drain(ledger).await?;
    }
    // With the market closed the next session closes.
    let late = flip(KillScope::User(first.user), KillState::HardStop, at(17, 0, 0));
    ledger.flip_kill_switch(&late).await?;
    let rows = ledger.due_outbox(at(17, 0, 0), 10).await?;
    let next = domain::books::closes_in(at(17, 0, 0)).map_err(|it| Broken(it.to_string()))?;
    ensure!(next > SESSION, "the session is over at five, and {next} closes");
    same!(
        rows.into_iter().map(|it| it.message).collect::<Vec<_>>(),
        [Message::Flatten { account: first, session: next, at_once: true }]
    );
    Ok(())
}

async fn a_hard_stop_of_a_scope_flattens_the_accounts_that_hold_or_work_something_of_it<L: Ledger>(
    ledger: &L,
) -> Outcome {
    let (holds, fence) = opened(ledger).await?;
    let [works, sold, idle] = [2, 3, 4].map(sample::account);
    for account in [works, sold, idle] {
        sample::enrol(ledger, &account).await?;
    }
    held(ledger, &holds, fence, 1, (2, 240)).await?;
    let other = lease(ledger, &works, "worker").await?;
    let view = ready(ledger, &works, 1, 3).await?;
    working(ledger, &view, other, 3, 71, at(10, 1, 0)).await?;
    let other = lease(ledger, &sold, "worker").await?;
    let entry = held(ledger, &sold, other, 1, (2, 240)).await?;
    let price = domain::money::Usd::from_dollars(1);
    let id = entry.intent.head().id;
    ledger.record_settlement(&sold, id, price, at(10, 2, 0), FillSource::Handover).await?;
    drain(ledger).await?;
    let mut second = 0;
    for (scope, covered) in [
        (KillScope::Strategy("another".to_owned()), Vec::new()),
        (KillScope::Symbol(Underlying::SPY), Vec::new()),
        // The first stop asks the entry that works to end; until it has, something may still be bought.
        (KillScope::Strategy("orb_breakout".to_owned()), vec![holds, works]),
        (KillScope::Symbol(Underlying::SPX), vec![holds, works]),
    ] {
        second += 1;
        ledger.flip_kill_switch(&flip(scope.clone(), KillState::HardStop, at(10, 5, second))).await?;
        let found = flattened(ledger, at(10, 5, second)).await?;
        ensure!(found == covered, "a hard stop of {scope} flattens {found:?}");
        drain(ledger).await?;
    }
    Ok(())
}

async fn a_context_shows_the_rows_of_its_scopes<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    let mine = flip(KillScope::User(account.user), KillState::NoEntries, at(10, 0, 0));
    let mine = ledger.flip_kill_switch(&mine).await?;
    let all = ledger.flip_kill_switch(&flip(KillScope::Global, KillState::Normal, at(10, 0, 0))).await?;
    let other = flip(KillScope::User(sample::user(2)), KillState::HardStop, at(10, 0, 0));
    let other = ledger.flip_kill_switch(&other).await?;
    let context = ledger.opening_context(&account, SESSION, &sample::scopes(&account)).await?;
    same!(context.kill, [all.clone(), mine.clone()]);
    same!(ledger.kill_switch().await?, [all, mine, other]);
    Ok(())
}

fn difference(kind: DifferenceKind) -> Difference {
    Difference {
        kind,
        about: "SPXW261120C05605000".to_owned(),
        ours: "3".to_owned(),
        broker: "2".to_owned(),
        cure: "alert".to_owned(),
    }
}

fn run(at: UtcNanos, steps: Vec<IntentId>) -> ReconciliationRun {
    let difference = difference(DifferenceKind::QuantityMismatch);
    let alert = Message::Alert {
        key: format!("mismatch:{at}"),
        level: "critical".to_owned(),
        text: "the broker holds 2, we hold 3".to_owned(),
    };
    ReconciliationRun { at, differences: vec![difference], steps, alerts: vec![alert] }
}

async fn a_reconciliation_is_written_once_with_its_steps_and_alerts<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let view = ready(ledger, &account, 1, 3).await?;
    let view = working(ledger, &view, fence, 3, 71, at(10, 1, 0)).await?;
    let bought = held(ledger, &account, fence, 2, (1, 240)).await?;
    drain(ledger).await?;
    let id = view.intent.head().id;
    let found = run(at(10, 5, 0), vec![id, bought.intent.head().id]);
    ledger.record_reconciliation(&account, &found).await?;
    ledger.record_reconciliation(&account, &found).await?;
    same!(reread(ledger, &view).await?.version, view.version + 1);
    same!(steps(ledger, id).await?, [(view.version + 1, at(10, 5, 0))]);
    same!(reread(ledger, &bought).await?, bought);
    let rows = ledger.due_outbox(at(10, 5, 0), 100).await?;
    let alerts: Vec<_> = rows.iter().filter(|it| it.queue == Queue::Alerts).map(|it| &it.message).collect();
    same!((alerts, rows.len()), (found.alerts.iter().collect(), 2));
    Ok(())
}

async fn a_reconciliation_that_names_a_strange_intent_is_refused<L: Ledger>(ledger: &L) -> Outcome {
    let (account, _) = opened(ledger).await?;
    let strange = run(at(10, 5, 0), vec![IntentId::of(&[b"another"])]);
    refuses!(ledger.record_reconciliation(&account, &strange).await);
    same!(ledger.day_book(&account, SESSION).await?.reconciled_at, None);
    let thief = domain::account::AccountRef { user: sample::user(2), ..account };
    refuses!(ledger.record_reconciliation(&thief, &run(at(10, 5, 0), Vec::new())).await);
    Ok(())
}

async fn a_day_book_shows_the_last_reconciliation<L: Ledger>(ledger: &L) -> Outcome {
    let (account, _) = opened(ledger).await?;
    let found = run(at(10, 5, 0), Vec::new());
    ledger.record_reconciliation(&account, &found).await?;
    let book = ledger.day_book(&account, SESSION).await?;
    same!((book.differences, book.reconciled_at), (found.differences, Some(at(10, 5, 0))));
    let clean = ReconciliationRun { differences: Vec::new(), ..run(at(10, 6, 0), Vec::new()) };
    ledger.record_reconciliation(&account, &clean).await?;
    let book = ledger.day_book(&account, SESSION).await?;
    same!((book.differences.len(), book.reconciled_at), (0, Some(at(10, 6, 0))));
    let next = SESSION.tomorrow().map_err(|it| Broken(it.to_string()))?;
    same!(ledger.day_book(&account, next).await?.reconciled_at, None);
    Ok(())
}

async fn the_books_agreed_when_a_reconciliation_of_the_session_first_found_no_fault<L: Ledger>(
    ledger: &L,
) -> Outcome {
    let (account, _) = opened(ledger).await?;
    let agreed = async || ledger.opening_context(&account, SESSION, &[]).await.map(|it| it.agreed_at);
    same!(agreed().await?, None);
    ledger.record_reconciliation(&account, &run(at(9, 29, 0), Vec::new())).await?;
    same!(agreed().await?, None);
    let [foreign, fault] = [DifferenceKind::Foreign, DifferenceKind::StuckClose].map(difference);
    for (minute, differences) in [(30, vec![foreign]), (31, vec![fault]), (32, Vec::new())] {
        let run = ReconciliationRun { differences, ..run(at(9, minute, 0), Vec::new()) };
        ledger.record_reconciliation(&account, &run).await?;
        same!(agreed().await?, Some(at(9, 30, 0)));
    }
    let next = SESSION.tomorrow().map_err(|it| Broken(it.to_string()))?;
    same!(ledger.opening_context(&account, next, &[]).await?.agreed_at, None);
    Ok(())
}

async fn a_flip_that_expects_another_version_leaves_the_row_as_it_stands<L: Ledger>(ledger: &L) -> Outcome {
    let scope = KillScope::Global;
    let when = |it: KillFlip, version| KillFlip { if_version: Some(version), ..it };
    let trip = flip(scope.clone(), KillState::SafeMode, at(10, 0, 0));
    same!(ledger.flip_kill_switch(&when(trip.clone(), 3)).await?.version, 0);
    let row = ledger.flip_kill_switch(&when(trip, 0)).await?;
    same!((row.state, row.version, row.by.as_str()), (KillState::SafeMode, 1, "operator"));
    // Somebody hardens it between the look and the release.
    let hard = ledger.flip_kill_switch(&flip(scope.clone(), KillState::HardStop, at(10, 1, 0))).await?;
    let release = flip(scope, KillState::Normal, at(10, 2, 0));
    same!(ledger.flip_kill_switch(&when(release.clone(), 1)).await?, hard);
    same!(ledger.kill_switch().await?, [hard]);
    same!(ledger.flip_kill_switch(&when(release, 2)).await?.state, KillState::Normal);
    Ok(())
}

async fn readings_are_kept_once_and_in_order<L: Ledger>(ledger: &L) -> Outcome {
    let reading = |minute: u32, ratio: f64| Reading {
        at: at(10, minute, 0),
        vix: Some(20.5),
        index: (minute > 1).then_some(domain::market::Points::whole(5_600)),
        vix_ratio: Some(ratio),
        macro_window: (minute > 1).then_some(true),
        regime_failed: None,
    };
    for it in [reading(2, 0.98), reading(1, 1.01), reading(2, 0.5)] {
        ledger.record_reading(&it).await?;
    }
    same!(ledger.readings(at(10, 0, 0)).await?, [reading(1, 1.01), reading(2, 0.98)]);
    same!(ledger.readings(at(10, 2, 0)).await?, [reading(2, 0.98)]);
    Ok(())
}
