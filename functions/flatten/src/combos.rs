//! Structures in a flatten: closed whole as one combination, a long wing never before its short.
//!
//! With the books up a structure is handed to the order router: its exit is written once and worked there like every other,
//! and the pass looks until it is flat. With the books down the pass closes it itself, piece by piece, by derived tags.

use desk::{Desk, LookedUp};
use domain::combo::{Decided, LegHeld, Order, Piece, combo_flatten_id, confirmed, next, signed, whole_units};
use domain::ids::{AttemptNo, IntentId, OrderTag};
use domain::intent::{Action, CloseAmount, OrderIntent, Origin};
use domain::market::OptionQuote;
use domain::money::Side;
use domain::order::BrokerOrder;
use domain::ports::{
    BrokerPort, Brokers, Clock, HandleError, Ledger, NewIntent, NotedCombo, OwnedNotes, Secrets, Sender,
};
use domain::symbol::OccSymbol;
use domain::ticket::{ComboLeg, ComboTerms, CoveredClose, HeldLeg, LegClose, LegSide, Net};
use domain::time::UtcNanos;
use engine::combo::walk::{self, Next, Plan, Terms, net_quote, unbid_wings};
use engine::flatten::{self as plan, starts_at};

use crate::{Flatten, Pass, Seen, number};

/// Whether a structure is this flatten's to close.
pub(crate) fn is_due<A>(pass: &Pass<'_, A>, combo: &NotedCombo) -> bool {
    combo.terms.legs().first().is_some_and(|it| crate::is_due(pass, &it.series))
}

/// Whether a structure has a leg in `series`.
pub(crate) fn has(combo: &NotedCombo, series: &OccSymbol) -> bool {
    combo.terms.legs().iter().any(|it| it.series == *series)
}

/// Structures by today's tagged orders alone: each entry of several legs is one, less what closes executed since. The
/// last resort, with the books and the notes both gone.
pub(crate) fn by_orders<A>(pass: &Pass<'_, A>, orders: &[BrokerOrder]) -> Vec<NotedCombo> {
    let ours = || orders.iter().filter_map(|it| it.tag.map(|tag| (tag, it)));
    let closed = |series: &OccSymbol| {
        let legs = ours().flat_map(|(_, it)| &it.legs);
        legs.filter(|leg| leg.series == *series && !leg.opens)
            .fold(0u32, |sum, leg| sum.saturating_add(leg.executed))
    };
    let combo = |(tag, order): (OrderTag, &BrokerOrder)| {
        if order.legs.len() < 2 || order.legs.iter().any(|it| !it.opens) {
            return None;
        }
        let smallest = order.legs.iter().map(|it| it.quantity).fold(0, gcd);
        let leg = |it: &domain::order::BrokerLeg| {
            let side = match it.side {
                Side::Buy => LegSide::BuyToOpen,
                Side::Sell => LegSide::SellToOpen,
            };
            Some(ComboLeg { series: it.series, side, ratio: it.quantity.checked_div(smallest)? })
        };
        let legs: Vec<ComboLeg> = order.legs.iter().filter_map(leg).collect();
        let held = order.legs.iter().map(|it| it.executed.saturating_sub(closed(&it.series))).collect();
        // Which net it was opened at decides nothing here: any that proves the bound will do.
        let nets = [Net::EVEN, Net::from_cents(1), Net::from_cents(-1)];
        let terms = nets.into_iter().find_map(|net| ComboTerms::check(legs.clone(), net).ok())?;
        Some(NotedCombo { opening: tag.intent, terms, held })
    };
    ours().filter_map(combo).filter(|it| is_due(pass, it)).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl<L: Ledger, B: Brokers, C: Clock, N: OwnedNotes, S: Secrets, Q: Sender> Flatten<'_, L, B, C, N, S, Q> {
    /// Structures of ours that stop trading in this session and are not flat, from the books.
    pub(crate) async fn structures(
        &self,
        pass: &Pass<'_, B::Account>,
    ) -> Result<Vec<NotedCombo>, HandleError> {
        let owned = self.ledger.structures(&pass.account, pass.session.date).await?;
        let open = owned.iter().filter(|it| !it.is_flat()).map(NotedCombo::of);
        Ok(open.filter(|it| is_due(pass, it)).collect())
    }

    /// Closes what is due of `structures`. When the next pass has to look; `None` when nothing is open, or after the
    /// close, when settlement books what is left.
    pub(crate) async fn close_structures(
        &self,
        pass: &Pass<'_, B::Account>,
        seen: &Seen,
        structures: &[NotedCombo],
        may_send: bool,
    ) -> Result<Option<UtcNanos>, HandleError> {
        let now = self.clock.now();
        let mut due: Option<UtcNanos> = None;
        if now >= pass.session.close {
            return Ok(due);
        }
        for combo in structures {
            let Some(first) = combo.terms.legs().first() else { continue };
            let starts = starts_at(&first.series, &pass.session, self.minutes(pass));
            let look = if now < starts { starts } else { now.plus(plan::RUNG).min(pass.session.close) };
            due = Some(due.map_or(look, |it| it.min(look)));
            if now < starts {
                continue;
            }
            if pass.fence.is_some() {
                self.hand_over(pass, combo).await?;
            } else {
                self.close_by_tag(pass, seen, combo, may_send).await?;
            }
        }
        Ok(due)
    }

    /// Writes the exit that takes a structure over from every other intent of it. Written again it is the same one.
    async fn hand_over(&self, pass: &Pass<'_, B::Account>, combo: &NotedCombo) -> Result<(), HandleError> {
        let now = self.clock.now();
        let Some(view) = self.ledger.intent(&pass.account, combo.opening).await? else { return Ok(()) };
        let OrderIntent::OpeningCombo(entry) = &view.intent else { return Ok(()) };
        let origin = Origin::Flatten(pass.session.date);
        let by = Decided { account: entry.head.account, origin, sequence: 0, at: now };
        let reason = if pass.at_once { "flatten_now" } else { "session_end" };
        let exit = entry.exit(by, Action::Flatten, CloseAmount::All, reason);
        let new = NewIntent::ready(OrderIntent::ClosingCombo(exit), now);
        self.ledger.record_intent(&new).await?;
        Ok(())
    }

    /// Sends the next piece of a structure with the books down. While an order of ours works on it, it is cancelled and
    /// confirmed first.
    async fn close_by_tag(
        &self,
        pass: &Pass<'_, B::Account>,
        seen: &Seen,
        combo: &NotedCombo,
        may_send: bool,
    ) -> Result<(), HandleError> {
        let working = seen.orders.iter().filter(|it| {
            it.tag.is_some() && !it.status.is_final() && it.legs.iter().any(|leg| has(combo, &leg.series))
        });
        let mut is_working = false;
        for order in working {
            is_working = true;
            // None of a cancel's answers is a verdict: the next pass reads the order.
            drop(pass.broker.cancel(order.id).await);
        }
        let now = self.clock.now();
        let tag = tag(pass, combo.opening, seen.orders_at);
        let looked_up = LookedUp { tag, at: seen.orders_at };
        if !may_send || is_working || seen.orders.iter().any(|it| it.tag == Some(tag)) {
            return Ok(());
        }
        let shown: Vec<HeldLeg> =
            seen.positions.iter().map(|it| HeldLeg { series: it.series, quantity: it.quantity }).collect();
        // The note may be older than a fill: what the broker shows beyond it is not ours to close.
        let held = confirmed(&combo.held(), &shown);
        let legs = combo.terms.closing();
        let quotes: Vec<Option<OptionQuote>> = legs.iter().map(|it| quote_of(seen, &it.series)).collect();
        let unbid = unbid_wings(&legs, &quotes);
        let Some(piece) = next(&held, whole_units(&held), Order::WholeFirst, &unbid) else { return Ok(()) };
        let desk = Desk { ledger: self.ledger, broker: pass.broker, clock: self.clock };
        // Whatever comes back, the next pass looks the tag up before it offers again.
        match piece {
            Piece::Whole(units) => {
                let net = price(pass, combo, &legs, &quotes, now);
                let covered = CoveredClose::check(&legs, units, &signed(&held)).ok();
                if let (Some(net), Some(covered)) = (net, covered) {
                    drop(desk.submit_combo_by_tag(covered, looked_up, net).await);
                }
            }
            Piece::Leg(LegHeld { leg, contracts }) => {
                let lone = [ComboLeg { side: leg.side.opposite(), ratio: 1, ..leg }];
                let net = price(pass, combo, &lone, &[quote_of(seen, &leg.series)], now);
                let close = LegClose::check(leg.series, contracts, &signed(&held)).ok();
                if let (Some(net), Some(close)) = (net, close) {
                    drop(desk.submit_leg_by_tag(close, looked_up, net).await);
                }
            }
        }
        Ok(())
    }
}

