//! Stages A, D, E and H, sentence by sentence.

use domain::market::Points;
use domain::symbol::{OccSymbol, Underlying};
use domain::time::at_new_york;
use jiff::civil::{Date, date, time};

use super::super::*;
use super::world::{DAY, PASS, World, before, blocked, skipped, unknown};
use crate::indicators::iv_rank::NoRank;
use crate::macros::{MacroEvent, MacroKind};

/// Moves a world to another minute, with everything in it as fresh as it was.
pub(super) fn at(world: World, day: Date, hour: i8, minute: i8, second: i8) -> World {
    let now = at_new_york(day, time(hour, minute, second, 0));
    world.with(|it| {
        it.now = now;
        it.facts.spot.iter_mut().for_each(|it| it.at = now);
        it.facts.vix.iter_mut().chain(&mut it.facts.vix3m).for_each(|it| it.at = now);
        it.facts.path.clear();
        it.rows.iter_mut().for_each(|it| it.quote.ts = now);
        it.facts.macros.iter_mut().for_each(|it| it.confirmed_at = now);
    })
}

pub(super) fn event(name: &str, day: Date, hour: i8, minute: i8) -> MacroEvent {
    let kind = MacroKind::named(name).unwrap();
    MacroEvent { kind, at: at_new_york(day, time(hour, minute, 0, 0)) }
}

#[test]
fn every_strategy_enters_a_market_that_suits_it() {
    for (name, kind) in NAMES {
        let underlying = if kind.has_wings() { Underlying::SPX } else { Underlying::SPY };
        let world = World::of(kind, underlying).listed(|it| it.half = 0.002);
        let decision = world.decide();
        assert_eq!(decision.answer, Answer::Enter, "{name}: {:?} {:?}", decision.decided_by, decision.reason);
        assert_eq!(decision.stages.len(), Stage::ALL.len());
    }
}

#[test]
fn a_universe_and_data_passes_with_a_spot_above_zero_and_an_expiration() {
    let condor = World::condor;
    let spot = |points: i64, age: f64| {
        condor().with(|it| {
            it.facts.spot = Some(SpotAt { value: Points(points), at: before(it.now, age) });
        })
    };
    let cases = [
        (condor(), PASS),
        (condor().with(|it| it.facts.spot = None), unknown(Reason::SpotMissing)),
        (spot(0, 0.0), blocked(Reason::SpotNotPositive)),
        (spot(-1, 0.0), blocked(Reason::SpotNotPositive)),
        (spot(56_000_000, 60.0), PASS),
        (spot(56_000_000, 60.001), blocked(Reason::SpotStale)),
        (spot(56_000_000, -1.5), blocked(Reason::FromTheFuture)),
        (condor().with(|it| it.rows.clear()), blocked(Reason::NoExpirations)),
        (condor().with(|it| it.facts.underlying = Underlying::SPY), blocked(Reason::OtherUnderlying)),
        (condor().listed(|it| it.expiries = vec![date(2026, 11, 19)]), blocked(Reason::NoExpirations)),
    ];
    for (n, (world, expected)) in cases.into_iter().enumerate() {
        assert_eq!(world.asked(Stage::A), expected, "case {n}");
    }
}

#[test]
fn a_the_wheel_sends_nothing_before_the_opening_reconciliation_has_shown_assignments() {
    let wheel = || World::of(Kind::Wheel, Underlying::SPY);
    assert_eq!(wheel().asked(Stage::A), PASS);
    let none = wheel().with(|it| it.portfolio.reconciled_at = None);
    assert_eq!(none.asked(Stage::A), blocked(Reason::NotReconciled));
    let yesterday = wheel().with(|it| it.portfolio.reconciled_at = Some(before(it.now, 86_400.0)));
    assert_eq!(yesterday.asked(Stage::A), blocked(Reason::NotReconciled));
}

#[test]
fn d_days_to_expiry_lie_within_the_range_both_ends_included() {
    let listed = |expiry| World::condor().listed(|it| it.expiries = vec![expiry]);
    for (expiry, expected) in [
        (date(2026, 12, 18), blocked(Reason::DteOutside)),
        (date(2026, 12, 21), PASS),
        (date(2027, 1, 4), PASS),
        (date(2027, 1, 5), blocked(Reason::DteOutside)),
    ] {
        let mut world = listed(expiry);
        world.settings.entry.min_dte = 31;
        assert_eq!(world.asked(Stage::D), expected, "{expiry}");
    }
}

