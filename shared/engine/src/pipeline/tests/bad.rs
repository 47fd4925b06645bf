//! Bad input gives a reason code, never a panic.

use domain::market::Points;
use domain::money::Price;
use domain::symbol::{Strike, Underlying};
use domain::time::UtcNanos;
use jiff::civil::{Date, date};

use super::super::*;
use super::world::{Dice, World};
use crate::macros::{MacroEvent, MacroKind};

/// The decision stands, and says why in its first stage that stops.
fn stands(what: &str, world: &World) -> (Stage, Reason) {
    let it = world.decide();
    assert_eq!(it.answer, Answer::Stand, "{what}");
    (it.decided_by.unwrap(), it.reason.unwrap())
}

fn quotes(change: impl Fn(&mut domain::chain::ChainRow)) -> World {
    World::condor().with(|it| it.rows.iter_mut().for_each(&change))
}

#[test]
fn broken_chains_say_what_is_broken() {
    let cents = |it| Some(Price::from_cents(it));
    for (what, world, expected) in [
        (
            "crossed quotes",
            quotes(|it| std::mem::swap(&mut it.quote.bid, &mut it.quote.ask)),
            (Stage::C, Reason::QuoteMissing),
        ),
        (
            "empty quotes",
            quotes(|it| (it.quote.bid, it.quote.ask) = (None, None)),
            (Stage::C, Reason::QuoteMissing),
        ),
        (
            "quotes of nothing",
            quotes(|it| (it.quote.bid, it.quote.ask) = (cents(0), cents(0))),
            (Stage::C, Reason::QuoteMissing),
        ),
        (
            "absurd premiums",
            quotes(|it| (it.quote.bid, it.quote.ask) = (cents(90_000_000), cents(90_000_000))),
            (Stage::F, Reason::StrikeMissing),
        ),
        (
            "premiums under parity",
            quotes(|it| (it.quote.bid, it.quote.ask) = (cents(1), cents(1))),
            (Stage::F, Reason::PremiumWrong),
        ),
        (
            "expired expirations",
            World::condor().listed(|it| it.expiries = vec![date(2020, 1, 17)]),
            (Stage::A, Reason::NoExpirations),
        ),
        (
            "an expiration beyond the calendar",
            World::condor().listed(|it| it.expiries = vec![date(2090, 1, 20)]),
            (Stage::A, Reason::NoExpirations),
        ),
        ("no rows", World::condor().with(|it| it.rows.clear()), (Stage::A, Reason::NoExpirations)),
        ("one strike", World::condor().listed(|it| it.strikes = 0), (Stage::F, Reason::WingsBeyondChain)),
        (
            "wings wider than the chain",
            World::condor().with(|it| it.settings.entry.widths = vec![5_000.0]),
            (Stage::F, Reason::WingsBeyondChain),
        ),
        (
            "another underlying's rows",
            World::of(Kind::IronCondor, Underlying::SPY).with(|it| {
                it.facts.underlying = Underlying::SPX;
                it.settings.underlying = Underlying::SPX;
            }),
            (Stage::A, Reason::NoExpirations),
        ),
        (
            "another underlying's snapshot",
            World::condor().with(|it| it.settings.underlying = Underlying::SPY),
            (Stage::A, Reason::OtherUnderlying),
        ),
        (
            "quotes of tomorrow",
            quotes(|it| it.quote.ts = UtcNanos(i64::MAX)),
            (Stage::A, Reason::FromTheFuture),
        ),
        (
            "a time before all calendars",
            World::condor().with(|it| it.now = UtcNanos(i64::MIN)),
            (Stage::A, Reason::FromTheFuture),
        ),
    ] {
        assert_eq!(stands(what, &world), expected, "{what}");
    }
}

