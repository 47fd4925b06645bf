//! Every parser of what the broker writes, and texts that are almost what it writes.
//!
//! A text starts as one of the corpus and is changed a few times: bytes flipped, stretches cut, doubled, spliced from
//! others, words of the broker's JSON put in. The same seed gives the same texts, on any machine.

use broker::budget::{Group, RateBudget};
use broker::rows;
use broker::stream::{account_frame, market_frame};
use broker::transport::Reply;
use domain::account::Environment;
use domain::time::UtcNanos;

/// A parser by name, with the texts it starts from and what it makes of one: how much it keeps, in bytes or so.
pub(crate) struct Parser {
    pub(crate) name: &'static str,
    pub(crate) corpus: &'static str,
    pub(crate) parse: fn(&str) -> Option<usize>,
}

fn size<T>(found: &[T]) -> usize {
    std::mem::size_of_val(found)
}

/// The headers of a reply: `allowed|available|expiry`.
fn headers(text: &str) -> Option<usize> {
    let names = ["x-ratelimit-allowed", "x-ratelimit-available", "x-ratelimit-expiry"];
    let fields = names.iter().zip(text.split('|'));
    let headers = fields.map(|(name, value)| ((*name).to_owned(), value.to_owned())).collect();
    let reply = Reply { status: 200, headers, body: Vec::new() };
    let budget = RateBudget::new(Environment::Sandbox);
    let now = UtcNanos::from_secs(1_795_187_000);
    budget.observe(Group::Trading, &reply, now);
    let ends = budget.exhaust(Group::Market, &reply, now);
    (ends > now).then(|| usize::try_from(budget.available(Group::Trading, now)).unwrap_or(usize::MAX).min(1))
}

macro_rules! parsers {
    ($($name:literal, $corpus:literal, $parse:expr;)*) => {
        /// All of them.
        pub(crate) const PARSERS: &[Parser] = &[
            $(Parser { name: $name, corpus: include_str!(concat!("../corpus/", $corpus, ".txt")), parse: $parse },)*
        ];
    };
}

parsers! {
    "profile", "profile", |it| rows::profile(it).ok().map(|it| size(&it.accounts) + it.id.len());
    "balances", "balances", |it| rows::balances(it, &"VA12345678".parse().ok()?).ok().map(|_| 1);
    "positions", "positions", |it| rows::positions(it).ok().map(|it| size(&it));
    "orders", "orders", |it| rows::orders(it).ok().map(|it| size(&it));
    "order", "order", |it| rows::order(it).ok().map(|it| size(&it.legs));
    "order_details", "orders", |it| rows::order_details(it).ok().map(|it| {
        it.iter().map(|it| size(&it.legs) + usize::from(it.parent_agrees() == Some(true))).sum::<usize>() + size(&it)
    });
    "order_detail", "order", |it| rows::order_detail(it).ok().map(|it| {
        size(&it.legs) + size(&it.order.legs) + usize::from(it.net_fill().is_some())
    });
    "preview", "preview", |it| rows::preview(it).ok().map(|_| 1);
    "history", "history", |it| rows::history(it).ok().map(|it| size(&it));
    "gain_loss", "gain_loss", |it| rows::gain_loss(it).ok().map(|it| size(&it));
    "quotes", "quotes", |it| rows::quotes(it).ok().map(|it| size(&it));
    "symbol_quotes", "quotes", |it| rows::symbol_quotes(it).ok().map(|it| size(&it.found) + size(&it.unmatched));
    "market", "quotes", |it| rows::market(it, &"SPXW261120C05610000".parse().ok()?).ok().map(|_| 1);
    "chain", "chain", |it| rows::chain(it, None).ok().map(|it| size(&it));
    "chain_with_greeks", "chain", |it| rows::chain_with_greeks(it, Some(domain::symbol::Root::SPXW)).ok().map(|it| size(&it));
    "expirations", "expirations", |it| rows::expirations(it).ok().map(|it| size(&it) + it.iter().map(|it| size(&it.strikes)).sum::<usize>());
    "strikes", "strikes", |it| rows::strikes(it).ok().map(|it| size(&it));
    "lookup", "lookup", |it| rows::lookup(it).ok().map(|it| size(&it) + it.iter().map(|it| size(&it.1)).sum::<usize>());
    "bars", "bars", |it| rows::bars(it).ok().map(|it| size(&it));
    "sales", "sales", |it| rows::sales(it).ok().map(|it| size(&it));
    "clock", "clock", |it| rows::clock(it).ok().map(|_| 1);
    "calendar", "calendar", |it| rows::calendar(it).ok().map(|it| size(&it.days));
    "stream_session", "session", |it| rows::stream_session(it).ok().map(|it| it.url.len());
    "account_frame", "account_frame", |it| Some(size(&account_frame(it).orders));
    "market_frame", "market_frame", |it| {
        let frame = market_frame(it);
        Some(size(&frame.items) + frame.items.iter().filter(|it| it.event().is_some()).count())
    };
    "answer_to_a_write", "answer", |it| rows::answer(200, it).ok().map(|_| 1);
    "answer_that_is_no", "answer", |it| Some(usize::from(rows::answer(400, it).is_ok()) * usize::MAX);
    "rate_headers", "headers", headers;
}

/// The seed of everything here.
pub(crate) const SEED: u64 = 0x_c1a7_0a20_2611_2001;

/// Texts longer than this are cut: a parser that keeps more than it was given would show here as well.
const TEXT_MAX: usize = 32 * 1024;

