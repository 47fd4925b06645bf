//! Gamma, its flip, options flow and the implied move, against references written out.

use domain::market::{ListedSeries, OptionQuote, Points, SourceProfile};
use domain::money::Price;
use domain::symbol::{OccSymbol, Right, Root, Strike};
use domain::time::{NANOS_PER_SEC, UtcNanos, at_new_york};
use jiff::civil::{Date, date, time};
use proptest::prelude::*;

use super::gamma::GammaProfile;
use super::*;
use crate::bars::tests::source;
use crate::pricing::{Inputs, greeks, price, years_to_settlement};

const TODAY: Date = date(2026, 11, 20);
const LATER: Date = date(2026, 11, 23);
const SPOT: f64 = 5_600.0;

fn series(expiry: Date, right: Right, strike: u32) -> OccSymbol {
    OccSymbol { root: Root::SPXW, expiry, right, strike: Strike::from_points(strike) }
}

fn noon() -> UtcNanos {
    at_new_york(TODAY, time(12, 0, 0, 0))
}

/// A book of series with open interest, each quoted a tick around the model's value at `vol`.
fn book(listed: &[(OccSymbol, Option<u32>)], vol: f64) -> OptionBook {
    let listed: Vec<_> = listed
        .iter()
        .map(|(series, open_interest)| ListedSeries { series: *series, open_interest: *open_interest })
        .collect();
    let mut book = OptionBook::new(&SourceProfile { series: listed.clone(), ..source() });
    for it in &listed {
        book.quote(&it.series, &quote_of(&it.series, vol, noon()));
    }
    book
}

fn quote_of(series: &OccSymbol, vol: f64, ts: UtcNanos) -> OptionQuote {
    let years = years_to_settlement(noon(), series).unwrap();
    let inputs = Inputs { spot: SPOT, strike: series.strike.points(), years, rate: 0.0, div: 0.0, vol };
    let cents = (price(series.right, &inputs) * 100.0).round() as u32;
    quote(ts, cents.saturating_sub(5), cents + 5)
}

fn quote(ts: UtcNanos, bid: u32, ask: u32) -> OptionQuote {
    let side = |cents| (cents > 0).then(|| Price::from_cents(cents));
    OptionQuote { ts, bid: side(bid), ask: side(ask), bid_size: 5, ask_size: 5 }
}

fn read(book: &OptionBook) -> GammaReading {
    GammaReading::of(book, Points::from_f64(SPOT), noon())
}

/// Gamma by the pricing library, in dollars per percent and contract.
fn unit(row: &GammaRow, spot: f64) -> f64 {
    let inputs = Inputs {
        spot,
        strike: row.series.strike.points(),
        years: row.years,
        rate: row.carry,
        div: 0.0,
        vol: row.vol,
    };
    greeks(row.series.right, &inputs).gamma * 100.0 * spot * spot * 0.01
}

#[test]
fn naive_exposure_counts_calls_up_and_puts_down_by_open_interest() {
    let listed = [
        (series(TODAY, Right::Call, 5_600), Some(300)),
        (series(TODAY, Right::Put, 5_600), Some(100)),
        (series(TODAY, Right::Call, 5_610), Some(500)),
        (series(TODAY, Right::Put, 5_590), Some(700)),
        (series(TODAY, Right::Call, 5_620), None),
    ];
    let gamma = read(&book(&listed, 0.15)).zero_dte;
    assert_eq!((gamma.source, gamma.rows.len(), gamma.left_out), (OiSource::OiBaseline, 5, 0));
    let row = |right, strike| gamma.rows.iter().find(|it| it.series == series(TODAY, right, strike)).unwrap();
    let at = gamma.strikes.iter().find(|it| it.strike == Points::whole(5_600)).unwrap();
    let expected = 300.0 * unit(row(Right::Call, 5_600), SPOT) - 100.0 * unit(row(Right::Put, 5_600), SPOT);
    assert!((at.naive().unwrap() / expected - 1.0).abs() < 1e-9);
    assert_eq!((gamma.call_wall, gamma.put_wall), (Some(Points::whole(5_610)), Some(Points::whole(5_590))));
    let unknown = gamma.strikes.iter().find(|it| it.strike == Points::whole(5_620)).unwrap();
    assert_eq!(unknown.naive(), None, "open interest that is missing is no 0");
}

