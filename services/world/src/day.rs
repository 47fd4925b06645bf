//! The day itself: ticks, what falls due, and the messages that follow, in market time.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use domain::market::{MarketEvent, MarketSource, Points, SourceError};
use domain::ports::{Clock, Ledger, LedgerError, Queue, SendError, Sender};
use domain::time::UtcNanos;
use engine::report::DailyReport;
use ingester::{Ingester, account_stream};

use crate::parts::{AccountFrame, Delivery, Mailboxes, Parts, SteeredClock, Venue};
use crate::schedule::{self, Scheduled};
use crate::work::{self, Counter, Post};

/// How long a failed message stays invisible: the queues' visibility time-out.
pub const VISIBILITY: Duration = Duration::from_secs(180);
/// How long after the close a day goes on: the report, the broker's clean-up and what follows from them.
pub const DAY_ENDS_AFTER: Duration = Duration::from_secs(20 * 60);
/// How often a message is received before it is a dead letter.
pub const RECEIVES_MAX: u32 = 5;
/// Outbox rows handed on at once.
const ROWS_MAX: u32 = 200;
/// How much market time passes between two looks of whoever watches.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Rounds of messages at one instant: more means that two functions keep waking each other.
const ROUNDS_MAX: u32 = 10_000;

/// Why a day could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DayError {
    /// The market data broke.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The books did not answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A queue did not answer.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A function broke a rule of the runtime.
    #[error("function on queue {queue}: {why}")]
    Function {
        /// Its queue.
        queue: &'static str,
        /// What happened.
        why: String,
    },
    /// Messages went round and round without time moving.
    #[error("messages at {at} did not come to rest in {ROUNDS_MAX} rounds")]
    Restless {
        /// The instant.
        at: UtcNanos,
    },
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Prints of the index and its proxy.
    pub prints: u64,
    /// Quotes of the index and its proxy.
    pub quotes: u64,
    /// Quotes of options.
    pub option_quotes: u64,
    /// Bars closed.
    pub microbars: u64,
    /// Steps of setups.
    pub transitions: u64,
    /// Messages worked.
    pub messages: u64,
    /// Messages given back.
    pub returned: u64,
    /// Messages buried.
    pub buried: u64,
    /// Schedules fired.
    pub schedules: u64,
    /// Schedules whose function failed.
    pub schedules_failed: u64,
}

/// How far a day has come, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Market time.
    pub at: UtcNanos,
    /// What was counted.
    pub counts: Counts,
}

/// Rung by whoever writes into the books or the queues from outside the day: it looks before it goes on.
#[derive(Debug, Clone, Default)]
pub struct Bell(Rc<Cell<bool>>);

impl Bell {
    /// Something was written.
    pub fn ring(&self) {
        self.0.set(true);
    }

    /// Whether nobody looked since.
    pub fn is_rung(&self) -> bool {
        self.0.get()
    }

    fn take(&self) -> bool {
        self.0.replace(false)
    }
}

/// A running day.
#[derive(Debug)]
pub struct Day<'a, P, S> {
    parts: &'a P,
    source: S,
    ingester: Ingester,
    peeked: Option<MarketEvent>,
    source_over: bool,
    schedule: VecDeque<(UtcNanos, Scheduled)>,
    /// What falls due later belongs to another day: the broker's heartbeats never end.
    end: UtcNanos,
    post: Post,
    /// Failed messages, in hand until their visibility time-out has passed on the market's clock.
    returned: BTreeMap<(UtcNanos, u64), (Queue, Delivery)>,
    /// Whether the outbox may hold something new.
    outbox_dirty: bool,
    outbox_due: Option<UtcNanos>,
    counts: Counts,
    /// The index's last value of the session.
    index: Option<Points>,
    report: Option<DailyReport>,
    watch_every: Duration,
    bell: Bell,
}

impl<'a, P: Parts, S: MarketSource> Day<'a, P, S> {
    /// A day about to open: the clock stands before its first schedule.
    pub fn new(parts: &'a P, source: S, ingester: Ingester) -> Self {
        let schedule = schedule::of(&source.profile().session, &parts.switches()).into();
        let end = source.profile().session.close.plus(DAY_ENDS_AFTER);
        Self {
            parts,
            source,
            ingester,
            peeked: None,
            source_over: false,
            schedule,
            end,
            post: Post::default(),
            returned: BTreeMap::new(),
            outbox_dirty: true,
            outbox_due: None,
            counts: Counts::default(),
            index: None,
            report: None,
            watch_every: WATCH_EVERY,
            bell: Bell::default(),
        }
    }

    /// The day watched after each `step` of market time, so that it can be held back that finely.
    #[must_use]
    pub fn watched_every(self, step: Duration) -> Self {
        Self { watch_every: step, ..self }
    }

