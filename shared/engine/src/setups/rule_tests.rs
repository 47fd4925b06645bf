//! What holds for every family: microstructure, freshness, macro, caps, quarantine.

use domain::gate::Verdict;
use domain::market::SourceProfile;
use domain::setup::{FamilyStatus, SetupKind, SetupState};
use domain::symbol::{Right, Underlying};
use domain::time::NANOS_PER_SEC;

use super::families::{Outcome, Rolling};
use super::family_tests::{LONG, SWING, buy_calls, climax, pulled_back, reverted, settled, squeezed, touch};
use super::scene::{BUYERS, Proxy, SELLERS, Scene, beforehand, day, is_trigger, open_profile};
use crate::bars::tape::{GapKind, TapeItem};
use crate::context::Beforehand;
use crate::macros::{MacroCalendar, MacroEvent, MacroKind};
use crate::profile::{Profile, Standing, Weights};

fn fresh() -> Scene {
    Scene::new(&day(), &open_profile(), beforehand())
}

#[test]
fn without_the_proxys_bars_microstructure_is_unavailable_and_blocks_every_family() {
    let no_proxy = SourceProfile { proxy: None, ..day() };
    let mut scene = Scene::new(&no_proxy, &open_profile(), beforehand());
    scene.proxy = None;
    let mut scene = scene.swing(SWING).walk(120, 5_600.7).walk(20, 5_599.9);
    scene = scene.walk(10, 5_601.0).walk(60, 5_612.0);
    assert!(scene.steps.iter().all(|it| !is_trigger(it)));
    let check = scene.last_gate(SetupKind::LevelTest, LONG, "size_imbalance");
    assert_eq!((check.verdict, check.reason.as_str()), (Verdict::Block, "microstructure_unavailable"));
}

#[test]
fn the_microstructure_is_labelled_as_the_proxys_for_spx_has_none_of_its_own() {
    let scene = touch(settled(), BUYERS);
    let gates = &scene.trigger(SetupKind::LevelTest).unwrap().transition.gates;
    let source = gates.iter().find(|it| it.gate == "microstructure_source").unwrap();
    assert_eq!(source.observed.as_deref(), Some("spy_proxy"));
}

#[test]
fn no_family_triggers_until_ten_seconds_of_clean_data_after_a_gap() {
    let mut scene = settled().walk(120, 5_600.7).walk(19, 5_599.9);
    let at = scene.now();
    let (symbol, kind) = (Underlying::SPY, GapKind::Silence);
    scene.ctx.apply(&TapeItem::FeedGap { symbol, since: at, kind });
    let mut scene = scene.walk(3, 5_600.0);
    let back = scene.now();
    scene.ctx.apply(&TapeItem::Resumed { symbol, at: back });
    let scene = scene.walk(3, 5_601.3).walk(30, 5_601.8);
    let trigger = scene.trigger(SetupKind::LevelTest).unwrap();
    assert_eq!(trigger.transition.ts.0 - back.0, 10 * NANOS_PER_SEC);
}

#[test]
fn where_quotes_are_switched_off_every_family_skips_microstructure_and_says_so() {
    let mut scene = fresh();
    scene.ctx = crate::context::Context::knowing(&day(), &open_profile(), false, beforehand());
    let scene = touch(scene.swing(SWING), Proxy { quoted: 0, sizes: (0, 0), ..SELLERS });
    let trigger = scene.trigger(SetupKind::LevelTest).expect("it triggers without them");
    let skipped = trigger.transition.gates.iter().filter(|it| it.reason == "quotes_switched_off");
    assert_eq!(skipped.count(), 4, "coverage, spread, imbalance and ratio");
}

