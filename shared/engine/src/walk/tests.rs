//! Walks, rung by rung.

use super::*;
use domain::ids::AttemptNo;
use domain::order::AttemptState;
use proptest::prelude::*;

const START: UtcNanos = UtcNanos::from_secs(1_000);

fn at(seconds: u64) -> UtcNanos {
    START.plus(Duration::from_secs(seconds))
}

fn quote(bid: u32, ask: u32) -> OptionQuote {
    let price = |cents: u32| (cents > 0).then(|| Price::from_cents(cents));
    OptionQuote { ts: START, bid: price(bid), ask: price(ask), bid_size: 10, ask_size: 10 }
}

fn terms(plan: Plan, worst: Option<u32>) -> Terms {
    let bound = worst.map(Price::from_cents);
    Terms { plan, grid: TickGrid::FIVE_TEN, bound, started_at: START, until: at(3_600) }
}

fn attempt(price: Price, rung: u16, repriced_at: UtcNanos) -> Attempt {
    Attempt {
        no: AttemptNo::FIRST,
        state: AttemptState::Working,
        broker_order: None,
        side: Side::Buy,
        quantity: 1,
        price,
        rung,
        executed: 0,
        average: None,
        marked_at: START,
        repriced_at,
        cancel_at: None,
        reason: None,
        combo: None,
        trace: Default::default(),
    }
}

/// Walks on one standing quote and gives each rung's second and cents, at most `limit` of them.
fn ladder(terms: &Terms, quote: &OptionQuote, limit: usize) -> (Vec<(i64, u32)>, Option<StopReason>) {
    let mut rungs = Vec::new();
    let mut now = START;
    let mut step = first(terms, Some(quote), now);
    loop {
        match step {
            Next::Stop(reason) => return (rungs, Some(reason)),
            Next::Rung(_) if rungs.len() == limit => return (rungs, None),
            Next::Rung(it) => {
                rungs.push(((now.secs() - START.secs()), it.price.cents()));
                let last = attempt(it.price, it.rung, now);
                now = it.due;
                step = next(terms, &last, Some(quote), now);
            }
        }
    }
}

#[test]
fn an_entry_starts_under_mid_climbs_a_tick_each_three_seconds_and_times_out_after_twenty() {
    let (rungs, end) = ladder(&terms(Plan::Entry, Some(260)), &quote(200, 255), 100);
    let expected = [(0, 225), (3, 230), (6, 235), (9, 240), (12, 245), (15, 250), (18, 255)];
    assert_eq!((rungs.as_slice(), end), (expected.as_slice(), Some(StopReason::TimedOut)));
}

#[test]
fn an_entry_never_goes_beyond_its_worst_price() {
    let (rungs, _) = ladder(&terms(Plan::Entry, Some(235)), &quote(200, 255), 100);
    assert_eq!(rungs.iter().map(|it| it.1).max(), Some(235));
    let (rungs, _) = ladder(&terms(Plan::Entry, Some(215)), &quote(200, 255), 100);
    assert!(rungs.iter().all(|it| it.1 == 215), "mid itself is beyond the bound: {rungs:?}");
}

#[test]
fn a_target_starts_over_mid_and_is_at_the_bid_after_ten_seconds_until_it_fills() {
    let (rungs, end) = ladder(&terms(Plan::Target, None), &quote(400, 520), 8);
    let expected = [(0, 460), (2, 450), (4, 440), (6, 430), (8, 420), (10, 400), (12, 400), (14, 400)];
    assert_eq!((rungs.as_slice(), end), (expected.as_slice(), None));
}

#[test]
fn a_stop_takes_the_bid_and_digs_under_it_without_an_end() {
    let (rungs, end) = ladder(&terms(Plan::Urgent, None), &quote(320, 340), 8);
    let expected = [(0, 320), (2, 310), (4, 300), (6, 290), (8, 270), (10, 230), (12, 150), (14, 5)];
    assert_eq!((rungs.as_slice(), end), (expected.as_slice(), None));
}

