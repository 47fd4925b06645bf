//! Market-wide halts (spec 3, "Halts"), told from what still comes and what does not.
//!
//! Nobody says to us that trading stopped. Two pictures mean it:
//! - the index or its proxy goes on, and for a minute no series of the chain has been quoted on two sides: options stand;
//! - for half a minute nothing came at all, no value of the index, no print of the proxy, no quote on two sides, and the
//!   index's last value lies at a circuit breaker, 6.5 % or more under the close before.
//!
//! Everything silent without such a fall is a feed that was lost: [`crate::blind`] decides then. Limits are longer by one
//! step of the source's resolution, if that is over a second. A halt is over after thirty seconds of quotes on two sides
//! without ten seconds in which none came.

use std::time::Duration;

use domain::calendar::Session;
use domain::market::{MarketEvent, Points, SourceProfile};
use domain::symbol::Underlying;
use domain::time::{NANOS_PER_SEC, UtcNanos};
use jiff::civil::time;
use serde::{Deserialize, Serialize};

/// So long no series is quoted on two sides while the index goes on.
pub const OPTIONS_STAND: Duration = Duration::from_secs(60);
/// So long nothing comes, at a circuit breaker.
pub const ALL_STAND: Duration = Duration::from_secs(30);
/// A feed that gave something so lately goes on.
pub const GOES_ON: Duration = Duration::from_secs(5);
/// So long quotes have two sides before anything walks again.
pub const REOPENS_AFTER: Duration = Duration::from_secs(30);
/// So long none may be missing meanwhile.
pub const QUOTES_WITHIN: Duration = Duration::from_secs(10);
/// The fall from the close before from which silence is a halt: the first breaker is at 7 %.
const BREAKER_NEAR: f64 = 0.065;

/// One step of a source, where it is over a second: what every limit on silence is longer by.
pub fn slack(resolution_ns: i64) -> Duration {
    if resolution_ns > NANOS_PER_SEC {
        Duration::from_nanos(resolution_ns.unsigned_abs())
    } else {
        Duration::ZERO
    }
}

/// Whether the market trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It does.
    Open,
    /// It does not.
    Halted,
    /// Quotes have two sides again since then.
    Reopening(UtcNanos),
}

/// What happened to the market.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It stands.
    Halted {
        /// What it was told from, for the operator.
        why: String,
    },
    /// It trades again, long enough to be trusted.
    Reopened,
}

/// Watches for halts. A value: saved after any event and restored, the rest of the day is identical.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HaltWatch {
    index: Underlying,
    proxy: Option<Underlying>,
    session: Session,
    prior_close: Option<Points>,
    slack: Duration,
    last_index: Option<(UtcNanos, Points)>,
    last_proxy: Option<UtcNanos>,
    last_two_sided: Option<UtcNanos>,
    /// What lay before this instant was looked at.
    looked_at: UtcNanos,
    state: State,
}

impl HaltWatch {
    /// At the start of a session: the market trades as far as anybody knows.
    pub fn new(source: &SourceProfile) -> Self {
        Self {
            index: source.index,
            proxy: source.proxy,
            session: source.session,
            prior_close: source.prior_day.map(|it| it.close),
            slack: slack(source.resolution_ns),
            last_index: None,
            last_proxy: None,
            last_two_sided: None,
            looked_at: UtcNanos(i64::MIN),
            state: State::Open,
        }
    }

    /// Whether the market stands, or trades again too short a time to be trusted.
    pub const fn is_halted(&self) -> bool {
        !matches!(self.state, State::Open)
    }

    /// Takes an event.
    pub fn on_event(&mut self, event: &MarketEvent) -> Option<Change> {
        let ts = event.ts();
        // What was due before it is looked at first, so that the result does not depend on how often time is told.
        let change = self.on_time(ts);
        match event {
            MarketEvent::Trade(symbol, trade) if *symbol == self.index => {
                self.last_index = Some((ts, trade.price));
            }
            MarketEvent::Trade(symbol, _) if Some(*symbol) == self.proxy => self.last_proxy = Some(ts),
            MarketEvent::OptionQuote(_, quote) if quote.two_sided().is_some() => {
                self.last_two_sided = Some(ts);
                if self.state == State::Halted {
                    self.state = State::Reopening(ts);
                }
            }
            MarketEvent::Trade(..) | MarketEvent::Quote(..) | MarketEvent::OptionQuote(..) => {}
        }
        change
    }

