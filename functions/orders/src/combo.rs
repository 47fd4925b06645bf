//! Entries into structures: every gate asked again, one POST, and what executed out of ratio closed at once.

use desk::{Desk, NetAt, Submitted};
use domain::account::AccountRef;
use domain::calendar::{Session, last_trade};
use domain::combo::{ComboEntry, Decided, OwnedCombo, excess};
use domain::ids::IntentId;
use domain::intent::{Action, CloseAmount, IntentState, OrderIntent, approve_combo};
use domain::kill::scopes_for;
use domain::market::OptionQuote;
use domain::order::Touch;
use domain::planted::{self, Bug};
use domain::ports::{BrokerPort, Brokers, Clock, HandleError, Ledger, Message, NewIntent, OwnedNotes, Queue};
use domain::symbol::OccSymbol;
use domain::ticket::{ComboLeg, ComboOpening};
use domain::time::UtcNanos;
use engine::combo::gates::{self, ComboInputs};
use engine::combo::walk::{self, Next, Plan, Terms, net_quote};
use engine::daytrade;

use crate::follow::ENTRY_HOURS_END_BEFORE;
use crate::{BROKER, Orders, Work, begin};

/// The reason of a close of what executed out of ratio.
pub(crate) const LEG_IMBALANCE: &str = "leg_imbalance";

/// Bid and ask of the legs, where there are both.
pub(crate) fn touches(legs: &[ComboLeg], quotes: &[Option<OptionQuote>]) -> Vec<(OccSymbol, Touch)> {
    let of_leg =
        |(leg, quote): (&ComboLeg, &Option<OptionQuote>)| Some((leg.series, Touch::of(quote.as_ref()?)?));
    legs.iter().zip(quotes).filter_map(of_leg).collect()
}

