//! Cost of a price with five greeks, of many in columns, and of an implied volatility; each beside what it is held to.
//!
//! Targets: a price with its greeks 55 ns and 1.15 times the textbook formulas with std's functions, in columns 20 ns a
//! row, an implied volatility 200 ns beside the crate `implied-vol` over the same options. Run with
//! `cargo bench -p engine --profile fast --bench options`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make undocumented items; a bench may fail loudly"
)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::symbol::Right;
use engine::pricing::{Inputs, Rows, Values, implied_vol, price, value};
use implied_vol::{DefaultSpecialFn, ImpliedBlackVolatility};
use std::hint::black_box;

/// Small enough to stay in the cache: the formulas are measured, not the memory.
const OPTIONS: usize = 4_096;

/// Out-of-the-money options of every expiry and volatility, as far as three deviations from the money.
fn options() -> Vec<(Right, Inputs)> {
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    let mut roll = || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut one = || {
        let (years, vol) = (2e-4 + roll() * roll() * 2.0, 0.08 + 0.5 * roll());
        let away = 3.0 * (2.0 * roll() - 1.0);
        let (rate, div, spot) = (0.05 * roll(), 0.02 * roll(), 5_611.25_f64);
        let strike = spot * ((rate - div) * years + away * vol * years.sqrt()).exp();
        let right = if away > 0.0 { Right::Call } else { Right::Put };
        (right, Inputs { spot, strike, years, rate, div, vol })
    };
    (0..OPTIONS).map(|_| one()).collect()
}

/// The formulas as the textbook has them, with std's logarithm, exponential and square root, and `libm`'s erfc, which
/// std has not.
fn textbook(right: Right, it: &Inputs) -> [f64; 6] {
    let w = right.sign();
    let root_t = it.years.sqrt();
    let sd = it.vol * root_t;
    let d1 = ((it.spot / it.strike).ln() + (it.rate - it.div) * it.years) / sd + 0.5 * sd;
    let d2 = d1 - sd;
    let (carry, discount) = ((-it.div * it.years).exp(), (-it.rate * it.years).exp());
    let cdf = |x: f64| 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
    let (n1, n2) = (cdf(w * d1), cdf(w * d2));
    let density = (-0.5 * d1 * d1).exp() * 0.398_942_280_401_432_7;
    let (spot, strike) = (it.spot * carry, it.strike * discount);
    [
        w * (spot * n1 - strike * n2),
        w * carry * n1,
        carry * density / (it.spot * sd),
        spot * density * root_t,
        -spot * density * it.vol / (2.0 * root_t) - w * it.rate * strike * n2 + w * it.div * spot * n1,
        w * it.years * strike * n2,
    ]
}

fn price_and_greeks(c: &mut Criterion) {
    let options = options();
    let mut group = c.benchmark_group("price and five greeks");
    group.throughput(Throughput::Elements(OPTIONS as u64));
    group.bench_function("one by one", |b| {
        b.iter(|| {
            for (right, it) in &options {
                black_box(value(*right, black_box(it)));
            }
        });
    });
    group.bench_function("textbook with std", |b| {
        b.iter(|| {
            for (right, it) in &options {
                black_box(textbook(*right, black_box(it)));
            }
        });
    });
    group.bench_function("in columns", |b| {
        let mut rows = Rows::default();
        options.iter().for_each(|(right, it)| rows.push(*right, it));
        let mut values = Values::default();
        b.iter(|| black_box(&rows).value(black_box(&mut values)));
    });
    group.finish();
}

fn volatility(c: &mut Criterion) {
    let options: Vec<_> = options().into_iter().map(|(right, it)| (right, it, price(right, &it))).collect();
    let mut group = c.benchmark_group("implied volatility");
    group.throughput(Throughput::Elements(OPTIONS as u64));
    group.bench_function("ours", |b| {
        b.iter(|| {
            for (right, it, premium) in &options {
                black_box(implied_vol(*right, *premium, black_box(it)).unwrap());
            }
        });
    });
    // The crate takes undiscounted premiums and forwards: both are made beforehand.
    let undiscounted: Vec<_> = options
        .iter()
        .map(|(right, it, premium)| {
            let forward = it.spot * ((it.rate - it.div) * it.years).exp();
            (*right == Right::Call, forward, it.strike, it.years, premium * (it.rate * it.years).exp())
        })
        .collect();
    group.bench_function("implied-vol 2.1", |b| {
        b.iter(|| {
            for (is_call, forward, strike, years, premium) in &undiscounted {
                let asked = ImpliedBlackVolatility::builder()
                    .option_price(*premium)
                    .forward(*forward)
                    .strike(*strike)
                    .expiry(*years)
                    .is_call(*is_call)
                    .build()
                    .unwrap();
                black_box(asked.calculate::<DefaultSpecialFn>().unwrap());
            }
        });
    });
    group.finish();
}

criterion_group!(benches, price_and_greeks, volatility);
criterion_main!(benches);
