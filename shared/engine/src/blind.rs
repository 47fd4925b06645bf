//! Blind: a position stands and the index is silent (spec 3, "Blind").
//!
//! After five seconds another source takes the index's place: its proxy times the last ratio, else the spot that options
//! imply by put-call parity. Fifteen seconds without any of them tighten the disaster orders, sixty close. All three limits
//! are longer by one step of the source's resolution, if that is over a second. A halt stands the clock still.

use std::time::Duration;

use domain::market::{MarketEvent, OptionQuote, Points, SourceProfile};
use domain::setup::Direction;
use domain::symbol::{OccSymbol, Right, Underlying};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use crate::halt::slack;

/// An index silent for longer is not seen.
pub const SILENT: Duration = Duration::from_secs(5);
/// So long without a second source, and the disaster orders are tightened.
pub const TIGHTEN_AFTER: Duration = Duration::from_secs(15);
/// So long, and what is held is closed.
pub const CLOSE_AFTER: Duration = Duration::from_secs(60);
/// Index and implied spot may differ by this much before stops use the worse.
pub const AGREE_WITHIN: Points = Points::whole(3);
/// Strikes this near to the index imply a spot.
const PARITY_REACH: Points = Points::whole(30);
/// Fewer pairs than this imply nothing.
const PARITY_PAIRS_MIN: usize = 3;

/// Where the index is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// On the index itself.
    Index,
    /// On its proxy, times the last ratio.
    Proxy(Points),
    /// On the spot that options imply.
    Parity(Points),
    /// Nowhere.
    Nothing,
}

/// What follows from seeing nothing for longer; each once until something is seen again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The disaster orders are tightened.
    Tighten,
    /// What is held is closed.
    Close,
}

/// Watches the index and what may take its place. A value: saved after any event and restored, the rest is identical.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlindWatch {
    index: Underlying,
    proxy: Option<Underlying>,
    slack: Duration,
    last_index: Option<(UtcNanos, Points)>,
    last_proxy: Option<(UtcNanos, Points)>,
    /// Index over proxy, where both were last seen together.
    ratio: Option<f64>,
    /// When anything was last seen.
    seen_at: Option<UtcNanos>,
    taken: Option<Measure>,
}

impl BlindWatch {
    /// At the start of a session.
    pub fn new(source: &SourceProfile) -> Self {
        Self {
            index: source.index,
            proxy: source.proxy,
            slack: slack(source.resolution_ns),
            last_index: None,
            last_proxy: None,
            ratio: None,
            seen_at: None,
            taken: None,
        }
    }

    /// Takes an event.
    pub fn on_event(&mut self, event: &MarketEvent) {
        let MarketEvent::Trade(symbol, trade) = event else { return };
        if *symbol == self.index {
            self.last_index = Some((trade.ts, trade.price));
            self.seen_at = Some(trade.ts);
            self.taken = None;
            let fresh = self.last_proxy.filter(|it| trade.ts.since(it.0) <= self.within(SILENT));
            let ratio = fresh.map(|it| trade.price.to_f64() / it.1.to_f64());
            self.ratio = ratio.filter(|it| it.is_finite()).or(self.ratio);
        } else if Some(*symbol) == self.proxy {
            self.last_proxy = Some((trade.ts, trade.price));
        }
    }

    /// The index's last value.
    pub fn last_index(&self) -> Option<Points> {
        self.last_index.map(|it| it.1)
    }

    /// From when on the index counts as silent; `None` before its first value.
    pub fn silent_from(&self) -> Option<UtcNanos> {
        self.last_index.map(|it| UtcNanos(it.0.plus(self.within(SILENT)).0.saturating_add(1)))
    }

    /// Where the index is seen at `now`, and what follows. `parity` is the implied spot, where there is one; `is_halted`
    /// stands the clock still.
    pub fn look(
        &mut self,
        now: UtcNanos,
        parity: Option<Points>,
        is_halted: bool,
    ) -> (Sight, Option<Measure>) {
        let sight = self.sight(now, parity);
        // The index itself was seen when it came, and not when somebody looks.
        if sight == Sight::Index && !is_halted {
            return (sight, None);
        }
        if sight != Sight::Nothing || is_halted {
            self.seen_at = Some(now);
            self.taken = self.taken.filter(|_| is_halted);
            return (sight, None);
        }
        let unseen = self.seen_at.map_or(Duration::ZERO, |it| now.since(it));
        let due = if unseen >= self.within(CLOSE_AFTER) {
            Some(Measure::Close)
        } else if unseen >= self.within(TIGHTEN_AFTER) {
            Some(Measure::Tighten)
        } else {
            None
        };
        let fresh = due.filter(|it| self.taken.is_none_or(|taken| taken < *it));
        self.taken = self.taken.max(fresh);
        (sight, fresh)
    }

