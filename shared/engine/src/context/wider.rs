//! What the families beside the breakout see: three opening ranges, levels and clusters, gamma, regime, basis, options flow,
//! the calendar and the macro alignment. Read anew at the end of each minute; each value keeps what it was made from.

use domain::market::{Microbar, Ohlc, Points, SourceProfile};
use domain::setup::SetupKind;
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use super::alignment::Alignment;
use super::basis::{Basis, BasisReading};
use super::gamma::GammaReading;
use super::levels::{Cluster, LevelInputs, Overnight, clusters, levels};
use super::options::{FlowReading, OptionBook, OptionPrint};
use super::range::{OpeningRange, Range, Standing};
use super::regime::{History, Mark, RegimeReading, Trail, minutes_since};
use super::{LastValue, VwapBands};
use crate::bars::merge::Merge;
use crate::bars::tape::Second;
use crate::macros::{DayFlags, MacroCalendar};
use crate::profile::{ContextRules, Profile};
use crate::setups::families::Rolling;

/// Lengths of the opening ranges that are kept, in minutes.
pub const RANGES: [u32; 3] = [5, 15, 30];

/// What the day knows before it begins. What is not told is missing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Beforehand {
    /// Medians of the sessions before.
    pub history: Option<History>,
    /// The day's publications.
    pub macros: MacroCalendar,
    /// The night by the future, where there is one.
    pub overnight: Option<Overnight>,
    /// The families' rolling figures.
    pub families: Vec<(SetupKind, Rolling)>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wider {
    beforehand: Beforehand,
    flags: Option<DayFlags>,
    ranges: [OpeningRange; 3],
    proxy_minutes: Merge,
    /// The proxy's minute that ended last.
    proxy_minute: Option<Microbar>,
    trail: Trail,
    basis: Basis,
    book: OptionBook,
    /// High and low of the proxy before the open.
    night: Option<(Points, Points)>,
    overnight: Option<Overnight>,
    clusters: Vec<Cluster>,
    gamma: Option<GammaReading>,
    regime: RegimeReading,
    basis_reading: Option<BasisReading>,
    flow: Option<FlowReading>,
    alignment: Alignment,
}

/// What the context measured by the end of a minute.
pub(super) struct MinuteEnd<'a> {
    pub(super) minute: UtcNanos,
    pub(super) ohlc: Ohlc,
    pub(super) now: UtcNanos,
    pub(super) open: UtcNanos,
    pub(super) vwap: Option<VwapBands>,
    pub(super) atr: Option<Points>,
    pub(super) last: Option<LastValue>,
    pub(super) prior: Option<&'a domain::market::PriorDay>,
    pub(super) range: Option<&'a Range>,
}

impl Wider {
    pub(super) fn new(source: &SourceProfile, beforehand: Beforehand) -> Self {
        let waiting = || OpeningRange::Waiting { ratios: Vec::new() };
        Self {
            flags: DayFlags::of(source.session.date).ok(),
            ranges: [waiting(), waiting(), waiting()],
            proxy_minutes: Merge::secs(60),
            proxy_minute: None,
            trail: Trail::default(),
            basis: Basis::default(),
            book: OptionBook::new(source),
            night: None,
            overnight: beforehand.overnight,
            clusters: Vec::new(),
            gamma: None,
            regime: RegimeReading::default(),
            basis_reading: None,
            flow: None,
            alignment: Alignment::default(),
            beforehand,
        }
    }

    /// Before the open only the proxy trades.
    pub(super) fn add_night(&mut self, proxy: Option<&Microbar>) {
        let Some(bar) = proxy.and_then(|it| it.ohlc) else { return };
        self.night = Some(match self.night {
            Some((high, low)) => (high.max(bar.high), low.min(bar.low)),
            None => (bar.high, bar.low),
        });
    }

    pub(super) fn add(
        &mut self,
        second: &Second,
        at: &Standing<'_>,
        proxy_close: Option<Points>,
        profile: &Profile,
        rules: &ContextRules,
    ) {
        for (range, minutes) in self.ranges.iter_mut().zip(RANGES) {
            range.add(at, profile, minutes);
        }
        if let (Some(index), Some(proxy)) = (at.index, proxy_close) {
            self.basis.add(second.end(), index.close, proxy, rules);
        }
        if let Some(proxy) = &second.proxy {
            self.proxy_minute = self.proxy_minutes.push(proxy).or(self.proxy_minute);
        }
    }

