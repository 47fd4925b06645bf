//! Each family beside the breakout: its idea and its confirmation.

use domain::gate::Verdict;
use domain::market::{Points, SourceProfile};
use domain::setup::{Direction, SetupKind};
use domain::symbol::{Right, Strike};

use super::scene::{BUYERS, Proxy, SELLERS, Scene, beforehand, day, open_profile};
use crate::context::{Beforehand, OiSource, Regime};

fn scene() -> Scene {
    Scene::new(&day(), &open_profile(), beforehand())
}

/// Long enough for regime and bands; it ends at 5,610.
pub(super) const SWING: i64 = 2_025;

pub(super) fn settled() -> Scene {
    scene().swing(SWING)
}

pub(super) const LONG: Direction = Direction::Long;
const SHORT: Direction = Direction::Short;

/// Falls onto the cluster of 5,599 and 5,600, and turns.
pub(super) fn touch(scene: Scene, proxy: Proxy) -> Scene {
    scene.with(proxy).walk(120, 5_600.7).walk(20, 5_599.9).walk(10, 5_601.0).walk(10, 5_602.0)
}

#[test]
fn level_test_is_touch_and_rejection_of_a_strong_cluster() {
    let scene = touch(settled(), BUYERS);
    let story = scene.story(SetupKind::LevelTest, LONG);
    assert_eq!(story, "forming:rejection ready:rejection triggered:rejection");
    let trigger = scene.trigger(SetupKind::LevelTest).unwrap();
    assert!(trigger.setup.levels.zone_low >= Points::whole(5_599), "{:?}", trigger.setup.levels);
    // A weak cluster is none.
    let mut strict = open_profile();
    strict.families.as_mut().unwrap().level_test.strength_min = 9.0;
    let scene = touch(Scene::new(&day(), &strict, beforehand()).swing(SWING), BUYERS);
    assert_eq!(scene.story(SetupKind::LevelTest, LONG), "");
}

#[test]
fn level_test_wants_imbalance_and_size_ratio_against_the_approach() {
    for (proxy, gate) in [
        (Proxy { sizes: (100, 300), ..BUYERS }, "size_imbalance"),
        (Proxy { sizes: (100, 101), ..BUYERS }, "size_ratio"),
        (Proxy { quoted: 59, ..BUYERS }, "microstructure_coverage"),
        (Proxy { spread_bps: 4, ..BUYERS }, "microstructure_spread"),
    ] {
        let scene = touch(settled(), proxy).walk(60, 5_612.0);
        assert!(scene.trigger(SetupKind::LevelTest).is_none(), "{gate}");
        let check = scene.last_gate(SetupKind::LevelTest, LONG, gate);
        assert_eq!((check.verdict, check.reason.as_str()), (Verdict::Block, "microstructure_insufficient"));
        assert!(check.observed.is_some() && check.margin.is_some_and(|it| it < 0.0), "{check:?}");
    }
}

#[test]
fn a_level_that_breaks_invalidates_its_test() {
    let scene = settled().with(SELLERS).walk(120, 5_600.7).walk(60, 5_588.0);
    let story = scene.story(SetupKind::LevelTest, LONG);
    assert_eq!(story, "forming:rejection ready:rejection invalidated:behind_anchor");
}

#[test]
fn vwap_is_reclaimed_from_below_and_lost_from_above() {
    let scene = settled().walk(180, 5_592.0).walk(80, 5_599.5).walk(10, 5_601.2).walk(20, 5_601.5);
    let story = scene.story(SetupKind::Vwap, LONG);
    assert_eq!(story, "forming:reclaim ready:reclaim triggered:reclaim");
    let scene = settled().with(SELLERS).walk(80, 5_600.9).walk(10, 5_599.2).walk(20, 5_599.0);
    assert_eq!(scene.story(SetupKind::Vwap, SHORT), "forming:loss ready:loss triggered:loss");
}

#[test]
fn vwap_bands_are_faded_from_outside() {
    let scene = settled().walk(180, 5_587.0).walk(30, 5_585.0).walk(15, 5_588.0).walk(15, 5_589.5);
    let story = scene.story(SetupKind::Vwap, LONG);
    assert_eq!(story, "forming:fade ready:fade triggered:fade");
}

