//! Requests a minute, per token and group (TRADIER.md section 2).

use std::collections::BTreeMap;

use broker::transport::Method;
use domain::time::{NANOS_PER_SEC, UtcNanos};
use serde::{Deserialize, Serialize};

use super::config::Limits;

const WINDOW_NS: i64 = 60 * NANOS_PER_SEC;

/// What a request counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Users, watchlists, reads of accounts and orders, account stream sessions.
    Standard,
    /// Everything under `/markets`, stream sessions included.
    Market,
    /// Placing, previewing, changing, canceling.
    Trading,
}

impl Group {
    pub(crate) fn of(method: Method, path: &[&str]) -> Self {
        match (method, path) {
            (_, ["markets", ..]) => Self::Market,
            (Method::Post | Method::Put | Method::Delete, ["accounts", _, "orders", ..]) => Self::Trading,
            (Method::Get | Method::Post | Method::Put | Method::Delete, _) => Self::Standard,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Market => "market",
            Self::Trading => "trading",
        }
    }
}

impl Limits {
    pub(crate) const fn allowed(self, group: Group) -> u32 {
        match (self, group) {
            (Self::Live, Group::Standard | Group::Market) => 120,
            (Self::Live, Group::Trading) | (Self::Sandbox, _) => 60,
            (Self::Off, _) => 1_000_000,
        }
    }
}

/// The windows of each token, under a mark that does not tell the token.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Windows(BTreeMap<String, Groups>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Groups {
    standard: Window,
    market: Window,
    trading: Window,
}

impl Windows {
    /// Counts a request of the token behind `mark`, unless its window is full.
    pub(crate) fn count(&mut self, mark: &str, now: UtcNanos, limits: Limits, group: Group) -> Budget {
        let groups = match self.0.get_mut(mark) {
            Some(groups) => groups,
            None => self.0.entry(mark.to_owned()).or_default(),
        };
        let window = match group {
            Group::Standard => &mut groups.standard,
            Group::Market => &mut groups.market,
            Group::Trading => &mut groups.trading,
        };
        window.count(now, limits, group)
    }
}

/// A minute that starts with its first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Window {
    start: UtcNanos,
    used: u32,
}

/// What the headers say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) allowed: u32,
    pub(crate) used: u32,
    pub(crate) expiry: UtcNanos,
    pub(crate) refused: bool,
}

impl Window {
    /// Counts a request, unless the window is full: refused ones do not count.
    fn count(&mut self, now: UtcNanos, limits: Limits, group: Group) -> Budget {
        if self.used == 0 || now.0.saturating_sub(self.start.0) >= WINDOW_NS {
            *self = Self { start: now, used: 0 };
        }
        let allowed = limits.allowed(group);
        let refused = self.used >= allowed && limits != Limits::Off;
        if !refused {
            self.used = self.used.saturating_add(1);
        }
        let expiry = UtcNanos(self.start.0.saturating_add(WINDOW_NS));
        Budget { allowed, used: self.used.min(allowed), expiry, refused }
    }
}

impl Budget {
    /// `X-Ratelimit-*`, lower case; the expiry in milliseconds since the epoch.
    pub(crate) fn headers(&self) -> [(String, String); 4] {
        let header = |name: &str, value: String| (name.to_owned(), value);
        [
            header("x-ratelimit-allowed", self.allowed.to_string()),
            header("x-ratelimit-used", self.used.to_string()),
            header("x-ratelimit-available", self.allowed.saturating_sub(self.used).to_string()),
            header("x-ratelimit-expiry", self.expiry.millis().to_string()),
        ]
    }
}
