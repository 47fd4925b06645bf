//! `trend_pullback`: continuation of a trend from a pullback.
//!
//! While the regime trends in the direction: armed by a close within `impulse_atr` of VWAP, forms on one further beyond it;
//! the extreme of the move is followed. Ready once a close came back `depth_atr` from that extreme and is still beyond VWAP;
//! the zone is centred there. Triggers in the zone on a close `turn_atr` off the pullback's extreme with the skew turning (see
//! `mean_reversion`). A trend in the other direction or a close on the other side of VWAP breaks it.

use domain::gate::GateCheck;
use domain::market::Points;
use domain::setup::{Direction, SetupKind};

use super::plan::{Candidate, Detector, Progress, View};
use super::{Entry, Marks, Memory, Planned, extremes, gates};
use crate::context::Regime;
use crate::profile::{Families, Shape};

pub(super) struct TrendPullback;

fn trend(view: &View<'_>) -> Option<Direction> {
    match view.wider.regime().regime {
        Regime::TrendingUp => Some(Direction::Long),
        Regime::TrendingDown => Some(Direction::Short),
        Regime::Ranging | Regime::Compression | Regime::Breakout | Regime::Unknown => None,
    }
}

fn broken(view: &View<'_>) -> Option<&'static str> {
    let turned = trend(view).is_some_and(|it| it != view.direction);
    let lost = view.look.ctx.vwap().is_none_or(|it| !view.reached(it.vwap));
    if turned {
        Some("trend_turned")
    } else if lost {
        Some("vwap_lost")
    } else {
        None
    }
}

impl Detector for TrendPullback {
    fn kind(&self) -> SetupKind {
        SetupKind::TrendPullback
    }

    fn shape<'a>(&self, rules: &'a Families) -> &'a Shape {
        &rules.trend_pullback.shape
    }

    fn form(&self, memory: &mut Memory, view: &View<'_>) -> Option<Candidate> {
        let vwap = view.look.ctx.vwap()?.vwap;
        let far = view.reached(view.ahead(vwap, view.atrs(view.rules.trend_pullback.impulse_atr)));
        memory.armed |= !far;
        let (best, _) = extremes(view.direction, &view.look.ohlc);
        let forms = memory.armed && far && trend(view) == Some(view.direction);
        let marks = Marks { far: Some(best), ..Marks::default() };
        forms.then_some(Candidate { entry: Entry::Pullback, anchor: view.price(), marks })
    }

    fn ready(&self, it: &mut Planned, view: &View<'_>) -> Progress {
        if let Some(reason) = broken(view) {
            return Progress::Broken(reason);
        }
        let rules = &view.rules.trend_pullback;
        let (best, worst) = extremes(view.direction, &view.look.ohlc);
        let extreme = match it.marks.far {
            Some(old) if !view.direction.reached(best, old) => old,
            _ => {
                // The move goes on: what comes back, comes back from here.
                it.extreme = Some(worst);
                best
            }
        };
        it.marks.far = Some(extreme);
        let pulled = view.behind(extreme, view.atrs(rules.depth_atr));
        let half = Points(view.atrs(rules.shape.zone_atr).0 / 2);
        it.edge = view.behind(pulled, half);
        let is_back = !view.reached(pulled) || view.price() == pulled;
        if is_back { Progress::Ready } else { Progress::Forms }
    }

    fn broken(&self, _it: &Planned, view: &View<'_>) -> Option<&'static str> {
        broken(view)
    }

    fn confirm(&self, it: &Planned, view: &View<'_>, out: &mut Vec<GateCheck>) {
        out.push(gates::turn(it, view.look, view.rules.trend_pullback.shape.turn_atr));
        gates::quality(view.look, out);
        out.push(gates::skew_turning(it.setup.direction, view.look, &view.rules.context));
    }
}
