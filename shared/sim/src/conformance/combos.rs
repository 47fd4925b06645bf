//! Structures: one intent per decision, orders kept leg by leg, positions that follow from the legs.

use domain::account::AccountRef;
use domain::combo::{ComboEntry, ComboExit, LegHeld, OwnedCombo};
use domain::ids::BrokerOrderId;
use domain::intent::{Action, IntentState, OrderIntent, Origin};
use domain::kill::{KillScope, KillState};
use domain::money::{Price, Side, Usd};
use domain::order::{AttemptState, ComboAttempt, LegExecution};
use domain::ports::{Fence, IntentView, KillFlip, Ledger, Marking, Recorded};
use domain::position::{Fill, FillSource};
use domain::ticket::{ComboLeg, ComboRefused, HeldLeg, Net};
use domain::time::UtcNanos;

use super::stage::{lease, opened, reread, version, written};
use super::{Broken, Outcome};
use crate::fixtures::combos as spread;
use crate::fixtures::{self as sample, SESSION, at};

cases! {
    a_structure_is_recorded_once_by_its_decision_and_read_back_whole,
    a_close_names_a_structure_of_the_same_account,
    an_order_on_a_structure_is_kept_leg_by_leg,
    an_average_of_one_leg_completes_that_legs_price_alone,
    a_leg_is_never_executed_beyond_its_order_nor_one_that_was_not_sent,
    an_entry_into_a_structure_sends_its_own_legs_and_no_more_units_than_it_wants,
    an_exit_sends_nothing_but_legs_that_close,
    what_is_held_of_a_structure_follows_leg_by_leg,
    a_structure_out_of_balance_stays_in_the_books_until_every_leg_is_level,
    a_structure_settles_every_held_leg_once,
    a_structure_counts_by_what_it_may_lose,
    the_gate_sees_every_open_leg_with_its_sign,
    a_flip_stops_the_entries_of_a_strategy,
    a_session_has_its_structures,
}

impl From<ComboRefused> for Broken {
    fn from(error: ComboRefused) -> Self {
        Self(error.to_string())
    }
}

const CREDIT: Net = Net::credit(Price::from_cents(155));

async fn ready<L: Ledger>(
    ledger: &L,
    account: &AccountRef,
    n: u8,
    units: u32,
) -> Result<(ComboEntry, IntentView), Broken> {
    let entry = spread::entry(account, n, units)?;
    let view = written(ledger, OrderIntent::OpeningCombo(entry.clone())).await?;
    Ok((entry, view))
}

/// The intent with its next attempt at the broker.
async fn sent<L: Ledger>(
    ledger: &L,
    view: &IntentView,
    fence: Fence,
    (units, legs): (u32, &[ComboLeg]),
    order: u64,
    at: UtcNanos,
) -> Result<IntentView, Broken> {
    let request = spread::marked(view, fence, (units, legs), CREDIT, at);
    let marking = ledger.mark_submitting(&request).await?;
    ensure!(matches!(marking, Marking::Marked(_)), "the mark is {marking:?}");
    let view = reread(ledger, view).await?;
    version(ledger.record_answer(&sample::accepted(&view, fence, order, at)?).await?)?;
    reread(ledger, &view).await
}

/// The intent after a poll that shows its legs executed so far, in their order, at so many cents.
async fn polled<L: Ledger>(
    ledger: &L,
    view: &IntentView,
    fence: Fence,
    legs: &[(u32, Option<i64>)],
    is_ended: bool,
    at: UtcNanos,
) -> Result<IntentView, Broken> {
    let mut progress = sample::progress(view, Some(fence), at);
    for (n, (to, average)) in legs.iter().enumerate().filter(|(_, it)| it.0 > 0) {
        progress.fills.push(spread::observed(view, n, *to, *average, at)?);
    }
    if is_ended {
        progress.attempts.push(sample::ended(view, AttemptState::Canceled)?);
        (progress.state, progress.follow_up) = (IntentState::Done, None);
    }
    version(ledger.record_progress(&progress).await?)?;
    reread(ledger, view).await
}

