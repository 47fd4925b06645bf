//! Market time.
//!
//! In a demo it is stepped: the runner moves it to the next due event and nothing else does, so a day takes as long as
//! its work and the same seed sees the same instants. In a run that stays up it follows the wall clock at an offset.
//! Holding back for `--speed` is the [`Pacer`]'s; it never changes what time it is.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use domain::ports::Clock;
use domain::time::UtcNanos;

/// The market's clock. Clones show the same time, and it never runs back.
#[derive(Debug, Clone)]
pub struct MarketClock {
    latest: Rc<Cell<UtcNanos>>,
    /// Market time less wall time, when it follows the wall.
    offset_nanos: Option<i64>,
}

impl MarketClock {
    /// A clock that stands at `start` until it is moved.
    pub fn stepped(start: UtcNanos) -> Self {
        Self { latest: Rc::new(Cell::new(start)), offset_nanos: None }
    }

    /// A clock that shows `market` when the wall shows `wall`, and goes on as the wall does.
    pub fn following(market: UtcNanos, wall: UtcNanos) -> Self {
        Self { latest: Rc::new(Cell::new(market)), offset_nanos: Some(market.0.saturating_sub(wall.0)) }
    }

    /// Moves a stepped clock to `to`; an earlier time leaves it where it is. A following clock moves by itself.
    pub fn advance_to(&self, to: UtcNanos) {
        self.latest.set(self.latest.get().max(to));
    }

    /// Market time less wall time of a following clock: what another process needs to show the same.
    pub const fn offset_nanos(&self) -> Option<i64> {
        self.offset_nanos
    }
}

impl Clock for MarketClock {
    fn now(&self) -> UtcNanos {
        if let Some(offset) = self.offset_nanos {
            // A wall clock that is set back must not take market time with it.
            self.advance_to(UtcNanos(wall().0.saturating_add(offset)));
        }
        self.latest.get()
    }
}

/// The system's clock.
#[expect(clippy::disallowed_methods, reason = "the runner's edge: here wall time comes in")]
pub fn wall() -> UtcNanos {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UtcNanos::default().plus(since.unwrap_or_default())
}

/// How fast market time may go, in thousandths of real speed. Whole numbers, so that nothing depends on rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speed(u32);

impl Speed {
    /// As fast as the market itself.
    pub const REAL: Self = Self(1_000);
    /// The fastest that is worth holding back for.
    pub const MAX: u32 = 100_000;

