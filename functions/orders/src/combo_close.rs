//! Exits of structures: what the broker confirms is closed piece by piece, one order at a time, until nothing is left.
//!
//! Before each order the broker's positions are read (`precheck_close`). Where they agree with our books, an imbalance is
//! closed first and then whole units; where they do not, what the broker confirms is closed, whole structures first, then
//! shorts, then longs, and the difference is told and left to reconciliation.

use std::time::Duration;

use desk::{Desk, NetAt};
use domain::calendar::last_trade;
use domain::combo::{
    ComboExit, LegHeld, Order, OwnedCombo, Piece, confirmed, excess, next, signed, whole_units,
};
use domain::intent::{Action, IntentState, OrderIntent, Origin};
use domain::market::OptionQuote;
use domain::money::Side;
use domain::order::{Attempt, BrokerOrder, ComboAttempt, LegExecution};
use domain::ports::{
    BrokerPort, Brokers, Clock, HandleError, IntentView, Ledger, Message, OwnedNotes, Queue,
};
use domain::position::BrokerPosition;
use domain::ticket::{ComboLeg, CoveredClose, HeldLeg, LegClose};
use domain::time::UtcNanos;
use engine::combo::walk::{self, Next, Plan, Rung, Terms, net_quote, unbid_wings};

use crate::begin::{MISSING_LOOKS_MAX, looks, started_at};
use crate::combo::touches;
use crate::{Orders, Work};

/// A leg imbalance that stands longer than this is told as critical.
pub(crate) const BALANCED_WITHIN: Duration = Duration::from_secs(60);

/// The reason of an exit that a flatten at once wrote.
const AT_ONCE: &str = "flatten_now";

/// What an exit works on: what our books hold of its structure and what of it the broker confirms.
struct Confirmed {
    held: Vec<LegHeld>,
    confirmed: Vec<LegHeld>,
    /// Whole units that the exit still has to close.
    units: u32,
    is_mismatch: bool,
    /// Whether the broker has been asked so often that its word counts for what it does not show.
    is_believed: bool,
}

