//! Closes what we opened in the series that stop trading today, until flat.
//!
//! One pass every ten seconds per account: read the broker, book what executed, cancel what works, offer what is left. What
//! to do is `engine::flatten::plan`, a function of time and of what the broker shows. With the database down the same pass
//! runs on the notes kept beside it, and a close's derived tag stands for its row.

#![forbid(unsafe_code)]

mod books;
mod combos;

use std::time::Duration;

use desk::{Desk, LOOKED_UP_WITHIN, LookedUp};
use domain::account::{AccountRef, Switches};
use domain::calendar::Session;
use domain::ids::OrderTag;
use domain::intent::{
    Action, Approved, CloseAmount, CloseBound, ClosingIntent, IntentHead, Origin, approve_closing,
};
use domain::market::{OptionQuote, Points};
use domain::order::BrokerOrder;
use domain::planted::{self, Bug};
use domain::ports::{
    BrokerPort, Brokers, Clock, Fence, HandleError, Ledger, LedgerError, Message, NotedCombo, OwnedNote,
    OwnedNotes, Queue, Secrets, Sender,
};
use domain::position::BrokerPosition;
use domain::symbol::OccSymbol;
use domain::time::{NANOS_PER_SEC, UtcNanos};
use engine::flatten::{self as plan, Close, FlattenInputs, FlattenPlan};
use jiff::civil::Date;

/// An older value of the index says nothing about intrinsic values.
const INDEX_AGE_MAX: Duration = Duration::from_secs(5);
/// Rungs start on this grid.
const RUNG_GRID: i64 = 10 * NANOS_PER_SEC;
/// How long a pass holds the account's lease.
const LEASE: Duration = Duration::from_secs(20);
/// How long what a pass without the books sends may be on its way, counted from its look-up: the look-up's own age, and the
/// five seconds after which a tag that is not found counts as not there.
const REACH_WITHOUT: Duration = LOOKED_UP_WITHIN.saturating_add(Duration::from_secs(5));
/// The same with the books, where up to five seconds lie between the mark and the request.
const REACH_WITH_BOOKS: Duration = REACH_WITHOUT.saturating_add(Duration::from_secs(5));
/// How long a pass waits for a lease that is taken.
const LEASE_WAIT: Duration = Duration::from_secs(1);
/// Flat without the books, it looks again after this whether they are back.
const BOOKS_WAIT: Duration = Duration::from_secs(60);
/// How long a pass waits for a broker that did not answer.
const BROKER_WAIT: Duration = Duration::from_secs(2);

/// A flatten at once that was started with the market closed sends nothing before 09:32.
const CLOSES_AFTER_OPEN: Duration = Duration::from_secs(2 * 60);
/// Until then from the open on it takes quotes with both sides alone: a lone side of an opening market is no price.
const OPENING: Duration = Duration::from_secs(15 * 60);
/// How long after a cancel with the market closed the order is looked at again.
const CANCEL_AGAIN: Duration = Duration::from_secs(10);

/// So long after the open the schedule's entry notes what is held.
const NOTED_AFTER_OPEN: Duration = Duration::from_secs(60);

/// What the function works with.
#[derive(Debug)]
pub struct Flatten<'a, L, B, C, N, S, Q> {
    /// The books.
    pub ledger: &'a L,
    /// The brokers.
    pub brokers: &'a B,
    /// Market time.
    pub clock: &'a C,
    /// What is owned, kept outside the database.
    pub notes: &'a N,
    /// Where accounts are found with the database down.
    pub secrets: &'a S,
    /// How passes go on with the database down.
    pub sender: &'a Q,
    /// The deployment's switches.
    pub switches: Switches,
    /// Who holds leases: this process.
    pub holder: &'a str,
}

/// One account's pass.
pub(crate) struct Pass<'p, A> {
    account: AccountRef,
    session: Session,
    at_once: bool,
    broker: &'p A,
    /// `None` with the database down.
    fence: Option<Fence>,
}

