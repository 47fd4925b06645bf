//! Prices, greeks and volatilities against textbooks, fifty-digit references and laws.

use super::*;
use domain::time::UtcNanos;
use proptest::prelude::*;

fn inputs([spot, strike, years, rate, div, vol]: [f64; 6]) -> Inputs {
    Inputs { spot, strike, years, rate, div, vol }
}

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance
}

#[test]
fn textbook_examples_come_out_as_printed() {
    // Hull, example 15.6.
    let stock = inputs([42.0, 40.0, 0.5, 0.1, 0.0, 0.2]);
    assert!(near(price(Right::Call, &stock), 4.76, 0.005) && near(price(Right::Put, &stock), 0.81, 0.005));
    // Hull, example 17.1: an index with a dividend yield of 3 %.
    let index = inputs([930.0, 900.0, 2.0 / 12.0, 0.08, 0.03, 0.2]);
    assert!(near(price(Right::Call, &index), 51.83, 0.005));
    // Hull, chapter 19: the running example of the greeks.
    let g = greeks(Right::Call, &inputs([49.0, 50.0, 0.3846, 0.05, 0.0, 0.2]));
    for (name, value, printed, tolerance) in [
        ("delta", g.delta, 0.522, 0.0005),
        ("gamma", g.gamma, 0.066, 0.0005),
        ("vega", g.vega, 12.1, 0.05),
        ("theta", g.theta, -4.31, 0.005),
        ("rho", g.rho, 8.91, 0.005),
    ] {
        assert!(near(value, printed, tolerance), "{name} {value}, printed {printed}");
    }
}

/// References computed with fifty decimal digits from the binary inputs.
#[test]
fn prices_and_greeks_agree_with_high_precision_to_ten_digits() {
    #[expect(clippy::excessive_precision, reason = "the references keep the digits they were computed with")]
    let table: [(Right, [f64; 6], [f64; 6]); 7] = [
        (
            Right::Call,
            [42.0, 40.0, 0.5, 0.1, 0.0, 0.2],
            [
                4.7594223928715333e+00,
                7.7913129094266897e-01,
                4.9962670405911853e-02,
                8.8134150596028515e+00,
                -4.5590921945926270e+00,
                1.3982045913360281e+01,
            ],
        ),
        (
            Right::Put,
            [5611.25, 5500.0, 0.0007420091324200913, 0.0, 0.0, 0.16],
            [
                1.0529988460589360e-05,
                -2.1443479335008257e-06,
                4.2065503055614699e-07,
                1.5724417160379995e-03,
                -1.6953340839991232e-01,
                -8.9360177108517269e-06,
            ],
        ),
        (
            Right::Call,
            [5611.25, 5700.0, 0.0007420091324200913, 0.043, 0.013, 0.16],
            [
                9.8193276232574466e-04,
                1.6326284422848680e-04,
                2.5631526002557685e-05,
                9.5812667873835924e-02,
                -1.0357520673775259e+01,
                6.7903237014223857e-04,
            ],
        ),
        (
            Right::Put,
            [5611.25, 5560.0, 1.902587519025875e-06, 0.043, 0.013, 0.25],
            [
                1.9691150074355844e-157,
                -2.7153874321536624e-156,
                3.7392924783467223e-155,
                5.6000683137095319e-154,
                -3.6791991711072569e-149,
                -2.8989563622855748e-158,
            ],
        ),
        (
            Right::Call,
            [5611.25, 5615.0, 0.00011415525114155251, 0.043, 0.013, 0.12],
            [
                1.3830496718541812e+00,
                3.0231261822956923e-01,
                4.8496333187079757e-02,
                2.0917283349939208e+01,
                -1.1044955207963378e+04,
                1.9348956956265023e-01,
            ],
        ),
        (
            Right::Put,
            [100.0, 250.0, 2.0, 0.03, 0.02, 0.4],
            [
                1.4135396228857613e+02,
                -8.6804614709222605e-01,
                2.9045976728676076e-03,
                2.3236781382940862e+01,
                2.7849868774554229e+00,
                -4.5631715399559744e+02,
            ],
        ),
        (
            Right::Call,
            [100.0, 250.0, 0.25, 0.03, 0.02, 0.4],
            [
                1.5461091672516488e-05,
                3.9105560493525364e-06,
                9.1399182333030975e-07,
                9.1399182333030981e-04,
                -7.3464018196342496e-04,
                9.3898628315684300e-05,
            ],
        ),
    ];
    for (right, given, expected) in table {
        let it = inputs(given);
        let g = greeks(right, &it);
        let got = [price(right, &it), g.delta, g.gamma, g.vega, g.theta, g.rho];
        for (got, expected) in got.into_iter().zip(expected) {
            let tolerance = if expected.abs() > 1e-8 { 1e-10 * expected.abs() } else { 1e-14 };
            assert!(near(got, expected, tolerance), "{right:?} {given:?}: {got:e}, expected {expected:e}");
        }
    }
}

