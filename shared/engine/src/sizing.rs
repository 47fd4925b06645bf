//! How many contracts, and up to which price (spec 3, "Sizing (contract selection)").
//!
//! R in money: (debit at the worst rung - modelled value at the stop at half the planned hold) x 100 + fees. The worst
//! rung is the smaller of the ask plus a tick and the highest price at which the modelled gain at T1 is still R.

use std::time::Duration;

use domain::account::{Balances, RiskLimits};
use domain::fees::FeeSchedule;
use domain::intent::OpeningIntent;
use domain::market::Points;
use domain::money::{Price, Side, TickGrid, Usd};
use domain::setup::SetupLevels;
use domain::symbol::{OccSymbol, Right};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use crate::selection::{Model, Selected};

/// The longest a long is held without its first target.
pub const PLANNED_HOLD: Duration = Duration::from_secs(45 * 60);
/// Nothing is planned into the flatten.
const FLATTEN_BEFORE_LAST_TRADE: Duration = Duration::from_secs(15 * 60);
/// Modelled gain at T1 over R that an entry must have.
pub const REWARD_TO_RISK_MIN: f64 = 1.0;
/// Index levels tried for break-even: bisection to below 1/10,000 point from 10 % around spot.
const BISECTIONS: u32 = 40;

/// What sizing reads.
#[derive(Debug, Clone, Copy)]
pub struct SizingInputs<'a> {
    /// The contract.
    pub selected: &'a Selected,
    /// The index at the decision.
    pub spot: Points,
    /// The setup's levels.
    pub levels: &'a SetupLevels,
    /// Market time of the decision.
    pub now: UtcNanos,
    /// What the user lets us risk.
    pub limits: &'a RiskLimits,
    /// The account's money; `None` while it is not known.
    pub balances: Option<&'a Balances>,
    /// Worst cost of our working entries.
    pub working_debits: Usd,
    /// What the day has made so far, its charges taken off.
    pub realized_today: Usd,
}

/// After this part of the daily loss limit is lost, sizes are halved, in percent.
const DRAWDOWN_PCT: i64 = 50;

impl SizingInputs<'_> {
    /// Whether the day is in a drawdown: half of what it may lose is lost.
    fn is_in_drawdown(&self) -> bool {
        let limit = self.limits.daily_loss_limit;
        limit > Usd::ZERO && -self.realized_today >= limit.scaled(DRAWDOWN_PCT, 100)
    }

    /// Half the contracts in a drawdown, at least one of those there are.
    fn sized_down(&self, contracts: u32) -> u32 {
        if self.is_in_drawdown() { contracts.div_ceil(2) } else { contracts }
    }
}

/// The series' modelled values that reward and risk are measured by, in dollars a share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// At T1, at half the planned hold.
    pub value_at_t1: f64,
    /// At the stop, at half the planned hold.
    pub value_at_stop: f64,
    /// Half the planned hold, in seconds.
    pub half_hold_seconds: f64,
    /// Charges of a round trip for one contract.
    pub round_trip_fees: Usd,
}

impl Outcome {
    /// What `model` says of an entry at `now` with these levels.
    pub fn of(model: &Model, levels: &SetupLevels, now: UtcNanos, premium: Price) -> Self {
        let left = model.last_trade.since(now).saturating_sub(FLATTEN_BEFORE_LAST_TRADE);
        let half_hold = PLANNED_HOLD.min(left) / 2;
        let then = now.plus(half_hold);
        let fees = FeeSchedule::as_of(now.new_york_date());
        Self {
            value_at_t1: model.value(levels.t1.to_f64(), then),
            value_at_stop: model.value(levels.stop.to_f64(), then),
            half_hold_seconds: half_hold.as_secs_f64(),
            round_trip_fees: fees.charge(&model.series.root, premium, 1).times(2),
        }
    }

    /// Planned loss of one contract bought at `debit`, rounded up to the cent.
    pub fn risk(&self, debit: Price) -> Usd {
        whole_cents_up(debit.to_f64() - self.value_at_stop) + self.round_trip_fees
    }

