//! What positions require: full widths of spreads, strikes of puts, shares against calls (TRADIER.md section 17.5).

use std::collections::BTreeMap;

use domain::money::{CONTRACT_MULTIPLIER, Usd};
use domain::symbol::{OccSymbol, Right, Underlying};
use jiff::civil::Date;

use super::instrument::Instrument;
use super::order::LOT;

/// What a short option without cover requires per share; `None` where none may be.
pub(super) type Naked<'a> = &'a dyn Fn(&OccSymbol) -> Option<Usd>;

#[derive(Default)]
struct Group {
    /// Contracts by series, by expiry, none of them zero.
    expiries: BTreeMap<Date, Vec<(OccSymbol, i64)>>,
    shares: i64,
}

/// The largest loss at expiry of the options in `holdings`, premiums not counted: the full width of a defined-risk
/// spread, one side of an iron condor, the strike of a put without a long one beside it. Later expiries cover earlier
/// ones, long shares cover calls. `None` when a loss has no bound, which is a call without cover where `naked` has no
/// requirement for it. Shares themselves require nothing here.
pub(super) fn requirement(
    holdings: impl Iterator<Item = (Instrument, i64)>,
    naked: Naked<'_>,
) -> Option<Usd> {
    let mut netted: BTreeMap<OccSymbol, i64> = BTreeMap::new();
    let mut groups: BTreeMap<Underlying, Group> = BTreeMap::new();
    let mut short = false;
    for (instrument, quantity) in holdings {
        match instrument {
            Instrument::Option(series) => {
                short |= quantity < 0;
                let held = netted.entry(series).or_default();
                *held = held.saturating_add(quantity);
            }
            Instrument::Share(share) => {
                let group = groups.entry(share).or_default();
                group.shares = group.shares.saturating_add(quantity);
            }
        }
    }
    if !short {
        return Some(Usd::ZERO);
    }
    for (series, quantity) in netted.into_iter().filter(|(_, quantity)| *quantity != 0) {
        let group = groups.entry(series.underlying()).or_default();
        group.expiries.entry(series.expiry).or_default().push((series, quantity));
    }
    let mut total = Usd::ZERO;
    for group in groups.values_mut() {
        total += group.requirement(naked)?;
    }
    Some(total)
}

impl Group {
    fn requirement(&mut self, naked: Naked<'_>) -> Option<Usd> {
        let mut total = Usd::ZERO;
        let dates: Vec<Date> = self.expiries.keys().copied().collect();
        for date in dates {
            for right in [Right::Call, Right::Put] {
                self.borrow(date, right);
            }
            let Some(legs) = self.expiries.get_mut(&date) else { continue };
            let lent = cover_calls(legs, self.shares.max(0) / i64::from(LOT));
            self.shares = self.shares.saturating_sub(lent.saturating_mul(i64::from(LOT)));
            total += bare(legs, naked)?;
            if legs.iter().any(|(_, quantity)| *quantity < 0) {
                let spots =
                    std::iter::once(0).chain(legs.iter().map(|(series, _)| i64::from(series.strike.0)));
                let worst = spots.map(|spot| payoff(legs, spot)).min().unwrap_or(0);
                // Strikes are in thousandths of a dollar: ten to the unit of Usd.
                let worst = worst.min(0).saturating_neg().saturating_mul(10);
                total += Usd::from_e4(worst).times(CONTRACT_MULTIPLIER);
            }
        }
        Some(total)
    }

