//! Laws of whole days with every family: restarts, no look-ahead, lawful lives, names.

use std::collections::BTreeMap;

use domain::ids::SetupId;
use domain::market::Points;
use domain::setup::{Direction, SetupKind, SetupState};
use domain::symbol::Right;
use proptest::prelude::*;

use super::Step;
use super::scene::{BUYERS, Proxy, SELLERS, Scene, beforehand, day, is_trigger, open_profile};

/// A stretch of the day: seconds, the price it leads to, skew and volume of the proxy, and what customers bought.
type Leg = (i64, f64, i64, u64, i32);

fn any_legs() -> impl Strategy<Value = Vec<Leg>> {
    let leg = (20i64..600, 5_560.0f64..5_640.0, -60i64..60, 20u64..600, -300i32..300);
    prop::collection::vec(leg, 1..14)
}

fn start() -> Scene {
    let mut scene = Scene::new(&day(), &open_profile(), beforehand());
    scene.quotes_chain = true;
    scene.swing(1_200)
}

/// The leg's first second, with what customers do in it.
fn opened(mut scene: Scene, to: f64, skew: i64, volume: u64, bought: i32) -> Scene {
    let sizes = if skew > 0 { (400, 100) } else { (100, 400) };
    let first = scene.at + (to - scene.at) * 0.05;
    scene = scene.with(Proxy { skew, volume, sizes, ..BUYERS }).walk(1, first);
    let strike = (scene.at / 5.0).round() as u32 * 5;
    for n in 0..4 {
        let right = if bought > 0 { Right::Call } else { Right::Put };
        scene.customers(right, strike.saturating_sub(5) + 5 * n, bought.abs() + 1);
    }
    scene
}

fn leg(scene: Scene, (secs, to, skew, volume, bought): Leg) -> Scene {
    opened(scene, to, skew, volume, bought).walk(secs, to)
}

fn play(legs: &[Leg]) -> Scene {
    legs.iter().fold(start(), |scene, it| leg(scene, *it))
}

/// Saved as bytes and read back.
fn restored(scene: Scene) -> Scene {
    let saved = serde_json::to_vec(&(&scene.ctx, &scene.engine)).unwrap();
    let (ctx, engine) = serde_json::from_slice(&saved).unwrap();
    assert_eq!((&scene.ctx, &scene.engine), (&ctx, &engine));
    Scene { ctx, engine, ..scene }
}

#[test]
fn a_day_of_every_family_has_triggers_of_all_kinds_and_is_the_same_over_any_restart() {
    let legs = [
        (120, 5_612.0, 40, 100, 100),
        (200, 5_600.0, 40, 100, 100),
        (120, 5_587.0, -30, 100, -100),
        (60, 5_590.0, 50, 60, 100),
        (1_200, 5_650.0, 30, 100, 200),
        (60, 5_644.0, -20, 100, 10),
        (60, 5_650.0, 40, 100, 200),
        (60, 5_662.0, 40, 500, 100),
        (200, 5_658.0, -40, 50, -200),
        (600, 5_600.0, -40, 100, -250),
    ];
    let whole = play(&legs);
    let kinds: std::collections::BTreeSet<_> = whole.steps.iter().map(|it| it.setup.kind).collect();
    assert!(kinds.len() >= 5, "{kinds:?}");
    for every in [1, 7] {
        let mut scene = restored(start());
        for it in legs {
            scene = leg_with_restarts(scene, it, every);
        }
        assert!(scene.steps == whole.steps, "restarted every {every} seconds");
        assert_eq!((&scene.ctx, &scene.engine), (&whole.ctx, &whole.engine));
    }
}

/// The leg, saved and restored after each `every` seconds of its first twenty.
fn leg_with_restarts(scene: Scene, (secs, to, skew, volume, bought): Leg, every: i64) -> Scene {
    let mut scene = restored(opened(scene, to, skew, volume, bought));
    let from = scene.at;
    for n in 1..=secs {
        scene.second(from + (to - from) * n as f64 / secs as f64);
        if n <= 20 && n % every == 0 {
            scene = restored(scene);
        }
    }
    scene
}

