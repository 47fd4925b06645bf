use domain::calendar::Session;
use domain::market::{MarketEvent, Microbar, Points, PrintCounts, Quote, QuoteSide, SourceProfile, Trade};
use domain::symbol::Underlying;
use domain::time::{NANOS_PER_MILLI, UtcNanos};
use jiff::civil::date;
use proptest::prelude::*;

use super::fold::{Fold, FoldRules, spread_e6_bps};
use super::merge::Merge;
use super::tape::{GapKind, Second, Tape, TapeItem, TapeRules};

fn session() -> Session {
    Session::of(date(2026, 11, 20)).unwrap().unwrap()
}

/// Milliseconds after the open.
fn ms(n: i64) -> UtcNanos {
    UtcNanos(session().open.0 + n * NANOS_PER_MILLI)
}

fn print(at: i64, cents: i64, size: u32) -> Trade {
    let price = Points(cents * 100);
    Trade { ts: ms(at), sequence: None, price, size, counts: PrintCounts::Everywhere }
}

fn quote(at: i64, bid: i64, ask: i64, sizes: (u32, u32)) -> Quote {
    let side = |cents: i64, size| Some(QuoteSide { price: Points(cents * 100), size: Some(size) });
    Quote { ts: ms(at), bid: side(bid, sizes.0), ask: side(ask, sizes.1) }
}

enum E {
    T(Trade),
    Q(Quote),
}
use E::{Q, T};

fn bars(rules: FoldRules, events: &[E]) -> Vec<Microbar> {
    let mut fold = Fold::new(rules);
    let mut bars: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            T(it) => fold.trade(it),
            Q(it) => fold.quote(it),
        })
        .collect();
    bars.extend(fold.close(ms(86_400_000)));
    bars
}

fn only(events: &[E]) -> Microbar {
    let bars = bars(FoldRules::share(1, true), events);
    assert_eq!(bars.len(), 1, "{bars:?}");
    bars[0]
}

#[test]
fn a_print_is_joined_with_the_last_quote_strictly_before_it() {
    // (quotes, print) -> (buy, sell, neutral, quoted)
    let older = || Q(quote(10, 10_000, 10_002, (1, 2)));
    for (what, quotes, at, cents, expected) in [
        ("at the ask", vec![older()], 11, 10_002, (5, 0, 0, 1)),
        ("above the ask", vec![older()], 11, 10_003, (5, 0, 0, 1)),
        ("at the bid", vec![older()], 11, 10_000, (0, 5, 0, 1)),
        ("between", vec![older()], 11, 10_001, (0, 0, 5, 1)),
        ("no quote yet", vec![], 11, 10_002, (0, 0, 5, 0)),
        ("the quote of the same instant is not it", vec![older()], 10, 10_002, (0, 0, 5, 0)),
        (
            "the one before the quote of the same instant is",
            vec![older(), Q(quote(11, 10_010, 10_012, (1, 1)))],
            11,
            10_002,
            (5, 0, 0, 1),
        ),
        (
            "two quotes of the same instant hide neither",
            vec![older(), Q(quote(11, 1, 2, (1, 1))), Q(quote(11, 10_010, 10_012, (1, 1)))],
            11,
            10_000,
            (0, 5, 0, 1),
        ),
        ("locked", vec![Q(quote(10, 10_001, 10_001, (1, 1)))], 11, 10_001, (0, 0, 5, 1)),
        ("crossed", vec![Q(quote(10, 10_003, 10_001, (1, 1)))], 11, 10_001, (0, 0, 5, 0)),
        ("a bid of 0", vec![Q(quote(10, 0, 10_001, (1, 1)))], 11, 10_001, (0, 0, 5, 0)),
        ("five seconds old", vec![older()], 5_010, 10_002, (5, 0, 0, 1)),
        ("older", vec![older()], 5_011, 10_002, (0, 0, 5, 0)),
    ] {
        let mut events = quotes;
        events.push(T(print(at, cents, 5)));
        let bar = only(&events);
        let seen = (bar.buy_volume, bar.sell_volume, bar.neutral_volume, bar.quoted_ticks);
        assert_eq!((seen, bar.volume, bar.ticks), (expected, 5, 1), "{what}");
    }
}

