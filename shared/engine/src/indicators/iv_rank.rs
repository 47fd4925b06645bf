//! Where today's implied volatility stands among those of the last 52 weeks.
//!
//! Days that are missing stay missing: nothing is filled in between. With too few days, or with a hole long enough to
//! have hidden a high, there is no rank but a reason. SPX alone starts cold: while its own history is short, VIX stands
//! for it, today's value and history both, so that like is compared with like.

use domain::symbol::Underlying;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Days that are looked back.
const WEEKS: i32 = 52;
/// The fewest known days of about 252.
pub const DAYS_MIN: usize = 200;
/// The longest stretch without a value, in calendar days: three weeks.
pub const GAP_DAYS_MAX: i32 = 21;
/// Volatilities above are no volatilities: 10,000 %.
const VOL_MAX: f64 = 100.0;

/// The implied volatility of one day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DailyIv {
    /// The session.
    pub date: Date,
    /// A fraction: 0.2 is 20 %.
    pub iv: f64,
}

/// What was ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The underlying's own implied volatility.
    Own,
    /// VIX, in its place.
    Vix,
}

/// The standing of today's value; today's counts among the 52 weeks'.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IvRank {
    /// (IV - low)/(high - low), 0 to 1.
    pub rank: f64,
    /// The share of the earlier days below today's value, 0 to 1.
    pub percentile: f64,
    /// The least of the 52 weeks.
    pub low: f64,
    /// The most.
    pub high: f64,
    /// Earlier days that are known.
    pub days: usize,
    /// What was ranked.
    pub source: Source,
}

/// Why there is no rank.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoRank {
    /// Too few days.
    #[error("{days} days of the last 52 weeks are known: a rank takes {DAYS_MIN}")]
    Insufficient {
        /// How many there are.
        days: usize,
    },
    /// A hole.
    #[error("nothing is known from {after} to {before}: import these days")]
    Gap {
        /// The last known day before.
        after: Date,
        /// The first known day after it.
        before: Date,
    },
    /// It never moved: there is no range to stand in.
    #[error("the implied volatility never moved in 52 weeks: check where the history comes from")]
    Flat,
    /// Not a volatility.
    #[error("the implied volatility of {date} is {iv:?}: expected a fraction above 0, up to 100")]
    NotAVol {
        /// The day.
        date: Date,
        /// Its value.
        iv: f64,
    },
    /// Days out of order.
    #[error("{0} does not follow the day before it: sort the history by date, one row a day")]
    Unsorted(Date),
}

impl NoRank {
    /// The reason code that a decision stores.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Insufficient { .. } => "insufficient_history",
            Self::Gap { .. } => "history_gap",
            Self::Flat => "flat_history",
            Self::NotAVol { .. } => "bad_volatility",
            Self::Unsorted(_) => "unsorted_history",
        }
    }
}

/// Ranks `today` among its `history`; days from `today.date` on are not looked at.
///
/// # Errors
/// [`NoRank`] with its reason.
pub fn iv_rank(today: DailyIv, history: &[DailyIv]) -> Result<IvRank, NoRank> {
    rank(today, history, Source::Own)
}

/// The same for `underlying`, which VIX may stand for while its own history is too short or has a hole: SPX alone.
///
/// # Errors
/// [`NoRank`] of the underlying's own history, where VIX does not help either.
pub fn iv_rank_or_vix(
    underlying: Underlying,
    today: DailyIv,
    history: &[DailyIv],
    vix: Option<(DailyIv, &[DailyIv])>,
) -> Result<IvRank, NoRank> {
    let own = iv_rank(today, history);
    let is_short = matches!(own, Err(NoRank::Insufficient { .. } | NoRank::Gap { .. }));
    match vix {
        Some((today, history)) if is_short && underlying == Underlying::SPX => {
            rank(today, history, Source::Vix).or(own)
        }
        _ => own,
    }
}

fn rank(today: DailyIv, history: &[DailyIv], source: Source) -> Result<IvRank, NoRank> {
    check(&today)?;
    let since = today.date.saturating_sub(jiff::Span::new().weeks(WEEKS));
    let in_order = history.iter().zip(history.iter().skip(1)).find(|(a, b)| a.date >= b.date);
    if let Some((_, late)) = in_order {
        return Err(NoRank::Unsorted(late.date));
    }
    let window = || history.iter().filter(|it| since <= it.date && it.date < today.date);
    let (mut low, mut high, mut days, mut below, mut known_to) =
        (today.iv, today.iv, 0_usize, 0_usize, since);
    for it in window() {
        check(it)?;
        low = low.min(it.iv);
        high = high.max(it.iv);
        days += 1;
        below += usize::from(it.iv < today.iv);
    }
    if days < DAYS_MIN {
        return Err(NoRank::Insufficient { days });
    }
    for next in window().map(|it| it.date).chain([today.date]) {
        if (next - known_to).get_days() > GAP_DAYS_MAX {
            return Err(NoRank::Gap { after: known_to, before: next });
        }
        known_to = next;
    }
    if low >= high {
        return Err(NoRank::Flat);
    }
    let percentile = below as f64 / days as f64;
    Ok(IvRank { rank: (today.iv - low) / (high - low), percentile, low, high, days, source })
}

fn check(it: &DailyIv) -> Result<(), NoRank> {
    if it.iv > 0.0 && it.iv <= VOL_MAX { Ok(()) } else { Err(NoRank::NotAVol { date: it.date, iv: it.iv }) }
}
