//! Attempts: one POST each, and what the broker says of it (spec 3, "Attempts").

mod legs;

pub use legs::{ComboAttempt, LegExecution, LegSeen};

use serde::{Deserialize, Serialize};

use crate::ids::{AttemptNo, BrokerOrderId, OrderTag};
use crate::intent::{Approved, CloseBound, OpeningIntent};
use crate::market::OptionQuote;
use crate::money::{Price, Side, Usd};
use crate::symbol::OccSymbol;
use crate::ticket::{LegClose, LegSide};
use crate::time::UtcNanos;

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// Its row exists; nothing was sent.
    Created,
    /// Sent, or about to be: a crash here leaves the outcome open.
    Submitting,
    /// The answer was lost. The only way on is to ask for the tag.
    Unknown,
    /// The broker has it.
    Working,
    /// The broker has it and executed a part.
    PartiallyFilled,
    /// Executed whole. Final.
    Filled,
    /// Ended by a cancel. Final; a part may have executed.
    Canceled,
    /// Refused by the broker. Final.
    Rejected,
    /// Ended by time. Final; a part may have executed.
    Expired,
    /// Never at the broker as far as can be known. Final.
    Missed,
}

impl AttemptState {
    /// All states.
    pub const ALL: [Self; 10] = [
        Self::Created,
        Self::Submitting,
        Self::Unknown,
        Self::Working,
        Self::PartiallyFilled,
        Self::Filled,
        Self::Canceled,
        Self::Rejected,
        Self::Expired,
        Self::Missed,
    ];

    /// Whether the state never changes again. The executed quantity still may.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Filled | Self::Canceled | Self::Rejected | Self::Expired | Self::Missed)
    }

    /// Whether the request may have left without an answer we know.
    pub const fn is_unresolved(self) -> bool {
        matches!(self, Self::Submitting | Self::Unknown)
    }

    /// The name in rows and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Submitting => "submitting",
            Self::Unknown => "unknown",
            Self::Working => "working",
            Self::PartiallyFilled => "partially_filled",
            Self::Filled => "filled",
            Self::Canceled => "canceled",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Missed => "missed",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// A status at the broker. What we do not know is not final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokerStatus {
    /// Accepted, not at the market yet.
    Pending,
    /// Working.
    Open,
    /// Working, a part executed.
    PartiallyFilled,
    /// A cancel is in flight.
    PendingCancel,
    /// Executed whole.
    Filled,
    /// Ended by a cancel, maybe after a part executed.
    Canceled,
    /// Ended by time.
    Expired,
    /// Refused.
    Rejected,
    /// Anything else: not final, ask again.
    Other,
}

impl BrokerStatus {
    /// Whether the broker will not work the order any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Filled | Self::Canceled | Self::Expired | Self::Rejected)
    }
}

/// One leg of a broker's order as the broker shows it. Single-leg orders have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerLeg {
    /// The series.
    pub series: OccSymbol,
    /// Buy or sell.
    pub side: Side,
    /// Whether it opens.
    pub opens: bool,
    /// Contracts ordered.
    pub quantity: u32,
    /// Contracts executed so far. Never derived from the remaining quantity.
    pub executed: u32,
    /// Average price per share of what executed; `None` while the broker does not say, which may be after `filled`.
    pub average: Option<Usd>,
}

/// An order as the broker shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerOrder {
    /// The broker's name for it.
    pub id: BrokerOrderId,
    /// Our tag; `None` for foreign orders and where the broker dropped it.
    pub tag: Option<OrderTag>,
    /// Where it stands.
    pub status: BrokerStatus,
    /// Limit price; `None` for market orders.
    pub price: Option<Price>,
    /// Its legs, at least one.
    pub legs: Vec<BrokerLeg>,
    /// When it was created, broker's time.
    pub created_at: Option<UtcNanos>,
    /// When it last changed, broker's time.
    pub changed_at: Option<UtcNanos>,
    /// Why it was rejected, in the broker's words.
    pub reason: Option<String>,
}

impl BrokerOrder {
    /// The only leg of a single-leg order.
    pub fn single(&self) -> Option<&BrokerLeg> {
        match self.legs.as_slice() {
            [leg] => Some(leg),
            _ => None,
        }
    }
}

/// Best bid and ask as an order met them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Touch {
    /// The best bid.
    pub bid: Price,
    /// The best ask.
    pub ask: Price,
}

impl Touch {
    /// The touch of a two-sided quote.
    pub fn of(quote: &OptionQuote) -> Option<Self> {
        quote.two_sided().map(|(bid, ask)| Self { bid, ask })
    }

    /// The midpoint a share, exactly.
    pub fn mid(&self) -> Usd {
        Usd::from_cents(i64::from(self.bid.cents()) + i64::from(self.ask.cents())).scaled(1, 2)
    }
}

