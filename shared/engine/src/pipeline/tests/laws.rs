//! Laws over a hundred thousand decisions: a reading moved by a hair turns its stage round, and the fewest readings turn
//! the decision round.

use std::collections::BTreeMap;

use domain::market::Points;
use domain::money::Usd;
use domain::symbol::Underlying;
use domain::time::{NANOS_PER_SEC, UtcNanos, at_new_york};
use jiff::civil::{date, time};

use super::super::*;
use super::inputs;
use super::world::{DAY, Dice, World, before, returns};
use crate::indicators::iv_rank::NoRank;
use crate::macros::{MacroEvent, MacroKind};

/// Decisions that are drawn.
const DECISIONS: u64 = 100_000;

/// A smaller world than the usual one: what is drawn a hundred thousand times.
fn small(kind: Kind, underlying: Underlying) -> World {
    let mut world = World::of(kind, underlying).listed(|it| {
        it.expiries = vec![date(2026, 12, 21)];
        it.strikes = 14;
        it.step *= 2.0;
        it.half = 0.003;
    });
    world.settings.entry.delta_step = 0.0;
    world.settings.entry.widths.truncate(2);
    world.settings.size = Size::Fixed(1);
    world.settings.entry.iv_rank = Some(Range { min: 0.2, max: 0.8 });
    world.facts.returns.daily = returns(60, 0.01, 7);
    world.portfolio.caps = Caps {
        delta: Some(2e6),
        gamma: Some(2e6),
        vega: Some(1e5),
        per_underlying: Some(5),
        max_condors_per_expiry: Some(2),
        per_trade_loss: Some(Usd::from_dollars(100_000)),
        daily_loss: Some(Usd::from_dollars(200_000)),
    };
    world
}

/// Every strategy, on what it may be on.
fn bases() -> Vec<World> {
    let mut all = Vec::new();
    for (_, kind) in NAMES {
        if kind.has_wings() {
            all.push(small(kind, Underlying::SPX));
        }
        all.push(small(kind, Underlying::SPY));
    }
    all
}

/// Spoils a world here and there.
fn spoil(world: &mut World, dice: &mut Dice) {
    spoil_market(world, dice);
    spoil_facts(world, dice);
    spoil_portfolio(world, dice);
    if dice.one_in(3) && !world.rows.is_empty() {
        let row = dice.of(&(0..world.rows.len()).collect::<Vec<_>>());
        let row = &mut world.rows[row];
        match (dice.unit() * 6.0) as u32 {
            0 => row.open_interest = dice.of(&[None, Some(0), Some(5)]),
            1 => row.volume = dice.of(&[None, Some(0)]),
            2 => row.quote.bid = None,
            3 => std::mem::swap(&mut row.quote.bid, &mut row.quote.ask),
            4 => row.quote.ts = before(world.now, dice.between(0.0, 700.0)),
            _ => {
                row.quote.ask = row
                    .quote
                    .ask
                    .map(|it| Points(i64::from(it.cents())).0 as u32 * 2)
                    .map(domain::money::Price::from_cents)
            }
        }
    }
}

fn spoil_market(world: &mut World, dice: &mut Dice) {
    let (facts, now) = (&mut world.facts, world.now);
    if dice.one_in(8) {
        facts.vix =
            Some(LevelAt { value: dice.between(10.0, 40.0), at: before(now, dice.between(0.0, 400.0)) });
    }
    if dice.one_in(20) {
        facts.vix3m = dice.of(&[
            None,
            Some(LevelAt { value: 16.0, at: now }),
            Some(LevelAt { value: 18.0, at: before(now, 301.0) }),
        ]);
    }
    if dice.one_in(30) {
        facts.vix = None;
    }
    if dice.one_in(15) {
        let at = before(now, dice.between(0.0, 90.0));
        facts.spot = dice.of(&[
            None,
            Some(SpotAt { value: Points::whole(0), at }),
            Some(SpotAt { value: Points::from_f64(world.listing.spot), at }),
        ]);
    }
    if dice.one_in(6) {
        facts.path[0].value = Points::from_f64(world.listing.spot * dice.between(0.997, 1.003));
        let at = before(now, 30.0);
        world.rows.iter_mut().for_each(|it| it.quote.ts = at);
    }
    if dice.one_in(25) {
        facts.connected = dice.of(&[None, Some(false)]);
    }
    if dice.one_in(12) {
        facts.volume = dice.of(&[None, Some(UnderlyingVolume { today: 10, average: 1_000, proxy: None })]);
    }
    if dice.one_in(10) {
        let hour = dice.of(&[9, 10, 13, 15, 16]);
        world.now = at_new_york(DAY, time(hour, (dice.unit() * 60.0) as i8, 0, 0));
        let (now, shift) = (world.now, world.now.0 - now.0);
        let move_by = |at: &mut UtcNanos| at.0 += shift;
        facts.spot.iter_mut().for_each(|it| move_by(&mut it.at));
        facts.vix.iter_mut().chain(&mut facts.vix3m).for_each(|it| move_by(&mut it.at));
        facts.path.iter_mut().for_each(|it| move_by(&mut it.at));
        world.rows.iter_mut().for_each(|it| it.quote.ts = now);
    }
    if dice.one_in(60) {
        world.rows.clear();
    }
}

