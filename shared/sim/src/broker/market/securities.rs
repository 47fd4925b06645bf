//! Which indexes and shares there are: search, symbol lookup, easy to borrow, fundamentals.

use domain::symbol::Underlying;
use serde::Serialize;

use super::super::Sandbox;
use super::super::answer::Answer;
use super::super::params::{Invalid, Params};
use super::super::shape::Under;
use super::Several;

#[derive(Serialize)]
struct SecurityRow {
    symbol: Underlying,
    exchange: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    description: &'static str,
}

/// What is known of an underlying beside its prices.
pub(crate) struct Security {
    pub(crate) kind: &'static str,
    pub(crate) description: &'static str,
}

/// Well-known securities, the most traded first: search and lookup find them whether or not the session quotes them.
const DIRECTORY: [(&str, &str, &str); 22] = [
    ("SPY", "etf", "SPDR S&P 500 ETF Trust"),
    ("QQQ", "etf", "Invesco QQQ Trust"),
    ("NVDA", "stock", "NVIDIA Corp"),
    ("TSLA", "stock", "Tesla Inc"),
    ("AAPL", "stock", "Apple Inc"),
    ("IWM", "etf", "iShares Russell 2000 ETF"),
    ("AMZN", "stock", "Amazon.com Inc"),
    ("GOOGL", "stock", "Alphabet Inc Class A"),
    ("MSFT", "stock", "Microsoft Corp"),
    ("META", "stock", "Meta Platforms Inc"),
    ("VOO", "etf", "Vanguard S&P 500 ETF"),
    ("IVV", "etf", "iShares Core S&P 500 ETF"),
    ("BRK/B", "stock", "Berkshire Hathaway Inc Class B"),
    ("DIA", "etf", "SPDR Dow Jones Industrial Average ETF Trust"),
    ("SPYG", "etf", "SPDR Portfolio S&P 500 Growth ETF"),
    ("SPYV", "etf", "SPDR Portfolio S&P 500 Value ETF"),
    ("SPYD", "etf", "SPDR Portfolio S&P 500 High Dividend ETF"),
    ("SPX", "index", "S&P 500 Index"),
    ("XSP", "index", "Mini-SPX Index"),
    ("NDX", "index", "NASDAQ 100 Index"),
    ("RUT", "index", "Russell 2000 Index"),
    ("VIX", "index", "CBOE Volatility Index"),
];

impl Security {
    pub(crate) fn of(underlying: &Underlying) -> Self {
        let known = DIRECTORY.iter().find(|it| it.0 == underlying.as_str());
        let (kind, description) = known.map_or(("stock", "Common Stock"), |it| (it.1, it.2));
        Self { kind, description }
    }
}

/// Where an underlying, and its options, are quoted: indexes at Cboe.
pub(crate) fn exchange(underlying: Underlying) -> &'static str {
    if underlying.is_index() { "C" } else { "Q" }
}

impl Sandbox {
    pub(super) fn search(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let query = params.need("q")?.to_ascii_uppercase();
        // Documented as off by default, and asked for by whoever wants an index.
        let indexes = params.flag("indexes")?;
        Ok(self.securities(|symbol, it| {
            (indexes || it.kind != "index")
                && (symbol.contains(&query) || it.description.to_ascii_uppercase().contains(&query))
        }))
    }

    pub(super) fn lookup_symbol(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let query = params.need("q")?.to_ascii_uppercase();
        let among = |list: Option<&str>, one: &str| {
            list.is_none_or(|it| it.split(',').any(|it| it.trim().eq_ignore_ascii_case(one)))
        };
        let (exchanges, types) = (params.get("exchanges"), params.get("types"));
        Ok(self.securities(|symbol, it| {
            let quoted = symbol.parse().map_or("", exchange);
            symbol.starts_with(&query) && among(exchanges, quoted) && among(types, it.kind)
        }))
    }

    pub(super) fn easy_to_borrow(&self) -> Answer {
        self.securities(|_, it| it.kind != "index")
    }

    /// Those that `wanted` says, the most traded first.
    fn securities(&self, wanted: impl Fn(&str, &Security) -> bool) -> Answer {
        let mut known: Vec<Underlying> = DIRECTORY.iter().filter_map(|it| it.0.parse().ok()).collect();
        for more in self.book.underlyings() {
            if !known.contains(&more) {
                known.push(more);
            }
        }
        let row = |symbol: Underlying| {
            let it = Security::of(&symbol);
            let row = SecurityRow {
                symbol,
                exchange: exchange(symbol),
                kind: it.kind,
                description: it.description,
            };
            wanted(symbol.as_str(), &it).then_some(row)
        };
        let rows = Several::some(known.into_iter().filter_map(row).collect());
        Answer::json(&Under("securities", rows.map(|it| Under("security", it))))
    }

    /// Fundamentals, which a session has none of: each symbol is answered, with nothing about it.
    pub(in super::super) fn fundamentals(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        #[derive(Serialize)]
        struct Company<'a> {
            request: &'a str,
            #[serde(rename = "type")]
            kind: &'static str,
            results: [(); 0],
        }
        let symbols = params.need("symbols")?.split(',').map(str::trim).filter(|it| !it.is_empty());
        let rows: Vec<Company<'_>> =
            symbols.map(|request| Company { request, kind: "Symbol", results: [] }).collect();
        Ok(Answer::json(&rows))
    }
}