#[test]
fn switched_off_quotes_leave_open_high_low_close_and_volume_as_they_are() {
    let events = || [Q(quote(1, 10_000, 10_002, (3, 4))), T(print(5, 10_002, 7)), T(print(9, 9_999, 1))];
    let (on, off) =
        (bars(FoldRules::share(1, true), &events())[0], bars(FoldRules::share(1, false), &events())[0]);
    assert_eq!((on.ohlc, on.volume, on.trades, on.ticks), (off.ohlc, off.volume, off.trades, off.ticks));
    assert_eq!((off.buy_volume, off.sell_volume, off.neutral_volume), (0, 0, 8));
    assert_eq!((off.bid_size_at_close, off.bid_ask_imbalance(), off.avg_spread_bps()), (None, None, None));
    assert_eq!((on.buy_volume, on.sell_volume, on.bid_size_at_close), (7, 1, Some(3)));
}

#[test]
fn conditions_decide_what_a_print_updates() {
    let with = |counts| Trade { counts, ..print(5, 10_000, 9) };
    let average = only(&[T(with(PrintCounts::VolumeOnly))]);
    assert_eq!((average.ohlc, average.volume, average.neutral_volume), (None, 9, 9));
    assert_eq!((average.trades, average.ticks, average.quote_coverage_pct()), (1, 0, None));
    assert!(bars(FoldRules::share(1, true), &[T(with(PrintCounts::Nowhere))]).is_empty());
}

#[test]
fn an_index_value_has_no_size_and_is_a_trade_all_the_same() {
    let bar = bars(FoldRules::index(), &[T(print(5, 560_000, 0)), T(print(6, 560_100, 0))])[0];
    assert_eq!((bar.trades, bar.ticks, bar.volume, bar.quoted_ticks), (2, 2, 0, 0));
    assert_eq!(bar.ohlc.map(|it| (it.open.0, it.close.0)), Some((56_000_000, 56_010_000)));
}

#[test]
fn sizes_at_the_close_are_those_standing_strictly_before_the_end_of_the_last_second_with_prints() {
    let events = |last: Quote| [Q(quote(1, 10_000, 10_002, (3, 4))), T(print(5, 10_001, 1)), Q(last)];
    let sizes = |it: Microbar| (it.bid_size_at_close, it.ask_size_at_close);
    assert_eq!(sizes(only(&events(quote(999, 10_000, 10_002, (30, 40))))), (Some(30), Some(40)));
    assert_eq!(sizes(only(&events(quote(1_000, 10_000, 10_002, (30, 40))))), (Some(3), Some(4)));
    assert_eq!(sizes(only(&events(quote(900, 10_003, 10_002, (30, 40))))), (None, None), "crossed");
    let no_size = Quote {
        ask: Some(QuoteSide { price: Points(1_000_200), size: None }),
        ..quote(900, 10_000, 0, (7, 0))
    };
    assert_eq!(sizes(only(&events(no_size))), (Some(7), None), "a price without a size is valid for price");
}

#[test]
fn spreads_round_half_to_even() {
    for (bid, ask, expected) in [
        (1_000_000, 1_000_200, 1_999_800),
        (1_000_000, 1_000_000, 0),
        // 2.5 and 7.5 units of 1e-6 basis points.
        (7_999_999_999, 8_000_000_001, 2),
        (7_999_999_997, 8_000_000_003, 8),
        // Beyond 64 bits.
        (1, 10_000_000_000, 19_999_999_996),
    ] {
        assert_eq!(spread_e6_bps(bid, ask), expected, "{bid} {ask}");
    }
}