#[test]
fn vwap_wants_skew_coverage_and_spread() {
    for (proxy, gate) in [
        (Proxy { skew: -10, ..BUYERS }, "aggressor_skew"),
        (Proxy { quoted: 59, ..BUYERS }, "microstructure_coverage"),
        (Proxy { spread_bps: 4, ..BUYERS }, "microstructure_spread"),
    ] {
        let scene =
            settled().walk(180, 5_592.0).with(proxy).walk(80, 5_599.5).walk(10, 5_601.2).walk(30, 5_601.5);
        assert!(scene.trigger(SetupKind::Vwap).is_none(), "{gate}");
        let scene = scene.walk(60, 5_620.0);
        let check = scene.last_gate(SetupKind::Vwap, LONG, gate);
        assert_eq!((check.verdict, check.reason.as_str()), (Verdict::Block, "microstructure_insufficient"));
    }
}

/// A minute up on four times the volume, a quiet one, then a turn.
pub(super) fn climax(scene: Scene, after: Proxy) -> Scene {
    let loud = Proxy { volume: 400, spread_bps: 2, ..BUYERS };
    let scene = scene.walk(15, 5_610.0).with(loud).walk(60, 5_622.0).with(Proxy { volume: 50, ..after });
    scene.walk(60, 5_621.5).walk(70, 5_620.5)
}

#[test]
fn volume_climax_is_an_extreme_of_volume_and_range_and_then_exhaustion() {
    let sellers = Proxy { sizes: (100, 301), ..SELLERS };
    let scene = climax(settled(), sellers);
    let story = scene.story(SetupKind::VolumeClimax, SHORT);
    assert_eq!(story, "forming:exhaustion ready:exhaustion triggered:exhaustion");
    // Without the volume there is no climax.
    let scene = settled().walk(75, 5_622.0).with(sellers).walk(120, 5_620.0);
    assert_eq!(scene.story(SetupKind::VolumeClimax, SHORT), "");
}

#[test]
fn volume_climax_wants_a_size_ratio_over_three_or_under_a_third_and_the_spread_back_to_normal() {
    for (sizes, spread_bps, gate) in
        [((100, 300), 1, "size_ratio"), ((100, 120), 1, "size_ratio"), ((100, 301), 2, "spread_normal")]
    {
        let scene = climax(settled(), Proxy { sizes, spread_bps, ..SELLERS }).walk(30, 5_605.0);
        assert!(scene.trigger(SetupKind::VolumeClimax).is_none(), "{gate} {sizes:?}");
        let check = scene.last_gate(SetupKind::VolumeClimax, SHORT, gate);
        assert_eq!((check.verdict, check.reason.as_str()), (Verdict::Block, "microstructure_insufficient"));
    }
    // After a fall the ratio must be under 0.33: three bids to one ask is not.
    let fall = |sizes| {
        let loud = Proxy { volume: 400, ..SELLERS };
        let scene = settled().walk(15, 5_610.0).with(loud).walk(60, 5_598.0);
        let scene = scene.with(Proxy { volume: 50, sizes, ..BUYERS }).walk(60, 5_598.5).walk(70, 5_599.5);
        scene.trigger(SetupKind::VolumeClimax).is_some()
    };
    assert!(fall((310, 100)) && !fall((300, 100)));
}

/// Dealers are short of calls from 5,600 to 5,625; price comes from under 5,605.
pub(super) fn squeezed(fill: impl Fn(&mut Scene)) -> Scene {
    squeezed_on(&day(), fill)
}

fn squeezed_on(source: &SourceProfile, fill: impl Fn(&mut Scene)) -> Scene {
    squeeze(Scene::new(source, &open_profile(), beforehand()).swing(SWING), fill)
}

fn squeeze(mut scene: Scene, fill: impl Fn(&mut Scene)) -> Scene {
    scene.quotes_chain = true;
    scene = scene.walk(60, 5_601.0);
    fill(&mut scene);
    scene.walk(60, 5_601.5).walk(30, 5_604.0).walk(10, 5_605.5).walk(20, 5_606.0)
}

pub(super) fn buy_calls(scene: &mut Scene) {
    for strike in (5_590..=5_630).step_by(5) {
        scene.customers(Right::Call, strike, 200);
    }
}

