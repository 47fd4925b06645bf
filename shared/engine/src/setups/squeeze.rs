//! `gamma_squeeze`: dealers short of gamma at spot and at the strikes ahead.
//!
//! Of series that expire today, with `flow_gex` below 0 at the strike nearest to spot and at the next `strikes_ahead` in the
//! direction: forms when the next strike ahead, the anchor, comes within `approach_atr`; ready on a close beyond it by
//! `buffer_atr`; triggers in the zone once every close for `hold_secs` was beyond it, while dealers are still short and the
//! flow of options is in the direction by `flow_min` and not fading: at least `flow_kept_part` of the window before.
//! A positive wall is a target, not a trigger: between T1 and 2 R it is T2, before T1 it blocks.

use domain::gate::GateCheck;
use domain::market::Points;
use domain::setup::{Direction, SetupKind, SetupLevels};

use super::plan::{Candidate, Detector, Progress, View};
use super::{Entry, Marks, Memory, Planned, beyond, gates};
use crate::context::GammaProfile;
use crate::profile::{Families, Shape};

pub(super) struct GammaSqueeze;

/// Strikes from the one nearest to price onwards in the direction, as positions in the profile.
fn onwards(profile: &GammaProfile, from: usize, direction: Direction) -> impl Iterator<Item = usize> {
    let (up, down) = match direction {
        Direction::Long => (Some(from..profile.strikes.len()), None),
        Direction::Short => (None, Some((0..=from).rev())),
    };
    up.into_iter().flatten().chain(down.into_iter().flatten())
}

fn zero_dte<'a>(view: &'a View<'_>) -> Option<&'a GammaProfile> {
    view.wider.gamma().map(|it| &it.zero_dte)
}

/// `flow_gex` where dealers are least short, of spot and the strikes ahead; `None` where one of them is missing.
fn least_short(view: &View<'_>) -> Option<f64> {
    let profile = zero_dte(view)?;
    let wanted = (view.rules.gamma_squeeze.strikes_ahead as usize).saturating_add(1);
    let from = profile.nearest(view.price())?;
    let flows = onwards(profile, from, view.direction).take(wanted);
    let flows: Vec<f64> = flows.filter_map(|i| profile.strikes.get(i)?.flow).collect();
    (flows.len() == wanted).then(|| flows.into_iter().fold(f64::NEG_INFINITY, f64::max))
}

/// The first strike beyond price in the direction.
fn next_strike(view: &View<'_>) -> Option<Points> {
    let ahead = zero_dte(view)?.strikes.iter().map(|it| it.strike);
    ahead.filter(|it| beyond(view.direction, *it, view.price())).min_by_key(|it| it.distance(view.price()))
}

/// The strike beyond `from` with the most gamma above 0.
fn positive_wall(view: &View<'_>, from: Points) -> Option<Points> {
    let ahead = zero_dte(view)?.strikes.iter().filter(|it| beyond(view.direction, it.strike, from));
    let positive = ahead.filter_map(|it| Some((it.total().filter(|it| *it > 0.0)?, it.strike)));
    positive.max_by(|a, b| a.0.total_cmp(&b.0)).map(|it| it.1)
}

impl Detector for GammaSqueeze {
    fn kind(&self) -> SetupKind {
        SetupKind::GammaSqueeze
    }

    fn shape<'a>(&self, rules: &'a Families) -> &'a Shape {
        &rules.gamma_squeeze.shape
    }

    fn form(&self, memory: &mut Memory, view: &View<'_>) -> Option<Candidate> {
        let rules = &view.rules.gamma_squeeze;
        let short = least_short(view).is_some_and(|it| it < 0.0);
        let anchor = next_strike(view)?;
        let near = anchor.distance(view.price()) <= view.atrs(rules.approach_atr);
        memory.armed |= !near;
        let marks = Marks::default();
        (memory.armed && short && near).then_some(Candidate { entry: Entry::Break, anchor, marks })
    }

    fn ready(&self, it: &mut Planned, view: &View<'_>) -> Progress {
        let rules = &view.rules.gamma_squeeze;
        if least_short(view).is_none_or(|it| it >= 0.0) {
            return Progress::Broken("dealers_not_short");
        }
        let broken = view.reached(view.ahead(it.edge, view.atrs(rules.buffer_atr)));
        if broken { Progress::Ready } else { Progress::Forms }
    }

    fn broken(&self, _it: &Planned, view: &View<'_>) -> Option<&'static str> {
        least_short(view).is_none_or(|it| it >= 0.0).then_some("dealers_not_short")
    }

    fn second_target(&self, levels: &SetupLevels, view: &View<'_>) -> Option<Points> {
        let anchor = match view.direction {
            Direction::Long => levels.zone_low,
            Direction::Short => levels.zone_high,
        };
        let wall = positive_wall(view, anchor)?;
        (beyond(view.direction, wall, levels.t1) && beyond(view.direction, levels.t2, wall)).then_some(wall)
    }

    fn confirm(&self, it: &Planned, view: &View<'_>, out: &mut Vec<GateCheck>) {
        let (rules, sign) = (&view.rules.gamma_squeeze, view.direction.sign() as f64);
        out.push(gates::hold(it, view.look, rules.hold_secs));
        let source = zero_dte(view).map_or("unavailable", |it| it.source.as_str());
        let ahead = format!("flow_gex < 0 at spot and {} strikes ahead", rules.strikes_ahead);
        out.push(match least_short(view) {
            // 0 is not short.
            Some(flow) if flow < 0.0 => {
                gates::measured("dealer_gamma", format!("{flow:.0} ({source})"), ahead, -flow, "")
            }
            Some(flow) => {
                let observed = format!("{flow:.0} ({source})");
                GateCheck {
                    margin: Some(-flow),
                    ..GateCheck::holds("dealer_gamma", false, observed, ahead, "dealers_not_short")
                }
            }
            None => GateCheck::missing("dealer_gamma", ahead, "gamma_unavailable"),
        });
        let flow = view.wider.flow();
        let (now, before) = (flow.and_then(|it| it.score), flow.and_then(|it| it.score_before));
        let required = format!(">= {} in the direction", rules.flow_min);
        out.push(match now {
            Some(now) => gates::measured(
                "options_flow",
                now.to_string(),
                required,
                now * sign - rules.flow_min,
                "flow_against",
            ),
            None => GateCheck::missing("options_flow", required, "flow_unavailable"),
        });
        let required = format!(">= {} of the window before", rules.flow_kept_part);
        out.push(match (now, before) {
            (Some(now), Some(before)) => {
                let kept = (before * sign).max(0.0) * rules.flow_kept_part;
                gates::measured(
                    "flow_not_fading",
                    format!("{now} after {before}"),
                    required,
                    now * sign - kept,
                    "flow_fading",
                )
            }
            (Some(_), None) => GateCheck::skipped("flow_not_fading", required, "no_flow_before"),
            (None, _) => GateCheck::missing("flow_not_fading", required, "flow_unavailable"),
        });
        let t1 = it.setup.levels.t1;
        out.push(match positive_wall(view, it.edge) {
            Some(wall) => {
                let room = Points(wall.minus(t1).0.saturating_mul(view.direction.sign()));
                gates::measured(
                    "positive_wall",
                    wall.to_string(),
                    format!("at or beyond T1 {t1}"),
                    room.to_f64(),
                    "wall_before_t1",
                )
            }
            None => {
                GateCheck::holds("positive_wall", true, "none ahead", format!("at or beyond T1 {t1}"), "")
            }
        });
        gates::quality(view.look, out);
    }
}