    /// Puts long contracts of later expiries beside short ones of `date` that have none, the best strikes first.
    fn borrow(&mut self, date: Date, right: Right) {
        let net = |legs: &[(OccSymbol, i64)]| {
            let of_right = legs.iter().filter(|(series, _)| series.right == right);
            of_right.fold(0i64, |sum, (_, quantity)| sum.saturating_add(*quantity))
        };
        let mut missing = self.expiries.get(&date).map_or(0, |legs| net(legs).min(0).saturating_neg());
        let mut borrowed = Vec::new();
        for (_, legs) in self.expiries.iter_mut().filter(|(later, _)| **later > date) {
            let mut spare = net(legs).max(0).min(missing);
            let mut longs: Vec<&mut (OccSymbol, i64)> =
                legs.iter_mut().filter(|(series, quantity)| series.right == right && *quantity > 0).collect();
            longs.sort_by_key(|(series, _)| match right {
                Right::Call => i64::from(series.strike.0),
                Right::Put => i64::from(series.strike.0).saturating_neg(),
            });
            for (series, quantity) in longs {
                let taken = spare.min(*quantity);
                if taken > 0 {
                    borrowed.push((*series, taken));
                    *quantity = quantity.saturating_sub(taken);
                    spare = spare.saturating_sub(taken);
                    missing = missing.saturating_sub(taken);
                }
            }
        }
        if let Some(legs) = self.expiries.get_mut(&date) {
            legs.extend(borrowed);
        }
    }
}

/// Takes short calls without a long one beside them out of `legs`, the lowest strikes first, as far as `lots` of shares
/// go; tells how many lots were used.
fn cover_calls(legs: &mut [(OccSymbol, i64)], lots: i64) -> i64 {
    let uncovered = calls(legs).min(0).saturating_neg();
    let used = uncovered.min(lots);
    drop_calls(legs, used);
    used
}

/// The requirement of calls and puts that may stand without cover; a call that may not is the end of it, a put is then
/// secured by its strike. What was counted leaves `legs`.
fn bare(legs: &mut [(OccSymbol, i64)], naked: Naked<'_>) -> Option<Usd> {
    let mut total = Usd::ZERO;
    let mut missing = calls(legs).min(0).saturating_neg();
    for (series, quantity) in by_strike(legs).filter(|it| it.0.right == Right::Call && *it.1 < 0) {
        let count = missing.min(quantity.saturating_neg());
        if count > 0 {
            total += naked(series)?.times(CONTRACT_MULTIPLIER).times(count);
            *quantity = quantity.saturating_add(count);
            missing = missing.saturating_sub(count);
        }
    }
    let puts =
        legs.iter().filter(|it| it.0.right == Right::Put).fold(0i64, |sum, it| sum.saturating_add(it.1));
    let mut missing = puts.min(0).saturating_neg();
    for (series, quantity) in by_strike(legs).filter(|it| it.0.right == Right::Put && *it.1 < 0) {
        let count = missing.min(quantity.saturating_neg());
        let strike = Usd::from_e4(i64::from(series.strike.0).saturating_mul(10));
        if let Some(each) = naked(series).filter(|it| count > 0 && *it < strike) {
            total += each.times(CONTRACT_MULTIPLIER).times(count);
            *quantity = quantity.saturating_add(count);
            missing = missing.saturating_sub(count);
        }
    }
    Some(total)
}

fn calls(legs: &[(OccSymbol, i64)]) -> i64 {
    legs.iter().filter(|it| it.0.right == Right::Call).fold(0i64, |sum, it| sum.saturating_add(it.1))
}

fn drop_calls(legs: &mut [(OccSymbol, i64)], mut count: i64) {
    for (_, quantity) in by_strike(legs).filter(|it| it.0.right == Right::Call && *it.1 < 0) {
        let gone = count.min(quantity.saturating_neg());
        *quantity = quantity.saturating_add(gone);
        count = count.saturating_sub(gone);
    }
}

fn by_strike(legs: &mut [(OccSymbol, i64)]) -> impl Iterator<Item = (&OccSymbol, &mut i64)> {
    let mut sorted: Vec<&mut (OccSymbol, i64)> = legs.iter_mut().collect();
    sorted.sort_by_key(|(series, _)| series.strike);
    sorted.into_iter().map(|(series, quantity)| (&*series, quantity))
}

