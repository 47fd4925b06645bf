//! Order intents: what we want. Opening and closing are different types (spec 3).

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::account::AccountRef;
use crate::combo::{ComboEntry, ComboExit};
use crate::gate::{GateCheck, Verdict};
use crate::ids::{AccountId, DecisionId, IntentId, SetupId};
use crate::market::Points;
use crate::money::{Price, Usd};
use crate::setup::{Direction, SetupKind, SetupLevels};
use crate::symbol::OccSymbol;
use crate::ticket::ComboOpening;
use crate::time::UtcNanos;

/// Why an intent exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "origin", content = "of")]
pub enum Origin {
    /// A transition of a setup.
    Setup(SetupId),
    /// The flatten of a session.
    Flatten(Date),
    /// A strategy's decision.
    Decision(DecisionId),
}

/// What an intent does to the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Opens.
    Enter,
    /// Closes the T1 fraction.
    TakeProfit1,
    /// Closes the rest at T2.
    TakeProfit2,
    /// Closes the rest at the stop, initial or trailed.
    Stop,
    /// Closes the rest because the setup ended otherwise.
    Terminal,
    /// Closes before the last trade, whatever the setup says.
    Flatten,
    /// Rests at the broker and closes what T1 would, should the market fall through the stop with us away.
    ProtectT1,
    /// The same for what T1 leaves: the runner.
    ProtectRunner,
    /// Closes what a structure's legs executed out of their ratio, and nothing else.
    Balance,
    /// Closes in an emergency: a structure at a limit, a single long at the market while the emergency stands.
    Emergency,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 10] = [
        Self::Enter,
        Self::TakeProfit1,
        Self::TakeProfit2,
        Self::Stop,
        Self::Terminal,
        Self::Flatten,
        Self::ProtectT1,
        Self::ProtectRunner,
        Self::Balance,
        Self::Emergency,
    ];

    /// The name in ids, rows and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::TakeProfit1 => "take_profit_1",
            Self::TakeProfit2 => "take_profit_2",
            Self::Stop => "stop",
            Self::Terminal => "terminal",
            Self::Flatten => "flatten",
            Self::ProtectT1 => "protect_t1",
            Self::ProtectRunner => "protect_runner",
            Self::Balance => "balance",
            Self::Emergency => "emergency",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    /// Whether it rests at the broker instead of being worked: a disaster order.
    pub const fn protects(self) -> bool {
        matches!(self, Self::ProtectT1 | Self::ProtectRunner)
    }
}

/// The name of the intent that `account` gets for step `sequence` of `origin`. A flatten's intent is named by
/// account, series and session, so that it is the same with the database down; its attempts are the passes. Its sequence
/// counts the flattens of the series that ended before it: after a hard stop the series may be opened and flattened again.
pub fn intent_id(
    origin: Origin,
    sequence: u32,
    account: AccountId,
    action: Action,
    series: Option<&OccSymbol>,
) -> IntentId {
    let account = account.0.as_bytes();
    match origin {
        Origin::Setup(setup) => IntentId::of(&[
            b"setup",
            setup.as_bytes(),
            &sequence.to_le_bytes(),
            account,
            action.as_str().as_bytes(),
        ]),
        Origin::Decision(decision) => IntentId::of(&[
            b"decision",
            decision.as_bytes(),
            &sequence.to_le_bytes(),
            account,
            action.as_str().as_bytes(),
        ]),
        Origin::Flatten(session) => {
            let series = series.map(OccSymbol::to_string).unwrap_or_default();
            let (session, round) = (session.to_string(), sequence.to_le_bytes());
            let parts: [&[u8]; 5] = [b"flatten", session.as_bytes(), account, series.as_bytes(), &round];
            // The first goes by the short name, which whoever works without the books knows.
            IntentId::of(if sequence == 0 { parts.get(..4).unwrap_or(&parts) } else { &parts })
        }
    }
}

/// What every intent has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntentHead {
    /// The hash of origin, sequence, account and action.
    pub id: IntentId,
    /// For whom and where.
    pub account: AccountRef,
    /// Why.
    pub origin: Origin,
    /// The origin's sequence number.
    pub sequence: u32,
    /// What for.
    pub action: Action,
    /// The series traded; of a structure its first leg's.
    pub series: OccSymbol,
    /// When it was decided, market time.
    pub decided_at: UtcNanos,
}

/// The market as it stood when an entry was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionMarket {
    /// The index.
    pub spot: Points,
    /// The series' bid.
    pub bid: Price,
    /// The series' ask.
    pub ask: Price,
}