    /// Time went on without an event.
    pub fn on_time(&mut self, now: UtcNanos) -> Option<Change> {
        let change = if self.watches(now) { self.look(now) } else { None };
        self.looked_at = self.looked_at.max(now);
        change
    }

    /// When time should be told next, if no event comes before.
    pub fn next_due(&self) -> Option<UtcNanos> {
        let quoted = self.last_two_sided;
        let due = match self.state {
            State::Halted => [None, None],
            State::Reopening(since) => {
                [Some(since.plus(REOPENS_AFTER)), quoted.map(|it| it.plus(self.within(QUOTES_WITHIN)))]
            }
            State::Open => [
                quoted.map(|it| it.plus(self.within(OPTIONS_STAND))),
                quoted.and(self.last_of_all()).map(|it| it.plus(self.within(ALL_STAND))),
            ],
        };
        due.into_iter().flatten().filter(|it| *it > self.looked_at && self.watches(*it)).min()
    }

    fn look(&mut self, now: UtcNanos) -> Option<Change> {
        match self.state {
            State::Open => {
                let why = self.stands(now)?;
                self.state = State::Halted;
                Some(Change::Halted { why })
            }
            State::Halted => None,
            State::Reopening(since) => {
                let is_quoted =
                    self.last_two_sided.is_some_and(|it| now.since(it) < self.within(QUOTES_WITHIN));
                if !is_quoted {
                    self.state = State::Halted;
                    return None;
                }
                if now.since(since) < REOPENS_AFTER {
                    return None;
                }
                self.state = State::Open;
                Some(Change::Reopened)
            }
        }
    }

    /// Why the market stands at `now`; `None` where it trades.
    fn stands(&self, now: UtcNanos) -> Option<String> {
        let quoted = self.last_two_sided?;
        let silent_for = |at: Option<UtcNanos>| at.map_or(Duration::MAX, |it| now.since(it));
        let prints = silent_for(self.last_index.map(|it| it.0)).min(silent_for(self.last_proxy));
        if now.since(quoted) >= self.within(OPTIONS_STAND) && prints <= self.within(GOES_ON) {
            let seconds = now.since(quoted).as_secs();
            return Some(format!(
                "no option has been quoted on two sides for {seconds} s, the index goes on"
            ));
        }
        let is_silent = prints.min(now.since(quoted)) >= self.within(ALL_STAND);
        let (level, rest) = is_silent.then(|| self.breaker(now)).flatten()?;
        Some(format!("nothing trades, {level} under the close before: {rest}"))
    }

    /// The circuit breaker the index stands at, and how long it halts.
    fn breaker(&self, now: UtcNanos) -> Option<(&'static str, &'static str)> {
        let (last, close) = (self.last_index?.1.to_f64(), self.prior_close?.to_f64());
        let fall = 1.0 - last / close;
        let is_late = now >= self.session.wall(time(15, 25, 0, 0));
        match fall {
            _ if !fall.is_finite() || fall < BREAKER_NEAR => None,
            _ if fall >= 0.195 => Some(("20 %", "the day is over")),
            _ if is_late => {
                Some(("7 % or more", "after 15:25 no breaker halts under 20 %: look at the exchange"))
            }
            _ if fall >= 0.125 => Some(("13 %", "15 minutes")),
            _ => Some(("7 %", "15 minutes")),
        }
    }

    fn last_of_all(&self) -> Option<UtcNanos> {
        [self.last_index.map(|it| it.0), self.last_proxy, self.last_two_sided].into_iter().flatten().max()
    }

    fn within(&self, limit: Duration) -> Duration {
        limit.saturating_add(self.slack)
    }

