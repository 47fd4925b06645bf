//! `vwap`: reclaim, loss or fade at VWAP and its bands.
//!
//! With sigma the deviation of prices about VWAP, at least `sigma_min_atr` wide:
//! - reclaim (long) and loss (short): armed by a close `away_sigma` on the other side, until one is further than
//!   `approach_atr` on this one; forms when a close is within `approach_atr` of VWAP; ready on a close beyond VWAP by `buffer_atr`, its anchor; triggers in the zone once
//!   every close for `hold_secs` was beyond it.
//! - fade: forms when a close is at or beyond the band of `fade_sigma` against the direction; ready on a close back inside,
//!   the band its anchor; triggers in the zone on a close `turn_atr` off the extreme.
//!
//! Both want the aggressor's skew in the direction, coverage and a narrow spread.

use domain::gate::GateCheck;
use domain::market::Points;
use domain::setup::{Direction, SetupKind};

use super::plan::{Candidate, Detector, Progress, View};
use super::{Entry, Marks, Memory, Planned, gates};
use crate::context::VwapBands;
use crate::profile::{Families, Shape};

pub(super) struct Vwap;

/// VWAP with its bands, once they are wide enough to mean something.
pub(super) fn wide_bands(view: &View<'_>, sigma_min_atr: f64) -> Option<VwapBands> {
    let bands = view.look.ctx.vwap()?;
    (bands.sigma.0 > 0 && bands.sigma >= view.atrs(sigma_min_atr)).then_some(bands)
}

/// The band of `n` deviations on the side that the direction comes from.
pub(super) fn band_against(bands: &VwapBands, direction: Direction, n: i64) -> Points {
    bands.band(-direction.sign().saturating_mul(n))
}

/// Whether price is at or beyond a level against the direction.
pub(super) fn is_under(view: &View<'_>, level: Points) -> bool {
    !view.reached(level) || view.price() == level
}

impl Detector for Vwap {
    fn kind(&self) -> SetupKind {
        SetupKind::Vwap
    }

    fn shape<'a>(&self, rules: &'a Families) -> &'a Shape {
        &rules.vwap.shape
    }

    fn form(&self, memory: &mut Memory, view: &View<'_>) -> Option<Candidate> {
        let rules = &view.rules.vwap;
        let bands = wide_bands(view, rules.sigma_min_atr)?;
        let band = band_against(&bands, view.direction, rules.fade_sigma);
        let under = is_under(view, band);
        if under && memory.inside {
            return Some(Candidate { entry: Entry::Fade, anchor: band, marks: Marks::default() });
        }
        // One excursion, one fade.
        memory.inside |= !under;
        let away = Points((bands.sigma.0 as f64 * rules.away_sigma).round() as i64);
        let reach = view.atrs(rules.approach_atr);
        memory.armed |= is_under(view, view.behind(bands.vwap, away));
        memory.armed &= is_under(view, view.ahead(bands.vwap, reach));
        let near = view.price().distance(bands.vwap) <= reach;
        let entry = match view.direction {
            Direction::Long => Entry::Reclaim,
            Direction::Short => Entry::Loss,
        };
        let marks = Marks::default();
        (memory.armed && near).then_some(Candidate { entry, anchor: bands.vwap, marks })
    }

    fn ready(&self, it: &mut Planned, view: &View<'_>) -> Progress {
        let rules = &view.rules.vwap;
        let Some(bands) = view.look.ctx.vwap() else { return Progress::Forms };
        let (anchor, buffer) = match it.entry {
            Entry::Fade => (band_against(&bands, view.direction, rules.fade_sigma), Points(0)),
            Entry::Break
            | Entry::Pullback
            | Entry::Rejection
            | Entry::Reclaim
            | Entry::Loss
            | Entry::Exhaustion => (bands.vwap, view.atrs(rules.buffer_atr)),
        };
        it.edge = anchor;
        let level = view.ahead(anchor, buffer);
        if view.reached(level) && view.price() != anchor { Progress::Ready } else { Progress::Forms }
    }

    fn confirm(&self, it: &Planned, view: &View<'_>, out: &mut Vec<GateCheck>) {
        let rules = &view.rules.vwap;
        out.push(match it.entry {
            Entry::Fade => gates::turn(it, view.look, rules.shape.turn_atr),
            Entry::Break
            | Entry::Pullback
            | Entry::Rejection
            | Entry::Reclaim
            | Entry::Loss
            | Entry::Exhaustion => gates::hold(it, view.look, rules.hold_secs),
        });
        gates::quality(view.look, out);
        out.push(gates::skew(it.setup.direction, view.look));
    }
}
