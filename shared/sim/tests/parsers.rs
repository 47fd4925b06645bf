//! A fuzzer of everything the sandbox reads from strangers: forms, paths, whole requests, stream messages.
//!
//! Inputs are the corpus beside this file, mutated: bytes changed, doubled, cut, spliced, tokens put in. The draws come
//! from a seed, so that a failing input is found again. The usual run is quick; a long one is a command of its own:
//!
//! ```text
//! EXECUTIONS=10000000 cargo test --profile fast -p sim --test parsers -- --ignored --nocapture
//! ```
//!
//! What is claimed of every input: no panic, an answer of a known status whose 400 names what is wrong, no output out of
//! proportion to what came in, and state that does not grow with what was refused.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use broker::transport::{Method, Request};
use domain::account::AccountType;
use domain::calendar::Session;
use domain::market::{ListedSeries, MarketEvent, OptionQuote, Points, PrintCounts, Trade};
use domain::money::{Price, Usd};
use domain::secret::Token;
use domain::symbol::Underlying;
use domain::time::UtcNanos;
use sim::broker::{
    AccountConfig, Config, Latencies, Limits, Rules, Sandbox, StreamKind, UserConfig, read_pairs, read_path,
};

/// Executions of each parser in the usual run.
const QUICK: u64 = 20_000;
/// Bytes of one input at most.
const INPUT_MAX: usize = 4_096;
/// A fresh broker after so many requests: what was accepted meanwhile is somebody else's test.
const RENEWED: u64 = 2_000;
/// Pieces that parsers look for.
const TOKENS: [&str; 34] = [
    "&",
    "=",
    "%",
    "%5B0%5D",
    "[0]",
    "[51]",
    "[18446744073709551616]",
    "+",
    ",",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    "null",
    "NaN",
    "-1",
    "0",
    "1e309",
    "99999999999",
    "0.005",
    "2.4",
    "true",
    "False",
    "\u{0}",
    "\u{20ac}",
    "price",
    "quantity",
    "symbols",
    "sessionid",
    "preview",
    "SPXW261120C05610000",
    "/",
];

/// Draws (SplitMix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

struct Corpus(Vec<Vec<u8>>);

impl Corpus {
    fn of(sort: &str) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(sort);
        let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|it| it.unwrap().path()).collect();
        files.sort();
        let inputs: Vec<Vec<u8>> = files.iter().map(|it| std::fs::read(it).unwrap()).collect();
        assert!(!inputs.is_empty(), "{} is empty", dir.display());
        Self(inputs)
    }

    /// One of the corpus, the first ones as they are.
    fn mutated(&self, n: u64, draws: &mut Draws, input: &mut Vec<u8>) {
        input.clear();
        if let Some(whole) = usize::try_from(n).ok().and_then(|n| self.0.get(n)) {
            input.extend_from_slice(whole);
            return;
        }
        input.extend_from_slice(&self.0[draws.below(self.0.len())]);
        for _ in 0..=draws.below(6) {
            let at = draws.below(input.len() + 1);
            match draws.below(7) {
                0 if at < input.len() => input[at] = draws.next() as u8,
                1 if at < input.len() => input[at] ^= 1 << draws.below(8),
                2 => input.truncate(at),
                3 => {
                    let token = TOKENS[draws.below(TOKENS.len())];
                    input.splice(at..at, token.bytes());
                }
                4 => {
                    let end = at + draws.below(input.len() - at + 1).min(64);
                    let piece = input[at..end].to_vec();
                    input.splice(at..at, piece);
                }
                5 => {
                    let end = at + draws.below(input.len() - at + 1).min(32);
                    input.drain(at..end);
                }
                _ => {
                    let other = &self.0[draws.below(self.0.len())];
                    let from = draws.below(other.len());
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
            }
        }
        input.truncate(INPUT_MAX);
    }
}

fn broker() -> (Sandbox, UtcNanos) {
    let session = Session::of("2026-11-20".parse().unwrap()).unwrap().unwrap();
    let account =
        AccountConfig::full("VA00000001".parse().unwrap(), AccountType::Margin, Usd::from_dollars(100_000));
    let user = UserConfig::with_account("id-one", "stub-token", account);
    let series = ["SPXW261120C05610000", "SPXW261120C05620000", "SPXW261120P05600000"];
    let listed = |it: &str| ListedSeries { series: it.parse().unwrap(), open_interest: Some(7) };
    let rules = Rules { limits: Limits::Off, latencies: Latencies::NEAR, ..Rules::live(1) };
    let series = series.map(listed);
    let mut broker = Sandbox::new(Config { session, users: vec![user], series: series.to_vec(), rules });
    let now = session.open.plus(Duration::from_secs(1_800));
    let trade = Trade {
        ts: now,
        sequence: None,
        price: Points::whole(5_611),
        size: 0,
        counts: PrintCounts::Everywhere,
    };
    broker.on_market(&MarketEvent::Trade(Underlying::SPX, trade));
    let price = |cents| Some(Price::from_cents(cents));
    for it in series {
        let quote = OptionQuote { ts: now, bid: price(230), ask: price(240), bid_size: 9, ask_size: 9 };
        broker.on_market(&MarketEvent::OptionQuote(it.series, quote));
    }
    (broker, now)
}

