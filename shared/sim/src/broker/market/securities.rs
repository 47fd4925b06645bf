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

impl Security {
    pub(crate) fn of(underlying: &Underlying) -> Self {
        let (kind, description) = match underlying.as_str() {
            "SPX" => ("index", "S&P 500 Index"),
            "XSP" => ("index", "Mini-SPX Index"),
            "NDX" => ("index", "NASDAQ 100 Index"),
            "RUT" => ("index", "Russell 2000 Index"),
            "VIX" => ("index", "CBOE Volatility Index"),
            "SPY" => ("etf", "SPDR S&P 500 ETF Trust"),
            "QQQ" => ("etf", "Invesco QQQ Trust"),
            "IWM" => ("etf", "iShares Russell 2000 ETF"),
            _ => ("stock", "Common Stock"),
        };
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
        let mut known: Vec<Underlying> = self.book.underlyings().into_iter().collect();
        known.sort_by_key(|it| std::cmp::Reverse(self.book.underlying(it).map_or(0, |it| it.volume)));
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
