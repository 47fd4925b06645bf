//! Execution fidelity (spec 3): what each fill cost beyond the market it was decided and sent in, and what that came to over
//! many.
//!
//! Slippage is against mid: at the decision where that is known, else at the arrival of the intent's first order. Positive is
//! worse, whichever way was traded. What is missing makes the figures that need it missing.

use std::collections::BTreeMap;

use domain::books::SETTLEMENT;
use domain::ids::{AttemptNo, IntentId};
use domain::intent::{OpeningIntent, OrderIntent};
use domain::money::{CONTRACT_MULTIPLIER, Price, Side, TickGrid, Usd};
use domain::order::{Attempt, Touch};
use domain::ports::{DayBook, IntentView};
use domain::position::Fill;
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use serde::Serialize;

/// One fill, measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fidelity {
    /// The intent.
    pub intent: IntentId,
    /// Which attempt of it.
    pub attempt: AttemptNo,
    /// The series.
    pub series: OccSymbol,
    /// Bought or sold.
    pub side: Side,
    /// Contracts of this fill.
    pub contracts: u32,
    /// Mid when it was decided.
    pub decision_mid: Option<Usd>,
    /// Mid when its order was sent.
    pub arrival_mid: Option<Usd>,
    /// Bid to ask when its order was sent, in ticks.
    pub arrival_spread_ticks: Option<i64>,
    /// What was paid or received a share.
    pub price: Option<Usd>,
    /// Beyond mid, in ticks of the grid at that price.
    pub slippage_ticks: Option<f64>,
    /// Beyond mid, over all contracts.
    pub slippage: Option<Usd>,
    /// Beyond mid, in basis points of it.
    pub slippage_bp: Option<f64>,
    /// Beyond mid, in units of the planned loss.
    pub slippage_r: Option<f64>,
    /// From the first order's mark to this fill, in milliseconds.
    pub time_to_fill_ms: i64,
    /// Limits the intent's orders stood at until then.
    pub rungs: u32,
    /// When it was decided.
    pub decided_at: UtcNanos,
    /// When its order was marked to be sent.
    pub submitted_at: UtcNanos,
    /// When the broker's acceptance was recorded.
    pub acked_at: Option<UtcNanos>,
    /// When the order's first execution was recorded.
    pub first_fill_at: Option<UtcNanos>,
}

/// Measures every execution of an intent. `opening` is the entry behind a close, for R; an entry is its own.
pub fn of(view: &IntentView, opening: Option<&OpeningIntent>) -> Vec<Fidelity> {
    let executions = view.fills.iter().filter(|it| it.attempt != SETTLEMENT);
    executions.filter_map(|fill| measure(view, opening, fill)).collect()
}

fn measure(view: &IntentView, opening: Option<&OpeningIntent>, fill: &Fill) -> Option<Fidelity> {
    let attempt = view.attempts.iter().find(|it| it.no == fill.attempt)?;
    let first = view.attempts.first()?;
    let own = match &view.intent {
        OrderIntent::Opening(it) => Some(it),
        OrderIntent::Closing(_) | OrderIntent::OpeningCombo(_) | OrderIntent::ClosingCombo(_) => opening,
    };
    let decided = match &view.intent {
        OrderIntent::Opening(it) => Some(Touch { bid: it.market.bid, ask: it.market.ask }),
        OrderIntent::Closing(_) => first.trace.arrival,
        // A leg has no price of its own at its decision, the net has: it is measured against its market at the first order.
        OrderIntent::OpeningCombo(_) | OrderIntent::ClosingCombo(_) => met(first, &fill.series),
    };
    let decision_mid = decided.map(|it| it.mid());
    let arrival = attempt.trace.arrival.or_else(|| met(attempt, &fill.series));
    let grid = TickGrid::single_leg(&fill.series.root, fill.at.new_york_date());
    let worse = |mid: Usd, price: Usd| match fill.side {
        Side::Buy => price - mid,
        Side::Sell => mid - price,
    };
    let beyond = decision_mid.zip(fill.price).map(|(mid, price)| worse(mid, price));
    let shares = CONTRACT_MULTIPLIER.saturating_mul(i64::from(fill.contracts()));
    let slippage = beyond.map(|it| it.times(shares));
    let planned = own.map(|it| it.risk_per_contract.times(i64::from(fill.contracts())));
    let planned = planned.filter(|it| *it > Usd::ZERO);
    Some(Fidelity {
        intent: fill.intent,
        attempt: fill.attempt,
        series: fill.series,
        side: fill.side,
        contracts: fill.contracts(),
        decision_mid,
        arrival_mid: arrival.map(|it| it.mid()),
        arrival_spread_ticks: arrival.map(|it| grid.ticks_between(it.bid, it.ask)),
        price: fill.price,
        slippage_ticks: beyond.zip(tick_at(grid, fill.price)).map(|(it, tick)| it.to_f64() / tick),
        slippage,
        slippage_bp: beyond
            .zip(decision_mid.filter(|it| *it > Usd::ZERO))
            .map(|(it, mid)| it.to_f64() / mid.to_f64() * 1e4),
        slippage_r: slippage.zip(planned).map(|(it, planned)| it.to_f64() / planned.to_f64()),
        time_to_fill_ms: fill.at.millis().saturating_sub(first.marked_at.millis()),
        rungs: rungs_until(view, attempt),
        decided_at: view.intent.head().decided_at,
        submitted_at: attempt.marked_at,
        acked_at: attempt.trace.acked_at,
        first_fill_at: attempt.trace.filled_at,
    })
}

