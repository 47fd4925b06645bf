//! A sandbox that runs: plays the market into the broker as time comes, and serves it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::market::SourceProfile;
use domain::ports::Clock;
use domain::time::UtcNanos;
use sim::broker::faults::FaultScript;
use sim::broker::{Config, Rules, Sandbox, UserConfig};

use crate::control::{Control, Recorder};
use crate::journal::Files;
use crate::market::{Feed, Next, PacedClock, Wall, same_session};
use crate::{Journal, Listener};

/// Events played before requests get their turn.
const BURST: usize = 2_000;
/// The longest nap.
const NAP: Duration = Duration::from_secs(1);
/// How soon a reader that is behind is asked again.
const READING: Duration = Duration::from_millis(5);

/// What time it is when it starts.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// The wall's time and so many nanoseconds.
    Offset(i64),
    /// This instant, or where the journal left off if that is later; the market up to it is played at once.
    At {
        /// The instant.
        at: UtcNanos,
        /// How many times real time it goes.
        speed: f64,
        /// Whether it stands still at the close.
        holds_at_close: bool,
    },
}

/// A sandbox to run.
pub struct Setup {
    /// Where it listens; port 0 is a free one.
    pub listen: SocketAddr,
    /// What session it is.
    pub profile: SourceProfile,
    /// Its events.
    pub feed: Feed,
    /// What time it is.
    pub start: Start,
    /// Who may call it.
    pub users: Vec<UserConfig>,
    /// Everything that does not change while it runs.
    pub rules: Rules,
    /// What is to go wrong from the start.
    pub faults: Option<FaultScript>,
    /// Where it keeps transcript and state, and goes on from.
    pub journal: Option<PathBuf>,
    /// Whether it can be steered under `/_sandbox/`.
    pub control: bool,
    /// The time on the wall.
    pub wall: Wall,
}

/// A sandbox that listens. Runs on a current-thread runtime inside a `LocalSet`.
pub struct Play {
    market: Rc<Market>,
    listener: Listener<Played>,
    recorder: Rc<RefCell<Recorder>>,
}

