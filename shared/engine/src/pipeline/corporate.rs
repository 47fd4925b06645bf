//! Stages G1 and G2: earnings and ex-dividend dates. "None known" and "not known" are different: sellers of credit wait
//! for the first.

use domain::symbol::Right;
use jiff::civil::Date;

use super::Asked;
use super::bound::{Bound, Value};
use super::check::Check;
use super::reading::Reading;
use super::reason::Reason;
use super::snapshot::Known;
use super::strategy::Kind;
use super::structure::{Candidate, has_short};

/// Until when a structure lives: the chosen one, or any of the expiration that stands for the chain.
fn dte(asked: &Asked<'_>, it: Option<&Candidate<'_>>) -> Option<i64> {
    it.map(|it| it.dte).or_else(|| asked.nearest_dte())
}

/// Whether the source knows; an index has none and passes.
fn known<T>(asked: &Asked<'_>, reading: Reading, facts: &Known<T>) -> Check {
    if asked.set.underlying.is_index() {
        let bound = Bound::is("index", "share");
        return Check::of(
            reading,
            Value::word("index"),
            bound,
            Reason::CorporateMissing,
            Reason::IndexHasNone,
        );
    }
    let word = match facts {
        _ if !asked.kind.sells_credit() => return Check::skipped(reading, Reason::NotASeller),
        Known::Known(_) => "known",
        Known::KnownNone => "none",
        Known::Unavailable => "unavailable",
    };
    let word = Value::word(word).filter(|it| Value::word("unavailable").as_ref() != Some(it));
    let bound = Bound::is_not("unavailable", "none");
    Check::of(reading, word, bound, Reason::CorporateMissing, Reason::CorporateMissing)
}

fn days_to(asked: &Asked<'_>, dates: impl Iterator<Item = Date>) -> Option<i64> {
    let days = dates.filter(|it| *it >= asked.today).map(|it| i64::from((it - asked.today).get_days()));
    days.min()
}

/// Stage G1.
pub(super) fn earnings(asked: &Asked<'_>, it: Option<&Candidate<'_>>) -> Vec<Check> {
    let facts = &asked.facts.earnings;
    let mut checks = vec![known(asked, Reading::Earnings, facts)];
    let Known::Known(dates) = facts else { return checks };
    let next = days_to(asked, dates.iter().copied());
    let Some((next, dte)) = next.zip(dte(asked, it)) else { return checks };
    if asked.set.underlying.is_index() {
        return checks;
    }
    let last = dte.saturating_add(i64::from(asked.set.entry.earnings_days));
    checks.push(Check::of(
        Reading::DaysToEarnings,
        Value::count(next),
        Bound::Above(last as f64),
        Reason::EarningsInside,
        Reason::CorporateMissing,
    ));
    checks
}

/// Whether a call is short: in the structure, or in what the strategy would choose.
fn shorts_a_call(asked: &Asked<'_>, it: Option<&Candidate<'_>>) -> bool {
    if let Some(it) = it {
        return has_short(&it.legs, Right::Call);
    }
    match asked.kind {
        Kind::IronCondor | Kind::CreditCallSpread | Kind::IronButterfly | Kind::CoveredCall => true,
        Kind::Butterfly => asked.set.entry.butterfly_right == Right::Call,
        Kind::CreditPutSpread | Kind::CashSecuredPut | Kind::Wheel => false,
    }
}

/// Stage G2.
pub(super) fn dividends(asked: &Asked<'_>, it: Option<&Candidate<'_>>) -> Vec<Check> {
    let facts = &asked.facts.dividends;
    if !asked.set.underlying.is_index() && !shorts_a_call(asked, it) {
        return vec![Check::skipped(Reading::Dividends, Reason::NoShortCall)];
    }
    let mut checks = vec![known(asked, Reading::Dividends, facts)];
    let Known::Known(all) = facts else { return checks };
    let next = days_to(asked, all.iter().map(|it| it.ex_date));
    let Some((next, dte)) = next.zip(dte(asked, it)) else { return checks };
    if asked.set.underlying.is_index() {
        return checks;
    }
    // An ex-date after the expiration is nobody's reason to exercise.
    let last = dte.min(i64::from(asked.set.entry.ex_dividend_days));
    checks.push(Check::of(
        Reading::DaysToExDividend,
        Value::count(next),
        Bound::Above(last as f64),
        Reason::ExDividendNear,
        Reason::CorporateMissing,
    ));
    checks
}