impl<L: Ledger, B: Brokers, C: Clock, N: OwnedNotes> Orders<'_, L, B, C, N> {
    /// Closes the next piece of a structure, as far as the broker confirms that it is held.
    pub(crate) async fn close_combo(
        &self,
        work: &Work<'_, B::Account>,
        exit: &ComboExit,
    ) -> Result<(), HandleError> {
        if work.view.stop_requested {
            let progress = self.bare(work, IntentState::Done, "superseded", "a later close took over", None);
            return self.write(work, progress).await;
        }
        if self.earlier_combo_works(work, exit).await? {
            let (due, what) = (self.next_look(work), "waiting for an earlier order of the structure to end");
            let progress = self.bare(work, work.view.state, &work.view.reason, what, Some(due));
            return self.write(work, progress).await;
        }
        let owned = self.structure(&work.account, exit.opening).await?;
        let Some(owned) = owned.filter(|it| is_left(&work.view, exit, it)) else {
            let reason = if work.view.filled > 0 { "" } else { "nothing_held" };
            let progress = self.bare(work, IntentState::Done, reason, "nothing is left to close", None);
            return self.write(work, progress).await;
        };
        self.tell_unbalanced(work, exit, &owned).await?;
        if self.unbooked_works(work).await? {
            let (due, what) =
                (self.next_look(work), "an order that a flatten sent without the books still works");
            let progress = self.bare(work, work.view.state, &work.view.reason, what, Some(due));
            return self.write(work, progress).await;
        }
        let positions = match work.broker.positions().await {
            Ok(positions) => positions,
            Err(error) => return self.ask_again(work, &error).await,
        };
        let found = precheck_close(&work.view, exit, &owned, &positions);
        if found.is_mismatch {
            self.tell_mismatch(work, exit, &found).await?;
        }
        let legs = exit.terms.closing();
        let quotes = match self.leg_quotes(work, &legs).await {
            Ok(quotes) => quotes,
            Err(error) => return self.ask_again(work, &error).await,
        };
        let order = if found.is_mismatch { Order::WholeFirst } else { Order::ExcessFirst };
        match next(&found.confirmed, found.units, order, &unbid_wings(&legs, &quotes)) {
            Some(piece) => self.send_piece(work, exit, &found, piece, &quotes).await,
            None => self.missing_at_broker(work).await,
        }
    }

    /// Asks the structure's entry and its earlier exits to stop, and tells whether one still works: two orders of ours
    /// never work on one structure at once. A close of an imbalance is waited for.
    async fn earlier_combo_works(
        &self,
        work: &Work<'_, B::Account>,
        exit: &ComboExit,
    ) -> Result<bool, HandleError> {
        let now = self.clock.now();
        let mut waiting = false;
        for view in self.ledger.open_intents(&work.account).await? {
            let head = view.intent.head();
            let is_earlier = match &view.intent {
                OrderIntent::OpeningCombo(entry) => entry.head.id == exit.opening,
                OrderIntent::ClosingCombo(other) => {
                    let before =
                        (other.head.decided_at, other.head.id) < (exit.head.decided_at, exit.head.id);
                    other.opening == exit.opening && before
                }
                OrderIntent::Opening(_) | OrderIntent::Closing(_) => false,
            };
            if !is_earlier {
                continue;
            }
            waiting = true;
            let is_stopped = view.stop_requested || head.action == Action::Balance;
            if !is_stopped && exit.head.action != Action::Balance {
                self.ledger.request_stop(&work.account, head.id, now).await?;
            }
        }
        Ok(waiting)
    }

    /// A flatten without the database sends orders under the tag of its exit that no row stands for yet: while one works
    /// nothing else is sent. It is asked to end.
    async fn unbooked_works(&self, work: &Work<'_, B::Account>) -> Result<bool, HandleError> {
        let head = work.view.intent.head();
        if !matches!(head.origin, Origin::Flatten(_)) {
            return Ok(false);
        }
        // Without an answer nothing is known to work; the positions that are asked for next decide.
        let orders = work.broker.orders().await.unwrap_or_default();
        let is_unbooked = |it: &&BrokerOrder| {
            let tag = it.tag.filter(|tag| tag.intent == head.id);
            let known = |no| work.view.attempts.iter().any(|it| it.no == no);
            tag.is_some_and(|tag| !known(tag.attempt)) && !it.status.is_final()
        };
        let mut works = false;
        for order in orders.iter().filter(is_unbooked) {
            works = true;
            // None of a cancel's answers is a verdict: the next step reads the list again.
            drop(work.broker.cancel(order.id).await);
        }
        Ok(works)
    }

    /// Sends one piece with the proof that it is held and leaves no short without its long.
    async fn send_piece(
        &self,
        work: &Work<'_, B::Account>,
        exit: &ComboExit,
        found: &Confirmed,
        piece: Piece,
        quotes: &[Option<OptionQuote>],
    ) -> Result<(), HandleError> {
        let desk = Desk { ledger: self.ledger, broker: work.broker, clock: self.clock };
        // A short that only our books hold still needs its long, until the broker was asked often enough.
        let held = if found.is_believed { signed(&found.confirmed) } else { signed(&found.held) };
        let legs = piece_legs(exit, &piece);
        let Some(rung) = self.piece_rung(work, exit, &legs, quotes).await? else { return Ok(()) };
        let slot = self.slot_at(work, rung.net.magnitude(), rung.due, None);
        let id = exit.head.id;
        let touches = touches(&exit.terms.closing(), quotes);
        let at = NetAt { net: rung.net, touches: &touches };
        match piece {
            Piece::Whole(units) => match CoveredClose::check(&legs, units, &held) {
                Ok(covered) => self.submitted(desk.submit_combo_close(id, covered, slot, at).await),
                Err(error) => Err(HandleError::Poison(error.to_string())),
            },
            Piece::Leg(leg) => match LegClose::check(leg.leg.series, leg.contracts, &held) {
                Ok(close) => self.submitted(desk.submit_leg_close(id, close, slot, at).await),
                // The broker may not show the short yet that this long covers.
                Err(_) => self.missing_at_broker(work).await,
            },
        }
    }

    /// Where the order for a piece starts, or goes on where one for the same legs ended; `None` after the last trade,
    /// where the exit ends.
    async fn piece_rung(
        &self,
        work: &Work<'_, B::Account>,
        exit: &ComboExit,
        legs: &[ComboLeg],
        quotes: &[Option<OptionQuote>],
    ) -> Result<Option<Rung>, HandleError> {
        let now = self.clock.now();
        let terms = exit_terms(&work.view, exit, legs, now)?;
        let unit = exit.terms.closing();
        let quoted: Vec<Option<OptionQuote>> = legs
            .iter()
            .map(|leg| {
                let place = unit.iter().position(|it| it.series == leg.series);
                place.and_then(|n| quotes.get(n).copied()).flatten()
            })
            .collect();
        let quote = net_quote(legs, &quoted);
        let last = work.view.last_attempt().and_then(|it| Some((it, it.combo.as_ref()?)));
        let same = last.filter(|(_, combo)| is_of(combo, legs));
        let next = match same {
            Some((last, combo)) => walk::next(&terms, (combo.net, last.rung, last.repriced_at), &quote, now),
            None => walk::first(&terms, &quote, now),
        };
        match next {
            Next::Rung(rung) => Ok(Some(rung)),
            Next::Stop(walk_reason) if now < terms.until => {
                // Nobody offers what has to be bought: nothing can be sent, and it is looked at again.
                let due = now.plus(crate::ASK_AGAIN);
                let what = format!("no price to close at: {}", walk_reason.as_str());
                let progress = self.bare(work, work.view.state, &work.view.reason, &what, Some(due));
                self.write(work, progress).await?;
                Ok(None)
            }
            Next::Stop(reason) => {
                let progress =
                    self.bare(work, IntentState::Done, reason.as_str(), "the plan ends here", None);
                self.write(work, progress).await?;
                Ok(None)
            }
        }
    }

    /// Our books and the broker differ before a close: told, and left to reconciliation beside what is confirmed.
    async fn tell_mismatch(
        &self,
        work: &Work<'_, B::Account>,
        exit: &ComboExit,
        found: &Confirmed,
    ) -> Result<(), HandleError> {
        let words = |held: &[LegHeld]| {
            let legs: Vec<String> =
                held.iter().map(|it| format!("{} {}", it.quantity(), it.leg.series)).collect();
            legs.join(", ")
        };
        let alert = Message::Alert {
            key: format!("precheck_close:{}", exit.head.id),
            level: "critical".to_owned(),
            text: format!(
                "before closing a structure of account {}: our books hold {}, the broker confirms {}; what it \
                 confirms is closed",
                work.account.account,
                words(&found.held),
                words(&found.confirmed)
            ),
        };
        Ok(self.ledger.send_later(Queue::Alerts, &alert, self.clock.now()).await?)
    }

    /// An imbalance that stands for a minute is critical.
    async fn tell_unbalanced(
        &self,
        work: &Work<'_, B::Account>,
        exit: &ComboExit,
        owned: &OwnedCombo,
    ) -> Result<(), HandleError> {
        let now = self.clock.now();
        let since = match exit.head.action {
            Action::Balance => Some(exit.head.decided_at),
            // Of its own making: since its last order that executed out of ratio.
            Action::Enter
            | Action::TakeProfit1
            | Action::TakeProfit2
            | Action::Stop
            | Action::Terminal
            | Action::Flatten
            | Action::ProtectT1
            | Action::ProtectRunner
            | Action::Emergency => unbalanced_since(&work.view),
        };
        let is_late = since.is_some_and(|it| now.since(it) >= BALANCED_WITHIN);
        if !is_late || excess(&owned.held()).is_empty() {
            return Ok(());
        }
        self.tell_not_resolved(work, exit.opening).await
    }

    pub(crate) async fn tell_not_resolved(
        &self,
        work: &Work<'_, B::Account>,
        opening: domain::ids::IntentId,
    ) -> Result<(), HandleError> {
        let alert = Message::Alert {
            key: format!("partial_fill_not_resolved:{opening}"),
            level: "critical".to_owned(),
            text: format!(
                "a structure of account {} has been out of balance for over a minute: close its excess legs by hand",
                work.account.account
            ),
        };
        Ok(self.ledger.send_later(Queue::Alerts, &alert, self.clock.now()).await?)
    }
}

