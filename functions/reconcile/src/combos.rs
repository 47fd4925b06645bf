//! Structures after their last trade, and those that deliver shares before it.

use domain::account::AccountRef;
use domain::calendar::{Session, last_trade};
use domain::combo::OwnedCombo;
use domain::market::Points;
use domain::money::Usd;
use domain::ports::{Brokers, Clock, DayBook, HandleError, Ledger, Message, Queue, Recorded};
use domain::position::FillSource;
use domain::symbol::{OccSymbol, Settlement};

use crate::{Reconcile, Seen};
use domain::expiry::value_at;

impl<L: Ledger, B: Brokers, C: Clock> Reconcile<'_, L, B, C> {
    /// Books the settlement of expired structures of which the broker shows no leg any more, every leg at its own value in
    /// one transaction. Without the official close, and while an order may still explain the absence, they stay pending.
    pub(crate) async fn settle_structures(
        &self,
        account: &AccountRef,
        session: &Session,
        seen: &Seen,
        official_close: Option<Points>,
    ) -> Result<u32, HandleError> {
        let now = self.clock.now();
        let mut settled: u32 = 0;
        let Some(close) = official_close.filter(|_| now >= session.close) else { return Ok(settled) };
        let owned = self.ledger.structures(account, session.date).await?;
        let open = self.ledger.open_intents(account).await?;
        for combo in owned.iter().filter(|it| !it.is_flat()) {
            let Some(first) = combo.legs.first().map(|it| it.leg.series) else { continue };
            let is_over = last_trade(&first).is_ok_and(|it| it <= now);
            // The official close is the settlement value of this session's afternoon series alone.
            let is_todays = first.expiry == session.date && first.root.settlement() == Settlement::CashPm;
            let is_shown = seen.positions.iter().any(|it| combo.has(&it.series) && it.quantity != 0);
            let is_worked = open.iter().any(|it| combo.legs.iter().any(|leg| it.intent.has(&leg.leg.series)));
            if !is_over || !is_todays || is_shown || is_worked || has_unbooked_close(combo, seen) {
                continue;
            }
            let prices: Vec<(OccSymbol, Usd)> =
                combo.legs.iter().map(|it| (it.leg.series, value_at(&it.leg.series, close))).collect();
            let written = self
                .ledger
                .record_combo_settlement(account, combo.opening, &prices, now, FillSource::Settlement)
                .await?;
            settled = settled.saturating_add(u32::from(written == Recorded::New));
        }
        Ok(settled)
    }

    /// Structures that deliver shares are closed half an hour before the cash-settled ones start to be, and the flatten's
    /// schedule comes later than that: their hour is noticed here.
    pub(crate) async fn flatten_physical(
        &self,
        account: &AccountRef,
        session: &Session,
        book: &DayBook,
    ) -> Result<(), HandleError> {
        let now = self.clock.now();
        let is_due = |it: &&OwnedCombo| {
            it.legs.first().is_some_and(|leg| {
                let series = leg.leg.series;
                series.root.settlement() == Settlement::Physical
                    && engine::flatten::stops_trading(&series, session)
                    && now >= engine::flatten::starts_at(&series, session, self.switches.flatten_minutes)
            })
        };
        let due = book.structures.iter().filter(|it| !it.is_flat()).find(is_due);
        if due.is_some() && now < session.close {
            let pass = Message::Flatten { account: *account, session: session.date, at_once: false };
            self.ledger.send_later(Queue::Flatten, &pass, now).await?;
        }
        Ok(())
    }
}

/// Whether today's orders of ours closed more of a leg than the books know.
fn has_unbooked_close(combo: &OwnedCombo, seen: &Seen) -> bool {
    combo.legs.iter().any(|leg| {
        let ours = seen.orders.iter().filter(|it| it.tag.is_some());
        let closes = ours.flat_map(|it| &it.legs).filter(|it| it.series == leg.leg.series && !it.opens);
        closes.map(|it| u64::from(it.executed)).sum::<u64>() > u64::from(leg.closed)
    })
}