impl Play {
    /// Brings the broker to its start and listens.
    ///
    /// # Errors
    /// A port that is taken, a journal of another session, a directory that cannot be written.
    pub async fn start(setup: Setup) -> anyhow::Result<Self> {
        let (files, restored) = restore(setup.journal.as_deref(), &setup)?;
        let fresh = restored.is_none();
        let mut broker = restored.unwrap_or_else(|| {
            let (session, users) = (setup.profile.session, setup.users);
            Sandbox::new(Config { session, users, series: setup.profile.series.clone(), rules: setup.rules })
        });
        let mut feed = setup.feed;
        if fresh {
            if let Some(prior) = setup.profile.prior_day {
                broker.learn_close(setup.profile.index, prior.close);
            }
            for (underlying, days) in feed.take_past() {
                broker.learn_days(underlying, days);
            }
        }
        // A fresh broker knows nothing of the market; any other all of it up to its latest time.
        let fed_until = if fresh { UtcNanos(i64::MIN) } else { broker.now() };
        if let Some(script) = setup.faults {
            broker.set_faults(script);
        }
        let clock = match setup.start {
            Start::Offset(offset) => PacedClock::at_offset(setup.wall, offset),
            Start::At { at, speed, holds_at_close } => {
                let clock = PacedClock::starting(setup.wall, at.max(broker.now()), speed);
                if holds_at_close { clock.holding_at(setup.profile.session.close) } else { clock }
            }
        };
        let recorder = Rc::new(RefCell::new(Recorder::new(files.clone())));
        let market = Rc::new(Market {
            broker: Rc::new(RefCell::new(broker)),
            feed: RefCell::new(feed),
            clock,
            fed_until: Cell::new(fed_until),
            broken: Cell::new(None),
        });
        market.play(market.clock.now(), usize::MAX);
        market.whole()?;
        let keep = Rc::clone(&recorder);
        let journal: Journal = Box::new(move |it: &mut Sandbox| keep.borrow_mut().save(it));
        let played = Played(Rc::clone(&market));
        let broker = Rc::clone(&market.broker);
        let listener = Listener::bind(setup.listen, broker, played, Some(journal)).await?;
        if setup.control {
            listener.control(Control::new(market.clock.clone(), Rc::clone(&recorder)));
        }
        Ok(Self { market, listener, recorder })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Market time.
    pub fn now(&self) -> UtcNanos {
        self.market.clock.now()
    }

    /// The market into the broker, what falls due at it, frames to their streams; until the market breaks.
    ///
    /// # Errors
    /// A market that breaks, a journal that cannot be written.
    pub async fn run(&self) -> anyhow::Result<()> {
        loop {
            let nap = self.step()?;
            self.listener.flush_frames()?;
            self.recorder.borrow_mut().record(&mut self.market.broker.borrow_mut())?;
            // A request may have made something fall due earlier.
            tokio::select! { () = tokio::time::sleep(nap) => {}, () = self.listener.activity() => {} }
        }
    }

    /// Journals what happened last, ends every stream and stops listening.
    ///
    /// # Errors
    /// A journal that cannot be written.
    pub async fn stop(self) -> anyhow::Result<()> {
        let flushed = self.listener.flush_frames();
        let recorded = self.recorder.borrow_mut().record(&mut self.market.broker.borrow_mut());
        self.listener.shutdown().await;
        flushed.and(recorded)
    }

    /// Plays what is due; tells how long nothing is.
    fn step(&self) -> anyhow::Result<Duration> {
        let now = self.market.clock.now();
        let next = self.market.play(now, BURST);
        self.market.whole()?;
        let mut broker = self.market.broker.borrow_mut();
        let nap = match next {
            Next::Event(event) if event.ts() <= now => return Ok(Duration::ZERO),
            Next::Event(event) => self.market.clock.wall_until(event.ts()).unwrap_or(NAP),
            Next::Later => READING,
            Next::Over => NAP,
        };
        broker.advance(now);
        let due = broker.next_due().and_then(|it| self.market.clock.wall_until(it)).unwrap_or(NAP);
        Ok(nap.min(due).min(NAP))
    }
}

/// The market beside the broker that it is played to.
struct Market {
    broker: Rc<RefCell<Sandbox>>,
    feed: RefCell<Feed>,
    clock: PacedClock,
    /// Events up to here are in its book already.
    fed_until: Cell<UtcNanos>,
    broken: Cell<Option<anyhow::Error>>,
}

impl Market {
    /// Plays events up to `now`, at most so many; tells what comes next.
    fn play(&self, now: UtcNanos, most: usize) -> Next {
        let (Ok(mut broker), Ok(mut feed)) = (self.broker.try_borrow_mut(), self.feed.try_borrow_mut())
        else {
            return Next::Later;
        };
        let mut played = 0usize;
        loop {
            match feed.peek() {
                Ok(Next::Event(event)) if event.ts() <= now && played < most => {
                    if event.ts() > self.fed_until.get() {
                        broker.on_market(&event);
                    }
                    feed.take();
                    played = played.saturating_add(1);
                }
                Ok(next) => return next,
                Err(error) => {
                    self.broken.set(Some(error));
                    return Next::Over;
                }
            }
        }
    }

    /// What broke the market, if something did.
    fn whole(&self) -> anyhow::Result<()> {
        self.broken.take().map_or(Ok(()), Err)
    }
}

/// The market's clock, for whoever answers at it: what the market did until now is in the broker's book.
#[derive(Clone)]
struct Played(Rc<Market>);

impl Clock for Played {
    fn now(&self) -> UtcNanos {
        let now = self.0.clock.now();
        self.0.play(now, usize::MAX);
        now
    }
}

/// The journal's files, and the broker as they left it.
fn restore(dir: Option<&Path>, setup: &Setup) -> anyhow::Result<(Option<Files>, Option<Sandbox>)> {
    let Some(dir) = dir else { return Ok((None, None)) };
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let (files, profile, source) = (Files::in_dir(dir), &setup.profile, dir.join("source.txt"));
    let broker = match files.restore()? {
        // Yesterday's broker goes on today: cash and positions stay, the new session is listed.
        Some(mut broker) if broker.session().date < profile.session.date => {
            broker.start_session(profile.session, &profile.series);
            Some(broker)
        }
        Some(broker) => {
            same_session(broker.session(), profile)?;
            match std::fs::read_to_string(&source) {
                Ok(name) if name != profile.name => bail!(
                    "the journal is of {name}, this session is {}: name another directory or remove it",
                    profile.name
                ),
                // A journal from before this file was kept has none.
                Ok(_) | Err(_) => Some(broker),
            }
        }
        None => None,
    };
    std::fs::write(&source, &profile.name).with_context(|| format!("cannot write {}", source.display()))?;
    Ok((Some(files), broker))
}
