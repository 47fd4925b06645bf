use domain::gate::Verdict;
use domain::market::{Microbar, Ohlc, Points, SourceProfile};
use domain::setup::{Direction, SetupState};
use domain::symbol::Underlying;
use domain::time::{NANOS_PER_SEC, UtcNanos};
use proptest::prelude::*;

use super::{SetupEngine, Step};
use crate::bars::tape::{GapKind, Second, TapeItem};
use crate::bars::tests::source;
use crate::context::Context;
use crate::profile::Profile;

/// Index points to move to, and the seconds it takes.
type Leg = (i64, f64);

/// How the proxy looks: skew of its volume in percent of the whole, quoted prints in a hundred, spread in basis points.
#[derive(Debug, Clone, Copy)]
struct Proxy {
    skew: i64,
    quoted: u32,
    spread_bps: i64,
}

const FINE: Proxy = Proxy { skew: 40, quoted: 100, spread_bps: 1 };

/// With R half the range's height, 10 points on these paths, and a close trail.
fn profile() -> Profile {
    Profile { stop_range_part: 0.5, trail_buffer_atr: 0.1, ..Profile::orb_v1() }
}

/// Opens at 5600 and swings between 5590 and 5610 until 09:46, the end of the opening range; then walks the legs.
fn prices(legs: &[Leg]) -> Vec<f64> {
    let mut path: Vec<f64> = (0..=960)
        .map(|n| {
            let phase = f64::from(n % 900) / 900.0;
            let tri = if phase < 0.25 {
                phase * 4.0
            } else if phase < 0.75 {
                2.0 - phase * 4.0
            } else {
                phase * 4.0 - 4.0
            };
            5_600.0 + 10.0 * tri
        })
        .collect();
    for &(secs, to) in legs {
        let from = path[path.len() - 1];
        path.extend((1..=secs).map(|n| from + (to - from) * n as f64 / secs as f64));
    }
    path
}

fn bar(ts_open: UtcNanos, low: f64, high: f64, close: f64) -> Microbar {
    let ohlc = Ohlc {
        open: Points::from_f64(close),
        high: Points::from_f64(high),
        low: Points::from_f64(low),
        close: Points::from_f64(close),
    };
    Microbar { ohlc: Some(ohlc), trades: 1, ticks: 1, ..Microbar::empty(ts_open) }
}

fn second(n: usize, price: f64, proxy: Option<Proxy>) -> Second {
    let ts_open = UtcNanos(source().session.open.0 + n as i64 * NANOS_PER_SEC);
    let proxy = proxy.map(|it| Microbar {
        volume: 100,
        buy_volume: (50 + it.skew / 2) as u64,
        sell_volume: (50 - it.skew / 2) as u64,
        ticks: 100,
        quoted_ticks: it.quoted,
        bid_size_sum: 3,
        ask_size_sum: 1,
        spread_sum: it.spread_bps * 1_000_000 * i64::from(it.quoted),
        ..bar(ts_open, price / 10.0, price / 10.0, price / 10.0)
    });
    Second {
        ts_open,
        index: Some(bar(ts_open, price, price, price)),
        proxy,
        in_session: source().session.holds(ts_open),
    }
}

fn play(source: &SourceProfile, quotes: bool, seconds: &[Second]) -> Vec<Step> {
    let (mut ctx, mut engine) = (Context::new(source, &profile(), quotes), SetupEngine::new());
    seconds.iter().flat_map(|it| take(&mut ctx, &mut engine, it)).collect()
}

fn take(ctx: &mut Context, engine: &mut SetupEngine, second: &Second) -> Vec<Step> {
    ctx.apply(&TapeItem::Second(*second));
    engine.on_second(second, ctx)
}

fn seconds(legs: &[Leg], proxy: Option<Proxy>) -> Vec<Second> {
    prices(legs).iter().enumerate().map(|(n, price)| second(n, *price, proxy)).collect()
}

