//! Orders as the broker keeps them.

use domain::money::{Price, Side, Usd};
use domain::symbol::{OccSymbol, Underlying};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

/// What a leg does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegSide {
    /// Buys a new long.
    BuyToOpen,
    /// Buys back a short.
    BuyToClose,
    /// Sells a new short.
    SellToOpen,
    /// Sells a long.
    SellToClose,
}

impl LegSide {
    /// Reads Tradier's word.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "buy_to_open" => Self::BuyToOpen,
            "buy_to_close" => Self::BuyToClose,
            "sell_to_open" => Self::SellToOpen,
            "sell_to_close" => Self::SellToClose,
            _ => return None,
        })
    }

    /// Buy or sell.
    pub const fn side(self) -> Side {
        match self {
            Self::BuyToOpen | Self::BuyToClose => Side::Buy,
            Self::SellToOpen | Self::SellToClose => Side::Sell,
        }
    }

    /// Whether it opens.
    pub const fn opens(self) -> bool {
        matches!(self, Self::BuyToOpen | Self::SellToOpen)
    }

    /// Tradier's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuyToOpen => "buy_to_open",
            Self::BuyToClose => "buy_to_close",
            Self::SellToOpen => "sell_to_open",
            Self::SellToClose => "sell_to_close",
        }
    }
}

/// How an order is priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderType {
    /// At the touch.
    Market,
    /// At a price or better.
    Limit,
    /// At the touch, once the quote reached the stop.
    Stop,
    /// At a price or better, once the quote reached the stop.
    StopLimit,
    /// Several legs for at most a net payment.
    Debit,
    /// Several legs for at least a net receipt.
    Credit,
    /// Several legs for nothing.
    Even,
}

impl OrderType {
    /// Reads Tradier's word.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "market" => Self::Market,
            "limit" => Self::Limit,
            "stop" => Self::Stop,
            "stop_limit" => Self::StopLimit,
            "debit" => Self::Debit,
            "credit" => Self::Credit,
            "even" => Self::Even,
            _ => return None,
        })
    }

    /// Tradier's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::Limit => "limit",
            Self::Stop => "stop",
            Self::StopLimit => "stop_limit",
            Self::Debit => "debit",
            Self::Credit => "credit",
            Self::Even => "even",
        }
    }

    /// Whether it carries a price.
    pub const fn priced(self) -> bool {
        matches!(self, Self::Limit | Self::StopLimit | Self::Debit | Self::Credit)
    }

    /// Whether it carries a stop.
    pub const fn stops(self) -> bool {
        matches!(self, Self::Stop | Self::StopLimit)
    }

    /// Whether it is for several legs alone. Market orders are for both.
    pub const fn net(self) -> bool {
        matches!(self, Self::Debit | Self::Credit | Self::Even)
    }
}

/// One leg or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderClass {
    /// One option.
    Option,
    /// Two to four options, executed in ratio.
    Multileg,
}

impl OrderClass {
    /// Tradier's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Option => "option",
            Self::Multileg => "multileg",
        }
    }
}

/// How long an order works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifetime {
    /// Until the end of its series' day.
    Day,
    /// Until canceled.
    Gtc,
}

impl Lifetime {
    /// Tradier's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Gtc => "gtc",
        }
    }
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Received, not at the market yet.
    Pending,
    /// Working.
    Open,
    /// Working, a part executed.
    PartiallyFilled,
    /// Executed whole.
    Filled,
    /// Ended by a cancel, also the broker's own at the close.
    Canceled,
    /// Ended by time.
    Expired,
    /// Refused after it was received.
    Rejected,
}

impl Status {
    /// Tradier's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Open => "open",
            Self::PartiallyFilled => "partially_filled",
            Self::Filled => "filled",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
        }
    }

    /// Whether it never changes again.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Filled | Self::Canceled | Self::Expired | Self::Rejected)
    }
}

/// One leg of an order; a single-leg order has one, with the order's own id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Its own order number.
    pub id: u64,
    /// The series.
    pub series: OccSymbol,
    /// What it does.
    pub side: LegSide,
    /// Contracts ordered.
    pub quantity: u32,
    /// Contracts executed.
    pub executed: u32,
    /// Premium per share, summed over the contracts executed.
    pub paid: Usd,
    /// Premium of the last execution.
    pub last_price: Price,
    /// Size of the last execution.
    pub last_quantity: u32,
}

impl Leg {
    /// Average premium per share; zero before the first execution, as the broker writes it.
    pub fn average(&self) -> Usd {
        self.paid.scaled(1, i64::from(self.executed))
    }

    /// Contracts not executed yet.
    pub const fn remaining(&self) -> u32 {
        self.quantity.saturating_sub(self.executed)
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its number.
    pub id: u64,
    /// The account it belongs to.
    pub account: String,
    /// One leg or several.
    pub class: OrderClass,
    /// How it is priced.
    pub kind: OrderType,
    /// How long it works.
    pub lifetime: Lifetime,
    /// The limit, or the net price's magnitude.
    pub price: Option<Price>,
    /// The stop.
    pub stop: Option<Price>,
    /// At least one leg.
    pub legs: Vec<Leg>,
    /// Whatever its sender called it.
    pub tag: Option<String>,
    /// Whether it came from elsewhere than the API.
    pub foreign: bool,
    /// Where it stands.
    pub status: Status,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// When it was received.
    pub created: UtcNanos,
    /// When it last changed.
    pub changed: UtcNanos,
    /// When it last executed.
    pub executed_at: Option<UtcNanos>,
    /// Not executable before this instant.
    pub ready_at: UtcNanos,
    /// Its place in time priority; a change of price takes a new one.
    pub place: u64,
    /// Whether its stop was reached.
    pub triggered: bool,
}

impl Order {
    /// Whether it may still execute.
    pub const fn is_live(&self) -> bool {
        !self.status.is_final()
    }

    /// What its legs are written on.
    pub fn underlying(&self) -> Option<Underlying> {
        self.legs.first().map(|leg| leg.series.underlying())
    }

    /// How many whole units it stands for: the greatest common divisor of its legs' quantities.
    pub fn units(&self) -> u32 {
        self.legs.iter().map(|leg| leg.quantity).fold(0, gcd).max(1)
    }

    /// Contracts of `leg` in one unit.
    pub fn ratio(&self, leg: &Leg) -> u32 {
        leg.quantity.checked_div(self.units()).unwrap_or(leg.quantity).max(1)
    }

    /// Units executed. Legs execute in ratio, so every leg gives the same answer.
    pub fn executed_units(&self) -> u32 {
        self.legs.first().map_or(0, |leg| leg.executed.checked_div(self.ratio(leg)).unwrap_or(0))
    }

    /// Average price of a unit per share, below zero where money was received; a single leg's plain average.
    pub fn average(&self) -> Usd {
        match (self.class, self.legs.first()) {
            (OrderClass::Option, Some(leg)) => leg.average(),
            _ => {
                let net: Usd = self.legs.iter().map(|leg| leg.paid.times(leg.side.side().sign())).sum();
                net.scaled(1, i64::from(self.executed_units()))
            }
        }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    let (mut a, mut b) = (a, b);
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}
