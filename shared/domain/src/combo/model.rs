//! Every order in which a venue may fill up to four legs and five contracts, against the rules that follow: states are
//! explored, not paths.
//!
//! The venue fills any leg of a working order by any contract, also out of ratio and also after a cancel was asked for,
//! and ends it when it likes. We look at any moment, or at none. Whatever it does: no short is left without its long by an
//! order of ours, what is balanced is not closed where only an imbalance should be, no more is traded than is held, and
//! the end is balanced, or flat.

use std::collections::BTreeSet;

use super::*;
use crate::ids::{AttemptNo, BrokerOrderId};
use crate::money::Side;
use crate::order::{Attempt, AttemptEvent, AttemptState, BrokerStatus, ComboAttempt, LegSeen};
use crate::symbol::{OccSymbol, Right};
use crate::ticket::{ComboLeg, CoveredClose, HeldLeg, LegClose, LegSide, Net};
use crate::time::UtcNanos;

/// Contracts of one leg at most.
const CONTRACTS: u32 = 5;

use LegSide::{BuyToOpen as BTO, SellToOpen as STO};

/// The structures there are: their legs' symbols, sides and ratios.
fn shapes() -> Vec<(&'static str, Vec<ComboLeg>)> {
    let leg = |symbol: &str, side, ratio| ComboLeg {
        series: format!("SPXW261120{symbol}").parse().unwrap(),
        side,
        ratio,
    };
    let (p1, p2, p3) = ("P05540000", "P05550000", "P05560000");
    let (c1, c2, c3) = ("C05640000", "C05650000", "C05660000");
    vec![
        ("put credit spread", vec![leg(p2, STO, 1), leg(p1, BTO, 1)]),
        ("call debit spread", vec![leg(c1, BTO, 1), leg(c2, STO, 1)]),
        ("strangle bought", vec![leg(p1, BTO, 1), leg(c1, BTO, 1)]),
        ("back spread", vec![leg(c1, STO, 1), leg(c2, BTO, 2)]),
        ("butterfly", vec![leg(p1, BTO, 1), leg(p2, STO, 2), leg(p3, BTO, 1)]),
        ("christmas tree", vec![leg(c1, BTO, 3), leg(c2, STO, 1), leg(c3, STO, 2)]),
        ("iron condor", vec![leg(p1, BTO, 1), leg(p2, STO, 1), leg(c1, STO, 1), leg(c2, BTO, 1)]),
        ("ratio condor", vec![leg(p1, BTO, 2), leg(p2, STO, 1), leg(c1, STO, 1), leg(c2, BTO, 2)]),
    ]
}

/// Units whose largest leg has no more than [`CONTRACTS`].
fn units_of(legs: &[ComboLeg]) -> u32 {
    CONTRACTS / legs.iter().map(|it| it.ratio).max().unwrap()
}

type Vector = Vec<u32>;

fn held_of(legs: &[ComboLeg], contracts: &[u32]) -> Vec<LegHeld> {
    legs.iter().zip(contracts).map(|(leg, contracts)| LegHeld { leg: *leg, contracts: *contracts }).collect()
}

/// Shorts without a long, calls and puts each.
fn naked(legs: &[ComboLeg], contracts: &[u32]) -> i64 {
    let of = |right| {
        let signed: Vec<HeldLeg> = signed(&held_of(legs, contracts));
        signed.iter().filter(|it| it.series.right == right).map(|it| it.quantity).sum::<i64>().min(0)
    };
    -of(Right::Call) - of(Right::Put)
}

/// Every vector of contracts up to `most`.
fn vectors(most: &[u32]) -> Vec<Vector> {
    most.iter().fold(vec![Vec::new()], |all, most| {
        let grow = |it: Vector| {
            (0..=*most).map(move |n| {
                let mut next = it.clone();
                next.push(n);
                next
            })
        };
        all.into_iter().flat_map(grow).collect()
    })
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Nothing works: the next piece is asked for.
    Idle,
    /// An order works: what is left of it by leg, and whether its cancel was asked for.
    Order { left: Vector, is_canceled: bool },
}

