//! Folds, detects, and writes what follows into the ledger.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use domain::chain::{ChainRow, ChainSnapshot};
use domain::market::{MarketEvent, Microbar, OptionQuote, SourceProfile};
use domain::ports::{Ledger, LedgerError};
use domain::setup::{SetupState, TransitionRecord};
use domain::symbol::{OccSymbol, Underlying};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use engine::context::Beforehand;
use engine::profile::Profile;
use engine::setups::Step;

use crate::checkpoint::{Checkpoint, CheckpointError, Replay, Run, VERSION};
use crate::market::{Completed, Market};
use crate::metrics::Metrics;
use crate::watch::{self, Signal, Watch};

/// Bars and the checkpoint are written after this much market time.
pub const BATCH: Duration = Duration::from_secs(60);
/// Bars in one write.
const BARS_PER_WRITE: usize = 1_000;
/// A snapshot holds the strikes within this part of spot, in percent.
const CHAIN_WITHIN_PCT: i64 = 3;

/// A step of a setup, ready to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Emission {
    /// The step, naming the chain.
    pub record: TransitionRecord,
    /// The chain that stood then; with the steps that open positions.
    pub chain: Option<ChainSnapshot>,
    /// Market time.
    pub at: UtcNanos,
}

/// The ingester's core: synchronous where it thinks, async where it writes. It reads no clock and starts no task.
///
/// Its owner feeds events, tells the time when [`Self::next_due`] passes without one, and calls [`Self::commit`]
/// after each event that left something to write.
#[derive(Debug)]
pub struct Ingester {
    source: SourceProfile,
    run: Run,
    market: Market,
    options: BTreeMap<OccSymbol, OptionQuote>,
    open_interest: BTreeMap<OccSymbol, u32>,
    /// Events taken.
    events: u64,
    /// Events of the source still to be passed over after a restart.
    skip: u64,
    metrics: Metrics,
    emissions: VecDeque<Emission>,
    /// Closed bars to be written: at most the seconds of a session for each symbol.
    bars: BTreeMap<Underlying, Vec<Microbar>>,
    /// When bars and checkpoint were written last.
    written_at: Option<UtcNanos>,
    /// Steps were written that no checkpoint covers yet.
    uncovered: bool,
    finished: bool,
    completed: Completed,
    watch: Watch,
    /// What the others must know, not written yet.
    signals: VecDeque<Signal>,
    /// The source ended: what does not come any more is no silence.
    is_over: bool,
}

impl Ingester {
    /// At the start of a session; `quotes` is the switch `MICROSTRUCTURE_QUOTES_ENABLED`.
    pub fn new(source: &SourceProfile, profile: &Profile, quotes: bool) -> Self {
        Self::knowing(source, profile, quotes, Beforehand::default())
    }

