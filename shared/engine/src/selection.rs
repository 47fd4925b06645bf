//! Which contract an opening buys (spec 3, "Sizing (contract selection)").
//!
//! Root SPXW expiring this session, the right of the setup's direction, delta 0.35 to 0.50, premium of at least 1.50,
//! a bounded quote width, fresh quotes only, one owner per series. Among what is left: nearest to the target delta,
//! then the tighter quote, then more open interest and volume. What a source does not have skips its preference.

use std::time::Duration;

use domain::calendar::last_trade;
use domain::chain::{ChainRow, ChainSnapshot};
use domain::ids::SetupId;
use domain::money::{Price, TickGrid};
use domain::setup::Direction;
use domain::symbol::{OccSymbol, Root};
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::pricing::{Inputs, greeks, implied_vol, price, years_between};

/// The age from which a quote no longer counts, unless one step of its source is longer.
pub const QUOTE_AGE_MAX: Duration = Duration::from_secs(60);
/// Deltas this close to each other are the same to the target; the quote decides between them.
const DELTA_BUCKET: f64 = 0.02;
/// How much delta a strike more or less is worth at most: on quiet afternoons the range holds one strike.
const NEXT_STRIKE: f64 = 0.15;

/// The age limit of quotes from a source with this resolution.
pub fn quote_age_max(resolution_ns: i64) -> Duration {
    QUOTE_AGE_MAX.max(Duration::from_nanos(u64::try_from(resolution_ns).unwrap_or(0)))
}

/// What is bought. The range belongs to a regime; the default is its middle.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SelectionRules {
    /// Smallest delta, without its sign.
    pub delta_min: f64,
    /// Largest delta, without its sign.
    pub delta_max: f64,
    /// The delta looked for.
    pub delta_target: f64,
    /// Smallest premium, at mid.
    pub premium_min: Price,
    /// Largest quote width as a fraction of mid; two ticks are always allowed.
    pub width_max: f64,
}

impl Default for SelectionRules {
    fn default() -> Self {
        Self {
            delta_min: 0.35,
            delta_max: 0.50,
            delta_target: 0.42,
            premium_min: Price::from_cents(150),
            width_max: 0.10,
        }
    }
}

/// What selection reads.
#[derive(Debug, Clone, Copy)]
pub struct SelectionInputs<'a> {
    /// The chain that came with the transition.
    pub chain: &'a ChainSnapshot,
    /// The session's date: the expiry looked for.
    pub session: Date,
    /// Which way the setup expects the index to go.
    pub direction: Direction,
    /// Market time.
    pub now: UtcNanos,
    /// One step of the chain's source.
    pub resolution_ns: i64,
    /// Series held or worked, with the setup behind each.
    pub owned: &'a [(OccSymbol, Option<SetupId>)],
    /// The setup that asks.
    pub setup: SetupId,
    /// What is bought.
    pub rules: SelectionRules,
}

/// A volatility fitted to a quote, and what it makes of the series at another time and index value. 0DTE premiums
/// carry hours of interest and dividends, far below a tick: both are taken as zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// The series.
    pub series: OccSymbol,
    /// Its implied volatility at the fit.
    pub iv: f64,
    /// Its delta at the fit, signed.
    pub delta: f64,
    /// When it stops trading.
    pub last_trade: UtcNanos,
}

impl Model {
    /// Fits `series` worth `mid` dollars a share while the index is at `spot`. `None` where no volatility explains it
    /// or the series no longer trades.
    pub fn fit(series: OccSymbol, spot: f64, mid: f64, now: UtcNanos) -> Option<Self> {
        let last_trade = last_trade(&series).ok().filter(|it| *it > now)?;
        let years = years_between(now, last_trade);
        let inputs = Inputs { spot, strike: series.strike.points(), years, rate: 0.0, div: 0.0, vol: 0.0 };
        let iv = implied_vol(series.right, mid, &inputs).ok()?;
        let delta = greeks(series.right, &Inputs { vol: iv, ..inputs }).delta;
        Some(Self { series, iv, delta, last_trade })
    }

    /// The value in dollars a share with the index at `spot` at the time `at`.
    pub fn value(&self, spot: f64, at: UtcNanos) -> f64 {
        let inputs = Inputs {
            spot,
            strike: self.series.strike.points(),
            years: years_between(at, self.last_trade),
            rate: 0.0,
            div: 0.0,
            vol: self.iv,
        };
        price(self.series.right, &inputs)
    }
}

/// A candidate that was not taken, and why.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Considered {
    /// The series.
    pub series: OccSymbol,
    /// Its delta, where a volatility could be fitted.
    pub delta: Option<f64>,
    /// Why it was not taken.
    pub reason: Refusal,
}

/// Why a candidate is refused, in the order the rules are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No two-sided quote, or an old one.
    NoFreshQuote,
    /// No volatility explains its price.
    NoImpliedVol,
    /// Its delta is outside the range.
    DeltaOutOfRange,
    /// Its premium is under the minimum.
    PremiumTooLow,
    /// Its quote is too wide.
    SpreadTooWide,
    /// Another setup owns it.
    SeriesOwned,
    /// A better one was taken.
    Outranked,
}

impl Refusal {
    /// Why there is no contract, when this is the furthest any candidate came.
    const fn as_reason(self) -> &'static str {
        match self {
            Self::NoFreshQuote => "no_fresh_chain",
            Self::NoImpliedVol => "no_implied_vol",
            Self::DeltaOutOfRange => "no_contract_in_delta_range",
            Self::PremiumTooLow => "premium_too_low",
            Self::SpreadTooWide => "spread_too_wide",
            Self::SeriesOwned => "series_owned",
            Self::Outranked => "outranked",
        }
    }
}

