//! Stage G and the numbers.

use domain::money::Usd;
use domain::symbol::Underlying;
use domain::ticket::LegSide;
use jiff::civil::{Date, date};

use super::super::*;
use super::world::{DAY, PASS, World, blocked, returns, skipped, unknown};
use crate::pricing::density::{Density, blocks};
use crate::pricing::payoff::{Leg, Payoff};
use crate::pricing::{Inputs, normal_cdf, p_touch, settlement_instant, years_between};

fn near(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance, "{a} is not {b}");
}

/// The decision of a world that enters, with its structure and figures.
fn entered(world: &World) -> (Structure, Numbers) {
    let it = world.decide();
    (it.structure.unwrap(), it.numbers.unwrap())
}

/// What options of the structure are priced from.
fn inputs(world: &World, it: &Structure, numbers: &Numbers, vol: f64) -> Inputs {
    let instant = settlement_instant(&it.legs[0].leg.series).unwrap();
    let years = years_between(world.now, instant);
    let (spot, rates) = (numbers.spot, super::world::RATES);
    assert!((spot / world.listing.spot - 1.0).abs() < 1e-4, "{spot}");
    Inputs { spot, strike: spot, years, rate: rates.rate, div: rates.div, vol }
}

fn payoff(it: &Structure, numbers: &Numbers) -> Payoff {
    let legs: Vec<Leg> = it
        .legs
        .iter()
        .map(|leg| {
            let sign = if leg.leg.side == LegSide::SellToOpen { -1.0 } else { 1.0 };
            let held = sign * f64::from(leg.leg.ratio * it.units) * 100.0;
            Leg { right: leg.leg.series.right, strike: leg.leg.series.strike.points(), held }
        })
        .collect();
    Payoff::of(&legs, 0.0, (numbers.premium - numbers.friction).to_f64()).unwrap()
}

#[test]
fn max_profit_is_the_credit_after_slippage_and_max_loss_the_width_less_it_times_quantity_times_100() {
    let world = World::condor().with(|it| it.settings.size = Size::Fixed(3));
    let (it, numbers) = entered(&world);
    let mid: f64 = it
        .legs
        .iter()
        .map(|leg| {
            let sign = if leg.leg.side == LegSide::SellToOpen { 1.0 } else { -1.0 };
            sign * leg.bid.mid(leg.ask)
        })
        .sum();
    let half: f64 = it.legs.iter().map(|leg| 0.5 * (leg.ask.to_f64() - leg.bid.to_f64())).sum();
    let credit = -it.price.usd().to_f64();
    // After slippage, and down to the grid of 0.05.
    assert!(
        credit <= mid - 0.5 * half + 1e-9 && credit > mid - 0.5 * half - 0.05,
        "{credit} of {mid} less {half}"
    );
    assert_eq!(it.price.cents() % 5, 0);
    let strikes: Vec<f64> = it.legs.iter().map(|it| it.leg.series.strike.points()).collect();
    // Unbalanced wings: the wider side counts.
    let width = (strikes[1] - strikes[0]).max(strikes[3] - strikes[2]);
    near(numbers.max_profit.to_f64(), credit * 300.0, 1e-6);
    near(numbers.max_loss.to_f64(), (width - credit) * 300.0, 1e-6);
}

#[test]
fn a_butterflys_max_loss_is_its_debit_and_its_max_profit_the_width_less_it() {
    let world = World::of(Kind::Butterfly, Underlying::SPY).with(|it| it.settings.size = Size::Fixed(2));
    let (it, numbers) = entered(&world);
    let debit = it.price.usd().to_f64();
    let width = it.legs[1].leg.series.strike.points() - it.legs[0].leg.series.strike.points();
    near(numbers.max_loss.to_f64(), debit * 200.0, 1e-6);
    near(numbers.max_profit.to_f64(), (width - debit) * 200.0, 1e-6);
    assert_eq!(numbers.premium, -numbers.max_loss);
}

