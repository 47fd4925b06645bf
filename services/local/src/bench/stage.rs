//! The parts of a measurement at real speed: PostgreSQL, SQS, Secrets Manager and the sandbox by their protocols, and
//! functions that poll their queues.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use broker::connector::Connector;
use broker::https::{Https, Patience};
use domain::account::Environment;
use domain::chain::ChainSnapshot;
use domain::ids::{AccountNumber, ChainId, SetupId};
use domain::market::{MarketEvent, MarketSource as _, SourceProfile};
use domain::ports::{
    BrokerPort as _, Brokers as _, Clock as _, CredentialChange, Ledger as _, Message, Queue,
    ReconciliationRun, Snapshot,
};
use domain::setup::{SetupState, TransitionRecord};
use domain::time::UtcNanos;
use engine::profile::Profile;
use ingester::Ingester;
use lambda_kit::notes::FileNotes;
use lambda_kit::queue::SqsSender;
use lambda_kit::secrets::AwsSecrets;
use lambda_kit::wiring::relay_after;
use orders::Orders;
use sandbox::Listener;
use sim::broker::{Sandbox, TranscriptEvent};
use sim::ledger::MemLedger;
use sim::market::{GeneratedSession, SessionSpec};
use store::Store;
use transitions::Transitions;
use uuid::Uuid;
use world::simulated::{self, Member, sandbox_config, switches};

use super::orders::Stamped;
use crate::aws::{AwsLocal, QueuePair};
use crate::clock::{MarketClock, wall};
use crate::postgres::{Postgres, PostgresOptions};
use crate::scratch::Scratch;

/// The generated day whose first trigger is repeated.
const SEED: u64 = 1;
/// The database.
const DATABASE: &str = "bench";
/// Connections of all parts together: each function and the ingester hold two.
const CONNECTIONS: usize = 8;
/// What an intent's version is when it is written.
pub(super) const FIRST_VERSION: i64 = 1;
/// How long a poll waits for a message, in seconds: as long as SQS lets it.
const WAIT_S: i32 = 20;

/// As many members as orders are measured, alike but for their names.
pub(super) fn members(n: usize) -> Vec<Member> {
    let [trades, _] = simulated::members();
    let each = |n: usize| {
        let mut member = trades.clone();
        let id =
            |base: Uuid| Uuid::from_u128(base.as_u128().wrapping_add(u128::try_from(n).unwrap_or(0) << 16));
        member.account.user.0 = id(member.account.user.0);
        member.account.account.0 = id(member.account.account.0);
        let number = AccountNumber::try_from(format!("VB{n:08}"));
        member.number = number.unwrap_or(member.number);
        member.token = format!("bench-token-{n}");
        member
    };
    (0..n).map(each).collect()
}

/// A setup of a generated day up to its trigger, to be repeated under other names.
pub(super) struct Template {
    profile: SourceProfile,
    before: Vec<TransitionRecord>,
    trigger: TransitionRecord,
    chain: ChainSnapshot,
}

impl Template {
    /// Runs the day's market until its first trigger.
    pub(super) async fn find() -> anyhow::Result<Self> {
        let mut source = GeneratedSession::new(&SessionSpec::of_seed(SEED))?;
        let profile = source.profile().clone();
        let mut ingester = Ingester::new(&profile, &Profile::default(), true);
        let ledger = MemLedger::new();
        while let Some(event) = source.next_event()? {
            ingester.on_event(&event);
            if !ingester.wants_commit() {
                continue;
            }
            ingester.commit(&ledger).await?;
            for book in ledger.setups(profile.session.date).await? {
                let found = book.transitions.iter().find(|it| it.to == SetupState::Triggered);
                let Some(found) = found else { continue };
                let record = async |sequence| ledger.transition(found.setup, sequence).await;
                let trigger = record(found.sequence).await?.context("the trigger is not recorded")?;
                let chain = trigger.chain.context("the trigger has no chain")?;
                let chain = ledger.chain(chain).await?.context("the chain is not stored")?;
                let mut before = Vec::new();
                for sequence in 0..found.sequence {
                    before.push(record(sequence).await?.context("a step is not recorded")?);
                }
                return Ok(Self { profile, before, trigger, chain });
            }
        }
        Err(anyhow!("nothing triggers on the generated day of seed {SEED}"))
    }

    /// The chain as if it were taken now.
    pub(super) fn chain_at(&self, now: UtcNanos) -> ChainSnapshot {
        let mut chain = self.chain.clone();
        chain.ts = now;
        for row in &mut chain.rows {
            row.quote.ts = now;
        }
        chain
    }

    /// The trigger of `setup`, now.
    pub(super) fn trigger(&self, setup: SetupId, chain: ChainId, now: UtcNanos) -> TransitionRecord {
        let mut record = named(&self.trigger, setup);
        record.transition.ts = now;
        record.setup.triggered_at = Some(now);
        record.chain = Some(chain);
        record
    }
}

