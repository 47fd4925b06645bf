//! What a transcript proves about orders, positions and money.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{IntentId, OrderTag};
use domain::money::{Side, Usd};
use domain::symbol::OccSymbol;
use serde::{Deserialize, Serialize};

use super::instrument::{Instrument, per_share};
use super::margin::covered;

use super::order::OrderClass;
use super::transcript::{AcceptedLeg, FilledLeg, TranscriptEvent, TranscriptLine};

/// What happened, over all accounts and by account. A pure function of the transcript.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Over all accounts.
    pub total: AccountFacts,
    /// By account number.
    pub accounts: BTreeMap<String, AccountFacts>,
}

/// What happened in one account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountFacts {
    /// Orders the broker received through its API.
    pub broker_orders: u64,
    /// Orders that came from elsewhere.
    pub foreign_orders: u64,
    /// Executions.
    pub fills: u64,
    /// Orders that should not exist: a second one with a tag, one that worked beside another of its intent, one that
    /// executed an opening beyond what its intent ever ordered at once.
    pub duplicate_orders: u64,
    /// Executions that left a short contract without a long one beside it.
    pub naked_shorts: u64,
    /// Whether every session in the transcript closed, and nothing was held when it did.
    pub flat_at_close: bool,
    /// Gain of what was closed or settled, all charges taken.
    pub realized_pnl: Usd,
    /// All charges.
    pub fees: Usd,
}

#[derive(Default)]
struct Book {
    facts: AccountFacts,
    positions: BTreeMap<Instrument, (i64, Usd)>,
    uncovered: bool,
    held_at_close: bool,
}

struct Sent {
    account: String,
    intent: Option<IntentId>,
    opens: bool,
    quantity: u32,
    executed: u32,
    live: bool,
}

#[derive(Default)]
struct Reader {
    books: BTreeMap<String, Book>,
    orders: BTreeMap<u64, Sent>,
    tags: BTreeMap<(String, String), u64>,
    intents: BTreeMap<IntentId, Vec<u64>>,
    brackets: BTreeMap<u64, (String, Option<IntentId>)>,
    duplicates: BTreeSet<u64>,
    opened: u64,
    closed: u64,
}

impl Facts {
    /// Reads `lines`, in order.
    pub fn from_transcript(lines: &[TranscriptLine]) -> Self {
        let mut reader = Reader::default();
        for line in lines {
            reader.read(&line.event);
        }
        reader.finish()
    }
}

impl Reader {
    fn book(&mut self, account: &str) -> &mut Book {
        self.books.entry(account.to_owned()).or_default()
    }

    fn read(&mut self, event: &TranscriptEvent) {
        use TranscriptEvent as E;
        match event {
            E::SessionOpened { .. } => self.opened = self.opened.saturating_add(1),
            E::Account { account, .. } => {
                self.book(account);
            }
            E::Accepted { account, order, parent: Some(parent), legs, .. } => {
                self.part_accepted(account, *order, *parent, legs);
            }
            E::Accepted { account, order, class, tag, foreign, legs, .. } => {
                self.accepted(account, *order, (*class, legs), tag.as_deref(), *foreign);
            }
            E::Filled { account, order, legs, whole } => self.filled(account, *order, legs, *whole),
            E::Rejected { order, .. } | E::Canceled { order, .. } | E::Expired { order, .. } => {
                self.ended(*order);
            }
            E::SessionClosed { .. } => {
                self.closed = self.closed.saturating_add(1);
                for book in self.books.values_mut() {
                    book.held_at_close |= !book.positions.is_empty();
                }
            }
            E::Settled { account, series, quantity, cash, .. } => {
                self.book(account).expire(*series, *quantity, *cash);
            }
            E::Delivered { account, series, quantity, shares, cash } => {
                let book = self.book(account);
                book.expire(*series, *quantity, Usd::ZERO);
                let each = (-*cash).scaled(1, *shares);
                book.shift(Instrument::Share(series.underlying()), *shares, each);
            }
            E::FaultStruck { .. }
            | E::Request { .. }
            | E::Opened { .. }
            | E::Changed { .. }
            | E::CancelRequested { .. } => {}
        }
    }