#[test]
fn the_seconds_stand_in_for_no_index_where_quotes_are_missing() {
    // SPX's own microstructure is null and gates nothing: all figures come from the proxy.
    let mut scene = start();
    scene.proxy = Some(SELLERS);
    let scene = scene.walk(120, 5_612.0);
    let micro = scene.ctx.micro();
    assert!(micro.skew.is_some_and(|it| it < 0.0) && micro.coverage_pct == Some(100.0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn prop_restored_at_any_bar_every_family_goes_on_the_same(legs in any_legs(), cut in 0usize..14) {
        let whole = play(&legs);
        let cut = cut % (legs.len() + 1);
        let before = legs[..cut].iter().fold(start(), |scene, it| leg(scene, *it));
        let after = legs[cut..].iter().fold(restored(before), |scene, it| leg(scene, *it));
        prop_assert!(after.steps == whole.steps);
        prop_assert_eq!((after.ctx, after.engine), (whole.ctx, whole.engine));
    }

    #[test]
    fn prop_what_comes_later_never_changes_what_came_before(legs in any_legs(), other in any_legs(), cut in 0usize..14) {
        let cut = cut % (legs.len() + 1);
        let shared = play(&legs[..cut]);
        let (a, b) = (
            legs[cut..].iter().fold(shared.clone(), |scene, it| leg(scene, *it)),
            other.iter().fold(shared.clone(), |scene, it| leg(scene, *it)),
        );
        let n = shared.steps.len();
        prop_assert!(a.steps[..n] == shared.steps[..] && b.steps[..n] == shared.steps[..]);
    }

    #[test]
    fn prop_every_life_of_every_family_is_lawful(legs in any_legs()) {
        let scene = play(&legs);
        let mut lives: BTreeMap<SetupId, Vec<Step>> = BTreeMap::new();
        for it in &scene.steps {
            let (setup, step) = (&it.setup, &it.transition);
            let life = lives.entry(setup.id).or_default();
            prop_assert_eq!(step.sequence as usize, life.len());
            prop_assert_eq!(setup.sequence, step.sequence);
            if let (Some(from), Some(last)) = (step.from, life.last()) {
                prop_assert_eq!(from, last.setup.state);
                prop_assert!(from.may_become(step.to), "{:?} to {:?}", from, step.to);
                prop_assert!(last.transition.ts <= step.ts);
                if from != SetupState::Forming {
                    prop_assert_eq!(last.setup.levels.r_index, setup.levels.r_index, "fixed at ready");
                    prop_assert!(setup.direction.reached(setup.levels.stop, last.setup.levels.stop), "never loosened");
                }
            } else {
                prop_assert_eq!((step.from, step.to), (None, SetupState::Forming));
            }
            if is_trigger(it) {
                prop_assert!(!step.gates.iter().any(|it| it.blocks()));
                let (levels, price) = (&setup.levels, step.price);
                prop_assert!(levels.zone_low <= price && price <= levels.zone_high);
                let middle = Points((levels.zone_low.0 + levels.zone_high.0) / 2);
                prop_assert!((middle.distance(levels.stop).0 - levels.r_index.0).abs() <= 1);
                prop_assert!((middle.distance(levels.t1).0 - levels.r_index.0).abs() <= 1);
                prop_assert!(setup.facts.bid_ask_imbalance_at_trigger.is_some());
            }
            life.push(it.clone());
        }
        for kind in SetupKind::ALL {
            for direction in [Direction::Long, Direction::Short] {
                let of = |it: &&Step| is_trigger(it) && (it.setup.kind, it.setup.direction) == (kind, direction);
                let all = scene.steps.iter().filter(|it| is_trigger(it)).count();
                prop_assert!(scene.steps.iter().filter(of).count() <= 2.max(all * 2 / 5 + 1));
            }
        }
    }

    #[test]
    fn prop_a_second_ingester_names_every_setup_alike(legs in any_legs()) {
        let ids = |scene: Scene| scene.steps.iter().map(|it| it.setup.id).collect::<Vec<_>>();
        prop_assert_eq!(ids(play(&legs)), ids(play(&legs)));
    }
}