fn forms(executions: u64) {
    let (corpus, mut draws, mut input) = (Corpus::of("form"), Draws(1), Vec::new());
    for n in 0..executions {
        corpus.mutated(n, &mut draws, &mut input);
        match read_pairs(&input) {
            Ok(pairs) => {
                let read: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
                assert!(read <= input.len() && pairs.len() <= input.len());
            }
            Err(text) => assert!(text.starts_with("Invalid parameter, ") && text.len() < 512, "{text}"),
        }
    }
}

fn paths(executions: u64) {
    let (corpus, mut draws, mut input) = (Corpus::of("path"), Draws(2), Vec::new());
    for n in 0..executions {
        corpus.mutated(n, &mut draws, &mut input);
        let text = String::from_utf8_lossy(&input);
        match read_path(&text) {
            Ok(path) => assert!(path.len() <= text.len()),
            Err(text) => assert_eq!(text, "Invalid parameter, path: is not percent-encoded."),
        }
    }
}

/// Whole requests: any path with any parameters, decoded as the listener decodes them.
fn requests(executions: u64) {
    let (paths, forms) = (Corpus::of("path"), Corpus::of("form"));
    let (mut draws, mut path, mut form) = (Draws(3), Vec::new(), Vec::new());
    let (mut sandbox, mut now) = broker();
    for n in 0..executions {
        if n % RENEWED == 0 {
            (sandbox, now) = broker();
        }
        // Whole paths as often as mutated ones: beyond the routes there is little to break.
        match draws.below(4) {
            0 => paths.mutated(n, &mut draws, &mut path),
            _ => path = paths.0[draws.below(paths.0.len())].clone(),
        }
        forms.mutated(n, &mut draws, &mut form);
        let Ok(read) = read_path(&String::from_utf8_lossy(&path)) else { continue };
        let Ok(pairs) = read_pairs(&form) else { continue };
        let method = [Method::Get, Method::Post, Method::Put, Method::Delete][draws.below(4)];
        let (query, form) = if draws.below(2) == 0 { (pairs, Vec::new()) } else { (Vec::new(), pairs) };
        let token = Token::new("stub-token");
        let request = Request { method, path: read, query, form, token, leaves_within: None };
        now = now.plus(Duration::from_millis(draws.next() % 50));
        let reply = sandbox.answer(now, &request);
        let named =
            reply.body.starts_with(b"Invalid parameter, ") || reply.body.starts_with(b"order already in");
        assert!(
            matches!(reply.status, 200 | 401 | 404) || reply.status == 400 && named,
            "{request:?} {reply:?}"
        );
        assert!(reply.body.len() < 1 << 20, "{request:?}");
        sandbox.take_transcript();
        sandbox.take_frames();
    }
}

fn messages(executions: u64) {
    let (corpus, mut draws, mut input) = (Corpus::of("stream"), Draws(4), Vec::new());
    let (mut sandbox, now) = broker();
    let token = Token::new("stub-token");
    let market = sandbox.open_stream(&token, StreamKind::Market, now).unwrap();
    let account = sandbox.open_stream(&token, StreamKind::Account, now).unwrap();
    for n in 0..executions {
        corpus.mutated(n, &mut draws, &mut input);
        let kind = [StreamKind::Market, StreamKind::Account][draws.below(2)];
        let id = if kind == StreamKind::Market { &market } else { &account };
        let message = String::from_utf8_lossy(&input).replace("ID", id);
        match sandbox.attach(now, kind, &message) {
            Ok(attached) => assert!(&attached == id && sandbox.is_attached(id)),
            Err(error) => {
                let told: serde_json::Value = serde_json::from_str(&error.to_string()).unwrap();
                assert!(told["error"].is_string());
            }
        }
        assert!(sandbox.take_frames().len() <= 2 * INPUT_MAX);
    }
}

#[test]
fn forms_are_read_or_refused() {
    forms(QUICK);
}

#[test]
fn paths_are_read_or_refused() {
    paths(QUICK);
}

#[test]
fn requests_are_answered() {
    requests(QUICK);
}

#[test]
fn stream_messages_are_taken_or_told_what_is_wrong() {
    messages(QUICK);
}

/// EXECUTIONS of each, with the rate.
#[test]
#[ignore = "a long run: EXECUTIONS=10000000 cargo test --profile fast -p sim --test parsers -- --ignored --nocapture"]
#[expect(clippy::disallowed_methods, reason = "a long run is counted and timed")]
fn a_long_run_of_each_parser() {
    let executions = std::env::var("EXECUTIONS").ok().and_then(|it| it.parse().ok()).unwrap_or(1_000_000);
    type Parser = fn(u64);
    let parsers: [(&str, Parser); 4] =
        [("forms", forms), ("paths", paths), ("stream messages", messages), ("requests", requests)];
    for (name, parser) in parsers {
        let begun = std::time::Instant::now();
        parser(executions);
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{name}: {executions} executions in {seconds:.1} s, {:.0} a second",
            executions as f64 / seconds
        );
    }
}
