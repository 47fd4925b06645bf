//! `claxton config show`.

use std::io::Write;

use domain::account::Switches;
use domain::ids::AccountNumber;
use serde::Serialize;

/// A setting as it is shown.
struct Row {
    name: &'static str,
    value: String,
    /// The variable that it was read from, if any was set.
    from: Option<&'static str>,
    does: &'static str,
}

/// The settings as one object.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    #[serde(flatten)]
    switches: &'a Switches,
    base_url: Option<&'a str>,
    token_set: bool,
    account_last4: Option<String>,
}

/// Prints the settings that `vars` make.
pub(super) fn show(vars: &[(String, String)], json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let switches = Switches::from_vars(vars.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
    let set =
        |name: &str| vars.iter().find(|it| it.0 == name).map(|it| it.1.as_str()).filter(|it| !it.is_empty());
    let number = set("TRADIER_ACCOUNT_ID").map(str::parse::<AccountNumber>).transpose()?;
    let last4 = number.map(|it| it.last4().to_owned());
    if json {
        let shown = Shown {
            switches: &switches,
            base_url: set("TRADIER_BASE_URL"),
            token_set: set("TRADIER_API_TOKEN").is_some(),
            account_last4: last4,
        };
        return Ok(writeln!(out, "{}", serde_json::to_string(&shown)?)?);
    }
    let rows = rows(&switches, set, last4);
    let width = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (names, values) = (width(|it| it.name.len()), width(|it| it.value.len()));
    for row in &rows {
        let from = match row.from {
            Some(name) if name == row.name => "set",
            Some(name) => name,
            None => "default",
        };
        writeln!(out, "{:names$}  {:values$}  {:12}  {}", row.name, row.value, from, row.does)?;
    }
    writeln!(out, "\n{}", verdict(&switches))?;
    Ok(())
}

/// The two of the four lights that a deployment has.
fn verdict(switches: &Switches) -> &'static str {
    match (switches.execution_enabled, switches.sandbox, switches.production_enabled) {
        (false, _, _) => "No opening order leaves: intents are recorded as would_submit.",
        (true, true, _) => "Orders go to the sandbox; live accounts are not reached.",
        (true, false, false) => {
            "Orders go to the sandbox: live accounts need TRADIER_EXECUTION_PRODUCTION_ENABLED=true as well."
        }
        (true, false, true) => {
            "LIVE: accounts whose owner switched execution on and whose credential was proven today trade real money."
        }
    }
}

