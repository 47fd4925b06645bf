//! `level_test`: touch and rejection of a strong cluster of levels.
//!
//! With `near` the edge of the cluster that price meets, and distances in the direction away from it:
//! - armed once a close is `departure_atr` or more away from every strong cluster behind it; forms when a close then is within
//!   `approach_atr` of the nearest one, of `strength_min` or more;
//! - ready on the touch: a second's extreme at or beyond `near`;
//! - triggers on the rejection: a close `turn_atr` off the extreme, in the zone, while size imbalance and size ratio stand
//!   against the approach: (B - A)/(B + A) in the direction at least `imbalance_min`, ask over bid size at most
//!   `size_ratio_max` for a long and at least its inverse for a short.

use domain::gate::GateCheck;
use domain::market::Points;
use domain::setup::{Direction, SetupKind};

use super::plan::{Candidate, Detector, Progress, View};
use super::{Entry, Marks, Memory, Planned, extremes, gates};
use crate::context::Cluster;
use crate::profile::{Families, Shape};

pub(super) struct LevelTest;

/// The edge of the cluster that price meets, and the one behind it.
fn edges(it: &Cluster, direction: Direction) -> (Points, Points) {
    match direction {
        Direction::Long => (it.high, it.low),
        Direction::Short => (it.low, it.high),
    }
}

/// The nearest strong cluster that price stands beyond in the direction.
fn behind_price<'a>(view: &'a View<'_>) -> Option<&'a Cluster> {
    let strong = |it: &&Cluster| it.strength >= view.rules.level_test.strength_min;
    let beyond = |it: &&Cluster| view.reached(edges(it, view.direction).0);
    let clusters = view.wider.clusters().iter().filter(strong).filter(beyond);
    clusters.min_by_key(|it| edges(it, view.direction).0.distance(view.price()))
}

impl Detector for LevelTest {
    fn kind(&self) -> SetupKind {
        SetupKind::LevelTest
    }

    fn shape<'a>(&self, rules: &'a Families) -> &'a Shape {
        &rules.level_test.shape
    }

    fn form(&self, memory: &mut Memory, view: &View<'_>) -> Option<Candidate> {
        let rules = &view.rules.level_test;
        let cluster = behind_price(view)?;
        let (near, far) = edges(cluster, view.direction);
        let distance = near.distance(view.price());
        memory.armed |= distance >= view.atrs(rules.departure_atr);
        let forms = memory.armed && distance <= view.atrs(rules.approach_atr);
        let marks = Marks { far: Some(far), ..Marks::default() };
        forms.then_some(Candidate { entry: Entry::Rejection, anchor: near, marks })
    }

    fn ready(&self, it: &mut Planned, view: &View<'_>) -> Progress {
        let (_, worst) = extremes(view.direction, &view.look.ohlc);
        let touched = !view.direction.reached(worst, it.edge) || worst == it.edge;
        if touched { Progress::Ready } else { Progress::Forms }
    }

    fn confirm(&self, it: &Planned, view: &View<'_>, out: &mut Vec<GateCheck>) {
        let (rules, micro, sign) = (&view.rules.level_test, view.look.micro(), view.direction.sign() as f64);
        out.push(gates::turn(it, view.look, rules.shape.turn_atr));
        gates::quality(view.look, out);
        out.push(gates::micro(
            "size_imbalance",
            format!(">= {} against the approach", rules.imbalance_min),
            micro.imbalance.map(|it| (it, it * sign - rules.imbalance_min)),
            view.look,
        ));
        let limit = rules.size_ratio_max;
        let (required, margin): (_, fn(f64, f64) -> f64) = match view.direction {
            Direction::Long => (format!("ask/bid <= {limit}"), |it, limit| limit - it),
            Direction::Short => (format!("ask/bid >= 1/{limit}"), |it, limit| it - 1.0 / limit),
        };
        let ratio = micro.size_ratio.map(|it| (it, margin(it, limit)));
        out.push(gates::micro("size_ratio", required, ratio, view.look));
    }
}
