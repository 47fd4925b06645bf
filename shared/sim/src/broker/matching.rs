//! Matching against the session's quotes. The rules are in the module's documentation.

use domain::money::{CONTRACT_MULTIPLIER, Price, Side, Usd};

use super::Sandbox;
use super::instrument::{Instrument, per_share};
use super::ladder::limit;
use super::order::{Order, OrderClass, OrderType, Status};
use super::touch::Touch;
use super::transcript::{FilledLeg, TranscriptEvent};

/// A limit all the way through the spread but a tick executes with this chance per update, in millionths.
const INSIDE_PPM: u64 = 250_000;

/// One leg's part of an execution: contracts or shares, and price.
pub(super) type Part = (u32, Price);

impl Sandbox {
    /// Puts an order that is at the market where quotes find it.
    pub(super) fn watch(&mut self, id: u64) {
        let Some(order) = self.orders.get(&id).filter(|it| it.status.is_working()) else { return };
        for leg in &order.legs {
            self.watched.entry(leg.instrument).or_default().set(order, true);
        }
    }

    pub(super) fn unwatch(&mut self, id: u64) {
        let Some(order) = self.orders.get(&id) else { return };
        for leg in &order.legs {
            if let Some(ladder) = self.watched.get_mut(&leg.instrument) {
                ladder.set(order, false);
                if ladder.is_empty() {
                    self.watched.remove(&leg.instrument);
                }
            }
        }
    }

    /// Tries the working orders that the quote of `instrument` may concern. `fresh` says that it was just updated, which
    /// is when limits inside the spread get their draw.
    pub(super) fn match_instrument(&mut self, instrument: &Instrument, fresh: bool) {
        if self.watched.get(instrument).is_some_and(super::ladder::Ladder::has_stops) {
            self.trigger_stops(instrument);
        }
        let Some(ladder) = self.watched.get(instrument) else { return };
        let touch = self.book.touch(instrument);
        let bid = touch.and_then(|it| it.bid).unwrap_or(Price::ZERO);
        let ask = touch.and_then(|it| it.ask);
        // A limit behind its own touch neither meets the far one nor is inside the spread.
        let mut ids: Vec<u64> = Vec::new();
        if let Some(ask) = ask {
            ids.extend(ladder.reaching(Side::Buy, if fresh { bid.min(ask) } else { ask }));
        }
        if bid > Price::ZERO {
            ids.extend(
                ladder.reaching(Side::Sell, if fresh { ask.map_or(bid, |it| it.max(bid)) } else { bid }),
            );
        }
        ids.extend(ladder.several());
        for id in ids {
            self.try_execute(id, fresh);
        }
    }

    pub(super) fn match_order(&mut self, id: u64) {
        let stop = self.orders.get(&id).filter(|it| it.kind.stops() && !it.triggered);
        let reached = stop.map(|order| self.may_trade(order) && self.stop_reached(order));
        match reached {
            Some(true) => self.trigger(id),
            Some(false) => return,
            None => {}
        }
        self.try_execute(id, false);
    }

    /// Lets the stops that the market reached take their places among the other orders.
    fn trigger_stops(&mut self, instrument: &Instrument) {
        let Some(ladder) = self.watched.get(instrument) else { return };
        let (low, high) = self.reach(instrument);
        let mut ids: Vec<u64> = high.into_iter().flat_map(|it| ladder.risen(it)).collect();
        ids.extend(low.into_iter().flat_map(|it| ladder.fallen(it)));
        for id in ids {
            if self.orders.get(&id).is_some_and(|it| self.may_trade(it)) {
                self.trigger(id);
            }
        }
    }

    fn trigger(&mut self, id: u64) {
        self.unwatch(id);
        if let Some(order) = self.orders.get_mut(&id) {
            order.triggered = true;
        }
        self.watch(id);
    }

    /// What sell stops and buy stops are compared with: bid and ask of options, the last price of shares.
    fn reach(&self, instrument: &Instrument) -> (Option<Price>, Option<Price>) {
        match instrument {
            Instrument::Option(_) => {
                let touch = self.book.touch(instrument);
                (touch.and_then(|it| it.bid), touch.and_then(|it| it.ask))
            }
            Instrument::Share(share) => {
                let cents = self.book.last(share).map(|it| it.e4() / 100);
                let last = cents.and_then(|it| u32::try_from(it).ok()).map(Price::from_cents);
                (last, last)
            }
        }
    }

