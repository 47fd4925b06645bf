//! `volume_climax`: an extreme of volume and range, then exhaustion.
//!
//! Of minutes, with the proxy's volume: a climax has `volume_times` the mean volume of the `lookback_minutes` before it and a
//! range of `range_atr`; the setup goes against its move, from open to close.
//! - forms with the climax; its extreme is the anchor. Ready with a later minute of at most `exhausted_volume_part` of its
//!   volume and no new extreme; a new extreme becomes the anchor.
//! - triggers in the zone on a close `turn_atr` off the extreme, with ask over bid size over `size_ratio_high` after a rise or
//!   under `size_ratio_low` after a fall, and the spread back under `spread_times` its mean before the climax.

use domain::gate::GateCheck;
use domain::setup::{Direction, SetupKind};

use super::plan::{Candidate, Detector, Progress, View};
use super::{Entry, Marks, Memory, Planned, extremes, gates};
use crate::context::{Exact, Mark, six_decimals};
use crate::profile::{Families, Shape};

pub(super) struct VolumeClimax;

/// What stood before the latest minute: mean volume and mean spread; `None` before there is enough of it.
fn before(view: &View<'_>) -> Option<(f64, Option<f64>)> {
    let wanted = view.rules.volume_climax.lookback_minutes as usize;
    let minutes: Vec<&Mark> = view.wider.trail().latest().skip(1).take(wanted).collect();
    if wanted == 0 || minutes.len() < wanted {
        return None;
    }
    let volume: f64 = minutes.iter().map(|it| it.volume as f64).sum();
    let spreads: Vec<f64> = minutes.iter().filter_map(|it| it.spread).collect();
    let spread = (!spreads.is_empty()).then(|| spreads.iter().sum::<f64>() / spreads.len() as f64);
    Some((volume / wanted as f64, spread))
}

/// The direction that fades a climax, where the minute is one.
fn faded(mark: &Mark, mean: f64, view: &View<'_>) -> Option<Direction> {
    let rules = &view.rules.volume_climax;
    let is_loud = mean > 0.0 && mark.volume as f64 >= mean * rules.volume_times;
    let is_wide = mark.ohlc.high.minus(mark.ohlc.low) >= view.atrs(rules.range_atr);
    if !is_loud || !is_wide || mark.ohlc.close == mark.ohlc.open {
        return None;
    }
    Some(if mark.ohlc.close > mark.ohlc.open { Direction::Short } else { Direction::Long })
}

impl Detector for VolumeClimax {
    fn kind(&self) -> SetupKind {
        SetupKind::VolumeClimax
    }

    fn shape<'a>(&self, rules: &'a Families) -> &'a Shape {
        &rules.volume_climax.shape
    }

    fn form(&self, memory: &mut Memory, view: &View<'_>) -> Option<Candidate> {
        let mark = view.wider.trail().latest().next()?;
        if memory.minute == Some(mark.minute) {
            return None;
        }
        memory.minute = Some(mark.minute);
        let (mean, spread) = before(view)?;
        faded(mark, mean, view).filter(|it| *it == view.direction)?;
        let (_, extreme) = extremes(view.direction, &mark.ohlc);
        let marks = Marks {
            far: Some(extreme),
            minute: Some(mark.minute),
            volume: Some(mark.volume),
            spread: spread.map(Exact),
        };
        Some(Candidate { entry: Entry::Exhaustion, anchor: extreme, marks })
    }

    fn ready(&self, it: &mut Planned, view: &View<'_>) -> Progress {
        let (_, worst) = extremes(view.direction, &view.look.ohlc);
        if !view.direction.reached(worst, it.edge) {
            it.edge = worst;
        }
        let Some(mark) = view.wider.trail().latest().next() else { return Progress::Forms };
        if it.marks.minute.is_some_and(|seen| mark.minute <= seen) {
            return Progress::Forms;
        }
        it.marks.minute = Some(mark.minute);
        let (_, extreme) = extremes(view.direction, &mark.ohlc);
        let is_new = it.marks.far.is_some_and(|far| !view.direction.reached(extreme, far));
        if is_new {
            it.marks.far = Some(extreme);
        }
        let part = view.rules.volume_climax.exhausted_volume_part;
        let is_quiet = it.marks.volume.is_some_and(|climax| mark.volume as f64 <= climax as f64 * part);
        if is_quiet && !is_new { Progress::Ready } else { Progress::Forms }
    }

    fn confirm(&self, it: &Planned, view: &View<'_>, out: &mut Vec<GateCheck>) {
        let (rules, micro) = (&view.rules.volume_climax, view.look.micro());
        out.push(gates::turn(it, view.look, rules.shape.turn_atr));
        gates::quality(view.look, out);
        let (limit, sign, required) = match view.direction {
            Direction::Long => (rules.size_ratio_low, -1.0, format!("ask/bid < {}", rules.size_ratio_low)),
            Direction::Short => (rules.size_ratio_high, 1.0, format!("ask/bid > {}", rules.size_ratio_high)),
        };
        // The limit itself is not beyond it.
        let margin = |it: f64| if (it - limit).abs() > 0.0 { (it - limit) * sign } else { -1e-6 };
        let ratio = micro.size_ratio.map(|it| (it, margin(it)));
        out.push(gates::micro("size_ratio", required, ratio, view.look));
        let limit = it.marks.spread.map(|it| six_decimals(it.0 * rules.spread_times));
        let spread = micro.spread_bps.zip(limit).map(|(it, limit)| (it, limit - it));
        let shown = limit.map_or_else(|| "unknown".to_owned(), |it| it.to_string());
        out.push(gates::micro("spread_normal", format!("<= {shown} bps"), spread, view.look));
    }
}
