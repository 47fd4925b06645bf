//! A queue's messages as invocations of its function, as Lambda's event source mapping makes them.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use bytes::Bytes;
use domain::ports::Queue;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::aws::{QUEUE_PREFIX, REGION};
use crate::runtime_api::{Function, told};

/// How long a poll waits for a message.
const POLL_S: i32 = 10;
/// How long a function may take: as in `infra/template.yaml`.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The wait after a queue that did not answer.
const RETRY: Duration = Duration::from_secs(1);

/// One poller of one queue, with a process of its function to itself.
pub(super) struct Mapping {
    pub(super) client: Client,
    pub(super) queue: Queue,
    pub(super) url: String,
    pub(super) function: Rc<Function>,
}

/// The most messages of one invocation: as in `infra/template.yaml`. Orders come one at a time, so that none waits for
/// another's broker.
const fn batch_size(queue: Queue) -> i32 {
    match queue {
        Queue::Transitions | Queue::BrokerEvents | Queue::Alerts => 10,
        Queue::Entries | Queue::Exits | Queue::Flatten => 1,
    }
}

impl Mapping {
    /// Polls until told to stop. What is in hand then is finished.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            let polled = self
                .client
                .receive_message()
                .queue_url(&self.url)
                .max_number_of_messages(batch_size(self.queue))
                .wait_time_seconds(POLL_S)
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .send();
            let polled = tokio::select! { polled = polled => polled, () = told(&mut stop) => return };
            match polled {
                Ok(answer) => self.work(&answer.messages.unwrap_or_default()).await,
                Err(error) => {
                    let why = DisplayErrorContext(error).to_string();
                    tracing::warn!(queue = self.queue.as_str(), "a queue does not answer: {why}");
                    tokio::select! { () = tokio::time::sleep(RETRY) => {}, () = told(&mut stop) => return }
                }
            }
        }
    }

    /// One invocation. Messages that were worked are deleted; the others show again when their time is over.
    async fn work(&self, messages: &[Message]) {
        if messages.is_empty() {
            return;
        }
        let event = event(self.queue, messages);
        let ids = messages.iter().filter_map(Message::message_id).map(str::to_owned).collect();
        let failed = match self.function.invoke(Bytes::from(event.to_string()), TIMEOUT).await {
            Ok(answer) => failures(&answer, &ids),
            Err(error) => {
                tracing::warn!(function = self.function.name(), "an invocation failed: {error}");
                ids
            }
        };
        let done = messages.iter().enumerate().filter_map(|(n, it)| {
            let (id, receipt) = (it.message_id()?, it.receipt_handle()?);
            if failed.contains(id) {
                return None;
            }
            DeleteMessageBatchRequestEntry::builder().id(n.to_string()).receipt_handle(receipt).build().ok()
        });
        let done: Vec<_> = done.collect();
        if done.is_empty() {
            return;
        }
        let sent =
            self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(done)).send().await;
        if let Err(error) = sent {
            // They come again, and have no second effect.
            let why = DisplayErrorContext(error).to_string();
            tracing::warn!(queue = self.queue.as_str(), "worked messages were not deleted: {why}");
        }
    }
}

/// The event of a batch. Source: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS".
fn event(queue: Queue, messages: &[Message]) -> Value {
    let record = |it: &Message| {
        let attributes: Map<String, Value> = it
            .attributes()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str().to_owned(), Value::from(value.as_str())))
            .collect();
        json!({
            "messageId": it.message_id(),
            "receiptHandle": it.receipt_handle(),
            "body": it.body().unwrap_or_default(),
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": it.md5_of_body(),
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:{REGION}:000000000000:{QUEUE_PREFIX}{}", queue.as_str()),
            "awsRegion": REGION,
        })
    };
    json!({ "Records": messages.iter().map(record).collect::<Vec<_>>() })
}

/// The messages that an answer reports as failed. An answer that names none of ours, or cannot be read, fails the batch.
/// Source: AWS Lambda Developer Guide, "Implementing partial batch responses".
fn failures(answer: &[u8], ids: &BTreeSet<String>) -> BTreeSet<String> {
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return ids.clone() };
    let items = match answer.get("batchItemFailures") {
        None | Some(Value::Null) => return BTreeSet::new(),
        Some(Value::Array(items)) => items,
        Some(_) => return ids.clone(),
    };
    let named: Option<BTreeSet<String>> = items
        .iter()
        .map(|it| it.get("itemIdentifier").and_then(Value::as_str).map(str::to_owned))
        .map(|it| it.filter(|id| ids.contains(id)))
        .collect();
    named.unwrap_or_else(|| ids.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_fails_the_messages_it_names_and_a_wrong_one_fails_all() {
        let ids: BTreeSet<String> = ["a", "b"].map(str::to_owned).into();
        let failed =
            |answer: &str| failures(answer.as_bytes(), &ids).into_iter().collect::<Vec<_>>().join("");
        for (answer, expected) in [
            ("null", ""),
            ("{}", ""),
            (r#"{"batchItemFailures":null}"#, ""),
            (r#"{"batchItemFailures":[]}"#, ""),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, "b"),
            (r#"{"batchItemFailures":[{"itemIdentifier":"c"}]}"#, "ab"),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, "ab"),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, "ab"),
            (r#"{"batchItemFailures":"b"}"#, "ab"),
            ("not json", "ab"),
        ] {
            assert_eq!(failed(answer), expected, "{answer}");
        }
    }

    #[test]
    fn an_event_names_its_queue_and_brings_what_was_counted() {
        let count = MessageSystemAttributeName::ApproximateReceiveCount;
        let message =
            Message::builder().message_id("m").receipt_handle("r").body("{}").attributes(count, "2").build();
        let event = event(Queue::Exits, &[message]);
        let record = &event["Records"][0];
        assert_eq!(record["eventSourceARN"], "arn:aws:sqs:us-east-1:000000000000:claxton-exits");
        assert_eq!(record["attributes"]["ApproximateReceiveCount"], "2");
        assert_eq!((record["messageId"].as_str(), record["body"].as_str()), (Some("m"), Some("{}")));
    }
}