    fn stop_reached(&self, order: &Order) -> bool {
        let Some((leg, stop)) = order.legs.first().zip(order.stop) else { return false };
        let (low, high) = self.reach(&leg.instrument);
        match leg.side.side() {
            Side::Sell => low.is_some_and(|it| it <= stop),
            Side::Buy => high.is_some_and(|it| it >= stop),
        }
    }

    fn may_trade(&self, order: &Order) -> bool {
        order.status.is_working() && self.now >= order.ready_at && self.tradable(order)
    }

    fn try_execute(&mut self, id: u64, fresh: bool) {
        let Some(order) = self.orders.get(&id) else { return };
        if !self.may_trade(order) || (order.kind.stops() && !order.triggered) || self.owes_legs(id) {
            return;
        }
        let parts = match order.class {
            OrderClass::Option | OrderClass::Equity => self.single(order, fresh).map(|part| vec![part]),
            OrderClass::Multileg | OrderClass::Combo => self.several(order),
            OrderClass::Oto | OrderClass::Oco | OrderClass::Otoco => None,
        };
        if let Some(parts) = parts {
            let parts = self.parts_now(id, parts);
            self.execute(id, &parts);
        }
    }

    /// What a single leg gets from the standing quote.
    fn single(&self, order: &Order, fresh: bool) -> Option<Part> {
        let leg = order.legs.first()?;
        let side = leg.side.side();
        let touch = self.book.touch(&leg.instrument).filter(|it| !it.crossed())?;
        let (far, left) = touch.far(side);
        let far = far.filter(|it| *it > Price::ZERO)?;
        let mut quantity = leg.remaining().min(left);
        if order.parent.is_some() {
            quantity = quantity.min(self.left_beside_sibling(order));
        }
        if quantity == 0 {
            return None;
        }
        match limit(order) {
            None => Some((quantity, far)),
            Some(limit) if meets(side, limit, far) => Some((quantity, far)),
            Some(limit) if fresh && self.drawn(order, limit, side, &touch) => Some((quantity, limit)),
            Some(_) => None,
        }
    }

