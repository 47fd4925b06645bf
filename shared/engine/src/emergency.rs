//! Emergencies (spec 3, "Emergency"): the VIX up ten percent within a minute, in two readings ten seconds apart, and the
//! index 0.4 % against the book.
//!
//! Readings come in as values: whoever has a feed of the VIX hands them on. What comes out is the evidence of which
//! [`EmergencyToken::declare`](domain::ticket::EmergencyToken::declare) makes the leave for one market order; it holds the
//! evidence to the same rules again, so that nothing else can make one.

use std::collections::VecDeque;
use std::time::Duration;

use domain::kill;
use domain::market::Points;
use domain::setup::Direction;
use domain::ticket::{EmergencyEvidence, EmergencyToken, Reading};
use domain::time::UtcNanos;

/// How far back readings are worth reading.
pub const WATCHED: Duration = Duration::from_secs(120);
/// How far back the reading lies that a rise is measured from.
const WITHIN: Duration = Duration::from_secs(60);
/// How far apart the two readings lie that show it.
const APART: Duration = Duration::from_secs(10);
/// The rise that counts.
const UP: f64 = 1.10;

/// The last minute of the VIX and of the index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EmergencyWatch {
    vix: VecDeque<Reading>,
    index: VecDeque<(UtcNanos, Points)>,
}

impl EmergencyWatch {
    /// The last minute out of readings as they were kept, in order. What nobody read shows nothing.
    pub fn of(readings: &[kill::Reading]) -> Self {
        let mut watch = Self::default();
        for it in readings {
            if let Some(value) = it.vix {
                watch.on_vix(Reading { at: it.at, value });
            }
            if let Some(value) = it.index {
                watch.on_index(it.at, value);
            }
        }
        watch
    }

    /// The evidence against a book that expects the index to go in `direction`, where it is an emergency at `now`, with the
    /// leave for one market order that it gives.
    pub fn declared(
        &self,
        direction: Direction,
        now: UtcNanos,
    ) -> Option<(EmergencyEvidence, EmergencyToken)> {
        let evidence = self.evidence(direction)?;
        EmergencyToken::declare(&evidence, now).ok().map(|token| (evidence, token))
    }

    /// A reading of the VIX. One that goes back in time, or is no value, is passed over.
    pub fn on_vix(&mut self, reading: Reading) {
        let is_value = reading.value.is_finite() && reading.value > 0.0;
        if is_value && self.vix.back().is_none_or(|it| it.at <= reading.at) {
            self.vix.push_back(reading);
            let since = reading.at.minus(WITHIN);
            while self.vix.front().is_some_and(|it| it.at < since) {
                self.vix.pop_front();
            }
        }
    }

    /// A value of the index.
    pub fn on_index(&mut self, at: UtcNanos, value: Points) {
        if value.0 > 0 && self.index.back().is_none_or(|it| it.0 <= at) {
            self.index.push_back((at, value));
            let since = at.minus(WITHIN);
            while self.index.front().is_some_and(|it| it.0 < since) {
                self.index.pop_front();
            }
        }
    }

    /// The evidence that stands now against a book that expects the index to go in `direction`: the lowest reading of the
    /// last minute, the earliest one up on it, and the last. `None` where the VIX shows none.
    pub fn evidence(&self, direction: Direction) -> Option<EmergencyEvidence> {
        let second = *self.vix.back()?;
        let lowest = |a: &&Reading, b: &&Reading| a.value.total_cmp(&b.value);
        let vix_before = *self.vix.iter().min_by(lowest)?;
        let up = |it: &&Reading| it.at >= vix_before.at && it.value >= vix_before.value * UP;
        let vix_first = *self.vix.iter().find(up)?;
        let is_shown = up(&&second) && second.at.since(vix_first.at) >= APART;
        let moved_against = self.moved_against(direction)?;
        is_shown.then_some(EmergencyEvidence { vix_before, vix_first, vix_second: second, moved_against })
    }

    /// How far the index went against the book within the minute, as a share of where it was.
    fn moved_against(&self, direction: Direction) -> Option<f64> {
        let (_, last) = self.index.back()?;
        let ahead = |it: &&(UtcNanos, Points)| it.1.0.saturating_mul(direction.sign());
        let (_, best) = self.index.iter().max_by_key(ahead)?;
        let moved = best.minus(*last).0.saturating_mul(direction.sign());
        Some(moved as f64 / best.0 as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ticket::NoEmergency;

    /// 2026-11-20, 10:00:00 in New York.
    const START: UtcNanos = UtcNanos::from_secs(1_795_186_800);

    fn at(seconds: u64) -> UtcNanos {
        START.plus(Duration::from_secs(seconds))
    }

    /// Readings by second of the VIX, and the index falling from 5600 to `last`.
    fn watched(vix: &[(u64, f64)], last: f64) -> EmergencyWatch {
        let mut watch = EmergencyWatch::default();
        for (second, value) in vix {
            watch.on_vix(Reading { at: at(*second), value: *value });
        }
        watch.on_index(at(20), Points::whole(5_600));
        watch.on_index(at(60), Points::from_f64(last));
        watch
    }

    fn declared(
        watch: &EmergencyWatch,
        direction: Direction,
        now: UtcNanos,
    ) -> Result<(), Option<NoEmergency>> {
        let evidence = watch.evidence(direction).ok_or(None)?;
        EmergencyToken::declare(&evidence, now).map(|_| ()).map_err(Some)
    }

    #[test]
    fn the_vix_up_a_tenth_in_two_readings_ten_seconds_apart_and_the_index_against_the_book_is_an_emergency() {
        let vix = [(0, 20.0), (30, 20.5), (45, 22.1), (55, 22.4)];
        assert_eq!(declared(&watched(&vix, 5_577.0), Direction::Long, at(60)), Ok(()));
        // Against a book that gains from it, nothing is one.
        let gains = declared(&watched(&vix, 5_577.0), Direction::Short, at(60));
        assert_eq!(gains, Err(Some(NoEmergency::Index)));
        assert_eq!(declared(&watched(&vix, 5_578.0), Direction::Long, at(60)), Err(Some(NoEmergency::Index)));
    }

    #[test]
    fn one_reading_a_slow_rise_or_a_spike_that_is_gone_is_no_emergency() {
        for vix in [
            &[(0, 20.0), (55, 22.4)][..],
            &[(0, 20.0), (50, 22.1), (59, 22.4)],
            &[(0, 20.0), (40, 21.0), (80, 22.1), (120, 23.0)],
            &[(0, 20.0), (30, 23.0), (45, 20.4)],
            &[(0, 20.0), (30, 23.0), (45, f64::NAN), (46, 0.0)],
            &[],
        ] {
            assert_eq!(declared(&watched(vix, 5_500.0), Direction::Long, at(121)), Err(None), "{vix:?}");
        }
    }

    #[test]
    fn before_0935_nothing_is_an_emergency() {
        let vix = [(0, 20.0), (45, 22.1), (55, 22.4)];
        let watch = watched(&vix, 5_577.0);
        let early = START.minus(Duration::from_secs(1_501));
        assert_eq!(declared(&watch, Direction::Long, early), Err(Some(NoEmergency::TooEarly)));
    }
}
