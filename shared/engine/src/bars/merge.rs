//! Second bars added up to longer ones.
//!
//! Every field of a bar is a sum, an extreme, a first or a last, so the result equals a build from ticks bit for bit.

use domain::market::{Microbar, Ohlc};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use serde::{Deserialize, Serialize};

/// Adds the later bar `next` to `into`. Sizes at the close are those of the last second with prints, hence `next`'s.
pub fn absorb(into: &mut Microbar, next: &Microbar) {
    into.ohlc = match (into.ohlc, next.ohlc) {
        (Some(a), Some(b)) => {
            Some(Ohlc { open: a.open, high: a.high.max(b.high), low: a.low.min(b.low), close: b.close })
        }
        (a, b) => a.or(b),
    };
    into.volume = into.volume.saturating_add(next.volume);
    into.trades = into.trades.saturating_add(next.trades);
    into.buy_volume = into.buy_volume.saturating_add(next.buy_volume);
    into.sell_volume = into.sell_volume.saturating_add(next.sell_volume);
    into.neutral_volume = into.neutral_volume.saturating_add(next.neutral_volume);
    into.ticks = into.ticks.saturating_add(next.ticks);
    into.quoted_ticks = into.quoted_ticks.saturating_add(next.quoted_ticks);
    into.bid_size_sum = into.bid_size_sum.saturating_add(next.bid_size_sum);
    into.ask_size_sum = into.ask_size_sum.saturating_add(next.ask_size_sum);
    into.spread_sum = into.spread_sum.saturating_add(next.spread_sum);
    into.bid_size_at_close = next.bid_size_at_close;
    into.ask_size_at_close = next.ask_size_at_close;
}

/// Builds bars of `step` from second bars in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    step_ns: i64,
    open: Option<Microbar>,
}

impl Merge {
    /// Bars of `secs` seconds.
    pub fn secs(secs: i64) -> Self {
        Self { step_ns: secs.max(1).saturating_mul(NANOS_PER_SEC), open: None }
    }

    /// Takes the next second bar. Returns the bar that ended before it.
    pub fn push(&mut self, second: &Microbar) -> Option<Microbar> {
        let closed = self.close(second.ts_open);
        match &mut self.open {
            Some(open) => absorb(open, second),
            None => {
                self.open = Some(Microbar { ts_open: second.ts_open.floor_to(self.step_ns), ..*second });
            }
        }
        closed
    }

    /// Ends the open bar: nothing comes any more.
    pub const fn finish(&mut self) -> Option<Microbar> {
        self.open.take()
    }

    /// Ends the open bar if it ends at `now` or before.
    pub fn close(&mut self, now: UtcNanos) -> Option<Microbar> {
        self.open.take_if(|it| it.ts_open.0.saturating_add(self.step_ns) <= now.0)
    }
}
