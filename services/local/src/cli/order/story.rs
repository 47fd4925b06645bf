//! An order's story as lines a trader reads: who decided what on which figures, then what happened, in order of time.

use std::fmt::Write as _;

use domain::market::Points;
use domain::money::{CONTRACT_MULTIPLIER, Price, Usd};
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use serde_json::Value;

/// Tells it.
pub(super) fn told(story: &Value) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    tell(story, &mut text).ok();
    text
}

fn tell(story: &Value, out: &mut String) -> std::fmt::Result {
    let order = &story["order"];
    let series = word(&order["series"]);
    writeln!(out, "{} {} of {series}: {}", word(&order["action"]), word(&order["quantity"]), state(order))?;
    if let Ok(it) = series.parse::<OccSymbol>() {
        let (strike, right) = (it.strike.points(), it.right.letter());
        writeln!(out, "  {} of {}, {strike} {right}, intent {}", it.root, it.expiry, word(&order["intent"]))?;
    }
    writeln!(out, "  decided {} New York, worst price {}", at(&order["decidedAt"]), price(&order["worst"]))?;
    legs(&order["legs"], out)?;
    setup(&story["setup"], out)?;
    sizing(&story["breakdown"], out)?;
    gates(&order["gates"], out)?;
    events(story, out)?;
    fidelity(&story["fidelity"], out)?;
    money_of(story, out)?;
    messages(&story["messages"], out)?;
    beside(&story["beside"], out)
}

fn state(order: &Value) -> String {
    match order["reason"].as_str().unwrap_or("") {
        "" => word(&order["state"]),
        reason => format!("{} ({reason})", word(&order["state"])),
    }
}

/// The legs of a unit, as the entry opens them.
fn legs(legs: &Value, out: &mut String) -> std::fmt::Result {
    if rows(legs).next().is_some() {
        writeln!(out, "\nLegs of a unit")?;
    }
    for leg in rows(legs) {
        writeln!(out, "  {} {} {}", word(&leg["side"]), word(&leg["ratio"]), word(&leg["series"]))?;
    }
    Ok(())
}

fn setup(setup: &Value, out: &mut String) -> std::fmt::Result {
    if setup.is_null() {
        return writeln!(out, "\nNo setup: it closes what is held before the session ends");
    }
    let levels = &setup["levels"];
    let level = |name: &str| {
        levels[name].as_i64().map_or("none".to_owned(), |it| format!("{:.2}", Points(it).to_f64()))
    };
    writeln!(
        out,
        "\nSetup {} {}, profile {}",
        word(&setup["kind"]),
        word(&setup["direction"]),
        word(&setup["profile"])
    )?;
    writeln!(
        out,
        "  zone {} to {}, stop {}, T1 {}, T2 {}",
        level("zoneLow"),
        level("zoneHigh"),
        level("stop"),
        level("t1"),
        level("t2")
    )
}

fn sizing(breakdown: &Value, out: &mut String) -> std::fmt::Result {
    let sizing = &breakdown["sizing"];
    if sizing.is_null() {
        return Ok(());
    }
    let dollars = |name: &str| money(&sizing[name]);
    writeln!(out, "\nSizing")?;
    writeln!(
        out,
        "  delta {}, implied volatility {}, quote {} x {}, worst rung {} ({})",
        figure(&sizing["delta"]),
        figure(&sizing["iv"]),
        cents(&sizing["bid"]),
        cents(&sizing["ask"]),
        cents(&sizing["worst"]),
        word(&sizing["worstBy"])
    )?;
    writeln!(
        out,
        "  one contract costs {} at worst and risks {}; reward to risk {}",
        dollars("perContractDebit"),
        dollars("rUsd"),
        figure(&sizing["rewardToRisk"])
    )?;
    writeln!(
        out,
        "  {} by risk of {}, {} by buying power of {}: {} ({})",
        word(&sizing["contractsByRisk"]),
        dollars("maxRisk"),
        word(&sizing["contractsByBuyingPower"]),
        dollars("buyingPower"),
        word(&sizing["suggestedContracts"]),
        word(&sizing["reason"])
    )
}