#[test]
fn d_today_counts_as_zero_until_its_close() {
    let mut world = World::condor().listed(|it| it.expiries = vec![DAY]);
    (world.settings.entry.min_dte, world.settings.entry.max_dte) = (0, 0);
    world.settings.exit.time_stop_dte = None;
    assert_eq!(world.asked(Stage::D), PASS);
    assert_eq!(at(world, DAY, 16, 0, 0).asked(Stage::A), blocked(Reason::NoExpirations));
}

#[test]
fn d_the_range_follows_vix_and_high_vix_never_lengthens_it() {
    for (own, vix, expected) in [
        ((30, 45), 25.0, (30, 45)),
        ((30, 45), 25.01, (20, 30)),
        ((30, 45), 15.0, (30, 45)),
        ((30, 45), 14.99, (30, 60)),
        ((20, 25), 30.0, (14, 25)),
        ((14, 20), 30.0, (14, 20)),
        ((45, 45), 30.0, (30, 30)),
        ((60, 85), 10.0, (60, 90)),
        ((0, 13), 30.0, (0, 13)),
        ((0, 13), 10.0, (0, 13)),
        ((0, 14), 30.0, (0, 14)),
    ] {
        assert_eq!(dte_range(own.0, own.1, vix), expected, "{own:?} at {vix}");
    }
    for min in 0..120 {
        for max in min.max(14)..200 {
            let (low, high) = dte_range(min, max, 26.0);
            assert!(low <= min && high <= max && low <= high, "{min} to {max}: {low} to {high}");
        }
    }
}

#[test]
fn d_without_a_live_vix_there_is_no_regime_and_no_entry() {
    let none = World::condor().with(|it| it.facts.vix = None);
    assert_eq!(none.asked(Stage::D), unknown(Reason::VixMissing));
    let old = World::condor().with(|it| it.facts.vix.as_mut().unwrap().at = before(it.now, 300.5));
    assert_eq!(old.asked(Stage::D), blocked(Reason::VixStale));
}

#[test]
fn e1_sellers_of_credit_need_vix_under_vix3m_and_an_inverted_term_structure_trips_safe_mode() {
    let vix = |value: f64| World::condor().with(|it| it.facts.vix.as_mut().unwrap().value = value);
    assert_eq!(vix(18.99).asked(Stage::E1), PASS);
    assert_eq!(vix(19.0).asked(Stage::E1), blocked(Reason::TermInverted));
    assert!(!vix(18.99).decide().trips_safe_mode && vix(19.0).decide().trips_safe_mode);
    let none = World::condor().with(|it| it.facts.vix3m = None);
    assert_eq!(none.asked(Stage::E1), unknown(Reason::Vix3mMissing));
    let old = World::condor().with(|it| it.facts.vix3m.as_mut().unwrap().at = before(it.now, 301.0));
    assert_eq!(old.asked(Stage::E1), blocked(Reason::Vix3mStale));
    let nan = World::condor().with(|it| it.facts.vix3m.as_mut().unwrap().value = f64::NAN);
    assert_eq!(nan.asked(Stage::E1), unknown(Reason::Vix3mMissing));
}

#[test]
fn e1_is_not_asked_of_buyers_nor_where_the_row_switches_it_off() {
    let inverted = |world: World| world.with(|it| it.facts.vix.as_mut().unwrap().value = 24.0);
    let butterfly = inverted(World::of(Kind::Butterfly, Underlying::SPX));
    assert_eq!(butterfly.asked(Stage::E1), skipped(Reason::NotASeller));
    let off = inverted(World::condor()).with(|it| it.settings.regime.term_structure = false);
    assert_eq!(off.asked(Stage::E1), skipped(Reason::SwitchedOff));
}

