//! Faults of orders and of their events: hooks of placing, matching, listing, canceling and notifying.

use std::time::Duration;

use domain::money::Price;
use domain::time::UtcNanos;

use super::super::Sandbox;
use super::super::engine::Action;
use super::super::order::{Order, Status};
use super::super::stream::{Notice, StreamKind};
use super::{Fault, FaultDue, MARKS_MAX, Marks, Point, Subject, with_underlyings};

/// One leg's part of an execution: contracts and premium.
type Part = (u32, Price);

fn subject(order: &Order) -> Subject {
    Subject {
        account: Some(order.account.clone()),
        symbols: with_underlyings(order.legs.iter().map(|leg| leg.instrument.to_string()).collect()),
        sides: order.legs.iter().map(|leg| leg.side).collect(),
        tag: order.tag.clone(),
        order: Some(order.id),
        stream: Some(StreamKind::Account),
        ..Subject::default()
    }
}

impl Sandbox {
    /// Decides what will become of an order that was accepted just now.
    pub(in super::super) fn mark_order(&mut self, id: u64) {
        if !self.faults.aims_at(Point::Order) {
            return;
        }
        let Some(order) = self.orders.get(&id) else { return };
        let (subject, several) = (subject(order), order.legs.len() > 1);
        let mut marks = Marks::default();
        let strikes = self.strike(Point::Order, &subject, &format!("order {id}"));
        if strikes.is_empty() {
            return;
        }
        for strike in strikes {
            let delay = Duration::from_millis(strike.with.delay_ms);
            match strike.fault {
                Fault::LateVisibility => marks.listed_from = Some(self.now.plus(delay)),
                Fault::RejectAfterAcceptance => {
                    marks.reject = Some(strike.with.reason);
                    self.schedule(self.now.plus(delay), Action::Fault(FaultDue::Reject(id)));
                }
                Fault::FillBeforeAcknowledgement => {
                    marks.told_at_once = true;
                    self.faults.answer_after_ms = Some(strike.with.delay_ms);
                }
                Fault::PartialLegs => marks.parts_ms = several.then_some(strike.with.delay_ms),
                Fault::LatePrice => marks.price_ms = strike.with.delay_ms,
                Fault::FillBeatsCancel => marks.beats_cancel = true,
                Fault::RequestLost
                | Fault::AnswerLost
                | Fault::SlowAcceptance
                | Fault::SlowAnswer
                | Fault::ErrorWithoutEffect
                | Fault::ErrorAfterEffect
                | Fault::TooManyRequests
                | Fault::TokenRefused
                | Fault::Refused
                | Fault::RefusedAfterEffect
                | Fault::HalfAnswer
                | Fault::EventDropped
                | Fault::EventTwice
                | Fault::EventLate
                | Fault::QuoteDropped
                | Fault::WrongInstrument
                | Fault::MislabelledQuote
                | Fault::StaleQuote
                | Fault::CrossedQuote
                | Fault::ZeroQuote => {}
            }
        }
        if self.faults.marks.len() >= MARKS_MAX {
            let orders = &self.orders;
            self.faults.marks.retain(|id, _| orders.get(id).is_some_and(Order::is_live));
        }
        let at_once = marks.told_at_once && marks.reject.is_none();
        self.faults.marks.insert(id, marks);
        if at_once && self.orders.get(&id).is_some_and(|order| self.tradable(order)) {
            self.open_order(id);
            if let Some(order) = self.orders.get_mut(&id) {
                order.ready_at = self.now;
            }
            self.match_order(id);
        }
    }

    /// Whether an order stays off the market because it will be rejected.
    pub(in super::super) fn held_back(&self, id: u64) -> bool {
        self.faults.mark(id).is_some_and(|it| it.reject.is_some())
    }

    /// Whether the list shows an order.
    pub(in super::super) fn listed(&self, id: u64) -> bool {
        let from = self.faults.mark(id).and_then(|it| it.listed_from);
        from.is_none_or(|it| it <= self.now)
    }

    /// Whether an execution at `at` does not show its price yet.
    pub(in super::super) fn unpriced(&self, id: u64, at: UtcNanos) -> bool {
        let late = self.faults.mark(id).map_or(0, |it| it.price_ms);
        self.now < at.plus(Duration::from_millis(late))
    }

