//! A day on simulated parts: ledger, queues, secrets and notes in memory, the broker one call away.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use broker::connector::Connector;
use domain::account::{
    AccountRef, AccountType, BrokerCredential, Environment, RiskLimits, Switches, UserSettings,
};
use domain::ids::{AccountId, AccountNumber, UserId};
use domain::market::{MarketEvent, SourceProfile};
use domain::money::Usd;
use domain::ports::{
    Clock, CredentialChange, Ledger, LedgerError, Message, Queue, SecretError, Secrets, SendError, Sender,
};
use domain::secret::Token;
use domain::time::UtcNanos;
use sim::broker::{AccountConfig, Config, InMemoryTransport, Limits, Rules, Sandbox, StreamKind, UserConfig};
use sim::ledger::MemLedger;
use sim::queue::MemQueues;
use sim::vault::{MemNotes, MemSecrets};
use uuid::Uuid;

use crate::parts::{AccountFrame, Delivery, Mailboxes, Parts, SteeredClock, Venue};

/// A member of the demonstration's trading group: who they are, and what they let us do.
#[derive(Debug, Clone)]
pub struct Member {
    /// Their account.
    pub account: AccountRef,
    /// Its number at the broker.
    pub number: AccountNumber,
    /// How the broker keeps it.
    pub kind: AccountType,
    /// What it starts with.
    pub cash: Usd,
    /// Their token at the sandbox. Nobody's secret: the sandbox is ours.
    pub token: String,
    /// Their choices.
    pub settings: UserSettings,
}

/// The two members of every local run: one who trades, and one with other limits and execution off.
pub fn members() -> [Member; 2] {
    let member = |n: u128, kind, cash, token: &str, settings| Member {
        account: AccountRef {
            user: UserId(Uuid::from_u128(0xc1a0_0000_0000_4000_8000_0000_0000_0000 + n)),
            account: AccountId(Uuid::from_u128(0xacc0_0000_0000_4000_8000_0000_0000_0000 + n)),
            environment: Environment::Sandbox,
        },
        number: AccountNumber::try_from(format!("VA{n:08}")).unwrap_or_else(|_| unreachable_number()),
        kind,
        cash: Usd::from_dollars(cash),
        token: token.to_owned(),
        settings,
    };
    let consent_at = Some(UtcNanos(0));
    let trades = UserSettings {
        spx_auto_execute: true,
        consent_at,
        limits: RiskLimits {
            max_risk_per_trade: Usd::from_dollars(1_500),
            daily_loss_limit: Usd::from_dollars(6_000),
            ..RiskLimits::default()
        },
        ..UserSettings::default()
    };
    let watches = UserSettings {
        spx_auto_execute: false,
        consent_at,
        limits: RiskLimits {
            max_risk_per_trade: Usd::from_dollars(400),
            max_contracts: 2,
            ..RiskLimits::default()
        },
        ..UserSettings::default()
    };
    [
        member(1, AccountType::Margin, 100_000, "stub-token", trades),
        member(2, AccountType::Cash, 10_000, "stub-token-2", watches),
    ]
}

/// Ten characters of letters and digits are an account number; the type cannot know.
fn unreachable_number() -> AccountNumber {
    AccountNumber::try_from("VA00000000".to_owned()).unwrap_or_else(|_| unreachable_number())
}

/// The switches of a local run: execution on, in the sandbox.
pub fn switches() -> Switches {
    Switches {
        execution_enabled: true,
        sandbox: true,
        portfolio_sync: true,
        reconciliation: true,
        force_flatten: true,
        ..Switches::default()
    }
}

/// How the sandbox of a run starts.
pub fn sandbox_config(profile: &SourceProfile, seed: u64, members: &[Member]) -> Config {
    Config {
        session: profile.session,
        users: members
            .iter()
            .map(|it| UserConfig {
                id: format!("id-{}", it.number.last4()),
                name: format!("Member {}", it.number.last4()),
                tokens: vec![Token::new(it.token.as_str())],
                accounts: vec![AccountConfig {
                    number: it.number.clone(),
                    kind: it.kind,
                    option_level: 6,
                    cash: it.cash,
                }],
            })
            .collect(),
        series: profile.series.clone(),
        rules: Rules { limits: Limits::Live, ..Rules::live(seed) },
    }
}

