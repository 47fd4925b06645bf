//! Stage F: selection.

use domain::money::Usd;
use domain::symbol::{Right, Underlying};
use domain::ticket::{LegSide, NetKind};
use jiff::civil::date;

use super::super::*;
use super::world::{PASS, World, blocked, unknown};

pub(super) fn chosen(world: &World) -> Structure {
    let decision = world.decide();
    decision.structure.unwrap_or_else(|| panic!("{:?} {:?}", decision.decided_by, decision.search))
}

pub(super) fn strikes(it: &Structure) -> Vec<f64> {
    it.legs.iter().map(|it| it.leg.series.strike.points()).collect()
}

#[test]
fn f_strikes_are_chosen_by_target_delta() {
    for delta in [0.10, 0.16, 0.25, 0.35] {
        let mut world = World::condor();
        (world.settings.entry.delta, world.settings.entry.delta_step) = (delta, 0.0);
        let it = chosen(&world);
        for leg in it.legs.iter().filter(|it| it.leg.side == LegSide::SellToOpen) {
            let of = leg.delta.unwrap().abs();
            assert!((of - delta).abs() < 0.035, "{delta}: {of}");
        }
    }
}

#[test]
fn f_every_strategy_has_its_legs_in_their_order() {
    use LegSide::{BuyToOpen as B, SellToOpen as S};
    use Right::{Call as C, Put as P};
    for (kind, expected) in [
        (Kind::IronCondor, vec![(P, B, 1), (P, S, 1), (C, S, 1), (C, B, 1)]),
        (Kind::CreditPutSpread, vec![(P, B, 1), (P, S, 1)]),
        (Kind::CreditCallSpread, vec![(C, S, 1), (C, B, 1)]),
        (Kind::IronButterfly, vec![(P, B, 1), (P, S, 1), (C, S, 1), (C, B, 1)]),
        (Kind::Butterfly, vec![(C, B, 1), (C, S, 2), (C, B, 1)]),
        (Kind::Wheel, vec![(P, S, 1)]),
        (Kind::CashSecuredPut, vec![(P, S, 1)]),
        (Kind::CoveredCall, vec![(C, S, 1)]),
    ] {
        let it = chosen(&World::of(kind, Underlying::SPY));
        let legs: Vec<_> =
            it.legs.iter().map(|it| (it.leg.series.right, it.leg.side, it.leg.ratio)).collect();
        assert_eq!(legs, expected, "{kind:?}");
        assert!(strikes(&it).is_sorted(), "{kind:?} {:?}", strikes(&it));
        let kinds = if kind == Kind::Butterfly { NetKind::Debit } else { NetKind::Credit };
        assert_eq!(it.price.kind(), kinds, "{kind:?}");
        assert!(it.legs.iter().all(|leg| leg.leg.series.expiry == it.expiry));
    }
    let puts = World::of(Kind::Butterfly, Underlying::SPY).with(|it| it.settings.entry.butterfly_right = P);
    assert!(chosen(&puts).legs.iter().all(|it| it.leg.series.right == P));
    let fly = strikes(&chosen(&World::of(Kind::Butterfly, Underlying::SPY)));
    assert!((fly[1] - fly[0] - (fly[2] - fly[1])).abs() < 1e-9, "{fly:?}");
}

#[test]
fn f_the_wheel_sells_puts_until_assigned_and_then_calls_on_the_shares() {
    let shares = |free| {
        World::of(Kind::Wheel, Underlying::SPY).with(|it| {
            it.portfolio.shares = Some(Shares { free, cost_basis: Some(Usd::from_dollars(550)) });
        })
    };
    assert_eq!(shares(99).decide().kind, Kind::CashSecuredPut);
    assert_eq!(shares(100).decide().kind, Kind::CoveredCall);
}

#[test]
fn f_calls_on_shares_are_struck_at_or_above_their_cost_unless_overridden() {
    let basis = |dollars| {
        World::of(Kind::CoveredCall, Underlying::SPY).with(|it| {
            it.portfolio.shares = Some(Shares { free: 100, cost_basis: Some(Usd::from_dollars(dollars)) });
        })
    };
    assert!(strikes(&chosen(&basis(600)))[0] >= 600.0);
    assert!(strikes(&chosen(&basis(600).with(|it| it.settings.entry.below_cost_basis = true)))[0] < 600.0);
    assert_eq!(basis(900).asked(Stage::F), blocked(Reason::BelowCostBasis));
}

#[test]
fn f_a_short_put_is_secured_by_cash_and_a_short_call_by_shares() {
    let put = |cash: Option<i64>| {
        World::of(Kind::CashSecuredPut, Underlying::SPY)
            .with(|it| it.portfolio.cash = cash.map(Usd::from_dollars))
    };
    let strike = strikes(&chosen(&put(Some(1_000_000))))[0] as i64;
    assert_eq!(put(Some(strike * 100)).asked(Stage::F), PASS);
    assert_eq!(put(Some(strike * 100 - 1)).asked(Stage::F), blocked(Reason::CashShort));
    assert_eq!(put(None).asked(Stage::F), unknown(Reason::CashMissing));
    let call = |free: Option<u32>| {
        World::of(Kind::CoveredCall, Underlying::SPY)
            .with(|it| it.portfolio.shares = free.map(|free| Shares { free, cost_basis: None }))
    };
    assert_eq!(call(Some(100)).asked(Stage::F), PASS);
    assert_eq!(call(Some(99)).asked(Stage::F), blocked(Reason::SharesShort));
    assert_eq!(call(None).asked(Stage::F), unknown(Reason::SharesMissing));
}

