//! Cost of a tick: the fold alone, and the tape around it with time order, duplicates and gaps.
//!
//! Target: at most 10 ns a tick for the fold. Run with `cargo bench -p engine --profile fast --bench fold`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make undocumented items; a bench may fail loudly"
)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use domain::calendar::Session;
use domain::market::{MarketEvent, Points, PrintCounts, Quote, QuoteSide, SourceProfile, Trade};
use domain::symbol::Underlying;
use domain::time::{NANOS_PER_MILLI, UtcNanos};
use engine::bars::fold::{Fold, FoldRules};
use engine::bars::tape::{Tape, TapeRules};
use std::hint::black_box;

/// Small enough to stay in the cache: the fold is measured, not the memory.
const TICKS: usize = 20_000;

/// Two prints to a quote, 20 ms apart in the mean, on a walk of cents.
fn events(session: &Session) -> Vec<MarketEvent> {
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    let mut roll = |n: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % n
    };
    let (mut ts, mut mid) = (session.open.0, 5_600_000_i64);
    let mut events = Vec::with_capacity(TICKS);
    for n in 0..TICKS as u64 {
        ts += roll(40) as i64 * NANOS_PER_MILLI;
        if n % 3 == 0 {
            mid += (roll(3) as i64 - 1) * 100;
            let side = |price, size| Some(QuoteSide { price: Points(price), size: Some(size) });
            let bid = side(mid - 100, 1 + roll(50) as u32);
            let ask = side(mid, 1 + roll(50) as u32);
            events.push(MarketEvent::Quote(Underlying::SPY, Quote { ts: UtcNanos(ts), bid, ask }));
        } else {
            let price = Points(mid - roll(2) as i64 * 100);
            let (sequence, size) = (Some(n), 1 + roll(400) as u32);
            let counts = PrintCounts::Everywhere;
            let trade = Trade { ts: UtcNanos(ts), sequence, price, size, counts };
            events.push(MarketEvent::Trade(Underlying::SPY, trade));
        }
    }
    events
}

fn fold(c: &mut Criterion) {
    let session = Session::of(jiff::civil::date(2026, 11, 20)).unwrap().unwrap();
    let events = events(&session);
    let source = SourceProfile {
        name: "bench".to_owned(),
        index: Underlying::SPX,
        index_note: None,
        proxy: Some(Underlying::SPY),
        resolution_ns: 1,
        contiguous_sequence: false,
        session,
        prior_day: None,
        series: Vec::new(),
    };
    let mut group = c.benchmark_group("tick");
    group.throughput(Throughput::Elements(TICKS as u64));
    group.bench_function("fold", |b| {
        b.iter(|| {
            let mut fold = Fold::new(FoldRules::share(1, true));
            let mut volume = 0;
            for event in &events {
                let closed = match event {
                    MarketEvent::Trade(_, it) => fold.trade(it),
                    MarketEvent::Quote(_, it) => fold.quote(it),
                    MarketEvent::OptionQuote(..) => None,
                };
                if let Some(bar) = closed {
                    volume += black_box(bar).volume;
                }
            }
            volume
        });
    });
    group.bench_function("tape", |b| {
        let fresh = || (Tape::new(TapeRules::of(&source, true)), Vec::with_capacity(8_192));
        b.iter_batched(
            fresh,
            |(mut tape, mut out)| {
                events.iter().for_each(|it| tape.push(it, &mut out));
                out.len()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, fold);
criterion_main!(benches);
