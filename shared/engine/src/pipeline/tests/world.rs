//! A market that lets every strategy through, and the knobs that spoil it.

use domain::chain::{ChainRow, ChainSnapshot};
use domain::market::{OptionQuote, Points};
use domain::money::{Price, Side, TickGrid, Usd};
use domain::symbol::{OccSymbol, Right, Root, Strike, Underlying};
use domain::time::{NANOS_PER_SEC, UtcNanos, at_new_york};
use jiff::civil::{Date, date, time};

use super::super::*;
use crate::indicators::Reading as Indicators;
use crate::indicators::iv_rank::{IvRank, Source};
use crate::pricing::{Inputs, price, settlement_instant, years_between};

/// A Friday.
pub(super) const DAY: Date = date(2026, 11, 20);

/// xorshift: the same tests everywhere.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.unit() * f64::from(n) < 1.0
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(super) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[(self.unit() * all.len() as f64) as usize % all.len()]
    }
}

/// Roughly normal returns with a deviation of `sd`.
pub(super) fn returns(n: usize, sd: f64, seed: u64) -> Vec<f64> {
    let mut dice = Dice(seed);
    (0..n).map(|_| sd * ((0..12).map(|_| dice.unit()).sum::<f64>() - 6.0)).collect()
}

/// How a chain is made.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    pub(super) root: Root,
    pub(super) spot: f64,
    pub(super) ts: UtcNanos,
    pub(super) expiries: Vec<Date>,
    pub(super) step: f64,
    /// Strikes to either side.
    pub(super) strikes: i32,
    pub(super) vol: f64,
    /// Volatility points a put gains for every percent it is below the money.
    pub(super) skew: f64,
    /// Volatility points an expiration gains over the one before.
    pub(super) slope: f64,
    /// Half of the quotes' width as a part of the value.
    pub(super) half: f64,
}

pub(super) const RATES: Rates = Rates { rate: 0.04, div: 0.013 };

impl Listing {
    pub(super) fn rows(&self) -> Vec<ChainRow> {
        let mut rows = Vec::new();
        let middle = (self.spot / self.step).round() as i32;
        for (n, expiry) in self.expiries.iter().enumerate() {
            for right in [Right::Call, Right::Put] {
                for at in (middle - self.strikes).max(1)..=middle + self.strikes {
                    let strike = Strike((f64::from(at) * self.step * 1_000.0).round() as u32);
                    let series = OccSymbol { root: self.root, expiry: *expiry, right, strike };
                    let away = 100.0 * (1.0 - strike.points() / self.spot);
                    let vol = self.vol + 0.01 * (self.skew * away.max(-4.0) + self.slope * n as f64);
                    rows.push(self.row(series, vol));
                }
            }
        }
        rows
    }

    fn row(&self, series: OccSymbol, vol: f64) -> ChainRow {
        let years = settlement_instant(&series).map_or(0.0, |it| years_between(self.ts, it));
        let inputs = Inputs {
            spot: self.spot,
            strike: series.strike.points(),
            years,
            rate: RATES.rate,
            div: RATES.div,
            vol: vol.max(0.02),
        };
        let value = price(series.right, &inputs);
        let grid = TickGrid::single_leg(&self.root, DAY);
        let bid = Price::from_model(value * (1.0 - self.half), Side::Buy, grid).unwrap();
        let ask = Price::from_model(value * (1.0 + self.half), Side::Sell, grid).unwrap();
        let ask = if ask == bid { grid.up(bid) } else { ask };
        let quote = OptionQuote {
            ts: self.ts,
            bid: (bid > Price::ZERO).then_some(bid),
            ask: Some(ask),
            bid_size: 20,
            ask_size: 30,
        };
        ChainRow { series, quote, open_interest: Some(500), volume: Some(100) }
    }
}

/// One question.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) listing: Listing,
    pub(super) facts: Facts,
    pub(super) rows: Vec<ChainRow>,
    pub(super) settings: Settings,
    pub(super) portfolio: Portfolio,
    pub(super) now: UtcNanos,
}

impl World {
    pub(super) fn listing(underlying: Underlying, now: UtcNanos) -> Listing {
        let is_index = underlying.is_index();
        Listing {
            root: if is_index { Root::SPXW } else { underlying.as_str().parse().unwrap() },
            spot: if is_index { 5_600.0 } else { 560.0 },
            ts: now,
            expiries: vec![date(2026, 12, 21), date(2026, 12, 28)],
            step: if is_index { 25.0 } else { 2.5 },
            strikes: 24,
            vol: 0.165,
            skew: 0.6,
            slope: 0.2,
            half: 0.01,
        }
    }

