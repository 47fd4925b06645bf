//! What a run that stays up stands on: its data directory, a durable PostgreSQL, the queue and secret endpoints.

use std::path::Path;
use std::pin::Pin;

use super::place::{Place, RunKey};
use crate::aws::AwsLocal;
use crate::postgres::{Postgres, PostgresOptions};

pub(super) struct Ground {
    pub(super) place: Place,
    pub(super) postgres: Postgres,
    pub(super) aws: AwsLocal,
}

impl Ground {
    /// Brings it up for `command`; `None` where the run was asked to end meanwhile.
    pub(super) async fn open(
        data_dir: &Path,
        command: &str,
        seed: u64,
        ended: Pin<&mut impl Future<Output = ()>>,
    ) -> anyhow::Result<Option<Self>> {
        let key = RunKey { command: command.to_owned(), source: format!("generated:seed={seed}") };
        let place = Place::open(data_dir, key)?;
        let options = PostgresOptions { durable: true, ..PostgresOptions::fast(place.postgres()) };
        let postgres = tokio::select! {
            started = Postgres::start(&options) => started?,
            () = ended => return Ok(None),
        };
        if let Some(note) = postgres.note() {
            eprintln!("{note}");
        }
        let aws = AwsLocal::start().await?;
        Ok(Some(Self { place, postgres, aws }))
    }

    /// Lets `run` go on as long as PostgreSQL does: one that ends by itself is started again.
    pub(super) async fn under(&self, run: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        tokio::select! {
            ran = run => ran,
            why = self.postgres.keep() => Err(why),
        }
    }

    /// Takes it down after a run.
    pub(super) async fn close(self, ran: anyhow::Result<()>) -> anyhow::Result<()> {
        self.aws.stop().await;
        self.postgres.stop().await.and(ran)
    }
}
