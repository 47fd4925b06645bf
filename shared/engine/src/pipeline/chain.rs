//! The chain as selection reads it: expirations that still trade, and the strikes of one with their volatilities.

use domain::calendar::{DayKind, day_kind, last_trade};
use domain::chain::ChainRow;
use domain::money::{Price, TickGrid};
use domain::symbol::{OccSymbol, Right, Root, Strike, Underlying};
use domain::time::UtcNanos;
use jiff::civil::Date;

use super::snapshot::Rates;
use crate::pricing::elementary::exp;
use crate::pricing::{Inputs, greeks, implied_vol, settlement_instant, years_between};

/// Volatilities outside of these are a wrong quote's, not the market's.
const VOLS: std::ops::RangeInclusive<f64> = 0.01..=5.0;

/// The rows of one root and expiration, by right and strike.
#[derive(Debug, Clone)]
pub(super) struct Expiration<'a> {
    pub(super) root: Root,
    pub(super) expiry: Date,
    /// Calendar days from today.
    pub(super) dte: i64,
    /// Sessions after today's up to the expiration's.
    pub(super) sessions: usize,
    pub(super) years: f64,
    calls: Vec<&'a ChainRow>,
    puts: Vec<&'a ChainRow>,
}

/// Expirations of `underlying` that still trade at `now`, sorted by date and root. Rows of other underlyings, of expired
/// series and of roots with another deliverable are left out; of a series listed twice the first row counts.
pub(super) fn expirations<'a>(
    rows: &'a [ChainRow],
    underlying: Underlying,
    now: UtcNanos,
) -> Vec<Expiration<'a>> {
    let mut sorted: Vec<&ChainRow> = rows.iter().collect();
    if !sorted.is_sorted_by_key(|it| it.series) {
        sorted.sort_by_key(|it| it.series);
    }
    let same =
        |a: &&ChainRow, b: &&ChainRow| (a.series.root, a.series.expiry) == (b.series.root, b.series.expiry);
    let mut all: Vec<Expiration<'a>> =
        sorted.chunk_by(same).filter_map(|rows| expiration(rows, underlying, now)).collect();
    all.sort_by_key(|it| (it.expiry, it.root));
    all
}

fn expiration<'a>(rows: &[&'a ChainRow], underlying: Underlying, now: UtcNanos) -> Option<Expiration<'a>> {
    let first = rows.first()?.series;
    let trades = first.underlying() == underlying && last_trade(&first).is_ok_and(|it| now < it);
    if !trades {
        return None;
    }
    let today = now.new_york_date();
    let of = |right: Right| {
        let mut of: Vec<&ChainRow> = rows.iter().filter(|it| it.series.right == right).copied().collect();
        of.dedup_by_key(|it| it.series);
        of
    };
    Some(Expiration {
        root: first.root,
        expiry: first.expiry,
        dte: i64::from((first.expiry - today).get_days()),
        sessions: sessions_between(today, first.expiry),
        years: years_between(now, settlement_instant(&first).ok()?),
        calls: of(Right::Call),
        puts: of(Right::Put),
    })
}

/// Sessions after `today`, up to and with `expiry`.
fn sessions_between(today: Date, expiry: Date) -> usize {
    let days = today.series(jiff::Span::new().days(1)).skip(1).take_while(|it| *it <= expiry);
    days.filter(|it| day_kind(*it).is_ok_and(|it| it != DayKind::Closed)).count()
}

impl<'a> Expiration<'a> {
    /// Rows of the `n` strikes nearest to `spot` on the side where they are out of the money, puts below and calls above.
    pub(super) fn near_the_money(&self, spot: f64, n: usize) -> impl Iterator<Item = &'a ChainRow> {
        let at = |rows: &[&'a ChainRow]| rows.partition_point(|it| it.series.strike.points() < spot);
        let (puts, calls) = (at(&self.puts), at(&self.calls));
        let below = self.puts.iter().take(puts).rev().take(n).copied().collect::<Vec<_>>();
        let above = self.calls.iter().skip(calls).take(n).copied().collect::<Vec<_>>();
        below.into_iter().chain(above)
    }

