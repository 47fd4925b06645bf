//! Indicators against TA-Lib's own values, and standings against days counted by hand.

use super::iv_rank::{DAYS_MIN, DailyIv, IvRank, NoRank, Source, iv_rank, iv_rank_or_vix};
use super::*;
use domain::symbol::Underlying;
use jiff::ToSpan as _;
use jiff::civil::{Date, date};
use proptest::prelude::*;

fn bar([high, low, close]: [f64; 3]) -> Bar {
    Bar { high, low, close }
}

/// The columns as TA-Lib has them; what warms up is `None`.
fn columns(it: &Reading) -> [Option<f64>; 8] {
    let macd = |column: fn(MacdReading) -> f64| it.macd.map(column);
    let (line, signal, histogram) = (macd(|it| it.line), macd(|it| it.signal), macd(|it| it.histogram));
    [it.ema20, it.sma50, it.rsi14, line, signal, histogram, it.adx14, it.rv20]
}

const NAMES: [&str; 8] = ["ema20", "sma50", "rsi14", "macd", "macd_signal", "macd_hist", "adx14", "rv20"];

#[test]
fn every_indicator_is_ta_libs_to_1e_9_from_the_same_bar_on() {
    let table = include_str!("../../tests/reference/indicators.csv");
    let mut indicators = Indicators::default();
    let (mut worst, mut compared) = (0.0_f64, 0);
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |n: usize| cells[n].parse::<f64>().unwrap();
        let got = columns(&indicators.push(&bar([number(1), number(2), number(3)])).unwrap());
        for (n, got) in got.into_iter().enumerate() {
            let expected = (!cells[4 + n].is_empty()).then(|| number(4 + n));
            assert_eq!(got.is_some(), expected.is_some(), "{}: {line}", NAMES[n]);
            if let (Some(got), Some(expected)) = (got, expected) {
                let error = (got - expected).abs();
                assert!(error <= 1e-9, "{}: {got}, TA-Lib {expected}: {line}", NAMES[n]);
                worst = worst.max(error);
                compared += 1;
            }
        }
    }
    assert!(compared > 4_000, "{compared} values were compared");
    println!("largest difference of {compared} values: {worst:.1e}");
}

#[test]
fn a_market_that_never_moves_has_no_strength_direction_or_volatility() {
    let mut indicators = Indicators::default();
    let mut last = Reading::default();
    for _ in 0..60 {
        last = indicators.push(&bar([100.0; 3])).unwrap();
    }
    let nothing = Some(0.0);
    assert_eq!((last.rsi14, last.adx14, last.rv20), (nothing, nothing, nothing));
    assert_eq!((last.ema20, last.sma50), (Some(100.0), Some(100.0)));
}

