//! What the families beside the breakout have in common: a detector says where a setup forms, when it is ready, what confirms
//! it and what breaks it; everything else is alike.
//!
//! With `anchor` the price a detector names, and all distances in the direction of the setup:
//! - zone: from the anchor, `zone_atr` high. R: `r_atr`. Stop: middle of the zone less R; T1 and T2: plus 1 R and 2 R.
//! - behind the anchor by `invalid_r`: invalidated. Beyond the zone by `missed_r`, or less than half an R from T1: missed.
//! - triggers on a close in the zone with every gate open.

use domain::gate::GateCheck;
use domain::market::Points;
use domain::setup::{Direction, SetupKind, SetupLevels, SetupState};

use super::{
    Caps, DIRECTIONS, Entry, Look, Marks, Memory, Planned, SetupEngine, Step, ahead, behind, beyond, climax,
    entry_from, entry_until, gates, level_test, minutes, new_setup, outer_edge, part_of, reversion, squeeze,
    trend, vwap,
};
use crate::context::Wider;
use crate::profile::{Families, Shape};

/// What a detector looks at: the second, and what only the families beside the breakout read.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) look: &'a Look<'a>,
    pub(super) wider: &'a Wider,
    pub(super) rules: &'a Families,
    /// ATR now.
    pub(super) atr: Points,
    pub(super) direction: Direction,
}

impl View<'_> {
    /// The close.
    pub(super) fn price(&self) -> Points {
        self.look.ohlc.close
    }

    /// So many ATR.
    pub(super) fn atrs(&self, n: f64) -> Points {
        part_of(self.atr, n)
    }

    /// Whether price is at or beyond `level` in the direction.
    pub(super) fn reached(&self, level: Points) -> bool {
        self.direction.reached(self.price(), level)
    }

    /// `from` moved by `distance` in the direction.
    pub(super) fn ahead(&self, from: Points, distance: Points) -> Points {
        ahead(self.direction, from, distance)
    }

    /// `from` moved by `distance` against the direction.
    pub(super) fn behind(&self, from: Points, distance: Points) -> Points {
        behind(self.direction, from, distance)
    }
}

/// A setup that may form.
pub(super) struct Candidate {
    pub(super) entry: Entry,
    pub(super) anchor: Points,
    pub(super) marks: Marks,
}

