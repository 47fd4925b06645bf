//! Stages C, C2 and F3: liquidity of the chain and of the legs, collisions.

use domain::money::Price;
use domain::symbol::Underlying;
use jiff::civil::time;

use super::super::*;
use super::legs::{chosen, strikes};
use super::world::{PASS, World, before, blocked, skipped, unknown};

/// A condor whose first leg's row is changed, with the structure held.
fn spoiled(mut world: World, change: impl FnOnce(&mut domain::chain::ChainRow)) -> (Verdict, Option<Reason>) {
    let held = chosen(&world);
    change(world.row(held.legs[0].leg.series));
    let decision = world.decide_holding(&held);
    let it = decision.stage(Stage::C2).unwrap();
    (it.verdict, it.reason)
}

#[test]
fn c_the_spread_of_a_leg_is_under_its_limit_in_percent_or_in_ticks() {
    let condor = World::condor;
    assert_eq!(condor().asked(Stage::C2), PASS);
    let quoted = |bid: u32, ask: u32| {
        move |row: &mut domain::chain::ChainRow| {
            (row.quote.bid, row.quote.ask) = (Some(Price::from_cents(bid)), Some(Price::from_cents(ask)));
        }
    };
    assert_eq!(spoiled(condor(), quoted(950, 1_050)), PASS, "10 % of the mid");
    assert_eq!(spoiled(condor(), quoted(940, 1_050)), blocked(Reason::SpreadWide));
    // A cheap wing is quoted two ticks wide and may be, whatever the percentage.
    assert_eq!(spoiled(condor(), quoted(10, 20)), PASS);
    assert_eq!(spoiled(condor(), quoted(10, 25)), blocked(Reason::SpreadWide));
}

#[test]
fn c_volume_and_open_interest_of_a_leg_are_over_their_minimum() {
    for (volume, expected) in
        [(Some(1), PASS), (Some(0), blocked(Reason::VolumeLow)), (None, unknown(Reason::VolumeMissing))]
    {
        assert_eq!(spoiled(World::condor(), |it| it.volume = volume), expected, "{volume:?}");
    }
    for (open, expected) in [
        (Some(10), PASS),
        (Some(9), blocked(Reason::OpenInterestLow)),
        (None, unknown(Reason::OpenInterestMissing)),
    ] {
        assert_eq!(spoiled(World::condor(), |it| it.open_interest = open), expected, "{open:?}");
    }
    // Series listed today have no open interest yet: a row for them does not ask.
    let fresh = World::condor().with(|it| it.settings.liquidity.open_interest_min = None);
    assert_eq!(spoiled(fresh, |it| it.open_interest = None), PASS);
}

#[test]
fn c_before_ten_the_volume_of_the_session_before_counts_where_it_was_more() {
    let mut world = World::condor();
    let held = chosen(&world);
    let series = held.legs[0].leg.series;
    world.row(series).volume = Some(0);
    world.facts.prior_volumes = vec![(series, 40)];
    let verdict = |world: &World| world.decide_holding(&held).stage(Stage::C2).unwrap().reason;
    assert_eq!(verdict(&world), Some(Reason::VolumeLow), "after ten");
    world.now = domain::time::at_new_york(super::world::DAY, time(9, 59, 0, 0));
    let reading = world.decide_holding(&held);
    let checks = &reading.stage(Stage::C2).unwrap().checks;
    let volume = checks.iter().find(|it| it.reading == Reading::Volume && it.leg == Some(series)).unwrap();
    assert_eq!(volume.observed, Some(Value::Count(40)));
}

#[test]
fn c_the_underlyings_volume_is_over_a_share_of_its_average_and_an_index_has_none() {
    let volume = |it: Option<UnderlyingVolume>| {
        World::of(Kind::CashSecuredPut, Underlying::SPY).with(|world| world.facts.volume = it)
    };
    let of = |today| Some(UnderlyingVolume { today, average: 1_000, proxy: None });
    assert_eq!(volume(of(300)).asked(Stage::C), PASS);
    assert_eq!(volume(of(299)).asked(Stage::C), blocked(Reason::UnderlyingVolumeLow));
    assert_eq!(volume(None).asked(Stage::C), unknown(Reason::UnderlyingVolumeMissing));
    let index = |volume| {
        let world = World::condor().with(|it| {
            it.settings.liquidity.underlying_volume_min = Some(0.3);
            it.facts.volume = volume;
        });
        let decision = world.decide();
        let checks = &decision.stage(Stage::C).unwrap().checks;
        let check = checks.iter().find(|it| it.reading == Reading::UnderlyingVolume).unwrap();
        (check.verdict, check.reason)
    };
    assert_eq!(index(None), skipped(Reason::IndexWithoutVolume));
    let proxy = UnderlyingVolume { today: 10, average: 1_000, proxy: Some(Underlying::SPY) };
    assert_eq!(index(Some(proxy)), blocked(Reason::UnderlyingVolumeLow));
}