/// The steps of the first setup of a direction, as `state:reason`.
fn story(steps: &[Step], direction: Direction) -> String {
    let Some(first) = steps.iter().find(|it| it.setup.direction == direction) else { return String::new() };
    let own = steps.iter().filter(|it| it.setup.id == first.setup.id);
    let words: Vec<_> =
        own.map(|it| format!("{}:{}", it.transition.to.as_str(), it.transition.reason)).collect();
    words.join(" ")
}

const BREAK: Leg = (60, 5_611.5);
const HOLD: Leg = (20, 5_611.5);

#[test]
fn a_break_lives_until_its_target_its_stop_or_its_time() {
    let near = (10, 5_609.0);
    let entered = "forming:break ready:break triggered:break";
    // Until a quarter past two price swings inside the range; the trade then lasts into the session's end.
    let mut late = [(90, 5_607.0), (90, 5_604.0)].repeat(90);
    late.extend([BREAK, HOLD, (1_200, 5_622.5), (6_000, 5_622.6)]);
    for (legs, ending) in [
        (vec![near, BREAK, HOLD, (300, 5_640.0)], "t1_hit:t1 t2_hit:t2"),
        (vec![near, BREAK, HOLD, (200, 5_595.0)], "stopped:stop"),
        (vec![near, BREAK, HOLD, (100, 5_623.0), (100, 5_605.0)], "t1_hit:t1 stopped:break_even_stop"),
        (
            vec![near, BREAK, HOLD, (100, 5_624.0), (300, 5_620.0), (420, 5_627.0), (300, 5_605.0)],
            "t1_hit:t1 t1_hit:trail stopped:trailed_stop",
        ),
        (vec![near, BREAK, HOLD, (60 * 46, 5_612.0)], "expired:hold_max"),
        (late, "t1_hit:t1 expired:session_end"),
    ] {
        let steps = play(&source(), true, &seconds(&legs, Some(FINE)));
        assert_eq!(story(&steps, Direction::Long), format!("{entered} {ending}"), "{legs:?}");
    }
}

#[test]
fn a_break_downwards_is_the_same_upside_down() {
    let legs = [(120, 5_591.0), (60, 5_588.5), (20, 5_588.5), (300, 5_560.0)];
    let steps = play(&source(), true, &seconds(&legs, Some(Proxy { skew: -40, ..FINE })));
    let expected = "forming:break ready:break triggered:break t1_hit:t1 t2_hit:t2";
    assert_eq!(story(&steps, Direction::Short), expected);
}

#[test]
fn what_does_not_trigger_ends_with_the_gate_that_said_no() {
    let against = Proxy { skew: -40, ..FINE };
    let (run, fall) =
        ([(10, 5_609.0), BREAK, HOLD, (120, 5_640.0)], [(10, 5_609.0), BREAK, HOLD, (120, 5_600.0)]);
    let no_proxy = SourceProfile { proxy: None, ..source() };
    for (source, legs, proxy, ending, gate, reason) in [
        (
            source(),
            run,
            Some(against),
            "missed:left_without_entry",
            "aggressor_skew",
            "microstructure_insufficient",
        ),
        (
            source(),
            fall,
            Some(against),
            "invalidated:back_inside",
            "aggressor_skew",
            "microstructure_insufficient",
        ),
        (
            source(),
            run,
            Some(Proxy { quoted: 59, ..FINE }),
            "missed:left_without_entry",
            "microstructure_coverage",
            "microstructure_insufficient",
        ),
        (
            source(),
            run,
            Some(Proxy { spread_bps: 4, ..FINE }),
            "missed:left_without_entry",
            "microstructure_spread",
            "microstructure_insufficient",
        ),
        (no_proxy, run, None, "missed:left_without_entry", "aggressor_skew", "microstructure_unavailable"),
    ] {
        let steps = play(&source, true, &seconds(&legs, proxy));
        assert_eq!(story(&steps, Direction::Long), format!("forming:break ready:break {ending}"), "{gate}");
        let last = steps.iter().rfind(|it| it.transition.to.is_terminal()).unwrap();
        let check = last.transition.gates.iter().find(|it| it.gate == gate).unwrap();
        assert_eq!((check.verdict, check.reason.as_str()), (Verdict::Block, reason), "{gate}");
    }
}

