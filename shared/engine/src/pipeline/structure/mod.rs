//! Stage F: strikes by delta, the grid of candidates around them, and the one with the highest `ev_p`.

mod build;
mod numbers;

use std::collections::BTreeMap;

use domain::money::Price;
use domain::ticket::{ComboLeg, Net};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use numbers::Numbers;
pub(super) use numbers::has_short;

use super::Asked;
use super::bound::{Bound, Value};
use super::chain::{Expiration, Smile};
use super::check::Check;
use super::density::Horizon;
use super::dte;
use super::reading::Reading;
use super::reason::Reason;
use super::regime::asks_term_structure;
use super::snapshot::Rates;
use super::strategy::Kind;
use super::{book, liquidity};
pub(super) use build::Picked;
use build::{Finder, Wish, entry_price, unit_loss};
use numbers::Priced;

/// A chosen structure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Structure {
    /// What it is; of a wheel the put or the call.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Until when.
    pub expiry: Date,
    /// Calendar days until then.
    pub dte: i64,
    /// Its legs by strike.
    pub legs: Vec<StructureLeg>,
    /// The price of a unit after slippage: the worst that is asked for.
    pub price: Net,
    /// How many.
    pub units: u32,
}

/// A leg of a structure, as it was quoted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StructureLeg {
    /// Series, side and ratio.
    pub leg: ComboLeg,
    /// The bid.
    pub bid: Price,
    /// The ask.
    pub ask: Price,
    /// Implied volatility of its strike.
    pub vol: Option<f64>,
    /// Delta of one contract held.
    pub delta: Option<f64>,
}

/// What was tried.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Search {
    /// Expirations whose strikes were looked at.
    pub expirations: Vec<Date>,
    /// Structures that were built and priced.
    pub candidates: u32,
    /// Of these, those that their legs' liquidity, gamma or an open leg rules out.
    pub ruled_out: u32,
    /// Those that could not be built, by reason.
    pub refused: BTreeMap<Reason, u32>,
}

/// A structure with all that is asked of it.
pub(super) struct Candidate<'a> {
    pub(super) legs: Vec<Picked<'a>>,
    pub(super) dte: i64,
    pub(super) expiry: Date,
    pub(super) price: Net,
    pub(super) units: u32,
    pub(super) numbers: Numbers,
    /// How many of the rules on a choice it keeps.
    keeps: u8,
}

impl Candidate<'_> {
    /// As it is kept.
    pub(super) fn structure(&self, kind: Kind) -> Structure {
        let leg = |it: &Picked<'_>| StructureLeg {
            leg: it.leg,
            bid: it.bid,
            ask: it.ask,
            vol: it.vol,
            delta: it.delta,
        };
        let legs = self.legs.iter().map(leg).collect();
        let (expiry, dte, price, units) = (self.expiry, self.dte, self.price, self.units);
        Structure { kind, expiry, dte, legs, price, units }
    }
}

/// What stage F found.
pub(super) struct Found<'a> {
    pub(super) candidate: Option<Candidate<'a>>,
    pub(super) search: Search,
    pub(super) checks: Vec<Check>,
}

/// Stage F.
pub(super) fn find<'a>(asked: &Asked<'a>, held: Option<&Structure>) -> Found<'a> {
    let mut search = Search::default();
    let rates = asked.facts.rates.filter(|it| it.rate.is_finite() && it.div.is_finite());
    let known = rates.and_then(|_| Value::word("known"));
    let known = Check::of(
        Reading::Rates,
        known,
        Bound::is("known", "missing"),
        Reason::RatesMissing,
        Reason::RatesMissing,
    );
    let Some((rates, spot)) = rates.zip(asked.spot) else {
        let none = Check::skipped(Reading::Candidates, Reason::NoStructure);
        return Found { candidate: None, search, checks: vec![known, none] };
    };
    let candidate = match held {
        Some(held) => again(asked, rates, spot, held).inspect(|_| search.candidates = 1),
        None => best(asked, rates, spot, &mut search),
    };
    let why = if search.expirations.is_empty() && held.is_none() {
        Reason::DteOutside
    } else {
        // The refusal that most of the grid met; of as many the one of the later step.
        let most = search.refused.iter().max_by_key(|it| (it.1, it.0));
        most.map_or(Reason::NothingQuoted, |it| *it.0)
    };
    let count = Value::count(i64::from(search.candidates));
    let mut checks = vec![known, Check::of(Reading::Candidates, count, Bound::AtLeast(1.0), why, why)];
    if let Some(it) = &candidate {
        checks.extend(own_checks(asked, it));
    }
    Found { candidate, search, checks }
}

/// What is asked of the structure itself.
fn own_checks(asked: &Asked<'_>, it: &Candidate<'_>) -> Vec<Check> {
    let mut checks = vec![
        Check::of(
            Reading::Units,
            Value::count(i64::from(it.units)),
            Bound::AtLeast(1.0),
            Reason::SizeZero,
            Reason::SizeZero,
        ),
        Check::of(
            Reading::GammaLoss,
            it.numbers.gamma_loss.and_then(Value::number),
            Bound::AtMost(asked.set.entry.gamma_loss_max),
            Reason::Convexity,
            Reason::NothingQuoted,
        ),
    ];
    checks.extend(book::cover(asked, it));
    checks
}

/// The deltas of the grid: the target, and a step to either side.
fn deltas(asked: &Asked<'_>) -> Vec<f64> {
    let (delta, step) = (asked.set.entry.delta, asked.set.entry.delta_step);
    let all = if step > 0.0 { vec![delta - step, delta, delta + step] } else { vec![delta] };
    all.into_iter().filter(|it| (0.005..1.0).contains(it)).collect()
}

