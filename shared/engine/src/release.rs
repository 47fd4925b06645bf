//! Releases the entries of one signal to the market (spec 3, "Risk caps for opening"): all users together take at most a
//! fifth of the displayed size per rung, and who goes first rotates.

use std::time::Duration;

/// Part of the displayed size that users together take per rung, in percent.
pub const SHARE_PCT: u32 = 20;
/// Time between two rungs: an entry's own pace.
pub const RUNG: Duration = Duration::from_secs(3);
/// The last rung on which an entry is released: later its signal is too old to be worth sending.
pub const LAST_RUNG: u32 = 5;

/// What one user's entry gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    /// Contracts.
    pub contracts: u32,
    /// On which rung, from 0; `None` where every rung is taken.
    pub rung: Option<u32>,
}

/// Releases `wanted` contracts, one entry each, of a series that shows `displayed`: the entry `turn` points at first, then
/// the others in order, each on the first rung that has room left. An entry never takes more than a rung has. One contract is
/// always let through; a size of zero is not known and caps nothing.
pub fn release(wanted: &[u32], displayed: u32, turn: u64) -> Vec<Released> {
    let count = wanted.len();
    let room = match displayed {
        0 => u32::MAX,
        shown => u32::try_from(u64::from(shown) * u64::from(SHARE_PCT) / 100).unwrap_or(u32::MAX).max(1),
    };
    let first = u64::try_from(count).ok().and_then(|n| turn.checked_rem(n)).unwrap_or(0);
    let first = usize::try_from(first).unwrap_or(0);
    let mut released = vec![Released { contracts: 0, rung: None }; count];
    let mut taken: Vec<u32> = Vec::new();
    for at in (first..count).chain(0..first) {
        let (Some(contracts), Some(it)) = (wanted.get(at).map(|it| (*it).min(room)), released.get_mut(at))
        else {
            continue;
        };
        let fits = |taken: &u32| taken.saturating_add(contracts) <= room;
        let rung = taken.iter().position(fits).unwrap_or(taken.len());
        if rung == taken.len() {
            taken.push(0);
        }
        if let Some(taken) = taken.get_mut(rung) {
            *taken = taken.saturating_add(contracts);
        }
        let rung = u32::try_from(rung).ok().filter(|it| *it <= LAST_RUNG);
        *it = Released { contracts, rung };
    }
    released
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(wanted: &[u32], displayed: u32, turn: u64) -> Vec<(u32, Option<u32>)> {
        release(wanted, displayed, turn).iter().map(|it| (it.contracts, it.rung)).collect()
    }

    #[test]
    fn users_together_take_a_fifth_of_the_displayed_size_per_rung() {
        assert_eq!(of(&[3, 3, 3], 30, 0), [(3, Some(0)), (3, Some(0)), (3, Some(1))]);
        assert_eq!(of(&[9, 1], 30, 0), [(6, Some(0)), (1, Some(1))], "nobody takes more than a rung has");
        assert_eq!(of(&[2, 2], 4, 0), [(1, Some(0)), (1, Some(1))], "one contract is always let through");
        assert_eq!(of(&[9, 9], 0, 0), [(9, Some(0)), (9, Some(0))], "an unknown size caps nothing");
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

    proptest! {
        #[test]
        fn prop_no_rung_takes_more_than_its_share_and_everybody_is_asked_once(
            wanted in prop::collection::vec(0u32..20, 0..12), displayed in 1u32..200, turn in 0u64..50,
        ) {
            let released = release(&wanted, displayed, turn);
            prop_assert_eq!(released.len(), wanted.len());
            let room = (displayed * SHARE_PCT / 100).max(1);
            for rung in 0..=LAST_RUNG {
                let on: u32 = released.iter().filter(|it| it.rung == Some(rung)).map(|it| it.contracts).sum();
                prop_assert!(on <= room, "{} on rung {} of {}", on, rung, room);
            }
            for (wanted, it) in wanted.iter().zip(&released) {
                prop_assert!(it.contracts <= *wanted);
            }
        }
    }
}
