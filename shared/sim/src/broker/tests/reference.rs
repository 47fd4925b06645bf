//! The matcher against a naive one: no index, no early end, every order tried on every event. Quotes are a tick wide, so
//! that nothing lies inside the spread and nothing is drawn.

use std::collections::BTreeMap;

use super::*;
use crate::broker::tests::random::Dice;

const SERIES: [&str; 3] = [CALL, HIGHER, PUT];

#[derive(Debug, Clone, Copy)]
struct Quoted {
    bid: i64,
    ask: i64,
    bids: i64,
    asks: i64,
}

#[derive(Debug, Clone)]
struct Simple {
    id: u64,
    place: usize,
    /// Series, +1 to buy and -1 to sell, contracts, executed, paid in cents.
    legs: Vec<(usize, i64, i64, i64, i64)>,
    /// Limit in cents; of several legs what is paid at most, below zero what is received at least.
    limit: Option<i64>,
    stop: Option<i64>,
    triggered: bool,
    done: bool,
}

#[derive(Debug, Default)]
struct Naive {
    quotes: BTreeMap<usize, Quoted>,
    orders: Vec<Simple>,
    places: usize,
}

impl Naive {
    fn quote(&mut self, series: usize, quote: Quoted) {
        self.quotes.insert(series, quote);
        for order in self.orders.iter_mut().filter(|it| !it.done && it.legs[0].0 == series) {
            order.trigger(&quote);
        }
        let mut turn: Vec<usize> = (0..self.orders.len()).collect();
        turn.retain(|n| self.orders[*n].legs.iter().any(|leg| leg.0 == series));
        turn.sort_by_key(|n| {
            let order = &self.orders[*n];
            let several = order.legs.len() > 1;
            let better = if several || order.legs[0].1 > 0 { order.limit.map(|it| -it) } else { order.limit };
            (several, order.limit.is_some(), better, order.place)
        });
        turn.into_iter().for_each(|n| self.attempt(n));
    }

    fn attempt(&mut self, n: usize) {
        let order = &mut self.orders[n];
        if order.done || (order.stop.is_some() && !order.triggered) {
            return;
        }
        let ratios = order.ratios();
        let (mut units, mut net) = (i64::MAX, 0);
        for ((series, sign, quantity, executed, _), ratio) in order.legs.iter().zip(&ratios) {
            let Some(quote) = self.quotes.get(series).filter(|it| it.bid <= it.ask) else { return };
            let (price, left) = if *sign > 0 { (quote.ask, quote.asks) } else { (quote.bid, quote.bids) };
            units = units.min(left / ratio).min((quantity - executed) / ratio);
            net += sign * ratio * price;
        }
        let single = order.legs.len() == 1;
        let worst = order.limit.map_or(i64::MAX, |it| if single { it * order.legs[0].1 } else { it });
        if units == 0 || net > worst {
            return;
        }
        for ((series, sign, _, executed, paid), ratio) in order.legs.iter_mut().zip(&ratios) {
            let quote = self.quotes.get_mut(series).unwrap();
            let (price, left) =
                if *sign > 0 { (quote.ask, &mut quote.asks) } else { (quote.bid, &mut quote.bids) };
            *executed += units * ratio;
            *paid += units * ratio * price;
            *left -= units * ratio;
        }
        order.done = order.legs.iter().all(|leg| leg.2 == leg.3);
    }

    fn change(&mut self, id: u64, limit: i64) {
        self.places += 1;
        let place = self.places;
        let Some(n) = self.orders.iter().position(|it| it.id == id) else { return };
        let order = &mut self.orders[n];
        (order.limit, order.place) = (Some(limit), place);
        self.arrive(n);
    }

    fn add(&mut self, mut order: Simple) {
        self.places += 1;
        order.place = self.places;
        self.orders.push(order);
        self.arrive(self.orders.len() - 1);
    }

    fn arrive(&mut self, n: usize) {
        if let Some(quote) = self.quotes.get(&self.orders[n].legs[0].0).copied() {
            self.orders[n].trigger(&quote);
        }
        self.attempt(n);
    }
}

impl Simple {
    /// Contracts of each leg in a unit; a single leg executes one by one.
    fn ratios(&self) -> Vec<i64> {
        let units = if self.legs.len() == 1 {
            self.legs[0].2
        } else {
            self.legs.iter().map(|leg| leg.2).fold(0, gcd)
        };
        self.legs.iter().map(|leg| leg.2 / units).collect()
    }

