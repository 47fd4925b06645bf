//! The account a run gives of itself: two files of JSON lines, and a summary that can be computed again from them.
//!
//! Facts about orders, positions and money come from the broker's transcript, never from our books.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, bail};
use domain::account::AccountRef;
use domain::ids::{IntentId, SetupId};
use domain::intent::{Action, IntentState};
use domain::market::SourceProfile;
use domain::money::Usd;
use domain::order::Attempt;
use domain::ports::{Difference, Ledger, LedgerError, Snapshot};
use domain::position::Fill;
use domain::setup::{Setup, Transition};
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sim::broker::{Facts, TranscriptLine};

use sandbox::journal::TRANSCRIPT;

/// The books of the run, a line a row.
pub const LEDGER: &str = "ledger.jsonl";
/// The summary.
pub const SUMMARY: &str = "summary.json";

/// What a run comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The New York date.
    pub session: Date,
    /// The source's name.
    pub source: String,
    /// Prints and quotes of the index and its proxy.
    pub ticks: u64,
    /// Second bars.
    pub microbars: u64,
    /// Setups found.
    pub setups: u64,
    /// Steps they took.
    pub transitions: u64,
    /// Intents, blocked ones included.
    pub intents: u64,
    /// Orders the broker received.
    pub broker_orders: u64,
    /// Executions at the broker.
    pub fills: u64,
    /// Orders that should not exist.
    pub duplicate_orders: u64,
    /// Executions that left a short contract alone.
    pub naked_shorts: u64,
    /// Whether nothing was held when the session closed.
    pub flat_at_close: bool,
    /// Whether every account's last reconciliation, after the close, found no fault.
    pub reconciled: bool,
    /// Dollars realised at the broker, all charges taken.
    pub realized_pnl: f64,
    /// Dollars realised by our books, all charges taken; equal to the broker's where the books are right.
    pub books_pnl: f64,
    /// Seconds the run took on the wall; after a restart, those of its last part.
    pub wall_seconds: f64,
}

impl Summary {
    /// What a run must not end with, in words; empty when it may be proud.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |is: bool, words: String| {
            if is {
                faults.push(words);
            }
        };
        fault(self.duplicate_orders > 0, format!("{} duplicate orders", self.duplicate_orders));
        fault(self.naked_shorts > 0, format!("{} naked shorts", self.naked_shorts));
        fault(!self.flat_at_close, "not flat at the close".to_owned());
        fault(!self.reconciled, "not reconciled".to_owned());
        let apart = (self.realized_pnl - self.books_pnl).abs() > 0.005;
        fault(
            apart,
            format!("the broker realised {:.2}, our books {:.2}", self.realized_pnl, self.books_pnl),
        );
        faults
    }
}

/// One line of the books.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Line {
    /// The run itself.
    Run {
        /// The source's name.
        source: String,
        /// The New York date.
        session: Date,
        /// Its close.
        close: UtcNanos,
        /// When it started and ended on the wall.
        started: UtcNanos,
        /// See above.
        ended: UtcNanos,
    },
    /// A minute of the market.
    Minute {
        /// Its end, market time.
        at: UtcNanos,
        /// Prints of the index and its proxy in it.
        prints: u64,
        /// Quotes of both.
        quotes: u64,
        /// Second bars closed.
        microbars: u64,
    },
    /// A setup as it ended.
    Setup {
        /// The setup.
        setup: Box<Setup>,
    },
    /// A step of a setup.
    Transition {
        /// The step.
        transition: Box<Transition>,
    },
    /// An intent with its attempts and executions.
    Intent {
        /// Its id.
        id: IntentId,
        /// Whose.
        account: AccountRef,
        /// What for.
        action: Action,
        /// The entry a close belongs to.
        opening: Option<IntentId>,
        /// The setup behind it.
        setup: Option<SetupId>,
        /// The series.
        series: OccSymbol,
        /// When it was decided, market time.
        decided_at: UtcNanos,
        /// Where it ended.
        state: IntentState,
        /// Why there.
        reason: String,
        /// Its POSTs.
        attempts: Vec<Attempt>,
        /// Its executions.
        fills: Vec<Fill>,
    },
    /// Balances.
    Snapshot {
        /// Whose.
        account: AccountRef,
        /// The balances.
        snapshot: Snapshot,
    },
    /// An account's last reconciliation.
    Reconciliation {
        /// Whose.
        account: AccountRef,
        /// When; `None` when none ran.
        at: Option<UtcNanos>,
        /// What differed.
        differences: Vec<Difference>,
        /// What our books realised, all charges taken.
        realized: Usd,
    },
}

