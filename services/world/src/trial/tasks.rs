//! Use cases at work: each a future of its own, polled by hand.

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use control::Control;
use domain::chain::{ChainRow, ChainSnapshot};
use domain::kill::{KillScope, KillState};
use domain::market::Points;
use domain::ports::{Ledger, LedgerError, NewIntent, Queue};
use domain::setup::TransitionRecord;
use domain::symbol::Underlying;
use ingester::account_stream;
use lambda_kit::relay;

use super::parts::TrialParts;
use crate::parts::{AccountFrame, Delivery, Parts};
use crate::schedule::Scheduled;
use crate::work;

/// What a task is for, and what becomes of it when it ends or dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A message of a queue.
    Letter(u64),
    /// A schedule.
    Schedule(Scheduled),
    /// A step of a planned setup.
    Setup { plan: usize, sequence: u32 },
    /// What a member decides on a structure.
    Decision { plan: usize, member: usize, sequence: u32 },
    /// A frame of an account stream.
    Frame,
    /// The outbox.
    Relay,
    /// The operator's hand.
    Control(Option<usize>, KillState),
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    Badly,
}

impl Ended {
    fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Well } else { Self::Badly }
    }
}

pub(super) type Work = Pin<Box<dyn Future<Output = Ended>>>;

/// A use case at work.
pub(super) struct Task {
    pub(super) actor: &'static str,
    pub(super) purpose: Purpose,
    pub(super) skew_ns: i64,
    pub(super) work: Work,
}

/// The function that a queue feeds.
pub(super) const fn actor_of(queue: Queue) -> &'static str {
    match queue {
        Queue::Transitions => "transitions",
        Queue::Entries | Queue::Exits | Queue::BrokerEvents => "orders",
        Queue::Flatten => "flatten",
        Queue::Alerts => "alerts",
    }
}

pub(super) fn letter(parts: &Rc<TrialParts>, queue: Queue, delivery: Delivery, holder: String) -> Work {
    let parts = Rc::clone(parts);
    Box::pin(async move {
        match work::deliver(&*parts, &parts.sender, &holder, queue, &delivery).await {
            Ok(true) => Ended::Well,
            Ok(false) | Err(_) => Ended::Badly,
        }
    })
}

pub(super) fn scheduled(
    parts: &Rc<TrialParts>,
    what: Scheduled,
    close: Option<Points>,
    holder: String,
) -> Work {
    let parts = Rc::clone(parts);
    Box::pin(async move { Ended::of(&work::scheduled(&*parts, &parts.sender, &holder, what, close).await) })
}

pub(super) fn frame(parts: &Rc<TrialParts>, frame: AccountFrame) -> Work {
    let parts = Rc::clone(parts);
    Box::pin(async move {
        let at = parts.now();
        let AccountFrame { account, text } = frame;
        Ended::of(&account_stream::on_broker_frame(parts.ledger(), &account, &text, at).await)
    })
}

/// Hands due outbox rows to their queues, then notes that they were handed on.
pub(super) fn relay(parts: &Rc<TrialParts>) -> Work {
    let parts = Rc::clone(parts);
    Box::pin(async move {
        Ended::of(&relay::relay(parts.ledger(), &parts.sender, parts.now(), Duration::ZERO).await)
    })
}

/// What a step of a setup is written with: the chain where an intent can follow.
pub(super) struct Step {
    pub(super) record: TransitionRecord,
    pub(super) chain: Option<Vec<ChainRow>>,
}

/// The ingester writes a step.
pub(super) fn step(parts: &Rc<TrialParts>, step: Step) -> Work {
    let parts = Rc::clone(parts);
    Box::pin(async move {
        let written: Result<(), LedgerError> = async {
            let Step { mut record, chain } = step;
            if let Some(rows) = chain {
                let snapshot = ChainSnapshot {
                    underlying: Underlying::SPX,
                    spot: record.transition.price,
                    ts: record.transition.ts,
                    rows,
                };
                record.chain = Some(parts.ledger().store_chain(&snapshot).await?);
            }
            parts.ledger().record_transition(&record, parts.now()).await?;
            Ok(())
        }
        .await;
        Ended::of(&written)
    })
}

/// A decision on a structure is recorded, as every strategy does.
pub(super) fn decide(parts: &Rc<TrialParts>, new: NewIntent) -> Work {
    let parts = Rc::clone(parts);
    Box::pin(async move { Ended::of(&parts.ledger().record_intent(&new).await) })
}

/// The operator flips the switch.
pub(super) fn flip(parts: &Rc<TrialParts>, scope: KillScope, state: KillState) -> Work {
    let parts = Rc::clone(parts);
    Box::pin(async move {
        let function = Control { ledger: parts.ledger(), clock: parts.clock() };
        Ended::of(&function.flip(scope, state, "operator", "drill").await)
    })
}