impl<L: Ledger, B: Brokers, C: Clock, N: OwnedNotes> Orders<'_, L, B, C, N> {
    pub(crate) async fn begin_combo(
        &self,
        work: &Work<'_, B::Account>,
        entry: &ComboEntry,
    ) -> Result<(), HandleError> {
        if !work.view.attempts.is_empty() {
            // Its order ended. Whole spreads are kept; the close of anything else is written before the entry is final.
            self.balance(work, entry.head.id).await?;
            let executed = work.view.filled > 0;
            let reason = work.view.last_attempt().and_then(|it| it.reason.clone()).filter(|_| !executed);
            let reason = reason.unwrap_or_else(|| if executed { String::new() } else { "missed".to_owned() });
            let progress = self.bare(work, IntentState::Done, &reason, "its order ended", None);
            return self.write(work, progress).await;
        }
        if work.view.stop_requested {
            let progress =
                self.bare(work, IntentState::Done, "superseded", "stopped before it was sent", None);
            return self.write(work, progress).await;
        }
        self.open_combo(work, entry).await
    }

    /// Asks every gate again, on the market and the rows as they stand now, and sends what they approve.
    async fn open_combo(&self, work: &Work<'_, B::Account>, entry: &ComboEntry) -> Result<(), HandleError> {
        let legs = entry.terms.legs();
        let quotes = match work.broker.quotes(&series_of(legs)).await {
            Ok(quotes) => quotes,
            Err(error) => return self.entry_unasked(work, &error).await,
        };
        let now = self.clock.now();
        let session = Session::at(now).map_err(|it| HandleError::Poison(it.to_string()))?;
        let symbol = entry.head.series.underlying();
        let scopes = scopes_for(work.account.user, &entry.strategy, symbol, BROKER).to_vec();
        let context = self.ledger.opening_context(&work.account, now.new_york_date(), &scopes).await?;
        // What was read may be old by now: the gates measure from the instant they are asked.
        let now = self.clock.now();
        let gates = gates::opening(&ComboInputs {
            switches: &self.switches,
            context: &context,
            session: session.as_ref().filter(|it| it.holds(now)),
            now,
            entry,
            quotes: &quotes,
            signal_at: entry.head.decided_at,
            resolution_ns: 1,
            is_feed_gap: false,
            broker_switched: daytrade::TRADIER_SWITCHED,
        });
        let risk = entry.terms.risk().map_err(|it| HandleError::Poison(it.to_string()))?;
        let Ok(approved) = approve_combo(ComboOpening { risk, units: entry.units }, &gates) else {
            let (state, reason) = engine::gates::verdict(&gates);
            let mut progress = self.bare(work, state, &reason, "refused by the second pass", None);
            progress.gates = gates;
            return self.write(work, progress).await;
        };
        let terms = entry_terms(entry, begin::started_at(&work.view, now))?;
        let rung = match walk::first(&terms, &net_quote(legs, &quotes), now) {
            Next::Rung(rung) => rung,
            Next::Stop(reason) => {
                let progress =
                    self.bare(work, IntentState::Done, reason.as_str(), "the plan ends here", None);
                return self.write(work, progress).await;
            }
        };
        let slot = self.slot_at(work, rung.net.magnitude(), rung.due, None);
        let desk = Desk { ledger: self.ledger, broker: work.broker, clock: self.clock };
        let touches = touches(legs, &quotes);
        let at = NetAt { net: rung.net, touches: &touches };
        let sent = desk.submit_combo_entry(entry.head.id, approved, slot, at, (scopes, &gates)).await;
        match sent {
            Ok(Submitted::Killed(row)) => {
                let what = format!("{} is {}: {}", row.scope, row.state.as_str(), row.reason);
                let progress = self.bare(work, IntentState::Blocked, "kill_switch", &what, None);
                self.write(work, progress).await
            }
            outcome => self.submitted(outcome),
        }
    }

    /// A late execution of an entry that had ended may be out of ratio too.
    pub(crate) async fn late_balance(&self, work: &Work<'_, B::Account>) -> Result<(), HandleError> {
        match &work.view.intent {
            OrderIntent::OpeningCombo(entry) => self.balance(work, entry.head.id).await,
            OrderIntent::ClosingCombo(exit) => self.balance(work, exit.opening).await,
            OrderIntent::Opening(_) | OrderIntent::Closing(_) => Ok(()),
        }
    }

    /// Writes the close of what a structure's legs executed out of ratio, with an alert. The same imbalance is written
    /// once: it is named by everything that was traded of the structure so far.
    async fn balance(&self, work: &Work<'_, B::Account>, opening: IntentId) -> Result<(), HandleError> {
        let Some(owned) = self.structure(&work.account, opening).await? else { return Ok(()) };
        let over = excess(&owned.held());
        if over.is_empty() || planted::is(Bug::ImbalanceKept) {
            return Ok(());
        }
        let Some(view) = self.ledger.intent(&work.account, opening).await? else { return Ok(()) };
        let OrderIntent::OpeningCombo(entry) = &view.intent else { return Ok(()) };
        let at = self.clock.now();
        let traded =
            owned.legs.iter().fold(0u32, |sum, it| sum.saturating_add(it.opened).saturating_add(it.closed));
        let by = Decided { account: entry.head.account, origin: entry.head.origin, sequence: traded, at };
        let exit = entry.exit(by, Action::Balance, CloseAmount::All, LEG_IMBALANCE);
        let new = NewIntent::ready(OrderIntent::ClosingCombo(exit), at);
        self.ledger.record_intent(&new).await?;
        let legs: Vec<String> =
            over.iter().map(|it| format!("{} {}", it.quantity(), it.leg.series)).collect();
        let alert = Message::Alert {
            key: format!("leg_imbalance:{opening}:{traded}"),
            level: "warning".to_owned(),
            text: format!(
                "a structure of account {} executed out of ratio; its excess is being closed: {}",
                work.account.account,
                legs.join(", ")
            ),
        };
        Ok(self.ledger.send_later(Queue::Alerts, &alert, at).await?)
    }

    /// The structure that an entry opened; `None` where nothing of it executed.
    pub(crate) async fn structure(
        &self,
        account: &AccountRef,
        opening: IntentId,
    ) -> Result<Option<OwnedCombo>, HandleError> {
        let all = self.ledger.structures(account, self.clock.now().new_york_date()).await?;
        Ok(all.into_iter().find(|it| it.opening == opening))
    }

    /// The quotes of `legs`, in their order.
    pub(crate) async fn leg_quotes(
        &self,
        work: &Work<'_, B::Account>,
        legs: &[ComboLeg],
    ) -> Result<Vec<Option<OptionQuote>>, domain::ports::BrokerError> {
        work.broker.quotes(&series_of(legs)).await
    }
}

fn series_of(legs: &[ComboLeg]) -> Vec<OccSymbol> {
    legs.iter().map(|it| it.series).collect()
}

/// How an entry is walked since `started_at`: it is cancelled 20 minutes before its series' last trade.
pub(crate) fn entry_terms(entry: &ComboEntry, started_at: UtcNanos) -> Result<Terms, HandleError> {
    let series = entry.head.series;
    let last = last_trade(&series).map_err(|it| HandleError::Poison(it.to_string()))?;
    Ok(Terms {
        plan: Plan::Entry { worst: entry.terms.worst() },
        grid: walk::grid(entry.terms.legs(), &series, started_at),
        lone: None,
        started_at,
        until: last.minus(ENTRY_HOURS_END_BEFORE),
    })
}
