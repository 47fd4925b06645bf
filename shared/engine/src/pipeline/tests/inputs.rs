//! The inputs behind the readings: moved by a hair, with the others and the structure held, they turn the stage round.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a reading that has no input here is skipped, and counted"
)]

use std::collections::BTreeMap;

use domain::calendar::Session;
use domain::money::Usd;
use domain::time::{NANOS_PER_SEC, UtcNanos};
use jiff::civil::Date;

use super::super::*;
use super::world::World;

/// Readings whose input is moved here.
pub(super) const MOVABLE: [Reading; 30] = [
    Reading::SpotAge,
    Reading::Reconciled,
    Reading::MacroAge,
    Reading::Connection,
    Reading::UnderlyingVolume,
    Reading::Volume,
    Reading::OpenInterest,
    Reading::QuoteAge,
    Reading::VixAge,
    Reading::Vix3mAge,
    Reading::TermRatio,
    Reading::VolPremium,
    Reading::Adx,
    Reading::IvRank,
    Reading::Cash,
    Reading::FreeShares,
    Reading::GammaLoss,
    Reading::OpposedLegs,
    Reading::Earnings,
    Reading::DaysToEarnings,
    Reading::Dividends,
    Reading::DaysToExDividend,
    Reading::EvP,
    Reading::EvStressed,
    Reading::StrategyPositions,
    Reading::DayLoss,
    Reading::BookDelta,
    Reading::BookVega,
    Reading::SinceOpen,
    Reading::ToCutoff,
];

/// The checks of stage G3 by themselves: what every expectation loses to the exit's slippage is one input for both.
fn turn_expectations_round(
    world: &World,
    decision: &Decision,
    stage: &Outcome,
    moved: &mut BTreeMap<Reading, u32>,
) {
    let expected = |it: &&Check| matches!(it.reading, Reading::EvP | Reading::EvStressed);
    let Some(structure) = &decision.structure else { return };
    for check in stage.checks.iter().filter(expected) {
        let mut other = world.clone();
        let Some(change) = check.change().filter(|it| moves(&mut other, decision, it)) else { continue };
        let again = other.decide_holding(structure);
        let after = again.stage(Stage::G3).unwrap().checks.iter().find(|it| it.is_about(&change)).unwrap();
        assert_eq!(after.verdict.stops(), !check.verdict.stops(), "{check:?} became {after:?}");
        *moved.entry(check.reading).or_default() += 1;
    }
}

/// Moves the inputs of a stage's changes, where all of them are inputs, and asks again.
pub(super) fn turn_the_stage_round(
    world: &World,
    decision: &Decision,
    stage: &Outcome,
    moved: &mut BTreeMap<Reading, u32>,
) {
    if stage.stage == Stage::G3 {
        return turn_expectations_round(world, decision, stage, moved);
    }
    let flip = stage.flip();
    let mut other = world.clone();
    let all = flip.iter().all(|it| moves(&mut other, decision, it));
    // Without a structure the rest of stage F was not asked.
    let is_partial = stage.stage == Stage::F && decision.structure.is_none();
    if flip.is_empty() || !all || is_partial {
        return;
    }
    let again = match &decision.structure {
        Some(it) => other.decide_holding(it),
        None => other.decide(),
    };
    let after = again.stage(stage.stage).unwrap();
    assert_eq!(after.verdict.stops(), !stage.verdict.stops(), "{flip:?}: {stage:?} became {after:?}");
    for it in &flip {
        *moved.entry(it.reading).or_default() += 1;
    }
}

/// `seconds` before `now`, and where it turns just above its limit, the nanosecond above.
fn aged(now: UtcNanos, seconds: f64) -> UtcNanos {
    let nanos = seconds * NANOS_PER_SEC as f64;
    let whole = nanos.round();
    let over = i64::from(seconds.fract() > 0.0);
    UtcNanos(now.0 - whole as i64 - over)
}

/// The next value at which `holds` is `wanted`, from `start` on by single steps.
fn nudged(start: f64, up: bool, wanted: impl Fn(f64) -> bool) -> f64 {
    let mut it = start;
    for _ in 0..64 {
        if wanted(it) {
            return it;
        }
        it = if up { it.next_up() } else { it.next_down() };
    }
    it
}

fn day(today: Date, days: f64) -> Date {
    today.checked_add(jiff::Span::new().days(days as i64)).unwrap()
}

