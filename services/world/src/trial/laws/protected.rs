//! What a setup holds has its disaster orders or a close at the broker (INV20).

use std::collections::BTreeSet;
use std::time::Duration;

use domain::money::Side;
use domain::ports::Clock as _;
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use sim::broker::{TranscriptEvent, TranscriptLine};

use super::{Laws, meets};

/// What was bought is protected within this.
pub(crate) const PROTECTED_WITHIN: Duration = Duration::from_secs(60);

impl Laws {
    /// Looks anew at the series in which something happened.
    pub(super) fn protections(&self, lines: &[TranscriptLine]) {
        let mut touched: BTreeSet<(usize, OccSymbol)> = BTreeSet::new();
        {
            let seen = self.seen.borrow();
            for line in lines {
                let order = match &line.event {
                    TranscriptEvent::Accepted { order, .. }
                    | TranscriptEvent::Filled { order, .. }
                    | TranscriptEvent::Rejected { order, .. }
                    | TranscriptEvent::Canceled { order, .. }
                    | TranscriptEvent::Expired { order, .. } => *order,
                    TranscriptEvent::Request { .. }
                    | TranscriptEvent::Changed { .. }
                    | TranscriptEvent::CancelRequested { .. }
                    | TranscriptEvent::Opened { .. }
                    | TranscriptEvent::Settled { .. }
                    | TranscriptEvent::Delivered { .. }
                    | TranscriptEvent::FaultStruck { .. }
                    | TranscriptEvent::SessionOpened { .. }
                    | TranscriptEvent::SessionClosed { .. }
                    | TranscriptEvent::Account { .. } => continue,
                };
                if let Some(row) = seen.orders.get(&order).filter(|it| it.legs.len() == 1) {
                    touched.extend(row.legs.iter().map(|it| (row.account, it.series)));
                }
            }
        }
        let now = self.time.now();
        for key in touched {
            let open = self.unprotected(key);
            let mut seen = self.seen.borrow_mut();
            if open > 0 {
                seen.unprotected.entry(key).or_insert(now);
            } else {
                seen.unprotected.remove(&key);
            }
        }
    }

    /// Contracts of a series that nothing at the broker would sell; of the legs of structures none.
    fn unprotected(&self, (account, series): (usize, OccSymbol)) -> i64 {
        let seen = self.seen.borrow();
        let of_structure = |it: &super::Structure| it.account() == account && it.holds(&series);
        let held = seen.held.get(&(account, series)).map_or(0, super::Held::ours);
        if held <= 0 || seen.structures.values().any(of_structure) {
            return 0;
        }
        let sandbox = self.sandbox.borrow();
        let number = self.members.get(account).map(|it| &it.number);
        let Some(live) = number.and_then(|it| sandbox.account(it.as_str())).map(|it| &it.live) else {
            return 0;
        };
        let offered: i64 = live
            .iter()
            .filter_map(|id| seen.orders.get(id))
            .filter(|it| it.tag.is_some())
            .flat_map(|it| &it.legs)
            .filter(|it| it.series == series && it.side == Side::Sell)
            .map(|it| i64::from(it.quantity.saturating_sub(it.executed)))
            .sum();
        held.saturating_sub(offered)
    }

    /// Since when something is held without protection, longest first.
    pub(crate) fn unprotected_since(&self) -> Option<UtcNanos> {
        self.seen.borrow().unprotected.values().min().copied()
    }

    /// INV20: what stood unprotected for too long, though no fault was in anybody's way.
    pub(crate) fn stands_unprotected(&self) {
        let now = self.time.now();
        let wrong: Vec<String> = {
            let seen = self.seen.borrow();
            let late = seen.unprotected.iter().filter(|(key, since)| {
                let is_by_hand = seen.by_hand.iter().any(|it| it.0 == key.0);
                now.since(**since) > PROTECTED_WITHIN && !is_by_hand && !meets(&seen.hits, **since, now)
            });
            late.map(|((account, series), since)| {
                format!(
                    "account {account} holds {series} without protection for {} s",
                    now.since(*since).as_secs()
                )
            })
            .collect()
        };
        for wrong in wrong {
            self.violated(20, wrong);
        }
    }
}
