//! What the broker's transcript must never say.

use domain::ids::OrderTag;
use domain::money::{CONTRACT_MULTIPLIER, Price, Side, TickGrid, Usd};
use domain::symbol::OccSymbol;
use sim::broker::{AcceptedLeg, FilledLeg, LegSide, OrderType, TranscriptEvent, TranscriptLine};

use super::{Held, Laws, Order, short};

impl Laws {
    /// Reads lines, each once and in order.
    pub(crate) fn read(&self, lines: &[TranscriptLine]) {
        for line in lines {
            self.line(line);
        }
    }

    fn index(&self, account: &str) -> usize {
        self.members.iter().position(|it| it.number.as_str() == account).unwrap_or(usize::MAX)
    }

    fn line(&self, line: &TranscriptLine) {
        use TranscriptEvent as E;
        if !matches!(line.event, E::Request { .. }) {
            self.mix(line.at.0.unsigned_abs() ^ line.seq << 40);
        }
        match &line.event {
            E::Request { status: 429, path, .. } => {
                let is_late = self.seen.borrow().late_until.is_some_and(|it| line.at <= it);
                if !is_late {
                    self.violated(16, format!("the broker counted too many requests at {path}"));
                }
            }
            E::Accepted { account, order, kind, price, tag, foreign, legs, .. } => {
                self.tell(|| format!("  broker: order {order} accepted, tag {tag:?}, {price:?}"));
                let index = self.index(account);
                self.accepted(index, *order, *kind, tag.as_deref(), *foreign, legs);
                self.priced(*order, *price);
            }
            E::Changed { order, price, .. } => {
                self.tell(|| format!("  broker: order {order} at {price:?}"));
                self.touched(*order, "changed");
                self.priced(*order, *price);
            }
            E::CancelRequested { order, .. } => self.touched(*order, "asked to cancel"),
            E::Filled { account, order, legs, .. } => {
                self.tell(|| {
                    let words: Vec<String> =
                        legs.iter().map(|it| format!("{} at {}", it.quantity, it.price)).collect();
                    format!("  broker: order {order} filled {}", words.join(", "))
                });
                self.filled(account, *order, legs);
            }
            E::Settled { account, series, quantity, value, .. } => {
                self.tell(|| format!("  broker: {series} of {account} settled, {quantity} at {value}"));
                self.settled(account, *series, *value);
            }
            E::SessionClosed { .. } => {
                self.tell(|| "  broker: the session closes".to_owned());
                self.closed();
            }
            E::Rejected { order, reason, .. } => {
                self.tell(|| format!("  broker: order {order} rejected: {reason}"));
            }
            E::Canceled { order, .. } => self.tell(|| format!("  broker: order {order} canceled")),
            E::Expired { order, .. } => self.tell(|| format!("  broker: order {order} expired")),
            // Nothing here trades what is delivered, and no script of faults runs.
            E::Delivered { .. } | E::FaultStruck { .. } => {}
            E::Request { .. } | E::SessionOpened { .. } | E::Account { .. } | E::Opened { .. } => {}
        }
    }

    fn accepted(
        &self,
        account: usize,
        order: u64,
        kind: OrderType,
        tag: Option<&str>,
        is_foreign: bool,
        legs: &[AcceptedLeg],
    ) {
        let parsed = tag.and_then(OrderTag::parse);
        let Some((leg, series)) = legs.first().and_then(|it| Some((it, *it.instrument.series()?))) else {
            return;
        };
        if is_foreign {
            self.seen.borrow_mut().by_hand.insert(account);
        } else {
            match parsed {
                None => self.violated(3, format!("order {order} carries {tag:?}, which is no tag of ours")),
                Some(tag) => {
                    self.mix(short(tag.intent));
                    let is_second = !self.seen.borrow_mut().accepted.insert(tag);
                    if is_second {
                        self.violated(1, format!("a second order, {order}, with tag {tag}"));
                    }
                }
            }
            if kind == OrderType::Market || kind == OrderType::Stop {
                self.violated(9, format!("order {order} is a {} order", kind.as_str()));
            }
            if legs.len() == 1 && leg.side == LegSide::SellToOpen {
                self.violated(10, format!("order {order} sells to open"));
            }
        }
        let row = Order {
            tag: parsed.filter(|_| !is_foreign),
            is_foreign,
            account,
            series,
            side: leg.side.side(),
            executed: 0,
            tiers: [0; 2],
        };
        self.seen.borrow_mut().orders.insert(order, row);
    }

