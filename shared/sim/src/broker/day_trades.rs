//! Day trades, as of the date: pattern day traders until the change of 2026, intraday margin after (TRADIER.md section
//! 18).
//!
//! Until then four day trades in five sessions make a margin account a pattern day trader's, who opens nothing below
//! 25,000 dollars of equity in the morning and nothing beyond four times the morning's buying power. Since then nobody
//! is designated and nothing is counted against anybody: an account must carry what it holds at every moment, which
//! buying power sees to with each order.

use domain::account::AccountType;
use domain::money::Usd;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::account::Account;
use super::ask::Ask;
use super::check::Refusal;

/// Day trades in this many sessions make a pattern.
pub(super) const SESSIONS: usize = 5;
/// The day trade that makes it one.
const PATTERN: u32 = 4;
/// What a pattern day trader must be worth when the session begins.
const MINIMUM: Usd = Usd::from_dollars(25_000);
/// Day-trading buying power over what options may cost.
const TIMES: i64 = 4;

/// The day trades of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DayTrades {
    /// Of each of the last five sessions with any, in order.
    counts: Vec<(Date, u32)>,
    /// The date whose session made it a pattern day trader.
    flagged: Option<Date>,
    /// What could be spent on openings when the session began, four times over.
    power: Usd,
    /// What openings of this session spent of it.
    used: Usd,
}

impl DayTrades {
    /// Counts one on `date`.
    pub(super) fn add(&mut self, date: Date) {
        match self.counts.last_mut() {
            Some((last, count)) if *last == date => *count = count.saturating_add(1),
            _ => self.counts.push((date, 1)),
        }
        let old = self.counts.len().saturating_sub(SESSIONS);
        self.counts.drain(..old);
    }

    /// Those of the sessions that count.
    pub fn count(&self) -> u32 {
        self.counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Counts what an opening spent.
    pub(super) fn spend(&mut self, amount: Usd) {
        self.used += amount.max(Usd::ZERO);
    }

    /// Begins a session, `first` being the oldest one that still counts.
    pub(super) fn begin(&mut self, first: Date, power: Usd) {
        self.counts.retain(|(date, _)| *date >= first);
        (self.power, self.used) = (power.max(Usd::ZERO).times(TIMES), Usd::ZERO);
    }
}

impl Account {
    /// How balances show it: a margin account that was flagged is a `pdt` one there, and still `margin` in the profile.
    pub(super) fn shown_kind(&self) -> AccountType {
        match self.kind {
            AccountType::Margin if self.day_trades.flagged.is_some() => AccountType::Pdt,
            AccountType::Margin | AccountType::Pdt | AccountType::Cash => self.kind,
        }
    }
}

impl Sandbox {
    /// Whether pattern day traders exist on this session's date.
    fn patterns(&self) -> bool {
        self.session.date < self.rules.practice.intraday_margin_from
    }

    /// Counts a day trade, which may make a margin account a pattern day trader.
    pub(super) fn count_day_trade(&mut self, account: &str) {
        let (date, patterns) = (self.session.date, self.patterns());
        let Some(account) = self.accounts.get_mut(account) else { return };
        account.day_trades.add(date);
        if patterns && account.kind == AccountType::Margin && account.day_trades.count() >= PATTERN {
            account.day_trades.flagged.get_or_insert(date);
        }
    }

    /// What the rule of the date says of an opening order that ties up `needed`.
    pub(super) fn day_trading_allows(
        &self,
        account: &Account,
        ask: &Ask,
        needed: Usd,
    ) -> Result<(), Refusal> {
        if !self.patterns() || !ask.opens() || account.shown_kind() != AccountType::Pdt {
            return Ok(());
        }
        if account.equity_at_open < MINIMUM {
            let today = account.day_trades.flagged == Some(self.session.date);
            let code = if today { "DayTraderPatternRestriction" } else { "TooSmallEquityForDayTrading" };
            return Err(Refusal::code(code));
        }
        let left = account.day_trades.power - account.day_trades.used - account.tied;
        if needed > left { Err(Refusal::code("DayTradingBuyingPowerExceeded")) } else { Ok(()) }
    }
}
