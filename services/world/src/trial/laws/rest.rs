//! What must hold once a session has come to rest.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::fees::FeeSchedule;
use domain::intent::{IntentHead, IntentState, Origin};
use domain::money::Usd;
use domain::ports::{Clock as _, Ledger as _};
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use sim::conformance::block_on;

use super::Laws;
use crate::trial::mail::Mail;
use crate::trial::parts::second_token;

/// A worker that met a peril holds its account's lease for at most this long, and others wait.
const LEASES_WAIT: Duration = Duration::from_secs(40);

/// Why an entry is refused that had to wait for its turn: the market or its hours went on meanwhile.
const LATE: [&str; 7] = [
    "price_beyond_worst",
    "beyond_zone",
    "near_t1",
    "signal_stale",
    "outside_entry_hours",
    "superseded",
    "kill_switch",
];

/// What was approved, sent and filled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    /// Openings that every gate of the first pass let through.
    pub(crate) ready: u64,
    /// Of these, those whose request left.
    pub(crate) posted: u64,
    /// Of these, those that executed at least one contract.
    pub(crate) filled: u64,
    /// Intents of any kind.
    pub(crate) intents: u64,
}

impl Laws {
    /// INV6, a minute after the close: what is open was paged, or nobody bid for it.
    pub(crate) fn open_after_the_close(&self, is_paged: impl Fn(&str) -> bool, excused: bool) {
        let open = std::mem::take(&mut self.seen.borrow_mut().left_open);
        for (account, series, contracts) in open {
            let Some(member) = self.members.get(account) else { continue };
            if series.expiry != self.tape.session().date || excused {
                continue;
            }
            if !is_paged(&format!("not_flat:{}:", member.account.account)) {
                self.violated(
                    6,
                    format!("{contracts} {series} of account {account} open after the close, nobody paged"),
                );
            }
        }
    }

    /// INV18: intents that have not ended. Until the session does, an entry whose outcome is unknown may wait, and the closes
    /// of its setup with it; so may a flatten in an account where nobody bids for something.
    pub(crate) fn unfinished(&self, before: UtcNanos, is_over: bool) {
        let now = self.time.now();
        let mut open = Vec::new();
        for id in self.books.intent_ids() {
            let found = self.books.look(id, |view| {
                let head = *view.intent.head();
                let is_unknown = view.last_attempt().is_some_and(|it| it.state.is_unresolved());
                let is_unbid = self.tape.quote(&head.series, now).bid.is_none();
                let last = view.last_attempt().map(|it| it.state.as_str());
                let what = format!(
                    "{} intent {id} is {} ({}), its attempt {last:?}",
                    head.action.as_str(),
                    view.state.as_str(),
                    view.reason
                );
                (!view.state.is_final()).then(|| (head, is_unknown && view.intent.opens(), is_unbid, what))
            });
            open.extend(found.flatten());
        }
        // Where an owner traded by hand the books may hold what the broker does not: a flatten looks until the close.
        let by_hand: Vec<_> = {
            let seen = self.seen.borrow();
            seen.by_hand.iter().filter_map(|it| self.members.get(*it)).map(|it| it.account).collect()
        };
        let waits = |head: &IntentHead| match head.origin {
            Origin::Flatten(_) if by_hand.contains(&head.account) => true,
            Origin::Setup(_) | Origin::Decision(_) => {
                open.iter().any(|it| it.0.origin == head.origin && it.0.account == head.account && it.1)
            }
            Origin::Flatten(_) => open.iter().any(|it| it.0.account == head.account && it.2),
        };
        for (head, .., what) in &open {
            if head.decided_at <= before && (is_over || !waits(head)) {
                self.violated(18, what.as_str());
            }
        }
    }

    /// INV2, INV3, INV8, INV14 and INV17, when nothing moves any more.
    pub(crate) fn at_rest(&self, mail: &Mail, is_delivered: impl Fn(&str) -> bool) {
        self.fills_agree();
        self.orders_have_intents();
        self.books_are_closed();
        for key in self.books.alerted() {
            if !is_delivered(&key) {
                self.violated(14, format!("alert {key} was never delivered"));
            }
        }
        for member in &self.members {
            let tokens = [member.token.clone(), second_token(member).reveal().to_owned()];
            let is_there = |text: &str| tokens.iter().any(|it| text.contains(it.as_str()));
            if self.books.audit().iter().any(|it| is_there(&it.what)) || mail.any_body(is_there) {
                let account = member.account.account;
                self.violated(17, format!("a token of account {account} in the books or the queues"));
            }
        }
    }

