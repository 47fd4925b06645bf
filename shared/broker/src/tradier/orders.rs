//! Reading, placing, changing and ending orders. Nothing here sends a POST twice.

use domain::account::Balances;
use domain::ids::{BrokerOrderId, OrderTag};
use domain::lookup::{self, Sought, TagLookup};
use domain::market::OptionQuote;
use domain::money::Price;
use domain::order::{BrokerOrder, Ticket, TicketPurpose};
use domain::planted::{self, Bug};
use domain::ports::{BrokerError, BrokerPort, CancelAnswer, Clock, MarketNow};
use domain::position::BrokerPosition;
use domain::symbol::OccSymbol;
use domain::ticket::{BracketTicket, ComboPurpose, ComboTicket, MarketTicket, ProtectiveTicket, StopLimit};
use domain::time::UtcNanos;

use std::time::Duration;

use super::forms::{self, Form};
use super::{ENTRY_AGE_MAX, Tradier};
use crate::budget::{Group, Purpose};
use crate::json::Unreadable;
use crate::reply::{self, Verdict};
use crate::rows::{self, OrderDetail, Preview};
use crate::transport::{Method, Request, Transport};

/// Orders asked for in one page: all the broker gives.
const PAGE_LIMIT: usize = 1_500;

/// Pages asked for at most: 30,000 orders a day.
const PAGES_MAX: u32 = 20;

/// What a change moves. What is not in it stays: quantity, symbol, side and legs cannot be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// A new limit, or net price.
    pub price: Option<Price>,
    /// A new stop.
    pub stop: Option<Price>,
}

/// An order's way out of this process: what it is for, and until when it may leave.
struct Leaving {
    purpose: Purpose,
    quantity: u32,
    marked_at: Option<UtcNanos>,
}

impl Leaving {
    const fn entry(quantity: u32, marked_at: UtcNanos) -> Self {
        Self { purpose: Purpose::Entry, quantity, marked_at: Some(marked_at) }
    }

    const fn exit(quantity: u32) -> Self {
        Self { purpose: Purpose::Exit, quantity, marked_at: None }
    }

    fn of(ticket: &Ticket) -> Self {
        match ticket.purpose() {
            TicketPurpose::BuyToOpen { marked_at } => Self::entry(ticket.quantity(), marked_at),
            TicketPurpose::SellToClose | TicketPurpose::BuyToClose => Self::exit(ticket.quantity()),
        }
    }

    fn of_combo(ticket: &ComboTicket) -> Self {
        match ticket.purpose() {
            ComboPurpose::Open { marked_at } => Self::entry(ticket.units(), marked_at),
            ComboPurpose::Close => Self::exit(ticket.units()),
        }
    }

    fn of_bracket(ticket: &BracketTicket) -> Self {
        ticket.entry().map_or(Self::exit(ticket.quantity()), Self::of)
    }
}

impl<T: Transport, C: Clock> Tradier<T, C> {
    /// Sends orders that hang together, once. The broker drops their tag: after a lost answer look for them with
    /// [`Tradier::look_up`] by what they are.
    ///
    /// # Errors
    /// [`BrokerError`] as [`BrokerPort::place`].
    pub async fn place_bracket(&self, ticket: &BracketTicket) -> Result<BrokerOrderId, BrokerError> {
        self.place_form(forms::bracket(ticket), &Leaving::of_bracket(ticket)).await
    }

    /// What a single-leg order would cost. It leaves no order behind, so an answer that is lost is [`BrokerError::Broken`]
    /// and may be asked for again.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] where the broker would not take it; else as every read.
    pub async fn preview(&self, ticket: &Ticket) -> Result<Preview, BrokerError> {
        self.preview_form(forms::single(ticket)).await
    }

    /// What a combination would cost; see [`Tradier::preview`].
    ///
    /// # Errors
    /// As [`Tradier::preview`].
    pub async fn preview_combo(&self, ticket: &ComboTicket) -> Result<Preview, BrokerError> {
        self.preview_form(forms::combo(ticket)).await
    }

    async fn preview_form(&self, form: Form) -> Result<Preview, BrokerError> {
        let mut request = self.request(Method::Post, self.path("orders"));
        request.form = form;
        request.form.push(("preview".to_owned(), "true".to_owned()));
        // It takes from the orders' budget, and never from the part that is kept for exits.
        let reply = self.send(Group::Trading, Purpose::Entry, &request).await.map_err(harmless)?;
        self.body(Group::Trading, &reply, rows::preview)
    }

