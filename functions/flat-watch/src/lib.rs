//! Asks the broker each minute before the close, without a database, whether something of ours is still open.
//!
//! Accounts come from the secrets, what is ours from the notes kept beside the database and from today's tagged orders. Where
//! something is open, the flatten is started again, unless one of its orders is only just there; five minutes before the
//! close it pages, and goes on paging for two minutes after it: an alert that could not be sent in time is not lost.

#![forbid(unsafe_code)]

use std::time::Duration;

use domain::account::{AccountRef, BrokerCredential, Switches};
use domain::calendar::Session;
use domain::order::BrokerOrder;
use domain::planted::{self, Bug};
use domain::ports::{BrokerPort, Brokers, Clock, HandleError, Message, OwnedNotes, Queue, Secrets, Sender};
use domain::position::BrokerPosition;
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use engine::flatten::{intents_of, owned_by_orders, stops_trading};
use serde::Serialize;

/// From this many minutes before the close an open position pages.
pub const PAGE_MINUTES: u32 = 5;
/// For so long after the close what stayed open still pages.
pub const PAGES_AFTER_CLOSE: Duration = Duration::from_secs(2 * 60);
/// A flatten with an order younger than this is at work: three of its rungs.
pub const AT_WORK: Duration = Duration::from_secs(30);

/// What the function works with.
#[derive(Debug)]
pub struct FlatWatch<'a, S, B, N, Q, C> {
    /// Where accounts are found.
    pub secrets: &'a S,
    /// The brokers.
    pub brokers: &'a B,
    /// What is owned, kept outside the database.
    pub notes: &'a N,
    /// The queues.
    pub sender: &'a Q,
    /// Market time.
    pub clock: &'a C,
    /// The deployment's switches.
    pub switches: Switches,
}

/// What one run saw and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Watched {
    /// Accounts looked at.
    pub accounts: u32,
    /// Accounts with something of ours open.
    pub open: u32,
    /// Accounts whose broker did not answer.
    pub unanswered: u32,
    /// Flattens started again.
    pub started: u32,
    /// Alerts sent.
    pub paged: u32,
    /// Accounts to count as not flat, from five minutes before the close; `None` before that.
    pub not_flat: Option<u32>,
}

/// How an account stands.
enum Stand {
    /// Nothing of ours is open, or its user chose no flatten.
    Flat,
    /// These series are open; whether a flatten is at work on them.
    Open { series: Vec<(OccSymbol, u32)>, at_work: bool },
    /// The broker did not answer; what the note says is ours.
    Unanswered { why: String, noted: Vec<(OccSymbol, u32)> },
}

impl<S: Secrets, B: Brokers, N: OwnedNotes, Q: Sender, C: Clock> FlatWatch<'_, S, B, N, Q, C> {
    /// Looks at every account once. Does nothing but around the close of a session; the calendar knows it.
    ///
    /// # Errors
    /// [`HandleError::Again`] when the secrets could not be listed or a queue did not take a message; every account was
    /// looked at before.
    pub async fn run(&self) -> Result<Watched, HandleError> {
        let mut done = Watched::default();
        let now = self.clock.now();
        let session = Session::at(now).map_err(|it| HandleError::Poison(it.to_string()))?;
        let from = |it: &Session| it.before_close(self.switches.watchdog_minutes);
        let Some(session) = session.filter(|it| from(it) <= now && now < it.close.plus(PAGES_AFTER_CLOSE))
        else {
            return Ok(done);
        };
        let pages = now >= session.before_close(PAGE_MINUTES);
        let mut not_flat: u32 = 0;
        let mut unsent = None;
        let credentials = self.secrets.all_credentials().await;
        let credentials = credentials.map_err(|it| HandleError::Again(it.to_string()))?;
        for credential in &credentials {
            done.accounts = done.accounts.saturating_add(1);
            let stand = self.stand(credential, &session).await;
            let told = self.act(&credential.account, &session, &stand, pages, &mut done).await;
            if let Err(error) = told {
                unsent = Some(error);
            }
            not_flat = not_flat.saturating_add(u32::from(!matches!(stand, Stand::Flat)));
        }
        done.not_flat = pages.then_some(not_flat);
        unsent.map_or(Ok(done), Err)
    }

    /// How an account stands at its broker.
    async fn stand(&self, credential: &BrokerCredential, session: &Session) -> Stand {
        let account = &credential.account;
        let note = self.notes.get(account).await.ok().flatten();
        let wanted = self.switches.execution_enabled || note.as_ref().is_none_or(|it| it.flatten);
        if !wanted {
            return Stand::Flat;
        }
        let mut ours: Vec<(OccSymbol, u32)> = Vec::new();
        if let Some(note) = note {
            // The legs of a structure are ours as a single long is, the short ones too.
            let legs = note.structures.iter().flat_map(domain::ports::NotedCombo::held);
            ours.extend(legs.map(|it| (it.leg.series, it.contracts)));
            ours.extend(note.owned);
        }
        ours.retain(|(series, held)| *held > 0 && stops_trading(series, session));
        match self.ask(account).await {
            Err(why) => Stand::Unanswered { why, noted: ours },
            Ok((positions, orders)) => {
                // A note may lag the last fill, and today's orders an earlier day: the larger of the two is ours.
                for (series, held) in owned_by_orders(&orders) {
                    match ours.iter_mut().find(|it| it.0 == series) {
                        Some(known) => known.1 = known.1.max(held),
                        None => ours.push((series, held)),
                    }
                }
                let include_foreign = credential.flatten_foreign || self.switches.include_foreign;
                let series = open(&ours, &positions, &orders, session, include_foreign);
                let at_work = is_at_work(account, &orders, session, self.clock.now());
                if series.is_empty() { Stand::Flat } else { Stand::Open { series, at_work } }
            }
        }
    }

    async fn ask(&self, account: &AccountRef) -> Result<(Vec<BrokerPosition>, Vec<BrokerOrder>), String> {
        let broker = self.brokers.account(account).await.map_err(|it| it.to_string())?;
        let positions = broker.positions().await.map_err(|it| it.to_string())?;
        let orders = broker.orders().await.map_err(|it| it.to_string())?;
        Ok((positions, orders))
    }

    async fn act(
        &self,
        account: &AccountRef,
        session: &Session,
        stand: &Stand,
        pages: bool,
        done: &mut Watched,
    ) -> Result<(), HandleError> {
        // After the last trade there is nothing left to start.
        let is_over = self.clock.now() >= session.close;
        let (starts, text) = match stand {
            Stand::Flat => return Ok(()),
            Stand::Open { series, at_work } => {
                done.open = done.open.saturating_add(1);
                (!at_work, format!("still open: {}", listed(series)))
            }
            Stand::Unanswered { why, noted } => {
                done.unanswered = done.unanswered.saturating_add(1);
                let words = if noted.is_empty() { "nothing".to_owned() } else { listed(noted) };
                (!noted.is_empty(), format!("the broker does not say what is open ({why}); noted: {words}"))
            }
        };
        if starts && !is_over {
            let again = Message::Flatten { account: *account, session: session.date, at_once: false };
            self.send(Queue::Flatten, &again).await?;
            done.started = done.started.saturating_add(1);
        }
        if pages && !planted::is(Bug::NobodyPaged) {
            let account = account.account;
            let text = if is_over {
                format!(
                    "account {account} was not flat at the close: {text}; it settles or is exercised, look at it"
                )
            } else {
                format!(
                    "account {account} is not flat {PAGE_MINUTES} minutes before the close: {text}; close it by hand now"
                )
            };
            let alert = Message::Alert {
                key: format!("not_flat:{account}:{}", session.date),
                level: "critical".to_owned(),
                text,
            };
            self.send(Queue::Alerts, &alert).await?;
            done.paged = done.paged.saturating_add(1);
        }
        Ok(())
    }

    async fn send(&self, queue: Queue, message: &Message) -> Result<(), HandleError> {
        let sent = self.sender.send(queue, message, Duration::ZERO).await;
        sent.map_err(|it| HandleError::Again(it.to_string()))
    }
}

