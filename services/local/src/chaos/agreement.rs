//! Whether books and broker say the same: every order and execution, every position, the money, and the audit's chains.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{AttemptNo, IntentId, OrderTag, SetupId};
use domain::intent::Origin;
use domain::money::{Side, Usd};
use domain::ports::{Clock as _, IntentView, Ledger as _};
use domain::symbol::OccSymbol;
use sim::broker::{Facts, TranscriptEvent, TranscriptLine};
use store::audit;

use super::standing::Standing;

/// A leg of an order: whose order, and which series.
type Leg = (IntentId, AttemptNo, OccSymbol);

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    /// What differs, in words.
    pub(super) differences: Vec<String>,
    /// Whether something is among them that no time cures.
    pub(super) is_hopeless: bool,
    /// Whether the broker holds nothing.
    pub(super) is_flat: bool,
    pub(super) intents: usize,
    pub(super) orders: usize,
    pub(super) executed: u64,
    /// Entries without an attempt, by the reason.
    pub(super) refused: BTreeMap<String, u32>,
    /// Faults that struck, by kind.
    pub(super) faults: BTreeMap<String, u32>,
}

/// One side's account of what happened, by account number.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    executed: BTreeMap<Leg, u32>,
    positions: BTreeMap<OccSymbol, i64>,
    cash: Usd,
}

impl Account {
    fn execute(&mut self, leg: Leg, side: Side, contracts: u32, cash: Usd) {
        let held = self.positions.entry(leg.2).or_default();
        *held += match side {
            Side::Buy => i64::from(contracts),
            Side::Sell => -i64::from(contracts),
        };
        *self.executed.entry(leg).or_default() += contracts;
        self.cash += cash;
    }
}

/// Compares; `setups` must have come to their end.
pub(super) async fn look(standing: &Standing, setups: &[SetupId]) -> anyhow::Result<Agreement> {
    let transcript = standing.transcript()?;
    let facts = Facts::from_transcript(&transcript).total;
    let mut found = Agreement::default();
    if facts.duplicate_orders > 0 || facts.naked_shorts > 0 {
        let (duplicates, shorts) = (facts.duplicate_orders, facts.naked_shorts);
        found.differences.push(format!("{duplicates} duplicate orders, {shorts} naked shorts"));
        found.is_hopeless = true;
    }
    let mut brokers = broker_side(&transcript, &mut found);
    for member in &standing.members {
        let session = standing.clock.now().new_york_date();
        let book = standing.store.day_book(&member.account, session).await?;
        found.intents += book.intents.len();
        let ours = books_side(&book.intents, setups, &mut found);
        let theirs = brokers.remove(member.number.as_str()).unwrap_or_default();
        found.is_flat &= theirs.positions.values().all(|it| *it == 0);
        compare(member.number.last4(), &ours, &theirs, &mut found.differences);
    }
    for chain in audit::verify(&standing.store).await? {
        if let Some(it) = chain.broken {
            found.is_hopeless = true;
            found.differences.push(format!("the audit is broken at line {}: {}", it.no, it.why));
        }
    }
    Ok(found)
}

/// What the broker did, by account number.
fn broker_side(transcript: &[TranscriptLine], found: &mut Agreement) -> BTreeMap<String, Account> {
    found.is_flat = true;
    let mut tags: BTreeMap<u64, OrderTag> = BTreeMap::new();
    let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
    for line in transcript {
        match &line.event {
            TranscriptEvent::Accepted { order, tag, .. } => {
                found.orders += 1;
                match tag.as_deref().and_then(OrderTag::parse) {
                    Some(tag) => drop(tags.insert(*order, tag)),
                    None => found.differences.push(format!("order {order} has no tag of ours")),
                }
            }
            TranscriptEvent::Filled { account, order, legs, .. } => {
                let Some(tag) = tags.get(order) else { continue };
                let account = accounts.entry(account.clone()).or_default();
                for leg in legs {
                    let Some(series) = leg.instrument.series() else { continue };
                    let side = leg.side.side();
                    let gross = leg.instrument.notional(leg.price, leg.quantity);
                    let gross = if side == Side::Buy { -gross } else { gross };
                    found.executed += u64::from(leg.quantity);
                    account.execute((tag.intent, tag.attempt, *series), side, leg.quantity, gross - leg.fee);
                }
            }
            TranscriptEvent::FaultStruck { fault, .. } => {
                *found.faults.entry(fault.as_str().to_owned()).or_default() += 1;
            }
            TranscriptEvent::SessionOpened { .. }
            | TranscriptEvent::Account { .. }
            | TranscriptEvent::Request { .. }
            | TranscriptEvent::Opened { .. }
            | TranscriptEvent::Rejected { .. }
            | TranscriptEvent::Changed { .. }
            | TranscriptEvent::CancelRequested { .. }
            | TranscriptEvent::Canceled { .. }
            | TranscriptEvent::Expired { .. }
            | TranscriptEvent::SessionClosed { .. }
            | TranscriptEvent::Settled { .. }
            | TranscriptEvent::Delivered { .. } => {}
        }
    }
    accounts
}

/// What the books say was done, and whether the round's setups are at their end.
fn books_side(intents: &[IntentView], setups: &[SetupId], found: &mut Agreement) -> Account {
    let mut account = Account::default();
    let held: BTreeSet<Origin> =
        intents.iter().filter(|it| is_unknown(it)).map(|it| it.intent.head().origin).collect();
    for view in intents {
        let (id, origin) = (view.intent.head().id, view.intent.head().origin);
        let of_round = matches!(origin, Origin::Setup(it) if setups.contains(&it));
        if of_round && !view.state.is_final() && !held.contains(&origin) {
            found.differences.push(format!("intent {id} is {} ({})", view.state.as_str(), view.reason));
        }
        if view.intent.opens() && view.attempts.is_empty() {
            *found.refused.entry(view.reason.clone()).or_default() += 1;
        }
        for fill in &view.fills {
            let leg = (id, fill.attempt, fill.series);
            match fill.cash() {
                Some(cash) => account.execute(leg, fill.side, fill.contracts(), cash - fill.fees),
                None => found.differences.push(format!("an execution of intent {id} has no price")),
            }
        }
    }
    account
}

/// An entry whose outcome nobody can know: it holds its setup, and what would close it, until the session ends.
fn is_unknown(view: &IntentView) -> bool {
    view.intent.opens() && view.last_attempt().is_some_and(|it| it.state.is_unresolved())
}

fn compare(account: &str, ours: &Account, theirs: &Account, differences: &mut Vec<String>) {
    let mut tell = |it: String| differences.push(format!("account ..{account}: {it}"));
    for leg in ours.executed.keys().chain(theirs.executed.keys().filter(|it| !ours.executed.contains_key(it)))
    {
        let of = |it: &Account| it.executed.get(leg).copied().unwrap_or(0);
        if of(ours) != of(theirs) {
            let (intent, attempt, series) = leg;
            tell(format!("{intent}-{attempt} {series}: books {} executed, broker {}", of(ours), of(theirs)));
        }
    }
    let held = |it: &Account| -> BTreeMap<OccSymbol, i64> {
        it.positions.iter().filter(|it| *it.1 != 0).map(|it| (*it.0, *it.1)).collect()
    };
    if held(ours) != held(theirs) {
        tell(format!("books hold {:?}, broker {:?}", held(ours), held(theirs)));
    }
    if ours.executed == theirs.executed && ours.cash != theirs.cash {
        tell(format!("books made {}, broker {}", ours.cash, theirs.cash));
    }
}
