//! Frames of a broker's account stream become rows of orders to be asked for.

use broker::stream::account_frame;
use domain::account::AccountRef;
use domain::ports::{Ledger, LedgerError};
use domain::time::UtcNanos;

pub use broker::stream::AccountFrame as Frame;

/// Takes a frame of an account's stream: each order it speaks of is written down to be polled.
///
/// # Errors
/// [`LedgerError`] where the ledger did not answer; the frame can be taken again.
pub async fn on_broker_frame(
    ledger: &impl Ledger,
    account: &AccountRef,
    text: &str,
    at: UtcNanos,
) -> Result<Frame, LedgerError> {
    let frame = account_frame(text);
    for order in &frame.orders {
        ledger.record_broker_event(account, *order, at).await?;
    }
    if frame.unknown > 0 {
        tracing::warn!(account = %account.account, lines = frame.unknown, "account stream: unknown lines passed over");
    }
    Ok(frame)
}
