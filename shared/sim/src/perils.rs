//! What can happen to a use case at the calls it makes: every port in a wrapper that kills, freezes, loses and lies.
//!
//! Each call of a port has a [`Site`], its use case and its operation, and a number. At each call at most one [`Peril`]
//! happens: drawn from the seed, the site and the number, so that no draw depends on another, or read from a [`Script`]
//! that names the calls. What happened is kept, and a script made of it makes the same run again.
//!
//! A killed or frozen call stays pending. Whoever drives the use case asks [`Perils::take_stop`] why: after a kill it drops
//! the future, after a freeze it polls it again when the time has passed.

mod draw;
mod ledger;
mod ports;
mod transport;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use broker::transport::Request;
use domain::account::AccountRef;
use domain::ids::IntentId;
use domain::kill::KillRow;
use domain::ports::{
    Answer, KillFlip, MarkRequest, Marking, Message, NewIntent, Progress, ReconciliationRun, Recorded,
    Written,
};
use domain::secret::Token;

pub use draw::{Chances, Peril, Port, Script, Site, mixed};
pub use ledger::PerilousLedger;
pub use ports::{PerilousNotes, PerilousSecrets, PerilousSender, SkewedClock};
pub use transport::{PerilousTransport, operation};

/// A peril that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fired {
    /// Where.
    pub site: Site,
    /// At which call there, from 0.
    pub call: u32,
    /// What.
    pub peril: Peril,
    /// How much of it: its bits choose durations and kinds.
    pub amount: u32,
    /// For whom: the task that made the call.
    pub task: u64,
}

/// Why a use case stopped in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Its process died.
    Killed,
    /// It goes on after this long.
    For(Duration),
}

/// Whether the database answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Database {
    /// It does.
    #[default]
    Up,
    /// A failover: reads are answered, writes are not.
    ReadOnly,
    /// It does not.
    Down,
}

/// Calls of a site so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// Made.
    pub made: u32,
    /// Killed before the effect.
    pub killed_before: u32,
    /// Killed after it.
    pub killed_after: u32,
}

/// Who makes the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// The use case.
    pub actor: &'static str,
    /// The task.
    pub task: u64,
    /// How far its clock is off.
    pub skew_ns: i64,
}

/// Who watches the effects, at the moment they happen and before anybody learns of them.
#[expect(unused_variables, reason = "who watches takes what concerns them")]
pub trait Witness {
    /// An intent was recorded.
    fn recorded(&self, answer: &Recorded, intent: &NewIntent) {}
    /// The right to send was asked for.
    fn marked(&self, answer: &Marking, request: &MarkRequest) {}
    /// A broker's answer was written.
    fn answered(&self, written: &Written, answer: &Answer) {}
    /// A step was written.
    fn progressed(&self, written: &Written, progress: &Progress) {}
    /// An intent was asked to stop.
    fn stopped(&self, account: &AccountRef, intent: IntentId) {}
    /// A reconciliation was written.
    fn reconciled(&self, account: &AccountRef, run: &ReconciliationRun) {}
    /// A message was put down for later.
    fn later(&self, message: &Message) {}
    /// The kill switch was flipped.
    fn flipped(&self, row: &KillRow, flip: &KillFlip) {}
    /// A request leaves the adapter; whether it arrives is another matter.
    fn leaves(&self, request: &Request, perils: &Perils) {}
    /// The market comes to an order in the moment in which its change or its cancel arrives.
    fn races(&self, request: &Request) {}
    /// The books did not answer a task.
    fn unanswered(&self, task: u64) {}
    /// A peril happens.
    fn befalls(&self, fired: &Fired) {}
}

/// Decides what happens at each call, for every wrapper of a run.
pub struct Perils {
    chances: Chances,
    script: Option<Script>,
    is_calm: Cell<bool>,
    running: Cell<Running>,
    stop: Cell<Option<Stop>>,
    database: Cell<Database>,
    is_broker_away: Cell<bool>,
    are_alerts_down: Cell<bool>,
    revoked: RefCell<Vec<Token>>,
    /// Tokens that may be revoked at a call, and those that were.
    revocable: RefCell<Vec<Token>>,
    revoked_at_calls: RefCell<Vec<Token>>,
    /// Whether somebody flips the switch before the next call goes on.
    is_flipped: Cell<bool>,
    sites: RefCell<BTreeMap<Site, Calls>>,
    fired: RefCell<Vec<Fired>>,
    late: RefCell<Vec<(Duration, Request)>>,
    witness: RefCell<Option<Rc<dyn Witness>>>,
}

