//! The portfolio that a decision is asked against.

use domain::money::Usd;
use domain::symbol::{OccSymbol, Underlying};
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::strategy::Kind;

/// What one account holds and may hold. The default knows nothing: what stands on it is then not known either.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Portfolio {
    /// The broker at which it would be opened.
    #[serde(default)]
    pub broker: String,
    /// Legs that are open or worked, at any broker.
    #[serde(default)]
    pub open_legs: Vec<OpenLeg>,
    /// Structures that are open or worked.
    #[serde(default)]
    pub positions: Vec<OpenPosition>,
    /// Cash that no order or put claims yet.
    pub cash: Option<Usd>,
    /// Shares of the underlying; `None` where the broker's positions were not read.
    pub shares: Option<Shares>,
    /// When the day's books agreed with the broker's.
    pub reconciled_at: Option<UtcNanos>,
    /// The book's figures.
    pub book: Option<BookGreeks>,
    /// What the day has lost so far, realised and unrealised, above 0 for a loss.
    pub day_loss: Option<Usd>,
    /// Caps.
    #[serde(default)]
    pub caps: Caps,
}

/// A leg that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenLeg {
    /// Where.
    pub broker: String,
    /// The series.
    pub series: OccSymbol,
    /// Contracts, negative when short.
    pub quantity: i64,
}

/// A structure that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenPosition {
    /// The strategy that opened it.
    pub strategy: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// On what.
    pub underlying: Underlying,
    /// Until when.
    pub expiry: Date,
}

/// Shares of the underlying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shares {
    /// Those that no call claims yet.
    pub free: u32,
    /// What one cost, less the premiums that were received for it.
    pub cost_basis: Option<Usd>,
}

/// The book's figures in dollars; see [`Reading`](super::Reading) for what each is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BookGreeks {
    /// Delta x 100 x S.
    pub delta: f64,
    /// Gamma x 100 x S^2 x 0.01: what delta changes by on a move of 1 %.
    pub gamma: f64,
    /// Vega a volatility point, x sqrt(30/max(DTE, 1)).
    pub vega: f64,
}

/// Caps on the book after the trade. What is not set is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Caps {
    /// On delta, in dollars.
    pub delta: Option<f64>,
    /// On gamma, in dollars for 1 %.
    pub gamma: Option<f64>,
    /// On vega, in dollars a point.
    pub vega: Option<f64>,
    /// Structures on one underlying.
    pub per_underlying: Option<u32>,
    /// Condors on one expiration.
    pub max_condors_per_expiry: Option<u32>,
    /// Dollars that one trade may lose.
    pub per_trade_loss: Option<Usd>,
    /// Dollars that a day may lose.
    pub daily_loss: Option<Usd>,
}