fn spoil_facts(world: &mut World, dice: &mut Dice) {
    let (facts, now) = (&mut world.facts, world.now);
    if dice.one_in(10) {
        facts.implied = dice.of(&[None, Some(0.08), Some(0.12)]);
    }
    if dice.one_in(6) {
        facts.indicators.adx14 = dice.of(&[None, Some(24.999), Some(25.0), Some(40.0)]);
    }
    if dice.one_in(6) {
        let off = dice.of(&[0.98, 1.02]);
        facts.indicators.ema20 = Some(world.listing.spot * off);
        facts.indicators.sma50 = Some(world.listing.spot * off * off);
    }
    if dice.one_in(10) {
        facts.iv = dice.of(&[None, Some(0.1), Some(0.9)]).map_or_else(
            || Some(Standing::Unranked(NoRank::Insufficient { days: 12 })),
            |rank| match facts.iv.take() {
                Some(Standing::Ranked(it)) => {
                    Some(Standing::Ranked(crate::indicators::iv_rank::IvRank { rank, ..it }))
                }
                other => other,
            },
        );
    }
    if dice.one_in(6) {
        let kind = dice.of(&[
            MacroKind::MorningRelease,
            MacroKind::TenOClockRelease,
            MacroKind::Auction,
            MacroKind::FomcDecision,
            MacroKind::FomcMinutes,
        ]);
        let at = UtcNanos(now.0 + (dice.between(-3_600.0, 3_600.0) * NANOS_PER_SEC as f64) as i64);
        facts.macros.iter_mut().for_each(|it| it.events.push(MacroEvent { kind, at }));
    }
    if dice.one_in(30) {
        facts.macros = dice
            .of(&[None, Some(100_000.0)])
            .map(|age| MacroSchedule { confirmed_at: before(now, age), events: Vec::new() });
    }
    if dice.one_in(6) {
        let day =
            date(2026, 11, 20).checked_add(jiff::Span::new().days((dice.unit() * 60.0) as i64)).unwrap();
        let dividend = Dividend { ex_date: day, amount: None };
        match (dice.unit() * 4.0) as u32 {
            0 => facts.earnings = Known::Known(vec![day]),
            1 => facts.earnings = Known::Unavailable,
            2 => facts.dividends = Known::Known(vec![dividend]),
            _ => facts.dividends = Known::Unavailable,
        }
    }
    if dice.one_in(5) {
        facts.forecast = dice.of(&[Some(0.09), Some(0.14), Some(0.17), Some(0.3)]);
    }
    if dice.one_in(40) {
        facts.returns.daily.clear();
    }
    if dice.one_in(60) {
        facts.rates = None;
    }
}

fn spoil_portfolio(world: &mut World, dice: &mut Dice) {
    let portfolio = &mut world.portfolio;
    if dice.one_in(8) {
        portfolio.book = dice.of(&[None, Some(BookGreeks { delta: 1.99e6, gamma: -1.99e6, vega: -9.99e4 })]);
    }
    if dice.one_in(10) {
        portfolio.day_loss = dice.of(&[None, Some(Usd::from_dollars(195_000))]);
    }
    if dice.one_in(10) {
        portfolio.cash = dice.of(&[None, Some(Usd::from_dollars(30_000))]);
    }
    if dice.one_in(20) {
        portfolio.shares = dice.of(&[None, Some(Shares { free: 50, cost_basis: None })]);
    }
    if dice.one_in(20) {
        portfolio.reconciled_at = None;
    }
    if dice.one_in(6) {
        let open = OpenPosition {
            strategy: world.settings.name.clone(),
            kind: world.settings.kind,
            underlying: world.settings.underlying,
            expiry: date(2026, 12, 21),
        };
        portfolio.positions = vec![open; (dice.unit() * 6.0) as usize];
    }
    if dice.one_in(8) {
        // Open legs on some strikes, which selection avoids, or on all.
        let step = dice.of(&[1, 3]);
        let all = world.rows.iter().step_by(step).map(|it| it.series);
        portfolio.open_legs =
            all.map(|series| OpenLeg { broker: "tradier".to_owned(), series, quantity: 1 }).collect();
    }
}

/// Whether a change moved back by a hair no longer turns anything round.
fn a_hair_less(change: &Change) -> Option<Change> {
    let (from, to) = (change.from.as_ref()?.as_f64()?, &change.to);
    let back = match to {
        Value::Number(at) if from < *at => Value::Number(at.next_down()),
        Value::Number(at) => Value::Number(at.next_up()),
        Value::Count(at) if from < *at as f64 => Value::Count(at - 1),
        Value::Count(at) => Value::Count(at + 1),
        Value::Word(_) => return None,
    };
    Some(Change { to: back, ..change.clone() })
}

