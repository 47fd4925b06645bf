//! Halts and blindness: what the ingester watches beside the setups, and what it tells the others.

use std::collections::BTreeMap;

use domain::kill::{KillScope, KillState};
use domain::market::{MarketEvent, OptionQuote, Points, SourceProfile};
use domain::ports::{KillFlip, Ledger, LedgerError, Message, Queue};
use domain::symbol::{OccSymbol, Underlying};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use engine::blind::{BlindWatch, Measure, SILENT, Sight, parity};
use engine::halt::{Change, HaltWatch, slack};
use serde::{Deserialize, Serialize};

use crate::market::{Completed, Market};

/// Who flips the market's row of the kill switch.
const BY: &str = "halt";

/// Something the others must know at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Trading stopped.
    Halted {
        /// When.
        at: UtcNanos,
        /// What it was told from.
        why: String,
    },
    /// Trading goes on.
    Reopened {
        /// When.
        at: UtcNanos,
    },
    /// Nobody sees the index: the disaster orders are drawn nearer.
    Tighten {
        /// When.
        at: UtcNanos,
    },
    /// Nobody has seen it for too long: what is held is closed.
    Blind {
        /// When.
        at: UtcNanos,
    },
}

/// The watches, as one value of the checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Watch {
    halts: HaltWatch,
    blind: BlindWatch,
    slack_ns: i64,
    /// The second that was looked at last.
    looked_at: UtcNanos,
}

impl Watch {
    pub(crate) fn new(source: &SourceProfile) -> Self {
        Self {
            halts: HaltWatch::new(source),
            blind: BlindWatch::new(source),
            slack_ns: i64::try_from(slack(source.resolution_ns).as_nanos()).unwrap_or(i64::MAX),
            looked_at: UtcNanos(i64::MIN),
        }
    }

    /// Takes an event before the market does.
    pub(crate) fn on_event(
        &mut self,
        event: &MarketEvent,
        market: &mut Market,
        options: &BTreeMap<OccSymbol, OptionQuote>,
        out: &mut Completed,
    ) -> Vec<Signal> {
        let ts = event.ts();
        let change = self.halts.on_event(event);
        let mut signals: Vec<Signal> = self.changed(change, ts, market).into_iter().collect();
        // What this instant shows is seen before anybody is called blind at it.
        self.blind.on_event(event);
        signals.extend(self.look(ts, market, options, out));
        signals
    }

    /// Time went on without an event.
    pub(crate) fn on_time(
        &mut self,
        now: UtcNanos,
        market: &mut Market,
        options: &BTreeMap<OccSymbol, OptionQuote>,
        out: &mut Completed,
    ) -> Vec<Signal> {
        let change = self.halts.on_time(now);
        let mut signals: Vec<Signal> = self.changed(change, now, market).into_iter().collect();
        signals.extend(self.look(now, market, options, out));
        signals
    }

    /// When time should be told next: while nobody sees the index, each second.
    pub(crate) fn next_due(&self, market: &Market) -> Option<UtcNanos> {
        let is_watched = market.has_live() && !self.halts.is_halted();
        let next = UtcNanos(self.looked_at.0.saturating_add(NANOS_PER_SEC));
        let blind = self.blind.silent_from().filter(|_| is_watched).map(|it| it.max(next));
        [blind, self.halts.next_due()].into_iter().flatten().min()
    }

    fn changed(&mut self, change: Option<Change>, at: UtcNanos, market: &mut Market) -> Option<Signal> {
        let signal = match change? {
            Change::Halted { why } => Signal::Halted { at, why },
            Change::Reopened => Signal::Reopened { at },
        };
        market.stand(at, self.halts.is_halted());
        // Whoever saw nothing in the halt begins to count when it is over.
        self.blind.look(at, None, true);
        Some(signal)
    }

