//! Placing orders: syntax, contract, the OMS's rules, acceptance (TRADIER.md section 9).

use domain::money::{Price, Usd};
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;

use super::Sandbox;
use super::answer::Answer;
use super::ask::{Ask, Asked, OUT_OF_HOURS, foreign};
use super::check::Refusal;
use super::engine::Action;
use super::order::{Leg, LegSide, Lifetime, Order, OrderClass, OrderType, Status, Terms};
use super::params::{Invalid, Params};
use super::shape::{Ok as Accepted, Under, uuid};
use super::transcript::{AcceptedLeg, TranscriptEvent};

/// Orders kept at most; beyond it the ones that ended first are forgotten.
const ORDERS_MAX: usize = 250_000;

/// An order that somebody placed elsewhere: on the website, by phone, by another program.
#[derive(Debug, Clone)]
pub struct ForeignOrder {
    /// Its account.
    pub account: String,
    /// The series.
    pub series: OccSymbol,
    /// What it does.
    pub side: LegSide,
    /// Contracts.
    pub quantity: u32,
    /// The limit; a market order without one.
    pub price: Option<Price>,
    /// A tag, if that program uses them.
    pub tag: Option<String>,
}

/// Where an order comes from, and where it stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Origin {
    /// Not through the API.
    pub(super) foreign: bool,
    /// The bracket it is part of.
    pub(super) parent: Option<u64>,
    /// It waits for another order of its bracket.
    pub(super) held: bool,
    /// Another order of its bracket already claims what it would.
    pub(super) shares_claim: bool,
}

impl Sandbox {
    pub(super) fn place(&mut self, account: &str, params: &Params<'_>) -> Result<Answer, Invalid> {
        let asked = Asked::parse(params, &self.rules.practice)?;
        let preview = params.flag("preview")?;
        self.hours_allow(&asked)?;
        if let Err(Refusal(reasons)) = self.check(account, &asked) {
            return Ok(Answer::refused(&reasons));
        }
        if preview {
            return Ok(self.preview(account, &asked));
        }
        let id = match asked {
            Asked::One(ask) => self.accept(account, ask, Origin::default()),
            Asked::Bracket { class, tag, parts } => self.accept_bracket(account, class, tag, parts),
        };
        let partner_id = Some(self.partner(id));
        Ok(Answer::json(&Under("order", Accepted { id, status: "ok", partner_id })))
    }

    pub(super) fn partner(&self, id: u64) -> String {
        uuid(&[b"partner", &self.rules.seed.to_le_bytes(), &id.to_le_bytes()])
    }

    /// Orders for hours outside the session are taken in their hours alone.
    fn hours_allow(&self, asked: &Asked) -> Result<(), Invalid> {
        let parts = match asked {
            Asked::One(ask) => std::slice::from_ref(ask),
            Asked::Bracket { parts, .. } => parts.as_slice(),
        };
        let closed =
            parts.iter().any(|it| self.extended(it.terms.lifetime).is_some_and(|(_, end)| end <= self.now));
        if closed { Err(Invalid::new("duration", OUT_OF_HOURS)) } else { Ok(()) }
    }

    /// Places an order that did not come through the API. It is checked for nothing but its account.
    pub fn place_foreign(&mut self, now: UtcNanos, order: ForeignOrder) -> Option<u64> {
        self.advance(now);
        if !self.accounts.contains_key(&order.account) {
            return None;
        }
        let ask = foreign(order.series.into(), order.side, order.quantity, order.price, order.tag);
        Some(self.accept(&order.account, ask, Origin { foreign: true, ..Origin::default() }))
    }

