//! What an instrument can be bought and sold at now.

use domain::market::{Points, QuoteSide};
use domain::money::{Price, Side, Usd};
use domain::symbol::Underlying;
use domain::time::UtcNanos;

use super::book::Book;
use super::instrument::{Instrument, per_share};

/// Shares behind a quote whose source tells no sizes.
const UNSIZED: u32 = 100;

/// Bid and ask with what is left of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Touch {
    pub(super) at: UtcNanos,
    pub(super) bid: Option<Price>,
    pub(super) ask: Option<Price>,
    pub(super) bid_left: u32,
    pub(super) ask_left: u32,
}

impl Touch {
    /// What `side` trades against, and how much of it is left.
    pub(super) const fn far(&self, side: Side) -> (Option<Price>, u32) {
        match side {
            Side::Buy => (self.ask, self.ask_left),
            Side::Sell => (self.bid, self.bid_left),
        }
    }

    /// Bid above ask: nothing executes.
    pub(super) fn crossed(&self) -> bool {
        matches!((self.bid, self.ask), (Some(bid), Some(ask)) if bid > ask)
    }

    /// Bid and ask when both are above 0 and not crossed.
    pub(super) fn two_sided(&self) -> Option<(Price, Price)> {
        match (self.bid, self.ask) {
            (Some(bid), Some(ask)) if bid > Price::ZERO && ask >= bid => Some((bid, ask)),
            _ => None,
        }
    }
}

impl Book {
    /// The standing quote of `instrument`; `None` without one.
    pub(super) fn touch(&self, instrument: &Instrument) -> Option<Touch> {
        match instrument {
            Instrument::Option(series) => {
                let state = self.series(series)?;
                let quote = state.quote?;
                Some(Touch {
                    at: quote.ts,
                    bid: quote.bid,
                    ask: quote.ask,
                    bid_left: state.bid_left(),
                    ask_left: state.ask_left(),
                })
            }
            Instrument::Share(share) => {
                let state = self.underlying(share)?;
                let quote = state.quote?;
                let size = |it: Option<QuoteSide>| it.map_or(0, |it| it.size.unwrap_or(UNSIZED));
                Some(Touch {
                    at: quote.ts,
                    bid: quote.bid.and_then(|it| cents(it.price, Side::Sell)),
                    ask: quote.ask.and_then(|it| cents(it.price, Side::Buy)),
                    bid_left: size(quote.bid).saturating_sub(state.taken_bid),
                    ask_left: size(quote.ask).saturating_sub(state.taken_ask),
                })
            }
        }
    }

    /// What our accounts took of the standing quote by an execution of `side`.
    pub(super) fn take(&mut self, instrument: &Instrument, side: Side, quantity: u32) {
        let taken = match instrument {
            Instrument::Option(series) => {
                let Some(state) = self.series_mut(series) else { return };
                state.volume = state.volume.saturating_add(quantity);
                match side {
                    Side::Buy => &mut state.taken_ask,
                    Side::Sell => &mut state.taken_bid,
                }
            }
            Instrument::Share(share) => {
                let state = self.underlying_mut(*share);
                match side {
                    Side::Buy => &mut state.taken_ask,
                    Side::Sell => &mut state.taken_bid,
                }
            }
        };
        *taken = taken.saturating_add(quantity);
    }

    /// Whether orders may name it: a listed series, or a share that is quoted or has options.
    pub(super) fn lists(&self, instrument: &Instrument) -> bool {
        match instrument {
            Instrument::Option(series) => self.series(series).is_some(),
            Instrument::Share(share) => {
                !share.is_index() && (*share == Underlying::SPY || self.underlying(share).is_some())
            }
        }
    }

    /// Worth of one share of `instrument`: the midpoint of a two-sided quote, else the bid; shares without a quote are
    /// worth their last price.
    pub(super) fn mark(&self, instrument: &Instrument) -> Usd {
        let touch = self.touch(instrument);
        let quoted = touch.and_then(|it| match (it.two_sided(), it.bid) {
            (Some((bid, ask)), _) => Some((per_share(bid) + per_share(ask)).scaled(1, 2)),
            (None, Some(bid)) => Some(per_share(bid)),
            (None, None) => None,
        });
        quoted
            .or_else(|| self.last(&instrument.underlying()).filter(|_| instrument.is_share()))
            .unwrap_or(Usd::ZERO)
    }

    /// The last value of an underlying, in dollars.
    pub(super) fn last(&self, underlying: &Underlying) -> Option<Usd> {
        self.underlying(underlying).and_then(|it| it.last).map(|it| Usd::from_e4(it.0))
    }
}

/// A share's price in whole cents, rounded against who trades at it.
fn cents(price: Points, taker: Side) -> Option<Price> {
    let up = match taker {
        Side::Buy => 99,
        Side::Sell => 0,
    };
    let cents = price.0.saturating_add(up).checked_div(100)?;
    u32::try_from(cents).ok().filter(|it| *it > 0).map(Price::from_cents)
}
