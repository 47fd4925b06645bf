//! The queues of a run: SQS by its protocol, in hand until the market's clock says otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use domain::ports::{Message, Queue, SendError, Sender};
use lambda_kit::queue::SqsSender;
use world::parts::{Delivery, Mailboxes};

use crate::aws::QueuePair;

/// The most SQS hands out at once.
const BATCH_MAX: i32 = 10;
/// A message in hand stays hidden this long on the wall: the day gives it back itself, in market time.
const HIDDEN_S: i32 = 43_200;
/// Batches taken from a queue in one go.
const BATCHES_MAX: u32 = 1_000;

/// Queues through the AWS SDK.
#[derive(Debug)]
pub(crate) struct SqsMail {
    client: Client,
    queues: BTreeMap<Queue, QueuePair>,
    sender: SqsSender,
}

impl SqsMail {
    pub(crate) fn new(client: Client, queues: BTreeMap<Queue, QueuePair>) -> Self {
        let urls = queues.iter().map(|(queue, pair)| (*queue, pair.url.clone())).collect();
        Self { sender: SqsSender::new(client.clone(), urls), client, queues }
    }

    /// Where each queue is.
    pub(crate) fn urls(&self) -> impl Iterator<Item = (Queue, &str)> {
        self.queues.iter().map(|(queue, pair)| (*queue, pair.url.as_str()))
    }

    fn pair(&self, queue: Queue) -> Result<&QueuePair, SendError> {
        self.queues.get(&queue).ok_or_else(|| failed(queue, "it was not created"))
    }
}

fn failed(queue: Queue, why: impl ToString) -> SendError {
    SendError { queue: queue.as_str(), why: why.to_string() }
}

impl Sender for SqsMail {
    async fn send(&self, queue: Queue, message: &Message, delay: Duration) -> Result<(), SendError> {
        self.sender.send(queue, message, delay).await
    }
}

impl Mailboxes for SqsMail {
    async fn receive(&self, queue: Queue) -> Result<Vec<Delivery>, SendError> {
        let mut taken = Vec::new();
        for _ in 0..BATCHES_MAX {
            let answer = self
                .client
                .receive_message()
                .queue_url(&self.pair(queue)?.url)
                .max_number_of_messages(BATCH_MAX)
                .visibility_timeout(HIDDEN_S)
                .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
                .send()
                .await
                .map_err(|it| failed(queue, it))?;
            let messages = answer.messages.unwrap_or_default();
            let last = messages.len() < usize::try_from(BATCH_MAX).unwrap_or(0);
            for message in messages {
                let count = message.attributes.as_ref();
                let count = count.and_then(|it| it.get(&MessageSystemAttributeName::ApproximateReceiveCount));
                taken.push(Delivery {
                    receives: count.and_then(|it| it.parse().ok()).unwrap_or(1),
                    id: message.message_id.ok_or_else(|| failed(queue, "a message without an id"))?,
                    receipt: message
                        .receipt_handle
                        .ok_or_else(|| failed(queue, "a message without a receipt"))?,
                    body: message.body.unwrap_or_default(),
                });
            }
            if last {
                break;
            }
        }
        Ok(taken)
    }

    async fn delete(&self, queue: Queue, delivery: &Delivery) -> Result<(), SendError> {
        let url = &self.pair(queue)?.url;
        let sent = self.client.delete_message().queue_url(url).receipt_handle(&delivery.receipt).send().await;
        sent.map(drop).map_err(|it| failed(queue, it))
    }

    async fn give_back(&self, queue: Queue, delivery: &Delivery) -> Result<(), SendError> {
        let request = self.client.change_message_visibility().queue_url(&self.pair(queue)?.url);
        let sent = request.receipt_handle(&delivery.receipt).visibility_timeout(0).send().await;
        sent.map(drop).map_err(|it| failed(queue, it))
    }

    async fn bury(&self, queue: Queue, delivery: &Delivery) -> Result<(), SendError> {
        let pair = self.pair(queue)?;
        let request = self.client.send_message().queue_url(&pair.dead_letters);
        request.message_body(&delivery.body).send().await.map_err(|it| failed(queue, it))?;
        self.delete(queue, delivery).await
    }
}