/// What the broker shows at the start of a pass.
pub(crate) struct Seen {
    positions: Vec<BrokerPosition>,
    orders: Vec<BrokerOrder>,
    quotes: Vec<(OccSymbol, OptionQuote)>,
    spot: Option<Points>,
    /// When the orders were asked for: what they do not show may have been sent since.
    orders_at: UtcNanos,
}

/// What is ours in a pass, and whether foreign positions are closed with it.
struct Ours {
    owned: Vec<(OccSymbol, u32)>,
    /// Structures that stop trading in this session.
    structures: Vec<NotedCombo>,
    include_foreign: bool,
    wanted: bool,
    /// Whether the store beside the database answered.
    is_noted: bool,
}

impl<L: Ledger, B: Brokers, C: Clock, N: OwnedNotes, S: Secrets, Q: Sender> Flatten<'_, L, B, C, N, S, Q> {
    /// Starts the flatten of every account when its hour has come: the schedule's entry. At the open it notes what is held
    /// instead. On short days the schedule's
    /// other hour counts; the calendar decides which.
    ///
    /// # Errors
    /// [`HandleError`] when neither the ledger nor the secrets could name the accounts.
    pub async fn start(&self) -> Result<u32, HandleError> {
        let now = self.clock.now();
        let Some(session) = session_at(now)? else { return Ok(0) };
        if session.open <= now && now < session.open.plus(NOTED_AFTER_OPEN) {
            return self.note_all(&session).await.map(|()| 0);
        }
        // The schedule may fire a little early; physically settled series start earlier and are reached by exit rules.
        let starts = session.before_close(self.switches.flatten_minutes).minus(Duration::from_secs(60));
        if now < starts || now >= session.close {
            return Ok(0);
        }
        let accounts = match self.ledger.active_accounts().await {
            Ok(accounts) => accounts,
            Err(_) => {
                let credentials = self.secrets.all_credentials().await;
                let credentials = credentials.map_err(|it| HandleError::Again(it.to_string()))?;
                credentials.into_iter().map(|it| it.account).collect()
            }
        };
        for account in &accounts {
            self.again(&Message::Flatten { account: *account, session: session.date, at_once: false }, now)
                .await?;
        }
        Ok(u32::try_from(accounts.len()).unwrap_or(u32::MAX))
    }

    /// Keeps what is held overnight beside the database, at the open: what a flatten without it goes by is then of today.
    async fn note_all(&self, session: &Session) -> Result<(), HandleError> {
        let now = self.clock.now();
        let mut failed = Ok(());
        for account in self.ledger.active_accounts().await? {
            let owned = self.ledger.owned(&account, session.date).await?;
            let structures = self.ledger.structures(&account, session.date).await?;
            let settings = self.ledger.settings(account.user).await?;
            let note = OwnedNote::of(&account, (&owned, &structures), (&settings, &self.switches), now);
            if note.is_empty() {
                continue;
            }
            if let Err(error) = self.notes.put(&note).await {
                failed = Err(HandleError::Again(error.to_string()));
            }
        }
        failed
    }

    /// Works one message: one pass of one account.
    ///
    /// # Errors
    /// [`HandleError`] when the pass could not be made; the queue delivers it again.
    pub async fn handle(&self, message: &Message) -> Result<(), HandleError> {
        match message {
            Message::Flatten { account, session, at_once } => self.pass(account, *session, *at_once).await,
            Message::Step { .. }
            | Message::BrokerOrder { .. }
            | Message::Transition { .. }
            | Message::Alert { .. } => {
                Err(HandleError::Poison("this message belongs to another queue than flatten".to_owned()))
            }
        }
    }

    async fn pass(&self, account: &AccountRef, date: Date, at_once: bool) -> Result<(), HandleError> {
        let now = self.clock.now();
        let session = Session::of(date).map_err(|it| HandleError::Poison(it.to_string()))?;
        let Some(session) = session else {
            return Err(HandleError::Poison(format!("{date} has no session")));
        };
        let message = Message::Flatten { account: *account, session: date, at_once };
        let fence = match self.ledger.take_lease(account, self.holder, now, now.plus(LEASE)).await {
            Ok(Some(fence)) => Some(fence),
            Ok(None) => return self.next(&message, now.plus(LEASE_WAIT)).await,
            Err(LedgerError::Unavailable { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let broker = self.brokers.account(account).await?;
        let pass = Pass { account: *account, session, at_once, broker: &broker, fence };
        let due = self.make(&pass).await;
        if let Some(fence) = fence {
            self.ledger.release_lease(account, fence).await?;
        }
        match due? {
            Some(due) => self.next(&message, due).await,
            // What this flatten wrote while the books answered is still open in them: a pass with them ends it.
            None if fence.is_none() && self.clock.now() < session.close => {
                self.next(&message, self.clock.now().plus(BOOKS_WAIT)).await
            }
            None => Ok(()),
        }
    }

    /// Makes a pass and says when the next one is due; `None` when flat or after the close.
    async fn make(&self, pass: &Pass<'_, B::Account>) -> Result<Option<UtcNanos>, HandleError> {
        let now = self.clock.now();
        let Some(seen) = self.look(pass).await else { return Ok(Some(now.plus(BROKER_WAIT))) };
        if pass.fence.is_some() {
            self.book_executions(pass, &seen).await?;
        }
        if pass.at_once && now < pass.session.open.plus(CLOSES_AFTER_OPEN) {
            return self.cancel_alone(pass, &seen).await.map(Some);
        }
        let ours = self.ours(pass, &seen).await?;
        if !ours.wanted {
            return Ok(None);
        }
        let mut plan = self.plan(pass, &seen, &ours);
        if planted::is(Bug::CancelOfForeign) {
            for order in seen.orders.iter().filter(|it| it.tag.is_none() && !it.status.is_final()) {
                drop(pass.broker.cancel(order.id).await);
            }
        }
        for id in &plan.cancels {
            // None of a cancel's answers is a verdict: the next pass reads the order.
            drop(pass.broker.cancel(*id).await);
        }
        if pass.fence.is_some() {
            self.stop_intents(pass).await?;
        }
        let may_send = self.may_send(pass, &seen, &ours, &plan).await;
        for close in plan.closes.iter().filter(|_| may_send) {
            self.send(pass, close, &seen).await?;
        }
        if let Some(due) = self.close_structures(pass, &seen, &ours.structures, may_send).await? {
            plan.flat = false;
            plan.next_due = Some(plan.next_due.map_or(due, |it| it.min(due)));
        }
        let is_over = plan.flat || now >= pass.session.close;
        if pass.fence.is_some() && is_over && !planted::is(Bug::FlattenNeverEnds) {
            self.finish(pass, &plan).await?;
        }
        self.tell_stranded(pass, &plan).await?;
        Ok(plan.next_due)
    }

    /// Whether this pass is the one that sends now. The account's lease keeps passes with the books apart; from those without
    /// them a claim does, in the store beside the database, on the time in which what is sent may still be on its way.
    ///
    /// Where that store is down, the lease is enough with the books. Without both nothing tells two passes apart but the
    /// broker, which takes no second close of what is held once; a store that merely lost this claim is asked again by the
    /// next pass.
    async fn may_send(
        &self,
        pass: &Pass<'_, B::Account>,
        seen: &Seen,
        ours: &Ours,
        plan: &FlattenPlan,
    ) -> bool {
        let with_books = pass.fence.is_some();
        let sends = !plan.closes.is_empty() || (!with_books && !ours.structures.is_empty());
        if !sends {
            return false;
        }
        let reach = if with_books { REACH_WITH_BOOKS } else { REACH_WITHOUT };
        let first = seen.orders_at.0.div_euclid(RUNG_GRID);
        let last = seen.orders_at.plus(reach).0.saturating_sub(1).div_euclid(RUNG_GRID);
        for window in first..=last {
            let what = format!("flatten-{}-{window}", pass.session.date);
            match self.notes.claim(&pass.account, &what, with_books).await {
                Ok(true) => {}
                Ok(false) => return false,
                Err(_) if with_books || !ours.is_noted => {}
                Err(_) => return false,
            }
        }
        with_books || self.clock.now().since(seen.orders_at) < LOOKED_UP_WITHIN
    }

    /// Started while the market is closed: what works is cancelled now, and closing waits for the market. Says when to look
    /// again.
    async fn cancel_alone(&self, pass: &Pass<'_, B::Account>, seen: &Seen) -> Result<UtcNanos, HandleError> {
        let now = self.clock.now();
        let ours = seen.orders.iter().filter(|it| it.tag.is_some() && !it.status.is_final());
        let mut waits = false;
        for order in ours {
            // None of a cancel's answers is a verdict: the next pass reads the order.
            drop(pass.broker.cancel(order.id).await);
            waits = true;
        }
        if pass.fence.is_some() {
            self.stop_intents(pass).await?;
        }
        let opens = pass.session.open.plus(CLOSES_AFTER_OPEN);
        Ok(if waits { now.plus(CANCEL_AGAIN).min(opens) } else { opens })
    }

    /// Positions, orders and quotes; `None` when the broker did not answer one of them.
    async fn look(&self, pass: &Pass<'_, B::Account>) -> Option<Seen> {
        let positions = pass.broker.positions().await.ok()?;
        let series: Vec<OccSymbol> =
            positions.iter().map(|it| it.series).filter(|it| is_due(pass, it)).collect();
        let quotes = if series.is_empty() { Vec::new() } else { pass.broker.quotes(&series).await.ok()? };
        let spot = match series.first() {
            // Without the index a patient offer stops at the bid instead of near intrinsic value.
            Some(first) => {
                let market = pass.broker.market(*first).await.ok();
                market.and_then(|it| it.spot(self.clock.now(), INDEX_AGE_MAX))
            }
            None => None,
        };
        let quotes =
            series.into_iter().zip(quotes).filter_map(|(series, quote)| Some((series, quote?))).collect();
        // Last, because it is the look-up of the tags that are sent under.
        let orders_at = self.clock.now();
        let orders = pass.broker.orders().await.ok()?;
        Some(Seen { positions, orders, quotes, spot, orders_at })
    }

    /// What is ours: by the books; with them down by the notes; with these missing too by today's tagged orders.
    async fn ours(&self, pass: &Pass<'_, B::Account>, seen: &Seen) -> Result<Ours, HandleError> {
        if pass.fence.is_some() {
            let unbooked = self.unbooked(pass, seen).await?;
            let held = plan::held(&self.ledger.owned(&pass.account, pass.session.date).await?);
            let held = plan::less(held, &unbooked);
            let taken_over = self.ledger.taken_over(&pass.account).await?;
            let owned = plan::with_taken_over(held, &taken_over, &seen.positions);
            let settings = self.ledger.settings(pass.account.user).await?;
            let structures = self.structures(pass).await?;
            let owns = !owned.is_empty() || !structures.is_empty();
            let wanted = pass.at_once || plan::is_wanted(&self.switches, &settings, owns);
            let include_foreign = settings.flatten_foreign
                || self.switches.include_foreign
                || planted::is(Bug::ForeignFlattened);
            return Ok(Ours { owned, structures, include_foreign, wanted, is_noted: true });
        }
        let credentials = self.secrets.all_credentials().await.unwrap_or_default();
        let include_foreign =
            credentials.iter().any(|it| it.account.account == pass.account.account && it.flatten_foreign);
        Ok(match self.notes.get(&pass.account).await {
            Ok(Some(note)) => {
                let noted = note.structures.into_iter().filter(|it| combos::is_due(pass, it));
                let structures = noted.map(|it| combos::since_noted(pass, it, seen, note.at));
                let structures = structures.collect();
                let left = |(series, noted): (OccSymbol, u32)| {
                    let names = plan::intents_of(pass.account.account, &pass.session, &series);
                    let since = (names.as_slice(), note.at);
                    let left = plan::left_of_note(&series, noted, since, &seen.orders, &seen.positions);
                    (left > 0).then_some((series, left))
                };
                let owned = note.owned.into_iter().filter_map(left).collect();
                let wanted = pass.at_once || note.flatten;
                Ours { owned, structures, include_foreign, wanted, is_noted: true }
            }
            missing => {
                let structures = combos::by_orders(pass, &seen.orders);
                let mut owned = plan::owned_by_orders(&seen.orders);
                owned.retain(|it| !structures.iter().any(|combo| combos::has(combo, &it.0)));
                // What may be the wing of a short is not sold on the word of orders alone: the next pass asks the notes again.
                owned.retain(|it| !plan::covers_a_short(&it.0, &seen.positions));
                Ours { owned, structures, include_foreign, wanted: true, is_noted: missing.is_ok() }
            }
        })
    }

    fn plan(&self, pass: &Pass<'_, B::Account>, seen: &Seen, ours: &Ours) -> FlattenPlan {
        let now = self.clock.now();
        // Started at once, its first rung is now: the minutes reach back over the whole session.
        let minutes = self.minutes(pass);
        // The legs of structures, and orders on them, are not single longs to be sold.
        let of_structures = |series: &OccSymbol| ours.structures.iter().any(|it| combos::has(it, series));
        let positions: Vec<BrokerPosition> =
            seen.positions.iter().filter(|it| !of_structures(&it.series)).copied().collect();
        let orders: Vec<BrokerOrder> = seen
            .orders
            .iter()
            .filter(|it| !it.legs.iter().any(|leg| of_structures(&leg.series)))
            .cloned()
            .collect();
        let is_opening = pass.at_once && now < pass.session.open.plus(OPENING);
        let counts = |it: &&(OccSymbol, OptionQuote)| !is_opening || it.1.two_sided().is_some();
        let quotes: Vec<_> = seen.quotes.iter().filter(counts).copied().collect();
        plan::plan(&FlattenInputs {
            account: pass.account.account,
            pass: number(pass, seen.orders_at),
            now,
            session: &pass.session,
            minutes,
            is_all: pass.at_once,
            include_foreign: ours.include_foreign,
            owned: &ours.owned,
            positions: &positions,
            orders: &orders,
            quotes: &quotes,
            spot: seen.spot,
        })
    }

    /// Minutes before the close at which this flatten starts.
    fn minutes(&self, pass: &Pass<'_, B::Account>) -> u32 {
        if pass.at_once { minutes_of(&pass.session) } else { self.switches.flatten_minutes }
    }

    /// Sends one close: through the books, or with them down by its tag alone.
    async fn send(&self, pass: &Pass<'_, B::Account>, close: &Close, seen: &Seen) -> Result<(), HandleError> {
        match pass.fence.filter(|_| !planted::is(Bug::CloseWithoutMark)) {
            // What stood still since the look-up looks again with the next pass.
            Some(_) if self.clock.now().since(seen.orders_at) >= LOOKED_UP_WITHIN => Ok(()),
            Some(fence) => self.send_booked(pass, close, fence, seen).await,
            None => {
                let intent = closing(pass, close, 0, self.clock.now());
                let bound = approve(&intent, close, seen)?;
                let desk = Desk { ledger: self.ledger, broker: pass.broker, clock: self.clock };
                // Whatever comes back, the next pass looks the tag up before it offers again.
                let looked_up = LookedUp { tag: close.tag, at: seen.orders_at };
                drop(desk.submit_by_tag(&intent, bound, looked_up, close.price).await);
                Ok(())
            }
        }
    }

    /// The next pass, on the market's own grid: chains of passes that were started twice meet in one row of the outbox.
    async fn next(&self, message: &Message, due: UtcNanos) -> Result<(), HandleError> {
        let now = self.clock.now();
        let step = if due.since(now) >= plan::RUNG { RUNG_GRID } else { NANOS_PER_SEC };
        let aligned = due.floor_to(step);
        self.again(message, if aligned > now { aligned } else { due }).await
    }

    /// Sends the message again later: through the outbox, or with the database down straight to the queue.
    async fn again(&self, message: &Message, due: UtcNanos) -> Result<(), HandleError> {
        match self.ledger.send_later(Queue::Flatten, message, due).await {
            Err(LedgerError::Unavailable { .. }) => {
                let sent = self.sender.send(Queue::Flatten, message, due.since(self.clock.now())).await;
                sent.map_err(|it| HandleError::Again(it.to_string()))
            }
            written => Ok(written?),
        }
    }

    async fn tell_stranded(
        &self,
        pass: &Pass<'_, B::Account>,
        plan: &FlattenPlan,
    ) -> Result<(), HandleError> {
        for stranded in &plan.stranded {
            let alert = Message::Alert {
                key: format!("stranded:{}:{}:{}", pass.account.account, stranded.series, stranded.reason),
                level: "critical".to_owned(),
                text: format!(
                    "{} cannot be closed ({}): our books hold {}, the broker shows {}; close it by hand",
                    stranded.series, stranded.reason, stranded.ours, stranded.broker
                ),
            };
            let now = self.clock.now();
            if self.ledger.send_later(Queue::Alerts, &alert, now).await.is_err() {
                let sent = self.sender.send(Queue::Alerts, &alert, Duration::ZERO).await;
                sent.map_err(|it| HandleError::Again(it.to_string()))?;
            }
        }
        Ok(())
    }
}

/// Whether a series is this flatten's to close: all of them at once, else those that stop trading in its session.
pub(crate) fn is_due<A>(pass: &Pass<'_, A>, series: &OccSymbol) -> bool {
    pass.at_once || plan::stops_trading(series, &pass.session)
}

/// The number of a pass, for its tags: twice the seconds since the open, and one more without the books. So every pass of
/// one instant has one tag, whoever makes it and why, and a row's tag is never one that stands for a row.
pub(crate) fn number<A>(pass: &Pass<'_, A>, at: UtcNanos) -> u32 {
    let seconds = u32::try_from(at.since(pass.session.open).as_secs()).unwrap_or(u32::MAX);
    seconds.saturating_mul(2).saturating_add(u32::from(pass.fence.is_none()))
}

/// Whether a tag is of a pass without the books, see [`number`]: attempts count from one.
pub(crate) const fn is_without_books(tag: OrderTag) -> bool {
    tag.attempt.0 & 1 == 0
}

/// A close against what the broker shows.
pub(crate) fn approve(
    intent: &ClosingIntent,
    close: &Close,
    seen: &Seen,
) -> Result<Approved<CloseBound>, HandleError> {
    let long =
        seen.positions.iter().filter(|it| it.series == close.series).map(|it| it.quantity).sum::<i64>();
    let held = u32::try_from(long).unwrap_or(0);
    approve_closing(intent, close.quantity, held).map_err(|it| HandleError::Poison(it.to_string()))
}

/// The intent of a close: named by account, series and session, so that every pass of a flatten shares it; after `round`
/// flattens of its series that have ended.
pub(crate) fn closing<A>(pass: &Pass<'_, A>, close: &Close, round: u32, now: UtcNanos) -> ClosingIntent {
    ClosingIntent {
        head: IntentHead {
            id: plan::intent_of(pass.account.account, &pass.session, &close.series, round),
            account: pass.account,
            origin: Origin::Flatten(pass.session.date),
            sequence: round,
            action: Action::Flatten,
            series: close.series,
            decided_at: now,
        },
        opening: None,
        amount: CloseAmount::All,
        reason: if pass.at_once { plan::AT_ONCE } else { "session_end" }.to_owned(),
    }
}

fn session_at(now: UtcNanos) -> Result<Option<Session>, HandleError> {
    Session::at(now).map_err(|it| HandleError::Poison(it.to_string()))
}

fn minutes_of(session: &Session) -> u32 {
    u32::try_from(session.close.since(session.open).as_secs() / 60).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
