//! How long a chain of ten thousand rows takes: `cargo bench -p broker --bench chain`. The budget is 15 ms.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROWS: u32 = 10_000;

/// A chain as the broker writes it: both roots, calls and puts, every field, greeks where asked.
fn body(greeks: bool) -> String {
    let row = |n: u32| {
        let (root, right, kind) = match n % 4 {
            0 => ("SPX", 'C', "call"),
            1 => ("SPX", 'P', "put"),
            2 => ("SPXW", 'C', "call"),
            _ => ("SPXW", 'P', "put"),
        };
        let strike = 1_000 + 5 * (n / 4);
        let tail = if greeks {
            r#","greeks":{"delta":0.41,"gamma":0.0118,"theta":-3.9,"vega":0.62,"rho":0.01,"phi":-0.01,"bid_iv":0.101,"mid_iv":0.103,"ask_iv":0.105,"smv_vol":0.103,"updated_at":"2026-11-20 14:00:03"}"#
        } else {
            ""
        };
        format!(
            r#"{{"symbol":"{root}261218{right}{:08}","description":"{root} Dec 18 2026 ${strike}.00 {kind}","exch":"C","type":"option","last":null,"change":null,"volume":{n},"open":null,"high":null,"low":null,"close":null,"bid":{}.35,"ask":{}.4,"underlying":"SPX","strike":{strike}.0,"change_percentage":null,"average_volume":0,"last_volume":0,"trade_date":0,"prevclose":2.75,"week_52_high":0.0,"week_52_low":0.0,"bidsize":41,"bidexch":"C","bid_date":1795186801000,"asksize":37,"askexch":"C","ask_date":1795186801000,"open_interest":1204,"contract_size":100,"expiration_date":"2026-12-18","expiration_type":"standard","option_type":"{kind}","root_symbol":"{root}"{tail}}}"#,
            strike * 1_000,
            n % 90,
            n % 90,
        )
    };
    let rows: Vec<String> = (0..ROWS).map(row).collect();
    format!(r#"{{"options":{{"option":[{}]}}}}"#, rows.join(","))
}

fn parse(c: &mut Criterion) {
    let (plain, greeks) = (body(false), body(true));
    let mut group = c.benchmark_group("chain of 10,000 rows");
    group.throughput(Throughput::Bytes(plain.len() as u64));
    group.bench_function("plain", |b| b.iter(|| broker::rows::chain(&plain, None).map(|it| it.len())));
    group.throughput(Throughput::Bytes(greeks.len() as u64));
    group.bench_function("with greeks, skipped", |b| {
        b.iter(|| broker::rows::chain(&greeks, None).map(|it| it.len()));
    });
    group.bench_function("with greeks, read", |b| {
        b.iter(|| broker::rows::chain_with_greeks(&greeks, None).map(|it| it.len()));
    });
    group.finish();
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = parse }
criterion_main!(benches);
