//! The report of a session: what was traded at which prices, what was refused and why, and whether it ended flat and
//! reconciled. Profit and loss come from fills alone; a price the broker has not named yet leaves them open.
//!
//! Amounts are in 1/10,000 dollar, prices per share.

use std::fmt::Write as _;

use domain::account::AccountRef;
use domain::books::SETTLEMENT;
use domain::calendar::Session;
use domain::combo::{OwnedCombo, OwnedLeg};
use domain::expiry::Expiry;
use domain::ids::{IntentId, SetupId};
use domain::intent::{IntentState, OpeningIntent, OrderIntent};
use domain::money::{CONTRACT_MULTIPLIER, Side, TickGrid, Usd};
use domain::ports::{DayBook, Difference, IntentView, SetupBook};
use domain::position::{Fill, FillSource, Owned};
use domain::setup::{Direction, SetupKind, SetupState};
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::Serialize;

use crate::flatten::stops_trading;

mod structures;
pub use structures::{LegLine, StructureLine};

/// A session over all accounts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DailyReport {
    /// The session.
    pub session: Date,
    /// Whether it closed early.
    pub short: bool,
    /// Setups in order of forming.
    pub setups: Vec<SetupLine>,
    /// One report for each account, in the order given.
    pub accounts: Vec<AccountReport>,
    /// All accounts together.
    pub totals: Totals,
}

/// How a setup ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetupLine {
    /// The setup.
    pub id: SetupId,
    /// Its detector.
    pub kind: SetupKind,
    /// Up or down.
    pub direction: Direction,
    /// Where it stands.
    pub state: SetupState,
    /// Why it stands there.
    pub reason: String,
    /// When it was first seen.
    pub formed_at: UtcNanos,
    /// When it triggered.
    pub triggered_at: Option<UtcNanos>,
}

/// A session of one account.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountReport {
    /// Whose.
    pub account: AccountRef,
    /// Entries that filled, in order of decision, with their exits.
    pub trades: Vec<TradeLine>,
    /// Structures that were opened, held or closed, leg by leg.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub structures: Vec<StructureLine>,
    /// Intents that were not sent, with the reason.
    pub refused: Vec<RefusedLine>,
    /// Sums.
    pub totals: Totals,
    /// Whether nothing of ours is held in series that stopped trading.
    pub flat: bool,
    /// Whether a reconciliation ran and found no fault.
    pub reconciled: bool,
    /// When it ran.
    pub reconciled_at: Option<UtcNanos>,
    /// What it found.
    pub differences: Vec<Difference>,
    /// Equity in the first and the last balances of the day.
    pub equity: Option<(Usd, Usd)>,
    /// What was held past its last trade: provisional until the broker showed what became of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expiries: Vec<Expiry>,
}

/// Sums over trades.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Entries that filled.
    pub trades: u32,
    /// Contracts bought.
    pub contracts: u32,
    /// Intents decided.
    pub intents: u32,
    /// Intents blocked or recorded only.
    pub refused: u32,
    /// Orders sent.
    pub orders: u32,
    /// Fills recorded.
    pub fills: u32,
    /// Realised, without charges.
    pub realized_gross: Usd,
    /// Charges.
    pub fees: Usd,
    /// Realised less charges.
    pub realized_net: Usd,
    /// What entries cost beyond mid at their decision.
    pub slippage: Usd,
    /// Trades whose realised figure lacks a price and is not in the sums.
    pub unpriced: u32,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.trades = self.trades.saturating_add(other.trades);
        self.contracts = self.contracts.saturating_add(other.contracts);
        self.intents = self.intents.saturating_add(other.intents);
        self.refused = self.refused.saturating_add(other.refused);
        self.orders = self.orders.saturating_add(other.orders);
        self.fills = self.fills.saturating_add(other.fills);
        self.realized_gross += other.realized_gross;
        self.fees += other.fees;
        self.realized_net += other.realized_net;
        self.slippage += other.slippage;
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
    }
}