fn named(record: &TransitionRecord, setup: SetupId) -> TransitionRecord {
    let mut record = record.clone();
    record.setup.id = setup;
    record.transition.setup = setup;
    record
}

/// Everything up.
pub(super) struct Stage {
    pub(super) ledger: Store,
    pub(super) sender: SqsSender,
    pub(super) clock: MarketClock,
    pub(super) stamped: Stamped,
    postgres: Postgres,
    aws: AwsLocal,
    queues: BTreeMap<Queue, QueuePair>,
    sqs: aws_sdk_sqs::Client,
    sandbox: Rc<RefCell<Sandbox>>,
    listener: Listener<MarketClock>,
    pub(super) secrets: AwsSecrets,
    brokers: Connector<AwsSecrets, Stamped, MarketClock>,
    pub(super) notes: FileNotes,
    // Last: the directory goes when nobody writes into it any more.
    _dir: Scratch,
}

impl Stage {
    /// Everything up; with `durable` a commit survives a power cut, as in a deployment.
    pub(super) async fn start(
        members: &[Member],
        template: &Template,
        durable: bool,
    ) -> anyhow::Result<Self> {
        let dir = Scratch::new("bench");
        let options = PostgresOptions { durable, ..PostgresOptions::fast(dir.path().join("postgres")) };
        let postgres = Postgres::start(&options).await?;
        postgres.create_database(DATABASE, None).await?;
        store::migrate::migrate(&postgres.admin_url(DATABASE)).await?;
        let ledger = Store::connect(&postgres.store_url(DATABASE), CONNECTIONS).await?;
        let aws = AwsLocal::start().await?;
        let clock = MarketClock::following(template.trigger.transition.ts, wall());
        let sandbox = Rc::new(RefCell::new(Sandbox::new(sandbox_config(&template.profile, SEED, members))));
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::bind(loopback, Rc::clone(&sandbox), clock.clone(), None).await?;
        let secrets = AwsSecrets::new(aws.secrets(), vec![Environment::Sandbox]);
        let base = format!("http://{}", listener.address());
        let stamped = Stamped::new(Https::new(&base, Patience::default())?);
        let brokers = Connector::new(secrets.clone(), clock.clone(), stamped.clone(), None);
        let queues = aws.create_queues().await?;
        let urls = queues.iter().map(|(queue, pair)| (*queue, pair.url.clone())).collect();
        let sender = SqsSender::new(aws.sqs(), urls);
        let notes = FileNotes::new(dir.path().join("owned"));
        let sqs = aws.sqs();
        Ok(Self {
            ledger,
            sender,
            clock,
            stamped,
            postgres,
            aws,
            queues,
            sqs,
            sandbox,
            listener,
            secrets,
            brokers,
            notes,
            _dir: dir,
        })
    }

    /// Where the broker listens.
    pub(super) fn broker(&self) -> String {
        format!("http://{}", self.listener.address())
    }

    /// Orders that the broker received since this was asked last.
    pub(super) fn take_orders(&self) -> usize {
        let lines = self.sandbox.borrow_mut().take_transcript();
        lines.iter().filter(|it| matches!(it.event, TranscriptEvent::Accepted { .. })).count()
    }

    /// The market moved.
    pub(super) fn market(&self, event: &MarketEvent) {
        self.sandbox.borrow_mut().on_market(event);
    }

    /// Enrols a member, with balances.
    pub(super) async fn enrol(&self, member: &Member) -> anyhow::Result<()> {
        let now = self.clock.now();
        simulated::enrol(&self.ledger, &self.secrets, std::slice::from_ref(member), now).await?;
        let balances = self.brokers.account(&member.account).await?.balances().await?;
        // No entry before the books agreed with the broker's once that day.
        let agreed =
            ReconciliationRun { at: now, differences: Vec::new(), steps: Vec::new(), alerts: Vec::new() };
        self.ledger.record_reconciliation(&member.account, &agreed).await?;
        Ok(self.ledger.record_snapshot(&member.account, &Snapshot { at: now, balances }, "bench").await?)
    }

    /// Enrols a member, switched off, and tells of its setup up to the trigger.
    pub(super) async fn prepare(
        &self,
        member: &Member,
        template: &Template,
        setup: SetupId,
    ) -> anyhow::Result<()> {
        self.enrol(member).await?;
        self.ledger.change_credential(&member.account, &CredentialChange::Removed, self.clock.now()).await?;
        self.tell_before(template, setup).await?;
        relay_after(&self.ledger, &self.sender, &self.clock).await;
        Ok(())
    }