    /// Reads `60` or `0.5`: how many times real speed, from 0.001 to 100000.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fail =
            || format!("{text:?} is no speed: expected a number from 0.001 to {}, such as 60", Self::MAX);
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |it: &str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 3 {
            return Err(fail());
        }
        let whole: u32 = whole.parse().ok().filter(|it| *it <= Self::MAX).ok_or_else(fail)?;
        let part: u32 = format!("{part:0<3}").parse().map_err(|_| fail())?;
        match whole.saturating_mul(1_000).saturating_add(part) {
            0 => Err(fail()),
            thousandths if thousandths > Self::MAX.saturating_mul(1_000) => Err(fail()),
            thousandths => Ok(Self(thousandths)),
        }
    }

    /// How many times real speed it is.
    pub fn times(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }

    /// How far the market comes in `wall`.
    pub(crate) fn in_the_market(self, wall: Duration) -> Duration {
        let nanos = wall.as_nanos().saturating_mul(u128::from(self.0)) / 1_000;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How long `market` takes on the wall.
    fn on_the_wall(self, market: Duration) -> Duration {
        let nanos = market.as_nanos().saturating_mul(1_000) / u128::from(self.0.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Holds a run back to a speed. Without one it never waits.
#[derive(Debug)]
pub struct Pacer {
    speed: Option<Speed>,
    /// An instant of the market and when it was on the wall.
    anchor: Option<(UtcNanos, tokio::time::Instant)>,
}

impl Pacer {
    /// Holds back to `speed`; `None` lets everything go at once.
    pub const fn new(speed: Option<Speed>) -> Self {
        Self { speed, anchor: None }
    }

    /// How far market time may have come on its way to `market`, and how long that is still away on the wall. The first
    /// call starts the measure.
    pub(crate) fn on_the_way(&mut self, market: UtcNanos) -> (UtcNanos, Duration) {
        let Some(speed) = self.speed else { return (market, Duration::ZERO) };
        let now = tokio::time::Instant::now();
        let (from, at) = *self.anchor.get_or_insert((market, now));
        let reached = from.plus(speed.in_the_market(now.duration_since(at))).min(market);
        let left = speed.on_the_wall(market.since(from)).saturating_sub(now.duration_since(at));
        (reached, left)
    }

    /// Waits until `market` may be reached. The first call starts the measure; a run that is behind catches up.
    pub async fn hold_until(&mut self, market: UtcNanos) {
        let Some(speed) = self.speed else { return };
        let (from, at) = *self.anchor.get_or_insert_with(|| (market, tokio::time::Instant::now()));
        if let Some(due) = at.checked_add(speed.on_the_wall(market.since(from))) {
            tokio::time::sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stepped_clock_moves_when_it_is_moved_and_never_back() {
        let clock = MarketClock::stepped(UtcNanos(100));
        let shown = clock.clone();
        clock.advance_to(UtcNanos(250));
        assert_eq!(shown.now(), UtcNanos(250));
        clock.advance_to(UtcNanos(200));
        assert_eq!(shown.now(), UtcNanos(250));
    }

    #[test]
    fn a_following_clock_keeps_its_distance_to_the_wall() {
        let before = wall();
        let market = UtcNanos::from_secs(1_381_152_600);
        let clock = MarketClock::following(market, before);
        let now = clock.now();
        let after = wall();
        assert!(market <= now && now <= market.plus(after.since(before)), "{now}");
        assert_eq!(clock.offset_nanos(), Some(market.0 - before.0));
        assert!(clock.now() >= now);
    }

    #[tokio::test(start_paused = true)]
    async fn sixty_times_real_speed_makes_a_minute_a_second() {
        let start = tokio::time::Instant::now();
        let open = UtcNanos::from_secs(1_000_000);
        let mut pacer = Pacer::new(Some(Speed::parse("60").unwrap()));
        pacer.hold_until(open).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        pacer.hold_until(open.plus(Duration::from_secs(60))).await;
        assert!(
            start.elapsed().abs_diff(Duration::from_secs(1)) < Duration::from_millis(5),
            "{:?}",
            start.elapsed()
        );
        // Work that took longer than it should is not waited for again.
        tokio::time::sleep(Duration::from_secs(10)).await;
        pacer.hold_until(open.plus(Duration::from_secs(120))).await;
        assert!(
            start.elapsed().abs_diff(Duration::from_secs(11)) < Duration::from_millis(5),
            "{:?}",
            start.elapsed()
        );
        Pacer::new(None).hold_until(UtcNanos(i64::MAX)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn on_its_way_market_time_shows_where_it_is() {
        let open = UtcNanos::from_secs(1_000_000);
        let mut pacer = Pacer::new(Some(Speed::parse("60").unwrap()));
        assert_eq!(pacer.on_the_way(open), (open, Duration::ZERO));
        let minute = open.plus(Duration::from_secs(60));
        assert_eq!(pacer.on_the_way(minute), (open, Duration::from_secs(1)));
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(
            pacer.on_the_way(minute),
            (open.plus(Duration::from_secs(15)), Duration::from_millis(750))
        );
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(pacer.on_the_way(minute), (minute, Duration::ZERO));
    }

    #[test]
    fn speeds_are_numbers_in_range() {
        for (text, thousandths) in
            [("1", 1_000), ("60", 60_000), ("0.5", 500), ("2.125", 2_125), ("100000", 100_000_000)]
        {
            assert_eq!(Speed::parse(text), Ok(Speed(thousandths)), "{text}");
        }
        for text in
            ["", "0", "0.0", "-1", "+1", "fast", "1.", ".5", "1e3", "0.0001", "100000.1", "99999999999"]
        {
            let error = Speed::parse(text).unwrap_err();
            assert!(error.contains("expected a number from 0.001"), "{text}: {error}");
        }
    }
}
