//! Faults on demand: what goes wrong, where, and when (the catalogue of RELIABILITY.md, as far as it is the broker's).
//!
//! A [`FaultScript`] says it, by rules and by rates. The broker stays right throughout: its book, its orders and its
//! transcript are the truth, and a fault changes what the caller is told of it, when, or what becomes of an order. Each
//! strike is a line of the transcript. Draws are hashes of the script's seed, of what is struck and of market time, so
//! they depend on nothing else.

mod effects;
mod kind;
mod quotes;
mod request;
mod script;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use broker::transport::{Method, Reply};
use domain::money::Price;
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

pub use kind::{Fault, Point};
pub(super) use quotes::Told;
pub use request::Disposition;
pub(super) use request::Held;
pub use script::{Chance, FaultScript, RULES_MAX, Rule, Rules};

use super::Sandbox;
use super::order::LegSide;
use super::stream::StreamKind;
use super::transcript::TranscriptEvent;
use script::{Match, Verb, With};

/// Orders whose marks are kept beyond their end.
const MARKS_MAX: usize = 10_000;

/// Something that a fault put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FaultDue {
    /// A request takes effect.
    Effect(u64),
    /// An answer leaves; whoever holds it is woken by the time alone.
    Answer,
    /// An order is rejected.
    Reject(u64),
    /// The other legs follow.
    Legs(u64),
    /// An order executes before its cancel.
    Fill(u64),
}

/// What became of an order by faults.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Marks {
    /// The list does not show it before.
    listed_from: Option<UtcNanos>,
    /// It will be rejected, for this reason.
    reject: Option<String>,
    /// Its events leave at once.
    told_at_once: bool,
    /// Its first execution is of one leg; the others follow after so many milliseconds.
    parts_ms: Option<u64>,
    /// What the other legs get.
    withheld: Vec<(u32, Price)>,
    /// Executions show this much later.
    price_ms: u64,
    /// A cancel loses.
    beats_cancel: bool,
}

/// The faults of a sandbox: what is to strike, what struck, and what is put off.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Faults {
    script: FaultScript,
    /// How often each rule matched.
    matched: Vec<u64>,
    /// How often each rule struck.
    struck: Vec<u64>,
    /// How often each fault struck, whatever the script.
    counts: BTreeMap<Fault, u64>,
    marks: BTreeMap<u64, Marks>,
    held: BTreeMap<u64, Held>,
    next_ticket: u64,
    /// The placement being answered is answered this much later.
    answer_after_ms: Option<u64>,
    /// Equal things struck at one instant are told apart by how many came before.
    instant: UtcNanos,
    seen: BTreeMap<u64, u32>,
    /// Answers of requests that took effect late, for whoever still waits.
    #[serde(skip)]
    late: BTreeMap<u64, Reply>,
}

/// How a script is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultCounts {
    /// How often each rule matched and struck, in order.
    pub rules: Vec<RuleCount>,
    /// How often each fault struck since the session's start, whatever the script.
    pub struck: BTreeMap<Fault, u64>,
}

/// How a rule is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// Its fault.
    pub fault: Fault,
    /// How often it matched.
    pub matched: u64,
    /// How often it struck.
    pub struck: u64,
}

/// What a fault may strike, as rules see it.
#[derive(Debug, Default)]
struct Subject {
    method: Option<Method>,
    path: String,
    account: Option<String>,
    symbols: Vec<String>,
    sides: Vec<LegSide>,
    tag: Option<String>,
    order: Option<u64>,
    stream: Option<StreamKind>,
    /// Whether it changes an order.
    writes: bool,
}

/// A fault that strikes now.
#[derive(Debug, Clone)]
struct Strike {
    fault: Fault,
    /// The rule's number, from 1; none for a rate.
    rule: Option<usize>,
    with: With,
}

impl Faults {
    /// Whether anything could strike at `point`.
    fn aims_at(&self, point: Point) -> bool {
        !self.script.is_empty()
            && (self.script.rules.0.iter().any(|it| it.fault.point() == point)
                || self.script.rates.keys().any(|it| it.point() == point))
    }

    fn mark(&self, order: u64) -> Option<&Marks> {
        self.marks.get(&order)
    }

