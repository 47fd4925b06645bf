//! The options of the index as they stand: quotes, the morning's open interest, and who bought what today.
//!
//! A print is bought by a customer where it is at or above the ask of the last quote strictly before it, sold at or below the
//! bid (the quote rule alone). Multi-leg, late and negotiated prints, and prints on a quote that is none or too old, are
//! nobody's.

use std::collections::VecDeque;
use std::time::Duration;

use domain::market::{OptionQuote, Points, SourceProfile};
use domain::money::Price;
use domain::symbol::{OccSymbol, Right, Underlying};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::exact::{bits_or_none, six_decimals};

/// A quote of an option stands for this long, or for one step of its source.
const QUOTE_AGE: Duration = Duration::from_secs(60);
const MINUTE: i64 = 60 * NANOS_PER_SEC;

/// A print of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionPrint {
    /// Exchange time.
    pub ts: UtcNanos,
    /// Premium per share.
    pub price: Price,
    /// Contracts.
    pub size: u32,
    /// Whether its conditions let it have an aggressor: no leg of a structure, not late, not negotiated.
    pub is_plain: bool,
}

/// What is known of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesState {
    /// The series.
    pub series: OccSymbol,
    /// Its standing quote.
    pub quote: Option<OptionQuote>,
    /// The quote before it, of another instant: a print of the standing quote's own instant is joined with this one.
    before: Option<OptionQuote>,
    /// Open interest of the morning.
    pub open_interest: Option<u32>,
    /// Contracts that customers bought today less those they sold.
    pub net_bought: i64,
}

/// Premium by right and side, in cents: price x contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Premium {
    /// Calls bought.
    pub call_bought: u64,
    /// Calls sold.
    pub call_sold: u64,
    /// Puts bought.
    pub put_bought: u64,
    /// Puts sold.
    pub put_sold: u64,
}

impl Premium {
    fn add(&mut self, right: Right, is_bought: bool, cents: u64) {
        let sum = match (right, is_bought) {
            (Right::Call, true) => &mut self.call_bought,
            (Right::Call, false) => &mut self.call_sold,
            (Right::Put, true) => &mut self.put_bought,
            (Right::Put, false) => &mut self.put_sold,
        };
        *sum = sum.saturating_add(cents);
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            call_bought: self.call_bought.saturating_add(other.call_bought),
            call_sold: self.call_sold.saturating_add(other.call_sold),
            put_bought: self.put_bought.saturating_add(other.put_bought),
            put_sold: self.put_sold.saturating_add(other.put_sold),
        }
    }

    /// Upwards against downwards, in [-1, 1]: calls bought and puts sold against calls sold and puts bought. `None` without
    /// premium.
    pub fn score(&self) -> Option<f64> {
        let up = self.call_bought as f64 + self.put_sold as f64;
        let down = self.call_sold as f64 + self.put_bought as f64;
        (up + down > 0.0).then(|| six_decimals((up - down) / (up + down)))
    }
}

/// Options flow with what it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowReading {
    /// Premium of the window.
    pub window: Premium,
    /// Premium of the window before it.
    pub before: Premium,
    /// [`Premium::score`] of the window.
    #[serde(with = "bits_or_none")]
    pub score: Option<f64>,
    /// The same of the window before.
    #[serde(with = "bits_or_none")]
    pub score_before: Option<f64>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionBook {
    index: Underlying,
    today: Date,
    quote_age_ns: i64,
    /// In series order.
    series: Vec<SeriesState>,
    /// Premium by minute, the latest last.
    minutes: VecDeque<(UtcNanos, Premium)>,
    /// Prints with an aggressor today: without one nobody knows the flow.
    signed_prints: u64,
}

impl OptionBook {
    /// With the morning's open interest of a source.
    pub fn new(source: &SourceProfile) -> Self {
        let age = i64::try_from(QUOTE_AGE.as_nanos()).unwrap_or(i64::MAX);
        let mut book = Self {
            index: source.index,
            today: source.session.date,
            quote_age_ns: age.max(source.resolution_ns),
            series: Vec::new(),
            minutes: VecDeque::new(),
            signed_prints: 0,
        };
        for it in source.series.iter().filter(|it| it.series.underlying() == source.index) {
            if let Some(state) = book.state(&it.series) {
                state.open_interest = it.open_interest;
            }
        }
        book
    }

    /// Every series, in order.
    pub fn series(&self) -> &[SeriesState] {
        &self.series
    }

    /// Whether prints with an aggressor were seen today.
    pub const fn knows_flow(&self) -> bool {
        self.signed_prints > 0
    }

