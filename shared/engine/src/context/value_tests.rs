//! Levels, regime, basis and the macro alignment, against references that look at everything at once.

use domain::market::{Microbar, Ohlc, Points, PriorDay};
use domain::setup::Direction;
use domain::time::{NANOS_PER_SEC, UtcNanos};
use proptest::prelude::*;

use super::regime::Trail;
use super::*;
use crate::profile::{ContextRules, Families};

fn rules() -> ContextRules {
    Families::v1().context
}

fn p(points: f64) -> Points {
    Points::from_f64(points)
}

#[test]
fn a_missing_level_is_missing_and_not_zero() {
    assert!(levels(&LevelInputs::default(), &rules()).is_empty(), "nothing known, no level");
    let prior = PriorDay { high: p(5_640.0), low: p(5_580.0), close: Points(0) };
    let found = levels(&LevelInputs { prior: Some(&prior), ..LevelInputs::default() }, &rules());
    let sources: Vec<_> = found.iter().map(|it| it.source).collect();
    assert_eq!(sources, [LevelSource::PriorLow, LevelSource::PriorHigh], "a close of 0 is none");
}

#[test]
fn every_source_of_the_spec_makes_a_level() {
    let prior = PriorDay { high: p(5_640.0), low: p(5_580.0), close: p(5_601.0) };
    let at = UtcNanos(0);
    let range = Range { from: at, until: at, high: p(5_612.0), low: p(5_590.0), verified: true };
    let night = Overnight::of_future(p(5_660.0), p(5_600.0), p(20.0));
    assert_eq!((night.high, night.low, night.source), (p(5_640.0), p(5_580.0), OvernightSource::EsLessBasis));
    let night = Overnight::of_proxy(p(563.0), p(559.0), 10_000_000);
    assert_eq!(
        (night.high, night.low, night.source),
        (p(5_630.0), p(5_590.0), OvernightSource::ProxyTimesRatio)
    );
    let found = levels(
        &LevelInputs {
            last: Some(p(5_610.0)),
            prior: Some(&prior),
            range: Some(&range),
            vwap: Some(VwapBands { vwap: p(5_603.0), sigma: p(4.0) }),
            gamma: [Some(p(5_650.0)), Some(p(5_550.0)), Some(p(5_595.0))],
            overnight: Some(&night),
        },
        &rules(),
    );
    assert!(found.is_sorted_by_key(|it| it.price));
    let of = |source| found.iter().filter(|it| it.source == source).map(|it| it.price).collect::<Vec<_>>();
    for (source, price) in [
        (LevelSource::PriorHigh, 5_640.0),
        (LevelSource::PriorLow, 5_580.0),
        (LevelSource::PriorClose, 5_601.0),
        (LevelSource::RangeHigh, 5_612.0),
        (LevelSource::RangeLow, 5_590.0),
        (LevelSource::Vwap, 5_603.0),
        (LevelSource::CallWall, 5_650.0),
        (LevelSource::PutWall, 5_550.0),
        (LevelSource::GammaFlip, 5_595.0),
        (LevelSource::OvernightHigh, 5_630.0),
        (LevelSource::OvernightLow, 5_590.0),
    ] {
        assert_eq!(of(source), [p(price)], "{}", source.as_str());
    }
    assert!(of(LevelSource::Round).contains(&p(5_600.0)) && of(LevelSource::Round).contains(&p(5_625.0)));
}

#[test]
fn levels_within_three_points_merge_into_a_cluster_with_their_strengths() {
    let level = |price: f64, strength| Level { price: p(price), source: LevelSource::Round, strength };
    let all = [level(5_600.0, 1.0), level(5_603.0, 0.5), level(5_605.9, 0.7), level(5_608.91, 1.0)];
    let found = clusters(&all, 3.0);
    let shown: Vec<_> = found.iter().map(|it| (it.low, it.high, it.levels.len())).collect();
    assert_eq!(shown, [(p(5_600.0), p(5_605.9), 3), (p(5_608.91), p(5_608.91), 1)]);
    assert!((found[0].strength - 2.2).abs() < 1e-12 && (found[1].strength - 1.0).abs() < 1e-12);
}