#[test]
fn e2_sellers_of_credit_need_implied_over_realised_volatility() {
    let implied = |it: Option<f64>| World::condor().with(|world| world.facts.implied = it);
    assert_eq!(implied(Some(0.11)).asked(Stage::E2), blocked(Reason::PremiumNotPositive));
    assert_eq!(implied(Some(0.1101)).asked(Stage::E2), PASS);
    assert_eq!(implied(None).asked(Stage::E2), unknown(Reason::ImpliedMissing));
    assert_eq!(implied(Some(f64::NAN)).asked(Stage::E2), unknown(Reason::ImpliedMissing));
    let realised = World::condor().with(|it| it.facts.indicators.rv20 = None);
    assert_eq!(realised.asked(Stage::E2), unknown(Reason::RealisedMissing));
    let butterfly = World::of(Kind::Butterfly, Underlying::SPX).with(|it| it.facts.implied = Some(0.01));
    assert_eq!(butterfly.asked(Stage::E2).0, Verdict::Skipped);
}

#[test]
fn e2_a_bull_trend_blocks_call_spreads_and_a_bear_trend_put_spreads() {
    let trend = |kind, ema: f64, sma: f64| {
        World::of(kind, Underlying::SPX).with(|it| {
            it.facts.indicators.ema20 = Some(ema);
            it.facts.indicators.sma50 = Some(sma);
        })
    };
    let (bull, bear, neutral) = ((5_500.0, 5_400.0), (5_700.0, 5_800.0), (5_500.0, 5_550.0));
    let (puts, calls) = (Kind::CreditPutSpread, Kind::CreditCallSpread);
    for (kind, (ema, sma), expected) in [
        (calls, bull, blocked(Reason::TrendConflict)),
        (calls, bear, PASS),
        (calls, neutral, PASS),
        (puts, bull, PASS),
        (puts, bear, blocked(Reason::TrendConflict)),
        (puts, neutral, PASS),
        (Kind::IronCondor, bull, PASS),
        (Kind::IronCondor, bear, PASS),
    ] {
        assert_eq!(trend(kind, ema, sma).asked(Stage::E2), expected, "{kind:?} {ema} {sma}");
    }
    let unknown_trend = World::of(puts, Underlying::SPX).with(|it| it.facts.indicators.sma50 = None);
    assert_eq!(unknown_trend.asked(Stage::E2), unknown(Reason::TrendMissing));
    // The other value is named.
    let blocked = trend(calls, 5_500.0, 5_400.0).decide();
    let flip = blocked.stage(Stage::E2).unwrap().flip();
    assert_eq!(flip[0].to.to_string(), "neutral");
}

#[test]
fn e2_adx_stays_under_its_limit_for_condors() {
    let adx = |it: f64| World::condor().with(|world| world.facts.indicators.adx14 = Some(it));
    assert_eq!(adx(24.99).asked(Stage::E2), PASS);
    assert_eq!(adx(25.0).asked(Stage::E2), blocked(Reason::AdxHigh));
    let own = adx(25.0).with(|it| it.settings.regime.adx_max = Some(30.0));
    assert_eq!(own.asked(Stage::E2), PASS);
    // The limit is asked of iron condors also where a row sets none.
    let unset = adx(25.0).with(|it| it.settings.regime.adx_max = None);
    assert_eq!(unset.asked(Stage::E2), blocked(Reason::AdxHigh));
    let missing = World::condor().with(|it| it.facts.indicators.adx14 = None);
    assert_eq!(missing.asked(Stage::E2), unknown(Reason::AdxMissing));
}

#[test]
fn e3_the_iv_rank_lies_in_the_strategys_range_where_it_sets_one() {
    assert_eq!(World::condor().asked(Stage::E3), skipped(Reason::NotAsked));
    let ranged = |min, max| World::condor().with(|it| it.settings.entry.iv_rank = Some(Range { min, max }));
    assert_eq!(ranged(0.45, 1.0).asked(Stage::E3), PASS);
    assert_eq!(ranged(0.0, 0.45).asked(Stage::E3), PASS);
    assert_eq!(ranged(0.46, 1.0).asked(Stage::E3), blocked(Reason::IvRankOutside));
    let why = |it| ranged(0.0, 1.0).with(|world| world.facts.iv = it);
    assert_eq!(why(None).asked(Stage::E3), unknown(Reason::IvMissing));
    for (no, reason) in [
        (NoRank::Insufficient { days: 3 }, Reason::InsufficientHistory),
        (NoRank::Gap { after: date(2026, 1, 2), before: date(2026, 3, 2) }, Reason::HistoryGap),
        (NoRank::Flat, Reason::HistoryUnusable),
    ] {
        assert_eq!(why(Some(Standing::Unranked(no))).asked(Stage::E3), unknown(reason));
    }
}