/// An entry with its exits.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TradeLine {
    /// The entry's intent.
    pub opening: IntentId,
    /// Its setup's detector.
    pub kind: SetupKind,
    /// Up or down.
    pub direction: Direction,
    /// The series.
    pub series: OccSymbol,
    /// Contracts bought.
    pub contracts: u32,
    /// Contracts still held.
    pub held: u32,
    /// When it was decided.
    pub decided_at: UtcNanos,
    /// Mid when it was decided, in dollars a share.
    pub decision_mid: f64,
    /// Average price paid per share; `None` until the broker says.
    pub entry_price: Option<Usd>,
    /// Paid beyond mid, in ticks of the grid at that price. Negative is better than mid.
    pub slippage_ticks: Option<f64>,
    /// Paid beyond mid, in money over all contracts.
    pub slippage: Option<Usd>,
    /// Limits the walk stood at.
    pub rungs: u32,
    /// From the first mark to the last fill, in milliseconds.
    pub time_to_fill_ms: Option<i64>,
    /// How it was closed, in order of filling.
    pub exits: Vec<ExitLine>,
    /// Charges of entry and exits.
    pub fees: Usd,
    /// Received less the average cost of what was sold; `None` while a price is missing.
    pub realized_gross: Option<Usd>,
    /// That less charges.
    pub realized_net: Option<Usd>,
    /// Net result over the planned loss.
    pub r_multiple: Option<f64>,
}

/// A part of a position that was closed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExitLine {
    /// `take_profit_1`, `stop`, `flatten`, `settlement` ...
    pub action: String,
    /// The closing intent's reason.
    pub reason: String,
    /// Contracts of this entry it closed.
    pub contracts: u32,
    /// Average price per share; `None` until the broker says.
    pub price: Option<Usd>,
    /// Limits the walk stood at; 0 for a settlement.
    pub rungs: u32,
    /// When the last of them filled.
    pub at: UtcNanos,
}

/// An intent that was not sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedLine {
    /// The intent.
    pub intent: IntentId,
    /// `enter` and so on.
    pub action: String,
    /// The series.
    pub series: OccSymbol,
    /// When it was decided.
    pub decided_at: UtcNanos,
    /// `blocked`, `would_submit`, or `done` where an entry never filled.
    pub state: String,
    /// Why.
    pub reason: String,
}

impl DailyReport {
    /// Reports a session.
    pub fn build(books: &[DayBook], setups: &[SetupBook], session: &Session) -> Self {
        let accounts: Vec<_> = books.iter().map(|it| AccountReport::build(it, session)).collect();
        let mut totals = Totals::default();
        for account in &accounts {
            totals.add(&account.totals);
        }
        let setups = setups.iter().map(setup_line).collect();
        Self { session: session.date, short: session.short, setups, accounts, totals }
    }

    /// Whether every account is flat and reconciled.
    pub fn is_clean(&self) -> bool {
        self.accounts.iter().all(|it| it.flat && it.reconciled)
    }

    /// The report for a terminal.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let early = if self.short { ", short day" } else { "" };
        line(&mut text, format_args!("Session {}{early}: {} setups", self.session, self.setups.len()));
        for setup in &self.setups {
            line(
                &mut text,
                format_args!(
                    "  {}  {} {:<5}  {} ({})",
                    clock(setup.formed_at),
                    setup.kind.as_str(),
                    setup.direction.as_str(),
                    setup.state.as_str(),
                    setup.reason
                ),
            );
        }
        for account in &self.accounts {
            text.push('\n');
            text.push_str(&account.to_text());
        }
        if self.accounts.len() > 1 {
            text.push('\n');
            line(&mut text, format_args!("All accounts: {}", sums(&self.totals)));
        }
        text
    }
}

impl AccountReport {
    /// Reports a session of one account.
    pub fn build(book: &DayBook, session: &Session) -> Self {
        let trades = trades(book);
        let structures: Vec<_> = book.structures.iter().map(StructureLine::of).collect();
        let refused: Vec<_> = book.intents.iter().filter_map(refused).collect();
        let totals = totals(book, &trades, &structures, &refused);
        let is_leg_open = |it: &OwnedLeg| it.held() > 0 && stops_trading(&it.leg.series, session);
        let is_structure_open = |it: &OwnedCombo| it.legs.iter().any(is_leg_open);
        let is_open = |it: &Owned| it.held() > 0 && stops_trading(&it.series, session);
        let no_fault = !book.differences.iter().any(|it| it.kind.is_fault());
        let equity = book.snapshots.first().zip(book.snapshots.last());
        Self {
            account: book.account,
            trades,
            structures,
            refused,
            totals,
            flat: !book.owned.iter().any(is_open) && !book.structures.iter().any(is_structure_open),
            reconciled: book.reconciled_at.is_some() && no_fault,
            reconciled_at: book.reconciled_at,
            differences: book.differences.clone(),
            equity: equity.map(|(a, b)| (a.balances.total_equity, b.balances.total_equity)),
            expiries: book.expiries.clone(),
        }
    }