#[test]
fn without_time_or_volatility_only_intrinsic_value_is_left() {
    let still = inputs([110.0, 100.0, 0.0, 0.05, 0.0, 0.2]);
    assert_eq!((price(Right::Call, &still), price(Right::Put, &still)), (10.0, 0.0));
    assert!(near(greeks(Right::Call, &still).delta, 1.0, 0.0));
    let calm = inputs([90.0, 100.0, 1.0, 0.0, 0.0, 0.0]);
    assert_eq!((price(Right::Put, &calm), greeks(Right::Put, &calm).delta), (10.0, -1.0));
}

#[test]
fn no_volatility_is_implied_outside_the_bounds_of_arbitrage() {
    let it = inputs([100.0, 90.0, 0.25, 0.0, 0.0, 0.0]);
    for premium in [9.0, 10.0, 100.0, 150.0, f64::NAN, f64::INFINITY, -1.0] {
        assert!(implied_vol(Right::Call, premium, &it).is_err(), "premium {premium}");
    }
    assert!(implied_vol(Right::Call, 10.01, &it).is_ok());
}

#[test]
fn time_is_counted_in_seconds_and_never_under_a_minute() {
    let close = UtcNanos::from_secs(1_000_000);
    let an_hour = years_between(UtcNanos::from_secs(1_000_000 - 3_600), close);
    assert!(near(an_hour * 365.0 * 24.0, 1.0, 1e-12));
    let minute = years_between(UtcNanos::from_secs(1_000_000 - 60), close);
    for late in [999_941, 1_000_000, 1_000_500] {
        assert!(near(years_between(UtcNanos::from_secs(late), close), minute, 0.0), "at {late}");
    }
}