/// An entry by decision `n`, executed whole for 1.55 a unit: 2.05 received, 0.50 paid.
async fn held<L: Ledger>(
    ledger: &L,
    account: &AccountRef,
    fence: Fence,
    n: u8,
    units: u32,
) -> Result<ComboEntry, Broken> {
    let (entry, view) = ready(ledger, account, n, units).await?;
    let view =
        sent(ledger, &view, fence, (units, entry.terms.legs()), 200 + u64::from(n), at(10, 1, 0)).await?;
    polled(ledger, &view, fence, &[(units, Some(205)), (units, Some(50))], true, at(10, 1, 10)).await?;
    Ok(entry)
}

async fn closing<L: Ledger>(
    ledger: &L,
    exit: &ComboExit,
    fence: Fence,
    (units, legs): (u32, &[ComboLeg]),
    seen: &[(u32, Option<i64>)],
    order: u64,
) -> Result<IntentView, Broken> {
    let view = written(ledger, OrderIntent::ClosingCombo(exit.clone())).await?;
    let view = sent(ledger, &view, fence, (units, legs), order, at(11, 0, 0)).await?;
    polled(ledger, &view, fence, seen, true, at(11, 0, 10)).await
}

async fn only<L: Ledger>(ledger: &L, account: &AccountRef) -> Result<OwnedCombo, Broken> {
    let all = ledger.structures(account, SESSION).await?;
    same!(all.len(), 1);
    all.into_iter().next().ok_or_else(|| Broken("no structure".to_owned()))
}

fn contracts(owned: &OwnedCombo) -> Vec<u32> {
    owned.held().iter().map(|it: &LegHeld| it.contracts).collect()
}

async fn a_structure_is_recorded_once_by_its_decision_and_read_back_whole<L: Ledger>(ledger: &L) -> Outcome {
    let (account, _) = opened(ledger).await?;
    let (entry, view) = ready(ledger, &account, 1, 2).await?;
    same!(view.intent, OrderIntent::OpeningCombo(entry.clone()));
    same!(entry.head.origin, Origin::Decision(spread::decision(1)));
    // Another size of the same decision is the same intent: the first one counts.
    let again = OrderIntent::OpeningCombo(spread::entry(&account, 1, 5)?);
    same!(ledger.record_intent(&sample::ready(again)).await?, Recorded::Known);
    same!(reread(ledger, &view).await?, view);
    Ok(())
}

async fn a_close_names_a_structure_of_the_same_account<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = held(ledger, &account, fence, 1, 2).await?;
    let exit = spread::exit(&entry, 1, Action::Stop);
    let view = written(ledger, OrderIntent::ClosingCombo(exit.clone())).await?;
    same!(view.intent, OrderIntent::ClosingCombo(exit.clone()));
    let unknown = spread::entry(&account, 2, 1)?;
    let orphan = OrderIntent::ClosingCombo(spread::exit(&unknown, 1, Action::Stop));
    refuses!(ledger.record_intent(&sample::ready(orphan)).await);
    let single = sample::opening(&account, 1, 1);
    written(ledger, OrderIntent::Opening(single.clone())).await?;
    let mut mixed = spread::exit(&entry, 2, Action::Stop);
    (mixed.opening, mixed.head.series) = (single.head.id, single.head.series);
    refuses!(ledger.record_intent(&sample::ready(OrderIntent::ClosingCombo(mixed))).await);
    Ok(())
}

async fn an_order_on_a_structure_is_kept_leg_by_leg<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let (entry, view) = ready(ledger, &account, 1, 3).await?;
    let view = sent(ledger, &view, fence, (3, entry.terms.legs()), 71, at(10, 1, 0)).await?;
    let fresh = view.last_attempt().and_then(|it| it.combo.clone());
    same!(fresh, Some(ComboAttempt::of(entry.terms.legs(), CREDIT)));
    let view = polled(ledger, &view, fence, &[(2, Some(205)), (1, Some(50))], false, at(10, 1, 10)).await?;
    let executed = |view: &IntentView| {
        let attempt = view.last_attempt();
        let legs = attempt.and_then(|it| it.combo.clone()).map(|it| it.legs).unwrap_or_default();
        let leg = |it: &LegExecution| (it.executed, it.average);
        (attempt.map(|it| it.executed), legs.iter().map(leg).collect::<Vec<_>>())
    };
    let cents = |it| Some(Usd::from_cents(it));
    same!(executed(&view), (Some(1), vec![(2, cents(205)), (1, cents(50))]));
    // Told again, and less: nothing changes.
    let view = polled(ledger, &view, fence, &[(1, Some(205)), (1, Some(50))], false, at(10, 1, 20)).await?;
    let view = polled(ledger, &view, fence, &[(3, Some(205)), (3, Some(52))], false, at(10, 1, 30)).await?;
    same!(executed(&view), (Some(3), vec![(3, cents(205)), (3, cents(52))]));
    let fills: Vec<_> = view.fills.iter().map(|it| (it.side, it.from, it.to, it.price)).collect();
    same!(
        fills,
        [
            (Side::Sell, 0, 2, cents(205)),
            (Side::Buy, 0, 1, cents(50)),
            (Side::Sell, 2, 3, cents(205)),
            (Side::Buy, 1, 3, cents(53)),
        ]
    );
    Ok(())
}

