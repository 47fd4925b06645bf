//! Sample values for tests: one session, users numbered from 1, everything in whole seconds.
//!
//! Every builder gives a complete, valid value; a test changes the field it is about.

pub mod combos;

use std::time::Duration;

use domain::account::{AccountRef, AccountType, Balances, Environment, UserSettings};
use domain::chain::{ChainRow, ChainSnapshot};
use domain::gate::GateCheck;
use domain::ids::{AccountId, AttemptNo, BrokerOrderId, IntentId, OrderTag, SetupId, UserId};
use domain::intent::{
    Action, CloseAmount, ClosingIntent, DecisionMarket, IntentHead, IntentState, LEG_COLLISION,
    OPENING_GATES, OpeningIntent, OrderIntent, Origin, intent_id,
};
use domain::kill::{KillScope, scopes_for};
use domain::market::{Microbar, OptionQuote, Points};
use domain::money::{Price, Side, Usd};
use domain::order::{Attempt, AttemptState};
use domain::ports::{
    Answer, CredentialChange, Fence, IntentView, Ledger, LedgerError, MarkRequest, NewIntent, Progress,
    ReconciliationRun, Snapshot,
};
use domain::position::{Fill, FillSource};
use domain::setup::{
    Direction, Setup, SetupKind, SetupLevels, SetupState, Transition, TransitionRecord, TriggerFacts,
};
use domain::symbol::{OccSymbol, Right, Root, Strike, Underlying};
use domain::time::{UtcNanos, at_new_york};
use jiff::civil::{Date, Time, date};

/// The session of all samples: a Friday.
pub const SESSION: Date = date(2026, 11, 20);

/// A wall time of [`SESSION`] in New York, in seconds after midnight.
pub fn at(hour: u32, minute: u32, second: u32) -> UtcNanos {
    let seconds = u64::from(hour) * 3_600 + u64::from(minute) * 60 + u64::from(second);
    at_new_york(SESSION, Time::midnight()).plus(Duration::from_secs(seconds))
}

/// User `n`.
pub const fn user(n: u8) -> UserId {
    UserId(id(0xA0, n))
}

/// The sandbox account of user `n`.
pub const fn account(n: u8) -> AccountRef {
    AccountRef { user: user(n), account: AccountId(id(0xB0, n)), environment: Environment::Sandbox }
}

const fn id(kind: u8, n: u8) -> uuid::Uuid {
    uuid::Uuid::from_u128((kind as u128) << 120 | n as u128)
}

/// A call on the index that expires with the session.
pub const fn series(points: u32) -> OccSymbol {
    OccSymbol { root: Root::SPXW, expiry: SESSION, right: Right::Call, strike: Strike::from_points(points) }
}

/// A 5-contract margin account's balances.
pub const fn balances() -> Balances {
    Balances {
        account_type: AccountType::Margin,
        total_equity: Usd::from_dollars(50_000),
        total_cash: Usd::from_dollars(50_000),
        option_buying_power: Some(Usd::from_dollars(48_000)),
        day_trade_buying_power: None,
        cash_available: None,
        unsettled_funds: None,
        close_pl: Usd::ZERO,
        open_pl: Usd::ZERO,
        pending_orders: 0,
    }
}

/// [`balances`] as stored at an instant.
pub const fn snapshot(at: UtcNanos) -> Snapshot {
    Snapshot { at, balances: balances() }
}

/// The account's books compared before the open, and found to agree.
///
/// # Errors
/// The ledger's.
pub async fn agree<L: Ledger>(ledger: &L, account: &AccountRef) -> Result<(), LedgerError> {
    let run = ReconciliationRun {
        at: at(9, 29, 0),
        differences: Vec::new(),
        steps: Vec::new(),
        alerts: Vec::new(),
    };
    ledger.record_reconciliation(account, &run).await
}

/// The settings of a user who lets us trade.
pub fn settings() -> UserSettings {
    UserSettings { spx_auto_execute: true, consent_at: Some(at(8, 0, 0)), ..UserSettings::default() }
}

