//! SPY's quotes and prints, and the index printed once a second.

use domain::market::{MarketEvent, Points, PrintCounts, Quote, QuoteSide, Trade};
use domain::symbol::Underlying;
use domain::time::UtcNanos;

use super::dice::Dice;

/// Mean SPY quotes a second over the day.
const QUOTES_A_SECOND: f64 = 14.3;
/// Mean SPY prints a second over the day.
const PRINTS_A_SECOND: f64 = 8.2;
/// When in each second the index prints, in microseconds.
const INDEX_AT_US: u32 = 200_000;
/// Room at the end of a second for events moved apart.
const LAST_US: u32 = 990_000;

/// What happens to the fair value in one second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Second {
    pub(super) start: UtcNanos,
    /// Seconds since the open.
    pub(super) index: usize,
    /// Fair value at its start and end.
    pub(super) from: f64,
    pub(super) to: f64,
    /// Standard deviation of a second now, in points.
    pub(super) sd: f64,
    /// Move of the last half minute in its own standard deviations.
    pub(super) drift: f64,
    /// Trading activity; 1 is the day's mean.
    pub(super) activity: f64,
}

impl Second {
    fn fair_at(&self, us: u32) -> f64 {
        self.from + (self.to - self.from) * f64::from(us) / 1e6
    }

    fn at(&self, us: u32) -> UtcNanos {
        UtcNanos(self.start.0 + i64::from(us) * 1_000)
    }

    /// The second's move in standard deviations.
    fn score(&self) -> f64 {
        (self.to - self.from) / self.sd.max(1e-9)
    }
}

/// Draws the tape; carries what stands from one second to the next.
#[derive(Debug, Clone)]
pub(super) struct Tape {
    dice: Dice,
    prior_close: f64,
    /// SPY x 10 over the fair value, less 1.
    basis: f64,
    /// The index lags its own basket by a second or two.
    smoothed: f64,
    bid: QuoteSide,
    ask: QuoteSide,
    quoted: bool,
    sequence: u64,
    offsets: Vec<u32>,
}

impl Tape {
    pub(super) fn new(dice: Dice, prior_close: f64, open: f64) -> Self {
        let nothing = QuoteSide { price: Points(0), size: None };
        Self {
            dice,
            prior_close,
            basis: 0.0,
            smoothed: open,
            bid: nothing,
            ask: nothing,
            quoted: false,
            sequence: 0,
            offsets: Vec::with_capacity(128),
        }
    }

    /// The second's events in order of time.
    pub(super) fn second(&mut self, now: &Second, out: &mut Vec<MarketEvent>) {
        let burst = 0.85 + 0.19 * now.score().abs().min(3.0);
        let quotes = self.dice.count(QUOTES_A_SECOND * now.activity * burst);
        let prints = self.dice.count(PRINTS_A_SECOND * now.activity * burst);
        self.draw_offsets(quotes.saturating_add(prints));
        self.basis += -0.002 * self.basis + 1.2e-6 * self.dice.normal();
        let offsets = std::mem::take(&mut self.offsets);
        let (mut quotes_left, mut index_due) = (quotes, true);
        for (i, &us) in offsets.iter().enumerate() {
            if index_due && us > INDEX_AT_US {
                index_due = false;
                self.index(now, out);
            }
            let left = (offsets.len() - i) as u32;
            if !self.quoted || self.dice.below(left) < quotes_left {
                quotes_left = quotes_left.saturating_sub(1);
                self.quote(now, us, out);
            } else {
                self.print(now, us, out);
            }
        }
        if index_due {
            self.index(now, out);
        }
        self.offsets = offsets;
    }

    /// Distinct microseconds of the second, sorted; none is the index's.
    fn draw_offsets(&mut self, n: u32) {
        self.offsets.clear();
        for _ in 0..n {
            self.offsets.push(self.dice.below(LAST_US));
        }
        self.offsets.sort_unstable();
        let mut free = 0;
        for us in &mut self.offsets {
            *us = (*us).max(free);
            if *us == INDEX_AT_US {
                *us += 1;
            }
            free = *us + 1;
        }
    }