#[test]
fn a_margin_moved_by_a_hair_turns_its_stage_round_and_the_fewest_readings_turn_the_decision() {
    let bases = bases();
    let mut dice = Dice(0x5EED_CAFE);
    let mut seen: BTreeMap<(Stage, Verdict), u32> = BTreeMap::new();
    let mut answers: BTreeMap<Answer, u32> = BTreeMap::new();
    let mut readings: BTreeMap<(Reading, bool), u32> = BTreeMap::new();
    let mut moved: BTreeMap<Reading, u32> = BTreeMap::new();
    for n in 0..DECISIONS {
        let mut world = bases[n as usize % bases.len()].clone();
        if !dice.one_in(6) {
            spoil(&mut world, &mut dice);
        }
        let decision = world.decide();
        *answers.entry(decision.answer).or_default() += 1;
        for stage in &decision.stages {
            *seen.entry((stage.stage, stage.verdict)).or_default() += 1;
            stage_turns_round(stage, &mut readings, n);
        }
        decision_turns_round(&decision, n);
        let stage = decision.stage(dice.of(&Stage::ALL)).unwrap();
        inputs::turn_the_stage_round(&world, &decision, stage, &mut moved);
    }
    println!("{answers:?} {seen:?} {moved:?}");
    for reading in inputs::MOVABLE {
        assert!(moved.contains_key(&reading), "the input of {reading} was never moved");
    }
    assert!(answers.values().all(|it| *it > 10_000), "{answers:?}");
    for stage in Stage::ALL {
        let of = |verdict| seen.get(&(stage, verdict)).copied().unwrap_or(0);
        assert!(of(Verdict::Pass) > 100, "{stage:?}: {seen:?}");
        assert!(of(Verdict::Block) > 100, "{stage:?}: {seen:?}");
        // Legs, collisions and stage F ask what is there; what is missing was not built.
        let may_be_unknown = !matches!(stage, Stage::F3 | Stage::H);
        assert!(!may_be_unknown || of(Verdict::Unknown) > 20, "{stage:?}: {seen:?}");
    }
    // Of these one side is a table's to show.
    let one_sided = [
        Reading::Underlying,
        Reading::BothSides,
        Reading::Exchange,
        Reading::Lead,
        Reading::Units,
        Reading::GammaLoss,
        Reading::SmileGap,
        Reading::TradeLoss,
        Reading::OwnHours,
    ];
    let of = |reading, held| readings.get(&(reading, held)).copied().unwrap_or(0);
    let is_seen = |it: &&Reading| of(**it, false) > 0 && of(**it, true) > 0;
    let unseen: Vec<&Reading> = Reading::ALL.iter().filter(|it| !is_seen(it)).collect();
    let unseen: Vec<&Reading> = unseen.into_iter().filter(|it| !one_sided.contains(it)).collect();
    assert!(unseen.is_empty(), "{unseen:?} were never seen on both sides");
}

fn stage_turns_round(stage: &Outcome, readings: &mut BTreeMap<(Reading, bool), u32>, n: u64) {
    // Every check by itself, then the stage.
    for check in stage.checks.iter().filter(|it| it.verdict != Verdict::Skipped) {
        let held = !check.verdict.stops();
        *readings.entry((check.reading, held)).or_default() += 1;
        let change = check.change().unwrap();
        assert_eq!(check.had_read(&change.to).verdict.stops(), held, "{n}: {check:?}");
        if let Some(back) = a_hair_less(&change) {
            assert_eq!(check.had_read(&back.to).verdict.stops(), !held, "{n}: {check:?}");
        }
    }
    let flip = stage.flip();
    if stage.verdict == Verdict::Skipped {
        assert!(flip.is_empty(), "{n}: {stage:?}");
        return;
    }
    let stops = stage.verdict.stops();
    assert_eq!(stage.had_read(&flip).verdict.stops(), !stops, "{n}: {stage:?}");
    for at in 0..flip.len() {
        let mut fewer = flip.clone();
        let last = fewer.remove(at);
        assert_eq!(stage.had_read(&fewer).verdict.stops(), stops, "{n}: {stage:?}");
        if let Some(back) = a_hair_less(&last) {
            fewer.push(back);
            assert_eq!(stage.had_read(&fewer).verdict.stops(), stops, "{n}: {stage:?}");
        }
    }
}

fn decision_turns_round(decision: &Decision, n: u64) {
    let flipped = decision.had_read(&decision.flip);
    assert_ne!(flipped.answer, decision.answer, "{n}: {decision:?}");
    for at in 0..decision.flip.len() {
        let mut fewer = decision.flip.clone();
        fewer.remove(at);
        assert_eq!(decision.had_read(&fewer).answer, decision.answer, "{n}: {fewer:?} of {decision:?}");
    }
    // With nothing changed it is itself.
    if n.is_multiple_of(100) {
        assert_eq!(&decision.had_read(&[]), decision);
    }
}
