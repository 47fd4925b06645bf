//! Cash settlement of what is held past its last trade.

use std::time::Duration;

use domain::account::AccountRef;
use domain::calendar::{Session, last_trade};
use domain::combo::{OwnedCombo, OwnedLeg};
use domain::expiry::{Expiry, ExpiryStatus, value_at};
use domain::market::Points;
use domain::money::CONTRACT_MULTIPLIER;
use domain::ports::{BrokerPort as _, Brokers, Clock, DayBook, HandleError, Ledger, Recorded, UserMessage};
use domain::position::{FillSource, Owned};
use domain::symbol::{OccSymbol, Settlement};

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
        for entry in expired {
            let series = entry.series;
            let known = book.expiries.iter().find(|it| it.opening == entry.opening);
            let close = self.closing_value(broker, session, &series, official_close).await;
            let pending = Expiry {
                opening: entry.opening,
                series,
                contracts: entry.held(),
                is_short: false,
                price: close.map(|it| value_at(&series, it)).or_else(|| known.and_then(|it| it.price)),
                status: ExpiryStatus::ExpiredPending,
                at: now,
            };
            self.ledger.record_expiry(account, &pending).await?;
            let is_shown = seen.positions.iter().any(|it| it.series == series && it.quantity != 0);
            let is_worked = open.iter().any(|it| it.intent.head().series == series);
            let Some(price) = pending.price else { continue };
            if is_shown || is_worked || has_unbooked_close(&book, seen, &series) {
                continue;
            }
            let source = FillSource::Settlement;
            let written = self.ledger.record_settlement(account, entry.opening, price, now, source).await?;
            self.end(account, &pending).await?;
            settled = settled.saturating_add(u32::from(written == Recorded::New));
        }
        Ok(settled)
    }
}

impl<L: Ledger, B: Brokers, C: Clock> Reconcile<'_, L, B, C> {
    /// What settles a series that stopped trading in this session: the official close for those that settle in cash in the
    /// afternoon, and for shares the last value of what they are written on, as the broker tells it some minutes after the
    /// close. It does so too where nobody handed the official close in. A provisional amount, until the broker shows what
    /// became of the position.
    pub(crate) async fn closing_value(
        &self,
        broker: &B::Account,
        session: &Session,
        series: &OccSymbol,
        official_close: Option<Points>,
    ) -> Option<Points> {
        let now = self.clock.now();
        let settlement = series.root.settlement();
        if now < session.close || series.expiry != session.date || settlement == Settlement::CashAm {
            return None;
        }
        if settlement == Settlement::CashPm && official_close.is_some() {
            return official_close;
        }
        if now < session.close.plus(CLOSE_IS_KNOWN_AFTER) {
            return None;
        }
        let market = broker.market(*series).await.ok()?;
        market.index.filter(|it| session.open <= it.1).map(|it| it.0)
    }

    /// Writes the end of what was pending; its owner is told where shares changed hands.
    pub(crate) async fn end(&self, account: &AccountRef, pending: &Expiry) -> Result<(), HandleError> {
        let now = self.clock.now();
        let ended = pending.ended(now);
        self.ledger.record_expiry(account, &ended).await?;
        let shares = i64::from(ended.contracts).saturating_mul(CONTRACT_MULTIPLIER);
        let Expiry { series, contracts, .. } = ended;
        let text = match ended.status {
            ExpiryStatus::ExpiredPending | ExpiryStatus::Settled => return Ok(()),
            ExpiryStatus::Assigned => format!("{contracts} {series} were assigned"),
            ExpiryStatus::Exercised => format!("{contracts} {series} were exercised"),
        };
        let message = UserMessage {
            user: account.user,
            reason: ended.status.as_str().to_owned(),
            key: format!("{}:{series}", ended.status.as_str()),
            text: format!(
                "{text}: {shares} shares changed hands at {}; they are yours to look after",
                series.strike.points()
            ),
            at: now,
        };
        self.ledger.tell_user(&message).await?;
        Ok(())
    }

    /// What was pending and is held no more was settled, or sold after all: a run that died in between left it pending.
    async fn end_of_what_is_gone(
        &self,
        account: &AccountRef,
        book: &DayBook,
        expired: &[&Owned],
    ) -> Result<(), HandleError> {
        for pending in book.expiries.iter().filter(|it| it.status.is_provisional()) {
            let of_leg = |it: &OwnedLeg| it.leg.series == pending.series && it.held() > 0;
            let of_structure = |it: &OwnedCombo| it.opening == pending.opening && it.legs.iter().any(of_leg);
            let is_held = expired.iter().any(|it| it.opening == pending.opening)
                || book.structures.iter().any(of_structure);
            if !is_held {
                self.end(account, pending).await?;
            }
        }
        Ok(())
    }
}

/// Whether today's orders of ours closed more of a series than the books know: of every entry and structure in it, because
/// an order does not say whose contracts it closed.
pub(crate) fn has_unbooked_close(book: &DayBook, seen: &Seen, series: &OccSymbol) -> bool {
    let singles = book.owned.iter().filter(|it| it.series == *series).map(|it| u64::from(it.sold));
    let legs = book.structures.iter().flat_map(|it| &it.legs).filter(|it| it.leg.series == *series);
    let booked = singles.sum::<u64>().saturating_add(legs.map(|it| u64::from(it.closed)).sum());
    let ours = seen.orders.iter().filter(|it| it.tag.is_some());
    let closes = ours.flat_map(|it| &it.legs).filter(|it| it.series == *series && !it.opens);
    closes.map(|it| u64::from(it.executed)).sum::<u64>() > booked
}