    /// One index value. Over the first minute it still holds the prints of the day before.
    fn index(&mut self, now: &Second, out: &mut Vec<MarketEvent>) {
        self.smoothed += 0.5 * (now.fair_at(INDEX_AT_US) - self.smoothed);
        let stale = libm::exp(-(now.index as f64) / 9.0);
        let value = self.smoothed + stale * (self.prior_close - self.smoothed) + 0.04 * self.dice.normal();
        self.sequence += 1;
        let trade = Trade {
            ts: now.at(INDEX_AT_US),
            sequence: Some(self.sequence),
            price: cents(value),
            size: 0,
            counts: PrintCounts::Everywhere,
        };
        out.push(MarketEvent::Trade(Underlying::SPX, trade));
    }

    /// Buying shows on the tape before and while the price rises.
    fn pressure(now: &Second) -> f64 {
        let push = 0.35 * tanh(0.8 * now.score()) + 0.65 * tanh(now.drift);
        push.clamp(-0.9, 0.9)
    }

    fn quote(&mut self, now: &Second, us: u32, out: &mut Vec<MarketEvent>) {
        let fair = now.fair_at(us) * (1.0 + self.basis) / 10.0;
        let wide = 0.03 + 0.06 * now.activity.min(3.0) + 0.04 * now.score().abs().min(3.0);
        let ticks = if self.dice.chance(wide) { 2.0 } else { 1.0 };
        let noise = self.dice.between(-0.35, 0.35);
        let bid_cents = (fair * 100.0 + noise - 0.5 * (ticks - 1.0)).floor();
        let lean = Self::pressure(now);
        let side = |cents: f64, lots: f64| QuoteSide {
            price: Points(cents as i64 * 100),
            size: Some(100 * (lots.max(1.0) as u32)),
        };
        let depth = 9.0 / libm::sqrt(now.activity.max(0.2));
        self.bid = side(bid_cents, depth * (1.0 + 0.5 * lean) * self.dice.between(0.2, 2.0));
        self.ask = side(bid_cents + ticks, depth * (1.0 - 0.5 * lean) * self.dice.between(0.2, 2.0));
        self.quoted = true;
        let quote = Quote { ts: now.at(us), bid: Some(self.bid), ask: Some(self.ask) };
        out.push(MarketEvent::Quote(Underlying::SPY, quote));
    }

    fn print(&mut self, now: &Second, us: u32, out: &mut Vec<MarketEvent>) {
        let buyer = self.dice.chance(0.5 + 0.45 * Self::pressure(now));
        let kind = self.dice.unit();
        let (bid, ask) = (self.bid.price, self.ask.price);
        let (price, counts) = if kind < 0.004 {
            // An average of earlier prints: volume at a price of the past.
            (cents(self.smoothed / 10.0), PrintCounts::VolumeOnly)
        } else if kind < 0.08 {
            (Points((bid.0 + ask.0) / 2), PrintCounts::Everywhere)
        } else {
            (if buyer { ask } else { bid }, PrintCounts::Everywhere)
        };
        self.sequence += 1;
        let size = self.size();
        let trade = Trade { ts: now.at(us), sequence: Some(self.sequence), price, size, counts };
        out.push(MarketEvent::Trade(Underlying::SPY, trade));
    }

    /// Mostly round lots and odd lots, now and then a block.
    fn size(&mut self) -> u32 {
        match self.dice.below(1_000) {
            0..450 => 100,
            450..780 => 1 + self.dice.below(99),
            780..970 => 100 * (2 + self.dice.below(5)),
            970..998 => 100 * (8 + self.dice.below(30)),
            _ => 5_000 + 100 * self.dice.below(300),
        }
    }
}

/// A value on the grid of whole cents.
fn cents(value: f64) -> Points {
    Points((value * 100.0).round() as i64 * 100)
}

fn tanh(x: f64) -> f64 {
    libm::tanh(x)
}
