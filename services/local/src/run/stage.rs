//! Bringing a run's parts up: the books, the broker with its streams, the queues, the secrets, each by its protocol.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use broker::connector::Connector;
use broker::https::{Https, Patience};
use domain::account::Environment;
use domain::market::SourceProfile;
use domain::ports::Ledger as _;
use domain::time::UtcNanos;
use engine::profile::Profile;
use ingester::{Ingester, Replay};
use lambda_kit::notes::FileNotes;
use lambda_kit::secrets::AwsSecrets;
use sim::broker::Sandbox;
use store::Store;
use world::simulated::{Member, enrol, sandbox_config, switches};

use super::mail::SqsMail;
use super::parts::Local;
use super::place::Place;
use super::venue::LocalVenue;
use crate::aws::AwsLocal;
use crate::clock::MarketClock;
use crate::postgres::Postgres;
use sandbox::journal::Files;

/// The database of a run.
pub(crate) const DATABASE: &str = "claxton";
/// Connections of a run.
const CONNECTIONS: usize = 4;
/// The clock stands this long before the open at first.
pub(crate) const BEFORE_OPEN: Duration = Duration::from_secs(120);
/// A session's messages are due later than this long before its open.
const TODAY: Duration = Duration::from_secs(3_600);

/// Where a run's parts are set up.
pub(crate) struct Stage<'a> {
    pub(crate) place: &'a Place,
    pub(crate) postgres: &'a Postgres,
    pub(crate) aws: &'a AwsLocal,
    /// The session it starts with.
    pub(crate) profile: &'a SourceProfile,
    pub(crate) seed: u64,
    pub(crate) members: &'a [Member],
}

impl Stage<'_> {
    /// Brings every part up. With an unfinished run also tells up to when the broker had come.
    pub(crate) async fn set(&self, files: &Files) -> anyhow::Result<(Local, Option<UtcNanos>)> {
        self.set_knowing(files, self.members).await
    }

    /// The same with a broker that knows others, too.
    pub(crate) async fn set_knowing(
        &self,
        files: &Files,
        known: &[Member],
    ) -> anyhow::Result<(Local, Option<UtcNanos>)> {
        let resumes = self.place.resumes && self.postgres.has_database(DATABASE).await?;
        if !resumes {
            self.postgres.drop_database(DATABASE).await?;
            self.postgres.create_database(DATABASE, None).await?;
        }
        store::migrate::migrate(&self.postgres.admin_url(DATABASE)).await?;
        let ledger = Store::connect(&self.postgres.store_url(DATABASE), CONNECTIONS).await?;
        let restored = if resumes { files.restore()? } else { None };
        let from = restored.as_ref().map(Sandbox::now).filter(|it| it.0 > i64::MIN);
        let start = self.profile.session.open.minus(BEFORE_OPEN);
        let clock = MarketClock::stepped(from.unwrap_or(start));
        let fresh = || Sandbox::new(sandbox_config(self.profile, self.seed, known));
        let sandbox = restored.unwrap_or_else(fresh);
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let fed = from.unwrap_or(UtcNanos(i64::MIN));
        let venue = LocalVenue::listen(sandbox, loopback, clock.clone(), files.clone(), fed).await?;
        let secrets = AwsSecrets::new(self.aws.secrets(), vec![Environment::Sandbox]);
        enrol(&ledger, &secrets, self.members, from.unwrap_or(start)).await?;
        let transport = Https::new(&venue.base(), Patience::default())?;
        let brokers = Connector::new(secrets.clone(), clock.clone(), transport, None);
        for member in self.members {
            venue.connect(member.account, &brokers).await?;
        }
        let mail = SqsMail::new(self.aws.sqs(), self.aws.create_queues().await?);
        if let Some(from) = from {
            self.send_again(from).await?;
        }
        let notes = FileNotes::new(self.place.notes());
        let switches = switches();
        Ok((Local { ledger, brokers, notes, secrets, mail, venue, clock, switches }, from))
    }

    /// What was on its way when the run was cut off is sent again: the queues were in memory. A message that was worked
    /// has no second effect, its intent has another version by now; of the flatten's only the last pass is due. What
    /// belongs to sessions before this one was worked long ago, and of equal rows one is enough.
    pub(crate) async fn send_again(&self, from: UtcNanos) -> anyhow::Result<()> {
        let (client, connection) =
            tokio_postgres::connect(&self.postgres.admin_url(DATABASE), tokio_postgres::NoTls).await?;
        let connection = tokio::task::spawn_local(connection);
        let sql = "UPDATE outbox SET sent_ns = NULL WHERE outbox_id IN (SELECT max(outbox_id) FROM outbox
            WHERE queue <> 'alerts' AND due_ns > $1 AND (queue <> 'flatten' OR due_ns > $2)
            GROUP BY due_ns, queue, body HAVING bool_and(sent_ns IS NOT NULL))";
        let today = self.profile.session.open.minus(TODAY).0;
        let lately = from.minus(Duration::from_secs(15)).0;
        client.execute(sql, &[&today, &lately]).await.context("cannot send the outbox again")?;
        drop(client);
        connection.await??;
        Ok(())
    }
}

/// The ingester of a session: from its checkpoint where there is one.
pub(crate) async fn ingester(parts: &Local, profile: &SourceProfile) -> anyhow::Result<Ingester> {
    let thresholds = Profile::default();
    Ok(match parts.ledger.checkpoint(profile.session.date).await? {
        Some(bytes) => Ingester::restore(&bytes, profile, &thresholds, true, Replay::FromStart)?,
        None => Ingester::new(profile, &thresholds, true),
    })
}

/// Ctrl-C or SIGTERM.
pub(crate) async fn interrupted() {
    let mut term = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(term) => term,
        Err(_) => return std::future::pending().await,
    };
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => if stopped.is_err() { std::future::pending::<()>().await },
        _ = term.recv() => {}
    }
}
