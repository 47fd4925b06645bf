//! What happens to everybody at once, and how it ends.

use std::time::Duration;

use broker::transport::{Method, Request, Transport as _};
use domain::account::BrokerCredential;
use domain::kill::{KillScope, KillState};
use domain::ports::{CredentialChange, KillFlip, Ledger as _, Queue, Secrets as _};
use domain::secret::Token;
use domain::symbol::{OccSymbol, Underlying};
use domain::time::UtcNanos;
use sim::broker::faults::FaultScript;
use sim::broker::{ForeignOrder, LegSide, OrderType};
use sim::conformance::block_on;
use sim::perils::{Database, mixed};

use super::course::{Incident, What};
use super::engine::{Engine, Event};
use super::parts::second_token;
use super::tasks::{self, Purpose};

/// How long after a halt began the ingester tells of it, and how long after trading went on.
const HALT_TOLD_AFTER: Duration = Duration::from_secs(45);
const REOPENING_TOLD_AFTER: Duration = Duration::from_secs(30);

/// Bodies that are not ours to work: the first of an older schema, the others broken, unknown or misdirected.
const POISON: [(Queue, &str); 6] = [
    (Queue::Entries, r#"{"version":0,"type":"step"}"#),
    (Queue::Transitions, r#"{"version":9,"type":"transition"}"#),
    (Queue::Exits, "this is no message"),
    (
        Queue::Transitions,
        r#"{"version":1,"type":"transition","setup":"00000000000000000000000000","sequence":2,"tries":0}"#,
    ),
    (Queue::Entries, r#"{"version":1,"type":"alert","key":"k","level":"info","text":"t"}"#),
    (Queue::Flatten, r#"{"version":1,"type":"alert","key":"k","level":"info","text":"t"}"#),
];

impl Engine {
    pub(super) fn incident(&mut self, index: usize) {
        let Some(what) = self.course.incidents.get(index).map(|it| it.what) else { return };
        if self.is_calm || self.wanted.as_ref().is_some_and(|it| !it.contains(&index)) {
            return;
        }
        self.happened.insert(index);
        self.laws.tell(|| format!("! {what:?}"));
        let perils = &self.parts.perils;
        match what {
            What::DatabaseDown(time) => {
                perils.set_database(Database::Down);
                self.ends(index, time, true);
            }
            What::DatabaseReadOnly(time) => {
                perils.set_database(Database::ReadOnly);
                self.ends(index, time, true);
            }
            What::BrokerAway(time) => {
                perils.set_broker_away(true);
                self.ends(index, time, true);
            }
            What::AlertsDown(time) => {
                perils.set_alerts_down(true);
                self.ends(index, time, false);
            }
            What::Halt(time) => {
                self.tape.set_mood(|it| it.is_halted = true);
                let told_at = self.now().plus(HALT_TOLD_AFTER);
                self.at(told_at, Event::Stands(true));
                self.ends(index, time, true);
            }
            What::IndexSilent(time) => {
                self.tape.set_mood(|it| it.is_index_silent = true);
                self.ends(index, time, false);
            }
            What::WideClose => self.tape.set_mood(|it| it.is_wide = true),
            What::NoBids => self.tape.set_mood(|it| it.is_without_bids = true),
            What::Flip { state, held, of } => {
                let now = self.now();
                self.at(now, Event::Flip(of, state));
                self.ends(index, held, true);
            }
            What::Revoked { member, rotated } => {
                if let Some(member) = self.parts.members.get(member) {
                    perils.revoke(Token::new(member.token.as_str()));
                }
                self.ends(index, rotated, true);
            }
            What::ByHand { member, closes } => self.by_hand(member, closes),
            What::Poison(kind) => {
                if let Some((queue, body)) = POISON.get(kind) {
                    self.parts.queues.put(*queue, (*body).to_owned(), Duration::ZERO);
                }
            }
            What::Redrive => self.parts.queues.redrive(),
        }
    }

    /// An incident ends after `time`, or when everything calms down.
    fn ends(&mut self, index: usize, time: Duration, is_excuse: bool) {
        let now = self.now();
        let until = now.plus(time).min(self.course.calm_at.max(now));
        let is_flip =
            matches!(self.course.incidents.get(index), Some(Incident { what: What::Flip { .. }, .. }));
        if is_excuse && !is_flip {
            self.outages.push((now, until.plus(Duration::from_secs(100))));
        }
        if is_excuse {
            self.excuses.push((now, until.plus(Duration::from_secs(40))));
        }
        self.trouble_until = self.trouble_until.max(until);
        self.at(until, Event::Over(index));
    }

    pub(super) fn over(&mut self, index: usize) {
        let Some(what) = self.course.incidents.get(index).map(|it| it.what) else { return };
        self.laws.tell(|| format!("! over: {what:?}"));
        let perils = &self.parts.perils;
        match what {
            What::DatabaseDown(_) | What::DatabaseReadOnly(_) => perils.set_database(Database::Up),
            What::BrokerAway(_) => perils.set_broker_away(false),
            What::AlertsDown(_) => {
                perils.set_alerts_down(false);
                self.alerts_back_at = self.now();
            }
            What::Halt(_) => {
                self.tape.set_mood(|it| it.is_halted = false);
                let told_at = self.now().plus(REOPENING_TOLD_AFTER);
                self.trouble_until = self.trouble_until.max(told_at);
                self.at(told_at, Event::Stands(false));
            }
            What::IndexSilent(_) => self.tape.set_mood(|it| it.is_index_silent = false),
            What::Flip { of, .. } => {
                let now = self.now();
                self.at(now, Event::Flip(of, KillState::Normal));
            }
            What::Revoked { member, .. } => self.rotate(member),
            What::WideClose | What::NoBids | What::ByHand { .. } | What::Poison(_) | What::Redrive => {}
        }
    }

    /// The ingester tells that the market stands, or trades again, where it still does. It writes one thing after another,
    /// so nothing comes between.
    pub(super) fn stands(&mut self, is_halted: bool) {
        if self.tape.mood().is_halted != is_halted {
            return;
        }
        let flip = KillFlip {
            scope: KillScope::Market(Underlying::SPX),
            state: if is_halted { KillState::SafeMode } else { KillState::Normal },
            by: "halt".to_owned(),
            reason: "no option is quoted on two sides".to_owned(),
            at: self.now(),
            if_version: None,
        };
        let written = block_on(self.parts.books.flip_kill_switch(&flip));
        self.laws.tell(|| format!("the market stands: {is_halted}, {}", matches!(written, Ok(Ok(_)))));
    }

    /// The member stores another token, as the function `credentials` would write it.
    pub(super) fn rotate(&self, member: usize) {
        let Some(member) = self.parts.members.get(member) else { return };
        let credential = BrokerCredential {
            account: member.account,
            token: second_token(member),
            number: member.number.clone(),
            flatten_foreign: false,
        };
        let now: UtcNanos = self.now();
        let written = block_on(async {
            let secret = self.parts.vault.put(&credential).await.ok()?;
            let stored = CredentialChange::Stored { secret, last4: member.number.last4().to_owned() };
            self.parts.books.change_credential(&member.account, &stored, now).await.ok()?;
            self.parts.books.change_credential(&member.account, &CredentialChange::Proven, now).await.ok()
        });
        self.laws.tell(|| {
            format!("  another token of {}: {}", member.account.account, matches!(written, Ok(Some(()))))
        });
    }

    /// Somebody buys a contract beside us, or sells one of ours.
    fn by_hand(&mut self, member: usize, closes: bool) {
        let now = self.now();
        let Some(number) = self.parts.members.get(member).map(|it| it.number.as_str().to_owned()) else {
            return;
        };
        let held = {
            let sandbox = self.parts.sandbox.borrow();
            // The broker lets nobody sell what a working order sells already: one that rests is cancelled first, by hand.
            let account = sandbox.account(&number);
            let rests = |id: &u64| sandbox.order(*id).is_some_and(|it| it.kind == OrderType::StopLimit);
            let is_free = |account: &sim::broker::Account| account.live.iter().all(rests);
            let held = account
                .filter(|it| is_free(it))
                .and_then(|it| it.positions.iter().find(|it| it.1.quantity > 0));
            held.map(|it| *it.0)
        };
        let listed = super::tape::Tape::listed(&self.course);
        let any = listed.get(usize::try_from(self.course.seed % 20).unwrap_or(0)).map(|it| it.series);
        let (series, side) = match (held, closes) {
            (Some(held), true) => (held, LegSide::SellToClose),
            (_, false) => match any {
                Some(any) => (any, LegSide::BuyToOpen),
                None => return,
            },
            (None, true) => return,
        };
        self.tape.show(&[series], now);
        if closes && self.cancels_by_hand(member, series) {
            let at = now.plus(Duration::from_secs(2));
            self.at(at, Event::SellsByHand(member, series));
            return;
        }
        // Every other purchase is a bid that rests, and nobody ever meets it.
        let rests = !closes && self.course.seed.is_multiple_of(2);
        let price = rests.then(|| domain::money::Price::from_cents(5));
        let order = ForeignOrder { account: number, series, side, quantity: 1, price, tag: None };
        self.parts.sandbox.borrow_mut().place_foreign(now, order);
    }

    /// A member cancels at the broker what rests in a series; tells whether there was something.
    fn cancels_by_hand(&self, member: usize, series: OccSymbol) -> bool {
        let Some(member) = self.parts.members.get(member) else { return false };
        let resting: Vec<u64> = {
            let sandbox = self.parts.sandbox.borrow();
            let account = sandbox.account(member.number.as_str());
            let live = account.map(|it| it.live.clone()).unwrap_or_default();
            let of_series = |id: &u64| {
                let order = sandbox.order(*id);
                order.is_some_and(|it| it.legs.iter().any(|leg| leg.instrument.series() == Some(&series)))
            };
            live.into_iter().filter(of_series).collect()
        };
        for id in &resting {
            let request = Request {
                method: Method::Delete,
                path: format!("/v1/accounts/{}/orders/{id}", member.number.as_str()),
                query: Vec::new(),
                form: Vec::new(),
                token: Token::new(member.token.as_str()),
                leaves_within: None,
            };
            drop(block_on(self.parts.transport.inner().send(&request)));
        }
        !resting.is_empty()
    }

    /// What a member was about to sell, sold by hand.
    pub(super) fn sells_by_hand(&mut self, member: usize, series: OccSymbol) {
        let Some(number) = self.parts.members.get(member).map(|it| it.number.as_str().to_owned()) else {
            return;
        };
        let now = self.now();
        let is_claimed = {
            let sandbox = self.parts.sandbox.borrow();
            let live = sandbox.account(&number).map(|it| it.live.clone()).unwrap_or_default();
            let of_series = |id: &u64| {
                let order = sandbox.order(*id);
                order.is_some_and(|it| it.legs.iter().any(|leg| leg.instrument.series() == Some(&series)))
            };
            live.iter().any(of_series)
        };
        // The broker lets nobody sell what a working order sells already.
        if is_claimed {
            return;
        }
        self.tape.show(&[series], now);
        let side = LegSide::SellToClose;
        let order = ForeignOrder { account: number, series, side, quantity: 1, price: None, tag: None };
        let sold = self.parts.sandbox.borrow_mut().place_foreign(now, order);
        self.laws.tell(|| format!("  one {series} sold by hand: {}", sold.is_some()));
    }

    pub(super) fn calm(&mut self) {
        self.laws.tell(|| "from now on nothing goes wrong".to_owned());
        self.parts.perils.calm();
        self.parts.sandbox.borrow_mut().set_faults(FaultScript::default());
        self.is_calm = true;
        self.trouble_until = self.trouble_until.max(self.now());
        self.expect_liveness();
    }
    /// The operator flips the switch for one member, or for all.
    pub(super) fn flip(&mut self, of: Option<usize>, state: KillState) {
        let user = of.and_then(|it| self.parts.members.get(it)).map(|it| KillScope::User(it.account.user));
        let work = tasks::flip(&self.parts, user.unwrap_or(KillScope::Global), state);
        self.spawn("control", Purpose::Control(of, state), work);
    }

    /// The operator's hand is faster than the worker that was about to mark an entry, and lets go a little later.
    pub(super) fn flip_in_passing(&mut self, task: u64) {
        let drawn = mixed(self.course.seed ^ task << 24);
        let of = [None, Some(0), Some(1)].get(usize::try_from(drawn % 3).unwrap_or(0)).copied().flatten();
        let state = if drawn >> 8 & 1 == 0 { KillState::NoEntries } else { KillState::SafeMode };
        let (now, until) = (self.now(), self.now().plus(Duration::from_secs(5 + (drawn >> 16) % 20)));
        self.excuses.push((now, until.plus(Duration::from_secs(40))));
        self.trouble_until = self.trouble_until.max(until);
        self.flip(of, state);
        self.at(until, Event::Flip(of, KillState::Normal));
    }
}