fn any_events() -> impl Strategy<Value = Vec<(bool, i64, i64, i64, u32, u8)>> {
    prop::collection::vec(
        (any::<bool>(), 0i64..1_500, 9_990i64..10_010, -1i64..4, 0u32..500, 0u8..12),
        1..400,
    )
}

/// Prints and quotes at rising times; steps of up to 1.5 s leave seconds without prints.
fn stream(raw: &[(bool, i64, i64, i64, u32, u8)]) -> Vec<E> {
    let mut at = 0;
    raw.iter()
        .map(|&(is_quote, step, cents, width, size, kind)| {
            at += if kind < 8 { step / 20 } else { step };
            if is_quote {
                return Q(quote(at, cents, cents + width, (size, size / 2)));
            }
            let counts = match kind {
                0 => PrintCounts::Nowhere,
                1 => PrintCounts::VolumeOnly,
                _ => PrintCounts::Everywhere,
            };
            T(Trade { counts, ..print(at, cents, size) })
        })
        .collect()
}

proptest! {
    #[test]
    fn prop_bars_added_up_from_seconds_equal_bars_built_from_ticks(raw in any_events()) {
        let events = stream(&raw);
        let rules = FoldRules::share(1, true);
        for secs in [5, 15, 60] {
            let mut merge = Merge::secs(secs);
            let mut merged: Vec<_> =
                bars(rules, &events).iter().filter_map(|it| merge.push(it)).collect();
            merged.extend(merge.close(ms(86_400_000)));
            prop_assert_eq!(merged, bars(rules.with_step_secs(secs), &events));
        }
    }

    #[test]
    fn prop_volume_is_split_without_rest_and_no_ratio_is_nan(raw in any_events()) {
        for bar in bars(FoldRules::share(1, true), &stream(&raw)) {
            prop_assert_eq!(bar.volume, bar.buy_volume + bar.sell_volume + bar.neutral_volume);
            prop_assert!(bar.quoted_ticks <= bar.ticks);
            for ratio in [bar.bid_ask_imbalance(), bar.aggressor_skew()].into_iter().flatten() {
                prop_assert!((-1.0..=1.0).contains(&ratio));
            }
            prop_assert!(bar.quote_coverage_pct().is_none_or(|it| (0.0..=100.0).contains(&it)));
            prop_assert!(bar.avg_spread_bps().is_none_or(|it| it.is_finite() && it >= 0.0));
        }
    }

    #[test]
    fn prop_the_order_of_arrival_within_the_lateness_window_changes_nothing(
        raw in any_events(),
        delays in prop::collection::vec(0i64..250, 400),
    ) {
        // Sequence numbers tell prints of one instant apart; the quotes of one instant are made one.
        let mut last_quote = None;
        let events: Vec<MarketEvent> = stream(&raw).into_iter().zip(0u64..).filter_map(|(it, n)| match it {
            T(it) => Some(MarketEvent::Trade(Underlying::SPY, Trade { sequence: Some(n), ..it })),
            Q(it) if last_quote == Some(it.ts) => None,
            Q(it) => {
                last_quote = Some(it.ts);
                Some(MarketEvent::Quote(Underlying::SPY, it))
            }
        }).collect();
        let mut late: Vec<_> = events.iter().zip(&delays).collect();
        late.sort_by_key(|(it, delay)| it.ts().0 + **delay * NANOS_PER_MILLI);
        let late: Vec<_> = late.into_iter().map(|(it, _)| *it).collect();
        let (in_order, counts) = seconds(&events);
        let (shuffled, late_counts) = seconds(&late);
        prop_assert_eq!(counts.dropped.total(), 0);
        prop_assert_eq!(late_counts.dropped.total(), 0);
        prop_assert_eq!(in_order, shuffled);
    }

    #[test]
    fn prop_how_often_time_is_told_changes_nothing(raw in any_events(), every in 1i64..3_000) {
        let events: Vec<_> = stream(&raw).into_iter().map(spy).collect();
        let (mut plain, mut told) = (tape(), tape());
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let mut now = ms(0);
        for event in &events {
            plain.push(event, &mut a);
            while now.0 + every * NANOS_PER_MILLI < event.ts().0 {
                now.0 += every * NANOS_PER_MILLI;
                told.pass_time(now, &mut b);
            }
            told.push(event, &mut b);
        }
        for (tape, out) in [(&mut plain, &mut a), (&mut told, &mut b)] {
            tape.pass_time(ms(600_000), out);
        }
        prop_assert_eq!(a, b);
    }
}

