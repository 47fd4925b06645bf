//! SQS batches: each record on its own, failures reported singly, poison kept with its reason.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use domain::ports::{Clock, DeadLetter, HandleError, Ledger, Message, Queue};
use wire::message::decode;

/// Works a batch record by record; the failed ones go back to the queue, the others are done.
///
/// A record that can never be worked is kept in the ledger with its reason, an alert is written, and it is reported as failed:
/// the queue's redrive policy moves it to the dead-letter queue, where the alarm sees it.
/// Source: AWS Lambda Developer Guide, "Handling errors for an SQS event source"; needs `ReportBatchItemFailures`.
///
/// # Errors
/// A record without a message id cannot be reported singly, so it fails the batch.
pub async fn batch<L: Ledger, C: Clock>(
    event: SqsEvent,
    ledger: &L,
    clock: &C,
    mut handle: impl AsyncFnMut(&Message) -> Result<(), HandleError>,
) -> anyhow::Result<SqsBatchResponse> {
    let mut response = SqsBatchResponse::default();
    for record in event.records {
        let id = record.message_id.ok_or_else(|| anyhow::anyhow!("SQS record without messageId"))?;
        let queue = queue_of(record.event_source_arn.as_deref());
        let worked = match decode(record.body.as_deref().unwrap_or_default()) {
            Ok(message) => handle(&message).await,
            Err(error) => Err(HandleError::Poison(error.to_string())),
        };
        match worked {
            Ok(()) => {}
            Err(HandleError::Again(reason)) => {
                tracing::warn!(message.id = %id, queue, reason, "message {id} goes back to {queue}: {reason}");
                response.add_failure(id);
            }
            Err(HandleError::Poison(reason)) => {
                tracing::error!(message.id = %id, queue, reason, "message {id} of {queue} cannot be worked: {reason}");
                bury(ledger, clock, &queue, &id, &reason).await;
                response.add_failure(id);
            }
        }
    }
    Ok(response)
}

/// Keeps a poison message and writes its alert. When the ledger does not answer the queue's own dead letters remain.
async fn bury<L: Ledger, C: Clock>(ledger: &L, clock: &C, queue: &str, id: &str, reason: &str) {
    let at = clock.now();
    let letter =
        DeadLetter { queue: queue.to_owned(), message_id: id.to_owned(), reason: reason.to_owned(), at };
    let alert = Message::Alert {
        key: format!("dead_letter:{queue}:{id}"),
        level: "critical".to_owned(),
        text: format!("message {id} of queue {queue} cannot be worked: {reason}"),
    };
    let kept = match ledger.record_dead_letter(&letter).await {
        Ok(()) => ledger.send_later(Queue::Alerts, &alert, at).await,
        Err(error) => Err(error),
    };
    if let Err(error) = kept {
        tracing::error!(message.id = %id, "dead letter {id} could not be kept: {error}");
    }
}

/// The queue's name, the last part of its ARN.
fn queue_of(arn: Option<&str>) -> String {
    arn.and_then(|it| it.rsplit(':').next()).unwrap_or("unknown").to_owned()
}
