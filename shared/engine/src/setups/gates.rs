//! What must hold for a setup that is ready to trigger. Every look records every gate, the "no" like the "yes".

use domain::gate::GateCheck;
use domain::market::Points;
use domain::setup::Direction;
use domain::time::UtcNanos;

use super::{Caps, Entry, Look, Planned, ahead, entry_from, entry_until, extremes, families, part_of};
use crate::context::six_decimals;
use crate::profile::ContextRules;

/// A gate with a measure, its figures at six decimals.
pub(super) fn measured(
    gate: &str,
    observed: String,
    required: String,
    margin: f64,
    reason: &str,
) -> GateCheck {
    GateCheck::measured(gate, observed, required, six_decimals(margin), reason)
}

/// All gates of the breakout's trigger, in order.
pub(super) fn trigger(caps: Caps, it: &Planned, look: &Look<'_>) -> Vec<GateCheck> {
    let mut gates = vec![source_resolution(look), session_window(look), entry_zone(it, look)];
    let profile = look.ctx.profile();
    gates.push(match it.entry {
        Entry::Pullback => turn(it, look, profile.turn_atr),
        Entry::Break | Entry::Rejection | Entry::Reclaim | Entry::Loss | Entry::Fade | Entry::Exhaustion => {
            hold(it, look, profile.break_hold_secs)
        }
    });
    gates.push(range_trust(look));
    gates.push(range_height(it, look));
    gates.push(feed_gap(look));
    quality(look, &mut gates);
    gates.push(skew(it.setup.direction, look));
    gates.extend(macro_window(look));
    gates.push(macro_alignment(it.setup.direction, look));
    diversification(caps, it.setup.direction, look, &mut gates);
    gates.extend(profile.families.as_ref().map(|_| families::gate(it.setup.kind, look.ctx)));
    gates
}

/// All gates of another family's trigger: what holds for all, with its `own` in between.
pub(super) fn of_family(caps: Caps, it: &Planned, look: &Look<'_>, own: Vec<GateCheck>) -> Vec<GateCheck> {
    let direction = it.setup.direction;
    let mut gates = vec![source_resolution(look), session_window(look), entry_zone(it, look)];
    gates.extend(own);
    gates.push(feed_gap(look));
    gates.extend(implied_move(it, look));
    gates.extend(macro_window(look));
    gates.push(macro_alignment(direction, look));
    diversification(caps, direction, look, &mut gates);
    gates.push(families::gate(it.setup.kind, look.ctx));
    gates
}

/// Freshness limits are at least one step of the source; each decision carries it.
fn source_resolution(look: &Look<'_>) -> GateCheck {
    let step = format!("{:?}", look.ctx.resolution());
    GateCheck::holds("source_resolution", true, step, "carried with the decision", "")
}

fn session_window(look: &Look<'_>) -> GateCheck {
    let (from, until) = (entry_from(look.ctx), entry_until(look.ctx));
    let holds = from <= look.at && look.at < until;
    GateCheck::holds("entry_hours", holds, look.at, format!("{from} to {until}"), "outside_entry_hours")
}

fn entry_zone(it: &Planned, look: &Look<'_>) -> GateCheck {
    let (levels, price) = (&it.setup.levels, look.ohlc.close);
    let margin = price.minus(levels.zone_low).min(levels.zone_high.minus(price)).to_f64();
    let required = format!("{} to {}", levels.zone_low, levels.zone_high);
    measured("entry_zone", price.to_string(), required, margin, "outside_entry_zone")
}

/// Every close beyond the edge for so long.
pub(super) fn hold(it: &Planned, look: &Look<'_>, secs: u32) -> GateCheck {
    let limit = f64::from(secs).max(look.ctx.resolution().as_secs_f64());
    let required = format!(">= {limit} s beyond {}", it.edge);
    match it.beyond_since {
        Some(since) => {
            let held = look.at.since(since).as_secs_f64();
            measured("break_hold", format!("{held} s"), required, held - limit, "break_not_held")
        }
        None => GateCheck::holds("break_hold", false, "inside the range", required, "break_not_held"),
    }
}