/// Worth at `spot` per share of the underlying, in thousandths of a dollar.
fn payoff(group: &[(OccSymbol, i64)], spot: i64) -> i64 {
    let one = |(series, quantity): &(OccSymbol, i64)| {
        let above = spot.saturating_sub(i64::from(series.strike.0));
        let worth = match series.right {
            Right::Call => above.max(0),
            Right::Put => above.saturating_neg().max(0),
        };
        worth.saturating_mul(*quantity)
    };
    group.iter().map(one).fold(0, i64::saturating_add)
}

/// Whether every short contract of one underlying and expiry has a long one of the same right, or shares for a call,
/// beside it.
pub(super) fn covered(group: &[(OccSymbol, i64)], shares: i64) -> bool {
    [Right::Call, Right::Put].into_iter().all(|right| {
        let net = group.iter().filter(|(series, _)| series.right == right).map(|(_, quantity)| *quantity);
        let lots = match right {
            Right::Call => shares.max(0) / i64::from(LOT),
            Right::Put => shares.min(0).saturating_neg() / i64::from(LOT),
        };
        net.fold(lots, i64::saturating_add) >= 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(list: &[(&str, i64)]) -> Option<Usd> {
        let parse = |text: &str| Instrument::try_from(text.to_owned()).unwrap();
        requirement(list.iter().map(|(symbol, quantity)| (parse(symbol), *quantity)), &|_| None)
    }

    const VERTICAL: [(&str, i64); 2] = [("SPXW261120P05600000", -2), ("SPXW261120P05595000", 2)];

    #[test]
    fn a_vertical_requires_its_full_width_and_a_condor_one_side() {
        assert_eq!(needs(&VERTICAL), Some(Usd::from_dollars(1_000)));
        let condor = [&VERTICAL[..], &[("SPXW261120C05700000", -2), ("SPXW261120C05705000", 2)]].concat();
        assert_eq!(needs(&condor), Some(Usd::from_dollars(1_000)));
    }

    #[test]
    fn a_call_without_a_long_one_has_no_bound_and_a_put_its_strike() {
        assert_eq!(needs(&[("SPXW261120C05700000", -1), ("SPXW261120P05600000", 1)]), None);
        assert_eq!(needs(&[("SPXW261120C05700000", 3)]), Some(Usd::ZERO));
        assert_eq!(needs(&[("SPY261120P00550000", -2)]), Some(Usd::from_dollars(110_000)));
    }

    #[test]
    fn shares_cover_calls_by_the_hundred() {
        assert_eq!(needs(&[("SPY", 200), ("SPY261120C00570000", -2)]), Some(Usd::ZERO));
        assert_eq!(needs(&[("SPY", 199), ("SPY261120C00570000", -2)]), None);
        assert_eq!(needs(&[("SPY", -200), ("SPY261120C00570000", -2)]), None);
    }

    #[test]
    fn a_later_expiry_covers_an_earlier_one_and_not_the_other_way_round() {
        let calendar = [("SPY261120C00570000", -1), ("SPY261218C00570000", 1)];
        assert_eq!(needs(&calendar), Some(Usd::ZERO));
        assert_eq!(
            needs(&[("SPY261120C00570000", -1), ("SPY261218C00575000", 1)]),
            Some(Usd::from_dollars(500))
        );
        assert_eq!(needs(&[("SPY261218C00570000", -1), ("SPY261120C00570000", 1)]), None);
    }

    #[test]
    fn naked_contracts_require_what_the_rule_says_and_spreads_beside_them_their_width() {
        let parse = |text: &str| Instrument::try_from(text.to_owned()).unwrap();
        let naked: Naked<'_> = &|_| Some(Usd::from_dollars(90));
        let list = [("SPXW261120C05700000", -3), ("SPXW261120C05705000", 2)];
        let held = list.iter().map(|(symbol, quantity)| (parse(symbol), *quantity));
        assert_eq!(requirement(held, naked), Some(Usd::from_dollars(9_000 + 1_000)));
    }
}
