//! Which contract, and why no other.

use super::*;
use crate::testing::{DAY, chain, setup};
use domain::symbol::Strike;
use domain::time::at_new_york;
use jiff::civil::time;

fn inputs(chain: &ChainSnapshot) -> SelectionInputs<'_> {
    SelectionInputs {
        chain,
        session: DAY,
        direction: Direction::Long,
        now: chain.ts,
        resolution_ns: 1,
        owned: &[],
        setup: setup(1),
        rules: SelectionRules::default(),
    }
}

fn morning() -> ChainSnapshot {
    chain(5_600.0, at_new_york(DAY, time(10, 15, 0, 0)), 0.30)
}

#[test]
fn takes_a_contract_of_the_right_in_the_delta_range_near_the_target() {
    let chain = morning();
    for direction in [Direction::Long, Direction::Short] {
        let selected = select(&SelectionInputs { direction, ..inputs(&chain) }).unwrap();
        assert_eq!(selected.row.series.right, direction.right());
        let delta = selected.model.delta.abs();
        assert!((0.38..=0.46).contains(&delta), "delta {delta}");
        assert!(selected.considered.iter().any(|it| it.reason == Refusal::Outranked));
        let of_right = chain.rows.iter().filter(|it| it.series.right == direction.right()).count();
        assert_eq!(selected.considered.len() + 1, of_right, "every candidate has a reason");
    }
}

#[test]
fn a_second_setup_takes_the_next_strike() {
    let chain = morning();
    let first = select(&inputs(&chain)).unwrap().row.series;
    let owned = [(first, Some(setup(2)))];
    let second = select(&SelectionInputs { owned: &owned, ..inputs(&chain) }).unwrap();
    assert_eq!(second.row.series.strike.0.abs_diff(first.strike.0), Strike::from_points(5).0);
    let narrow = SelectionRules { delta_min: 0.41, delta_max: 0.43, ..SelectionRules::default() };
    let only = select(&SelectionInputs { rules: narrow, ..inputs(&chain) }).unwrap().row.series;
    let owned = [(only, None)];
    let beside = select(&SelectionInputs { owned: &owned, rules: narrow, ..inputs(&chain) }).unwrap();
    assert_eq!(beside.row.series.strike.0.abs_diff(only.strike.0), Strike::from_points(5).0);
    let own = [(first, Some(setup(1)))];
    assert_eq!(select(&SelectionInputs { owned: &own, ..inputs(&chain) }).unwrap().row.series, first);
}

#[test]
fn each_way_of_finding_nothing_has_its_reason() {
    let good = morning();
    let with = |change: &dyn Fn(&mut ChainRow)| {
        let mut chain = good.clone();
        chain.rows.iter_mut().for_each(change);
        select(&inputs(&chain)).unwrap_err().reason
    };
    assert_eq!(with(&|row| row.quote.bid = None), "no_fresh_chain");
    let minute_old = good.ts.minus(Duration::from_secs(61));
    assert_eq!(with(&|row| row.quote.ts = minute_old), "no_fresh_chain");
    assert_eq!(with(&|row| row.series.root = Root::SPX), "no_series");
    assert_eq!(with(&|row| row.quote.bid = Some(Price::from_cents(50))), "spread_too_wide");
    let rules = SelectionRules { premium_min: Price::from_cents(10_000), ..SelectionRules::default() };
    assert_eq!(select(&SelectionInputs { rules, ..inputs(&good) }).unwrap_err().reason, "premium_too_low");
    let rules = SelectionRules { delta_min: 0.4201, delta_max: 0.4202, ..rules };
    let none = select(&SelectionInputs { rules, ..inputs(&good) }).unwrap_err();
    assert_eq!(none.reason, "no_contract_in_delta_range");
    let all: Vec<_> = good.rows.iter().map(|it| (it.series, None)).collect();
    assert_eq!(select(&SelectionInputs { owned: &all, ..inputs(&good) }).unwrap_err().reason, "series_owned");
}

#[test]
fn a_source_by_the_minute_is_fresh_for_its_minute_and_without_interest_still_selects() {
    let mut chain = morning();
    let old = chain.ts.minus(Duration::from_secs(90));
    for row in &mut chain.rows {
        row.quote.ts = old;
        row.open_interest = None;
        row.volume = None;
    }
    assert!(select(&inputs(&chain)).is_err());
    assert!(select(&SelectionInputs { resolution_ns: 120_000_000_000, ..inputs(&chain) }).is_ok());
}

#[test]
fn near_the_close_premiums_run_out() {
    let chain = chain(5_600.0, at_new_york(DAY, time(15, 58, 0, 0)), 0.10);
    let none = select(&inputs(&chain)).unwrap_err();
    assert!(["premium_too_low", "no_contract_in_delta_range"].contains(&none.reason), "{}", none.reason);
}
