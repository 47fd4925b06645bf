//! Where a disaster order rests, and for how many contracts.

use super::*;
use crate::testing::{long_levels, opening, owned, selected, view};
use domain::intent::IntentState;
use domain::order::AttemptState;
use proptest::prelude::*;

const GRID: TickGrid = TickGrid::FIVE_TEN;

fn standing<'a>(quote: &'a OptionQuote, levels: &'a SetupLevels) -> Standing<'a> {
    let series = selected().row.series;
    let spot = Points::whole(5_600);
    Standing { series, quote, spot, direction: Direction::Long, levels, now: quote.ts }
}

#[test]
fn a_disaster_stop_is_the_modelled_value_half_an_r_beyond_the_stop_less_half_the_spread_on_tick() {
    let (chosen, levels) = (selected(), long_levels());
    let terms = prices(&standing(&chosen.row.quote, &levels)).unwrap();
    // 5584 less half of 16 points.
    let value = chosen.model.value(5_576.0, chosen.row.quote.ts) - 0.10;
    let stop = terms.stop();
    assert!(
        GRID.holds(stop) && stop.to_f64() <= value && value < GRID.up(stop).to_f64(),
        "{stop} for {value}"
    );
    assert!(stop < chosen.bid);
    let by_ticks = GRID.step_by(stop, -5);
    let by_part = Price::from_model(stop.to_f64() * 0.6, Side::Buy, GRID).unwrap();
    assert_eq!(terms.limit(), by_ticks.min(by_part));
}

#[test]
fn a_disaster_stop_stays_under_the_bid_when_the_index_is_through_the_level_already() {
    let chosen = selected();
    let levels = SetupLevels { stop: Points::whole(5_650), ..long_levels() };
    let terms = prices(&standing(&chosen.row.quote, &levels)).unwrap();
    assert_eq!(terms.stop(), GRID.down(chosen.bid));
}

#[test]
fn a_disaster_limit_is_five_ticks_or_two_fifths_under_its_stop_and_at_least_a_nickel() {
    for (bid, far, stop, limit) in [(900, 5_300, 5, 5), (30, 5_300, 5, 5), (10, 5_300, 5, 5)] {
        let levels = SetupLevels { stop: Points::whole(far), ..long_levels() };
        let chosen = selected();
        let ask = GRID.step_by(Price::from_cents(bid), 2);
        let quote = OptionQuote { bid: Some(Price::from_cents(bid)), ask: Some(ask), ..chosen.row.quote };
        let terms = prices(&standing(&quote, &levels)).unwrap();
        assert_eq!((terms.stop().cents(), terms.limit().cents()), (stop, limit), "bid {bid}");
    }
}

#[test]
fn without_a_quote_of_two_sides_or_room_under_the_bid_nothing_rests() {
    let (chosen, levels) = (selected(), long_levels());
    for (bid, ask) in [(None, Some(920)), (Some(900), None), (Some(5), Some(10))] {
        let side = |it: Option<u32>| it.map(Price::from_cents);
        let quote = OptionQuote { bid: side(bid), ask: side(ask), ..chosen.row.quote };
        assert_eq!(prices(&standing(&quote, &levels)), None, "{bid:?} {ask:?}");
    }
}

#[test]
fn a_put_is_protected_above_the_stop_and_a_tightened_order_triggers_sooner() {
    let chosen = selected();
    let levels = SetupLevels { stop: Points::whole(5_616), ..long_levels() };
    let put = domain::symbol::OccSymbol {
        right: domain::symbol::Right::Put,
        strike: domain::symbol::Strike::from_points(5_595),
        ..chosen.row.series
    };
    let short = Standing { series: put, direction: Direction::Short, ..standing(&chosen.row.quote, &levels) };
    let model = Model::fit(put, 5_600.0, 9.10, chosen.row.quote.ts).unwrap();
    let (rests, tight) = (prices(&short).unwrap(), tightened(&short).unwrap());
    assert!(rests.stop().to_f64() <= model.value(5_624.0, chosen.row.quote.ts) - 0.10);
    assert!(rests.stop() < tight.stop() && tight.stop() < chosen.bid, "{rests:?} {tight:?}");
}

#[test]
fn the_two_tranches_are_what_t1_closes_and_what_it_leaves() {
    for (bought, bp, t1, runner) in [(5, 5_000, 3, 2), (1, 5_000, 1, 0), (4, 9_999, 3, 1), (2, 1, 1, 1)] {
        let chosen = selected();
        let entry = opening(&chosen, GRID.up(chosen.ask), bought);
        let filled = view(
            OrderIntent::Opening(entry.clone()),
            IntentState::Done,
            AttemptState::Filled,
            bought,
            bought,
        );
        let of = |sold_of_t1: u32, sold: u32| {
            let closings = intents(&entry, bp, entry.head.decided_at).map(|it| match it.intent {
                OrderIntent::Closing(it) => it,
                OrderIntent::Opening(_) | OrderIntent::OpeningCombo(_) | OrderIntent::ClosingCombo(_) => {
                    panic!("a protection that opens, or of a structure")
                }
            });
            closings.map(|it| left(&it, &owned(&filled, bought, sold), sold_of_t1))
        };
        assert_eq!(of(0, 0), [t1, runner], "{bought} bought");
        assert_eq!(of(t1, t1), [0, runner], "T1's share is sold");
        assert_eq!(of(0, bought), [0, 0], "everything is sold");
    }
}

#[test]
fn t1_leaves_the_runners_disaster_order_and_every_other_close_ends_both() {
    use Action as A;
    let closes = [A::TakeProfit1, A::TakeProfit2, A::Stop, A::Terminal, A::Flatten];
    let ended_by = |protection| closes.map(|close| makes_way(protection, close));
    assert_eq!(ended_by(A::ProtectT1), [true; 5]);
    assert_eq!(ended_by(A::ProtectRunner), [false, true, true, true, true]);
    assert!(!closes.iter().any(|close| makes_way(*close, A::Stop)), "a close is no protection");
}

proptest! {
    #[test]
    fn prop_a_disaster_order_is_on_tick_under_the_bid_with_its_limit_under_its_stop(
        bid in 2u32..400, width in 1i32..20, stop in 5_400i64..5_650, spot in 5_560i64..5_640,
    ) {
        let chosen = selected();
        let bid = GRID.floor(Price::from_cents(bid * 5)).max(Price::from_cents(10));
        let quote = OptionQuote { bid: Some(bid), ask: Some(GRID.step_by(bid, width)), ..chosen.row.quote };
        let levels = SetupLevels { stop: Points::whole(stop), ..long_levels() };
        let at = Standing { spot: Points::whole(spot), ..standing(&quote, &levels) };
        for terms in [prices(&at), tightened(&at)].into_iter().flatten() {
            prop_assert!(GRID.holds(terms.stop()) && GRID.holds(terms.limit()));
            prop_assert!(terms.stop() < bid && terms.limit() <= terms.stop());
            prop_assert!(terms.limit() >= Price::from_cents(5));
            prop_assert!(terms.limit() <= GRID.step_by(terms.stop(), -5).max(Price::from_cents(5)));
        }
    }
}
