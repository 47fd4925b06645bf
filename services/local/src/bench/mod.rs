//! Figures that the project promises, measured on this machine.

mod entries;
pub mod intents;
pub mod kill_switch;
pub mod orders;
mod stage;

use std::time::Duration;

/// The duration that so many in a hundred of `sorted` do not exceed, by nearest rank, in milliseconds.
fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let index = sorted.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).map_or(0.0, |it| it.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let took: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let found = [50, 99, 100].map(|it| percentile_ms(&took, it));
        assert_eq!(found.map(f64::round).map(|it| it as u32), [100, 198, 200]);
        assert!((percentile_ms(&[Duration::from_millis(7)], 99) - 7.0).abs() < 1e-9);
    }
}
