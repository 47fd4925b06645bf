use std::collections::BTreeMap;

use domain::market::{OptionQuote, Quote, Trade};
use domain::money::TickGrid;
use domain::symbol::{OccSymbol, Right};

use super::*;

fn generated(seed: u64) -> GeneratedSession {
    GeneratedSession::new(&SessionSpec::of_seed(seed)).unwrap()
}

fn events(mut source: GeneratedSession) -> impl Iterator<Item = MarketEvent> {
    std::iter::from_fn(move || source.next_event().unwrap())
}

/// How a break of the opening range ended, judged on the fair value with a stop half a width inside the edge and
/// targets at one and two such distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    SecondTarget,
    Stopped,
    BackFromFirstTarget,
    HeldToTheEnd,
}

/// Each break's ending, the next one counted only after the last has ended.
fn breaks(it: &GeneratedSession) -> Vec<Ending> {
    let range = &it.path[60..960];
    let high = range.iter().copied().fold(f64::MIN, f64::max);
    let low = range.iter().copied().fold(f64::MAX, f64::min);
    let r = 0.5 * (high - low);
    let last = it.path.len() - 15 * 60;
    let (mut endings, mut open): (Vec<Ending>, Option<(f64, f64, bool)>) = (Vec::new(), None);
    for &value in &it.path[960..last] {
        match open {
            None if endings.len() < 3 && value > high + 1.0 => open = Some((1.0, high, false)),
            None if endings.len() < 3 && value < low - 1.0 => open = Some((-1.0, low, false)),
            None => {}
            Some((side, edge, first)) => {
                let gain = side * (value - edge) / r;
                let stop = if first { 0.0 } else { -1.0 };
                let ending = match () {
                    () if gain >= 2.0 => Some(Ending::SecondTarget),
                    () if gain <= stop && first => Some(Ending::BackFromFirstTarget),
                    () if gain <= stop => Some(Ending::Stopped),
                    () => None,
                };
                match ending {
                    Some(ending) => {
                        endings.push(ending);
                        open = None;
                    }
                    None => open = Some((side, edge, first || gain >= 1.0)),
                }
            }
        }
    }
    if open.is_some() {
        endings.push(Ending::HeldToTheEnd);
    }
    endings
}

/// Everything that is in the events, in their order.
fn fingerprint(source: GeneratedSession) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut put = |it: i64| {
        hasher.update(&it.to_le_bytes());
    };
    for event in events(source) {
        put(event.ts().0);
        match event {
            MarketEvent::Trade(symbol, it) => {
                put(symbol.as_str().len() as i64 + i64::from(symbol.is_index()));
                [it.price.0, i64::from(it.size), it.counts as i64].into_iter().for_each(&mut put);
                put(it.sequence.map_or(-1, |it| it as i64));
            }
            MarketEvent::Quote(_, it) => {
                for side in [it.bid, it.ask].into_iter().flatten() {
                    [side.price.0, i64::from(side.size.unwrap())].into_iter().for_each(&mut put);
                }
            }
            MarketEvent::OptionQuote(series, it) => {
                put(i64::from(series.strike.0) * series.right.sign() as i64);
                let cents = |it: Option<domain::money::Price>| it.map_or(-1, |it| i64::from(it.cents()));
                [cents(it.bid), cents(it.ask), i64::from(it.bid_size), i64::from(it.ask_size)]
                    .into_iter()
                    .for_each(&mut put);
            }
        }
    }
    hasher.finalize().to_hex().as_str()[..16].to_owned()
}

#[test]
fn a_seed_is_one_session_to_the_byte_on_every_machine() {
    assert_eq!(fingerprint(generated(5)), "1038c06abffd605b");
    assert_ne!(fingerprint(generated(8)), "1038c06abffd605b");
}

#[test]
fn a_full_session_has_half_a_million_ticks_and_time_never_goes_back() {
    let source = generated(1);
    let session = source.profile().session;
    let (mut ticks, mut quotes, mut last) = (0, 0, session.open);
    for event in events(source) {
        assert!(event.ts() >= last && session.holds(event.ts()), "{event:?} after {last}");
        last = event.ts();
        match event {
            MarketEvent::Trade(..) | MarketEvent::Quote(..) => ticks += 1,
            MarketEvent::OptionQuote(..) => quotes += 1,
        }
    }
    assert!((500_000..650_000).contains(&ticks), "{ticks} ticks");
    assert!((150_000..600_000).contains(&quotes), "{quotes} option quotes");
    assert!(session.close.since(last).as_secs() < 2, "the last event is at {last}");
}

