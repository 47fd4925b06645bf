//! The sessions of a run that stays up: one after the other, the next seed on the next date, kept across restarts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::rc::Rc;

use anyhow::Context as _;
use domain::calendar::{Session, next_session};
use domain::market::{MarketEvent, MarketSource, OptionQuote, Points, SourceError, SourceProfile};
use domain::money::Price;
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sim::market::{GeneratedSession, SessionSpec, default_date};
use world::day::Counts;

use super::place::Place;

const FILE: &str = "session.json";

/// Which session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Turn {
    /// Everything random in it comes from this.
    pub(crate) seed: u64,
    /// Its New York date.
    pub(crate) date: Date,
}

impl Turn {
    /// The session that the run in `place` stands in: the first of `seed` where none was noted.
    pub(crate) fn of(place: &Place, seed: u64) -> anyhow::Result<Self> {
        let path = place.run().join(FILE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is broken: remove the data directory", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self { seed, date: default_date(seed) })
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Notes that the run stands in this session.
    pub(crate) fn note(&self, place: &Place) -> anyhow::Result<()> {
        let (path, fresh) = (place.run().join(FILE), place.run().join("session.json.new"));
        fs::write(&fresh, serde_json::to_vec(self)?)
            .and_then(|()| fs::rename(&fresh, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The session after it.
    pub(crate) fn next(&self) -> anyhow::Result<Self> {
        let date = next_session(self.date)?.date;
        Ok(Self { seed: self.seed.wrapping_add(1), date })
    }

    /// Its market, seen by `seen`.
    pub(crate) fn open(&self, seen: &Rc<RefCell<Seen>>) -> anyhow::Result<Watched> {
        let spec = SessionSpec { seed: self.seed, date: self.date, shape: None };
        let source = GeneratedSession::new(&spec)?;
        let profile = source.profile();
        *seen.borrow_mut() =
            Seen { source: profile.name.clone(), session: Some(profile.session), ..Seen::default() };
        Ok(Watched { source, seen: Rc::clone(seen) })
    }
}

/// What a session showed so far, for whoever looks at the run.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The source's name.
    pub(crate) source: String,
    /// The session.
    pub(crate) session: Option<Session>,
    /// What was counted.
    pub(crate) counts: Counts,
    /// The index and when it stood there.
    pub(crate) index: Option<(Points, UtcNanos)>,
    /// Each series' last quote.
    pub(crate) quotes: BTreeMap<OccSymbol, OptionQuote>,
}

impl Seen {
    /// Where the day stands at `now`, with the marks of the series that `held` knows.
    pub(crate) fn shown(&self, now: UtcNanos, speed: f64, held: impl Fn(&OccSymbol) -> bool) -> Value {
        let phase = self.session.map(|it| match now {
            _ if now < it.open => "before the open",
            _ if now < it.close => "open",
            _ => "closed",
        });
        let price = |it: Option<Price>| it.map(Price::to_f64);
        let marks: Map<String, Value> = self
            .quotes
            .iter()
            .filter(|it| held(it.0))
            .map(|(series, it)| (series.to_string(), json!({ "bid": price(it.bid), "ask": price(it.ask) })))
            .collect();
        json!({
            "at": now.to_string(),
            "newYork": now.new_york().strftime("%Y-%m-%d %H:%M:%S").to_string(),
            "source": self.source,
            "session": self.session.map(|it| it.date),
            "opensAt": self.session.map(|it| it.open.to_string()),
            "closesAt": self.session.map(|it| it.close.to_string()),
            "phase": phase,
            "speed": speed,
            "index": self.index.map(|it| it.0.to_f64()),
            "ticks": self.counts.prints.saturating_add(self.counts.quotes),
            "microbars": self.counts.microbars,
            "transitions": self.counts.transitions,
            "messages": self.counts.messages,
            "marks": marks,
        })
    }
}

/// A session whose events are seen as they are handed out.
#[derive(Debug)]
pub(crate) struct Watched {
    source: GeneratedSession,
    seen: Rc<RefCell<Seen>>,
}

impl MarketSource for Watched {
    fn profile(&self) -> &SourceProfile {
        self.source.profile()
    }

    fn next_event(&mut self) -> Result<Option<MarketEvent>, SourceError> {
        let event = self.source.next_event()?;
        let mut seen = self.seen.borrow_mut();
        match &event {
            Some(MarketEvent::Trade(symbol, trade)) => {
                seen.counts.prints = seen.counts.prints.saturating_add(1);
                if *symbol == self.source.profile().index {
                    seen.index = Some((trade.price, trade.ts));
                }
            }
            Some(MarketEvent::Quote(..)) => seen.counts.quotes = seen.counts.quotes.saturating_add(1),
            Some(MarketEvent::OptionQuote(series, quote)) => {
                seen.quotes.insert(*series, *quote);
            }
            None => {}
        }
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::place::RunKey;
    use crate::scratch::Scratch;
    use jiff::civil::date;

    #[test]
    fn sessions_follow_each_other_over_days_without_trading_and_are_kept() {
        let scratch = Scratch::new("turn");
        let key = RunKey { command: "up".to_owned(), source: "generated:seed=4".to_owned() };
        let place = Place::open(scratch.path(), key).unwrap();
        let first = Turn::of(&place, 4).unwrap();
        assert_eq!(first, Turn { seed: 4, date: default_date(4) });
        let eve = Turn { seed: 9, date: date(2026, 11, 25) };
        let next = eve.next().unwrap();
        assert_eq!(next, Turn { seed: 10, date: date(2026, 11, 27) });
        next.note(&place).unwrap();
        assert_eq!(Turn::of(&place, 4).unwrap(), next);
    }
}