    /// The same, with what is known before the day begins: publications, medians of the sessions before, the families' figures.
    pub fn knowing(source: &SourceProfile, profile: &Profile, quotes: bool, beforehand: Beforehand) -> Self {
        let run = Run { source: source.name.clone(), profile: profile.version.clone(), quotes };
        let interest = source.series.iter().filter_map(|it| Some((it.series, it.open_interest?)));
        Self {
            market: Market::knowing(source, profile, quotes, beforehand),
            open_interest: interest.collect(),
            source: source.clone(),
            run,
            options: BTreeMap::new(),
            events: 0,
            skip: 0,
            metrics: Metrics::default(),
            emissions: VecDeque::new(),
            bars: BTreeMap::new(),
            written_at: None,
            uncovered: false,
            finished: false,
            completed: Completed::default(),
            watch: Watch::new(source),
            signals: VecDeque::new(),
            is_over: false,
        }
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`] where it cannot be read or belongs to another run.
    pub fn restore(
        bytes: &[u8],
        source: &SourceProfile,
        profile: &Profile,
        quotes: bool,
        replay: Replay,
    ) -> Result<Self, CheckpointError> {
        let fresh = Self::new(source, profile, quotes);
        let saved = Checkpoint::read(bytes, &fresh.run)?;
        Ok(Self {
            written_at: Some(saved.market.tape().watermark()),
            market: saved.market,
            options: saved.options.into_iter().collect(),
            events: saved.events,
            skip: match replay {
                Replay::FromStart => saved.events,
                Replay::Live => 0,
            },
            metrics: saved.metrics,
            watch: saved.watch.unwrap_or_else(|| Watch::new(source)),
            ..fresh
        })
    }

    /// What decides.
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// What was counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Events taken, those before a restart included.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Steps not written yet.
    pub fn emissions(&self) -> impl Iterator<Item = &Emission> {
        self.emissions.iter()
    }

    /// What the others must know and was not written yet.
    pub fn signals(&self) -> impl Iterator<Item = &Signal> {
        self.signals.iter()
    }

    /// Closed bars not written yet.
    pub fn bars(&self) -> impl Iterator<Item = (Underlying, &[Microbar])> {
        self.bars.iter().map(|(symbol, bars)| (*symbol, bars.as_slice()))
    }

    /// Takes an event.
    pub fn on_event(&mut self, event: &MarketEvent) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        self.events += 1;
        self.metrics.ticks += 1;
        if let MarketEvent::OptionQuote(series, quote) = event {
            self.keep_option(series, quote);
        }
        let mut completed = std::mem::take(&mut self.completed);
        self.signals.extend(self.watch.on_event(event, &mut self.market, &self.options, &mut completed));
        self.market.push(event, &mut completed);
        self.take_over(&mut completed);
        self.completed = completed;
    }

    /// Takes a live event with the instant it was received, for the lag.
    pub fn on_received(&mut self, event: &MarketEvent, received: UtcNanos) {
        // What is passed over after a restart was received in an earlier life.
        if self.skip == 0 {
            self.metrics.lag.note(event.ts(), received);
        }
        self.on_event(event);
    }

    /// Time went on without an event.
    pub fn on_time(&mut self, now: UtcNanos) {
        if self.skip > 0 {
            return;
        }
        let mut completed = std::mem::take(&mut self.completed);
        if !self.is_over {
            self.signals.extend(self.watch.on_time(now, &mut self.market, &self.options, &mut completed));
        }
        self.market.pass_time(now, &mut completed);
        self.take_over(&mut completed);
        self.completed = completed;
    }

    /// When time should be told next, if no event comes before.
    pub fn next_due(&self) -> Option<UtcNanos> {
        if self.skip > 0 {
            return None;
        }
        let watched = if self.is_over { None } else { self.watch.next_due(&self.market) };
        self.market.next_due().into_iter().chain(watched).min()
    }

    /// The source ended: closes what is open. The next commit writes all there is.
    pub fn finish(&mut self) {
        self.is_over = true;
        // Each telling closes a second or ends a setup, so this comes to an end; the bound is for the reader.
        for _ in 0..1_000 {
            let Some(due) = self.next_due() else { break };
            self.on_time(due);
        }
        self.finished = true;
    }

    /// Whether a commit would write something now.
    pub fn wants_commit(&self) -> bool {
        !self.emissions.is_empty()
            || !self.signals.is_empty()
            || self.uncovered
            || self.batch_due()
            || self.finished
    }

    /// Writes steps with their chains, then bars and a checkpoint when they are due. What fails stays and is written by
    /// the next call; what was written before is known to the ledger by its key.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger did not answer.
    pub async fn commit(&mut self, ledger: &impl Ledger) -> Result<(), LedgerError> {
        while let Some(signal) = self.signals.front() {
            watch::tell(ledger, self.source.index, signal).await?;
            self.signals.pop_front();
            self.uncovered = true;
        }
        while let Some(it) = self.emissions.front() {
            if let Some(chain) = &it.chain {
                ledger.store_chain(chain).await?;
            }
            match ledger.record_transition(&it.record, it.at).await {
                Ok(_) => {}
                // Repeating it would not help, and other setups must go on.
                Err(LedgerError::Refused { what, why }) => {
                    self.metrics.transitions_refused += 1;
                    let (setup, sequence) = (it.record.setup.id, it.record.transition.sequence);
                    tracing::error!(%setup, sequence, what, why, "the ledger refuses a step");
                }
                Err(error) => return Err(error),
            }
            self.emissions.pop_front();
            self.uncovered = true;
        }
        if self.uncovered || self.batch_due() || self.finished {
            self.write_bars(ledger).await?;
            self.write_checkpoint(ledger).await?;
        }
        Ok(())
    }

    /// Writes everything there is, due or not: before an end from which a later life goes on.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger did not answer; what was written stays.
    pub async fn put_down(&mut self, ledger: &impl Ledger) -> Result<(), LedgerError> {
        // Still replaying: the checkpoint it came from says more than it knows.
        if self.skip > 0 {
            return Ok(());
        }
        self.uncovered = true;
        self.commit(ledger).await
    }

    async fn write_bars(&mut self, ledger: &impl Ledger) -> Result<(), LedgerError> {
        for (symbol, bars) in &mut self.bars {
            while !bars.is_empty() {
                let n = bars.len().min(BARS_PER_WRITE);
                ledger.store_microbars(*symbol, bars.get(..n).unwrap_or_default()).await?;
                bars.drain(..n);
            }
        }
        Ok(())
    }

    /// Written after everything it covers, so that nothing is lost by going on from it.
    async fn write_checkpoint(&mut self, ledger: &impl Ledger) -> Result<(), LedgerError> {
        let bytes = self.checkpoint().map_err(|why| LedgerError::Refused { what: "save_checkpoint", why })?;
        ledger.save_checkpoint(self.source.session.date, &bytes).await?;
        self.written_at = Some(self.market.tape().watermark());
        self.uncovered = false;
        self.finished = false;
        Ok(())
    }

    /// The state as bytes.
    ///
    /// # Errors
    /// In words, where a value has no form in JSON.
    pub fn checkpoint(&self) -> Result<Vec<u8>, String> {
        let checkpoint = Checkpoint {
            version: VERSION,
            run: self.run.clone(),
            events: self.events,
            market: self.market.clone(),
            options: self.options.iter().map(|(series, quote)| (*series, *quote)).collect(),
            metrics: self.metrics.clone(),
            watch: Some(self.watch.clone()),
        };
        checkpoint.write()
    }

    /// The standing quotes of the series that expire today, within 3 % of the index's last value.
    pub fn chain(&self) -> Option<ChainSnapshot> {
        let spot = self.market.context().last()?.close;
        let reach = i128::from(spot.0) * i128::from(CHAIN_WITHIN_PCT) / 100;
        // A strike is in thousandths, a value of the index in ten thousandths.
        let near =
            |series: &OccSymbol| (i128::from(series.strike.0) * 10 - i128::from(spot.0)).abs() <= reach;
        let rows = self.options.iter().filter(|(series, _)| near(series)).map(|(series, quote)| ChainRow {
            series: *series,
            quote: *quote,
            open_interest: self.open_interest.get(series).copied(),
            volume: None,
        });
        Some(ChainSnapshot {
            underlying: self.source.index,
            spot,
            ts: self.market.tape().watermark(),
            rows: rows.collect(),
        })
    }

    fn keep_option(&mut self, series: &OccSymbol, quote: &OptionQuote) {
        self.metrics.option_quotes += 1;
        let ours = series.expiry == self.source.session.date && series.underlying() == self.source.index;
        let newer = self.options.get(series).is_none_or(|standing| standing.ts <= quote.ts);
        if ours && newer {
            self.options.insert(*series, *quote);
        } else {
            self.metrics.option_quotes_unused += 1;
        }
    }

    fn take_over(&mut self, completed: &mut Completed) {
        for (symbol, bar) in completed.bars.drain(..) {
            self.metrics.bars_out += 1;
            if Some(symbol) == self.source.proxy {
                self.metrics.proxy_ticks += u64::from(bar.ticks);
                self.metrics.proxy_quoted_ticks += u64::from(bar.quoted_ticks);
            }
            self.bars.entry(symbol).or_default().push(bar);
        }
        for (symbol, since) in completed.gaps.drain(..) {
            tracing::warn!(%symbol, %since, "feed_gap: {symbol} is silent since {since}");
        }
        for step in completed.steps.drain(..) {
            self.metrics.transitions_out += 1;
            let emission = self.emission(step);
            self.emissions.push_back(emission);
        }
        completed.clear();
        self.metrics.tape = *self.market.tape().counts();
        let now = self.market.tape().watermark();
        self.written_at.get_or_insert(now);
    }

    fn emission(&self, step: Step) -> Emission {
        let opens = step.transition.to == SetupState::Triggered
            && step.transition.from != Some(SetupState::Triggered);
        let chain = if opens { self.chain() } else { None };
        let record = TransitionRecord {
            setup: step.setup,
            transition: step.transition,
            chain: chain.as_ref().map(ChainSnapshot::id),
            source: self.source.name.clone(),
            resolution_ns: self.source.resolution_ns,
        };
        Emission { record, chain, at: self.market.tape().watermark() }
    }

    fn batch_due(&self) -> bool {
        let now = self.market.tape().watermark();
        let second = now.floor_to(NANOS_PER_SEC);
        self.written_at.is_some_and(|it| second.since(it) >= BATCH)
    }
}
