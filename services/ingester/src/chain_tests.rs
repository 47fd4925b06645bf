//! Gamma of recorded chains, against a sum written out and against the vendor's own figures.

use domain::calendar::Session;
use domain::market::{ListedSeries, OptionQuote, Points, SourceProfile};
use domain::money::Price;
use domain::symbol::{OccSymbol, Right, Root, Strike, Underlying};
use domain::time::UtcNanos;
use engine::context::{GammaProfile, GammaReading, OiSource, OptionBook};
use engine::pricing::{Inputs, greeks};

/// A chain as somebody recorded it.
struct Recorded {
    reading: GammaReading,
    /// The vendor's gamma by series, where it has one.
    vendor: Vec<(OccSymbol, f64, f64)>,
}

/// The chain of one source of the table, where that lies beside the checkout.
fn recorded(source: &str, spot: Option<f64>) -> Option<Recorded> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/spx_chain_snapshots.csv.gz");
    let Ok(file) = std::fs::File::open(path) else {
        println!("skipped: {path} is not there");
        return None;
    };
    let mut table = csv::Reader::from_reader(flate2::read::MultiGzDecoder::new(file));
    let header = table.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|it| it == name).unwrap();
    let rows: Vec<csv::StringRecord> =
        table.records().map(Result::unwrap).filter(|it| &it[at("source")] == source).collect();
    let now = UtcNanos::parse(&rows[0][at("ts_snapshot")]).unwrap();
    let spot = spot.unwrap_or_else(|| rows[0][at("underlying_price")].parse().unwrap());
    let number = |row: &csv::StringRecord, name: &str| row[at(name)].parse::<f64>().ok();
    let (mut listed, mut quotes, mut vendor) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        let series = OccSymbol {
            root: if &row[at("root")] == "SPX" { Root::SPX } else { Root::SPXW },
            expiry: row[at("expiry")].parse().unwrap(),
            right: if &row[at("right")] == "C" { Right::Call } else { Right::Put },
            strike: Strike((number(row, "strike").unwrap() * 1_000.0).round() as u32),
        };
        let side =
            |name| row[at(name)].parse::<f64>().ok().map(|it| Price::from_cents((it * 100.0).round() as u32));
        let quote = OptionQuote { ts: now, bid: side("bid"), ask: side("ask"), bid_size: 1, ask_size: 1 };
        quotes.push((series, quote));
        let open_interest = number(row, "open_interest").map(|it| it as u32);
        listed.push(ListedSeries { series, open_interest });
        vendor.extend(number(row, "gamma").zip(number(row, "delta")).map(|(g, d)| (series, g, d)));
    }
    let source = SourceProfile {
        name: source.to_owned(),
        index: Underlying::SPX,
        index_note: None,
        proxy: None,
        resolution_ns: 1,
        contiguous_sequence: false,
        session: Session::of(now.new_york_date()).unwrap().unwrap(),
        prior_day: None,
        series: listed,
    };
    let mut book = OptionBook::new(&source);
    quotes.iter().for_each(|(series, quote)| book.quote(series, quote));
    Some(Recorded { reading: GammaReading::of(&book, Points::from_f64(spot), now), vendor })
}

/// The total at a spot, with the pricing library's gamma.
fn total(profile: &GammaProfile, spot: f64) -> f64 {
    let one = |it: &engine::context::GammaRow| {
        let inputs = Inputs {
            spot,
            strike: it.series.strike.points(),
            years: it.years,
            rate: it.carry,
            div: 0.0,
            vol: it.vol,
        };
        let contracts = it.series.right.sign() * f64::from(it.open_interest.unwrap_or(0));
        greeks(it.series.right, &inputs).gamma * contracts * 100.0 * spot * spot * 0.01
    };
    profile.rows.iter().map(one).sum()
}

#[test]
fn gamma_walls_and_flip_of_a_recorded_chain_agree_with_sums_written_out() {
    let Some(Recorded { reading, .. }) = recorded("volkit-2019", Some(2_918.11)) else { return };
    assert!(
        reading.zero_dte.rows.len() >= 50 && reading.all.rows.len() > 5_000,
        "{}",
        reading.all.rows.len()
    );
    for (what, it) in [("today", &reading.zero_dte), ("all", &reading.all)] {
        assert_eq!(it.source, OiSource::OiBaseline);
        let sum: f64 = it.strikes.iter().filter_map(engine::context::StrikeGamma::naive).sum();
        let expected = total(it, 2_918.11);
        assert!((sum - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{what}: {sum} against {expected}");
        let most = |of: fn(&engine::context::StrikeGamma) -> Option<f64>| {
            let by = |it: &&engine::context::StrikeGamma| of(it).unwrap_or(0.0);
            it.strikes.iter().max_by(|a, b| by(a).total_cmp(&by(b))).map(|it| it.strike)
        };
        assert_eq!(it.call_wall, most(|it| it.calls));
        assert_eq!(it.put_wall, most(|it| it.puts.map(|it| -it)));
        // Outwards from spot by a hundredth of a percent, as far as the grid goes.
        let is_up = total(it, 2_918.11) > 0.0;
        let turned = |n: i32| (total(it, 2_918.11 * (1.0 + 0.0001 * f64::from(n))) > 0.0) != is_up;
        let nearest = (1..=300).flat_map(|n| [n, -n]).find(|n| turned(*n));
        let reference = nearest.map(|n| 2_918.11 * (1.0 + 0.0001 * f64::from(n)));
        println!("{what}: {} series, flip {:?}, written out {reference:?}", it.rows.len(), it.flip);
        match (it.flip, reference) {
            (Some(flip), Some(reference)) => assert!((flip.to_f64() - reference).abs() < 1.5, "{what}"),
            (flip, reference) => assert_eq!((flip, reference), (None, None), "{what}"),
        }
    }
}

#[test]
fn gamma_of_a_recorded_chain_is_the_vendors() {
    let Some(Recorded { reading, vendor }) = recorded("chandan-2026-07-23", None) else { return };
    // The vendor rounds to three decimals: a gamma is its where both round alike, or all but.
    let (mut alike, mut all) = (0, 0);
    for (series, gamma, delta) in &vendor {
        let row = reading.all.rows.iter().find(|it| it.series == *series);
        let Some(row) = row.filter(|_| (0.2..=0.8).contains(&delta.abs())) else { continue };
        all += 1;
        alike += u32::from((row.gamma - gamma).abs() <= 0.0006);
    }
    println!("{alike} of {all} series");
    assert!(all > 1_000 && f64::from(alike) >= 0.97 * f64::from(all), "{alike} of {all}");
}