/// What an attempt met on its way, beyond where it stands: what the fidelity of its fills is measured with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The market when the request was about to leave; `None` without a two-sided quote.
    pub arrival: Option<Touch>,
    /// When the broker's acceptance was recorded.
    pub acked_at: Option<UtcNanos>,
    /// When an execution was first recorded.
    pub filled_at: Option<UtcNanos>,
}

impl Trace {
    /// What both know, the first to know it counting.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            arrival: self.arrival.or(other.arrival),
            acked_at: self.acked_at.or(other.acked_at),
            filled_at: self.filled_at.or(other.filled_at),
        }
    }
}

/// One POST of an intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Which one, from 1.
    pub no: AttemptNo,
    /// Where it stands.
    pub state: AttemptState,
    /// The broker's order, once known.
    pub broker_order: Option<BrokerOrderId>,
    /// Buy or sell.
    pub side: Side,
    /// Contracts ordered.
    pub quantity: u32,
    /// The limit now.
    pub price: Price,
    /// Which rung of the walk, from 0.
    pub rung: u16,
    /// Contracts executed, never shrinking.
    pub executed: u32,
    /// Average price per share of what executed, once the broker says.
    pub average: Option<Usd>,
    /// When the row was committed as `submitting`.
    pub marked_at: UtcNanos,
    /// When the limit last moved.
    pub repriced_at: UtcNanos,
    /// When a cancel was requested.
    pub cancel_at: Option<UtcNanos>,
    /// A code with the state: `timed_out`, `refused`, `not_sent`, `not_found`.
    pub reason: Option<String>,
    /// The legs of an order on a structure; `None` for a single long. With them `quantity` and `executed` count units,
    /// whole ones, `price` is the distance of the net from zero, and `average` stays empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combo: Option<ComboAttempt>,
    /// What it met on its way.
    #[serde(default)]
    pub trace: Trace,
}

/// What can happen to an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEvent {
    /// Its row is committed; the request may leave.
    Marked,
    /// The broker received it.
    Accepted(BrokerOrderId),
    /// The broker said no before an order existed.
    Refused(String),
    /// It provably never left.
    NotSent,
    /// The answer was lost.
    AnswerLost,
    /// We asked, and this is how the order stands.
    Observed {
        /// The broker's order.
        id: BrokerOrderId,
        /// Its status.
        status: BrokerStatus,
        /// Contracts executed.
        executed: u32,
        /// Average price, where said.
        average: Option<Usd>,
    },
    /// We asked, and this is how an order on a structure stands, leg by leg.
    ObservedLegs {
        /// The broker's order.
        id: BrokerOrderId,
        /// Its status.
        status: BrokerStatus,
        /// Its legs, in any order.
        legs: Vec<LegSeen>,
    },
    /// We asked for the tag, and it was not in the list. Proves nothing.
    NotFound,
    /// Its window closed with the outcome open: never sent again, blocks its setup. For closes: the tag was looked up
    /// at least five seconds after the send.
    GivenUp,
}

/// An event that cannot follow the state it met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttemptError {
    /// The pair does not exist.
    #[error("an attempt that is {state:?} cannot take {event}")]
    Illegal {
        /// The state.
        state: AttemptState,
        /// The event.
        event: String,
    },
    /// The broker claims more than was ordered.
    #[error("the broker reports {executed} executed of {quantity} ordered")]
    Overfilled {
        /// Contracts reported.
        executed: u32,
        /// Contracts ordered.
        quantity: u32,
    },
    /// The order has other legs than were sent.
    #[error("order {0} does not have the legs that were sent")]
    OtherLegs(BrokerOrderId),
    /// Two orders carry the attempt's tag.
    #[error("the attempt is bound to order {bound}, the broker shows order {seen} for it")]
    TwoOrders {
        /// The order we know.
        bound: BrokerOrderId,
        /// The other one.
        seen: BrokerOrderId,
    },
}

impl Attempt {
    /// What an order of the broker's says about this attempt: leg by leg where it is one on a structure; `None` where a
    /// single leg was sent and the order has others.
    pub fn shown(&self, order: &BrokerOrder) -> Option<AttemptEvent> {
        let (id, status) = (order.id, order.status);
        if self.combo.is_none() {
            let leg = order.single()?;
            return Some(AttemptEvent::Observed { id, status, executed: leg.executed, average: leg.average });
        }
        let leg = |it: &BrokerLeg| LegSeen { series: it.series, executed: it.executed, average: it.average };
        Some(AttemptEvent::ObservedLegs { id, status, legs: order.legs.iter().map(leg).collect() })
    }

