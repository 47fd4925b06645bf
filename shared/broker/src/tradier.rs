//! One account at Tradier.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use domain::account::Balances;
use domain::chain::ChainRow;
use domain::ids::{AccountNumber, BrokerOrderId};
use domain::market::OptionQuote;
use domain::money::Price;
use domain::order::{BrokerOrder, Ticket, TicketPurpose};
use domain::ports::{BrokerError, BrokerPort, CancelAnswer, Clock, MarketNow};
use domain::position::BrokerPosition;
use domain::secret::Token;
use domain::symbol::{OccSymbol, Root, Underlying};
use jiff::civil::Date;

use crate::budget::{Group, Purpose, RateBudget};
use crate::json::Unreadable;
use crate::reply::{self, Verdict};
use crate::rows::{self, StreamSession};
use crate::transport::{Method, Reply, Request, Transport, TransportError};

/// How long after its mark an entry may still leave.
pub const ENTRY_AGE_MAX: Duration = Duration::from_secs(2);

/// Orders asked for in one page: all the broker gives.
const PAGE_LIMIT: usize = 1_500;

/// Pages asked for at most: 30,000 orders a day.
const PAGES_MAX: u32 = 20;

/// Symbols in one request for quotes: keeps the query under five kilobytes.
const QUOTES_MAX: usize = 200;

/// One account at Tradier. Every request leaves at most once; what became of it is in the answer.
#[derive(Debug)]
pub struct Tradier<T, C> {
    transport: T,
    clock: C,
    token: Token,
    number: AccountNumber,
    budget: Rc<RateBudget>,
    /// What reads are for; they say nothing of it themselves.
    reads: Purpose,
    /// Raised when the broker refuses the token, for whoever keeps the credential.
    refused: Rc<Cell<bool>>,
}

impl<T: Transport, C: Clock> Tradier<T, C> {
    /// The account `number` behind `token`. `budget` is shared by all accounts with the same token.
    pub fn new(transport: T, clock: C, token: Token, number: AccountNumber, budget: Rc<RateBudget>) -> Self {
        Self { transport, clock, token, number, budget, reads: Purpose::Exit, refused: Rc::default() }
    }

    /// Says what the account is read for. Without a word the reads may take the whole budget: an account is read to
    /// get out as well as in. A worker of entries alone leaves the fifth kept for exits.
    pub fn reading_for(self, reads: Purpose) -> Self {
        Self { reads, ..self }
    }

    /// Raises `flag` when the broker refuses the token.
    pub(crate) fn with_refused_flag(self, flag: Rc<Cell<bool>>) -> Self {
        Self { refused: flag, ..self }
    }

    /// The token's rate budget.
    pub fn budget(&self) -> &Rc<RateBudget> {
        &self.budget
    }

    /// The option chain of one expiration, sorted by series; of `root` alone where one is given. Without greeks: the
    /// broker's are an hour old.
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn chain(
        &self,
        underlying: Underlying,
        expiration: Date,
        root: Option<Root>,
    ) -> Result<Vec<ChainRow>, BrokerError> {
        let query = [
            ("symbol", underlying.to_string()),
            ("expiration", expiration.to_string()),
            ("greeks", "false".to_owned()),
        ];
        let path = "/v1/markets/options/chains".to_owned();
        self.read(Group::Market, path, &query, |body| rows::chain(body, root)).await
    }

    /// A session of the account's event stream. It must be used within five minutes.
    ///
    /// # Errors
    /// [`BrokerError`] as every read; asking again only opens another session.
    pub async fn stream_session(&self) -> Result<StreamSession, BrokerError> {
        let path = "/v1/accounts/events/session".to_owned();
        let request = self.request(Method::Post, path);
        let reply = self.send(Group::Standard, Purpose::Exit, &request).await?;
        self.body(Group::Standard, &reply, rows::stream_session)
    }

    fn request(&self, method: Method, path: String) -> Request {
        Request {
            method,
            path,
            query: Vec::new(),
            form: Vec::new(),
            token: self.token.clone(),
            leaves_within: None,
        }
    }

    /// A path under this account.
    fn path(&self, tail: &str) -> String {
        format!("/v1/accounts/{}/{tail}", self.number.as_str())
    }

    /// Takes from the budget, sends once, learns from the headers.
    async fn send(&self, group: Group, purpose: Purpose, request: &Request) -> Result<Reply, BrokerError> {
        let taken = self.budget.take(group, purpose, self.clock.now());
        taken.map_err(|until| BrokerError::RateLimited { until })?;
        let sent = self.transport.send(request).await;
        let reply = sent.map_err(|error| match error {
            TransportError::NotSent(reason) => BrokerError::NotSent { reason },
            TransportError::Unknown(reason) => BrokerError::Unknown { reason },
        })?;
        self.budget.observe(group, &reply, self.clock.now());
        Ok(reply)
    }

