//! The run itself: what happens next, at which instant, and who is polled.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use broker::transport::{Request, Transport as _};
use domain::kill::KillState;
use domain::ports::{Message, NewIntent, Queue};
use domain::secret::Token;
use domain::setup::Setup;
use domain::symbol::OccSymbol;
use domain::time::{NANOS_PER_SEC, UtcNanos};
use sim::conformance::block_on;
use sim::perils::{Peril, Perils, Port, Running, Script, Stop, mixed};

use super::course::{Course, Incident};
use super::laws::Laws;
use super::parts::TrialParts;
use super::tape::Tape;
use super::tasks::{self, Ended, Purpose, Task};
use super::thinned::Thinned;
use super::{Ask, Outcome, structures};
use crate::schedule::{self, Scheduled};
use crate::simulated::{EnrolError, switches};

/// A relay that failed looks again after this long: the ingester's sweep.
const SWEEP: Duration = Duration::from_secs(1);
/// After the last fault every intent ends within this.
pub(super) const ENDS_WITHIN: Duration = Duration::from_secs(300);
/// A token is used for so long after it was read, and what waits for another takes a while.
const TOKEN_KNOWN_FOR: Duration = Duration::from_secs(100);
/// In sessions of small sizes a quote stands for so many seconds.
const SECONDS_BETWEEN_SIZES: i64 = 4;
/// A storm: twenty times the events of the usual session, because parts keep waking each other.
pub(super) const EVENTS_MAX: u64 = 100_000;

/// Something that happens at an instant.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Letter(u64),
    Resume(u64),
    Schedule(Scheduled, bool),
    Setup { plan: usize, sequence: u32 },
    Decision { plan: usize, member: usize, sequence: u32 },
    Incident(usize),
    Over(usize),
    Flip(Option<usize>, KillState),
    Rotate(usize),
    HardStop(usize),
    Stands(bool),
    SellsByHand(usize, OccSymbol),
    Late(Box<Request>),
    Tick,
    Calm,
    Close,
    Look,
    Liveness,
}

/// A session at work.
pub(super) struct Engine {
    pub(super) course: Course,
    pub(super) parts: Rc<TrialParts>,
    pub(super) laws: Rc<Laws>,
    pub(super) tape: Rc<Tape>,
    events: BTreeMap<(UtcNanos, u64, u64), Event>,
    pub(super) sequence: u64,
    pub(super) tasks: BTreeMap<u64, Task>,
    next_task: u64,
    relaying: Option<u64>,
    relay_from: UtcNanos,
    is_ticking: bool,
    pub(super) is_calm: bool,
    /// Alerts that reached their queue.
    pub(super) delivered: BTreeSet<String>,
    /// Incidents that happen, by place.
    pub(super) wanted: Option<BTreeSet<usize>>,
    pub(super) happened: BTreeSet<usize>,
    /// When entries may be refused for a reason of the whole: from, until.
    pub(super) excuses: Vec<(UtcNanos, UtcNanos)>,
    /// When nothing can be expected of anybody: from, until.
    pub(super) outages: Vec<(UtcNanos, UtcNanos)>,
    /// When alerts could be sent again.
    pub(super) alerts_back_at: UtcNanos,
    /// When the last fault was over.
    pub(super) trouble_until: UtcNanos,
    pub(super) setups: BTreeMap<usize, Setup>,
    /// What was decided on structures, by plan, member and sequence: written again it is the same.
    pub(super) decisions: BTreeMap<(usize, usize, u32), NewIntent>,
}

