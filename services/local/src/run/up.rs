//! `claxton up`: everything in one process, session after session, at the market's own pace.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use broker::https::{Https, Patience};
use domain::account::{AccountType, UserSettings};
use domain::ids::AccountNumber;
use domain::market::{MarketSource as _, SourceProfile};
use domain::money::Usd;
use domain::ports::{Clock as _, Ledger as _};
use domain::time::UtcNanos;
use ingester::account_stream::on_broker_frame;
use sandbox::journal::Files;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::Instant;
use world::day::{Bell, Day, Progress};
use world::parts::{AccountFrame, Venue as _};
use world::simulated::{Member, enrol, members};

use super::env_file::{self, EnvFile};
use super::ground::Ground;
use super::http::{self, Front, InProcess};
use super::parts::Local;
use super::place::Place;
use super::stage::{self, BEFORE_OPEN, Stage, interrupted};
use super::turn::{Seen, Turn};
use crate::aws::AwsLocal;
use crate::clock::{MarketClock, Pacer, Speed};
use crate::postgres::Postgres;

/// How long the day is let go on the wall before it is held back again.
const STEP: Duration = Duration::from_millis(50);
/// How often books and queues are looked into while others may write to them.
const LISTEN_EVERY: Duration = Duration::from_secs(1);

/// What is asked of a run that stays up.
#[derive(Debug, Clone)]
pub struct Up {
    /// The first session's seed.
    pub seed: u64,
    /// Where the run keeps its books.
    pub data_dir: PathBuf,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// How fast the market goes.
    pub speed: Speed,
    /// Where the environment for functions beside the run is written.
    pub env: Option<PathBuf>,
}

/// Stays up until Ctrl-C or SIGTERM. Its address goes to `out`, a line, once everything answers. Must run inside a
/// `LocalSet`.
///
/// # Errors
/// One line that says what is missing or broke. What was written stays; the same command goes on from there.
pub async fn up(ask: &Up, out: &mut impl Write) -> anyhow::Result<()> {
    let mut ended = std::pin::pin!(interrupted());
    let listener = http::bind(ask.listen).await?;
    if let Some(path) = &ask.env {
        EnvFile::check(path)?;
    }
    let Some(ground) = Ground::open(&ask.data_dir, "up", ask.seed, ended.as_mut()).await? else {
        return Ok(());
    };
    let Ground { place, postgres, aws } = &ground;
    let ran = ground.under(Run { ask, place, postgres, aws }.run(listener, out, ended)).await;
    ground.close(ran).await
}

/// The user of `events/`, with an account at the broker, who follows setups without trading them.
fn of_the_events() -> Member {
    let [first, _] = members();
    Member {
        account: sim::fixtures::account(1),
        number: AccountNumber::try_from("VA00000003".to_owned()).unwrap_or(first.number),
        kind: AccountType::Margin,
        cash: Usd::from_dollars(25_000),
        token: "stub-token-3".to_owned(),
        settings: UserSettings::default(),
    }
}

/// A run with its servers up.
struct Run<'a> {
    ask: &'a Up,
    place: &'a Place,
    postgres: &'a Postgres,
    aws: &'a AwsLocal,
}