/// Where a forming setup stands.
pub(super) enum Progress {
    /// It goes on forming.
    Forms,
    /// It is complete.
    Ready,
    /// Its idea broke, for this reason.
    Broken(&'static str),
}

/// One family.
pub(super) trait Detector: Sync {
    fn kind(&self) -> SetupKind;
    fn shape<'a>(&self, rules: &'a Families) -> &'a Shape;
    /// Arms the memory of a direction with every second, and finds what forms.
    fn form(&self, memory: &mut Memory, view: &View<'_>) -> Option<Candidate>;
    /// Whether a forming setup is complete. Its anchor may still move.
    fn ready(&self, it: &mut Planned, view: &View<'_>) -> Progress;
    /// Why a ready setup's idea broke, where it did.
    fn broken(&self, _it: &Planned, _view: &View<'_>) -> Option<&'static str> {
        None
    }
    /// Another second target than 2 R, at the trigger's levels.
    fn second_target(&self, _levels: &SetupLevels, _view: &View<'_>) -> Option<Points> {
        None
    }
    /// What must hold besides what holds for all.
    fn confirm(&self, it: &Planned, view: &View<'_>, gates: &mut Vec<GateCheck>);
}

/// Every family but the breakout.
pub(super) const DETECTORS: [&dyn Detector; 6] = [
    &level_test::LevelTest,
    &vwap::Vwap,
    &climax::VolumeClimax,
    &squeeze::GammaSqueeze,
    &trend::TrendPullback,
    &reversion::MeanReversion,
];

/// The family's detector; the breakout has its own ways.
pub(super) fn detector(kind: SetupKind) -> Option<&'static dyn Detector> {
    DETECTORS.into_iter().find(|it| it.kind() == kind)
}

fn view<'a>(look: &'a Look<'a>, direction: Direction) -> Option<View<'a>> {
    let (rules, wider) = (look.ctx.profile().families.as_ref()?, look.ctx.wider()?);
    Some(View { look, wider, rules, atr: look.ctx.atr()?, direction })
}

/// Looks for new setups.
pub(super) fn form(engine: &mut SetupEngine, look: &Look<'_>, steps: &mut Vec<Step>) {
    if look.ctx.profile().families.is_none() {
        return;
    }
    let open = look.at >= entry_from(look.ctx) && look.at < entry_until(look.ctx);
    for direction in DIRECTIONS {
        let Some(view) = view(look, direction) else { return };
        for detector in DETECTORS {
            let kind = detector.kind();
            let mut memory = engine.remembered(kind, direction).copied().unwrap_or(Memory {
                kind,
                direction,
                armed: false,
                inside: false,
                minute: None,
                triggered: 0,
            });
            let found = detector.form(&mut memory, &view);
            let taken = engine.holds(kind, direction, |_| true);
            let capped = memory.triggered >= engine.session_cap(look.ctx)
                || engine.formed >= look.ctx.profile().formed_cap;
            if let Some(found) = found.filter(|_| open && !taken && !capped) {
                memory.armed = false;
                memory.inside = false;
                let it = planned(detector, &found, &view);
                it.tell(None, look.at, view.price(), found.entry.as_str(), look.bar, steps);
                engine.planned.push(it);
                engine.formed = engine.formed.saturating_add(1);
            }
            match engine.memory.iter_mut().find(|it| (it.kind, it.direction) == (kind, direction)) {
                Some(it) => *it = memory,
                None => engine.memory.push(memory),
            }
        }
    }
}

fn planned(detector: &dyn Detector, found: &Candidate, view: &View<'_>) -> Planned {
    let levels = levels(detector.shape(view.rules), found.anchor, view);
    let setup = new_setup(view.look, detector.kind(), view.direction, found.anchor, levels);
    Planned { marks: found.marks, ..Planned::new(setup, found.entry, found.anchor, view.atr) }
}

fn levels(shape: &Shape, anchor: Points, view: &View<'_>) -> SetupLevels {
    let height = view.atrs(shape.zone_atr);
    let outer = view.ahead(anchor, height);
    let middle = view.ahead(anchor, Points(height.0 / 2));
    let r_index = view.atrs(shape.r_atr);
    SetupLevels {
        zone_low: anchor.min(outer),
        zone_high: anchor.max(outer),
        stop: view.behind(middle, r_index),
        t1: view.ahead(middle, r_index),
        t2: view.ahead(middle, Points(r_index.0.saturating_mul(2))),
        r_index,
    }
}

/// Works a setup that is not triggered yet.
pub(super) fn work(
    detector: &dyn Detector,
    caps: Caps,
    it: &mut Planned,
    look: &Look<'_>,
    steps: &mut Vec<Step>,
) {
    let direction = it.setup.direction;
    let Some(view) = view(look, direction) else { return };
    let (price, shape) = (view.price(), detector.shape(view.rules));
    it.note_progress(look);
    if it.setup.state == SetupState::Forming {
        match detector.ready(it, &view) {
            Progress::Forms => return fix(detector, it, &view),
            Progress::Broken(reason) => {
                return it.step(SetupState::Invalidated, look.at, price, reason, look.bar, steps);
            }
            Progress::Ready => {}
        }
        fix(detector, it, &view);
        let waits_until = look.at.plus(minutes(shape.ready_minutes));
        it.setup.valid_until = waits_until.min(it.setup.valid_until);
        it.gates = all_gates(detector, caps, it, &view);
        it.step(SetupState::Ready, look.at, price, it.entry.as_str(), look.bar, steps);
    }
    let levels = it.setup.levels;
    let broken = behind(direction, it.edge, part_of(levels.r_index, shape.invalid_r));
    let outer = ahead(direction, outer_edge(&levels, direction), part_of(levels.r_index, shape.missed_r));
    let near_t1 = behind(direction, levels.t1, part_of(levels.r_index, 0.5));
    it.gates = all_gates(detector, caps, it, &view);
    let reason = detector.broken(it, &view);
    let reason = reason.or_else(|| (!direction.reached(price, broken)).then_some("behind_anchor"));
    if let Some(reason) = reason {
        it.step(SetupState::Invalidated, look.at, price, reason, look.bar, steps);
    } else if beyond(direction, price, outer) || beyond(direction, price, near_t1) {
        it.step(SetupState::Missed, look.at, price, "left_without_entry", look.bar, steps);
    } else if domain::gate::first_block(&it.gates).is_none() {
        it.trigger(look, steps);
    }
}

/// Takes the levels from where anchor and ATR are now.
fn fix(detector: &dyn Detector, it: &mut Planned, view: &View<'_>) {
    let levels = levels(detector.shape(view.rules), it.edge, view);
    let t2 = detector.second_target(&levels, view).unwrap_or(levels.t2);
    it.setup.levels = SetupLevels { t2, ..levels };
    it.atr = view.atr;
}

fn all_gates(detector: &dyn Detector, caps: Caps, it: &Planned, view: &View<'_>) -> Vec<GateCheck> {
    let mut own = Vec::new();
    detector.confirm(it, view, &mut own);
    gates::of_family(caps, it, view.look, own)
}
