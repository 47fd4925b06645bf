//! The life of a setup, sentence by sentence.

use domain::market::Points;
use domain::setup::{SetupKind, SetupState, TrailStep};
use domain::time::NANOS_PER_SEC;

use super::Step;
use super::families::Outcome;
use super::family_tests::{LONG, SWING, settled, touch};
use super::scene::{BUYERS, Scene, beforehand, day, open_profile};

/// The steps of the first `level_test` that goes up.
fn life(scene: &Scene) -> Vec<Step> {
    let of = |it: &&Step| (it.setup.kind, it.setup.direction) == (SetupKind::LevelTest, LONG);
    let first = scene.steps.iter().find(of).unwrap().setup.id;
    scene.steps.iter().filter(|it| it.setup.id == first).cloned().collect()
}

/// Entered by the touch, past T1 and then up and down in waves that leave pivots.
fn trailed() -> Scene {
    let scene = touch(settled(), BUYERS).walk(120, 5_613.5);
    scene.walk(240, 5_611.0).walk(300, 5_615.0).walk(240, 5_612.5).walk(240, 5_615.5).walk(600, 5_595.0)
}

#[test]
fn each_step_has_its_setup_sequence_from_0_states_time_price_reason_bar_and_gates() {
    let steps = life(&trailed());
    for (n, it) in steps.iter().enumerate() {
        let step = &it.transition;
        assert_eq!((step.setup, step.sequence as usize), (it.setup.id, n));
        assert_eq!(step.from, n.checked_sub(1).map(|before| steps[before].setup.state));
        assert_eq!(step.to, it.setup.state);
        assert!(step.price.0 > 0 && !step.reason.is_empty());
        assert_eq!(step.ts.0 - step.bar.0, NANOS_PER_SEC, "known at the end of its bar");
        let decides = matches!(step.to, SetupState::Ready | SetupState::Triggered) && n > 0;
        assert!(!decides || step.from.is_some_and(SetupState::is_live) || !step.gates.is_empty());
    }
}

#[test]
fn at_t1_the_stop_moves_to_break_even_and_the_runner_trails_behind_pivots_never_loosened() {
    let steps = life(&trailed());
    let t1 = steps.iter().find(|it| it.transition.reason == "t1").expect("it reaches T1");
    let path = &steps.last().unwrap().setup.trailing_stop_path;
    let TrailStep { ts, stop, reason } = &path[0];
    assert_eq!((*ts, *stop, reason.as_str()), (t1.transition.ts, t1.setup.levels.stop, "break_even"));
    assert!(path.len() >= 2, "a pivot moved it: {path:?}");
    assert!(path[1..].iter().all(|it| it.reason == "pivot_low"));
    assert!(path.is_sorted_by(|a, b| a.ts < b.ts && a.stop < b.stop), "{path:?}");
    assert_eq!(steps.last().unwrap().transition.reason, "trailed_stop");
}

#[test]
fn a_move_of_the_trail_is_a_step_from_a_state_to_itself_with_the_next_sequence_and_the_new_stop() {
    let steps = life(&trailed());
    let moves: Vec<_> = steps.windows(2).filter(|it| it[1].transition.reason == "trail").collect();
    assert!(!moves.is_empty());
    for pair in moves {
        let (before, it) = (&pair[0], &pair[1]);
        assert_eq!((it.transition.from, it.transition.to), (Some(SetupState::T1Hit), SetupState::T1Hit));
        assert_eq!(it.transition.sequence, before.transition.sequence + 1);
        assert!(it.setup.levels.stop > before.setup.levels.stop);
        assert_eq!(it.setup.trailing_stop_path.last().unwrap().stop, it.setup.levels.stop);
    }
}

