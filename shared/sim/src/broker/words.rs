//! The words orders are described with, as Tradier spells them.

use domain::money::{Price, Side};
use serde::{Deserialize, Serialize};

/// What a leg does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Buys shares.
    Buy,
    /// Sells shares that are held.
    Sell,
    /// Sells shares that are borrowed.
    SellShort,
    /// Buys back borrowed shares.
    BuyToCover,
}

impl LegSide {
    /// Reads Tradier's word.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "buy_to_open" => Self::BuyToOpen,
            "buy_to_close" => Self::BuyToClose,
            "sell_to_open" => Self::SellToOpen,
            "sell_to_close" => Self::SellToClose,
            "buy" => Self::Buy,
            "sell" => Self::Sell,
            "sell_short" => Self::SellShort,
            "buy_to_cover" => Self::BuyToCover,
            _ => return None,
        })
    }

    /// Buy or sell.
    pub const fn side(self) -> Side {
        match self {
            Self::BuyToOpen | Self::BuyToClose | Self::Buy | Self::BuyToCover => Side::Buy,
            Self::SellToOpen | Self::SellToClose | Self::Sell | Self::SellShort => Side::Sell,
        }
    }

    /// Whether it opens.
    pub const fn opens(self) -> bool {
        matches!(self, Self::BuyToOpen | Self::SellToOpen | Self::Buy | Self::SellShort)
    }

    /// Whether it is for shares.
    pub const fn of_shares(self) -> bool {
        matches!(self, Self::Buy | Self::Sell | Self::SellShort | Self::BuyToCover)
    }

    /// Tradier's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuyToOpen => "buy_to_open",
            Self::BuyToClose => "buy_to_close",
            Self::SellToOpen => "sell_to_open",
            Self::SellToClose => "sell_to_close",
            Self::Buy => "buy",
            Self::Sell => "sell",
            Self::SellShort => "sell_short",
            Self::BuyToCover => "buy_to_cover",
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

/// What an order is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderClass {
    /// Shares.
    Equity,
    /// One option.
    Option,
    /// Two to four options, executed in ratio.
    Multileg,
    /// Shares and options, executed in ratio.
    Combo,
    /// Two orders, the second of which waits for the first to execute.
    Oto,
    /// Two orders, the execution of one of which ends the other.
    Oco,
    /// An order whose execution sends two that exclude each other.
    Otoco,
}

impl OrderClass {
    /// Reads Tradier's word.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "equity" => Self::Equity,
            "option" => Self::Option,
            "multileg" => Self::Multileg,
            "combo" => Self::Combo,
            "oto" => Self::Oto,
            "oco" => Self::Oco,
            "otoco" => Self::Otoco,
            _ => return None,
        })
    }

    /// Tradier's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equity => "equity",
            Self::Option => "option",
            Self::Multileg => "multileg",
            Self::Combo => "combo",
            Self::Oto => "oto",
            Self::Oco => "oco",
            Self::Otoco => "otoco",
        }
    }

    /// Whether it stands for orders of their own instead of trading itself.
    pub const fn brackets(self) -> bool {
        matches!(self, Self::Oto | Self::Oco | Self::Otoco)
    }

    /// Whether it has one leg.
    pub const fn single(self) -> bool {
        matches!(self, Self::Equity | Self::Option)
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
    /// Before the open, shares alone.
    Pre,
    /// After the close, shares alone.
    Post,
}

impl Lifetime {
    /// Tradier's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Gtc => "gtc",
            Self::Pre => "pre",
            Self::Post => "post",
        }
    }
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for another order of its bracket.
    Held,
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
            Self::Held => "held",
            Self::Pending => "pending",
            Self::Open => "open",
            Self::PartiallyFilled => "partially_filled",
            Self::Filled => "filled",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
        }
    }

    /// Whether it is at the market.
    pub const fn is_working(self) -> bool {
        matches!(self, Self::Open | Self::PartiallyFilled)
    }

    /// Whether it never changes again.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Filled | Self::Canceled | Self::Expired | Self::Rejected)
    }
}

/// What a change sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How it is priced.
    pub kind: OrderType,
    /// How long it works.
    pub lifetime: Lifetime,
    /// The limit, or the net price's magnitude.
    pub price: Option<Price>,
    /// The stop.
    pub stop: Option<Price>,
}
