//! Greeks and implied volatilities as a data vendor delivers them: once an hour, and stale until the next.

use std::collections::BTreeMap;

use domain::calendar::last_trade;
use domain::market::{OptionQuote, Points};
use domain::money::Price;
use domain::symbol::OccSymbol;
use domain::time::{NANOS_PER_SEC, UtcNanos};
use engine::pricing::{Inputs, greeks, implied_vol, years_between};
use serde::{Deserialize, Serialize};

/// The vendor's run begins three seconds after the hour.
const RUN_AT_NS: i64 = 3 * NANOS_PER_SEC;
const HOUR_NS: i64 = 3_600 * NANOS_PER_SEC;
/// Model years are of 365 days; theta is told per day.
const DAYS: f64 = 365.0;
/// Vega, rho and phi are told per percentage point.
const PERCENT: f64 = 100.0;

/// What the greeks of one hour are computed from: a series' first two-sided quote of that hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hourly {
    /// The best bid.
    pub bid: Price,
    /// The best ask.
    pub ask: Price,
    /// The underlying's value.
    pub spot: Points,
    /// When the quote was.
    pub at: UtcNanos,
}

impl Hourly {
    /// Whether a quote of `at` belongs to a later run than the one at hand.
    pub(crate) fn is_due(last: Option<&Self>, at: UtcNanos) -> bool {
        let run = |it: UtcNanos| it.0.saturating_sub(RUN_AT_NS).div_euclid(HOUR_NS);
        last.is_none_or(|it| run(it.at) < run(at))
    }

    /// `None` for a one-sided quote: the vendor keeps what it had.
    pub(crate) fn of(quote: &OptionQuote, spot: Points) -> Option<Self> {
        let (bid, ask) = quote.two_sided()?;
        Some(Self { bid, ask, spot, at: quote.ts })
    }
}

/// The greeks of a quote or chain row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct GreeksRow {
    delta: f64,
    gamma: f64,
    theta: f64,
    vega: f64,
    rho: f64,
    phi: f64,
    bid_iv: f64,
    mid_iv: f64,
    ask_iv: f64,
    smv_vol: f64,
    updated_at: String,
}

impl GreeksRow {
    /// `None` where no volatility explains the price, as for contracts worth less than their exercise.
    pub(crate) fn of(series: &OccSymbol, hourly: &Hourly) -> Option<Self> {
        let years = years_between(hourly.at, last_trade(series).ok()?);
        let spot = hourly.spot.to_f64();
        // Interest and dividends are left out, as where the quotes are made.
        let inputs = Inputs { spot, strike: series.strike.points(), years, rate: 0.0, div: 0.0, vol: 0.0 };
        let vol = |premium: f64| implied_vol(series.right, premium, &inputs).ok();
        let mid = vol(hourly.bid.mid(hourly.ask))?;
        let it = greeks(series.right, &Inputs { vol: mid, ..inputs });
        // Per point of the dividend yield: the forward falls by T S of it.
        let phi = -years * spot * it.delta;
        Some(Self {
            delta: rounded(it.delta),
            gamma: rounded(it.gamma),
            theta: rounded(it.theta / DAYS),
            vega: rounded(it.vega / PERCENT),
            rho: rounded(it.rho / PERCENT),
            phi: rounded(phi / PERCENT),
            bid_iv: rounded(vol(hourly.bid.to_f64()).unwrap_or(0.0)),
            mid_iv: rounded(mid),
            ask_iv: rounded(vol(hourly.ask.to_f64()).unwrap_or(0.0)),
            smv_vol: rounded(mid),
            updated_at: hourly.at.to_jiff().strftime("%Y-%m-%d %H:%M:%S").to_string(),
        })
    }
}

/// Greeks computed so far. They follow from the book, so that two caches never differ in what they answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct GreeksCache(BTreeMap<OccSymbol, (Hourly, Option<GreeksRow>)>);

impl PartialEq for GreeksCache {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for GreeksCache {}

impl GreeksCache {
    /// Computes the greeks of `series`, unless they are at hand.
    pub(crate) fn learn(&mut self, series: &OccSymbol, hourly: &Hourly) {
        if self.0.get(series).is_none_or(|it| it.0 != *hourly) {
            self.0.insert(*series, (*hourly, GreeksRow::of(series, hourly)));
        }
    }

    /// What was learnt of `series`.
    pub(crate) fn of(&self, series: &OccSymbol) -> Option<&GreeksRow> {
        self.0.get(series).and_then(|it| it.1.as_ref())
    }
}

/// Six decimals; no negative zero, which some parsers print.
fn rounded(value: f64) -> f64 {
    let scaled = (value * 1e6).round() / 1e6;
    if scaled == 0.0 { 0.0 } else { scaled }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UtcNanos {
        UtcNanos::parse(text).unwrap()
    }

    fn hourly() -> Hourly {
        let (bid, ask) = (Price::from_cents(930), Price::from_cents(950));
        Hourly { bid, ask, spot: Points::whole(5_610), at: at("2026-11-20T15:00:05Z") }
    }

    #[test]
    fn a_run_begins_three_seconds_after_the_hour_and_lasts_until_the_next() {
        let last = hourly();
        assert!(Hourly::is_due(None, at("2026-11-20T14:30:00Z")));
        assert!(!Hourly::is_due(Some(&last), at("2026-11-20T16:00:02Z")));
        assert!(Hourly::is_due(Some(&last), at("2026-11-20T16:00:03Z")));
    }

    #[test]
    fn greeks_at_the_money_have_the_signs_and_sizes_of_the_model() {
        let series: OccSymbol = "SPXW261120C05610000".parse().unwrap();
        let row = GreeksRow::of(&series, &hourly()).unwrap();
        assert!((row.delta - 0.5).abs() < 0.01, "{row:?}");
        assert!(row.theta < 0.0 && row.vega > 0.0 && row.rho > 0.0 && row.phi < 0.0, "{row:?}");
        assert!(row.bid_iv < row.mid_iv && row.mid_iv < row.ask_iv, "{row:?}");
        assert_eq!(row.updated_at, "2026-11-20 15:00:05");
        let put: OccSymbol = "SPXW261120P05610000".parse().unwrap();
        assert!(GreeksRow::of(&put, &hourly()).unwrap().delta < 0.0);
    }

    #[test]
    fn a_price_below_exercise_has_no_greeks() {
        let series: OccSymbol = "SPXW261120C05500000".parse().unwrap();
        assert_eq!(GreeksRow::of(&series, &hourly()), None);
    }
}
