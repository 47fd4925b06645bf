//! What is due and when: the one ordered list that a local run works through.
//!
//! Entries of the same instant come by class, then in the order in which they were added, so that two runs with the
//! same entries work them in the same order. Ticks are too many to be entries: the runner holds them beside the agenda
//! and asks it what is due before the next one.

use std::collections::BTreeMap;

use domain::time::UtcNanos;

/// What kind of entry it is, in the order in which entries of one instant are worked: first what the world does, then
/// what was promised, then what is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The market: a print, a quote.
    Market,
    /// The broker: a fill, an answer that was on its way, an event of the account stream.
    Broker,
    /// An outbox row that is due for its queue.
    Outbox,
    /// A message that becomes visible again.
    Redelivery,
    /// A schedule.
    Schedule,
}

/// Where an entry stands; unique, and good for taking it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    due: UtcNanos,
    class: Class,
    sequence: u64,
}

impl Slot {
    /// When it is due.
    pub const fn due(&self) -> UtcNanos {
        self.due
    }

    /// What kind it is.
    pub const fn class(&self) -> Class {
        self.class
    }
}

/// The ordered list of due events.
#[derive(Debug, Clone)]
pub struct Agenda<E> {
    entries: BTreeMap<Slot, E>,
    sequence: u64,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), sequence: 0 }
    }
}

impl<E> Agenda<E> {
    /// Adds an event.
    pub fn add(&mut self, due: UtcNanos, class: Class, event: E) -> Slot {
        let slot = Slot { due, class, sequence: self.sequence };
        self.sequence = self.sequence.saturating_add(1);
        self.entries.insert(slot, event);
        slot
    }

    /// Takes an event back; `None` when it was worked already.
    pub fn remove(&mut self, slot: Slot) -> Option<E> {
        self.entries.remove(&slot)
    }

    /// The first entry.
    pub fn next(&self) -> Option<Slot> {
        self.entries.keys().next().copied()
    }

    /// Takes the first entry, if it comes no later than (`until`, `class`): what is to be worked before an event that
    /// the runner holds itself.
    pub fn pop_due(&mut self, until: UtcNanos, class: Class) -> Option<(Slot, E)> {
        let first = self.entries.first_entry()?;
        if (first.key().due, first.key().class) > (until, class) {
            return None;
        }
        Some(first.remove_entry())
    }

    /// Takes the first entry.
    pub fn pop(&mut self) -> Option<(Slot, E)> {
        self.entries.pop_first()
    }

    /// How many events are left.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_by_time_then_class_then_in_the_order_added() {
        let mut agenda = Agenda::default();
        agenda.add(UtcNanos(2), Class::Market, "a later tick");
        agenda.add(UtcNanos(1), Class::Schedule, "a schedule");
        agenda.add(UtcNanos(1), Class::Outbox, "a first row");
        agenda.add(UtcNanos(1), Class::Broker, "a fill");
        agenda.add(UtcNanos(1), Class::Outbox, "a second row");
        let worked: Vec<_> = std::iter::from_fn(|| agenda.pop()).map(|it| it.1).collect();
        assert_eq!(worked, ["a fill", "a first row", "a second row", "a schedule", "a later tick"]);
    }

    #[test]
    fn what_comes_after_the_tick_in_hand_waits_for_it() {
        let mut agenda = Agenda::default();
        agenda.add(UtcNanos(5), Class::Schedule, "early schedule");
        agenda.add(UtcNanos(10), Class::Broker, "fill of the same instant");
        assert_eq!(agenda.pop_due(UtcNanos(4), Class::Market), None);
        assert_eq!(agenda.pop_due(UtcNanos(10), Class::Market).map(|it| it.1), Some("early schedule"));
        assert_eq!(agenda.pop_due(UtcNanos(10), Class::Market), None);
        assert_eq!(agenda.next().map(|it| (it.due(), it.class())), Some((UtcNanos(10), Class::Broker)));
        assert_eq!(
            agenda.pop_due(UtcNanos(11), Class::Market).map(|it| it.1),
            Some("fill of the same instant")
        );
        assert!(agenda.is_empty());
    }

    #[test]
    fn an_entry_can_be_taken_back_once() {
        let mut agenda = Agenda::default();
        let slot = agenda.add(UtcNanos(1), Class::Redelivery, "message");
        agenda.add(UtcNanos(1), Class::Redelivery, "another");
        assert_eq!(agenda.remove(slot), Some("message"));
        assert_eq!(agenda.remove(slot), None);
        assert_eq!(agenda.len(), 1);
    }
}
