//! What is held against each request for an order, at the moment it leaves.

use std::time::Duration;

use ::broker::transport::Request;
use domain::ids::OrderTag;
use domain::intent::{Action, Origin, intent_id};
use domain::ports::Clock as _;
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use sim::perils::{Database, Perils};

use super::{Laws, Marked, short};

/// An entry leaves at most this long after its mark (spec 3).
const ENTRY_LEAVES_WITHIN: Duration = Duration::from_millis(2_000);
/// A signal opens for this long; the request may leave a little later.
pub(super) const SIGNAL_AGE_MAX: Duration = Duration::from_secs(30);
/// A quote counts for this long.
const QUOTE_AGE_MAX: Duration = Duration::from_secs(60);

impl Laws {
    /// A request that places an order leaves the adapter.
    pub(super) fn posted(&self, request: &Request, perils: &Perils) {
        let field = |name: &str| request.form.iter().find(|it| it.0 == name).map(|it| it.1.as_str());
        let Some(tag) = field("tag").and_then(OrderTag::parse) else {
            return self.violated(3, format!("an order left without a tag of ours: {:?}", field("tag")));
        };
        // Without the books nothing stands for a request before it leaves: of those the broker's own orders are counted.
        let is_marked = self.seen.borrow().marks.contains_key(&tag);
        let count = {
            let mut seen = self.seen.borrow_mut();
            let count = seen.posted.entry(tag).or_default();
            *count = count.saturating_add(u32::from(is_marked));
            *count
        };
        self.mix(short(tag.intent) ^ u64::from(tag.attempt.0));
        if count > 1 {
            self.violated(1, format!("the request of {tag} left {count} times"));
        }
        let now = self.time.now();
        let marked = self.seen.borrow().marks.get(&tag).copied();
        match marked {
            Some(marked) if marked.opens => self.entry_leaves(tag, marked, now),
            Some(_) => {}
            None if self.may_leave_unmarked(tag, field("option_symbol"), perils) => {}
            None => self.violated(1, format!("{tag} left without a committed mark")),
        }
        if field("type") == Some("market") {
            self.violated(9, format!("{tag} is a market order"));
        }
    }

    fn entry_leaves(&self, tag: OrderTag, marked: Marked, now: UtcNanos) {
        let age = now.since(marked.at);
        if age > ENTRY_LEAVES_WITHIN {
            self.violated(5, format!("entry {tag} left {} ms after its mark", age.as_millis()));
        }
        let (signal, all) = {
            let seen = self.seen.borrow();
            let Some(entry) = seen.entries.get(&tag.intent) else { return };
            let signal = match entry.head.origin {
                Origin::Setup(setup) => seen.signals.get(&setup).copied(),
                Origin::Decision(_) => Some(entry.head.decided_at),
                Origin::Flatten(_) => None,
            };
            (signal, entry.series())
        };
        // Clocks may be two seconds off, each way, and what is marked leaves within two seconds.
        let slack = Duration::from_secs(6);
        let age = signal.map(|it| now.since(it));
        if age.is_none_or(|it| it > SIGNAL_AGE_MAX.saturating_add(slack)) {
            self.violated(11, format!("entry {tag} left {age:?} after its signal"));
        }
        let oldest = all.iter().map(|it| self.tape.quoted_at(it)).min().flatten();
        let age = oldest.map(|it| now.since(it));
        if age.is_none_or(|it| it > QUOTE_AGE_MAX.saturating_add(slack)) {
            self.violated(11, format!("entry {tag} left on a quote of {age:?} ago"));
        }
    }

    /// A flatten's close whose books did not answer goes by its derived tag.
    fn may_leave_unmarked(&self, tag: OrderTag, series: Option<&str>, perils: &Perils) -> bool {
        let series = series.and_then(|it| it.parse::<OccSymbol>().ok());
        let is_single = self.members.iter().any(|it| {
            let origin = Origin::Flatten(self.tape.session().date);
            let id = |series| intent_id(origin, 0, it.account.account, Action::Flatten, Some(series));
            series.as_ref().is_some_and(|it| tag.intent == id(it))
        });
        let is_broken = self.seen.borrow().broken.contains(&perils.running().task);
        (is_single || self.flattened_structure(tag.intent).is_some())
            && (is_broken || perils.database() != Database::Up)
    }
}
