//! Changing and canceling orders (TRADIER.md sections 10 and 11).

use super::Sandbox;
use super::answer::Answer;
use super::ask::{Ask, hours, lifetime};
use super::engine::Action;
use super::order::{Lifetime, Order, OrderClass, OrderType, Status, Terms};
use super::params::{Invalid, Params};
use super::shape::{Ok as Accepted, Under, suits};
use super::transcript::TranscriptEvent;

impl Sandbox {
    /// Asks for an order's end; what executes before it takes effect counts.
    pub(super) fn cancel(&mut self, id: u64) -> Answer {
        let now = self.now;
        let Some(order) = self.orders.get_mut(&id) else {
            return Answer::text(500, "An error occurred while communicating with the backend.");
        };
        if let Some(ended) = finalized(order) {
            return ended;
        }
        order.canceling = true;
        let (account, children) = (order.account.clone(), order.children.clone());
        for child in children {
            if let Some(order) = self.orders.get_mut(&child).filter(|it| it.is_live()) {
                order.canceling = true;
            }
        }
        self.record(TranscriptEvent::CancelRequested { account, order: id });
        self.race_cancel(id);
        self.schedule(now.plus(self.rules.latencies.cancel), Action::Cancel(id));
        self.touch();
        let status = if self.rules.practice.pending_cancel { "pending_cancel" } else { "ok" };
        Answer::json(&Under("order", Accepted { id, status, partner_id: None }))
    }

    /// Changes type, duration, price or stop. Only what is sent changes; a new price takes a new place in time.
    pub(super) fn change(&mut self, id: u64, params: &Params<'_>) -> Result<Answer, Invalid> {
        let kind =
            params.get("type").map(|it| OrderType::parse(it).ok_or(Invalid::new("type", "is not valid.")));
        let kind = kind.transpose()?;
        let (price, stop) = (params.price("price")?, params.price("stop")?);
        let duration = params.get("duration").map(|it| lifetime("duration", it)).transpose()?;
        // What it would change is not said anywhere; its form is.
        params.tag()?;
        let Some(order) = self.orders.get(&id) else {
            return Ok(Answer::text(500, "An error occurred while communicating with the backend."));
        };
        if let Some(ended) = finalized(order) {
            return Ok(ended);
        }
        if order.class.brackets() {
            return Ok(refused("OrderContingentChangeNotAllowed"));
        }
        let before = order.changing.unwrap_or(order.terms());
        let kind = kind.unwrap_or(before.kind);
        if !suits(kind, order.class) {
            return Err(Invalid::new("type", "is not valid."));
        }
        let price = price.or(before.price).filter(|_| kind.priced());
        let stop = stop.or(before.stop).filter(|_| kind.stops());
        if kind.priced() && price.is_none() {
            return Err(Invalid::new("price", "is required."));
        }
        if kind.stops() && stop.is_none() {
            return Err(Invalid::new("stop", "is required."));
        }
        let terms = Terms { kind, lifetime: duration.unwrap_or(before.lifetime), price, stop };
        keeps_session(before.lifetime, terms, order.class)?;
        if let Some(refusal) = self.change_refused(order, &terms) {
            return Ok(refusal);
        }
        if let Some(order) = self.orders.get_mut(&id) {
            order.changing = Some(terms);
        }
        if self.rules.latencies.change.is_zero() {
            self.apply_change(id);
        } else {
            self.schedule(self.now.plus(self.rules.latencies.change), Action::Change(id));
        }
        self.touch();
        let partner_id = Some(self.partner(id));
        Ok(Answer::json(&Under("order", Accepted { id, status: "ok", partner_id })))
    }

    /// What the OMS says of new terms.
    fn change_refused(&self, order: &Order, terms: &Terms) -> Option<Answer> {
        if (terms.kind, terms.lifetime) == (OrderType::Market, Lifetime::Gtc) {
            return Some(refused("MarketOrderIsGtc"));
        }
        if self.off_grid(terms, order.class, &Ask::rest_of(order).legs) {
            return Some(refused("OrderPriceIsInvalid"));
        }
        let then = Ask { terms: *terms, ..Ask::rest_of(order) };
        let broke = order.claims && order.status != Status::Held && !self.can_afford(order, &then);
        broke.then(|| Answer::refused(&[super::check::NO_BUYING_POWER]))
    }

    /// New terms take effect, unless the order ended meanwhile.
    pub(super) fn apply_change(&mut self, id: u64) {
        let (now, ready_at) = (self.now, self.now.plus(self.rules.latencies.fill));
        if self.orders.get(&id).is_none_or(|it| !it.is_live() || it.changing.is_none()) {
            return;
        }
        let place = self.take_place();
        self.unwatch(id);
        let Some(order) = self.orders.get_mut(&id) else { return };
        let Some(terms) = order.changing.take() else { return };
        if (terms.kind, terms.price, terms.stop) != (order.kind, order.price, order.stop) {
            order.place = place;
            order.triggered = false;
        }
        (order.kind, order.lifetime, order.price, order.stop) =
            (terms.kind, terms.lifetime, terms.price, terms.stop);
        order.changed = now;
        let working = order.status.is_working();
        if working {
            order.ready_at = ready_at;
        }
        let (account, held) = (order.account.clone(), order.status == Status::Held);
        self.watch(id);
        if !held {
            self.settle_claims(id, true);
        }
        self.record(TranscriptEvent::Changed { account, order: id, price: terms.price, stop: terms.stop });
        self.notify(id);
        self.touch();
        if working {
            self.schedule(ready_at, Action::Match(id));
        }
    }
}

fn refused(code: &'static str) -> Answer {
    Answer::refused(&super::check::Refusal::code(code).0)
}

/// An order does not move between the session and the hours before and after it.
fn keeps_session(before: Lifetime, terms: Terms, class: OrderClass) -> Result<(), Invalid> {
    hours(terms, class)?;
    let extended = |it| matches!(it, Lifetime::Pre | Lifetime::Post);
    let moved = (extended(before) || extended(terms.lifetime)) && before != terms.lifetime;
    if moved { Err(Invalid::new("duration", "is not valid.")) } else { Ok(()) }
}

fn finalized(order: &Order) -> Option<Answer> {
    let text = format!("order already in finalized state: {}", order.status.as_str());
    order.status.is_final().then(|| Answer::text(400, &text))
}
