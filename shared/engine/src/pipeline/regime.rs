//! Stages E1 to E3: term structure, regime and IV rank.

use super::Asked;
use super::bound::{Bound, Value};
use super::check::Check;
use super::dte::vix_age;
use super::reading::Reading;
use super::reason::Reason;
use super::snapshot::{Facts, LevelAt, Standing};
use super::strategy::{ADX_MAX, Kind};
use crate::indicators::iv_rank::NoRank;

/// VIX and VIX3M may be so old.
pub(super) const LEVEL_AGE_MAX: f64 = 300.0;

/// A level that is one.
pub(super) fn level(it: Option<LevelAt>) -> Option<LevelAt> {
    it.filter(|it| it.value > 0.0 && it.value.is_finite())
}

/// VIX over VIX3M; from 1 on the term structure is inverted.
pub(super) fn term_ratio(facts: &Facts) -> Option<f64> {
    Some(level(facts.vix)?.value / level(facts.vix3m)?.value)
}

/// Whether E1 is asked at all.
pub(super) const fn asks_term_structure(kind: Kind, is_on: bool) -> bool {
    kind.sells_credit() && is_on
}

/// Stage E1.
pub(super) fn term_structure(asked: &Asked<'_>) -> Vec<Check> {
    let on = asked.set.regime.term_structure;
    if !asks_term_structure(asked.kind, on) {
        let why = if on { Reason::NotASeller } else { Reason::SwitchedOff };
        return vec![Check::skipped(Reading::TermRatio, why)];
    }
    let facts = asked.facts;
    let age = level(facts.vix3m).map(|it| asked.now.since(it.at).as_secs_f64());
    let no_ratio = if level(facts.vix).is_none() { Reason::VixMissing } else { Reason::Vix3mMissing };
    vec![
        vix_age(asked),
        Check::of(
            Reading::Vix3mAge,
            age.and_then(Value::number),
            Bound::AtMost(LEVEL_AGE_MAX),
            Reason::Vix3mStale,
            Reason::Vix3mMissing,
        ),
        Check::of(
            Reading::TermRatio,
            Value::number(term_ratio(facts)),
            Bound::Below(1.0),
            Reason::TermInverted,
            no_ratio,
        ),
    ]
}

/// Which way the averages point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trend {
    Bull,
    Bear,
    Neutral,
}

impl Trend {
    /// Bull with the spot over EMA(20) over SMA(50), bear with both the other way round.
    fn of(asked: &Asked<'_>) -> Option<Self> {
        let (spot, ema, sma) = (asked.spot?, asked.facts.indicators.ema20?, asked.facts.indicators.sma50?);
        if !(ema.is_finite() && sma.is_finite()) {
            return None;
        }
        Some(if spot > ema && ema > sma {
            Self::Bull
        } else if spot < ema && ema < sma {
            Self::Bear
        } else {
            Self::Neutral
        })
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Bull => "bull",
            Self::Bear => "bear",
            Self::Neutral => "neutral",
        }
    }
}

/// Stage E2.
pub(super) fn regime(asked: &Asked<'_>) -> Vec<Check> {
    vec![vol_premium(asked), trend(asked), adx(asked)]
}

fn vol_premium(asked: &Asked<'_>) -> Check {
    let reading = Reading::VolPremium;
    if !asked.kind.sells_credit() {
        return Check::skipped(reading, Reason::NotASeller);
    }
    let known = |it: Option<f64>| it.filter(|it| it.is_finite());
    let implied = known(asked.facts.implied);
    let realised = known(asked.facts.indicators.rv20);
    let missing = if implied.is_none() { Reason::ImpliedMissing } else { Reason::RealisedMissing };
    let premium = implied.zip(realised).and_then(|(implied, realised)| Value::number(implied - realised));
    let bound = Bound::Above(asked.set.regime.vol_premium_min);
    Check::of(reading, premium, bound, Reason::PremiumNotPositive, missing)
}

fn trend(asked: &Asked<'_>) -> Check {
    let against = match asked.kind {
        Kind::CreditCallSpread => "bull",
        Kind::CreditPutSpread => "bear",
        Kind::IronCondor
        | Kind::IronButterfly
        | Kind::Butterfly
        | Kind::Wheel
        | Kind::CashSecuredPut
        | Kind::CoveredCall => return Check::skipped(Reading::Trend, Reason::NotAsked),
    };
    if !asked.set.regime.trend {
        return Check::skipped(Reading::Trend, Reason::SwitchedOff);
    }
    let trend = Trend::of(asked).and_then(|it| Value::word(it.as_str()));
    let bound = Bound::is_not(against, "neutral");
    Check::of(Reading::Trend, trend, bound, Reason::TrendConflict, Reason::TrendMissing)
}

fn adx(asked: &Asked<'_>) -> Check {
    let own = asked.set.regime.adx_max;
    let limit = if asked.kind == Kind::IronCondor { own.or(Some(ADX_MAX)) } else { own };
    let Some(limit) = limit else { return Check::skipped(Reading::Adx, Reason::NotAsked) };
    let adx = asked.facts.indicators.adx14.and_then(Value::number);
    Check::of(Reading::Adx, adx, Bound::Below(limit), Reason::AdxHigh, Reason::AdxMissing)
}

/// Stage E3.
pub(super) fn iv_rank(asked: &Asked<'_>) -> Vec<Check> {
    let Some(range) = asked.set.entry.iv_rank else {
        return vec![Check::skipped(Reading::IvRank, Reason::NotAsked)];
    };
    let (rank, missing) = match &asked.facts.iv {
        None => (None, Reason::IvMissing),
        Some(Standing::Ranked(it)) => (Value::number(it.rank), Reason::HistoryUnusable),
        Some(Standing::Unranked(NoRank::Insufficient { .. })) => (None, Reason::InsufficientHistory),
        Some(Standing::Unranked(NoRank::Gap { .. })) => (None, Reason::HistoryGap),
        Some(Standing::Unranked(NoRank::Flat | NoRank::NotAVol { .. } | NoRank::Unsorted(_))) => {
            (None, Reason::HistoryUnusable)
        }
    };
    let bound = Bound::Within { low: range.min, high: range.max };
    vec![Check::of(Reading::IvRank, rank, bound, Reason::IvRankOutside, missing)]
}