proptest! {
    #[test]
    fn prop_put_call_parity_holds(
        spot in 50.0..6_000.0f64, moneyness in 0.7..1.4f64, years in 2e-6..2.0f64,
        rate in -0.01..0.08f64, div in 0.0..0.04f64, vol in 0.03..1.5f64,
    ) {
        let it = inputs([spot, spot * moneyness, years, rate, div, vol]);
        let gap = price(Right::Call, &it) - price(Right::Put, &it);
        let forward = it.spot * libm::exp(-div * years) - it.strike * libm::exp(-rate * years);
        prop_assert!(near(gap, forward, 1e-11 * spot), "{gap} against {forward}");
    }

    #[test]
    fn prop_greeks_are_the_slopes_of_the_price(
        moneyness in 0.9..1.1f64, years in 0.01..2.0f64, rate in 0.0..0.08f64, div in 0.0..0.04f64,
        vol in 0.1..0.8f64, put: bool,
    ) {
        let right = if put { Right::Put } else { Right::Call };
        let it = inputs([100.0, 100.0 * moneyness, years, rate, div, vol]);
        let slope = |up: Inputs, down: Inputs, h: f64| (price(right, &up) - price(right, &down)) / (2.0 * h);
        let h = 1e-4;
        let g = greeks(right, &it);
        let delta = slope(Inputs { spot: 100.0 + h, ..it }, Inputs { spot: 100.0 - h, ..it }, h);
        let vega = slope(Inputs { vol: vol + h, ..it }, Inputs { vol: vol - h, ..it }, h);
        let rho = slope(Inputs { rate: rate + h, ..it }, Inputs { rate: rate - h, ..it }, h);
        let theta = -slope(Inputs { years: years + 1e-5, ..it }, Inputs { years: years - 1e-5, ..it }, 1e-5);
        let up = greeks(right, &Inputs { spot: 100.0 + h, ..it }).delta;
        let down = greeks(right, &Inputs { spot: 100.0 - h, ..it }).delta;
        prop_assert!(near(g.delta, delta, 1e-6) && near(g.gamma, (up - down) / (2.0 * h), 1e-6));
        prop_assert!(near(g.vega, vega, 1e-3) && near(g.rho, rho, 1e-3) && near(g.theta, theta, 1e-2));
    }

    #[test]
    fn prop_the_implied_volatility_gives_the_premium_back(
        spot in 50.0..6_000.0f64, offset in -2.5..2.5f64, years in 2e-6..1.0f64, vol in 0.05..2.0f64, put: bool,
    ) {
        let right = if put { Right::Put } else { Right::Call };
        // Strikes within 2.5 standard deviations, where the premium still tells volatilities apart.
        let strike = spot * libm::exp(offset * vol * libm::sqrt(years));
        let it = inputs([spot, strike, years, 0.04, 0.01, vol]);
        let found = implied_vol(right, price(right, &it), &it);
        prop_assert!(found.is_ok_and(|found| near(found, vol, 1e-8)), "{found:?} for {vol}");
    }
}

/// One row of the references: the option, its volatility, and eight values to fifty digits.
struct Reference {
    line: &'static str,
    right: Right,
    inputs: Inputs,
    values: [f64; 8],
}

fn references() -> Vec<Reference> {
    let table = include_str!("../../tests/reference/options.csv");
    let row = |line: &'static str| {
        let (kind, numbers) = line.split_once(',').unwrap();
        let numbers: Vec<f64> = numbers.split(',').map(|it| it.parse().unwrap()).collect();
        let right = if kind == "call" { Right::Call } else { Right::Put };
        Reference {
            line,
            right,
            inputs: inputs(numbers[..6].try_into().unwrap()),
            values: numbers[6..].try_into().unwrap(),
        }
    };
    table.lines().skip(1).map(row).collect()
}

fn computed(right: Right, it: &Inputs) -> [f64; 8] {
    let Valuation { price, greeks: g } = evaluate(right, it).unwrap();
    [price, g.delta, g.gamma, g.vega, g.theta, g.rho, p_itm(right, it).unwrap(), p_touch(it).unwrap()]
}

const FIELDS: [&str; 8] = ["price", "delta", "gamma", "vega", "theta", "rho", "p_itm", "p_touch"];

#[test]
fn every_field_agrees_with_fifty_digits_to_ten_where_it_exceeds_1e_8() {
    let references = references();
    assert!(references.len() >= 400);
    let mut worst = [0.0_f64; 8];
    for it in &references {
        let got = computed(it.right, &it.inputs);
        for (n, (got, expected)) in got.into_iter().zip(it.values).enumerate() {
            let scale = expected.abs().max(1e-8);
            let error = (got - expected).abs() / scale;
            worst[n] = worst[n].max(error);
            assert!(error <= 1e-10, "{}: {got:e}, expected {expected:e} in {}", FIELDS[n], it.line);
        }
    }
    println!("largest relative errors: {worst:?}");
}

