//! Runs every parser of the broker's answers on texts that are almost what the broker writes.
//!
//! `cargo run --profile fast -p broker --example fuzz -- COUNT [PARSER]`. A panic ends it with the text; a parser that is
//! slow on one text shows in the slowest batch; the largest memory the process ever had is printed last.

#![allow(clippy::panic, clippy::indexing_slicing, reason = "a run that cannot go on says so at once")]
#![allow(clippy::print_stdout, reason = "its output is its result")]

#[path = "../tests/fuzz/mod.rs"]
mod fuzz;

use std::time::{Duration, Instant};

use fuzz::{PARSERS, Parser, SEED, Texts};

/// Texts between two looks at the clock.
const BATCH: u64 = 1_000;

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn run(parser: &Parser, count: u64) {
    let mut texts = Texts::new(parser, SEED);
    let (mut read, mut bytes, mut slowest) = (0u64, 0u64, Duration::ZERO);
    let began = Instant::now();
    let mut done = 0;
    while done < count {
        let batch = Instant::now();
        for _ in 0..BATCH.min(count - done) {
            let text = texts.next();
            bytes += text.len() as u64;
            let kept = (parser.parse)(&text);
            read += u64::from(kept.is_some());
            assert!(kept.unwrap_or(0) <= 4_096 + 64 * text.len(), "{} kept too much of {text}", parser.name);
        }
        done += BATCH.min(count - done);
        slowest = slowest.max(batch.elapsed());
    }
    let took = began.elapsed();
    println!(
        "{:<20} {count:>11} texts {:>6} MB {:>5.1}% read {:>8.1} s {:>9.0}/s slowest {BATCH}: {:>6.1} ms",
        parser.name,
        bytes >> 20,
        100.0 * read as f64 / count as f64,
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64(),
        slowest.as_secs_f64() * 1e3,
    );
}

fn main() {
    let mut args = std::env::args().skip(1);
    let count = args.next().and_then(|it| it.replace('_', "").parse().ok()).unwrap_or(100_000);
    let only = args.next();
    for parser in PARSERS.iter().filter(|it| only.as_deref().is_none_or(|only| only == it.name)) {
        run(parser, count);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|it| it.starts_with("VmHWM")).unwrap_or("VmHWM: unknown");
    println!("largest memory: {}", peak.trim_start_matches("VmHWM:").trim());
}