    /// What the answer means. Notes a refused token and a used-up window on the way.
    fn verdict<'a>(&self, reply: &'a Reply) -> Verdict<'a> {
        let verdict = reply::verdict(reply, &[self.number.as_str(), self.token.reveal()]);
        if matches!(verdict, Verdict::Token(_)) {
            self.refused.set(true);
        }
        verdict
    }

    /// The window's end, after the gateway refused a request for coming too often.
    fn wait(&self, group: Group, reply: &Reply) -> BrokerError {
        BrokerError::RateLimited { until: self.budget.exhaust(group, reply, self.clock.now()) }
    }

    /// The answer to a read.
    fn body<R>(
        &self,
        group: Group,
        reply: &Reply,
        parse: impl FnOnce(&str) -> Result<R, Unreadable>,
    ) -> Result<R, BrokerError> {
        match self.verdict(reply) {
            Verdict::Body(body) => {
                parse(body).map_err(|error| BrokerError::Broken { reason: error.to_string() })
            }
            Verdict::TooMany => Err(self.wait(group, reply)),
            other @ (Verdict::Token(_)
            | Verdict::NotOurs(_)
            | Verdict::Final(_)
            | Verdict::No(_)
            | Verdict::InDoubt(_)
            | Verdict::Nothing(_)) => Err(reply::read_error(other)),
        }
    }

    /// A GET.
    async fn read<R>(
        &self,
        group: Group,
        path: String,
        query: &[(&str, String)],
        parse: impl FnOnce(&str) -> Result<R, Unreadable>,
    ) -> Result<R, BrokerError> {
        let mut request = self.request(Method::Get, path);
        request.query = query.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let reply = self.send(group, self.reads, &request).await?;
        self.body(group, &reply, parse)
    }

    /// Sends a change or a cancel of `id` and reads its answer. Both are harmless to repeat, so a refusal for coming
    /// too often is one to wait for.
    async fn change(
        &self,
        purpose: Purpose,
        request: &Request,
        id: BrokerOrderId,
    ) -> Result<Changed, BrokerError> {
        let reply = self.send(Group::Trading, purpose, request).await?;
        match self.verdict(&reply) {
            Verdict::Body(body) if reply::order_id(body) == Some(id) => Ok(Changed::Taken),
            Verdict::Final(reason) => Ok(Changed::Ended(reason)),
            Verdict::TooMany => Err(self.wait(Group::Trading, &reply)),
            other @ (Verdict::Body(_)
            | Verdict::Token(_)
            | Verdict::NotOurs(_)
            | Verdict::No(_)
            | Verdict::InDoubt(_)
            | Verdict::Nothing(_)) => Err(reply::write_error(other)),
        }
    }

    /// Why a ticket may not leave, if so.
    fn refusal(&self, ticket: &Ticket) -> Option<String> {
        if ticket.quantity() == 0 {
            return Some("a ticket for no contracts".to_owned());
        }
        match ticket.purpose() {
            TicketPurpose::SellToClose => None,
            TicketPurpose::BuyToOpen { marked_at } => {
                let age = self.clock.now().since(marked_at);
                (age > ENTRY_AGE_MAX)
                    .then(|| format!("the entry was marked {} ms ago, 2000 are allowed", age.as_millis()))
            }
        }
    }
}

/// What a change or a cancel was answered with.
enum Changed {
    /// Received.
    Taken,
    /// The order had ended, in these words.
    Ended(String),
}