    /// Tells of a setup up to its trigger.
    pub(super) async fn tell_before(&self, template: &Template, setup: SetupId) -> anyhow::Result<()> {
        for record in &template.before {
            let record = named(record, setup);
            self.ledger.record_transition(&record, self.clock.now()).await?;
            self.ledger.mark_handled(setup, record.transition.sequence).await?;
        }
        Ok(())
    }

    /// Quotes the template's chain anew and stores it; the setup's trigger goes into the books without a message's being
    /// worked.
    pub(super) async fn trigger(
        &self,
        template: &Template,
        setup: SetupId,
    ) -> anyhow::Result<TransitionRecord> {
        let now = self.clock.now();
        let chain = template.chain_at(now);
        for row in &chain.rows {
            self.market(&MarketEvent::OptionQuote(row.series, row.quote));
        }
        let id = self.ledger.store_chain(&chain).await?;
        let record = template.trigger(setup, id, now);
        self.ledger.record_transition(&record, now).await?;
        Ok(record)
    }

    /// Switches a member on.
    pub(super) async fn switch_on(&self, member: &Member) -> anyhow::Result<()> {
        let now = self.clock.now();
        let secret = lambda_kit::secrets::name(&member.account);
        let stored = CredentialChange::Stored { secret, last4: member.number.last4().to_owned() };
        self.ledger.change_credential(&member.account, &stored, now).await?;
        Ok(self.ledger.change_credential(&member.account, &CredentialChange::Proven, now).await?)
    }

    /// Polls a queue and works what comes, as the platform and a function's `main.rs` do, with leases as `holder`.
    pub(super) async fn work(&self, queue: Queue, holder: &str) -> anyhow::Result<()> {
        let url = &self.queues.get(&queue).context("the queue was not created")?.url;
        loop {
            let polled = self.sqs.receive_message().queue_url(url).max_number_of_messages(10);
            let polled = polled.wait_time_seconds(WAIT_S).send().await?;
            let messages = polled.messages.unwrap_or_default();
            if messages.is_empty() {
                continue;
            }
            let event = sqs_event(queue, &messages);
            let answer = match queue {
                Queue::Transitions => {
                    let (ledger, clock) = (&self.ledger, &self.clock);
                    let function = Transitions { ledger, clock, switches: switches() };
                    lambda_kit::sqs::batch(event, ledger, clock, async |it: &Message| {
                        function.handle(it).await
                    })
                    .await
                }
                Queue::Entries | Queue::Exits | Queue::BrokerEvents | Queue::Flatten | Queue::Alerts => {
                    let (ledger, clock) = (&self.ledger, &self.clock);
                    let (brokers, notes) = (&self.brokers, &self.notes);
                    let function = Orders { ledger, brokers, clock, notes, switches: switches(), holder };
                    lambda_kit::sqs::batch(event, ledger, clock, async |it: &Message| {
                        function.handle(it).await
                    })
                    .await
                }
            };
            relay_after(&self.ledger, &self.sender, &self.clock).await;
            let failed = answer?.batch_item_failures;
            for message in messages {
                let done = failed.iter().all(|it| Some(&it.item_identifier) != message.message_id.as_ref());
                if let Some(receipt) = message.receipt_handle.filter(|_| done) {
                    self.sqs.delete_message().queue_url(url).receipt_handle(receipt).send().await?;
                }
            }
        }
    }

    /// Why orders did not leave: the reasons of the intents.
    pub(super) async fn why_not(&self, members: &[Member]) -> anyhow::Result<String> {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for member in members {
            let book = self.ledger.day_book(&member.account, self.clock.now().new_york_date()).await?;
            for intent in book.intents.iter().filter(|it| it.attempts.is_empty()) {
                let count = reasons.entry(format!("{:?} {}", intent.state, intent.reason)).or_default();
                *count = count.saturating_add(1);
            }
        }
        Ok(format!("{reasons:?}"))
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let grace = Duration::from_secs(2);
        drop(tokio::time::timeout(grace, self.listener.shutdown()).await);
        self.aws.stop().await;
        drop(self.ledger);
        self.postgres.stop().await
    }
}

/// A batch as Lambda's event source hands it on.
fn sqs_event(queue: Queue, messages: &[aws_sdk_sqs::types::Message]) -> SqsEvent {
    let record = |it: &aws_sdk_sqs::types::Message| {
        let mut record = SqsMessage::default();
        record.message_id = it.message_id.clone();
        record.receipt_handle = it.receipt_handle.clone();
        record.body = it.body.clone();
        record.event_source = Some("aws:sqs".to_owned());
        record.event_source_arn = Some(format!("arn:aws:sqs:us-east-1:000000000000:{}", queue.as_str()));
        record
    };
    let mut event = SqsEvent::default();
    event.records = messages.iter().map(record).collect();
    event
}
