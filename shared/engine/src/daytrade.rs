//! Day-trade rules as of the date and the broker (spec 3, DEC9).
//!
//! Until the account's broker switched, the pattern day trader rule counts; after it, intraday margin does. FINRA's
//! change (SR-FINRA-2025-017) took effect on 2026-06-04 and is phased in until 2027-10-20.

use domain::account::{AccountType, Balances};
use domain::gate::GateCheck;
use domain::money::Usd;
use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};

/// The first day on which a broker may have switched.
pub const INTRADAY_MARGIN_FROM: Date = date(2026, 6, 4);
/// When Tradier switched.
pub const TRADIER_SWITCHED: Date = INTRADAY_MARGIN_FROM;
/// Under this equity the pattern day trader rule counts.
pub const PDT_EQUITY: Usd = Usd::from_dollars(25_000);
/// Day trades in five sessions after which the fourth is refused.
pub const PDT_DAY_TRADES: u32 = 3;

/// Which rule an account is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Margin accounts under $25,000 are refused a fourth day trade in five sessions.
    PdtLegacy,
    /// No count: option buying power must stay at or above zero.
    IntradayMargin,
}

impl Rule {
    /// The rule on `session` at a broker that switched on `switched`; a switch before the rule's first day is its
    /// first day.
    pub fn as_of(session: Date, switched: Date) -> Self {
        if session >= switched.max(INTRADAY_MARGIN_FROM) { Self::IntradayMargin } else { Self::PdtLegacy }
    }

    /// The name in gates and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PdtLegacy => "pdt_legacy",
            Self::IntradayMargin => "intraday_margin",
        }
    }
}

/// What a client says of its own standing. It can only tighten: whatever it claims beyond what we know is not heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Claim {
    /// Day trades in the last five sessions.
    pub day_trades: Option<u32>,
    /// What options may cost.
    pub buying_power: Option<Usd>,
    /// Whether there is an unmet intraday call.
    pub intraday_call: Option<bool>,
}

impl Claim {
    /// Balances and day trades with the claim heard, as far as it is the stricter.
    pub fn tighten(&self, balances: &Balances, day_trades: u32) -> (Balances, u32) {
        let claimed = match self.intraday_call {
            // A call is an option buying power under zero.
            Some(true) => Some(self.buying_power.unwrap_or(Usd::ZERO).min(Usd::from_cents(-1))),
            Some(false) | None => self.buying_power,
        };
        let smaller = |known: Option<Usd>| match (known, claimed) {
            (Some(known), Some(claimed)) => Some(known.min(claimed)),
            (known, _) => known,
        };
        let tightened = Balances {
            option_buying_power: smaller(balances.option_buying_power),
            cash_available: smaller(balances.cash_available),
            ..*balances
        };
        (tightened, day_trades.max(self.day_trades.unwrap_or(0)))
    }
}

/// What the rule is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// The rule in force.
    pub rule: Rule,
    /// The account's money.
    pub balances: &'a Balances,
    /// Day trades in the last five sessions.
    pub day_trades: u32,
    /// What the entry may cost at worst, with fees.
    pub debit: Usd,
    /// What one contract may cost at worst, with fees.
    pub per_contract_debit: Usd,
    /// Whether the series expires this session.
    pub is_zero_dte: bool,
    /// Equity under which 0DTE is refused, by the user's limits.
    pub zero_dte_floor: Usd,
}

/// The gate `day_trading`: the floor for 0DTE first, then the rule of the account's type.
pub fn check(gate: &str, ask: &Question<'_>) -> GateCheck {
    let equity = ask.balances.total_equity;
    let floor = ask.zero_dte_floor.max(ask.per_contract_debit.times(2));
    if ask.is_zero_dte && equity < floor {
        let required = format!("equity of {floor} for 0DTE");
        return GateCheck::measured(
            gate,
            format!("equity {equity}"),
            required,
            (equity - floor).to_f64(),
            "zero_dte_floor",
        );
    }
    match (ask.balances.account_type, ask.rule) {
        (AccountType::Cash, _) => settled_funds(gate, ask),
        (AccountType::Margin | AccountType::Pdt, Rule::PdtLegacy) => pattern_day_trader(gate, ask),
        (AccountType::Margin | AccountType::Pdt, Rule::IntradayMargin) => intraday_margin(gate, ask),
    }
}

