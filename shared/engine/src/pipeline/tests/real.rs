//! Recorded chains of SPX and SPXW: what selection, liquidity and volatilities make of real quotes. The data lies beside
//! the checkout, not in it.

use std::collections::BTreeMap;
use std::io::Read as _;

use domain::chain::ChainRow;
use domain::market::{OptionQuote, Points};
use domain::money::Price;
use domain::symbol::{OccSymbol, Right, Strike, Underlying};
use domain::time::{UtcNanos, at_new_york};
use jiff::civil::{Date, time};

use super::super::chain::expirations;
use super::super::*;
use super::world::{World, before};

/// One recorded snapshot.
struct Recorded {
    source: String,
    spot: f64,
    rows: Vec<(ChainRow, Option<f64>)>,
}

/// The recorded snapshots that know their underlying; none where the data is not there.
fn recorded() -> Vec<Recorded> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/spx_chain_snapshots.csv.gz");
    let Ok(file) = std::fs::File::open(path) else {
        println!("skipped: {path} is not there");
        return Vec::new();
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let mut all: BTreeMap<String, Recorded> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let cell: Vec<&str> = line.split(',').collect();
        let number = |n: usize| cell[n].parse::<f64>().ok();
        let spot = number(21).or_else(|| Some(0.5 * (number(19)? + number(20)?)));
        let Some(spot) = spot else { continue };
        let price = |n: usize| Price::parse(cell[n]).ok().filter(|it| *it > Price::ZERO);
        let size = |n: usize| cell[n].parse().unwrap_or(0);
        let strike = (number(4).unwrap() * 1_000.0).round() as u32;
        let right = if cell[5] == "C" { Right::Call } else { Right::Put };
        let expiry: Date = cell[3].parse().unwrap();
        let series = OccSymbol { root: cell[2].parse().unwrap(), expiry, right, strike: Strike(strike) };
        let ts = UtcNanos::parse(cell[0]).unwrap();
        let quote = OptionQuote { ts, bid: price(7), ask: price(8), bid_size: size(9), ask_size: size(10) };
        let row =
            ChainRow { series, quote, open_interest: cell[13].parse().ok(), volume: cell[12].parse().ok() };
        let fresh = || Recorded { source: cell[1].to_owned(), spot, rows: Vec::new() };
        all.entry(cell[1].to_owned()).or_insert_with(fresh).rows.push((row, number(14)));
    }
    all.into_values().collect()
}

/// Interest and dividends of the year.
fn rates(it: &Recorded) -> Rates {
    match it.source.as_str() {
        it if it.contains("2019") => Rates { rate: 0.023, div: 0.019 },
        it if it.contains("2022") => Rates { rate: 0.002, div: 0.013 },
        _ => Rates { rate: 0.037, div: 0.012 },
    }
}

/// A strategy over a recorded chain as if it had been quoted at 11:00 of its day, volumes as they are.
fn world(it: &Recorded, kind: Kind) -> World {
    let quoted = it.rows[0].0.quote.ts;
    // A snapshot of a weekend is Friday's.
    let mut day = quoted.new_york_date();
    while domain::calendar::Session::of(day).unwrap().is_none() {
        day = day.yesterday().unwrap();
    }
    let mut world = World::of(kind, Underlying::SPX);
    world.now = at_new_york(day, time(11, 0, 0, 0));
    let now = world.now;
    world.rows = it.rows.iter().map(|it| it.0).collect();
    world.rows.iter_mut().for_each(|it| it.quote.ts = now);
    world.rows.sort_by_key(|it| it.series);
    world.listing.spot = it.spot;
    let facts = &mut world.facts;
    facts.rates = Some(rates(it));
    facts.spot = Some(SpotAt { value: Points::from_f64(it.spot), at: now });
    facts.path.clear();
    facts.vix.iter_mut().chain(&mut facts.vix3m).for_each(|it| it.at = now);
    facts.macros.iter_mut().for_each(|it| it.confirmed_at = now);
    facts.indicators.ema20 = Some(0.99 * it.spot);
    facts.indicators.sma50 = Some(0.995 * it.spot);
    world
}

