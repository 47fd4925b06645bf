//! The parts of a trial: everything of [`crate::simulated`], each behind what can happen to it.

use std::cell::RefCell;
use std::rc::Rc;

use broker::connector::Connector;
use domain::account::{AccountRef, AccountType, Environment, RiskLimits, Switches, UserSettings};
use domain::ids::{AccountId, AccountNumber, UserId};
use domain::money::Usd;
use domain::ports::Clock as _;
use domain::secret::Token;
use domain::time::UtcNanos;
use sim::broker::{AccountConfig, Config, InMemoryTransport, Limits, Rules, Sandbox, UserConfig};
use sim::ledger::MemLedger;
use sim::perils::{
    PerilousLedger, PerilousNotes, PerilousSecrets, PerilousSender, PerilousTransport, Perils, SkewedClock,
};
use sim::vault::{MemNotes, MemSecrets};
use uuid::Uuid;

use super::course::Course;
use super::mail::Mail;
use super::tape::Tape;
use crate::parts::{Parts, SteeredClock};
use crate::simulated::{EnrolError, MemVenue, Member, VirtualClock, enrol, switches};

type TrialClock = SkewedClock<Rc<VirtualClock>>;
type TrialTransport = Rc<PerilousTransport<InMemoryTransport<Rc<VirtualClock>>>>;

/// What a second token of a member looks like: the one stored after the first was revoked.
pub(crate) fn second_token(member: &Member) -> Token {
    Token::new(format!("{}-rotated", member.token))
}

/// Two members who trade, with limits wide enough that a session of many setups is not stopped by them.
pub(crate) fn traders() -> Vec<Member> {
    let trader = |n: u128| {
        Some(Member {
            account: AccountRef {
                user: UserId(Uuid::from_u128(0xc1a0_0000_0000_4000_8000_0000_0000_0000 + n)),
                account: AccountId(Uuid::from_u128(0xacc0_0000_0000_4000_8000_0000_0000_0000 + n)),
                environment: Environment::Sandbox,
            },
            number: AccountNumber::try_from(format!("VA{n:08}")).ok()?,
            kind: AccountType::Margin,
            cash: Usd::from_dollars(1_000_000),
            token: format!("trial-secret-token-{n}"),
            settings: UserSettings {
                spx_auto_execute: true,
                consent_at: Some(UtcNanos(0)),
                limits: RiskLimits {
                    max_risk_per_trade: Usd::from_dollars(if n == 1 { 3_000 } else { 900 }),
                    daily_loss_limit: Usd::from_dollars(500_000),
                    max_trades_per_day: 1_000,
                    max_contracts: 5,
                    pause_after_losses: 1_000,
                    max_direction_contracts: 1_000,
                    ..RiskLimits::default()
                },
                ..UserSettings::default()
            },
        })
    };
    [1, 2].into_iter().filter_map(trader).collect()
}

/// What a session runs on.
#[derive(Debug)]
pub(crate) struct TrialParts {
    pub(crate) time: Rc<VirtualClock>,
    pub(crate) perils: Rc<Perils>,
    pub(crate) books: Rc<MemLedger>,
    pub(crate) vault: Rc<MemSecrets>,
    pub(crate) sandbox: Rc<RefCell<Sandbox>>,
    pub(crate) transport: TrialTransport,
    pub(crate) sender: PerilousSender<Mail>,
    pub(crate) queues: Rc<Mail>,
    pub(crate) members: Vec<Member>,
    ledger: PerilousLedger<MemLedger>,
    notes: PerilousNotes<MemNotes>,
    secrets: PerilousSecrets<MemSecrets>,
    streams: MemVenue,
    brokers: Connector<PerilousSecrets<MemSecrets>, TrialTransport, TrialClock>,
    clock: TrialClock,
}

impl TrialParts {
    /// Everything before the first event, members enrolled.
    pub(crate) async fn new(course: &Course, perils: Rc<Perils>) -> Result<Self, EnrolError> {
        let members = traders();
        let time = Rc::new(VirtualClock::at(course.start));
        let sandbox = Rc::new(RefCell::new(Sandbox::new(config(course, &members))));
        let books = Rc::new(MemLedger::new());
        let vault = Rc::new(MemSecrets::default());
        enrol(&*books, &*vault, &members, course.start).await?;
        let queues = Rc::new(Mail::new(Rc::clone(&time), Rc::clone(&perils)));
        let inner = InMemoryTransport::new(Rc::clone(&sandbox), Rc::clone(&time));
        let transport = Rc::new(PerilousTransport::new(inner, Rc::clone(&perils)));
        let clock = SkewedClock::new(Rc::clone(&time), Rc::clone(&perils));
        let secrets = || PerilousSecrets::new(Rc::clone(&vault), Rc::clone(&perils));
        let brokers = Connector::new(secrets(), clock.clone(), Rc::clone(&transport), None);
        Ok(Self {
            streams: MemVenue::connected(&sandbox, &members, course.start),
            ledger: PerilousLedger::new(Rc::clone(&books), Rc::clone(&perils)),
            notes: PerilousNotes::new(Rc::default(), Rc::clone(&perils)),
            sender: PerilousSender::new(Rc::clone(&queues), Rc::clone(&perils)),
            secrets: secrets(),
            time,
            perils,
            books,
            vault,
            sandbox,
            transport,
            queues,
            members,
            brokers,
            clock,
        })
    }

    pub(crate) const fn streams(&self) -> &MemVenue {
        &self.streams
    }

    pub(crate) fn now(&self) -> UtcNanos {
        self.time.now()
    }
}

fn config(course: &Course, members: &[Member]) -> Config {
    let user = |it: &Member| UserConfig {
        id: format!("id-{}", it.number.last4()),
        name: format!("Member {}", it.number.last4()),
        tokens: vec![Token::new(it.token.as_str()), second_token(it)],
        accounts: vec![AccountConfig {
            number: it.number.clone(),
            kind: it.kind,
            option_level: 6,
            cash: it.cash,
        }],
    };
    Config {
        session: course.session,
        users: members.iter().map(user).collect(),
        series: Tape::listed(course),
        rules: Rules { limits: Limits::Live, latencies: course.latencies, ..Rules::live(course.seed) },
    }
}

impl Parts for TrialParts {
    type Ledger = PerilousLedger<MemLedger>;
    type Brokers = Connector<PerilousSecrets<MemSecrets>, TrialTransport, TrialClock>;
    type Notes = PerilousNotes<MemNotes>;
    type Secrets = PerilousSecrets<MemSecrets>;
    type Mail = Mail;
    type Venue = MemVenue;
    type Clock = TrialClock;

    fn ledger(&self) -> &Self::Ledger {
        &self.ledger
    }
    fn brokers(&self) -> &Self::Brokers {
        &self.brokers
    }
    fn notes(&self) -> &Self::Notes {
        &self.notes
    }
    fn secrets(&self) -> &Self::Secrets {
        &self.secrets
    }
    fn mail(&self) -> &Mail {
        &self.queues
    }
    fn venue(&self) -> &MemVenue {
        &self.streams
    }
    fn clock(&self) -> &TrialClock {
        &self.clock
    }
    fn switches(&self) -> Switches {
        switches()
    }
}

impl SteeredClock for TrialClock {
    fn advance_to(&self, to: UtcNanos) {
        self.inner().advance_to(to);
    }
}
