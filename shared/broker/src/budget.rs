//! The broker's rate limits, counted per token, with a fifth of every window kept for exits.

use std::cell::Cell;
use std::time::Duration;

use domain::account::Environment;
use domain::time::UtcNanos;

use crate::json;
use crate::transport::Reply;

/// Which of the broker's counters a request takes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Account reads, order reads among them.
    Standard,
    /// Quotes and chains.
    Market,
    /// Placing, changing, cancelling.
    Trading,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Opens, or serves an opening: leaves a fifth of the window untouched.
    Entry,
    /// Closes, cancels, or finds out what is: may take all of it.
    Exit,
}

/// The broker's window: one minute from the first request in it.
const WINDOW: Duration = Duration::from_secs(60);

/// How far our clock and the broker's may be apart: a window that has ended by ours may not have by the broker's.
const CLOCKS_APART: Duration = Duration::from_secs(2);

/// Where one group's window stands.
#[derive(Debug, Clone, Copy)]
struct Window {
    allowed: u32,
    available: u32,
    /// When it has ended by any clock; `None` before the first request in it.
    ends: Option<UtcNanos>,
}

impl Window {
    const fn full(allowed: u32) -> Self {
        Self { allowed, available: allowed, ends: None }
    }

    /// The window as it stands at `now`: a new one when the last has ended.
    fn at(self, now: UtcNanos) -> Self {
        match self.ends {
            Some(ends) if now >= ends => Self::full(self.allowed),
            _ => self,
        }
    }
}

/// When a window that ends at `ends` by one clock has ended by the other one too.
const fn by_any_clock(ends: UtcNanos) -> UtcNanos {
    ends.plus(CLOCKS_APART)
}

/// What is left of a token's windows, as the broker last said and less what left since. Shared by all accounts of a
/// process that use the token; other processes show up in the broker's headers.
#[derive(Debug)]
pub struct RateBudget {
    standard: Cell<Window>,
    market: Cell<Window>,
    trading: Cell<Window>,
}

impl RateBudget {
    /// The documented limits of an environment, until the broker's headers say otherwise.
    pub const fn new(environment: Environment) -> Self {
        let reads = match environment {
            Environment::Live => 120,
            Environment::Sandbox | Environment::Paper => 60,
        };
        Self {
            standard: Cell::new(Window::full(reads)),
            market: Cell::new(Window::full(reads)),
            trading: Cell::new(Window::full(60)),
        }
    }

    const fn cell(&self, group: Group) -> &Cell<Window> {
        match group {
            Group::Standard => &self.standard,
            Group::Market => &self.market,
            Group::Trading => &self.trading,
        }
    }

    /// Requests left in the group's window.
    pub fn available(&self, group: Group, now: UtcNanos) -> u32 {
        self.cell(group).get().at(now).available
    }

    /// Takes one request out of the group's window.
    ///
    /// # Errors
    /// The instant from which it may be tried again, when nothing is left, or nothing but what is kept for exits.
    pub fn take(&self, group: Group, purpose: Purpose, now: UtcNanos) -> Result<(), UtcNanos> {
        let window = self.cell(group).get().at(now);
        let ends = window.ends.unwrap_or_else(|| by_any_clock(now.plus(WINDOW)));
        let kept = match purpose {
            Purpose::Entry => window.allowed.div_ceil(5),
            Purpose::Exit => 0,
        };
        if window.available <= kept {
            return Err(ends);
        }
        let available = window.available.saturating_sub(1);
        self.cell(group).set(Window { available, ends: Some(ends), ..window });
        Ok(())
    }

    /// Takes in what a reply's headers say of the group.
    pub fn observe(&self, group: Group, reply: &Reply, now: UtcNanos) {
        let number = |name| reply.header(name).and_then(|it| it.trim().parse::<i64>().ok());
        let count = |name| number(name).and_then(|it| u32::try_from(it).ok());
        let window = self.cell(group).get().at(now);
        let Some(available) = count("x-ratelimit-available") else { return };
        let said = number("x-ratelimit-expiry").and_then(json::epoch).filter(|it| *it > now);
        let ends = said.map(by_any_clock).or(window.ends);
        // Within one window what is left only shrinks; a late reply does not give back what left after it.
        let newer = ends > window.ends.map(|it| it.plus(WINDOW / 2));
        let available = if newer { available } else { available.min(window.available) };
        let allowed = count("x-ratelimit-allowed").filter(|it| *it > 0).unwrap_or(window.allowed);
        self.cell(group).set(Window { allowed, available, ends });
    }

