//! What a detector sees (spec 2): the proxy's volume and microstructure beside the index's price, VWAP, ATR, the opening
//! range, prior-day levels, pivots, and whether the feeds have a gap.
//!
//! A value that serialises. What is missing is `None`, never 0.

mod alignment;
mod basis;
mod exact;
mod gamma;
mod levels;
mod measures;
mod options;
mod range;
mod regime;
mod wider;

#[cfg(test)]
mod option_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod value_tests;

use std::collections::BTreeSet;
use std::time::Duration;

use domain::calendar::Session;
use domain::market::{OptionQuote, Points, PriorDay, SourceProfile};
use domain::symbol::{OccSymbol, Underlying};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use serde::{Deserialize, Serialize};

pub use alignment::Alignment;
pub use basis::{Basis, BasisReading};
pub(crate) use exact::{Exact, six_decimals};
pub use gamma::{GammaProfile, GammaReading, GammaRow, OiSource, StrikeGamma};
pub use levels::{Cluster, Level, LevelInputs, LevelSource, Overnight, OvernightSource, clusters, levels};
pub use measures::{Atr, MicroFigures, Pivot, Vwap, VwapBands};
pub use options::{FlowReading, OptionBook, OptionPrint, Premium, SeriesState};
pub use range::{OpeningRange, Range};
pub use regime::{
    HISTORY_DAYS, History, Mark, MinuteFigures, Regime, RegimeReading, Trail, figures_of_session,
};
pub use wider::{Beforehand, RANGES, Wider};

use crate::bars::merge::Merge;
use crate::bars::tape::{Second, TapeItem};
use crate::profile::Profile;

/// Whether the feeds are whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FeedState {
    /// Feeds in a gap now.
    silent: BTreeSet<Underlying>,
    /// When the last gap ended; `None` when there was none.
    resumed: Option<UtcNanos>,
}

impl FeedState {
    /// How long data have been clean at `now`; zero in a gap, `None` without a gap so far.
    pub fn clean_for(&self, now: UtcNanos) -> Option<Duration> {
        if !self.silent.is_empty() {
            return Some(Duration::ZERO);
        }
        self.resumed.map(|it| now.since(it))
    }

    /// The feeds in a gap.
    pub fn silent(&self) -> &BTreeSet<Underlying> {
        &self.silent
    }
}

/// The last value of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastValue {
    /// Start of its second.
    pub second: UtcNanos,
    /// Its value.
    pub close: Points,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Context {
    profile: Profile,
    session: Session,
    symbol: Underlying,
    proxy: Option<Underlying>,
    resolution_ns: i64,
    quotes: bool,
    prior_day: Option<PriorDay>,
    vwap: Vwap,
    atr: Atr,
    range: OpeningRange,
    feeds: FeedState,
    window: measures::MicroWindow,
    minutes: Merge,
    pivots: measures::Pivots,
    pivot: Option<Pivot>,
    last: Option<LastValue>,
    proxy_close: Option<Points>,
    /// What only the families beside the breakout read; absent where the profile has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wider: Option<Box<Wider>>,
}

impl Context {
    /// The context at the start of a session; `quotes` is the switch `MICROSTRUCTURE_QUOTES_ENABLED`.
    pub fn new(source: &SourceProfile, profile: &Profile, quotes: bool) -> Self {
        Self::knowing(source, profile, quotes, Beforehand::default())
    }

    /// The same, with what is known before the day begins.
    pub fn knowing(source: &SourceProfile, profile: &Profile, quotes: bool, beforehand: Beforehand) -> Self {
        let wider = profile.families.as_ref().map(|_| Box::new(Wider::new(source, beforehand)));
        Self {
            profile: profile.clone(),
            session: source.session,
            symbol: source.index,
            proxy: source.proxy,
            resolution_ns: source.resolution_ns,
            quotes,
            prior_day: source.prior_day,
            vwap: Vwap::default(),
            atr: Atr::default(),
            range: OpeningRange::Waiting { ratios: Vec::new() },
            feeds: FeedState::default(),
            window: measures::MicroWindow::default(),
            minutes: Merge::secs(60),
            pivots: measures::Pivots::default(),
            pivot: None,
            last: None,
            proxy_close: None,
            wider,
        }
    }

    /// Takes the next item of the tape. Seconds outside the session change nothing.
    pub fn apply(&mut self, item: &TapeItem) {
        match item {
            TapeItem::Second(second) if second.in_session => self.add(second),
            TapeItem::Second(second) => {
                let before_open = second.ts_open < self.session.open;
                if let Some(wider) = self.wider.as_mut().filter(|_| before_open) {
                    wider.add_night(second.proxy.as_ref());
                }
            }
            TapeItem::FeedGap { symbol, .. } => _ = self.feeds.silent.insert(*symbol),
            TapeItem::Resumed { symbol, at } => {
                self.feeds.silent.remove(symbol);
                self.feeds.resumed = self.feeds.resumed.max(Some(*at));
            }
        }
    }

