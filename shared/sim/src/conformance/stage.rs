//! What the cases begin with: an account, a triggered setup, a lease, an entry that works or is held.

use domain::account::AccountRef;
use domain::ids::IntentId;
use domain::intent::{IntentState, OrderIntent};
use domain::money::Price;
use domain::order::AttemptState;
use domain::ports::{Fence, IntentView, Ledger, Marking, Message, Written};
use domain::time::UtcNanos;

use super::Broken;
use crate::fixtures::{self as sample, at};

/// User 1 with an account, the setups 1 to 3 triggered, and the account's lease.
pub(super) async fn opened<L: Ledger>(ledger: &L) -> Result<(AccountRef, Fence), Broken> {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    for n in 1..=3 {
        sample::trigger(ledger, n).await?;
    }
    Ok((account, lease(ledger, &account, "worker").await?))
}

/// The lease of an account for the day.
pub(super) async fn lease<L: Ledger>(
    ledger: &L,
    account: &AccountRef,
    holder: &str,
) -> Result<Fence, Broken> {
    let fence = ledger.take_lease(account, holder, at(9, 0, 0), at(17, 0, 0)).await?;
    fence.ok_or_else(|| Broken(format!("{holder} does not get the lease")))
}

/// An entry on setup `n`, ready.
pub(super) async fn ready<L: Ledger>(
    ledger: &L,
    account: &AccountRef,
    n: u8,
    quantity: u32,
) -> Result<IntentView, Broken> {
    let intent = OrderIntent::Opening(sample::opening(account, n, quantity));
    written(ledger, intent).await
}

/// An intent, written ready.
pub(super) async fn written<L: Ledger>(ledger: &L, intent: OrderIntent) -> Result<IntentView, Broken> {
    let head = *intent.head();
    ledger.record_intent(&sample::ready(intent)).await?;
    Ok(sample::read(ledger, &head.account, head.id).await?)
}

/// The intent with its next attempt marked.
pub(super) async fn marked<L: Ledger>(
    ledger: &L,
    view: &IntentView,
    fence: Fence,
    quantity: u32,
    at: UtcNanos,
) -> Result<IntentView, Broken> {
    match ledger.mark_submitting(&sample::mark(view, fence, quantity, at)).await? {
        Marking::Marked(_) => Ok(reread(ledger, view).await?),
        other @ (Marking::Killed(_) | Marking::Stale | Marking::LeaseLost) => {
            Err(Broken(format!("the mark is {other:?}")))
        }
    }
}

/// The intent with its next attempt at the broker as order `order`.
pub(super) async fn working<L: Ledger>(
    ledger: &L,
    view: &IntentView,
    fence: Fence,
    quantity: u32,
    order: u64,
    at: UtcNanos,
) -> Result<IntentView, Broken> {
    let view = marked(ledger, view, fence, quantity, at).await?;
    let answer = sample::accepted(&view, fence, order, at)?;
    version(ledger.record_answer(&answer).await?)?;
    reread(ledger, &view).await
}

/// The intent after a poll that shows `to` executed at `average` cents; it stays working.
pub(super) async fn polled<L: Ledger>(
    ledger: &L,
    view: &IntentView,
    fence: Fence,
    to: u32,
    average: Option<i64>,
    at: UtcNanos,
) -> Result<IntentView, Broken> {
    let mut progress = sample::progress(view, Some(fence), at);
    progress.fills.push(sample::observed(view, to, average, at)?);
    version(ledger.record_progress(&progress).await?)?;
    reread(ledger, view).await
}

/// The intent at its end, `quantity` executed at `average` cents in one order.
pub(super) async fn done<L: Ledger>(
    ledger: &L,
    view: &IntentView,
    fence: Fence,
    (quantity, average): (u32, i64),
    order: u64,
    at: UtcNanos,
) -> Result<IntentView, Broken> {
    let view = working(ledger, view, fence, quantity, order, at).await?;
    let mut progress = sample::progress(&view, Some(fence), at);
    progress.attempts.push(sample::ended(&view, AttemptState::Filled)?);
    progress.fills.push(sample::observed(&view, quantity, Some(average), at)?);
    progress.state = IntentState::Done;
    progress.follow_up = None;
    version(ledger.record_progress(&progress).await?)?;
    reread(ledger, &view).await
}

/// An entry on setup `n`, bought whole at `average` cents.
pub(super) async fn held<L: Ledger>(
    ledger: &L,
    account: &AccountRef,
    fence: Fence,
    n: u8,
    (quantity, average): (u32, i64),
) -> Result<IntentView, Broken> {
    let view = ready(ledger, account, n, quantity).await?;
    done(ledger, &view, fence, (quantity, average), 100 + u64::from(n), at(10, 1, u32::from(n))).await
}

/// The intent as it stands now.
pub(super) async fn reread<L: Ledger>(ledger: &L, view: &IntentView) -> Result<IntentView, Broken> {
    let head = view.intent.head();
    Ok(sample::read(ledger, &head.account, head.id).await?)
}

/// The version a write left.
pub(super) fn version(written: Written) -> Result<i64, Broken> {
    match written {
        Written::Version(version) => Ok(version),
        Written::Stale | Written::LeaseLost => Err(Broken(format!("the write is {written:?}"))),
    }
}

/// Versions and instants of the unsent steps of an intent, by due time.
pub(super) async fn steps<L: Ledger>(ledger: &L, id: IntentId) -> Result<Vec<(i64, UtcNanos)>, Broken> {
    let rows = ledger.due_outbox(UtcNanos(i64::MAX), 1_000).await?;
    let step = |it: &domain::ports::OutboxRow| match it.message {
        Message::Step { intent, version, .. } if intent == id => Some((version, it.due_at)),
        Message::Step { .. }
        | Message::Transition { .. }
        | Message::BrokerOrder { .. }
        | Message::Flatten { .. }
        | Message::Alert { .. } => None,
    };
    Ok(rows.iter().filter_map(step).collect())
}

/// Marks everything in the outbox as sent.
pub(super) async fn drain<L: Ledger>(ledger: &L) -> Result<(), Broken> {
    let rows = ledger.due_outbox(at(23, 0, 0), 1_000).await?;
    let ids: Vec<i64> = rows.iter().map(|it| it.id).collect();
    Ok(ledger.mark_sent(&ids, at(23, 0, 0)).await?)
}

/// The limit every sample mark asks for.
pub(super) const LIMIT: Price = Price::from_cents(240);
