//! Watchlists: named lists of symbols that a user keeps (`/v1/watchlists`).

use broker::transport::Method;
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::answer::Answer;
use super::params::{Invalid, Params};
use super::shape::{Collapsed, Under, uuid};

/// Lists of one user, and symbols of one list, at most.
const LISTS_MAX: usize = 100;
const SYMBOLS_MAX: usize = 1_000;
const NAME_MAX: usize = 100;

/// One list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Watchlist {
    name: String,
    id: String,
    public_id: String,
    symbols: Vec<String>,
}

#[derive(Serialize)]
struct Summary<'a> {
    name: &'a str,
    id: &'a str,
    public_id: &'a str,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    items: Option<Under<Rows<'a>>>,
}

/// Symbols as items; one alone is no list.
struct Rows<'a>(&'a [String]);

#[derive(Serialize)]
struct Item<'a> {
    symbol: &'a str,
    id: String,
}

impl Serialize for Rows<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let symbols = self.0.iter();
        let items: Vec<Item<'_>> =
            symbols.map(|symbol| Item { symbol, id: symbol.to_ascii_lowercase() }).collect();
        Collapsed(&items).serialize(to)
    }
}

impl Watchlist {
    fn new(user: &str, name: &str, symbols: Vec<String>) -> Self {
        let id: String =
            name.to_lowercase().chars().map(|it| if it.is_alphanumeric() { it } else { '-' }).collect();
        let mark = uuid(&[b"watchlist", user.as_bytes(), id.as_bytes()]);
        let public_id = format!("public-{}", mark.get(..8).unwrap_or(""));
        Self { name: name.to_owned(), id, public_id, symbols }
    }

    fn summary(&self) -> Summary<'_> {
        Summary { name: &self.name, id: &self.id, public_id: &self.public_id }
    }

    fn whole(&self) -> Answer {
        let items = (!self.symbols.is_empty()).then(|| Under("item", Rows(&self.symbols)));
        Answer::json(&Under("watchlist", Whole { summary: self.summary(), items }))
    }

    fn add(&mut self, symbols: Vec<String>) {
        for symbol in symbols {
            if !self.symbols.contains(&symbol) && self.symbols.len() < SYMBOLS_MAX {
                self.symbols.push(symbol);
            }
        }
    }
}

fn name(params: &Params<'_>) -> Result<String, Invalid> {
    let name = params.need("name")?;
    if name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(Invalid::new("name", &format!("must be at most {NAME_MAX} characters.")));
    }
    Ok(name.to_owned())
}

fn symbols(params: &Params<'_>) -> Result<Vec<String>, Invalid> {
    let all: Vec<String> = params
        .get("symbols")
        .unwrap_or("")
        .split(',')
        .map(|it| it.trim().to_ascii_uppercase())
        .filter(|it| !it.is_empty())
        .collect();
    if all.len() > SYMBOLS_MAX {
        return Err(Invalid::new("symbols", &format!("must be at most {SYMBOLS_MAX}.")));
    }
    Ok(all)
}

impl Sandbox {
    pub(super) fn watchlist_route(
        &mut self,
        user: &str,
        method: Method,
        path: &[&str],
        params: &Params<'_>,
    ) -> Result<Answer, Invalid> {
        // Everybody begins with an empty list called default.
        let lists = self
            .watchlists
            .entry(user.to_owned())
            .or_insert_with(|| vec![Watchlist::new(user, "default", Vec::new())]);
        let at = |id: &str| lists.iter().position(|it| it.id == id);
        let missing = || Ok(Answer::text(404, "Watchlist not found."));
        let answer = match (method, path) {
            (Method::Get, []) => summaries(lists),
            (Method::Post, []) => {
                let list = Watchlist::new(user, &name(params)?, symbols(params)?);
                if at(&list.id).is_some() {
                    return Err(Invalid::new("name", "is taken."));
                }
                if lists.len() >= LISTS_MAX {
                    return Err(Invalid::new("name", &format!("there are {LISTS_MAX} watchlists already.")));
                }
                let answer = list.whole();
                lists.push(list);
                answer
            }
            (_, [id, ..]) => {
                let Some(n) = at(id) else { return missing() };
                let Some(list) = lists.get_mut(n) else { return missing() };
                match (method, path) {
                    (Method::Get, [_]) => list.whole(),
                    (Method::Put, [_]) => {
                        list.name = name(params)?;
                        if params.get("symbols").is_some() {
                            list.symbols.clear();
                            list.add(symbols(params)?);
                        }
                        list.whole()
                    }
                    (Method::Delete, [_]) => {
                        lists.remove(n);
                        summaries(lists)
                    }
                    (Method::Post, [_, "symbols"]) => {
                        params.need("symbols")?;
                        list.add(symbols(params)?);
                        list.whole()
                    }
                    (Method::Delete, [_, "symbols", symbol]) => {
                        list.symbols.retain(|it| !it.eq_ignore_ascii_case(symbol));
                        list.whole()
                    }
                    (Method::Get | Method::Post | Method::Put | Method::Delete, _) => return missing(),
                }
            }
            (Method::Put | Method::Delete, []) => return missing(),
        };
        if method != Method::Get {
            self.touch();
        }
        Ok(answer)
    }
}

fn summaries(lists: &[Watchlist]) -> Answer {
    let rows: Vec<Summary<'_>> = lists.iter().map(Watchlist::summary).collect();
    Answer::json(&Under("watchlists", super::shape::Listed::new("watchlist", rows)))
}
