//! `orb_breakout`: the break of the opening range, and the first pullback to its edge after a break.
//!
//! With `edge` the range's high (long) or low (short), ATR the 14-bar average of 1 min, and all distances in the
//! direction of the setup:
//! - break: forms when a close from inside comes within `approach_atr` of the edge; ready on a close beyond the edge by
//!   `break_buffer_atr`; triggers in the zone once every close for `break_hold_secs` was beyond the edge.
//! - pullback: forms when a close lies `departure_atr` beyond the edge; ready when price comes back into the zone;
//!   triggers in the zone on a close `turn_atr` off the pullback's extreme.
//! - zone: from the edge outwards, `zone_atr` high. R: `stop_range_part` of the range's height, held between `r_min_atr`
//!   and `r_max_atr`. Stop: middle of the zone less R; T1 and T2: plus 1 R and 2 R.
//! - back inside the edge by `invalid_r`: invalidated. Beyond the zone by `missed_r`, or less than half an R from T1:
//!   missed.

use domain::market::Points;
use domain::setup::{Direction, SetupKind, SetupLevels, SetupState};

use super::{
    Caps, DIRECTIONS, Entry, Look, Planned, SetupEngine, Step, ahead, behind, beyond, entry_from,
    entry_until, extremes, gates, minutes, new_setup, outer_edge, part_of,
};
use crate::context::{Context, Range};

/// Looks for new setups.
pub(super) fn form(engine: &mut SetupEngine, look: &Look<'_>, steps: &mut Vec<Step>) {
    let profile = look.ctx.profile();
    let (Some(range), Some(atr)) = (look.ctx.range(), look.ctx.atr()) else { return };
    let (range, price) = (*range, look.ohlc.close);
    for direction in DIRECTIONS {
        let edge = edge_of(&range, direction);
        let inside = !direction.reached(price, edge);
        let near = direction.reached(price, behind(direction, edge, part_of(atr, profile.approach_atr)));
        let departed = direction.reached(price, ahead(direction, edge, part_of(atr, profile.departure_atr)));
        let kind = SetupKind::OrbBreakout;
        let breaking =
            engine.holds(kind, direction, |it| it.entry == Entry::Break || it.setup.state.is_live());
        let live = engine.holds(kind, direction, |it| it.setup.state.is_live());
        let session_cap = engine.session_cap(look.ctx);
        let side = engine.side_mut(direction);
        // A setup's own time inside the range does not arm the next one.
        side.break_armed |= inside && !breaking;
        side.pullback_armed |= inside;
        let (breaks, pulls) = (side.break_armed && near, side.pullback_armed && departed);
        let open = look.at >= entry_from(look.ctx) && look.at < entry_until(look.ctx);
        if !open || live || side.triggered >= session_cap {
            continue;
        }
        for (wanted, entry, anchor) in [(breaks, Entry::Break, edge), (pulls, Entry::Pullback, price)] {
            let taken = engine.holds(kind, direction, |it| it.entry == entry);
            if !wanted || taken || engine.formed >= profile.formed_cap {
                continue;
            }
            let it = planned(look, &range, atr, direction, entry, anchor);
            it.tell(None, look.at, price, entry.as_str(), look.bar, steps);
            engine.planned.push(it);
            engine.formed = engine.formed.saturating_add(1);
            let side = engine.side_mut(direction);
            if entry == Entry::Pullback {
                side.pullback_armed = false;
            } else {
                side.break_armed = false;
            }
        }
    }
}

/// Works a setup that is not triggered yet.
pub(super) fn work(caps: Caps, it: &mut Planned, look: &Look<'_>, steps: &mut Vec<Step>) {
    let direction = it.setup.direction;
    let (price, profile) = (look.ohlc.close, look.ctx.profile());
    it.note_progress(look);
    if it.setup.state == SetupState::Forming && !becomes_ready(caps, it, look, steps) {
        return;
    }
    let levels = it.setup.levels;
    let broken = behind(direction, it.edge, part_of(levels.r_index, profile.invalid_r));
    let outer = ahead(direction, outer_edge(&levels, direction), part_of(levels.r_index, profile.missed_r));
    let near_t1 = behind(direction, levels.t1, part_of(levels.r_index, 0.5));
    it.gates = gates::trigger(caps, it, look);
    if !direction.reached(price, broken) {
        it.step(SetupState::Invalidated, look.at, price, "back_inside", look.bar, steps);
    } else if beyond(direction, price, outer) || beyond(direction, price, near_t1) {
        it.step(SetupState::Missed, look.at, price, "left_without_entry", look.bar, steps);
    } else if domain::gate::first_block(&it.gates).is_none() {
        it.trigger(look, steps);
    }
}

/// Whether a forming setup is complete with this second; fixes its levels if so.
fn becomes_ready(caps: Caps, it: &mut Planned, look: &Look<'_>, steps: &mut Vec<Step>) -> bool {
    let direction = it.setup.direction;
    let (Some(range), Some(atr)) = (look.ctx.range(), look.ctx.atr()) else { return false };
    let (profile, price) = (look.ctx.profile(), look.ohlc.close);
    let levels = levels(range, atr, direction, look.ctx);
    it.setup.levels = levels;
    it.atr = atr;
    let ready = if it.entry == Entry::Pullback {
        let (_, worst) = extremes(direction, &look.ohlc);
        direction.reached(outer_edge(&levels, direction), worst)
    } else {
        direction.reached(price, ahead(direction, it.edge, part_of(atr, profile.break_buffer_atr)))
    };
    if ready {
        let waits_until = look.at.plus(minutes(profile.ready_minutes));
        it.setup.valid_until = waits_until.min(it.setup.valid_until);
        it.gates = gates::trigger(caps, it, look);
        it.step(SetupState::Ready, look.at, price, it.entry.as_str(), look.bar, steps);
    }
    ready
}

fn planned(
    look: &Look<'_>,
    range: &Range,
    atr: Points,
    direction: Direction,
    entry: Entry,
    anchor: Points,
) -> Planned {
    let levels = levels(range, atr, direction, look.ctx);
    let setup = new_setup(look, SetupKind::OrbBreakout, direction, anchor, levels);
    Planned::new(setup, entry, edge_of(range, direction), atr)
}

fn levels(range: &Range, atr: Points, direction: Direction, ctx: &Context) -> SetupLevels {
    let profile = ctx.profile();
    let edge = edge_of(range, direction);
    let height = part_of(atr, profile.zone_atr);
    let outer = ahead(direction, edge, height);
    let middle = ahead(direction, edge, Points(height.0 / 2));
    let r_index = part_of(range.height(), profile.stop_range_part)
        .min(part_of(atr, profile.r_max_atr))
        .max(part_of(atr, profile.r_min_atr));
    SetupLevels {
        zone_low: edge.min(outer),
        zone_high: edge.max(outer),
        stop: behind(direction, middle, r_index),
        t1: ahead(direction, middle, r_index),
        t2: ahead(direction, middle, Points(r_index.0.saturating_mul(2))),
        r_index,
    }
}

fn edge_of(range: &Range, direction: Direction) -> Points {
    match direction {
        Direction::Long => range.high,
        Direction::Short => range.low,
    }
}