    /// Modelled gain of one contract bought at `debit` and sold at T1, rounded down to the cent.
    pub fn gain(&self, debit: Price) -> Usd {
        -whole_cents_up(debit.to_f64() - self.value_at_t1) - self.round_trip_fees
    }

    /// Gain over risk at `debit`; `None` where the model sees no risk to divide by.
    pub fn reward_to_risk(&self, debit: Price) -> Option<f64> {
        let risk = self.risk(debit);
        (risk > Usd::ZERO).then(|| self.gain(debit).to_f64() / risk.to_f64())
    }

    /// The highest price on `grid`, at most `ceiling`, at which gain still covers risk; `None` where none does.
    pub fn highest_debit(&self, grid: TickGrid, ceiling: Price) -> Option<Price> {
        // gain >= risk solves to (T1 + stop)/2 - fees a share; rounding to cents can cost one more tick.
        let even = (self.value_at_t1 + self.value_at_stop) / 2.0 - self.round_trip_fees.to_f64() / 100.0;
        let mut debit = Price::from_model(even, Side::Buy, grid).ok()?.min(grid.floor(ceiling));
        while debit > Price::ZERO {
            if self.reward_to_risk(debit).is_none_or(|it| it >= REWARD_TO_RISK_MIN) {
                return Some(debit);
            }
            debit = grid.down(debit);
        }
        None
    }
}

/// Dollars a share as money for one contract, rounded up to the cent.
fn whole_cents_up(dollars_a_share: f64) -> Usd {
    let cents = dollars_a_share * 1e4;
    if cents.is_finite() { Usd::from_cents((cents - 1e-6).ceil() as i64) } else { Usd::ZERO }
}

/// The size with its whole breakdown. Amounts are in 1/10,000 dollar, prices in cents a share.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sizing {
    /// The series.
    pub series: OccSymbol,
    /// Its delta, signed.
    pub delta: f64,
    /// Its implied volatility.
    pub iv: f64,
    /// Best bid at the decision.
    pub bid: Price,
    /// Best ask at the decision.
    pub ask: Price,
    /// The highest price the walk may reach.
    pub worst: Price,
    /// What set it: `ask_plus_tick`, `reward_to_risk`, or `none` where no price pays and `worst` only measures.
    pub worst_by: &'static str,
    /// The modelled values behind reward and risk.
    pub outcome: Outcome,
    /// What one contract costs at worst, with the charges to open it.
    pub per_contract_debit: Usd,
    /// Planned loss of one contract.
    pub r_usd: Usd,
    /// Modelled gain of one contract at T1.
    pub gain_at_t1: Usd,
    /// Gain over risk at the worst price.
    pub reward_to_risk: Option<f64>,
    /// The index level where the bid, less charges, pays the cost back; `None` where no level near does.
    pub break_even_index: Option<Points>,
    /// The largest loss the user planned for one trade.
    pub max_risk: Usd,
    /// Contracts that loss allows.
    pub contracts_by_risk: u32,
    /// What the account can use, less our working debits; `None` while its balances are not known.
    pub buying_power: Option<Usd>,
    /// Contracts that buys.
    pub contracts_by_buying_power: Option<u32>,
    /// Contracts the user allows in one order.
    pub max_contracts: u32,
    /// Whether the size is halved, because half of the day's limit is lost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_sized_down: bool,
    /// Contracts to buy.
    pub suggested_contracts: u32,
    /// Whether buying power alone stops it.
    pub margin_limit_blocked: bool,
    /// `sized`, or why there are no contracts: `reward_to_risk`, `risk_over_limit`, `buying_power_unknown`,
    /// `margin_limit_blocked`, `max_contracts`.
    pub reason: &'static str,
}