/// Stores what makes the members members: their choices, their credentials and the proof of them.
///
/// # Errors
/// What the ledger or the secrets refuse.
pub async fn enrol<L: Ledger, S: Secrets>(
    ledger: &L,
    secrets: &S,
    members: &[Member],
    at: UtcNanos,
) -> Result<(), EnrolError> {
    for member in members {
        let credential = BrokerCredential {
            account: member.account,
            token: Token::new(member.token.as_str()),
            number: member.number.clone(),
            flatten_foreign: false,
        };
        let secret = secrets.put(&credential).await?;
        let stored = CredentialChange::Stored { secret, last4: member.number.last4().to_owned() };
        ledger.change_credential(&member.account, &stored, at).await?;
        ledger.change_credential(&member.account, &CredentialChange::Proven, at).await?;
        ledger.store_settings(member.account.user, &member.settings).await?;
    }
    Ok(())
}

/// A member could not be enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The books refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The secrets refused.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// A clock that stands where it was put.
#[derive(Debug, Default)]
pub struct VirtualClock(Cell<UtcNanos>);

impl VirtualClock {
    /// Standing at `at`.
    pub const fn at(at: UtcNanos) -> Self {
        Self(Cell::new(at))
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> UtcNanos {
        self.0.get()
    }
}

impl SteeredClock for Rc<VirtualClock> {
    fn advance_to(&self, to: UtcNanos) {
        self.0.set(self.0.get().max(to));
    }
}

type SharedClock = Rc<VirtualClock>;
type SharedTransport = Rc<InMemoryTransport<SharedClock>>;

/// The sandbox in the same process, its account streams connected from the start.
#[derive(Debug)]
pub struct MemVenue {
    sandbox: Rc<RefCell<Sandbox>>,
    /// Whose stream each session is.
    streams: BTreeMap<String, AccountRef>,
}

impl MemVenue {
    /// The account streams of `members`, connected at `at`.
    pub(crate) fn connected(sandbox: &Rc<RefCell<Sandbox>>, members: &[Member], at: UtcNanos) -> Self {
        let mut streams = BTreeMap::new();
        for member in members {
            let mut sandbox = sandbox.borrow_mut();
            let token = Token::new(member.token.as_str());
            let Some(session) = sandbox.open_stream(&token, StreamKind::Account, at) else { continue };
            let message =
                format!("{{\"events\":[\"order\"],\"sessionid\":\"{session}\",\"excludeAccounts\":[]}}");
            if sandbox.attach(at, StreamKind::Account, &message).is_ok() {
                streams.insert(session, member.account);
            }
        }
        Self { sandbox: Rc::clone(sandbox), streams }
    }

    /// Frames that arrived.
    pub(crate) fn arrived(&self) -> Vec<AccountFrame> {
        let frames = self.sandbox.borrow_mut().take_frames();
        let of = |frame: sim::broker::Frame| {
            let account = *self.streams.get(&*frame.session)?;
            Some(AccountFrame { account, text: frame.text.to_string() })
        };
        frames.into_iter().filter_map(of).collect()
    }
}

impl Venue for MemVenue {
    fn on_market(&self, event: &MarketEvent) {
        self.sandbox.borrow_mut().on_market(event);
    }

    fn next_due(&self) -> Option<UtcNanos> {
        self.sandbox.borrow().next_due()
    }

    fn advance(&self, now: UtcNanos) {
        self.sandbox.borrow_mut().advance(now);
    }

