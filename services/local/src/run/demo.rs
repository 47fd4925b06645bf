//! `claxton demo`: a whole session, from its first tick to a flat and reconciled account.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::bail;
use domain::calendar::Session;
use domain::market::{MarketEvent, MarketSource, SourceError, SourceProfile};
use domain::money::Usd;
use domain::time::UtcNanos;
use engine::report::DailyReport;
use ingester::sources::open_recorded;
use jiff::civil::Date;
use sim::market::{GeneratedSession, SessionSpec, default_date};
use world::day::{Counts, Day, Progress};
use world::parts::Parts as _;
use world::simulated::members;

use super::account::{self, Minutes, Summary};
use super::parts::Local;
use super::place::{Place, RunKey};
use super::stage::{self, Stage, interrupted};
use crate::aws::AwsLocal;
use crate::clock::{MarketClock, Pacer, Speed, wall};
use crate::postgres::{Postgres, PostgresOptions};
use sandbox::journal::Files;

/// Which session is run.
#[derive(Debug, Clone)]
pub enum Choice {
    /// Generated from a seed; on its own date where none is given.
    Generated {
        /// Everything random comes from it.
        seed: u64,
        /// The New York date.
        date: Option<Date>,
    },
    /// Recorded.
    Recorded {
        /// Where the files lie.
        dir: PathBuf,
        /// The New York date.
        date: Date,
    },
}

impl Choice {
    pub(crate) fn open(&self) -> anyhow::Result<Box<dyn MarketSource>> {
        Ok(match self {
            Self::Generated { seed, date } => {
                let date = date.unwrap_or_else(|| default_date(*seed));
                Box::new(GeneratedSession::new(&SessionSpec { seed: *seed, date, shape: None })?)
            }
            Self::Recorded { dir, date } => open_recorded(dir, *date)?,
        })
    }

    pub(crate) const fn seed(&self) -> u64 {
        match self {
            Self::Generated { seed, .. } => *seed,
            Self::Recorded { .. } => 0,
        }
    }
}

/// What is asked of a demo.
#[derive(Debug, Clone)]
pub struct Demo {
    /// Which session.
    pub choice: Choice,
    /// How fast market time may go; `None` for as fast as the work.
    pub speed: Option<Speed>,
    /// Where the run keeps what it needs.
    pub data_dir: PathBuf,
    /// Where transcript, books and summary are left.
    pub out: Option<PathBuf>,
    /// Whether progress is shown on stderr.
    pub progress: bool,
}

/// How a demo ended.
#[derive(Debug)]
pub struct Outcome {
    /// What it comes to.
    pub summary: Summary,
    /// The day's report.
    pub report: Option<DailyReport>,
}

/// A source behind a pointer is a source.
struct Boxed(Box<dyn MarketSource>);

impl MarketSource for Boxed {
    fn profile(&self) -> &SourceProfile {
        self.0.profile()
    }

    fn next_event(&mut self) -> Result<Option<MarketEvent>, SourceError> {
        self.0.next_event()
    }
}

/// Runs a demo. Must run inside a `LocalSet`.
///
/// # Errors
/// One line that says what is missing or broke. What was written stays; the same command goes on from there.
pub async fn demo(ask: &Demo) -> anyhow::Result<Outcome> {
    let started = wall();
    let source = Boxed(ask.choice.open()?);
    let profile = source.profile().clone();
    let place =
        Place::open(&ask.data_dir, RunKey { command: "demo".to_owned(), source: profile.name.clone() })?;
    let postgres = match Postgres::start(&PostgresOptions::fast(place.postgres())).await {
        Ok(postgres) => postgres,
        Err(error) => {
            place.abandon();
            return Err(error);
        }
    };
    if let Some(note) = postgres.note().filter(|_| ask.progress) {
        eprintln!("{note}");
    }
    let aws = AwsLocal::start().await?;
    let ran = Run { ask, place: &place, postgres: &postgres, aws: &aws, profile: &profile, started }
        .run(source)
        .await;
    aws.stop().await;
    let stopped = postgres.stop().await;
    let outcome = ran?;
    stopped?;
    place.finish()?;
    Ok(outcome)
}

/// A demo with its servers up.
struct Run<'a> {
    ask: &'a Demo,
    place: &'a Place,
    postgres: &'a Postgres,
    aws: &'a AwsLocal,
    profile: &'a SourceProfile,
    started: UtcNanos,
}

