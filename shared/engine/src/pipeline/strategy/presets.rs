//! Settings to start from.

use domain::money::Usd;
use domain::symbol::Underlying;

use super::{
    Entry, Exit, Kind, Liquidity, Profit, Regime, Settings, Size, Stop, butterfly_right, cutoff_minutes,
    delta_step, ex_dividend_days, expirations_max, gamma_loss_max, slippage,
};

/// What a preset is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// The index: large, cash-settled, quoted in nickels and dimes.
    Index,
    /// A broad fund, such as SPY and QQQ.
    Fund,
    /// One company.
    Stock,
}

impl Preset {
    /// The one for `underlying`.
    pub fn of(underlying: Underlying) -> Self {
        let funds = [Underlying::SPY, Underlying::QQQ, Underlying::IWM];
        match underlying {
            it if it.is_index() => Self::Index,
            it if funds.contains(&it) => Self::Fund,
            _ => Self::Stock,
        }
    }

    fn widths(self) -> Vec<f64> {
        match self {
            Self::Index => vec![25.0, 50.0, 100.0],
            Self::Fund => vec![2.0, 5.0, 10.0],
            Self::Stock => vec![2.5, 5.0, 10.0],
        }
    }

    fn liquidity(self) -> Liquidity {
        let usual = Liquidity::default();
        match self {
            Self::Index => Liquidity { underlying_volume_min: None, ..usual },
            Self::Fund => usual,
            Self::Stock => Liquidity { spread_pct_max: 15.0, open_interest_min: Some(50), ..usual },
        }
    }
}

/// The settings of `kind` on `underlying` that the owner starts from: one unit, a month or so to expiry, half of the
/// premium as the target, twice as the stop, three weeks as the time stop.
pub fn preset(kind: Kind, underlying: Underlying) -> Settings {
    let preset = Preset::of(underlying);
    let delta = match kind {
        Kind::IronCondor | Kind::CreditPutSpread | Kind::CreditCallSpread => 0.16,
        Kind::IronButterfly | Kind::Butterfly => 0.5,
        Kind::Wheel | Kind::CashSecuredPut | Kind::CoveredCall => 0.3,
    };
    let widths = if kind.has_wings() { preset.widths() } else { Vec::new() };
    let (stop, size) = if kind.has_wings() {
        let risk = Size::Risk { usd: Usd::from_dollars(10_000), units_max: 10 };
        (Some(Stop::PctOfPremium(if kind.sells_credit() { 200.0 } else { 50.0 })), risk)
    } else {
        (None, Size::Fixed(1))
    };
    Settings {
        name: format!("{} {underlying}", kind.as_str()),
        kind,
        underlying,
        enabled: false,
        entry: Entry {
            min_dte: 30,
            max_dte: 45,
            delta,
            delta_step: delta_step(),
            widths,
            expirations_max: expirations_max(),
            butterfly_right: butterfly_right(),
            gamma_loss_max: gamma_loss_max(),
            slippage: slippage(),
            iv_rank: None,
            hours: None,
            cutoff_minutes: cutoff_minutes(),
            earnings_days: 0,
            ex_dividend_days: ex_dividend_days(),
            below_cost_basis: false,
        },
        exit: Exit {
            profit: Some(Profit::PctOfPremium(50.0)),
            stop,
            time_stop_dte: kind.has_wings().then_some(21),
            ..Exit::default()
        },
        regime: Regime { adx_max: kind.is_condor().then_some(super::ADX_MAX), ..Regime::default() },
        liquidity: preset.liquidity(),
        max_positions: 3,
        size,
        preferred_broker: "tradier".to_owned(),
    }
}
