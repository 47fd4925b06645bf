//! What a structure may make and lose, how likely, and what it is expected to.

use domain::money::{CONTRACT_MULTIPLIER, Price, Usd};
use domain::symbol::Right;
use domain::ticket::{Net, NetKind};
use serde::{Deserialize, Serialize};

use super::super::Asked;
use super::super::chain::{Smile, width};
use super::super::density::Horizon;
use super::super::friction::{self, Charged, Ending};
use super::super::reason::Reason;
use super::super::strategy::Size;
use super::Candidate;
use super::build::Picked;
use crate::pricing::density::Density;
use crate::pricing::payoff::{Leg, Payoff};
use crate::pricing::{Inputs, expected_move, greeks, p_touch, price};

/// A move of 1 %.
const MOVE: f64 = 0.01;
/// The volatility that a structure must nearly bear, over the forecast.
pub(in super::super) const STRESS: f64 = 1.2;
/// Ticks that a quote may be off its neighbours' volatilities, where it is narrower.
const SMILE_TICKS: u16 = 2;

/// A structure's figures, for all of its units, in dollars where nothing else is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Numbers {
    /// Received after slippage; what is paid is negative.
    pub premium: Usd,
    /// The most it makes: the credit after slippage, or what a debit can grow by.
    pub max_profit: Usd,
    /// The most it loses, friction excluded.
    pub max_loss: Usd,
    /// Commissions, fees and the exit's slippage.
    pub friction: Usd,
    /// The probability that all shorts expire out of the money, lognormal at the volatility at the money; kept for
    /// comparison.
    pub p_otm: f64,
    /// The probability of a profit over the real-world density.
    pub p_profit: Option<f64>,
    /// The probability that the nearest short strike is touched, lognormal.
    pub p_touch: Option<f64>,
    /// How far the underlying moves within one deviation, points.
    pub expected_move: Option<f64>,
    /// `p_otm` x the most it makes, less the rest x the most it loses, less friction; kept for comparison.
    pub ev_net: f64,
    /// The expected payoff over the real-world density, friction included.
    pub ev_p: Option<f64>,
    /// The same with 1.2 times the volatility.
    pub ev_stressed: Option<f64>,
    /// The expected payoff under the neighbours' volatilities: about minus the costs, or a quote is wrong.
    pub ev_smile: Option<f64>,
    /// How far that is from minus the costs, and how far it may be.
    pub smile_gap: Option<(f64, f64)>,
    /// What gamma loses on a move of 1 %, as a part of the most it loses; 0 where gamma is held.
    pub gamma_loss: Option<f64>,
    /// Delta x 100 x S.
    pub delta: Option<f64>,
    /// Gamma x 100 x S^2 x 0.01.
    pub gamma: Option<f64>,
    /// Vega a volatility point.
    pub vega: Option<f64>,
    /// The underlying's value that puts and calls of the expiration agree on, points.
    pub spot: f64,
    /// Volatility at the money.
    pub vol: Option<f64>,
}

/// What all structures of one expiration are valued with.
pub(super) struct Priced<'s, 'a> {
    asked: &'s Asked<'a>,
    smile: &'s Smile<'a>,
    vol: Option<f64>,
    lognormal: Option<Density>,
    horizon: Option<Horizon>,
    real: Option<Density>,
}

impl<'s, 'a> Priced<'s, 'a> {
    pub(super) fn of(asked: &'s Asked<'a>, smile: &'s Smile<'a>, horizon: Option<Horizon>) -> Self {
        let vol = smile.at_the_money();
        let lognormal = vol.and_then(|vol| Density::lognormal(&Inputs { vol, ..smile.base }).ok());
        let real = horizon.as_ref().and_then(|it| it.density(1.0));
        Self { asked, smile, vol, lognormal, horizon, real }
    }