/// A bar with prints, `second` seconds into the session.
pub fn microbar(second: u64) -> Microbar {
    let open = Points::whole(5_600);
    let ohlc = domain::market::Ohlc { open, high: open, low: open, close: open };
    Microbar {
        ohlc: Some(ohlc),
        volume: 100,
        trades: 2,
        neutral_volume: 100,
        ticks: 2,
        ..Microbar::empty(at(9, 30, 0).plus(Duration::from_secs(second)))
    }
}

/// A chain of three calls.
pub fn chain() -> ChainSnapshot {
    let ts = at(10, 0, 0);
    let row = |points| ChainRow {
        series: series(points),
        quote: OptionQuote {
            ts,
            bid: Some(Price::from_cents(240)),
            ask: Some(Price::from_cents(250)),
            bid_size: 20,
            ask_size: 30,
        },
        open_interest: Some(1_200),
        volume: None,
    };
    ChainSnapshot {
        underlying: Underlying::SPX,
        spot: Points::whole(5_600),
        ts,
        rows: [5_600, 5_605, 5_610].map(row).to_vec(),
    }
}

/// Levels of a long setup around 5600 with an R of 5 points.
pub const fn levels() -> SetupLevels {
    SetupLevels {
        zone_low: Points::whole(5_599),
        zone_high: Points::whole(5_601),
        stop: Points::whole(5_595),
        t1: Points::whole(5_605),
        t2: Points::whole(5_610),
        r_index: Points::whole(5),
    }
}

/// Levels of a setup entered at `spot`: stop, T1 and T2 at one, one and two times `r` points.
pub fn levels_at(direction: Direction, spot: Points, r: i64) -> SetupLevels {
    let away = |n: i64| Points(Points::whole(n).0.saturating_mul(direction.sign()));
    SetupLevels {
        zone_low: spot.minus(Points::whole(2)),
        zone_high: spot.plus(Points::whole(2)),
        stop: spot.minus(away(r)),
        t1: spot.plus(away(r)),
        t2: spot.plus(away(r.saturating_mul(2))),
        r_index: Points::whole(r),
    }
}

/// The name of setup `n`.
pub fn setup_id(n: u8) -> SetupId {
    SetupId::of(&[b"sample", &[n]])
}

/// Setup `n` as it is first seen.
pub fn setup(n: u8) -> Setup {
    Setup {
        id: setup_id(n),
        session: SESSION,
        symbol: Underlying::SPX,
        kind: SetupKind::OrbBreakout,
        profile: "orb-v1".to_owned(),
        direction: Direction::Long,
        state: SetupState::Forming,
        sequence: 0,
        levels: levels(),
        valid_until: at(11, 0, 0),
        formed_at: at(9, 50, u32::from(n % 60)),
        triggered_at: None,
        facts: TriggerFacts::default(),
        trailing_stop_path: Vec::new(),
    }
}

/// The first step of setup `n`.
pub fn formed(n: u8) -> TransitionRecord {
    let setup = setup(n);
    let transition = Transition {
        setup: setup.id,
        sequence: 0,
        from: None,
        to: SetupState::Forming,
        ts: setup.formed_at,
        price: Points::whole(5_600),
        reason: "sample".to_owned(),
        bar: setup.formed_at,
        gates: approving_gates(),
    };
    TransitionRecord { setup, transition, chain: None, source: "sample".to_owned(), resolution_ns: 1 }
}

/// The step after `before`, to `to`, ten seconds later.
pub fn then(before: &TransitionRecord, to: SetupState) -> TransitionRecord {
    let ts = before.transition.ts.plus(Duration::from_secs(10));
    let sequence = before.setup.sequence.saturating_add(1);
    let mut next = before.clone();
    next.transition =
        Transition { sequence, from: Some(before.setup.state), to, ts, bar: ts, ..next.transition };
    next.setup.state = to;
    next.setup.sequence = sequence;
    next
}