async fn an_average_of_one_leg_completes_that_legs_price_alone<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let (entry, view) = ready(ledger, &account, 1, 2).await?;
    let view = sent(ledger, &view, fence, (2, entry.terms.legs()), 71, at(10, 1, 0)).await?;
    let view = polled(ledger, &view, fence, &[(2, None), (2, None)], false, at(10, 1, 10)).await?;
    let view = polled(ledger, &view, fence, &[(2, Some(205)), (2, None)], false, at(10, 1, 20)).await?;
    let prices: Vec<_> = view.fills.iter().map(|it| (it.side, it.price)).collect();
    same!(prices, [(Side::Sell, Some(Usd::from_cents(205))), (Side::Buy, None)]);
    same!(only(ledger, &account).await?.price_missing, true);
    Ok(())
}

async fn a_leg_is_never_executed_beyond_its_order_nor_one_that_was_not_sent<L: Ledger>(
    ledger: &L,
) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let (entry, view) = ready(ledger, &account, 1, 2).await?;
    let view = sent(ledger, &view, fence, (2, entry.terms.legs()), 71, at(10, 1, 0)).await?;
    let seen = spread::observed(&view, 0, 2, Some(205), at(10, 1, 10))?;
    let wrong = [
        Fill { to: 3, ..seen },
        Fill { side: Side::Buy, ..seen },
        Fill { series: spread::put(5_000), ..seen },
    ];
    for fill in wrong {
        let mut progress = sample::progress(&view, Some(fence), at(10, 1, 10));
        progress.fills.push(fill);
        refuses!(ledger.record_progress(&progress).await);
    }
    let mut attempt = sample::ended(&view, AttemptState::Filled)?;
    attempt.combo = None;
    let mut progress = sample::progress(&view, Some(fence), at(10, 1, 10));
    progress.attempts.push(attempt);
    refuses!(ledger.record_progress(&progress).await);
    same!(reread(ledger, &view).await?, view);
    Ok(())
}

async fn an_entry_into_a_structure_sends_its_own_legs_and_no_more_units_than_it_wants<L: Ledger>(
    ledger: &L,
) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let (entry, view) = ready(ledger, &account, 1, 2).await?;
    let own = entry.terms.legs();
    let naked = own.get(..1).unwrap_or_default();
    for (units, legs) in
        [(0, own), (3, own), (2, naked), (2, &spread::legs(2)[..]), (2, &entry.terms.closing())]
    {
        let request = spread::marked(&view, fence, (units, legs), CREDIT, at(10, 1, 0));
        refuses!(ledger.mark_submitting(&request).await);
    }
    let mut bare = spread::marked(&view, fence, (2, own), CREDIT, at(10, 1, 0));
    bare.combo = None;
    refuses!(ledger.mark_submitting(&bare).await);
    let single = written(ledger, OrderIntent::Opening(sample::opening(&account, 1, 1))).await?;
    refuses!(ledger.mark_submitting(&spread::marked(&single, fence, (1, own), CREDIT, at(10, 1, 0))).await);
    same!(reread(ledger, &view).await?.attempts.len(), 0);
    Ok(())
}

