//! Structures after their last trade, and those that deliver shares before it.

use domain::account::AccountRef;
use domain::calendar::{Session, last_trade};
use domain::combo::{OwnedCombo, OwnedLeg};
use domain::expiry::{Expiry, ExpiryStatus, value_at};
use domain::market::Points;
use domain::money::{Side, Usd};
use domain::ports::{Brokers, Clock, DayBook, HandleError, Ledger, Message, Queue, Recorded};
use domain::position::FillSource;
use domain::symbol::{OccSymbol, Settlement};
use domain::time::UtcNanos;

use crate::settle::has_unbooked_close;
use crate::{Reconcile, Seen};

impl<L: Ledger, B: Brokers, C: Clock> Reconcile<'_, L, B, C> {
    /// Marks the legs of structures past their last trade as pending, and books the settlement of those of which the broker
    /// shows no leg any more, every leg at its own value in one transaction. Without a closing value, and while an order may
    /// still explain the absence, they stay pending.
    pub(crate) async fn settle_structures(
        &self,
        account: &AccountRef,
        session: &Session,
        (broker, seen): (&B::Account, &Seen),
        official_close: Option<Points>,
    ) -> Result<u32, HandleError> {
        let now = self.clock.now();
        let mut settled: u32 = 0;
        let book = self.ledger.day_book(account, session.date).await?;
        let open = self.ledger.open_intents(account).await?;
        for combo in book.structures.iter().filter(|it| !it.is_flat()) {
            let Some(first) = combo.legs.first().map(|it| it.leg.series) else { continue };
            if !last_trade(&first).is_ok_and(|it| it <= now) {
                continue;
            }
            let close = self.closing_value(broker, session, &first, official_close).await;
            let pending: Vec<Expiry> =
                combo.legs.iter().map(|it| pending(&book, combo, it, close, now)).collect();
            for leg in pending.iter().filter(|it| it.contracts > 0) {
                self.ledger.record_expiry(account, leg).await?;
            }
            let prices: Option<Vec<(OccSymbol, Usd)>> =
                pending.iter().map(|it| Some((it.series, it.price?))).collect();
            let is_shown = seen.positions.iter().any(|it| combo.has(&it.series) && it.quantity != 0);
            let is_worked = open.iter().any(|it| combo.legs.iter().any(|leg| it.intent.has(&leg.leg.series)));
            let is_unbooked = combo.legs.iter().any(|it| has_unbooked_close(&book, seen, &it.leg.series));
            let Some(prices) = prices.filter(|_| !is_shown && !is_worked && !is_unbooked) else {
                continue;
            };
            let written = self
                .ledger
                .record_combo_settlement(account, combo.opening, &prices, now, FillSource::Settlement)
                .await?;
            for leg in pending.iter().filter(|it| it.contracts > 0) {
                self.end(account, leg).await?;
            }
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

/// What is held of a leg past its last trade, at the value of this evening or the one that was kept.
fn pending(
    book: &DayBook,
    combo: &OwnedCombo,
    leg: &OwnedLeg,
    close: Option<Points>,
    at: UtcNanos,
) -> Expiry {
    let series = leg.leg.series;
    let is_it = |it: &&Expiry| it.opening == combo.opening && it.series == series;
    let known = book.expiries.iter().find(is_it).and_then(|it| it.price);
    Expiry {
        opening: combo.opening,
        series,
        contracts: leg.held(),
        is_short: leg.leg.side.side() == Side::Sell,
        price: close.map(|it| value_at(&series, it)).or(known),
        status: ExpiryStatus::ExpiredPending,
        at,
    }
}
