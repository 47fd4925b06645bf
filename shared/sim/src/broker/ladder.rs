//! Working orders at one instrument, in the order they execute.

use std::collections::BTreeSet;

use domain::money::{Price, Side};

use super::order::{Order, OrderType};

/// Orders of one side: those at any price first, then the better limit, then the older place.
type Queue = BTreeSet<(u8, i64, u64, u64)>;

/// Working orders at one instrument.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ladder {
    buys: Queue,
    sells: Queue,
    /// Untriggered stops that wait for a price to rise, the lowest stop first.
    rising: BTreeSet<(u32, u64)>,
    /// Untriggered stops that wait for a price to fall, the lowest stop first.
    falling: BTreeSet<(u32, u64)>,
    /// Orders of several legs: those that pay more first, then the older place.
    several: Queue,
}

/// What a single order's place depends on: at a change it leaves with the old one and comes back with the new.
fn key(order: &Order, side: Side) -> (u8, i64, u64, u64) {
    match limit(order) {
        None => (0, 0, order.place, order.id),
        Some(limit) => {
            let cents = i64::from(limit.cents());
            let better = match side {
                Side::Buy => cents.saturating_neg(),
                Side::Sell => cents,
            };
            (1, better, order.place, order.id)
        }
    }
}

/// The limit of a single order; `None` for one that takes any price.
pub(super) fn limit(order: &Order) -> Option<Price> {
    match order.kind {
        OrderType::Market | OrderType::Stop => None,
        OrderType::Limit | OrderType::StopLimit | OrderType::Debit | OrderType::Credit | OrderType::Even => {
            order.price
        }
    }
}

fn net_key(order: &Order) -> (u8, i64, u64, u64) {
    let price = order.price.map_or(0, |it| i64::from(it.cents()));
    let (class, paid) = match order.kind {
        OrderType::Market => (0, 0),
        OrderType::Credit => (1, price),
        OrderType::Debit | OrderType::Even | OrderType::Limit | OrderType::Stop | OrderType::StopLimit => {
            (1, price.saturating_neg())
        }
    };
    (class, paid, order.place, order.id)
}

impl Ladder {
    /// Takes an order in, or out.
    pub(super) fn set(&mut self, order: &Order, present: bool) {
        let Some(leg) = order.legs.first() else { return };
        let side = leg.side.side();
        if !order.class.single() {
            toggle(&mut self.several, net_key(order), present);
        } else if order.kind.stops() && !order.triggered {
            let stop = (order.stop.map_or(0, Price::cents), order.id);
            match side {
                Side::Buy => toggle(&mut self.rising, stop, present),
                Side::Sell => toggle(&mut self.falling, stop, present),
            }
        } else {
            match side {
                Side::Buy => toggle(&mut self.buys, key(order, side), present),
                Side::Sell => toggle(&mut self.sells, key(order, side), present),
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buys.is_empty()
            && self.sells.is_empty()
            && self.rising.is_empty()
            && self.falling.is_empty()
            && self.several.is_empty()
    }

    /// Whether anything waits for a price to be reached.
    pub(super) fn has_stops(&self) -> bool {
        !(self.rising.is_empty() && self.falling.is_empty())
    }

    /// Stops that `high` reaches from below, in order.
    pub(super) fn risen(&self, high: Price) -> impl Iterator<Item = u64> {
        self.rising.iter().take_while(move |(stop, _)| *stop <= high.cents()).map(|(_, id)| *id)
    }

    /// Stops that `low` reaches from above, in order.
    pub(super) fn fallen(&self, low: Price) -> impl Iterator<Item = u64> {
        self.falling.iter().rev().take_while(move |(stop, _)| *stop >= low.cents()).map(|(_, id)| *id)
    }

    /// Orders of `side` whose limit is `worst` or better, in order.
    pub(super) fn reaching(&self, side: Side, worst: Price) -> impl Iterator<Item = u64> {
        let (queue, last) = match side {
            Side::Buy => (&self.buys, i64::from(worst.cents()).saturating_neg()),
            Side::Sell => (&self.sells, i64::from(worst.cents())),
        };
        queue.range(..=(1, last, u64::MAX, u64::MAX)).map(|(_, _, _, id)| *id)
    }

    /// Orders of several legs, in order.
    pub(super) fn several(&self) -> impl Iterator<Item = u64> {
        self.several.iter().map(|(_, _, _, id)| *id)
    }
}

fn toggle<T: Ord>(set: &mut BTreeSet<T>, item: T, present: bool) {
    if present {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}