    /// Its strikes with volatilities and deltas, around the value of the underlying that puts and calls agree on.
    pub(super) fn smile(&self, spot: f64, rates: Rates) -> Smile<'a> {
        let base =
            Inputs { spot, strike: spot, years: self.years, rate: rates.rate, div: rates.div, vol: 0.0 };
        let strikes = self.strikes();
        let base = Inputs { spot: implied_spot(&strikes, &base), ..base };
        let forward = base.spot * exp((rates.rate - rates.div) * self.years);
        let lines = strikes.into_iter().map(|it| Line::of(it, &base, forward)).collect();
        Smile { base, forward, lines }
    }

    /// Its strikes, rising, with the call and the put of each.
    fn strikes(&self) -> Vec<Listed<'a>> {
        let mut all = Vec::with_capacity(self.calls.len().max(self.puts.len()));
        let (mut calls, mut puts) = (self.calls.iter().peekable(), self.puts.iter().peekable());
        loop {
            let strikes = [calls.peek(), puts.peek()].map(|it| it.map(|row| row.series.strike));
            let Some(strike) = strikes.into_iter().flatten().min() else { break };
            let call = calls.next_if(|it| it.series.strike == strike).copied();
            let put = puts.next_if(|it| it.series.strike == strike).copied();
            all.push(Listed { strike, call, put });
        }
        all
    }
}

/// The call and the put of one strike.
#[derive(Debug, Clone, Copy)]
struct Listed<'a> {
    strike: Strike,
    call: Option<&'a ChainRow>,
    put: Option<&'a ChainRow>,
}

/// Strikes nearest to the money that tell the underlying's value.
const PARITY_STRIKES: usize = 5;
/// A value further off than this is a wrong quote's.
const PARITY_OFF_MAX: f64 = 0.01;

/// The underlying's value by put-call parity, S e^(-qT) = C - P + K e^(-rT), the median of the strikes nearest to the
/// money: options are quoted on what their makers see, which is seldom the last print, and on dividends that they know
/// better. Where parity says nothing of use, the value that was given.
fn implied_spot(strikes: &[Listed<'_>], base: &Inputs) -> f64 {
    let (discount, carry) = (exp(-base.rate * base.years), exp(-base.div * base.years));
    let at = strikes.partition_point(|it| it.strike.points() < base.spot);
    let from = at.saturating_sub(PARITY_STRIKES / 2 + 1);
    let parity = |it: &Listed<'_>| {
        let (call, put) = (it.call?.quote.mid()?, it.put?.quote.mid()?);
        Some((call - put + it.strike.points() * discount) / carry)
    };
    let mut told: Vec<f64> = strikes.iter().skip(from).take(PARITY_STRIKES).filter_map(parity).collect();
    told.sort_by(f64::total_cmp);
    let told = told.get(told.len() / 2).copied();
    told.filter(|it| (it / base.spot - 1.0).abs() <= PARITY_OFF_MAX).unwrap_or(base.spot)
}

/// One strike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) strike: Strike,
    pub(super) call: Option<&'a ChainRow>,
    pub(super) put: Option<&'a ChainRow>,
    /// Of the side that is out of the money.
    pub(super) vol: Option<f64>,
    /// The call's delta at that volatility.
    call_delta: Option<f64>,
}

impl<'a> Line<'a> {
    fn of(Listed { strike, call, put }: Listed<'a>, base: &Inputs, forward: f64) -> Self {
        let inputs = Inputs { strike: strike.points(), ..*base };
        let (right, row) = if inputs.strike < forward { (Right::Put, put) } else { (Right::Call, call) };
        let mid = row.and_then(|it| it.quote.mid());
        let vol = mid.and_then(|it| implied_vol(right, it, &inputs).ok()).filter(|it| VOLS.contains(it));
        let call_delta = vol.map(|vol| greeks(Right::Call, &Inputs { vol, ..inputs }).delta);
        Self { strike, call, put, vol, call_delta }
    }