    /// The broker said the window is used up: nothing leaves before it has ended by any clock, which is the answer.
    pub fn exhaust(&self, group: Group, reply: &Reply, now: UtcNanos) -> UtcNanos {
        let said =
            reply.header("x-ratelimit-expiry").and_then(|it| it.trim().parse().ok()).and_then(json::epoch);
        let window = self.cell(group).get().at(now);
        let ends = by_any_clock(said.filter(|it| *it > now).unwrap_or_else(|| now.plus(WINDOW)));
        self.cell(group).set(Window { available: 0, ends: Some(ends), ..window });
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UtcNanos = UtcNanos::from_secs(1_795_187_000);

    fn headers(allowed: u32, available: u32, expiry: i64) -> Reply {
        let header = |name: &str, value: String| (name.to_owned(), value);
        Reply {
            status: 200,
            headers: vec![
                header("x-ratelimit-allowed", allowed.to_string()),
                header("x-ratelimit-available", available.to_string()),
                header("x-ratelimit-expiry", expiry.to_string()),
            ],
            body: Vec::new(),
        }
    }

    fn taken(budget: &RateBudget, purpose: Purpose, now: UtcNanos) -> u32 {
        (0..1_000).take_while(|_| budget.take(Group::Trading, purpose, now).is_ok()).count() as u32
    }

    #[test]
    fn entries_leave_a_fifth_that_exits_may_take() {
        let budget = RateBudget::new(Environment::Sandbox);
        assert_eq!(taken(&budget, Purpose::Entry, NOW), 48);
        assert_eq!(budget.take(Group::Trading, Purpose::Entry, NOW), Err(by_any_clock(NOW.plus(WINDOW))));
        assert_eq!(taken(&budget, Purpose::Exit, NOW), 12);
        assert_eq!(budget.take(Group::Trading, Purpose::Exit, NOW), Err(by_any_clock(NOW.plus(WINDOW))));
        assert!(budget.take(Group::Standard, Purpose::Entry, NOW).is_ok(), "each group has its own window");
    }

    #[test]
    fn a_window_that_ended_is_full_again() {
        let budget = RateBudget::new(Environment::Live);
        taken(&budget, Purpose::Exit, NOW);
        assert_eq!(
            taken(&budget, Purpose::Entry, NOW.plus(WINDOW)),
            0,
            "the broker's clock may be behind ours"
        );
        assert_eq!(taken(&budget, Purpose::Entry, NOW.plus(WINDOW).plus(CLOCKS_APART)), 48);
    }

    #[test]
    fn the_brokers_headers_count_other_processes_in_milliseconds_or_seconds() {
        for expiry in [NOW.millis() + 30_000, NOW.secs() + 30] {
            let budget = RateBudget::new(Environment::Sandbox);
            budget.observe(Group::Trading, &headers(60, 12, expiry), NOW);
            let ends = by_any_clock(NOW.plus(Duration::from_secs(30)));
            assert_eq!(budget.take(Group::Trading, Purpose::Entry, NOW), Err(ends));
            assert_eq!(taken(&budget, Purpose::Exit, NOW), 12);
            assert_eq!(taken(&budget, Purpose::Entry, ends), 48);
        }
    }

    #[test]
    fn a_late_reply_gives_nothing_back_and_a_new_window_does() {
        let budget = RateBudget::new(Environment::Sandbox);
        let expiry = NOW.millis() + 60_000;
        for _ in 0..5 {
            budget.take(Group::Trading, Purpose::Exit, NOW).unwrap();
        }
        budget.observe(Group::Trading, &headers(60, 59, expiry), NOW);
        assert_eq!(budget.available(Group::Trading, NOW), 55);
        budget.observe(Group::Trading, &headers(60, 58, expiry + 60_000), NOW);
        assert_eq!(budget.available(Group::Trading, NOW), 58);
    }

    #[test]
    fn a_used_up_window_stops_exits_until_it_ends() {
        let budget = RateBudget::new(Environment::Sandbox);
        let ends = budget.exhaust(Group::Trading, &headers(60, 0, NOW.millis() + 7_000), NOW);
        assert_eq!(ends, by_any_clock(NOW.plus(Duration::from_secs(7))));
        assert_eq!(budget.take(Group::Trading, Purpose::Exit, NOW), Err(ends));
        assert!(budget.take(Group::Trading, Purpose::Exit, ends).is_ok());
    }
}