const WORDS: [&str; 44] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "null",
    "\"null\"",
    "true",
    "1e309",
    "-0",
    "1.5",
    "1E-7",
    "-",
    "\\u12",
    "\\",
    "é",
    "99999999999999999999",
    "17798.360000000000000000000000",
    "0.00000000000000000000001",
    "\"NaN\"",
    "\"id\":",
    "\"order\":",
    "\"leg\":",
    "\"errors\":",
    "\"error\":",
    "\"fault\":",
    "\"symbol\":",
    "\"SPXW261120C05610000\"",
    "\"option\":",
    "\"status\":\"filled\"",
    "\"quantity\":",
    "\"date\":\"2026-02-30\"",
    "\"price\":",
    "[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":",
    "\n",
    "\r\n",
    " ",
    "\u{0}",
    "quota violation",
    "finalized state",
    "invalid parameter",
];

const VALUES: [&str; 40] = [
    "null",
    "\"null\"",
    "true",
    "false",
    "\"true\"",
    "0",
    "-0.0",
    "1",
    "-1",
    "2.0",
    "0.005",
    "4.5",
    "1e3",
    "1E-7",
    "1e18",
    "1e19",
    "99999999999999999999",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "17798.360000000000000000000000",
    "\"2.35\"",
    "\"NaN\"",
    "\"\"",
    "\" \"",
    "\"\\u0041\"",
    "\"\\\"\"",
    "{}",
    "[]",
    "[null]",
    "{\"order\":\"null\"}",
    "\"2026-11-20\"",
    "\"2026-02-30\"",
    "\"2026-11-20T15:10:00.004Z\"",
    "1795187010000",
    "\"SPXW261120C05610000\"",
    "\"SPX261218P05600000\"",
    "\"SPX1261218C05600000\"",
    "\"filled\"",
    "\"sell_to_open\"",
];

/// A stream of numbers that look random and are always the same.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        // Xorshift64*.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { usize::try_from(self.next() >> 16).unwrap_or(0) % n }
    }
}

/// The texts of one parser.
pub(crate) struct Texts {
    seeds: Vec<&'static [u8]>,
    numbers: Numbers,
    text: Vec<u8>,
}

impl Texts {
    pub(crate) fn new(parser: &Parser, seed: u64) -> Self {
        let seeds = parser.corpus.lines().map(str::as_bytes).collect();
        Self { seeds, numbers: Numbers::new(seed), text: Vec::new() }
    }

    /// The next text.
    pub(crate) fn next(&mut self) -> std::borrow::Cow<'_, str> {
        let first = self.numbers.below(self.seeds.len());
        self.text.clear();
        self.text.extend_from_slice(self.seeds[first]);
        // Half of the texts stay JSON: values change, so that what is behind the syntax is reached.
        let whole = self.numbers.below(2) == 0;
        for _ in 0..=self.numbers.below(4) {
            if whole { self.change_value() } else { self.change() }
        }
        self.text.truncate(TEXT_MAX);
        String::from_utf8_lossy(&self.text)
    }

    fn stretch(&mut self, longest: usize) -> std::ops::Range<usize> {
        let from = self.numbers.below(self.text.len() + 1);
        let length = self.numbers.below(longest.min(self.text.len() - from) + 1);
        from..from + length
    }

    /// Puts another scalar where one stands, or a word where a list or an object begins.
    fn change_value(&mut self) {
        let colons: Vec<usize> = (0..self.text.len()).filter(|&at| b":[,".contains(&self.text[at])).collect();
        let Some(&at) = colons.get(self.numbers.below(colons.len())) else { return };
        let from = at + 1;
        let rest = &self.text[from..];
        let length = match rest.first() {
            Some(b'"') => rest.iter().skip(1).position(|it| *it == b'"').map(|it| it + 2),
            Some(b'{' | b'[') | None => None,
            Some(_) => rest.iter().position(|it| b",}]".contains(it)),
        };
        // A key is left alone: what follows it is a colon.
        let Some(length) = length.filter(|it| rest.get(*it) != Some(&b':')) else { return };
        let value = VALUES[self.numbers.below(VALUES.len())];
        drop(self.text.splice(from..from + length, value.bytes()));
    }

    fn change(&mut self) {
        match self.numbers.below(9) {
            0 => {
                let at = self.numbers.below(self.text.len());
                let bit = self.numbers.below(8);
                if let Some(byte) = self.text.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            1 => {
                let range = self.stretch(16);
                drop(self.text.drain(range));
            }
            2 => {
                let at = self.numbers.below(self.text.len() + 1);
                self.text.truncate(at);
            }
            3 => {
                // Doubled: lists of two, fields that stand twice.
                let range = self.stretch(400);
                let (at, copy) = (range.end, self.text[range].to_vec());
                drop(self.text.splice(at..at, copy));
            }
            4 => {
                let other = self.numbers.below(self.seeds.len());
                let other = self.seeds[other];
                let (from, length) = (self.numbers.below(other.len() + 1), self.numbers.below(120));
                let part = other[from..(from + length).min(other.len())].to_vec();
                let at = self.numbers.below(self.text.len() + 1);
                drop(self.text.splice(at..at, part));
            }
            5 => {
                let digit = b'0' + u8::try_from(self.numbers.below(10)).unwrap_or(0);
                let digits: Vec<usize> =
                    (0..self.text.len()).filter(|&at| self.text[at].is_ascii_digit()).collect();
                if let Some(&at) = digits.get(self.numbers.below(digits.len())) {
                    self.text[at] = digit;
                }
            }
            _ => {
                let word = WORDS[self.numbers.below(WORDS.len())];
                let range = self.stretch(8);
                drop(self.text.splice(range, word.bytes()));
            }
        }
    }
}