impl std::fmt::Debug for Perils {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Perils").field("chances", &self.chances).finish_non_exhaustive()
    }
}

impl Perils {
    /// Drawn with these chances, or exactly those of `script`.
    pub fn new(chances: Chances, script: Option<Script>) -> Self {
        Self {
            chances,
            script,
            is_calm: Cell::new(false),
            running: Cell::new(Running { actor: "nobody", task: 0, skew_ns: 0 }),
            stop: Cell::new(None),
            database: Cell::default(),
            is_broker_away: Cell::new(false),
            are_alerts_down: Cell::new(false),
            revoked: RefCell::default(),
            revocable: RefCell::default(),
            revoked_at_calls: RefCell::default(),
            is_flipped: Cell::new(false),
            sites: RefCell::default(),
            fired: RefCell::default(),
            late: RefCell::default(),
            witness: RefCell::new(None),
        }
    }

    /// Effects are told to `witness` from now on.
    pub fn tell(&self, witness: Rc<dyn Witness>) {
        *self.witness.borrow_mut() = Some(witness);
    }

    /// Nobody is told any more: ends the circle of whoever watches and is watched.
    pub fn forget_witness(&self) {
        self.witness.borrow_mut().take();
    }

    /// From now on nothing happens at calls.
    pub fn calm(&self) {
        self.is_calm.set(true);
    }

    /// Whose calls follow.
    pub fn run(&self, running: Running) {
        self.running.set(running);
    }

    /// Whose calls they are.
    pub const fn running(&self) -> Running {
        self.running.get()
    }

    /// Why the use case that was just polled is pending.
    pub fn take_stop(&self) -> Option<Stop> {
        self.stop.take()
    }

    /// Requests that arrive only now, with how much later than they were sent.
    pub fn take_late(&self) -> Vec<(Duration, Request)> {
        self.late.take()
    }

    /// Whether the database answers from now on.
    pub fn set_database(&self, database: Database) {
        self.database.set(database);
    }

    /// Whether the database answers.
    pub const fn database(&self) -> Database {
        self.database.get()
    }

    /// Whether the broker is away from now on.
    pub fn set_broker_away(&self, is_away: bool) {
        self.is_broker_away.set(is_away);
    }

    /// Whether the broker is away.
    pub const fn is_broker_away(&self) -> bool {
        self.is_broker_away.get()
    }

    /// Whether alerts cannot be sent from now on.
    pub fn set_alerts_down(&self, is_down: bool) {
        self.are_alerts_down.set(is_down);
    }

    /// Whether alerts cannot be sent.
    pub const fn are_alerts_down(&self) -> bool {
        self.are_alerts_down.get()
    }

    /// The broker refuses this token from now on.
    pub fn revoke(&self, token: Token) {
        self.revoked.borrow_mut().push(token);
    }

    /// These tokens may be revoked at a call: each has another that takes its place.
    pub fn may_revoke(&self, tokens: impl IntoIterator<Item = Token>) {
        self.revocable.borrow_mut().extend(tokens);
    }

    /// Revokes a token at a call, unless nothing would take its place.
    fn revoke_in_passing(&self, token: &Token) -> bool {
        if !self.revocable.borrow().iter().any(|it| it.reveal() == token.reveal()) {
            return false;
        }
        self.revoke(token.clone());
        self.revoked_at_calls.borrow_mut().push(token.clone());
        true
    }

    /// Tokens revoked at calls since the last look.
    pub fn take_revoked(&self) -> Vec<Token> {
        self.revoked_at_calls.take()
    }

    /// Whether the switch is to be flipped before whoever waits goes on.
    pub fn take_flipped(&self) -> bool {
        self.is_flipped.take()
    }