#[test]
fn the_implied_volatility_agrees_to_twelve_digits_where_the_premium_tells_it() {
    let (mut told, mut worst) = (0, 0.0_f64);
    for it in references() {
        let [premium, _, _, vega, ..] = it.values;
        let vol = it.inputs.vol;
        // What half a unit in the premium's last place is worth in volatility.
        let rounding = 0.5 * f64::EPSILON * premium / (vega * vol);
        let found = implied_vol(it.right, premium, &it.inputs);
        if rounding > 1e-4 {
            continue;
        }
        let found = found.unwrap_or_else(|why| panic!("{why}: {}", it.line));
        let error = (found - vol).abs() / vol;
        assert!(error <= 1e-12_f64.max(4.0 * rounding), "{found} is off by {error:e} in {}", it.line);
        if rounding < 1e-13 {
            worst = worst.max(error);
            told += 1;
        }
    }
    assert!(told > 300, "{told} rows are well told");
    println!("largest relative error of {told} well-told volatilities: {worst:.1e}");
}

/// A hash over the bits of every value: it is the same on every machine, in debug and in release.
#[test]
fn the_same_inputs_give_the_same_bits_on_every_machine() {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for it in references() {
        let vol = implied_vol(it.right, it.values[0], &it.inputs).unwrap_or(0.0);
        for value in computed(it.right, &it.inputs).into_iter().chain([vol]) {
            for byte in value.to_bits().to_le_bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
    }
    assert_eq!(hash, 0xdc4d_1801_5743_90ab, "{hash:#x}");
}

#[test]
fn rows_are_valued_to_the_bit_as_one_by_one() {
    let mut rows = Rows::default();
    let mut expected = Vec::new();
    let still = inputs([100.0, 90.0, 0.0, 0.01, 0.0, 0.2]);
    let none = inputs([f64::NAN, 90.0, 1.0, 0.01, 0.0, 0.2]);
    let all = references();
    let all = all.iter().map(|it| (it.right, it.inputs)).chain([(Right::Call, still), (Right::Put, none)]);
    for (right, it) in all {
        rows.push(right, &it);
        let Valuation { price, greeks: g } = value(right, &it);
        expected.push([price, g.delta, g.gamma, g.vega, g.theta, g.rho].map(f64::to_bits));
    }
    let mut values = Values::default();
    rows.value(&mut values);
    rows.value(&mut values);
    for (n, expected) in expected.into_iter().enumerate() {
        let v = &values;
        let got = [v.price[n], v.delta[n], v.gamma[n], v.vega[n], v.theta[n], v.rho[n]];
        assert_eq!(got.map(f64::to_bits), expected, "row {n}");
    }
}

#[test]
fn bad_inputs_are_named_and_never_become_nan() {
    let good = [100.0, 105.0, 0.25, 0.04, 0.01, 0.2];
    let names = ["spot", "strike", "t_years", "rate", "div", "vol"];
    for (n, name) in names.into_iter().enumerate() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e300, 1e300, -3.0] {
            let mut given = good;
            given[n] = bad;
            let it = inputs(given);
            for right in [Right::Call, Right::Put] {
                let error = evaluate(right, &it).unwrap_err().to_string();
                assert!(error.starts_with(&format!("{name} is ")), "{error}");
                assert_eq!(p_itm(right, &it).unwrap_err().to_string(), error);
                let Valuation { price, greeks: g } = value(right, &it);
                for value in [price, g.delta, g.gamma, g.vega, g.theta, g.rho] {
                    assert!(value.is_finite(), "{name} {bad}: {value}");
                }
            }
            assert!(p_touch(&it).is_err());
            assert_eq!(implied_vol(Right::Call, 3.0, &it).is_err(), name != "vol", "{name} {bad}");
        }
    }
    for spot in [0.0, -0.0, 1e-300] {
        assert!(evaluate(Right::Put, &inputs([spot, 100.0, 1.0, 0.0, 0.0, 0.2])).is_err());
    }
}

