//! More to quote than the day's own chain: later expirations of the index, options on the ETF beside it, and the index
//! itself, whose published bid and ask lie about its value.
//!
//! [`WiderMarket`] wraps any session, generated or recorded. It passes the session's events on as they are and adds
//! quotes of its own, priced by Black-Scholes-Merton off the prints that pass: flat volatility with a smile, every
//! series anew each quarter of a minute. The same session gives the same quotes.

use std::collections::{BTreeSet, VecDeque};

use domain::calendar::{last_trade, next_session};
use domain::market::{
    ListedSeries, MarketEvent, MarketSource, OptionQuote, Points, PrintCounts, Quote, QuoteSide, SourceError,
    SourceProfile,
};
use domain::money::{Price, Side, TickGrid};
use domain::symbol::{OccSymbol, Right, Root, Strike, Underlying};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use engine::pricing::{Inputs, price, years_between};
use jiff::Span;
use jiff::civil::{Date, Weekday};

/// Strikes are listed within this part of the close before.
const WINDOW: f64 = 0.03;
/// Volatility at the money, and its smile per standard deviation and per its square.
const VOL: f64 = 0.13;
const SKEW: f64 = -0.05;
const SMILE: f64 = 0.012;
const SMILE_ENDS: f64 = 6.0;
/// Each series is quoted once in so many seconds, a share of them every second.
const ROUND: u64 = 15;
/// How far the index's bid and ask lie from its value.
const INDEX_HALF: Points = Points(13_500);
/// Sessions after this one whose afternoon expirations are listed.
const LATER_SESSIONS: usize = 2;
/// Strikes of one expiration at most.
const STRIKES_MAX: u32 = 400;

/// One series to quote.
#[derive(Debug, Clone, Copy)]
struct Written {
    series: OccSymbol,
    last_trade: UtcNanos,
    /// When in the round its turn is.
    turn: u64,
}

/// A session with more series than its source has.
pub struct WiderMarket {
    inner: Box<dyn MarketSource>,
    profile: SourceProfile,
    written: Vec<Written>,
    /// The last values of the index and of the ETF.
    spots: [(Underlying, Option<f64>); 2],
    second: i64,
    ready: VecDeque<MarketEvent>,
}

impl WiderMarket {
    /// Lists what the source does not. Without a close before, or a series to guess it from, nothing is added.
    pub fn new(inner: Box<dyn MarketSource>) -> Self {
        let mut profile = inner.profile().clone();
        let known: BTreeSet<OccSymbol> = profile.series.iter().map(|it| it.series).collect();
        let mut written = Vec::new();
        if profile.index == Underlying::SPX
            && let Some(center) = center(&profile)
        {
            for (root, expiry) in expirations(profile.session.date) {
                let (value, step) =
                    if root.underlying() == Underlying::SPX { (center, 5) } else { (center / 10.0, 1) };
                if root.underlying() == Underlying::SPX || profile.proxy == Some(root.underlying()) {
                    written.extend(chain(root, expiry, value, step).filter(|it| !known.contains(&it.series)));
                }
            }
        }
        let listed =
            |it: &Written| ListedSeries { series: it.series, open_interest: Some(interest(&it.series)) };
        profile.series.extend(written.iter().map(listed));
        profile.series.sort_unstable_by_key(|it| it.series);
        let spots = [(Underlying::SPX, None), (Underlying::SPY, None)];
        Self { inner, profile, written, spots, second: i64::MIN, ready: VecDeque::new() }
    }

    fn hear(&mut self, event: &MarketEvent) {
        if let MarketEvent::Trade(underlying, trade) = event
            && trade.counts == PrintCounts::Everywhere
            && let Some(spot) = self.spots.iter_mut().find(|it| it.0 == *underlying)
        {
            spot.1 = Some(trade.price.to_f64());
            if *underlying == Underlying::SPX && !self.written.is_empty() {
                let side = |price| Some(QuoteSide { price, size: Some(1) });
                let (bid, ask) = (trade.price.minus(INDEX_HALF), trade.price.plus(INDEX_HALF));
                let quote = Quote { ts: trade.ts, bid: side(bid), ask: side(ask) };
                self.ready.push_back(MarketEvent::Quote(*underlying, quote));
            }
        }
        let second = event.ts().0.div_euclid(NANOS_PER_SEC);
        if second > self.second && self.profile.session.holds(event.ts()) {
            // The first second quotes everything, so that nothing listed is without a quote for long.
            let all = self.second == i64::MIN;
            self.second = second;
            self.quote(event.ts(), all);
        }
    }