/// What an exit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    /// The excess alone.
    Balance,
    /// So many units are kept, the rest is closed; our books and the broker agree.
    Keep(u32),
    /// All of what the broker confirms, which is not what our books say.
    Mismatch,
}

/// The next order of an exit, by leg, with every proof that the desk would ask for.
fn order(legs: &[ComboLeg], held: &[u32], mode: Mode, unbid: &[OccSymbol]) -> Option<Vector> {
    let state = held_of(legs, held);
    let (units, first) = match mode {
        Mode::Balance => (0, Order::ExcessFirst),
        Mode::Keep(kept) => (whole_units(&state).saturating_sub(kept), Order::ExcessFirst),
        Mode::Mismatch => (u32::MAX, Order::WholeFirst),
    };
    let piece = next(&state, units, first, unbid)?;
    let all = signed(&state);
    Some(match piece {
        Piece::Whole(units) => {
            let closing: Vec<ComboLeg> =
                legs.iter().map(|it| ComboLeg { side: it.side.opposite(), ..*it }).collect();
            let proof = CoveredClose::check(&closing, units, &all);
            let proof = proof.unwrap_or_else(|why| panic!("{held:?} {mode:?}: {why}"));
            assert_ne!(mode, Mode::Balance, "what is balanced is closed at {held:?}");
            legs.iter().map(|it| it.ratio * proof.units()).collect()
        }
        Piece::Leg(leg) => {
            let proof = LegClose::check(leg.leg.series, leg.contracts, &all);
            let proof = proof.unwrap_or_else(|why| panic!("{held:?} {mode:?}: {why}"));
            let is_long = leg.leg.side.side() == Side::Buy;
            let shorts_over = excess(&state).iter().any(LegHeld::is_short);
            assert!(!(is_long && shorts_over), "a long goes before an excess short at {held:?}");
            let of = |it: &ComboLeg| if it.series == proof.series() { proof.contracts() } else { 0 };
            legs.iter().map(of).collect()
        }
    })
}

/// Closes from every state of `starts` and follows everything the venue may do; how many states there were.
fn close_from(legs: &[ComboLeg], starts: impl IntoIterator<Item = Vector>, mode: Mode) -> usize {
    let mut seen: BTreeSet<(Vector, Phase)> = BTreeSet::new();
    let mut open: Vec<(Vector, Phase)> = starts.into_iter().map(|it| (it, Phase::Idle)).collect();
    while let Some(state) = open.pop() {
        if !seen.insert(state.clone()) {
            continue;
        }
        let (held, phase) = state;
        match phase {
            Phase::Idle => {
                let mut is_over = true;
                // Nobody bids for none of the wings, for each of them alone, for all.
                let wings = legs.iter().filter(|it| it.side.side() == Side::Buy).map(|it| it.series);
                let wings: Vec<OccSymbol> = wings.collect();
                let alone = wings.iter().map(std::slice::from_ref);
                for unbid in alone.chain([&[][..], &wings[..]]) {
                    let Some(left) = order(legs, &held, mode, unbid) else { continue };
                    is_over = false;
                    assert!(left.iter().any(|it| *it > 0), "an order of nothing at {held:?}");
                    assert!(held.iter().zip(&left).all(|(held, left)| left <= held), "more than held");
                    let after: Vector = held.iter().zip(&left).map(|(held, left)| held - left).collect();
                    assert!(
                        naked(legs, &after) <= naked(legs, &held),
                        "{left:?} of {held:?} leaves a short without its long"
                    );
                    open.push((held.clone(), Phase::Order { left, is_canceled: false }));
                }
                if is_over {
                    ends(legs, &held, mode);
                }
            }
            Phase::Order { left, is_canceled } => {
                if mode == Mode::Balance {
                    let before = held_of(legs, &held);
                    let after: Vector = held.iter().zip(&left).map(|(held, left)| held - left).collect();
                    let after = whole_units(&held_of(legs, &after));
                    assert_eq!(after, whole_units(&before), "a whole unit is at stake at {held:?}");
                }
                for n in 0..left.len() {
                    if left[n] > 0 {
                        let (mut held, mut left) = (held.clone(), left.clone());
                        (held[n], left[n]) = (held[n] - 1, left[n] - 1);
                        open.push((held, Phase::Order { left, is_canceled }));
                    }
                }
                // It is filled, or ends after its cancel; and a cancel may be asked for at any moment.
                if is_canceled || left.iter().all(|it| *it == 0) {
                    open.push((held, Phase::Idle));
                } else {
                    open.push((held, Phase::Order { left, is_canceled: true }));
                }
            }
        }
    }
    seen.len()
}