#[test]
fn h_in_regular_hours_and_not_in_the_last_thirty_minutes_whatever_the_clock_and_the_day() {
    // Winter and summer time, and a day that closes at 13:00.
    let summer = date(2026, 7, 17);
    let short = date(2026, 11, 27);
    for (day, hour, minute, second, expected) in [
        (DAY, 9, 29, 59, blocked(Reason::BeforeOpen)),
        (DAY, 9, 30, 0, PASS),
        (DAY, 15, 29, 59, PASS),
        (DAY, 15, 30, 0, blocked(Reason::EntryCutoff)),
        (DAY, 16, 0, 0, blocked(Reason::EntryCutoff)),
        (summer, 9, 29, 59, blocked(Reason::BeforeOpen)),
        (summer, 9, 30, 0, PASS),
        (summer, 15, 30, 0, blocked(Reason::EntryCutoff)),
        (short, 12, 29, 59, PASS),
        (short, 12, 30, 0, blocked(Reason::EntryCutoff)),
        (date(2026, 11, 26), 11, 0, 0, blocked(Reason::ExchangeClosed)),
        (date(2026, 11, 21), 11, 0, 0, blocked(Reason::ExchangeClosed)),
        (date(2031, 1, 6), 11, 0, 0, unknown(Reason::NoCalendar)),
    ] {
        let world = at(World::condor(), day, hour, minute, second);
        assert_eq!(world.asked(Stage::H), expected, "{day} {hour}:{minute}:{second}");
    }
}

#[test]
fn h_a_strategy_may_keep_hours_and_a_cutoff_of_its_own() {
    let own = |hour, minute| {
        at(World::condor(), DAY, hour, minute, 0).with(|it| {
            it.settings.entry.hours = Some(Hours { from: time(10, 0, 0, 0), to: time(11, 0, 0, 0) });
        })
    };
    assert_eq!(own(9, 59).asked(Stage::H), blocked(Reason::OutsideEntryWindow));
    assert_eq!(own(10, 0).asked(Stage::H), PASS);
    assert_eq!(own(11, 0).asked(Stage::H), blocked(Reason::OutsideEntryWindow));
    let late = at(World::condor(), DAY, 15, 45, 0).with(|it| it.settings.entry.cutoff_minutes = 10);
    assert_eq!(late.asked(Stage::H), PASS);
}

#[test]
fn the_first_stage_that_stops_decides_and_all_are_recorded() {
    let world = World::condor().with(|it| {
        it.facts.vix3m = None;
        it.facts.indicators.adx14 = Some(40.0);
        it.facts.macros.as_mut().unwrap().events = vec![event("FOMC", DAY, 14, 0)];
    });
    let decision = at(world, DAY, 14, 0, 0).decide();
    assert_eq!(
        (decision.answer, decision.decided_by, decision.reason),
        (Answer::Stand, Some(Stage::B), Some(Reason::MacroWindow))
    );
    let stopping: Vec<Stage> =
        decision.stages.iter().filter(|it| it.verdict.stops()).map(|it| it.stage).collect();
    assert_eq!(stopping, [Stage::B, Stage::E1, Stage::E2]);
    assert_eq!(decision.stages.iter().map(|it| it.stage).collect::<Vec<_>>(), Stage::ALL);
    assert!(decision.structure.is_some() && decision.numbers.is_some(), "evaluated to the end");
    // The whole of what would have to be another.
    let readings: Vec<Reading> = decision.flip.iter().map(|it| it.reading).collect();
    assert_eq!(readings, [Reading::MacroDistance, Reading::Vix3mAge, Reading::TermRatio, Reading::Adx]);
}

/// A symbol of a foreign root.
fn foreign(symbol: &str) -> OccSymbol {
    symbol.parse().unwrap()
}

#[test]
fn series_of_another_deliverable_or_underlying_are_left_alone() {
    let mut world = World::condor();
    let mut row = world.rows[0];
    for symbol in ["SPY261221P00450000", "SPX1261221P05000000", "XSP261221C00560000"] {
        row.series = foreign(symbol);
        world.rows.push(row);
    }
    let decision = world.decide();
    assert_eq!(decision.answer, Answer::Enter);
    assert_eq!(decision.structure, World::condor().decide().structure);
}