/// When the last order of an exit that executed out of ratio was sent.
fn unbalanced_since(view: &IntentView) -> Option<UtcNanos> {
    let out_of_ratio = |it: &&Attempt| it.combo.as_ref().is_some_and(|combo| !combo.is_balanced());
    view.attempts.iter().rev().find(out_of_ratio).map(|it| it.repriced_at)
}

/// Whether an exit has something to do: what is out of balance, and unless that is all it is for, whole units.
fn is_left(view: &IntentView, exit: &ComboExit, owned: &OwnedCombo) -> bool {
    !excess(&owned.held()).is_empty() || units_left(view, exit, owned) > 0
}

/// Whole units that an exit still has to close: its amount is of what the entry filled, and what the exit closed already
/// is part of it.
fn units_left(view: &IntentView, exit: &ComboExit, owned: &OwnedCombo) -> u32 {
    if exit.head.action == Action::Balance {
        return 0;
    }
    let held = owned.held();
    let closed_here = |leg: &LegHeld| {
        let fills = view.fills.iter().filter(|it| it.series == leg.leg.series);
        fills.fold(0u32, |sum, it| sum.saturating_add(it.contracts()))
    };
    let before: Vec<LegHeld> = held
        .iter()
        .map(|it| LegHeld { contracts: it.contracts.saturating_add(closed_here(it)), ..*it })
        .collect();
    let before = whole_units(&before);
    let kept = before.saturating_sub(exit.amount.of(whole_units(&owned.opened()), before));
    whole_units(&held).saturating_sub(kept)
}