    /// Once a second while a position may stand: the implied spot, and where the index is seen.
    fn look(
        &mut self,
        now: UtcNanos,
        market: &mut Market,
        options: &BTreeMap<OccSymbol, OptionQuote>,
        out: &mut Completed,
    ) -> Option<Signal> {
        let second = now.floor_to(NANOS_PER_SEC);
        if !market.has_live() || second <= self.looked_at {
            return None;
        }
        self.looked_at = second;
        let implied = self.implied(now, options);
        market.set_implied(implied);
        if self.blind.silent_from().is_none_or(|it| now < it) {
            return None;
        }
        let (sight, measure) = self.blind.look(now, implied, self.halts.is_halted());
        match sight {
            Sight::Proxy(value) | Sight::Parity(value) if !self.halts.is_halted() => {
                market.see(now, value, out)
            }
            Sight::Index | Sight::Proxy(_) | Sight::Parity(_) | Sight::Nothing => {}
        }
        match measure? {
            Measure::Tighten => Some(Signal::Tighten { at: now }),
            Measure::Close => {
                market.end_live(now, "blind", out);
                Some(Signal::Blind { at: now })
            }
        }
    }

    fn implied(&self, now: UtcNanos, options: &BTreeMap<OccSymbol, OptionQuote>) -> Option<Points> {
        let near = self.blind.last_index()?;
        let age_max = SILENT.saturating_add(std::time::Duration::from_nanos(self.slack_ns.unsigned_abs()));
        parity(options.iter(), near, now, age_max)
    }
}

/// Writes what a signal asks for. Repeating it changes nothing.
pub(crate) async fn tell(
    ledger: &impl Ledger,
    symbol: Underlying,
    signal: &Signal,
) -> Result<(), LedgerError> {
    let (at, level, text) = match signal {
        Signal::Halted { at, why } => {
            flip(ledger, symbol, KillState::SafeMode, why, *at).await?;
            let text = format!(
                "trading in {symbol} stands: {why}. No entries, nothing walks, the flatten stays armed; it is released \
                 after 30 s of quotes on two sides"
            );
            (*at, "critical", text)
        }
        Signal::Reopened { at } => {
            let why = "quotes have had two sides for 30 s";
            flip(ledger, symbol, KillState::Normal, why, *at).await?;
            (*at, "warning", format!("trading in {symbol} goes on: {why}"))
        }
        Signal::Tighten { at } => {
            price_anew(ledger, *at).await?;
            (
                *at,
                "warning",
                format!("{symbol} is silent and nothing stands for it: disaster orders are drawn nearer"),
            )
        }
        Signal::Blind { at } => (
            *at,
            "critical",
            format!("{symbol} has not been seen for a minute: what is held on it is closed"),
        ),
    };
    let kind = match signal {
        Signal::Halted { .. } => "halted",
        Signal::Reopened { .. } => "reopened",
        Signal::Tighten { .. } => "unseen",
        Signal::Blind { .. } => "blind",
    };
    let alert = Message::Alert { key: format!("{kind}:{symbol}:{at}"), level: level.to_owned(), text };
    ledger.send_later(Queue::Alerts, &alert, at).await
}

async fn flip(
    ledger: &impl Ledger,
    symbol: Underlying,
    state: KillState,
    reason: &str,
    at: UtcNanos,
) -> Result<(), LedgerError> {
    let scope = KillScope::Market(symbol);
    let flip = KillFlip { scope, state, by: BY.to_owned(), reason: reason.to_owned(), at, if_version: None };
    ledger.flip_kill_switch(&flip).await.map(|_| ())
}

/// Has every resting protection looked at now; whether it is drawn nearer is decided on the broker's own market.
async fn price_anew(ledger: &impl Ledger, at: UtcNanos) -> Result<(), LedgerError> {
    for account in ledger.active_accounts().await? {
        for view in ledger.open_intents(&account).await? {
            let head = view.intent.head();
            if head.action.protects() {
                let step = Message::Step { account, intent: head.id, version: view.version, tries: 0 };
                ledger.send_later(step.queue(false), &step, at).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