#[test]
fn the_regime_is_what_the_profile_says_of_atr_range_and_slope() {
    let open = UtcNanos(0);
    let bar = |low: f64, high: f64| Ohlc { open: p(low), high: p(high), low: p(low), close: p(high) };
    // Sessions of the past: ATR 2 and a range of 10 at every minute.
    let day = vec![MinuteFigures { atr: Some(p(2.0)), range: Some(p(10.0)) }; 40];
    let history = History::of(&vec![day; 20]);
    let read = |atr: f64, range: f64, vwap: [f64; 2], history: Option<&History>| {
        let mut trail = Trail::default();
        for minute in 0..=20 {
            let vwap = if minute == 20 { vwap[1] } else { vwap[0] };
            let ohlc = bar(5_600.0, 5_600.0 + range);
            trail.add(Mark { minute, ohlc, vwap: Some(p(vwap)), volume: 1, spread: None });
        }
        RegimeReading::of(&trail, Some(p(atr)), history, &rules().regime)
    };
    let flat = [5_600.0, 5_600.0];
    for (atr, range, vwap, regime) in [
        (2.0, 10.0, flat, Regime::Ranging),
        (2.0, 10.0, [5_600.0, 5_602.0], Regime::TrendingUp),
        (2.0, 10.0, [5_600.0, 5_598.0], Regime::TrendingDown),
        (2.0, 10.0, [5_600.0, 5_601.9], Regime::Ranging),
        (1.4, 6.0, flat, Regime::Compression),
        (1.5, 6.0, flat, Regime::Ranging),
        (2.6, 16.0, flat, Regime::Breakout),
        (2.6, 15.9, flat, Regime::Ranging),
    ] {
        assert_eq!(read(atr, range, vwap, Some(&history)).regime, regime, "{atr} {range} {vwap:?}");
    }
    let unknown = read(2.0, 10.0, flat, None);
    assert_eq!(unknown.regime, Regime::Unknown, "without history");
    assert_eq!((unknown.atr, unknown.atr_median), (Some(p(2.0)), None), "its inputs are kept");
    // Ten days are no history of twenty.
    let young = History::of(&vec![vec![MinuteFigures { atr: Some(p(2.0)), range: Some(p(10.0)) }; 40]; 10]);
    assert_eq!(read(2.0, 10.0, flat, Some(&young)).regime, Regime::Unknown);
    // The same minute of other days counts, and no other.
    let mut only_early = vec![MinuteFigures::default(); 40];
    only_early[5] = MinuteFigures { atr: Some(p(2.0)), range: Some(p(10.0)) };
    assert_eq!(read(2.0, 10.0, flat, Some(&History::of(&vec![only_early; 20]))).regime, Regime::Unknown);
    let bars: Vec<_> = (0..40)
        .map(|n| Microbar {
            ohlc: Some(bar(5_600.0, 5_602.0)),
            ..Microbar::empty(UtcNanos(n * 60 * NANOS_PER_SEC))
        })
        .collect();
    let figures = figures_of_session(&bars, open);
    assert_eq!(figures.len(), 40);
    assert_eq!((figures[12].atr, figures[13].atr), (None, Some(p(2.0))));
    assert_eq!((figures[13].range, figures[14].range), (None, Some(p(2.0))));
}

