//! A triggered setup's life: targets, stop, break-even, trail.
//!
//! First value at or through counts; a bar that touches stop and target counts as the stop. Where the spot that options
//! imply is more than three points away from the index, stops use the worse of the two.

use domain::setup::{Direction, SetupState, TrailStep};

use super::{Look, Planned, Step, ahead, behind, extremes, part_of};
use crate::blind::worse;

/// Leads a live setup through one second.
pub(super) fn lead(it: &mut Planned, look: &Look<'_>, steps: &mut Vec<Step>) {
    let direction = it.setup.direction;
    let (best, worst) = extremes(direction, &look.ohlc);
    let worst = worse(direction, worst, look.ohlc.close, look.implied);
    let levels = it.setup.levels;
    it.gates.clear();
    if direction.reached(levels.stop, worst) {
        let moves = &it.setup.trailing_stop_path;
        let reason = match moves.last().map(|it| it.reason.as_str()) {
            None => "stop",
            Some("break_even") => "break_even_stop",
            Some(_) => "trailed_stop",
        };
        it.step(SetupState::Stopped, look.at, worst, reason, look.bar, steps);
        return;
    }
    if it.setup.state == SetupState::Triggered && direction.reached(best, levels.t1) {
        let entry = it.trigger.unwrap_or(levels.zone_high);
        let cost = part_of(levels.r_index, look.ctx.profile().break_even_r);
        tighten(it, look, ahead(direction, entry, cost), "break_even");
        it.step(SetupState::T1Hit, look.at, best, "t1", look.bar, steps);
    }
    if it.setup.state == SetupState::T1Hit && direction.reached(best, levels.t2) {
        it.step(SetupState::T2Hit, look.at, best, "t2", look.bar, steps);
    } else if it.setup.state == SetupState::T1Hit {
        trail(it, look, steps);
    }
}

/// Moves the stop behind a pivot that was confirmed in this second and lies in the trade.
fn trail(it: &mut Planned, look: &Look<'_>, steps: &mut Vec<Step>) {
    let Some(pivot) = look.ctx.pivot().filter(|pivot| pivot.confirmed_in == look.bar) else { return };
    let minute = 60 * domain::time::NANOS_PER_SEC;
    if it.setup.triggered_at.is_none_or(|at| pivot.minute < at.floor_to(minute)) {
        return;
    }
    let direction = it.setup.direction;
    let (level, reason) = match direction {
        Direction::Long => (pivot.low, "pivot_low"),
        Direction::Short => (pivot.high, "pivot_high"),
    };
    let Some(level) = level else { return };
    let buffer = part_of(it.atr, look.ctx.profile().trail_buffer_atr);
    if tighten(it, look, behind(direction, level, buffer), reason) {
        it.step(SetupState::T1Hit, look.at, look.ohlc.close, "trail", look.bar, steps);
    }
}

/// Moves the stop in the direction, never back, and notes it.
fn tighten(it: &mut Planned, look: &Look<'_>, stop: domain::market::Points, reason: &str) -> bool {
    let levels = &mut it.setup.levels;
    if stop == levels.stop || !it.setup.direction.reached(stop, levels.stop) {
        return false;
    }
    levels.stop = stop;
    it.setup.trailing_stop_path.push(TrailStep { ts: look.at, stop, reason: reason.to_owned() });
    true
}