/// What is open in the series that stop trading today: ours as far as the broker holds it, series in which an order of ours
/// works, and what was opened by hand where its user handed that over.
fn open(
    ours: &[(OccSymbol, u32)],
    positions: &[BrokerPosition],
    orders: &[BrokerOrder],
    session: &Session,
    include_foreign: bool,
) -> Vec<(OccSymbol, u32)> {
    let mut found: std::collections::BTreeMap<OccSymbol, u32> = std::collections::BTreeMap::new();
    for position in positions.iter().filter(|it| it.quantity != 0) {
        let shown = u32::try_from(position.quantity.unsigned_abs()).unwrap_or(u32::MAX);
        let owned = ours.iter().find(|it| it.0 == position.series).map_or(0, |it| it.1);
        let is_handed_over = include_foreign && position.quantity > 0;
        let counts = if is_handed_over { shown } else { shown.min(owned) };
        if counts > 0 {
            found.insert(position.series, counts);
        }
    }
    for order in orders.iter().filter(|it| it.tag.is_some() && !it.status.is_final()) {
        for leg in &order.legs {
            found.entry(leg.series).or_default();
        }
    }
    found.into_iter().filter(|(series, _)| stops_trading(series, session)).collect()
}

/// Whether an order of this session's flatten is young: the flatten goes on by itself.
fn is_at_work(account: &AccountRef, orders: &[BrokerOrder], session: &Session, now: UtcNanos) -> bool {
    orders.iter().any(|order| {
        let closes = |series: &OccSymbol| {
            let names = intents_of(account.account, session, series);
            order.tag.is_some_and(|it| names.contains(&it.intent))
        };
        let is_young = order.created_at.is_some_and(|it| now.since(it) < AT_WORK);
        is_young && order.legs.iter().any(|it| closes(&it.series))
    })
}

fn listed(series: &[(OccSymbol, u32)]) -> String {
    let words: Vec<String> = series.iter().map(|(series, held)| format!("{held} {series}")).collect();
    words.join(", ")
}

/// The metric the alarm watches, as one line of the embedded metric format; `None` while it is too early to count.
///
/// Source: CloudWatch User Guide, "Specification: Embedded metric format".
pub fn metric(watched: &Watched, stage: &str, at: UtcNanos) -> Option<String> {
    let not_flat = watched.not_flat?;
    let line = serde_json::json!({
        "_aws": {
            "Timestamp": at.millis(),
            "CloudWatchMetrics": [{
                "Namespace": "Claxton",
                "Dimensions": [["Stage"]],
                "Metrics": [{ "Name": "NotFlat", "Unit": "Count" }],
            }],
        },
        "Stage": stage,
        "NotFlat": not_flat,
    });
    Some(line.to_string())
}

#[cfg(test)]
mod tests;