#[test]
fn the_alignment_is_a_weighted_mean_and_none_with_an_input_missing() {
    let rules = rules();
    let all = Alignment { regime: Some(1.0), basis: Some(-0.5), flow: Some(0.2) };
    // 0.5 x 1 + 0.2 x -0.5 + 0.3 x 0.2 = 0.46.
    assert_eq!(all.score(Direction::Long, &rules), Some(73.0));
    assert_eq!(all.score(Direction::Short, &rules), Some(27.0));
    for (it, name) in [
        (Alignment { regime: None, ..all }, "regime"),
        (Alignment { basis: None, ..all }, "basis"),
        (Alignment { flow: None, ..all }, "options_flow"),
    ] {
        assert_eq!(it.score(Direction::Long, &rules), None);
        assert_eq!(it.missing(), [name]);
    }
    let unknown = Alignment::of(&RegimeReading::default(), None, None, &rules);
    assert_eq!(unknown, Alignment::default(), "an unknown regime is missing");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn prop_clusters_are_what_joining_every_near_pair_gives(
        mut prices in prop::collection::vec(55_000_000i64..55_600_000, 0..40),
    ) {
        prices.sort_unstable();
        let all: Vec<_> = prices
            .iter()
            .map(|it| Level { price: Points(*it), source: LevelSource::Round, strength: 1.0 })
            .collect();
        // Every pair that is near gets the same name.
        let mut names: Vec<usize> = (0..all.len()).collect();
        loop {
            let before = names.clone();
            for i in 0..all.len() {
                for j in 0..all.len() {
                    if (prices[i] - prices[j]).abs() <= 30_000 {
                        let name = names[i].min(names[j]);
                        (names[i], names[j]) = (name, name);
                    }
                }
            }
            if names == before {
                break;
            }
        }
        let found = clusters(&all, 3.0);
        names.dedup();
        prop_assert_eq!(found.len(), names.len());
        prop_assert_eq!(found.iter().map(|it| it.levels.len()).sum::<usize>(), all.len());
        for it in &found {
            prop_assert_eq!(it.low, it.levels[0].price);
            prop_assert_eq!(it.high, it.levels[it.levels.len() - 1].price);
            prop_assert!((it.strength - it.levels.len() as f64).abs() < 1e-9);
        }
    }

    #[test]
    fn prop_the_basis_is_what_the_whole_window_gives(
        seconds in prop::collection::vec((0i64..40, -200i64..200, -30i64..30), 2..400),
    ) {
        let rules = ContextRules { basis_samples_min: 5, ..rules() };
        let (mut basis, mut at, mut kept) = (Basis::default(), 0_i64, Vec::<(i64, i64, i64)>::new());
        let (mut index, mut proxy) = (56_000_000_i64, 5_600_000_i64);
        for (wait, a, b) in seconds {
            at += (1 + wait) * NANOS_PER_SEC;
            (index, proxy) = (index + a, proxy + b);
            basis.add(UtcNanos(at), Points(index), Points(proxy), &rules);
            kept.retain(|it| it.0 > at - 1_800 * NANOS_PER_SEC);
            let ratio = index * 1_000_000 / proxy;
            let mut ratios: Vec<i64> = kept.iter().map(|it| it.1).chain([ratio]).collect();
            ratios.sort_unstable();
            let k = ratios[(ratios.len() - 1) / 2];
            kept.push((at, ratio, index - (i128::from(proxy) * i128::from(k) / 1_000_000) as i64));
            prop_assert_eq!(basis.ratio(), Some(k));
        }
        let n = kept.len() as f64;
        let mean = kept.iter().map(|it| it.2 as f64).sum::<f64>() / n;
        let sigma = (kept.iter().map(|it| (it.2 as f64 - mean).powi(2)).sum::<f64>() / n).sqrt();
        match basis.reading(&rules) {
            Some(it) => {
                let z = (kept[kept.len() - 1].2 as f64 - mean) / sigma;
                prop_assert!((it.z - z).abs() < 1e-5, "{} against {z}", it.z);
                prop_assert_eq!(it.samples as usize, kept.len());
            }
            None => prop_assert!(kept.len() < 5 || sigma < 1e-6),
        }
    }

    #[test]
    fn prop_vwap_and_its_bands_are_the_weighted_mean_and_deviation(
        seconds in prop::collection::vec((55_000_000i64..57_000_000, 0u64..100_000), 1..200),
    ) {
        let mut vwap = Vwap::default();
        seconds.iter().for_each(|(price, volume)| vwap.add(Points(*price), *volume));
        let volume: f64 = seconds.iter().map(|it| it.1 as f64).sum();
        let mean = seconds.iter().map(|it| it.0 as f64 * it.1 as f64).sum::<f64>() / volume;
        let square = seconds.iter().map(|it| (it.0 as f64 - mean).powi(2) * it.1 as f64).sum::<f64>();
        match vwap.bands() {
            Some(it) => {
                prop_assert!((it.vwap.0 as f64 - mean).abs() <= 1.0);
                prop_assert!((it.sigma.0 as f64 - (square / volume).sqrt()).abs() <= 1.0);
                prop_assert_eq!(it.band(2).minus(it.vwap), Points(2 * it.sigma.0));
            }
            None => prop_assert!(volume < 0.5),
        }
    }

    #[test]
    fn prop_atr_is_wilders_average_written_out(
        bars in prop::collection::vec((55_000_000i64..56_000_000, 0i64..50_000, 0i64..50_000), 1..60),
    ) {
        let mut atr = Atr::default();
        let mut ranges = Vec::new();
        let mut before: Option<i64> = None;
        for (close, up, down) in bars {
            let ohlc = Ohlc {
                open: Points(close),
                high: Points(close + up),
                low: Points(close - down),
                close: Points(close),
            };
            atr.add(&ohlc);
            let of = |it: i64| (close + up - it).abs().max((close - down - it).abs());
            ranges.push(before.map_or(up + down, |it| (up + down).max(of(it))) as f64);
            before = Some(close);
        }
        let expected = (ranges.len() >= 14).then(|| {
            let seed = ranges[..14].iter().sum::<f64>() / 14.0;
            ranges[14..].iter().fold(seed, |value, it| (value * 13.0 + it) / 14.0)
        });
        match (atr.value(), expected) {
            (Some(it), Some(expected)) => prop_assert!((it.0 as f64 - expected).abs() <= 1.0),
            (None, expected) => prop_assert!(expected.is_none_or(|it| it < 0.5)),
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