    fn is_revoked(&self, token: &Token) -> bool {
        self.revoked.borrow().iter().any(|it| it.reveal() == token.reveal())
    }

    /// How many perils happened so far.
    pub fn count(&self) -> usize {
        self.fired.borrow().len()
    }

    /// What happened so far, in order.
    pub fn fired(&self) -> Vec<Fired> {
        self.fired.borrow().clone()
    }

    /// Calls by site.
    pub fn sites(&self) -> BTreeMap<Site, Calls> {
        self.sites.borrow().clone()
    }

    fn witness(&self) -> Option<Rc<dyn Witness>> {
        self.witness.borrow().clone()
    }

    fn told(&self, tell: impl FnOnce(&dyn Witness)) {
        if let Some(witness) = self.witness() {
            tell(&*witness);
        }
    }

    /// Counts a call of `actor` and says what happens to it, and whoever calls makes it happen.
    pub fn strike(&self, actor: &'static str, operation: &'static str, port: Port) -> Option<(Peril, u32)> {
        let site = Site { actor, operation };
        let call = {
            let mut sites = self.sites.borrow_mut();
            let calls = sites.entry(site).or_default();
            let call = calls.made;
            calls.made = call.saturating_add(1);
            call
        };
        let drawn = match &self.script {
            Some(script) => script.at(site, call),
            None if self.is_calm.get() => None,
            None => self.chances.draw(site, call, port),
        };
        let (peril, amount) = drawn?;
        let fired = Fired { site, call, peril, amount, task: self.running.get().task };
        self.fired.borrow_mut().push(fired);
        if peril == Peril::KillBefore {
            self.note(site, |it| it.killed_before = it.killed_before.saturating_add(1));
        }
        if peril == Peril::KillAfter {
            self.note(site, |it| it.killed_after = it.killed_after.saturating_add(1));
        }
        self.told(|it| it.befalls(&fired));
        drawn
    }

    /// A call of whoever runs. A kill or a freeze before the effect happens here.
    async fn enter(&self, operation: &'static str, port: Port) -> Option<(Peril, u32)> {
        let drawn = self.strike(self.running.get().actor, operation, port);
        match drawn {
            Some((Peril::KillBefore, _)) => self.halt(Stop::Killed).await,
            Some((Peril::FreezeBefore, amount)) => self.halt(Stop::For(freeze(amount))).await,
            Some((Peril::Yield, _)) => self.halt(Stop::For(Duration::ZERO)).await,
            Some((Peril::SwitchFlips, _)) => {
                self.is_flipped.set(true);
                self.halt(Stop::For(Duration::ZERO)).await;
            }
            Some(_) | None => {}
        }
        drawn
    }

    /// What happens after the effect: a kill or a freeze.
    async fn leave(&self, peril: Option<(Peril, u32)>) {
        match peril {
            Some((Peril::KillAfter, _)) => self.halt(Stop::Killed).await,
            Some((Peril::FreezeAfter, amount)) => self.halt(Stop::For(freeze(amount))).await,
            Some(_) | None => {}
        }
    }

    fn note(&self, site: Site, change: impl FnOnce(&mut Calls)) {
        if let Some(calls) = self.sites.borrow_mut().get_mut(&site) {
            change(calls);
        }
    }

    /// Stays pending until whoever drives the use case goes on with it.
    fn halt(&self, stop: Stop) -> Halt<'_> {
        Halt { perils: self, stop, is_told: false }
    }
}

/// A freeze: some seconds, or past every visibility time-out.
pub fn freeze(amount: u32) -> Duration {
    let amount = u64::from(amount);
    if amount.is_multiple_of(4) {
        Duration::from_secs(185 + amount / 4 % 60)
    } else {
        Duration::from_millis(200 + amount / 4 % 30_000)
    }
}

struct Halt<'a> {
    perils: &'a Perils,
    stop: Stop,
    is_told: bool,
}

impl Future for Halt<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.is_told && self.stop != Stop::Killed {
            return Poll::Ready(());
        }
        self.is_told = true;
        self.perils.stop.set(Some(self.stop));
        Poll::Pending
    }
}