#[test]
fn every_premium_without_a_volatility_says_why() {
    let it = inputs([100.0, 90.0, 0.25, 0.0, 0.0, 0.0]);
    assert_eq!(implied_vol(Right::Call, 10.0, &it), Err(NoVol::BelowIntrinsic(10.0)));
    assert_eq!(implied_vol(Right::Call, 100.0, &it), Err(NoVol::AboveBound(100.0)));
    assert_eq!(implied_vol(Right::Put, 90.0, &it), Err(NoVol::AboveBound(90.0)));
    assert_eq!(implied_vol(Right::Put, f64::INFINITY, &it), Err(NoVol::NotFinite(f64::INFINITY)));
    assert_eq!(implied_vol(Right::Call, 10.0_f64.next_up(), &it), Err(NoVol::NoVega));
    let expired = Inputs { years: 0.0, ..it };
    assert_eq!(implied_vol(Right::Call, 12.0, &expired), Err(NoVol::BelowIntrinsic(10.0)));
    let soon = inputs([100.0, 100.0, 1e-6, 0.0, 0.0, 0.0]);
    assert!(matches!(implied_vol(Right::Call, 20.0, &soon), Err(NoVol::OutOfRange(_))));
}

#[test]
fn without_time_or_volatility_the_path_is_certain() {
    let at = |spot, years, vol| inputs([spot, 100.0, years, 0.05, 0.0, vol]);
    for (it, call, put, touch) in [
        (at(100.0, 0.0, 0.2), 0.0, 0.0, 1.0),
        (at(101.0, 0.0, 0.2), 1.0, 0.0, 0.0),
        (at(98.0, 1.0, 0.0), 1.0, 0.0, 1.0),
        (at(90.0, 1.0, 0.0), 0.0, 1.0, 0.0),
        (at(100.0, 1.0, 0.2), 0.5, 0.5, 1.0),
    ] {
        assert_eq!(p_touch(&it), Ok(touch), "{it:?}");
        if touch < 1.0 || it.vol == 0.0 || it.years == 0.0 {
            assert_eq!((p_itm(Right::Call, &it), p_itm(Right::Put, &it)), (Ok(call), Ok(put)), "{it:?}");
        }
    }
    // Theta of what is certain is what interest and dividends make of it.
    let g = greeks(Right::Put, &at(90.0, 1.0, 0.0));
    assert!(near(g.theta, 0.05 * 100.0 * libm::exp(-0.05), 1e-12) && g.gamma == 0.0 && g.vega == 0.0);
}

#[test]
fn morning_series_settle_at_the_opening_and_the_others_at_the_close() {
    let instant = |series: &str| settlement_instant(&series.parse().unwrap()).unwrap();
    let at = |text: &str| UtcNanos::parse(text).unwrap();
    for (series, expected) in [
        ("SPX261120C05610000", "2026-11-20T14:30:00Z"),
        ("SPXW261120C05610000", "2026-11-20T21:00:00Z"),
        ("SPXW261127P05610000", "2026-11-27T18:00:00Z"),
        ("SPXW260720P05610000", "2026-07-20T20:00:00Z"),
        ("SPY261120P00561000", "2026-11-20T21:00:00Z"),
    ] {
        assert_eq!(instant(series), at(expected), "{series}");
    }
    let series = "SPX261120C05610000".parse().unwrap();
    let a_quarter = years_to_settlement(at("2026-11-20T14:15:00Z"), &series).unwrap();
    assert!(near(a_quarter * 365.0 * 24.0 * 4.0, 1.0, 1e-12));
}

#[test]
fn the_expected_move_is_a_standard_deviation_in_points() {
    let it = inputs([5_000.0, 1.0, 0.25, 0.0, 0.0, 0.16]);
    assert_eq!(expected_move(&it), Ok(400.0));
}