    async fn frames(&self) -> Vec<AccountFrame> {
        self.arrived()
    }
}

/// All parts in memory.
#[derive(Debug)]
pub struct Simulated {
    ledger: MemLedger,
    secrets: Rc<MemSecrets>,
    notes: MemNotes,
    mail: MemMail,
    venue: MemVenue,
    brokers: Connector<Rc<MemSecrets>, SharedTransport, SharedClock>,
    clock: SharedClock,
    switches: Switches,
}

impl Simulated {
    /// Parts for the session of `profile`, members enrolled and streams connected, the clock before the first schedule.
    ///
    /// # Errors
    /// What enrolment refuses.
    pub async fn new(profile: &SourceProfile, seed: u64) -> Result<Self, EnrolError> {
        let members = members();
        let start = profile.session.open.minus(Duration::from_secs(120));
        let clock = Rc::new(VirtualClock::at(start));
        let sandbox = Rc::new(RefCell::new(Sandbox::new(sandbox_config(profile, seed, &members))));
        let ledger = MemLedger::new();
        let secrets = Rc::new(MemSecrets::default());
        enrol(&ledger, &secrets, &members, start).await?;
        let transport = Rc::new(InMemoryTransport::new(Rc::clone(&sandbox), Rc::clone(&clock)));
        let brokers = Connector::new(Rc::clone(&secrets), Rc::clone(&clock), transport, None);
        let venue = MemVenue::connected(&sandbox, &members, start);
        Ok(Self {
            ledger,
            secrets,
            notes: MemNotes::default(),
            mail: MemMail::new(Rc::clone(&clock)),
            venue,
            brokers,
            clock,
            switches: switches(),
        })
    }

    /// The broker, for its transcript.
    pub const fn sandbox(&self) -> &Rc<RefCell<Sandbox>> {
        &self.venue.sandbox
    }

    /// The books, for what is asked of them afterwards.
    pub const fn books(&self) -> &MemLedger {
        &self.ledger
    }

    /// The queues, for what somebody else puts into them.
    pub const fn queues(&self) -> &MemMail {
        &self.mail
    }
}

impl Parts for Simulated {
    type Ledger = MemLedger;
    type Brokers = Connector<Rc<MemSecrets>, SharedTransport, SharedClock>;
    type Notes = MemNotes;
    type Secrets = Rc<MemSecrets>;
    type Mail = MemMail;
    type Venue = MemVenue;
    type Clock = SharedClock;

    fn ledger(&self) -> &MemLedger {
        &self.ledger
    }
    fn brokers(&self) -> &Self::Brokers {
        &self.brokers
    }
    fn notes(&self) -> &MemNotes {
        &self.notes
    }
    fn secrets(&self) -> &Rc<MemSecrets> {
        &self.secrets
    }
    fn mail(&self) -> &MemMail {
        &self.mail
    }
    fn venue(&self) -> &MemVenue {
        &self.venue
    }
    fn clock(&self) -> &SharedClock {
        &self.clock
    }
    fn switches(&self) -> Switches {
        self.switches
    }
}

/// Queues in memory, with bodies as they would travel.
#[derive(Debug)]
pub struct MemMail {
    queues: MemQueues<SharedClock>,
    /// Bodies that are not ours, by receipt. They are visible whenever they are not in hand.
    strays: RefCell<BTreeMap<String, Stray>>,
    /// Strays that were received too often, in order.
    buried: RefCell<Vec<(Queue, String)>>,
}

/// A body that somebody else put into a queue.
#[derive(Debug)]
struct Stray {
    queue: Queue,
    body: String,
    receives: u32,
    in_hand: bool,
}

impl MemMail {
    fn new(clock: SharedClock) -> Self {
        Self { queues: MemQueues::new(clock), strays: RefCell::default(), buried: RefCell::default() }
    }

    /// Puts a body into a queue as it is. A day looks there once it is told by
    /// [`Day::expect`](crate::day::Day::expect).
    pub fn put(&self, queue: Queue, body: &str) {
        let mut strays = self.strays.borrow_mut();
        let receipt = format!("stray-{}", strays.len());
        strays.insert(receipt, Stray { queue, body: body.to_owned(), receives: 0, in_hand: false });
    }

