//! Orders that depend on each other: one triggers other, one cancels other, and both (TRADIER.md sections 8.3, 9.1).
//!
//! A bracket is an order without legs of its own; its parts are orders with ids of their own, which are changed and
//! canceled by these. The exits of `oto` and `otoco` wait until the entry executed whole, and end with it otherwise.
//! Two exits that exclude each other never execute more than one of them was for, and the first whole execution ends
//! the other.

use super::Sandbox;
use super::ask::Ask;
use super::order::{Order, OrderClass, Status};
use super::place::{Origin, bracket_terms};
use super::transcript::{AcceptedLeg, TranscriptEvent};

impl Sandbox {
    pub(super) fn accept_bracket(
        &mut self,
        account: &str,
        class: OrderClass,
        tag: Option<String>,
        parts: Vec<Ask>,
    ) -> u64 {
        let id = self.next_order;
        self.next_order = id.saturating_add(1);
        let Some(lifetime) = parts.first().map(|it| it.terms.lifetime) else { return id };
        let legs = parts.iter().flat_map(|it| &it.legs);
        let legs =
            legs.map(|it| AcceptedLeg { instrument: it.instrument, side: it.side, quantity: it.quantity });
        let legs: Vec<AcceptedLeg> = legs.collect();
        let mut bracket = self.fresh(id, account, class, bracket_terms(lifetime));
        bracket.tag = tag;
        self.record_accepted(&bracket, legs);
        self.keep(bracket);
        let waits = |n: usize| class != OrderClass::Oco && n > 0;
        let exits = if class == OrderClass::Oto { parts.len() } else { parts.len().saturating_sub(2) };
        let mut children = Vec::with_capacity(parts.len());
        for (n, part) in parts.iter().enumerate() {
            // The second exit claims what the first one does already.
            let first = parts.get(exits).filter(|_| n > exits).and_then(|it| it.legs.first());
            let same = |leg: &super::ask::AskLeg| {
                first.is_some_and(|it| {
                    (it.instrument, it.side) == (leg.instrument, leg.side) && leg.quantity <= it.quantity
                })
            };
            let shares_claim = part.legs.first().is_some_and(same);
            let origin = Origin { foreign: false, parent: Some(id), held: waits(n), shares_claim };
            children.push(self.accept(account, part.clone(), origin));
        }
        if let Some(bracket) = self.orders.get_mut(&id) {
            bracket.children = children;
        }
        self.notify(id);
        id
    }

    /// What one of two orders that exclude each other may still execute, given what the other did.
    pub(super) fn left_beside_sibling(&self, order: &Order) -> u32 {
        let Some(sibling) = self.sibling(order) else { return u32::MAX };
        let done = |order: &Order| order.legs.first().map_or(0, |leg| leg.executed);
        let most = order.legs.first().map_or(0, |leg| leg.quantity);
        most.saturating_sub(done(order)).saturating_sub(done(sibling))
    }

    /// The other one of two orders that exclude each other.
    fn sibling(&self, order: &Order) -> Option<&Order> {
        let bracket = self.orders.get(&order.parent?)?;
        let exits = bracket.children.as_slice();
        let exits = if bracket.class == OrderClass::Otoco { exits.get(1..)? } else { exits };
        if bracket.class == OrderClass::Oto {
            return None;
        }
        if !exits.contains(&order.id) {
            return None;
        }
        exits.iter().find(|it| **it != order.id).and_then(|it| self.orders.get(it))
    }