    /// One that lets `kind` through.
    pub(super) fn of(kind: Kind, underlying: Underlying) -> Self {
        let now = at_new_york(DAY, time(11, 0, 0, 0));
        let listing = Self::listing(underlying, now);
        let mut settings = preset(kind, underlying);
        settings.entry.expirations_max = 2;
        if kind == Kind::Butterfly {
            // What is bought is dear where volatility is: a forecast over it makes wings worth their price.
            settings.entry.widths = vec![if underlying.is_index() { 50.0 } else { 5.0 }];
        }
        let spot = Points::from_f64(listing.spot);
        let facts = Facts {
            underlying,
            spot: Some(SpotAt { value: spot, at: now }),
            path: vec![SpotAt { value: spot, at: now.minus(std::time::Duration::from_secs(600)) }],
            connected: Some(true),
            indicators: Indicators {
                ema20: Some(0.99 * listing.spot),
                sma50: Some(0.995 * listing.spot),
                rsi14: Some(55.0),
                macd: None,
                adx14: Some(18.0),
                rv20: Some(0.11),
            },
            vix: Some(LevelAt { value: 17.0, at: now }),
            vix3m: Some(LevelAt { value: 19.0, at: now }),
            implied: Some(0.165),
            iv: Some(Standing::Ranked(IvRank {
                rank: 0.45,
                percentile: 0.5,
                low: 0.1,
                high: 0.3,
                days: 250,
                source: Source::Own,
            })),
            macros: Some(MacroSchedule { confirmed_at: now, events: Vec::new() }),
            earnings: Known::KnownNone,
            dividends: Known::KnownNone,
            volume: Some(UnderlyingVolume { today: 900, average: 1_000, proxy: None }),
            rates: Some(RATES),
            returns: Returns {
                daily: returns(300, 0.01, 7),
                to_close: returns(60, 0.005, 8),
                to_next_close: returns(60, 0.009, 9),
                seed: Some(7),
            },
            forecast: Some(0.11),
            exit_slippage: Some(0.3),
            prior_volumes: Vec::new(),
        };
        let portfolio = Portfolio {
            broker: "tradier".to_owned(),
            cash: Some(Usd::from_dollars(1_000_000)),
            shares: Some(Shares {
                free: if kind == Kind::CoveredCall { 500 } else { 0 },
                cost_basis: Some(Usd::from_cents(50_000)),
            }),
            reconciled_at: Some(now),
            book: Some(BookGreeks { delta: 0.0, gamma: 0.0, vega: 0.0 }),
            day_loss: Some(Usd::ZERO),
            ..Portfolio::default()
        };
        let rows = listing.rows();
        Self { listing, facts, rows, settings, portfolio, now }
    }

    /// An iron condor on the index.
    pub(super) fn condor() -> Self {
        Self::of(Kind::IronCondor, Underlying::SPX)
    }

    /// With another chain.
    pub(super) fn listed(mut self, change: impl FnOnce(&mut Listing)) -> Self {
        change(&mut self.listing);
        self.rows = self.listing.rows();
        self
    }

    /// With something else another.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let chain = ChainSnapshot {
            underlying: self.facts.underlying,
            spot: self.facts.spot.map_or(Points(0), |it| it.value),
            ts: self.now,
            rows: self.rows.clone(),
        };
        Snapshot { facts: self.facts.clone(), chain }
    }

    pub(super) fn strategy(&self) -> Strategy {
        Strategy::try_from(self.settings.clone()).unwrap()
    }

    pub(super) fn decide(&self) -> Decision {
        evaluate(&self.snapshot(), &self.strategy(), &self.portfolio, self.now)
    }

    pub(super) fn decide_holding(&self, it: &Structure) -> Decision {
        evaluate_holding(&self.snapshot(), &self.strategy(), &self.portfolio, self.now, it)
    }

    /// A stage's verdict with its reason.
    pub(super) fn asked(&self, stage: Stage) -> (Verdict, Option<Reason>) {
        let decision = self.decide();
        let it = decision.stage(stage).unwrap();
        (it.verdict, it.reason)
    }

    /// The row of a series, to be spoiled.
    pub(super) fn row(&mut self, series: OccSymbol) -> &mut ChainRow {
        self.rows.iter_mut().find(|it| it.series == series).unwrap()
    }
}

/// `seconds` before or, negative, after.
pub(super) fn before(at: UtcNanos, seconds: f64) -> UtcNanos {
    UtcNanos(at.0 - (seconds * NANOS_PER_SEC as f64) as i64)
}

/// What stops.
pub(super) const fn blocked(why: Reason) -> (Verdict, Option<Reason>) {
    (Verdict::Block, Some(why))
}

/// What is not known.
pub(super) const fn unknown(why: Reason) -> (Verdict, Option<Reason>) {
    (Verdict::Unknown, Some(why))
}

/// What does not apply.
pub(super) const fn skipped(why: Reason) -> (Verdict, Option<Reason>) {
    (Verdict::Skipped, Some(why))
}

/// What lets through.
pub(super) const PASS: (Verdict, Option<Reason>) = (Verdict::Pass, None);