    fn sight(&self, now: UtcNanos, parity: Option<Points>) -> Sight {
        let is_fresh = |at: UtcNanos| now.since(at) <= self.within(SILENT);
        if self.last_index.is_some_and(|it| is_fresh(it.0)) {
            return Sight::Index;
        }
        let by_proxy = self.last_proxy.filter(|it| is_fresh(it.0)).zip(self.ratio);
        if let Some(((_, price), ratio)) = by_proxy {
            return Sight::Proxy(Points::from_f64(price.to_f64() * ratio));
        }
        parity.map_or(Sight::Nothing, Sight::Parity)
    }

    fn within(&self, limit: Duration) -> Duration {
        limit.saturating_add(self.slack)
    }
}

/// The spot that calls and puts of one strike imply together, the middle one over the strikes near to `near`: strike plus
/// call less put. `None` with fewer than three pairs of fresh quotes on two sides. 0DTE premiums carry hours of interest and
/// dividends, far below a tick.
pub fn parity<'a>(
    quotes: impl Iterator<Item = (&'a OccSymbol, &'a OptionQuote)>,
    near: Points,
    now: UtcNanos,
    age_max: Duration,
) -> Option<Points> {
    let strike_of = |series: &OccSymbol| Points(i64::from(series.strike.0).saturating_mul(10));
    let fresh = |(series, quote): (&OccSymbol, &OptionQuote)| {
        let is_near = strike_of(series).distance(near) <= PARITY_REACH && now.since(quote.ts) <= age_max;
        let mid = quote.mid().filter(|_| is_near)?;
        Some(((series.root, series.expiry, series.strike.0), series.right, mid))
    };
    let mut calls = std::collections::BTreeMap::new();
    let mut implied = Vec::new();
    let mut puts = Vec::new();
    for (key, right, mid) in quotes.filter_map(fresh) {
        match right {
            Right::Call => _ = calls.insert(key, mid),
            Right::Put => puts.push((key, mid)),
        }
    }
    for (key, put) in puts {
        if let Some(call) = calls.get(&key) {
            implied.push(f64::from(key.2) / 1_000.0 + call - put);
        }
    }
    if implied.len() < PARITY_PAIRS_MIN {
        return None;
    }
    implied.sort_by(f64::total_cmp);
    implied.get(implied.len() / 2).map(|it| Points::from_f64(*it))
}

