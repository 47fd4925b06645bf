//! The session a sandbox plays, and its clock.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;
use domain::market::{MarketEvent, MarketSource, SourceProfile};
use domain::ports::Clock;
use domain::symbol::Underlying;
use domain::time::UtcNanos;
use jiff::civil::Date;
use sim::broker::DayBar;
use sim::market::{GeneratedSession, SessionSpec, WiderMarket, default_date, past_days};

/// The slowest and the fastest pace.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.001..=1_000.0;

/// Reads a speed: how many times real time, from 0.001 to 1000.
///
/// # Errors
/// What was expected.
pub fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|it| SPEEDS.contains(it));
    speed.ok_or_else(|| format!("{text:?} is no speed: expected a number from 0.001 to 1000, such as 60"))
}

/// What comes next.
pub(crate) enum Next {
    /// An event.
    Event(MarketEvent),
    /// Somebody else is at it.
    Later,
    /// The session's last was before.
    Over,
}

/// Where the market comes from, with its next event in hand.
pub struct Feed {
    source: Box<dyn MarketSource>,
    hand: Option<MarketEvent>,
    past: Vec<(Underlying, Vec<DayBar>)>,
}

impl Feed {
    /// A session, with its profile.
    pub fn of(source: Box<dyn MarketSource>) -> (SourceProfile, Self) {
        (source.profile().clone(), Self { source, hand: None, past: Vec::new() })
    }

    /// A session with later expirations and options on the ETF beside its own, as others' clients expect to find them.
    pub fn wider(source: Box<dyn MarketSource>) -> (SourceProfile, Self) {
        Self::of(Box::new(WiderMarket::new(source)))
    }

    /// The same around a generated session, with the days before it.
    ///
    /// # Errors
    /// A date without a session.
    pub fn wider_generated(seed: u64, date: Option<Date>) -> anyhow::Result<(SourceProfile, Self)> {
        let (profile, mut feed) = Self::wider(generated(seed, date)?);
        let days = profile.prior_day.map(|it| past_days(seed, profile.session.date, &it));
        feed.past = days.into_iter().flatten().collect();
        Ok((profile, feed))
    }

    /// The days before the session, once.
    pub(crate) fn take_past(&mut self) -> Vec<(Underlying, Vec<DayBar>)> {
        std::mem::take(&mut self.past)
    }

    /// A generated session, on a date of its own where none is given.
    ///
    /// # Errors
    /// A date without a session.
    pub fn generated(seed: u64, date: Option<Date>) -> anyhow::Result<(SourceProfile, Self)> {
        Ok(Self::of(generated(seed, date)?))
    }

    /// The next event, which stays next until it is taken.
    pub(crate) fn peek(&mut self) -> anyhow::Result<Next> {
        if self.hand.is_none() {
            self.hand = self.source.next_event()?;
        }
        Ok(self.hand.map_or(Next::Over, Next::Event))
    }

    /// Takes the event that was looked at.
    pub(crate) fn take(&mut self) {
        self.hand = None;
    }
}

/// A generated session, on a date of its own where none is given.
///
/// # Errors
/// A date without a session.
fn generated(seed: u64, date: Option<Date>) -> anyhow::Result<Box<dyn MarketSource>> {
    let date = date.unwrap_or_else(|| default_date(seed));
    Ok(Box::new(GeneratedSession::new(&SessionSpec { seed, date, shape: None })?))
}

/// The time on the wall.
pub type Wall = fn() -> UtcNanos;

/// Market time from the wall: it goes at a speed, can be held and moved on, and never runs back. Clones are one clock.
#[derive(Debug, Clone)]
pub struct PacedClock {
    wall: Wall,
    pace: Rc<Cell<Pace>>,
}

#[derive(Debug, Clone, Copy)]
struct Pace {
    /// The market's time when the wall's was `since`.
    market: UtcNanos,
    since: UtcNanos,
    speed: f64,
    held: bool,
    /// It stands still from here on.
    end: Option<UtcNanos>,
    latest: UtcNanos,
}

impl PacedClock {
    /// Shows `market` now and goes on at `speed`.
    pub fn starting(wall: Wall, market: UtcNanos, speed: f64) -> Self {
        let pace = Pace { market, since: wall(), speed, held: false, end: None, latest: market };
        Self { wall, pace: Rc::new(Cell::new(pace)) }
    }

    /// Shows the wall's time and `offset_ns`.
    pub fn at_offset(wall: Wall, offset_ns: i64) -> Self {
        let market = UtcNanos(wall().0.saturating_add(offset_ns));
        Self::starting(wall, market, 1.0)
    }

    /// The same, standing still once it shows `end`.
    #[must_use]
    pub fn holding_at(self, end: UtcNanos) -> Self {
        self.pace.set(Pace { end: Some(end), ..self.pace.get() });
        self
    }

    /// Stops it.
    pub fn hold(&self) {
        self.pace.set(Pace { held: true, ..self.rebased() });
    }

    /// Lets it go on; also beyond the time at which it was to stand still, once it stands there.
    pub fn resume(&self) {
        let now = self.now();
        let pace = self.rebased();
        self.pace.set(Pace { held: false, end: pace.end.filter(|it| *it > now), ..pace });
    }