/// The contract to buy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selected {
    /// Its row of the chain.
    pub row: ChainRow,
    /// Best bid.
    pub bid: Price,
    /// Best ask.
    pub ask: Price,
    /// The volatility fitted to its mid, with delta.
    pub model: Model,
    /// The others, with their reasons, in series order.
    pub considered: Vec<Considered>,
}

/// No contract, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NoContract {
    /// `no_series`, `no_fresh_chain`, `no_contract_in_delta_range`, `premium_too_low`, `spread_too_wide`,
    /// `series_owned`, `no_implied_vol`: the rule at which the best candidates failed.
    pub reason: &'static str,
    /// Every candidate with its reason, in series order.
    pub considered: Vec<Considered>,
}

/// A candidate that passed every rule.
struct Candidate<'a> {
    row: &'a ChainRow,
    bid: Price,
    ask: Price,
    model: Model,
}

/// Chooses the contract. Where everything in the delta range has an owner, a second setup takes the next strike: the
/// range is widened once.
///
/// # Errors
/// [`NoContract`] with the reason of each candidate.
pub fn select(inputs: &SelectionInputs<'_>) -> Result<Selected, NoContract> {
    select_by(inputs, &inputs.rules).or_else(|none| {
        if none.reason != Refusal::SeriesOwned.as_reason() {
            return Err(none);
        }
        let wider = SelectionRules {
            delta_min: inputs.rules.delta_min - NEXT_STRIKE,
            delta_max: inputs.rules.delta_max + NEXT_STRIKE,
            ..inputs.rules
        };
        select_by(inputs, &wider)
    })
}

fn select_by(inputs: &SelectionInputs<'_>, rules: &SelectionRules) -> Result<Selected, NoContract> {
    let wanted = |row: &&ChainRow| {
        row.series.root == Root::SPXW
            && row.series.expiry == inputs.session
            && row.series.right == inputs.direction.right()
    };
    let mut considered = Vec::new();
    let mut passed = Vec::new();
    for row in inputs.chain.rows.iter().filter(wanted) {
        match judge(inputs, rules, row) {
            Ok(candidate) => passed.push(candidate),
            Err((delta, reason)) => considered.push(Considered { series: row.series, delta, reason }),
        }
    }
    let Some(best) = rank(passed, rules.delta_target, &mut considered) else {
        let reason = considered.iter().map(|it| it.reason).max().map_or("no_series", Refusal::as_reason);
        return Err(NoContract { reason, considered });
    };
    considered.sort_by_key(|it| it.series);
    Ok(Selected { row: *best.row, bid: best.bid, ask: best.ask, model: best.model, considered })
}

/// Asks one row every rule, in order.
fn judge<'a>(
    inputs: &SelectionInputs<'_>,
    rules: &SelectionRules,
    row: &'a ChainRow,
) -> Result<Candidate<'a>, (Option<f64>, Refusal)> {
    let is_fresh = inputs.now.since(row.quote.ts) <= quote_age_max(inputs.resolution_ns);
    let Some((bid, ask)) = row.quote.two_sided().filter(|_| is_fresh) else {
        return Err((None, Refusal::NoFreshQuote));
    };
    let mid = bid.mid(ask);
    let Some(model) = Model::fit(row.series, inputs.chain.spot.to_f64(), mid, inputs.now) else {
        return Err((None, Refusal::NoImpliedVol));
    };
    let delta = Some(model.delta);
    if !(rules.delta_min..=rules.delta_max).contains(&model.delta.abs()) {
        return Err((delta, Refusal::DeltaOutOfRange));
    }
    if mid < rules.premium_min.to_f64() {
        return Err((delta, Refusal::PremiumTooLow));
    }
    let grid = TickGrid::single_leg(&row.series.root, inputs.session);
    let is_wide = ask.to_f64() - bid.to_f64() > rules.width_max * mid && ask > grid.step_by(bid, 2);
    if is_wide {
        return Err((delta, Refusal::SpreadTooWide));
    }
    let is_taken =
        inputs.owned.iter().any(|(series, setup)| *series == row.series && *setup != Some(inputs.setup));
    if is_taken {
        return Err((delta, Refusal::SeriesOwned));
    }
    Ok(Candidate { row, bid, ask, model })
}

/// The best candidate; the others are noted as outranked.
fn rank<'a>(
    mut passed: Vec<Candidate<'a>>,
    target: f64,
    considered: &mut Vec<Considered>,
) -> Option<Candidate<'a>> {
    // A preference that one candidate has no figure for would compare it with nothing: then it is skipped for all.
    let know_interest = passed.iter().all(|it| it.row.open_interest.is_some());
    let know_volume = passed.iter().all(|it| it.row.volume.is_some());
    let key = |it: &Candidate<'_>| {
        let miss = (it.model.delta.abs() - target).abs();
        let interest = it.row.open_interest.filter(|_| know_interest).unwrap_or(0);
        let volume = it.row.volume.filter(|_| know_volume).unwrap_or(0);
        (
            (miss / DELTA_BUCKET) as u32,
            it.ask.cents() - it.bid.cents(),
            std::cmp::Reverse(interest),
            std::cmp::Reverse(volume),
            (miss * 1e9) as u64,
            it.row.series,
        )
    };
    passed.sort_by_key(key);
    let mut in_order = passed.into_iter();
    let best = in_order.next();
    considered.extend(in_order.map(|it| Considered {
        series: it.row.series,
        delta: Some(it.model.delta),
        reason: Refusal::Outranked,
    }));
    best
}

#[cfg(test)]
mod tests;
