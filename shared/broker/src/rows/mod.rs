//! Bodies of the broker's answers, turned into our words: one function for each kind of answer.
//!
//! Every field is optional and of any type until somebody needs it: a row must survive new fields, new words and
//! fields that go missing, and a foreign order of a class we never trade must not hide our own. None of these
//! functions panics, whatever it is given, and none keeps more than a few times the body.

mod account;
mod activity;
mod chain;
mod listing;
mod orders;
mod preview;
mod quotes;
mod session;
mod times;

pub use crate::json::Unreadable;
pub use crate::reply::answer;
pub use account::{Profile, ProfileAccount, balances, positions, profile};
pub use activity::{AccountEvent, ClosedPosition, gain_loss, history};
pub use chain::{GreekRow, Greeks, chain, chain_with_greeks};
pub use listing::{Bar, Expiration, SaleBar, bars, expirations, lookup, sales, strikes};
pub use orders::{
    DetailLeg, OrderClass, OrderDetail, OrderKind, TimeInForce, order, order_detail, order_details, orders,
};
pub use preview::{Preview, preview};
pub use quotes::{OptionFacts, QuoteKind, Quotes, SymbolQuote, market, quotes, symbol_quotes};
pub use session::{StreamSession, stream_session};
pub use times::{CalendarDay, CalendarMonth, DayHours, MarketClock, MarketState, calendar, clock};