#[test]
fn nobody_bids_a_close_is_offered_at_one_tick_and_an_entry_does_not_start() {
    for plan in [Plan::Target, Plan::Urgent] {
        for quote in [None, Some(quote(0, 5)), Some(quote(0, 0))] {
            let step = first(&terms(plan, None), quote.as_ref(), START);
            assert!(matches!(step, Next::Rung(Rung { price, .. }) if price.cents() == 5), "{plan:?}");
        }
    }
    let step = first(&terms(Plan::Entry, Some(200)), Some(&quote(0, 5)), START);
    assert_eq!(step, Next::Stop(StopReason::NoQuote));
}

#[test]
fn a_working_entry_whose_quote_went_away_stays_where_it_is() {
    let last = attempt(Price::from_cents(230), 1, at(3));
    let step = next(&terms(Plan::Entry, Some(260)), &last, None, at(6));
    assert_eq!(step, Next::Rung(Rung { price: Price::from_cents(230), rung: 2, due: at(9) }));
}

#[test]
fn a_step_that_comes_early_changes_nothing() {
    let last = attempt(Price::from_cents(230), 1, at(3));
    let step = next(&terms(Plan::Entry, Some(260)), &last, Some(&quote(240, 260)), at(4));
    assert_eq!(step, Next::Rung(Rung { price: Price::from_cents(230), rung: 1, due: at(6) }));
}

#[test]
fn walks_end_with_the_entry_hours_and_with_the_last_trade() {
    let ends = |plan| Terms { until: at(5), ..terms(plan, Some(300)) };
    let quote = quote(200, 210);
    assert_eq!(first(&ends(Plan::Entry), Some(&quote), at(5)), Next::Stop(StopReason::EntryHours));
    assert_eq!(first(&ends(Plan::Urgent), Some(&quote), at(5)), Next::Stop(StopReason::LastTrade));
}

#[test]
fn an_entry_is_abandoned_when_the_index_ran_away_or_most_of_the_way_is_gone() {
    let long = SetupLevels {
        zone_low: Points::whole(5_600),
        zone_high: Points::whole(5_602),
        stop: Points::whole(5_593),
        t1: Points::whole(5_609),
        t2: Points::whole(5_617),
        r_index: Points::whole(8),
    };
    let asked = |spot: f64| abandon(Direction::Long, &long, Some(Points::from_f64(spot)));
    assert_eq!((asked(5_601.0), asked(5_604.0)), (None, None));
    assert_eq!(asked(5_604.01), Some(StopReason::BeyondZone));
    let near = SetupLevels { zone_high: Points::whole(5_606), ..long };
    let spot = Some(Points::from_f64(5_605.5));
    assert_eq!(abandon(Direction::Long, &near, spot), Some(StopReason::NearTarget));
    let short = SetupLevels {
        zone_low: Points::whole(5_598),
        zone_high: Points::whole(5_600),
        t1: Points::whole(5_591),
        ..long
    };
    let asked = |spot: f64| abandon(Direction::Short, &short, Some(Points::from_f64(spot)));
    assert_eq!((asked(5_599.0), asked(5_595.99)), (None, Some(StopReason::BeyondZone)));
    assert_eq!(abandon(Direction::Long, &long, None), None);
}

/// A row of the table of plans: its actions, and the seconds and cents of its rungs on a quote of 4.00 at 5.20.
struct Row {
    actions: &'static [Action],
    worst: Option<u32>,
    rungs: &'static [(i64, u32)],
    end: Option<StopReason>,
}

