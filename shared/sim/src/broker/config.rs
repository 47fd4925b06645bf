//! What a sandbox is told once, at its start.

use std::time::Duration;

use domain::account::AccountType;
use domain::calendar::Session;
use domain::fees::FeeSchedule;
use domain::ids::AccountNumber;
use domain::market::ListedSeries;
use domain::money::Usd;
use domain::secret::Token;
use serde::{Deserialize, Serialize};

/// How a sandbox starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// The session it trades.
    pub session: Session,
    /// Who may call it.
    pub users: Vec<UserConfig>,
    /// What it lists. A series that is quoted later is listed from then on.
    pub series: Vec<ListedSeries>,
    /// Everything that does not change while it runs.
    pub rules: Rules,
}

/// Everything about a sandbox that does not change while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// What executions cost.
    pub fees: FeeSchedule,
    /// How many requests a minute it takes.
    pub limits: Limits,
    /// How long its steps take, in market time.
    pub latencies: Latencies,
    /// Where its draws come from.
    pub seed: u64,
    /// The number of its first order.
    pub first_order_id: u64,
}

impl Rules {
    /// Live limits, usual latencies, Tradier's fees.
    pub const fn live(seed: u64) -> Self {
        Self {
            fees: FeeSchedule::TRADIER,
            limits: Limits::Live,
            latencies: Latencies::USUAL,
            seed,
            first_order_id: 141_000_001,
        }
    }
}

/// Somebody with tokens and accounts.
#[derive(Debug, Clone)]
pub struct UserConfig {
    /// The id shown in the profile, without blanks.
    pub id: String,
    /// The name shown in the profile.
    pub name: String,
    /// Tokens that are this user. Kept only as hashes.
    pub tokens: Vec<Token>,
    /// The user's accounts.
    pub accounts: Vec<AccountConfig>,
}

/// One account at its start.
#[derive(Debug, Clone)]
pub struct AccountConfig {
    /// Its number, such as `VA00000001`.
    pub number: AccountNumber,
    /// Margin, pattern day trader or cash.
    pub kind: AccountType,
    /// What options it may trade, 0 to 6: none, covered, long, spreads from 3 on. No level may be naked.
    pub option_level: u8,
    /// What it starts with.
    pub cash: Usd,
}

/// Requests a minute, by group (TRADIER.md section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limits {
    /// 120 reads, 120 market data, 60 trading.
    Live,
    /// 60 each.
    Sandbox,
    /// Never refused.
    Off,
}

/// How long the broker's steps take, in market time (TRADIER.md sections 9.2, 8.4, 16.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    /// From the placement to `open` (or to `rejected`).
    pub accept: Duration,
    /// From `open`, or a change, to the first moment it can execute.
    pub fill: Duration,
    /// From the placement until the order list shows it.
    pub list: Duration,
    /// From a cancel's request to its effect: a fill in between wins.
    pub cancel: Duration,
    /// From a fill until its price and quantity show; the status shows at once.
    pub average: Duration,
    /// From a fact to its event on the account stream.
    pub notice: Duration,
    /// From the close to the end of day orders that can no longer execute.
    pub cleanup: Duration,
    /// From the close to the cash of what settles.
    pub settle: Duration,
}

impl Latencies {
    /// What was measured at Tradier.
    pub const USUAL: Self = Self {
        accept: Duration::from_millis(60),
        fill: Duration::from_millis(40),
        list: Duration::from_millis(40),
        cancel: Duration::from_millis(40),
        average: Duration::ZERO,
        notice: Duration::from_millis(180),
        cleanup: Duration::from_secs(50),
        settle: Duration::from_secs(120),
    };

    /// Everything at once.
    pub const NONE: Self = Self {
        accept: Duration::ZERO,
        fill: Duration::ZERO,
        list: Duration::ZERO,
        cancel: Duration::ZERO,
        average: Duration::ZERO,
        notice: Duration::ZERO,
        cleanup: Duration::from_secs(50),
        settle: Duration::from_secs(120),
    };
}
