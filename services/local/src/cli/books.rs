//! `claxton books`.

use std::io::Write;

use clap::{Args, Subcommand};
use domain::time::UtcNanos;
use http::Method;
use serde_json::{Value, json};

use crate::asking::{ask as request, get};

/// What can be asked of the books.
#[derive(Debug, Subcommand)]
pub(super) enum BooksCommand {
    /// Show the last reconciliation of each account: what differs and its cure, what was opened by hand, what expired.
    Show(ShowArgs),
    /// Hand over a position that was opened by hand: from now on it is closed with ours.
    TakeOver(HandoverArgs),
    /// Take a position back: nothing of ours touches it any more. It leaves our books at its cost.
    MineNow(HandoverArgs),
}

/// Whose, and where.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Where `claxton up` serves its API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7380")]
    url: String,
    /// Whose: a local name, `local-member-1` or `local-member-2`.
    #[arg(long = "as", value_name = "NAME", default_value = "local-member-1")]
    name: String,
    /// Print the answer's JSON.
    #[arg(long)]
    json: bool,
}

/// Which position.
#[derive(Debug, Args)]
pub(super) struct HandoverArgs {
    /// The series, such as SPXW261201C05605000.
    #[arg(value_name = "SERIES")]
    series: String,
    /// The account; left out where there is one alone.
    #[arg(long, value_name = "UUID")]
    account: Option<String>,
    /// Where `claxton up` serves its API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7380")]
    url: String,
    /// Whose: a local name, `local-member-1` or `local-member-2`.
    #[arg(long = "as", value_name = "NAME", default_value = "local-member-1")]
    name: String,
}

pub(super) fn run(command: &BooksCommand, out: &mut impl Write) -> anyhow::Result<()> {
    match command {
        BooksCommand::Show(ask) => {
            let books = super::block_on(get(&ask.url, "/v1/reconciliation", Some(&ask.name)))?;
            match ask.json {
                true => writeln!(out, "{books}")?,
                false => out.write_all(told(&books).as_bytes())?,
            }
        }
        BooksCommand::TakeOver(ask) => hand_over(ask, "/v1/positions/take-over", out)?,
        BooksCommand::MineNow(ask) => hand_over(ask, "/v1/positions/mine-now", out)?,
    }
    Ok(())
}

fn hand_over(ask: &HandoverArgs, path: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let answer = super::block_on(async {
        let account = match &ask.account {
            Some(account) => account.clone(),
            None => only_account(&get(&ask.url, "/v1/status", Some(&ask.name)).await?)?,
        };
        let body = json!({ "account": account, "series": ask.series });
        let (status, answer) =
            request(&ask.url, Method::POST, path, Some(&ask.name), body.to_string()).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if status.is_success() { Ok(answer) } else { Err(refused(path, &answer)) }
    })?;
    Ok(writeln!(out, "{answer}")?)
}

/// What the API said no with.
fn refused(path: &str, answer: &str) -> anyhow::Error {
    let problem: Value = serde_json::from_str(answer).unwrap_or_default();
    let detail = problem.get("detail").and_then(Value::as_str).unwrap_or("no reason given");
    anyhow::anyhow!("{path} was refused: {detail}")
}

fn only_account(status: &Value) -> anyhow::Result<String> {
    let accounts: Vec<&str> = rows(&status["accounts"]).filter_map(|it| it["account"].as_str()).collect();
    match accounts.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => anyhow::bail!("you have no account: store a credential first"),
        several => anyhow::bail!("say which with --account: {}", several.join(", ")),
    }
}

/// A few lines for each account.
fn told(books: &Value) -> String {
    let mut lines = Vec::new();
    for account in rows(books) {
        let at = account["at"].as_str().and_then(UtcNanos::parse);
        let at = at.map_or("never".to_owned(), |it| it.new_york().strftime("%H:%M:%S").to_string());
        lines.push(format!(
            "account {} of {}: compared at {at} New York, {} faults",
            word(&account["account"]),
            word(&account["session"]),
            word(&account["faults"])
        ));
        for it in rows(&account["differences"]) {
            lines.push(format!(
                "  {} {}: ours {}, broker {}; cure: {}",
                word(&it["kind"]),
                word(&it["about"]),
                word(&it["ours"]),
                word(&it["broker"]),
                word(&it["cure"])
            ));
        }
        for it in rows(&account["expiries"]) {
            lines.push(format!(
                "  {} {}: {} contracts",
                word(&it["status"]),
                word(&it["series"]),
                word(&it["contracts"])
            ));
        }
    }
    if lines.is_empty() {
        lines.push("nothing was compared in this session yet".to_owned());
    }
    lines.join("\n") + "\n"
}

fn rows(it: &Value) -> impl Iterator<Item = &Value> {
    it.as_array().into_iter().flatten()
}

fn word(it: &Value) -> String {
    match it {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => it.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_with_its_cure_and_what_was_opened_by_hand_is_labelled() {
        let books = json!([{ "account": "a1", "session": "2026-12-01", "at": "2026-12-01T15:00:00Z", "faults": 0,
            "differences": [{ "kind": "foreign", "about": "SPXW261201C05605000", "ours": "0 held", "broker": "2 held",
                "cure": "none" }],
            "expiries": [{ "status": "expired_pending", "series": "SPXW261201C05605000", "contracts": 2 }] }]);
        assert_eq!(
            told(&books),
            "account a1 of 2026-12-01: compared at 10:00:00 New York, 0 faults\n\
             \x20 foreign SPXW261201C05605000: ours 0 held, broker 2 held; cure: none\n\
             \x20 expired_pending SPXW261201C05605000: 2 contracts\n"
        );
        assert_eq!(told(&json!([])), "nothing was compared in this session yet\n");
    }

    #[test]
    fn one_account_needs_no_name_and_several_do() {
        let status = |ids: &[&str]| json!({ "accounts": ids.iter().map(|it| json!({ "account": it })).collect::<Vec<_>>() });
        assert_eq!(only_account(&status(&["a"])).unwrap(), "a");
        assert!(only_account(&status(&[])).is_err());
        assert!(only_account(&status(&["a", "b"])).unwrap_err().to_string().contains("--account: a, b"));
    }
}