    /// The attempt after `event`. Every pair of state and event is listed: a new one does not compile until it is.
    ///
    /// # Errors
    /// [`AttemptError`] when the event cannot follow; the attempt stays as it is.
    pub fn apply(&self, event: &AttemptEvent) -> Result<Self, AttemptError> {
        use AttemptEvent as E;
        use AttemptState as S;
        let illegal = || Err(AttemptError::Illegal { state: self.state, event: format!("{event:?}") });
        let to = |state| Ok(Self { state, ..self.clone() });
        let ended = |state, reason: &str| Ok(Self { state, reason: Some(reason.to_owned()), ..self.clone() });
        match self.state {
            S::Created => match event {
                E::Marked => to(S::Submitting),
                E::GivenUp => ended(S::Missed, "never_sent"),
                E::Accepted(_) | E::Refused(_) | E::NotSent | E::AnswerLost => illegal(),
                E::Observed { .. } | E::ObservedLegs { .. } | E::NotFound => illegal(),
            },
            S::Submitting | S::Unknown => match event {
                E::Accepted(id) => Ok(Self { state: S::Working, broker_order: Some(*id), ..self.clone() }),
                E::Refused(why) => ended(S::Rejected, why),
                E::NotSent => ended(S::Missed, "not_sent"),
                E::AnswerLost | E::NotFound => to(S::Unknown),
                E::Observed { id, status, executed, average } => {
                    self.observed(*id, *status, *executed, *average)
                }
                E::ObservedLegs { id, status, legs } => self.observed_legs(*id, *status, legs),
                E::GivenUp => ended(S::Missed, "unresolved"),
                E::Marked => illegal(),
            },
            S::Working | S::PartiallyFilled => match event {
                E::Observed { id, status, executed, average } => {
                    self.observed(*id, *status, *executed, *average)
                }
                E::ObservedLegs { id, status, legs } => self.observed_legs(*id, *status, legs),
                E::Accepted(id) if self.broker_order == Some(*id) => Ok(self.clone()),
                // The list lags: an order we know of stays what it is.
                E::NotFound => Ok(self.clone()),
                E::Accepted(id) => match self.broker_order {
                    Some(bound) => Err(AttemptError::TwoOrders { bound, seen: *id }),
                    None => illegal(),
                },
                E::Marked | E::Refused(_) | E::NotSent | E::AnswerLost | E::GivenUp => illegal(),
            },
            S::Filled | S::Canceled | S::Rejected | S::Expired | S::Missed => match event {
                // The state stays; what really executed still counts, also when it shows up after we gave up.
                E::Observed { id, status, executed, average } => {
                    let seen = self.observed(*id, *status, *executed, *average)?;
                    Ok(Self { state: self.state, ..seen })
                }
                E::ObservedLegs { id, status, legs } => {
                    let seen = self.observed_legs(*id, *status, legs)?;
                    Ok(Self { state: self.state, ..seen })
                }
                E::NotFound | E::GivenUp => Ok(self.clone()),
                E::Accepted(id) => match self.broker_order {
                    Some(bound) if bound != *id => Err(AttemptError::TwoOrders { bound, seen: *id }),
                    _ => Ok(Self { broker_order: Some(*id), ..self.clone() }),
                },
                E::Marked | E::Refused(_) | E::NotSent | E::AnswerLost => illegal(),
            },
        }
    }

    /// Takes in what the broker shows. Executed quantity only grows; an average is kept once known.
    fn observed(
        &self,
        id: BrokerOrderId,
        status: BrokerStatus,
        executed: u32,
        average: Option<Usd>,
    ) -> Result<Self, AttemptError> {
        use AttemptState as S;
        if let Some(bound) = self.broker_order.filter(|bound| *bound != id) {
            return Err(AttemptError::TwoOrders { bound, seen: id });
        }
        if executed > self.quantity {
            return Err(AttemptError::Overfilled { executed, quantity: self.quantity });
        }
        let said = executed;
        let executed = said.max(self.executed);
        let working = if executed > 0 { S::PartiallyFilled } else { S::Working };
        let state = match status {
            BrokerStatus::Filled => S::Filled,
            BrokerStatus::Canceled => S::Canceled,
            BrokerStatus::Expired => S::Expired,
            BrokerStatus::Rejected => S::Rejected,
            BrokerStatus::Pending | BrokerStatus::Open | BrokerStatus::PartiallyFilled => working,
            BrokerStatus::PendingCancel | BrokerStatus::Other => working,
        };
        // `filled` before its quantity is populated (TRADIER.md 13.1): all of it executed, the price comes later.
        let executed = if status == BrokerStatus::Filled { self.quantity } else { executed };
        // An average is of what had executed when it was said: more executed and no word of it, and there is none. A list
        // that lags says one of fewer; one without a quantity says it of all.
        let is_of_all = said == executed || (said == 0 && status == BrokerStatus::Filled);
        let is_same = executed == self.executed || crate::planted::is(crate::planted::Bug::AverageKept);
        let average = average.filter(|_| is_of_all).or(self.average.filter(|_| is_same));
        Ok(Self { state, broker_order: Some(id), executed, average, ..self.clone() })
    }