/// Minutes of a market, counted as they pass.
#[derive(Debug, Default)]
pub(crate) struct Minutes {
    lines: Vec<Line>,
    counted: (u64, u64, u64),
}

impl Minutes {
    /// The counts stand so at `at`.
    pub(crate) fn note(&mut self, at: UtcNanos, prints: u64, quotes: u64, microbars: u64) {
        let (p, q, m) = self.counted;
        if (prints, quotes, microbars) != self.counted {
            self.lines.push(Line::Minute {
                at,
                prints: prints.saturating_sub(p),
                quotes: quotes.saturating_sub(q),
                microbars: microbars.saturating_sub(m),
            });
            self.counted = (prints, quotes, microbars);
        }
    }
}

/// Reads a run's books into lines.
pub(crate) async fn read_books<L: Ledger>(
    ledger: &L,
    profile: &SourceProfile,
    minutes: Minutes,
    realized: impl Fn(&AccountRef) -> Usd,
    wall: (UtcNanos, UtcNanos),
) -> Result<Vec<Line>, LedgerError> {
    let session = profile.session;
    let (started, ended) = wall;
    let run = Line::Run {
        source: profile.name.clone(),
        session: session.date,
        close: session.close,
        started,
        ended,
    };
    let mut lines = vec![run];
    lines.extend(minutes.lines);
    for book in ledger.setups(session.date).await? {
        lines.push(Line::Setup { setup: Box::new(book.setup) });
        lines.extend(book.transitions.into_iter().map(|it| Line::Transition { transition: Box::new(it) }));
    }
    for account in ledger.active_accounts().await? {
        let book = ledger.day_book(&account, session.date).await?;
        for view in book.intents {
            let head = *view.intent.head();
            let (opening, setup) = (opening_of(&view.intent), setup_of(&head.origin));
            lines.push(Line::Intent {
                id: head.id,
                account,
                action: head.action,
                opening,
                setup,
                series: head.series,
                decided_at: head.decided_at,
                state: view.state,
                reason: view.reason,
                attempts: view.attempts,
                fills: view.fills,
            });
        }
        lines.extend(book.snapshots.into_iter().map(|snapshot| Line::Snapshot { account, snapshot }));
        let (at, differences) = (book.reconciled_at, book.differences);
        lines.push(Line::Reconciliation { account, at, differences, realized: realized(&account) });
    }
    Ok(lines)
}

fn opening_of(intent: &domain::intent::OrderIntent) -> Option<IntentId> {
    intent.opening()
}

fn setup_of(origin: &domain::intent::Origin) -> Option<SetupId> {
    match origin {
        domain::intent::Origin::Setup(id) => Some(*id),
        domain::intent::Origin::Flatten(_) | domain::intent::Origin::Decision(_) => None,
    }
}

