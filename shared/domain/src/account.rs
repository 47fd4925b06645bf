//! Users, accounts, limits and the switches that let orders out.

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, AccountNumber, UserId};
use crate::money::Usd;
use crate::secret::Token;
use crate::time::UtcNanos;

/// Where an account's orders go. A position keeps the environment it was opened in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Our own fills, no broker.
    Paper,
    /// The broker's sandbox host, or ours.
    Sandbox,
    /// Real money.
    Live,
}

impl Environment {
    /// The name in rows and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Sandbox => "sandbox",
            Self::Live => "live",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Paper, Self::Sandbox, Self::Live].into_iter().find(|it| it.as_str() == text)
    }
}

/// How the broker keeps the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountType {
    /// Margin.
    Margin,
    /// Margin, flagged as pattern day trader.
    Pdt,
    /// Cash.
    Cash,
}

impl AccountType {
    /// The name in rows and messages, as Tradier spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Margin => "margin",
            Self::Pdt => "pdt",
            Self::Cash => "cash",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Margin, Self::Pdt, Self::Cash].into_iter().find(|it| it.as_str() == text)
    }
}

/// An account as workers that serve all users get it: nothing but who and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountRef {
    /// Its owner; every statement about it runs as this user.
    pub user: UserId,
    /// The account.
    pub account: AccountId,
    /// Where its orders go.
    pub environment: Environment,
}

/// What the broker says of an account's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Balances {
    /// How the broker keeps it.
    pub account_type: AccountType,
    /// Cash and market value.
    pub total_equity: Usd,
    /// Cash alone.
    pub total_cash: Usd,
    /// Margin and pdt accounts: what options may cost.
    pub option_buying_power: Option<Usd>,
    /// Pdt accounts: four times what long options may cost.
    pub day_trade_buying_power: Option<Usd>,
    /// Cash accounts: what may be spent.
    pub cash_available: Option<Usd>,
    /// Cash accounts: proceeds that have not settled.
    pub unsettled_funds: Option<Usd>,
    /// Realised today, as the broker counts it.
    pub close_pl: Usd,
    /// Unrealised, as the broker counts it.
    pub open_pl: Usd,
    /// Orders the broker has working.
    pub pending_orders: u32,
}

impl Balances {
    /// What the account can really use for long options, `None` when the block of its type is missing.
    ///
    /// Margin: option buying power. Pdt: the smaller of option and day-trade buying power. Cash: the smaller of
    /// available and settled. Working orders are taken off by the broker already where it counts them; ours are
    /// taken off by the caller.
    pub fn usable(&self) -> Option<Usd> {
        match self.account_type {
            AccountType::Margin => self.option_buying_power,
            AccountType::Pdt => Some(self.option_buying_power?.min(self.day_trade_buying_power?)),
            AccountType::Cash => {
                let available = self.cash_available?;
                Some(available.min(self.total_cash - self.unsettled_funds.unwrap_or(Usd::ZERO)))
            }
        }
    }
}

/// What a user lets us risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RiskLimits {
    /// Largest loss planned for one trade.
    pub max_risk_per_trade: Usd,
    /// Open and working premium plus today's loss stay at or under this.
    pub daily_loss_limit: Usd,
    /// Entries a day.
    pub max_trades_per_day: u32,
    /// Contracts in one order.
    pub max_contracts: u32,
    /// Losses in a row after which the user pauses for the day.
    pub pause_after_losses: u32,
    /// Equity under which 0DTE is refused.
    pub zero_dte_floor: Usd,
    /// Net contracts in one SPX direction, over all families.
    pub max_direction_contracts: u32,
}

impl Default for RiskLimits {
    fn default() -> Self {
        Self {
            max_risk_per_trade: Usd::from_dollars(500),
            daily_loss_limit: Usd::from_dollars(2_000),
            max_trades_per_day: 6,
            max_contracts: 5,
            pause_after_losses: 3,
            zero_dte_floor: Usd::from_dollars(2_500),
            max_direction_contracts: 10,
        }
    }
}

/// A user's choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserSettings {
    /// The third of the four lights: this user's setups become orders.
    pub spx_auto_execute: bool,
    /// When they consented to being traded for.
    pub consent_at: Option<UtcNanos>,
    /// Their limits.
    pub limits: RiskLimits,
    /// Their own choice about the flatten; `None` takes the deployment's.
    pub force_flatten: Option<bool>,
    /// Whether the flatten may close what they opened by hand.
    pub flatten_foreign: bool,
    /// Share of a position closed at T1, in basis points.
    pub t1_fraction_bp: u32,
}