#[test]
fn gamma_squeeze_wants_dealers_short_at_spot_and_at_the_next_two_strikes() {
    let scene = squeezed(buy_calls);
    let story = scene.story(SetupKind::GammaSqueeze, LONG);
    assert_eq!(story, "forming:break ready:break triggered:break");
    assert_eq!(scene.ctx.wider().unwrap().gamma().unwrap().zero_dte.source, OiSource::OiPlusFlow);
    let gates = &scene.trigger(SetupKind::GammaSqueeze).unwrap().transition.gates;
    let dealers = gates.iter().find(|it| it.gate == "dealer_gamma").unwrap();
    assert!(dealers.observed.as_ref().unwrap().ends_with("(oi_plus_flow)"), "{dealers:?}");
    // One of the three strikes long is enough for none.
    for strike in [5_605, 5_610] {
        let scene = squeezed(|it| {
            buy_calls(it);
            it.customers(Right::Call, strike, -500);
        });
        assert_eq!(scene.story(SetupKind::GammaSqueeze, LONG), "", "{strike}");
    }
    // Without prints nobody knows, and nothing forms.
    assert_eq!(squeezed(|_| {}).story(SetupKind::GammaSqueeze, LONG), "");
}

#[test]
fn gamma_squeeze_wants_flow_in_the_direction_that_does_not_fade() {
    // Puts bought are as much short gamma for the dealers, and flow against the direction.
    let scene = squeezed(|it| {
        for strike in (5_590..=5_630).step_by(5) {
            it.customers(Right::Put, strike, 200);
        }
    });
    assert!(scene.trigger(SetupKind::GammaSqueeze).is_none());
    let scene = scene.walk(20, 5_620.0);
    assert_eq!(scene.last_gate(SetupKind::GammaSqueeze, LONG, "options_flow").reason, "flow_against");
    // All calls before, half of them now.
    let mut scene = settled();
    scene.quotes_chain = true;
    scene = scene.walk(60, 5_601.0);
    buy_calls(&mut scene);
    scene = scene.walk(900, 5_600.0);
    scene.customers(Right::Call, 5_600, 300);
    scene.customers(Right::Put, 5_600, 150);
    scene = scene.walk(60, 5_601.5).walk(30, 5_604.0).walk(10, 5_605.5).walk(20, 5_606.0).walk(20, 5_620.0);
    assert_eq!(scene.last_gate(SetupKind::GammaSqueeze, LONG, "flow_not_fading").reason, "flow_fading");
}

#[test]
fn a_positive_wall_is_a_target_and_never_a_trigger() {
    let setup = |scene: &Scene| scene.trigger(SetupKind::GammaSqueeze).map(|it| it.setup.levels);
    let free = setup(&squeezed(buy_calls)).unwrap();
    assert_eq!(free.t2.minus(free.t1), free.r_index, "without a wall 2 R");
    let walled = setup(&squeezed_on(&walled_at(5_620), buy_calls)).unwrap();
    assert_eq!(walled.t2, Points::whole(5_620), "between T1 {} and {}", free.t1, free.t2);
    let far = setup(&squeezed_on(&walled_at(5_640), buy_calls)).unwrap();
    assert_eq!(far.t2, free.t2, "beyond 2 R it is none of ours");
    // Before T1 it blocks.
    let scene = squeezed_on(&walled_at(5_610), buy_calls);
    assert!(setup(&scene).is_none());
    let scene = scene.walk(20, 5_620.0);
    let check = scene.last_gate(SetupKind::GammaSqueeze, LONG, "positive_wall");
    assert_eq!((check.reason.as_str(), check.observed.as_deref()), ("wall_before_t1", Some("5610.00")));
}

/// The day with so much open interest in one call that its total stays above 0 whatever customers buy.
fn walled_at(strike: u32) -> SourceProfile {
    let mut source = day();
    for it in &mut source.series {
        let is_wall = it.series.right == Right::Call && it.series.strike == Strike::from_points(strike);
        it.open_interest = Some(if is_wall { 20_000 } else { 100 });
    }
    source
}

/// Up sixty points in twenty minutes, so that VWAP follows; then back, and up again.
pub(super) fn pulled_back(scene: Scene, after: Proxy) -> Scene {
    let scene = scene.walk(1_200, 5_660.0).with(Proxy { skew: -20, ..after }).walk(50, 5_654.0);
    scene.with(after).walk(20, 5_655.5).walk(10, 5_656.0)
}