/// Every gate of an opening, single or combined, passing.
pub fn approving_gates() -> Vec<GateCheck> {
    let all = OPENING_GATES.into_iter().chain([LEG_COLLISION]);
    all.map(|gate| GateCheck::holds(gate, true, "so", "so", "")).collect()
}

/// The entry of `account` on setup `n`: `quantity` contracts of [`series`] 5600 + 5 n at 2.50 or better.
pub fn opening(account: &AccountRef, n: u8, quantity: u32) -> OpeningIntent {
    let origin = Origin::Setup(setup_id(n));
    OpeningIntent {
        head: IntentHead {
            id: intent_id(origin, 2, account.account, Action::Enter, None),
            account: *account,
            origin,
            sequence: 2,
            action: Action::Enter,
            series: series(5_600 + 5 * u32::from(n)),
            decided_at: at(10, 0, u32::from(n % 60)),
        },
        kind: SetupKind::OrbBreakout,
        direction: Direction::Long,
        quantity,
        worst: Price::from_cents(250),
        market: DecisionMarket {
            spot: Points::whole(5_600),
            bid: Price::from_cents(240),
            ask: Price::from_cents(245),
        },
        levels: levels(),
        risk_per_contract: Usd::from_dollars(120),
        release_at: None,
    }
}

/// A close of `entry` for step `sequence` of its setup.
pub fn closing(entry: &OpeningIntent, sequence: u32, action: Action, amount: CloseAmount) -> ClosingIntent {
    let head = entry.head;
    ClosingIntent {
        head: IntentHead {
            id: intent_id(head.origin, sequence, head.account.account, action, None),
            sequence,
            action,
            decided_at: head.decided_at.plus(Duration::from_secs(60 * u64::from(sequence))),
            ..head
        },
        opening: Some(head.id),
        amount,
        reason: action.as_str().to_owned(),
    }
}

/// The flatten of a series for an account.
pub fn flattening(account: &AccountRef, series: OccSymbol) -> ClosingIntent {
    let origin = Origin::Flatten(SESSION);
    ClosingIntent {
        head: IntentHead {
            id: intent_id(origin, 0, account.account, Action::Flatten, Some(&series)),
            account: *account,
            origin,
            sequence: 0,
            action: Action::Flatten,
            series,
            decided_at: at(15, 45, 0),
        },
        opening: None,
        amount: CloseAmount::All,
        reason: "session_end".to_owned(),
    }
}

/// An intent to be written, ready to be worked.
pub fn ready(intent: OrderIntent) -> NewIntent {
    let gates = if intent.opens() { approving_gates() } else { Vec::new() };
    let at = intent.head().decided_at;
    NewIntent { gates, ..NewIntent::ready(intent, at) }
}

/// The scopes that cover an entry of `account`.
pub fn scopes(account: &AccountRef) -> Vec<KillScope> {
    scopes_for(account.user, SetupKind::OrbBreakout.as_str(), Underlying::SPX, crate::ledger::BROKER).to_vec()
}

/// The mark of the next attempt of an intent as it was read: what is left of it, at 2.40.
pub fn mark(view: &IntentView, fence: Fence, quantity: u32, at: UtcNanos) -> MarkRequest {
    let head = view.intent.head();
    let opens = view.intent.opens();
    MarkRequest {
        account: head.account,
        intent: head.id,
        version: view.version,
        fence,
        attempt: view.last_attempt().map_or(AttemptNo::FIRST, |it| it.no.next()),
        side: if opens { Side::Buy } else { Side::Sell },
        quantity,
        price: Price::from_cents(240),
        combo: None,
        arrival: None,
        kill_scopes: if opens { scopes(&head.account) } else { Vec::new() },
        gates: Vec::new(),
        at,
        follow_up: at.plus(Duration::from_secs(5)),
    }
}