    fn quote(&mut self, now: UtcNanos, all: bool) {
        let turn = now.0.div_euclid(NANOS_PER_SEC).unsigned_abs() % ROUND;
        for it in self.written.iter().filter(|it| (all || it.turn == turn) && now < it.last_trade) {
            let underlying = it.series.underlying();
            let spot = self.spots.iter().find(|spot| spot.0 == underlying).and_then(|spot| spot.1);
            let Some(spot) = spot else { continue };
            let draw = mixed(mark(&it.series) ^ now.0.unsigned_abs());
            self.ready.push_back(MarketEvent::OptionQuote(it.series, quoted(it, now, spot, draw)));
        }
        let quoted = self.ready.iter().any(|it| matches!(it, MarketEvent::OptionQuote(..)));
        if all && !quoted && !self.written.is_empty() {
            // No print yet: everything is quoted in the second after the first one.
            self.second = i64::MIN;
        }
    }
}

impl MarketSource for WiderMarket {
    fn profile(&self) -> &SourceProfile {
        &self.profile
    }

    fn next_event(&mut self) -> Result<Option<MarketEvent>, SourceError> {
        if let Some(event) = self.ready.pop_front() {
            return Ok(Some(event));
        }
        let event = self.inner.next_event()?;
        if let Some(event) = &event {
            self.hear(event);
        }
        Ok(event)
    }
}

/// Where the strikes lie about: the close before, or the middle of what the source lists.
fn center(profile: &SourceProfile) -> Option<f64> {
    let close = profile.prior_day.map(|it| it.close.to_f64());
    let middle = profile.series.get(profile.series.len() / 2).map(|it| it.series.strike.points());
    close.or(middle).filter(|it| it.is_finite() && *it > 100.0)
}

/// What is listed beside the day's own SPXW series.
fn expirations(today: Date) -> Vec<(Root, Date)> {
    let mut all = Vec::new();
    let spy = "SPY".parse::<Root>().ok();
    all.extend(spy.map(|it| (it, today)));
    let mut day = today;
    for _ in 0..LATER_SESSIONS {
        let Ok(session) = next_session(day) else { break };
        day = session.date;
        all.push((Root::SPXW, day));
        all.extend(spy.map(|it| (it, day)));
    }
    all.extend(third_friday_after(day).map(|it| (Root::SPX, it)));
    all
}

/// The next third Friday that comes later.
fn third_friday_after(day: Date) -> Option<Date> {
    let third = |first: Date| first.nth_weekday_of_month(3, Weekday::Friday).ok();
    let here = third(day.first_of_month()).filter(|it| *it > day);
    here.or_else(|| third(day.first_of_month().checked_add(Span::new().months(1)).ok()?))
}

fn chain(root: Root, expiry: Date, value: f64, step: u32) -> impl Iterator<Item = Written> {
    let (low, high) = (value * (1.0 - WINDOW) / f64::from(step), value * (1.0 + WINDOW) / f64::from(step));
    let (first, last) = (low.ceil().max(1.0) as u32, high.floor().max(1.0) as u32);
    let last = last.min(first.saturating_add(STRIKES_MAX));
    (first..=last).flat_map(move |n| {
        [Right::Call, Right::Put].into_iter().filter_map(move |right| {
            let strike = Strike::from_points(n.saturating_mul(step));
            let series = OccSymbol { root, expiry, right, strike };
            let last_trade = last_trade(&series).ok()?;
            Some(Written { series, last_trade, turn: mark(&series) % ROUND })
        })
    })
}