/// Sizes an opening.
pub fn size(inputs: &SizingInputs<'_>) -> Sizing {
    let chosen = inputs.selected;
    let series = chosen.row.series;
    let day = inputs.now.new_york_date();
    let grid = TickGrid::single_leg(&series.root, day);
    let fees = FeeSchedule::as_of(day);
    // The chain's spot may lie an instant before the value that triggered: one fit, at the decision's, for the size and
    // for the gate that asks again from the intent.
    let mid = chosen.bid.mid(chosen.ask);
    let model = Model::fit(series, inputs.spot.to_f64(), mid, inputs.now).unwrap_or(chosen.model);
    let outcome = Outcome::of(&model, inputs.levels, inputs.now, chosen.ask);

    let reach = grid.up(chosen.ask);
    let paying = outcome.highest_debit(grid, reach);
    let worst = paying.unwrap_or(reach);
    let worst_by = match paying {
        None => "none",
        Some(price) if price < reach => "reward_to_risk",
        Some(_) => "ask_plus_tick",
    };
    let open_fee = fees.charge(&series.root, worst, 1);
    let per_contract_debit = worst.notional(1) + open_fee;
    let r_usd = outcome.risk(worst);

    let contracts_by_risk = inputs.limits.max_risk_per_trade.whole_units_of(r_usd);
    let usable = inputs.balances.and_then(Balances::usable);
    let buying_power = usable.map(|it| it - inputs.working_debits);
    let contracts_by_buying_power = buying_power.map(|it| it.whole_units_of(per_contract_debit));
    let allowed = contracts_by_risk.min(inputs.limits.max_contracts);
    let reason = match contracts_by_buying_power {
        _ if paying.is_none() => "reward_to_risk",
        _ if contracts_by_risk == 0 => "risk_over_limit",
        _ if allowed == 0 => "max_contracts",
        None => "buying_power_unknown",
        Some(0) => "margin_limit_blocked",
        Some(_) => "sized",
    };
    let sized = inputs.sized_down(allowed.min(contracts_by_buying_power.unwrap_or(0)));
    let suggested_contracts = if reason == "sized" { sized } else { 0 };
    Sizing {
        series,
        delta: model.delta,
        iv: model.iv,
        bid: chosen.bid,
        ask: chosen.ask,
        worst,
        worst_by,
        outcome,
        per_contract_debit,
        r_usd,
        gain_at_t1: outcome.gain(worst),
        reward_to_risk: outcome.reward_to_risk(worst),
        break_even_index: break_even(inputs, &model, &outcome, per_contract_debit),
        max_risk: inputs.limits.max_risk_per_trade,
        contracts_by_risk,
        buying_power,
        contracts_by_buying_power,
        max_contracts: inputs.limits.max_contracts,
        is_sized_down: inputs.is_in_drawdown(),
        suggested_contracts,
        margin_limit_blocked: reason == "margin_limit_blocked",
        reason,
    }
}

/// The index level at which bid x 100 less the charge to close pays `cost` back at half the planned hold, the bid
/// being half of today's quote width under the model.
fn break_even(inputs: &SizingInputs<'_>, model: &Model, outcome: &Outcome, cost: Usd) -> Option<Points> {
    let chosen = inputs.selected;
    let then = inputs.now.plus(Duration::from_secs_f64(outcome.half_hold_seconds));
    let half_width = (chosen.ask.to_f64() - chosen.bid.to_f64()) / 2.0;
    let needed = (cost.to_f64() + outcome.round_trip_fees.to_f64() / 2.0) / 100.0 + half_width;
    let pays = |spot: f64| model.value(spot, then) >= needed;
    let spot = inputs.spot.to_f64();
    let (mut losing, mut paying) = match chosen.row.series.right {
        Right::Call => (spot * 0.9, spot * 1.1),
        Right::Put => (spot * 1.1, spot * 0.9),
    };
    if !pays(paying) || pays(losing) {
        return None;
    }
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(losing, paying);
        if pays(middle) {
            paying = middle;
        } else {
            losing = middle;
        }
    }
    Some(Points::from_f64(paying))
}