/// The form of a single-leg limit order for the day.
fn place_form(ticket: &Ticket) -> Vec<(String, String)> {
    let side = match ticket.purpose() {
        TicketPurpose::BuyToOpen { .. } => "buy_to_open",
        TicketPurpose::SellToClose => "sell_to_close",
    };
    let series = ticket.series();
    [
        ("class", "option".to_owned()),
        // The underlying, not the root: SPXW contracts are ordered under SPX.
        ("symbol", series.underlying().to_string()),
        ("option_symbol", series.to_string()),
        ("side", side.to_owned()),
        ("quantity", ticket.quantity().to_string()),
        ("type", "limit".to_owned()),
        ("duration", "day".to_owned()),
        ("price", ticket.price().to_string()),
        ("tag", ticket.tag().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
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
        let mut found: Vec<BrokerOrder> = Vec::new();
        for page in 1..=PAGES_MAX {
            let query = [
                ("page", page.to_string()),
                ("limit", PAGE_LIMIT.to_string()),
                ("includeTags", "true".to_owned()),
            ];
            let rows = self.read(Group::Standard, self.path("orders"), &query, rows::orders).await?;
            // The list ends with an empty page. A server that ignores `page` repeats the first one for ever, so a page
            // without a new order ends it too; an order that moved between pages is not counted twice.
            let known: std::collections::BTreeSet<BrokerOrderId> = found.iter().map(|it| it.id).collect();
            let before = found.len();
            found.extend(rows.into_iter().filter(|it| !known.contains(&it.id)));
            if found.len() == before {
                return Ok(found);
            }
        }
        Err(BrokerError::Broken { reason: format!("the list of orders did not end after {PAGES_MAX} pages") })
    }

    async fn order(&self, id: BrokerOrderId) -> Result<BrokerOrder, BrokerError> {
        let query = [("includeTags", "true".to_owned())];
        let path = self.path(&format!("orders/{id}"));
        let order = self.read(Group::Standard, path, &query, rows::order).await?;
        if order.id != id {
            return Err(BrokerError::Broken {
                reason: format!("asked for order {id}, got order {}", order.id),
            });
        }
        Ok(order)
    }

    async fn quotes(&self, series: &[OccSymbol]) -> Result<Vec<Option<OptionQuote>>, BrokerError> {
        let mut found = std::collections::BTreeMap::new();
        for chunk in series.chunks(QUOTES_MAX) {
            let symbols: Vec<String> = chunk.iter().map(OccSymbol::to_string).collect();
            let query = [("symbols", symbols.join(",")), ("greeks", "false".to_owned())];
            let path = "/v1/markets/quotes".to_owned();
            found.extend(self.read(Group::Market, path, &query, rows::quotes).await?);
        }
        Ok(series.iter().map(|it| found.get(it).copied()).collect())
    }

    async fn market(&self, series: OccSymbol) -> Result<MarketNow, BrokerError> {
        let query =
            [("symbols", format!("{series},{}", series.underlying())), ("greeks", "false".to_owned())];
        let path = "/v1/markets/quotes".to_owned();
        self.read(Group::Market, path, &query, |body| rows::market(body, &series)).await
    }

    async fn place(&self, ticket: &Ticket) -> Result<BrokerOrderId, BrokerError> {
        if let Some(reason) = self.refusal(ticket) {
            return Err(BrokerError::NotSent { reason });
        }
        let purpose = match ticket.purpose() {
            TicketPurpose::BuyToOpen { .. } => Purpose::Entry,
            TicketPurpose::SellToClose => Purpose::Exit,
        };
        let mut request = self.request(Method::Post, self.path("orders"));
        request.form = place_form(ticket);
        let reply = self.send(Group::Trading, purpose, &request).await?;
        match self.verdict(&reply) {
            // `ok` means received, whatever the word: the id binds, polling tells the rest.
            Verdict::Body(body) => {
                reply::order_id(body).ok_or_else(|| reply::write_error(Verdict::Body(body)))
            }
            Verdict::TooMany => {
                // Almost surely not executed, but not provably: the caller looks the tag up before anything else.
                self.budget.exhaust(Group::Trading, &reply, self.clock.now());
                Err(reply::write_error(Verdict::TooMany))
            }
            other @ (Verdict::Token(_)
            | Verdict::NotOurs(_)
            | Verdict::Final(_)
            | Verdict::No(_)
            | Verdict::InDoubt(_)
            | Verdict::Nothing(_)) => Err(reply::write_error(other)),
        }
    }

    async fn modify(&self, id: BrokerOrderId, price: Price, exit: bool) -> Result<(), BrokerError> {
        let purpose = if exit { Purpose::Exit } else { Purpose::Entry };
        let mut request = self.request(Method::Put, self.path(&format!("orders/{id}")));
        request.form = vec![("price".to_owned(), price.to_string())];
        match self.change(purpose, &request, id).await? {
            Changed::Taken => Ok(()),
            Changed::Ended(reason) => Err(BrokerError::Refused { reason }),
        }
    }

    async fn cancel(&self, id: BrokerOrderId) -> Result<CancelAnswer, BrokerError> {
        let request = self.request(Method::Delete, self.path(&format!("orders/{id}")));
        Ok(match self.change(Purpose::Exit, &request, id).await? {
            Changed::Taken => CancelAnswer::Requested,
            Changed::Ended(_) => CancelAnswer::AlreadyFinal,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
