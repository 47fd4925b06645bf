//! A strategy's row: what it trades, when it enters and leaves, and how much.

mod limits;
mod presets;

use domain::money::Usd;
use domain::symbol::{Right, Underlying};
use jiff::civil::Time;
use serde::{Deserialize, Serialize};

pub use limits::{BadStrategy, Violation};
pub use presets::{Preset, preset};

/// What a strategy trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A put spread and a call spread, both sold.
    IronCondor,
    /// A put spread, sold.
    CreditPutSpread,
    /// A call spread, sold.
    CreditCallSpread,
    /// A put and a call of one strike sold, wings bought.
    #[serde(alias = "iron_fly")]
    IronButterfly,
    /// Two sold between two bought, for a debit.
    Butterfly,
    /// Puts until assigned, then calls on the shares.
    Wheel,
    /// A put sold against cash.
    CashSecuredPut,
    /// A call sold against shares.
    CoveredCall,
}

/// Every name that a row may carry; the alias last.
pub const NAMES: [(&str, Kind); 9] = [
    ("iron_condor", Kind::IronCondor),
    ("credit_put_spread", Kind::CreditPutSpread),
    ("credit_call_spread", Kind::CreditCallSpread),
    ("iron_butterfly", Kind::IronButterfly),
    ("butterfly", Kind::Butterfly),
    ("wheel", Kind::Wheel),
    ("cash_secured_put", Kind::CashSecuredPut),
    ("covered_call", Kind::CoveredCall),
    ("iron_fly", Kind::IronButterfly),
];

impl Kind {
    /// The canonical name.
    pub fn as_str(self) -> &'static str {
        NAMES.iter().find(|it| it.1 == self).map_or("", |it| it.0)
    }

    /// Reads a name, the alias included.
    pub fn parse(text: &str) -> Option<Self> {
        NAMES.iter().find(|it| it.0 == text).map(|it| it.1)
    }

    /// Whether it takes in a premium.
    pub const fn sells_credit(self) -> bool {
        match self {
            Self::IronCondor
            | Self::CreditPutSpread
            | Self::CreditCallSpread
            | Self::IronButterfly
            | Self::Wheel
            | Self::CashSecuredPut
            | Self::CoveredCall => true,
            Self::Butterfly => false,
        }
    }

    /// Whether it buys wings.
    pub const fn has_wings(self) -> bool {
        match self {
            Self::IronCondor
            | Self::CreditPutSpread
            | Self::CreditCallSpread
            | Self::IronButterfly
            | Self::Butterfly => true,
            Self::Wheel | Self::CashSecuredPut | Self::CoveredCall => false,
        }
    }

    /// Whether it is a condor to the caps and the limit of ADX: both sides are short.
    pub const fn is_condor(self) -> bool {
        matches!(self, Self::IronCondor | Self::IronButterfly)
    }
}

/// A strategy whose settings were checked. There is no other way to one: what is read back is checked again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Settings", into = "Settings")]
pub struct Strategy(Settings);

impl Strategy {
    /// Reads a row.
    ///
    /// # Errors
    /// [`BadStrategy`] names every field that is wrong and what was expected there.
    pub fn parse(json: &str) -> Result<Self, BadStrategy> {
        let settings: Settings = serde_json::from_str(json).map_err(|it| BadStrategy::unread(json, &it))?;
        Self::try_from(settings)
    }

    /// What it is set to.
    pub const fn settings(&self) -> &Settings {
        &self.0
    }
}

impl TryFrom<Settings> for Strategy {
    type Error = BadStrategy;
    fn try_from(it: Settings) -> Result<Self, BadStrategy> {
        limits::check(&it)?;
        Ok(Self(it))
    }
}

impl From<Strategy> for Settings {
    fn from(it: Strategy) -> Self {
        it.0
    }
}

/// The settings of a strategy, as a row holds them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Its name, unique to its owner.
    pub name: String,
    /// What it trades.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// On what.
    pub underlying: Underlying,
    /// Whether it is scanned.
    pub enabled: bool,
    /// When it enters.
    pub entry: Entry,
    /// When it leaves.
    #[serde(default)]
    pub exit: Exit,
    /// What the market must be like.
    #[serde(default)]
    pub regime: Regime,
    /// What can be traded.
    #[serde(default)]
    pub liquidity: Liquidity,
    /// Open positions at most.
    pub max_positions: u32,
    /// How much.
    pub size: Size,
    /// Where, by preference.
    pub preferred_broker: String,
}