#[test]
fn numbers_that_are_none_are_missing() {
    let facts = |change: fn(&mut Facts)| World::condor().with(|it| change(&mut it.facts));
    let nan = f64::NAN;
    for (what, world, expected) in [
        ("vix", facts(|it| it.vix.as_mut().unwrap().value = f64::NAN), (Stage::D, Reason::VixMissing)),
        ("a negative vix", facts(|it| it.vix.as_mut().unwrap().value = -3.0), (Stage::D, Reason::VixMissing)),
        (
            "vix3m",
            facts(|it| it.vix3m.as_mut().unwrap().value = f64::INFINITY),
            (Stage::E1, Reason::Vix3mMissing),
        ),
        ("realised", facts(|it| it.indicators.rv20 = Some(f64::NAN)), (Stage::E2, Reason::RealisedMissing)),
        ("adx", facts(|it| it.indicators.adx14 = Some(f64::NAN)), (Stage::E2, Reason::AdxMissing)),
        (
            "rates",
            facts(|it| it.rates = Some(Rates { rate: f64::NAN, div: 0.0 })),
            (Stage::F, Reason::RatesMissing),
        ),
        (
            "absurd rates",
            facts(|it| it.rates = Some(Rates { rate: 900.0, div: 0.0 })),
            (Stage::F, Reason::StrikeMissing),
        ),
        ("forecast", facts(|it| it.forecast = Some(f64::NAN)), (Stage::G3, Reason::DensityMissing)),
        ("a negative forecast", facts(|it| it.forecast = Some(-0.2)), (Stage::G3, Reason::DensityMissing)),
        ("returns", facts(|it| it.returns.daily[7] = f64::NAN), (Stage::G3, Reason::DensityMissing)),
        (
            "returns that never differ",
            facts(|it| it.returns.daily.iter_mut().for_each(|it| *it = 0.0)),
            (Stage::G3, Reason::DensityMissing),
        ),
    ] {
        assert_eq!(stands(what, &world), expected, "{what}");
    }
    // A slippage that is none is as one that was never seen.
    let none = World::condor().with(|it| it.facts.exit_slippage = None).decide();
    for wrong in [nan, -1.0, f64::INFINITY] {
        let it = World::condor().with(|it| it.facts.exit_slippage = Some(wrong)).decide();
        assert_eq!(it.numbers, none.numbers);
    }
}

#[test]
fn whatever_stands_in_a_snapshot_there_is_a_decision_and_it_is_explained() {
    let mut dice = Dice(99);
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300, f64::MIN_POSITIVE, 0.2];
    let times = [UtcNanos(i64::MIN), UtcNanos(0), UtcNanos(i64::MAX), World::condor().now];
    for n in 0..3_000 {
        let (_, kind) = dice.of(&NAMES);
        let mut world = World::of(kind, Underlying::SPY).listed(|it| it.strikes = 12);
        let facts = &mut world.facts;
        for _ in 0..4 {
            let (it, at) = (dice.of(&odd), dice.of(&times));
            match (dice.unit() * 16.0) as u32 {
                0 => {
                    facts.spot = Some(SpotAt { value: Points(dice.of(&[0, -5, 1, i64::MAX, i64::MIN])), at })
                }
                1 => facts.vix = Some(LevelAt { value: it, at }),
                2 => facts.vix3m = Some(LevelAt { value: it, at }),
                3 => facts.rates = Some(Rates { rate: it, div: dice.of(&odd) }),
                4 => facts.implied = Some(it),
                5 => facts.forecast = Some(it),
                6 => facts.exit_slippage = Some(it),
                7 => facts.returns.daily = vec![it; 40],
                8 => facts.indicators.ema20 = Some(it),
                9 => {
                    facts.macros = Some(MacroSchedule {
                        confirmed_at: at,
                        events: vec![MacroEvent {
                            kind: MacroKind::Other { before: u16::MAX, after: u16::MAX },
                            at,
                        }],
                    })
                }
                10 => facts.earnings = Known::Known(vec![dice.of(&[Date::MIN, Date::MAX])]),
                11 => facts.volume = Some(UnderlyingVolume { today: u64::MAX, average: 0, proxy: None }),
                12 => world.now = at,
                13 => world.portfolio.shares = Some(Shares { free: u32::MAX, cost_basis: None }),
                14 => world.portfolio.book = Some(BookGreeks { delta: it, gamma: it, vega: it }),
                _ => world.portfolio.caps.delta = Some(it),
            }
        }
        for _ in 0..20 {
            let at = dice.of(&(0..world.rows.len()).collect::<Vec<_>>());
            let row = &mut world.rows[at];
            let price = Price::from_cents(dice.of(&[0, 1, 5, 500, u32::MAX]));
            match (dice.unit() * 6.0) as u32 {
                0 => row.quote.bid = Some(price),
                1 => row.quote.ask = Some(price),
                2 => row.quote.ts = dice.of(&times),
                3 => row.series.strike = Strike(dice.of(&[0, 1, u32::MAX])),
                4 => row.series.expiry = dice.of(&[Date::MIN, Date::MAX, date(2026, 12, 21)]),
                _ => row.open_interest = Some(u32::MAX),
            }
        }
        let it = world.decide();
        assert_eq!(it.decided_by.is_some(), it.answer == Answer::Stand, "{n}");
        assert_eq!(it.reason.is_some(), it.answer == Answer::Stand, "{n}");
        // What was decided can be kept and read back.
        let text = serde_json::to_string(&it).unwrap();
        assert_eq!(serde_json::from_str::<Decision>(&text).unwrap().hash(), it.hash(), "{n}");
    }
}

#[test]
fn held_legs_that_are_no_longer_listed_are_no_structure() {
    let mut world = World::condor();
    let held = world.decide().structure.unwrap();
    world.rows.retain(|it: &domain::chain::ChainRow| it.series != held.legs[2].leg.series);
    let it = world.decide_holding(&held);
    assert_eq!((it.answer, it.decided_by), (Answer::Stand, Some(Stage::F)));
}