/// The best candidate of the grid: one that keeps all rules before one that does not, then the highest `ev_p`; of equal
/// ones the first in the order of expirations, deltas and widths.
fn best<'a>(asked: &Asked<'a>, rates: Rates, spot: f64, search: &mut Search) -> Option<Candidate<'a>> {
    let most = usize::from(asked.set.entry.expirations_max);
    let expirations = dte::within(&asked.expirations, asked.range, most);
    let mut smiles: Vec<(&Expiration<'a>, Smile<'a>)> =
        expirations.into_iter().map(|it| (it, it.smile(spot, rates))).collect();
    if !asks_term_structure(asked.kind, asked.set.regime.term_structure) {
        shorter_where_inverted(&mut smiles);
    }
    let deltas = deltas(asked);
    let widths: &[f64] = if asked.kind.has_wings() { &asked.set.entry.widths } else { &[0.0] };
    let mut best: Option<Candidate<'a>> = None;
    let mut priced_by = None;
    for (expiration, smile) in &smiles {
        search.expirations.push(expiration.expiry);
        let priced = Priced::of(asked, smile, Horizon::of(asked.facts, smile, expiration.sessions));
        let finder = Finder::new(asked, smile);
        let mut is_ahead = false;
        let wishes = deltas.iter().flat_map(|d| widths.iter().map(|w| Wish { delta: *d, width: *w }));
        for wish in wishes {
            match candidate(asked, expiration, &priced, finder.legs(wish)) {
                Ok(it) => {
                    search.candidates += 1;
                    search.ruled_out += u32::from(it.keeps < RULES);
                    if best.as_ref().is_none_or(|best| beats(&it, best)) {
                        best = Some(it);
                        is_ahead = true;
                    }
                }
                Err(why) => *search.refused.entry(why).or_default() += 1,
            }
        }
        if is_ahead {
            priced_by = Some(priced);
        }
    }
    if let Some((it, priced)) = best.as_mut().zip(priced_by) {
        priced.finish(it);
    }
    best
}

/// Rules on a choice: its legs' liquidity, gamma, no collision, a size of at least one.
const RULES: u8 = 4;

fn beats(it: &Candidate<'_>, best: &Candidate<'_>) -> bool {
    let score = |it: &Candidate<'_>| it.numbers.ev_p.unwrap_or(it.numbers.ev_net);
    it.keeps > best.keeps || (it.keeps == best.keeps && score(it) > score(best))
}

/// Where an expiration's volatility at the money is over a later one's, the term structure is inverted there and the
/// later one is left out.
fn shorter_where_inverted(smiles: &mut Vec<(&Expiration<'_>, Smile<'_>)>) {
    let mut last: Option<f64> = None;
    smiles.retain(|(_, smile)| {
        let Some(vol) = smile.at_the_money() else { return true };
        if last.is_some_and(|last| last > vol) {
            return false;
        }
        last = Some(vol);
        true
    });
}

fn candidate<'a>(
    asked: &Asked<'a>,
    expiration: &Expiration<'a>,
    priced: &Priced<'_, 'a>,
    legs: Result<Vec<Picked<'a>>, Reason>,
) -> Result<Candidate<'a>, Reason> {
    let legs = legs?;
    let price = entry_price(asked, &legs, asked.set.entry.slippage)?;
    let (numbers, units) = priced.numbers(&legs, price, unit_loss(asked, &legs, price)?, None)?;
    let (dte, expiry) = (expiration.dte, expiration.expiry);
    let mut it = Candidate { legs, dte, expiry, price, units, numbers, keeps: 0 };
    let is_liquid = it.legs.iter().all(|leg| {
        let checks = liquidity::of_leg(asked, leg.row, dte, leg.delta);
        checks.iter().all(|it| !it.verdict.stops())
    });
    let is_calm = it.numbers.gamma_loss.is_some_and(|loss| loss <= asked.set.entry.gamma_loss_max);
    let is_apart = book::opposed(asked, &it) == 0;
    it.keeps = [is_liquid, is_calm, is_apart, it.units > 0].map(u8::from).iter().sum();
    Ok(it)
}

/// A structure that was chosen before, with what is quoted and known now; its legs, price and size stay.
fn again<'a>(asked: &Asked<'a>, rates: Rates, spot: f64, held: &Structure) -> Option<Candidate<'a>> {
    let first = held.legs.first()?.leg.series;
    let same = |it: &&Expiration<'a>| it.root == first.root && it.expiry == first.expiry;
    let expiration = asked.expirations.iter().find(same)?;
    let smile = expiration.smile(spot, rates);
    let carry = smile.carry();
    let leg = |it: &StructureLeg| {
        let line = smile.line(it.leg.series.strike)?;
        let right = it.leg.series.right;
        let (row, delta) = (line.row(right)?, line.delta(right, carry));
        Some(Picked { row, leg: it.leg, bid: it.bid, ask: it.ask, vol: line.vol, delta })
    };
    let legs: Vec<Picked<'a>> = held.legs.iter().map(leg).collect::<Option<_>>()?;
    let priced = Priced::of(asked, &smile, Horizon::of(asked.facts, &smile, expiration.sessions));
    let loss = unit_loss(asked, &legs, held.price).ok()?;
    let (numbers, units) = priced.numbers(&legs, held.price, loss, Some(held.units)).ok()?;
    let (dte, expiry, price) = (expiration.dte, expiration.expiry, held.price);
    let mut it = Candidate { legs, dte, expiry, price, units, numbers, keeps: RULES };
    priced.finish(&mut it);
    Some(it)
}
