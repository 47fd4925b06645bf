//! Whole trading days in memory: every function, the broker and the queues, on the market's own clock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use domain::gate::Verdict;
use domain::intent::{Action, IntentState};
use domain::market::{MarketEvent, MarketSource, SourceError, SourceProfile};
use domain::money::Usd;
use domain::ports::{DayBook, IntentView, Ledger as _, SetupBook};
use domain::setup::{SetupState, Transition};
use engine::profile::Profile;
use ingester::Ingester;
use ingester::sources::open_recorded;
use jiff::civil::{Date, Time, date};
use sim::broker::{AccountFacts, Facts};
use sim::conformance::block_on;
use sim::market::{GeneratedSession, SessionSpec};
use world::day::{Counts, Day};
use world::simulated::{Simulated, members};

/// The seeds that the project promises something of.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=20;

/// A source behind a pointer.
pub(crate) struct Boxed(pub(crate) Box<dyn MarketSource>);

impl MarketSource for Boxed {
    fn profile(&self) -> &SourceProfile {
        self.0.profile()
    }
    fn next_event(&mut self) -> Result<Option<MarketEvent>, SourceError> {
        self.0.next_event()
    }
}

/// A day that is over.
pub(crate) struct Ran {
    pub(crate) profile: SourceProfile,
    pub(crate) counts: Counts,
    pub(crate) facts: AccountFacts,
    /// Line by line, as it would be written to a file.
    pub(crate) transcript: String,
    setups: Vec<SetupBook>,
    /// Of the member who trades, then of the one who watches.
    books: [DayBook; 2],
    realized: Usd,
    parts: Simulated,
}

/// Runs a day; `disturb` may put something into it before it opens.
pub(crate) fn run_disturbed(
    source: Box<dyn MarketSource>,
    seed: u64,
    disturb: impl FnOnce(&Simulated, &Day<'_, Simulated, Boxed>),
) -> Ran {
    let profile = source.profile().clone();
    let parts = block_on(Simulated::new(&profile, seed)).unwrap().unwrap();
    let ingester = Ingester::new(&profile, &Profile::default(), true);
    let mut day = Day::new(&parts, Boxed(source), ingester);
    disturb(&parts, &day);
    let counts = block_on(day.run(async |_| {})).unwrap().unwrap();
    let realized = day.report().expect("no report was written").totals.realized_net;
    drop(day);
    let lines = parts.sandbox().borrow_mut().take_transcript();
    let date = profile.session.date;
    let books = members().map(|it| block_on(parts.books().day_book(&it.account, date)).unwrap().unwrap());
    let setups = block_on(parts.books().setups(date)).unwrap().unwrap();
    let transcript = lines.iter().map(|it| serde_json::to_string(it).unwrap() + "\n").collect();
    let facts = Facts::from_transcript(&lines).total;
    Ran { profile, counts, facts, transcript, setups, books, realized, parts }
}

fn run(source: Box<dyn MarketSource>, seed: u64) -> Ran {
    run_disturbed(source, seed, |_, _| {})
}

pub(crate) fn generated(seed: u64) -> Box<dyn MarketSource> {
    Box::new(GeneratedSession::new(&SessionSpec::of_seed(seed)).unwrap())
}

impl Ran {
    pub(crate) fn parts(&self) -> &Simulated {
        &self.parts
    }

    fn is_short(&self) -> bool {
        self.profile.session.close < self.profile.session.wall(Time::constant(16, 0, 0, 0))
    }

    fn intents(&self) -> impl Iterator<Item = &IntentView> {
        self.books.iter().flat_map(|it| &it.intents)
    }

    fn steps(&self) -> impl Iterator<Item = &Transition> {
        self.setups.iter().flat_map(|it| &it.transitions)
    }

    fn filled(&self, action: Action) -> bool {
        self.intents().any(|it| it.intent.head().action == action && it.filled > 0)
    }

    /// What a day must never be, in words.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut never = |is: bool, words: &str| {
            if is {
                faults.push(words.to_owned());
            }
        };
        never(!self.facts.flat_at_close, "not flat at the close");
        never(self.facts.duplicate_orders > 0, "a duplicate order");
        never(self.facts.naked_shorts > 0, "a naked short");
        never(self.facts.realized_pnl != self.realized, "the books realised something else than the broker");
        never(self.counts.schedules_failed > 0, "a scheduled function failed");
        for book in &self.books {
            let late = book.reconciled_at.is_some_and(|at| at >= self.profile.session.close);
            never(!late, "no reconciliation after the close");
            never(book.differences.iter().any(|it| it.kind.is_fault()), "books and broker differ");
            never(book.intents.iter().any(|it| !it.state.is_final()), "an intent that does not end");
        }
        let tags: Vec<_> =
            self.intents().flat_map(|it| it.attempts.iter().map(|a| (it.intent.head().id, a.no))).collect();
        never(tags.iter().collect::<BTreeSet<_>>().len() != tags.len(), "an attempt twice");
        never(self.facts.broker_orders != tags.len() as u64, "attempts and orders differ in number");
        faults
    }

    /// How trades ended on this day.
    fn endings(&self) -> BTreeSet<&'static str> {
        let mut seen = BTreeSet::new();
        let mut note = |is: bool, what| {
            if is {
                seen.insert(what);
            }
        };
        note(self.filled(Action::TakeProfit1), "t1");
        note(self.filled(Action::TakeProfit2), "t2");
        let stopped =
            |reason: &str| self.steps().any(|it| it.to == SetupState::Stopped && it.reason == reason);
        note(self.filled(Action::Stop) && stopped("stop"), "stopped");
        note(self.filled(Action::Stop) && stopped("trailed_stop"), "trailed stop");
        note(self.filled(Action::Terminal), "expired");
        note(self.filled(Action::Flatten), "flattened");
        note(self.is_short() && self.filled(Action::Enter), "a trade on a short day");
        seen
    }
}