    async fn place_form(&self, form: Form, leaving: &Leaving) -> Result<BrokerOrderId, BrokerError> {
        if leaving.quantity == 0 {
            return Err(BrokerError::NotSent { reason: "a ticket for no contracts".to_owned() });
        }
        let mut request = self.request(Method::Post, self.path("orders"));
        request.form = planted_form(form);
        if let Some(marked_at) = leaving.marked_at {
            let age = self.clock.now().since(marked_at);
            let age = if planted::is(Bug::EntryAgeUnchecked) { Duration::ZERO } else { age };
            let Some(left) = ENTRY_AGE_MAX.checked_sub(age) else {
                let reason = format!("the entry was marked {} ms ago, 2000 are allowed", age.as_millis());
                return Err(BrokerError::NotSent { reason });
            };
            // The transport holds it to that when it has to connect first.
            request.leaves_within = Some(left);
        }
        let reply = self.send(Group::Trading, leaving.purpose, &request).await?;
        let verdict = self.verdict(&reply);
        if matches!(verdict, Verdict::TooMany) {
            // Almost surely not executed, but not provably: the caller looks the tag up before anything else.
            self.budget.exhaust(Group::Trading, &reply, self.clock.now());
        }
        reply::placed(verdict)
    }

    /// One order in every detail: class, stops, legs with ids of their own.
    ///
    /// # Errors
    /// [`BrokerError`] as [`BrokerPort::order`].
    pub async fn order_detail(&self, id: BrokerOrderId) -> Result<OrderDetail, BrokerError> {
        let query = [("includeTags", "true".to_owned())];
        let path = self.path(&format!("orders/{id}"));
        let detail = self.read(Group::Standard, path, &query, rows::order_detail).await?;
        asked_for(id, detail.order.id)?;
        Ok(detail)
    }

    /// Today's orders in every detail, all pages.
    ///
    /// # Errors
    /// [`BrokerError`] as [`BrokerPort::orders`].
    pub async fn order_details(&self) -> Result<Vec<OrderDetail>, BrokerError> {
        self.all_pages(rows::order_details, |it| it.order.id).await
    }

    /// Looks for the order a lost answer may have left behind: by `tag`, and by what it was, because a tag alone is not
    /// unique at the broker and brackets lose theirs. Today's list is all there is to look in: see [`TagLookup`].
    ///
    /// # Errors
    /// [`BrokerError`] where the list cannot be read whole. Nothing follows from that.
    pub async fn look_up(&self, tag: OrderTag, sought: &Sought) -> Result<TagLookup, BrokerError> {
        Ok(lookup::look_up(&self.orders().await?, tag, sought, self.clock.now()))
    }

    /// Every page of the list of orders. It ends with an empty page. A server that ignores `page` repeats the first one
    /// for ever, so a page without a new order ends it too; an order that moved between pages is not counted twice.
    async fn all_pages<R>(
        &self,
        parse: impl Fn(&str) -> Result<Vec<R>, Unreadable>,
        id: impl Fn(&R) -> BrokerOrderId,
    ) -> Result<Vec<R>, BrokerError> {
        let mut found: Vec<R> = Vec::new();
        for page in 1..=PAGES_MAX {
            let query = [
                ("page", page.to_string()),
                ("limit", PAGE_LIMIT.to_string()),
                ("includeTags", "true".to_owned()),
            ];
            let rows = self.read(Group::Standard, self.path("orders"), &query, &parse).await?;
            let known: std::collections::BTreeSet<BrokerOrderId> = found.iter().map(&id).collect();
            let before = found.len();
            found.extend(rows.into_iter().filter(|it| !known.contains(&id(it))));
            if found.len() == before {
                return Ok(found);
            }
        }
        Err(BrokerError::Broken { reason: format!("the list of orders did not end after {PAGES_MAX} pages") })
    }

    /// Changes an order's limit or stop; the order keeps its id. Repeating it is harmless. `exit` takes from the part of
    /// the rate budget that is kept for exits. Legs of brackets are changed by their own ids.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] where the order had ended; else as every write.
    pub async fn change(&self, id: BrokerOrderId, change: Change, exit: bool) -> Result<(), BrokerError> {
        let purpose = if exit { Purpose::Exit } else { Purpose::Entry };
        let mut request = self.request(Method::Put, self.path(&format!("orders/{id}")));
        let fields = [("price", change.price), ("stop", change.stop)];
        request.form =
            fields.iter().filter_map(|(name, it)| Some(((*name).to_owned(), (*it)?.to_string()))).collect();
        if request.form.is_empty() {
            return Err(BrokerError::NotSent { reason: "a change of nothing".to_owned() });
        }
        match self.ask_of(purpose, &request, id).await? {
            Asked::Taken => Ok(()),
            Asked::Ended(reason) => Err(BrokerError::Refused { reason }),
        }
    }