/// Where nothing is left to send: balanced, with what was to be kept, or flat.
fn ends(legs: &[ComboLeg], held: &[u32], mode: Mode) {
    let state = held_of(legs, held);
    assert!(is_balanced(&state), "{mode:?} ends out of balance at {held:?}");
    assert_eq!(naked(legs, held), 0, "{mode:?} ends with a naked short at {held:?}");
    match mode {
        Mode::Balance => {}
        Mode::Keep(kept) => assert!(whole_units(&state) <= kept, "{held:?}"),
        Mode::Mismatch => assert!(held.iter().all(|it| *it == 0), "{held:?} is left"),
    }
}

#[test]
fn of_lone_wings_those_that_somebody_bids_for_go_first() {
    let (_, legs) = shapes().into_iter().find(|it| it.0 == "iron condor").unwrap();
    let wings = [legs[0].series, legs[3].series];
    let first = |held: [u32; 4], unbid: &[OccSymbol]| match next(
        &held_of(&legs, &held),
        5,
        Order::ExcessFirst,
        unbid,
    ) {
        Some(Piece::Leg(leg)) => leg.leg.series,
        other => panic!("{other:?}"),
    };
    assert_eq!(first([2, 0, 0, 2], &[]), wings[0]);
    assert_eq!(first([2, 0, 0, 2], &wings[..1]), wings[1], "the put wing waits for a bid");
    assert_eq!(first([2, 0, 0, 2], &wings), wings[0], "nobody bids for either");
    assert_eq!(first([2, 0, 1, 2], &wings[..1]), legs[2].series, "a short goes before both");
}

fn attempt(legs: &[ComboLeg], units: u32) -> Attempt {
    Attempt {
        no: AttemptNo::FIRST,
        state: AttemptState::Working,
        broker_order: Some(BrokerOrderId(7)),
        side: Side::Buy,
        quantity: units,
        price: crate::money::Price::ZERO,
        rung: 0,
        executed: 0,
        average: None,
        marked_at: UtcNanos(0),
        repriced_at: UtcNanos(0),
        cancel_at: None,
        reason: None,
        combo: Some(ComboAttempt::of(legs, Net::EVEN)),
        trace: Default::default(),
    }
}

fn seen(legs: &[ComboLeg], executed: &[u32], status: BrokerStatus) -> AttemptEvent {
    let leg = |(leg, executed): (&ComboLeg, &u32)| LegSeen {
        series: leg.series,
        executed: *executed,
        average: None,
    };
    let legs = legs.iter().zip(executed).rev().map(leg).collect();
    AttemptEvent::ObservedLegs { id: BrokerOrderId(7), status, legs }
}