    /// The figures of `legs` at `net`, of which a unit loses at most `loss`, and the units: `units`, or what the
    /// strategy's size allows.
    pub(super) fn numbers(
        &self,
        legs: &[Picked<'_>],
        net: Net,
        loss: Usd,
        units: Option<u32>,
    ) -> Result<(Numbers, u32), Reason> {
        let lognormal = self.lognormal.as_ref().ok_or(Reason::NothingQuoted)?;
        let unit_friction = self.friction(legs);
        let units = units.unwrap_or_else(|| self.units(loss + unit_friction));
        // Figures of no units would tell nothing: they are those of one.
        let n = i64::from(units.max(1));
        let premium = -net.usd().times(CONTRACT_MULTIPLIER);
        let payoff = payoff(legs, premium - unit_friction).ok_or(Reason::PremiumWrong)?;
        let profit = match net.kind() {
            NetKind::Credit | NetKind::Even => premium,
            NetKind::Debit => debit_profit(legs, premium).ok_or(Reason::PremiumWrong)?,
        };
        let (max_profit, max_loss, friction) = (profit.times(n), loss.times(n), unit_friction.times(n));
        let p_otm = payoff.p_otm(lognormal);
        let ev_net = p_otm * max_profit.to_f64() - (1.0 - p_otm) * max_loss.to_f64() - friction.to_f64();
        if !ev_net.is_finite() {
            return Err(Reason::NothingQuoted);
        }
        let [delta, gamma, vega] = self.greeks(legs).map(|it| it.map(|it| it * n as f64));
        // Gamma in dollars is of 1 % already: half of it times another 1 % is what the bend costs.
        let lost = gamma.map(|it| 0.5 * (-it).max(0.0) * MOVE);
        let numbers = Numbers {
            premium: premium.times(n),
            max_profit,
            max_loss,
            friction,
            p_otm,
            p_profit: self.real.as_ref().map(|it| payoff.p_profit(it)),
            p_touch: self.touch(legs),
            expected_move: self.vol.and_then(|vol| expected_move(&Inputs { vol, ..self.smile.base }).ok()),
            ev_net,
            ev_p: self.real.as_ref().map(|it| payoff.expected(it) * n as f64),
            ev_stressed: None,
            ev_smile: None,
            smile_gap: None,
            gamma_loss: lost.map(|it| it / max_loss.to_f64()),
            delta,
            gamma,
            vega,
            spot: self.smile.base.spot,
            vol: self.vol,
        };
        Ok((numbers, units))
    }

    /// The figures that only the chosen structure needs: under stress, and against its neighbours.
    pub(super) fn finish(&self, it: &mut Candidate<'_>) {
        let n = f64::from(it.units.max(1));
        let unit_friction = self.friction(&it.legs);
        let cash = -it.price.usd().times(CONTRACT_MULTIPLIER) - unit_friction;
        let stressed = self.horizon.as_ref().and_then(|it| it.density(STRESS));
        it.numbers.ev_stressed =
            stressed.zip(payoff(&it.legs, cash)).map(|(density, payoff)| payoff.expected(&density) * n);
        let (mut gap, mut allowed, mut slipped) = (0.0, 0.0, -it.price.usd().to_f64());
        for leg in &it.legs {
            let series = leg.leg.series;
            let Some(vol) = self.smile.between_neighbours(series.strike) else { return };
            let inputs = Inputs { strike: series.strike.points(), vol, ..self.smile.base };
            let (ticks, ratio) = (width(leg.row, SMILE_TICKS, self.asked.today), f64::from(leg.leg.ratio));
            gap += leg.signed() * (price(series.right, &inputs) - leg.mid());
            allowed += ratio * ticks.map_or(2.0 * leg.half(), |(width, ticks)| width.max(ticks));
            slipped += leg.signed() * leg.mid();
        }
        let shares = CONTRACT_MULTIPLIER as f64 * n;
        // Bought at mid plus slippage: what is left of it under the same volatilities is minus the costs.
        it.numbers.ev_smile = Some((gap + slipped) * shares - it.numbers.friction.to_f64());
        it.numbers.smile_gap = Some((gap.abs() * shares, allowed * shares));
    }

    fn units(&self, risked: Usd) -> u32 {
        match self.asked.set.size {
            Size::Fixed(units) => units,
            Size::Risk { usd, units_max } => usd.whole_units_of(risked).min(units_max),
        }
    }

    fn friction(&self, legs: &[Picked<'_>]) -> Usd {
        let charged: Vec<Charged> = legs
            .iter()
            .map(|it| Charged {
                root: it.leg.series.root,
                premium: Price::from_cents(it.bid.cents().midpoint(it.ask.cents())),
                half: it.half(),
                ratio: it.leg.ratio,
            })
            .collect();
        let set = self.asked.set;
        let realised = self.asked.facts.exit_slippage.filter(|it| *it >= 0.0 && it.is_finite());
        let slippage = realised.unwrap_or(set.entry.slippage);
        let ending = Ending { is_held: set.exit.hold_to_expiry, slippage };
        friction::per_unit(&charged, &set.preferred_broker, ending, self.asked.today)
    }

    /// Delta, gamma and vega of a unit in dollars; nothing where a leg has no volatility.
    fn greeks(&self, legs: &[Picked<'_>]) -> [Option<f64>; 3] {
        let spot = self.smile.base.spot;
        let mut sums = [0.0; 3];
        for leg in legs {
            let Some(vol) = leg.vol else { return [None; 3] };
            let series = leg.leg.series;
            let at = greeks(series.right, &Inputs { strike: series.strike.points(), vol, ..self.smile.base });
            let held = leg.signed() * CONTRACT_MULTIPLIER as f64;
            let of = [at.delta * spot, at.gamma * spot * spot * MOVE, at.vega * MOVE];
            sums.iter_mut().zip(of).for_each(|(sum, it)| *sum += held * it);
        }
        sums.map(Some)
    }

    /// Of the short strikes the one that is touched most likely.
    fn touch(&self, legs: &[Picked<'_>]) -> Option<f64> {
        let vol = self.vol?;
        let shorts = legs.iter().filter(|it| it.signed() < 0.0);
        let touched = shorts.filter_map(|it| {
            let strike = it.leg.series.strike.points();
            p_touch(&Inputs { strike, vol, ..self.smile.base }).ok()
        });
        touched.max_by(f64::total_cmp)
    }
}

/// The payoff of a unit with `cash`.
fn payoff(legs: &[Picked<'_>], cash: Usd) -> Option<Payoff> {
    let legs: Vec<Leg> = legs
        .iter()
        .map(|it| Leg {
            right: it.leg.series.right,
            strike: it.leg.series.strike.points(),
            held: it.signed() * CONTRACT_MULTIPLIER as f64,
        })
        .collect();
    Payoff::of(&legs, 0.0, cash.to_f64()).ok()
}

/// What a debit can grow by: the most the legs are ever worth, to the cent, and what was paid.
fn debit_profit(legs: &[Picked<'_>], premium: Usd) -> Option<Usd> {
    let worth = payoff(legs, Usd::ZERO)?.profit_max()?;
    Some(Usd::from_cents((worth * 100.0).round() as i64) + premium)
}

/// Whether a right's short side is in `legs`.
pub(in super::super) fn has_short(legs: &[Picked<'_>], right: Right) -> bool {
    legs.iter().any(|it| it.leg.series.right == right && it.signed() < 0.0)
}
