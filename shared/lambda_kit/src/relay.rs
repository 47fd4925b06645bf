//! Hands outbox rows to their queues after the commit that wrote them.

use std::time::Duration;

use domain::planted::{self, Bug};
use domain::ports::{HandleError, Ledger, Sender};
use domain::time::UtcNanos;

/// The longest delay a standard queue gives a message.
pub const DELAY_MAX: Duration = Duration::from_secs(900);
/// Rows sent in one go.
const ROWS_MAX: u32 = 100;
/// Rows that are noted together. A relay that dies sends at most so many a second time, and what it sent before stays sent:
/// messages that are early would otherwise multiply by every relay that does not come to its end.
const NOTED_TOGETHER: usize = 2;

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
    let (mut sent, mut noted) = (Vec::with_capacity(NOTED_TOGETHER), 0_usize);
    let mut failed = None;
    for row in rows {
        match sender.send(row.queue, &row.message, row.due_at.since(now)).await {
            // A row that was not sent is not noted as sent, and one queue that does not answer holds up no other.
            Err(error) if !planted::is(Bug::OutboxLost) => failed = Some(error),
            Ok(()) | Err(_) => sent.push(row.id),
        }
        if sent.len() >= NOTED_TOGETHER {
            ledger.mark_sent(&sent, now).await?;
            noted = noted.saturating_add(sent.len());
            sent.clear();
        }
    }
    if !sent.is_empty() {
        ledger.mark_sent(&sent, now).await?;
        noted = noted.saturating_add(sent.len());
    }
    match failed {
        Some(error) => Err(HandleError::Again(error.to_string())),
        None => Ok(noted),
    }
}
