//! The session the sandbox plays, and its clock.

use std::cell::Cell;
use std::io::BufRead as _;

use anyhow::{Context as _, bail};
use domain::market::{MarketEvent, MarketSource, SourceProfile};
use domain::ports::Clock;
use domain::time::UtcNanos;
use jiff::civil::Date;
use lambda_kit::clock::SystemClock;
use sim::market::{GeneratedSession, SessionSpec, default_date};
use tokio::sync::mpsc;

/// Events read ahead of the market.
const AHEAD: usize = 4_096;

/// Reads a speed.
pub(crate) fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|it| (0.001..=1_000.0).contains(it));
    speed.ok_or_else(|| format!("{text:?} is no speed: expected a number from 0.001 to 1000, such as 60"))
}

/// What comes next.
pub(crate) enum Next {
    /// An event.
    Event(MarketEvent),
    /// It was not read yet.
    Later,
    /// The session's last was before.
    Over,
}

/// Where the market comes from, with its next event in hand.
pub(crate) enum Feed {
    /// A generated session.
    Generated(Box<GeneratedSession>, Option<MarketEvent>),
    /// Lines that a thread reads, because reading them may wait.
    Lines(mpsc::Receiver<MarketEvent>, Option<MarketEvent>),
}

impl Feed {
    pub(crate) fn generated(seed: u64, date: Option<Date>) -> anyhow::Result<(SourceProfile, Self)> {
        let date = date.unwrap_or_else(|| default_date(seed));
        let source = GeneratedSession::new(&SessionSpec { seed, date, shape: None })?;
        Ok((source.profile().clone(), Self::Generated(Box::new(source), None)))
    }

    /// Reads a profile and then events from standard input; `ended` is told when that ends.
    pub(crate) fn of_input(
        ended: Option<tokio::sync::oneshot::Sender<()>>,
    ) -> anyhow::Result<(SourceProfile, Self)> {
        let mut first = String::new();
        std::io::stdin().lock().read_line(&mut first).context("standard input")?;
        let profile =
            serde_json::from_str(&first).context("line 1 of standard input: expected a session's profile")?;
        let (sender, events) = mpsc::channel(AHEAD);
        std::thread::spawn(move || {
            for (n, line) in std::io::stdin().lock().lines().enumerate() {
                let Ok(line) = line else { break };
                match serde_json::from_str(&line) {
                    Ok(event) => {
                        if sender.blocking_send(event).is_err() {
                            break;
                        }
                    }
                    Err(error) => {
                        tracing::error!("line {} of standard input: expected a market event: {error}", n + 2);
                        break;
                    }
                }
            }
            if let Some(ended) = ended {
                ended.send(()).ok();
            }
        });
        Ok((profile, Self::Lines(events, None)))
    }

    /// The next event, which stays next until it is taken.
    pub(crate) fn peek(&mut self) -> anyhow::Result<Next> {
        let (event, over) = match self {
            Self::Generated(source, hand) => {
                if hand.is_none() {
                    *hand = source.next_event()?;
                }
                (*hand, hand.is_none())
            }
            Self::Lines(events, hand) => {
                let mut over = false;
                if hand.is_none() {
                    match events.try_recv() {
                        Ok(event) => *hand = Some(event),
                        Err(error) => over = error == mpsc::error::TryRecvError::Disconnected,
                    }
                }
                (*hand, over)
            }
        };
        Ok(match event {
            Some(event) => Next::Event(event),
            None if over => Next::Over,
            None => Next::Later,
        })
    }

    /// Takes the event that was looked at.
    pub(crate) fn take(&mut self) {
        match self {
            Self::Generated(_, hand) | Self::Lines(_, hand) => *hand = None,
        }
    }
}

/// Market time from the wall: at an offset, or from an instant on at a speed. It never runs back.
#[derive(Debug, Clone)]
pub(crate) struct PacedClock {
    market: UtcNanos,
    wall: UtcNanos,
    speed: f64,
    latest: std::rc::Rc<Cell<UtcNanos>>,
}

impl PacedClock {
    /// Shows `market` now and goes on at `speed`.
    pub(crate) fn starting(market: UtcNanos, speed: f64) -> Self {
        let wall = SystemClock::default().now();
        Self { market, wall, speed, latest: std::rc::Rc::new(Cell::new(market)) }
    }

    /// Shows the wall's time and `offset_ns`.
    pub(crate) fn at_offset(offset_ns: i64) -> Self {
        Self::starting(SystemClock::shifted(offset_ns).now(), 1.0)
    }

    /// How long on the wall until the market reaches `at`.
    pub(crate) fn wall_until(&self, at: UtcNanos) -> std::time::Duration {
        at.since(self.now()).div_f64(self.speed)
    }
}

impl Clock for PacedClock {
    fn now(&self) -> UtcNanos {
        let gone = SystemClock::default().now().since(self.wall).mul_f64(self.speed);
        self.latest.set(self.latest.get().max(self.market.plus(gone)));
        self.latest.get()
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
}