/// Opens a long option position. There is no way to write one that sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpeningIntent {
    /// Who, why, what.
    pub head: IntentHead,
    /// The detector behind it.
    pub kind: SetupKind,
    /// Which way the index should go.
    pub direction: Direction,
    /// Contracts.
    pub quantity: u32,
    /// The highest price the walk may reach.
    pub worst: Price,
    /// The market at the decision.
    pub market: DecisionMarket,
    /// The setup's levels at the decision.
    pub levels: SetupLevels,
    /// Planned loss of one contract: debit at `worst` less the modelled value at the stop, times 100, plus fees.
    pub risk_per_contract: Usd,
    /// Not sent before: its turn among the users who take the same series on the same signal. `None` sends it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_at: Option<UtcNanos>,
}

/// How much a closing intent closes. Resolved against what is held when it is worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "amount", content = "of")]
pub enum CloseAmount {
    /// This share of what the entry filled, in basis points; at least one contract, leaving at least one where the
    /// entry filled two or more.
    FractionBp(u32),
    /// What [`CloseAmount::FractionBp`] of the same share leaves.
    RestBp(u32),
    /// All that is left.
    All,
}

impl CloseAmount {
    /// Contracts to close of an entry that filled `filled` and of which `held` are left.
    ///
    /// # Examples
    /// ```
    /// use domain::intent::CloseAmount;
    /// assert_eq!(CloseAmount::FractionBp(5_000).of(5, 5), 3); // rounds half up
    /// assert_eq!(CloseAmount::FractionBp(5_000).of(1, 1), 1); // one contract closes whole
    /// assert_eq!(CloseAmount::FractionBp(9_999).of(4, 4), 3); // a runner stays
    /// assert_eq!(CloseAmount::RestBp(5_000).of(5, 5), 2); // what the target leaves
    /// assert_eq!(CloseAmount::RestBp(5_000).of(1, 1), 0);
    /// assert_eq!(CloseAmount::All.of(5, 2), 2);
    /// ```
    pub fn of(self, filled: u32, held: u32) -> u32 {
        match self {
            Self::All => held,
            Self::RestBp(bp) => filled.saturating_sub(Self::FractionBp(bp).of(filled, filled)).min(held),
            Self::FractionBp(_) if filled <= 1 => held,
            Self::FractionBp(bp) => {
                let exact = u64::from(filled) * u64::from(bp.min(10_000));
                let rounded = u32::try_from((exact + 5_000) / 10_000).unwrap_or(u32::MAX);
                rounded.clamp(1, filled - 1).min(held)
            }
        }
    }
}

/// Reduces a position we hold. Nothing about the market or a switch may refuse it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClosingIntent {
    /// Who, why, what.
    pub head: IntentHead,
    /// The intent that opened the position; absent for a flatten, which closes whatever of ours is held.
    pub opening: Option<IntentId>,
    /// How much.
    pub amount: CloseAmount,
    /// A code: `t1`, `stop`, `trailed_stop`, `session_end`.
    pub reason: String,
}

/// Either kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "effect")]
pub enum OrderIntent {
    /// Opens.
    Opening(OpeningIntent),
    /// Closes.
    Closing(ClosingIntent),
    /// Opens a structure.
    OpeningCombo(ComboEntry),
    /// Closes a structure, or what of it is out of balance.
    ClosingCombo(ComboExit),
}

impl OrderIntent {
    /// What every intent has.
    pub const fn head(&self) -> &IntentHead {
        match self {
            Self::Opening(it) => &it.head,
            Self::Closing(it) => &it.head,
            Self::OpeningCombo(it) => &it.head,
            Self::ClosingCombo(it) => &it.head,
        }
    }

    /// Whether it opens.
    pub const fn opens(&self) -> bool {
        matches!(self, Self::Opening(_) | Self::OpeningCombo(_))
    }

    /// Whether it is about a structure.
    pub const fn is_combo(&self) -> bool {
        matches!(self, Self::OpeningCombo(_) | Self::ClosingCombo(_))
    }

    /// The strategy of what opens, as the kill switch names it.
    pub fn strategy(&self) -> Option<&str> {
        match self {
            Self::Opening(it) => Some(it.kind.as_str()),
            Self::OpeningCombo(it) => Some(&it.strategy),
            Self::Closing(_) | Self::ClosingCombo(_) => None,
        }
    }

    /// Whether it trades `series`, alone or as a leg.
    pub fn has(&self, series: &OccSymbol) -> bool {
        match self {
            Self::Opening(it) => it.head.series == *series,
            Self::Closing(it) => it.head.series == *series,
            Self::OpeningCombo(it) => it.terms.legs().iter().any(|leg| leg.series == *series),
            Self::ClosingCombo(it) => it.terms.legs().iter().any(|leg| leg.series == *series),
        }
    }

    /// The entry that a close names.
    pub const fn opening(&self) -> Option<IntentId> {
        match self {
            Self::Closing(it) => it.opening,
            Self::ClosingCombo(it) => Some(it.opening),
            Self::Opening(_) | Self::OpeningCombo(_) => None,
        }
    }
}