    /// Moves it to `at`, if that is later, and beyond the time at which it was to stand still.
    pub fn step_to(&self, at: UtcNanos) {
        let pace = self.rebased();
        let market = pace.market.max(at);
        self.pace.set(Pace { market, end: pace.end.filter(|it| *it > market), ..pace });
    }

    /// Changes how fast it goes.
    pub fn set_speed(&self, speed: f64) {
        self.pace.set(Pace { speed, ..self.rebased() });
    }

    /// How fast it goes when it goes.
    pub fn speed(&self) -> f64 {
        self.pace.get().speed
    }

    /// Whether it stands still.
    pub fn is_held(&self) -> bool {
        let now = self.now();
        let pace = self.pace.get();
        pace.held || pace.end.is_some_and(|it| it <= now)
    }

    /// Where it will stand still.
    pub fn holds_at(&self) -> Option<UtcNanos> {
        self.pace.get().end
    }

    /// How long on the wall until the market reaches `at`; `None` while it stands still.
    pub fn wall_until(&self, at: UtcNanos) -> Option<Duration> {
        let now = self.now();
        if self.is_held() {
            return (at <= now).then_some(Duration::ZERO);
        }
        Duration::try_from_secs_f64(at.since(now).as_secs_f64() / self.speed()).ok()
    }

    fn rebased(&self) -> Pace {
        let market = self.now();
        Pace { market, since: (self.wall)(), ..self.pace.get() }
    }
}

impl Clock for PacedClock {
    fn now(&self) -> UtcNanos {
        let pace = self.pace.get();
        let gone =
            if pace.held { Duration::ZERO } else { (self.wall)().since(pace.since).mul_f64(pace.speed) };
        let now = pace.market.plus(gone);
        let latest = pace.latest.max(pace.end.map_or(now, |end| now.min(end.max(pace.market))));
        self.pace.set(Pace { latest, ..pace });
        latest
    }
}

/// Checks that a journal is of this session.
pub(crate) fn same_session(of: &domain::calendar::Session, profile: &SourceProfile) -> anyhow::Result<()> {
    if *of != profile.session {
        bail!(
            "the journal is of {}, this session is of {}: name another directory or remove it",
            of.date,
            profile.session.date
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    thread_local! {
        static WALL: RefCell<UtcNanos> = const { RefCell::new(UtcNanos(0)) };
    }

    fn wall() -> UtcNanos {
        WALL.with(|it| *it.borrow())
    }

    fn pass(seconds: u64) {
        WALL.with(|it| {
            let later = it.borrow().plus(Duration::from_secs(seconds));
            it.replace(later);
        });
    }

    const fn at(secs: i64) -> UtcNanos {
        UtcNanos::from_secs(secs)
    }

    #[test]
    fn a_speed_is_a_number_in_range() {
        assert_eq!(speed("60").map(|it| it as u32), Ok(60));
        for text in ["", "0", "-1", "fast", "NaN", "inf", "1001"] {
            assert!(speed(text).unwrap_err().contains("expected a number"), "{text}");
        }
    }

    #[test]
    fn an_event_stays_next_until_it_is_taken() {
        let (_, mut feed) = Feed::generated(7, None).unwrap();
        let ts = |next: Next| match next {
            Next::Event(event) => event,
            Next::Later | Next::Over => panic!("a session begins with an event"),
        };
        let first = ts(feed.peek().unwrap());
        assert_eq!(ts(feed.peek().unwrap()), first);
        feed.take();
        assert_ne!(ts(feed.peek().unwrap()), first);
    }

    #[test]
    fn a_clock_goes_at_its_speed_stands_at_its_end_and_can_be_held_and_moved() {
        let clock = PacedClock::starting(wall, at(1_000), 2.0).holding_at(at(1_100));
        pass(10);
        assert_eq!(clock.now(), at(1_020));
        assert_eq!(clock.wall_until(at(1_040)), Some(Duration::from_secs(10)));
        clock.hold();
        pass(10);
        assert_eq!((clock.now(), clock.is_held()), (at(1_020), true));
        assert_eq!(clock.wall_until(at(1_040)), None);
        clock.step_to(at(1_050));
        assert_eq!(clock.now(), at(1_050));
        clock.step_to(at(1_000));
        assert_eq!(clock.now(), at(1_050), "it never runs back");
        clock.resume();
        clock.set_speed(1.0);
        pass(30);
        assert_eq!(clock.now(), at(1_080));
        pass(60);
        assert_eq!((clock.now(), clock.is_held()), (at(1_100), true), "it stands at its end");
        clock.resume();
        pass(5);
        assert_eq!((clock.now(), clock.is_held()), (at(1_105), false));
    }

    #[test]
    fn an_offset_is_from_the_wall() {
        let clock = PacedClock::at_offset(wall, 5_000_000_000);
        let before = clock.now();
        assert_eq!(before.0 - wall().0, 5_000_000_000);
        pass(3);
        assert_eq!(clock.now().0 - before.0, 3_000_000_000);
    }
}