    /// The day that answers to `bell`.
    #[must_use]
    pub fn hearing(self, bell: &Bell) -> Self {
        Self { bell: bell.clone(), ..self }
    }

    /// A day that goes on where the broker stood at `from`: earlier schedules are done, and the market before it reaches the
    /// ingester alone, as far as its checkpoint does not cover it.
    pub fn resuming(parts: &'a P, source: S, ingester: Ingester, from: UtcNanos) -> Self {
        let mut day = Self::new(parts, source, ingester);
        day.schedule.retain(|it| it.0 > from);
        day
    }

    /// The day's report, once it is written.
    pub const fn report(&self) -> Option<&DailyReport> {
        self.report.as_ref()
    }

    /// The ingester.
    pub const fn ingester(&self) -> &Ingester {
        &self.ingester
    }

    /// What was counted so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Somebody else put a message into `queue`: the day looks there at its next instant.
    pub fn expect(&self, queue: Queue) {
        self.post.note(queue);
    }

    /// Runs to the end of the day. `watch` is called before time moves and may hold it back; a rung bell ends that wait,
    /// and time stays where it is until what was written is worked.
    ///
    /// # Errors
    /// [`DayError`] when a part did not answer; everything written stays, and the same day can be taken up again.
    pub async fn run(&mut self, mut watch: impl AsyncFnMut(&Progress)) -> Result<Counts, DayError> {
        loop {
            self.settle().await?;
            let tick = self.peek()?.map(|it| it.ts());
            let due = self.next_due();
            match (tick, due) {
                (None, None) => return Ok(self.counts),
                (Some(tick), due) if due.is_none_or(|due| tick <= due) => self.feed(due, &mut watch).await?,
                (_, Some(due)) => {
                    watch(&Progress { at: due, counts: self.counts }).await;
                    if !self.bell.is_rung() {
                        self.parts.clock().advance_to(due);
                        self.fire().await?;
                    }
                }
                (Some(_), None) => {}
            }
        }
    }

    /// Takes market events until something follows from one, or something else is due first.
    async fn feed(
        &mut self,
        due: Option<UtcNanos>,
        watch: &mut impl AsyncFnMut(&Progress),
    ) -> Result<(), DayError> {
        let mut watched = UtcNanos(i64::MIN);
        while let Some(event) = self.peek()? {
            let ts = event.ts();
            if due.is_some_and(|due| ts > due) {
                break;
            }
            if ts.since(watched) >= self.watch_every {
                watched = ts;
                watch(&Progress { at: ts, counts: self.counts }).await;
                if self.bell.is_rung() {
                    return Ok(());
                }
            }
            self.peeked = None;
            self.parts.clock().advance_to(ts);
            self.parts.venue().on_market(&event);
            self.ingester.on_event(&event);
            self.count(&event);
            let broker_due = self.parts.venue().next_due().is_some_and(|at| due.is_none_or(|due| at < due));
            if self.ingester.wants_commit() || broker_due {
                break;
            }
        }
        if self.source_over && self.peeked.is_none() {
            self.ingester.finish();
            self.counts.microbars = self.ingester.metrics().bars_out;
        }
        Ok(())
    }

    fn count(&mut self, event: &MarketEvent) {
        let profile = self.source.profile();
        match event {
            MarketEvent::Trade(symbol, trade) => {
                self.counts.prints += 1;
                if *symbol == profile.index
                    && profile.session.open <= trade.ts
                    && trade.ts <= profile.session.close
                {
                    self.index = Some(trade.price);
                }
            }
            MarketEvent::Quote(..) => self.counts.quotes += 1,
            MarketEvent::OptionQuote(..) => self.counts.option_quotes += 1,
        }
        self.counts.microbars = self.ingester.metrics().bars_out;
        self.counts.transitions = self.ingester.metrics().transitions_out;
    }

    fn peek(&mut self) -> Result<Option<MarketEvent>, DayError> {
        if self.peeked.is_none() && !self.source_over {
            self.peeked = self.source.next_event()?;
            self.source_over = self.peeked.is_none();
        }
        Ok(self.peeked)
    }

    /// The next instant at which something happens that is not a tick.
    fn next_due(&self) -> Option<UtcNanos> {
        let schedule = self.schedule.front().map(|it| it.0);
        let returned = self.returned.keys().next().map(|it| it.0);
        let feed = if self.source_over { None } else { self.ingester.next_due() };
        [schedule, self.outbox_due, self.parts.venue().next_due(), self.post.next_due(), returned, feed]
            .into_iter()
            .flatten()
            .min()
            .filter(|due| *due <= self.end)
    }

