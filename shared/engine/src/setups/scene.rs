//! A scripted session for the tests of detectors: legs of price, how the proxy looks, and a chain around spot.

use domain::gate::GateCheck;
use domain::market::{ListedSeries, Microbar, Ohlc, OptionQuote, Points, PriorDay, SourceProfile};
use domain::money::Price;
use domain::setup::{Direction, FamilyStatus, SetupKind, SetupState};
use domain::symbol::{OccSymbol, Right, Root, Strike};
use domain::time::{NANOS_PER_SEC, UtcNanos};

use super::{SetupEngine, Step};
use crate::bars::tape::{Second, TapeItem};
use crate::bars::tests::source;
use crate::context::{Beforehand, Context, History, MinuteFigures, OptionPrint};
use crate::macros::MacroCalendar;
use crate::pricing::{Inputs, price, years_to_settlement};
use crate::profile::{Profile, Standing};

/// How the proxy looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proxy {
    /// Shares a second.
    pub(super) volume: u64,
    /// Of its volume, in percent.
    pub(super) skew: i64,
    /// Quoted prints in a hundred.
    pub(super) quoted: u32,
    pub(super) spread_bps: i64,
    /// Bid and ask size.
    pub(super) sizes: (u32, u32),
}

/// Buyers in front, nothing else of note.
pub(super) const BUYERS: Proxy =
    Proxy { volume: 100, skew: 40, quoted: 100, spread_bps: 1, sizes: (300, 100) };
/// The same upside down.
pub(super) const SELLERS: Proxy = Proxy { skew: -40, sizes: (100, 301), ..BUYERS };

/// A session under way.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) ctx: Context,
    pub(super) engine: SetupEngine,
    pub(super) steps: Vec<Step>,
    /// The next second.
    pub(super) n: i64,
    pub(super) at: f64,
    /// `None` where the source has none.
    pub(super) proxy: Option<Proxy>,
    /// Whether the chain is quoted each minute.
    pub(super) quotes_chain: bool,
    /// Whether up is down: prices are mirrored at 5,600, and so is everybody's side.
    pub(super) is_mirrored: bool,
}

/// Every family trades; the gates on macro inputs and on the implied move are off.
pub(super) fn open_profile() -> Profile {
    // Nothing forms while the swing of the start makes the context.
    let mut profile = Profile { macro_floor: None, entry_from_minutes: 33, ..Profile::setups_v1() };
    if let Some(families) = &mut profile.families {
        let active = Standing::Fixed(FamilyStatus::Active);
        families.governance.standings = SetupKind::ALL.into_iter().map(|it| (it, active)).collect();
        families.t1_of_implied_move_max = None;
    }
    profile
}

/// Twenty sessions like the swing at the start: ATR about 2.7, a range of 20 in fifteen minutes; no publications.
pub(super) fn beforehand() -> Beforehand {
    let figures = MinuteFigures { atr: Some(Points::from_f64(2.7)), range: Some(Points::whole(20)) };
    Beforehand {
        history: Some(History::of(&vec![vec![figures; 390]; 20])),
        macros: MacroCalendar::Known(Vec::new()),
        ..Beforehand::default()
    }
}

/// Strikes 5 apart from 5,400 to 5,800, each with open interest of 100 calls and 100 puts.
pub(super) fn day() -> SourceProfile {
    let date = source().session.date;
    let mut listed = Vec::new();
    for strike in (5_400..=5_800).step_by(5) {
        for right in [Right::Call, Right::Put] {
            let series =
                OccSymbol { root: Root::SPXW, expiry: date, right, strike: Strike::from_points(strike) };
            listed.push(ListedSeries { series, open_interest: Some(100) });
        }
    }
    listed.sort_by_key(|it| it.series);
    let prior =
        PriorDay { high: Points::whole(5_680), low: Points::whole(5_599), close: Points::whole(5_655) };
    SourceProfile { series: listed, prior_day: Some(prior), ..source() }
}

impl Scene {
    pub(super) fn new(source: &SourceProfile, profile: &Profile, beforehand: Beforehand) -> Self {
        Self {
            ctx: Context::knowing(source, profile, true, beforehand),
            engine: SetupEngine::new(),
            steps: Vec::new(),
            n: 0,
            at: 5_600.0,
            proxy: Some(BUYERS),
            quotes_chain: false,
            is_mirrored: false,
        }
    }

    /// The same upside down.
    pub(super) fn upside_down(self) -> Self {
        Self { is_mirrored: true, ..self }.with(BUYERS)
    }

    /// A price as the market shows it.
    fn shown(&self, price: f64) -> f64 {
        if self.is_mirrored { 11_200.0 - price } else { price }
    }

    /// Swings between 5,590 and 5,610 for so many seconds, from and to 5,600 in 900.
    pub(super) fn swing(mut self, secs: i64) -> Self {
        for _ in 0..secs {
            let phase = (self.n % 900) as f64 / 900.0;
            let tri = if phase < 0.25 {
                phase * 4.0
            } else if phase < 0.75 {
                2.0 - phase * 4.0
            } else {
                phase * 4.0 - 4.0
            };
            self.at = 5_600.0 + 10.0 * tri;
            self.second(self.at);
        }
        self
    }

    /// Walks to a price.
    pub(super) fn walk(mut self, secs: i64, to: f64) -> Self {
        let from = self.at;
        for n in 1..=secs {
            self.second(from + (to - from) * n as f64 / secs as f64);
        }
        self
    }

    pub(super) fn with(mut self, proxy: Proxy) -> Self {
        let mirrored = Proxy { skew: -proxy.skew, sizes: (proxy.sizes.1, proxy.sizes.0), ..proxy };
        self.proxy = Some(if self.is_mirrored { mirrored } else { proxy });
        self
    }