fn rows<'a>(switches: &Switches, set: impl Fn(&str) -> Option<&'a str>, last4: Option<String>) -> Vec<Row> {
    let row = |name: &'static str, value: String, does: &'static str| {
        let alias = (name == "TRADIER_EXECUTION_PRODUCTION_ENABLED").then_some("LIVE_TRADING");
        let from = [Some(name), alias].into_iter().flatten().find(|it| set(it).is_some());
        Row { name, value, from, does }
    };
    let none = || "none".to_owned();
    let token = set("TRADIER_API_TOKEN").map_or_else(none, |_| "not shown".to_owned());
    let account = last4.map_or_else(none, |it| format!("..{it}"));
    vec![
        row(
            "TRADIER_EXECUTION_ENABLED",
            switches.execution_enabled.to_string(),
            "route opening orders at all",
        ),
        row(
            "TRADIER_SANDBOX",
            switches.sandbox.to_string(),
            "sandbox host; only the literal false leaves it",
        ),
        row(
            "TRADIER_EXECUTION_PRODUCTION_ENABLED",
            switches.production_enabled.to_string(),
            "second key for the live host; LIVE_TRADING is its other name",
        ),
        row("TRADIER_PORTFOLIO_SYNC_ENABLED", switches.portfolio_sync.to_string(), "balances each minute"),
        row(
            "TRADIER_POSITION_RECONCILIATION_ENABLED",
            switches.reconciliation.to_string(),
            "compare the books with the broker each minute",
        ),
        row(
            "TRADIER_FORCE_FLATTEN_ENABLED",
            switches.force_flatten.to_string(),
            "flatten before the close, for accounts without a choice of their own",
        ),
        row(
            "TRADIER_FORCE_FLATTEN_MINUTES_BEFORE_CLOSE",
            switches.flatten_minutes.to_string(),
            "when the flatten starts",
        ),
        row(
            "TRADIER_FORCE_FLATTEN_WATCHDOG_MINUTES",
            switches.watchdog_minutes.to_string(),
            "from when it is watched, each minute",
        ),
        row(
            "TRADIER_FORCE_FLATTEN_INCLUDE_FOREIGN",
            switches.include_foreign.to_string(),
            "also close what was opened by hand",
        ),
        row(
            "DISALLOW_MARKET_ORDERS",
            switches.disallow_market_orders.to_string(),
            "only limit orders; only the literal false allows others",
        ),
        row(
            "TRADIER_BASE_URL",
            set("TRADIER_BASE_URL").map_or_else(none, str::to_owned),
            "another broker host, local runs only",
        ),
        row("TRADIER_API_TOKEN", token, "another token, local runs only"),
        row("TRADIER_ACCOUNT_ID", account, "another account, local runs only"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::KNOWN_VARIABLES;

    fn shown(vars: &[(&str, &str)], json: bool) -> Result<String, String> {
        let vars: Vec<(String, String)> =
            vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut out = Vec::new();
        show(&vars, json, &mut out).map_err(|it| it.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_setting_is_shown_with_where_it_comes_from() {
        let text = shown(&[("LIVE_TRADING", "true"), ("TRADIER_FORCE_FLATTEN_WATCHDOG_MINUTES", "5")], false)
            .unwrap();
        for name in KNOWN_VARIABLES {
            assert!(
                text.lines().any(|it| it.split_whitespace().next() == Some(name)),
                "{name} is missing:\n{text}"
            );
        }
        let words = |name: &str| -> Vec<&str> {
            text.lines().find(|it| it.starts_with(name)).unwrap().split_whitespace().skip(1).take(2).collect()
        };
        assert_eq!(words("TRADIER_SANDBOX"), ["true", "default"]);
        assert_eq!(words("TRADIER_EXECUTION_PRODUCTION_ENABLED"), ["true", "LIVE_TRADING"]);
        assert_eq!(words("TRADIER_FORCE_FLATTEN_WATCHDOG_MINUTES"), ["5", "set"]);
        assert!(text.contains("No opening order leaves"));
    }

    #[test]
    fn a_mistyped_setting_is_refused_with_the_nearest_known_one() {
        let error = shown(&[("TRADIER_SANDBOKS", "false")], false).unwrap_err();
        assert_eq!(error, "unknown setting TRADIER_SANDBOKS: did you mean TRADIER_SANDBOX?");
    }

    #[test]
    fn neither_the_token_nor_the_whole_account_number_is_shown() {
        let vars = [("TRADIER_API_TOKEN", "very-secret"), ("TRADIER_ACCOUNT_ID", "VA12345678")];
        for json in [false, true] {
            let text = shown(&vars, json).unwrap();
            assert!(!text.contains("very-secret") && !text.contains("VA12345678"), "{text}");
            assert!(text.contains("5678"), "{text}");
        }
    }

    #[test]
    fn live_is_said_only_with_both_keys_and_execution() {
        let on = ("TRADIER_EXECUTION_ENABLED", "true");
        let host = ("TRADIER_SANDBOX", "false");
        let key = ("TRADIER_EXECUTION_PRODUCTION_ENABLED", "true");
        assert!(shown(&[on, host, key], false).unwrap().contains("LIVE:"));
        for vars in [[on, host].as_slice(), &[on, key], &[host, key]] {
            assert!(!shown(vars, false).unwrap().contains("LIVE:"), "{vars:?}");
        }
        let json: serde_json::Value = serde_json::from_str(&shown(&[on], true).unwrap()).unwrap();
        assert_eq!(json["executionEnabled"], true);
        assert_eq!(json["baseUrl"], serde_json::Value::Null);
    }
}