#[test]
fn recorded_chains_give_every_structure_near_its_delta_with_liquid_legs() {
    let all = recorded();
    let mut entered = 0;
    for it in &all {
        for kind in [
            Kind::IronCondor,
            Kind::CreditPutSpread,
            Kind::CreditCallSpread,
            Kind::IronButterfly,
            Kind::Butterfly,
        ] {
            let decision = world(it, kind).decide();
            let what = format!(
                "{} {kind:?}: {:?} {:?} {:?}",
                it.source, decision.decided_by, decision.reason, decision.search
            );
            println!("{what}");
            // 27 seconds before the close nothing but the last expirations were recorded.
            let Some(structure) = &decision.structure else {
                assert!(decision.reason.is_some(), "{what}");
                continue;
            };
            entered += 1;
            for leg in &structure.legs {
                assert!((0.03..1.5).contains(&leg.vol.unwrap()), "{what}: {leg:?}");
                assert!(leg.bid > Price::ZERO && leg.bid <= leg.ask, "{what}: {leg:?}");
            }
            let numbers = decision.numbers.as_ref().unwrap();
            assert!((0.0..=1.0).contains(&numbers.p_otm) && numbers.max_loss.e4() > 0, "{what}");
            assert!(numbers.ev_p.unwrap().is_finite() && numbers.friction.e4() > 0, "{what}");
            if matches!(kind, Kind::CreditPutSpread | Kind::CreditCallSpread | Kind::IronCondor) {
                let shorts =
                    structure.legs.iter().filter(|it| it.leg.side == domain::ticket::LegSide::SellToOpen);
                for leg in shorts {
                    let delta = leg.delta.unwrap().abs();
                    assert!((0.09..0.23).contains(&delta), "{what}: {delta}");
                }
            }
            if let Some((gap, allowed)) = numbers.smile_gap {
                println!("  smile gap {gap:.2} of {allowed:.2}, ev_smile {:?}", numbers.ev_smile);
            }
        }
    }
    assert!(all.is_empty() || entered >= 8, "{entered} of {}", all.len());
}

#[test]
fn volatilities_of_recorded_quotes_are_near_the_vendors() {
    let mut compared = 0;
    let mut off: Vec<f64> = Vec::new();
    for it in recorded().iter().filter(|it| it.source.starts_with("cboe")) {
        let world = world(it, Kind::IronCondor);
        let vendor: BTreeMap<OccSymbol, f64> =
            it.rows.iter().filter_map(|(row, vol)| Some((row.series, (*vol)?))).collect();
        for expiration in expirations(&world.rows, Underlying::SPX, world.now) {
            if !(20..=60).contains(&expiration.dte) {
                continue;
            }
            let smile = expiration.smile(it.spot, rates(it));
            for line in &smile.lines {
                let near = (line.strike.points() / it.spot - 1.0).abs() < 0.1;
                let out = if line.strike.points() < smile.forward { line.put } else { line.call };
                let theirs = out.and_then(|it| vendor.get(&it.series)).filter(|it| **it > 0.0);
                if let Some((ours, theirs)) = line.vol.zip(theirs).filter(|_| near) {
                    off.push((ours - theirs).abs());
                    compared += 1;
                }
            }
        }
    }
    if compared == 0 {
        return;
    }
    off.sort_by(f64::total_cmp);
    let median = off[off.len() / 2];
    // The vendor counts time and interest in its own way: two points on volatilities of 15 to 35.
    assert!(compared > 500 && median < 0.02, "{compared}: {median}");
}

#[test]
fn recorded_quotes_that_are_old_are_stale() {
    for it in recorded().iter().take(1) {
        let mut world = world(it, Kind::IronCondor);
        let old = before(world.now, 400.0);
        world.rows.iter_mut().for_each(|it| it.quote.ts = old);
        let decision = world.decide();
        assert!(
            decision.stages.iter().any(|it| it.reason == Some(Reason::QuoteStale)),
            "{:?}",
            decision.reason
        );
    }
}
