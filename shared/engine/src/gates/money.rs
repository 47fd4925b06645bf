//! The gates of an account's money, the same for one series and for a structure: each says what it [asks](Asked) for.

use std::time::Duration;

use domain::account::AccountType;
use domain::gate::GateCheck;
use domain::money::Usd;
use jiff::civil::Date;

use super::Standing;
use crate::daytrade::{self, Question, Rule};

/// How old the balances may be. They are stored at least every 5 minutes; twice that is a synchronisation that failed.
pub const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(600);

/// What an entry asks of the account's money, charges included.
pub(crate) struct Asked {
    /// What it takes of the buying power.
    pub(crate) requirement: Usd,
    /// The same for one contract or one unit.
    pub(crate) unit: Usd,
    /// What it may lose.
    pub(crate) max_loss: Usd,
    /// When what it buys first expires.
    pub(crate) expiry: Date,
    /// Whether it takes money in at first, and owes it later.
    pub(crate) is_credit: bool,
}

/// The day-trading rule of the date holds after it.
pub(crate) fn day_trading(standing: &Standing<'_>, asked: &Asked, gate: &str) -> GateCheck {
    let (context, today) = (standing.context, standing.now.new_york_date());
    let Some(snapshot) = &context.snapshot else {
        return GateCheck::missing(gate, "known balances", "balances_missing");
    };
    let question = Question {
        rule: Rule::as_of(today, standing.broker_switched),
        balances: &snapshot.balances,
        day_trades: context.day.day_trades,
        debit: asked.requirement,
        per_contract_debit: asked.unit,
        is_zero_dte: asked.expiry == today,
        zero_dte_floor: context.settings.limits.zero_dte_floor,
    };
    daytrade::check(gate, &question)
}

/// Open and working risk, today's loss and what this may lose together stay at or under the limit. A day in profit does
/// not raise it.
pub(crate) fn daily_loss(standing: &Standing<'_>, asked: &Asked, gate: &str) -> GateCheck {
    let (day, limit) = (&standing.context.day, standing.context.settings.limits.daily_loss_limit);
    let open = day.open_premium - standing.if_counted(asked.max_loss);
    let (lost, asked) = ((-day.realized).max(Usd::ZERO), asked.max_loss);
    let left = limit - (open + lost + asked);
    let observed = format!("{open} open, {lost} lost, {asked} asked");
    GateCheck::measured(gate, observed, format!("at most {limit}"), left.to_f64(), "daily_loss_limit")
}

/// Fresh balances cover it beside what is working. A cash account carries no credit.
pub(crate) fn buying_power(standing: &Standing<'_>, asked: &Asked, gate: &str) -> GateCheck {
    let requirement = asked.requirement;
    let required = format!("{requirement}, from balances at most {} s old", SNAPSHOT_AGE_MAX.as_secs());
    let Some(snapshot) = &standing.context.snapshot else {
        return GateCheck::missing(gate, required, "balances_missing");
    };
    let age = standing.now.since(snapshot.at);
    if age > SNAPSHOT_AGE_MAX {
        let observed = format!("{} s old", age.as_secs());
        return GateCheck::holds(gate, false, observed, required, "balances_stale");
    }
    if asked.is_credit && snapshot.balances.account_type == AccountType::Cash {
        return GateCheck::holds(gate, false, "a cash account", "a margin account", "credit_in_cash_account");
    }
    let Some(usable) = snapshot.balances.usable() else {
        return GateCheck::missing(gate, required, "balances_missing");
    };
    let working = standing.context.day.working_debits - standing.if_counted(requirement);
    let free = usable - working;
    GateCheck::measured(gate, free, required, (free - requirement).to_f64(), "buying_power")
}