/// The last values seen while walking through a session.
#[derive(Default)]
struct Standing {
    index: Option<Trade>,
    spy: Option<Quote>,
    options: BTreeMap<OccSymbol, OptionQuote>,
}

impl Standing {
    fn see(&mut self, event: &MarketEvent) {
        match *event {
            MarketEvent::Trade(symbol, it) if symbol == Underlying::SPX => self.index = Some(it),
            MarketEvent::Trade(..) => {}
            MarketEvent::Quote(_, it) => self.spy = Some(it),
            MarketEvent::OptionQuote(series, it) => drop(self.options.insert(series, it)),
        }
    }
}

#[test]
fn prints_stand_on_the_quote_and_all_prices_on_their_grids() {
    let mut now = Standing::default();
    for event in events(generated(8)) {
        match event {
            MarketEvent::Trade(symbol, it) if symbol == Underlying::SPX => {
                assert!(it.size == 0 && it.price.0 % 100 == 0, "{it:?}");
            }
            MarketEvent::Trade(_, it) if it.counts == domain::market::PrintCounts::Everywhere => {
                let quote = now.spy.unwrap();
                let (bid, ask) = quote.valid().unwrap();
                assert!(quote.ts < it.ts && it.size > 0 && it.price.0 % 50 == 0, "{it:?} on {quote:?}");
                assert!(bid.price <= it.price && it.price <= ask.price, "{it:?} on {quote:?}");
            }
            MarketEvent::Trade(..) => {}
            MarketEvent::Quote(_, it) => {
                let (bid, ask) = it.valid().unwrap();
                let spread = ask.price.minus(bid.price).0;
                assert!(bid.price.0 % 100 == 0 && (100..=200).contains(&spread), "{it:?}");
                assert!(bid.size.unwrap() >= 100 && ask.size.unwrap() >= 100, "{it:?}");
            }
            MarketEvent::OptionQuote(series, it) => {
                let ask = it.ask.unwrap();
                assert!(TickGrid::FIVE_TEN.holds(ask) && it.ask_size > 0, "{series} {it:?}");
                assert_eq!(it.bid.is_some(), it.bid_size > 0, "{series} {it:?}");
                if let Some(bid) = it.bid {
                    assert!(TickGrid::FIVE_TEN.holds(bid) && bid.cents() > 0 && bid < ask, "{series} {it:?}");
                }
            }
        }
        now.see(&event);
    }
    assert!(now.options.values().any(|it| it.bid.is_none()), "at the close somebody's bid is gone");
}

/// The lowest and highest value of the index at which neither side of a pair can be arbitraged.
fn implied(strike: f64, call: &OptionQuote, put: &OptionQuote) -> (f64, f64) {
    let bid = |it: &OptionQuote| it.bid.map_or(0.0, domain::money::Price::to_f64);
    let ask = |it: &OptionQuote| it.ask.map_or(f64::MAX, domain::money::Price::to_f64);
    (strike + bid(call) - ask(put), strike + ask(call) - bid(put))
}

#[test]
fn the_chain_is_fresh_free_of_arbitrage_and_agrees_with_the_index() {
    let source = generated(5);
    let session = source.profile().session;
    let mut now = Standing::default();
    let mut next = session.open.plus(std::time::Duration::from_secs(90));
    let mut looks = 0;
    for event in events(source) {
        if event.ts() >= next && event.ts().0 % 1_000_000_000 < 20_000_000 {
            next = next.plus(std::time::Duration::from_secs(61));
            looks += 1;
            let spot = now.index.unwrap().price.to_f64();
            let mut before: Option<(&OptionQuote, &OptionQuote)> = None;
            for (series, call) in now.options.iter().filter(|(it, _)| it.right == Right::Call) {
                let put = &now.options[&OccSymbol { right: Right::Put, ..*series }];
                let age = event.ts().since(call.ts.min(put.ts)).as_secs();
                assert!(age <= 32, "{series} is {age} s old");
                let (low, high) = implied(series.strike.points(), call, put);
                assert!(low - 1.5 < spot && spot < high + 1.5, "{series}: {low} to {high}, index {spot}");
                if let Some((lower_call, lower_put)) = before {
                    assert!(lower_call.ask >= call.bid, "call {series} bid over a lower strike's ask");
                    assert!(put.ask >= lower_put.bid, "put below {series} bid over its ask");
                }
                before = Some((call, put));
            }
        }
        now.see(&event);
    }
    assert!(looks > 190 && now.options.len() > 100, "{looks} looks at {} series", now.options.len());
}