fn quote_of(seen: &Seen, series: &OccSymbol) -> Option<OptionQuote> {
    seen.quotes.iter().find(|it| it.0 == *series).map(|it| it.1)
}

/// The natural price of the legs, at most the width; `None` where nobody offers what must be bought.
fn price<A>(
    pass: &Pass<'_, A>,
    combo: &NotedCombo,
    legs: &[ComboLeg],
    quotes: &[Option<OptionQuote>],
    now: UtcNanos,
) -> Option<Net> {
    let first = legs.first()?;
    let is_lone = legs.len() == 1;
    let terms = Terms {
        plan: Plan::Urgent { width: (!is_lone).then(|| combo.terms.width()) },
        grid: walk::grid(legs, &first.series, now),
        lone: is_lone.then(|| first.side.side()),
        started_at: now,
        until: pass.session.close,
    };
    match walk::first(&terms, &net_quote(legs, quotes), now) {
        Next::Rung(rung) => Some(rung.net),
        Next::Stop(_) => None,
    }
}

/// The tag of this pass: by account, structure, session and the pass's number.
fn tag<A>(pass: &Pass<'_, A>, opening: IntentId, at: UtcNanos) -> OrderTag {
    let intent = combo_flatten_id(pass.session.date, pass.account.account, opening);
    let no = u16::try_from(number(pass, at)).unwrap_or(u16::MAX);
    OrderTag { intent, attempt: AttemptNo(no.saturating_add(1)) }
}

/// A noted structure less what its flatten closed since the note was written.
pub(crate) fn since_noted<A>(pass: &Pass<'_, A>, noted: NotedCombo, seen: &Seen, at: UtcNanos) -> NotedCombo {
    let name = combo_flatten_id(pass.session.date, pass.account.account, noted.opening);
    let left = |(leg, held): (&ComboLeg, &u32)| {
        plan::left_of_note(&leg.series, *held, (&[name], at), &seen.orders, &seen.positions)
    };
    let held = noted.terms.legs().iter().zip(&noted.held).map(left).collect();
    NotedCombo { held, ..noted }
}
