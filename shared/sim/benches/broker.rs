//! The sandbox's broker on one core with 10,000 working orders: placements, cancels, quote reads, quotes that move the
//! book, and how long the slowest of 100 placements takes at 1,000 a second of market time.
//!
//! `cargo bench -p sim --bench broker`

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use broker::transport::{Method, Reply, Request};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::account::AccountType;
use domain::calendar::Session;
use domain::market::{ListedSeries, MarketEvent, OptionQuote, Points, PrintCounts, Trade};
use domain::money::{Price, Usd};
use domain::secret::Token;
use domain::symbol::{OccSymbol, Underlying};
use domain::time::UtcNanos;
use jiff::civil::{date, time};
use sim::broker::{AccountConfig, Config, Limits, Rules, Sandbox, UserConfig};

const WORKING: usize = 10_000;
const ACCOUNT: &str = "VA00000001";

struct Bench {
    sandbox: Sandbox,
    now: UtcNanos,
    series: Vec<OccSymbol>,
    next: usize,
    placed: Vec<u64>,
}

impl Bench {
    fn new() -> Self {
        let session = Session::of(date(2026, 11, 20)).unwrap().unwrap();
        let strikes = (0..160).map(|n| 5_200 + 5 * n);
        let series: Vec<OccSymbol> = strikes
            .flat_map(|strike| ["C", "P"].map(|right| format!("SPXW261120{right}{:08}", strike * 1_000)))
            .map(|text| text.parse().unwrap())
            .collect();
        let account = AccountConfig::full(
            ACCOUNT.parse().unwrap(),
            AccountType::Margin,
            Usd::from_dollars(1_000_000_000),
        );
        let user = UserConfig::with_account("id-1", "stub-token", account);
        let listed = series.iter().map(|it| ListedSeries { series: *it, open_interest: Some(100) }).collect();
        let rules = Rules { limits: Limits::Off, ..Rules::live(1) };
        let sandbox = Sandbox::new(Config { session, users: vec![user], series: listed, rules });
        let now = session.wall(time(10, 0, 0, 0));
        let mut it = Self { sandbox, now, series, next: 0, placed: Vec::new() };
        let (ts, price) = (it.now, Points::whole(5_611));
        let trade = Trade { ts, sequence: None, price, size: 0, counts: PrintCounts::Everywhere };
        it.sandbox.on_market(&MarketEvent::Trade(Underlying::SPX, trade));
        for n in 0..it.series.len() {
            it.quote(n, 230);
        }
        while it.placed.len() < WORKING {
            it.place();
        }
        it.pass(Duration::from_secs(1));
        it
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.sandbox.advance(self.now);
        // As a journal does.
        drop(self.sandbox.take_transcript());
    }

    fn quote(&mut self, n: usize, bid: u32) {
        let (bid, ask) = (Price::from_cents(bid), Price::from_cents(bid + 10));
        let quote = OptionQuote { ts: self.now, bid: Some(bid), ask: Some(ask), bid_size: 50, ask_size: 50 };
        self.sandbox.on_market(&MarketEvent::OptionQuote(self.series[n % self.series.len()], quote));
    }

    fn ask(&mut self, method: Method, path: String, pairs: &[(&str, &str)]) -> Reply {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (query, form) = if method == Method::Post { (Vec::new(), pairs) } else { (pairs, Vec::new()) };
        let token = Token::new("stub-token");
        self.sandbox.answer(self.now, &Request { method, path, query, form, token, leaves_within: None })
    }

    /// A buy far below the market.
    fn place(&mut self) {
        let series = self.series[self.next % self.series.len()].to_string();
        let price = format!("{}.{:02}", 1, 5 * (self.next % 20));
        self.next += 1;
        let form = [
            ("class", "option"),
            ("symbol", "SPX"),
            ("option_symbol", series.as_str()),
            ("side", "buy_to_open"),
            ("quantity", "1"),
            ("type", "limit"),
            ("price", price.as_str()),
            ("duration", "day"),
            ("tag", "q7-01k9x"),
        ];
        let reply = self.ask(Method::Post, format!("/v1/accounts/{ACCOUNT}/orders"), &form);
        let body = std::str::from_utf8(&reply.body).unwrap();
        let id = body.split("\"id\":").nth(1).and_then(|it| it.split(',').next());
        self.placed.push(id.unwrap().parse().unwrap());
    }

