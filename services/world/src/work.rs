//! Runs one function on one message or schedule, as its `main.rs` would.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use domain::market::Points;
use domain::ports::{Clock, HandleError, Message, Queue, SendError, Sender};
use domain::time::UtcNanos;
use engine::report::DailyReport;
use flat_watch::FlatWatch;
use flatten::Flatten;
use lambda_kit::sqs::batch;
use orders::Orders;
use portfolio_sync::PortfolioSync;
use reconcile::Reconcile;
use report::Report;
use transitions::Transitions;

use crate::parts::{Delivery, Parts};
use crate::schedule::Scheduled;

/// Who holds leases in a day: one worker, one name.
pub(crate) const HOLDER: &str = "day";

/// The post between functions: counts what is on its way, and holds back what is not due, because a queue of the real
/// kind counts delays on the wall and not on the market.
#[derive(Debug, Default)]
pub(crate) struct Post {
    sent: RefCell<BTreeMap<Queue, u64>>,
    held: RefCell<BTreeMap<(UtcNanos, u64), (Queue, Message)>>,
    next: RefCell<u64>,
    everywhere: Cell<bool>,
}

impl Post {
    /// One message more is in `queue`.
    pub(crate) fn note(&self, queue: Queue) {
        let mut sent = self.sent.borrow_mut();
        let count = sent.entry(queue).or_default();
        *count = count.saturating_add(1);
    }

    /// One message less is in `queue`.
    pub(crate) fn take(&self, queue: Queue) {
        let mut sent = self.sent.borrow_mut();
        let count = sent.entry(queue).or_default();
        *count = count.saturating_sub(1);
    }

    /// Others may have sent: every queue is looked into once.
    pub(crate) fn look_everywhere(&self) {
        self.everywhere.set(true);
    }

    /// Queues that hold something, exits first.
    pub(crate) fn waiting(&self) -> Vec<Queue> {
        let (sent, all) = (self.sent.borrow(), self.everywhere.take());
        Queue::ALL.into_iter().filter(|it| all || sent.get(it).is_some_and(|n| *n > 0)).collect()
    }

    /// When the first held message is due.
    pub(crate) fn next_due(&self) -> Option<UtcNanos> {
        self.held.borrow().keys().next().map(|it| it.0)
    }

    /// Takes the held messages due at `now`.
    pub(crate) fn due(&self, now: UtcNanos) -> Vec<(Queue, Message)> {
        let mut held = self.held.borrow_mut();
        let later = held.split_off(&(UtcNanos(now.0.saturating_add(1)), 0));
        std::mem::replace(&mut *held, later).into_values().collect()
    }

    fn hold(&self, due: UtcNanos, queue: Queue, message: &Message) {
        let mut next = self.next.borrow_mut();
        self.held.borrow_mut().insert((due, *next), (queue, message.clone()));
        *next = next.saturating_add(1);
    }
}

/// A function's way to the queues in a day.
#[derive(Debug)]
pub(crate) struct Counter<'a, P> {
    pub(crate) parts: &'a P,
    pub(crate) post: &'a Post,
}

impl<P: Parts> Sender for Counter<'_, P> {
    async fn send(&self, queue: Queue, message: &Message, delay: Duration) -> Result<(), SendError> {
        if delay > Duration::ZERO {
            self.post.hold(self.parts.clock().now().plus(delay), queue, message);
            return Ok(());
        }
        self.parts.mail().send(queue, message, Duration::ZERO).await?;
        self.post.note(queue);
        Ok(())
    }
}

/// Works one delivery through the function its queue feeds, as `holder`. `true` when it is done, `false` when it goes back.
pub(crate) async fn deliver<P: Parts, Q: Sender>(
    parts: &P,
    sender: &Q,
    holder: &str,
    queue: Queue,
    delivery: &Delivery,
) -> Result<bool, String> {
    let event = sqs_event(queue, delivery);
    let (ledger, clock) = (parts.ledger(), parts.clock());
    let response = match queue {
        Queue::Transitions => {
            let function = Transitions { ledger, clock, switches: parts.switches() };
            batch(event, ledger, clock, async |it: &Message| function.handle(it).await).await
        }
        Queue::Entries | Queue::Exits | Queue::BrokerEvents => {
            let function = Orders {
                ledger,
                brokers: parts.brokers(),
                clock,
                notes: parts.notes(),
                switches: parts.switches(),
                holder,
            };
            batch(event, ledger, clock, async |it: &Message| function.handle(it).await).await
        }
        Queue::Flatten => {
            let function = flatten(parts, sender, holder);
            batch(event, ledger, clock, async |it: &Message| function.handle(it).await).await
        }
        // Delivered to nobody yet: the ledger keeps them, and whoever runs the day reads them there.
        Queue::Alerts => Ok(SqsBatchResponse::default()),
    };
    let response = response.map_err(|it| format!("{it:#}"))?;
    Ok(response.batch_item_failures.is_empty())
}

/// Runs a scheduled function. The report is handed back.
pub(crate) async fn scheduled<P: Parts, Q: Sender>(
    parts: &P,
    sender: &Q,
    holder: &str,
    what: Scheduled,
    official_close: Option<Points>,
) -> Result<Option<DailyReport>, HandleError> {
    let (ledger, brokers, clock, switches) =
        (parts.ledger(), parts.brokers(), parts.clock(), parts.switches());
    match what {
        Scheduled::PortfolioSync => {
            PortfolioSync { ledger, brokers, clock, switches }.run().await?;
        }
        Scheduled::Reconcile => {
            Reconcile { ledger, brokers, clock, switches }.run(official_close).await?;
        }
        Scheduled::Flatten => {
            flatten(parts, sender, holder).start().await?;
        }
        Scheduled::FlatWatch => {
            let (secrets, notes) = (parts.secrets(), parts.notes());
            FlatWatch { secrets, brokers, notes, sender, clock, switches }.run().await?;
        }
        Scheduled::Report => return Report { ledger, clock }.run().await,
    }
    Ok(None)
}

type FlattenOf<'a, P, Q> = Flatten<
    'a,
    <P as Parts>::Ledger,
    <P as Parts>::Brokers,
    <P as Parts>::Clock,
    <P as Parts>::Notes,
    <P as Parts>::Secrets,
    Q,
>;

fn flatten<'a, P: Parts, Q: Sender>(parts: &'a P, sender: &'a Q, holder: &'a str) -> FlattenOf<'a, P, Q> {
    Flatten {
        ledger: parts.ledger(),
        brokers: parts.brokers(),
        clock: parts.clock(),
        notes: parts.notes(),
        secrets: parts.secrets(),
        sender,
        switches: parts.switches(),
        holder,
    }
}

/// A delivery as Lambda's event source hands it on: one record.
fn sqs_event(queue: Queue, delivery: &Delivery) -> SqsEvent {
    let mut record = SqsMessage::default();
    record.message_id = Some(delivery.id.clone());
    record.receipt_handle = Some(delivery.receipt.clone());
    record.body = Some(delivery.body.clone());
    record.event_source = Some("aws:sqs".to_owned());
    record.event_source_arn = Some(format!("arn:aws:sqs:us-east-1:000000000000:{}", queue.as_str()));
    record.attributes.insert("ApproximateReceiveCount".to_owned(), delivery.receives.to_string());
    let mut event = SqsEvent::default();
    event.records = vec![record];
    event
}