    pub(super) fn now(&self) -> UtcNanos {
        UtcNanos(source().session.open.0 + self.n * NANOS_PER_SEC)
    }

    /// One second at a price.
    pub(super) fn second(&mut self, price: f64) {
        if self.quotes_chain && self.n % 30 == 0 {
            self.quote_chain();
        }
        let second = second(self.n, self.shown(price), self.proxy);
        self.ctx.apply(&TapeItem::Second(second));
        self.steps.extend(self.engine.on_second(&second, &self.ctx));
        (self.n, self.at) = (self.n + 1, price);
    }

    /// Quotes what lies near spot at 15 %, a tick to each side.
    pub(super) fn quote_chain(&mut self) {
        let ts = UtcNanos(self.now().0 - 1_000);
        let near: Vec<_> = self.ctx.wider().unwrap().book().series().iter().map(|it| it.series).collect();
        let spot = self.shown(self.at);
        for series in near.into_iter().filter(|it| (it.strike.points() - spot).abs() < 60.0) {
            let quote = quoted(&series, spot, ts);
            self.ctx.on_option_quote(&series, &quote);
        }
    }

    /// Customers buy (sell below 0) contracts of a series at its ask (bid).
    pub(super) fn customers(&mut self, right: Right, strike: u32, contracts: i32) {
        let expiry = source().session.date;
        let (right, strike) = match (self.is_mirrored, right) {
            (false, right) => (right, strike),
            (true, Right::Call) => (Right::Put, 11_200 - strike),
            (true, Right::Put) => (Right::Call, 11_200 - strike),
        };
        let series = OccSymbol { root: Root::SPXW, expiry, right, strike: Strike::from_points(strike) };
        let book = self.ctx.wider().unwrap().book().series();
        let quote = book.iter().find(|it| it.series == series).unwrap().quote.unwrap();
        let price = if contracts > 0 { quote.ask } else { quote.bid };
        let (price, size) = (price.unwrap(), contracts.unsigned_abs());
        self.ctx.on_option_print(&series, &OptionPrint { ts: self.now(), price, size, is_plain: true });
    }

    /// The steps of the first setup of a family and direction, as `state:reason`.
    pub(super) fn story(&self, kind: SetupKind, direction: Direction) -> String {
        let of = |it: &&Step| (it.setup.kind, it.setup.direction) == (kind, direction);
        let Some(first) = self.steps.iter().find(of) else { return String::new() };
        let own = self.steps.iter().filter(|it| it.setup.id == first.setup.id);
        let words: Vec<_> =
            own.map(|it| format!("{}:{}", it.transition.to.as_str(), it.transition.reason)).collect();
        words.join(" ")
    }

    /// The first trigger of a family.
    pub(super) fn trigger(&self, kind: SetupKind) -> Option<&Step> {
        self.steps.iter().find(|it| it.setup.kind == kind && is_trigger(it))
    }

    /// The gate as the last step of the family's first setup has it.
    pub(super) fn last_gate(&self, kind: SetupKind, direction: Direction, gate: &str) -> GateCheck {
        let of = |it: &&Step| (it.setup.kind, it.setup.direction) == (kind, direction);
        let first = self.steps.iter().find(of).expect("a setup of the family");
        let last = self.steps.iter().rfind(|it| it.setup.id == first.setup.id).expect("its last step");
        let gates = &last.transition.gates;
        gates.iter().find(|it| it.gate == gate).unwrap_or_else(|| panic!("{gate} in {gates:?}")).clone()
    }
}

pub(super) fn is_trigger(it: &Step) -> bool {
    (it.transition.from, it.transition.to) == (Some(SetupState::Ready), SetupState::Triggered)
}

pub(super) fn quoted(series: &OccSymbol, spot: f64, ts: UtcNanos) -> OptionQuote {
    let years = years_to_settlement(ts, series).unwrap();
    let inputs = Inputs { spot, strike: series.strike.points(), years, rate: 0.0, div: 0.0, vol: 0.15 };
    let cents = (price(series.right, &inputs) * 100.0).round() as u32 + 10;
    let side = |cents| Some(Price::from_cents(cents));
    OptionQuote { ts, bid: side(cents - 5), ask: side(cents + 5), bid_size: 9, ask_size: 9 }
}

pub(super) fn second(n: i64, price: f64, proxy: Option<Proxy>) -> Second {
    let ts_open = UtcNanos(source().session.open.0 + n * NANOS_PER_SEC);
    let bar = |price: f64| {
        let it = Points::from_f64(price);
        let ohlc = Some(Ohlc { open: it, high: it, low: it, close: it });
        Microbar { ohlc, trades: 1, ticks: 1, ..Microbar::empty(ts_open) }
    };
    let proxy = proxy.map(|it| Microbar {
        volume: it.volume,
        buy_volume: it.volume * (50 + it.skew / 2) as u64 / 100,
        sell_volume: it.volume * (50 - it.skew / 2) as u64 / 100,
        ticks: 100,
        quoted_ticks: it.quoted,
        bid_size_sum: u64::from(it.sizes.0),
        ask_size_sum: u64::from(it.sizes.1),
        spread_sum: it.spread_bps * 1_000_000 * i64::from(it.quoted),
        bid_size_at_close: Some(it.sizes.0),
        ask_size_at_close: Some(it.sizes.1),
        // A little noise, or the ratio of both would never move.
        ..bar(price / 10.0 + 0.001 * (n % 7) as f64)
    });
    let in_session = source().session.holds(ts_open);
    Second { ts_open, index: Some(bar(price)), proxy, in_session }
}