/// The broker took the last attempt of an intent as it was read, as order `order`.
///
/// # Errors
/// [`LedgerError::Corrupt`] when the intent has no attempt.
pub fn accepted(view: &IntentView, fence: Fence, order: u64, at: UtcNanos) -> Result<Answer, LedgerError> {
    let attempt = last(view)?;
    let head = view.intent.head();
    Ok(Answer {
        account: head.account,
        tag: OrderTag { intent: head.id, attempt: attempt.no },
        version: view.version,
        fence,
        attempt: Attempt {
            state: AttemptState::Working,
            broker_order: Some(BrokerOrderId(order)),
            ..attempt.clone()
        },
        state: IntentState::Working,
        reason: String::new(),
        broker_words: "ok".to_owned(),
        at,
        follow_up: Some(at.plus(Duration::from_secs(3))),
    })
}

/// A step that found nothing new: the intent stays working and is looked at again in three seconds.
pub fn progress(view: &IntentView, fence: Option<Fence>, at: UtcNanos) -> Progress {
    let head = view.intent.head();
    Progress {
        account: head.account,
        intent: head.id,
        version: view.version,
        fence,
        attempts: Vec::new(),
        fills: Vec::new(),
        state: IntentState::Working,
        reason: String::new(),
        gates: Vec::new(),
        what: "polled".to_owned(),
        at,
        follow_up: Some(at.plus(Duration::from_secs(3))),
        also: Vec::new(),
    }
}

/// A poll that shows the last attempt executed up to `to` at `average` cents, charged a dollar a contract.
///
/// # Errors
/// [`LedgerError::Corrupt`] when the intent has no attempt.
pub fn observed(view: &IntentView, to: u32, average: Option<i64>, at: UtcNanos) -> Result<Fill, LedgerError> {
    let attempt = last(view)?;
    let head = view.intent.head();
    Ok(Fill {
        intent: head.id,
        attempt: attempt.no,
        series: head.series,
        side: attempt.side,
        from: 0,
        to,
        price: average.map(Usd::from_cents),
        fees: Usd::from_dollars(1),
        at,
        source: FillSource::Poll,
    })
}

/// The last attempt of an intent, ended.
///
/// # Errors
/// [`LedgerError::Corrupt`] when the intent has no attempt.
pub fn ended(view: &IntentView, state: AttemptState) -> Result<Attempt, LedgerError> {
    Ok(Attempt { state, ..last(view)?.clone() })
}

fn last(view: &IntentView) -> Result<&Attempt, LedgerError> {
    let missing = || LedgerError::Corrupt { what: "sample", why: "the intent has no attempt".to_owned() };
    view.last_attempt().ok_or_else(missing)
}

/// Creates an account with a stored credential.
///
/// # Errors
/// The ledger's.
pub async fn enrol<L: Ledger>(ledger: &L, account: &AccountRef) -> Result<(), LedgerError> {
    let change =
        CredentialChange::Stored { secret: format!("sample/{}", account.account), last4: "0001".into() };
    ledger.change_credential(account, &change, at(8, 0, 0)).await
}

/// Records setup `n` up to its trigger: steps 0, 1 and 2.
///
/// # Errors
/// The ledger's.
pub async fn trigger<L: Ledger>(ledger: &L, n: u8) -> Result<TransitionRecord, LedgerError> {
    let mut step = formed(n);
    ledger.record_transition(&step, step.transition.ts).await?;
    for to in [SetupState::Ready, SetupState::Triggered] {
        step = then(&step, to);
        ledger.record_transition(&step, step.transition.ts).await?;
    }
    Ok(step)
}

/// Reads an intent that must be there.
///
/// # Errors
/// The ledger's; [`LedgerError::Corrupt`] when it is not there.
pub async fn read<L: Ledger>(
    ledger: &L,
    account: &AccountRef,
    id: IntentId,
) -> Result<IntentView, LedgerError> {
    let missing = || LedgerError::Corrupt { what: "sample", why: format!("intent {id} is not there") };
    ledger.intent(account, id).await?.ok_or_else(missing)
}
