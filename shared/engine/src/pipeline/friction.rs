//! What a structure costs beside its price, as of the date: commissions, exchange and regulatory fees, and the slippage
//! of its exit. The entry's slippage is in the price already.

use domain::fees::FeeSchedule;
use domain::money::{CONTRACT_MULTIPLIER, Price, Usd};
use domain::symbol::{Root, Underlying};
use jiff::civil::Date;

/// The commission of a broker whose own is not known.
const COMMISSION: Usd = Usd::from_cents(65);
/// The exchange charges the higher fee from this premium on.
const TIER_FROM: Price = Price::from_cents(100);

/// A broker's commission for a contract, as of the date.
pub(super) fn commission(broker: &str, day: Date) -> Usd {
    if broker.eq_ignore_ascii_case("tradier") { FeeSchedule::as_of(day).commission } else { COMMISSION }
}

/// Exchange and regulatory fees of a contract traded at `premium`, below 1.00 and from it. Source: Cboe fee schedule, SPX
/// customer tiers with the surcharge of each root; one row so far.
fn exchange(root: &Root, premium: Price, _day: Date) -> Usd {
    let (low, high) = match root.underlying() {
        Underlying::SPX if *root == Root::SPXW => (49, 58),
        Underlying::SPX => (57, 66),
        _ => (5, 5),
    };
    Usd::from_cents(if premium < TIER_FROM { low } else { high })
}

/// One leg to charge for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Charged {
    pub(super) root: Root,
    /// Premium at mid, rounded down to a cent.
    pub(super) premium: Price,
    /// Half of the quote's width in dollars.
    pub(super) half: f64,
    /// Contracts in a unit.
    pub(super) ratio: u32,
}

/// How a structure ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// Left to expire: no commission, no slippage.
    pub(super) is_held: bool,
    /// What the exit gives away, as a part of half the quotes' width.
    pub(super) slippage: f64,
}

/// What one unit costs to open and to end.
pub(super) fn per_unit(legs: &[Charged], broker: &str, ending: Ending, day: Date) -> Usd {
    let sides = if ending.is_held { 1 } else { 2 };
    let commission = commission(broker, day);
    let charges: Usd = legs
        .iter()
        .map(|it| (commission + exchange(&it.root, it.premium, day)).times(i64::from(it.ratio)).times(sides))
        .sum();
    if ending.is_held {
        return charges;
    }
    let half: f64 = legs.iter().map(|it| it.half * f64::from(it.ratio)).sum();
    // Up to the next 1/10,000 dollar: what is paid is never rounded away.
    let slipped = (half * ending.slippage * CONTRACT_MULTIPLIER as f64 * 10_000.0 - 1e-6).ceil();
    charges + Usd::from_e4(slipped.max(0.0) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const DAY: Date = date(2026, 11, 20);

    fn charged(root: &str, cents: u32) -> Charged {
        Charged { root: root.parse().unwrap(), premium: Price::from_cents(cents), half: 0.05, ratio: 1 }
    }

    #[test]
    fn fees_are_by_root_and_tier_both_ways_and_commissions_by_broker() {
        let none = Ending { is_held: false, slippage: 0.0 };
        for (root, cents, broker, e4) in [
            ("SPXW", 99, "tradier", 2 * (3_500 + 4_900)),
            ("SPXW", 100, "tradier", 2 * (3_500 + 5_800)),
            ("SPX", 99, "tradier", 2 * (3_500 + 5_700)),
            ("SPX", 100, "Tradier", 2 * (3_500 + 6_600)),
            ("SPY", 500, "tradier", 2 * (3_500 + 500)),
            ("AAPL", 50, "another", 2 * (6_500 + 500)),
        ] {
            let fees = per_unit(&[charged(root, cents)], broker, none, DAY);
            assert_eq!(fees, Usd::from_e4(e4), "{root} at {cents} with {broker}");
        }
    }

    #[test]
    fn expiry_pays_one_side_and_no_slippage() {
        let held = Ending { is_held: true, slippage: 1.0 };
        let fees = per_unit(&[charged("SPXW", 50)], "tradier", held, DAY);
        assert_eq!(fees, Usd::from_e4(3_500 + 4_900));
    }

    #[test]
    fn slippage_of_the_exit_is_a_part_of_half_the_width_of_every_contract() {
        let all = Ending { is_held: false, slippage: 0.5 };
        let none = Ending { slippage: 0.0, ..all };
        let leg = Charged { ratio: 2, ..charged("SPY", 50) };
        let slipped = per_unit(&[leg], "tradier", all, DAY) - per_unit(&[leg], "tradier", none, DAY);
        assert_eq!(slipped, Usd::from_cents(500), "2 x 0.05 x 0.5 x 100");
    }
}
