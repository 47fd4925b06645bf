//! `claxton status`.

use std::io::Write;

use anyhow::bail;
use clap::Args;
use domain::time::UtcNanos;
use serde_json::{Value, json};

use crate::asking::get;

/// Whose status is asked for.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Where `claxton up` serves its API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7380")]
    url: String,
    /// Print one JSON object with the answers of /v1/status and /v1/health/deep.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(ask: &StatusArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (status, health) = super::block_on(async {
        Ok((get(&ask.url, "/v1/status", None).await?, get(&ask.url, "/v1/health/deep", None).await?))
    })?;
    if ask.json {
        writeln!(out, "{}", json!({ "status": status, "health": health }))?;
    } else {
        show(&status, &health, out)?;
    }
    if health.get("status").and_then(Value::as_str) != Some("up") {
        bail!("not everything works: the lines marked fail say what");
    }
    Ok(())
}

/// A few lines.
fn show(status: &Value, health: &Value, out: &mut impl Write) -> anyhow::Result<()> {
    let word = |it: &Value, name: &str| match it.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "none".to_owned(),
        Some(other) => other.to_string(),
    };
    let clock = |it: &Value, name: &str| match UtcNanos::parse(&word(it, name)) {
        Some(at) => at.new_york().strftime("%Y-%m-%d %H:%M:%S").to_string(),
        None => "never".to_owned(),
    };
    writeln!(out, "market     {} New York", clock(status, "at"))?;
    let routed = match status.get("executionEnabled") == Some(&Value::Bool(true)) {
        true => "opening orders go to the sandbox",
        false => "no opening order leaves",
    };
    writeln!(out, "execution  {routed}")?;
    let switches = status.get("killSwitch").and_then(Value::as_array);
    let flipped = switches.into_iter().flatten().filter(|it| word(it, "state") != "normal");
    for row in flipped {
        writeln!(out, "switch     {} {}: {}", word(row, "scope"), word(row, "state"), word(row, "reason"))?;
    }
    for row in status.get("accounts").and_then(Value::as_array).into_iter().flatten() {
        writeln!(
            out,
            "account    ..{} {} {}, {} open intents, {} contracts held, reconciled {}, {} faults",
            word(row, "last4"),
            word(row, "environment"),
            word(row, "credential"),
            word(row, "openIntents"),
            word(row, "heldContracts"),
            clock(row, "reconciledAt"),
            word(row, "faults"),
        )?;
    }
    for (name, label) in [
        ("database", "database"),
        ("migrations", "schema"),
        ("queues", "queues"),
        ("feed", "feed"),
        ("killSwitch", "switch"),
    ] {
        let part = health.get(name).unwrap_or(&Value::Null);
        writeln!(out, "{label:9}  {}: {}", word(part, "verdict"), word(part, "detail"))?;
    }
    writeln!(out, "health     {}", word(health, "status"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_health_are_a_few_lines() {
        let status = json!({
            "at": "2026-11-20T15:31:07Z", "executionEnabled": true,
            "killSwitch": [{ "scope": "global", "state": "no_entries", "reason": "lunch" }],
            "accounts": [{ "last4": "0001", "environment": "sandbox", "credential": "active", "openIntents": 1,
                "heldContracts": 3, "reconciledAt": null, "faults": null }],
        });
        let part = |verdict: &str| json!({ "verdict": verdict, "detail": "as it should" });
        let health = json!({ "status": "up", "database": part("ok"), "feed": part("warn") });
        let mut out = Vec::new();
        show(&status, &health, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in [
            "market     2026-11-20 10:31:07 New York",
            "switch     global no_entries: lunch",
            "account    ..0001 sandbox active, 1 open intents, 3 contracts held, reconciled never, none faults",
            "feed       warn: as it should",
            "health     up",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is missing:\n{text}");
        }
    }

    #[test]
    fn where_nothing_answers_the_error_says_how_to_start_it() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let ask = |url: &str| {
            let ask = StatusArgs { url: url.to_owned(), json: false };
            format!("{:#}", run(&ask, &mut Vec::new()).unwrap_err())
        };
        let told = ask(&format!("http://{silent}"));
        assert!(told.contains("nothing answers at") && told.contains("claxton up"), "{told}");
        assert!(ask("ftp://127.0.0.1").contains("is no address of an API"));
    }
}