/// Moves the input behind a change; whether there is one here.
fn moves(world: &mut World, decision: &Decision, change: &Change) -> bool {
    let (now, today) = (world.now, world.now.new_york_date());
    let word = matches!(&change.to, Value::Word(_)).then(|| change.to.to_string());
    let word = word.as_deref();
    let to = change.to.as_f64().unwrap_or(0.0);
    let facts = &mut world.facts;
    match change.reading {
        Reading::SpotAge => match &mut facts.spot {
            Some(it) => it.at = aged(now, to),
            None => return false,
        },
        Reading::MacroAge => {
            let events = facts.macros.take().map(|it| it.events).unwrap_or_default();
            facts.macros = Some(MacroSchedule { confirmed_at: aged(now, to), events });
        }
        Reading::Connection => facts.connected = Some(word == Some("live")),
        Reading::UnderlyingVolume => {
            let average = 1_000_000_000;
            let today = to * average as f64;
            let today = if to < 0.3 { today.floor() - 1.0 } else { today.ceil() } as u64;
            facts.volume = Some(UnderlyingVolume { today, average, proxy: None });
        }
        Reading::VixAge => {
            let value = facts.vix.map_or(17.0, |it| it.value);
            facts.vix = Some(LevelAt { value, at: aged(now, to) });
        }
        Reading::Vix3mAge => {
            let value = facts.vix3m.map_or(19.0, |it| it.value);
            facts.vix3m = Some(LevelAt { value, at: aged(now, to) });
        }
        Reading::TermRatio => {
            let Some((vix, vix3m)) = facts.vix.zip(facts.vix3m) else { return false };
            let wanted = to < 1.0;
            let value = nudged(vix.value / to, wanted, |it| (vix.value / it < 1.0) == wanted);
            facts.vix3m = Some(LevelAt { value, ..vix3m });
        }
        Reading::VolPremium => {
            let Some(realised) = facts.indicators.rv20 else { return false };
            let wanted = to > 0.0;
            facts.implied = Some(nudged(realised + to, wanted, |it| (it - realised > 0.0) == wanted));
        }
        Reading::Adx => facts.indicators.adx14 = Some(to),
        Reading::IvRank => match &mut facts.iv {
            Some(Standing::Ranked(it)) => it.rank = to,
            Some(Standing::Unranked(_)) | None => return false,
        },
        // An index is none because of what it is.
        Reading::Earnings | Reading::Dividends if word == Some("share") => return false,
        Reading::Earnings => facts.earnings = three_valued(word),
        Reading::Dividends => facts.dividends = three_valued(word),
        Reading::DaysToEarnings => facts.earnings = Known::Known(vec![day(today, to)]),
        Reading::DaysToExDividend => {
            let dividend = Dividend { ex_date: day(today, to), amount: None };
            facts.dividends = Known::Known(vec![dividend]);
        }
        Reading::EvP | Reading::EvStressed => return moves_slippage(world, decision, change.reading, to),
        Reading::GammaLoss => {
            // The limit is moved to what was read, or a hair under it.
            let Some(read) = change.from.as_ref().and_then(Value::as_f64) else { return false };
            let holds = read <= world.settings.entry.gamma_loss_max;
            world.settings.entry.gamma_loss_max = if holds { read.next_down() } else { read };
            return world.settings.entry.gamma_loss_max >= 0.0;
        }
        Reading::SinceOpen | Reading::ToCutoff => return moves_now(world, change.reading, to),
        Reading::Volume | Reading::OpenInterest | Reading::QuoteAge => return moves_row(world, change, to),
        _ => return moves_portfolio(world, decision, change, to),
    }
    true
}

fn three_valued<T>(word: Option<&str>) -> Known<T> {
    if word == Some("none") { Known::KnownNone } else { Known::Unavailable }
}

/// The session's ends are moved over: the clock is.
fn moves_now(world: &mut World, reading: Reading, to: f64) -> bool {
    let Ok(Some(session)) = Session::at(world.now) else { return false };
    let cutoff = session.before_close(u32::from(world.settings.entry.cutoff_minutes));
    let nanos = |it: f64| if it < 0.0 { -1 } else { i64::from(it > 0.0) };
    world.now = UtcNanos(match reading {
        Reading::SinceOpen => session.open.0 + nanos(to),
        _ => cutoff.0 - nanos(to),
    });
    // Nothing of what is known may be of later.
    world.rows.clear();
    true
}

