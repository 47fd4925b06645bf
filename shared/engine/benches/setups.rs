//! A whole session of 1 s bars through the context and every detector.
//!
//! Target: under 1 s for the day. Run with `cargo bench -p engine --profile fast --bench setups`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make undocumented items; a bench may fail loudly"
)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use domain::calendar::Session;
use domain::market::{ListedSeries, Microbar, Ohlc, OptionQuote, Points, SourceProfile};
use domain::money::Price;
use domain::setup::{FamilyStatus, SetupKind, SetupState};
use domain::symbol::{OccSymbol, Right, Root, Strike, Underlying};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use engine::bars::tape::{Second, TapeItem};
use engine::context::{Beforehand, Context, History, MinuteFigures, OptionPrint};
use engine::macros::MacroCalendar;
use engine::pricing::{Inputs, price, years_to_settlement};
use engine::profile::{Profile, Standing};
use engine::setups::SetupEngine;
use std::hint::black_box;

const SECONDS: i64 = 23_400;

/// What happens in a second: its bars, and what the chain does.
struct Moment {
    second: Second,
    quotes: Vec<(OccSymbol, OptionQuote)>,
    prints: Vec<(OccSymbol, OptionPrint)>,
}

struct Day {
    source: SourceProfile,
    profile: Profile,
    beforehand: Beforehand,
    moments: Vec<Moment>,
}

fn dice(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |n| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    }
}

fn bar(ts_open: UtcNanos, price: i64, wide: i64) -> Microbar {
    let points = |it| Points(it);
    let ohlc = Ohlc {
        open: points(price),
        high: points(price + wide),
        low: points(price - wide),
        close: points(price),
    };
    Microbar { ohlc: Some(ohlc), trades: 1, ticks: 1, ..Microbar::empty(ts_open) }
}

/// Every family trades, and nothing but its own gates stops it: the most work that a day can be.
fn profile() -> Profile {
    let mut profile = Profile { macro_floor: None, formed_cap: 10_000, ..Profile::setups_v1() };
    if let Some(families) = &mut profile.families {
        let active = Standing::Fixed(FamilyStatus::Active);
        families.governance.standings = SetupKind::ALL.into_iter().map(|it| (it, active)).collect();
    }
    profile
}

fn day() -> Day {
    let session = Session::of(jiff::civil::date(2026, 11, 20)).unwrap().unwrap();
    let mut series = Vec::new();
    for strike in (5_450..=5_750).step_by(5) {
        for right in [Right::Call, Right::Put] {
            let it = OccSymbol {
                root: Root::SPXW,
                expiry: session.date,
                right,
                strike: Strike::from_points(strike),
            };
            series.push(ListedSeries { series: it, open_interest: Some(100) });
        }
    }
    series.sort_by_key(|it| it.series);
    let (mut roll, mut price, mut drift) = (dice(0x9E37_79B9_7F4A_7C15), 56_000_000_i64, 0_i64);
    let mut moments = Vec::new();
    for n in 0..SECONDS {
        let ts_open = UtcNanos(session.open.0 + n * NANOS_PER_SEC);
        if n % 600 == 0 {
            drift = roll(401) as i64 - 200;
        }
        price += drift + roll(5_001) as i64 - 2_500 + (56_000_000 - price) / 3_000;
        let volume = 50 + roll(200);
        let bought = roll(volume);
        let second = Second {
            ts_open,
            index: Some(bar(ts_open, price, roll(3_000) as i64)),
            proxy: Some(Microbar {
                volume,
                buy_volume: bought,
                sell_volume: volume - bought,
                ticks: 100,
                quoted_ticks: 98,
                bid_size_sum: 1 + roll(500),
                ask_size_sum: 1 + roll(500),
                spread_sum: 98_000_000,
                bid_size_at_close: Some(1 + roll(500) as u32),
                ask_size_at_close: Some(1 + roll(500) as u32),
                ..bar(ts_open, price / 10 + roll(21) as i64 - 10, 0)
            }),
            in_session: true,
        };
        let (mut quotes, mut prints) = (Vec::new(), Vec::new());
        if n % 30 == 0 {
            let spot = price as f64 / 10_000.0;
            for it in &series {
                let years = years_to_settlement(ts_open, &it.series).unwrap();
                let strike = it.series.strike.points();
                let inputs = Inputs { spot, strike, years, rate: 0.0, div: 0.0, vol: 0.15 };
                let cents = (price_of(it.series.right, &inputs) * 100.0).round() as u32 + 10;
                let side = |cents| Some(Price::from_cents(cents));
                let quote = OptionQuote {
                    ts: ts_open,
                    bid: side(cents - 5),
                    ask: side(cents + 5),
                    bid_size: 9,
                    ask_size: 9,
                };
                quotes.push((it.series, quote));
                if roll(10) == 0 {
                    let price = Price::from_cents(if roll(3) == 0 { cents - 5 } else { cents + 5 });
                    let ts = UtcNanos(ts_open.0 + 1);
                    prints.push((
                        it.series,
                        OptionPrint { ts, price, size: 1 + roll(50) as u32, is_plain: true },
                    ));
                }
            }
        }
        moments.push(Moment { second, quotes, prints });
    }
    let figures = MinuteFigures { atr: Some(Points::whole(3)), range: Some(Points::whole(15)) };
    Day {
        source: SourceProfile {
            name: "bench".to_owned(),
            index: Underlying::SPX,
            index_note: None,
            proxy: Some(Underlying::SPY),
            resolution_ns: 1,
            contiguous_sequence: false,
            session,
            prior_day: None,
            series,
        },
        profile: profile(),
        beforehand: Beforehand {
            history: Some(History::of(&vec![vec![figures; 390]; 20])),
            macros: MacroCalendar::Known(Vec::new()),
            ..Beforehand::default()
        },
        moments,
    }
}

fn price_of(right: Right, inputs: &Inputs) -> f64 {
    price(right, inputs)
}

fn replay(day: &Day, mut ctx: Context) -> (usize, usize) {
    let (mut engine, mut steps, mut entries) = (SetupEngine::new(), 0, 0);
    for it in &day.moments {
        it.quotes.iter().for_each(|(series, quote)| ctx.on_option_quote(series, quote));
        it.prints.iter().for_each(|(series, print)| ctx.on_option_print(series, print));
        ctx.apply(&TapeItem::Second(it.second));
        for step in engine.on_second(&it.second, &ctx) {
            steps += 1;
            entries += usize::from(
                step.transition.from == Some(SetupState::Ready) && step.setup.state == SetupState::Triggered,
            );
        }
    }
    (steps, entries)
}

fn a_day(c: &mut Criterion) {
    let day = day();
    let families = || Context::knowing(&day.source, &day.profile, true, day.beforehand.clone());
    println!("steps and entries of the day: {:?}", replay(&day, families()));
    let mut group = c.benchmark_group("a day of seconds");
    group.sample_size(10);
    group.throughput(Throughput::Elements(SECONDS as u64));
    group.bench_function("every family", |b| {
        b.iter_batched(families, |ctx| black_box(replay(&day, ctx)), BatchSize::LargeInput);
    });
    group.bench_function("orb_breakout alone", |b| {
        let alone = || Context::new(&day.source, &Profile::orb_v1(), true);
        b.iter_batched(alone, |ctx| black_box(replay(&day, ctx)), BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(benches, a_day);
criterion_main!(benches);