impl Engine {
    pub(super) async fn new(ask: &Ask, course: Course) -> Result<Self, EnrolError> {
        let script = ask.faults.as_ref().map(|it| Script::of(&it.calls));
        let perils = Rc::new(Perils::new(course.chances.clone(), script));
        let parts = Rc::new(TrialParts::new(&course, Rc::clone(&perils)).await?);
        let tape = Rc::new(Tape::new(&course, Rc::clone(&parts.sandbox)));
        let laws = Rc::new(Laws::new(
            Rc::clone(&parts.books),
            Rc::clone(&parts.time),
            Rc::clone(&tape),
            Rc::clone(&parts.sandbox),
            parts.members.clone(),
            ask.is_told,
        ));
        perils.may_revoke(parts.members.iter().map(|it| Token::new(it.token.as_str())));
        perils.tell(Rc::clone(&laws) as Rc<dyn sim::perils::Witness>);
        let mut engine = Self {
            relay_from: course.start,
            alerts_back_at: course.start,
            trouble_until: course.start,
            wanted: ask.faults.as_ref().map(|it| it.incidents.clone()),
            course,
            parts,
            laws,
            tape,
            events: BTreeMap::new(),
            sequence: 0,
            tasks: BTreeMap::new(),
            next_task: 1,
            relaying: None,
            is_ticking: false,
            is_calm: false,
            delivered: BTreeSet::new(),
            happened: BTreeSet::new(),
            excuses: Vec::new(),
            outages: Vec::new(),
            setups: BTreeMap::new(),
            decisions: BTreeMap::new(),
        };
        engine.plan();
        Ok(engine)
    }

    /// Puts down what is known before anything happens.
    fn plan(&mut self) {
        let (start, session, calm_at) = (self.course.start, self.course.session, self.course.calm_at);
        self.at(start, Event::Schedule(Scheduled::PortfolioSync, true));
        // Nothing is entered before books and broker agreed once.
        self.at(start, Event::Schedule(Scheduled::Reconcile, true));
        let thinned = Thinned::of(&self.course);
        for (at, what) in schedule::of(&session, &switches()).into_iter().filter(|it| it.0 > start) {
            if thinned.keeps(at, what) {
                self.at(at, Event::Schedule(what, false));
            }
        }
        // As in the cloud, where it is asked each minute for two hours more: what the report found open may still settle.
        let mut at = session.close.plus(schedule::REPORT_AFTER);
        while at < self.course.end {
            if thinned.keeps(at, Scheduled::Reconcile) {
                self.at(at, Event::Schedule(Scheduled::Reconcile, false));
            }
            at = at.plus(Duration::from_secs(60));
        }
        for plan in 0..self.course.setups.len() {
            let Some(at) = self.course.setups.get(plan).map(|it| it.at) else { continue };
            self.at(at.minus(Duration::from_secs(5)), Event::Setup { plan, sequence: 0 });
        }
        let combos: Vec<UtcNanos> = self.course.structures.iter().map(|it| it.at).collect();
        for (plan, at) in combos.into_iter().enumerate() {
            for member in 0..self.parts.members.len() {
                self.at(at, Event::Decision { plan, member, sequence: 0 });
            }
        }
        if let Some(script) = structures::faults_of(&self.course) {
            self.parts.sandbox.borrow_mut().set_faults(script);
        }
        for index in 0..self.course.incidents.len() {
            let Some(Incident { at, .. }) = self.course.incidents.get(index) else { continue };
            // Also what is not wanted takes its place, so that the ties of everything else stay what they were.
            self.at(*at, Event::Incident(index));
        }
        self.at(calm_at, Event::Calm);
        self.at(session.close, Event::Close);
        self.at(session.close.plus(Duration::from_secs(60)), Event::Look);
    }

    pub(super) fn at(&mut self, at: UtcNanos, event: Event) {
        self.sequence = self.sequence.saturating_add(1);
        let tie = mixed(self.course.seed ^ self.sequence);
        self.events.insert((at, tie, self.sequence), event);
    }

    /// To the end of the session.
    pub(super) fn run(mut self) -> Outcome {
        self.pump();
        while let Some(at) = self.next_instant().filter(|it| *it <= self.course.end) {
            use crate::parts::SteeredClock as _;
            self.parts.time.advance_to(at);
            self.parts.sandbox.borrow_mut().advance(at);
            self.laws.step();
            self.looks_after_legs();
            self.looks_after_protection();
            let event = self.events.first_entry().filter(|it| it.key().0 <= at).map(|it| it.remove());
            if let Some(event) = event {
                self.happen(event);
            }
            self.pump();
            if self.laws.is_broken() || self.laws.steps() > EVENTS_MAX {
                break;
            }
        }
        self.finish()
    }

