//! The end of the day: orders whose day is over, cash for what expired, shares for what was exercised (TRADIER.md
//! sections 8.4, 17.4).
//!
//! Series that settle in cash turn into what they are worth on the last value at the close, those that settle in the
//! morning on the first value of the session, which stands for the special opening quotation. Series on shares that are
//! in the money by a cent or more are exercised, and assigned to those who are short; the shares come and go at the
//! strike. Whoever cannot carry them holds them all the same.

use domain::money::{CONTRACT_MULTIPLIER, Usd};
use domain::symbol::{OccSymbol, Right, Settlement};

use super::Sandbox;
use super::instrument::Instrument;
use super::order::{Lifetime, Order, Status};
use super::reports::{Ending, Expired};
use super::transcript::TranscriptEvent;

/// An option this far in the money is exercised.
const IN_THE_MONEY: Usd = Usd::from_cents(1);

impl Sandbox {
    /// Orders end about a minute after their last trade: `canceled` where a series expires today, else `expired`.
    /// Orders that outlive the day end with their series.
    pub(super) fn cleanup(&mut self) {
        let today = self.session.date;
        let expires = |order: &Order| {
            let mut series = order.legs.iter().filter_map(|leg| leg.instrument.series());
            series.any(|it| it.expiry <= today)
        };
        let over = |order: &&Order| {
            let end = order.legs.iter().map(|leg| self.hours_end(order.lifetime, &leg.instrument)).min();
            let ended = end.is_some_and(|it| it <= self.now && order.created < it);
            order.is_live() && ended && (order.lifetime != Lifetime::Gtc || expires(order))
        };
        let live = self.accounts.values().flat_map(|it| &it.live).filter_map(|id| self.orders.get(id));
        let mut ended: Vec<(u64, bool)> = live.filter(over).map(|order| (order.id, expires(order))).collect();
        ended.sort_unstable();
        for (id, expiring) in ended {
            self.end(id, if expiring { Status::Canceled } else { Status::Expired });
        }
    }

    /// Cash or shares for what expired. Without a value there is nothing to settle on: the position stays and shows.
    pub(super) fn settle(&mut self) {
        let date = self.session.date;
        let mut rows = Vec::new();
        for account in self.accounts.values() {
            let expired = account.positions.iter().filter(|(series, _)| series.expiry <= date);
            rows.extend(expired.map(|(series, it)| (account.number.clone(), *series, it.quantity)));
        }
        for (number, series, quantity) in rows {
            let Some(value) = self.settlement_value(&series) else { continue };
            if series.root.settlement() == Settlement::Physical {
                self.deliver(&number, series, quantity, value >= IN_THE_MONEY);
            } else {
                self.pay(&number, series, quantity, value);
            }
            self.refresh_requirement(&number);
            self.touch();
        }
    }

    /// What a share of the option is worth at its settlement.
    fn settlement_value(&self, series: &OccSymbol) -> Option<Usd> {
        let state = self.book.underlying(&series.underlying())?;
        let morning = series.root.settlement() == Settlement::CashAm;
        let spot = if morning { state.open? } else { state.official? };
        // Strikes are in thousandths, the index in 1/10,000.
        let above = spot.0.saturating_sub(i64::from(series.strike.0).saturating_mul(10));
        Some(Usd::from_e4(match series.right {
            Right::Call => above.max(0),
            Right::Put => above.saturating_neg().max(0),
        }))
    }

    fn pay(&mut self, number: &str, series: OccSymbol, quantity: i64, value: Usd) {
        let cash = value.times(CONTRACT_MULTIPLIER).times(quantity);
        if let Some(account) = self.accounts.get_mut(number) {
            account.cash += cash;
            account.unsettled += cash.max(Usd::ZERO);
        }
        self.close_expired(number, series, quantity, (value, cash), value > Usd::ZERO);
        self.record(TranscriptEvent::Settled { account: number.to_owned(), series, quantity, value, cash });
    }

    fn deliver(&mut self, number: &str, series: OccSymbol, quantity: i64, exercised: bool) {
        self.close_expired(number, series, quantity, (Usd::ZERO, Usd::ZERO), exercised);
        if !exercised {
            let (value, cash) = (Usd::ZERO, Usd::ZERO);
            self.record(TranscriptEvent::Settled {
                account: number.to_owned(),
                series,
                quantity,
                value,
                cash,
            });
            return;
        }
        let calls = match series.right {
            Right::Call => 1,
            Right::Put => -1,
        };
        let shares = quantity.saturating_mul(CONTRACT_MULTIPLIER).saturating_mul(calls);
        let strike = Usd::from_e4(i64::from(series.strike.0).saturating_mul(10));
        let cash = -strike.times(shares);
        let (now, share) = (self.now, Instrument::Share(series.underlying()));
        let Some(account) = self.accounts.get_mut(number) else { return };
        account.cash += cash;
        account.unsettled += cash.max(Usd::ZERO);
        let applied = account.move_position(share, shares, strike, now, &mut self.next_position);
        if let Some(closed) = applied.closed {
            account.reports.closed(share, now, &closed);
        }
        account.reports.delivered(share, shares, strike, cash, now);
        self.record(TranscriptEvent::Delivered {
            account: number.to_owned(),
            series,
            quantity,
            shares,
            cash,
        });
    }

    /// Takes an expired position out at `value` per share, `cash` in all.
    fn close_expired(
        &mut self,
        number: &str,
        series: OccSymbol,
        quantity: i64,
        (value, cash): (Usd, Usd),
        worth: bool,
    ) {
        let now = self.now;
        let Some(account) = self.accounts.get_mut(number) else { return };
        let instrument = Instrument::Option(series);
        let each = value.times(CONTRACT_MULTIPLIER);
        let applied =
            account.move_position(instrument, quantity.saturating_neg(), each, now, &mut self.next_position);
        if let Some(closed) = applied.closed {
            account.reports.closed(instrument, now, &closed);
        }
        let ending = Ending::of(quantity, worth);
        account.reports.expired(&Expired { series, quantity, cash, ending, at: now });
    }

    /// What an account's options require, after its positions moved.
    pub(super) fn refresh_requirement(&mut self, number: &str) {
        let Some(account) = self.accounts.get(number) else { return };
        let required = self.option_requirement(account).unwrap_or(Usd::ZERO);
        if let Some(account) = self.accounts.get_mut(number) {
            account.required = required;
        }
    }
}