#[test]
fn every_gate_of_every_trigger_has_name_observed_threshold_verdict_and_reason() {
    let scenes = [
        touch(settled(), BUYERS),
        reverted(settled(), BUYERS),
        climax(settled(), SELLERS),
        squeezed(buy_calls),
        pulled_back(settled(), BUYERS),
    ];
    let mut kinds = std::collections::BTreeSet::new();
    for it in scenes.iter().flat_map(|it| &it.steps).filter(|it| !it.transition.gates.is_empty()) {
        kinds.insert(it.setup.kind);
        for gate in &it.transition.gates {
            assert!(!gate.gate.is_empty() && !gate.required.is_empty(), "{gate:?}");
            match gate.verdict {
                Verdict::Pass => assert!(gate.observed.is_some() && gate.reason.is_empty(), "{gate:?}"),
                Verdict::Block | Verdict::Skip => assert!(!gate.reason.is_empty(), "{gate:?}"),
            }
            assert!(gate.margin.is_none_or(|it| (it >= 0.0) != gate.blocks()), "{gate:?}");
        }
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}

#[test]
fn a_limit_on_time_is_at_least_one_step_of_the_source_and_the_decision_carries_it() {
    let coarse = SourceProfile { resolution_ns: 20 * NANOS_PER_SEC, ..day() };
    let scene = Scene::new(&coarse, &open_profile(), beforehand()).swing(SWING);
    let scene = scene.walk(180, 5_592.0).walk(80, 5_599.5).walk(10, 5_601.2).walk(8, 5_601.5);
    assert!(scene.trigger(SetupKind::Vwap).is_none(), "held for 20 s, not for the profile's 10");
    let scene = scene.walk(20, 5_601.6);
    let gates = &scene.trigger(SetupKind::Vwap).unwrap().transition.gates;
    assert_eq!(gates[0].gate, "source_resolution");
    assert_eq!(gates[0].observed.as_deref(), Some("20s"));
}

#[test]
fn no_family_enters_in_a_macro_window_or_without_a_calendar() {
    let with = |macros| {
        let before = Beforehand { macros, ..beforehand() };
        touch(Scene::new(&day(), &open_profile(), before).swing(SWING), BUYERS).walk(60, 5_613.0)
    };
    let at = with(MacroCalendar::Known(Vec::new())).trigger(SetupKind::LevelTest).unwrap().transition.ts;
    let event = |kind| MacroCalendar::Known(vec![MacroEvent { at, kind }]);
    for (macros, reason) in [
        (event(MacroKind::TenOClockRelease), "macro_window"),
        (MacroCalendar::Unavailable, "macro_calendar_missing"),
    ] {
        let scene = with(macros);
        assert!(scene.trigger(SetupKind::LevelTest).is_none());
        assert_eq!(scene.last_gate(SetupKind::LevelTest, LONG, "macro_window").reason, reason);
    }
}

#[test]
fn under_the_floor_of_40_setups_against_the_alignment_are_blocked_and_missing_inputs_block() {
    let mut profile = Profile { macro_floor: Some(40.0), ..open_profile() };
    profile.families.as_mut().unwrap().context.weights = Weights { regime: 0.5, basis: 0.05, flow: 0.45 };
    let with = |right: Option<Right>| {
        let mut scene = Scene::new(&day(), &profile, beforehand()).swing(SWING);
        scene.quotes_chain = right.is_some();
        scene = scene.walk(60, 5_610.0);
        if let Some(right) = right {
            scene.customers(right, 5_610, 500);
        }
        touch(scene, BUYERS).walk(60, 5_613.0)
    };
    let blocked = with(Some(Right::Put));
    assert!(blocked.trigger(SetupKind::LevelTest).is_none());
    let check = blocked.last_gate(SetupKind::LevelTest, LONG, "macro_alignment");
    assert_eq!(check.reason, "macro_against", "{check:?}");
    let missing = with(None);
    let check = missing.last_gate(SetupKind::LevelTest, LONG, "macro_alignment");
    assert_eq!(check.reason, "macro_inputs_missing");
    assert!(check.observed.unwrap().contains("options_flow"));
    let aligned = with(Some(Right::Call));
    let facts = aligned.trigger(SetupKind::LevelTest).unwrap().setup.facts;
    assert!(facts.macro_alignment_score.is_some_and(|it| it >= 40.0), "{facts:?}");
}

#[test]
fn a_target_beyond_the_move_that_the_straddle_implies_blocks() {
    let mut profile = open_profile();
    let with = |profile: &Profile, quotes: bool| {
        let mut scene = Scene::new(&day(), profile, beforehand()).swing(SWING);
        scene.quotes_chain = quotes;
        touch(scene, BUYERS).walk(60, 5_613.0)
    };
    profile.families.as_mut().unwrap().t1_of_implied_move_max = Some(1.0);
    assert!(with(&profile, true).trigger(SetupKind::LevelTest).is_some(), "some thirty points are left");
    let check = with(&profile, false).last_gate(SetupKind::LevelTest, LONG, "implied_move");
    assert_eq!(check.reason, "implied_move_missing");
    profile.families.as_mut().unwrap().t1_of_implied_move_max = Some(0.05);
    let check = with(&profile, true).last_gate(SetupKind::LevelTest, LONG, "implied_move");
    assert_eq!(check.reason, "target_beyond_implied_move");
    assert!(check.required.contains("T2"), "both distances are shown: {check:?}");
}

fn governed(outcomes: &[(bool, f64)]) -> Scene {
    let mut profile = open_profile();
    let rules = &mut profile.families.as_mut().unwrap().governance;
    rules.standings.retain(|it| it.0 != SetupKind::LevelTest);
    rules.standings.push((SetupKind::LevelTest, Standing::Governed));
    let mut rolling = Rolling::default();
    outcomes.iter().for_each(|(t1, r)| rolling.take(Outcome::new(*t1, Some(*r)), rules));
    let before = Beforehand { families: vec![(SetupKind::LevelTest, rolling)], ..beforehand() };
    touch(Scene::new(&day(), &profile, before).swing(SWING), BUYERS)
}

#[test]
fn a_family_under_its_floor_is_quarantined_until_it_recovers() {
    let of = |outcomes: &[(bool, f64)]| {
        governed(outcomes).trigger(SetupKind::LevelTest).unwrap().setup.facts.family
    };
    let (good, miss, poor) = ((true, 0.5), (false, 0.5), (true, -0.5));
    for (what, outcomes, status) in [
        ("no figures", vec![], FamilyStatus::Quarantined),
        ("too few", vec![good; 19], FamilyStatus::Quarantined),
        ("enough", vec![good; 20], FamilyStatus::Active),
        ("T1 rate", [vec![good; 26], vec![miss; 34]].concat(), FamilyStatus::Quarantined),
        ("expectancy", [vec![good; 20], vec![poor; 21]].concat(), FamilyStatus::Quarantined),
        ("recovered", [vec![miss; 60], vec![good; 60]].concat(), FamilyStatus::Active),
    ] {
        assert_eq!(of(&outcomes), status, "{what}");
    }
}

#[test]
fn what_is_quarantined_or_in_shadow_is_led_to_its_end_and_marked_so_that_no_intent_follows() {
    let scene = governed(&[]).walk(60, 5_640.0);
    let story = scene.story(SetupKind::LevelTest, LONG);
    assert!(story.ends_with("triggered:rejection t1_hit:t1 t2_hit:t2"), "{story}");
    let trigger = scene.trigger(SetupKind::LevelTest).unwrap();
    let gate = trigger.transition.gates.iter().find(|it| it.gate == "family_status").unwrap();
    assert_eq!((gate.verdict, gate.reason.as_str()), (Verdict::Skip, "family_quarantined"));
    assert!(!trigger.setup.facts.family.trades());
    // What the first profile with all families says of each.
    let scene = Scene::new(&day(), &Profile::setups_v1(), beforehand());
    for kind in SetupKind::ALL {
        let expected = match kind {
            SetupKind::OrbBreakout => FamilyStatus::Quarantined,
            SetupKind::LevelTest
            | SetupKind::Vwap
            | SetupKind::VolumeClimax
            | SetupKind::GammaSqueeze
            | SetupKind::TrendPullback
            | SetupKind::MeanReversion => FamilyStatus::Shadow,
        };
        assert_eq!(super::families::status(kind, &scene.ctx), expected, "{kind:?}");
    }
}

#[test]
fn a_family_and_direction_has_at_most_the_larger_of_two_and_40_percent_of_entries_and_one_live() {
    let mut engine = super::SetupEngine::new();
    let ctx = fresh().ctx;
    for (entries, cap) in [(0, 2), (4, 2), (5, 2), (6, 2), (7, 3), (9, 4), (19, 8)] {
        engine.entries = entries;
        assert_eq!(engine.session_cap(&ctx), cap, "after {entries} entries");
    }
    // Three touches in a row, each stopped or won before the next: the third meets the cap.
    let mut scene = settled();
    for _ in 0..4 {
        scene = touch(scene, BUYERS).walk(60, 5_640.0).walk(200, 5_610.0);
    }
    let own = |it: &&super::Step| it.setup.kind == SetupKind::LevelTest && it.setup.direction == LONG;
    let entered = scene.steps.iter().filter(own).filter(|it| is_trigger(it)).count();
    assert!(entered >= 2, "{entered}");
    let all = scene.steps.iter().filter(|it| is_trigger(it)).count();
    assert!(entered <= 2.max(all * 2 / 5), "{entered} of {all}");
    let mut live = std::collections::BTreeMap::new();
    for it in &scene.steps {
        let count: &mut i32 = live.entry((it.setup.kind, it.setup.direction)).or_default();
        *count += i32::from(is_trigger(it));
        let was_live = it.transition.from.is_some_and(SetupState::is_live);
        *count -= i32::from(was_live && it.setup.state.is_terminal());
        assert!(*count <= 1, "{:?}", it.setup.kind);
    }
}

#[test]
fn opening_ranges_of_5_15_and_30_minutes_start_together_not_before_0931() {
    let scene = fresh().swing(2_000);
    let wider = scene.ctx.wider().unwrap();
    let ranges = [5, 15, 30].map(|it| *wider.range(it).unwrap());
    let open = scene.ctx.session().open;
    for (range, minutes) in ranges.iter().zip([5, 15, 30]) {
        assert!(range.from.0 >= open.0 + 60 * NANOS_PER_SEC && range.verified, "{range:?}");
        assert_eq!(range.from, ranges[0].from);
        assert_eq!(range.until.0 - range.from.0, minutes * 60 * NANOS_PER_SEC);
    }
    assert_eq!(Some(&ranges[1]), scene.ctx.range());
    assert_eq!(wider.range(10), None);
}

#[test]
fn the_night_before_the_open_makes_levels_by_the_proxy_times_the_ratio() {
    let mut scene = fresh();
    for (n, price) in [(-600, 5_640.0), (-300, 5_570.0)] {
        let second = super::scene::second(n, price, Some(BUYERS));
        let second = crate::bars::tape::Second { index: None, ..second };
        scene.ctx.apply(&crate::bars::tape::TapeItem::Second(second));
    }
    assert_eq!(scene.ctx.wider().unwrap().overnight(), None, "before the ratio is known there is none");
    let scene = scene.swing(300);
    let night = scene.ctx.wider().unwrap().overnight().unwrap();
    assert_eq!(night.source, crate::context::OvernightSource::ProxyTimesRatio);
    assert!((night.high.to_f64() - 5_640.0).abs() < 3.0 && (night.low.to_f64() - 5_570.0).abs() < 3.0);
}