    fn add(&mut self, second: &Second) {
        let index = second.index.as_ref().and_then(|it| it.ohlc);
        if let Some(ohlc) = index {
            self.last = Some(LastValue { second: second.ts_open, close: ohlc.close });
        }
        if let Some(proxy) = &second.proxy {
            self.window.add(proxy);
            self.proxy_close = proxy.ohlc.map(|it| it.close).or(self.proxy_close);
            if let Some(last) = self.last {
                self.vwap.add(last.close, proxy.volume);
            }
        }
        let reach = i64::from(self.profile.micro_window_secs).saturating_mul(NANOS_PER_SEC);
        let reach = reach.max(self.resolution_ns);
        self.window.forget_before(UtcNanos(second.end().0.saturating_sub(reach)));
        let standing = range::Standing {
            ts_open: second.ts_open,
            end: second.end(),
            session_open: self.session.open,
            index: index.as_ref(),
            proxy: self.proxy.map(|_| self.proxy_close),
        };
        self.range.add(&standing, &self.profile, self.profile.range_minutes);
        if let (Some(wider), Some(families)) = (self.wider.as_mut(), self.profile.families.as_ref()) {
            wider.add(second, &standing, self.proxy_close, &self.profile, &families.context);
        }
        // The minute ends with its last second where that has a print, else with the first bar after it.
        let ended = second.index.as_ref().and_then(|it| self.minutes.push(it));
        let ended = ended.into_iter().chain(self.minutes.close(second.end()));
        for minute in ended {
            let Some(ohlc) = minute.ohlc else { continue };
            self.atr.add(&ohlc);
            let k = self.profile.pivot_bars as usize;
            let pivot = self.pivots.add(minute.ts_open, ohlc, k, second.ts_open);
            self.pivot = pivot.or(self.pivot);
            if let (Some(wider), Some(families)) = (self.wider.as_mut(), self.profile.families.as_ref()) {
                let end = wider::MinuteEnd {
                    minute: minute.ts_open,
                    ohlc,
                    now: second.end(),
                    open: self.session.open,
                    vwap: self.vwap.bands(),
                    atr: self.atr.value(),
                    last: self.last,
                    prior: self.prior_day.as_ref(),
                    range: self.range.done(),
                };
                wider.end_minute(&end, &families.context);
            }
        }
    }

    /// Takes a quote of an option.
    pub fn on_option_quote(&mut self, series: &OccSymbol, quote: &OptionQuote) {
        if let Some(wider) = &mut self.wider {
            wider.option_quote(series, quote);
        }
    }

    /// Takes a print of an option.
    pub fn on_option_print(&mut self, series: &OccSymbol, print: &OptionPrint) {
        if let Some(wider) = &mut self.wider {
            wider.option_print(series, print);
        }
    }

    /// What the families beside the breakout read; `None` where the profile has none.
    pub fn wider(&self) -> Option<&Wider> {
        self.wider.as_deref()
    }

    /// The profile it was built with.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The index.
    pub fn symbol(&self) -> Underlying {
        self.symbol
    }

    /// One step of the source.
    pub fn resolution(&self) -> Duration {
        Duration::from_nanos(self.resolution_ns.max(0).unsigned_abs())
    }

    /// Whether quotes are switched on.
    pub fn quotes_enabled(&self) -> bool {
        self.quotes
    }

    /// Whose volume and quotes stand in for the index's.
    pub fn proxy(&self) -> Option<Underlying> {
        self.proxy
    }

    /// Whether the source has a proxy at all.
    pub fn has_proxy(&self) -> bool {
        self.proxy.is_some()
    }

    /// High, low and close of the session before, where known.
    pub fn prior_day(&self) -> Option<&PriorDay> {
        self.prior_day.as_ref()
    }

    /// VWAP and its bands; `None` without the proxy's volume.
    pub fn vwap(&self) -> Option<VwapBands> {
        self.vwap.bands()
    }

    /// ATR(14) on 1 min; `None` in the first 14 minutes.
    pub fn atr(&self) -> Option<Points> {
        self.atr.value()
    }

    /// The opening range; `None` until it is complete.
    pub fn range(&self) -> Option<&Range> {
        self.range.done()
    }

    /// Whether the feeds are whole.
    pub fn feeds(&self) -> &FeedState {
        &self.feeds
    }

    /// The pivot confirmed last.
    pub fn pivot(&self) -> Option<&Pivot> {
        self.pivot.as_ref()
    }

    /// The index's last value.
    pub fn last(&self) -> Option<LastValue> {
        self.last
    }

    /// The proxy over the window (60 s).
    pub fn micro(&self) -> MicroFigures {
        self.window.figures(UtcNanos(i64::MIN))
    }

    /// The proxy over the seconds from `from` on, as far as the window goes.
    pub fn micro_since(&self, from: UtcNanos) -> MicroFigures {
        self.window.figures(from)
    }
}