/// Where an intent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// A gate refused it. Final.
    Blocked,
    /// Every gate but the deployment's execution switch let it through. Final.
    WouldSubmit,
    /// Waiting for the desk.
    Ready,
    /// An attempt was made and the intent is not at its end.
    Working,
    /// At its end: filled whole, in part or not at all (`missed`). Final, though a late fill may still count.
    Done,
}

impl IntentState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Blocked, Self::WouldSubmit, Self::Ready, Self::Working, Self::Done];

    /// Whether nothing more is sent for it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Blocked | Self::WouldSubmit | Self::Done)
    }

    /// The name in rows and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::WouldSubmit => "would_submit",
            Self::Ready => "ready",
            Self::Working => "working",
            Self::Done => "done",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// The gates an opening intent must have been asked, in order, in each of its two passes.
pub const OPENING_GATES: [&str; 15] = [
    "execution_enabled",
    "four_lights",
    "consent",
    "kill_switch",
    "reconciliation",
    "session_hours",
    "signal_age",
    "quote",
    "price_bound",
    "reward_to_risk",
    "day_trading",
    "daily_loss",
    "trade_count",
    "exposure",
    "buying_power",
];

/// Proof that every gate said yes, in this process and just now. It cannot be made elsewhere, copied, stored or
/// read back: the field is private and there is no serde, no `Clone` and no `Default`.
#[derive(Debug)]
pub struct Approved<T>(T);

impl<T> Approved<T> {
    /// What was approved.
    pub const fn get(&self) -> &T {
        &self.0
    }
}

/// Approves an opening intent when every gate of [`OPENING_GATES`] was asked and none blocks.
///
/// # Errors
/// Hands the gate back that blocks, or one that says it was never asked.
pub fn approve_opening(
    intent: OpeningIntent,
    gates: &[GateCheck],
) -> Result<Approved<OpeningIntent>, GateCheck> {
    match stopping(gates) {
        Some(blocking) => Err(blocking),
        None => Ok(Approved(intent)),
    }
}

/// What a combination's opening is asked beside [`OPENING_GATES`]: no leg opposite to an open leg of ours.
pub const LEG_COLLISION: &str = "leg_collision";

/// Approves opening a combination as [`approve_opening`] does an intent: the same gates and [`LEG_COLLISION`], and the
/// proof of its bounded risk is in it.
///
/// # Errors
/// Hands the gate back that blocks, or one that says it was never asked.
pub fn approve_combo(
    opening: ComboOpening,
    gates: &[GateCheck],
) -> Result<Approved<ComboOpening>, GateCheck> {
    if !gates.iter().any(|it| it.gate == LEG_COLLISION) {
        return Err(GateCheck::missing(LEG_COLLISION, "every gate is asked", "gate_not_asked"));
    }
    match stopping(gates) {
        Some(blocking) => Err(blocking),
        None => Ok(Approved(opening)),
    }
}

/// The first gate of [`OPENING_GATES`] that was not asked, else the first that blocks.
fn stopping(gates: &[GateCheck]) -> Option<GateCheck> {
    let unasked = OPENING_GATES.into_iter().find(|name| !gates.iter().any(|it| it.gate == *name));
    match unasked {
        Some(name) => Some(GateCheck::missing(name, "every gate is asked", "gate_not_asked")),
        None => gates.iter().find(|it| it.verdict == Verdict::Block).cloned(),
    }
}

/// Why a closing order was not approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseRefused {
    /// Nothing of ours is held.
    #[error("nothing of ours is held in this series")]
    NothingHeld,
    /// More than is held.
    #[error("asked to close {asked} contracts, {held} are held")]
    MoreThanHeld {
        /// Contracts asked for.
        asked: u32,
        /// Contracts held of ours, as the broker and our books agree.
        held: u32,
    },
}

/// A closing order's size, bounded by what is held. Made by [`approve_closing`] alone.
#[derive(Debug)]
pub struct CloseBound {
    quantity: u32,
}

impl CloseBound {
    /// Contracts to sell.
    pub const fn quantity(&self) -> u32 {
        self.quantity
    }
}

/// Approves closing `asked` contracts of which `held` are ours: the smaller of our books and the broker's long less
/// foreign. Ownership and quantity are all that is asked of a close.
///
/// # Errors
/// [`CloseRefused`] when nothing is held or more is asked than held.
pub const fn approve_closing(
    _intent: &ClosingIntent,
    asked: u32,
    held: u32,
) -> Result<Approved<CloseBound>, CloseRefused> {
    if held == 0 || asked == 0 {
        return Err(CloseRefused::NothingHeld);
    }
    if asked > held {
        return Err(CloseRefused::MoreThanHeld { asked, held });
    }
    Ok(Approved(CloseBound { quantity: asked }))
}