    fn next_instant(&self) -> Option<UtcNanos> {
        let event = self.events.first_key_value().map(|it| it.0.0);
        let broker = self.parts.sandbox.borrow().next_due();
        let outbox = self.parts.books.outbox_due().map(|it| it.max(self.relay_from));
        let outbox = outbox.filter(|_| self.relaying.is_none());
        let now = self.now();
        [event, broker, outbox].into_iter().flatten().min().map(|it| it.max(now))
    }

    pub(super) fn now(&self) -> UtcNanos {
        self.parts.now()
    }

    fn happen(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Letter(id) => self.receive(id),
            Event::Resume(task) => self.poll(task),
            Event::Schedule(what, is_sure) => self.fire(what, is_sure),
            Event::Setup { plan, sequence } => self.setup(plan, sequence),
            Event::Decision { plan, member, sequence } => self.decides(plan, member, sequence),
            Event::Incident(index) => self.incident(index),
            Event::Over(index) => self.over(index),
            Event::Flip(of, state) => self.flip(of, state),
            Event::Rotate(member) => self.rotate(member),
            Event::HardStop(index) => self.looks_after_hard_stop(index),
            Event::Stands(is_halted) => self.stands(is_halted),
            Event::SellsByHand(member, series) => self.sells_by_hand(member, series),
            Event::Late(request) => {
                self.laws.tell(|| format!("! {request:?} arrives late"));
                // Nobody waits for its answer any more.
                drop(block_on(self.parts.transport.inner().send(&request)));
            }
            Event::Tick => self.tick(),
            Event::Calm => self.calm(),
            Event::Close => self.tape.show_close(),
            Event::Look => {
                let delivered = &self.delivered;
                let is_paged = |prefix: &str| delivered.iter().any(|it| it.starts_with(prefix));
                // Where nobody bids nothing can be sold, and where no alert can be sent, or who pages dies, nobody is paged.
                let is_down = self.parts.perils.are_alerts_down();
                let is_excused = self.course.is_reaping
                    || self.tape.mood().is_without_bids
                    || is_down
                    || self.alerts_back_at >= self.course.session.close;
                let close = self.course.session.close;
                let calm_since = self.course.calm_at.max(self.trouble_until);
                let is_calm = !self.has_any(&[26, 33]) && calm_since.plus(ENDS_WITHIN) <= close;
                self.laws.open_after_the_close(is_paged, is_excused, is_calm);
            }
            Event::Liveness => {
                let is_over = now >= self.course.session.close.plus(ENDS_WITHIN);
                self.laws.unfinished(now.minus(ENDS_WITHIN), is_over);
            }
        }
    }

    /// What follows from what just happened, until nothing does at this instant.
    fn pump(&mut self) {
        loop {
            for (at, id) in self.parts.queues.take_due() {
                self.at(at, Event::Letter(id));
            }
            for (late, request) in self.parts.perils.take_late() {
                let at = self.now().plus(late);
                self.trouble_until = self.trouble_until.max(at);
                self.at(at, Event::Late(Box::new(request)));
            }
            self.replace_revoked();
            for (at, index) in self.laws.take_hard_stops() {
                self.at(at, Event::HardStop(index));
            }
            let lines = self.parts.sandbox.borrow_mut().take_transcript();
            self.laws.read(&lines);
            let frames = self.parts.streams().arrived();
            let is_quiet = frames.is_empty();
            for frame in frames {
                let times = match self.parts.perils.strike("stream", "frame", Port::Frame) {
                    Some((Peril::FrameLost, _)) => 0,
                    Some((Peril::FrameTwice, _)) => 2,
                    Some(_) | None => 1,
                };
                for _ in 0..times {
                    let work = tasks::frame(&self.parts, frame.clone());
                    self.spawn("account-stream", Purpose::Frame, work);
                }
            }
            let now = self.now();
            let is_due = self.parts.books.outbox_due().is_some_and(|it| it <= now) && self.relay_from <= now;
            if is_due && self.relaying.is_none() {
                self.relaying = Some(self.next_task);
                let work = tasks::relay(&self.parts);
                self.spawn("relay", Purpose::Relay, work);
                continue;
            }
            if is_quiet {
                break;
            }
        }
        if !self.is_ticking && self.has_live_orders() && self.now() < self.course.session.close {
            self.is_ticking = true;
            let next = self.now().floor_to(NANOS_PER_SEC).plus(Duration::from_secs(1));
            self.at(next, Event::Tick);
        }
    }

    fn has_live_orders(&self) -> bool {
        let sandbox = self.parts.sandbox.borrow();
        let live = |number: &str| sandbox.account(number).is_some_and(|it| !it.live.is_empty());
        self.parts.members.iter().any(|it| live(it.number.as_str()))
    }

    /// A second of market for the series somebody works in.
    fn tick(&mut self) {
        self.is_ticking = false;
        // Where sizes are small new ones come seldom: what fills in parts stays so for a while.
        let second = self.now().0.div_euclid(NANOS_PER_SEC);
        if self.course.classes.contains(&18) && second % SECONDS_BETWEEN_SIZES != 0 {
            return;
        }
        let series: BTreeSet<OccSymbol> = {
            let sandbox = self.parts.sandbox.borrow();
            let accounts = self.parts.members.iter().filter_map(|it| sandbox.account(it.number.as_str()));
            let orders = accounts.flat_map(|it| &it.live).filter_map(|id| sandbox.order(*id));
            orders.flat_map(|it| &it.legs).filter_map(|it| it.instrument.series().copied()).collect()
        };
        let series: Vec<OccSymbol> = series.into_iter().collect();
        self.tape.show(&series, self.now());
    }

    // ---- tasks ----

    pub(super) fn spawn(&mut self, actor: &'static str, purpose: Purpose, work: tasks::Work) {
        let id = self.next_task;
        self.next_task = id.saturating_add(1);
        let skew_ns = self.skew_of(id);
        self.tasks.insert(id, Task { actor, purpose, skew_ns, work });
        self.poll(id);
    }

    /// How far the clock of a task's process is off.
    pub(super) fn skew_of(&self, id: u64) -> i64 {
        let skew = self.course.skew_max_ns;
        let drawn = i64::try_from(mixed(self.course.seed ^ id << 20) >> 24).unwrap_or(0);
        drawn.checked_rem(skew.saturating_mul(2).saturating_add(1)).map_or(0, |it| it - skew)
    }

    fn poll(&mut self, id: u64) {
        let Some(mut task) = self.tasks.remove(&id) else { return };
        let running = Running { actor: task.actor, task: id, skew_ns: task.skew_ns };
        self.parts.perils.run(running);
        let mut context = Context::from_waker(Waker::noop());
        let polled = task.work.as_mut().poll(&mut context);
        self.parts.perils.run(Running { actor: "nobody", task: 0, skew_ns: 0 });
        let stop = self.parts.perils.take_stop();
        match (polled, stop) {
            (Poll::Ready(ended), _) => {
                self.laws.rests(id);
                self.laws.tell(|| format!("{} #{id} ended {ended:?}", task.actor));
                self.ended(id, task.purpose, Some(ended));
            }
            (Poll::Pending, Some(Stop::Killed)) => {
                self.laws.rests(id);
                self.ended(id, task.purpose, None);
            }
            (Poll::Pending, Some(Stop::For(time))) => {
                if self.parts.perils.take_flipped() {
                    self.flip_in_passing(id);
                }
                let at = self.now().plus(time);
                self.trouble_until = self.trouble_until.max(at);
                if task.purpose == Purpose::Relay && time > SWEEP {
                    // Another process sweeps meanwhile, and knows nothing of what this one handed on.
                    self.relaying = None;
                    self.relay_from = self.now().plus(SWEEP);
                }
                self.tasks.insert(id, task);
                self.at(at, Event::Resume(id));
            }
            (Poll::Pending, None) => {
                self.laws.waits(task.actor);
            }
        }
    }

    /// What a task's end means; `None` for one that was killed.
    fn ended(&mut self, id: u64, purpose: Purpose, ended: Option<Ended>) {
        let is_well = ended == Some(Ended::Well);
        match purpose {
            // A message that was not worked stays invisible until its time-out.
            Purpose::Letter(letter) if is_well => self.parts.queues.delete_one(letter),
            Purpose::Letter(_) | Purpose::Frame | Purpose::Schedule(_) => {}
            Purpose::Setup { plan, sequence } if is_well => self.next_step(plan, sequence),
            Purpose::Setup { plan, sequence } => {
                let at = self.now().plus(SWEEP);
                self.at(at, Event::Setup { plan, sequence });
            }
            Purpose::Decision { plan, member, sequence } if is_well => self.decided(plan, member, sequence),
            Purpose::Decision { plan, member, sequence } => {
                let at = self.now().plus(SWEEP);
                self.at(at, Event::Decision { plan, member, sequence });
            }
            Purpose::Relay => {
                if self.relaying == Some(id) {
                    self.relaying = None;
                }
                if !is_well {
                    self.relay_from = self.now().plus(SWEEP);
                }
            }
            Purpose::Control(of, state) => {
                if !is_well {
                    let at = self.now().plus(Duration::from_secs(2));
                    self.at(at, Event::Flip(of, state));
                }
            }
        }
    }

    fn receive(&mut self, letter: u64) {
        let Some((queue, delivery)) = self.parts.queues.receive_one(letter) else { return };
        if queue == Queue::Alerts {
            if let Ok(Message::Alert { key, level, text }) = wire::message::decode(&delivery.body) {
                self.laws.tell(|| format!("alert {level}: {text}"));
                self.laws.told(&key);
                self.delivered.insert(key);
            }
            self.parts.queues.delete_one(letter);
            return;
        }
        let id = self.next_task;
        self.laws.tell(|| {
            format!("{} #{id} takes {} ({})", tasks::actor_of(queue), delivery.body, delivery.receives)
        });
        self.laws.works(id, &delivery.body);
        self.laws.begins(&delivery.body);
        let replay = self.before_decision(id, queue, &delivery.body);
        let work = tasks::letter(&self.parts, queue, delivery, format!("worker-{id}"));
        self.spawn(tasks::actor_of(queue), Purpose::Letter(letter), work);
        if let Some(replay) = replay {
            self.decide_again(id, &replay);
        }
    }

    fn fire(&mut self, what: Scheduled, is_sure: bool) {
        let drawn =
            if is_sure { None } else { self.parts.perils.strike("schedule", what.function(), Port::Timer) };
        let times = match drawn {
            Some((Peril::TimerLost, _)) => 0,
            Some((Peril::TimerTwice, _)) => 2,
            Some((Peril::TimerLate, _)) => {
                let at = self.now().plus(Duration::from_secs(60));
                self.at(at, Event::Schedule(what, true));
                0
            }
            Some(_) | None => 1,
        };
        for _ in 0..times {
            let id = self.next_task;
            self.laws.tell(|| format!("{} #{id} starts", what.function()));
            // The broker prices expired series on the close, and so does whoever knows it.
            let close = (self.now() > self.course.session.close).then(|| self.tape.close());
            let work = tasks::scheduled(&self.parts, what, close, format!("worker-{id}"));
            self.spawn(what.function(), Purpose::Schedule(what), work);
        }
    }

    /// Tokens that were revoked as an order left: their members store others.
    fn replace_revoked(&mut self) {
        for token in self.parts.perils.take_revoked() {
            let Some(member) = self.parts.members.iter().position(|it| it.token == token.reveal()) else {
                continue;
            };
            let drawn = mixed(self.course.seed ^ self.sequence);
            let until = self.now().plus(Duration::from_secs(20 + drawn % 300));
            self.excuses.push((self.now(), until.plus(TOKEN_KNOWN_FOR)));
            self.trouble_until = self.trouble_until.max(until);
            self.at(until, Event::Rotate(member));
        }
    }
}