impl Run<'_> {
    async fn run(&self, source: Boxed) -> anyhow::Result<Outcome> {
        let files = Files::in_dir(&self.place.run());
        let members = members();
        let (parts, from) = Stage {
            place: self.place,
            postgres: self.postgres,
            aws: self.aws,
            profile: self.profile,
            seed: self.ask.choice.seed(),
            members: &members,
        }
        .set(&files)
        .await?;
        let ingester = stage::ingester(&parts, self.profile).await?;
        let mut day = match from {
            Some(from) => Day::resuming(&parts, source, ingester, from),
            None => Day::new(&parts, source, ingester),
        };
        let minutes = RefCell::new(Minutes::default());
        let watch = Watch::new(self, &minutes);
        let ran = tokio::select! {
            ran = day.run(async |it: &Progress| watch.see(it, &parts).await) => ran,
            () = interrupted() => {
                watch.end();
                bail!("stopped; the same command goes on from here");
            }
        };
        watch.end();
        let counts = ran?;
        watch.note(parts.clock.now_or_close(&self.profile.session), &counts);
        let report = day.report().cloned();
        drop(day);
        self.account(parts, &files, minutes.into_inner(), report).await
    }

    /// Reads the books and the transcript, computes the summary and leaves the files where they were asked for.
    async fn account(
        &self,
        parts: Local,
        files: &Files,
        minutes: Minutes,
        report: Option<DailyReport>,
    ) -> anyhow::Result<Outcome> {
        files.write(&mut parts.venue.sandbox().borrow_mut())?;
        let realized = |account: &domain::account::AccountRef| {
            let own = report.iter().flat_map(|it| &it.accounts).find(|it| it.account == *account);
            own.map_or(Usd::ZERO, |it| it.totals.realized_net)
        };
        let wall = (self.started, wall());
        let lines = account::read_books(parts.ledger(), self.profile, minutes, realized, wall).await?;
        let transcript = files.transcript()?;
        let summary = account::summarize(&lines, &transcript)?;
        if let Some(out) = &self.ask.out {
            account::write(out, &lines, &transcript, &summary)?;
        }
        parts.venue.stop().await;
        Ok(Outcome { summary, report })
    }
}

impl MarketClock {
    /// The clock's time, no later than a session's end: for a line that closes its count.
    fn now_or_close(&self, session: &Session) -> UtcNanos {
        domain::ports::Clock::now(self).min(session.close)
    }
}

/// Shows how far a day has come, holds it back to its speed, and counts its minutes.
struct Watch<'a> {
    progress: bool,
    terminal: bool,
    pacer: tokio::sync::Mutex<Pacer>,
    minutes: &'a RefCell<Minutes>,
    minute: Cell<i64>,
}

impl<'a> Watch<'a> {
    fn new(run: &Run<'_>, minutes: &'a RefCell<Minutes>) -> Self {
        Self {
            progress: run.ask.progress,
            terminal: std::io::stderr().is_terminal(),
            pacer: tokio::sync::Mutex::new(Pacer::new(run.ask.speed)),
            minutes,
            minute: Cell::new(i64::MIN),
        }
    }

    async fn see(&self, progress: &Progress, parts: &Local) {
        self.pacer.lock().await.hold_until(progress.at).await;
        // Servers share this thread: they are let in between two steps of the market.
        tokio::task::yield_now().await;
        let minute = progress.at.secs().div_euclid(60);
        if minute == self.minute.replace(minute) {
            return;
        }
        self.note(progress.at, &progress.counts);
        // A terminal shows each minute in place, a log every half hour.
        if self.progress && (self.terminal || minute % 30 == 0) {
            self.show(progress, parts);
        }
    }

    fn note(&self, at: UtcNanos, counts: &Counts) {
        self.minutes.borrow_mut().note(at, counts.prints, counts.quotes, counts.microbars);
    }

    fn show(&self, progress: &Progress, parts: &Local) {
        let sandbox = parts.venue.sandbox().borrow();
        let accounts: Vec<_> =
            members().iter().filter_map(|it| sandbox.account(it.number.as_str()).cloned()).collect();
        let open: i64 =
            accounts.iter().flat_map(|it| it.positions.keys().map(|series| it.held(series))).sum();
        let realized: Usd = accounts.iter().map(|it| it.realized).sum();
        let line = format!(
            "{} New York  {:>7} ticks  {:>3} setup steps  {open:>2} contracts open  realised {realized:>10}",
            progress.at.new_york().strftime("%H:%M"),
            progress.counts.prints + progress.counts.quotes,
            progress.counts.transitions,
        );
        let mut out = std::io::stderr().lock();
        let written = if self.terminal { write!(out, "\r{line}") } else { writeln!(out, "{line}") };
        // A closed terminal is no reason to stop trading.
        drop(written.and_then(|()| out.flush()));
    }

    fn end(&self) {
        if self.progress && self.terminal {
            eprintln!();
        }
    }
}
