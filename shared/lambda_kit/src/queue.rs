//! Sending to queues: the `Sender` port over SQS.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use domain::ports::{Message, OutboxRow, Queue, SendError, Sender};
use domain::time::UtcNanos;

/// The longest delay SQS knows. What is due later stays in the outbox until then.
pub const DELAY_MAX: Duration = Duration::from_secs(900);
/// How many messages one request carries.
const BATCH_MAX: usize = 10;

/// Hands messages to SQS queues by their addresses.
///
/// The client should not retry by itself: a message that is not known to have arrived stays in the outbox and is sent
/// again from there, and whatever arrives twice has one effect.
#[derive(Debug, Clone)]
pub struct SqsSender {
    client: Client,
    urls: BTreeMap<Queue, String>,
}

/// What came of sending outbox rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Relayed {
    /// The rows whose queue confirmed them; they may be marked as sent.
    pub sent: Vec<i64>,
    /// The others, to be sent again.
    pub failed: Vec<(i64, SendError)>,
}

impl SqsSender {
    /// A sender to the queues at `urls`.
    pub const fn new(client: Client, urls: BTreeMap<Queue, String>) -> Self {
        Self { client, urls }
    }

    /// Sends rows, ten to a request, each with the delay that is left until it is due. Rows due later than the longest
    /// delay are left out of the answer: they are not due for sending.
    pub async fn relay(&self, rows: &[OutboxRow], now: UtcNanos) -> Relayed {
        let mut relayed = Relayed::default();
        for queue in Queue::ALL {
            let due = |it: &&OutboxRow| it.queue == queue && it.due_at.since(now) <= DELAY_MAX;
            let rows: Vec<&OutboxRow> = rows.iter().filter(due).collect();
            for batch in rows.chunks(BATCH_MAX) {
                self.send_batch(queue, batch, now, &mut relayed).await;
            }
        }
        relayed
    }

    async fn send_batch(&self, queue: Queue, rows: &[&OutboxRow], now: UtcNanos, relayed: &mut Relayed) {
        let error = |why: String| SendError { queue: queue.as_str(), why };
        let all_failed = |why: String| rows.iter().map(|it| (it.id, error(why.clone()))).collect::<Vec<_>>();
        let entries: Result<Vec<_>, _> = rows
            .iter()
            .map(|row| {
                SendMessageBatchRequestEntry::builder()
                    .id(row.id.to_string())
                    .delay_seconds(delay_seconds(row.due_at.since(now)))
                    .message_body(wire::message::encode(&row.message))
                    .build()
            })
            .collect();
        let (url, entries) = match (self.url(queue), entries) {
            (Ok(url), Ok(entries)) => (url, entries),
            (Err(why), _) => return relayed.failed.extend(all_failed(why)),
            (_, Err(why)) => return relayed.failed.extend(all_failed(why.to_string())),
        };
        let answer = self.client.send_message_batch().queue_url(url).set_entries(Some(entries)).send().await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => return relayed.failed.extend(all_failed(DisplayErrorContext(why).to_string())),
        };
        for row in rows {
            let id = row.id.to_string();
            // Only what the queue names as taken is sent; silence about a row is not.
            if answer.successful().iter().any(|it| it.id() == id) {
                relayed.sent.push(row.id);
            } else {
                let refusal = answer.failed().iter().find(|it| it.id() == id);
                let why =
                    refusal.and_then(|it| it.message()).unwrap_or("the queue did not confirm the message");
                relayed.failed.push((row.id, error(why.to_owned())));
            }
        }
    }

    fn url(&self, queue: Queue) -> Result<&str, String> {
        self.urls.get(&queue).map(String::as_str).ok_or_else(|| "its address is not configured".to_owned())
    }
}

impl Sender for SqsSender {
    async fn send(&self, queue: Queue, message: &Message, delay: Duration) -> Result<(), SendError> {
        let error = |why: String| SendError { queue: queue.as_str(), why };
        let request = self
            .client
            .send_message()
            .queue_url(self.url(queue).map_err(error)?)
            .delay_seconds(delay_seconds(delay))
            .message_body(wire::message::encode(message));
        request.send().await.map_err(|it| error(DisplayErrorContext(it).to_string()))?;
        Ok(())
    }
}

/// Whole seconds, rounded up so that nothing arrives early, cut to what SQS takes.
fn delay_seconds(delay: Duration) -> i32 {
    let whole = delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0));
    i32::try_from(whole.min(DELAY_MAX.as_secs())).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_never_shorter_than_asked_and_never_longer_than_the_queue_takes() {
        for (delay, seconds) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_secs(5), 5),
            (Duration::from_millis(5_001), 6),
            (Duration::from_secs(86_400), 900),
        ] {
            assert_eq!(delay_seconds(delay), seconds, "{delay:?}");
        }
    }
}