    /// The last day of the series that expire today.
    pub const fn today(&self) -> Date {
        self.today
    }

    /// Whether a quote stands at `now`.
    pub fn is_fresh(&self, quote: &OptionQuote, now: UtcNanos) -> bool {
        now.0.saturating_sub(quote.ts.0) <= self.quote_age_ns
    }

    /// Takes a quote. Of another underlying, or older than the standing one, it changes nothing.
    pub fn quote(&mut self, series: &OccSymbol, quote: &OptionQuote) {
        if series.underlying() != self.index {
            return;
        }
        let Some(it) = self.state(series) else { return };
        match it.quote {
            Some(standing) if standing.ts > quote.ts => {}
            Some(standing) => {
                if standing.ts < quote.ts {
                    it.before = Some(standing);
                }
                it.quote = Some(*quote);
            }
            None => it.quote = Some(*quote),
        }
    }

    /// Takes a print.
    pub fn print(&mut self, series: &OccSymbol, print: &OptionPrint) {
        if series.underlying() != self.index || !print.is_plain || print.size == 0 {
            return;
        }
        let age = self.quote_age_ns;
        let Some(it) = self.state(series) else { return };
        let stood = [it.quote, it.before].into_iter().flatten().find(|it| it.ts < print.ts);
        let stood = stood.filter(|it| print.ts.0.saturating_sub(it.ts.0) <= age);
        let Some((bid, ask)) = stood.as_ref().and_then(OptionQuote::two_sided) else { return };
        let is_bought = match (print.price >= ask, print.price <= bid) {
            (true, false) => true,
            (false, true) => false,
            (true, true) | (false, false) => return,
        };
        let size = i64::from(print.size);
        it.net_bought = it.net_bought.saturating_add(if is_bought { size } else { -size });
        self.signed_prints = self.signed_prints.saturating_add(1);
        let minute = print.ts.floor_to(MINUTE);
        if self.minutes.back().is_none_or(|it| it.0 < minute) {
            self.minutes.push_back((minute, Premium::default()));
        }
        while self.minutes.len() > 256 {
            self.minutes.pop_front();
        }
        if let Some((_, premium)) = self.minutes.back_mut() {
            let cents = u64::from(print.price.cents()).saturating_mul(u64::from(print.size));
            premium.add(series.right, is_bought, cents);
        }
    }

    /// The flow of the last `minutes`, and of as many before them.
    pub fn flow(&self, now: UtcNanos, minutes: u32) -> FlowReading {
        let length = i64::from(minutes).saturating_mul(MINUTE);
        let sum = |from: i64, until: i64| {
            let inside = self.minutes.iter().filter(|it| from <= it.0.0 && it.0.0 < until);
            inside.fold(Premium::default(), |sum, it| sum.plus(&it.1))
        };
        let from = now.0.saturating_sub(length);
        let (window, before) = (sum(from, i64::MAX), sum(from.saturating_sub(length), from));
        FlowReading { window, before, score: window.score(), score_before: before.score() }
    }

    /// What the straddle nearest to `spot` that expires today is worth, less what of it is intrinsic: the move that the market
    /// still expects. `None` without two standing two-sided quotes.
    pub fn implied_move(&self, spot: Points, now: UtcNanos) -> Option<Points> {
        let mid = |it: &SeriesState| it.quote.filter(|it| self.is_fresh(it, now)).and_then(|it| it.mid());
        let today = self.series.iter().filter(|it| it.series.expiry == self.today);
        let calls = today.clone().filter(|it| it.series.right == Right::Call);
        let nearest = calls
            .filter_map(|it| Some((it, mid(it)?)))
            .filter_map(|(call, value)| {
                let put = OccSymbol { right: Right::Put, ..call.series };
                let put = self.series.binary_search_by_key(&put, |it| it.series).ok()?;
                let put = mid(self.series.get(put)?)?;
                let distance = Points::from_f64(call.series.strike.points()).distance(spot);
                Some((distance, value + put))
            })
            .min_by_key(|it| it.0)?;
        let (distance, straddle) = nearest;
        let left = Points::from_f64(straddle).minus(distance);
        (left.0 > 0).then_some(left)
    }

    fn state(&mut self, series: &OccSymbol) -> Option<&mut SeriesState> {
        let i = match self.series.binary_search_by_key(series, |it| it.series) {
            Ok(i) => i,
            Err(i) => {
                let fresh = SeriesState {
                    series: *series,
                    quote: None,
                    before: None,
                    open_interest: None,
                    net_bought: 0,
                };
                self.series.insert(i, fresh);
                i
            }
        };
        self.series.get_mut(i)
    }
}