#[test]
fn pop_is_the_probability_that_all_shorts_expire_out_of_the_money_lognormal() {
    let (it, numbers) = entered(&World::condor());
    let base = inputs(&World::condor(), &it, &numbers, numbers.vol.unwrap());
    let d2 = |strike: f64| {
        let sd = base.deviation();
        ((base.spot / strike).ln() + (base.rate - base.div) * base.years) / sd - 0.5 * sd
    };
    let [put, call] = [1, 2].map(|n: usize| it.legs[n].leg.series.strike.points());
    near(numbers.p_otm, normal_cdf(d2(put)) - normal_cdf(d2(call)), 1e-12);
    near(numbers.expected_move.unwrap(), base.spot * base.vol * base.years.sqrt(), 1e-9);
    let touch = [put, call].map(|strike| p_touch(&Inputs { strike, ..base }).unwrap());
    near(numbers.p_touch.unwrap(), touch[0].max(touch[1]), 1e-12);
}

#[test]
fn ev_net_is_pop_times_max_profit_less_the_rest_times_max_loss_less_friction() {
    for kind in [Kind::IronCondor, Kind::CreditPutSpread, Kind::CreditCallSpread, Kind::Butterfly] {
        let (_, it) = entered(&World::of(kind, Underlying::SPX));
        let binary = it.p_otm * it.max_profit.to_f64()
            - (1.0 - it.p_otm) * it.max_loss.to_f64()
            - it.friction.to_f64();
        near(it.ev_net, binary, 1e-9);
    }
}

