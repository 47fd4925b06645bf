//! `claxton setups`.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use domain::gate::{GateCheck, Verdict};
use domain::ids::SetupId;
use domain::market::MarketSource;
use domain::ports::Ledger as _;
use domain::setup::{Setup, TransitionRecord};
use engine::profile::{KNOWN, Profile};
use ingester::Ingester;
use ingester::sources::open_recorded;
use jiff::civil::Date;
use serde_json::json;
use sim::market::{GeneratedSession, SessionSpec, default_date};
use store::Store;

use super::args;
use crate::postgres::running_url;
use crate::run::DATABASE;

/// What can be asked of setups.
#[derive(Debug, Subcommand)]
pub(super) enum SetupsCommand {
    /// Show why a setup went the way it did: each step with every gate, its observed and required value and its margin.
    ///
    /// The margin is how far the observed value is from the threshold, in the gate's own unit: below zero it blocked, and by
    /// how much is what would have had to be different. The last step that waited for a trigger shows what said no.
    Explain(ExplainArgs),
    /// List the setups of a session.
    List(ListArgs),
}

/// Which setup.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Its id, as `claxton setups list` shows it.
    #[arg(value_name = "ID", value_parser = setup_id)]
    id: SetupId,
    #[command(flatten)]
    from: FromArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Of which session.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    from: FromArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Where the setups are: in the books of a run, or found again in a session's market.
#[derive(Debug, Args)]
struct FromArgs {
    /// Find them in the session generated from this seed.
    #[arg(long, value_name = "N", value_parser = args::seed, conflicts_with_all = ["recorded", "database"])]
    seed: Option<u64>,
    /// Find them in a recorded session from the files in this directory.
    #[arg(long, value_name = "DIR", requires = "date", conflicts_with = "database")]
    recorded: Option<PathBuf>,
    /// The session's New York date; a generated session has one of its own.
    #[arg(long, value_name = "DATE", value_parser = args::session_date)]
    date: Option<Date>,
    /// The thresholds to find them with: orb-v1, or setups-v1 with every family.
    #[arg(long, value_name = "VERSION", value_parser = profile, default_value = "orb-v1")]
    profile: String,
    /// The data directory of a run that is up.
    #[arg(long, value_name = "DIR", default_value = ".claxton/up")]
    data_dir: PathBuf,
    /// The database of a deployment, as the functions reach it: postgresql://claxton_app@host/claxton.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database: Option<String>,
}

fn setup_id(text: &str) -> Result<SetupId, String> {
    text.parse().map_err(|_| format!("{text:?} is no id of a setup: `claxton setups list` shows them"))
}

fn profile(version: &str) -> Result<String, String> {
    let known = Profile::named(version).map(|it| it.version);
    known.ok_or_else(|| format!("no such profile; this build carries {}", KNOWN.join(" and ")))
}

pub(super) fn run(command: &SetupsCommand, out: &mut impl Write) -> anyhow::Result<()> {
    match command {
        SetupsCommand::Explain(ask) => {
            let steps = match replayed(&ask.from)? {
                Some(all) => all.into_iter().filter(|it| it.setup.id == ask.id).collect(),
                None => super::block_on(kept(&ask.from, ask.id))?,
            };
            if steps.is_empty() {
                bail!(
                    "no setup {} there: `claxton setups list` with the same options shows those there are",
                    ask.id
                );
            }
            match ask.json {
                true => writeln!(out, "{}", json!({ "steps": steps }))?,
                false => out.write_all(waterfall(&steps).as_bytes())?,
            }
        }
        SetupsCommand::List(ask) => {
            let setups = match replayed(&ask.from)? {
                Some(all) => last_of_each(&all),
                None => super::block_on(of_session(&ask.from))?,
            };
            match ask.json {
                true => writeln!(out, "{}", json!({ "setups": setups }))?,
                false => out.write_all(listed(&setups).as_bytes())?,
            }
        }
    }
    Ok(())
}

/// Every step of the session asked for; `None` where a database is asked.
fn replayed(from: &FromArgs) -> anyhow::Result<Option<Vec<TransitionRecord>>> {
    let mut source: Box<dyn MarketSource> = match (from.seed, &from.recorded, from.date) {
        (Some(seed), _, date) => {
            let date = date.unwrap_or_else(|| default_date(seed));
            Box::new(GeneratedSession::new(&SessionSpec { seed, date, shape: None })?)
        }
        (None, Some(dir), Some(date)) => open_recorded(dir, date)?,
        (None, _, _) => return Ok(None),
    };
    let thresholds = Profile::named(&from.profile).unwrap_or_default();
    let mut ingester = Ingester::new(source.profile(), &thresholds, true);
    while let Some(event) = source.next_event()? {
        while let Some(due) = ingester.next_due().filter(|it| *it < event.ts()) {
            ingester.on_time(due);
        }
        ingester.on_event(&event);
    }
    ingester.finish();
    Ok(Some(ingester.emissions().map(|it| it.record.clone()).collect()))
}

async fn store(from: &FromArgs) -> anyhow::Result<Store> {
    let url = match &from.database {
        Some(url) => url.clone(),
        None => running_url(&from.data_dir.join("postgres"), DATABASE)
            .context("name a run with --data-dir, a database with --database, or a session with --seed")?,
    };
    Ok(Store::connect(&url, 1).await?)
}

