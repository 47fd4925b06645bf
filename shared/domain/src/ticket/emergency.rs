//! The one case in which a market order leaves: an emergency, for a single long that is held.

use std::time::Duration;

use jiff::civil::Time;

use crate::ids::OrderTag;
use crate::intent::{Approved, CloseBound};
use crate::order::Mark;
use crate::symbol::OccSymbol;
use crate::time::UtcNanos;

/// A value and when it was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// When.
    pub at: UtcNanos,
    /// The value.
    pub value: f64,
}

/// What an emergency is declared on (spec 3, "Emergency").
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EmergencyEvidence {
    /// The VIX before.
    pub vix_before: Reading,
    /// The first reading that is up.
    pub vix_first: Reading,
    /// The second: one bad tick is no emergency.
    pub vix_second: Reading,
    /// How far the index moved against the book, as a share of its value; below zero it moved for it.
    pub moved_against: f64,
}

/// Why there is no emergency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEmergency {
    /// The open is wild every day.
    #[error("before 09:35 New York time nothing is an emergency")]
    TooEarly,
    /// Within a minute, twice.
    #[error("the VIX is not up 10 % within a minute in two readings 10 s apart")]
    Vix,
    /// Against the book.
    #[error("the index has not moved 0.4 % against the book")]
    Index,
    /// Readings must be of now.
    #[error("the evidence is older than a minute or from the future")]
    Stale,
}

const VIX_UP: f64 = 1.10;
const VIX_WITHIN: Duration = Duration::from_secs(60);
const READINGS_APART: Duration = Duration::from_secs(10);
const MOVED: f64 = 0.004;
const EVIDENCE_AGE_MAX: Duration = Duration::from_secs(60);
const FROM: Time = Time::constant(9, 35, 0, 0);

/// Leave for one market order. It is made by [`EmergencyToken::declare`] alone, is good for one order, and cannot be
/// copied, stored or printed into anything.
pub struct EmergencyToken {
    declared_at: UtcNanos,
}

impl EmergencyToken {
    /// Leave for one market order, where `evidence` shows an emergency at `now`.
    ///
    /// # Errors
    /// [`NoEmergency`] says what is missing.
    pub fn declare(evidence: &EmergencyEvidence, now: UtcNanos) -> Result<Self, NoEmergency> {
        let EmergencyEvidence { vix_before: before, vix_first: first, vix_second: second, moved_against } =
            *evidence;
        if now.new_york().time() < FROM {
            return Err(NoEmergency::TooEarly);
        }
        if second.at > now || now.since(second.at) > EVIDENCE_AGE_MAX {
            return Err(NoEmergency::Stale);
        }
        let up = |it: Reading| {
            it.value.is_finite()
                && before.value > 0.0
                && it.at >= before.at
                && it.at.since(before.at) <= VIX_WITHIN
                && it.value >= before.value * VIX_UP
        };
        let apart = second.at > first.at && second.at.since(first.at) >= READINGS_APART;
        if !(up(first) && up(second) && apart) {
            return Err(NoEmergency::Vix);
        }
        if !moved_against.is_finite() || moved_against < MOVED {
            return Err(NoEmergency::Index);
        }
        Ok(Self { declared_at: now })
    }

    /// When it was declared.
    pub const fn declared_at(&self) -> UtcNanos {
        self.declared_at
    }
}

/// A market order: sells a single long that is held, in an emergency.
#[derive(Debug)]
pub struct MarketTicket {
    tag: OrderTag,
    series: OccSymbol,
    quantity: u32,
}

impl MarketTicket {
    /// A ticket to sell what is held at any price. It takes the token: one emergency, one order.
    pub fn sell_to_close(
        approved: &Approved<CloseBound>,
        mark: &Mark,
        series: OccSymbol,
        EmergencyToken { .. }: EmergencyToken,
    ) -> Self {
        Self { tag: mark.tag, series, quantity: approved.get().quantity() }
    }

    /// The tag it carries.
    pub const fn tag(&self) -> OrderTag {
        self.tag
    }

    /// The series.
    pub const fn series(&self) -> OccSymbol {
        self.series
    }

    /// Contracts.
    pub const fn quantity(&self) -> u32 {
        self.quantity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20, 10:00:10 in New York.
    const NOW: UtcNanos = UtcNanos::from_secs(1_795_186_810);

    fn reading(seconds_ago: u64, value: f64) -> Reading {
        Reading { at: NOW.minus(Duration::from_secs(seconds_ago)), value }
    }

    #[test]
    fn an_emergency_is_two_readings_ten_seconds_apart_and_a_move_against_the_book() {
        let real = EmergencyEvidence {
            vix_before: reading(60, 20.0),
            vix_first: reading(10, 22.0),
            vix_second: reading(0, 22.5),
            moved_against: 0.004,
        };
        let at = |evidence: EmergencyEvidence, now| {
            EmergencyToken::declare(&evidence, now).map(|it| it.declared_at())
        };
        assert_eq!(at(real, NOW), Ok(NOW));
        for (evidence, want) in [
            (EmergencyEvidence { vix_first: reading(10, 21.9), ..real }, NoEmergency::Vix),
            (EmergencyEvidence { vix_second: reading(0, 21.9), ..real }, NoEmergency::Vix),
            (EmergencyEvidence { vix_first: reading(9, 22.0), ..real }, NoEmergency::Vix),
            (EmergencyEvidence { vix_before: reading(61, 20.0), ..real }, NoEmergency::Vix),
            (EmergencyEvidence { vix_before: reading(60, 0.0), ..real }, NoEmergency::Vix),
            (EmergencyEvidence { vix_second: reading(0, f64::NAN), ..real }, NoEmergency::Vix),
            (EmergencyEvidence { moved_against: 0.003_9, ..real }, NoEmergency::Index),
            (EmergencyEvidence { moved_against: f64::NAN, ..real }, NoEmergency::Index),
        ] {
            assert_eq!(at(evidence, NOW), Err(want), "{evidence:?}");
        }
        assert_eq!(at(real, NOW.plus(Duration::from_secs(61))), Err(NoEmergency::Stale));
        assert_eq!(at(real, NOW.minus(Duration::from_secs(1_511))), Err(NoEmergency::TooEarly));
    }
}
