//! Cash settlement of what is held past its last trade.

use domain::account::AccountRef;
use domain::calendar::{Session, last_trade};
use domain::market::Points;
use domain::money::{Side, Usd};
use domain::ports::{Brokers, Clock, DayBook, HandleError, Ledger, Recorded};
use domain::position::{FillSource, Owned};
use domain::symbol::{OccSymbol, Right, Settlement};

use crate::{Reconcile, Seen};

impl<L: Ledger, B: Brokers, C: Clock> Reconcile<'_, L, B, C> {
    /// Books the settlement of expired entries that the broker no longer shows. Without the official close, and while an
    /// order may still explain the absence, they stay pending.
    pub(crate) async fn settle(
        &self,
        account: &AccountRef,
        session: &Session,
        seen: &Seen,
        official_close: Option<Points>,
    ) -> Result<u32, HandleError> {
        let now = self.clock.now();
        let mut settled: u32 = 0;
        let Some(close) = official_close.filter(|_| now >= session.close) else { return Ok(settled) };
        let book = self.ledger.day_book(account, session.date).await?;
        let open = self.ledger.open_intents(account).await?;
        for entry in book.owned.iter().filter(|it| it.held() > 0) {
            let series = entry.series;
            let is_over = last_trade(&series).is_ok_and(|it| it <= now);
            // The official close is the settlement value of this session's afternoon series alone.
            let is_todays = series.expiry == session.date && series.root.settlement() == Settlement::CashPm;
            let is_shown = seen.positions.iter().any(|it| it.series == series && it.quantity != 0);
            let is_worked = open.iter().any(|it| it.intent.head().series == series);
            if !is_over || !is_todays || is_shown || is_worked || has_unbooked_sale(&book, seen, &series) {
                continue;
            }
            let price = settlement_price(&series, close);
            let written = self
                .ledger
                .record_settlement(account, entry.opening, price, now, FillSource::Settlement)
                .await?;
            settled = settled.saturating_add(u32::from(written == Recorded::New));
        }
        Ok(settled)
    }
}

/// Whether today's orders of ours sold more of a series than the books know.
fn has_unbooked_sale(book: &DayBook, seen: &Seen, series: &OccSymbol) -> bool {
    let of_series = |it: &&Owned| it.series == *series;
    let booked: u64 = book.owned.iter().filter(of_series).map(|it| u64::from(it.sold)).sum();
    let ours = seen.orders.iter().filter(|it| it.tag.is_some());
    let sells = ours.flat_map(|it| &it.legs).filter(|it| it.series == *series && it.side == Side::Sell);
    sells.map(|it| u64::from(it.executed)).sum::<u64>() > booked
}

/// What one share of `series` settles at when the index closes at `close`: max(0, +/-(S - K)), exactly.
pub(crate) fn settlement_price(series: &OccSymbol, close: Points) -> Usd {
    // A strike counts thousandths, points count ten-thousandths.
    let above = close.0.saturating_sub(i64::from(series.strike.0).saturating_mul(10));
    let value = match series.right {
        Right::Call => above,
        Right::Put => above.saturating_neg(),
    };
    Usd::from_e4(value.max(0))
}