    /// The account's part for a terminal.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let flat = if self.flat { "flat" } else { "NOT FLAT" };
        let reconciled = if self.reconciled { "reconciled" } else { "NOT RECONCILED" };
        let environment = self.account.environment.as_str();
        line(
            &mut text,
            format_args!("Account {} ({environment}): {flat}, {reconciled}", self.account.account),
        );
        for trade in &self.trades {
            trade.write(&mut text);
        }
        for structure in &self.structures {
            structure.write(&mut text);
        }
        for it in &self.refused {
            let at = clock(it.decided_at);
            line(&mut text, format_args!("  {at}  {} {}  {}: {}", it.action, it.series, it.state, it.reason));
        }
        for it in &self.differences {
            let kind = it.kind.as_str();
            let (ours, broker) = (&it.ours, &it.broker);
            line(
                &mut text,
                format_args!("  {kind}: {} (ours: {ours}; broker: {broker}) -> {}", it.about, it.cure),
            );
        }
        for it in &self.expiries {
            let provisional = if it.status.is_provisional() { " (provisional)" } else { "" };
            let cash = it.cash().map_or_else(|| "not known yet".to_owned(), |it| it.to_string());
            let (status, series, contracts) = (it.status.as_str(), it.series, it.contracts);
            line(&mut text, format_args!("  {status}: {contracts} {series}, cash {cash}{provisional}"));
        }
        line(&mut text, format_args!("  {}", sums(&self.totals)));
        if let Some((from, to)) = self.equity {
            line(&mut text, format_args!("  equity {from} -> {to}"));
        }
        text
    }
}

impl TradeLine {
    fn write(&self, text: &mut String) {
        let slip = self.slippage_ticks.map_or_else(|| "?".to_owned(), |it| format!("{it:+.1}"));
        let took =
            self.time_to_fill_ms.map_or_else(|| "?".to_owned(), |it| format!("{:.1}", it as f64 / 1e3));
        line(
            text,
            format_args!(
                "  {}  bought {} {} at {} ({slip} ticks to mid, {} rungs, {took} s)",
                clock(self.decided_at),
                self.contracts,
                self.series,
                money(self.entry_price),
                self.rungs
            ),
        );
        for exit in &self.exits {
            line(
                text,
                format_args!(
                    "  {}    sold {} at {} ({}: {})",
                    clock(exit.at),
                    exit.contracts,
                    money(exit.price),
                    exit.action,
                    exit.reason
                ),
            );
        }
        let r = self.r_multiple.map_or_else(String::new, |it| format!(", {it:+.2} R"));
        let held = if self.held > 0 { format!(", {} STILL HELD", self.held) } else { String::new() };
        let (net, fees) = (money(self.realized_net), self.fees);
        line(text, format_args!("            net {net} after {fees} fees{r}{held}"));
    }
}

/// Appends a line. Writing to a text cannot fail.
fn line(text: &mut String, args: std::fmt::Arguments<'_>) {
    if text.write_fmt(args).is_ok() {
        text.push('\n');
    }
}

fn clock(at: UtcNanos) -> String {
    at.new_york().strftime("%H:%M:%S").to_string()
}

fn money(amount: Option<Usd>) -> String {
    amount.map_or_else(|| "(no price yet)".to_owned(), |it| it.to_string())
}

fn sums(it: &Totals) -> String {
    let open = if it.unpriced > 0 { format!(", {} without a price", it.unpriced) } else { String::new() };
    format!(
        "{} trades, {} contracts, {} orders, {} fills, {} refused; gross {}, fees {}, net {}, slippage {}{open}",
        it.trades,
        it.contracts,
        it.orders,
        it.fills,
        it.refused,
        it.realized_gross,
        it.fees,
        it.realized_net,
        it.slippage
    )
}