    /// Takes in what the broker shows of an order on a structure. Each leg is held to what a single order is; the status
    /// is the order's.
    fn observed_legs(
        &self,
        id: BrokerOrderId,
        status: BrokerStatus,
        seen: &[LegSeen],
    ) -> Result<Self, AttemptError> {
        let other = || AttemptError::OtherLegs(id);
        let combo = self.combo.as_ref().ok_or_else(other)?;
        if seen.len() != combo.legs.len() {
            return Err(other());
        }
        let mut after = combo.clone();
        let mut anything = 0u32;
        let mut state = self.state;
        for leg in &mut after.legs {
            let shown = seen.iter().find(|it| it.series == leg.series).ok_or_else(other)?;
            let single = Self {
                quantity: leg.ratio.saturating_mul(self.quantity),
                executed: leg.executed,
                average: leg.average,
                combo: None,
                ..self.clone()
            };
            let single = single.observed(id, status, shown.executed, shown.average)?;
            (leg.executed, leg.average) = (single.executed, single.average);
            anything = anything.saturating_add(leg.executed);
            state = single.state;
        }
        if matches!(state, AttemptState::Working | AttemptState::PartiallyFilled) {
            state = if anything > 0 { AttemptState::PartiallyFilled } else { AttemptState::Working };
        }
        let executed = after.whole_units();
        Ok(Self { state, broker_order: Some(id), executed, combo: Some(after), ..self.clone() })
    }
}

/// Proof that an attempt's row was committed as `submitting`: which row, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The tag its order will carry.
    pub tag: OrderTag,
    /// Market time of the commit. Entries may leave for two seconds after it.
    pub at: UtcNanos,
    /// The intent's version after it.
    pub version: i64,
}

/// A single-leg limit order that may be sent. Long only: there is no way to write one that sells to open.
#[derive(Debug)]
pub struct Ticket {
    tag: OrderTag,
    series: OccSymbol,
    quantity: u32,
    price: Price,
    purpose: TicketPurpose,
}

/// What a ticket does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketPurpose {
    /// Buys to open; refused by the adapter more than two seconds after its mark.
    BuyToOpen {
        /// When its row was committed.
        marked_at: UtcNanos,
    },
    /// Sells to close.
    SellToClose,
    /// Buys a short leg of a structure back.
    BuyToClose,
}

impl Ticket {
    /// A ticket to buy what was approved, at `price`, never above the intent's bound.
    pub fn buy_to_open(approved: &Approved<OpeningIntent>, mark: &Mark, quantity: u32, price: Price) -> Self {
        let intent = approved.get();
        Self {
            tag: mark.tag,
            series: intent.head.series,
            quantity: quantity.min(intent.quantity),
            price: price.min(intent.worst),
            purpose: TicketPurpose::BuyToOpen { marked_at: mark.at },
        }
    }

    /// A ticket to sell what is held.
    pub const fn sell_to_close(
        approved: &Approved<CloseBound>,
        mark: &Mark,
        series: OccSymbol,
        price: Price,
    ) -> Self {
        Self {
            tag: mark.tag,
            series,
            quantity: approved.get().quantity(),
            price,
            purpose: TicketPurpose::SellToClose,
        }
    }

    /// A ticket to close one leg of a structure on its own.
    pub const fn close_leg(close: &LegClose, mark: &Mark, price: Price) -> Self {
        let purpose = match close.side() {
            LegSide::BuyToClose | LegSide::BuyToOpen => TicketPurpose::BuyToClose,
            LegSide::SellToClose | LegSide::SellToOpen => TicketPurpose::SellToClose,
        };
        Self { tag: mark.tag, series: close.series(), quantity: close.contracts(), price, purpose }
    }

    /// The tag it carries.
    pub const fn tag(&self) -> OrderTag {
        self.tag
    }

    /// The series.
    pub const fn series(&self) -> OccSymbol {
        self.series
    }

    /// Contracts.
    pub const fn quantity(&self) -> u32 {
        self.quantity
    }

    /// The limit.
    pub const fn price(&self) -> Price {
        self.price
    }

    /// What it does.
    pub const fn purpose(&self) -> TicketPurpose {
        self.purpose
    }

    /// Buy or sell.
    pub const fn side(&self) -> Side {
        match self.purpose {
            TicketPurpose::BuyToOpen { .. } | TicketPurpose::BuyToClose => Side::Buy,
            TicketPurpose::SellToClose => Side::Sell,
        }
    }

    /// Whether it opens.
    pub const fn opens(&self) -> bool {
        matches!(self.purpose, TicketPurpose::BuyToOpen { .. })
    }
}

#[cfg(test)]
mod tests;