#[test]
fn c_a_quote_is_at_most_60_seconds_old_at_seven_days_and_less_and_else_300() {
    let aged = |dte: i32, age: f64| {
        let expiry = super::world::DAY.checked_add(jiff::Span::new().days(dte)).unwrap();
        let mut world = World::condor().listed(|it| it.expiries = vec![expiry]);
        (world.settings.entry.min_dte, world.settings.entry.max_dte) = (5, 45);
        world.settings.exit.time_stop_dte = None;
        let now = world.now;
        spoiled(world, |it| it.quote.ts = before(now, age))
    };
    assert_eq!(aged(7, 60.0), PASS);
    assert_eq!(aged(7, 60.5), blocked(Reason::QuoteStale));
    assert_eq!(aged(10, 60.5), PASS);
    assert_eq!(aged(10, 300.0), PASS);
    assert_eq!(aged(10, 300.5), blocked(Reason::QuoteStale));
}

#[test]
fn c_quotes_count_on_a_live_connection_alone() {
    let connected = |it| World::condor().with(|world| world.facts.connected = it);
    for stage in [Stage::C, Stage::C2] {
        assert_eq!(connected(Some(true)).asked(stage), PASS);
        assert_eq!(connected(Some(false)).asked(stage), blocked(Reason::ConnectionDown));
        assert_eq!(connected(None).asked(stage), unknown(Reason::ConnectionMissing));
    }
}

#[test]
fn c_the_underlying_has_not_moved_by_more_than_the_quotes_own_width_over_delta() {
    let mut world = World::condor();
    let held = chosen(&world);
    let leg = held.legs[1];
    let (now, spot) = (world.now, world.listing.spot);
    world.row(leg.leg.series).quote.ts = before(now, 30.0);
    let width = leg.ask.to_f64() - leg.bid.to_f64();
    let limit = width.max(0.2) / leg.delta.unwrap().abs();
    let moved = |points: f64| {
        let mut world = world.clone();
        let earlier = domain::market::Points::from_f64(spot + points);
        world.facts.path = vec![SpotAt { value: earlier, at: before(now, 40.0) }];
        let decision = world.decide_holding(&held);
        let it = decision.stage(Stage::C2).unwrap();
        (it.verdict, it.reason)
    };
    assert_eq!(moved(limit - 0.001), PASS);
    assert_eq!(moved(limit + 0.001), blocked(Reason::UnderlyingMoved));
    assert_eq!(moved(-limit - 0.001), blocked(Reason::UnderlyingMoved));
    world.facts.path.clear();
    let decision = world.decide_holding(&held);
    assert_eq!(decision.stage(Stage::C2).unwrap().reason, Some(Reason::PathMissing));
}

#[test]
fn c_is_asked_of_the_chain_near_the_money_and_again_of_the_chosen_legs() {
    // A chain that is too wide stops before any leg is known.
    let wide = World::condor().listed(|it| it.half = 0.2);
    assert_eq!(wide.asked(Stage::C), blocked(Reason::SpreadWide));
    // One wide leg is nothing to the chain, and everything to the structure.
    let held = chosen(&World::condor());
    let mut world = World::condor();
    let ask = held.legs[0].ask;
    world.row(held.legs[0].leg.series).quote.ask = Some(Price::from_cents(ask.cents() * 2));
    let decision = world.decide_holding(&held);
    assert_eq!(decision.stage(Stage::C).unwrap().verdict, Verdict::Pass);
    assert_eq!(decision.stage(Stage::C2).unwrap().reason, Some(Reason::SpreadWide));
}

#[test]
fn c_selection_avoids_illiquid_legs_while_there_are_others() {
    let mut world = World::condor();
    let first = chosen(&world);
    world.row(first.legs[0].leg.series).volume = Some(0);
    let second = chosen(&world);
    assert_ne!(strikes(&first), strikes(&second));
    assert_eq!(world.asked(Stage::C2), PASS);
}

#[test]
fn f3_a_new_leg_may_not_oppose_an_open_leg_at_the_same_broker() {
    let world = World::condor();
    let held = chosen(&world);
    let short = held.legs[1].leg.series;
    let open = |broker: &str, quantity| {
        let mut world = world.clone();
        world.portfolio.open_legs = vec![OpenLeg { broker: broker.to_owned(), series: short, quantity }];
        let decision = world.decide_holding(&held);
        let it = decision.stage(Stage::F3).unwrap();
        (it.verdict, it.reason)
    };
    assert_eq!(open("tradier", 1), blocked(Reason::LegCollision));
    assert_eq!(open("tradier", -1), PASS, "the same side does not net");
    assert_eq!(open("another", 1), PASS, "another broker's book is another");
    let mut world = world.clone();
    world.portfolio.open_legs = vec![OpenLeg { broker: "tradier".to_owned(), series: short, quantity: 1 }];
    assert_ne!(strikes(&chosen(&world)), strikes(&held), "selection takes another strike");
}
