//! Hands outbox rows to their queues after the commit that wrote them.

use std::time::Duration;

use domain::ports::{HandleError, Ledger, Sender};
use domain::time::UtcNanos;

/// The longest delay a standard queue gives a message.
pub const DELAY_MAX: Duration = Duration::from_secs(900);
/// Rows sent in one go.
const ROWS_MAX: u32 = 100;

/// Sends what is due before `now + ahead`, with the rest of its wait as the queue's delay, and notes that it was sent.
///
/// Two relays may send the same row: whatever is delivered twice has one effect. Rows that could not be sent stay for the
/// sweep.
///
/// # Errors
/// [`HandleError::Again`] when the ledger or a queue did not answer.
pub async fn relay<L: Ledger, S: Sender>(
    ledger: &L,
    sender: &S,
    now: UtcNanos,
    ahead: Duration,
) -> Result<usize, HandleError> {
    let rows = ledger.due_outbox(now.plus(ahead), ROWS_MAX).await?;
    let mut sent = Vec::with_capacity(rows.len());
    let mut failed = None;
    for row in rows {
        match sender.send(row.queue, &row.message, row.due_at.since(now)).await {
            // One queue that does not answer holds up no other.
            Err(error) => failed = Some(error),
            Ok(()) => sent.push(row.id),
        }
    }
    if !sent.is_empty() {
        ledger.mark_sent(&sent, now).await?;
    }
    match failed {
        Some(error) => Err(HandleError::Again(error.to_string())),
        None => Ok(sent.len()),
    }
}
