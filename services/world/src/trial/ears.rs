//! Who hears every line of the log, for what must not be in it (INV17).

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Hears fields of events and spans for these words. Nothing is written anywhere.
#[derive(Debug)]
pub(super) struct Ears {
    words: Vec<String>,
    heard: Arc<AtomicBool>,
}

impl Ears {
    /// Listens for `words`; `heard` is raised when one is said.
    pub(super) fn new(words: Vec<String>, heard: Arc<AtomicBool>) -> Self {
        Self { words, heard }
    }

    fn listen(&self, record: impl FnOnce(&mut dyn Visit)) {
        record(&mut Line(self));
    }
}

struct Line<'a>(&'a Ears);

impl Visit for Line<'_> {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        let said = format!("{value:?}");
        if self.0.words.iter().any(|it| said.contains(it.as_str())) {
            self.0.heard.store(true, Ordering::Relaxed);
        }
    }
}

impl Subscriber for Ears {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.listen(|it| span.record(it));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.listen(|it| values.record(it));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.listen(|it| event.record(it));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