#[test]
fn the_index_is_stale_at_the_open_and_agrees_with_spy_from_the_second_minute() {
    let source = generated(3);
    let open = source.profile().session.open;
    let mut now = Standing::default();
    let (mut stale, mut worst) = (0.0_f64, 0.0_f64);
    for event in events(source) {
        now.see(&event);
        let (Some(index), Some(spy)) = (now.index, now.spy) else { continue };
        let (bid, ask) = spy.valid().unwrap();
        let apart = (index.price.to_f64() - 5.0 * (bid.price.to_f64() + ask.price.to_f64())).abs();
        if event.ts().since(open).as_secs() < 10 {
            stale = stale.max(apart);
        } else if event.ts().since(open).as_secs() >= 60 {
            worst = worst.max(apart);
        }
    }
    assert!(stale > 3.0, "a gap of half a percent shows in an index that is {stale} points off at most");
    assert!(worst < 3.0, "{worst} points apart");
}

#[test]
fn aggressors_push_the_way_the_minute_goes() {
    let source = generated(1);
    let open = source.profile().session.open;
    let mut minutes: BTreeMap<u64, (i64, f64, f64)> = BTreeMap::new();
    let mut spy = None;
    for event in events(source) {
        let minute = event.ts().since(open).as_secs() / 60;
        match event {
            MarketEvent::Quote(_, it) => spy = it.valid(),
            MarketEvent::Trade(symbol, it) if symbol == Underlying::SPY => {
                let (bid, ask) = spy.unwrap();
                let entry = minutes.entry(minute).or_insert((0, it.price.to_f64(), 0.0));
                entry.0 += i64::from(it.price >= ask.price) - i64::from(it.price <= bid.price);
                entry.2 = it.price.to_f64();
            }
            MarketEvent::Trade(..) | MarketEvent::OptionQuote(..) => {}
        }
    }
    let agree = minutes.values().filter(|(side, from, to)| (to - from) * (*side as f64) > 0.0).count();
    assert!(agree * 100 > minutes.len() * 75, "{agree} of {} minutes", minutes.len());
}

#[test]
fn twenty_seeds_have_every_shape_every_ending_and_short_days() {
    let mut seen = std::collections::BTreeSet::new();
    let mut endings: BTreeMap<Ending, u32> = BTreeMap::new();
    let mut short = 0;
    for seed in 1..=20 {
        let it = generated(seed);
        seen.insert(it.shape());
        let of_day = breaks(&it);
        short += u32::from(it.profile().session.short);
        of_day.into_iter().for_each(|ending| *endings.entry(ending).or_default() += 1);
    }
    assert_eq!(seen.len(), DayShape::ALL.len());
    assert!(endings.len() == 4 && endings.values().all(|&n| n >= 2), "{endings:?}");
    assert!(short >= 2, "{short} short days");
}

#[test]
fn the_date_and_the_shape_can_be_chosen_and_a_closed_day_is_refused() {
    let thanksgiving = date(2026, 11, 26);
    let spec = SessionSpec { seed: 4, date: thanksgiving, shape: Some(DayShape::Trend) };
    assert_eq!(GeneratedSession::new(&spec).map(|it| it.shape()), Err(SpecError::Closed(thanksgiving)));
    let spec = SessionSpec { date: date(2026, 11, 20), ..spec };
    let it = GeneratedSession::new(&spec).unwrap();
    assert_eq!(it.profile().name, "generated:seed=4,shape=trend");
    let series = &it.profile().series;
    assert!(series.is_sorted_by_key(|it| it.series), "series come sorted");
    let (first, last) = (series.first().unwrap().series, series.last().unwrap().series);
    assert_eq!((first.root.as_str(), first.expiry, last.right), ("SPXW", spec.date, Right::Put));
    assert!(it.profile().prior_day.is_some_and(|it| it.low <= it.close && it.close <= it.high));
}
