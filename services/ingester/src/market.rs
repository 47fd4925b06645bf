//! Tape, context and setups as one: events in, seconds and steps of setups out.

use domain::market::{MarketEvent, Microbar, Points, SourceProfile};
use domain::symbol::Underlying;
use domain::time::UtcNanos;
use engine::bars::tape::{LATENESS_NS, Tape, TapeItem, TapeRules};
use engine::context::{Beforehand, Context};
use engine::profile::Profile;
use engine::setups::{SetupEngine, Step};
use serde::{Deserialize, Serialize};

/// Everything that decides, as one value: saved after any event and restored, the rest of the day is identical.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Market {
    tape: Tape,
    context: Context,
    setups: SetupEngine,
}

/// What an event completed.
#[derive(Debug, Default)]
pub struct Completed {
    /// Steps of setups, in order.
    pub steps: Vec<Step>,
    /// Second bars, in order.
    pub bars: Vec<(Underlying, Microbar)>,
    /// Feeds that fell silent or lost a number, with their last event before.
    pub gaps: Vec<(Underlying, UtcNanos)>,
    items: Vec<TapeItem>,
}

impl Completed {
    /// Empties it for the next event, keeping its memory.
    pub fn clear(&mut self) {
        self.steps.clear();
        self.bars.clear();
        self.gaps.clear();
        self.items.clear();
    }
}

impl Market {
    /// The start of a session; `quotes` is the switch `MICROSTRUCTURE_QUOTES_ENABLED`.
    pub fn new(source: &SourceProfile, profile: &Profile, quotes: bool) -> Self {
        Self::knowing(source, profile, quotes, Beforehand::default())
    }

    /// The same, with what is known before the day begins.
    pub fn knowing(source: &SourceProfile, profile: &Profile, quotes: bool, beforehand: Beforehand) -> Self {
        Self {
            tape: Tape::new(TapeRules::of(source, quotes)),
            context: Context::knowing(source, profile, quotes, beforehand),
            setups: SetupEngine::new(),
        }
    }

    /// The tape.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// What detectors see.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The setups.
    pub fn setups(&self) -> &SetupEngine {
        &self.setups
    }

    /// Whether a setup is live: a position may stand behind it.
    pub fn has_live(&self) -> bool {
        self.setups.has_live()
    }

    /// Notes the spot that options imply just now.
    pub const fn set_implied(&mut self, implied: Option<Points>) {
        self.setups.set_implied(implied);
    }

    /// Leads live setups by a value that stands for the silent index.
    pub fn see(&mut self, at: UtcNanos, value: Points, out: &mut Completed) {
        out.steps.extend(self.setups.on_substitute(at, value, &self.context));
    }

    /// Ends live setups: nobody has seen the index for too long.
    pub fn end_live(&mut self, at: UtcNanos, reason: &str, out: &mut Completed) {
        out.steps.extend(self.setups.end_live(at, reason, &self.context));
    }

    /// The market stands or trades again: timers stand with it.
    pub fn stand(&mut self, at: UtcNanos, is_halted: bool) {
        if is_halted {
            self.setups.halt(at);
        } else {
            self.setups.resume(at);
        }
    }

    /// Takes an event.
    pub fn push(&mut self, event: &MarketEvent, out: &mut Completed) {
        if let MarketEvent::OptionQuote(series, quote) = event {
            self.context.on_option_quote(series, quote);
        }
        self.tape.push(event, &mut out.items);
        if !out.items.is_empty() {
            self.work(out);
        }
    }

    /// Time went on without an event.
    pub fn pass_time(&mut self, now: UtcNanos, out: &mut Completed) {
        self.tape.pass_time(now, &mut out.items);
        self.work(out);
    }

    /// When time should be told next: a second can be closed, or a setup runs out of time.
    pub fn next_due(&self) -> Option<UtcNanos> {
        let deadline = self.setups.next_deadline(&self.context);
        let deadline = deadline.map(|it| UtcNanos(it.0.saturating_add(LATENESS_NS)));
        self.tape.next_due().into_iter().chain(deadline).min()
    }

    fn work(&mut self, out: &mut Completed) {
        for item in &out.items {
            self.context.apply(item);
            match item {
                TapeItem::Second(second) => {
                    let symbols =
                        [(Some(self.context.symbol()), second.index), (self.context.proxy(), second.proxy)];
                    out.bars.extend(symbols.into_iter().filter_map(|(symbol, bar)| symbol.zip(bar)));
                    out.steps.extend(self.setups.on_second(second, &self.context));
                }
                TapeItem::FeedGap { symbol, since, .. } => out.gaps.push((*symbol, *since)),
                TapeItem::Resumed { .. } => {}
            }
        }
        out.steps.extend(self.setups.pass_time(self.tape.frontier(), &self.context));
    }
}
