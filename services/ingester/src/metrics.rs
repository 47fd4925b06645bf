//! What the ingester counts.

use domain::time::{NANOS_PER_MILLI, UtcNanos};
use engine::bars::tape::TapeCounts;
use serde::{Deserialize, Serialize};

/// Counters since the session's first event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Prints and quotes taken, options included.
    pub ticks: u64,
    /// Of these, quotes of options.
    pub option_quotes: u64,
    /// Quotes of options older than the standing one or of another series' day: passed over.
    pub option_quotes_unused: u64,
    /// What went through the tape, and what was dropped there by reason.
    pub tape: TapeCounts,
    /// Second bars handed on.
    pub bars_out: u64,
    /// Steps of setups handed on.
    pub transitions_out: u64,
    /// Steps the ledger refused: our books contradict our engine, somebody must look.
    pub transitions_refused: u64,
    /// Prints of the proxy that count everywhere, and those of them on a valid, fresh quote.
    pub proxy_ticks: u64,
    /// See above.
    pub proxy_quoted_ticks: u64,
    /// Receive time less exchange time.
    pub lag: Lag,
}

impl Metrics {
    /// Quote coverage of the proxy so far in percent; `None` without prints.
    pub fn coverage_pct(&self) -> Option<f64> {
        let (quoted, all) = (self.proxy_quoted_ticks as f64, self.proxy_ticks as f64);
        if all > 0.0 { Some(100.0 * quoted / all) } else { None }
    }
}

/// Lag in classes of powers of two milliseconds: under 1, under 2, under 4, up to 2^22 (70 minutes) and more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lag {
    classes: [u64; 24],
}

impl Lag {
    /// Notes one event.
    pub fn note(&mut self, exchange: UtcNanos, received: UtcNanos) {
        let ms = received.0.saturating_sub(exchange.0).max(0) / NANOS_PER_MILLI;
        let class = (64 - ms.leading_zeros() as usize).min(23);
        if let Some(n) = self.classes.get_mut(class) {
            *n = n.saturating_add(1);
        }
    }

    /// The upper bound in milliseconds of the class in which `part` (0 to 1) of all events is reached; `None` without
    /// events.
    pub fn quantile_ms(&self, part: f64) -> Option<u64> {
        let all: u64 = self.classes.iter().sum();
        if all == 0 {
            return None;
        }
        let wanted = (all as f64 * part.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.classes.iter().zip(0u32..).find_map(|(n, class)| {
            seen += n;
            (seen >= wanted).then_some(1 << class)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_told_by_the_upper_bound_of_its_class() {
        let mut lag = Lag::default();
        assert_eq!(lag.quantile_ms(0.5), None);
        for ms in [0, 0, 3, 3, 3, 3, 3, 3, 3, 900] {
            lag.note(UtcNanos::from_secs(1), UtcNanos(1_000_000_000 + ms * NANOS_PER_MILLI));
        }
        assert_eq!(
            (lag.quantile_ms(0.1), lag.quantile_ms(0.5), lag.quantile_ms(0.99)),
            (Some(1), Some(4), Some(1_024))
        );
        lag.note(UtcNanos::from_secs(9), UtcNanos::from_secs(1));
        assert_eq!(lag.quantile_ms(0.25), Some(1), "a clock ahead of ours is no lag");
    }
}
