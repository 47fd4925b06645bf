//! What a strategy may be set to. Whatever is wrong is named with its field and what was expected there, all at once.

use super::{Kind, Profit, Settings, Size, Stop};

/// A field that cannot be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field, as the row spells it: `entry.minDte`.
    pub field: String,
    /// What it is, and what was expected.
    pub message: String,
}

/// Settings that no strategy has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadStrategy(pub Vec<Violation>);

impl std::error::Error for BadStrategy {}

impl std::fmt::Display for BadStrategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, it) in self.0.iter().enumerate() {
            let lead = if n == 0 { "" } else { "; " };
            write!(f, "{lead}{}: {}", it.field, it.message)?;
        }
        Ok(())
    }
}

impl BadStrategy {
    /// What could not be read at all: an unknown key, a missing one, a value of another type.
    pub(super) fn unread(json: &str, error: &serde_json::Error) -> Self {
        let message = error.to_string();
        let (message, _) = message.rsplit_once(" at line ").unwrap_or((&message, ""));
        // An unknown or missing key names itself; of a wrong value the key is the last one before it.
        let quoted = message.split('`').nth(1).filter(|_| message.contains(" field `"));
        let field = quoted.map(str::to_owned).or_else(|| key_before(json, error.line(), error.column()));
        let field = field.unwrap_or_else(|| "row".to_owned());
        Self(vec![Violation { field, message: message.to_owned() }])
    }
}

/// The last key that stands before a place in `json`.
fn key_before(json: &str, line: usize, column: usize) -> Option<String> {
    let start: usize = json.lines().take(line.saturating_sub(1)).map(|it| it.len() + 1).sum();
    let before = json.get(..start.saturating_add(column).min(json.len()))?;
    let mut key = None;
    let mut parts = before.split('"').skip(1).step_by(2);
    let mut gaps = before.split('"').skip(2).step_by(2);
    while let (Some(text), Some(after)) = (parts.next(), gaps.next()) {
        if after.trim_start().starts_with(':') {
            key = Some(text.to_owned());
        }
    }
    key
}

/// Collects what is wrong.
struct Asked(Vec<Violation>);

impl Asked {
    fn that(&mut self, holds: bool, field: &str, is: impl std::fmt::Display, expected: &str) {
        if !holds {
            let message = format!("{is} is out of range: expected {expected}");
            self.0.push(Violation { field: field.to_owned(), message });
        }
    }

    fn within(&mut self, field: &str, is: f64, low: f64, high: f64) {
        self.that(is >= low && is <= high, field, is, &format!("{low} to {high}"));
    }
}

/// Refuses settings that cannot be meant.
pub(super) fn check(it: &Settings) -> Result<(), BadStrategy> {
    let mut asked = Asked(Vec::new());
    let name = it.name.trim();
    asked.that(!name.is_empty() && it.name.len() <= 64, "name", &it.name, "1 to 64 characters");
    asked.that(
        !it.preferred_broker.trim().is_empty() && it.preferred_broker.len() <= 32,
        "preferredBroker",
        &it.preferred_broker,
        "1 to 32 characters such as tradier",
    );
    asked.that((1..=100).contains(&it.max_positions), "maxPositions", it.max_positions, "1 to 100");
    let needs_shares = matches!(it.kind, Kind::Wheel | Kind::CashSecuredPut | Kind::CoveredCall);
    asked.that(
        !(needs_shares && it.underlying.is_index()),
        "underlying",
        it.underlying,
        "a share or a fund: an index is neither assigned nor covered",
    );
    entry(it, &mut asked);
    exit(it, &mut asked);
    let regime = &it.regime;
    asked.within("regime.volPremiumMin", regime.vol_premium_min, -1.0, 1.0);
    if let Some(adx) = regime.adx_max {
        asked.within("regime.adxMax", adx, 1.0, 100.0);
    }
    let liquidity = &it.liquidity;
    asked.within("liquidity.spreadPctMax", liquidity.spread_pct_max, 0.1, 200.0);
    asked.that(liquidity.spread_ticks <= 100, "liquidity.spreadTicks", liquidity.spread_ticks, "0 to 100");
    if let Some(share) = liquidity.underlying_volume_min {
        asked.within("liquidity.underlyingVolumeMin", share, 0.0, 10.0);
    }
    match it.size {
        Size::Fixed(units) => {
            asked.that((1..=1_000).contains(&units), "size.fixed", units, "1 to 1000 units");
        }
        Size::Risk { usd, units_max } => {
            asked.within("size.risk.usd", usd.to_f64(), 1.0, 1e7);
            let holds = (1..=1_000).contains(&units_max);
            asked.that(holds, "size.risk.unitsMax", units_max, "1 to 1000 units");
        }
    }
    if asked.0.is_empty() { Ok(()) } else { Err(BadStrategy(asked.0)) }
}