#[test]
fn trend_pullback_continues_a_trend_from_a_pullback_with_the_skew_turning() {
    let scene = pulled_back(settled(), BUYERS);
    assert_eq!(scene.ctx.wider().unwrap().regime().regime, Regime::TrendingUp);
    let story = scene.story(SetupKind::TrendPullback, LONG);
    assert!(story.ends_with("ready:pullback triggered:pullback"), "{story}");
    // Sellers to the end: nothing turned.
    let scene = pulled_back(settled(), Proxy { skew: -30, ..BUYERS }).walk(60, 5_670.0);
    assert!(scene.trigger(SetupKind::TrendPullback).is_none());
    let check = scene.last_gate(SetupKind::TrendPullback, LONG, "skew_turning");
    assert_eq!(check.reason, "microstructure_insufficient");
    // In a range there is no trend to continue.
    let scene = settled().walk(60, 5_604.0).walk(30, 5_607.0);
    assert_eq!(scene.story(SetupKind::TrendPullback, LONG), "");
}

/// Out of the lower band of two deviations and back.
pub(super) fn reverted(scene: Scene, after: Proxy) -> Scene {
    let scene = scene.with(Proxy { skew: -20, ..after }).walk(180, 5_587.0).walk(30, 5_585.0);
    scene.with(after).walk(15, 5_588.0).walk(15, 5_589.5)
}

#[test]
fn mean_reversion_fades_a_two_sigma_band_in_a_range_with_the_skew_turning() {
    let scene = reverted(settled(), BUYERS);
    let story = scene.story(SetupKind::MeanReversion, LONG);
    assert_eq!(story, "forming:fade ready:fade triggered:fade");
    let scene = reverted(settled(), Proxy { skew: -30, ..BUYERS }).walk(20, 5_600.0);
    assert!(scene.trigger(SetupKind::MeanReversion).is_none());
    assert_eq!(
        scene.last_gate(SetupKind::MeanReversion, LONG, "skew_turning").reason,
        "microstructure_insufficient"
    );
    // Without history the regime is unknown, and what is unknown is no range.
    let blind = Beforehand { history: None, ..beforehand() };
    let scene = reverted(Scene::new(&day(), &open_profile(), blind).swing(SWING), BUYERS);
    assert_eq!(scene.story(SetupKind::MeanReversion, LONG), "");
}

#[test]
fn every_family_is_the_same_upside_down() {
    let turned = || scene().upside_down().swing(SWING);
    let reclaim = |it: Scene| it.walk(180, 5_592.0).walk(80, 5_599.5).walk(10, 5_601.2).walk(20, 5_601.5);
    let loud = Proxy { volume: 400, ..SELLERS };
    let quiet = Proxy { volume: 50, sizes: (310, 100), ..BUYERS };
    let fallen = |it: Scene| {
        let it = it.walk(15, 5_610.0).with(loud).walk(60, 5_598.0).with(quiet);
        it.walk(60, 5_598.5).walk(70, 5_599.5)
    };
    for (kind, up, down) in [
        (SetupKind::Vwap, reclaim(settled()), reclaim(turned())),
        (SetupKind::VolumeClimax, fallen(settled()), fallen(turned())),
        (SetupKind::GammaSqueeze, squeeze(settled(), buy_calls), squeeze(turned(), buy_calls)),
        (SetupKind::TrendPullback, pulled_back(settled(), BUYERS), pulled_back(turned(), BUYERS)),
        (SetupKind::MeanReversion, reverted(settled(), BUYERS), reverted(turned(), BUYERS)),
    ] {
        let (up, down) = (up.trigger(kind).unwrap(), down.trigger(kind).unwrap());
        assert_eq!((up.setup.direction, down.setup.direction), (LONG, SHORT), "{kind:?}");
        let apart = up.transition.ts.0.abs_diff(down.transition.ts.0);
        assert!(apart <= 2_000_000_000, "{kind:?}: {} and {}", up.transition.ts, down.transition.ts);
        let mirrored = 11_200.0 - down.setup.levels.stop.to_f64();
        assert!((up.setup.levels.stop.to_f64() - mirrored).abs() < 0.5, "{kind:?}");
    }
}
