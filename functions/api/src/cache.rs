//! Answers of the last seconds, by the fingerprint of everything they follow from.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::time::UtcNanos;
use serde_json::Value;

/// How long an answer counts.
const LIVES: Duration = Duration::from_secs(10);

/// Answers, each with when it was made.
#[derive(Debug, Default)]
pub struct Cache(Mutex<BTreeMap<String, (UtcNanos, Value)>>);

impl Cache {
    /// The answer under `key`, while it counts.
    pub(crate) fn get(&self, key: &str, now: UtcNanos) -> Option<Value> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|it| is_live(it.0, now)).map(|it| it.1.clone())
    }

    /// Keeps an answer, and drops those that no longer count.
    pub(crate) fn put(&self, key: String, answer: Value, now: UtcNanos) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, it| is_live(it.0, now));
        entries.insert(key, (now, answer));
    }
}

#[cfg(test)]
impl Cache {
    /// Answers kept.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

fn is_live(made: UtcNanos, now: UtcNanos) -> bool {
    made <= now && now < made.plus(LIVES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_ten_seconds_and_for_its_own_fingerprint_alone() {
        let (cache, start) = (Cache::default(), UtcNanos::from_secs(1_000));
        let at = |ms: u64| start.plus(Duration::from_millis(ms));
        cache.put("a".to_owned(), 1.into(), start);
        assert_eq!((cache.get("a", at(9_999)), cache.get("b", at(0))), (Some(1.into()), None));
        assert_eq!(cache.get("a", at(10_000)), None);
        cache.put("b".to_owned(), 2.into(), at(10_000));
        assert_eq!(cache.len(), 1, "what no longer counts is dropped");
    }
}