    /// The draw of a limit inside the spread: none at its own touch, a quarter of the squared way through it.
    fn drawn(&self, order: &Order, limit: Price, side: Side, touch: &Touch) -> bool {
        let Some((bid, ask)) = touch.two_sided() else { return false };
        if limit <= bid || ask <= limit {
            return false;
        }
        let width = u64::from(ask.cents().saturating_sub(bid.cents()));
        let way = u64::from(match side {
            Side::Buy => limit.cents().saturating_sub(bid.cents()),
            Side::Sell => ask.cents().saturating_sub(limit.cents()),
        });
        let chance = INSIDE_PPM.saturating_mul(way).saturating_mul(way);
        let chance = chance.checked_div(width.saturating_mul(width)).unwrap_or(0);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.rules.seed.to_le_bytes());
        hasher.update(&order.id.to_le_bytes());
        hasher.update(&touch.at.0.to_le_bytes());
        let mut draw = [0u8; 8];
        hasher.finalize_xof().fill(&mut draw);
        u64::from_le_bytes(draw).checked_rem(1_000_000).is_some_and(|it| it < chance)
    }

    /// What each leg gets when the net of the far touches meets the net price: whole units only.
    fn several(&self, order: &Order) -> Option<Vec<Part>> {
        let mut units = order.units().saturating_sub(order.executed_units());
        let mut net = Usd::ZERO;
        let mut touches = Vec::with_capacity(order.legs.len());
        for leg in &order.legs {
            let touch = self.book.touch(&leg.instrument).filter(|it| !it.crossed())?;
            let (far, left) = touch.far(leg.side.side());
            let far = far?;
            let ratio = order.ratio(leg);
            units = units.min(left.checked_div(ratio).unwrap_or(0));
            let paid = per_share(far).times(i64::from(ratio)).times(leg.side.side().sign());
            net += if leg.instrument.is_share() { paid.scaled(1, CONTRACT_MULTIPLIER) } else { paid };
            touches.push((ratio, far));
        }
        let price = order.price.map_or(Usd::ZERO, per_share);
        let meets = match order.kind {
            OrderType::Market => true,
            OrderType::Credit => -net >= price,
            OrderType::Debit | OrderType::Even => net <= price,
            OrderType::Limit | OrderType::Stop | OrderType::StopLimit => false,
        };
        if units == 0 || !meets {
            return None;
        }
        Some(touches.into_iter().map(|(ratio, far)| (ratio.saturating_mul(units), far)).collect())
    }

    /// Executes `parts`, one for each leg: order, quote, position, cash, charges, transcript, stream.
    pub(super) fn execute(&mut self, id: u64, parts: &[Part]) {
        let now = self.now;
        let Some(order) = self.orders.get(&id) else { return };
        let traded: Vec<(usize, u32, Price, Usd)> = order
            .legs
            .iter()
            .zip(parts)
            .enumerate()
            .filter(|(_, (_, part))| part.0 > 0)
            .map(|(n, (leg, (quantity, price)))| {
                (n, *quantity, *price, self.charge(&leg.instrument, *price, *quantity))
            })
            .collect();
        self.changes(id);
        let Some(order) = self.orders.get_mut(&id) else { return };
        let mut filled = Vec::with_capacity(parts.len());
        for (n, quantity, price, fee) in traded {
            let Some(leg) = order.legs.get_mut(n) else { continue };
            leg.executed = leg.executed.saturating_add(quantity);
            leg.paid += per_share(price).times(i64::from(quantity));
            leg.last_price = price;
            leg.last_quantity = quantity;
            filled.push((
                leg.id,
                FilledLeg { instrument: leg.instrument, side: leg.side, quantity, price, fee },
            ));
        }
        let whole = order.legs.iter().all(|leg| leg.remaining() == 0);
        if !whole {
            order.status = Status::PartiallyFilled;
        }
        order.changed = now;
        order.executed_at = Some(now);
        let (number, claims) = (order.account.clone(), order.claims);
        let day_trade = self.settle_fills(&number, &filled, claims);
        if day_trade && whole {
            self.count_day_trade(&number);
        }
        self.refresh_requirement(&number);
        let legs = filled.into_iter().map(|(_, leg)| leg).collect();
        self.record(TranscriptEvent::Filled { account: number, order: id, legs, whole });
        if whole {
            self.finish(id, Status::Filled, None);
        } else {
            self.settle_claims(id, true);
            self.notify(id);
            self.part_changed(id);
            self.touch();
        }
    }

    /// Moves what executed into positions, cash, claims and reports; tells whether it closed something of the same day.
    fn settle_fills(&mut self, number: &str, filled: &[(u64, FilledLeg)], claims: bool) -> bool {
        let (now, commission) = (self.now, self.rules.fees.commission);
        let Some(account) = self.accounts.get_mut(number) else { return false };
        let mut day_trade = false;
        for (id, leg) in filled {
            let side = leg.side.side();
            let applied =
                account.apply(leg.instrument, side, leg.quantity, leg.price, now, &mut self.next_position);
            account.cash -= leg.fee;
            if claims {
                Self::claim(account, (leg.instrument, leg.side), i64::from(leg.quantity).saturating_neg());
            }
            let commission =
                if leg.instrument.is_share() { Usd::ZERO } else { commission.times(i64::from(leg.quantity)) };
            account.reports.traded(*id, leg, commission, now);
            if let Some(closed) = applied.closed {
                day_trade |= closed.opened.new_york_date() == now.new_york_date();
                account.reports.closed(leg.instrument, now, &closed);
            }
            if leg.side.opens() && side == Side::Buy {
                account.day_trades.spend(leg.instrument.notional(leg.price, leg.quantity));
            }
            self.book.take(&leg.instrument, side, leg.quantity);
        }
        day_trade
    }
}

/// Whether a limit reaches the far touch.
fn meets(side: Side, limit: Price, far: Price) -> bool {
    match side {
        Side::Buy => limit >= far,
        Side::Sell => limit <= far,
    }
}
