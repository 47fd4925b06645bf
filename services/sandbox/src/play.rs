//! Plays the market into the broker as time comes and serves it until asked to stop.

use std::cell::RefCell;
use std::io::Write as _;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use domain::account::AccountType;
use domain::ids::AccountNumber;
use domain::market::SourceProfile;
use domain::money::Usd;
use domain::ports::Clock as _;
use domain::secret::Token;
use domain::time::UtcNanos;
use sandbox::journal::Files;
use sandbox::{Journal, Listener};
use sim::broker::{AccountConfig, Config, Rules, Sandbox, UserConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::Ask;
use crate::market::{Feed, Next, PacedClock, same_session};

/// Events played before requests get their turn.
const BURST: usize = 2_000;
/// The longest nap.
const NAP: Duration = Duration::from_secs(1);
/// How soon a reader that is behind is asked again.
const READING: Duration = Duration::from_millis(5);

/// Runs until asked to stop.
pub(crate) async fn run(ask: &Ask) -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let (ended, end) = oneshot::channel();
    // Without a lifeline nobody lets go of it, and the end of input means nothing.
    let mut held = Some(ended);
    let (profile, feed) = match (ask.events, ask.lifeline) {
        (true, _) => Feed::of_input(held.take())?,
        (false, lifeline) => {
            if let Some(ended) = held.take_if(|_| lifeline) {
                watch_input(ended);
            }
            Feed::generated(ask.seed, ask.date)?
        }
    };
    let clock = match ask.offset_ns {
        Some(offset) => PacedClock::at_offset(offset),
        None => PacedClock::starting(profile.session.open, ask.speed),
    };
    let (broker, fed_until, journal) = broker(ask, &profile)?;
    let listener = Listener::bind(ask.listen, Rc::clone(&broker), clock.clone(), journal).await?;
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "listening on {}", listener.address()).and_then(|()| out.flush())?;
    }
    let mut play = Play { broker, listener, clock, feed, fed_until };
    let played = tokio::select! {
        played = play.play() => played,
        _ = term.recv() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = end => Ok(()),
    };
    let flushed = play.listener.flush_frames();
    play.listener.shutdown().await;
    played.and(flushed)
}

/// Tells when standard input ends.
fn watch_input(ended: oneshot::Sender<()>) {
    std::thread::spawn(move || {
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()).ok();
        ended.send(()).ok();
    });
}

type Started = (Rc<RefCell<Sandbox>>, UtcNanos, Option<Journal>);

/// The broker as its journal left it, or at the session's start; with the instant up to which it knows the market.
fn broker(ask: &Ask, profile: &SourceProfile) -> anyhow::Result<Started> {
    let Some(dir) = &ask.journal else {
        let fresh = Sandbox::new(config(profile, ask.seed)?);
        return Ok((Rc::new(RefCell::new(fresh)), UtcNanos(i64::MIN), None));
    };
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let files = Files::in_dir(dir);
    let broker = match files.restore()? {
        // Yesterday's broker goes on today: cash and positions stay, the new session is listed.
        Some(mut broker) if broker.session().date < profile.session.date => {
            broker.start_session(profile.session, &profile.series);
            broker
        }
        Some(broker) => {
            same_session(broker.session(), profile)?;
            broker
        }
        None => Sandbox::new(config(profile, ask.seed)?),
    };
    let fed_until = broker.now();
    let journal: Journal = Box::new(move |it: &mut Sandbox| files.write(it));
    Ok((Rc::new(RefCell::new(broker)), fed_until, Some(journal)))
}

/// Two members, as everywhere locally.
fn config(profile: &SourceProfile, seed: u64) -> anyhow::Result<Config> {
    let user = |number: &str, kind, cash, token: &str| -> anyhow::Result<UserConfig> {
        let number = AccountNumber::try_from(number.to_owned())
            .map_err(|_| anyhow::anyhow!("{number} is no account number"))?;
        Ok(UserConfig {
            id: format!("id-{}", number.last4()),
            name: format!("Member {}", number.last4()),
            tokens: vec![Token::new(token)],
            accounts: vec![AccountConfig { number, kind, option_level: 6, cash: Usd::from_dollars(cash) }],
        })
    };
    Ok(Config {
        session: profile.session,
        users: vec![
            user("VA00000001", AccountType::Margin, 100_000, "stub-token")?,
            user("VA00000002", AccountType::Cash, 10_000, "stub-token-2")?,
        ],
        series: profile.series.clone(),
        rules: Rules::live(seed),
    })
}

struct Play {
    broker: Rc<RefCell<Sandbox>>,
    listener: Listener<PacedClock>,
    clock: PacedClock,
    feed: Feed,
    fed_until: UtcNanos,
}

impl Play {
    /// The market into the broker, what falls due at it, frames to their streams; until the market breaks.
    async fn play(&mut self) -> anyhow::Result<()> {
        loop {
            let nap = self.step()?;
            self.listener.flush_frames()?;
            // A request may have made something fall due earlier.
            tokio::select! { () = tokio::time::sleep(nap) => {}, () = self.listener.activity() => {} }
        }
    }

    /// Plays what is due; tells how long nothing is.
    fn step(&mut self) -> anyhow::Result<Duration> {
        let mut broker = self.broker.borrow_mut();
        for _ in 0..BURST {
            let now = self.clock.now();
            let nap = match self.feed.peek()? {
                Next::Event(event) if event.ts() <= now => {
                    if event.ts() > self.fed_until {
                        broker.on_market(&event);
                    }
                    self.feed.take();
                    continue;
                }
                Next::Event(event) => self.clock.wall_until(event.ts()),
                Next::Later => READING,
                Next::Over => NAP,
            };
            broker.advance(now);
            let due = broker.next_due().map_or(NAP, |it| self.clock.wall_until(it));
            return Ok(nap.min(due).min(NAP));
        }
        Ok(Duration::ZERO)
    }
}