fn entry(it: &Settings, asked: &mut Asked) {
    let entry = &it.entry;
    asked.that(entry.max_dte <= 730, "entry.maxDte", entry.max_dte, "0 to 730");
    asked.that(entry.min_dte <= entry.max_dte, "entry.minDte", entry.min_dte, "no more than maxDte");
    asked.within("entry.delta", entry.delta, 0.01, 0.99);
    asked.within("entry.deltaStep", entry.delta_step, 0.0, 0.2);
    let holds = (1..=50).contains(&entry.expirations_max);
    asked.that(holds, "entry.expirationsMax", entry.expirations_max, "1 to 50");
    let widths = &entry.widths;
    let joined = || widths.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    if it.kind.has_wings() {
        let rises = widths.iter().zip(widths.iter().skip(1)).all(|(a, b)| a < b);
        let holds = rises && (1..=12).contains(&widths.len());
        let holds = holds && widths.iter().all(|it| (0.01..=10_000.0).contains(it));
        asked.that(
            holds,
            "entry.widths",
            format!("[{}]", joined()),
            "1 to 12 widths in points, rising, such as [25, 50]",
        );
    } else {
        asked.that(
            widths.is_empty(),
            "entry.widths",
            format!("[{}]", joined()),
            "none: a single leg has no wings",
        );
    }
    asked.within("entry.gammaLossMax", entry.gamma_loss_max, 0.0, 100.0);
    asked.within("entry.slippage", entry.slippage, 0.0, 2.0);
    if let Some(range) = entry.iv_rank {
        asked.within("entry.ivRank.min", range.min, 0.0, 1.0);
        asked.within("entry.ivRank.max", range.max, range.min, 1.0);
    }
    if let Some(hours) = entry.hours {
        asked.that(hours.from < hours.to, "entry.hours", hours.from, "a start before its end");
    }
    asked.that(entry.cutoff_minutes <= 385, "entry.cutoffMinutes", entry.cutoff_minutes, "0 to 385");
    asked.that(entry.earnings_days <= 90, "entry.earningsDays", entry.earnings_days, "0 to 90");
    asked.that(entry.ex_dividend_days <= 365, "entry.exDividendDays", entry.ex_dividend_days, "0 to 365");
}

fn exit(it: &Settings, asked: &mut Asked) {
    let exit = &it.exit;
    match exit.profit {
        Some(Profit::PctOfPremium(pct)) => asked.within("exit.profit.pctOfPremium", pct, 1.0, 1_000.0),
        Some(Profit::Dollars(usd)) => asked.within("exit.profit.dollars", usd, 1.0, 1e6),
        Some(Profit::Trailing { arm, give_back }) => {
            asked.within("exit.profit.trailing.arm", arm, 1.0, 1_000.0);
            asked.within("exit.profit.trailing.giveBack", give_back, 1.0, 100.0);
        }
        None => {}
    }
    match exit.stop {
        Some(Stop::PctOfPremium(pct)) => asked.within("exit.stop.pctOfPremium", pct, 1.0, 2_000.0),
        Some(Stop::Dollars(usd)) => asked.within("exit.stop.dollars", usd, 1.0, 1e6),
        None => {}
    }
    let entry_min = it.entry.min_dte;
    if let Some(dte) = exit.time_stop_dte {
        asked.that(
            dte <= entry_min,
            "exit.timeStopDte",
            dte,
            "no more than entry.minDte, or it leaves as it enters",
        );
    }
    if let Some(minutes) = exit.close_buffer_minutes {
        asked.that(minutes <= 385, "exit.closeBufferMinutes", minutes, "0 to 385");
    }
}