/// The market of one leg that an order on a structure was sent into.
fn met(attempt: &Attempt, series: &OccSymbol) -> Option<Touch> {
    attempt.combo.as_ref()?.legs.iter().find(|it| it.series == *series)?.arrival
}

/// The tick of the grid at a price, in dollars.
fn tick_at(grid: TickGrid, price: Option<Usd>) -> Option<f64> {
    let cents = u32::try_from(price?.scaled(1, 100).e4()).ok()?;
    let on = grid.floor(Price::from_cents(cents));
    let tick = grid.up(on).to_f64() - on.to_f64();
    (tick > 0.0).then_some(tick)
}

/// Limits the intent's orders stood at, this one's included.
fn rungs_until(view: &IntentView, attempt: &Attempt) -> u32 {
    let until = view.attempts.iter().filter(|it| it.no <= attempt.no);
    until.map(|it| u32::from(it.rung).saturating_add(1)).fold(0, u32::saturating_add)
}

/// How wide the market was that an order met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpreadBucket {
    /// One tick, or locked.
    Tight,
    /// Two or three.
    Normal,
    /// More.
    Wide,
    /// Nobody knows.
    Unknown,
}

impl SpreadBucket {
    /// The bucket of a spread in ticks.
    pub const fn of(ticks: Option<i64>) -> Self {
        match ticks {
            None => Self::Unknown,
            Some(..=1) => Self::Tight,
            Some(2..=3) => Self::Normal,
            Some(_) => Self::Wide,
        }
    }
}

/// Which executions are looked at together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    /// The setup family, by name; `None` for closes that name no entry.
    pub family: Option<&'static str>,
    /// Bought or sold.
    pub opens: bool,
    /// The hour of the fill in New York.
    pub hour: i8,
    /// How wide the market was.
    pub spread: SpreadBucket,
}

/// What slipping came to in a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slippage {
    /// Fills with a known slippage.
    pub fills: u32,
    /// Their contracts.
    pub contracts: u32,
    /// What slipping cost.
    pub total: Usd,
    /// The mean in ticks, each contract counting once.
    pub mean_ticks: f64,
    /// The mean in R, over the contracts whose planned loss is known; `None` without any.
    pub mean_r: Option<f64>,
}

/// Realised slippage over sessions, by family, direction, hour and spread: handed the last ones, it rolls.
pub fn realised(books: &[DayBook]) -> BTreeMap<Bucket, Slippage> {
    let mut sums: BTreeMap<Bucket, Sums> = BTreeMap::new();
    for book in books {
        for view in &book.intents {
            let opening = opening_of(book, view);
            for fill in of(view, opening) {
                let at = view.fills.iter().find(|it| it.attempt == fill.attempt).map(|it| it.at);
                let bucket = Bucket {
                    family: opening.map(|it| it.kind.as_str()),
                    opens: view.intent.opens(),
                    hour: at.unwrap_or(fill.submitted_at).new_york().hour(),
                    spread: SpreadBucket::of(fill.arrival_spread_ticks),
                };
                sums.entry(bucket).or_default().add(&fill);
            }
        }
    }
    sums.into_iter().filter_map(|(bucket, sums)| Some((bucket, sums.means()?))).collect()
}

/// The entry of an intent: itself, or the one a close names.
fn opening_of<'b>(book: &'b DayBook, view: &'b IntentView) -> Option<&'b OpeningIntent> {
    match &view.intent {
        OrderIntent::Opening(it) => Some(it),
        OrderIntent::Closing(it) => {
            let entry = book.intents.iter().find(|view| Some(view.intent.head().id) == it.opening)?;
            match &entry.intent {
                OrderIntent::Opening(it) => Some(it),
                OrderIntent::Closing(_) | OrderIntent::OpeningCombo(_) | OrderIntent::ClosingCombo(_) => None,
            }
        }
        OrderIntent::OpeningCombo(_) | OrderIntent::ClosingCombo(_) => None,
    }
}

#[derive(Debug, Default)]
struct Sums {
    fills: u32,
    contracts: u32,
    total: Usd,
    ticks: f64,
    r: f64,
    with_r: u32,
}

impl Sums {
    fn add(&mut self, fill: &Fidelity) {
        let Some((slippage, ticks)) = fill.slippage.zip(fill.slippage_ticks) else { return };
        self.fills = self.fills.saturating_add(1);
        self.contracts = self.contracts.saturating_add(fill.contracts);
        self.total += slippage;
        self.ticks += ticks * f64::from(fill.contracts);
        if let Some(r) = fill.slippage_r {
            self.r += r * f64::from(fill.contracts);
            self.with_r = self.with_r.saturating_add(fill.contracts);
        }
    }

    fn means(&self) -> Option<Slippage> {
        (self.contracts > 0).then(|| Slippage {
            fills: self.fills,
            contracts: self.contracts,
            total: self.total,
            mean_ticks: self.ticks / f64::from(self.contracts),
            mean_r: (self.with_r > 0).then(|| self.r / f64::from(self.with_r)),
        })
    }
}

#[cfg(test)]
mod tests;