async fn an_exit_sends_nothing_but_legs_that_close<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = held(ledger, &account, fence, 1, 2).await?;
    let exit = OrderIntent::ClosingCombo(spread::exit(&entry, 1, Action::Stop));
    let view = written(ledger, exit).await?;
    let closing = entry.terms.closing();
    let foreign: Vec<ComboLeg> =
        spread::legs(2).into_iter().map(|it| ComboLeg { side: it.side.opposite(), ..it }).collect();
    for legs in [entry.terms.legs(), &foreign] {
        let request = spread::marked(&view, fence, (1, legs), CREDIT, at(11, 0, 0));
        refuses!(ledger.mark_submitting(&request).await);
    }
    // One leg on its own, and then the whole.
    for (n, legs) in [closing.get(..1).unwrap_or_default(), &closing].into_iter().enumerate() {
        let view = reread(ledger, &view).await?;
        let order = 300 + u64::try_from(n).unwrap_or(0);
        let view = sent(ledger, &view, fence, (1, legs), order, at(11, 0, 0)).await?;
        let mut over = sample::progress(&view, Some(fence), at(11, 0, 5));
        over.attempts.push(sample::ended(&view, AttemptState::Canceled)?);
        version(ledger.record_progress(&over).await?)?;
        same!(ledger.intent_of_order(&account, BrokerOrderId(order)).await?, Some(view.intent.head().id));
    }
    Ok(())
}

async fn what_is_held_of_a_structure_follows_leg_by_leg<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = held(ledger, &account, fence, 1, 3).await?;
    let owned = only(ledger, &account).await?;
    same!((contracts(&owned), owned.opening, owned.realized()), (vec![3, 3], entry.head.id, Usd::ZERO));
    same!(ledger.owned(&account, SESSION).await?, []);
    let legs = entry.terms.closing();
    let exit = spread::exit(&entry, 1, Action::TakeProfit1);
    // Two units back for 0.70: 0.90 paid, 0.20 received.
    closing(ledger, &exit, fence, (2, &legs), &[(2, Some(90)), (2, Some(20))], 301).await?;
    let owned = only(ledger, &account).await?;
    // 1.15 a share kept of the short, 0.30 lost on the wing.
    same!((contracts(&owned), owned.realized()), (vec![1, 1], Usd::from_dollars(170)));
    same!(owned.fees, Usd::from_dollars(10));
    Ok(())
}

async fn a_structure_out_of_balance_stays_in_the_books_until_every_leg_is_level<L: Ledger>(
    ledger: &L,
) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = held(ledger, &account, fence, 1, 2).await?;
    let short = entry.terms.closing();
    let short = short.get(..1).unwrap_or_default();
    let exit = spread::exit(&entry, 1, Action::Stop);
    closing(ledger, &exit, fence, (2, short), &[(2, Some(90))], 301).await?;
    // The first leg is level, and the wing is not: a later session still sees it.
    let later = SESSION.tomorrow().unwrap_or(SESSION);
    let all = ledger.structures(&account, later).await?;
    same!(all.iter().map(contracts).collect::<Vec<_>>(), [vec![0, 2]]);
    let wing = entry.terms.closing();
    let wing = wing.get(1..).unwrap_or_default();
    let rest = spread::exit(&entry, 2, Action::Terminal);
    closing(ledger, &rest, fence, (2, wing), &[(2, Some(5))], 302).await?;
    same!(ledger.structures(&account, later).await?, []);
    same!(only(ledger, &account).await?.is_flat(), true);
    Ok(())
}

async fn a_structure_settles_every_held_leg_once<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = held(ledger, &account, fence, 1, 2).await?;
    let (at, source) = (at(16, 5, 0), FillSource::Settlement);
    let short = (spread::put(5_480), Usd::from_cents(1_234));
    let wing = (spread::put(5_470), Usd::from_cents(234));
    let half = [short];
    let id = entry.head.id;
    refuses!(ledger.record_combo_settlement(&account, id, &half, at, source).await);
    same!(contracts(&only(ledger, &account).await?), [2, 2]);
    let prices = [short, wing];
    same!(ledger.record_combo_settlement(&account, id, &prices, at, source).await?, Recorded::New);
    same!(ledger.record_combo_settlement(&account, id, &prices, at, source).await?, Recorded::Known);
    let owned = only(ledger, &account).await?;
    // Received 1.55, settled at the width of 10.00.
    same!((owned.is_flat(), owned.realized()), (true, Usd::from_dollars(-1_690)));
    let unknown = spread::entry(&account, 9, 1)?.head.id;
    refuses!(ledger.record_combo_settlement(&account, unknown, &prices, at, source).await);
    Ok(())
}

