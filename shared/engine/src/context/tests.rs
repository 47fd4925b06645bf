use domain::market::{Microbar, Ohlc, Points, SourceProfile};
use domain::time::{NANOS_PER_SEC, UtcNanos};

use super::Context;
use crate::bars::tape::{Second, TapeItem};
use crate::bars::tests::source;
use crate::profile::Profile;

fn bar(ts_open: UtcNanos, price: f64, volume: u64) -> Microbar {
    let it = Points::from_f64(price);
    let ohlc = Some(Ohlc { open: it, high: it, low: it, close: it });
    Microbar { ohlc, volume, ticks: 1, ..Microbar::empty(ts_open) }
}

fn second(n: i64, index: Option<f64>, proxy: Option<(f64, u64)>) -> TapeItem {
    let ts_open = UtcNanos(source().session.open.0 + n * NANOS_PER_SEC);
    TapeItem::Second(Second {
        ts_open,
        index: index.map(|it| bar(ts_open, it, 0)),
        proxy: proxy.map(|(price, volume)| bar(ts_open, price, volume)),
        in_session: true,
    })
}

fn context(source: &SourceProfile) -> Context {
    Context::new(source, &Profile::orb_v1(), true)
}

#[test]
fn vwap_weighs_the_index_with_the_proxys_volume() {
    let mut ctx = context(&source());
    assert_eq!(ctx.vwap(), None);
    ctx.apply(&second(0, Some(5_600.0), Some((560.0, 100))));
    ctx.apply(&second(1, Some(5_610.0), Some((561.0, 300))));
    let bands = ctx.vwap().unwrap();
    // Mean 5607.5; variance (100 x 7.5^2 + 300 x 2.5^2)/400 = 18.75.
    assert_eq!(bands.vwap, Points::from_f64(5_607.5));
    assert_eq!(bands.sigma, Points::from_f64(18.75_f64.sqrt()));
    assert_eq!(bands.band(-2), Points(bands.vwap.0 - 2 * bands.sigma.0));
}

#[test]
fn atr_is_missing_for_fourteen_minutes_and_then_the_mean_range() {
    let mut ctx = context(&SourceProfile { proxy: None, ..source() });
    for minute in 0..15 {
        assert_eq!(ctx.atr(), None, "minute {minute}");
        ctx.apply(&second(minute * 60, Some(5_600.0), None));
        ctx.apply(&second(minute * 60 + 59, Some(5_602.0), None));
        if minute == 13 {
            break;
        }
    }
    assert_eq!(ctx.atr(), Some(Points::whole(2)));
    ctx.apply(&second(14 * 60, Some(5_602.0), None));
    ctx.apply(&second(14 * 60 + 59, Some(5_618.0), None));
    assert_eq!(ctx.atr(), Some(Points::whole(3)), "(13 x 2 + 16)/14");
}

#[test]
fn the_range_waits_until_the_index_agrees_with_its_proxy() {
    let mut ctx = context(&source());
    let run = |ctx: &mut Context, from: i64, to: i64, index: f64, proxy: f64| {
        (from..to).for_each(|n| ctx.apply(&second(n, Some(index), Some((proxy, 1)))));
    };
    // At the open the proxy has moved and the index has not; then it catches up, the ratio's median with it.
    run(&mut ctx, 0, 50, 5_600.0, 560.0);
    run(&mut ctx, 50, 90, 5_600.0, 561.0);
    run(&mut ctx, 90, 120, 5_610.0, 561.0);
    run(&mut ctx, 120, 1_000, 5_605.0, 560.5);
    let range = ctx.range().unwrap();
    assert_eq!(range.from, UtcNanos(source().session.open.0 + 90 * NANOS_PER_SEC));
    assert_eq!((range.high, range.low), (Points::whole(5_610), Points::whole(5_605)));
    assert!(range.verified);
    assert_eq!(range.until, UtcNanos(range.from.0 + 900 * NANOS_PER_SEC));
}

#[test]
fn without_a_proxy_the_range_starts_at_its_time_and_nobody_vouches_for_it() {
    let mut ctx = context(&SourceProfile { proxy: None, ..source() });
    for n in 0..17 {
        assert!(ctx.range().is_none(), "minute {n}");
        ctx.apply(&second(n * 60 + 59, Some(5_600.0 + n as f64), None));
        if n == 15 {
            break;
        }
    }
    let range = ctx.range().unwrap();
    assert_eq!((range.low, range.high, range.verified), (Points::whole(5_601), Points::whole(5_615), false));
}

#[test]
fn the_window_forgets_what_is_older_than_a_minute() {
    let mut ctx = context(&source());
    assert_eq!(ctx.micro().coverage_pct, None);
    ctx.apply(&second(0, Some(5_600.0), Some((560.0, 7))));
    assert_eq!(ctx.micro().seconds, 1);
    ctx.apply(&second(59, Some(5_600.0), None));
    assert_eq!(ctx.micro().seconds, 1);
    ctx.apply(&second(60, Some(5_600.0), None));
    assert_eq!(ctx.micro().seconds, 0);
}