/// Computes the summary from both files' lines.
///
/// # Errors
/// Lines without the run's own.
pub fn summarize(lines: &[Line], transcript: &[TranscriptLine]) -> anyhow::Result<Summary> {
    let facts = Facts::from_transcript(transcript).total;
    let run = lines.iter().find_map(|it| match it {
        Line::Run { source, session, close, started, ended } => {
            Some((source, *session, *close, *started, *ended))
        }
        Line::Minute { .. }
        | Line::Setup { .. }
        | Line::Transition { .. }
        | Line::Intent { .. }
        | Line::Snapshot { .. }
        | Line::Reconciliation { .. } => None,
    });
    let Some((source, session, close, started, ended)) = run else {
        bail!("{LEDGER} has no line of kind run")
    };
    let mut sum = Summary {
        session,
        source: source.clone(),
        ticks: 0,
        microbars: 0,
        setups: 0,
        transitions: 0,
        intents: 0,
        broker_orders: facts.broker_orders,
        fills: facts.fills,
        duplicate_orders: facts.duplicate_orders,
        naked_shorts: facts.naked_shorts,
        flat_at_close: facts.flat_at_close,
        reconciled: true,
        realized_pnl: facts.realized_pnl.to_f64(),
        books_pnl: 0.0,
        wall_seconds: ended.since(started).as_secs_f64(),
    };
    let (mut accounts, mut books) = (BTreeSet::new(), Usd::ZERO);
    for line in lines {
        match line {
            Line::Minute { prints, quotes, microbars, .. } => {
                sum.ticks += prints + quotes;
                sum.microbars += microbars;
            }
            Line::Setup { .. } => sum.setups += 1,
            Line::Transition { .. } => sum.transitions += 1,
            Line::Intent { .. } => sum.intents += 1,
            Line::Reconciliation { account, at, differences, realized } => {
                let is_late = at.is_some_and(|at| at >= close);
                sum.reconciled &= is_late && !differences.iter().any(|it| it.kind.is_fault());
                books += *realized;
                accounts.insert(*account);
            }
            Line::Run { .. } | Line::Snapshot { .. } => {}
        }
    }
    sum.reconciled &= !accounts.is_empty();
    sum.books_pnl = books.to_f64();
    Ok(sum)
}

/// Writes transcript, books and summary into `dir`.
pub(crate) fn write(
    dir: &Path,
    lines: &[Line],
    transcript: &[TranscriptLine],
    summary: &Summary,
) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    write_lines(&dir.join(LEDGER), lines)?;
    write_lines(&dir.join(TRANSCRIPT), transcript)?;
    let path = dir.join(SUMMARY);
    fs::write(&path, serde_json::to_vec_pretty(summary)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn write_lines<T: Serialize>(path: &Path, lines: &[T]) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(context)?);
    for line in lines {
        serde_json::to_writer(&mut file, line)?;
        file.write_all(b"\n").with_context(context)?;
    }
    file.flush().with_context(context)
}

/// Computes every field of a run's summary again from the files in `dir` and compares.
///
/// # Errors
/// A file that is missing or broken, with the line; fields that differ, with both values.
pub fn verify(dir: &Path) -> anyhow::Result<Summary> {
    let path = dir.join(SUMMARY);
    let text = fs::read(&path)
        .with_context(|| format!("cannot read {}: give the directory of a run's --out", path.display()))?;
    let told: Summary =
        serde_json::from_slice(&text).with_context(|| format!("{} is no summary", path.display()))?;
    let lines = read_lines(&dir.join(LEDGER))?;
    let found = summarize(&lines, &read_whole_transcript(&dir.join(TRANSCRIPT))?)?;
    let (told_json, found_json) = (serde_json::to_value(&told)?, serde_json::to_value(&found)?);
    let fields = told_json.as_object().into_iter().flatten();
    let differing: Vec<String> = fields
        .filter(|(name, value)| found_json.get(name.as_str()) != Some(value))
        .map(|(name, value)| {
            format!(
                "{name}: the summary says {value}, the files say {}",
                found_json.get(name.as_str()).unwrap_or_default()
            )
        })
        .collect();
    if !differing.is_empty() {
        bail!("{}", differing.join("; "));
    }
    Ok(found)
}

/// Reads a finished run's transcript: every line must be one, and none may be missing.
fn read_whole_transcript(path: &Path) -> anyhow::Result<Vec<TranscriptLine>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines: Vec<TranscriptLine> = Vec::new();
    for (n, text) in (1u64..).zip(text.lines()) {
        let line: TranscriptLine = serde_json::from_str(text)
            .with_context(|| format!("{}:{n}: expected a transcript line", path.display()))?;
        if line.seq != n {
            bail!("{}:{n}: expected the line with seq {n}, found seq {}", path.display(), line.seq);
        }
        lines.push(line);
    }
    Ok(lines)
}

fn read_lines(path: &Path) -> anyhow::Result<Vec<Line>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = Vec::new();
    for (n, text) in BufReader::new(file).lines().enumerate() {
        let line = serde_json::from_str(&text?);
        lines.push(
            line.with_context(|| format!("{}:{}: expected a line of the books", path.display(), n + 1))?,
        );
    }
    Ok(lines)
}