#[test]
fn flow_exposure_is_minus_what_customers_bought_calls_and_puts_alike() {
    for right in [Right::Call, Right::Put] {
        let it = series(TODAY, right, 5_600);
        let mut book = book(&[(it, Some(10))], 0.15);
        let standing = quote_of(&it, 0.15, noon());
        let ask = standing.ask.unwrap();
        let ts = UtcNanos(noon().0 + NANOS_PER_SEC);
        book.print(&it, &OptionPrint { ts, price: ask, size: 40, is_plain: true });
        let gamma = read(&book).zero_dte;
        assert_eq!(gamma.source, OiSource::OiPlusFlow);
        let expected = -40.0 * unit(&gamma.rows[0], SPOT);
        assert!((gamma.strikes[0].flow.unwrap() / expected - 1.0).abs() < 1e-9, "{right:?}");
        let sum = gamma.strikes[0].naive().unwrap() + gamma.strikes[0].flow.unwrap();
        assert!((gamma.strikes[0].total().unwrap() - sum).abs() < 1e-9);
    }
}

#[test]
fn today_and_all_expirations_are_kept_apart_and_without_open_interest_it_is_unavailable() {
    let listed =
        [(series(TODAY, Right::Call, 5_600), Some(100)), (series(LATER, Right::Call, 5_600), Some(100))];
    let both = read(&book(&listed, 0.15));
    assert_eq!((both.zero_dte.rows.len(), both.all.rows.len()), (1, 2));
    assert!(both.all.strikes[0].naive() > both.zero_dte.strikes[0].naive());
    let none = read(&book(&[(series(TODAY, Right::Call, 5_600), None)], 0.15)).zero_dte;
    assert_eq!((none.source, none.flip, none.call_wall), (OiSource::Unavailable, None, None));
    assert_eq!(GammaProfile::default().source, OiSource::Unavailable);
}

#[test]
fn a_series_without_a_standing_quote_is_left_out_and_counted_and_time_is_at_least_a_minute() {
    let it = series(TODAY, Right::Call, 5_600);
    let book = book(&[(it, Some(100)), (series(TODAY, Right::Put, 5_500), Some(1))], 0.15);
    let stale = UtcNanos(noon().0 + 61 * NANOS_PER_SEC);
    let reading = GammaReading::of(&book, Points::from_f64(SPOT), stale);
    assert_eq!((reading.zero_dte.rows.len(), reading.zero_dte.left_out), (0, 2));
    let close = source().session.close;
    let mut late = OptionBook::new(&source());
    late.quote(&it, &quote(close, 95, 105));
    let reading = GammaReading::of(&late, Points::from_f64(SPOT), close);
    assert!((reading.zero_dte.rows[0].years - 60.0 / (365.0 * 86_400.0)).abs() < 1e-15);
}

#[test]
fn a_flip_is_none_where_the_total_never_changes_its_sign() {
    let calls: Vec<_> =
        (5_500..5_700).step_by(10).map(|it| (series(TODAY, Right::Call, it), Some(50))).collect();
    assert_eq!(read(&book(&calls, 0.15)).zero_dte.flip, None);
}

#[test]
fn a_print_is_signed_by_the_last_quote_strictly_before_it_and_legs_of_structures_are_nobodys() {
    let it = series(TODAY, Right::Call, 5_600);
    let at = |ms: i64| UtcNanos(noon().0 + ms * 1_000_000);
    let net = |prints: &[(i64, u32, bool)]| {
        let mut book = OptionBook::new(&source());
        book.quote(&it, &quote(at(0), 900, 920));
        book.quote(&it, &quote(at(1_000), 940, 960));
        for (ms, cents, is_plain) in prints {
            let price = Price::from_cents(*cents);
            book.print(&it, &OptionPrint { ts: at(*ms), price, size: 3, is_plain: *is_plain });
        }
        (book.series()[0].net_bought, book.knows_flow(), book.flow(at(2_000), 15).window)
    };
    let premium = |cents: u64| Premium { call_bought: cents * 3, ..Premium::default() };
    // At the quote's own instant the one before it counts: 930 is over its ask.
    assert_eq!(net(&[(1_000, 930, true)]), (3, true, premium(930)));
    assert_eq!(net(&[(1_001, 930, true)]), (-3, true, Premium { call_sold: 2_790, ..Premium::default() }));
    assert_eq!(net(&[(1_500, 950, true)]), (0, false, Premium::default()), "between bid and ask: nobody's");
    assert_eq!(net(&[(1_500, 960, false)]), (0, false, Premium::default()), "a leg of a structure");
    assert_eq!(net(&[(0, 920, true)]), (0, false, Premium::default()), "no quote before it");
    assert_eq!(net(&[(62_000, 960, true)]), (0, false, Premium::default()), "the quote is too old");
}