/// The pass of the decision and the one before the order left, which begins with the first gate again.
fn gates(gates: &Value, out: &mut String) -> std::fmt::Result {
    let first = rows(gates).next().map(|it| &it["gate"]);
    let mut pass = 0;
    for gate in rows(gates) {
        if first == Some(&gate["gate"]) {
            pass += 1;
            let when = if pass == 1 { "when it was decided" } else { "before it left" };
            writeln!(out, "\nGates {when}")?;
        }
        let reason = gate["reason"].as_str().filter(|it| !it.is_empty()).map(|it| format!(" [{it}]"));
        writeln!(
            out,
            "  {:5}  {:20}  {}; required {}{}",
            word(&gate["verdict"]),
            word(&gate["gate"]),
            plain(&gate["observed"]),
            plain(&gate["required"]),
            reason.unwrap_or_default()
        )?;
    }
    Ok(())
}

/// Steps of the setup, lines of the audit and fills, by time; what was only looked at again is told once.
fn events(story: &Value, out: &mut String) -> std::fmt::Result {
    let mut lines: Vec<(String, String)> = Vec::new();
    for step in rows(story.pointer("/setup/transitions").unwrap_or(&Value::Null)) {
        let from =
            if step["from"].is_null() { String::new() } else { format!("{} to ", word(&step["from"])) };
        let text = format!(
            "setup {from}{}: {} at {}",
            word(&step["to"]),
            word(&step["reason"]),
            price(&step["price"])
        );
        lines.push((word(&step["at"]), text));
    }
    for line in rows(&story["audit"]) {
        lines.push((word(&line["at"]), format!("[{}] {}", word(&line["no"]), audit_line(line))));
    }
    for fill in rows(&story["fills"]) {
        let text = format!(
            "filled: {} {} at {}, fees {} ({})",
            word(&fill["side"]),
            word(&fill["quantity"]),
            price(&fill["price"]),
            price(&fill["fees"]),
            word(&fill["source"])
        );
        lines.push((word(&fill["at"]), text));
    }
    // Stable: what has the same instant keeps the order of its kind.
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    writeln!(out, "\nWhat happened (New York)")?;
    let mut polls = 0_u32;
    for (when, text) in &lines {
        if text.ends_with("] polled") {
            polls = polls.saturating_add(1);
            continue;
        }
        if polls > 0 {
            writeln!(out, "                asked {polls} times, nothing new")?;
            polls = 0;
        }
        writeln!(out, "  {}  {text}", hour(when))?;
    }
    Ok(())
}

/// What a line of the audit says, with the broker's words where it has them.
fn audit_line(line: &Value) -> String {
    let (what, body) = (word(&line["what"]), &line["body"]);
    let mut text = what;
    if let (Some(quantity), Some(price)) =
        (body["quantity"].as_i64(), body["priceCents"].is_u64().then_some(&body["priceCents"]))
    {
        text.push_str(&format!(": {quantity} at {}", cents(price)));
    }
    if let Some(code) = body["code"].as_str() {
        let profile = body["profile"].as_str().map(|it| format!(", profile {it}")).unwrap_or_default();
        text.push_str(&format!(" (code {code}{profile})"));
    }
    if let Some(words) = body["words"].as_str() {
        text.push_str(&format!(": {words}"));
    }
    let blocked = rows(&body["gates"]).filter(|it| it["verdict"] == "block").map(|it| word(&it["gate"]));
    let blocked: Vec<String> = blocked.collect();
    if !blocked.is_empty() {
        text.push_str(&format!(": stopped by {}", blocked.join(", ")));
    }
    text
}