    fn trigger(&mut self, quote: &Quoted) {
        let Some(stop) = self.stop else { return };
        self.triggered |=
            if self.legs[0].1 > 0 { quote.ask >= stop } else { quote.bid > 0 && quote.bid <= stop };
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Engine and naive matcher side by side.
struct Both {
    world: World,
    naive: Naive,
    dice: Dice,
}

impl Both {
    fn new(seed: u64) -> Self {
        let rules = Rules { latencies: Latencies::NONE, limits: Limits::Off, ..Rules::live(seed) };
        let mut it = Self { world: World::with(rules), naive: Naive::default(), dice: Dice(seed) };
        (0..SERIES.len()).for_each(|n| it.quote(n));
        it
    }

    fn quote(&mut self, series: usize) {
        let dice = &mut self.dice;
        let bid = 5 * (20 + i64::from(dice.below(16)));
        // Now and then crossed.
        let ask = if dice.below(12) == 0 { bid - 5 } else { bid + 5 };
        let (bids, asks) = (i64::from(dice.below(7)), i64::from(dice.below(7)));
        self.world.quote(SERIES[series], bid as u32, ask as u32, bids as u32, asks as u32);
        self.naive.quote(series, Quoted { bid, ask, bids, asks });
    }

    fn single(&mut self) {
        let (series, count) = (self.dice.below(3) as usize, 1 + i64::from(self.dice.below(6)));
        let buys = self.dice.below(5) < 3;
        let (price, stop) = (self.price(), self.price());
        let kind = ["limit", "limit", "limit", "market", "stop", "stop_limit"][self.dice.below(6) as usize];
        let side = if buys { "buy_to_open" } else { "sell_to_close" };
        let mut form = format!(
            "class=option symbol=SPX option_symbol={} side={side} quantity={count} type={kind} duration=day",
            SERIES[series]
        );
        let (limit, stop) = (
            matches!(kind, "limit" | "stop_limit").then_some(price),
            matches!(kind, "stop" | "stop_limit").then_some(stop),
        );
        limit.iter().for_each(|it| form += &format!(" price={}", dollars(*it)));
        stop.iter().for_each(|it| form += &format!(" stop={}", dollars(*it)));
        let legs = vec![(series, if buys { 1 } else { -1 }, count, 0, 0)];
        self.place(&form, Simple { id: 0, place: 0, legs, limit, stop, triggered: false, done: false });
    }

    /// A call spread, or a ratio the other way round, bought or sold.
    fn several(&mut self) {
        let (ratio, units) = (1 + i64::from(self.dice.below(2)), 1 + i64::from(self.dice.below(3)));
        let pays = self.dice.below(2) == 0;
        let price = 5 * (1 + i64::from(self.dice.below(20)));
        let (kind, limit) = match self.dice.below(5) {
            0 => ("market", None),
            1 => ("even", Some(0)),
            _ if pays => ("debit", Some(price)),
            _ => ("credit", Some(-price)),
        };
        let price = if matches!(kind, "debit" | "credit") {
            format!(" price={}", dollars(price))
        } else {
            String::new()
        };
        let form = format!(
            "class=multileg symbol=SPX type={kind}{price} duration=day option_symbol[0]={CALL} side[0]=sell_to_open quantity[0]={units} option_symbol[1]={HIGHER} side[1]=buy_to_open quantity[1]={}",
            units * ratio
        );
        let legs = vec![(0, -1, units, 0, 0), (1, 1, units * ratio, 0, 0)];
        self.place(&form, Simple { id: 0, place: 0, legs, limit, stop: None, triggered: false, done: false });
    }

    fn price(&mut self) -> i64 {
        5 * (20 + i64::from(self.dice.below(16)))
    }

    fn place(&mut self, form: &str, order: Simple) {
        let body = self.world.post(MARGIN, form);
        let Some(id) = number(&body) else { return };
        if self.world.status(id) != Status::Rejected {
            self.naive.add(Simple { id, ..order });
        }
    }

    fn step(&mut self) {
        match self.dice.below(10) {
            0..=3 => {
                let series = self.dice.below(3) as usize;
                self.quote(series);
            }
            4..=6 => self.single(),
            7 => self.several(),
            8 => {
                if let Some(id) = self.any() {
                    self.world.cancel(id);
                    self.world.after(Duration::from_millis(1));
                    let canceled = self.world.status(id) == Status::Canceled;
                    let order = self.naive.orders.iter_mut().find(|it| it.id == id).unwrap();
                    order.done |= canceled;
                }
            }
            _ => {
                let price = self.price();
                let Some(id) = self.any() else { return };
                let single = self
                    .world
                    .broker
                    .order(id)
                    .is_some_and(|it| it.class == OrderClass::Option && it.kind.priced());
                if single && self.world.change(id, "price", &dollars(price)).1.contains("\"ok\"") {
                    let order = self.naive.orders.iter_mut().find(|it| it.id == id).unwrap();
                    let same = order.limit == Some(price);
                    if !same {
                        order.triggered = false;
                        self.naive.change(id, price);
                    }
                }
            }
        }
    }

    fn any(&mut self) -> Option<u64> {
        let count = u32::try_from(self.naive.orders.len()).unwrap();
        (count > 0).then(|| self.naive.orders[self.dice.below(count) as usize].id)
    }

    fn compare(&self, step: usize) {
        for order in &self.naive.orders {
            let found = self.world.broker.order(order.id).unwrap();
            for (leg, naive) in found.legs.iter().zip(&order.legs) {
                let engine = (i64::from(leg.executed), leg.paid);
                assert_eq!(engine, (naive.3, Usd::from_cents(naive.4)), "step {step}: {found:?}\n{order:?}");
            }
        }
    }
}

fn dollars(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[test]
fn the_matcher_executes_what_a_naive_one_does() {
    let mut fills = 0;
    for seed in 0..60 {
        let mut both = Both::new(seed);
        for step in 0..150 {
            both.step();
            both.compare(step);
        }
        fills += both.naive.orders.iter().filter(|it| it.done).count();
    }
    assert!(fills > 1_000, "{fills} orders done");
}
