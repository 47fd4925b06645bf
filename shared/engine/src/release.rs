//! Releases the entries of one signal to the market (spec 3, "Risk caps for opening"): all users together take at most a
//! fifth of the displayed size per rung, and who goes first rotates.
//!
//! Exits are not held back by it: what closes may never wait for its turn.

use std::time::Duration;

/// Part of the displayed size that users together take per rung, in percent.
pub const SHARE_PCT: u32 = 20;
/// Time between two rungs: an entry's own pace.
pub const RUNG: Duration = Duration::from_secs(3);
/// How many rungs an entry waits at most: later its signal is too old to be worth sending.
pub const WAITS_MAX: u32 = 5;

/// One user's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Contracts wanted, or given.
    pub contracts: u32,
    /// The rung it was given earlier; it keeps that.
    pub given: Option<u32>,
}

/// What one user's entry gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    /// Contracts.
    pub contracts: u32,
    /// On which rung; `None` where every rung it could wait for is taken.
    pub rung: Option<u32>,
}

/// What all users together take per rung of a series that shows `displayed`. One contract is always let through, also
/// where nobody says how many are shown.
pub const fn room(displayed: u32) -> u32 {
    // A fifth, without the overflow of a product.
    let room = displayed / (100 / SHARE_PCT);
    if room == 0 { 1 } else { room }
}

/// Releases `asked`, one entry each, of a series that shows `displayed`, on rungs from `from` on: the entry `turn` points at
/// first, then the others in order, each on the first rung that has room left. An entry never takes more than a rung has.
pub fn release(asked: &[Asked], displayed: u32, turn: u64, from: u32) -> Vec<Released> {
    let count = asked.len();
    let room = room(displayed);
    let first = u64::try_from(count).ok().and_then(|n| turn.checked_rem(n)).unwrap_or(0);
    let first = usize::try_from(first).unwrap_or(0);
    let mut released: Vec<Released> =
        asked.iter().map(|it| Released { contracts: it.contracts, rung: it.given }).collect();
    for at in (first..count).chain(0..first) {
        let Some(one) = asked.get(at).filter(|it| it.given.is_none()) else { continue };
        let contracts = one.contracts.min(room);
        let on = |rung: u32, all: &[Released]| {
            let there = all.iter().filter(|it| it.rung == Some(rung));
            there.fold(0u32, |sum, it| sum.saturating_add(it.contracts))
        };
        let fits = |rung: &u32| on(*rung, &released).saturating_add(contracts) <= room;
        let rung = (from..=from.saturating_add(WAITS_MAX)).find(fits);
        if let Some(it) = released.get_mut(at) {
            *it = Released { contracts, rung };
        }
    }
    released
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(wanted: &[u32]) -> Vec<Asked> {
        wanted.iter().map(|contracts| Asked { contracts: *contracts, given: None }).collect()
    }

    fn of(wanted: &[u32], displayed: u32, turn: u64) -> Vec<(u32, Option<u32>)> {
        release(&asked(wanted), displayed, turn, 0).iter().map(|it| (it.contracts, it.rung)).collect()
    }

    #[test]
    fn users_together_take_a_fifth_of_the_displayed_size_per_rung() {
        assert_eq!(of(&[3, 3, 3], 30, 0), [(3, Some(0)), (3, Some(0)), (3, Some(1))]);
        assert_eq!(of(&[9, 1], 30, 0), [(6, Some(0)), (1, Some(1))], "nobody takes more than a rung has");
        assert_eq!(of(&[2, 2], 4, 0), [(1, Some(0)), (1, Some(1))], "one contract is always let through");
        assert_eq!(
            of(&[9, 9], 0, 0),
            [(1, Some(0)), (1, Some(1))],
            "a size that nobody says is the smallest"
        );
    }

    #[test]
    fn users_are_released_in_rotation() {
        let firsts: Vec<usize> = (0..4)
            .map(|turn| of(&[5, 5, 5], 25, turn).iter().position(|it| it.1 == Some(0)).unwrap())
            .collect();
        assert_eq!(firsts, [0, 1, 2, 0]);
    }

    #[test]
    fn who_would_come_too_late_is_not_released() {
        let rungs: Vec<Option<u32>> = of(&[1; 8], 5, 6).iter().map(|it| it.1).collect();
        assert_eq!(rungs, [Some(2), Some(3), Some(4), Some(5), None, None, Some(0), Some(1)]);
    }

    #[test]
    fn what_was_given_earlier_keeps_its_rung_and_takes_its_room() {
        let mut asked = asked(&[3, 3, 3]);
        asked[1].given = Some(2);
        let rungs: Vec<Option<u32>> = release(&asked, 15, 0, 1).iter().map(|it| it.rung).collect();
        assert_eq!(rungs, [Some(1), Some(2), Some(3)]);
    }

    proptest! {
        #[test]
        fn prop_no_rung_takes_more_than_its_share_and_everybody_is_asked_once(
            wanted in prop::collection::vec(1u32..20, 0..12), displayed in 0u32..200, turn in 0u64..50, from in 0u32..9,
        ) {
            let released = release(&asked(&wanted), displayed, turn, from);
            prop_assert_eq!(released.len(), wanted.len());
            let room = (displayed * SHARE_PCT / 100).max(1);
            for rung in from..=from + WAITS_MAX {
                let on: u32 = released.iter().filter(|it| it.rung == Some(rung)).map(|it| it.contracts).sum();
                prop_assert!(on <= room, "{} on rung {} of {}", on, rung, room);
            }
            for (wanted, it) in wanted.iter().zip(&released) {
                prop_assert!(it.contracts <= *wanted);
                prop_assert!(it.rung.is_none_or(|rung| (from..=from + WAITS_MAX).contains(&rung)));
            }
        }
    }
}
