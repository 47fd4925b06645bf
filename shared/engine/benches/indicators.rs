//! Cost of a bar: all six indicators together.
//!
//! Target: at most 25 ns a bar. Run with `cargo bench -p engine --profile fast --bench indicators`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make undocumented items; a bench may fail loudly"
)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::indicators::{Bar, Indicators};
use std::hint::black_box;

const BARS: usize = 10_000;

fn bars() -> Vec<Bar> {
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    let mut roll = || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut last = 100.0_f64;
    let mut one = || {
        let close = last * (1.0 + 0.04 * (roll() - 0.5));
        let bar = Bar {
            high: last.max(close) * (1.0 + 0.01 * roll()),
            low: last.min(close) * (1.0 - 0.01 * roll()),
            close,
        };
        last = close;
        bar
    };
    (0..BARS).map(|_| one()).collect()
}

fn six(c: &mut Criterion) {
    let bars = bars();
    let mut group = c.benchmark_group("indicators");
    group.throughput(Throughput::Elements(BARS as u64));
    group.bench_function("six a bar", |b| {
        b.iter(|| {
            let mut indicators = Indicators::default();
            for bar in &bars {
                black_box(indicators.push(black_box(bar)).unwrap());
            }
        });
    });
    group.finish();
}

criterion_group!(benches, six);
criterion_main!(benches);
