use super::*;
use crate::money::Price;
use proptest::prelude::*;

fn leg(symbol: &str, side: LegSide, ratio: u32) -> ComboLeg {
    ComboLeg { series: format!("SPXW261120{symbol}").parse().unwrap(), side, ratio }
}

fn held(symbol: &str, quantity: i64) -> HeldLeg {
    HeldLeg { series: format!("SPXW261120{symbol}").parse().unwrap(), quantity }
}

use LegSide::{BuyToClose as BTC, BuyToOpen as BTO, SellToClose as STC, SellToOpen as STO};

const P50: &str = "P05550000";
const P60: &str = "P05560000";
const P70: &str = "P05570000";
const C50: &str = "C05650000";
const C60: &str = "C05660000";

#[test]
fn the_loss_of_every_structure_is_its_payoff_at_the_worst_price() {
    let credit = |cents| Net::credit(Price::from_cents(cents));
    let debit = |cents| Net::debit(Price::from_cents(cents));
    for (what, legs, net, dollars) in [
        ("put credit spread", vec![leg(P60, STO, 1), leg(P50, BTO, 1)], credit(150), 850),
        ("call debit spread", vec![leg(C50, BTO, 1), leg(C60, STO, 1)], debit(300), 300),
        ("butterfly", vec![leg(P50, BTO, 1), leg(P60, STO, 2), leg(P70, BTO, 1)], debit(160), 160),
        (
            "iron condor",
            vec![leg(P50, BTO, 1), leg(P60, STO, 1), leg(C50, STO, 1), leg(C60, BTO, 1)],
            credit(250),
            750,
        ),
        ("strangle bought", vec![leg(P50, BTO, 1), leg(C60, BTO, 1)], debit(420), 420),
        ("back spread for nothing", vec![leg(C50, STO, 1), leg(C60, BTO, 2)], Net::EVEN, 1_000),
    ] {
        let found = BoundedRisk::check(&legs, net).map(|it| it.max_loss());
        assert_eq!(found, Ok(Usd::from_dollars(dollars)), "{what}");
    }
}

#[test]
fn what_has_no_bound_or_no_sense_is_refused() {
    let net = Net::credit(Price::from_cents(150));
    let other_day = ComboLeg { series: "SPXW261123P05550000".parse().unwrap(), side: BTO, ratio: 1 };
    let other_root = ComboLeg { series: "SPX261120P05550000".parse().unwrap(), side: BTO, ratio: 1 };
    let naked = |right, short, long| ComboRefused::Naked { right, short, long };
    for (what, legs, want) in [
        ("one leg", vec![leg(P60, STO, 1)], ComboRefused::Legs(1)),
        ("five legs", vec![leg(P50, BTO, 1); 5], ComboRefused::Legs(5)),
        ("a ratio spread", vec![leg(C50, BTO, 1), leg(C60, STO, 2)], naked(Right::Call, 2, 1)),
        ("a short strangle", vec![leg(P50, STO, 1), leg(C60, STO, 1)], naked(Right::Call, 1, 0)),
        ("a put under a call", vec![leg(P50, STO, 1), leg(C60, BTO, 1)], naked(Right::Put, 1, 0)),
        ("a calendar", vec![leg(P60, STO, 1), other_day], ComboRefused::Series),
        ("two settlements", vec![leg(P60, STO, 1), other_root], ComboRefused::Series),
        (
            "one series twice",
            vec![leg(P60, STO, 1), leg(P60, BTO, 1)],
            ComboRefused::Twice(leg(P60, STO, 1).series),
        ),
        ("opening and closing", vec![leg(P60, STO, 1), leg(P50, STC, 1)], ComboRefused::Mixed),
        ("not the smallest unit", vec![leg(P60, STO, 2), leg(P50, BTO, 2)], ComboRefused::Ratios),
        ("a leg of nothing", vec![leg(P60, STO, 1), leg(P50, BTO, 0)], ComboRefused::Ratios),
    ] {
        assert_eq!(BoundedRisk::check(&legs, net).unwrap_err(), want, "{what}");
    }
}