/// What each fill cost beyond the market, and how long it took.
fn fidelity(fills: &Value, out: &mut String) -> std::fmt::Result {
    if rows(fills).next().is_none() {
        return Ok(());
    }
    writeln!(out, "\nExecution against the market")?;
    for it in rows(fills) {
        let slip = amount(&it["slippage"]);
        let words = slip.map_or("slippage not known yet".to_owned(), |slip| {
            let way = match slip.cmp(&Usd::ZERO) {
                std::cmp::Ordering::Greater => "worse than mid",
                std::cmp::Ordering::Less => "better than mid",
                std::cmp::Ordering::Equal => "at mid",
            };
            let figure = |name: &str| it[name].as_f64().map_or("?".to_owned(), |it| format!("{it:+.2}"));
            format!(
                "{} {way}: {} ticks, {} bp, {} R",
                dollars(slip.abs()),
                figure("slippageTicks"),
                figure("slippageBp"),
                figure("slippageR")
            )
        });
        writeln!(
            out,
            "  {} {} at {}; mid {} when decided, {} when sent; {words}",
            word(&it["side"]),
            word(&it["contracts"]),
            price(&it["price"]),
            price(&it["decisionMid"]),
            price(&it["arrivalMid"])
        )?;
        writeln!(
            out,
            "    decided {}, sent {}, taken {}, first fill {}: {} s and {} rungs",
            moment(&it["decidedAt"]),
            moment(&it["submittedAt"]),
            moment(&it["ackedAt"]),
            moment(&it["firstFillAt"]),
            it["timeToFillMs"].as_f64().map_or("?".to_owned(), |it| format!("{:.1}", it / 1e3)),
            word(&it["rungs"])
        )?;
    }
    Ok(())
}

/// What it paid or brought, charges apart.
fn money_of(story: &Value, out: &mut String) -> std::fmt::Result {
    let (mut paid, mut fees, mut contracts, mut is_unpriced) = (Usd::ZERO, Usd::ZERO, 0_i64, false);
    for fill in rows(&story["fills"]) {
        let quantity = fill["quantity"].as_i64().unwrap_or(0);
        contracts = contracts.saturating_add(quantity);
        fees += amount(&fill["fees"]).unwrap_or(Usd::ZERO);
        match amount(&fill["price"]) {
            Some(price) => paid += price.times(CONTRACT_MULTIPLIER).times(quantity),
            None => is_unpriced = true,
        }
    }
    if contracts == 0 {
        return Ok(());
    }
    let verb = if story.pointer("/fills/0/side").and_then(Value::as_str) == Some("buy") {
        "paid"
    } else {
        "brought"
    };
    let open = if is_unpriced { ", a price is still asked for" } else { "" };
    writeln!(
        out,
        "\nMoney\n  {contracts} contracts {verb} {}, charges {}{open}",
        dollars(paid),
        dollars(fees)
    )
}

/// What its owner was told meanwhile.
fn messages(messages: &Value, out: &mut String) -> std::fmt::Result {
    if rows(messages).next().is_none() {
        return Ok(());
    }
    writeln!(out, "\nTold to the member")?;
    for it in rows(messages) {
        writeln!(out, "  {}  {}: {}", at(&it["at"]), word(&it["reason"]), plain(&it["text"]))?;
    }
    Ok(())
}

fn beside(beside: &Value, out: &mut String) -> std::fmt::Result {
    if rows(beside).next().is_none() {
        return Ok(());
    }
    writeln!(out, "\nOf the same setup")?;
    for it in rows(beside) {
        writeln!(
            out,
            "  {}  {:14}  {}  {}",
            at(&it["decidedAt"]),
            word(&it["action"]),
            word(&it["intent"]),
            state(it)
        )?;
    }
    Ok(())
}

fn rows(it: &Value) -> impl Iterator<Item = &Value> {
    it.as_array().into_iter().flatten()
}

/// A code as words.
fn word(it: &Value) -> String {
    plain(it).replace('_', " ")
}

fn plain(it: &Value) -> String {
    match it {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => it.to_string(),
    }
}

fn figure(it: &Value) -> String {
    it.as_f64().map_or("none".to_owned(), |it| format!("{it:.4}"))
}

/// Dollars a share, or index points.
fn price(it: &Value) -> String {
    amount(it).map_or("none".to_owned(), |it| it.to_string())
}

/// A limit in whole cents.
fn cents(it: &Value) -> String {
    let cents = it.as_u64().and_then(|it| u32::try_from(it).ok());
    cents.map_or("none".to_owned(), |it| Price::from_cents(it).to_string())
}

