//! What becomes due: acceptance, changes, cancels, the close and what follows it.

use std::time::Duration;

use domain::calendar::{Session, previous_session};
use domain::money::{TickGrid, Usd};
use domain::symbol::{OccSymbol, Right, Settlement, Underlying};
use domain::time::UtcNanos;
use jiff::civil::{Date, time};
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::account::Account;
use super::ask::{Ask, AskLeg};
use super::check::{NO_BUYING_POWER, OFF_GRID, position_rule};
use super::day_trades::SESSIONS;
use super::faults::FaultDue;
use super::instrument::Instrument;
use super::margin::requirement;
use super::order::{Leg, LegSide, Lifetime, Order, OrderClass, OrderType, Status, Terms};
use super::shape::OrderNotice;
use super::stream::Notice;
use super::transcript::TranscriptEvent;

/// Index options that do not expire today trade a quarter of an hour longer.
const AFTER_CLOSE: Duration = Duration::from_secs(15 * 60);
/// With the curb session an hour, but on short days.
const CURB: Duration = Duration::from_secs(60 * 60);

/// Something that happens at an instant; equal instants go by sequence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Due {
    pub(super) at: UtcNanos,
    seq: u64,
    action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// An order goes to the market, or is rejected.
    Open(u64),
    /// An order becomes executable.
    Match(u64),
    /// A change takes effect.
    Change(u64),
    /// A cancel takes effect.
    Cancel(u64),
    /// The session closes.
    Close,
    /// Day orders whose day is over end.
    Cleanup,
    /// Expired series turn into cash or shares.
    Settle,
    /// Something that a fault put off.
    Fault(FaultDue),
    /// A stream says that it lives.
    Heartbeat(String),
}