    /// Sends a change or a cancel of `id` and reads its answer. Both are harmless to repeat, so a refusal for coming
    /// too often is one to wait for.
    async fn ask_of(
        &self,
        purpose: Purpose,
        request: &Request,
        id: BrokerOrderId,
    ) -> Result<Asked, BrokerError> {
        let reply = self.send(Group::Trading, purpose, request).await?;
        match self.verdict(&reply) {
            Verdict::Body(body) if reply::order_id(body) == Some(id) => Ok(Asked::Taken),
            Verdict::Final(reason) => Ok(Asked::Ended(reason)),
            Verdict::TooMany => Err(self.wait(Group::Trading, &reply)),
            other @ (Verdict::Body(_)
            | Verdict::Token(_)
            | Verdict::NotOurs(_)
            | Verdict::No(_)
            | Verdict::InDoubt(_)
            | Verdict::Nothing(_)) => Err(reply::write_error(other)),
        }
    }
}

/// What a change or a cancel was answered with.
enum Asked {
    /// Received.
    Taken,
    /// The order had ended, in these words.
    Ended(String),
}

/// A request that changes nothing has no unknown outcome: its answer is missing, that is all.
fn harmless(error: BrokerError) -> BrokerError {
    match error {
        BrokerError::Unknown { reason } => BrokerError::Broken { reason },
        BrokerError::Refused { .. }
        | BrokerError::NotSent { .. }
        | BrokerError::RateLimited { .. }
        | BrokerError::Authentication { .. }
        | BrokerError::Broken { .. } => error,
    }
}

/// An answer about another order is no answer.
fn asked_for(id: BrokerOrderId, got: BrokerOrderId) -> Result<(), BrokerError> {
    if got == id {
        Ok(())
    } else {
        Err(BrokerError::Broken { reason: format!("asked for order {id}, got order {got}") })
    }
}

impl<T: Transport, C: Clock> BrokerPort for Tradier<T, C> {
    async fn balances(&self) -> Result<Balances, BrokerError> {
        let parse = |body: &str| rows::balances(body, &self.number);
        self.read(Group::Standard, self.path("balances"), &[], parse).await
    }

    async fn positions(&self) -> Result<Vec<BrokerPosition>, BrokerError> {
        self.read(Group::Standard, self.path("positions"), &[], rows::positions).await
    }

    async fn orders(&self) -> Result<Vec<BrokerOrder>, BrokerError> {
        self.all_pages(rows::orders, |it| it.id).await
    }

    async fn order(&self, id: BrokerOrderId) -> Result<BrokerOrder, BrokerError> {
        let query = [("includeTags", "true".to_owned())];
        let path = self.path(&format!("orders/{id}"));
        let order = self.read(Group::Standard, path, &query, rows::order).await?;
        asked_for(id, order.id)?;
        Ok(order)
    }

    async fn quotes(&self, series: &[OccSymbol]) -> Result<Vec<Option<OptionQuote>>, BrokerError> {
        self.option_quotes(series).await
    }

    async fn market(&self, series: OccSymbol) -> Result<MarketNow, BrokerError> {
        self.market_of(series).await
    }

    async fn place(&self, ticket: &Ticket) -> Result<BrokerOrderId, BrokerError> {
        self.place_form(forms::single(ticket), &Leaving::of(ticket)).await
    }

    async fn place_combo(&self, ticket: &ComboTicket) -> Result<BrokerOrderId, BrokerError> {
        self.place_form(forms::combo(ticket), &Leaving::of_combo(ticket)).await
    }

    async fn modify(&self, id: BrokerOrderId, price: Price, exit: bool) -> Result<(), BrokerError> {
        self.change(id, Change { price: Some(price), stop: None }, exit).await
    }

    async fn place_protection(&self, ticket: &ProtectiveTicket) -> Result<BrokerOrderId, BrokerError> {
        self.place_form(forms::protection(ticket), &Leaving::exit(ticket.quantity())).await
    }

    async fn place_market(&self, ticket: &MarketTicket) -> Result<BrokerOrderId, BrokerError> {
        self.place_form(forms::market(ticket), &Leaving::exit(ticket.quantity())).await
    }

    async fn move_protection(&self, id: BrokerOrderId, terms: StopLimit) -> Result<(), BrokerError> {
        self.change(id, Change { price: Some(terms.limit()), stop: Some(terms.stop()) }, true).await
    }

    async fn cancel(&self, id: BrokerOrderId) -> Result<CancelAnswer, BrokerError> {
        let request = self.request(Method::Delete, self.path(&format!("orders/{id}")));
        Ok(match self.ask_of(Purpose::Exit, &request, id).await? {
            Asked::Taken => CancelAnswer::Requested,
            Asked::Ended(_) => CancelAnswer::AlreadyFinal,
        })
    }
}

/// The form as it is, but for what is planted.
fn planted_form(form: Form) -> Form {
    let changed = |name: &str, value: String| match name {
        "type" if planted::is(Bug::MarketOrder) => "market".to_owned(),
        "side" if planted::is(Bug::SellToOpen) && value == "sell_to_close" => "sell_to_open".to_owned(),
        "tag" if planted::is(Bug::UntaggedOrder) => "order".to_owned(),
        _ => value,
    };
    form.into_iter()
        .map(|(name, value)| {
            let value = changed(&name, value);
            (name, value)
        })
        .collect()
}