#[test]
fn ev_p_is_the_payoff_friction_included_over_returns_bootstrapped_and_scaled_to_the_forecast() {
    let world = World::condor();
    let (it, numbers) = entered(&world);
    // 25 sessions until the 28th of December, of which Thanksgiving and Christmas are none.
    let sessions = if it.expiry == date(2026, 12, 28) { 24 } else { 20 };
    let daily = &world.facts.returns.daily;
    let deviation = |all: &[f64]| {
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        (all.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt()
    };
    let runs = blocks(daily, sessions);
    let scaled = deviation(&runs) * 0.11 / (deviation(daily) * 252f64.sqrt());
    let base = inputs(&world, &it, &numbers, 0.0);
    for (times, expected) in [(1.0, numbers.ev_p.unwrap()), (1.2, numbers.ev_stressed.unwrap())] {
        let vol = times * scaled / base.years.sqrt();
        let density = Density::real_world(&runs, &Inputs { vol, ..base }).unwrap();
        near(payoff(&it, &numbers).expected(&density), expected, 1e-6);
    }
}

#[test]
fn at_0_and_1_dte_the_density_is_of_returns_of_the_same_clock_time_to_the_close() {
    let at = |expiry: Date| {
        let mut world = World::condor().listed(|it| (it.expiries, it.step) = (vec![expiry], 5.0));
        (world.settings.entry.min_dte, world.settings.entry.max_dte) = (0, 5);
        world.settings.exit.time_stop_dte = None;
        (world.settings.entry.widths, world.settings.entry.gamma_loss_max) = (vec![10.0], 100.0);
        world
    };
    let monday = date(2026, 11, 23);
    for (expiry, own) in [(DAY, 0), (monday, 1), (date(2026, 11, 24), 2)] {
        let world = at(expiry);
        let usual = world.decide().numbers.unwrap().ev_p.unwrap();
        let ev = |change: fn(&mut Returns)| {
            let mut other = world.clone();
            change(&mut other.facts.returns);
            other.decide().numbers.unwrap().ev_p
        };
        let changed = [
            ev(|it| it.to_close = returns(60, 0.009, 3)),
            ev(|it| it.to_next_close = returns(60, 0.02, 3)),
            ev(|it| it.daily.rotate_left(40)),
        ];
        for (n, other) in changed.iter().enumerate() {
            let is_same = other.is_some_and(|it| (it - usual).abs() < 1e-9);
            assert_eq!(is_same, n != own, "{expiry}: source {n} gives {other:?} for {usual}");
        }
    }
    let none = at(DAY).with(|it| it.facts.returns.to_close.truncate(19));
    assert_eq!(none.asked(Stage::G3), unknown(Reason::DensityMissing));
}

#[test]
fn the_gate_is_ev_p_above_zero_and_under_stress_no_less_than_minus_a_quarter_of_the_premium() {
    let forecast = |it: f64| World::condor().with(|world| world.facts.forecast = Some(it));
    assert_eq!(forecast(0.11).asked(Stage::G3), PASS);
    assert_eq!(forecast(0.30).asked(Stage::G3), blocked(Reason::EvNotPositive));
    // Between the two there are forecasts that are good, and would not be with a fifth more.
    let fragile = (110..300).map(|it| f64::from(it) / 1_000.0).find(|it| {
        let (_, numbers) = entered(&forecast(*it));
        let stressed = numbers.ev_stressed.unwrap() / numbers.premium.abs().to_f64();
        numbers.ev_p.unwrap() > 0.0 && stressed < -0.25
    });
    if let Some(it) = fragile {
        assert_eq!(forecast(it).asked(Stage::G3), blocked(Reason::EvFragile));
    }
    let (_, numbers) = entered(&forecast(0.30));
    let decision = forecast(0.30).decide();
    let check = &decision.stage(Stage::G3).unwrap().checks[1];
    near(
        check.observed.as_ref().unwrap().as_f64().unwrap(),
        numbers.ev_stressed.unwrap() / numbers.premium.to_f64(),
        1e-12,
    );
    assert_eq!(check.required, Some(Bound::AtLeast(-0.25)));
}

#[test]
fn without_a_forecast_the_realised_volatility_stands_and_without_either_nothing_is_entered() {
    let own = World::condor().with(|it| it.facts.forecast = None);
    assert_eq!(own.decide().numbers, World::condor().decide().numbers, "both are 11 %");
    let none = own.with(|it| it.facts.indicators.rv20 = None);
    assert_eq!(none.asked(Stage::G3), unknown(Reason::DensityMissing));
    let few = World::condor().with(|it| it.facts.returns.daily.truncate(30));
    assert_eq!(few.asked(Stage::G3), unknown(Reason::DensityMissing));
}

#[test]
fn ev_under_the_smile_is_about_minus_the_costs_and_a_quote_off_its_neighbours_is_found() {
    let world = World::condor();
    let (it, numbers) = entered(&world);
    let slipped: f64 = it
        .legs
        .iter()
        .map(|leg| {
            let sign = if leg.leg.side == LegSide::SellToOpen { 1.0 } else { -1.0 };
            sign * leg.bid.mid(leg.ask)
        })
        .sum::<f64>()
        + it.price.usd().to_f64();
    let costs = slipped * 100.0 * f64::from(it.units) + numbers.friction.to_f64();
    near(numbers.ev_smile.unwrap(), -costs, 20.0);
    assert!(numbers.ev_smile.unwrap() < 0.0);
    // A short whose quote stands three points over its neighbours would look like a gift.
    let mut wrong = world.clone();
    let short = it.legs[2].leg.series;
    let quote = &mut wrong.row(short).quote;
    let raise =
        |it: Option<domain::money::Price>| it.map(|it| domain::money::Price::from_cents(it.cents() + 500));
    (quote.bid, quote.ask) = (raise(quote.bid), raise(quote.ask));
    let held = Structure {
        legs: it
            .legs
            .iter()
            .map(|leg| {
                let is_it = leg.leg.series == short;
                StructureLeg {
                    bid: if is_it { quote.bid.unwrap() } else { leg.bid },
                    ask: if is_it { quote.ask.unwrap() } else { leg.ask },
                    ..*leg
                }
            })
            .collect(),
        ..it.clone()
    };
    assert_eq!(wrong.decide_holding(&held).stage(Stage::G3).unwrap().reason, Some(Reason::SmileDisagrees));
}

#[test]
fn friction_is_commissions_and_fees_both_ways_and_the_slippage_of_the_exit_alone() {
    let world = World::condor().with(|it| it.settings.size = Size::Fixed(1));
    let friction = |change: fn(&mut World)| {
        let held = world.decide().structure.unwrap();
        let mut other = world.clone();
        change(&mut other);
        other.decide_holding(&held).numbers.unwrap().friction
    };
    let it = world.decide().structure.unwrap();
    let half: f64 = it.legs.iter().map(|leg| 0.5 * (leg.ask.to_f64() - leg.bid.to_f64())).sum();
    // Four SPXW legs over a dollar, 0.35 and 0.58 each, both ways; 30 % of half the width on the way out.
    let fees = Usd::from_cents(8 * (35 + 58));
    near(friction(|_| ()).to_f64(), fees.to_f64() + half * 0.3 * 100.0, 1e-3);
    // Without a realised table the strategy's own part stands.
    near(friction(|it| it.facts.exit_slippage = None).to_f64(), fees.to_f64() + half * 0.5 * 100.0, 1e-3);
    // Another broker's commission is 0.65 unless known; expiry pays one side and nothing of the width.
    near(
        friction(|it| it.settings.preferred_broker = "another".to_owned()).to_f64(),
        fees.to_f64() + 8.0 * 0.30 + half * 30.0,
        1e-3,
    );
    assert_eq!(friction(|it| it.settings.exit.hold_to_expiry = true), Usd::from_cents(4 * (35 + 58)));
}

#[test]
fn g1_no_earnings_inside_the_window() {
    let earnings =
        |it| World::of(Kind::CreditPutSpread, Underlying::SPY).with(|world| world.facts.earnings = it);
    let expiry = entered(&earnings(Known::KnownNone)).0.expiry;
    let on = |day: Date| earnings(Known::Known(vec![date(2026, 8, 1), day]));
    assert_eq!(on(expiry).asked(Stage::G1), blocked(Reason::EarningsInside));
    assert_eq!(on(DAY).asked(Stage::G1), blocked(Reason::EarningsInside));
    let after = expiry.tomorrow().unwrap();
    let last = date(2026, 12, 29);
    assert_eq!(on(last).asked(Stage::G1), PASS, "after {after}");
    let wider = on(last).with(|it| it.settings.entry.earnings_days = 30);
    assert_eq!(wider.asked(Stage::G1), blocked(Reason::EarningsInside));
    assert_eq!(earnings(Known::Known(vec![date(2026, 8, 1)])).asked(Stage::G1), PASS, "all are past");
}

#[test]
fn g_events_are_known_known_to_be_none_or_unavailable_and_missing_data_blocks_credit_structures() {
    let facts = |kind, underlying, earnings: Known<Vec<Date>>| {
        World::of(kind, underlying).with(|it| it.facts.earnings = earnings)
    };
    let spy = Underlying::SPY;
    assert_eq!(facts(Kind::IronCondor, spy, Known::KnownNone).asked(Stage::G1), PASS);
    for kind in
        [Kind::IronCondor, Kind::CreditPutSpread, Kind::CashSecuredPut, Kind::CoveredCall, Kind::Wheel]
    {
        assert_eq!(
            facts(kind, spy, Known::Unavailable).asked(Stage::G1),
            unknown(Reason::CorporateMissing),
            "{kind:?}"
        );
    }
    assert_eq!(facts(Kind::Butterfly, spy, Known::Unavailable).asked(Stage::G1), skipped(Reason::NotASeller));
    // Index underlyings have none and pass.
    let index = facts(Kind::IronCondor, Underlying::SPX, Known::Unavailable)
        .with(|it| it.facts.dividends = Known::Unavailable);
    assert_eq!((index.asked(Stage::G1), index.asked(Stage::G2)), (PASS, PASS));
}

#[test]
fn g2_no_ex_dividend_near_a_short_call() {
    let dividends = |kind, it| World::of(kind, Underlying::SPY).with(|world| world.facts.dividends = it);
    let on = |days: i32| {
        let ex_date = DAY.checked_add(jiff::Span::new().days(days)).unwrap();
        Known::Known(vec![Dividend { ex_date, amount: Some(Usd::from_cents(180)) }])
    };
    for (days, expected) in
        [(0, blocked(Reason::ExDividendNear)), (7, blocked(Reason::ExDividendNear)), (8, PASS), (60, PASS)]
    {
        assert_eq!(dividends(Kind::CoveredCall, on(days)).asked(Stage::G2), expected, "in {days} days");
    }
    // Through the whole of its life where the row says so, and never after it.
    let whole =
        |days| dividends(Kind::CoveredCall, on(days)).with(|it| it.settings.entry.ex_dividend_days = 365);
    assert_eq!(whole(30).asked(Stage::G2), blocked(Reason::ExDividendNear));
    assert_eq!(whole(39).asked(Stage::G2), PASS);
    assert_eq!(dividends(Kind::CreditPutSpread, on(3)).asked(Stage::G2), skipped(Reason::NoShortCall));
    assert_eq!(
        dividends(Kind::CoveredCall, Known::Unavailable).asked(Stage::G2),
        unknown(Reason::CorporateMissing)
    );
}

#[test]
fn g4_the_trade_is_added_to_the_book_and_the_result_compared_not_the_trade_alone() {
    let world = World::condor();
    let (it, numbers) = entered(&world);
    let own = numbers.delta.unwrap();
    let capped = |book: f64, cap: f64| {
        world.clone().with(|it| {
            it.portfolio.book.as_mut().unwrap().delta = book;
            it.portfolio.caps.delta = Some(cap);
        })
    };
    assert_eq!(capped(0.0, own.abs() - 1.0).asked(Stage::G4), blocked(Reason::DeltaCap));
    // A book the other way round is brought nearer to nothing by it.
    assert_eq!(capped(-own, own.abs() - 1.0).asked(Stage::G4), PASS);
    assert_eq!(capped(own, own.abs() * 1.5).asked(Stage::G4), blocked(Reason::DeltaCap));
    let unread = capped(0.0, 1e9).with(|it| it.portfolio.book = None);
    assert_eq!(unread.asked(Stage::G4), unknown(Reason::BookMissing));
    // Vega of the structure as of 30 days.
    let vega = world.clone().with(|world| {
        let scaled = numbers.vega.unwrap().abs() * (30.0 / it.dte as f64).sqrt();
        world.portfolio.caps.vega = Some(scaled - 0.01);
    });
    assert_eq!(vega.asked(Stage::G4), blocked(Reason::VegaCap));
    let gamma = world.with(|it| it.portfolio.caps.gamma = Some(numbers.gamma.unwrap().abs() - 0.01));
    assert_eq!(gamma.asked(Stage::G4), blocked(Reason::GammaCap));
}

#[test]
fn g4_positions_are_counted_by_strategy_underlying_and_condors_by_expiration() {
    let world = World::condor();
    let expiry = entered(&world).0.expiry;
    let open = |strategy: &str, kind, expiry| OpenPosition {
        strategy: strategy.to_owned(),
        kind,
        underlying: Underlying::SPX,
        expiry,
    };
    let name = world.settings.name.clone();
    let with = |positions: Vec<OpenPosition>, caps: Caps| {
        world.clone().with(|it| (it.portfolio.positions, it.portfolio.caps) = (positions, caps))
    };
    let own = open(&name, Kind::IronCondor, expiry);
    assert_eq!(with(vec![own.clone(); 2], Caps::default()).asked(Stage::G4), PASS);
    assert_eq!(with(vec![own.clone(); 3], Caps::default()).asked(Stage::G4), blocked(Reason::PositionsFull));
    let others = vec![open("another", Kind::Butterfly, expiry); 2];
    let per_underlying = Caps { per_underlying: Some(2), ..Caps::default() };
    assert_eq!(with(others.clone(), per_underlying).asked(Stage::G4), blocked(Reason::UnderlyingFull));
    let condors = Caps { max_condors_per_expiry: Some(1), ..Caps::default() };
    assert_eq!(with(others, condors).asked(Stage::G4), PASS, "butterflies are no condors");
    let fly = vec![open("another", Kind::IronButterfly, expiry)];
    assert_eq!(with(fly, condors).asked(Stage::G4), blocked(Reason::ExpiryFull));
    let later = vec![open("another", Kind::IronCondor, date(2027, 3, 19))];
    assert_eq!(with(later, condors).asked(Stage::G4), PASS);
}

#[test]
fn g4_what_a_trade_and_a_day_may_lose() {
    let world = World::condor();
    let numbers = entered(&world).1;
    let loss = numbers.max_loss + numbers.friction;
    let trade = |cap| world.clone().with(|it| it.portfolio.caps.per_trade_loss = Some(cap));
    assert_eq!(trade(loss).asked(Stage::G4), PASS);
    assert_eq!(trade(loss - Usd::from_e4(1)).asked(Stage::G4), blocked(Reason::LossTooLarge));
    let day = |lost: Option<i64>| {
        world.clone().with(|it| {
            it.portfolio.day_loss = lost.map(Usd::from_dollars);
            it.portfolio.caps.daily_loss = Some(loss + Usd::from_dollars(100));
        })
    };
    assert_eq!(day(Some(100)).asked(Stage::G4), PASS);
    assert_eq!(day(Some(101)).asked(Stage::G4), blocked(Reason::DayLoss));
    assert_eq!(day(None).asked(Stage::G4), unknown(Reason::BookMissing));
}
