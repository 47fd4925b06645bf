use super::*;
use domain::symbol::OccSymbol;
use domain::ticket::LegSide;
use proptest::prelude::*;

const START: UtcNanos = UtcNanos::from_secs(1_795_186_810);

fn leg(symbol: &str, side: LegSide) -> ComboLeg {
    let series: OccSymbol = format!("SPXW261120{symbol}").parse().unwrap();
    ComboLeg { series, side, ratio: 1 }
}

fn quote(bid: u32, ask: u32) -> Option<OptionQuote> {
    let price = |cents| (cents > 0).then_some(Price::from_cents(cents));
    Some(OptionQuote { ts: START, bid: price(bid), ask: price(ask), bid_size: 10, ask_size: 10 })
}

/// A put credit spread: 2.00 x 2.20 sold, 0.50 x 0.60 bought.
fn opening() -> NetQuote {
    let legs = [leg("P05560000", LegSide::SellToOpen), leg("P05550000", LegSide::BuyToOpen)];
    net_quote(&legs, &[quote(200, 220), quote(50, 60)])
}

fn terms(plan: Plan) -> Terms {
    let until = START.plus(Duration::from_secs(4 * 3_600));
    Terms { plan, grid: TickGrid::NET_FIVE, lone: None, started_at: START, until }
}

fn at(seconds: u64) -> UtcNanos {
    START.plus(Duration::from_secs(seconds))
}

fn credit(cents: u32) -> Net {
    Net::credit(Price::from_cents(cents))
}

fn debit(cents: u32) -> Net {
    Net::debit(Price::from_cents(cents))
}

/// The nets of a walk that is stepped when it is due, with their seconds; then how it stopped.
fn walked(terms: &Terms, quote: &NetQuote, most: usize) -> (Vec<(u64, Net)>, Option<StopReason>) {
    let mut seen = Vec::new();
    let mut now = START;
    let mut step = first(terms, quote, now);
    for _ in 0..most {
        match step {
            Next::Stop(reason) => return (seen, Some(reason)),
            Next::Rung(rung) => {
                seen.push((now.since(START).as_secs(), rung.net));
                let moved = now;
                now = rung.due;
                step = next(terms, (rung.net, rung.rung, moved), quote, now);
            }
        }
    }
    (seen, None)
}

#[test]
fn the_net_of_a_unit_is_what_its_legs_cost_at_the_far_and_the_near_touches() {
    let net = opening();
    // Sold at the bid and bought at the ask; at best sold at the ask and bought at the bid.
    assert_eq!((net.natural, net.passive, net.is_two_sided), (Some(credit(140)), Some(credit(170)), true));
}

#[test]
fn an_entry_starts_at_the_net_mid_and_moves_a_tick_each_ten_seconds_for_two_minutes_within_its_worst_net() {
    let (seen, ended) = walked(&terms(Plan::Entry { worst: credit(145) }), &opening(), 20);
    // Mid 1.55, a spread of 0.30: a twentieth is under a tick.
    assert_eq!(seen[..4], [(0, credit(155)), (10, credit(150)), (20, credit(145)), (30, credit(145))]);
    assert_eq!((seen.last(), ended), (Some(&(110, credit(145))), Some(StopReason::TimedOut)));
}

#[test]
fn a_step_is_a_twentieth_of_a_wide_spread() {
    let legs = [leg("P05560000", LegSide::SellToOpen), leg("P05550000", LegSide::BuyToOpen)];
    let wide = net_quote(&legs, &[quote(400, 700), quote(50, 150)]);
    // From 2.50 to 6.50 received: a spread of 4.00, steps of 0.20.
    let (seen, _) = walked(&terms(Plan::Entry { worst: credit(250) }), &wide, 3);
    assert_eq!(seen, [(0, credit(450)), (10, credit(430)), (20, credit(410))]);
}

#[test]
fn an_entry_without_a_two_sided_quote_of_every_leg_has_no_price() {
    let legs = [leg("P05560000", LegSide::SellToOpen), leg("P05550000", LegSide::BuyToOpen)];
    for quotes in [[quote(200, 220), quote(0, 60)], [quote(200, 220), None]] {
        let net = net_quote(&legs, &quotes);
        let step = first(&terms(Plan::Entry { worst: credit(100) }), &net, START);
        assert_eq!(step, Next::Stop(StopReason::NoQuote));
    }
}

/// The same spread bought back: naturally for 1.70, at best for 1.40.
fn closing() -> NetQuote {
    let legs = [leg("P05560000", LegSide::BuyToClose), leg("P05550000", LegSide::SellToClose)];
    net_quote(&legs, &[quote(200, 220), quote(50, 60)])
}