proptest! {
    #[test]
    fn prop_a_price_rises_with_volatility(
        spot in 5.0..6_000.0f64, offset in -4.0..4.0f64, years in 2e-6..2.0f64, vol in 0.03..3.0f64, put: bool,
    ) {
        let right = if put { Right::Put } else { Right::Call };
        let strike = spot * libm::exp(offset * vol * libm::sqrt(years));
        let at = |vol| price(right, &inputs([spot, strike, years, 0.04, 0.01, vol]));
        prop_assert!(at(vol * 1.001) >= at(vol) && at(vol) >= 0.0);
        prop_assert!(at(vol) <= spot.max(strike));
    }

    #[test]
    fn prop_touching_is_likelier_than_ending_beyond(
        spot in 5.0..6_000.0f64, offset in -4.0..4.0f64, years in 2e-6..2.0f64, vol in 0.03..3.0f64,
        rate in -0.01..0.08f64, div in 0.0..0.05f64,
    ) {
        let strike = spot * libm::exp(offset * vol * libm::sqrt(years));
        let it = inputs([spot, strike, years, rate, div, vol]);
        let right = if strike > spot { Right::Call } else { Right::Put };
        let (itm, touch) = (p_itm(right, &it).unwrap(), p_touch(&it).unwrap());
        prop_assert!((0.0..=1.0).contains(&touch) && touch >= itm * (1.0 - 1e-13), "{itm} {touch}");
        prop_assert!(near(itm + p_otm(right, &it).unwrap(), 1.0, 1e-15));
    }

    #[test]
    fn prop_the_implied_volatility_is_exact_within_four_deviations(
        spot in 5.0..6_000.0f64, offset in -4.0..4.0f64, years in 2.8e-5..2.0f64, vol in 0.03..3.0f64,
        rate in -0.01..0.08f64, div in 0.0..0.05f64,
    ) {
        let strike = spot * libm::exp((rate - div) * years + offset * vol * libm::sqrt(years));
        let it = inputs([spot, strike, years, rate, div, vol]);
        // Out of the money the premium is all time value, whose digits tell the volatility's.
        let right = if offset > 0.0 { Right::Call } else { Right::Put };
        let found = implied_vol(right, price(right, &it), &it).unwrap();
        prop_assert!((found / vol - 1.0).abs() < 1e-12 * (1.0 + 10.0 * it.deviation()), "{found} for {vol}");
    }

    #[test]
    fn prop_any_bits_give_a_number_or_a_reason(bits in prop::array::uniform7(any::<u64>()), put: bool) {
        let [a, b, c, d, e, f, premium] = bits.map(f64::from_bits);
        let right = if put { Right::Put } else { Right::Call };
        let it = inputs([a, b, c, d, e, f]);
        let Valuation { price, greeks: g } = value(right, &it);
        for value in [price, g.delta, g.gamma, g.vega, g.theta, g.rho] {
            prop_assert!(value.is_finite(), "{it:?}: {value}");
        }
        if let Ok(vol) = implied_vol(right, premium, &it) {
            prop_assert!(vol.is_finite() && vol > 0.0);
        }
    }

    #[test]
    fn prop_any_sane_input_gives_numbers_and_probabilities(
        spot in -13.0..27.0f64, strike in -13.0..27.0f64, years in -30.0..4.6f64, rate in -2.0..2.0f64,
        div in -2.0..2.0f64, vol in -30.0..4.6f64, put: bool, part in 0.0..1.0f64,
    ) {
        let right = if put { Right::Put } else { Right::Call };
        let it = inputs([spot.exp(), strike.exp(), years.exp(), rate, div, vol.exp()]);
        let Valuation { price, greeks: g } = evaluate(right, &it).unwrap();
        for value in [price, g.delta, g.gamma, g.vega, g.theta, g.rho] {
            prop_assert!(value.is_finite(), "{it:?}: {value}");
        }
        prop_assert!(price >= 0.0 && g.gamma >= 0.0 && g.vega >= 0.0, "{it:?}: {price} {g:?}");
        for p in [p_itm(right, &it).unwrap(), p_touch(&it).unwrap()] {
            prop_assert!((0.0..=1.0).contains(&p), "{it:?}: {p}");
        }
        // Any premium at all ends with an answer.
        if let Ok(vol) = implied_vol(right, part * it.spot.max(it.strike), &it) {
            prop_assert!(vol.is_finite() && vol > 0.0);
        }
    }
}