    fn watches(&self, at: UtcNanos) -> bool {
        self.session.holds(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bars::tests::source;
    use domain::market::{OptionQuote, PrintCounts, PriorDay, Trade};
    use domain::money::Price;

    struct Bench {
        watch: HaltWatch,
        now: UtcNanos,
    }

    impl Bench {
        fn new() -> Self {
            let prior = PriorDay {
                high: Points::whole(5_700),
                low: Points::whole(5_600),
                close: Points::whole(5_650),
            };
            let profile = SourceProfile { prior_day: Some(prior), ..source() };
            let watch = HaltWatch::new(&profile);
            Self { now: profile.session.open.plus(Duration::from_secs(1_800)), watch }
        }

        /// A second goes by in which the index stands at `index` and an option is quoted on `sides`.
        fn second(&mut self, index: Option<i64>, sides: Option<u8>) -> Option<Change> {
            self.now = self.now.plus(Duration::from_secs(1));
            let mut changes = Vec::new();
            while let Some(due) = self.watch.next_due().filter(|it| *it < self.now) {
                changes.extend(self.watch.on_time(due));
            }
            if let Some(points) = index {
                let price = Points::whole(points);
                let trade =
                    Trade { ts: self.now, sequence: None, price, size: 0, counts: PrintCounts::Everywhere };
                changes.extend(self.watch.on_event(&MarketEvent::Trade(Underlying::SPX, trade)));
            }
            if let Some(sides) = sides {
                let bid = (sides == 2).then_some(Price::from_cents(300));
                let ask = Some(Price::from_cents(320));
                let quote = OptionQuote { ts: self.now, bid, ask, bid_size: 5, ask_size: 5 };
                let series = "SPXW261120C05605000".parse().unwrap();
                changes.extend(self.watch.on_event(&MarketEvent::OptionQuote(series, quote)));
            }
            changes.extend(self.watch.on_time(self.now));
            assert!(changes.len() <= 1, "{changes:?}");
            changes.pop()
        }

        fn run(&mut self, seconds: u64, index: Option<i64>, sides: Option<u8>) -> Vec<(u64, Change)> {
            (1..=seconds).filter_map(|n| Some((n, self.second(index, sides)?))).collect()
        }
    }

    fn halted(changes: &[(u64, Change)]) -> Vec<u64> {
        changes.iter().filter(|it| matches!(it.1, Change::Halted { .. })).map(|it| it.0).collect()
    }

    #[test]
    fn options_without_two_sides_for_a_minute_while_the_index_goes_on_are_a_halt() {
        for sides in [None, Some(1)] {
            let mut bench = Bench::new();
            assert!(bench.run(100, Some(5_640), Some(2)).is_empty());
            assert_eq!(halted(&bench.run(200, Some(5_640), sides)), [60]);
            assert!(bench.watch.is_halted());
        }
    }

    #[test]
    fn silence_is_a_halt_at_a_circuit_breaker_and_a_lost_feed_elsewhere() {
        for (index, halts) in [(5_640, vec![]), (5_254, vec![30]), (4_915, vec![30]), (4_520, vec![30])] {
            let mut bench = Bench::new();
            bench.run(5, Some(index), Some(2));
            let changes = bench.run(300, None, None);
            assert_eq!(halted(&changes), halts, "index {index}");
            if let [(_, Change::Halted { why })] = changes.as_slice() {
                let level = if index > 5_000 {
                    "7 %"
                } else if index > 4_600 {
                    "13 %"
                } else {
                    "20 %"
                };
                assert!(why.contains(level), "{why}");
            }
        }
    }

    #[test]
    fn a_halt_is_over_after_thirty_seconds_of_quotes_on_two_sides() {
        let mut bench = Bench::new();
        bench.run(5, Some(5_640), Some(2));
        assert_eq!(halted(&bench.run(100, Some(5_640), Some(1))), [60]);
        assert_eq!(bench.run(60, Some(5_640), Some(2)), [(31, Change::Reopened)]);
        assert!(!bench.watch.is_halted());
    }

    #[test]
    fn quotes_that_stay_away_for_ten_seconds_begin_the_thirty_anew() {
        let mut bench = Bench::new();
        bench.run(5, Some(5_640), Some(2));
        bench.run(100, Some(5_640), Some(1));
        assert!(bench.run(20, Some(5_640), Some(2)).is_empty());
        assert!(bench.run(12, Some(5_640), Some(1)).is_empty());
        assert!(bench.watch.is_halted());
        assert_eq!(bench.run(60, Some(5_640), Some(2)), [(31, Change::Reopened)]);
    }

    #[test]
    fn a_coarse_source_is_given_one_step_more_and_a_source_without_options_never_halts() {
        let mut coarse = Bench::new();
        coarse.watch.slack = slack(60 * NANOS_PER_SEC);
        coarse.run(5, Some(5_640), Some(2));
        assert_eq!(halted(&coarse.run(200, Some(5_640), None)), [120]);
        let mut bare = Bench::new();
        assert!(bare.run(500, Some(5_640), None).is_empty());
        assert_eq!(bare.watch.next_due(), None);
        assert_eq!(slack(NANOS_PER_SEC), Duration::ZERO);
    }
}