    /// Every fault that strikes `subject` at `point`, each at most once; the first rule of each wins, and over its rate.
    fn strikes(&mut self, now: UtcNanos, point: Point, subject: &Subject, what: &str) -> Vec<Strike> {
        let mut found: Vec<Strike> = Vec::new();
        let repeat = self.repeat(now, point, what);
        let draw = |seed: u64, name: &str, n: usize| {
            let mut hasher = blake3::Hasher::new();
            let parts = [&seed.to_le_bytes()[..], name.as_bytes(), &n.to_le_bytes(), what.as_bytes()];
            for part in parts {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
            hasher.update(&now.0.to_le_bytes()).update(&repeat.to_le_bytes());
            let mut draw = [0u8; 8];
            hasher.finalize_xof().fill(&mut draw);
            u64::from_le_bytes(draw).checked_rem(1_000_000).unwrap_or(0)
        };
        let clock = now.new_york().time();
        let seed = self.script.seed;
        let counts = self.matched.iter_mut().zip(&mut self.struck);
        for (n, (rule, (matched, struck))) in self.script.rules.0.iter().zip(counts).enumerate() {
            let due = rule.fault.point() == point
                && rule.from.is_none_or(|it| it <= clock)
                && rule.until.is_none_or(|it| clock < it)
                && applies(rule.fault, subject)
                && rule.on.matches(subject);
            if !due {
                continue;
            }
            *matched = matched.saturating_add(1);
            let drawn = rule.chance.is_none_or(|it| draw(seed, "rule", n) < u64::from(it.0));
            let first = found.iter().all(|it| it.fault != rule.fault);
            if first && *matched >= rule.nth && *struck < rule.times && drawn {
                *struck = struck.saturating_add(1);
                let (fault, rule_no) = (rule.fault, n.saturating_add(1));
                found.push(Strike { fault, rule: Some(rule_no), with: rule.with.clone() });
            }
        }
        for (fault, rate) in &self.script.rates {
            let open = fault.point() == point && found.iter().all(|it| it.fault != *fault);
            if open && applies(*fault, subject) && draw(seed, fault.as_str(), 0) < u64::from(rate.0) {
                found.push(Strike { fault: *fault, rule: None, with: With::usual(*fault) });
            }
        }
        found
    }

    /// How many equal things came before at this instant.
    fn repeat(&mut self, now: UtcNanos, point: Point, what: &str) -> u32 {
        if self.instant != now {
            self.instant = now;
            self.seen.clear();
        }
        let mut key = [0u8; 8];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[point as u8]).update(what.as_bytes());
        hasher.finalize_xof().fill(&mut key);
        let seen = self.seen.entry(u64::from_le_bytes(key)).or_default();
        *seen = seen.saturating_add(1);
        *seen
    }
}

/// Whether `fault` can strike such a thing at all.
const fn applies(fault: Fault, subject: &Subject) -> bool {
    if fault.writes_alone() {
        subject.writes
    } else {
        // A row of an answer cannot be left out: it was asked for.
        !matches!(fault, Fault::QuoteDropped) || subject.stream.is_some()
    }
}

impl Match {
    fn matches(&self, subject: &Subject) -> bool {
        let method = |it: Verb| match it {
            Verb::Get => Method::Get,
            Verb::Post => Method::Post,
            Verb::Put => Method::Put,
            Verb::Delete => Method::Delete,
        };
        self.method.is_none_or(|it| subject.method == Some(method(it)))
            && self.path.as_deref().is_none_or(|it| like(it, &subject.path))
            && (self.account.is_none() || self.account == subject.account)
            && self.symbol.as_ref().is_none_or(|it| subject.symbols.contains(it))
            && self.side.is_none_or(|it| subject.sides.contains(&it))
            && self.tag.as_deref().is_none_or(|it| subject.tag.as_deref().is_some_and(|tag| like(it, tag)))
            && self.order.is_none_or(|it| subject.order == Some(it))
            && self.stream.is_none_or(|it| subject.stream == Some(it))
    }
}

/// What is about a series is about its underlying, too.
fn with_underlyings(mut symbols: Vec<String>) -> Vec<String> {
    let underlyings = symbols.iter().filter_map(|it| it.parse::<OccSymbol>().ok());
    let underlyings: Vec<String> = underlyings.map(|it| it.underlying().to_string()).collect();
    symbols.extend(underlyings);
    symbols
}

/// Whether `text` is like `pattern`, in which `*` stands for anything.
fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part).and_then(|at| rest.get(at.saturating_add(part.len())..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}

impl Sandbox {
    /// Sets what is to go wrong from now on; counts of rules start anew. What a former script struck stays struck.
    pub fn set_faults(&mut self, script: FaultScript) {
        let rules = script.rules.0.len();
        self.faults.matched = vec![0; rules];
        self.faults.struck = vec![0; rules];
        self.faults.script = script;
        self.touch();
    }

    /// What is to go wrong.
    pub const fn faults(&self) -> &FaultScript {
        &self.faults.script
    }

    /// How often what struck.
    pub fn fault_counts(&self) -> FaultCounts {
        let counts = self.faults.matched.iter().zip(&self.faults.struck);
        let rules = self.faults.script.rules.0.iter().zip(counts);
        let rules = rules.map(|(rule, (matched, struck))| RuleCount {
            fault: rule.fault,
            matched: *matched,
            struck: *struck,
        });
        FaultCounts { rules: rules.collect(), struck: self.faults.counts.clone() }
    }

    /// What strikes `subject`, already counted and written down.
    fn strike(&mut self, point: Point, subject: &Subject, what: &str) -> Vec<Strike> {
        if !self.faults.aims_at(point) {
            return Vec::new();
        }
        let mut strikes = self.faults.strikes(self.now, point, subject, what);
        if point != Point::Order {
            // One request has one answer, one event one fate, one row one lie.
            strikes.truncate(1);
        }
        for strike in &strikes {
            let count = self.faults.counts.entry(strike.fault).or_default();
            *count = count.saturating_add(1);
            let (fault, rule) = (strike.fault, strike.rule);
            self.record(TranscriptEvent::FaultStruck { fault, rule, on: what.to_owned() });
        }
        if !strikes.is_empty() {
            self.touch();
        }
        strikes
    }
}