    /// INV12: on the grid, and an entry not beyond its bound.
    fn priced(&self, order: u64, price: Option<Price>) {
        let (Some(price), Some((series, worst))) = (price, self.bound(order)) else { return };
        let grid = TickGrid::single_leg(&series.root, series.expiry);
        if !grid.holds(price) || price == Price::ZERO {
            self.violated(12, format!("order {order} at {price}, off the grid"));
        }
        if worst.is_some_and(|it| price > it) {
            self.violated(12, format!("order {order} at {price}, beyond its bound {worst:?}"));
        }
    }

    fn bound(&self, order: u64) -> Option<(OccSymbol, Option<Price>)> {
        let seen = self.seen.borrow();
        let row = seen.orders.get(&order)?;
        let tag = row.tag?;
        let worst = seen.entries.get(&tag.intent).map(|it| it.intent.worst);
        Some((row.series, worst.filter(|_| row.side == Side::Buy)))
    }

    /// INV15: what was placed by hand is nobody's but its owner's.
    fn touched(&self, order: u64, what: &str) {
        let is_foreign = self.seen.borrow().orders.get(&order).is_none_or(|it| it.is_foreign);
        if is_foreign {
            self.violated(15, format!("foreign order {order} was {what}"));
        }
    }

    fn filled(&self, account: &str, order: u64, legs: &[FilledLeg]) {
        let account = self.index(account);
        let mut wrong = Vec::new();
        {
            let mut seen = self.seen.borrow_mut();
            seen.fills = seen.fills.saturating_add(1);
            let Some(row) = seen.orders.get_mut(&order) else { return };
            let part = legs.iter().map(|it| it.quantity).max().unwrap_or(0);
            row.executed = row.executed.saturating_add(part);
            let is_low = legs.iter().all(|it| it.price < Price::from_cents(100));
            let [low, high] = &mut row.tiers;
            let tier = if is_low { low } else { high };
            *tier = tier.saturating_add(part);
            let (tag, is_foreign) = (row.tag, row.is_foreign);
            for (leg, series) in legs.iter().filter_map(|it| Some((it, *it.instrument.series()?))) {
                let sign = leg.side.side().sign();
                let contracts = i64::from(leg.quantity).saturating_mul(sign);
                let held = seen.held.entry((account, series)).or_default();
                held.all = held.all.saturating_add(contracts);
                if !is_foreign {
                    held.ours = held.ours.saturating_add(contracts);
                }
                let Held { ours, all } = *held;
                if all < 0 && !is_foreign {
                    wrong.push((10, format!("order {order} left {all} of {series}")));
                }
                if ours < 0 && !is_foreign {
                    wrong.push((
                        15,
                        format!("order {order} sold {} of {series} that were not ours", ours.abs()),
                    ));
                }
                if !is_foreign {
                    let paid = leg.price.notional(leg.quantity).times(sign) + leg.fee;
                    *seen.flows.entry(account).or_default() -= paid;
                }
            }
            if let Some(tag) = tag {
                let executed = seen.executed.entry(tag.intent).or_default();
                *executed = executed.saturating_add(part);
                let executed = *executed;
                let most = seen.entries.get(&tag.intent).map(|it| it.intent.quantity);
                if most.is_some_and(|it| executed > it) {
                    wrong.push((1, format!("entry {} executed {executed} of {most:?}", tag.intent)));
                }
            }
        }
        self.mix(order << 8 ^ legs.iter().map(|it| u64::from(it.price.cents())).sum::<u64>());
        for (invariant, what) in wrong {
            self.violated(invariant, what);
        }
    }

    fn settled(&self, account: &str, series: OccSymbol, value: Usd) {
        let account = self.index(account);
        let mut seen = self.seen.borrow_mut();
        let held = seen.held.remove(&(account, series)).unwrap_or_default();
        let ours = value.times(CONTRACT_MULTIPLIER).times(held.ours.min(held.all));
        *seen.flows.entry(account).or_default() += ours;
    }

    /// INV6: what is still open, to be looked at once it had its minute to page.
    fn closed(&self) {
        let mut seen = self.seen.borrow_mut();
        let open = seen.held.iter().filter(|(_, held)| held.ours.min(held.all) > 0);
        let open = open.map(|((account, series), held)| (*account, *series, held.ours)).collect();
        seen.left_open = open;
    }
}