/// The exit's slippage takes from every expectation in equal dollars.
fn moves_slippage(world: &mut World, decision: &Decision, reading: Reading, to: f64) -> bool {
    let (Some(structure), Some(numbers)) = (&decision.structure, &decision.numbers) else { return false };
    let premium = numbers.premium.abs().to_f64();
    let (read, wanted) = match reading {
        Reading::EvP => (numbers.ev_p, to),
        _ => (numbers.ev_stressed, to * premium),
    };
    let Some(read) = read else { return false };
    let half: f64 = structure
        .legs
        .iter()
        .map(|it| f64::from(it.leg.ratio) * 0.5 * (it.ask.to_f64() - it.bid.to_f64()))
        .sum();
    let per_one = half * 100.0 * f64::from(structure.units);
    // Charges are kept to 1/10,000 dollar: a hair is one of these a unit.
    let hair = 2e-4 * f64::from(structure.units) / per_one;
    let slippage = world.facts.exit_slippage.unwrap_or(world.settings.entry.slippage);
    let moved = slippage + (read - wanted) / per_one + if read > wanted { hair } else { -hair };
    world.facts.exit_slippage = Some(moved);
    moved >= 0.0
}

fn moves_row(world: &mut World, change: &Change, to: f64) -> bool {
    let Some(leg) = change.leg else { return false };
    let now = world.now;
    let row = world.row(leg);
    match change.reading {
        Reading::Volume => row.volume = Some(to as u32),
        Reading::OpenInterest => row.open_interest = Some(to as u32),
        _ => row.quote.ts = aged(now, to),
    }
    true
}

/// Dollars to the side on which `to` lies of the limit: what is not a whole 1/10,000 goes beyond it.
fn dollars(to: f64) -> Usd {
    let e4 = to * 10_000.0;
    Usd::from_e4(if to < 0.0 { e4.floor() } else { e4.ceil() } as i64)
}

fn moves_portfolio(world: &mut World, decision: &Decision, change: &Change, to: f64) -> bool {
    let read = change.from.as_ref().and_then(Value::as_f64);
    let now = world.now;
    let portfolio = &mut world.portfolio;
    match change.reading {
        Reading::Reconciled => {
            portfolio.reconciled_at = (change.to.to_string() == "today").then_some(now);
        }
        Reading::Cash => {
            let (Some(cash), Some(read)) = (portfolio.cash, read) else { return false };
            portfolio.cash = Some(cash - dollars(read) + dollars(to));
        }
        Reading::FreeShares => {
            let (Some(it), Some(read)) = (&mut portfolio.shares, read) else { return false };
            it.free = (f64::from(it.free) + to - read) as u32;
            // With fewer a wheel would sell a put: that is another structure.
            return world.settings.kind != Kind::Wheel;
        }
        Reading::StrategyPositions => {
            let open = OpenPosition {
                strategy: world.settings.name.clone(),
                kind: world.settings.kind,
                underlying: world.settings.underlying,
                expiry: Date::MIN,
            };
            portfolio.positions = vec![open; to as usize - 1];
            // Others of the same positions are counted by underlying.
            portfolio.caps.per_underlying = None;
        }
        Reading::DayLoss => {
            let (Some(loss), Some(read)) = (portfolio.day_loss, read) else { return false };
            // Losses are counted in 1/10,000 dollar: the next one is the hair.
            let limit = portfolio.caps.daily_loss.unwrap();
            let over = Usd::from_e4(i64::from(to > limit.to_f64()));
            portfolio.day_loss = Some(loss - Usd::from_e4((read * 10_000.0).round() as i64) + limit + over);
        }
        Reading::BookDelta | Reading::BookVega => return moves_book(world, decision, change.reading, to),
        Reading::OpposedLegs => {
            portfolio.open_legs.clear();
            let Some(structure) = &decision.structure else { return false };
            if to > 0.0 {
                let leg = structure.legs[0].leg;
                let quantity = -leg.side.side().sign();
                let broker = portfolio.broker.clone();
                portfolio.open_legs.push(OpenLeg { broker, series: leg.series, quantity });
            }
        }
        _ => return false,
    }
    true
}

fn moves_book(world: &mut World, decision: &Decision, reading: Reading, to: f64) -> bool {
    let (Some(numbers), Some(structure)) = (&decision.numbers, &decision.structure) else { return false };
    let caps = world.portfolio.caps;
    let scale = (30.0 / structure.dte.max(1) as f64).sqrt();
    let (own, cap) = match reading {
        Reading::BookDelta => (numbers.delta, caps.delta),
        _ => (numbers.vega.map(|it| it * scale), caps.vega),
    };
    let (Some(own), Some(cap), Some(book)) = (own, cap, &mut world.portfolio.book) else { return false };
    let wanted = to <= cap;
    let to = nudged(to - own, !wanted, |it| ((own + it).abs() <= cap) == wanted);
    match reading {
        Reading::BookDelta => book.delta = to,
        _ => book.vega = to,
    }
    true
}