fn setup_line(book: &SetupBook) -> SetupLine {
    let setup = &book.setup;
    SetupLine {
        id: setup.id,
        kind: setup.kind,
        direction: setup.direction,
        state: setup.state,
        reason: book.transitions.last().map_or_else(String::new, |it| it.reason.clone()),
        formed_at: setup.formed_at,
        triggered_at: setup.triggered_at,
    }
}

/// What was decided and not traded: refused by a gate, recorded only, or an entry that ended without a fill.
fn refused(view: &IntentView) -> Option<RefusedLine> {
    let is_missed = view.state == IntentState::Done && view.filled == 0 && view.intent.opens();
    let is_refused = matches!(view.state, IntentState::Blocked | IntentState::WouldSubmit) || is_missed;
    let head = view.intent.head();
    is_refused.then(|| RefusedLine {
        intent: head.id,
        action: head.action.as_str().to_owned(),
        series: head.series,
        decided_at: head.decided_at,
        state: if is_missed { "missed".to_owned() } else { view.state.as_str().to_owned() },
        reason: view.reason.clone(),
    })
}

fn totals(
    book: &DayBook,
    trades: &[TradeLine],
    structures: &[StructureLine],
    refused: &[RefusedLine],
) -> Totals {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let executions = |it: &IntentView| it.fills.iter().filter(|it| it.attempt != SETTLEMENT).count();
    Totals {
        trades: count(trades.len()).saturating_add(count(structures.len())),
        contracts: trades
            .iter()
            .map(|it| it.contracts)
            .chain(structures.iter().flat_map(|it| &it.legs).map(|it| it.opened))
            .sum(),
        intents: count(book.intents.len()),
        refused: count(refused.len()),
        orders: count(book.intents.iter().map(|it| it.attempts.len()).sum()),
        fills: count(book.intents.iter().map(executions).sum()),
        realized_gross: trades
            .iter()
            .filter_map(|it| it.realized_gross)
            .chain(structures.iter().filter_map(|it| it.realized_gross))
            .sum(),
        fees: trades.iter().map(|it| it.fees).chain(structures.iter().map(|it| it.fees)).sum(),
        realized_net: trades
            .iter()
            .filter_map(|it| it.realized_net)
            .chain(structures.iter().filter_map(|it| it.realized_net))
            .sum(),
        slippage: trades.iter().filter_map(|it| it.slippage).sum(),
        unpriced: count(trades.iter().filter(|it| it.realized_gross.is_none()).count())
            .saturating_add(count(structures.iter().filter(|it| it.realized_gross.is_none()).count())),
    }
}

/// One line for each entry that filled, in order of decision.
fn trades(book: &DayBook) -> Vec<TradeLine> {
    let mut entries: Vec<(&IntentView, &OpeningIntent, &Owned)> = Vec::new();
    for view in &book.intents {
        let OrderIntent::Opening(opening) = &view.intent else { continue };
        if let Some(owned) = book.owned.iter().find(|it| it.opening == opening.head.id && it.bought > 0) {
            entries.push((view, opening, owned));
        }
    }
    entries.sort_by_key(|(_, opening, _)| (opening.head.decided_at, opening.head.id));
    let mut lines: Vec<TradeLine> =
        entries.into_iter().map(|(view, opening, owned)| trade(book, view, opening, owned)).collect();
    spread_flattens(book, &mut lines);
    for line in &mut lines {
        line.exits.sort_by_key(|it| it.at);
    }
    lines
}