    pub(super) fn accept(&mut self, account: &str, ask: Ask, origin: Origin) -> u64 {
        let id = self.next_order;
        let legs_from = if ask.class.single() { id } else { id.saturating_add(1) };
        let leg = |(leg, id): (&super::ask::AskLeg, u64)| Leg {
            id,
            instrument: leg.instrument,
            side: leg.side,
            quantity: leg.quantity,
            executed: 0,
            paid: Usd::ZERO,
            last_price: Price::ZERO,
            last_quantity: 0,
        };
        let legs: Vec<Leg> = ask.legs.iter().zip(legs_from..).map(leg).collect();
        self.next_order = legs.last().map_or(id, |leg| leg.id).saturating_add(1);
        let leans = self.accounts.get(account).and_then(|it| self.width(it, &ask)).is_some_and(|it| it.leans);
        let shown = legs.iter().map(AcceptedLeg::of).collect();
        let mut order = self.fresh(id, account, ask.class, ask.terms);
        order.legs = legs;
        order.tag = ask.tag;
        order.foreign = origin.foreign;
        order.status = if origin.held { Status::Held } else { Status::Pending };
        order.parent = origin.parent;
        order.claims = !origin.shares_claim;
        order.leans = leans;
        self.record_accepted(&order, shown);
        self.keep(order);
        if !origin.held {
            self.start_claims(id);
            self.schedule_open(id);
        }
        self.notify(id);
        self.touch();
        self.mark_order(id);
        id
    }

    /// An order without legs, as it is received now.
    pub(super) fn fresh(&mut self, id: u64, account: &str, class: OrderClass, terms: Terms) -> Order {
        Order {
            id,
            account: account.to_owned(),
            class,
            kind: terms.kind,
            lifetime: terms.lifetime,
            price: terms.price,
            stop: terms.stop,
            legs: Vec::new(),
            tag: None,
            foreign: false,
            status: Status::Pending,
            reason: None,
            created: self.now,
            changed: self.now,
            executed_at: None,
            ready_at: self.now,
            place: self.take_place(),
            triggered: false,
            parent: None,
            children: Vec::new(),
            tied: Usd::ZERO,
            claims: true,
            leans: false,
            canceling: false,
            changing: None,
        }
    }

    /// Takes an order into the books; the oldest ended ones leave when there are too many.
    pub(super) fn keep(&mut self, order: Order) {
        if let Some(it) = self.accounts.get_mut(&order.account) {
            it.orders.insert(order.id);
            it.live.insert(order.id);
            it.working = it.working.saturating_add(usize::from(order.parent.is_none()));
        }
        self.orders.insert(order.id, order);
        while self.orders.len() > ORDERS_MAX {
            let Some(oldest) = self.ended.pop_front() else { break };
            if let Some(order) = self.orders.remove(&oldest)
                && let Some(account) = self.accounts.get_mut(&order.account)
            {
                account.orders.remove(&oldest);
            }
        }
    }

    pub(super) fn record_accepted(&mut self, order: &Order, legs: Vec<AcceptedLeg>) {
        self.record(TranscriptEvent::Accepted {
            account: order.account.clone(),
            order: order.id,
            class: order.class,
            kind: order.kind,
            duration: order.lifetime,
            price: order.price,
            stop: order.stop,
            tag: order.tag.clone(),
            foreign: order.foreign,
            legs,
            parent: order.parent,
        });
    }

    /// Lets an order claim positions and money.
    pub(super) fn start_claims(&mut self, id: u64) {
        self.settle_claims(id, true);
        let Some(order) = self.orders.get(&id).filter(|it| it.claims) else { return };
        let Some(account) = self.accounts.get_mut(&order.account) else { return };
        if order.sells() {
            account.selling.insert(id);
        }
        for leg in &order.legs {
            Self::claim(account, (leg.instrument, leg.side), i64::from(leg.remaining()));
        }
    }

    /// When an order goes to the market: after its acceptance, not before its hours; not at all when its last trade is
    /// over, which is for the next session to say.
    pub(super) fn schedule_open(&mut self, id: u64) {
        let Some(order) = self.orders.get(&id) else { return };
        let begins = self.extended(order.lifetime).map_or(self.session.open, |(from, _)| from);
        let over = order.legs.iter().any(|leg| self.hours_end(order.lifetime, &leg.instrument) <= self.now);
        if !over {
            let opens = self.now.plus(self.rules.latencies.accept).max(begins);
            self.schedule(opens, Action::Open(id));
        }
    }

    pub(super) fn take_place(&mut self) -> u64 {
        let place = self.next_place;
        self.next_place = place.saturating_add(1);
        place
    }
}

impl AcceptedLeg {
    pub(super) const fn of(leg: &Leg) -> Self {
        Self { instrument: leg.instrument, side: leg.side, quantity: leg.quantity }
    }
}

/// Terms of something that trades through its parts.
pub(super) const fn bracket_terms(lifetime: Lifetime) -> Terms {
    Terms { kind: OrderType::Market, lifetime, price: None, stop: None }
}
