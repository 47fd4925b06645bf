//! The broker at a glance, for whoever steers it from outside its API.

use std::collections::BTreeMap;

use domain::account::AccountType;
use domain::calendar::Session;
use domain::money::Usd;
use domain::time::UtcNanos;
use serde::Serialize;

use super::Sandbox;
use super::faults::FaultCounts;
use super::order::Order;

/// A broker as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// The session it trades.
    pub session: Session,
    /// The latest market time it has seen.
    pub now: UtcNanos,
    /// Orders it knows.
    pub orders: usize,
    /// Those that may still execute.
    pub working: usize,
    /// Streams that are connected or may yet be.
    pub streams: usize,
    /// Lines of its transcript since the beginning.
    pub lines: u64,
    /// What went wrong on demand.
    pub faults: FaultCounts,
    /// Its accounts, by number.
    pub accounts: BTreeMap<String, AccountView>,
}

/// An account as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountView {
    /// Margin, pattern day trader or cash.
    pub kind: AccountType,
    /// Dollars, charges taken.
    pub cash: Usd,
    /// Contracts and shares by symbol, below zero when short.
    pub positions: BTreeMap<String, i64>,
}

impl Sandbox {
    /// The broker as it stands.
    pub fn overview(&self) -> Overview {
        let accounts = self.accounts.values().map(|it| {
            let positions = it.holdings();
            let positions =
                positions.map(|(instrument, held)| (instrument.to_string(), held.quantity)).collect();
            (it.number.clone(), AccountView { kind: it.kind, cash: it.cash, positions })
        });
        Overview {
            session: self.session,
            now: self.now,
            orders: self.orders.len(),
            working: self.orders.values().filter(|it| Order::is_live(it)).count(),
            streams: self.streams.len(),
            lines: self.lines,
            faults: self.fault_counts(),
            accounts: accounts.collect(),
        }
    }

    /// Where its draws come from.
    pub const fn seed(&self) -> u64 {
        self.rules.seed
    }
}
