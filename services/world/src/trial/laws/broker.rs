//! What the broker's transcript must never say.

use domain::ids::OrderTag;
use domain::money::{CONTRACT_MULTIPLIER, Price, Side, TickGrid, Usd};
use domain::symbol::OccSymbol;
use sim::broker::{AcceptedLeg, FilledLeg, LegSide, OrderType, TranscriptEvent, TranscriptLine};

use super::entry::Bound;
use super::{Held, Laws, Order, OrderLeg, short};

impl Laws {
    /// Reads lines, each once and in order.
    pub(crate) fn read(&self, lines: &[TranscriptLine]) {
        for line in lines {
            self.line(line);
        }
        self.protections(lines);
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
        let Some(leg) = legs.first().filter(|it| it.instrument.series().is_some()) else {
            return;
        };
        if !is_foreign {
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
            if let Some(tag) = parsed {
                self.ordered(tag, order, legs);
            }
        }
        let leg = |it: &AcceptedLeg| {
            let series = *it.instrument.series()?;
            Some(OrderLeg { series, side: it.side.side(), quantity: it.quantity, executed: 0, tiers: [0; 2] })
        };
        let row = Order {
            tag: parsed.filter(|_| !is_foreign),
            is_foreign,
            account,
            kind,
            legs: legs.iter().filter_map(leg).collect(),
        };
        self.seen.borrow_mut().orders.insert(order, row);
    }

    /// INV12: on the grid, and an entry not beyond its bound.
    fn priced(&self, order: u64, price: Option<Price>) {
        let Some(price) = price else { return };
        let (is_on_grid, is_beyond) = {
            let seen = self.seen.borrow();
            let Some(row) = seen.orders.get(&order) else { return };
            let (Some(tag), Some(first)) = (row.tag, row.legs.first()) else { return };
            let (root, day) = (first.series.root, self.tape.session().date);
            let is_net = row.legs.len() > 1;
            let grid =
                if is_net { TickGrid::net(&root, false, day) } else { TickGrid::single_leg(&root, day) };
            // A net may be nothing at all; a single price may not.
            let is_on_grid = grid.holds(price) && (is_net || price != Price::ZERO);
            let is_beyond = match seen.entries.get(&tag.intent).map(|it| &it.bound) {
                Some(Bound::Single { worst, .. }) => first.side == Side::Buy && price > *worst,
                Some(Bound::Structure { worst, .. }) => {
                    let cents = i64::from(price.cents());
                    let net = if row.kind == OrderType::Credit { cents.saturating_neg() } else { cents };
                    net > worst.cents()
                }
                None => false,
            };
            (is_on_grid, is_beyond)
        };
        if !is_on_grid {
            self.violated(12, format!("order {order} at {price}, off the grid"));
        }
        if is_beyond {
            self.violated(12, format!("order {order} at {price}, beyond its bound"));
        }
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
        let tagged;
        {
            let mut seen = self.seen.borrow_mut();
            seen.fills = seen.fills.saturating_add(1);
            let Some(row) = seen.orders.get_mut(&order) else { return };
            for part in legs {
                let Some(own) = row.legs.iter_mut().find(|it| part.instrument.series() == Some(&it.series))
                else {
                    continue;
                };
                own.executed = own.executed.saturating_add(part.quantity);
                let [low, high] = &mut own.tiers;
                let tier = if part.price < Price::from_cents(100) { low } else { high };
                *tier = tier.saturating_add(part.quantity);
            }
            let (tag, is_foreign) = (row.tag, row.is_foreign);
            tagged = tag;
            if is_foreign {
                let (owner, legs) = (row.account, row.legs.clone());
                let takes_ours = |it: &&OrderLeg| {
                    let short = seen.held.get(&(owner, it.series)).is_some_and(|it| it.short > 0);
                    it.side == Side::Sell || short
                };
                let taken: Vec<_> = legs.iter().filter(takes_ours).map(|it| (owner, it.series)).collect();
                seen.by_hand.extend(taken);
            }
            for (leg, series) in legs.iter().filter_map(|it| Some((it, *it.instrument.series()?))) {
                let sign = leg.side.side().sign();
                let contracts = i64::from(leg.quantity);
                let held = seen.held.entry((account, series)).or_default();
                held.all = held.all.saturating_add(contracts.saturating_mul(sign));
                if is_foreign {
                    continue;
                }
                match leg.side {
                    LegSide::BuyToOpen => held.long = held.long.saturating_add(contracts),
                    LegSide::SellToClose => held.long = held.long.saturating_sub(contracts),
                    LegSide::SellToOpen => held.short = held.short.saturating_add(contracts),
                    LegSide::BuyToClose => held.short = held.short.saturating_sub(contracts),
                    // Shares are nothing we trade.
                    LegSide::Buy | LegSide::Sell | LegSide::SellShort | LegSide::BuyToCover => {}
                }
                let Held { long, short, all } = *held;
                // Beside a short that its owner opened by hand a structure may sell: what a close sells must be there.
                if leg.side == LegSide::SellToClose && all.saturating_add(short) < 0 {
                    wrong.push((10, format!("order {order} left {all} of {series}")));
                }
                if long < 0 || short < 0 {
                    let over = long.min(short).abs();
                    wrong.push((15, format!("order {order} closed {over} of {series} that were not ours")));
                }
                let paid = leg.price.notional(leg.quantity).times(sign) + leg.fee;
                *seen.flows.entry(account).or_default() -= paid;
            }
            for (part, series) in legs.iter().filter_map(|it| Some((it, *it.instrument.series()?))) {
                let Some(tag) = tag else { continue };
                let sum = seen.executed.entry(tag.intent).or_default();
                *sum = sum.saturating_add(part.quantity);
                let executed = seen.executed_of.entry((tag.intent, series)).or_default();
                *executed = executed.saturating_add(part.quantity);
                let executed = *executed;
                let most = seen.entries.get(&tag.intent).map(|it| it.most(&series));
                if most.is_some_and(|it| executed > it) {
                    wrong.push((1, format!("entry {} executed {executed} {series} of {most:?}", tag.intent)));
                }
            }
        }
        if let Some(tag) = tagged {
            self.executed_of(tag, legs);
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
        let ours = value.times(CONTRACT_MULTIPLIER).times(held.ours());
        *seen.flows.entry(account).or_default() += ours;
    }

    /// INV6: what is still open, to be looked at once it had its minute to page.
    fn closed(&self) {
        let mut seen = self.seen.borrow_mut();
        let open = seen.held.iter().filter(|(_, held)| held.ours() != 0);
        let open = open.map(|((account, series), held)| (*account, *series, held.ours())).collect();
        seen.left_open = open;
    }
}
