//! What must happen in time: a hard stop's flatten (INV5), what is kept of the rate for exits (INV16), alerts (INV14).

use std::collections::BTreeSet;
use std::time::Duration;

use ::broker::transport::{Method, Request};
use domain::ids::OrderTag;
use domain::kill::{KillRow, KillScope, KillState};
use domain::ports::{Clock as _, Message};
use domain::time::UtcNanos;

use super::{HardStop, Laws, meets};

/// A hard stop starts the flatten within this.
const HARD_STOP_WITHIN: Duration = Duration::from_secs(1);
/// An alert is delivered within this, ninety-nine of a hundred.
const ALERT_WITHIN: Duration = Duration::from_secs(5);
/// Requests a minute that change orders, of which a fifth is kept for exits.
const TRADING_A_MINUTE: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

impl Laws {
    /// The switch was flipped: what a hard stop covers and holds something is to be closed.
    pub(super) fn stopped_hard(&self, row: &KillRow) {
        let now = self.time.now();
        let session = self.tape.session();
        if row.state != KillState::HardStop || now >= session.close {
            return;
        }
        let mut seen = self.seen.borrow_mut();
        let holders = seen.held.iter().filter(|(_, held)| held.ours() != 0).map(|it| it.0.0);
        let is_covered = |index: &usize| match &row.scope {
            KillScope::User(user) => self.members.get(*index).is_some_and(|it| it.account.user == *user),
            KillScope::Global
            | KillScope::Strategy(_)
            | KillScope::Symbol(_)
            | KillScope::Broker(_)
            | KillScope::Market(_) => true,
        };
        let waiting: BTreeSet<usize> = holders.filter(is_covered).collect();
        seen.hard_stops.push(HardStop { at: now, waiting, is_scheduled: false });
    }

    /// Hard stops that nobody looks after yet: when to look, and which.
    pub(crate) fn take_hard_stops(&self) -> Vec<(UtcNanos, usize)> {
        let mut seen = self.seen.borrow_mut();
        let new = seen.hard_stops.iter_mut().enumerate().filter(|(_, it)| !it.is_scheduled);
        new.map(|(index, it)| {
            it.is_scheduled = true;
            (it.at.plus(HARD_STOP_WITHIN), index)
        })
        .collect()
    }

    /// A worker takes a message: a flatten at once is what a hard stop waits for.
    pub(crate) fn begins(&self, body: &str) {
        let mut seen = self.seen.borrow_mut();
        if seen.hard_stops.iter().all(|it| it.waiting.is_empty()) {
            return;
        }
        if let Ok(Message::Flatten { account, at_once: true, .. }) = wire::message::decode(body) {
            let index = self.members.iter().position(|it| it.account == account);
            for stop in &mut seen.hard_stops {
                index.map(|it| stop.waiting.remove(&it));
            }
        }
    }

    /// INV5, a second after a hard stop: the flatten of what it covers has begun, unless a fault was in its way.
    pub(crate) fn hard_stop_began(&self, index: usize) {
        let now = self.time.now();
        let (waiting, is_hit) = {
            let seen = self.seen.borrow();
            let Some(stop) = seen.hard_stops.get(index) else { return };
            let is_hit = meets(&seen.hits, stop.at, now);
            (stop.waiting.clone(), is_hit)
        };
        if !waiting.is_empty() && !is_hit {
            self.violated(
                5,
                format!("no flatten of accounts {waiting:?} began within a second of the hard stop"),
            );
        }
    }

    /// INV16: an entry's request leaves a fifth of the minute to exits.
    pub(super) fn paced(&self, request: &Request) {
        let now = self.time.now();
        let mut parts = request.path.split('/').skip_while(|it| *it != "accounts").skip(1);
        let (account, order) = (parts.next().unwrap_or_default(), parts.nth(1));
        let buys = {
            let seen = self.seen.borrow();
            let known = order.and_then(|it| it.parse::<u64>().ok()).and_then(|it| seen.orders.get(&it));
            let sent = request.form.iter().find(|it| it.0 == "tag").and_then(|it| OrderTag::parse(&it.1));
            let tag = sent.or_else(|| known.filter(|_| request.method == Method::Put).and_then(|it| it.tag));
            tag.is_some_and(|it| seen.entries.contains_key(&it.intent))
        };
        let used = {
            let mut seen = self.seen.borrow_mut();
            let window = seen.windows.entry(account.to_owned()).or_insert((now, 0));
            if now.since(window.0) >= MINUTE {
                *window = (now, 0);
            }
            window.1 = window.1.saturating_add(1);
            window.1
        };
        let is_late = self.seen.borrow().late_until.is_some_and(|it| now <= it);
        let kept = TRADING_A_MINUTE.div_ceil(5);
        if buys && !is_late && used > TRADING_A_MINUTE.saturating_sub(kept) {
            self.violated(
                16,
                format!("an entry's request was number {used} of its minute; {kept} are kept for exits"),
            );
        }
    }

    /// An alert is written into the books.
    pub(super) fn alerting(&self, message: &Message) {
        let Message::Alert { key, .. } = message else { return };
        let now = self.time.now();
        let mut seen = self.seen.borrow_mut();
        if seen.alerted.insert(key.clone()) {
            seen.alerts.insert(key.clone(), now);
        }
    }

    /// An alert is delivered.
    pub(crate) fn told(&self, key: &str) {
        let now = self.time.now();
        let mut seen = self.seen.borrow_mut();
        if let Some(due) = seen.alerts.remove(key) {
            seen.delays.push(now.since(due));
        }
    }

    /// INV14: alerts that nothing delayed were late.
    pub(crate) fn told_late(&self, late: u64) {
        self.violated(14, format!("{late} alerts took more than {} s", ALERT_WITHIN.as_secs()));
    }

    /// Alerts that were delivered, and those among them that took too long.
    pub(crate) fn alerts(&self) -> (u64, u64) {
        let seen = self.seen.borrow();
        let late = seen.delays.iter().filter(|it| **it > ALERT_WITHIN).count();
        let number = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
        (number(seen.delays.len()), number(late))
    }
}