/// Entry conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// The least days to expiry.
    pub min_dte: u16,
    /// The most.
    pub max_dte: u16,
    /// The short strikes' delta, without its sign; of a butterfly the body's.
    pub delta: f64,
    /// The grid's other deltas are so far to either side; 0 for none.
    #[serde(default = "delta_step")]
    pub delta_step: f64,
    /// Widths of the wings in points of the underlying; empty for strategies of one leg.
    #[serde(default)]
    pub widths: Vec<f64>,
    /// Expirations of the range that are tried, those nearest to its middle.
    #[serde(default = "expirations_max")]
    pub expirations_max: u16,
    /// Whether a butterfly is of calls or puts.
    #[serde(default = "butterfly_right")]
    pub butterfly_right: Right,
    /// What gamma may lose on a move of 1 %, as a part of the most that can be lost.
    #[serde(default = "gamma_loss_max")]
    pub gamma_loss_max: f64,
    /// What an entry gives away of half the quotes' width, and an exit where none was seen yet.
    #[serde(default = "slippage")]
    pub slippage: f64,
    /// IV ranks it enters at.
    pub iv_rank: Option<Range>,
    /// Its own hours, New York wall time.
    pub hours: Option<Hours>,
    /// No entry in the session's last minutes: so many.
    #[serde(default = "cutoff_minutes")]
    pub cutoff_minutes: u16,
    /// Days after the expiration up to which earnings count as inside.
    #[serde(default)]
    pub earnings_days: u16,
    /// An ex-dividend date within so many days is near to a short call that lives to see it.
    #[serde(default = "ex_dividend_days")]
    pub ex_dividend_days: u16,
    /// Whether calls may be struck under the shares' cost.
    #[serde(default)]
    pub below_cost_basis: bool,
}

const fn delta_step() -> f64 {
    0.04
}
const fn expirations_max() -> u16 {
    4
}
const fn butterfly_right() -> Right {
    Right::Call
}
const fn gamma_loss_max() -> f64 {
    0.5
}
const fn slippage() -> f64 {
    0.5
}
const fn cutoff_minutes() -> u16 {
    30
}
const fn ex_dividend_days() -> u16 {
    7
}

/// A closed range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

/// Hours of the day, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// From.
    pub from: Time,
    /// Up to.
    pub to: Time,
}

/// Exit conditions; what is not set is not asked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exit {
    /// Whether it is held to expiry, where a cash-settled leg pays no closing charges.
    #[serde(default)]
    pub hold_to_expiry: bool,
    /// Takes its profit.
    pub profit: Option<Profit>,
    /// Stops its loss.
    pub stop: Option<Stop>,
    /// Leaves at so many days to expiry.
    pub time_stop_dte: Option<u16>,
    /// Leaves at this time of the last day.
    pub time_stop_at: Option<Time>,
    /// Closes a position that expires today so many minutes before its last trade.
    pub close_buffer_minutes: Option<u16>,
}

/// A profit target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Profit {
    /// Percent of the credit that was received, or of the debit that was paid.
    PctOfPremium(f64),
    /// Dollars a unit.
    Dollars(f64),
    /// Once it made `arm` percent, leaves when `give_back` percent of the best are gone.
    #[serde(rename_all = "camelCase")]
    Trailing {
        /// Percent of the premium from which it trails.
        arm: f64,
        /// Percent of the best profit that may be given back.
        give_back: f64,
    },
}

/// A stop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Stop {
    /// Percent of the credit or debit.
    PctOfPremium(f64),
    /// Dollars a unit.
    Dollars(f64),
}

/// The regime's thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Regime {
    /// E1: whether an inverted term structure stops it.
    pub term_structure: bool,
    /// Implied less realised volatility must be above, a fraction.
    pub vol_premium_min: f64,
    /// Whether a trend against its short side stops a spread.
    pub trend: bool,
    /// ADX(14) must be under; always asked of iron condors.
    pub adx_max: Option<f64>,
}

impl Default for Regime {
    fn default() -> Self {
        Self { term_structure: true, vol_premium_min: 0.0, trend: true, adx_max: None }
    }
}

/// ADX(14) of an iron condor that sets no limit of its own.
pub(super) const ADX_MAX: f64 = 25.0;

/// The five factors of liquidity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Liquidity {
    /// Ask less bid, percent of mid, at most.
    pub spread_pct_max: f64,
    /// A quote so many ticks wide is never too wide: cheap wings are quoted no closer.
    pub spread_ticks: u16,
    /// Contracts traded, at least; `null` where it is not asked.
    pub volume_min: Option<u32>,
    /// Contracts open, at least; `null` where it is not asked, as for series listed today.
    pub open_interest_min: Option<u32>,
    /// The underlying's volume as a part of its average, at least.
    pub underlying_volume_min: Option<f64>,
}

impl Default for Liquidity {
    fn default() -> Self {
        Self {
            spread_pct_max: 10.0,
            spread_ticks: 2,
            volume_min: Some(1),
            open_interest_min: Some(10),
            underlying_volume_min: Some(0.3),
        }
    }
}

/// Position size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Size {
    /// So many units.
    Fixed(u32),
    /// As many units as lose no more than `usd` at worst, and no more than `units_max`.
    #[serde(rename_all = "camelCase")]
    Risk {
        /// Dollars.
        usd: Usd,
        /// Units at most.
        units_max: u32,
    },
}