#[test]
fn each_row_of_the_table_of_plans_is_walked_as_it_says() {
    use Action as A;
    for row in [
        Row {
            actions: &[A::Enter],
            worst: Some(530),
            rungs: &[(0, 460), (3, 470), (6, 480), (9, 490), (12, 500), (15, 510), (18, 520)],
            end: Some(StopReason::TimedOut),
        },
        Row {
            actions: &[A::TakeProfit1, A::TakeProfit2],
            worst: None,
            rungs: &[(0, 460), (2, 450), (4, 440), (6, 430), (8, 420), (10, 400), (12, 400)],
            end: None,
        },
        Row {
            actions: &[A::Stop, A::Terminal, A::Flatten],
            worst: None,
            rungs: &[(0, 400), (2, 390), (4, 380), (6, 360), (8, 320), (10, 270), (12, 190)],
            end: None,
        },
    ] {
        for action in row.actions {
            let terms = terms(Plan::for_action(*action), row.worst);
            let (rungs, end) = ladder(&terms, &quote(400, 520), row.rungs.len());
            let end = if row.end.is_some() { ladder(&terms, &quote(400, 520), 100).1 } else { end };
            assert_eq!((rungs.as_slice(), end), (row.rungs, row.end), "{action:?}");
        }
    }
}

#[test]
fn no_order_is_replaced_faster_than_every_two_seconds_however_often_it_is_looked_at() {
    for plan in [Plan::Entry, Plan::Target, Plan::Urgent] {
        let terms = terms(plan, (plan == Plan::Entry).then_some(900));
        let Next::Rung(rung) = first(&terms, Some(&quote(400, 900)), START) else { panic!() };
        let mut last = attempt(rung.price, rung.rung, START);
        for tenth in 1..190u64 {
            let now = START.plus(Duration::from_millis(100 * tenth));
            // The market runs away from it with every look.
            let bid = 400 - u32::try_from(tenth).unwrap();
            let Next::Rung(rung) = next(&terms, &last, Some(&quote(bid, 900)), now) else { continue };
            if rung.price != last.price {
                assert!(
                    now.since(last.repriced_at) >= Duration::from_secs(2),
                    "{plan:?} after {tenth} tenths"
                );
                last = attempt(rung.price, rung.rung, now);
            }
        }
    }
}

proptest! {
    #[test]
    fn prop_every_rung_is_on_grid_within_bound_and_no_less_aggressive(
        plan in prop_oneof![Just(Plan::Entry), Just(Plan::Target), Just(Plan::Urgent)],
        worst in 1u32..200, quotes in prop::collection::vec((0u32..2_000, 0u32..300), 1..40),
    ) {
        let grid = TickGrid::FIVE_TEN;
        let worst = grid.floor(Price::from_cents(worst * 5)).max(grid.one_tick());
        let bound = (plan == Plan::Entry).then_some(worst);
        let terms = Terms { plan, grid, bound, started_at: START, until: at(3_600) };
        let (mut now, mut last, mut steps) = (START, None::<Attempt>, 0);
        for (bid, width) in quotes {
            let quote = quote(bid, if width > 0 { bid + width } else { 0 });
            let step = match &last {
                None => first(&terms, Some(&quote), now),
                Some(it) => next(&terms, it, Some(&quote), now),
            };
            let Next::Rung(rung) = step else {
                prop_assert!(plan == Plan::Entry, "closes never stop here");
                break;
            };
            prop_assert!(grid.holds(rung.price) && rung.price > Price::ZERO && rung.due > now);
            prop_assert!(bound.is_none_or(|worst| rung.price <= worst));
            if let Some(before) = &last {
                let holds = match plan.side() {
                    Side::Buy => rung.price >= before.price,
                    Side::Sell => rung.price <= before.price,
                };
                prop_assert!(holds, "{:?} after {:?}", rung, before);
            }
            last = Some(attempt(rung.price, rung.rung, now));
            now = rung.due;
            steps += 1;
        }
        prop_assert!(plan != Plan::Entry || steps <= 7, "an entry ends after its window, took {} rungs", steps);
    }
}

#[test]
fn no_plan_replaces_an_order_within_two_seconds() {
    for action in Action::ALL {
        assert!(Plan::for_action(action).pace() >= Duration::from_secs(2), "{action:?}");
    }
}