#[test]
fn r_index_is_the_distance_of_the_zones_middle_from_the_stop_fixed_at_ready() {
    let steps = life(&trailed());
    let ready = steps.iter().find(|it| it.setup.state == SetupState::Ready).unwrap().setup.levels;
    let middle = Points((ready.zone_low.0 + ready.zone_high.0) / 2);
    assert!((middle.minus(ready.stop).0 - ready.r_index.0).abs() <= 1);
    let after = steps.iter().skip_while(|it| it.setup.state == SetupState::Forming);
    assert!(after.clone().all(|it| it.setup.levels.r_index == ready.r_index));
    assert!(
        after.clone().all(|it| (it.setup.levels.zone_low, it.setup.levels.t1) == (ready.zone_low, ready.t1))
    );
}

#[test]
fn fifteen_minutes_before_the_close_a_live_setup_expires_as_session_end() {
    let mut profile = open_profile();
    (profile.entry_until_minutes, profile.entry_stop_before_close_minutes) = (390, 15);
    profile.entry_from_minutes = 362;
    let scene = Scene::new(&day(), &profile, beforehand()).swing(SWING + 900 * 22);
    // It is a few minutes past half past three; the touch comes before the quarter to.
    let scene = touch(scene, BUYERS).walk(900, 5_603.0);
    let live: Vec<_> = scene
        .steps
        .iter()
        .filter(|it| {
            it.setup.state == SetupState::Expired && it.transition.from.is_some_and(SetupState::is_live)
        })
        .collect();
    assert!(!live.is_empty());
    let end = scene.ctx.session().before_close(15);
    for it in live.iter().filter(|it| it.transition.reason == "session_end") {
        assert_eq!(it.transition.ts, end);
    }
    assert!(live.iter().any(|it| it.transition.reason == "session_end"), "{live:?}");
    assert!(!scene.engine.has_live());
}

#[test]
fn terminal_states_never_change() {
    for from in SetupState::ALL.into_iter().filter(|it| it.is_terminal()) {
        assert!(SetupState::ALL.into_iter().all(|to| !from.may_become(to)), "{from:?}");
    }
}

#[test]
fn the_trigger_keeps_imbalance_skew_over_60_seconds_and_alignment() {
    let scene = touch(settled(), BUYERS);
    let facts = scene.trigger(SetupKind::LevelTest).unwrap().setup.facts;
    assert_eq!(facts.bid_ask_imbalance_at_trigger, Some(0.5));
    assert_eq!(facts.aggressor_skew_at_trigger, Some(0.4));
    assert_eq!(facts.macro_alignment_score, None, "without prints of options there is no flow");
}

#[test]
fn an_id_is_a_hash_of_session_symbol_type_direction_forming_bar_and_anchor() {
    let id = |scene: &Scene| life(scene)[0].setup.id;
    let first = touch(settled(), BUYERS);
    assert_eq!(id(&first), id(&touch(settled(), BUYERS)), "another ingester names it alike");
    let later = touch(settled().walk(1, 5_610.0), BUYERS);
    assert_ne!(id(&first), id(&later), "another bar, another name");
    let formed = first.steps.iter().filter(|it| it.transition.from.is_none()).map(|it| it.setup.id);
    let unique: std::collections::BTreeSet<_> = formed.clone().collect();
    assert_eq!(unique.len(), formed.count());
}

#[test]
fn a_life_that_ended_after_its_trigger_is_an_outcome_and_no_other() {
    let of = |scene: &Scene| {
        let steps: Vec<_> = life(scene).into_iter().map(|it| it.transition).collect();
        Outcome::of(&steps, Some(0.7))
    };
    assert_eq!(of(&trailed()), Some(Outcome::new(true, Some(0.7))));
    assert_eq!(of(&touch(settled(), BUYERS).walk(60, 5_590.0)), Some(Outcome::new(false, Some(0.7))));
    assert_eq!(of(&touch(settled(), BUYERS)), None, "still live");
    assert_eq!(of(&settled().walk(120, 5_600.7).walk(60, 5_588.0)), None, "never entered");
}