    fn accepted(
        &mut self,
        account: &str,
        order: u64,
        (class, legs): (OrderClass, &[AcceptedLeg]),
        tag: Option<&str>,
        foreign: bool,
    ) {
        let facts = &mut self.book(account).facts;
        if foreign {
            facts.foreign_orders = facts.foreign_orders.saturating_add(1);
        } else {
            facts.broker_orders = facts.broker_orders.saturating_add(1);
        }
        let intent = tag.and_then(OrderTag::parse).map(|it| it.intent);
        if let Some(tag) = tag.filter(|_| intent.is_some()) {
            let first = *self.tags.entry((account.to_owned(), tag.to_owned())).or_insert(order);
            if first != order {
                self.duplicates.insert(order);
            }
        }
        if let Some(intent) = intent {
            let siblings = self.intents.entry(intent).or_default();
            if siblings.iter().any(|id| self.orders.get(id).is_some_and(|it| it.live)) {
                self.duplicates.insert(order);
            }
        }
        if class.brackets() {
            // Its orders trade; it is what they have in common.
            self.brackets.insert(order, (account.to_owned(), intent));
        } else {
            self.sent(account, order, intent, legs);
        }
    }

    fn part_accepted(&mut self, account: &str, order: u64, bracket: u64, legs: &[AcceptedLeg]) {
        let intent = self.brackets.get(&bracket).and_then(|(_, intent)| *intent);
        self.sent(account, order, intent, legs);
    }

    fn sent(&mut self, account: &str, order: u64, intent: Option<IntentId>, legs: &[AcceptedLeg]) {
        if let Some(intent) = intent {
            self.intents.entry(intent).or_default().push(order);
        }
        let sent = Sent {
            account: account.to_owned(),
            intent,
            opens: legs.iter().any(|leg| leg.side.opens()),
            quantity: legs.iter().map(|leg| leg.quantity).max().unwrap_or(0),
            executed: 0,
            live: true,
        };
        self.orders.insert(order, sent);
    }

    fn filled(&mut self, account: &str, order: u64, legs: &[FilledLeg], whole: bool) {
        let book = self.book(account);
        book.facts.fills = book.facts.fills.saturating_add(1);
        for leg in legs {
            book.take(leg);
        }
        let held: Vec<_> = book.positions.iter().map(|(series, it)| (*series, it.0)).collect();
        let uncovered = !all_covered(&held);
        if uncovered && (!book.uncovered || legs.iter().any(|leg| leg.side.side() == Side::Sell)) {
            book.facts.naked_shorts = book.facts.naked_shorts.saturating_add(1);
        }
        book.uncovered = uncovered;
        let part = legs.iter().map(|leg| leg.quantity).max().unwrap_or(0);
        let Some(sent) = self.orders.get_mut(&order) else { return };
        sent.executed = sent.executed.saturating_add(part);
        sent.live = sent.live && !whole;
        if let (true, Some(intent)) = (sent.opens, sent.intent) {
            self.check_size(intent, order);
        }
    }

    /// An opening executes at most what its largest order asked for, over all its orders.
    fn check_size(&mut self, intent: IntentId, order: u64) {
        let sent = self.intents.get(&intent).into_iter().flatten().filter_map(|id| self.orders.get(id));
        let sent = sent.filter(|it| it.opens);
        let (executed, largest) = sent.fold((0u32, 0u32), |(executed, largest), it| {
            (executed.saturating_add(it.executed), largest.max(it.quantity))
        });
        if executed > largest {
            self.duplicates.insert(order);
        }
    }