impl Default for UserSettings {
    fn default() -> Self {
        Self {
            spx_auto_execute: false,
            consent_at: None,
            limits: RiskLimits::default(),
            force_flatten: None,
            flatten_foreign: false,
            t1_fraction_bp: 5_000,
        }
    }
}

/// Whether a credential works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialStatus {
    /// Its last use or test succeeded.
    Active,
    /// The broker refused it.
    Refused,
    /// Taken out by its owner.
    Removed,
}

impl CredentialStatus {
    /// The name in rows and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Refused => "refused",
            Self::Removed => "removed",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Refused, Self::Removed].into_iter().find(|it| it.as_str() == text)
    }
}

/// What the database knows of a credential: never the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialRecord {
    /// Whose.
    pub account: AccountRef,
    /// The secret's name in Secrets Manager.
    pub secret: String,
    /// The account number's last four characters.
    pub last4: String,
    /// Whether it works.
    pub status: CredentialStatus,
    /// When balances were last read with it: the fourth light, while under 24 hours old.
    pub proof_at: Option<UtcNanos>,
}

/// What a secret holds. No serde, no printing.
#[derive(Debug, Clone)]
pub struct BrokerCredential {
    /// Whose.
    pub account: AccountRef,
    /// The bearer token.
    pub token: Token,
    /// The broker's number of the account.
    pub number: AccountNumber,
    /// Whether the flatten may close foreign positions: known also while the database is down.
    pub flatten_foreign: bool,
}

/// The switches of a deployment. A missing or unreadable one is its safe value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Switches {
    /// `TRADIER_EXECUTION_ENABLED`: routes opening orders at all.
    pub execution_enabled: bool,
    /// `TRADIER_SANDBOX`: anything but the literal `false` means sandbox.
    pub sandbox: bool,
    /// `TRADIER_EXECUTION_PRODUCTION_ENABLED`, alias `LIVE_TRADING`: second key for the live host.
    pub production_enabled: bool,
    /// `TRADIER_PORTFOLIO_SYNC_ENABLED`.
    pub portfolio_sync: bool,
    /// `TRADIER_POSITION_RECONCILIATION_ENABLED`.
    pub reconciliation: bool,
    /// `TRADIER_FORCE_FLATTEN_ENABLED`: for accounts without a choice of their own.
    pub force_flatten: bool,
    /// `TRADIER_FORCE_FLATTEN_MINUTES_BEFORE_CLOSE`.
    pub flatten_minutes: u32,
    /// `TRADIER_FORCE_FLATTEN_WATCHDOG_MINUTES`.
    pub watchdog_minutes: u32,
    /// `TRADIER_FORCE_FLATTEN_INCLUDE_FOREIGN`.
    pub include_foreign: bool,
    /// `DISALLOW_MARKET_ORDERS`.
    pub disallow_market_orders: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            execution_enabled: false,
            sandbox: true,
            production_enabled: false,
            portfolio_sync: false,
            reconciliation: false,
            force_flatten: false,
            flatten_minutes: 15,
            watchdog_minutes: 13,
            include_foreign: false,
            disallow_market_orders: true,
        }
    }
}

/// A setting that cannot be read, and the nearest one that can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwitchError {
    /// No such variable.
    #[error("unknown setting {name}: did you mean {nearest}?")]
    Unknown {
        /// What was set.
        name: String,
        /// The closest known name.
        nearest: &'static str,
    },
    /// Not a number in range.
    #[error("{name}={value:?} is not a whole number of minutes from 1 to 60")]
    NotMinutes {
        /// The variable.
        name: String,
        /// What it held.
        value: String,
    },
}

/// Every `TRADIER_*` variable there is.
pub const KNOWN_VARIABLES: [&str; 12] = [
    "TRADIER_EXECUTION_ENABLED",
    "TRADIER_SANDBOX",
    "TRADIER_EXECUTION_PRODUCTION_ENABLED",
    "TRADIER_PORTFOLIO_SYNC_ENABLED",
    "TRADIER_POSITION_RECONCILIATION_ENABLED",
    "TRADIER_FORCE_FLATTEN_ENABLED",
    "TRADIER_FORCE_FLATTEN_MINUTES_BEFORE_CLOSE",
    "TRADIER_FORCE_FLATTEN_WATCHDOG_MINUTES",
    "TRADIER_FORCE_FLATTEN_INCLUDE_FOREIGN",
    "TRADIER_BASE_URL",
    "TRADIER_API_TOKEN",
    "TRADIER_ACCOUNT_ID",
];

