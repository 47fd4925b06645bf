//! What is listed: expirations, strikes, option symbols.

use std::collections::{BTreeMap, BTreeSet};

use domain::symbol::{OccSymbol, Root, Strike, Underlying};
use jiff::civil::{Date, Weekday};
use serde::Serialize;

use super::super::Sandbox;
use super::super::answer::Answer;
use super::super::params::{Invalid, Params};
use super::super::shape::Under;
use super::{Several, expiration, underlying};

#[derive(Serialize)]
struct Expiration {
    date: Date,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strikes: Option<Under<Several<f64>>>,
}

#[derive(Serialize)]
struct Lookup {
    #[serde(rename = "rootSymbol")]
    root: Root,
    options: Vec<String>,
}

/// Monthly series are `standard`: those that settle in the morning, and others on the third Friday.
pub(super) fn expiration_type(series: &OccSymbol) -> &'static str {
    let day = series.expiry;
    let third = (15..=21).contains(&day.day());
    // Good Friday moves the third Friday to the Thursday before.
    let monthly = third && matches!(day.weekday(), Weekday::Friday | Weekday::Thursday);
    if series.root.as_str() == series.underlying().as_str() && monthly { "standard" } else { "weeklys" }
}

impl Sandbox {
    /// The listed series of an underlying; without `all_roots` only those of its own name.
    fn listed_series(&self, underlying: Underlying, all_roots: bool) -> impl Iterator<Item = &OccSymbol> {
        let rows = self.book.series_of(underlying, None).map(|(series, _)| series);
        rows.filter(move |it| all_roots || it.root.as_str() == underlying.as_str())
    }

    pub(super) fn expirations(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let symbol = underlying(params, "symbol")?;
        let all_roots = params.flag("includeAllRoots")?;
        let (strikes, size) = (params.flag("strikes")?, params.flag("contractSize")?);
        let kind = params.flag("expirationType")?;
        if !(strikes || size || kind) {
            let dates: BTreeSet<Date> = self.listed_series(symbol, all_roots).map(|it| it.expiry).collect();
            let dates = Several::some(dates.into_iter().collect()).map(|it| Under("date", it));
            return Ok(Answer::json(&Under("expirations", dates)));
        }
        let mut of_date: BTreeMap<Date, (&'static str, BTreeSet<Strike>)> = BTreeMap::new();
        for series in self.listed_series(symbol, all_roots) {
            let row = of_date.entry(series.expiry).or_insert((expiration_type(series), BTreeSet::new()));
            row.1.insert(series.strike);
        }
        let row = |(date, (named, levels)): (Date, (&'static str, BTreeSet<Strike>))| Expiration {
            date,
            contract_size: size.then_some(100),
            expiration_type: kind.then_some(named),
            strikes: strikes
                .then(|| Under("strike", Several(levels.into_iter().map(Strike::points).collect()))),
        };
        let rows = Several::some(of_date.into_iter().map(row).collect()).map(|it| Under("expiration", it));
        Ok(Answer::json(&Under("expirations", rows)))
    }

    pub(super) fn strikes(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let (symbol, date) = (underlying(params, "symbol")?, expiration(params)?);
        params.flag("includeAllRoots")?;
        let listed = self.book.series_of(symbol, Some(date));
        let strikes: BTreeSet<Strike> = listed.map(|(series, _)| series.strike).collect();
        let strikes = Several::some(strikes.into_iter().map(Strike::points).collect());
        Ok(Answer::json(&Under("strikes", strikes.map(|it| Under("strike", it)))))
    }

    pub(super) fn lookup(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let symbol = underlying(params, "underlying")?;
        let mut of_root: BTreeMap<Root, Vec<String>> = BTreeMap::new();
        for (series, _) in self.book.series_of(symbol, None) {
            of_root.entry(series.root).or_default().push(series.to_string());
        }
        let rows: Vec<Lookup> = of_root.into_iter().map(|(root, options)| Lookup { root, options }).collect();
        Ok(Answer::json(&Under("symbols", if rows.is_empty() { None } else { Some(rows) })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_the_third_friday_are_standard_and_all_others_weeklys() {
        for (series, named) in [
            ("SPX261120C05600000", "standard"),
            ("SPXW261120C05600000", "weeklys"),
            ("SPY261120C00560000", "standard"),
            ("SPY261127C00560000", "weeklys"),
        ] {
            assert_eq!(expiration_type(&series.parse().unwrap()), named, "{series}");
        }
    }
}
