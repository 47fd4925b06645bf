//! A decision in words: every gate with what it saw, the figures, and what would have changed the answer.

use std::fmt::{self, Write as _};

use domain::ticket::{LegSide, NetKind};

use super::bound::Value;
use super::check::{Change, Check, Outcome, Verdict};
use super::decision::{Answer, Decision};
use super::strategy::Kind;
use super::structure::{Numbers, Structure};

/// Writes `decision` for its owner: a waterfall of the stages, the structure with its figures, and the fewest readings
/// that would turn the answer round.
pub fn waterfall(decision: &Decision) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    write(&mut text, decision).unwrap_or_default();
    text
}

fn write(out: &mut String, it: &Decision) -> fmt::Result {
    let at = it.at.new_york();
    let answer = match it.answer {
        Answer::Enter => "enter",
        Answer::Stand => "stand",
    };
    writeln!(out, "{} ({} on {}) at {at} New York: {answer}", it.strategy, it.kind.as_str(), it.underlying)?;
    if let (Some(stage), Some(reason)) = (it.decided_by, it.reason) {
        writeln!(out, "Stage {stage:?}, {reason}: {}", reason.meaning())?;
    }
    if it.trips_safe_mode {
        writeln!(out, "The term structure is inverted: safe mode.")?;
    }
    writeln!(out)?;
    for stage in &it.stages {
        line(out, stage)?;
    }
    if let Some(structure) = &it.structure {
        writeln!(out)?;
        legs(out, structure)?;
    }
    if let Some(numbers) = &it.numbers {
        figures(out, numbers)?;
    }
    search(out, it)?;
    flips(out, it)
}

const fn spelt(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Block => "BLOCK",
        Verdict::Skipped => "skip",
        Verdict::Unknown => "UNKNOWN",
    }
}

/// One stage: of what stops it every reading, of what lets through the nearest.
fn line(out: &mut String, it: &Outcome) -> fmt::Result {
    let stage = format!("{:?}", it.stage);
    let head = format!("{stage:<3} {:<23} {:<8}", it.stage.title(), spelt(it.verdict));
    let stopping: Vec<&Check> = it.checks.iter().filter(|it| it.verdict.stops()).collect();
    let shown = if stopping.is_empty() { it.nearest().into_iter().collect() } else { stopping };
    if shown.is_empty() {
        return match it.reason {
            Some(reason) => writeln!(out, "{head} {reason}"),
            None => writeln!(out, "{}", head.trim_end()),
        };
    }
    for (n, check) in shown.into_iter().enumerate() {
        let lead = if n == 0 { head.clone() } else { " ".repeat(head.len()) };
        writeln!(out, "{lead} {}", read(check))?;
    }
    Ok(())
}

/// A reading beside what is required of it.
fn read(it: &Check) -> String {
    let mut text = it.reading.to_string();
    if let Some(leg) = it.leg {
        text += &format!(" {leg}");
    }
    text += &match &it.observed {
        Some(value) => format!(" {value}"),
        None => " not known".to_owned(),
    };
    if let Some(required) = &it.required {
        text += &format!(", required {required}");
    }
    if !it.reading.unit().is_empty() {
        text += &format!(" {}", it.reading.unit());
    }
    if let Some(reason) = it.reason {
        text += &format!(": {reason}");
    }
    text
}

fn legs(out: &mut String, it: &Structure) -> fmt::Result {
    let price = match it.price.kind() {
        NetKind::Credit => format!("a credit of {}", it.price.magnitude()),
        NetKind::Debit => format!("a debit of {}", it.price.magnitude()),
        NetKind::Even => "nothing".to_owned(),
    };
    writeln!(out, "{} x {} of {} ({} days) for {price}", it.units, it.kind.as_str(), it.expiry, it.dte)?;
    for leg in &it.legs {
        let side = if leg.leg.side == LegSide::SellToOpen { "sell" } else { "buy" };
        let figures =
            leg.delta.zip(leg.vol).map(|(delta, vol)| format!(", delta {delta:.3}, volatility {vol:.3}"));
        let figures = figures.unwrap_or_default();
        writeln!(
            out,
            "  {side:<4} {} {} at {} x {}{figures}",
            leg.leg.ratio, leg.leg.series, leg.bid, leg.ask
        )?;
    }
    Ok(())
}

fn figures(out: &mut String, it: &Numbers) -> fmt::Result {
    let known =
        |it: Option<f64>, places: usize| it.map_or("not known".to_owned(), |it| format!("{it:.places$}"));
    writeln!(out, "  most profit {}, most loss {}, friction {}", it.max_profit, it.max_loss, it.friction)?;
    writeln!(
        out,
        "  ev_p {}, at 1.2 x volatility {}, under the smile {}; ev_net {:.2}",
        known(it.ev_p, 2),
        known(it.ev_stressed, 2),
        known(it.ev_smile, 2),
        it.ev_net
    )?;
    writeln!(
        out,
        "  profit {}, shorts out of the money {:.3}, touch {}, expected move {}",
        known(it.p_profit, 3),
        it.p_otm,
        known(it.p_touch, 3),
        known(it.expected_move, 1)
    )
}

fn search(out: &mut String, it: &Decision) -> fmt::Result {
    let found = &it.search;
    if found.candidates == 0 && found.refused.is_empty() {
        return Ok(());
    }
    let expirations = found.expirations.len();
    let mut text = format!("  {} candidates over {expirations} expirations", found.candidates);
    if found.ruled_out > 0 {
        text += &format!(", {} ruled out", found.ruled_out);
    }
    for (reason, count) in &found.refused {
        text += &format!(", {count} {reason}");
    }
    writeln!(out, "{text}")
}

fn flips(out: &mut String, it: &Decision) -> fmt::Result {
    let head = match it.answer {
        Answer::Enter => "It would stand with",
        Answer::Stand => "It would enter with",
    };
    for (n, change) in it.flip.iter().enumerate() {
        let lead = if n == 0 { format!("\n{head}") } else { " ".repeat(head.len() - 3) + "and" };
        writeln!(out, "{lead} {}", turned(it, change))?;
    }
    Ok(())
}

/// A change: what was read, and what it would have to be.
fn turned(it: &Decision, change: &Change) -> String {
    let leg = change.leg.map_or_else(String::new, |it| format!(" {it}"));
    let from = change.from.as_ref().map_or_else(|| "not known".to_owned(), ToString::to_string);
    let about = it.stages.iter().flat_map(|it| &it.checks).find(|it| it.is_about(change));
    // To pass it takes what is required; to stop, any value beyond it.
    let to = match (it.answer, about.and_then(|it| it.required.as_ref()), &change.to) {
        (_, _, Value::Word(word)) => word.to_string(),
        (Answer::Stand, Some(required), _) => required.to_string(),
        (Answer::Enter, Some(required), _) => format!("not {required}"),
        (_, None, to) => to.to_string(),
    };
    format!("{}{leg} {to} instead of {from}", change.reading)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