/// Modelled gain at T1 over R for an intent as it was decided, at its worst price. `None` where no volatility explains
/// the market it was decided in.
pub fn reward_to_risk(intent: &OpeningIntent) -> Option<f64> {
    let market = &intent.market;
    let decided_at = intent.head.decided_at;
    let mid = market.bid.mid(market.ask);
    let model = Model::fit(intent.head.series, market.spot.to_f64(), mid, decided_at)?;
    Outcome::of(&model, &intent.levels, decided_at, market.ask).reward_to_risk(intent.worst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{balances, long_levels, opening, selected};
    use proptest::prelude::*;

    fn inputs<'a>(
        selected: &'a Selected,
        levels: &'a SetupLevels,
        limits: &'a RiskLimits,
    ) -> SizingInputs<'a> {
        SizingInputs {
            selected,
            spot: Points::whole(5_600),
            levels,
            now: selected.row.quote.ts,
            limits,
            balances: None,
            working_debits: Usd::ZERO,
            realized_today: Usd::ZERO,
        }
    }

    #[test]
    fn the_smaller_of_risk_buying_power_and_cap_is_taken_and_says_so() {
        let (chosen, levels) = (selected(), long_levels());
        let rich = balances(100_000);
        for (risk, cap, bp, reason) in [
            (5_000, 5, 100_000, "sized"),
            (5_000, 100, 3_000, "sized"),
            (600, 100, 100_000, "sized"),
            (10, 5, 100_000, "risk_over_limit"),
            (5_000, 5, 100, "margin_limit_blocked"),
            (5_000, 0, 100_000, "max_contracts"),
        ] {
            let limits = RiskLimits {
                max_risk_per_trade: Usd::from_dollars(risk),
                max_contracts: cap,
                ..RiskLimits::default()
            };
            let money = Balances { option_buying_power: Some(Usd::from_dollars(bp)), ..rich };
            let sizing = size(&SizingInputs { balances: Some(&money), ..inputs(&chosen, &levels, &limits) });
            let by_hand = (Usd::from_dollars(risk).whole_units_of(sizing.r_usd))
                .min(Usd::from_dollars(bp).whole_units_of(sizing.per_contract_debit))
                .min(cap);
            assert_eq!((sizing.suggested_contracts, sizing.reason), (by_hand, reason), "{sizing:?}");
            assert_eq!(sizing.margin_limit_blocked, reason == "margin_limit_blocked");
        }
    }

    #[test]
    fn a_day_that_lost_half_of_its_limit_trades_half_the_size() {
        let (chosen, levels, money) = (selected(), long_levels(), balances(100_000));
        let limits = RiskLimits {
            max_risk_per_trade: Usd::from_dollars(100_000),
            max_contracts: 5,
            daily_loss_limit: Usd::from_dollars(1_000),
            ..RiskLimits::default()
        };
        for (made, contracts) in [(0, 5), (-499, 5), (-500, 3), (-900, 3), (500, 5)] {
            let realized_today = Usd::from_dollars(made);
            let base = inputs(&chosen, &levels, &limits);
            let sizing = size(&SizingInputs { balances: Some(&money), realized_today, ..base });
            assert_eq!(
                (sizing.suggested_contracts, sizing.is_sized_down),
                (contracts, contracts == 3),
                "{made}"
            );
        }
        let one = RiskLimits { max_contracts: 1, ..limits };
        let base = inputs(&chosen, &levels, &one);
        let realized_today = Usd::from_dollars(-900);
        let sizing = size(&SizingInputs { balances: Some(&money), realized_today, ..base });
        assert_eq!(sizing.suggested_contracts, 1, "one contract cannot be halved");
    }

    #[test]
    fn unknown_money_sizes_to_nothing_and_working_debits_are_taken_off() {
        let (chosen, levels) = (selected(), long_levels());
        let limits = RiskLimits { max_risk_per_trade: Usd::from_dollars(2_000), ..RiskLimits::default() };
        let unknown = size(&inputs(&chosen, &levels, &limits));
        assert_eq!((unknown.suggested_contracts, unknown.reason), (0, "buying_power_unknown"));
        let money = balances(10_000);
        let busy = SizingInputs {
            balances: Some(&money),
            working_debits: Usd::from_dollars(9_990),
            ..inputs(&chosen, &levels, &limits)
        };
        assert_eq!(size(&busy).reason, "margin_limit_blocked");
    }

    #[test]
    fn worst_is_a_tick_over_the_ask_or_the_last_price_that_pays() {
        let (chosen, limits) = (selected(), RiskLimits::default());
        let wide = long_levels();
        let sizing = size(&inputs(&chosen, &wide, &limits));
        assert_eq!(sizing.worst_by, "ask_plus_tick", "{sizing:?}");
        assert_eq!(sizing.worst, TickGrid::FIVE_TEN.up(chosen.ask));
        // A target near the entry pays only at a lower price, or at none.
        let near = SetupLevels { t1: Points::whole(5_604), ..wide };
        let sizing = size(&inputs(&chosen, &near, &limits));
        assert_eq!(sizing.worst_by, "reward_to_risk", "{sizing:?}");
        assert!(sizing.worst < chosen.ask && sizing.reward_to_risk.unwrap() >= 1.0);
        let none = SetupLevels { t1: Points::whole(5_400), stop: Points::whole(5_200), ..wide };
        let sizing = size(&inputs(&chosen, &none, &limits));
        assert_eq!((sizing.suggested_contracts, sizing.reason), (0, "reward_to_risk"));
    }

    #[test]
    fn r_is_the_debit_less_the_value_at_the_stop_and_break_even_lies_above_spot_for_a_call() {
        let (chosen, levels, limits) = (selected(), long_levels(), RiskLimits::default());
        let sizing = size(&inputs(&chosen, &levels, &limits));
        let exact = (sizing.worst.to_f64() - sizing.outcome.value_at_stop) * 100.0 + 2.10;
        assert!((sizing.r_usd.to_f64() - exact).abs() <= 0.011, "{} against {exact}", sizing.r_usd);
        assert_eq!(sizing.per_contract_debit, sizing.worst.notional(1) + Usd::from_cents(105));
        assert!(sizing.r_usd < sizing.per_contract_debit, "the stop keeps a part of the premium");
        let even = sizing.break_even_index.unwrap();
        assert!(even > Points::whole(5_600) && even < levels.t1, "break-even at {even}");
        assert!((sizing.outcome.half_hold_seconds - 1_350.0).abs() < 1e-9);
    }

    #[test]
    fn the_gate_computes_the_same_ratio_from_the_intent_alone() {
        let (chosen, levels, limits) = (selected(), long_levels(), RiskLimits::default());
        let earlier = Model::fit(chosen.row.series, 5_597.0, 9.10, chosen.row.quote.ts).unwrap();
        let chosen = Selected { model: earlier, ..chosen };
        let sizing = size(&inputs(&chosen, &levels, &limits));
        let intent = opening(&chosen, sizing.worst, 1);
        assert_eq!(reward_to_risk(&intent), sizing.reward_to_risk);
    }

    proptest! {
        #[test]
        fn prop_worst_is_on_grid_at_most_a_tick_over_the_ask_and_the_last_that_pays(
            t1 in 5_590i64..5_660, stop in 5_540i64..5_590,
        ) {
            let (chosen, limits) = (selected(), RiskLimits::default());
            let levels = SetupLevels { t1: Points::whole(t1), stop: Points::whole(stop), ..long_levels() };
            let it = size(&inputs(&chosen, &levels, &limits));
            let grid = TickGrid::FIVE_TEN;
            prop_assert!(grid.holds(it.worst) && it.worst <= grid.up(chosen.ask));
            if it.worst_by == "reward_to_risk" {
                prop_assert!(it.outcome.reward_to_risk(grid.up(it.worst)).is_some_and(|ratio| ratio < 1.0));
            }
            prop_assert!(it.worst_by == "none" || it.reward_to_risk.is_none_or(|ratio| ratio >= 1.0));
        }

        #[test]
        fn prop_what_is_suggested_fits_risk_and_buying_power(risk in 1i64..5_000, bp in 1i64..50_000, cap in 0u32..50) {
            let (chosen, levels) = (selected(), long_levels());
            let limits = RiskLimits { max_risk_per_trade: Usd::from_dollars(risk), max_contracts: cap, ..RiskLimits::default() };
            let money = balances(bp);
            let it = size(&SizingInputs { balances: Some(&money), ..inputs(&chosen, &levels, &limits) });
            let n = i64::from(it.suggested_contracts);
            prop_assert!(it.suggested_contracts <= cap);
            prop_assert!(it.r_usd.times(n) <= Usd::from_dollars(risk));
            prop_assert!(it.per_contract_debit.times(n) <= Usd::from_dollars(bp));
        }
    }
}