impl Switches {
    /// Reads the switches from name-value pairs (the environment, as a value). Names outside `TRADIER_*`,
    /// `LIVE_TRADING` and `DISALLOW_MARKET_ORDERS` are none of its business.
    ///
    /// # Errors
    /// [`SwitchError`] for a `TRADIER_*` name that does not exist and for minutes that are not 1 to 60.
    pub fn from_vars<'a>(vars: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, SwitchError> {
        let mut it = Self::default();
        for (name, value) in vars {
            // Only the literals count: a typo in a value is the safe value, never the bold one.
            let is_true = value.trim().eq_ignore_ascii_case("true");
            let is_false = value.trim().eq_ignore_ascii_case("false");
            let minutes = || match value.trim().parse() {
                Ok(minutes @ 1..=60) => Ok(minutes),
                _ => Err(SwitchError::NotMinutes { name: name.to_owned(), value: value.to_owned() }),
            };
            match name {
                "TRADIER_EXECUTION_ENABLED" => it.execution_enabled = is_true,
                "TRADIER_SANDBOX" => it.sandbox = !is_false,
                "TRADIER_EXECUTION_PRODUCTION_ENABLED" | "LIVE_TRADING" => it.production_enabled |= is_true,
                "TRADIER_PORTFOLIO_SYNC_ENABLED" => it.portfolio_sync = is_true,
                "TRADIER_POSITION_RECONCILIATION_ENABLED" => it.reconciliation = is_true,
                "TRADIER_FORCE_FLATTEN_ENABLED" => it.force_flatten = is_true,
                "TRADIER_FORCE_FLATTEN_MINUTES_BEFORE_CLOSE" => it.flatten_minutes = minutes()?,
                "TRADIER_FORCE_FLATTEN_WATCHDOG_MINUTES" => it.watchdog_minutes = minutes()?,
                "TRADIER_FORCE_FLATTEN_INCLUDE_FOREIGN" => it.include_foreign = is_true,
                "DISALLOW_MARKET_ORDERS" => it.disallow_market_orders = !is_false,
                _ if name.starts_with("TRADIER_") && !KNOWN_VARIABLES.contains(&name) => {
                    return Err(SwitchError::Unknown { name: name.to_owned(), nearest: nearest(name) });
                }
                _ => {}
            }
        }
        Ok(it)
    }
}

/// The known variable with the smallest edit distance to `name`.
fn nearest(name: &str) -> &'static str {
    KNOWN_VARIABLES.into_iter().min_by_key(|known| edit_distance(name, known)).unwrap_or("TRADIER_SANDBOX")
}

/// Levenshtein distance over bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.bytes().enumerate() {
        let mut above_left = i;
        let mut left = i + 1;
        for (cell, cb) in row.iter_mut().skip(1).zip(b.bytes()) {
            let above = *cell;
            left = (above + 1).min(left + 1).min(above_left + usize::from(ca != cb));
            above_left = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_literal_false_leaves_the_sandbox_and_only_true_enables() {
        let read = |name, value| Switches::from_vars([(name, value)]).unwrap();
        for value in ["", "0", "no", "off", "flase", "true"] {
            assert!(read("TRADIER_SANDBOX", value).sandbox, "{value}");
        }
        assert!(!read("TRADIER_SANDBOX", "false").sandbox);
        for value in ["", "1", "yes", "ture"] {
            assert!(!read("TRADIER_EXECUTION_ENABLED", value).execution_enabled, "{value}");
        }
        assert!(read("LIVE_TRADING", "true").production_enabled);
    }

    #[test]
    fn a_mistyped_variable_names_the_nearest_known_one() {
        let error = Switches::from_vars([("TRADIER_EXECUTON_ENABLED", "true")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown setting TRADIER_EXECUTON_ENABLED: did you mean TRADIER_EXECUTION_ENABLED?"
        );
        assert!(Switches::from_vars([("TRADIER_FORCE_FLATTEN_WATCHDOG_MINUTES", "-1")]).is_err());
    }

    #[test]
    fn buying_power_is_read_from_the_block_of_its_type() {
        let base = Balances {
            account_type: AccountType::Margin,
            total_equity: Usd::from_dollars(100),
            total_cash: Usd::from_dollars(100),
            option_buying_power: Some(Usd::from_dollars(90)),
            day_trade_buying_power: Some(Usd::from_dollars(80)),
            cash_available: Some(Usd::from_dollars(70)),
            unsettled_funds: Some(Usd::from_dollars(40)),
            close_pl: Usd::ZERO,
            open_pl: Usd::ZERO,
            pending_orders: 0,
        };
        let usable = |account_type| Balances { account_type, ..base }.usable();
        assert_eq!(usable(AccountType::Margin), Some(Usd::from_dollars(90)));
        assert_eq!(usable(AccountType::Pdt), Some(Usd::from_dollars(80)));
        assert_eq!(usable(AccountType::Cash), Some(Usd::from_dollars(60)));
        assert_eq!(Balances { option_buying_power: None, ..base }.usable(), None);
    }
}