#[test]
fn a_price_with_the_wrong_sign_is_refused_before_the_broker_sees_it() {
    let spread = [leg(P60, STO, 1), leg(P50, BTO, 1)];
    let debit = Net::debit(Price::from_cents(150));
    // Paying for what should pay us cannot gain; being paid more than the width cannot lose.
    assert_eq!(BoundedRisk::check(&spread, debit).unwrap_err(), ComboRefused::CannotGain(debit));
    let wide = Net::credit(Price::from_cents(1_000));
    assert_eq!(BoundedRisk::check(&spread, wide).unwrap_err(), ComboRefused::CannotLose(wide));
}

#[test]
fn a_close_takes_what_is_held_and_uncovers_nothing() {
    let all = [held(P50, 3), held(P60, -2), held(C50, 1)];
    let check = |legs: &[ComboLeg], units| CoveredClose::check(legs, units, &all).map(|it| it.units());
    assert_eq!(check(&[leg(P60, BTC, 1), leg(P50, STC, 1)], 2), Ok(2));
    assert!(matches!(
        check(&[leg(P60, BTC, 1), leg(P50, STC, 1)], 3),
        Err(ComboRefused::MoreThanHeld { asked: 3, held: 2, .. })
    ));
    // Selling a long is not how a short ends, and a series that is not held is not closed.
    assert!(matches!(
        check(&[leg(P60, STC, 1), leg(P50, STC, 1)], 1),
        Err(ComboRefused::MoreThanHeld { held: 0, .. })
    ));
    assert!(matches!(
        check(&[leg(P70, BTC, 1), leg(P50, STC, 1)], 1),
        Err(ComboRefused::MoreThanHeld { held: 0, .. })
    ));
    // Two longs and a call away leave one long against two shorts.
    assert_eq!(check(&[leg(P50, STC, 2), leg(C50, STC, 1)], 1), Err(ComboRefused::Uncovers(Right::Put)));
    assert_eq!(check(&[leg(P50, STC, 1), leg(C50, STC, 1)], 1), Ok(1));
    assert_eq!(check(&[leg(P60, BTC, 1), leg(P50, STC, 1)], 0), Err(ComboRefused::NoUnits));
}

#[test]
fn what_stands_naked_already_may_still_be_reduced() {
    let all = [held(P50, 1), held(P60, -3)];
    let legs = [leg(P60, BTC, 1), leg(P50, STC, 1)];
    assert!(CoveredClose::check(&legs, 1, &all).is_ok(), "a close that takes as many shorts as longs");
}

fn any_leg() -> impl Strategy<Value = ComboLeg> {
    (1u32..40, any::<bool>(), any::<bool>(), 1u32..4).prop_map(|(strike, put, sell, ratio)| {
        let mut series = leg(if put { P50 } else { C50 }, BTO, 1).series;
        series.strike = Strike(strike * 5_000);
        ComboLeg { series, side: if sell { STO } else { BTO }, ratio }
    })
}

proptest! {
    /// The law behind the proof: wherever the underlying ends, far beyond any strike too, a unit never loses more.
    #[test]
    fn prop_no_outcome_loses_more_than_the_bound(
        legs in prop::collection::vec(any_leg(), 2..=4), cents in -5_000i64..5_000, ends in prop::collection::vec(0u32..2_000_000, 30),
    ) {
        let net = Net::from_cents(cents);
        if let Ok(risk) = BoundedRisk::check(&legs, net) {
            for end in ends {
                let per_share = value(&legs, Strike(end)) - i128::from(cents) * 10;
                let dollars_e4 = per_share * 10 * 100;
                prop_assert!(dollars_e4 >= -i128::from(risk.max_loss().e4()), "{legs:?} at {end}");
            }
        }
    }

    /// And what is refused as naked really has no bound, or none of its own kind.
    #[test]
    fn prop_more_calls_sold_than_bought_is_always_refused(legs in prop::collection::vec(any_leg(), 2..=4), cents in -5_000i64..5_000) {
        let net_calls: i64 = legs.iter().filter(|it| it.series.right == Right::Call)
            .map(|it| i64::from(it.ratio) * it.side.side().sign()).sum();
        if net_calls < 0 {
            prop_assert!(BoundedRisk::check(&legs, Net::from_cents(cents)).is_err());
        }
    }
}