/// Dollars of 1/10,000.
fn money(it: &Value) -> String {
    it.as_i64().map_or("none".to_owned(), |it| dollars(Usd::from_e4(it)))
}

/// An amount with its sign before the dollar.
fn dollars(amount: Usd) -> String {
    let sign = if amount < Usd::ZERO { "-" } else { "" };
    format!("{sign}${}", amount.abs())
}

/// Dollars as a JSON number, to the last digit money has.
fn amount(it: &Value) -> Option<Usd> {
    let e4 = (it.as_f64()? * 1e4).round();
    (e4.abs() < 9e15).then(|| Usd::from_e4(e4 as i64))
}

fn at(it: &Value) -> String {
    let time = it.as_str().and_then(UtcNanos::parse);
    time.map_or("never".to_owned(), |it| it.new_york().strftime("%Y-%m-%d %H:%M:%S%.3f").to_string())
}

/// The time of day, or that it is not known.
fn moment(it: &Value) -> String {
    it.as_str().map_or("?".to_owned(), hour)
}

fn hour(text: &str) -> String {
    let time = UtcNanos::parse(text);
    time.map_or(text.to_owned(), |it| it.new_york().strftime("%H:%M:%S%.3f").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn gate(name: &str, verdict: &str, reason: &str) -> Value {
        json!({ "gate": name, "verdict": verdict, "observed": "no_entries", "required": "normal", "reason": reason })
    }

    #[test]
    fn a_story_is_told_in_order_of_time_with_the_brokers_words() {
        let story = json!({
            "order": { "intent": "ttl2nv23tz8qq6vkpb4370flw1", "action": "enter", "quantity": 4, "state": "done", "reason": "",
                "series": "SPXW261201C05595000", "decidedAt": "2026-12-01T15:18:09.250000Z", "worst": 7.7,
                "gates": [gate("kill_switch", "pass", ""), gate("quote", "pass", ""),
                    gate("kill_switch", "block", "kill_switch"), gate("quote", "pass", "")] },
            "breakdown": { "sizing": { "delta": 0.40865, "iv": 0.17943, "bid": 740, "ask": 760, "worst": 770,
                "worstBy": "ask_plus_tick", "perContractDebit": 7_710_500, "rUsd": 3_295_300, "rewardToRisk": 1.19227,
                "contractsByRisk": 4, "maxRisk": 15_000_000, "contractsByBuyingPower": 129, "buyingPower": 1_000_000_000,
                "suggestedContracts": 4, "reason": "sized" } },
            "setup": { "kind": "orb_breakout", "direction": "long", "profile": "orb-v1",
                "levels": { "zoneLow": 55_886_200, "zoneHigh": 55_908_300, "stop": 55_810_800, "t1": 55_983_600, "t2": null },
                "transitions": [{ "from": "ready", "to": "triggered", "reason": "break", "price": 5589.03,
                    "at": "2026-12-01T15:18:09.000000Z" }] },
            "fills": [{ "side": "buy", "quantity": 4, "price": 7.6, "fees": 4.2, "source": "stream",
                "at": "2026-12-01T15:18:12.430000Z" }],
            "audit": [
                { "no": 53, "at": "2026-12-01T15:18:09.250000Z", "what": "submitting cx-1",
                    "body": { "quantity": 4, "priceCents": 750, "gates": [] } },
                { "no": 54, "at": "2026-12-01T15:18:09.300000Z", "what": "answer to cx-1", "body": { "words": "accepted as order 7" } },
                { "no": 55, "at": "2026-12-01T15:18:10.000000Z", "what": "polled", "body": {} },
                { "no": 56, "at": "2026-12-01T15:18:11.000000Z", "what": "polled", "body": {} },
                { "no": 57, "at": "2026-12-01T15:18:12.250000Z", "what": "moved from 7.50 to 7.60", "body": {} },
            ],
            "beside": [{ "intent": "j8w", "action": "take_profit_1", "state": "done", "reason": "t1",
                "decidedAt": "2026-12-01T15:35:45.250000Z" }],
        });
        let told = told(&story);
        let lines: Vec<&str> = told.lines().collect();
        for line in [
            "enter 4 of SPXW261201C05595000: done",
            "  SPXW of 2026-12-01, 5595 C, intent ttl2nv23tz8qq6vkpb4370flw1",
            "  decided 2026-12-01 10:18:09.250 New York, worst price 7.70",
            "  zone 5588.62 to 5590.83, stop 5581.08, T1 5598.36, T2 none",
            "  one contract costs $771.05 at worst and risks $329.53; reward to risk 1.1923",
            "  4 by risk of $1500.00, 129 by buying power of $100000.00: 4 (sized)",
            "  block  kill switch           no_entries; required normal [kill_switch]",
            "  2026-12-01 10:35:45.250  take profit 1   j8w  done (t1)",
        ] {
            assert!(lines.contains(&line), "{line} is missing:\n{told}");
        }
        let place = |text: &str| lines.iter().position(|it| it.contains(text)).unwrap();
        let order = [
            "Gates when it was decided",
            "Gates before it left",
            "10:18:09.000  setup ready to triggered: break at 5589.03",
            "10:18:09.250  [53] submitting cx-1: 4 at 7.50",
            "10:18:09.300  [54] answer to cx-1: accepted as order 7",
            "asked 2 times, nothing new",
            "10:18:12.250  [57] moved from 7.50 to 7.60",
            "10:18:12.430  filled: buy 4 at 7.60, fees 4.20 (stream)",
            "Of the same setup",
        ];
        assert!(order.map(place).is_sorted(), "{told}");
    }

    #[test]
    fn amounts_under_a_dollar_keep_their_sign() {
        assert_eq!(
            (dollars(Usd::from_cents(-50)), money(&json!(-5_000))),
            ("-$0.50".into(), "-$0.50".into())
        );
        assert_eq!(
            (price(&json!(-0.25)), cents(&json!(5)), money(&Value::Null)),
            ("-0.25".into(), "0.05".into(), "none".into())
        );
    }

    #[test]
    fn a_story_tells_how_it_was_executed_what_it_cost_and_what_its_owner_was_told() {
        let told = told(&json!({
            "order": { "action": "enter", "quantity": 4, "series": "SPXW261201C05595000", "state": "done", "reason": "" },
            "fills": [{ "side": "buy", "quantity": 4, "price": 7.6, "fees": 4.2, "source": "poll",
                "at": "2026-12-01T15:18:12.430000Z" }],
            "fidelity": [{ "side": "buy", "contracts": 4, "price": 7.6, "decisionMid": 7.5, "arrivalMid": 7.525,
                "slippage": 40.0, "slippageTicks": 1.0, "slippageBp": 133.333, "slippageR": 0.0303, "timeToFillMs": 3180,
                "rungs": 2, "decidedAt": "2026-12-01T15:18:09.250000Z", "submittedAt": "2026-12-01T15:18:09.250000Z",
                "ackedAt": "2026-12-01T15:18:09.300000Z", "firstFillAt": null }],
            "messages": [{ "at": "2026-12-01T15:18:00Z", "reason": "buying_power", "text": "$90 is left" }],
        }));
        for line in [
            "  buy 4 at 7.60; mid 7.50 when decided, 7.5250 when sent; $40.00 worse than mid: +1.00 ticks, +133.33 bp, +0.03 R",
            "    decided 10:18:09.250, sent 10:18:09.250, taken 10:18:09.300, first fill ?: 3.2 s and 2 rungs",
            "  4 contracts paid $3040.00, charges $4.20",
            "  2026-12-01 10:18:00.000  buying power: $90 is left",
        ] {
            assert!(told.lines().any(|it| it == line), "{line} is missing:\n{told}");
        }
    }

    #[test]
    fn a_flatten_has_no_setup_and_what_is_missing_is_said() {
        let told = told(
            &json!({ "order": { "action": "flatten", "series": "SPXW261201C05595000", "reason": "no_bid" } }),
        );
        assert!(told.starts_with("flatten none of SPXW261201C05595000: none (no_bid)\n"), "{told}");
        assert!(told.contains("No setup: it closes what is held before the session ends"), "{told}");
    }
}
