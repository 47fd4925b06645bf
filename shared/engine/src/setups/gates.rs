//! What must hold for a setup that is ready to trigger. Every look records every gate, the "no" like the "yes".

use domain::gate::GateCheck;
use domain::market::Points;
use domain::setup::Direction;

use super::{Caps, Entry, Look, Planned, ahead, extremes, orb, part_of};
use crate::context::six_decimals;

/// A gate with a measure, its figures at six decimals.
fn measured(gate: &str, observed: String, required: String, margin: f64, reason: &str) -> GateCheck {
    GateCheck::measured(gate, observed, required, six_decimals(margin), reason)
}

/// All gates of a trigger, in order.
pub(super) fn trigger(caps: Caps, it: &Planned, look: &Look<'_>) -> Vec<GateCheck> {
    let mut gates = vec![source_resolution(look), session_window(look), entry_zone(it, look)];
    gates.push(match it.entry {
        Entry::Break => break_hold(it, look),
        Entry::Pullback => turn(it, look),
    });
    gates.push(range_trust(look));
    gates.push(range_height(it, look));
    gates.push(feed_gap(look));
    microstructure(it.setup.direction, look, &mut gates);
    gates.push(macro_alignment(look));
    diversification(caps, it.setup.direction, look, &mut gates);
    gates
}

/// Freshness limits are at least one step of the source; each decision carries it.
fn source_resolution(look: &Look<'_>) -> GateCheck {
    let step = format!("{:?}", look.ctx.resolution());
    GateCheck::holds("source_resolution", true, step, "carried with the decision", "")
}

fn session_window(look: &Look<'_>) -> GateCheck {
    let (from, until) = (orb::entry_from(look.ctx), orb::entry_until(look.ctx));
    let holds = from <= look.at && look.at < until;
    GateCheck::holds("entry_hours", holds, look.at, format!("{from} to {until}"), "outside_entry_hours")
}

fn entry_zone(it: &Planned, look: &Look<'_>) -> GateCheck {
    let (levels, price) = (&it.setup.levels, look.ohlc.close);
    let margin = price.minus(levels.zone_low).min(levels.zone_high.minus(price)).to_f64();
    let required = format!("{} to {}", levels.zone_low, levels.zone_high);
    measured("entry_zone", price.to_string(), required, margin, "outside_entry_zone")
}

fn break_hold(it: &Planned, look: &Look<'_>) -> GateCheck {
    let limit = f64::from(look.ctx.profile().break_hold_secs).max(look.ctx.resolution().as_secs_f64());
    let required = format!(">= {limit} s beyond {}", it.edge);
    match it.beyond_since {
        Some(since) => {
            let held = look.at.since(since).as_secs_f64();
            measured("break_hold", format!("{held} s"), required, held - limit, "break_not_held")
        }
        None => GateCheck::holds("break_hold", false, "inside the range", required, "break_not_held"),
    }
}

fn turn(it: &Planned, look: &Look<'_>) -> GateCheck {
    let direction = it.setup.direction;
    let (_, worst) = extremes(direction, &look.ohlc);
    let extreme = it.extreme.unwrap_or(worst);
    let level = ahead(direction, extreme, part_of(it.atr, look.ctx.profile().turn_atr));
    let past = Points(look.ohlc.close.minus(level).0.saturating_mul(direction.sign()));
    let required = format!("a close at or past {level}");
    measured("pullback_turn", look.ohlc.close.to_string(), required, past.to_f64(), "pullback_not_turned")
}

fn range_trust(look: &Look<'_>) -> GateCheck {
    let points = look.ctx.profile().agreement_points;
    let required = format!("index and proxy x ratio within {points} points at the start of the range");
    match look.ctx.range() {
        Some(range) if range.verified => {
            GateCheck::holds("opening_range_trust", true, "agreed", required, "")
        }
        Some(_) => GateCheck::skipped("opening_range_trust", required, "proxy_missing"),
        None => GateCheck::missing("opening_range_trust", required, "opening_range_missing"),
    }
}

fn range_height(it: &Planned, look: &Look<'_>) -> GateCheck {
    let least = look.ctx.profile().range_width_min_atr;
    let required = format!(">= {least} ATR");
    match look.ctx.range() {
        Some(range) if it.atr.0 > 0 => {
            let height = six_decimals(range.height().to_f64() / it.atr.to_f64());
            measured("range_height", format!("{height} ATR"), required, height - least, "range_too_narrow")
        }
        _ => GateCheck::missing("range_height", required, "opening_range_missing"),
    }
}

fn feed_gap(look: &Look<'_>) -> GateCheck {
    let limit = f64::from(look.ctx.profile().rearm_secs);
    let required = format!(">= {limit} s of clean data after a gap");
    match look.ctx.feeds().clean_for(look.at) {
        None => GateCheck::holds("feed_gap", true, "no gap so far", required, ""),
        Some(clean) => {
            let clean = clean.as_secs_f64();
            measured("feed_gap", format!("{clean} s"), required, clean - limit, "feed_gap")
        }
    }
}

/// Coverage, spread and skew of the proxy over its window.
fn microstructure(direction: Direction, look: &Look<'_>, gates: &mut Vec<GateCheck>) {
    let (profile, micro) = (look.ctx.profile(), look.ctx.micro());
    let names = ["microstructure_coverage", "microstructure_spread", "aggressor_skew"];
    let required = [
        format!(">= {} % of the proxy's prints quoted", profile.coverage_min_pct),
        format!("<= {} bps", profile.spread_max_bps),
        format!(">= {} in the direction of the break", profile.skew_min),
    ];
    let figures = [
        micro.coverage_pct.map(|it| (it, it - profile.coverage_min_pct)),
        micro.spread_bps.map(|it| (it, profile.spread_max_bps - it)),
        micro.skew.map(|it| (it, it * direction.sign() as f64 - profile.skew_min)),
    ];
    let absent = !look.ctx.has_proxy() || micro.seconds == 0;
    for ((name, required), figure) in names.into_iter().zip(required).zip(figures) {
        gates.push(match figure {
            _ if !look.ctx.quotes_enabled() => GateCheck::skipped(name, required, "quotes_switched_off"),
            _ if absent => GateCheck::missing(name, required, "microstructure_unavailable"),
            Some((observed, margin)) => {
                measured(name, format!("{observed}"), required, margin, "microstructure_insufficient")
            }
            None => GateCheck::missing(name, required, "microstructure_insufficient"),
        });
    }
}

/// Its inputs (history of the regime, options flow) are absent, so there is no score yet. Missing inputs block wherever
/// the profile applies the floor.
fn macro_alignment(look: &Look<'_>) -> GateCheck {
    let (gate, reason) = ("macro_alignment", "macro_inputs_missing");
    match look.ctx.profile().macro_floor {
        Some(floor) => GateCheck::missing(gate, format!(">= {floor}"), reason),
        None => GateCheck::skipped(gate, "no floor in this profile", reason),
    }
}

fn diversification(caps: Caps, direction: Direction, look: &Look<'_>, gates: &mut Vec<GateCheck>) {
    let profile = look.ctx.profile();
    for (gate, n, cap, reason) in [
        ("diversification_live", caps.live, profile.live_cap_per_direction, "live_cap"),
        ("diversification_session", caps.triggered, profile.session_cap_per_direction, "session_cap"),
    ] {
        let margin = f64::from(cap) - f64::from(n) - 1.0;
        let required = format!("< {cap} {}", direction.as_str());
        gates.push(measured(gate, n.to_string(), required, margin, reason));
    }
}