    /// Bodies put here that ended as dead letters of their queue.
    pub fn buried(&self) -> Vec<(Queue, String)> {
        self.buried.borrow().clone()
    }
}

impl Sender for MemMail {
    async fn send(&self, queue: Queue, message: &Message, delay: Duration) -> Result<(), SendError> {
        self.queues.send(queue, message, delay).await
    }
}

impl Mailboxes for MemMail {
    async fn receive(&self, queue: Queue) -> Result<Vec<Delivery>, SendError> {
        let held = self.queues.receive(queue).into_iter().map(|it| Delivery {
            id: it.id.to_string(),
            receipt: it.id.to_string(),
            body: wire::message::encode(&it.message),
            receives: it.receives,
        });
        let mut taken: Vec<Delivery> = held.collect();
        let mut strays = self.strays.borrow_mut();
        for (receipt, stray) in strays.iter_mut().filter(|it| it.1.queue == queue && !it.1.in_hand) {
            stray.in_hand = true;
            stray.receives = stray.receives.saturating_add(1);
            taken.push(Delivery {
                id: receipt.clone(),
                receipt: receipt.clone(),
                body: stray.body.clone(),
                receives: stray.receives,
            });
        }
        Ok(taken)
    }

    async fn delete(&self, queue: Queue, delivery: &Delivery) -> Result<(), SendError> {
        if self.strays.borrow_mut().remove(&delivery.receipt).is_none() {
            self.queues.delete(queue, number(queue, delivery)?);
        }
        Ok(())
    }

    async fn give_back(&self, queue: Queue, delivery: &Delivery) -> Result<(), SendError> {
        match self.strays.borrow_mut().get_mut(&delivery.receipt) {
            Some(stray) => stray.in_hand = false,
            None => self.queues.give_back(queue, number(queue, delivery)?, UtcNanos(i64::MIN)),
        }
        Ok(())
    }

    async fn bury(&self, queue: Queue, delivery: &Delivery) -> Result<(), SendError> {
        if let Some(stray) = self.strays.borrow_mut().remove(&delivery.receipt) {
            self.buried.borrow_mut().push((queue, stray.body));
            return Ok(());
        }
        // Received as often as it may be: giving it back buries it.
        self.give_back(queue, delivery).await
    }
}

fn number(queue: Queue, delivery: &Delivery) -> Result<u64, SendError> {
    let why = || SendError { queue: queue.as_str(), why: format!("{:?} is not a receipt", delivery.receipt) };
    delivery.receipt.parse().map_err(|_| why())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::day::Day;
    use domain::market::MarketSource;
    use engine::profile::Profile;
    use ingester::Ingester;
    use sim::broker::Facts;
    use sim::conformance::block_on;
    use sim::market::{GeneratedSession, SessionSpec};

    fn facts_of(seed: u64) -> (Facts, String) {
        let source = GeneratedSession::new(&SessionSpec::of_seed(seed)).unwrap();
        let parts = block_on(Simulated::new(source.profile(), seed)).unwrap().unwrap();
        let ingester = Ingester::new(source.profile(), &Profile::default(), true);
        let mut day = Day::new(&parts, source, ingester);
        block_on(day.run(async |_| {})).unwrap().unwrap();
        let transcript = parts.sandbox().borrow_mut().take_transcript();
        let text = transcript.iter().map(|it| format!("{it:?}\n")).collect();
        (Facts::from_transcript(&transcript), text)
    }

    #[test]
    fn a_generated_day_ends_flat_without_a_duplicate_or_a_naked_short() {
        for seed in 1..=3 {
            let facts = facts_of(seed).0.total;
            assert_eq!(
                (facts.duplicate_orders, facts.naked_shorts, facts.flat_at_close),
                (0, 0, true),
                "seed {seed}: {facts:?}"
            );
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_transcript() {
        assert_eq!(facts_of(1).1, facts_of(1).1);
    }
}
