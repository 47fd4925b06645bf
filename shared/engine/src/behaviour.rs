//! What a member is told about their own account (spec 3, "Portfolio sync"): buying power, day trades, the floors of the
//! policy. It decides nothing: the gates do.

use domain::account::{AccountType, Balances, RiskLimits};
use domain::money::Usd;

use crate::daytrade::{PDT_DAY_TRADES, PDT_EQUITY, Rule};

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The balances as they are.
    pub balances: &'a Balances,
    /// The balances stored before; `None` for the first of the session.
    pub before: Option<&'a Balances>,
    /// The user's limits.
    pub limits: &'a RiskLimits,
    /// What working entries may still cost.
    pub working_debits: Usd,
    /// Day trades in the last five sessions.
    pub day_trades: u32,
    /// The rule in force.
    pub rule: Rule,
}

/// A reason to tell, and in which words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// A code.
    pub reason: &'static str,
    /// In words.
    pub text: String,
}

/// The floors of the policy an account's equity is held against: under the first 0DTE is refused, under the second, where
/// the rule counts, day trades are.
pub fn floors(limits: &RiskLimits, rule: Rule) -> Vec<Usd> {
    match rule {
        Rule::PdtLegacy => vec![limits.zero_dte_floor, PDT_EQUITY],
        Rule::IntradayMargin => vec![limits.zero_dte_floor],
    }
}

/// The floor that equity crossed between two balances, in either direction.
pub fn crossed(before: Usd, now: Usd, floors: &[Usd]) -> Option<Usd> {
    floors.iter().copied().find(|floor| (before < *floor) != (now < *floor))
}

/// What there is to tell.
pub fn notices(it: &Standing<'_>) -> Vec<Notice> {
    [buying_power(it), day_trades(it), floor(it)].into_iter().flatten().collect()
}

/// Less than one trade's risk is left, or there is a call.
fn buying_power(it: &Standing<'_>) -> Option<Notice> {
    let called = it.balances.option_buying_power.filter(|power| *power < Usd::ZERO);
    if let Some(power) = called.filter(|_| it.balances.account_type != AccountType::Cash) {
        let text = format!(
            "option buying power is {power}: until the call is met your account only closes positions"
        );
        return Some(Notice { reason: "buying_power", text });
    }
    let free = it.balances.usable()? - it.working_debits;
    (free < it.limits.max_risk_per_trade).then(|| Notice {
        reason: "buying_power",
        text: format!(
            "{free} of buying power is left, less than the {} you risk on one trade",
            it.limits.max_risk_per_trade
        ),
    })
}

/// Where the rule counts, the last day trade that is left and the first that is refused.
fn day_trades(it: &Standing<'_>) -> Option<Notice> {
    let counts = it.rule == Rule::PdtLegacy
        && it.balances.account_type != AccountType::Cash
        && it.balances.total_equity < PDT_EQUITY;
    let left = PDT_DAY_TRADES.saturating_sub(it.day_trades);
    (counts && left <= 1).then(|| Notice {
        reason: "day_trades",
        text: format!(
            "{} day trades in five sessions with equity under {PDT_EQUITY}: {left} of {PDT_DAY_TRADES} left",
            it.day_trades
        ),
    })
}

fn floor(it: &Standing<'_>) -> Option<Notice> {
    let (before, now) = (it.before?.total_equity, it.balances.total_equity);
    let floor = crossed(before, now, &floors(it.limits, it.rule))?;
    let (side, then) =
        if now < floor { ("under", "what it allows is refused") } else { ("over", "what it allows is open") };
    Some(Notice {
        reason: "policy_floor",
        text: format!("equity of {now} is {side} the floor of {floor}: {then}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::balances;

    fn told(change: impl FnOnce(&mut Balances, &mut RiskLimits) -> (Usd, u32, Rule)) -> Vec<&'static str> {
        let (mut now, mut limits) = (balances(50_000), RiskLimits::default());
        let (working_debits, day_trades, rule) = change(&mut now, &mut limits);
        let before = balances(50_000);
        let standing = Standing {
            balances: &now,
            before: Some(&before),
            limits: &limits,
            working_debits,
            day_trades,
            rule,
        };
        notices(&standing).iter().map(|it| it.reason).collect()
    }

    #[test]
    fn a_member_hears_when_buying_power_runs_out() {
        let quiet = told(|_, _| (Usd::ZERO, 0, Rule::IntradayMargin));
        assert!(quiet.is_empty(), "{quiet:?}");
        let low = told(|it, _| {
            it.option_buying_power = Some(Usd::from_dollars(900));
            (Usd::from_dollars(401), 0, Rule::IntradayMargin)
        });
        assert_eq!(low, ["buying_power"]);
        let called = told(|it, _| {
            it.option_buying_power = Some(Usd::from_dollars(-1));
            (Usd::ZERO, 0, Rule::IntradayMargin)
        });
        assert_eq!(called, ["buying_power"]);
        let unknown = told(|it, _| {
            it.option_buying_power = None;
            (Usd::ZERO, 0, Rule::IntradayMargin)
        });
        assert!(unknown.is_empty(), "what is not known is nothing to tell: {unknown:?}");
    }

    #[test]
    fn a_member_hears_of_the_last_day_trade_where_they_are_counted() {
        let told = |equity: i64, day_trades, rule| {
            told(|it, _| {
                it.total_equity = Usd::from_dollars(equity);
                (Usd::ZERO, day_trades, rule)
            })
            .contains(&"day_trades")
        };
        assert!(!told(20_000, 1, Rule::PdtLegacy));
        assert!(told(20_000, 2, Rule::PdtLegacy));
        assert!(told(20_000, 3, Rule::PdtLegacy));
        assert!(!told(25_000, 3, Rule::PdtLegacy));
        assert!(!told(20_000, 3, Rule::IntradayMargin));
    }

    #[test]
    fn a_member_hears_when_equity_crosses_a_floor_of_the_policy_in_either_direction() {
        let limits = RiskLimits::default();
        let (all, one) = (floors(&limits, Rule::PdtLegacy), floors(&limits, Rule::IntradayMargin));
        let at = Usd::from_dollars;
        assert_eq!(crossed(at(25_000), at(24_999), &all), Some(PDT_EQUITY));
        assert_eq!(crossed(at(24_999), at(25_000), &all), Some(PDT_EQUITY));
        assert_eq!(crossed(at(25_000), at(24_999), &one), None);
        assert_eq!(crossed(at(2_500), at(2_499), &one), Some(limits.zero_dte_floor));
        assert_eq!(crossed(at(2_501), at(2_500), &one), None);
        let told = told(|it, _| {
            it.total_equity = at(2_499);
            (Usd::ZERO, 0, Rule::IntradayMargin)
        });
        assert_eq!(told, ["policy_floor"]);
    }
}