/// The market makers' bid and ask about the model's value, on the grid; nobody bids for what is worth less than a tick.
fn quoted(it: &Written, now: UtcNanos, spot: f64, draw: u64) -> OptionQuote {
    let (strike, years) = (it.series.strike.points(), years_between(now, it.last_trade));
    let z = (libm::log(strike / spot) / (VOL * libm::sqrt(years))).clamp(-SMILE_ENDS, SMILE_ENDS);
    let vol = VOL * (1.0 + SKEW * z + SMILE * z * z);
    let inputs = Inputs { spot, strike, years, rate: 0.0, div: 0.0, vol };
    let value = price(it.series.right, &inputs);
    let grid = TickGrid::single_leg(&it.series.root, now.new_york_date());
    let half = (0.02 + 0.006 * value).min(1.5);
    let on_grid = |dollars: f64, side| Price::from_model(dollars.max(0.0), side, grid).ok();
    let bid = on_grid(value - half, Side::Buy).filter(|it| *it > Price::ZERO);
    let ask = on_grid(value + half, Side::Sell);
    let lots = |there: bool, draw: u64| if there { 1 + u32::try_from(draw % 60).unwrap_or(0) } else { 0 };
    let (bid_size, ask_size) = (lots(bid.is_some(), draw), lots(ask.is_some(), draw >> 8));
    OptionQuote { ts: now, bid, ask, bid_size, ask_size }
}

fn interest(series: &OccSymbol) -> u32 {
    u32::try_from(mixed(mark(series)) % 3_000).unwrap_or(0)
}

/// A number of a series' own.
fn mark(series: &OccSymbol) -> u64 {
    series.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Spreads bits (the finalizer of SplitMix64).
const fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{GeneratedSession, SessionSpec};
    use jiff::civil::date;

    fn wider(seed: u64) -> WiderMarket {
        WiderMarket::new(Box::new(GeneratedSession::new(&SessionSpec::of_seed(seed)).unwrap()))
    }

    #[test]
    fn several_expirations_and_roots_are_listed_and_all_are_quoted_within_a_round() {
        let mut market = wider(1);
        let listed: BTreeSet<OccSymbol> = market.profile().series.iter().map(|it| it.series).collect();
        let expiries: BTreeSet<(Root, Date)> = listed.iter().map(|it| (it.root, it.expiry)).collect();
        assert_eq!(expiries.len(), 3 + 1 + 3, "{expiries:?}");
        let open = market.profile().session.open;
        let mut quoted = BTreeSet::new();
        let mut last = UtcNanos(i64::MIN);
        while let Some(event) = market.next_event().unwrap() {
            assert!(event.ts() >= last, "in order of time");
            last = event.ts();
            if event.ts().since(open).as_secs() > 20 {
                break;
            }
            if let MarketEvent::OptionQuote(series, quote) = event {
                assert!(
                    quote.ask.is_some_and(|ask| quote.bid.is_none_or(|bid| bid < ask)),
                    "{series} {quote:?}"
                );
                quoted.insert(series);
            }
        }
        assert_eq!(listed, quoted);
    }

    #[test]
    fn the_session_itself_passes_unchanged() {
        let mut inner = GeneratedSession::new(&SessionSpec::of_seed(3)).unwrap();
        let mut market = wider(3);
        let own: BTreeSet<OccSymbol> = inner.profile().series.iter().map(|it| it.series).collect();
        let mut passed = 0;
        while passed < 20_000 {
            let event = market.next_event().unwrap().unwrap();
            let added = match event {
                MarketEvent::OptionQuote(series, _) => !own.contains(&series),
                MarketEvent::Quote(underlying, _) => underlying == Underlying::SPX,
                MarketEvent::Trade(..) => false,
            };
            if added {
                continue;
            }
            assert_eq!(Some(event), inner.next_event().unwrap());
            passed += 1;
        }
    }

    #[test]
    fn third_fridays_come_after_the_day() {
        assert_eq!(third_friday_after(date(2026, 11, 19)), Some(date(2026, 11, 20)));
        assert_eq!(third_friday_after(date(2026, 11, 20)), Some(date(2026, 12, 18)));
        assert_eq!(third_friday_after(date(2026, 12, 24)), Some(date(2027, 1, 15)));
    }
}