/// Cash accounts trade with settled funds.
fn settled_funds(gate: &str, ask: &Question<'_>) -> GateCheck {
    let required = format!("settled funds of {}", ask.debit);
    match ask.balances.usable() {
        None => GateCheck::missing(gate, required, "balances_missing"),
        Some(settled) => GateCheck::measured(
            gate,
            format!("settled {settled}"),
            required,
            (settled - ask.debit).to_f64(),
            "unsettled_funds",
        ),
    }
}

/// A flagged account under the limit may not day-trade at all; a margin account is refused the fourth.
fn pattern_day_trader(gate: &str, ask: &Question<'_>) -> GateCheck {
    let equity = ask.balances.total_equity;
    let is_small = equity < PDT_EQUITY;
    let allowed = match ask.balances.account_type {
        AccountType::Pdt => 0,
        AccountType::Margin | AccountType::Cash => PDT_DAY_TRADES,
    };
    GateCheck::holds(
        gate,
        !is_small || ask.day_trades < allowed,
        format!("equity {equity}, {} day trades in 5 sessions", ask.day_trades),
        format!("equity of {PDT_EQUITY} or under {allowed} day trades ({})", ask.rule.as_str()),
        "pattern_day_trader",
    )
}

/// Option buying power stays at or above zero; below it there is an unmet call, and the account only closes.
fn intraday_margin(gate: &str, ask: &Question<'_>) -> GateCheck {
    let required = format!("option buying power of {} ({})", ask.debit, ask.rule.as_str());
    match ask.balances.option_buying_power {
        None => GateCheck::missing(gate, required, "balances_missing"),
        Some(power) if power < Usd::ZERO => {
            GateCheck::measured(gate, power, required, power.to_f64(), "intraday_margin_call")
        }
        Some(power) => {
            GateCheck::measured(gate, power, required, (power - ask.debit).to_f64(), "intraday_margin")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::gate::Verdict;

    fn balances(account_type: AccountType, equity: i64) -> Balances {
        Balances {
            account_type,
            total_equity: Usd::from_dollars(equity),
            total_cash: Usd::from_dollars(equity),
            option_buying_power: Some(Usd::from_dollars(equity)),
            day_trade_buying_power: Some(Usd::from_dollars(equity * 4)),
            cash_available: Some(Usd::from_dollars(equity)),
            unsettled_funds: Some(Usd::ZERO),
            close_pl: Usd::ZERO,
            open_pl: Usd::ZERO,
            pending_orders: 0,
        }
    }

    fn ask(rule: Rule, balances: &Balances, day_trades: u32) -> GateCheck {
        check(
            "day_trading",
            &Question {
                rule,
                balances,
                day_trades,
                debit: Usd::from_dollars(600),
                per_contract_debit: Usd::from_dollars(300),
                is_zero_dte: true,
                zero_dte_floor: Usd::from_dollars(2_500),
            },
        )
    }

    #[test]
    fn the_rule_follows_the_date_and_the_broker() {
        assert_eq!(Rule::as_of(date(2021, 1, 4), TRADIER_SWITCHED), Rule::PdtLegacy);
        assert_eq!(Rule::as_of(date(2026, 6, 4), TRADIER_SWITCHED), Rule::IntradayMargin);
        assert_eq!(Rule::as_of(date(2026, 6, 4), date(2027, 1, 4)), Rule::PdtLegacy);
        assert_eq!(Rule::as_of(date(2026, 6, 3), date(2020, 1, 1)), Rule::PdtLegacy);
    }

    #[test]
    fn before_the_switch_a_small_margin_account_is_refused_its_fourth_day_trade() {
        for (kind, equity, day_trades, reason) in [
            (AccountType::Margin, 24_999, 2, ""),
            (AccountType::Margin, 24_999, 3, "pattern_day_trader"),
            (AccountType::Margin, 25_000, 30, ""),
            (AccountType::Pdt, 24_999, 0, "pattern_day_trader"),
            (AccountType::Cash, 5_000, 30, ""),
        ] {
            let check = ask(Rule::PdtLegacy, &balances(kind, equity), day_trades);
            assert_eq!(check.reason, reason, "{kind:?} with {equity} after {day_trades}");
        }
    }

    #[test]
    fn after_the_switch_nothing_is_counted_and_buying_power_stays_above_zero() {
        let rich = balances(AccountType::Margin, 10_000);
        assert_eq!(ask(Rule::IntradayMargin, &rich, 30).verdict, Verdict::Pass);
        let spent = Balances { option_buying_power: Some(Usd::from_dollars(599)), ..rich };
        assert_eq!(ask(Rule::IntradayMargin, &spent, 0).reason, "intraday_margin");
        let called = Balances { option_buying_power: Some(Usd::from_dollars(-1)), ..rich };
        assert_eq!(ask(Rule::IntradayMargin, &called, 0).reason, "intraday_margin_call");
        let unknown = Balances { option_buying_power: None, ..rich };
        assert_eq!(ask(Rule::IntradayMargin, &unknown, 0).reason, "balances_missing");
    }

    #[test]
    fn cash_accounts_use_settled_funds_and_0dte_has_a_floor() {
        let cash = Balances {
            unsettled_funds: Some(Usd::from_dollars(4_500)),
            ..balances(AccountType::Cash, 5_000)
        };
        assert_eq!(ask(Rule::IntradayMargin, &cash, 0).reason, "unsettled_funds");
        assert_eq!(
            ask(Rule::IntradayMargin, &balances(AccountType::Margin, 2_499), 0).reason,
            "zero_dte_floor"
        );
    }

    #[test]
    fn the_clients_word_about_its_standing_can_only_tighten() {
        let known = balances(AccountType::Margin, 20_000);
        let power = |claim: Claim| claim.tighten(&known, 2);
        let more = Claim {
            day_trades: Some(0),
            buying_power: Some(Usd::from_dollars(1_000_000)),
            intraday_call: Some(false),
        };
        assert_eq!(power(more), (known, 2));
        let less =
            Claim { day_trades: Some(3), buying_power: Some(Usd::from_dollars(100)), intraday_call: None };
        let (tightened, day_trades) = power(less);
        assert_eq!((tightened.option_buying_power, day_trades), (Some(Usd::from_dollars(100)), 3));
        let (called, _) = power(Claim { intraday_call: Some(true), ..Claim::default() });
        assert_eq!(ask(Rule::IntradayMargin, &called, 0).reason, "intraday_margin_call");
        // What is not known stays unknown, whatever is claimed.
        let unknown = Balances { option_buying_power: None, ..known };
        let claim = Claim { buying_power: Some(Usd::from_dollars(9_999)), ..Claim::default() };
        assert_eq!(claim.tighten(&unknown, 0).0.option_buying_power, None);
    }

    #[test]
    fn the_floor_for_0dte_is_the_larger_of_2500_and_two_contracts() {
        let with = |equity: i64, per_contract: i64| {
            let balances = balances(AccountType::Margin, equity);
            let question = Question {
                rule: Rule::IntradayMargin,
                balances: &balances,
                day_trades: 0,
                debit: Usd::from_dollars(100),
                per_contract_debit: Usd::from_dollars(per_contract),
                is_zero_dte: true,
                zero_dte_floor: Usd::from_dollars(2_500),
            };
            check("day_trading", &question).reason
        };
        assert_eq!((with(2_499, 100), with(2_500, 100)), ("zero_dte_floor".to_owned(), String::new()));
        assert_eq!((with(3_999, 2_000), with(4_000, 2_000)), ("zero_dte_floor".to_owned(), String::new()));
    }
}
