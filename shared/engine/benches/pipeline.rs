//! Cost of one decision, selection included, and of a scan.
//!
//! Targets: an iron condor over a chain of 10,000 rows under 5 ms, 50 strategies on 10 underlyings under 300 ms. Run with
//! `cargo bench -p engine --profile fast --bench pipeline`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "criterion's macros make undocumented items; a bench may fail loudly"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use domain::chain::{ChainRow, ChainSnapshot};
use domain::market::{OptionQuote, Points};
use domain::money::{Price, Side, TickGrid, Usd};
use domain::symbol::{OccSymbol, Right, Root, Strike, Underlying};
use domain::time::{UtcNanos, at_new_york};
use engine::indicators::Reading as Indicators;
use engine::pipeline::*;
use engine::pricing::{Inputs, price, settlement_instant, years_between};
use jiff::civil::{Date, date, time};
use std::hint::black_box;

const DAY: Date = date(2026, 11, 20);

fn now() -> UtcNanos {
    at_new_york(DAY, time(11, 0, 0, 0))
}

/// `expirations` of 250 strikes, daily from three weeks on: all but a few are in range.
fn chain(underlying: Underlying, root: Root, spot: f64, expirations: i32, strikes: i32) -> ChainSnapshot {
    let step = spot / 1_120.0;
    let mut rows = Vec::new();
    let mut day = DAY.checked_add(jiff::Span::new().days(21)).unwrap();
    for n in 0..expirations {
        day = domain::calendar::next_session(day).unwrap().date;
        for right in [Right::Call, Right::Put] {
            for at in 1_120 - strikes / 2..1_120 + strikes / 2 {
                let strike = Strike((f64::from(at) * step * 1_000.0) as u32);
                let series = OccSymbol { root, expiry: day, right, strike };
                let away = 100.0 * (1.0 - strike.points() / spot);
                let vol = 0.165 + 0.01 * (0.6 * away.max(-4.0) + 0.02 * f64::from(n));
                rows.push(row(series, spot, vol));
            }
        }
    }
    rows.sort_by_key(|it| it.series);
    ChainSnapshot { underlying, spot: Points::from_f64(spot), ts: now(), rows }
}

fn row(series: OccSymbol, spot: f64, vol: f64) -> ChainRow {
    let years = years_between(now(), settlement_instant(&series).unwrap());
    let inputs = Inputs { spot, strike: series.strike.points(), years, rate: 0.04, div: 0.013, vol };
    let value = price(series.right, &inputs);
    let grid = TickGrid::single_leg(&series.root, DAY);
    let bid = Price::from_model(value * 0.99, Side::Buy, grid).unwrap();
    let ask = grid.up(Price::from_model(value * 1.01, Side::Sell, grid).unwrap());
    let bid = (bid > Price::ZERO).then_some(bid);
    let quote = OptionQuote { ts: now(), bid, ask: Some(ask), bid_size: 20, ask_size: 20 };
    ChainRow { series, quote, open_interest: Some(500), volume: Some(100) }
}

fn snapshot(chain: ChainSnapshot) -> Snapshot {
    let (at, value) = (now(), chain.spot);
    let mut dice = 7_u64;
    let mut roll = || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice >> 11) as f64 / (1_u64 << 53) as f64
    };
    // Ten years of days.
    let daily = (0..2_520).map(|_| 0.01 * ((0..12).map(|_| roll()).sum::<f64>() - 6.0)).collect();
    let spot = value.to_f64();
    let facts = Facts {
        underlying: chain.underlying,
        spot: Some(SpotAt { value, at }),
        path: Vec::new(),
        connected: Some(true),
        indicators: Indicators {
            ema20: Some(spot * 0.99),
            sma50: Some(spot * 0.995),
            rsi14: Some(55.0),
            macd: None,
            adx14: Some(18.0),
            rv20: Some(0.11),
        },
        vix: Some(LevelAt { value: 17.0, at }),
        vix3m: Some(LevelAt { value: 19.0, at }),
        implied: Some(0.165),
        iv: None,
        macros: Some(MacroSchedule { confirmed_at: at, events: Vec::new() }),
        earnings: Known::KnownNone,
        dividends: Known::KnownNone,
        volume: Some(UnderlyingVolume { today: 900, average: 1_000, proxy: None }),
        rates: Some(Rates { rate: 0.04, div: 0.013 }),
        returns: Returns { daily, ..Returns::default() },
        forecast: Some(0.11),
        exit_slippage: Some(0.3),
        prior_volumes: Vec::new(),
    };
    Snapshot { facts, chain }
}

fn portfolio() -> Portfolio {
    Portfolio {
        broker: "tradier".to_owned(),
        cash: Some(Usd::from_dollars(1_000_000)),
        ..Portfolio::default()
    }
}

fn one(c: &mut Criterion) {
    let snapshot = snapshot(chain(Underlying::SPX, Root::SPXW, 5_600.0, 20, 250));
    assert_eq!(snapshot.chain.rows.len(), 10_000);
    let strategy = |change: fn(&mut Settings)| {
        let mut settings = preset(Kind::IronCondor, Underlying::SPX);
        change(&mut settings);
        Strategy::try_from(settings).unwrap()
    };
    let portfolio = portfolio();
    let usual = strategy(|_| ());
    let every = strategy(|it| {
        (it.entry.min_dte, it.entry.max_dte, it.entry.expirations_max) = (21, 60, 50);
    });
    let decision = evaluate(&snapshot, &usual, &portfolio, now());
    assert_eq!(decision.answer, Answer::Enter, "{:?} {:?}", decision.decided_by, decision.reason);
    let mut group = c.benchmark_group("an iron condor over 10,000 rows");
    group.bench_function("four expirations", |b| {
        b.iter(|| black_box(evaluate(black_box(&snapshot), &usual, &portfolio, now())));
    });
    group.bench_function("all twenty expirations", |b| {
        b.iter(|| black_box(evaluate(black_box(&snapshot), &every, &portfolio, now())));
    });
    group.bench_function("name of its snapshot", |b| b.iter(|| black_box(black_box(&snapshot).id())));
    group.bench_function("hash of the decision", |b| b.iter(|| black_box(black_box(&decision).hash())));
    group.finish();
}

fn scan(c: &mut Criterion) {
    let symbols = ["SPY", "QQQ", "IWM", "AAPL", "MSFT", "NVDA", "AMZN", "META", "TSLA", "GOOGL"];
    let kinds = [
        Kind::IronCondor,
        Kind::CreditPutSpread,
        Kind::CreditCallSpread,
        Kind::IronButterfly,
        Kind::CashSecuredPut,
    ];
    let all: Vec<(Snapshot, Vec<Strategy>)> = symbols
        .iter()
        .map(|symbol| {
            let underlying: Underlying = symbol.parse().unwrap();
            let snapshot = snapshot(chain(underlying, symbol.parse().unwrap(), 560.0, 15, 120));
            let strategies = kinds.iter().map(|kind| Strategy::try_from(preset(*kind, underlying)).unwrap());
            (snapshot, strategies.collect())
        })
        .collect();
    let portfolio = portfolio();
    c.bench_function("50 strategies on 10 underlyings", |b| {
        b.iter(|| {
            for (snapshot, strategies) in &all {
                for strategy in strategies {
                    black_box(evaluate(black_box(snapshot), strategy, &portfolio, now()));
                }
            }
        });
    });
}

criterion_group!(benches, one, scan);
criterion_main!(benches);