#[test]
fn f_the_grid_is_deltas_by_widths_by_expirations_and_the_highest_ev_p_is_chosen() {
    let world = World::condor();
    let decision = world.decide();
    assert_eq!(decision.search.expirations.len(), 2);
    assert_eq!(decision.search.candidates, 3 * 3 * 2);
    let best = decision.numbers.unwrap().ev_p.unwrap();
    // Each of the grid by itself is worth no more, among those that keep the rules.
    let mut tried = 0;
    for delta in [0.12, 0.16, 0.20] {
        for width in [25.0, 50.0, 100.0] {
            for expiry in [date(2026, 12, 21), date(2026, 12, 28)] {
                let mut one = world.clone();
                one.rows.retain(|it| it.series.expiry == expiry);
                (one.settings.entry.delta, one.settings.entry.delta_step) = (delta, 0.0);
                one.settings.entry.widths = vec![width];
                let it = one.decide();
                assert_eq!(it.search.candidates, 1);
                if it.search.ruled_out == 0 {
                    let ev = it.numbers.unwrap().ev_p.unwrap();
                    assert!(ev <= best, "{delta} {width} {expiry}: {ev} over {best}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried >= 9, "{tried}");
}

#[test]
fn f_strikes_without_open_interest_are_skipped() {
    let mut world = World::condor();
    let first = strikes(&chosen(&world));
    for row in world.rows.iter_mut().filter(|it| first.contains(&it.series.strike.points())) {
        row.open_interest = Some(0);
    }
    let second = strikes(&chosen(&world));
    assert!(first.iter().all(|it| !second.contains(it)), "{first:?} {second:?}");
}

#[test]
fn f_a_put_skew_of_more_than_two_points_widens_the_put_wing_a_strike_for_every_two_up_to_three() {
    let widths = |skew: f64| {
        let mut world = World::of(Kind::IronCondor, Underlying::SPX).listed(|it| {
            (it.skew, it.step, it.strikes) = (skew, 10.0, 80);
            it.expiries.truncate(1);
        });
        world.settings.entry.delta_step = 0.0;
        world.settings.entry.widths = vec![50.0];
        let it = chosen(&world);
        let at = strikes(&it);
        let vol = |n: usize| it.legs[n].vol.unwrap();
        (100.0 * (vol(1) - vol(2)), at[1] - at[0], at[3] - at[2])
    };
    for slope in [0.05, 0.2, 0.35, 0.5, 0.7, 1.0] {
        let (skew, put, call) = widths(slope);
        let wider = if skew > 2.0 { (skew / 2.0).floor().min(3.0) } else { 0.0 };
        assert!((put - 50.0 - 10.0 * wider).abs() < 1e-9, "{slope}: {skew} widens to {put}");
        assert!((call - 50.0).abs() < 1e-9, "the call wing stays");
    }
    let [least, most] = [0.05, 1.0].map(|it| widths(it).0);
    assert!(least < 2.0 && most > 6.0, "{least} to {most}");
}

#[test]
fn f_an_inverted_term_structure_at_the_expiration_prefers_the_shorter_one_where_e1_is_off() {
    let tried = |slope: f64, e1: bool| {
        let world =
            World::condor().listed(|it| it.slope = slope).with(|it| it.settings.regime.term_structure = e1);
        world.decide().search.expirations.len()
    };
    assert_eq!((tried(0.5, false), tried(-3.0, false)), (2, 1));
    // Where E1 is asked, an inverted market is not entered at all.
    assert_eq!(tried(-3.0, true), 2);
    let butterfly = World::of(Kind::Butterfly, Underlying::SPX).listed(|it| it.slope = -3.0);
    assert_eq!(butterfly.decide().search.expirations, [date(2026, 12, 21)]);
}

#[test]
fn f_the_loss_on_a_move_of_one_percent_by_gamma_is_under_its_limit() {
    let world = World::condor();
    let numbers = world.decide().numbers.unwrap();
    // Half of gamma x 100 x S^2 x 0.01, on another 1 %.
    let loss = -0.5 * numbers.gamma.unwrap() * 0.01 / numbers.max_loss.to_f64();
    assert!((numbers.gamma_loss.unwrap() - loss).abs() < 1e-12);
    let capped = world.with(|it| it.settings.entry.gamma_loss_max = 0.0001);
    assert_eq!(capped.asked(Stage::F), blocked(Reason::Convexity));
    let bought = World::of(Kind::Butterfly, Underlying::SPX).with(|it| {
        // Far from the body a butterfly's gamma is held.
        (it.settings.entry.delta, it.settings.entry.gamma_loss_max) = (0.1, 0.0);
    });
    assert_eq!(bought.decide().numbers.unwrap().gamma_loss, Some(0.0));
}

#[test]
fn f_the_position_size_is_fixed_or_what_the_risk_allows() {
    let sized = |size| World::condor().with(|it| it.settings.size = size);
    assert_eq!(chosen(&sized(Size::Fixed(7))).units, 7);
    let risk = |dollars, units_max| Size::Risk { usd: Usd::from_dollars(dollars), units_max };
    let it = sized(risk(50_000, 100));
    let (structure, numbers) = (chosen(&it), it.decide().numbers.unwrap());
    let risked = numbers.max_loss + numbers.friction;
    let unit = risked.to_f64() / f64::from(structure.units);
    assert!(risked <= Usd::from_dollars(50_000) && risked.to_f64() + unit > 50_000.0);
    assert_eq!(chosen(&sized(risk(50_000, 2))).units, 2);
    assert_eq!(sized(risk(50, 100)).asked(Stage::F), blocked(Reason::SizeZero));
}

#[test]
fn f_what_cannot_be_built_says_why() {
    let condor = World::condor;
    for (world, why) in [
        (condor().listed(|it| it.strikes = 3), Reason::WingsBeyondChain),
        (condor().with(|it| it.settings.entry.widths = vec![9_000.0]), Reason::WingsBeyondChain),
        (condor().with(|it| it.facts.rates = None), Reason::RatesMissing),
        (condor().listed(|it| it.expiries = vec![date(2026, 12, 1)]), Reason::DteOutside),
        (
            condor().with(|it| it.rows.iter_mut().for_each(|it| it.open_interest = Some(0))),
            Reason::StrikeMissing,
        ),
        (condor().with(|it| it.rows.iter_mut().for_each(|it| it.quote.bid = None)), Reason::StrikeMissing),
        (condor().with(|it| it.rows.retain(|it| it.series.right == Right::Call)), Reason::StrikeMissing),
    ] {
        let decision = world.decide();
        let it = decision.stage(Stage::F).unwrap();
        assert_eq!((it.verdict.stops(), it.reason), (true, Some(why)), "{:?}", decision.search);
        for stage in [Stage::C2, Stage::F3, Stage::G3] {
            assert_eq!(decision.stage(stage).unwrap().reason, Some(Reason::NoStructure), "{stage:?}");
        }
    }
}

#[test]
fn f_a_wing_that_is_not_listed_is_taken_from_the_nearest_strike_within_half_its_width() {
    let mut world = World::condor().listed(|it| it.expiries.truncate(1));
    world.settings.entry.delta_step = 0.0;
    world.settings.entry.widths = vec![50.0];
    let first = strikes(&chosen(&world));
    let gone = first[3];
    world.rows.retain(|it| (it.series.strike.points() - gone).abs() > 1e-9);
    let second = strikes(&chosen(&world));
    assert!((second[3] - gone).abs() <= 25.0, "{second:?}");
    world.rows.retain(|it| (it.series.strike.points() - gone).abs() > 26.0 || it.series.right == Right::Put);
    assert_eq!(world.asked(Stage::F), blocked(Reason::WingMissing));
}

#[test]
fn spx_and_spxw_of_one_day_are_never_mixed() {
    let mut world = World::condor().listed(|it| it.expiries.truncate(1));
    let morning = World::condor().listed(|it| {
        it.root = domain::symbol::Root::SPX;
        it.expiries.truncate(1);
    });
    world.rows.extend(morning.rows);
    world.rows.reverse();
    let it = chosen(&world);
    let root = it.legs[0].leg.series.root;
    assert!(it.legs.iter().all(|it| it.leg.series.root == root));
    assert_eq!(world.decide().search.expirations.len(), 2);
}

#[test]
fn the_order_of_rows_and_a_series_listed_twice_change_nothing() {
    let world = World::condor();
    let mut other = world.clone();
    other.rows.reverse();
    let twice: Vec<_> = other.rows.iter().take(20).copied().collect();
    other.rows.extend(twice);
    assert_eq!(world.decide(), other.decide());
}

#[test]
fn the_underlyings_value_is_what_puts_and_calls_agree_on_where_the_last_print_lags() {
    let mut world = World::condor();
    let numbers = world.decide().numbers.unwrap();
    assert!((numbers.spot - 5_600.0).abs() < 0.5, "{}", numbers.spot);
    // The print is four points behind: deltas and figures stay those of the quotes.
    world.facts.spot.as_mut().unwrap().value = domain::market::Points::whole(5_596);
    let lagging = world.decide().numbers.unwrap();
    assert!((lagging.spot - numbers.spot).abs() < 1e-6, "{}", lagging.spot);
    // A print that is far off is not: nothing then agrees with the quotes.
    world.facts.spot.as_mut().unwrap().value = domain::market::Points::whole(5_000);
    assert!((world.decide().numbers.map_or(5_000.0, |it| it.spot) - 5_000.0).abs() < 1e-9);
}