    /// What follows in a bracket from one of its orders changing.
    pub(super) fn part_changed(&mut self, id: u64) {
        let Some(order) = self.orders.get(&id) else { return };
        let Some(parent) = order.parent else { return };
        let (status, sibling) = (order.status, self.sibling(order).map(|it| it.id));
        let entry = self.orders.get(&parent).filter(|it| it.class != OrderClass::Oco);
        let waiting: Vec<u64> = match entry {
            Some(it) if it.children.first() == Some(&id) => it.children.iter().skip(1).copied().collect(),
            _ => Vec::new(),
        };
        match status {
            Status::Filled => waiting.into_iter().for_each(|it| self.release(it)),
            Status::Canceled | Status::Expired | Status::Rejected => {
                waiting.into_iter().for_each(|it| self.end(it, Status::Canceled));
            }
            Status::Held | Status::Pending | Status::Open | Status::PartiallyFilled => {}
        }
        if let Some(sibling) = sibling {
            match status {
                Status::Filled | Status::Rejected => self.end(sibling, Status::Canceled),
                Status::Canceled | Status::Expired => self.take_claim(sibling),
                // Parts of both are together all that one of them was for.
                Status::PartiallyFilled
                    if self.orders.get(&id).is_some_and(|it| self.left_beside_sibling(it) == 0) =>
                {
                    self.end(sibling, Status::Canceled);
                    self.end(id, Status::Canceled);
                }
                Status::PartiallyFilled | Status::Held | Status::Pending | Status::Open => {}
            }
        }
        self.bracket_changed(parent);
    }

    /// An exit that waited goes to the market.
    fn release(&mut self, id: u64) {
        let now = self.now;
        let Some(order) = self.orders.get_mut(&id).filter(|it| it.status == Status::Held) else { return };
        order.status = Status::Pending;
        order.changed = now;
        self.start_claims(id);
        self.notify(id);
        self.schedule_open(id);
    }

    /// An exit that shared the claim of another, which ended, claims for itself.
    fn take_claim(&mut self, id: u64) {
        let Some(order) = self.orders.get_mut(&id).filter(|it| it.is_live() && !it.claims) else { return };
        order.claims = true;
        if order.status != Status::Held {
            self.start_claims(id);
        }
    }

    /// Lets a bracket stand where its orders do.
    fn bracket_changed(&mut self, id: u64) {
        let Some(bracket) = self.orders.get(&id).filter(|it| it.is_live()) else { return };
        let of = |it: &u64| self.orders.get(it).map(|it| it.status);
        let parts: Vec<Status> = bracket.children.iter().filter_map(of).collect();
        if parts.is_empty() {
            return;
        }
        let any = |wanted: Status| parts.contains(&wanted);
        let live = parts.iter().any(|it| !it.is_final());
        let status = if live {
            let moved = parts.iter().any(|it| !matches!(it, Status::Pending | Status::Held));
            if moved { Status::Open } else { Status::Pending }
        } else if any(Status::Rejected) {
            Status::Rejected
        } else {
            // The last stage tells: exits that never executed leave the bracket canceled or expired.
            let stage = if bracket.class == OrderClass::Oco { 0 } else { 1 };
            let exits = parts.get(stage..).unwrap_or(&parts);
            let ended = [Status::Filled, Status::Expired, Status::Canceled];
            if self.exits_done(bracket) {
                return self.finish(id, Status::Filled, None);
            }
            ended.into_iter().find(|it| exits.contains(it)).unwrap_or(Status::Canceled)
        };
        if status == bracket.status {
            return;
        }
        let reason = bracket.children.iter().filter_map(|it| self.orders.get(it)?.reason.clone()).next();
        if status.is_final() {
            self.finish(id, status, reason.filter(|_| status == Status::Rejected));
            return;
        }
        let (now, account) = (self.now, bracket.account.clone());
        let opened = status == Status::Open;
        if let Some(bracket) = self.orders.get_mut(&id) {
            bracket.status = status;
            bracket.changed = now;
        }
        if opened {
            self.record(TranscriptEvent::Opened { account, order: id });
        }
        self.notify(id);
    }

    /// Whether exits that exclude each other executed together what one of them was for.
    fn exits_done(&self, bracket: &Order) -> bool {
        let last = bracket.children.last().and_then(|it| self.orders.get(it));
        bracket.class != OrderClass::Oto && last.is_some_and(|it| self.left_beside_sibling(it) == 0)
    }

    /// Ends the orders of a bracket that still live, exits first.
    pub(super) fn end_bracket(&mut self, id: u64) {
        let Some(bracket) = self.orders.get(&id) else { return };
        for child in bracket.children.clone().into_iter().rev() {
            self.end(child, Status::Canceled);
        }
    }
}