#[test]
fn flow_sets_call_premium_against_put_premium_by_side_and_keeps_the_window_before() {
    let (call, put) = (series(TODAY, Right::Call, 5_600), series(TODAY, Right::Put, 5_600));
    let mut book = OptionBook::new(&source());
    let mut bought = |minute: i64, it: &OccSymbol, size: u32| {
        let ts = UtcNanos(noon().0 + minute * 60 * NANOS_PER_SEC);
        book.quote(it, &quote(ts, 900, 920));
        let print =
            OptionPrint { ts: UtcNanos(ts.0 + 1), price: Price::from_cents(920), size, is_plain: true };
        book.print(it, &print);
    };
    bought(0, &put, 10);
    bought(20, &call, 30);
    bought(21, &put, 10);
    let flow = book.flow(UtcNanos(noon().0 + 22 * 60 * NANOS_PER_SEC), 15);
    assert_eq!((flow.score, flow.score_before), (Some(0.5), Some(-1.0)), "{flow:?}");
    assert_eq!(Premium::default().score(), None);
}

#[test]
fn the_implied_move_is_the_straddle_nearest_to_spot_and_none_without_two_sides() {
    let (call, put) = (series(TODAY, Right::Call, 5_600), series(TODAY, Right::Put, 5_600));
    let mut book = OptionBook::new(&source());
    book.quote(&call, &quote(noon(), 900, 920));
    let spot = Points::from_f64(5_601.0);
    assert_eq!(book.implied_move(spot, noon()), None, "half a straddle");
    book.quote(&put, &quote(noon(), 790, 810));
    // 9.10 + 8.00, of which 1.00 is intrinsic.
    assert_eq!(book.implied_move(spot, noon()), Some(Points::from_f64(16.1)));
    assert_eq!(book.implied_move(spot, UtcNanos(noon().0 + 61 * NANOS_PER_SEC)), None, "too old");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn prop_the_flip_is_the_nearest_change_of_sign_that_a_finer_search_finds(
        interest in prop::collection::vec((0u32..400, 0u32..400), 24),
    ) {
        let listed: Vec<_> = interest
            .iter()
            .zip((5_480..).step_by(10))
            .flat_map(|((calls, puts), strike)| {
                [(series(LATER, Right::Call, strike), Some(*calls)), (series(LATER, Right::Put, strike), Some(*puts))]
            })
            .collect();
        let found = read(&book(&listed, 0.12)).all;
        let total = |spot: f64| -> f64 {
            found
                .rows
                .iter()
                .map(|it| it.series.right.sign() * f64::from(it.open_interest.unwrap()) * unit(it, spot))
                .sum()
        };
        // Every hundredth of a grid step, outwards from spot.
        let steps: Vec<(f64, f64)> = (-600..=600)
            .map(|n| SPOT * (1.0 + 0.00005 * f64::from(n)))
            .map(|it| (it, total(it)))
            .collect();
        let reference = steps
            .windows(2)
            .filter(|it| it[0].1.signum() != it[1].1.signum())
            .map(|it| (it[0].0 + it[1].0) / 2.0)
            .min_by(|a, b| (a - SPOT).abs().total_cmp(&(b - SPOT).abs()));
        match (found.flip, reference) {
            // Two changes within one step of the grid are none to it: what it names is a root all the same.
            (Some(flip), Some(reference)) => {
                let at = flip.to_f64();
                let is_root = total(at - 1.5).signum() != total(at + 1.5).signum();
                prop_assert!(is_root && (reference - SPOT).abs() <= (at - SPOT).abs() + 0.5, "{at} {reference}");
            }
            (None, None) => {}
            (flip, reference) => {
                let twice = steps.windows(2).filter(|it| it[0].1.signum() != it[1].1.signum()).count();
                prop_assert!(flip.is_none() && twice >= 2, "{flip:?} {reference:?}");
            }
        }
    }
}
