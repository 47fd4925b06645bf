//! What the account holds: cash and shares behind a single leg, legs that would net (F3), and the book after the trade
//! (G4).

use domain::money::{CONTRACT_MULTIPLIER, Usd};
use domain::symbol::Right;
use domain::ticket::LegSide;

use super::Asked;
use super::bound::{Bound, Value};
use super::check::Check;
use super::reading::Reading;
use super::reason::Reason;
use super::strategy::Kind;
use super::structure::Candidate;

/// A short put is secured by cash, a short call by shares.
pub(super) fn cover(asked: &Asked<'_>, it: &Candidate<'_>) -> Vec<Check> {
    let contracts = i64::from(it.units.max(1));
    let shares = contracts.saturating_mul(CONTRACT_MULTIPLIER);
    match asked.kind {
        Kind::CashSecuredPut | Kind::Wheel => {
            let exercised = it.legs.iter().filter(|it| it.leg.series.right == Right::Put);
            let strikes = exercised.map(|it| Usd::from_e4(i64::from(it.leg.series.strike.0) * 10));
            let needed = strikes.fold(Usd::ZERO, |sum, it| sum + it).times(shares);
            let left = asked.portfolio.cash.and_then(|it| Value::number((it - needed).to_f64()));
            let bound = Bound::AtLeast(0.0);
            vec![Check::of(Reading::Cash, left, bound, Reason::CashShort, Reason::CashMissing)]
        }
        Kind::CoveredCall => {
            let free = asked.portfolio.shares.map(|it| i64::from(it.free).saturating_sub(shares));
            let bound = Bound::AtLeast(0.0);
            let free = free.and_then(Value::count);
            vec![Check::of(Reading::FreeShares, free, bound, Reason::SharesShort, Reason::SharesMissing)]
        }
        Kind::IronCondor
        | Kind::CreditPutSpread
        | Kind::CreditCallSpread
        | Kind::IronButterfly
        | Kind::Butterfly => Vec::new(),
    }
}

/// Legs that are opposite in sign to an open leg of the same series at the same broker.
pub(super) fn opposed(asked: &Asked<'_>, it: &Candidate<'_>) -> usize {
    let open = |series| {
        let all = asked.portfolio.open_legs.iter();
        let here = all.filter(|it| it.broker.eq_ignore_ascii_case(&asked.portfolio.broker));
        here.filter(move |it| it.series == series).map(|it| it.quantity.signum())
    };
    let opposes = |side: LegSide, series| open(series).any(|it| it == -side.side().sign());
    it.legs.iter().filter(|it| opposes(it.leg.side, it.leg.series)).count()
}

/// Stage F3.
pub(super) fn collision(asked: &Asked<'_>, it: Option<&Candidate<'_>>) -> Vec<Check> {
    let reading = Reading::OpposedLegs;
    let Some(it) = it else { return vec![Check::skipped(reading, Reason::NoStructure)] };
    let opposed = Value::count(i64::try_from(opposed(asked, it)).unwrap_or(i64::MAX));
    vec![Check::of(reading, opposed, Bound::AtMost(0.0), Reason::LegCollision, Reason::LegCollision)]
}

/// Stage G4: the trade is added to the book, and the result compared with the caps.
pub(super) fn risk(asked: &Asked<'_>, it: Option<&Candidate<'_>>) -> Vec<Check> {
    let mut checks = vec![positions(asked)];
    let Some(it) = it else {
        checks.push(Check::skipped(Reading::TradeLoss, Reason::NoStructure));
        return checks;
    };
    checks.extend(counts(asked, it));
    checks.extend(losses(asked, it));
    checks.extend(greeks(asked, it));
    checks
}

/// A count with one more, against its cap.
fn one_more(reading: Reading, open: usize, cap: u32, full: Reason) -> Check {
    let count = Value::count(i64::try_from(open).unwrap_or(i64::MAX).saturating_add(1));
    Check::of(reading, count, Bound::AtMost(f64::from(cap)), full, full)
}

fn positions(asked: &Asked<'_>) -> Check {
    let own = asked.portfolio.positions.iter().filter(|it| it.strategy == asked.set.name).count();
    one_more(Reading::StrategyPositions, own, asked.set.max_positions, Reason::PositionsFull)
}

fn counts(asked: &Asked<'_>, it: &Candidate<'_>) -> Vec<Check> {
    let (caps, all) = (&asked.portfolio.caps, &asked.portfolio.positions);
    let mut checks = Vec::new();
    let ours = |it: &&super::portfolio::OpenPosition| it.underlying == asked.set.underlying;
    if let Some(cap) = caps.per_underlying {
        let open = all.iter().filter(ours).count();
        checks.push(one_more(Reading::UnderlyingPositions, open, cap, Reason::UnderlyingFull));
    }
    if let Some(cap) = caps.max_condors_per_expiry.filter(|_| asked.kind.is_condor()) {
        let condors = all.iter().filter(ours).filter(|it| it.kind.is_condor());
        let open = condors.filter(|open| open.expiry == it.expiry).count();
        checks.push(one_more(Reading::ExpiryPositions, open, cap, Reason::ExpiryFull));
    }
    checks
}

fn losses(asked: &Asked<'_>, it: &Candidate<'_>) -> Vec<Check> {
    let caps = &asked.portfolio.caps;
    let loss = it.numbers.max_loss + it.numbers.friction;
    let mut checks = Vec::new();
    if let Some(cap) = caps.per_trade_loss {
        let (loss, bound) = (Value::number(loss.to_f64()), Bound::AtMost(cap.to_f64()));
        checks.push(Check::of(Reading::TradeLoss, loss, bound, Reason::LossTooLarge, Reason::LossTooLarge));
    }
    if let Some(cap) = caps.daily_loss {
        let after = asked.portfolio.day_loss.and_then(|it| Value::number((it + loss).to_f64()));
        let bound = Bound::AtMost(cap.to_f64());
        checks.push(Check::of(Reading::DayLoss, after, bound, Reason::DayLoss, Reason::BookMissing));
    }
    checks
}

fn greeks(asked: &Asked<'_>, it: &Candidate<'_>) -> Vec<Check> {
    let (caps, book) = (&asked.portfolio.caps, asked.portfolio.book);
    // Vega of different expirations adds up as of 30 days: volatility moves with the root of time.
    let scale = (30.0 / it.dte.max(1) as f64).sqrt();
    let all = [
        (Reading::BookDelta, caps.delta, it.numbers.delta, book.map(|it| it.delta), Reason::DeltaCap),
        (Reading::BookGamma, caps.gamma, it.numbers.gamma, book.map(|it| it.gamma), Reason::GammaCap),
        (
            Reading::BookVega,
            caps.vega,
            it.numbers.vega.map(|it| it * scale),
            book.map(|it| it.vega),
            Reason::VegaCap,
        ),
    ];
    let asked = all.into_iter().filter_map(|(reading, cap, own, book, over)| {
        let after = own.zip(book).and_then(|(own, book)| Value::number((own + book).abs()));
        Some(Check::of(reading, after, Bound::AtMost(cap?), over, Reason::BookMissing))
    });
    asked.collect()
}