    /// Whether legs of an order are owed to it: it takes no other execution before them.
    pub(in super::super) fn owes_legs(&self, id: u64) -> bool {
        self.faults.mark(id).is_some_and(|it| !it.withheld.is_empty())
    }

    /// What of an execution happens now; the other legs may be owed.
    pub(in super::super) fn parts_now(&mut self, id: u64, parts: Vec<Part>) -> Vec<Part> {
        let Some(marks) = self.faults.marks.get_mut(&id) else { return parts };
        let Some(delay_ms) = marks.parts_ms.take() else { return parts };
        let keep = |n: usize| n == 0;
        let split = |kept: bool| {
            let parts = parts.iter().enumerate();
            parts.map(|(n, (size, price))| (if keep(n) == kept { *size } else { 0 }, *price)).collect()
        };
        let now: Vec<Part> = split(true);
        marks.withheld = split(false);
        let at = self.now.plus(Duration::from_millis(delay_ms));
        self.schedule(at, Action::Fault(FaultDue::Legs(id)));
        now
    }

    /// Lets an order execute before the cancel that was just asked for.
    pub(in super::super) fn race_cancel(&mut self, id: u64) {
        if self.faults.mark(id).is_some_and(|it| it.beats_cancel) {
            self.schedule(self.now, Action::Fault(FaultDue::Fill(id)));
        }
    }

    /// Something that a fault put off happens.
    pub(in super::super) fn act_on_fault(&mut self, due: FaultDue) {
        match due {
            FaultDue::Effect(ticket) => self.take_effect(ticket),
            FaultDue::Answer => {}
            FaultDue::Reject(id) => {
                let reason = self.faults.mark(id).and_then(|it| it.reject.clone());
                if self.orders.get(&id).is_some_and(Order::is_live) {
                    self.finish(id, Status::Rejected, reason);
                }
            }
            FaultDue::Legs(id) => {
                let owed = self.faults.marks.get_mut(&id).map(|it| std::mem::take(&mut it.withheld));
                let live = self.orders.get(&id).is_some_and(Order::is_live);
                if let Some(owed) = owed.filter(|it| live && !it.is_empty()) {
                    self.execute(id, &owed);
                }
            }
            FaultDue::Fill(id) => self.fill_whole(id),
        }
    }

    /// Executes what is left of an order: a single leg at its limit, anything else at the far touches.
    fn fill_whole(&mut self, id: u64) {
        let Some(order) = self.orders.get(&id).filter(|it| it.is_live()) else { return };
        let limit = order.price.filter(|_| order.class.single());
        let parts: Option<Vec<Part>> = order
            .legs
            .iter()
            .map(|leg| {
                let far = self.book.touch(&leg.instrument).and_then(|it| it.far(leg.side.side()).0);
                Some((leg.remaining(), limit.or(far)?))
            })
            .collect();
        if let Some(parts) = parts {
            self.execute(id, &parts);
        }
    }

    /// Puts an event on its way, once, twice, later or not at all.
    pub(in super::super) fn send_notice(&mut self, id: u64, notice: Notice) {
        let mut notice = notice;
        if self.faults.mark(id).is_some_and(|it| it.told_at_once) {
            notice.due = self.now;
        }
        let strike = match self.faults.aims_at(Point::Event) {
            true => self.orders.get(&id).map(subject).and_then(|subject| {
                let status = self.orders.get(&id).map_or("", |it| it.status.as_str());
                self.strike(Point::Event, &subject, &format!("event {status} of order {id}")).pop()
            }),
            false => None,
        };
        match strike.map(|it| (it.fault, it.with.delay_ms)) {
            Some((Fault::EventDropped, _)) => {}
            Some((Fault::EventTwice, _)) => {
                self.queue_notice(notice.clone());
                self.queue_notice(notice);
            }
            Some((Fault::EventLate, delay_ms)) => {
                notice.due = notice.due.plus(Duration::from_millis(delay_ms));
                self.queue_notice(notice);
            }
            Some(_) | None => self.queue_notice(notice),
        }
    }

    /// Notices leave in order of time; of equal times in the order they came.
    fn queue_notice(&mut self, notice: Notice) {
        let at = self.notices.partition_point(|it| it.due <= notice.due);
        self.notices.insert(at, notice);
    }
}