fn spy(event: E) -> MarketEvent {
    match event {
        T(it) => MarketEvent::Trade(Underlying::SPY, it),
        Q(it) => MarketEvent::Quote(Underlying::SPY, it),
    }
}

fn spx(at: i64, points: i64) -> MarketEvent {
    MarketEvent::Trade(Underlying::SPX, print(at, points * 100, 0))
}

pub(crate) fn source() -> SourceProfile {
    SourceProfile {
        name: "test".to_owned(),
        index: Underlying::SPX,
        index_note: None,
        proxy: Some(Underlying::SPY),
        resolution_ns: 1,
        contiguous_sequence: false,
        session: session(),
        prior_day: None,
        series: Vec::new(),
    }
}

fn tape() -> Tape {
    Tape::new(TapeRules::of(&source(), true))
}

fn run(tape: &mut Tape, events: &[MarketEvent], until: i64) -> Vec<TapeItem> {
    let mut out = Vec::new();
    events.iter().for_each(|it| tape.push(it, &mut out));
    tape.pass_time(ms(until), &mut out);
    out
}

fn seconds(events: &[MarketEvent]) -> (Vec<Second>, super::tape::TapeCounts) {
    let mut tape = tape();
    let items = run(&mut tape, events, 1_000_000);
    let seconds = items.into_iter().filter_map(|it| match it {
        TapeItem::Second(it) => Some(it),
        TapeItem::FeedGap { .. } | TapeItem::Resumed { .. } => None,
    });
    (seconds.collect(), *tape.counts())
}

#[test]
fn bad_data_is_dropped_and_counted_by_its_reason() {
    let numbered =
        |at, n| MarketEvent::Trade(Underlying::SPY, Trade { sequence: Some(n), ..print(at, 10_000, 1) });
    let (seconds, counts) = seconds(&[
        numbered(100, 7),
        numbered(100, 7),
        numbered(150, 7),
        MarketEvent::Trade(Underlying::SPY, print(200, 0, 1)),
        MarketEvent::Trade(Underlying::SPY, print(200, -5, 1)),
        MarketEvent::Trade(Underlying::QQQ, print(200, 10_000, 1)),
        MarketEvent::Trade(Underlying::SPY, print(90_000_000, 10_000, 1)),
        numbered(1_100, 9),
        numbered(850, 8),
        numbered(849, 6),
    ]);
    let dropped = counts.dropped;
    assert_eq!((dropped.duplicate, dropped.bad_price, dropped.unknown_symbol), (2, 2, 1));
    assert_eq!((dropped.other_day, dropped.late, dropped.total()), (1, 1, 7));
    let volumes: Vec<_> = seconds.iter().filter_map(|it| it.proxy).map(|it| it.volume).collect();
    assert_eq!(volumes, [2, 1], "250 ms late is in its own bar, 251 ms is not");
}

#[test]
fn both_symbols_of_a_second_come_together_once_it_cannot_change() {
    let mut tape = tape();
    let mut out = Vec::new();
    for event in [spx(100, 5_600), spy(T(print(300, 56_000, 5))), spy(T(print(1_100, 56_010, 5)))] {
        tape.push(&event, &mut out);
    }
    assert_eq!(out, []);
    assert_eq!(tape.next_due(), Some(ms(1_250)));
    tape.pass_time(ms(1_249), &mut out);
    assert_eq!(out, []);
    tape.push(&spx(1_250, 5_601), &mut out);
    let [TapeItem::Second(second)] = out[..] else { panic!("{out:?}") };
    assert_eq!((second.ts_open, second.in_session), (ms(0), true));
    assert!(second.index.is_some() && second.proxy.is_some_and(|it| it.volume == 5));
}

