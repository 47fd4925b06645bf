//! Matching against the session's quotes. The rules are in the module's documentation.

use std::cmp::Reverse;

use domain::market::OptionQuote;
use domain::money::{Price, Side, Usd};
use domain::symbol::OccSymbol;

use super::Sandbox;
use super::order::{Order, OrderClass, OrderType, Status};
use super::transcript::{FilledLeg, TranscriptEvent};

/// A limit all the way through the spread but a tick executes with this chance per update, in millionths.
const INSIDE_PPM: u64 = 250_000;

/// One leg's part of an execution: contracts and premium.
type Part = (u32, Price);

impl Sandbox {
    pub(super) fn watch(&mut self, id: u64) {
        let Some(order) = self.orders.get(&id) else { return };
        for leg in &order.legs {
            self.watched.entry(leg.series).or_default().insert(id);
        }
    }

    pub(super) fn unwatch(&mut self, id: u64) {
        let Some(order) = self.orders.get(&id) else { return };
        for leg in &order.legs {
            if let Some(ids) = self.watched.get_mut(&leg.series) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.watched.remove(&leg.series);
                }
            }
        }
    }

    /// Tries every working order that needs `series`, best price first, then oldest. `fresh` says that its quote was
    /// just updated, which is when limits inside the spread get their draw.
    pub(super) fn match_series(&mut self, series: &OccSymbol, fresh: bool) {
        let Some(ids) = self.watched.get(series) else { return };
        let mut ids: Vec<u64> = ids.iter().copied().collect();
        ids.sort_by_cached_key(|id| self.orders.get(id).map(rank));
        for id in ids {
            self.try_execute(id, fresh);
        }
    }

    pub(super) fn match_order(&mut self, id: u64) {
        self.try_execute(id, false);
    }

    fn try_execute(&mut self, id: u64, fresh: bool) {
        let Some(order) = self.orders.get(&id) else { return };
        let working = matches!(order.status, Status::Open | Status::PartiallyFilled);
        if !working || self.now < order.ready_at || !self.tradable(order) || self.owes_legs(id) {
            return;
        }
        if order.kind.stops() && !order.triggered {
            if !self.stop_reached(order) {
                return;
            }
            if let Some(order) = self.orders.get_mut(&id) {
                order.triggered = true;
            }
        }
        let Some(order) = self.orders.get(&id) else { return };
        let parts = match order.class {
            OrderClass::Option => self.single(order, fresh).map(|part| vec![part]),
            OrderClass::Multileg => self.several(order),
        };
        if let Some(parts) = parts {
            let parts = self.parts_now(id, parts);
            self.execute(id, &parts);
        }
    }

    fn stop_reached(&self, order: &Order) -> bool {
        let Some((leg, stop)) = order.legs.first().zip(order.stop) else { return false };
        let Some(quote) = self.book.series(&leg.series).and_then(|it| it.quote) else { return false };
        match leg.side.side() {
            Side::Sell => quote.bid.is_some_and(|bid| bid <= stop),
            Side::Buy => quote.ask.is_some_and(|ask| ask >= stop),
        }
    }

    /// What a single leg gets from the standing quote.
    fn single(&self, order: &Order, fresh: bool) -> Option<Part> {
        let leg = order.legs.first()?;
        let state = self.book.series(&leg.series)?;
        if state.crossed() {
            return None;
        }
        let quote = state.quote?;
        let (far, left) = match leg.side.side() {
            Side::Buy => (quote.ask, state.ask_left()),
            Side::Sell => (quote.bid, state.bid_left()),
        };
        let far = far.filter(|it| *it > Price::ZERO)?;
        let limit = match order.kind {
            OrderType::Market | OrderType::Stop => None,
            OrderType::Limit | OrderType::StopLimit => order.price,
            OrderType::Debit | OrderType::Credit | OrderType::Even => return None,
        };
        let contracts = leg.remaining().min(left);
        if contracts == 0 {
            return None;
        }
        match limit {
            None => Some((contracts, far)),
            Some(limit) if meets(leg.side.side(), limit, far) => Some((contracts, far)),
            Some(limit) if fresh && self.drawn(order, limit, leg.side.side(), &quote) => {
                Some((contracts, limit))
            }
            Some(_) => None,
        }
    }

    /// The draw of a limit inside the spread: none at its own touch, a quarter of the squared way through it.
    fn drawn(&self, order: &Order, limit: Price, side: Side, quote: &OptionQuote) -> bool {
        let Some((bid, ask)) = quote.two_sided() else { return false };
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
        hasher.update(&quote.ts.0.to_le_bytes());
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
            let state = self.book.series(&leg.series).filter(|it| !it.crossed())?;
            let quote = state.quote?;
            let (far, left) = match leg.side.side() {
                Side::Buy => (quote.ask?, state.ask_left()),
                Side::Sell => (quote.bid?, state.bid_left()),
            };
            let ratio = order.ratio(leg);
            units = units.min(left.checked_div(ratio).unwrap_or(0));
            let paid = Usd::from_cents(i64::from(far.cents())).times(i64::from(ratio));
            net += paid.times(leg.side.side().sign());
            touches.push((ratio, far));
        }
        let price = Usd::from_cents(order.price.map_or(0, |it| i64::from(it.cents())));
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
        let Some(order) = self.orders.get_mut(&id) else { return };
        let mut filled = Vec::with_capacity(parts.len());
        for (leg, (contracts, price)) in order.legs.iter_mut().zip(parts).filter(|it| it.1.0 > 0) {
            leg.executed = leg.executed.saturating_add(*contracts);
            leg.paid += Usd::from_cents(i64::from(price.cents())).times(i64::from(*contracts));
            leg.last_price = *price;
            leg.last_quantity = *contracts;
            let fee = self.rules.fees.charge(&leg.series.root, *price, *contracts);
            filled.push(FilledLeg {
                series: leg.series,
                side: leg.side,
                quantity: *contracts,
                price: *price,
                fee,
            });
        }
        let whole = order.legs.iter().all(|leg| leg.remaining() == 0);
        order.status = if whole { Status::Filled } else { Status::PartiallyFilled };
        order.changed = now;
        order.executed_at = Some(now);
        let number = order.account.clone();
        let Some(account) = self.accounts.get_mut(&number) else { return };
        let mut day_trade = false;
        for leg in &filled {
            let side = leg.side.side();
            let applied =
                account.apply(leg.series, side, leg.quantity, leg.price, now, &mut self.next_position);
            day_trade |= applied.day_trade;
            account.cash -= leg.fee;
            if let Some(state) = self.book.series_mut(&leg.series) {
                let taken = match side {
                    Side::Buy => &mut state.taken_ask,
                    Side::Sell => &mut state.taken_bid,
                };
                *taken = taken.saturating_add(leg.quantity);
                state.volume = state.volume.saturating_add(leg.quantity);
            }
        }
        if day_trade && whole {
            account.day_trades = account.day_trades.saturating_add(1);
        }
        self.record(TranscriptEvent::Filled { account: number, order: id, legs: filled, whole });
        if whole {
            self.finish(id, Status::Filled, None);
        } else {
            self.notify(id);
            self.touch();
        }
    }
}

/// Whether a limit reaches the far touch.
fn meets(side: Side, limit: Price, far: Price) -> bool {
    match side {
        Side::Buy => limit >= far,
        Side::Sell => limit <= far,
    }
}

/// Market orders first, then the better price, then the older place.
fn rank(order: &Order) -> (u8, i64, Reverse<bool>, u64) {
    let side = order.legs.first().map_or(Side::Buy, |leg| leg.side.side());
    let price = order.price.map_or(0, |it| i64::from(it.cents()));
    let better = match side {
        Side::Buy => price.saturating_neg(),
        Side::Sell => price,
    };
    let class = u8::from(!matches!(order.kind, OrderType::Market | OrderType::Stop));
    (class, better, Reverse(order.class == OrderClass::Option), order.place)
}
