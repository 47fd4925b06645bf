//! `mean_reversion`: fade of a band of two deviations in a range.
//!
//! While the regime is a range or compression and sigma at least `sigma_min_atr` wide: forms when a close is at or beyond the
//! band of `band_sigma` against the direction; ready on a close back inside, the band its anchor; triggers in the zone on a
//! close `turn_atr` off the extreme with the skew turning: over the last `turn_window_secs` it is no less in the direction
//! than over the whole window, and not against it. Another regime breaks it.

use domain::gate::GateCheck;
use domain::setup::SetupKind;

use super::plan::{Candidate, Detector, Progress, View};
use super::vwap::{band_against, is_under, wide_bands};
use super::{Entry, Marks, Memory, Planned, gates};
use crate::context::Regime;
use crate::profile::{Families, Shape};

pub(super) struct MeanReversion;

fn ranges(view: &View<'_>) -> bool {
    match view.wider.regime().regime {
        Regime::Ranging | Regime::Compression => true,
        Regime::TrendingUp | Regime::TrendingDown | Regime::Breakout | Regime::Unknown => false,
    }
}

impl Detector for MeanReversion {
    fn kind(&self) -> SetupKind {
        SetupKind::MeanReversion
    }

    fn shape<'a>(&self, rules: &'a Families) -> &'a Shape {
        &rules.mean_reversion.shape
    }

    fn form(&self, memory: &mut Memory, view: &View<'_>) -> Option<Candidate> {
        let rules = &view.rules.mean_reversion;
        let bands = wide_bands(view, rules.sigma_min_atr)?;
        let band = band_against(&bands, view.direction, rules.band_sigma);
        let under = is_under(view, band);
        memory.armed |= !under;
        let marks = Marks::default();
        let forms = memory.armed && under && ranges(view);
        forms.then_some(Candidate { entry: Entry::Fade, anchor: band, marks })
    }

    fn ready(&self, it: &mut Planned, view: &View<'_>) -> Progress {
        if !ranges(view) {
            return Progress::Broken("range_broken");
        }
        let Some(bands) = view.look.ctx.vwap() else { return Progress::Forms };
        it.edge = band_against(&bands, view.direction, view.rules.mean_reversion.band_sigma);
        if is_under(view, it.edge) { Progress::Forms } else { Progress::Ready }
    }

    fn broken(&self, _it: &Planned, view: &View<'_>) -> Option<&'static str> {
        (!ranges(view)).then_some("range_broken")
    }

    fn confirm(&self, it: &Planned, view: &View<'_>, out: &mut Vec<GateCheck>) {
        out.push(gates::turn(it, view.look, view.rules.mean_reversion.shape.turn_atr));
        gates::quality(view.look, out);
        out.push(gates::skew_turning(it.setup.direction, view.look, &view.rules.context));
    }
}
