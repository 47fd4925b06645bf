//! What must hold once a session has come to rest.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::combo::OwnedCombo;
use domain::fees::FeeSchedule;
use domain::ids::IntentId;
use domain::intent::{Action, IntentHead, IntentState, OrderIntent, Origin};
use domain::money::Usd;
use domain::ports::{Clock as _, Ledger as _};
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use sim::conformance::block_on;

use super::Laws;
use super::entry::Entry;
use super::requests::SIGNAL_AGE_MAX;
use crate::trial::mail::Mail;
use crate::trial::parts::second_token;

/// The books of one session in so many are spelled out.
const SPELLED_ONE_IN: u64 = 16;

/// Why an entry is refused that had to wait for its turn: the market or its hours went on meanwhile, or another decision
/// took its series.
const LATE: [&str; 8] = [
    "price_beyond_worst",
    "beyond_zone",
    "near_t1",
    "signal_stale",
    "outside_entry_hours",
    "superseded",
    "kill_switch",
    "series_owned",
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
    /// Structures that were decided on.
    pub(crate) structures: u64,
    /// Of these, those of which something executed.
    pub(crate) opened: u64,
    /// Intents of any kind.
    pub(crate) intents: u64,
}

/// An intent that has not ended.
struct Unfinished {
    head: IntentHead,
    /// An entry whose request was sent and nobody knows what became of it.
    is_unknown: bool,
    is_unbid: bool,
    is_by_hand: bool,
    what: String,
}

/// Every series of an intent.
fn series_of(intent: &OrderIntent) -> Vec<OccSymbol> {
    let legs = match intent {
        OrderIntent::Opening(_) | OrderIntent::Closing(_) => return vec![intent.head().series],
        OrderIntent::OpeningCombo(it) => it.terms.legs(),
        OrderIntent::ClosingCombo(it) => it.terms.legs(),
    };
    legs.iter().map(|it| it.series).collect()
}