impl Run<'_> {
    async fn run(
        &self,
        listener: TcpListener,
        out: &mut impl Write,
        mut ended: Pin<&mut impl Future<Output = ()>>,
    ) -> anyhow::Result<()> {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let turn = Turn::of(self.place, self.ask.seed)?;
        let profile = turn.open(&seen)?.profile().clone();
        let files = Files::in_dir(&self.place.run());
        let known: Vec<Member> = members().into_iter().chain([of_the_events()]).collect();
        let (place, postgres, aws) = (self.place, self.postgres, self.aws);
        let stage = Stage { place, postgres, aws, profile: &profile, seed: turn.seed, members: &members() };
        let (parts, _) = tokio::select! {
            set = stage.set_knowing(&files, &known) => set?,
            () = ended.as_mut() => return Ok(()),
        };
        let ran = self.serve(&parts, &files, turn, &seen, listener, out, ended).await;
        let ran = ran.and(keep(&parts, &files));
        parts.venue.stop().await;
        ran
    }

    #[expect(clippy::too_many_arguments, reason = "what was brought up, and where it is told")]
    async fn serve(
        &self,
        parts: &Local,
        files: &Files,
        turn: Turn,
        seen: &Rc<RefCell<Seen>>,
        listener: TcpListener,
        out: &mut impl Write,
        ended: Pin<&mut impl Future<Output = ()>>,
    ) -> anyhow::Result<()> {
        self.enrol_of_the_events(parts).await?;
        let pace = Pace::new(self.ask, &parts.clock);
        let _env = match &self.ask.env {
            Some(path) => {
                let variables = env_file::variables(self.place, self.postgres, self.aws, parts);
                Some(EnvFile::write(path, &variables)?)
            }
            None => None,
        };
        let functions = InProcess {
            parts,
            transport: Https::new(&parts.venue.base(), Patience::default())?,
            seen,
            speed: self.ask.speed.times(),
            wrote: &|| pace.wake(),
        };
        let front = Front { functions };
        http::say_where(&listener, out)?;
        tokio::select! {
            ran = self.sessions(parts, files, turn, seen, &pace) => ran,
            never = front.serve(listener) => match never {},
            () = ended => Ok(()),
        }
    }

    /// The rows that `events/` names: made when functions are to run beside, and kept working from then on.
    async fn enrol_of_the_events(&self, parts: &Local) -> anyhow::Result<()> {
        let member = of_the_events();
        let is_there = parts.ledger.active_accounts().await?.contains(&member.account);
        let at_broker = parts.venue.sandbox().borrow().account(member.number.as_str()).is_some();
        if at_broker && (is_there || self.ask.env.is_some()) {
            let of = std::slice::from_ref(&member);
            enrol(&parts.ledger, &parts.secrets, of, parts.clock.now()).await?;
            parts.venue.connect(member.account, &parts.brokers).await?;
        }
        Ok(())
    }

    /// One session after the other.
    async fn sessions(
        &self,
        parts: &Local,
        files: &Files,
        mut turn: Turn,
        seen: &Rc<RefCell<Seen>>,
        pace: &Pace<'_>,
    ) -> anyhow::Result<()> {
        loop {
            turn.note(self.place)?;
            let source = turn.open(seen)?;
            let profile = source.profile().clone();
            let start = profile.session.open.minus(BEFORE_OPEN);
            eprintln!("session {}, {}", profile.session.date, profile.name);
            rest(parts, pace, start).await?;
            open_at_the_broker(parts, files, &profile)?;
            let ingester = stage::ingester(parts, &profile).await?;
            let now = parts.clock.now();
            let day = match now > start {
                true => Day::resuming(parts, source, ingester, now),
                false => Day::new(parts, source, ingester),
            };
            let step = self.ask.speed.in_the_market(STEP);
            let mut day = day.watched_every(step).hearing(&pace.bell);
            let counts = day
                .run(async |it: &Progress| {
                    seen.borrow_mut().counts = it.counts;
                    pace.hold(it.at, true).await;
                })
                .await?;
            seen.borrow_mut().counts = counts;
            if let Some(report) = day.report() {
                eprintln!("{}", report.to_text());
            }
            turn = turn.next()?;
        }
    }
}

/// Waits for the next session with the broker going on: it looks after its orders, its streams say that they live.
async fn rest(parts: &Local, pace: &Pace<'_>, until: UtcNanos) -> anyhow::Result<()> {
    loop {
        let due = parts.venue.next_due().filter(|it| *it < until);
        pace.hold(due.unwrap_or(until), false).await;
        let now = parts.clock.now();
        let Some(due) = due else { return Ok(()) };
        parts.venue.advance(due);
        for AccountFrame { account, text } in parts.venue.frames().await {
            on_broker_frame(&parts.ledger, &account, &text, now).await?;
        }
    }
}

/// The broker lists the session's series; it goes on where it knows the session already.
fn open_at_the_broker(parts: &Local, files: &Files, profile: &SourceProfile) -> anyhow::Result<()> {
    let mut sandbox = parts.venue.sandbox().borrow_mut();
    if sandbox.session().date != profile.session.date {
        sandbox.start_session(profile.session, &profile.series);
        files.write(&mut sandbox)?;
    }
    Ok(())
}

/// Notes how far the broker came, so that the next run goes on from there and not from its last change. What is due at
/// this very instant is left to that run.
fn keep(parts: &Local, files: &Files) -> anyhow::Result<()> {
    let mut sandbox = parts.venue.sandbox().borrow_mut();
    sandbox.advance(parts.clock.now().minus(Duration::from_nanos(1)));
    files.write(&mut sandbox)
}

/// Holds market time back to its speed. On the way the clock shows where it is, and others are let in.
struct Pace<'a> {
    pacer: RefCell<Pacer>,
    clock: &'a MarketClock,
    bell: Bell,
    woken: Notify,
    /// Whether others write to books and queues without telling.
    listens: bool,
    listened: Cell<Instant>,
}

impl<'a> Pace<'a> {
    /// The measure starts now.
    fn new(ask: &Up, clock: &'a MarketClock) -> Self {
        let mut pacer = Pacer::new(Some(ask.speed));
        pacer.on_the_way(clock.now());
        let listened = Cell::new(Instant::now());
        let (pacer, listens) = (RefCell::new(pacer), ask.env.is_some());
        Self { pacer, clock, bell: Bell::default(), woken: Notify::new(), listens, listened }
    }

    /// Something was written from outside the day.
    fn wake(&self) {
        self.bell.ring();
        self.woken.notify_one();
    }

    /// Waits until `until` may be reached, or, if it is `answering`, until something was written.
    async fn hold(&self, until: UtcNanos, answering: bool) {
        loop {
            let (reached, left) = self.pacer.borrow_mut().on_the_way(until);
            self.clock.advance_to(reached);
            // Servers share this thread: they are let in between two steps of the market.
            tokio::task::yield_now().await;
            if self.listens && self.listened.get().elapsed() >= LISTEN_EVERY {
                self.listened.set(Instant::now());
                self.bell.ring();
            }
            if left.is_zero() || (answering && self.bell.is_rung()) {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(STEP)) => {}
                () = self.woken.notified() => {}
            }
        }
    }
}
