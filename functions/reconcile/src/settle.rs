//! Cash settlement of what is held past its last trade.

use std::time::Duration;

use domain::account::AccountRef;
use domain::calendar::{Session, last_trade};
use domain::expiry::{Expiry, ExpiryStatus, value_at};
use domain::market::Points;
use domain::money::{Side, Usd};
use domain::ports::{BrokerPort as _, Brokers, Clock, DayBook, HandleError, Ledger, Recorded};
use domain::position::{FillSource, Owned};
use domain::symbol::{OccSymbol, Settlement};
use domain::time::UtcNanos;

use crate::{Reconcile, Seen};

/// How long after the close the index's last value is its closing value.
const CLOSE_IS_KNOWN_AFTER: Duration = Duration::from_secs(5 * 60);

impl<L: Ledger, B: Brokers, C: Clock> Reconcile<'_, L, B, C> {
    /// Marks what is held past its last trade as pending, on the official close once that is known, and books the settlement
    /// of what the broker no longer shows: in the same evening, or in a later session on the amount that was kept. While an
    /// order may still explain the absence, it stays pending.
    pub(crate) async fn settle(
        &self,
        account: &AccountRef,
        session: &Session,
        (broker, seen): (&B::Account, &Seen),
        official_close: Option<Points>,
    ) -> Result<u32, HandleError> {
        let now = self.clock.now();
        let mut settled: u32 = 0;
        let book = self.ledger.day_book(account, session.date).await?;
        let is_over = |it: &&Owned| it.held() > 0 && last_trade(&it.series).is_ok_and(|last| last <= now);
        let expired: Vec<&Owned> = book.owned.iter().filter(is_over).collect();
        self.end_of_what_is_gone(account, &book, &expired).await?;
        if expired.is_empty() {
            return Ok(settled);
        }
        let open = self.ledger.open_intents(account).await?;
        let official_close = match official_close {
            None if now >= session.close.plus(CLOSE_IS_KNOWN_AFTER) => {
                self.last_of_the_index(broker, session, &expired).await
            }
            known => known,
        };
        for entry in expired {
            let series = entry.series;
            let known = book.expiries.iter().find(|it| it.opening == entry.opening);
            let close = official_close.filter(|_| now >= session.close && is_of(&series, session));
            let pending = Expiry {
                opening: entry.opening,
                series,
                contracts: entry.held(),
                price: close.map(|it| value_at(&series, it)).or_else(|| known.and_then(|it| it.price)),
                status: ExpiryStatus::ExpiredPending,
                at: now,
            };
            self.ledger.record_expiry(account, &pending).await?;
            let is_shown = seen.positions.iter().any(|it| it.series == series && it.quantity != 0);
            let is_worked = open.iter().any(|it| it.intent.head().series == series);
            let Some(price) = pending.price else { continue };
            if is_shown || is_worked || has_unbooked_sale(&book, seen, &series) {
                continue;
            }
            let source = FillSource::Settlement;
            let written = self.ledger.record_settlement(account, entry.opening, price, now, source).await?;
            let ended = Expiry { status: ExpiryStatus::ended(&series, true, price), ..pending };
            self.ledger.record_expiry(account, &ended).await?;
            settled = settled.saturating_add(u32::from(written == Recorded::New));
        }
        Ok(settled)
    }
}

impl<L: Ledger, B: Brokers, C: Clock> Reconcile<'_, L, B, C> {
    /// The index's last value of the session as the broker tells it, where nobody handed the official close in: a
    /// provisional amount, until the broker shows what became of the position.
    async fn last_of_the_index(
        &self,
        broker: &B::Account,
        session: &Session,
        expired: &[&Owned],
    ) -> Option<Points> {
        let entry = expired.iter().find(|it| is_of(&it.series, session))?;
        let market = broker.market(entry.series).await.ok()?;
        let is_of_this_session = |at: UtcNanos| session.open <= at;
        market.index.filter(|it| is_of_this_session(it.1)).map(|it| it.0)
    }

    /// What was pending and is held no more was settled, or sold after all: a run that died in between left it pending.
    async fn end_of_what_is_gone(
        &self,
        account: &AccountRef,
        book: &DayBook,
        expired: &[&Owned],
    ) -> Result<(), HandleError> {
        for pending in book.expiries.iter().filter(|it| it.status.is_provisional()) {
            if !expired.iter().any(|it| it.opening == pending.opening) {
                let price = pending.price.unwrap_or(Usd::ZERO);
                let status = ExpiryStatus::ended(&pending.series, true, price);
                let ended = Expiry { status, at: self.clock.now(), ..*pending };
                self.ledger.record_expiry(account, &ended).await?;
            }
        }
        Ok(())
    }
}

/// Whether a session's official close is the settlement value of `series`: of its own afternoon series alone.
fn is_of(series: &OccSymbol, session: &Session) -> bool {
    series.expiry == session.date && series.root.settlement() == Settlement::CashPm
}

/// Whether today's orders of ours sold more of a series than the books know.
fn has_unbooked_sale(book: &DayBook, seen: &Seen, series: &OccSymbol) -> bool {
    let of_series = |it: &&Owned| it.series == *series;
    let booked: u64 = book.owned.iter().filter(of_series).map(|it| u64::from(it.sold)).sum();
    let ours = seen.orders.iter().filter(|it| it.tag.is_some());
    let sells = ours.flat_map(|it| &it.legs).filter(|it| it.series == *series && it.side == Side::Sell);
    sells.map(|it| u64::from(it.executed)).sum::<u64>() > booked
}