impl Laws {
    /// INV6, a minute after the close: what is open was paged, or nobody bid for it; and where nothing went wrong for minutes
    /// before the close, nothing is.
    pub(crate) fn open_after_the_close(&self, is_paged: impl Fn(&str) -> bool, excused: bool, is_calm: bool) {
        let open = std::mem::take(&mut self.seen.borrow_mut().left_open);
        for (account, series, contracts) in open {
            let Some(member) = self.members.get(account) else { continue };
            if series.expiry != self.tape.session().date || excused {
                continue;
            }
            let is_by_hand = self.seen.borrow().by_hand.iter().any(|it| it.0 == account);
            let last = self.tape.session().close.minus(Duration::from_secs(1));
            let is_unbid = self.tape.quote(&series, last).bid.is_none();
            if is_calm && !is_by_hand && !is_unbid {
                self.violated(
                    6,
                    format!("{contracts} {series} of account {account} open after a calm close"),
                );
            } else if !is_paged(&format!("not_flat:{}:", member.account.account)) {
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
        // Of what an owner sold by hand the books may hold more than the broker: a flatten looks for it until the close.
        let by_hand: Vec<_> = {
            let seen = self.seen.borrow();
            let sold = seen.by_hand.iter();
            sold.filter_map(|it| Some((self.members.get(it.0)?.account, it.1))).collect()
        };
        let mut open = Vec::new();
        for id in self.books.intent_ids() {
            let found = self.books.look(id, |view| {
                if view.state.is_final() {
                    return None;
                }
                let head = *view.intent.head();
                let is_unknown = view.last_attempt().is_some_and(|it| it.state.is_unresolved());
                // In a market that is too wide a structure costs more to close than it can lose.
                let is_wide = view.intent.is_combo() && self.tape.mood().is_wide;
                let is_unbid = is_wide
                    || series_of(&view.intent).iter().any(|it| self.tape.quote(it, now).bid.is_none());
                let is_by_hand =
                    series_of(&view.intent).iter().any(|it| by_hand.contains(&(head.account, *it)));
                let last = view.last_attempt().map(|it| it.state.as_str());
                let what = format!(
                    "{} intent {id} is {} ({}), its attempt {last:?}",
                    head.action.as_str(),
                    view.state.as_str(),
                    view.reason
                );
                let is_unknown = is_unknown && view.intent.opens();
                Some(Unfinished { head, is_unknown, is_unbid, is_by_hand, what })
            });
            open.extend(found.flatten());
        }
        let waits = |it: &Unfinished| match it.head.origin {
            // A flatten of an account looks until the close; what protects what an owner sold is there until the settlement.
            Origin::Flatten(_) if by_hand.iter().any(|sold| sold.0 == it.head.account) => true,
            Origin::Setup(_) if it.is_by_hand => true,
            // So does the exit of a structure whose wing nobody bids for.
            Origin::Decision(_) if it.is_unbid && it.head.action != Action::Enter => true,
            Origin::Setup(_) | Origin::Decision(_) => {
                let same = |other: &Unfinished| {
                    other.head.origin == it.head.origin && other.head.account == it.head.account
                };
                open.iter().any(|it| same(it) && it.is_unknown)
            }
            Origin::Flatten(_) => {
                open.iter().any(|other| other.head.account == it.head.account && other.is_unbid)
            }
        };
        for it in &open {
            if it.head.decided_at <= before && (is_over || !waits(it)) {
                self.violated(18, it.what.as_str());
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
        // Now and then everything in the books is spelled out: what is in a row is in there.
        let books = match self.hash() % SPELLED_ONE_IN {
            0 => format!("{:?}", self.books.snapshot()),
            _ => self.books.audit().iter().map(|it| it.what.as_str()).collect(),
        };
        for member in &self.members {
            let tokens = [member.token.clone(), second_token(member).reveal().to_owned()];
            let is_there = |text: &str| tokens.iter().any(|it| text.contains(it.as_str()));
            if is_there(&books) || mail.any_body(is_there) {
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
            for leg in book.structures.iter().flat_map(|it| &it.legs) {
                let sum = held.entry(leg.leg.series).or_default();
                *sum = sum.saturating_add(leg.held());
            }
            for (series, contracts) in held.into_iter().filter(|it| it.1 > 0) {
                self.violated(2, format!("the books hold {contracts} {series} that expired"));
            }
            let (is_by_hand, flows) = {
                let seen = self.seen.borrow();
                (
                    seen.by_hand.iter().any(|it| it.0 == index),
                    seen.flows.get(&index).copied().unwrap_or(Usd::ZERO),
                )
            };
            // An average over both sides of a dollar does not say how many contracts paid which exchange fee.
            let slack = self.fees_unknown(index);
            let singles: Usd = book.owned.iter().map(|it| it.received - it.paid - it.fees).sum();
            let booked = singles + book.structures.iter().map(made).sum();
            if (booked - flows).abs() > slack && !is_by_hand {
                let missing = book.owned.iter().any(|it| it.price_missing)
                    || book.structures.iter().any(|it| it.price_missing);
                self.violated(
                    8,
                    format!("account {index}: the books made {booked}, the broker {flows}, price missing: {missing}"),
                );
                for it in &book.owned {
                    self.tell(|| {
                        let (paid, received, fees) = (it.paid, it.received, it.fees);
                        format!(
                            "  {} {}: paid {paid}, received {received}, fees {fees}",
                            it.opening, it.series
                        )
                    });
                }
                for it in &book.structures {
                    self.tell(|| format!("  {}: made {}, fees {}", it.opening, made(it), it.fees));
                }
            }
        }
    }

    /// How much the charges of an account may be off at most: of orders that executed on both sides of a dollar.
    fn fees_unknown(&self, account: usize) -> Usd {
        let step = FeeSchedule::TRADIER.index_fee_high - FeeSchedule::TRADIER.index_fee_low;
        let seen = self.seen.borrow();
        let orders = seen.orders.values().filter(|it| it.account == account && it.tag.is_some());
        let legs = orders.flat_map(|it| &it.legs);
        let mixed = legs.filter(|it| it.tiers.iter().all(|contracts| *contracts > 0));
        mixed.map(|it| step.times(i64::from(it.executed))).sum()
    }

    /// How the entries went, and which were not sent for no reason that `excuses` knows of its hour.
    pub(crate) fn entries(&self, excuses: impl Fn(UtcNanos) -> bool) -> (Entries, Vec<String>) {
        let seen = self.seen.borrow();
        let mut found =
            Entries { intents: u64::try_from(seen.kept.len()).unwrap_or(u64::MAX), ..Entries::default() };
        let mut unsent = Vec::new();
        for id in seen.structures.keys() {
            found.structures = found.structures.saturating_add(1);
            found.opened = found.opened.saturating_add(u64::from(seen.executed.contains_key(id)));
        }
        let ready = |it: &(&IntentId, &Entry)| it.1.state == IntentState::Ready && it.1.is_single();
        for (id, entry) in seen.entries.iter().filter(ready) {
            found.ready = found.ready.saturating_add(1);
            let posted = seen.posted.keys().any(|it| it.intent == *id);
            found.posted = found.posted.saturating_add(u64::from(posted));
            found.filled = found.filled.saturating_add(u64::from(seen.executed.contains_key(id)));
            let head = &entry.head;
            let Origin::Setup(_) = head.origin else { continue };
            // A signal opens for half a minute: who met a peril before may have made it wait, and whoever does within it.
            let is_near = |(from, until): &(UtcNanos, UtcNanos)| {
                *from <= head.decided_at.plus(SIGNAL_AGE_MAX) && head.decided_at <= *until
            };
            let is_hit = seen.hit.contains(id) || seen.hits.iter().any(is_near);
            let reason = self.books.look(*id, |it| it.reason.clone()).unwrap_or_default();
            // While it waited for its turn the market went on: it was asked again, and refused with a reason.
            let is_late = entry.is_in_turn && LATE.contains(&reason.as_str());
            if !posted && !is_hit && !is_late && !excuses(head.decided_at) {
                unsent.push(format!("entry {id} of {} was not sent: {reason}", head.series));
            }
        }
        (found, unsent)
    }
}

/// What a structure brought so far, charges taken.
fn made(combo: &OwnedCombo) -> Usd {
    let legs = combo.legs.iter().map(|it| (it.closed_for - it.opened_for).times(it.leg.side.side().sign()));
    legs.sum::<Usd>() - combo.fees
}
