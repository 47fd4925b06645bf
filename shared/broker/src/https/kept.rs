//! Connections kept open between requests.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

/// Connections kept at most.
const KEPT_MAX: usize = 16;

type Connection = SendRequest<Full<Bytes>>;

/// Idle connections of one host, the last used first out.
#[derive(Debug)]
pub(super) struct Kept {
    idle: Mutex<Vec<(Instant, Connection)>>,
    age_max: Duration,
}

impl Kept {
    /// Nothing yet; what is idle for longer than `age_max` is not used again.
    pub(super) const fn new(age_max: Duration) -> Self {
        Self { idle: Mutex::new(Vec::new()), age_max }
    }

    /// An open connection that waits for a request.
    pub(super) async fn take(&self) -> Option<Connection> {
        if self.lock().is_empty() {
            return None;
        }
        // The runtime learns here which connections the server closed meanwhile, a process that was frozen above all.
        tokio::task::yield_now().await;
        let mut idle = self.lock();
        let now = Instant::now();
        idle.retain(|(since, open)| now.duration_since(*since) < self.age_max && !open.is_closed());
        let ready = idle.iter().rposition(|(_, open)| open.is_ready())?;
        Some(idle.remove(ready).1)
    }

    /// Keeps a connection whose last answer was read whole.
    pub(super) fn put(&self, open: Connection) {
        if open.is_closed() {
            return;
        }
        let mut idle = self.lock();
        if idle.len() >= KEPT_MAX {
            idle.remove(0);
        }
        idle.push((Instant::now(), open));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, Connection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
