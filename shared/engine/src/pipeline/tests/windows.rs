//! Stage B: macro windows.

use domain::time::at_new_york;
use jiff::civil::{date, time};

use super::super::*;
use super::stages::{at, event};
use super::world::{DAY, PASS, World, before, blocked, unknown};
use crate::macros::{MacroEvent, MacroKind};

#[test]
fn b_no_entries_inside_a_macro_window() {
    let open = PASS;
    let shut = blocked(Reason::MacroWindow);
    for (name, (hour, minute), cases) in [
        // 8:30 releases: no entries before 09:45.
        ("CPI", (8, 30), vec![((9, 30, 0), shut), ((9, 44, 59), shut), ((9, 45, 0), open)]),
        // 10:00 releases: five minutes before to ten after.
        (
            "ISM",
            (10, 0),
            vec![((9, 54, 59), open), ((9, 55, 0), shut), ((10, 9, 59), shut), ((10, 10, 0), open)],
        ),
        ("JOLTS", (10, 0), vec![((9, 54, 59), open), ((9, 55, 0), shut), ((10, 10, 0), open)]),
        ("SENTIMENT", (10, 0), vec![((9, 55, 0), shut), ((10, 10, 0), open)]),
        // 13:00 auctions: five minutes to either side.
        (
            "AUCTION",
            (13, 0),
            vec![((12, 54, 59), open), ((12, 55, 0), shut), ((13, 4, 59), shut), ((13, 5, 0), open)],
        ),
        // FOMC days: no entries 13:30 to 15:00.
        (
            "FOMC",
            (14, 0),
            vec![((13, 29, 59), open), ((13, 30, 0), shut), ((14, 59, 59), shut), ((15, 0, 0), open)],
        ),
        // Minutes: five minutes before to fifteen after.
        (
            "FOMC_MINUTES",
            (14, 0),
            vec![((13, 54, 59), open), ((13, 55, 0), shut), ((14, 14, 59), shut), ((14, 15, 0), open)],
        ),
    ] {
        for ((h, m, s), expected) in cases {
            let mut world = at(World::condor(), DAY, h, m, s);
            world.facts.macros.as_mut().unwrap().events = vec![event(name, DAY, hour, minute)];
            assert_eq!(world.asked(Stage::B), expected, "{name} at {h}:{m}:{s}");
            // Another day's event is nobody's.
            world.facts.macros.as_mut().unwrap().events = vec![event(name, date(2026, 11, 19), hour, minute)];
            assert_eq!(world.asked(Stage::B), open, "{name} of the day before");
        }
    }
}

#[test]
fn b_the_calendar_is_editable_and_an_event_may_bring_its_own_window() {
    let mut world = at(World::condor(), DAY, 11, 58, 0);
    let kind = MacroKind::Other { before: 2, after: 1 };
    let noon = at_new_york(DAY, time(12, 0, 0, 0));
    world.facts.macros.as_mut().unwrap().events = vec![MacroEvent { kind, at: noon }];
    assert_eq!(world.asked(Stage::B), blocked(Reason::MacroWindow));
    assert_eq!(at(world, DAY, 12, 1, 0).asked(Stage::B), PASS);
}

#[test]
fn b_windows_that_touch_are_left_together() {
    let mut world = at(World::condor(), DAY, 12, 58, 0);
    let kind = MacroKind::Other { before: 0, after: 20 };
    let speech = MacroEvent { kind, at: at_new_york(DAY, time(13, 5, 0, 0)) };
    world.facts.macros.as_mut().unwrap().events = vec![event("AUCTION", DAY, 13, 0), speech];
    let calendar = world.facts.macros.clone().unwrap();
    let (from, to) = calendar.open_window(world.now).unwrap();
    assert_eq!((from.new_york().time(), to.new_york().time()), (time(12, 55, 0, 0), time(13, 25, 0, 0)));
    // Three minutes back is nearer than twenty-seven on.
    let read = world.decide().stage(Stage::B).unwrap().checks[1].margin.unwrap();
    assert!((read + 180.0).abs() < 1e-6, "{read}");
}

#[test]
fn b_a_calendar_that_is_missing_or_a_day_old_closes_the_gate() {
    let world = World::condor().with(|it| it.facts.macros = None);
    assert_eq!(world.asked(Stage::B), unknown(Reason::MacroMissing));
    let old =
        World::condor().with(|it| it.facts.macros.as_mut().unwrap().confirmed_at = before(it.now, 86_401.0));
    assert_eq!(old.asked(Stage::B), blocked(Reason::MacroStale));
}

#[test]
fn b_short_0dte_is_closed_by_1350_on_days_of_the_fomc() {
    let calendar =
        MacroSchedule { confirmed_at: World::condor().now, events: vec![event("FOMC", DAY, 14, 0)] };
    assert!(calendar.is_fomc_day(DAY) && !calendar.is_fomc_day(date(2026, 11, 19)));
    assert_eq!(FOMC_SHORTS_CLOSED_BY, time(13, 50, 0, 0));
}

#[test]
fn b_every_event_of_the_given_calendar_has_its_window() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/econ_events.csv");
    let Ok(table) = std::fs::read_to_string(path) else {
        println!("skipped: {path} is not there");
        return;
    };
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let kind = MacroKind::named(cells[1]).unwrap_or_else(|| panic!("{line}"));
        let at = domain::time::UtcNanos::parse(cells[3]).unwrap();
        let (from, to) = MacroEvent { kind, at }.window();
        assert!(from <= at && at < to, "{line}");
        rows += 1;
    }
    assert_eq!(rows, 118);
}