fn trade(book: &DayBook, view: &IntentView, opening: &OpeningIntent, owned: &Owned) -> TradeLine {
    let bought: Vec<&Fill> = view.fills.iter().filter(|it| it.side == Side::Buy).collect();
    let entry_price = average(&bought);
    let mid = opening.market.bid.mid(opening.market.ask);
    let beyond = entry_price.map(|it| it.to_f64() - mid);
    let shares = f64::from(owned.bought) * CONTRACT_MULTIPLIER as f64;
    let grid = TickGrid::single_leg(&owned.series.root, book.session);
    let tick = grid.up(opening.market.bid).to_f64() - grid.floor(opening.market.bid).to_f64();
    let realized_gross = (!owned.price_missing).then(|| owned.realized());
    let realized_net = realized_gross.map(|it| it - owned.fees);
    let planned = opening.risk_per_contract.times(i64::from(owned.bought));
    let first_mark = view.attempts.first().map(|it| it.marked_at);
    let last_fill = bought.iter().map(|it| it.at).max();
    TradeLine {
        opening: opening.head.id,
        kind: opening.kind,
        direction: opening.direction,
        series: owned.series,
        contracts: owned.bought,
        held: owned.held(),
        decided_at: opening.head.decided_at,
        decision_mid: mid,
        entry_price,
        slippage_ticks: beyond.filter(|_| tick > 0.0).map(|it| it / tick),
        slippage: beyond.map(|it| Usd::from_e4((it * shares * 1e4).round() as i64)),
        rungs: rungs(view),
        time_to_fill_ms: first_mark.zip(last_fill).map(|(from, to)| to.millis() - from.millis()),
        exits: named_exits(book, view, opening.head.id),
        fees: owned.fees,
        realized_gross,
        realized_net,
        r_multiple: realized_net
            .filter(|_| planned > Usd::ZERO && owned.held() == 0)
            .map(|it| it.to_f64() / planned.to_f64()),
    }
}

/// Exits that name their entry, and its settlement.
fn named_exits(book: &DayBook, entry: &IntentView, opening: IntentId) -> Vec<ExitLine> {
    let settled: Vec<&Fill> = entry.fills.iter().filter(|it| it.attempt == SETTLEMENT).collect();
    let by_hand = settled.iter().any(|it| it.source == FillSource::Handover);
    let (action, reason) =
        if by_hand { ("handover", "taken back by its owner") } else { ("settlement", "cash settlement") };
    let settled = exit_line(action, reason, &settled, 0);
    let closings = book.intents.iter().filter_map(|view| match &view.intent {
        OrderIntent::Closing(it) if it.opening == Some(opening) => Some((view, it)),
        OrderIntent::Closing(_)
        | OrderIntent::Opening(_)
        | OrderIntent::OpeningCombo(_)
        | OrderIntent::ClosingCombo(_) => None,
    });
    let closed = closings.filter_map(|(view, it)| {
        let fills: Vec<&Fill> = view.fills.iter().collect();
        exit_line(it.head.action.as_str(), &it.reason, &fills, rungs(view))
    });
    closed.chain(settled).collect()
}

/// A flatten closes whatever is held of a series: its fills go to the series' entries, the oldest first, as in the books.
fn spread_flattens(book: &DayBook, lines: &mut [TradeLine]) {
    for view in &book.intents {
        let OrderIntent::Closing(closing) = &view.intent else { continue };
        if closing.opening.is_some() {
            continue;
        }
        let fills: Vec<&Fill> = view.fills.iter().collect();
        let Some(whole) = exit_line(closing.head.action.as_str(), &closing.reason, &fills, rungs(view))
        else {
            continue;
        };
        let mut left = whole.contracts;
        for line in lines.iter_mut().filter(|it| it.series == closing.head.series) {
            let closed: u32 = line.exits.iter().map(|it| it.contracts).sum();
            let part = line.contracts.saturating_sub(line.held).saturating_sub(closed).min(left);
            if part > 0 {
                left = left.saturating_sub(part);
                line.exits.push(ExitLine { contracts: part, ..whole.clone() });
            }
        }
    }
}

fn exit_line(action: &str, reason: &str, fills: &[&Fill], rungs: u32) -> Option<ExitLine> {
    Some(ExitLine {
        action: action.to_owned(),
        reason: reason.to_owned(),
        contracts: fills.iter().map(|it| it.contracts()).sum(),
        price: average(fills),
        rungs,
        at: fills.iter().map(|it| it.at).max()?,
    })
}

/// Average price per share; `None` where one is missing or nothing traded.
fn average(fills: &[&Fill]) -> Option<Usd> {
    let contracts: u32 = fills.iter().map(|it| it.contracts()).sum();
    let worth: Option<Usd> =
        fills.iter().map(|it| it.price.map(|p| p.times(i64::from(it.contracts())))).sum();
    worth.filter(|_| contracts > 0).map(|it| it.scaled(1, i64::from(contracts)))
}

/// Limits an intent's orders stood at.
fn rungs(view: &IntentView) -> u32 {
    view.attempts.iter().map(|it| u32::from(it.rung) + 1).sum()
}

#[cfg(test)]
mod tests;