#[test]
fn a_bar_that_no_day_has_is_named_and_leaves_no_trace() {
    let mut indicators = Indicators::default();
    indicators.push(&bar([101.0, 99.0, 100.0])).unwrap();
    let before = indicators.clone();
    for (bad, told) in [
        ([f64::NAN, 99.0, 100.0], "high is NaN"),
        ([101.0, 0.0, 100.0], "low is 0.0"),
        ([101.0, 99.0, -1.0], "close is -1.0"),
        ([f64::INFINITY, 99.0, 100.0], "high is inf"),
        ([101.0, 99.0, 102.0], "outside of low"),
        ([99.0, 101.0, 100.0], "outside of low"),
    ] {
        let error = indicators.push(&bar(bad)).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    assert_eq!(indicators, before);
}

const TODAY: Date = date(2026, 11, 20);

/// The weekdays of the year before today, with these values.
fn year(iv: impl Fn(usize) -> f64) -> Vec<DailyIv> {
    let mut days = Vec::new();
    let mut day = TODAY - 1.year();
    while day < TODAY {
        if day.weekday().to_monday_zero_offset() < 5 {
            days.push(DailyIv { date: day, iv: iv(days.len()) });
        }
        day = day.tomorrow().unwrap();
    }
    days
}

fn today(iv: f64) -> DailyIv {
    DailyIv { date: TODAY, iv }
}

#[test]
fn the_rank_is_the_place_between_the_low_and_the_high_of_52_weeks() {
    // 0.10, 0.11 ... 0.29, over and over.
    let history = year(|n| 0.10 + 0.01 * (n % 20) as f64);
    let IvRank { rank, percentile, low, high, days, source } = iv_rank(today(0.15), &history).unwrap();
    assert!((rank - 0.05 / 0.19).abs() < 1e-12 && (low - 0.10).abs() < 1e-12 && (high - 0.29).abs() < 1e-12);
    assert!((percentile - 0.25).abs() < 0.01, "{percentile}");
    assert!(days > 255 && source == Source::Own);
    // Today's value is one of the 52 weeks': a new high stands at 1.
    assert!((iv_rank(today(0.5), &history).unwrap().rank - 1.0).abs() < 1e-12);
    assert!(iv_rank(today(0.05), &history).unwrap().rank.abs() < 1e-12);
}

#[test]
fn what_is_older_than_52_weeks_or_not_before_today_does_not_count() {
    let mut history = year(|n| 0.10 + 0.01 * (n % 20) as f64);
    let expected = iv_rank(today(0.15), &history).unwrap();
    history.insert(0, DailyIv { date: date(2025, 11, 3), iv: 0.9 });
    history.extend([today(0.8), DailyIv { date: date(2026, 11, 23), iv: 0.9 }]);
    assert_eq!(iv_rank(today(0.15), &history), Ok(expected));
}

#[test]
fn a_short_history_says_so_and_vix_stands_for_spx_alone() {
    let history = year(|n| 0.10 + 0.01 * (n % 20) as f64);
    let short = &history[history.len() - DAYS_MIN + 1..];
    let insufficient = Err(NoRank::Insufficient { days: DAYS_MIN - 1 });
    assert_eq!(iv_rank(today(0.15), short), insufficient);
    let vix = year(|n| 0.12 + 0.01 * (n % 20) as f64);
    let vix = Some((today(0.20), vix.as_slice()));
    let cold = iv_rank_or_vix(Underlying::SPX, today(0.15), short, vix).unwrap();
    assert!((cold.rank - 0.08 / 0.19).abs() < 1e-12 && cold.source == Source::Vix);
    assert_eq!(iv_rank_or_vix(Underlying::SPY, today(0.15), short, vix), insufficient);
    assert_eq!(iv_rank_or_vix(Underlying::SPX, today(0.15), short, None), insufficient);
    let warm = iv_rank_or_vix(Underlying::SPX, today(0.15), &history, vix).unwrap();
    assert_eq!(warm.source, Source::Own);
    let none = NoRank::Insufficient { days: 0 };
    assert_eq!((iv_rank(today(0.15), &[]), none.code()), (Err(none), "insufficient_history"));
}

#[test]
fn a_hole_that_could_hide_a_high_is_named_and_holidays_are_none() {
    let history = year(|n| 0.10 + 0.01 * (n % 20) as f64);
    let without = |from: usize, to: usize| {
        let kept = history.iter().enumerate().filter(|(n, _)| !(from..to).contains(n));
        kept.map(|(_, it)| *it).collect::<Vec<_>>()
    };
    assert!(iv_rank(today(0.15), &without(100, 105)).is_ok());
    let gap = iv_rank(today(0.15), &without(100, 120)).unwrap_err();
    assert_eq!(gap, NoRank::Gap { after: history[99].date, before: history[120].date });
    // Days that are missing up to today, or at the start of the 52 weeks, are a hole too.
    let late = iv_rank(today(0.15), &history[..history.len() - 20]).unwrap_err();
    assert!(matches!(late, NoRank::Gap { before, .. } if before == TODAY), "{late}");
    assert_eq!(iv_rank(today(0.15), &history[20..]).unwrap_err().code(), "history_gap");
}

#[test]
fn a_history_that_cannot_be_meant_is_refused() {
    let history = year(|n| 0.10 + 0.01 * (n % 20) as f64);
    assert_eq!(iv_rank(today(0.2), &year(|_| 0.2)), Err(NoRank::Flat));
    for iv in [0.0, -0.1, f64::NAN, f64::INFINITY, 101.0] {
        assert!(matches!(iv_rank(today(iv), &history), Err(NoRank::NotAVol { .. })));
        let mut broken = history.clone();
        broken[50].iv = iv;
        assert!(matches!(iv_rank(today(0.2), &broken), Err(NoRank::NotAVol { .. })));
    }
    let mut turned = history;
    turned.swap(3, 4);
    assert!(matches!(iv_rank(today(0.2), &turned), Err(NoRank::Unsorted(_))));
}

proptest! {
    #[test]
    fn prop_any_market_gives_indicators_within_their_bounds(
        moves in prop::collection::vec((-0.5..0.5f64, 0.0..0.2f64, 0.0..0.2f64), 1..300),
    ) {
        let mut indicators = Indicators::default();
        let mut close = 100.0;
        for (change, up, down) in moves {
            close = (close * (1.0 + change)).clamp(1e-3, 1e9);
            let reading = indicators.push(&bar([close * (1.0 + up), close * (1.0 - down), close])).unwrap();
            for value in columns(&reading).into_iter().flatten() {
                prop_assert!(value.is_finite());
            }
            for value in [reading.rsi14, reading.adx14].into_iter().flatten() {
                prop_assert!((-1e-9..=100.0 + 1e-9).contains(&value), "{value}");
            }
            prop_assert!(reading.rv20.is_none_or(|it| it >= 0.0));
        }
    }
}
