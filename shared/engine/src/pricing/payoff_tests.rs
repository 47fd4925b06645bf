//! Payoffs over both densities, against other ways to the same figures.

use super::density::{Density, NoDensity, RETURNS_MIN, blocks};
use super::payoff::{Leg, NoPayoff, Payoff};
use super::*;
use proptest::prelude::*;

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance
}

fn leg(right: Right, strike: f64, held: f64) -> Leg {
    Leg { right, strike, held }
}

/// 95/90 and 105/110 for a credit of 1.50.
fn iron_condor() -> Payoff {
    use Right::{Call, Put};
    let legs = [leg(Put, 90.0, 1.0), leg(Put, 95.0, -1.0), leg(Call, 105.0, -1.0), leg(Call, 110.0, 1.0)];
    Payoff::of(&legs, 0.0, 1.5).unwrap()
}

fn market(vol: f64) -> Inputs {
    Inputs { spot: 100.0, strike: 100.0, years: 45.0 / 365.0, rate: 0.04, div: 0.01, vol }
}

/// Simpson's rule over the standardised normal: slow, and nothing in common with the closed form.
fn integrated(of: impl Fn(f64) -> f64, it: &Inputs) -> f64 {
    let (sd, n) = (it.deviation(), 200_000);
    let forward = it.spot * libm::exp((it.rate - it.div) * it.years);
    let h = 20.0 / f64::from(n);
    let at = |i: u32| {
        let z = -10.0 + h * f64::from(i);
        normal_pdf(z) * of(forward * libm::exp(sd * z - 0.5 * sd * sd))
    };
    let weight = |i: u32| if i == 0 || i == n { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
    (0..=n).map(|i| weight(i) * at(i)).sum::<f64>() * h / 3.0
}

#[test]
fn an_iron_condor_makes_its_credit_and_loses_its_width_less_the_credit() {
    let it = iron_condor();
    assert_eq!((it.profit_max(), it.loss_max()), (Some(1.5), Some(3.5)));
    assert_eq!(it.break_evens(), vec![93.5, 106.5]);
    for (spot, pays) in [(0.0, -3.5), (90.0, -3.5), (92.0, -1.5), (100.0, 1.5), (107.0, -0.5), (500.0, -3.5)]
    {
        assert!(near(it.at(spot), pays, 1e-12), "at {spot}");
    }
}

#[test]
fn the_expected_payoff_is_what_integration_finds() {
    for vol in [0.05, 0.2, 0.8] {
        let it = market(vol);
        let density = Density::lognormal(&it).unwrap();
        let condor = iron_condor();
        let expected = condor.expected(&density);
        assert!(near(expected, integrated(|spot| condor.at(spot), &it), 1e-7), "{vol}: {expected}");
        let covered = Payoff::of(&[leg(Right::Call, 105.0, -1.0)], 1.0, -98.0).unwrap();
        assert!(near(covered.expected(&density), integrated(|spot| covered.at(spot), &it), 1e-7));
    }
}

#[test]
fn the_expected_payoff_of_a_leg_is_its_undiscounted_price() {
    for (right, strike) in [(Right::Call, 97.0), (Right::Put, 97.0), (Right::Call, 130.0), (Right::Put, 70.0)]
    {
        let it = market(0.3);
        let payoff = Payoff::of(&[leg(right, strike, 1.0)], 0.0, 0.0).unwrap();
        let price = price(right, &Inputs { strike, ..it }) * libm::exp(it.rate * it.years);
        let expected = payoff.expected(&Density::lognormal(&it).unwrap());
        assert!(near(expected, price, 1e-10 * price.max(1e-4)), "{right:?} {strike}: {expected} {price}");
    }
}

#[test]
fn the_probability_of_profit_is_the_mass_between_the_break_evens() {
    let it = market(0.2);
    let density = Density::lognormal(&it).unwrap();
    let beyond = |right, strike| p_itm(right, &Inputs { strike, ..it }).unwrap();
    let condor = iron_condor();
    let expected = 1.0 - beyond(Right::Put, 93.5) - beyond(Right::Call, 106.5);
    assert!(near(condor.p_profit(&density), expected, 1e-12));
    let shorts_out = 1.0 - beyond(Right::Put, 95.0) - beyond(Right::Call, 105.0);
    assert!(near(condor.p_otm(&density), shorts_out, 1e-12));
    let binary = shorts_out * 1.5 - (1.0 - shorts_out) * 3.5;
    assert!(near(condor.binary_value(&density).unwrap(), binary, 1e-12));
    // A long call profits above its break-even, a long straddle outside of both.
    let call = Payoff::of(&[leg(Right::Call, 100.0, 1.0)], 0.0, -3.0).unwrap();
    assert!(near(call.p_profit(&density), beyond(Right::Call, 103.0), 1e-12));
    let both = [leg(Right::Call, 100.0, 1.0), leg(Right::Put, 100.0, 1.0)];
    let straddle = Payoff::of(&both, 0.0, -5.0).unwrap();
    let outside = beyond(Right::Put, 95.0) + beyond(Right::Call, 105.0);
    assert!(near(straddle.p_profit(&density), outside, 1e-12));
    assert!(near(straddle.p_otm(&density), 1.0, 0.0));
}

#[test]
fn what_has_no_limit_says_so() {
    let naked = Payoff::of(&[leg(Right::Call, 100.0, -1.0)], 0.0, 2.0).unwrap();
    assert_eq!((naked.profit_max(), naked.loss_max()), (Some(2.0), None));
    let long = Payoff::of(&[leg(Right::Call, 100.0, 1.0)], 0.0, -2.0).unwrap();
    assert_eq!((long.profit_max(), long.loss_max()), (None, Some(2.0)));
    assert_eq!(naked.binary_value(&Density::lognormal(&market(0.2)).unwrap()), None);
    let covered = Payoff::of(&[leg(Right::Call, 105.0, -1.0)], 1.0, -98.0).unwrap();
    assert_eq!((covered.profit_max(), covered.loss_max()), (Some(7.0), Some(98.0)));
    let cash = Payoff::of(&[], 0.0, 1.0).unwrap();
    assert_eq!((cash.profit_max(), cash.loss_max(), cash.break_evens()), (Some(1.0), Some(-1.0), vec![]));
}

#[test]
fn legs_that_are_no_numbers_are_refused() {
    for (strike, held) in [(0.0, 1.0), (-5.0, 1.0), (f64::NAN, 1.0), (f64::INFINITY, 1.0), (100.0, f64::NAN)]
    {
        assert!(matches!(
            Payoff::of(&[leg(Right::Put, strike, held)], 0.0, 0.0),
            Err(NoPayoff::BadLeg { .. })
        ));
    }
    assert_eq!(Payoff::of(&[], f64::NAN, 0.0), Err(NoPayoff::NotFinite));
}

/// Skewed returns: many small rises, few large falls.
fn skewed() -> Vec<f64> {
    (0..400).map(|i| if i % 10 == 0 { -0.03 - f64::from(i) * 1e-5 } else { 0.004 }).collect()
}

#[test]
fn the_real_world_density_has_the_forecast_deviation_and_the_forward_as_its_mean() {
    let it = market(0.2);
    let density = Density::real_world(&skewed(), &it).unwrap();
    let whole = density.between(0.0, f64::INFINITY);
    let forward = 100.0 * libm::exp(0.03 * it.years);
    assert!(near(whole.mass, 1.0, 0.0) && near(whole.first, forward, 1e-10));
    let Density::Sampled(_) = &density else { panic!("sampled") };
    // The deviation of the logarithm, from the legs of many thin slices.
    let slices = 20_000;
    let (mut mean, mut square) = (0.0, 0.0);
    for i in 0..slices {
        let low = 50.0 + 100.0 * f64::from(i) / f64::from(slices);
        let part = density.between(low, low + 100.0 / f64::from(slices));
        if part.mass > 0.0 {
            let log = libm::log(part.first / part.mass);
            mean += part.mass * log;
            square += part.mass * log * log;
        }
    }
    assert!(near(libm::sqrt(square - mean * mean), it.deviation(), 1e-5));
    // Its skew is the history's: a fall of two deviations is likelier than the lognormal has it.
    let lognormal = Density::lognormal(&it).unwrap();
    assert!(density.between(0.0, 86.0).mass > 2.0 * lognormal.between(0.0, 86.0).mass);
}

#[test]
fn a_payoff_over_real_returns_is_their_mean() {
    let it = market(0.25);
    let returns = skewed();
    let density = Density::real_world(&returns, &it).unwrap();
    let condor = iron_condor();
    // Value by value, with the same centring and scaling written out.
    let n = returns.len() as f64;
    let mean = returns.iter().sum::<f64>() / n;
    let sd = libm::sqrt(returns.iter().map(|r| (r - mean) * (r - mean)).sum::<f64>() / n);
    let moved: Vec<f64> = returns.iter().map(|r| libm::exp((r - mean) / sd * it.deviation())).collect();
    let scale = 100.0 * libm::exp(0.03 * it.years) * n / moved.iter().sum::<f64>();
    let paid: Vec<f64> = moved.iter().map(|m| condor.at(m * scale)).collect();
    assert!(near(condor.expected(&density), paid.iter().sum::<f64>() / n, 1e-11));
    let won = paid.iter().filter(|it| **it > 0.0).count() as f64 / n;
    assert!(near(condor.p_profit(&density), won, 1e-12));
}

#[test]
fn a_density_takes_enough_history_that_varies() {
    let it = market(0.2);
    assert_eq!(Density::real_world(&[0.01; RETURNS_MIN - 1], &it), Err(NoDensity::TooFew(RETURNS_MIN - 1)));
    assert_eq!(Density::real_world(&[0.0; 50], &it), Err(NoDensity::NoSpread));
    let mut broken = skewed();
    broken[7] = f64::NAN;
    assert_eq!(Density::real_world(&broken, &it), Err(NoDensity::NoSpread));
    assert!(Density::lognormal(&market(f64::NAN)).is_err());
}

#[test]
fn blocks_are_every_run_of_days() {
    assert_eq!(blocks(&[1.0, 2.0, 4.0, 8.0], 2), vec![3.0, 6.0, 12.0]);
    assert_eq!(blocks(&[1.0, 2.0], 3), Vec::<f64>::new());
    assert_eq!(blocks(&[1.0, 2.0], 0), Vec::<f64>::new());
}

proptest! {
    #[test]
    fn prop_probabilities_stay_probabilities_and_means_within_the_extremes(
        strikes in prop::collection::vec((60.0..140.0f64, -3..=3i32, any::<bool>()), 1..6),
        cash in -10.0..10.0f64, vol in 0.0..2.0f64, real: bool,
    ) {
        let legs: Vec<Leg> = strikes
            .iter()
            .map(|(strike, held, put)| {
                leg(if *put { Right::Put } else { Right::Call }, strike.round(), f64::from(*held))
            })
            .collect();
        let payoff = Payoff::of(&legs, 0.0, cash).unwrap();
        let it = market(vol);
        let density = if real { Density::real_world(&skewed(), &it) } else { Ok(Density::lognormal(&it).unwrap()) };
        let density = density.unwrap();
        for p in [payoff.p_profit(&density), payoff.p_otm(&density)] {
            prop_assert!((0.0..=1.0).contains(&p), "{p}");
        }
        let expected = payoff.expected(&density);
        prop_assert!(expected.is_finite());
        prop_assert!(payoff.profit_max().is_none_or(|it| expected <= it + 1e-9));
        prop_assert!(payoff.loss_max().is_none_or(|it| expected >= -it - 1e-9));
    }
}