    /// The series of a right.
    pub(super) const fn row(&self, right: Right) -> Option<&'a ChainRow> {
        match right {
            Right::Call => self.call,
            Right::Put => self.put,
        }
    }

    /// Delta of a right, signed.
    pub(super) fn delta(&self, right: Right, carry: f64) -> Option<f64> {
        match right {
            Right::Call => self.call_delta,
            Right::Put => self.call_delta.map(|it| it - carry),
        }
    }
}

/// The strikes of one expiration, rising.
#[derive(Debug, Clone)]
pub(super) struct Smile<'a> {
    /// What every series of it is priced from, but for strike and volatility.
    pub(super) base: Inputs,
    pub(super) forward: f64,
    pub(super) lines: Vec<Line<'a>>,
}

impl<'a> Smile<'a> {
    /// e^(-qT): what a call's and a put's delta differ by.
    pub(super) fn carry(&self) -> f64 {
        exp(-self.base.div * self.base.years)
    }

    /// The volatility of the strike nearest to the forward.
    pub(super) fn at_the_money(&self) -> Option<f64> {
        let away = |it: &Line<'_>| (it.strike.points() - self.forward).abs();
        let known = self.lines.iter().filter(|it| it.vol.is_some());
        known.min_by(|a, b| away(a).total_cmp(&away(b))).and_then(|it| it.vol)
    }

    /// The strike whose `right` is nearest to `target`, without its sign, among those that `may` be used.
    pub(super) fn by_delta(
        &self,
        right: Right,
        target: f64,
        may: impl Fn(&Line<'a>) -> bool,
    ) -> Option<usize> {
        let carry = self.carry();
        let miss = |it: &Line<'_>| it.delta(right, carry).map(|delta| (delta.abs() - target).abs());
        let all = self.lines.iter().enumerate().filter(|(_, it)| may(it));
        let missed = all.filter_map(|(at, it)| miss(it).map(|miss| (at, miss)));
        missed.min_by(|a, b| a.1.total_cmp(&b.1)).map(|it| it.0)
    }

    /// The strike nearest to `points` among those that `may` be used.
    pub(super) fn nearest(&self, points: f64, may: impl Fn(&Line<'a>) -> bool) -> Option<usize> {
        let away = |it: &Line<'_>| (it.strike.points() - points).abs();
        let all = self.lines.iter().enumerate().filter(|(_, it)| may(it));
        all.min_by(|a, b| away(a.1).total_cmp(&away(b.1))).map(|it| it.0)
    }

    /// The volatility between the neighbours of a strike, itself left out; `None` at the end of the chain.
    pub(super) fn between_neighbours(&self, strike: Strike) -> Option<f64> {
        let at = self.lines.partition_point(|it| it.strike < strike);
        let known = |it: &&Line<'_>| it.vol.is_some() && it.strike != strike;
        let below = self.lines.get(..at)?.iter().rev().find(known)?;
        let above = self.lines.get(at..)?.iter().find(known)?;
        let (low, high) = (below.strike.points(), above.strike.points());
        let part = (strike.points() - low) / (high - low);
        Some(below.vol? * (1.0 - part) + above.vol? * part)
    }

    /// The line of a strike.
    pub(super) fn line(&self, strike: Strike) -> Option<&Line<'a>> {
        let at = self.lines.binary_search_by_key(&strike, |it| it.strike).ok()?;
        self.lines.get(at)
    }
}

/// Ask less bid of a two-sided quote in dollars, and what two ticks there are.
pub(super) fn width(row: &ChainRow, ticks: u16, day: Date) -> Option<(f64, f64)> {
    let (bid, ask) = row.quote.two_sided()?;
    Some((ask.to_f64() - bid.to_f64(), ticks_at(&row.series, ask, ticks, day)))
}

/// So many ticks up to `price`, in dollars.
fn ticks_at(series: &OccSymbol, price: Price, ticks: u16, day: Date) -> f64 {
    let grid = TickGrid::single_leg(&series.root, day);
    let below = grid.step_by(price, -i32::from(ticks));
    price.to_f64() - below.to_f64()
}