/// Our books against the broker's positions, before any close. One owner per series: a leg is this structure's alone.
fn precheck_close(
    view: &IntentView,
    exit: &ComboExit,
    owned: &OwnedCombo,
    positions: &[BrokerPosition],
) -> Confirmed {
    let held = owned.held();
    let shown: Vec<HeldLeg> =
        positions.iter().map(|it| HeldLeg { series: it.series, quantity: it.quantity }).collect();
    let confirmed = confirmed(&held, &shown);
    let is_mismatch = confirmed != held;
    let units = units_left(view, exit, owned);
    let is_believed = !is_mismatch || looks(view) + 1 >= MISSING_LOOKS_MAX;
    Confirmed { held, confirmed, units, is_mismatch, is_believed }
}

/// The legs of the order for a piece.
fn piece_legs(exit: &ComboExit, piece: &Piece) -> Vec<ComboLeg> {
    match piece {
        Piece::Whole(_) => exit.terms.closing(),
        Piece::Leg(leg) => {
            vec![ComboLeg { series: leg.leg.series, side: leg.leg.side.opposite(), ratio: 1 }]
        }
    }
}

/// Whether an order was one for these legs.
fn is_of(combo: &ComboAttempt, legs: &[ComboLeg]) -> bool {
    combo.legs.iter().map(LegExecution::leg).eq(legs.iter().copied())
}

/// How a piece of an exit is walked: whole units by the exit's plan, since it started; a leg on its own at once.
pub(crate) fn exit_terms(
    view: &IntentView,
    exit: &ComboExit,
    legs: &[ComboLeg],
    now: UtcNanos,
) -> Result<Terms, HandleError> {
    let width = exit.terms.width();
    let (plan, lone) = match legs {
        [leg] => (Plan::Urgent { width: None }, Some(leg.side.side())),
        // A flatten at once is no patient one.
        _ if exit.reason == AT_ONCE => (Plan::Urgent { width: Some(width) }, None),
        _ => (Plan::for_exit(exit.head.action, width), None::<Side>),
    };
    let until = last_trade(&exit.head.series).map_err(|it| HandleError::Poison(it.to_string()))?;
    let grid = walk::grid(legs, &exit.head.series, now);
    Ok(Terms { plan, grid, lone, started_at: started_at(view, now), until })
}
