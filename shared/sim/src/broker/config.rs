//! What a sandbox is told once, at its start.

use std::time::Duration;

use domain::account::AccountType;
use domain::calendar::Session;
use domain::fees::FeeSchedule;
use domain::ids::AccountNumber;
use domain::market::ListedSeries;
use domain::money::Usd;
use domain::secret::Token;
use jiff::civil::Date;
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
    /// What it does where sources differ or say nothing.
    #[serde(default)]
    pub practice: Practice,
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
            practice: Practice::USUAL,
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
    /// What options it may trade, 0 to 6: none, covered, long, spreads from 3 on. Naked from 5 on, where the
    /// [practice](Practice::naked_shorts) has it.
    pub option_level: u8,
    /// What it starts with.
    pub cash: Usd,
}

impl AccountConfig {
    /// An account that may trade options of every level.
    pub const fn full(number: AccountNumber, kind: AccountType, cash: Usd) -> Self {
        Self { number, kind, option_level: 6, cash }
    }
}

impl UserConfig {
    /// Somebody with one token and one account.
    pub fn with_account(id: &str, token: &str, account: AccountConfig) -> Self {
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            tokens: vec![Token::new(token)],
            accounts: vec![account],
        }
    }
}

/// What a broker does where sources differ or say nothing (TRADIER.md's marks of confidence).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "snake_case")]
pub struct Practice {
    /// Refuses a price off the tick grid with the placement, instead of rejecting the order after it (section 17.2).
    pub ticks_at_once: bool,
    /// Takes `SPX` alone for SPXW contracts (section 9.1).
    pub strict_symbol: bool,
    /// Lists working orders of earlier days (section 8.1).
    pub earlier_listed: bool,
    /// Rows of a page that asks for no number of them: the documented default is 25, the observed one everything.
    pub page_rows: usize,
    /// Shows `pending_cancel` between a cancel's answer and its effect (section 8.4).
    pub pending_cancel: bool,
    /// Shows `held` for orders that wait for another of their bracket, instead of `pending` (section 8.4).
    pub held: bool,
    /// Gives brackets their tag back (section 9.1).
    pub bracket_tags: bool,
    /// Never tells the average price of market orders, as the real sandbox (section 13).
    pub averages_missing: bool,
    /// Shows each day the equity it began with, as the real sandbox (section 6).
    pub equity_frozen: bool,
    /// Trades index options that do not expire today to 17:00 instead of 16:15 (section 17.3).
    pub curb_session: bool,
    /// Tells of each leg of an order of several on the account stream too (section 16.4).
    pub leg_events: bool,
    /// Lets options be sold without cover, against margin, from level 5 on.
    pub naked_shorts: bool,
    /// Shows gain and loss and account history only from the next day on (section 12).
    pub nightly: bool,
    /// The first date without pattern day traders: 2026-06-04 where firms do not phase in, 2027-10-20 at the latest
    /// (section 18).
    pub intraday_margin_from: Date,
}

impl Practice {
    /// What sources have most often.
    pub const USUAL: Self = Self {
        ticks_at_once: false,
        strict_symbol: false,
        earlier_listed: true,
        page_rows: 1_500,
        pending_cancel: false,
        held: false,
        bracket_tags: false,
        averages_missing: false,
        equity_frozen: false,
        curb_session: false,
        leg_events: false,
        naked_shorts: false,
        nightly: true,
        intraday_margin_from: jiff::civil::date(2026, 6, 4),
    };
}

impl Default for Practice {
    fn default() -> Self {
        Self::USUAL
    }
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
    /// From the placement, an execution or the end of an order until the order list shows it. An order asked for by its
    /// number shows them at once.
    pub list: Duration,
    /// From a cancel's request to its effect: a fill in between wins.
    pub cancel: Duration,
    /// From a change's request to its effect: until then the old terms work, and a fill wins.
    #[serde(default)]
    pub change: Duration,
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
        change: Duration::ZERO,
        average: Duration::ZERO,
        notice: Duration::from_millis(180),
        cleanup: Duration::from_secs(50),
        settle: Duration::from_secs(120),
    };

    /// As measured, for callers next door: what was measured includes the way there and back, 45 to 73 ms, so what a
    /// far caller finds done at first sight is done at once here.
    pub const NEAR: Self = Self { list: Duration::ZERO, cancel: Duration::ZERO, ..Self::USUAL };

    /// Everything at once.
    pub const NONE: Self = Self {
        accept: Duration::ZERO,
        fill: Duration::ZERO,
        list: Duration::ZERO,
        cancel: Duration::ZERO,
        change: Duration::ZERO,
        average: Duration::ZERO,
        notice: Duration::ZERO,
        cleanup: Duration::from_secs(50),
        settle: Duration::from_secs(120),
    };
}