/// What an entry's order may have executed when it ended: everything it may look like on the way is taken in as the
/// order router takes it in.
fn entry_ends(legs: &[ComboLeg], units: u32) -> Vec<Vector> {
    let most: Vector = legs.iter().map(|it| it.ratio * units).collect();
    let fresh = attempt(legs, units);
    for executed in vectors(&most) {
        for status in [BrokerStatus::PartiallyFilled, BrokerStatus::Canceled] {
            let after = fresh.apply(&seen(legs, &executed, status)).unwrap();
            let combo = after.combo.as_ref().unwrap();
            let held = held_of(legs, &executed);
            assert_eq!(after.executed, whole_units(&held), "{executed:?}");
            assert_eq!(combo.is_balanced(), is_balanced(&held), "{executed:?}");
            let legs_executed: Vector = combo.legs.iter().map(|it| it.executed).collect();
            assert_eq!(legs_executed, executed);
            // The broker's list lags: what it showed before takes nothing back.
            let lagging: Vector = executed.iter().map(|it| it / 2).collect();
            let again = after.apply(&seen(legs, &lagging, BrokerStatus::PartiallyFilled)).unwrap();
            assert_eq!(again.combo, after.combo, "{executed:?} then {lagging:?}");
        }
        // One contract more than was ordered of any leg is refused.
        for n in 0..legs.len() {
            let mut over = executed.clone();
            over[n] = most[n] + 1;
            assert!(fresh.apply(&seen(legs, &over, BrokerStatus::PartiallyFilled)).is_err());
        }
    }
    let filled = fresh.apply(&seen(legs, &vec![0; legs.len()], BrokerStatus::Filled)).unwrap();
    assert_eq!(filled.executed, units, "filled is filled, also before its quantity shows");
    vectors(&most)
}

#[test]
fn every_fill_order_of_an_entry_ends_balanced_and_closes_nothing_but_the_excess() {
    let mut states = 0;
    for (_, legs) in shapes() {
        for units in 1..=units_of(&legs) {
            states += close_from(&legs, entry_ends(&legs, units), Mode::Balance);
        }
    }
    assert!(states > 2_000, "{states} states are not all of them");
}

#[test]
fn every_fill_order_of_an_exit_ends_flat_or_at_what_was_to_be_kept() {
    let mut states = 0;
    for (_, legs) in shapes() {
        let units = units_of(&legs);
        let most: Vector = legs.iter().map(|it| it.ratio * units).collect();
        for kept in 0..units {
            states += close_from(&legs, vectors(&most), Mode::Keep(kept));
        }
    }
    assert!(states > 30_000, "{states} states are not all of them");
}

#[test]
fn whatever_the_broker_confirms_is_closed_whole_structures_first_then_shorts_then_longs() {
    let mut states = 0;
    for (what, legs) in shapes() {
        let units = units_of(&legs);
        let most: Vector = legs.iter().map(|it| it.ratio * units).collect();
        for held in vectors(&most) {
            let state = held_of(&legs, &held);
            let piece = next(&state, u32::MAX, Order::WholeFirst, &[]);
            let over = excess(&state);
            let whole = whole_units(&state);
            let left: Vector = legs.iter().zip(&held).map(|(leg, held)| held - whole * leg.ratio).collect();
            let want = match whole {
                // What covers an excess short is not closed before it.
                _ if naked(&legs, &left) > naked(&legs, &held) => over.first().copied().map(Piece::Leg),
                0 => over.iter().find(|it| it.is_short()).or(over.first()).copied().map(Piece::Leg),
                whole => Some(Piece::Whole(whole)),
            };
            assert_eq!(piece, want, "{what} {held:?}");
        }
        states += close_from(&legs, vectors(&most), Mode::Mismatch);
    }
    assert!(states > 10_000, "{states} states are not all of them");
}

#[test]
fn a_structure_of_five_units_and_four_legs_is_among_them() {
    let (_, condor) = shapes().into_iter().find(|it| it.0 == "iron condor").unwrap();
    assert_eq!((condor.len(), units_of(&condor)), (4, CONTRACTS));
    assert_eq!(vectors(&[CONTRACTS; 4]).len(), 1_296);
}