/// The value a stop is held against: the bar's own, or the implied spot where the two differ by more than three points and
/// that one is worse for the position.
pub const fn worse(direction: Direction, worst: Points, close: Points, implied: Option<Points>) -> Points {
    match implied {
        Some(implied) if close.distance(implied).0 > AGREE_WITHIN.0 && !direction.reached(implied, worst) => {
            implied
        }
        Some(_) | None => worst,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bars::tests::source;
    use crate::testing::chain;
    use domain::market::{PrintCounts, Trade};
    use domain::time::NANOS_PER_SEC;

    const START: UtcNanos = UtcNanos::from_secs(1_795_190_400);

    fn at(seconds: u64) -> UtcNanos {
        START.plus(Duration::from_secs(seconds))
    }

    fn print(watch: &mut BlindWatch, symbol: Underlying, points: f64, at: UtcNanos) {
        let price = Points::from_f64(points);
        let trade = Trade { ts: at, sequence: None, price, size: 0, counts: PrintCounts::Everywhere };
        watch.on_event(&MarketEvent::Trade(symbol, trade));
    }

    /// Index and proxy were seen until the start.
    fn watch() -> BlindWatch {
        let mut watch = BlindWatch::new(&source());
        print(&mut watch, Underlying::SPY, 560.0, START);
        print(&mut watch, Underlying::SPX, 5_610.0, START);
        watch
    }

    #[test]
    fn an_index_silent_for_five_seconds_is_seen_on_its_proxy_times_the_last_ratio() {
        let mut it = watch();
        assert_eq!(it.look(at(5), None, false), (Sight::Index, None));
        print(&mut it, Underlying::SPY, 561.0, at(6));
        let value = Points::from_f64(561.0 * 5_610.0 / 560.0);
        assert_eq!(it.look(at(6), Some(Points::whole(5_500)), false), (Sight::Proxy(value), None));
    }

    #[test]
    fn without_its_proxy_it_is_seen_on_the_spot_that_parity_implies() {
        let mut it = watch();
        let implied = Points::whole(5_612);
        assert_eq!(it.look(at(6), Some(implied), false), (Sight::Parity(implied), None));
        assert_eq!(it.look(at(300), Some(implied), false), (Sight::Parity(implied), None));
    }

    #[test]
    fn fifteen_seconds_without_a_second_source_tighten_the_disaster_orders_and_sixty_close() {
        let mut it = watch();
        let measures: Vec<(u64, Measure)> =
            (1..=120).filter_map(|n| Some((n, it.look(at(n), None, false).1?))).collect();
        assert_eq!(measures, [(15, Measure::Tighten), (60, Measure::Close)]);
    }

    #[test]
    fn a_second_source_that_comes_back_begins_the_count_anew() {
        let mut it = watch();
        for n in 1..=40 {
            it.look(at(n), (n == 30).then_some(Points::whole(5_600)), false);
        }
        let measures: Vec<u64> =
            (41..=120).filter_map(|n| it.look(at(n), None, false).1.map(|_| n)).collect();
        assert_eq!(measures, [45, 90]);
    }

    #[test]
    fn a_halt_stands_the_clock_still() {
        let mut it = watch();
        assert!((1..=300).all(|n| it.look(at(n), None, true).1.is_none()));
        let measures: Vec<u64> =
            (301..=400).filter_map(|n| it.look(at(n), None, false).1.map(|_| n)).collect();
        assert_eq!(measures, [315, 360]);
    }

    #[test]
    fn all_three_limits_are_longer_by_a_step_over_a_second() {
        let mut coarse = BlindWatch { slack: slack(60 * NANOS_PER_SEC), ..watch() };
        assert_eq!(coarse.look(at(65), None, false), (Sight::Index, None));
        let measures: Vec<u64> =
            (66..=200).filter_map(|n| coarse.look(at(n), None, false).1.map(|_| n)).collect();
        assert_eq!(measures, [75, 120]);
        let fine = BlindWatch { slack: slack(NANOS_PER_SEC), ..watch() };
        assert_eq!(fine.silent_from(), Some(UtcNanos(at(5).0 + 1)));
    }

    #[test]
    fn parity_implies_the_spot_the_chain_was_priced_on() {
        let now = at(0);
        let rows = chain(5_603.4, now, 0.16).rows;
        let quotes = || rows.iter().map(|it| (&it.series, &it.quote));
        let implied = parity(quotes(), Points::whole(5_600), now, SILENT).unwrap();
        assert!((implied.to_f64() - 5_603.4).abs() < 0.15, "{implied}");
        assert_eq!(parity(quotes(), Points::whole(5_600), at(6), SILENT), None, "old quotes imply nothing");
        assert_eq!(parity(quotes().take(2), Points::whole(5_600), now, SILENT), None);
    }

    #[test]
    fn where_index_and_implied_spot_differ_by_more_than_three_points_stops_use_the_worse() {
        let points = Points::from_f64;
        let of = |direction, implied: Option<f64>| {
            worse(direction, points(5_600.0), points(5_601.0), implied.map(points))
        };
        assert_eq!(of(Direction::Long, None), points(5_600.0));
        assert_eq!(of(Direction::Long, Some(5_598.0)), points(5_600.0), "three points apart agree");
        assert_eq!(of(Direction::Long, Some(5_597.9)), points(5_597.9));
        assert_eq!(of(Direction::Long, Some(5_610.0)), points(5_600.0), "the better one is not believed");
        assert_eq!(of(Direction::Short, Some(5_604.1)), points(5_604.1));
        assert_eq!(of(Direction::Short, Some(5_590.0)), points(5_600.0));
    }
}
