//! What the gates of a structure refuse beside what every opening's do.

use super::*;
use crate::daytrade::TRADIER_SWITCHED;
use crate::testing::{DAY, account, balances, context};
use domain::account::AccountType;
use domain::combo::Decided;
use domain::gate::Verdict;
use domain::ids::DecisionId;
use domain::intent::{Origin, approve_combo};
use domain::ports::Snapshot;
use domain::symbol::OccSymbol;
use domain::ticket::{ComboLeg, ComboOpening, ComboTerms, LegSide};
use domain::time::at_new_york;
use jiff::civil::time;

struct World {
    switches: Switches,
    context: OpeningContext,
    now: UtcNanos,
    entry: ComboEntry,
    quotes: Vec<Option<OptionQuote>>,
}

fn series(symbol: &str) -> OccSymbol {
    format!("SPXW{}{symbol}", DAY.strftime("%y%m%d")).parse().unwrap()
}

fn entry(worst: Net, units: u32, now: UtcNanos) -> ComboEntry {
    let leg = |symbol, side| ComboLeg { series: series(symbol), side, ratio: 1 };
    let legs = vec![leg("P05560000", LegSide::SellToOpen), leg("P05550000", LegSide::BuyToOpen)];
    let origin = Origin::Decision(DecisionId::of(&[b"one"]));
    let by = Decided { account: account(), origin, sequence: 0, at: now };
    let terms = ComboTerms::check(legs, worst).unwrap();
    ComboEntry::decided(by, "put_spread", Some(Direction::Long), units, terms).unwrap()
}

impl World {
    fn new() -> Self {
        let now = at_new_york(DAY, time(10, 0, 0, 0));
        let quote = |bid, ask| {
            let price = |it| Some(Price::from_cents(it));
            Some(OptionQuote { ts: now, bid: price(bid), ask: price(ask), bid_size: 9, ask_size: 9 })
        };
        Self {
            switches: Switches { execution_enabled: true, ..Switches::default() },
            context: context(now),
            now,
            entry: entry(Net::credit(Price::from_cents(140)), 2, now),
            quotes: vec![quote(200, 220), quote(50, 60)],
        }
    }

    fn ask(&self) -> Vec<GateCheck> {
        let session = Session::of(DAY).unwrap();
        opening(&ComboInputs {
            switches: &self.switches,
            context: &self.context,
            session: session.as_ref(),
            now: self.now,
            entry: &self.entry,
            quotes: &self.quotes,
            signal_at: self.now,
            resolution_ns: 1,
            is_feed_gap: false,
            broker_switched: TRADIER_SWITCHED,
        })
    }

    /// The reasons of the gates that block.
    fn blocks(&self) -> Vec<String> {
        self.ask().iter().filter(|it| it.verdict == Verdict::Block).map(|it| it.reason.clone()).collect()
    }
}

#[test]
fn every_gate_is_asked_and_recorded_and_the_collision_of_legs_with_them() {
    let world = World::new();
    let gates = world.ask();
    let names: Vec<&str> = gates.iter().map(|it| it.gate.as_str()).collect();
    let all: Vec<&str> = OPENING_GATES.into_iter().chain([LEG_COLLISION]).collect();
    assert_eq!((names, world.blocks()), (all, Vec::new()));
    let opening = || ComboOpening { risk: world.entry.terms.risk().unwrap(), units: 2 };
    assert!(approve_combo(opening(), &gates).is_ok());
    for n in 0..gates.len() {
        let mut some = gates.clone();
        some.remove(n);
        assert!(approve_combo(opening(), &some).is_err(), "{} was not asked", gates[n].gate);
    }
}

#[test]
fn no_leg_opens_opposite_to_an_open_leg_of_ours() {
    let mut world = World::new();
    // Another structure is short what this one would be long.
    world.context.open_legs = vec![HeldLeg { series: series("P05550000"), quantity: -1 }];
    assert_eq!(world.blocks(), ["series_owned", "leg_collision"]);
    // The same way round it is still another's.
    world.context.open_legs = vec![HeldLeg { series: series("P05550000"), quantity: 1 }];
    assert_eq!(world.blocks(), ["series_owned"]);
    world.context.open_legs = vec![HeldLeg { series: series("P05540000"), quantity: -1 }];
    assert_eq!(world.blocks(), Vec::<String>::new());
}

#[test]
fn every_leg_is_quoted_on_both_sides_and_lately() {
    let mut world = World::new();
    world.quotes[1] = None;
    assert_eq!(world.blocks(), ["quote_missing", "quote_missing"]);
    let mut world = World::new();
    world.quotes[1] = world.quotes[1].map(|it| OptionQuote { bid: None, ..it });
    assert!(world.blocks().contains(&"quote_one_sided".to_owned()));
    let mut world = World::new();
    let old = world.now.minus(std::time::Duration::from_secs(61));
    world.quotes[0] = world.quotes[0].map(|it| OptionQuote { ts: old, ..it });
    assert_eq!(world.blocks(), ["quote_stale"]);
}

#[test]
fn the_walk_can_start_within_the_worst_net() {
    let mut world = World::new();
    world.entry = entry(Net::credit(Price::from_cents(160)), 2, world.now);
    assert_eq!(world.blocks(), ["price_beyond_worst"]);
    world.entry = entry(Net::credit(Price::from_cents(142)), 2, world.now);
    assert_eq!(world.blocks(), ["bound_off_grid"]);
}

#[test]
fn a_credit_takes_its_width_and_no_cash_account_carries_one() {
    let mut world = World::new();
    // Two units ten points wide take 2,000 dollars and fees.
    let mut balances = balances(50_000);
    balances.option_buying_power = Some(Usd::from_dollars(2_000));
    world.context.snapshot = Some(Snapshot { at: world.now, balances });
    assert_eq!(world.blocks(), ["intraday_margin", "buying_power"]);
    balances.option_buying_power = Some(Usd::from_dollars(2_010));
    world.context.snapshot = Some(Snapshot { at: world.now, balances });
    assert_eq!(world.blocks(), Vec::<String>::new());
    balances.account_type = AccountType::Cash;
    balances.cash_available = Some(Usd::from_dollars(50_000));
    world.context.snapshot = Some(Snapshot { at: world.now, balances });
    assert!(world.blocks().contains(&"credit_in_cash_account".to_owned()));
}

#[test]
fn what_it_may_lose_counts_against_the_day() {
    let mut world = World::new();
    world.context.settings.limits.daily_loss_limit = Usd::from_dollars(1_720);
    assert_eq!(world.blocks(), ["daily_loss_limit"]);
    world.context.settings.limits.daily_loss_limit = Usd::from_dollars(1_730);
    assert_eq!(world.blocks(), Vec::<String>::new());
    world.context.day.long_contracts = world.context.settings.limits.max_direction_contracts;
    assert_eq!(world.blocks(), ["direction_cap"]);
}