    fn cancel(&mut self) {
        let id = self.placed.swap_remove(self.next % self.placed.len());
        self.next += 1;
        let reply = self.ask(Method::Delete, format!("/v1/accounts/{ACCOUNT}/orders/{id}"), &[]);
        assert_eq!(reply.status, 200);
    }

    /// Back to 10,000 orders.
    fn thin(&mut self) {
        while self.placed.len() > WORKING {
            self.cancel();
        }
        self.pass(Duration::from_secs(1));
    }

    fn read(&mut self) -> Reply {
        let series = self.series[self.next % self.series.len()].to_string();
        self.next += 1;
        self.ask(Method::Get, "/v1/markets/quotes".to_owned(), &[("symbols", series.as_str())])
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark's stopwatch")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Runs `work` in batches and `rest` between them, which does not count.
fn batched(bench: &mut Bench, iters: u64, work: impl Fn(&mut Bench), rest: impl Fn(&mut Bench)) -> Duration {
    let (mut left, mut total) = (iters, Duration::ZERO);
    while left > 0 {
        let batch = left.min(500);
        left -= batch;
        total += timed(|| (0..batch).for_each(|_| work(bench)));
        rest(bench);
    }
    total
}

fn throughput(c: &mut Criterion) {
    let mut bench = Bench::new();
    let mut group = c.benchmark_group("broker");
    group.throughput(Throughput::Elements(1));
    group.bench_function("placement among 10000 working orders", |it| {
        it.iter_custom(|iters| batched(&mut bench, iters, Bench::place, Bench::thin));
    });
    group.bench_function("placement and cancel", |it| {
        let both = |bench: &mut Bench| {
            bench.place();
            bench.cancel();
            bench.now = bench.now.plus(Duration::from_millis(1));
        };
        it.iter_custom(|iters| batched(&mut bench, iters, both, Bench::thin));
    });
    group.bench_function("quote read", |it| {
        let read = |bench: &mut Bench| drop(black_box(bench.read()));
        it.iter_custom(|iters| batched(&mut bench, iters, read, Bench::thin));
    });
    group.bench_function("balances", |it| {
        let path = || format!("/v1/accounts/{ACCOUNT}/balances");
        let read = |bench: &mut Bench| drop(black_box(bench.ask(Method::Get, path(), &[])));
        it.iter_custom(|iters| batched(&mut bench, iters, read, Bench::thin));
    });
    group.bench_function("quote of a series with 31 working orders", |it| {
        let quote = |bench: &mut Bench| {
            bench.now = bench.now.plus(Duration::from_nanos(100));
            let n = bench.next;
            bench.next += 1;
            bench.quote(n, 225 + 5 * u32::try_from(n % 3).unwrap());
        };
        it.iter_custom(|iters| batched(&mut bench, iters, quote, Bench::thin));
    });
    group.finish();
    slowest(&mut Bench::new());
}

/// 20,000 placements a market millisecond apart, with what falls due between them.
fn slowest(bench: &mut Bench) {
    let mut times: Vec<Duration> = Vec::with_capacity(20_000);
    for n in 0..20_000 {
        bench.now = bench.now.plus(Duration::from_millis(1));
        times.push(timed(|| bench.place()));
        if n % 1_000 == 999 {
            bench.thin();
        }
    }
    times.sort_unstable();
    let at = |per_mille: usize| times[times.len() * per_mille / 1_000];
    println!(
        "placement at 1,000 a second: p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
        at(500),
        at(990),
        at(999),
        times[times.len() - 1]
    );
}

criterion_group!(benches, throughput);
criterion_main!(benches);