    fn ended(&mut self, order: u64) {
        if let Some(sent) = self.orders.get_mut(&order) {
            sent.live = false;
        }
    }

    fn finish(mut self) -> Facts {
        for order in std::mem::take(&mut self.duplicates) {
            let sent = self.orders.get(&order).map(|it| it.account.clone());
            let bracket = || self.brackets.get(&order).map(|(account, _)| account.clone());
            let account = sent.or_else(bracket).unwrap_or_default();
            let facts = &mut self.book(&account).facts;
            facts.duplicate_orders = facts.duplicate_orders.saturating_add(1);
        }
        let complete = self.opened > 0 && self.opened == self.closed;
        let mut out = Facts::default();
        out.total.flat_at_close = complete;
        for (account, book) in self.books {
            let facts = AccountFacts { flat_at_close: complete && !book.held_at_close, ..book.facts };
            out.total.add(&facts);
            out.accounts.insert(account, facts);
        }
        out
    }
}

impl Book {
    fn take(&mut self, leg: &FilledLeg) {
        self.facts.fees += leg.fee;
        self.facts.realized_pnl -= leg.fee;
        let change = i64::from(leg.quantity).saturating_mul(leg.side.side().sign());
        self.shift(leg.instrument, change, per_share(leg.price).times(leg.instrument.multiplier()));
    }

    /// Moves a position by `change` at `each` for a contract or a share, at average cost.
    fn shift(&mut self, instrument: Instrument, change: i64, each: Usd) {
        let (mut quantity, mut cost) = self.positions.get(&instrument).copied().unwrap_or_default();
        let closing =
            if quantity.signum() == -change.signum() { quantity.abs().min(change.abs()) } else { 0 };
        let gone = cost.scaled(closing, quantity.abs());
        if closing > 0 {
            self.facts.realized_pnl -= each.times(closing).times(change.signum()) + gone;
        }
        let opening = change.abs().saturating_sub(closing);
        cost = cost - gone + each.times(opening).times(change.signum());
        quantity = quantity.saturating_add(change);
        if quantity == 0 {
            self.positions.remove(&instrument);
        } else {
            self.positions.insert(instrument, (quantity, cost));
        }
    }

    /// Takes an expired position out for `cash`.
    fn expire(&mut self, series: OccSymbol, quantity: i64, cash: Usd) {
        let instrument = Instrument::Option(series);
        let (held, cost) = self.positions.get(&instrument).copied().unwrap_or_default();
        self.facts.realized_pnl += cash - cost.scaled(quantity, held);
        self.positions.remove(&instrument);
    }
}

/// Whether every short contract has a long one, or shares, beside it.
fn all_covered(held: &[(Instrument, i64)]) -> bool {
    let options = || held.iter().filter_map(|(it, quantity)| Some((*it.series()?, *quantity)));
    let keys: BTreeSet<_> = options().map(|(series, _)| (series.underlying(), series.expiry)).collect();
    keys.into_iter().all(|key| {
        let shares =
            held.iter().filter(|(it, _)| *it == Instrument::Share(key.0)).map(|(_, quantity)| *quantity);
        let group: Vec<_> =
            options().filter(|(series, _)| (series.underlying(), series.expiry) == key).collect();
        covered(&group, shares.sum())
    })
}

impl AccountFacts {
    fn add(&mut self, other: &Self) {
        self.broker_orders = self.broker_orders.saturating_add(other.broker_orders);
        self.foreign_orders = self.foreign_orders.saturating_add(other.foreign_orders);
        self.fills = self.fills.saturating_add(other.fills);
        self.duplicate_orders = self.duplicate_orders.saturating_add(other.duplicate_orders);
        self.naked_shorts = self.naked_shorts.saturating_add(other.naked_shorts);
        self.flat_at_close &= other.flat_at_close;
        self.realized_pnl += other.realized_pnl;
        self.fees += other.fees;
    }
}

#[cfg(test)]
mod tests;