impl Sandbox {
    /// The next instant at which something happens without a request or a quote.
    pub fn next_due(&self) -> Option<UtcNanos> {
        let action = self.due.first().map(|it| it.at);
        let notice = self.notices.front().map(|it| it.due);
        match (action, notice) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Lets everything happen that is due at `now` or before, each at its own instant.
    pub fn advance(&mut self, now: UtcNanos) {
        while self.due.first().is_some_and(|it| it.at <= now) {
            let Some(due) = self.due.pop_first() else { break };
            self.now = self.now.max(due.at);
            self.act(due.action);
        }
        self.now = self.now.max(now);
        self.release_notices();
    }

    pub(super) fn schedule(&mut self, at: UtcNanos, action: Action) {
        self.due_seq = self.due_seq.saturating_add(1);
        self.due.insert(Due { at, seq: self.due_seq, action });
    }

    pub(super) fn open_session(&mut self, session: Session) {
        self.schedule(session.close, Action::Close);
        self.schedule(session.close.plus(self.rules.latencies.cleanup), Action::Cleanup);
        self.schedule(session.close.plus(self.rules.latencies.settle), Action::Settle);
        let late = session.close.plus(self.after_close()).plus(self.rules.latencies.cleanup);
        self.schedule(late, Action::Cleanup);
        self.schedule(self.post_hours().1.plus(self.rules.latencies.cleanup), Action::Cleanup);
        let kept = self.now;
        self.now = self.now.max(session.open.minus(Duration::from_secs(3_600)));
        self.record(TranscriptEvent::SessionOpened { date: session.date, close: session.close });
        let rows: Vec<_> = self.accounts.values().map(|it| (it.number.clone(), it.kind, it.cash)).collect();
        for (account, kind, cash) in rows {
            self.record(TranscriptEvent::Account { account, kind, cash });
        }
        self.now = kept;
        let waiting: Vec<u64> =
            self.orders.values().filter(|it| it.status == Status::Pending).map(|it| it.id).collect();
        for id in waiting {
            self.schedule_open(id);
        }
        self.begin_accounts();
        self.touch();
    }

    /// What accounts begin a session with.
    fn begin_accounts(&mut self) {
        let first = earliest_counted(self.session.date);
        let powers: Vec<_> = self
            .accounts
            .values()
            .map(|it| (it.number.clone(), self.buying_power(it), it.value(&self.book).net()))
            .collect();
        for (number, power, value) in powers {
            let Some(account) = self.accounts.get_mut(&number) else { continue };
            account.equity_at_open = account.cash + value;
            account.day_trades.begin(first, power);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Open(id) => self.open_order(id),
            Action::Match(id) => self.match_order(id),
            Action::Change(id) => self.apply_change(id),
            Action::Cancel(id) if self.orders.get(&id).is_some_and(|it| it.class.brackets()) => {
                self.end_bracket(id);
            }
            Action::Cancel(id) => self.end(id, Status::Canceled),
            Action::Close => {
                self.record(TranscriptEvent::SessionClosed { date: self.session.date });
                self.touch();
            }
            Action::Cleanup => self.cleanup(),
            Action::Settle => self.settle(),
            Action::Fault(due) => self.act_on_fault(due),
            Action::Heartbeat(session) => self.heartbeat(&session),
        }
    }

    /// The instant from which `instrument` does not trade in this session.
    pub(super) fn trading_end(&self, instrument: &Instrument) -> UtcNanos {
        let Some(series) = instrument.series() else { return self.session.close };
        let expires = series.expiry <= self.session.date;
        if series.underlying().is_index() && !expires {
            self.session.close.plus(self.after_close())
        } else if expires && series.root.settlement() == Settlement::CashAm {
            self.session.open
        } else {
            self.session.close
        }
    }

    /// How much longer than shares index options trade that do not expire today.
    const fn after_close(&self) -> Duration {
        if self.rules.practice.curb_session && !self.session.short { CURB } else { AFTER_CLOSE }
    }

    /// The hours of orders for before the open and after the close.
    pub(super) fn extended(&self, lifetime: Lifetime) -> Option<(UtcNanos, UtcNanos)> {
        match lifetime {
            Lifetime::Pre => {
                Some((self.session.wall(time(4, 0, 0, 0)), self.session.wall(time(9, 24, 0, 0))))
            }
            Lifetime::Post => Some(self.post_hours()),
            Lifetime::Day | Lifetime::Gtc => None,
        }
    }

    fn post_hours(&self) -> (UtcNanos, UtcNanos) {
        (self.session.close, self.session.wall(time(19, 55, 0, 0)))
    }

    /// The end of the hours an order of `lifetime` works in.
    pub(super) fn hours_end(&self, lifetime: Lifetime, instrument: &Instrument) -> UtcNanos {
        self.extended(lifetime).map_or_else(|| self.trading_end(instrument), |(_, end)| end)
    }

    /// Whether every leg of `order` trades at the sandbox's present.
    pub(super) fn tradable(&self, order: &Order) -> bool {
        let begins = self.extended(order.lifetime).map_or(self.session.open, |(from, _)| from);
        let trades = |it| begins <= self.now && self.now < self.hours_end(order.lifetime, it);
        order.legs.iter().all(|leg| trades(&leg.instrument))
    }

    pub(super) fn open_order(&mut self, id: u64) {
        if self.held_back(id) {
            return;
        }
        if self.orders.get(&id).is_some_and(|it| it.kind == OrderType::Market && it.status == Status::Pending)
        {
            // What it will cost is known better now than when it was received.
            self.settle_claims(id, true);
        }
        let Some(order) = self.orders.get(&id).filter(|it| it.status == Status::Pending) else { return };
        let refused = self.late_check(order);
        let account = order.account.clone();
        if let Some(reason) = refused {
            self.finish(id, Status::Rejected, Some(reason));
            return;
        }
        let ready_at = self.now.plus(self.rules.latencies.fill);
        let now = self.now;
        if let Some(order) = self.orders.get_mut(&id) {
            order.status = Status::Open;
            order.changed = now;
            order.ready_at = ready_at;
        }
        self.watch(id);
        self.record(TranscriptEvent::Opened { account, order: id });
        self.notify(id);
        self.part_changed(id);
        self.touch();
        self.schedule(ready_at, Action::Match(id));
    }

    /// What is checked after the answer: the price grid, the money, positions an exit was to close, and that no short leg
    /// loses its cover.
    fn late_check(&self, order: &Order) -> Option<String> {
        if self.off_grid(&order.terms(), order.class, &Ask::rest_of(order).legs) {
            return Some(OFF_GRID.to_owned());
        }
        let account = self.accounts.get(&order.account)?;
        if !self.keeps_cover(account, order) {
            return Some(NO_BUYING_POWER.to_owned());
        }
        if order.parent.is_some() {
            // It claims its part already.
            let leg = |leg: &Leg| AskLeg { instrument: leg.instrument, side: leg.side, quantity: 0 };
            let refused = order.legs.iter().map(leg).find_map(|leg| position_rule(account, &leg).err());
            if let Some(reason) = refused.and_then(|it| it.0.last().copied()) {
                return Some(reason.to_owned());
            }
        }
        let opens = order.legs.iter().any(|leg| leg.side.opens());
        let broke =
            !order.foreign && opens && order.tied > Usd::ZERO && self.buying_power(account) < Usd::ZERO;
        broke.then(|| NO_BUYING_POWER.to_owned())
    }

    /// Whether short options keep what covers them, or money instead of it, once `order` executed.
    fn keeps_cover(&self, account: &Account, order: &Order) -> bool {
        let shorts = account.positions.values().any(|it| it.quantity < 0) || !account.leaning.is_empty();
        if !order.sells() || !(shorts || order.legs.iter().any(|leg| leg.side == LegSide::SellToOpen)) {
            return true;
        }
        let naked = |series: &OccSymbol| self.naked_per_share(account, series);
        let held = || account.holdings().map(|(instrument, it)| (instrument, it.quantity));
        let others = || self.selling_legs(account, Some(order.id));
        let before = requirement(held().chain(others()), &naked);
        match requirement(held().chain(self.selling_legs(account, None)), &naked) {
            None => false,
            Some(after) if order.tied == Usd::ZERO => {
                let more = after - before.unwrap_or(Usd::ZERO);
                let paid = self.premium(&Ask::rest_of(order)).min(Usd::ZERO);
                more <= Usd::ZERO || more <= self.buying_power(account) - paid
            }
            Some(_) => true,
        }
    }

    /// What working orders that sell will move, but for one of them.
    fn selling_legs<'a>(
        &'a self,
        account: &'a Account,
        but: Option<u64>,
    ) -> impl Iterator<Item = (Instrument, i64)> + 'a {
        let orders = account.selling.iter().filter(move |id| Some(**id) != but);
        orders
            .filter_map(|id| self.orders.get(id))
            .flat_map(|it| &it.legs)
            .map(|leg| (leg.instrument, i64::from(leg.remaining()).saturating_mul(leg.side.side().sign())))
    }

    /// Whether a price is off the grid of its product and date; boxes alone have net prices in cents on an index.
    pub(super) fn off_grid(&self, terms: &Terms, class: OrderClass, legs: &[AskLeg]) -> bool {
        let Some(first) = legs.first().map(|it| it.instrument) else { return false };
        let grid = match (class, first) {
            (OrderClass::Option, Instrument::Option(series)) => {
                TickGrid::single_leg(&series.root, self.session.date)
            }
            (OrderClass::Multileg, it) if it.underlying() == Underlying::SPX && !is_box(legs) => {
                TickGrid::NET_FIVE
            }
            _ => TickGrid::PENNY,
        };
        [terms.price, terms.stop].into_iter().flatten().any(|it| !grid.holds(it))
    }

    /// Ends an order that still lives.
    pub(super) fn end(&mut self, id: u64, status: Status) {
        if self.orders.get(&id).is_some_and(Order::is_live) {
            self.finish(id, status, None);
        }
    }

    pub(super) fn finish(&mut self, id: u64, status: Status, reason: Option<String>) {
        let now = self.now;
        self.unwatch(id);
        self.settle_claims(id, false);
        self.changes(id);
        let Some(order) = self.orders.get_mut(&id) else { return };
        let held = order.status == Status::Held;
        order.status = status;
        order.reason = reason;
        order.changed = now;
        order.canceling = false;
        order.changing = None;
        let (account, reason) = (order.account.clone(), order.reason.clone().unwrap_or_default());
        if let Some(it) = self.accounts.get_mut(&account) {
            it.live.remove(&id);
            it.selling.remove(&id);
            it.working = it.working.saturating_sub(usize::from(order.parent.is_none()));
            for leg in order.legs.iter().filter(|_| order.claims && !held) {
                Self::claim(it, (leg.instrument, leg.side), i64::from(leg.remaining()).saturating_neg());
            }
        }
        self.ended.push_back(id);
        match status {
            Status::Canceled => self.record(TranscriptEvent::Canceled { account, order: id }),
            Status::Expired => self.record(TranscriptEvent::Expired { account, order: id }),
            Status::Rejected => self.record(TranscriptEvent::Rejected { account, order: id, reason }),
            Status::Filled | Status::Held | Status::Pending | Status::Open | Status::PartiallyFilled => {}
        }
        self.notify(id);
        self.part_changed(id);
        self.touch();
    }

    /// Puts an order's event on its way to the owner's account stream, when somebody listens there.
    pub(super) fn notify(&mut self, id: u64) {
        let Some(order) = self.orders.get(&id) else { return };
        let Some(user) = self.owner(&order.account).map(|it| it.id.clone()) else { return };
        if !self.listens(&user) {
            return;
        }
        let Ok(text) = serde_json::to_string(&OrderNotice::of(order, &self.rules.practice)) else { return };
        let due = self.now.plus(self.rules.latencies.notice);
        let account = order.account.clone();
        let legs = order.legs.iter().filter(|_| self.rules.practice.leg_events && !order.class.single());
        let legs =
            legs.map(|leg| serde_json::to_string(&OrderNotice::of_leg(order, leg, &self.rules.practice)));
        let texts: Vec<String> = std::iter::once(text).chain(legs.flatten()).collect();
        for text in texts {
            self.send_notice(id, Notice { due, user: user.clone(), account: account.clone(), text });
        }
    }
}

/// Whether four legs are worth the same wherever the underlying ends: a call and a put against each other at each of two
/// strikes.
fn is_box(legs: &[AskLeg]) -> bool {
    let part = |right: Right| {
        let of_right = legs.iter().filter_map(|leg| Some((leg, leg.instrument.series()?)));
        let mut part: Vec<_> = of_right
            .filter(|(_, series)| series.right == right)
            .map(|(leg, series)| (series.strike, leg.side.side(), leg.quantity, series.expiry))
            .collect();
        part.sort_unstable();
        part
    };
    let (calls, puts) = (part(Right::Call), part(Right::Put));
    let [low, high] = calls.as_slice() else { return false };
    let mut pairs = calls.iter().zip(&puts);
    let opposed =
        pairs.all(|(call, put)| (call.0, call.2, call.3) == (put.0, put.2, put.3) && call.1 != put.1);
    puts.len() == 2 && low.1 != high.1 && opposed
}

/// The oldest session whose day trades still count on `date`.
fn earliest_counted(date: Date) -> Date {
    let mut first = date;
    for _ in 1..SESSIONS {
        match previous_session(first) {
            Ok(session) => first = session.date,
            Err(_) => break,
        }
    }
    first
}