#[test]
fn switched_off_quotes_skip_the_microstructure_gates_and_say_so() {
    let legs = [(10, 5_609.0), BREAK, HOLD, (300, 5_640.0)];
    let steps = play(&source(), false, &seconds(&legs, Some(Proxy { quoted: 0, skew: 0, ..FINE })));
    let trigger = steps.iter().find(|it| it.transition.to == SetupState::Triggered).unwrap();
    let skipped: Vec<_> = trigger
        .transition
        .gates
        .iter()
        .filter(|it| it.verdict == Verdict::Skip)
        .map(|it| it.reason.as_str())
        .collect();
    assert_eq!(
        skipped,
        ["quotes_switched_off", "quotes_switched_off", "quotes_switched_off", "macro_inputs_missing"]
    );
}

#[test]
fn a_floor_on_macro_alignment_blocks_while_its_inputs_are_missing() {
    let legs = [(10, 5_609.0), BREAK, HOLD, (300, 5_640.0)];
    let profile = Profile { macro_floor: Some(40.0), ..profile() };
    let (mut ctx, mut engine) = (Context::new(&source(), &profile, true), SetupEngine::new());
    let steps: Vec<_> =
        seconds(&legs, Some(FINE)).iter().flat_map(|it| take(&mut ctx, &mut engine, it)).collect();
    assert!(steps.iter().all(|it| it.transition.to != SetupState::Triggered));
    assert!(
        steps.iter().any(|it| it
            .transition
            .gates
            .iter()
            .any(|it| it.blocks() && it.reason == "macro_inputs_missing"))
    );
}

#[test]
fn nothing_triggers_until_ten_seconds_after_a_gap() {
    let legs = [(10, 5_609.0), BREAK, HOLD, (60, 5_612.0)];
    let all = seconds(&legs, Some(FINE));
    let (symbol, kind) = (Underlying::SPY, GapKind::Silence);
    let (mut ctx, mut engine) = (Context::new(&source(), &profile(), true), SetupEngine::new());
    let mut triggered = None;
    for (n, it) in all.iter().enumerate() {
        match n {
            1_000 => ctx.apply(&TapeItem::FeedGap { symbol, since: it.ts_open, kind }),
            1_050 => ctx.apply(&TapeItem::Resumed { symbol, at: it.ts_open }),
            _ => {}
        }
        let steps = take(&mut ctx, &mut engine, it);
        let at = steps.iter().find(|it| it.transition.to == SetupState::Triggered).map(|_| n);
        triggered = triggered.or(at);
    }
    assert_eq!(triggered, Some(1_059), "the second that ends ten seconds after the feed is back");
}

#[test]
fn a_bar_that_touches_stop_and_target_is_the_stop() {
    let mut all = seconds(&[(10, 5_609.0), BREAK, HOLD], Some(FINE));
    let n = all.len();
    let wide = second(n, 5_611.0, Some(FINE));
    all.push(Second { index: Some(bar(wide.ts_open, 5_590.0, 5_640.0, 5_611.0)), ..wide });
    let steps = play(&source(), true, &all);
    assert!(story(&steps, Direction::Long).ends_with("triggered:break stopped:stop"));
}

#[test]
fn levels_are_one_and_two_r_from_the_middle_of_the_zone() {
    let steps = play(&source(), true, &seconds(&[(10, 5_609.0), BREAK, HOLD], Some(FINE)));
    let setup = &steps.iter().find(|it| it.transition.to == SetupState::Triggered).unwrap().setup;
    let it = setup.levels;
    let middle = it.zone_low.plus(Points(it.zone_high.minus(it.zone_low).0 / 2));
    assert_eq!(it.zone_low, Points::whole(5_610));
    assert_eq!((it.t1.minus(middle), it.t2.minus(middle).0), (it.r_index, 2 * it.r_index.0));
    assert_eq!(middle.minus(it.stop), it.r_index);
    assert_eq!(setup.facts.aggressor_skew_at_trigger, Some(0.4));
    assert_eq!(
        (setup.facts.bid_ask_imbalance_at_trigger, setup.facts.macro_alignment_score),
        (Some(0.5), None)
    );
}