#[test]
fn a_close_is_patient_for_two_minutes_and_then_goes_beyond_the_natural_price_as_a_stop_does() {
    let plan = Plan::Close { width: Price::from_cents(1_000) };
    let (seen, ended) = walked(&terms(plan), &closing(), 18);
    assert_eq!(
        seen[..5],
        [(0, debit(155)), (10, debit(160)), (20, debit(165)), (30, debit(170)), (40, debit(170))]
    );
    assert_eq!(
        seen[12..],
        [
            (120, debit(170)),
            (122, debit(175)),
            (124, debit(180)),
            (126, debit(190)),
            (128, debit(210)),
            (130, debit(250))
        ]
    );
    assert_eq!(ended, None);
}

#[test]
fn a_close_goes_faster_near_the_last_trade() {
    let plan = Plan::Close { width: Price::from_cents(1_000) };
    for (left, pace) in [(31 * 60, 10), (30 * 60, 5), (10 * 60, 2)] {
        let terms = Terms { until: at(left), ..terms(plan) };
        let (seen, _) = walked(&terms, &closing(), 2);
        assert_eq!(seen[1].0, pace, "{left} s before the last trade");
    }
}

#[test]
fn a_close_never_costs_more_than_the_width() {
    let width = Price::from_cents(170);
    for plan in [Plan::Close { width }, Plan::Urgent { width: Some(width) }, Plan::Emergency { width }] {
        let (seen, ended) = walked(&terms(plan), &closing(), 40);
        assert!(seen.iter().all(|it| it.1 <= debit(170)), "{plan:?}: {seen:?}");
        assert_eq!((seen.last().map(|it| it.1), ended), (Some(debit(170)), None));
    }
}

#[test]
fn an_emergency_pays_the_natural_price_and_two_ticks_and_is_pegged_again() {
    let terms = terms(Plan::Emergency { width: Price::from_cents(1_000) });
    let Next::Rung(rung) = first(&terms, &closing(), START) else { panic!("it has a price") };
    assert_eq!((rung.net, rung.due), (debit(180), at(2)));
    let legs = [leg("P05560000", LegSide::BuyToClose), leg("P05550000", LegSide::SellToClose)];
    let ran = net_quote(&legs, &[quote(300, 330), quote(60, 80)]);
    let Next::Rung(again) = next(&terms, (rung.net, 0, START), &ran, at(2)) else { panic!("it goes on") };
    assert_eq!(again.net, debit(280));
}

#[test]
fn a_leg_on_its_own_never_goes_for_nothing() {
    let wing = [leg("P05550000", LegSide::SellToClose)];
    let unbid = net_quote(&wing, &[quote(0, 5)]);
    assert_eq!(unbid_wings(&wing, &[quote(0, 5)]), [wing[0].series]);
    assert!(unbid_wings(&wing, &[quote(5, 10)]).is_empty() && unbid_wings(&wing, &[None]).is_empty());
    let terms =
        Terms { grid: TickGrid::FIVE_TEN, lone: Some(Side::Sell), ..terms(Plan::Urgent { width: None }) };
    let (seen, _) = walked(&terms, &unbid, 5);
    assert!(seen.iter().all(|it| it.1 == credit(5)), "{seen:?}");
    // It can go no further: it rests, and is looked at seldom.
    assert_eq!(seen.iter().map(|it| it.0).collect::<Vec<_>>(), [0, 15, 30, 45, 60]);
}

#[test]
fn a_close_without_an_offer_of_what_must_be_bought_waits_for_one() {
    let legs = [leg("P05560000", LegSide::BuyToClose), leg("P05550000", LegSide::SellToClose)];
    let unoffered = net_quote(&legs, &[quote(200, 0), quote(50, 60)]);
    let plan = terms(Plan::Urgent { width: Some(Price::from_cents(1_000)) });
    assert_eq!(first(&plan, &unoffered, START), Next::Stop(StopReason::NoQuote));
    let stays = next(&plan, (debit(170), 0, START), &unoffered, at(2));
    assert!(matches!(stays, Next::Rung(rung) if rung.net == debit(170)));
}

proptest! {
    #[test]
    fn prop_a_net_only_rises_stays_on_the_grid_and_within_its_bound(
        bids in prop::array::uniform2(0u32..2_000),
        spreads in prop::array::uniform2(1u32..300),
        bound in 1u32..400,
        which in 0usize..4,
    ) {
        let legs = [leg("P05560000", LegSide::BuyToClose), leg("P05550000", LegSide::SellToClose)];
        let quotes = [quote(bids[0], bids[0] + spreads[0]), quote(bids[1], bids[1] + spreads[1])];
        let net = net_quote(&legs, &quotes);
        let width = Price::from_cents(bound * 5);
        let plan = [
            Plan::Entry { worst: debit(bound * 5) },
            Plan::Close { width },
            Plan::Urgent { width: Some(width) },
            Plan::Emergency { width },
        ][which];
        let (seen, _) = walked(&terms(plan), &net, 40);
        for pair in seen.windows(2) {
            prop_assert!(pair[0].1 <= pair[1].1, "{seen:?}");
        }
        for (_, it) in &seen {
            prop_assert!(*it <= debit(bound * 5) && TickGrid::NET_FIVE.holds(it.magnitude()), "{it}");
        }
    }
}