    /// Works what is due at the clock's instant; messages follow in [`Self::settle`].
    async fn fire(&mut self) -> Result<(), DayError> {
        let now = self.parts.clock().now();
        self.parts.venue().advance(now);
        self.ingester.on_time(now);
        let later = self.returned.split_off(&(UtcNanos(now.0.saturating_add(1)), 0));
        for (_, (queue, delivery)) in std::mem::replace(&mut self.returned, later) {
            self.parts.mail().give_back(queue, &delivery).await?;
            self.post.note(queue);
        }
        for (queue, message) in self.post.due(now) {
            self.counter().send(queue, &message, Duration::ZERO).await?;
        }
        while self.schedule.front().is_some_and(|it| it.0 <= now) {
            let Some((_, what)) = self.schedule.pop_front() else { break };
            // What the minute before left is worked before the next function looks.
            self.settle().await?;
            self.counts.schedules += 1;
            let close = self.index.filter(|_| now > self.source.profile().session.close);
            match work::scheduled(self.parts, &self.counter(), work::HOLDER, what, close).await {
                Ok(Some(report)) => self.report = Some(report),
                Ok(None) => {}
                Err(error) => {
                    self.counts.schedules_failed += 1;
                    tracing::error!(
                        function = what.function(),
                        "{} failed at {now}: {error}",
                        what.function()
                    );
                }
            }
            self.outbox_dirty = true;
        }
        if self.outbox_due.is_some_and(|it| it <= now) {
            self.outbox_dirty = true;
        }
        Ok(())
    }

    /// Works everything that can be worked at this instant, until nothing moves.
    async fn settle(&mut self) -> Result<(), DayError> {
        for _ in 0..ROUNDS_MAX {
            if self.bell.take() {
                self.outbox_dirty = true;
                self.post.look_everywhere();
            }
            if self.ingester.wants_commit() {
                self.ingester.commit(self.parts.ledger()).await?;
                self.outbox_dirty = true;
            }
            self.take_frames().await?;
            self.relay().await?;
            if !self.round().await? {
                return Ok(());
            }
        }
        Err(DayError::Restless { at: self.parts.clock().now() })
    }

    async fn take_frames(&mut self) -> Result<(), DayError> {
        for AccountFrame { account, text } in self.parts.venue().frames().await {
            let at = self.parts.clock().now();
            account_stream::on_broker_frame(self.parts.ledger(), &account, &text, at).await?;
            self.outbox_dirty = true;
        }
        Ok(())
    }

    /// Hands outbox rows that are due to their queues.
    async fn relay(&mut self) -> Result<(), DayError> {
        if !self.outbox_dirty {
            return Ok(());
        }
        let now = self.parts.clock().now();
        loop {
            let rows = self.parts.ledger().due_outbox(now, ROWS_MAX).await?;
            if rows.is_empty() {
                break;
            }
            let mut sent = Vec::with_capacity(rows.len());
            for row in &rows {
                self.counter().send(row.queue, &row.message, Duration::ZERO).await?;
                sent.push(row.id);
            }
            self.parts.ledger().mark_sent(&sent, now).await?;
        }
        self.outbox_due = self.parts.ledger().next_due().await?;
        self.outbox_dirty = false;
        Ok(())
    }

    /// Receives every visible message and works each; tells whether there was one.
    async fn round(&mut self) -> Result<bool, DayError> {
        let mut hand: Vec<(Queue, Delivery)> = Vec::new();
        for queue in self.post.waiting() {
            for delivery in self.parts.mail().receive(queue).await? {
                self.post.take(queue);
                hand.push((queue, delivery));
            }
        }
        // The queue's order is nobody's promise: theirs is by queue, then by what they say.
        let rank = |queue: Queue| Queue::ALL.iter().position(|it| *it == queue);
        hand.sort_by(|a, b| (rank(a.0), &a.1.body).cmp(&(rank(b.0), &b.1.body)));
        let any = !hand.is_empty();
        for (queue, delivery) in hand {
            self.work(queue, delivery).await?;
        }
        Ok(any)
    }

    async fn work(&mut self, queue: Queue, delivery: Delivery) -> Result<(), DayError> {
        let done = work::deliver(self.parts, &self.counter(), work::HOLDER, queue, &delivery).await;
        let done = done.map_err(|why| DayError::Function { queue: queue.as_str(), why })?;
        self.counts.messages += 1;
        self.outbox_dirty = true;
        let mail = self.parts.mail();
        if done {
            mail.delete(queue, &delivery).await?;
        } else if delivery.receives >= RECEIVES_MAX {
            self.counts.buried += 1;
            mail.bury(queue, &delivery).await?;
        } else {
            self.counts.returned += 1;
            let due = self.parts.clock().now().plus(VISIBILITY);
            self.returned.insert((due, self.counts.returned), (queue, delivery));
        }
        Ok(())
    }

    fn counter(&self) -> Counter<'_, P> {
        Counter { parts: self.parts, post: &self.post }
    }
}