async fn a_structure_counts_by_what_it_may_lose<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let (entry, view) = ready(ledger, &account, 1, 2).await?;
    let day = |context: &domain::ports::OpeningContext| {
        let it = &context.day;
        (it.open_premium, it.working_debits, it.entries, it.long_contracts)
    };
    let nothing = ledger.opening_context(&account, SESSION, &[]).await?;
    same!(day(&nothing), (Usd::ZERO, Usd::ZERO, 0, 0));
    let view = sent(ledger, &view, fence, (2, entry.terms.legs()), 71, at(10, 1, 0)).await?;
    let works = ledger.opening_context(&account, SESSION, &[]).await?;
    same!(day(&works), (Usd::from_dollars(1_700), Usd::from_dollars(2_000), 1, 2));
    polled(ledger, &view, fence, &[(2, Some(205)), (2, Some(50))], true, at(10, 1, 10)).await?;
    let held = ledger.opening_context(&account, SESSION, &[]).await?;
    same!(day(&held), (Usd::from_dollars(1_700), Usd::ZERO, 1, 2));
    let exit = spread::exit(&entry, 1, Action::Stop);
    let legs = entry.terms.closing();
    closing(ledger, &exit, fence, (2, &legs), &[(2, Some(300)), (2, Some(80))], 301).await?;
    let after = ledger.opening_context(&account, SESSION, &[]).await?;
    same!(day(&after), (Usd::ZERO, Usd::ZERO, 1, 0));
    // 0.95 lost on the short, 0.30 gained on the wing, eight dollars of fees; one trade, one loss, one day trade.
    let it = after.day;
    same!((it.realized, it.losses_in_a_row, it.day_trades), (Usd::from_dollars(-138), 1, 1));
    Ok(())
}

async fn the_gate_sees_every_open_leg_with_its_sign<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = held(ledger, &account, fence, 1, 2).await?;
    let context = ledger.opening_context(&account, SESSION, &[]).await?;
    let leg = |points, quantity| HeldLeg { series: spread::put(points), quantity };
    same!(context.open_legs, [leg(5_470, 2), leg(5_480, -2)]);
    same!(context.owned_series, [(spread::put(5_470), None), (spread::put(5_480), None)]);
    let exit = spread::exit(&entry, 1, Action::Stop);
    let legs = entry.terms.closing();
    closing(ledger, &exit, fence, (2, &legs), &[(2, Some(90)), (2, Some(20))], 301).await?;
    let context = ledger.opening_context(&account, SESSION, &[]).await?;
    same!((context.open_legs, context.owned_series), (Vec::new(), Vec::new()));
    Ok(())
}

async fn a_flip_stops_the_entries_of_a_strategy<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let (entry, view) = ready(ledger, &account, 1, 2).await?;
    let view = sent(ledger, &view, fence, (2, entry.terms.legs()), 71, at(10, 1, 0)).await?;
    let flip = |strategy: &str, second| KillFlip {
        if_version: None,
        scope: KillScope::Strategy(strategy.to_owned()),
        state: KillState::SafeMode,
        by: "operator".to_owned(),
        reason: "sample".to_owned(),
        at: at(10, 2, second),
    };
    ledger.flip_kill_switch(&flip("iron_condor", 0)).await?;
    same!(reread(ledger, &view).await?.stop_requested, false);
    ledger.flip_kill_switch(&flip("put_spread", 1)).await?;
    same!(reread(ledger, &view).await?.stop_requested, true);
    let (second, other) = ready(ledger, &account, 2, 1).await?;
    let request = spread::marked(&other, fence, (1, second.terms.legs()), CREDIT, at(10, 3, 0));
    let marking = ledger.mark_submitting(&request).await?;
    ensure!(matches!(marking, Marking::Killed(_)), "the mark is {marking:?}");
    Ok(())
}

async fn a_session_has_its_structures<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    held(ledger, &account, fence, 1, 2).await?;
    let stranger = sample::account(2);
    sample::enrol(ledger, &stranger).await?;
    let other = lease(ledger, &stranger, "worker").await?;
    held(ledger, &stranger, other, 2, 1).await?;
    let book = ledger.day_book(&account, SESSION).await?;
    same!(book.structures.iter().map(contracts).collect::<Vec<_>>(), [vec![2, 2]]);
    same!(book.intents.len(), 1);
    same!(
        ledger.structures(&stranger, SESSION).await?.iter().map(contracts).collect::<Vec<_>>(),
        [vec![1, 1]]
    );
    Ok(())
}
