//! `claxton decide`: one strategy over one snapshot.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use domain::time::UtcNanos;
use engine::pipeline::{Portfolio, Snapshot, Strategy, decision_id, evaluate, waterfall};
use serde::de::DeserializeOwned;

/// Shown under `claxton decide --help`.
pub(super) const EXAMPLE: &str = "Example:
  claxton decide --snapshot spx.json --strategy condor.json --portfolio account.json --at 2026-11-20T16:00:00Z";

/// What is asked, and over what.
#[derive(Debug, Args)]
pub(super) struct DecideArgs {
    /// The snapshot: JSON with `facts` and `chain`.
    #[arg(long, value_name = "FILE")]
    snapshot: PathBuf,
    /// The strategy's row: JSON.
    #[arg(long, value_name = "FILE")]
    strategy: PathBuf,
    /// The account's portfolio: JSON. Without one nothing is known of it, and what stands on it is not known either.
    #[arg(long, value_name = "FILE")]
    portfolio: Option<PathBuf>,
    /// The moment of the decision, as RFC 3339. By default the chain's own.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Print one JSON object instead of a waterfall.
    #[arg(long)]
    json: bool,
}

/// Decides and explains.
pub(super) fn decide(ask: &DecideArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let snapshot: Snapshot = read(&ask.snapshot)?;
    let row = text(&ask.strategy)?;
    let strategy = Strategy::parse(&row).with_context(|| ask.strategy.display().to_string())?;
    let portfolio: Portfolio = ask.portfolio.as_deref().map(read).transpose()?.unwrap_or_default();
    let now = match &ask.at {
        None => snapshot.chain.ts,
        Some(text) => UtcNanos::parse(text)
            .ok_or_else(|| anyhow!("--at is {text:?}: expected a time such as 2026-11-20T16:00:00Z"))?,
    };
    let decision = evaluate(&snapshot, &strategy, &portfolio, now);
    let named = snapshot.id();
    let id = decision_id(named, &strategy, &portfolio, now);
    if ask.json {
        let all = serde_json::json!({
            "decision": id, "snapshot": named, "hash": decision.hash(), "explained": decision,
        });
        writeln!(out, "{all}")?;
        return Ok(());
    }
    write!(out, "{}", waterfall(&decision))?;
    writeln!(out, "\ndecision {id}, snapshot {named}, hash {}", decision.hash())?;
    Ok(())
}

fn text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    serde_json::from_str(&text(path)?).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::chain::ChainSnapshot;
    use domain::market::Points;
    use domain::symbol::Underlying;
    use engine::pipeline::{Kind, preset};

    /// A directory of the test's own with a snapshot that knows nothing and a strategy; its arguments.
    fn asked(name: &str, change: impl FnOnce(&mut serde_json::Value)) -> DecideArgs {
        let dir = std::env::temp_dir().join(format!("claxton-decide-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let ts = UtcNanos::parse("2026-11-20T16:00:00Z").unwrap();
        let chain = ChainSnapshot { underlying: Underlying::SPX, spot: Points(0), ts, rows: Vec::new() };
        let snapshot = serde_json::json!({ "facts": { "underlying": "SPX" }, "chain": chain });
        let mut row = serde_json::to_value(preset(Kind::IronCondor, Underlying::SPX)).unwrap();
        change(&mut row);
        let [snapshot, strategy] = [("snapshot.json", snapshot), ("strategy.json", row)].map(|(name, it)| {
            let path = dir.join(name);
            std::fs::write(&path, it.to_string()).unwrap();
            path
        });
        DecideArgs { snapshot, strategy, portfolio: None, at: None, json: false }
    }

    fn ran(ask: &DecideArgs) -> Result<String, String> {
        let mut out = Vec::new();
        decide(ask, &mut out).map_err(|it| super::super::one_line(&it))?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_snapshot_that_knows_nothing_is_answered_with_its_first_reason() {
        let text = ran(&asked("nothing", |_| ())).unwrap();
        assert!(text.contains("stand\nStage A, no_expirations:"), "{text}");
        assert!(text.contains("E1  term structure          UNKNOWN"), "{text}");
        let json = ran(&DecideArgs { json: true, ..asked("json", |_| ()) }).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["explained"]["reason"], "no_expirations");
        assert_eq!(json["explained"]["stages"].as_array().unwrap().len(), 15);
        assert!(text.contains(json["hash"].as_str().unwrap()), "the same decision either way");
    }

    #[test]
    fn a_file_that_cannot_be_used_names_itself_and_the_field() {
        let wrong = ran(&asked("wrong", |row| row["entry"]["delta"] = 16.into())).unwrap_err();
        assert!(
            wrong.contains("strategy.json") && wrong.contains("entry.delta: 16 is out of range"),
            "{wrong}"
        );
        let missing = DecideArgs { snapshot: "/nowhere/spx.json".into(), ..asked("missing", |_| ()) };
        assert!(ran(&missing).unwrap_err().contains("/nowhere/spx.json cannot be read"));
        let at = DecideArgs { at: Some("noon".to_owned()), ..asked("at", |_| ()) };
        assert!(ran(&at).unwrap_err().contains("--at is \"noon\""));
    }
}