fn any_legs() -> impl Strategy<Value = Vec<Leg>> {
    prop::collection::vec((20i64..900, 5_560.0f64..5_640.0), 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn prop_stopped_anywhere_and_restored_the_rest_of_the_day_is_identical(
        legs in any_legs(),
        cut in 0.0f64..1.0,
        skew in -60i64..60,
    ) {
        let all = seconds(&legs, Some(Proxy { skew, ..FINE }));
        let cut = (all.len() as f64 * cut) as usize;
        let (mut ctx, mut engine) = (Context::new(&source(), &profile(), true), SetupEngine::new());
        for it in &all[..cut] {
            take(&mut ctx, &mut engine, it);
        }
        let saved = serde_json::to_vec(&(&ctx, &engine)).unwrap();
        let (mut ctx2, mut engine2): (Context, SetupEngine) = serde_json::from_slice(&saved).unwrap();
        prop_assert_eq!((&ctx, &engine), (&ctx2, &engine2));
        for it in &all[cut..] {
            prop_assert_eq!(take(&mut ctx, &mut engine, it), take(&mut ctx2, &mut engine2, it));
        }
        prop_assert_eq!((ctx, engine), (ctx2, engine2));
    }

    #[test]
    fn prop_every_life_is_lawful(legs in any_legs(), skew in -60i64..60) {
        let steps = play(&source(), true, &seconds(&legs, Some(Proxy { skew, ..FINE })));
        let mut lives = std::collections::BTreeMap::new();
        for it in &steps {
            let (setup, step) = (&it.setup, &it.transition);
            let life: &mut Vec<Step> = lives.entry(setup.id).or_default();
            prop_assert_eq!(step.sequence as usize, life.len());
            match (step.from, life.last()) {
                (None, None) => prop_assert_eq!(step.to, SetupState::Forming),
                (Some(from), Some(last)) => {
                    prop_assert_eq!(from, last.setup.state);
                    prop_assert!(from.may_become(step.to), "{:?} to {:?}", from, step.to);
                    prop_assert!(last.transition.ts <= step.ts);
                    if from != SetupState::Forming {
                        prop_assert_eq!(last.setup.levels.r_index, setup.levels.r_index);
                        let tighter = setup.direction.reached(setup.levels.stop, last.setup.levels.stop);
                        prop_assert!(tighter, "the stop was loosened");
                    }
                }
                other => prop_assert!(false, "{:?}", other),
            }
            life.push(it.clone());
        }
        for direction in [Direction::Long, Direction::Short] {
            let triggered = steps.iter().filter(|it| {
                it.setup.direction == direction
                    && it.transition.from == Some(SetupState::Ready)
                    && it.transition.to == SetupState::Triggered
            });
            prop_assert!(triggered.count() <= 2);
        }
    }
}

/// An engine whose setup has just triggered, with its context and the seconds it saw.
fn triggered() -> (Context, SetupEngine, usize, domain::setup::Setup) {
    let all = seconds(&[(10, 5_609.0), BREAK, HOLD], Some(FINE));
    let (mut ctx, mut engine) = (Context::new(&source(), &profile(), true), SetupEngine::new());
    all.iter().for_each(|it| _ = take(&mut ctx, &mut engine, it));
    let setup = engine.open().find(|it| it.state == SetupState::Triggered).unwrap().clone();
    (ctx, engine, all.len(), setup)
}

#[test]
fn the_first_value_at_or_through_a_level_counts() {
    for (beyond, ending) in [(0.0, true), (-0.01, true), (0.01, false)] {
        let (mut ctx, mut engine, n, setup) = triggered();
        let stop = setup.levels.stop.to_f64() + beyond;
        let steps = take(&mut ctx, &mut engine, &second(n, stop, Some(FINE)));
        assert_eq!(steps.iter().any(|it| it.transition.to == SetupState::Stopped), ending, "{beyond}");
    }
    for (beyond, ending) in [(0.0, true), (0.01, true), (-0.01, false)] {
        let (mut ctx, mut engine, n, setup) = triggered();
        let target = setup.levels.t1.to_f64() + beyond;
        let steps = take(&mut ctx, &mut engine, &second(n, target, Some(FINE)));
        assert_eq!(steps.iter().any(|it| it.transition.to == SetupState::T1Hit), ending, "{beyond}");
    }
}

#[test]
fn a_stop_uses_the_implied_spot_where_it_is_worse_by_more_than_three_points() {
    for (implied, stopped) in [(None, false), (Some(-1.0), true), (Some(40.0), false)] {
        let (mut ctx, mut engine, n, setup) = triggered();
        let under_stop = |by: f64| Points::from_f64(setup.levels.stop.to_f64() + by);
        engine.set_implied(implied.map(under_stop));
        let steps = take(&mut ctx, &mut engine, &second(n, 5_611.5, Some(FINE)));
        assert_eq!(steps.iter().any(|it| it.transition.to == SetupState::Stopped), stopped, "{implied:?}");
    }
    // Within three points of each other the index alone counts.
    let (mut ctx, mut engine, n, setup) = triggered();
    let near = setup.levels.stop.to_f64() + 2.0;
    engine.set_implied(Some(Points::from_f64(near - 2.9)));
    assert!(take(&mut ctx, &mut engine, &second(n, near, Some(FINE))).is_empty());
}

#[test]
fn a_substitute_leads_what_is_live_and_triggers_nothing() {
    let (ctx, mut engine, n, setup) = triggered();
    let at = second(n, 0.0, None).ts_open;
    let steps = engine.on_substitute(at, setup.levels.stop, &ctx);
    assert_eq!(steps.len(), 1);
    assert_eq!((steps[0].transition.to, steps[0].transition.price), (SetupState::Stopped, setup.levels.stop));
    // The same second once more: nothing is live, and what may still trigger does not do so on a substitute.
    assert!(engine.on_substitute(at, Points::from_f64(5_611.5), &ctx).is_empty());
}

#[test]
fn blind_for_too_long_what_is_live_ends_and_is_closed() {
    let (ctx, mut engine, n, _) = triggered();
    let steps = engine.end_live(second(n, 0.0, None).ts_open, "blind", &ctx);
    assert_eq!((steps[0].transition.to, steps[0].transition.reason.as_str()), (SetupState::Expired, "blind"));
    assert!(!engine.has_live());
}

#[test]
fn without_t1_a_trade_ends_after_forty_five_minutes_and_a_halt_stands_that_timer_still() {
    let ended = |halted: Option<(i64, i64)>| {
        let (ctx, mut engine, n, setup) = triggered();
        let start = second(n, 0.0, None).ts_open;
        let mut steps = Vec::new();
        for minute in 1..=70 {
            let now = UtcNanos(start.0 + minute * 60 * NANOS_PER_SEC);
            match halted {
                Some((from, _)) if minute == from => engine.halt(now),
                Some((_, to)) if minute == to => engine.resume(now),
                _ => {}
            }
            steps.extend(engine.pass_time(now, &ctx));
        }
        let step = steps.into_iter().find(|it| it.setup.id == setup.id).unwrap().transition;
        (step.reason, step.ts.since(setup.triggered_at.unwrap()).as_secs() / 60)
    };
    assert_eq!(ended(None), ("hold_max".to_owned(), 45));
    assert_eq!(ended(Some((10, 25))), ("hold_max".to_owned(), 60));
}