/// A close so far off the extreme against the direction.
pub(super) fn turn(it: &Planned, look: &Look<'_>, turn_atr: f64) -> GateCheck {
    let direction = it.setup.direction;
    let (_, worst) = extremes(direction, &look.ohlc);
    let extreme = it.extreme.unwrap_or(worst);
    let level = ahead(direction, extreme, part_of(it.atr, turn_atr));
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

/// A figure of the proxy's microstructure with its margin: skipped with quotes switched off, and a block of its own kind where
/// the proxy's bars are missing.
pub(super) fn micro(gate: &str, required: String, figure: Option<(f64, f64)>, look: &Look<'_>) -> GateCheck {
    let absent = !look.ctx.has_proxy() || look.micro().seconds == 0;
    match figure {
        _ if !look.ctx.quotes_enabled() => GateCheck::skipped(gate, required, "quotes_switched_off"),
        _ if absent => GateCheck::missing(gate, required, "microstructure_unavailable"),
        Some((observed, margin)) => {
            measured(gate, format!("{observed}"), required, margin, "microstructure_insufficient")
        }
        None => GateCheck::missing(gate, required, "microstructure_insufficient"),
    }
}

/// Whose volume, quotes and sizes stand in for the index's, which has none; the profile with all families shows it.
fn stand_in(look: &Look<'_>) -> Option<GateCheck> {
    look.ctx.profile().families.as_ref()?;
    let (gate, required) = ("microstructure_source", "carried with the decision");
    Some(match look.ctx.proxy() {
        Some(it) => {
            let label = format!("{}_proxy", it.as_str().to_lowercase());
            GateCheck::holds(gate, true, label, required, "")
        }
        None => GateCheck::skipped(gate, required, "no_proxy"),
    })
}

/// Coverage and spread of the proxy over its window.
pub(super) fn quality(look: &Look<'_>, gates: &mut Vec<GateCheck>) {
    let (profile, figures) = (look.ctx.profile(), look.micro());
    let coverage = figures.coverage_pct.map(|it| (it, it - profile.coverage_min_pct));
    let spread = figures.spread_bps.map(|it| (it, profile.spread_max_bps - it));
    let required = format!(">= {} % of the proxy's prints quoted", profile.coverage_min_pct);
    gates.extend(stand_in(look));
    gates.push(micro("microstructure_coverage", required, coverage, look));
    let required = format!("<= {} bps", profile.spread_max_bps);
    gates.push(micro("microstructure_spread", required, spread, look));
}

/// Skew of the proxy's aggressors over its window.
pub(super) fn skew(direction: Direction, look: &Look<'_>) -> GateCheck {
    let least = look.ctx.profile().skew_min;
    let skew = look.micro().skew.map(|it| (it, it * direction.sign() as f64 - least));
    micro("aggressor_skew", format!(">= {least} in the direction of the break"), skew, look)
}

/// Skew of the last seconds: no less in the direction than over the whole window, and not against it.
pub(super) fn skew_turning(direction: Direction, look: &Look<'_>, rules: &ContextRules) -> GateCheck {
    let (sign, ctx) = (direction.sign() as f64, look.ctx);
    let secs = f64::from(rules.turn_window_secs).max(ctx.resolution().as_secs_f64());
    let from = UtcNanos(look.at.0.saturating_sub((secs * 1e9) as i64));
    let figures = ctx.micro_since(from).skew.zip(look.micro().skew);
    let turning = figures.map(|(now, whole)| (now, (now * sign).min((now - whole) * sign)));
    let required = format!("of the last {secs} s >= 0 and >= the window's, in the direction");
    micro("skew_turning", required, turning, look)
}

/// No entry in a macro window; the profile with all families asks.
fn macro_window(look: &Look<'_>) -> Option<GateCheck> {
    let (gate, required) = ("macro_window", "no publication near");
    look.ctx.profile().families.as_ref()?;
    let wider = look.ctx.wider()?;
    Some(match wider.macros().holds(look.at) {
        None => GateCheck::missing(gate, required, "macro_calendar_missing"),
        Some(None) => GateCheck::holds(gate, true, "none", required, ""),
        Some(Some(event)) => {
            let observed = format!("{} at {}", event.kind.as_str(), event.at);
            GateCheck::holds(gate, false, observed, required, "macro_window")
        }
    })
}

/// The move that the market still expects today must reach as far as T1; T2 is shown beside it.
fn implied_move(it: &Planned, look: &Look<'_>) -> Option<GateCheck> {
    let part = look.ctx.profile().families.as_ref()?.t1_of_implied_move_max?;
    let (price, levels) = (look.ohlc.close, &it.setup.levels);
    let (t1, t2) = (levels.t1.distance(price), levels.t2.distance(price));
    let required = format!("T1 {t1} (T2 {t2}) <= {part} x the straddle");
    let left = look.ctx.wider().and_then(|it| it.book().implied_move(price, look.at));
    Some(match left {
        Some(left) => {
            let margin = part_of(left, part).minus(t1).to_f64();
            measured("implied_move", left.to_string(), required, margin, "target_beyond_implied_move")
        }
        None => GateCheck::missing("implied_move", required, "implied_move_missing"),
    })
}

/// Missing inputs block wherever the profile applies the floor, and so does a score under it.
fn macro_alignment(direction: Direction, look: &Look<'_>) -> GateCheck {
    let (gate, reason) = ("macro_alignment", "macro_inputs_missing");
    let profile = look.ctx.profile();
    let Some(floor) = profile.macro_floor else {
        return GateCheck::skipped(gate, "no floor in this profile", reason);
    };
    let required = format!(">= {floor}");
    let inputs = profile.families.as_ref().zip(look.ctx.wider());
    let Some((rules, wider)) = inputs else { return GateCheck::missing(gate, required, reason) };
    match wider.alignment().score(direction, &rules.context) {
        Some(score) => measured(gate, score.to_string(), required, score - floor, "macro_against"),
        None => {
            let missing = wider.alignment().missing().join(", ");
            GateCheck {
                observed: Some(format!("missing: {missing}")),
                ..GateCheck::missing(gate, required, reason)
            }
        }
    }
}

fn diversification(caps: Caps, direction: Direction, look: &Look<'_>, gates: &mut Vec<GateCheck>) {
    for (gate, n, cap, reason) in [
        ("diversification_live", caps.live, look.ctx.profile().live_cap_per_direction, "live_cap"),
        ("diversification_session", caps.triggered, caps.session_cap, "session_cap"),
    ] {
        let margin = f64::from(cap) - f64::from(n) - 1.0;
        let required = format!("< {cap} {}", direction.as_str());
        gates.push(measured(gate, n.to_string(), required, margin, reason));
    }
}