    /// The index's minute ended: everything is read anew.
    pub(super) fn end_minute(&mut self, it: &MinuteEnd<'_>, rules: &ContextRules) {
        self.proxy_minute = self.proxy_minutes.close(it.now).or(self.proxy_minute);
        let proxy = self.proxy_minute.filter(|bar| bar.ts_open == it.minute);
        self.trail.add(Mark {
            minute: minutes_since(it.open, it.minute),
            ohlc: it.ohlc,
            vwap: it.vwap.map(|it| it.vwap),
            volume: proxy.as_ref().map_or(0, |it| it.volume),
            spread: proxy.as_ref().and_then(Microbar::avg_spread_bps),
        });
        let history = self.beforehand.history.as_ref();
        self.regime = RegimeReading::of(&self.trail, it.atr, history, &rules.regime);
        self.basis_reading = self.basis.reading(rules);
        if self.overnight.is_none() {
            let ratio = self.basis_reading.map(|it| it.ratio);
            let night = self.night.zip(ratio);
            self.overnight = night.map(|((high, low), ratio)| Overnight::of_proxy(high, low, ratio));
        }
        let knows_flow = self.book.knows_flow();
        self.flow = knows_flow.then(|| self.book.flow(it.now, rules.flow_window_minutes));
        self.alignment = Alignment::of(&self.regime, self.basis_reading.as_ref(), self.flow.as_ref(), rules);
        let spot = it.last.map(|it| it.close);
        let quoted = spot.filter(|_| self.book.series().iter().any(|it| it.quote.is_some()));
        self.gamma = quoted.map(|spot| GammaReading::of(&self.book, spot, it.now));
        let gamma = self.gamma.as_ref().map(|it| &it.zero_dte);
        let levels = levels(
            &LevelInputs {
                last: spot,
                prior: it.prior,
                range: it.range,
                vwap: it.vwap,
                gamma: gamma.map_or([None; 3], |it| [it.call_wall, it.put_wall, it.flip]),
                overnight: self.overnight.as_ref(),
            },
            rules,
        );
        self.clusters = clusters(&levels, rules.cluster_points);
    }

    pub(super) fn option_quote(&mut self, series: &OccSymbol, quote: &domain::market::OptionQuote) {
        self.book.quote(series, quote);
    }

    pub(super) fn option_print(&mut self, series: &OccSymbol, print: &OptionPrint) {
        self.book.print(series, print);
    }

    /// The opening range of so many minutes: 5, 15 or 30; `None` until it is complete.
    pub fn range(&self, minutes: u32) -> Option<&Range> {
        let i = RANGES.iter().position(|it| *it == minutes)?;
        self.ranges.get(i)?.done()
    }

    /// The last minutes.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// The options as they stand.
    pub fn book(&self) -> &OptionBook {
        &self.book
    }

    /// High and low of the night, with their source.
    pub fn overnight(&self) -> Option<&Overnight> {
        self.overnight.as_ref()
    }

    /// Levels that lie together, upwards.
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// Gamma exposure.
    pub fn gamma(&self) -> Option<&GammaReading> {
        self.gamma.as_ref()
    }

    /// The regime.
    pub fn regime(&self) -> &RegimeReading {
        &self.regime
    }

    /// The basis.
    pub fn basis(&self) -> Option<&BasisReading> {
        self.basis_reading.as_ref()
    }

    /// Options flow; `None` where nobody tells of prints.
    pub fn flow(&self) -> Option<&FlowReading> {
        self.flow.as_ref()
    }

    /// What the macro alignment is made from.
    pub fn alignment(&self) -> &Alignment {
        &self.alignment
    }

    /// The day's publications.
    pub fn macros(&self) -> &MacroCalendar {
        &self.beforehand.macros
    }

    /// Expirations and short days; `None` outside the calendar.
    pub fn flags(&self) -> Option<&DayFlags> {
        self.flags.as_ref()
    }

    /// A family's rolling figures.
    pub fn rolling(&self, kind: SetupKind) -> Option<&Rolling> {
        self.beforehand.families.iter().find(|it| it.0 == kind).map(|it| &it.1)
    }
}
