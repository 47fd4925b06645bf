//! Event streams of accounts and of the market (TRADIER.md section 16): what frames say, and what to do next.
//!
//! [`StreamPlan`] decides: it is told what happened and when, and says what to do. It owns no socket and no clock, so
//! every failure can be tried. A socket follows it in `socket`, behind the feature `streams`.
//!
//! A stream only wakes its listener. What was sent while nobody was connected is not sent again, so after every connect
//! the plan says what gap there was, and the caller reads what it missed.

mod account;
mod market;
mod plan;
#[cfg(feature = "streams")]
pub mod socket;
mod waits;

pub use account::{AccountFrame, account_frame};
pub use market::{
    MarketFrame, MarketItem, StreamQuote, StreamSale, StreamSummary, StreamTrade, market_frame,
};
pub use plan::{Ended, Gap, Next, StreamLimits, StreamPlan, Subscription};
pub use waits::Waits;

/// What a stream tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    /// Orders of an account.
    Account,
    /// Quotes and trades.
    Market,
}