    /// INV2: each intent's executions in the books are those of its orders at the broker.
    fn fills_agree(&self) {
        for id in self.books.intent_ids() {
            let booked = self.books.look(id, |it| it.filled).unwrap_or(0);
            let executed = self.seen.borrow().executed.get(&id).copied().unwrap_or(0);
            if booked != executed {
                self.violated(2, format!("intent {id} has {booked} in the books, {executed} at the broker"));
            }
        }
    }

    /// INV3: every order with a tag of ours has its intent.
    fn orders_have_intents(&self) {
        let tags: Vec<_> = self.seen.borrow().accepted.iter().copied().collect();
        for tag in tags {
            if self.books.look(tag.intent, |_| ()).is_none() {
                self.violated(3, format!("the broker has an order {tag} and the books have no such intent"));
            }
        }
    }

    /// INV2 and INV8: what expired is closed in the books, and the money is the broker's, to the cent.
    fn books_are_closed(&self) {
        let date = self.tape.session().date;
        for (index, member) in self.members.iter().enumerate() {
            let Ok(Ok(book)) = block_on(self.books.day_book(&member.account, date)) else { continue };
            let mut held: BTreeMap<OccSymbol, u32> = BTreeMap::new();
            for owned in &book.owned {
                let sum = held.entry(owned.series).or_default();
                *sum = sum.saturating_add(owned.held());
            }
            for (series, contracts) in held.into_iter().filter(|it| it.1 > 0) {
                self.violated(2, format!("the books hold {contracts} {series} that expired"));
            }
            let (is_by_hand, flows) = {
                let seen = self.seen.borrow();
                (seen.by_hand.contains(&index), seen.flows.get(&index).copied().unwrap_or(Usd::ZERO))
            };
            // An average over both sides of a dollar does not say how many contracts paid which exchange fee.
            let slack = self.fees_unknown(index);
            let booked: Usd = book.owned.iter().map(|it| it.received - it.paid - it.fees).sum();
            if (booked - flows).abs() > slack && !is_by_hand {
                let missing = book.owned.iter().any(|it| it.price_missing);
                self.violated(
                    8,
                    format!("account {index}: the books made {booked}, the broker {flows}, price missing: {missing}"),
                );
            }
        }
    }

    /// How much the charges of an account may be off at most: of orders that executed on both sides of a dollar.
    fn fees_unknown(&self, account: usize) -> Usd {
        let step = FeeSchedule::TRADIER.index_fee_high - FeeSchedule::TRADIER.index_fee_low;
        let seen = self.seen.borrow();
        let orders = seen.orders.values().filter(|it| it.account == account && it.tag.is_some());
        let mixed = orders.filter(|it| it.tiers.iter().all(|contracts| *contracts > 0));
        mixed.map(|it| step.times(i64::from(it.executed))).sum()
    }

    /// How the entries went, and which were not sent for no reason that `excuses` knows of its hour.
    pub(crate) fn entries(&self, excuses: impl Fn(UtcNanos) -> bool) -> (Entries, Vec<String>) {
        let seen = self.seen.borrow();
        let mut found =
            Entries { intents: u64::try_from(seen.kept.len()).unwrap_or(u64::MAX), ..Entries::default() };
        let mut unsent = Vec::new();
        for (id, entry) in seen.entries.iter().filter(|it| it.1.state == IntentState::Ready) {
            found.ready = found.ready.saturating_add(1);
            let posted = seen.posted.keys().any(|it| it.intent == *id);
            found.posted = found.posted.saturating_add(u64::from(posted));
            found.filled = found.filled.saturating_add(u64::from(seen.executed.contains_key(id)));
            let head = &entry.intent.head;
            let Origin::Setup(_) = head.origin else { continue };
            let is_near = |at: &UtcNanos| {
                *at <= head.decided_at.plus(LEASES_WAIT) && head.decided_at <= at.plus(LEASES_WAIT)
            };
            let is_hit = seen.hit.contains(id) || seen.hits.iter().any(is_near);
            let reason = self.books.look(*id, |it| it.reason.clone()).unwrap_or_default();
            // While it waited for its turn the market went on: it was asked again, and refused with a reason.
            let is_late = entry.intent.release_at.is_some() && LATE.contains(&reason.as_str());
            if !posted && !is_hit && !is_late && !excuses(head.decided_at) {
                unsent.push(format!("entry {id} of {} was not sent: {reason}", head.series));
            }
        }
        (found, unsent)
    }
}
