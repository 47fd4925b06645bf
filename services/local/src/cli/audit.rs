//! `claxton audit`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;
use store::Store;
use store::audit::{Chain, verify};

use crate::postgres::running_url;
use crate::run::DATABASE;

/// What can be asked of the audit.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Compute every account's hash chain again and compare.
    ///
    /// Each line of the audit carries the hash of the one before it. The hashes are computed here, not by the database: a
    /// line that was changed, taken out or put in is named. Note the head somewhere else, and no one can rewrite what came
    /// before it unseen. Exits 0 only if every chain holds.
    Verify(VerifyArgs),
}

/// Which audit.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The data directory of a run that is up.
    #[arg(long, value_name = "DIR", default_value = ".claxton/up", conflicts_with = "database")]
    data_dir: PathBuf,
    /// The database of a deployment, as the functions reach it: postgresql://claxton_app@host/claxton.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &AuditCommand, out: &mut impl Write) -> anyhow::Result<()> {
    let AuditCommand::Verify(ask) = command;
    let url = match &ask.database {
        Some(url) => url.clone(),
        None => running_url(&ask.data_dir.join("postgres"), DATABASE)?,
    };
    let chains = super::block_on(async {
        let store = Store::connect(&url, 1).await?;
        Ok(verify(&store).await?)
    })?;
    match ask.json {
        true => writeln!(out, "{}", json!({ "chains": chains, "holds": holds(&chains) }))?,
        false => show(&chains, out)?,
    }
    if !holds(&chains) {
        bail!("the audit was changed: the lines marked broken say where");
    }
    Ok(())
}

fn holds(chains: &[Chain]) -> bool {
    chains.iter().all(|it| it.broken.is_none())
}

fn show(chains: &[Chain], out: &mut impl Write) -> anyhow::Result<()> {
    for chain in chains {
        let account = chain.account.account;
        match &chain.broken {
            None => writeln!(out, "{account}  holds   {} lines, head {}", chain.lines, chain.head)?,
            Some(it) => writeln!(out, "{account}  broken  at line {}: {}", it.no, it.why)?,
        }
    }
    if chains.is_empty() {
        writeln!(out, "no account yet")?;
    }
    Ok(())
}
