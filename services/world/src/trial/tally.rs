//! What a session showed, once it is over.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::time::UtcNanos;

use super::engine::{ENDS_WITHIN, EVENTS_MAX, Engine, Event};
use super::laws::Entries;
use super::{Faults, Outcome};

impl Engine {
    pub(super) fn expect_liveness(&mut self) {
        let at = self.trouble_until.plus(ENDS_WITHIN);
        self.at(at, Event::Liveness);
    }

    pub(super) fn finish(self) -> Outcome {
        let violations = self.laws.violations();
        if violations.is_empty() && self.laws.steps() > EVENTS_MAX {
            self.laws.storms(EVENTS_MAX);
        } else if violations.is_empty() {
            self.laws.unfinished(self.course.end, true);
            let delivered = &self.delivered;
            self.laws.at_rest(&self.parts.queues, |key| delivered.contains(key));
        }
        let excuses = &self.excuses;
        let is_excused = |at: UtcNanos| {
            excuses.iter().any(|(from, until)| *from <= at.plus(Duration::from_secs(40)) && at <= *until)
        };
        let (entries, unsent) = self.laws.entries(is_excused);
        let is_quiet = self.course.classes.is_empty();
        if self.laws.violations().is_empty() {
            self.went(&entries, &unsent, is_quiet);
        }
        self.parts.perils.forget_witness();
        let fired = self.parts.perils.fired();
        let mut by_class: BTreeMap<u8, u64> = BTreeMap::new();
        let incidents = self.happened.iter().filter_map(|it| self.course.incidents.get(*it));
        for class in fired.iter().map(|it| it.peril.class()).chain(incidents.map(|it| it.what.class())) {
            let count = by_class.entry(class).or_default();
            *count = count.saturating_add(1);
        }
        for made in [18, 19, 21].into_iter().filter(|it| self.course.classes.contains(it)) {
            by_class.insert(made, 1);
        }
        Outcome {
            seed: self.course.seed,
            violations: self.laws.violations(),
            intents: entries.intents,
            ready: entries.ready,
            posted: entries.posted,
            filled: entries.filled,
            structures: entries.structures,
            opened: entries.opened,
            posts: self.laws.posts(),
            fills: self.laws.fills(),
            alerts: self.laws.alerts().0,
            alerts_late: self.laws.alerts().1,
            events: self.laws.steps(),
            fired: by_class,
            incidents: self.told_incidents(),
            faults: Faults { calls: fired, incidents: self.happened.clone() },
            sites: self.parts.perils.sites(),
            hash: self.laws.hash(),
            story: self.laws.take_story(),
            is_quiet,
        }
    }

    fn told_incidents(&self) -> Vec<String> {
        let happened = self.happened.iter().filter_map(|it| self.course.incidents.get(*it));
        let words = happened.map(|it| {
            let at = it.at.new_york().strftime("%H:%M:%S").to_string();
            format!("FLT{} at {at}: {:?}", it.what.class(), it.what)
        });
        words.collect()
    }

    /// Refusing everything is no proof: what was approved is sent, and most of it fills.
    fn went(&self, entries: &Entries, unsent: &[String], is_quiet: bool) {
        // What delays or stops everybody also stops entries that no fault touched: safety comes first.
        let delaying: [u8; 15] = [6, 7, 8, 9, 10, 12, 13, 14, 20, 22, 25, 28, 30, 31, 21];
        let is_direct = delaying.iter().all(|it| !self.course.classes.contains(it));
        if is_direct && let Some(first) = unsent.first() {
            self.laws.refused(&format!("{} approved entries were not sent; {first}", unsent.len()));
        }
        if is_direct && !self.course.classes.contains(&29) && self.laws.alerts().1 > 0 {
            self.laws.told_late(self.laws.alerts().1);
        }
        // A dozen entries are few: one session may fill less than the six in ten of all of them together, and of a handful
        // nothing can be said.
        let is_enough = entries.ready >= 10;
        if is_quiet && is_enough && entries.filled.saturating_mul(10) < entries.ready.saturating_mul(4) {
            self.laws.refused(&format!("{} of {} approved entries filled", entries.filled, entries.ready));
        }
    }
}
