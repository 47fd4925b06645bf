//! What becomes due: acceptance, cancels, the close and what follows it.

use std::time::Duration;

use domain::calendar::Session;
use domain::money::{CONTRACT_MULTIPLIER, Price, TickGrid, Usd};
use domain::symbol::{OccSymbol, Right, Settlement};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::faults::FaultDue;
use super::order::{Order, OrderClass, Status};
use super::shape::OrderNotice;
use super::stream::Notice;
use super::transcript::TranscriptEvent;

/// Index options that do not expire today trade a quarter of an hour longer.
const AFTER_CLOSE: Duration = Duration::from_secs(15 * 60);

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
    /// A cancel takes effect.
    Cancel(u64),
    /// The session closes.
    Close,
    /// Day orders whose day is over end.
    Cleanup,
    /// Expired series turn into cash.
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
        let late = session.close.plus(AFTER_CLOSE).plus(self.rules.latencies.cleanup);
        self.schedule(late, Action::Cleanup);
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
            self.schedule(session.open.plus(self.rules.latencies.accept), Action::Open(id));
        }
        self.touch();
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Open(id) => self.open_order(id),
            Action::Match(id) => self.match_order(id),
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

    /// The instant from which `series` does not trade in this session.
    pub(super) fn trading_end(&self, series: &OccSymbol) -> UtcNanos {
        let expires = series.expiry <= self.session.date;
        if series.underlying().is_index() && !expires {
            self.session.close.plus(AFTER_CLOSE)
        } else if expires && series.root.settlement() == Settlement::CashAm {
            self.session.open
        } else {
            self.session.close
        }
    }

    /// Whether every leg of `order` trades at the sandbox's present.
    pub(super) fn tradable(&self, order: &Order) -> bool {
        let trades = |series| self.session.open <= self.now && self.now < self.trading_end(series);
        order.legs.iter().all(|leg| trades(&leg.series))
    }

    pub(super) fn open_order(&mut self, id: u64) {
        if self.held_back(id) {
            return;
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
        self.record(TranscriptEvent::Opened { account, order: id });
        self.notify(id);
        self.touch();
        self.schedule(ready_at, Action::Match(id));
    }

    /// What is checked after the answer: the price grid, and that no short leg loses its cover.
    fn late_check(&self, order: &Order) -> Option<String> {
        if self.off_grid(order, order.price, order.stop) {
            return Some("Price is not a multiple of the minimum price variation.".to_owned());
        }
        let account = self.accounts.get(&order.account)?;
        let mut after: Vec<(OccSymbol, i64)> =
            account.positions.iter().map(|(series, it)| (*series, it.quantity)).collect();
        after.extend(
            order
                .legs
                .iter()
                .map(|leg| (leg.series, i64::from(leg.quantity).saturating_mul(leg.side.side().sign()))),
        );
        let uncovers = super::account::requirement(after.into_iter()).is_none();
        uncovers.then(|| super::place::NO_BUYING_POWER.to_owned())
    }

    pub(super) fn off_grid(&self, order: &Order, price: Option<Price>, stop: Option<Price>) -> bool {
        let Some(first) = order.legs.first() else { return false };
        let grid = match order.class {
            OrderClass::Option => TickGrid::single_leg(&first.series.root, self.session.date),
            OrderClass::Multileg if first.series.underlying().is_index() => TickGrid::NET_FIVE,
            OrderClass::Multileg => TickGrid::PENNY,
        };
        [price, stop].into_iter().flatten().any(|it| !grid.holds(it))
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
        let Some(order) = self.orders.get_mut(&id) else { return };
        order.status = status;
        order.reason = reason;
        order.changed = now;
        let (account, reason) = (order.account.clone(), order.reason.clone().unwrap_or_default());
        if let Some(it) = self.accounts.get_mut(&account) {
            it.live.remove(&id);
        }
        match status {
            Status::Canceled => self.record(TranscriptEvent::Canceled { account, order: id }),
            Status::Expired => self.record(TranscriptEvent::Expired { account, order: id }),
            Status::Rejected => self.record(TranscriptEvent::Rejected { account, order: id, reason }),
            Status::Filled | Status::Pending | Status::Open | Status::PartiallyFilled => {}
        }
        self.notify(id);
        self.touch();
    }

    /// Puts an order's event on its way to the owner's account stream.
    pub(super) fn notify(&mut self, id: u64) {
        let Some(order) = self.orders.get(&id) else { return };
        let Some(user) = self.owner(&order.account).map(|it| it.id.clone()) else { return };
        let Ok(text) = serde_json::to_string(&OrderNotice::of(order)) else { return };
        let due = self.now.plus(self.rules.latencies.notice);
        let notice = Notice { due, user, account: order.account.clone(), text };
        self.send_notice(id, notice);
    }

    /// Day orders end about a minute after their series' last trade: `canceled` where the series expires today.
    fn cleanup(&mut self) {
        let over = |order: &&Order| {
            order.is_live()
                && order.lifetime == super::order::Lifetime::Day
                && order.legs.iter().any(|leg| self.trading_end(&leg.series) <= self.now)
        };
        let ended: Vec<(u64, bool)> = self
            .orders
            .values()
            .filter(over)
            .map(|order| (order.id, order.legs.iter().any(|leg| leg.series.expiry <= self.session.date)))
            .collect();
        for (id, expiring) in ended {
            self.end(id, if expiring { Status::Canceled } else { Status::Expired });
        }
    }

    /// Cash for what expired, on the last value at the close; series that settle in the morning on the first.
    fn settle(&mut self) {
        let date = self.session.date;
        let mut rows = Vec::new();
        for account in self.accounts.values() {
            let expired = account.positions.iter().filter(|(series, _)| series.expiry <= date);
            rows.extend(expired.map(|(series, it)| (account.number.clone(), *series, it.quantity)));
        }
        for (number, series, quantity) in rows {
            let state = self.book.underlying(&series.underlying());
            let morning = series.root.settlement() == Settlement::CashAm;
            // Without a value there is nothing to settle on: the position stays and shows.
            let spot = state.and_then(|it| if morning { it.open } else { it.official });
            let Some(spot) = spot else { continue };
            // Strikes are in thousandths, the index in 1/10,000.
            let above = spot.0.saturating_sub(i64::from(series.strike.0).saturating_mul(10));
            let value = Usd::from_e4(match series.right {
                Right::Call => above.max(0),
                Right::Put => above.saturating_neg().max(0),
            });
            let cash = value.times(CONTRACT_MULTIPLIER).times(quantity);
            if let Some(account) = self.accounts.get_mut(&number) {
                let cost = account.positions.remove(&series).map_or(Usd::ZERO, |it| it.cost);
                account.cash += cash;
                account.realized += cash - cost;
            }
            self.record(TranscriptEvent::Settled { account: number, series, quantity, value, cash });
            self.touch();
        }
    }
}