#[test]
fn twenty_generated_days_end_flat_and_reconciled_and_show_every_way_a_trade_ends() {
    let days = |odd: u64| {
        SEEDS
            .filter(|it| it % 2 == odd)
            .map(|seed| {
                let ran = run(generated(seed), seed);
                let watching: Vec<_> =
                    ran.books[1].intents.iter().map(|it| (it.state, it.reason.clone())).collect();
                (seed, ran.faults(), ran.endings(), watching)
            })
            .collect::<Vec<_>>()
    };
    let days: Vec<_> = std::thread::scope(|scope| {
        let other = scope.spawn(|| days(1));
        let mut all = days(0);
        all.extend(other.join().unwrap());
        all
    });
    let mut endings: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut watched = 0;
    for (seed, faults, seen, watching) in days {
        assert_eq!(faults, Vec::<String>::new(), "seed {seed}");
        for ending in seen {
            endings.entry(ending).or_default().push(seed);
        }
        for intent in &watching {
            assert_eq!(*intent, (IntentState::Blocked, "execution_off".to_owned()), "seed {seed}");
        }
        watched += watching.len();
    }
    println!("{endings:?}");
    let every = ["a trade on a short day", "expired", "flattened", "stopped", "t1", "t2", "trailed stop"];
    assert_eq!(endings.keys().copied().collect::<Vec<_>>(), every, "{endings:?}");
    assert!(watched >= 20, "the member who watches had {watched} intents");
}

#[test]
fn the_same_seed_gives_the_same_transcript_and_another_seed_another() {
    let first = run(generated(11), 11);
    assert!(first.facts.broker_orders > 0);
    assert!(first.transcript == run(generated(11), 11).transcript, "the second day differs from the first");
    assert!(first.transcript != run(generated(12), 12).transcript);
}

/// A recorded day; `None`, with a line that says so, where the data is not there.
fn recorded(date: Date) -> Option<Ran> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !dir.is_dir() {
        println!("skipped: {} is not there", dir.display());
        return None;
    }
    Some(run(open_recorded(&dir, date).unwrap(), 0))
}

#[test]
fn the_recorded_day_with_prints_and_quotes_of_the_proxy_trades() {
    let Some(ran) = recorded(date(2013, 10, 7)) else { return };
    assert_eq!(ran.faults(), Vec::<String>::new());
    assert!(ran.counts.prints > 200_000, "{:?}", ran.counts);
    assert!(ran.filled(Action::Enter), "{:?}", ran.facts);
}

#[test]
fn the_recorded_day_by_the_minute_finds_setups_and_refuses_each_for_want_of_microstructure() {
    let Some(ran) = recorded(date(2021, 1, 4)) else { return };
    assert_eq!(ran.faults(), Vec::<String>::new());
    assert!(!ran.setups.is_empty());
    assert_eq!((ran.intents().count(), ran.facts.broker_orders), (0, 0));
    let blocked: BTreeSet<_> = ran
        .steps()
        .flat_map(|it| &it.gates)
        .filter(|it| it.verdict == Verdict::Block)
        .map(|it| it.reason.as_str())
        .collect();
    assert!(blocked.contains("microstructure_unavailable"), "{blocked:?}");
}