#[test]
fn silence_of_one_feed_is_a_gap_until_it_is_back() {
    let mut events: Vec<_> = (0..20).map(|n| spy(T(print(n * 1_000, 56_000, 1)))).collect();
    events.push(spx(500, 5_600));
    events.push(spx(5_500, 5_600));
    events.push(spx(10_501, 5_600));
    events.sort_by_key(MarketEvent::ts);
    let gaps: Vec<_> = run(&mut tape(), &events, 19_000)
        .into_iter()
        .filter(|it| !matches!(it, TapeItem::Second(_)))
        .collect();
    let (symbol, kind) = (Underlying::SPX, GapKind::Silence);
    assert_eq!(
        gaps,
        [
            TapeItem::FeedGap { symbol, since: ms(5_500), kind },
            TapeItem::Resumed { symbol, at: ms(10_501) },
            TapeItem::FeedGap { symbol, since: ms(10_501), kind },
        ],
        "five seconds are not a gap, a millisecond more is"
    );
}

#[test]
fn a_source_of_minutes_is_not_silent_between_them() {
    let rules = TapeRules::of(
        &SourceProfile { resolution_ns: 60_000 * NANOS_PER_MILLI, proxy: None, ..source() },
        true,
    );
    let mut tape = Tape::new(rules);
    let events: Vec<_> = (1..5).map(|n| spx(n * 60_000 - 1, 5_600)).collect();
    run(&mut tape, &events, 299_999);
    assert_eq!(tape.counts().gaps, 0);
    run(&mut tape, &[], 300_250);
    assert_eq!(tape.counts().gaps, 1, "the fifth minute did not come");
}

#[test]
fn a_missing_number_in_a_contiguous_feed_is_a_gap_and_a_late_one_is_not() {
    let rules = TapeRules::of(&SourceProfile { contiguous_sequence: true, ..source() }, true);
    let numbered =
        |at, n| MarketEvent::Trade(Underlying::SPY, Trade { sequence: Some(n), ..print(at, 10_000, 1) });
    for (numbers, gaps) in
        [(vec![(1, 1), (2, 2), (3, 3)], 0), (vec![(1, 1), (3, 3), (2, 2)], 0), (vec![(1, 1), (3, 3)], 1)]
    {
        let mut tape = Tape::new(rules.clone());
        let events: Vec<_> = numbers.iter().map(|&(at, n)| numbered(at, n)).collect();
        run(&mut tape, &events, 1_000);
        assert_eq!(tape.counts().gaps, gaps, "{numbers:?}");
    }
}

#[test]
fn prints_outside_the_session_are_kept_and_flagged() {
    let (seconds, counts) = seconds(&[spy(T(print(-60_000, 10_000, 3))), spy(T(print(1, 10_000, 4)))]);
    let seen: Vec<_> = seconds.iter().map(|it| (it.in_session, it.proxy.map(|it| it.volume))).collect();
    assert_eq!(seen, [(false, Some(3)), (true, Some(4))]);
    assert_eq!(counts.outside_session, 1);
}

#[test]
fn a_second_without_prints_makes_no_bar() {
    let (seconds, _) = seconds(&[spx(100, 5_600), spx(3_100, 5_601)]);
    assert_eq!(seconds.iter().map(|it| it.ts_open).collect::<Vec<_>>(), [ms(0), ms(3_000)]);
}

#[test]
fn a_fold_owns_nothing_on_the_heap_so_no_tick_allocates() {
    // What is copied byte by byte cannot hold a buffer that grows.
    fn owns_no_heap<T: Copy>() {}
    owns_no_heap::<Fold>();
    owns_no_heap::<Microbar>();
    owns_no_heap::<Second>();
}