/// The steps of one setup, as the books keep them.
async fn kept(from: &FromArgs, id: SetupId) -> anyhow::Result<Vec<TransitionRecord>> {
    let store = store(from).await?;
    let mut steps = Vec::new();
    while let Some(step) = store.transition(id, u32::try_from(steps.len())?).await? {
        steps.push(step);
    }
    Ok(steps)
}

async fn of_session(from: &FromArgs) -> anyhow::Result<Vec<Setup>> {
    let date = from.date.ok_or_else(|| anyhow!("--date is missing: a database has many sessions"))?;
    let books = store(from).await?.setups(date).await?;
    Ok(books.into_iter().map(|it| it.setup).collect())
}

fn last_of_each(steps: &[TransitionRecord]) -> Vec<Setup> {
    let mut setups: Vec<Setup> = Vec::new();
    for it in steps {
        match setups.iter_mut().find(|known| known.id == it.setup.id) {
            Some(known) => *known = it.setup.clone(),
            None => setups.push(it.setup.clone()),
        }
    }
    setups
}

fn listed(setups: &[Setup]) -> String {
    let mut text = String::new();
    for it in setups {
        let formed = it.formed_at.new_york().strftime("%H:%M:%S").to_string();
        let (kind, direction, state) = (it.kind.as_str(), it.direction.as_str(), it.state.as_str());
        _ = writeln!(text, "{}  {formed}  {kind:<15} {direction:<5} {state}", it.id);
    }
    if setups.is_empty() {
        text.push_str("no setup in this session\n");
    }
    text
}

/// Each step with its gates, in order.
fn waterfall(steps: &[TransitionRecord]) -> String {
    let mut text = String::new();
    let Some(last) = steps.last() else { return text };
    let it = &last.setup;
    let family = it.facts.family.as_str();
    let (kind, direction) = (it.kind.as_str(), it.direction.as_str());
    _ = writeln!(text, "{kind} {direction} {} of {}, {}, family {family}", it.id, it.session, it.profile);
    let levels = &it.levels;
    _ = writeln!(
        text,
        "zone {} to {}, stop {}, T1 {}, T2 {}, R {}; source {} at {:?} a step",
        levels.zone_low,
        levels.zone_high,
        levels.stop,
        levels.t1,
        levels.t2,
        levels.r_index,
        last.source,
        std::time::Duration::from_nanos(last.resolution_ns.unsigned_abs()),
    );
    for step in steps {
        let it = &step.transition;
        let at = it.ts.new_york().strftime("%H:%M:%S").to_string();
        let from = it.from.map_or("", domain::setup::SetupState::as_str);
        let (to, reason) = (it.to.as_str(), &it.reason);
        _ = writeln!(text, "\n{:>2}  {at}  {from} -> {to} ({reason}) at {}", it.sequence, it.price);
        it.gates.iter().for_each(|gate| row(gate, &mut text));
    }
    for it in &it.trailing_stop_path {
        let at = it.ts.new_york().strftime("%H:%M:%S").to_string();
        _ = writeln!(text, "\nstop {at}  {} ({})", it.stop, it.reason);
    }
    text
}

fn row(gate: &GateCheck, text: &mut String) {
    let verdict = match gate.verdict {
        Verdict::Pass => "pass",
        Verdict::Block => "BLOCK",
        Verdict::Skip => "skip",
    };
    let observed = gate.observed.as_deref().unwrap_or("missing");
    let margin = gate.margin.map_or_else(String::new, |it| format!("  margin {it:+}"));
    let reason = if gate.reason.is_empty() { String::new() } else { format!("  {}", gate.reason) };
    _ = writeln!(
        text,
        "    {verdict:<5}  {:<24} {observed}; required {}{margin}{reason}",
        gate.gate, gate.required
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_seed(seed: u64) -> FromArgs {
        FromArgs {
            seed: Some(seed),
            recorded: None,
            date: None,
            profile: "orb-v1".to_owned(),
            data_dir: PathBuf::new(),
            database: None,
        }
    }

    fn told(command: &SetupsCommand) -> String {
        let mut out = Vec::new();
        run(command, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_setup_is_explained_step_by_step_with_the_margin_of_each_gate() {
        let list = told(&SetupsCommand::List(ListArgs { from: of_seed(5), json: false }));
        let entered = list.lines().find(|it| !it.contains("invalidated") && !it.contains("missed")).unwrap();
        let id: SetupId = entered.split_whitespace().next().unwrap().parse().unwrap();
        let text = told(&SetupsCommand::Explain(ExplainArgs { id, from: of_seed(5), json: false }));
        assert!(text.starts_with("orb_breakout"), "{text}");
        assert!(text.contains("-> triggered (") && text.contains("BLOCK  break_hold"), "{text}");
        assert!(text.contains("margin -") && text.contains("break_not_held"), "{text}");
        let json = told(&SetupsCommand::Explain(ExplainArgs { id, from: of_seed(5), json: true }));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["steps"][0]["transition"]["to"], "forming");
    }

    #[test]
    fn a_setup_that_is_not_there_is_told_with_what_to_do() {
        let ask = ExplainArgs { id: SetupId::of(&[b"nobody's"]), from: of_seed(5), json: false };
        let error = run(&SetupsCommand::Explain(ask), &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("claxton setups list"), "{error}");
        assert!(setup_id("x").unwrap_err().contains("claxton setups list"));
        assert!(profile("best-v9").unwrap_err().contains("orb-v1 and setups-v1"));
    }
}
