//! The user behind the token, and what the account did on earlier days.

use domain::ids::AccountNumber;
use domain::ports::{BrokerError, Clock};
use jiff::civil::Date;

use super::Tradier;
use crate::budget::Group;
use crate::rows::{self, AccountEvent, ClosedPosition, Profile};
use crate::transport::Transport;

/// Rows asked for in one page of history and closed positions.
const PAGE_LIMIT: usize = 500;
/// Pages asked for at most.
const PAGES_MAX: u32 = 40;

impl<T: Transport, C: Clock> Tradier<T, C> {
    /// The account's number.
    pub const fn number(&self) -> &AccountNumber {
        &self.number
    }

    /// Whom the token belongs to, with all accounts it reaches.
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn profile(&self) -> Result<Profile, BrokerError> {
        self.read(Group::Standard, "/v1/user/profile".to_owned(), &[], rows::profile).await
    }

    /// What happened in the account from `start` to `end`, of one `symbol` where one is given. Filled overnight; the
    /// sandbox has none.
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn history(
        &self,
        start: Date,
        end: Date,
        symbol: Option<&str>,
    ) -> Result<Vec<AccountEvent>, BrokerError> {
        let mut query = vec![("start", start.to_string()), ("end", end.to_string())];
        if let Some(symbol) = symbol {
            query.push(("symbol", symbol.to_owned()));
            query.push(("exactMatch", "true".to_owned()));
        }
        self.paged("history", query, rows::history).await
    }

    /// Positions closed from `start` to `end`, the earliest first. Filled overnight.
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn gain_loss(&self, start: Date, end: Date) -> Result<Vec<ClosedPosition>, BrokerError> {
        let query = vec![
            ("start", start.to_string()),
            ("end", end.to_string()),
            ("sortBy", "closeDate".to_owned()),
            ("sort", "asc".to_owned()),
        ];
        self.paged("gainloss", query, rows::gain_loss).await
    }

    /// Every page of a list that ends with a page that is not full. A server that ignores `page` sends the first one
    /// again, which ends it too.
    async fn paged<R: PartialEq>(
        &self,
        tail: &str,
        query: Vec<(&str, String)>,
        parse: impl Fn(&str) -> Result<Vec<R>, crate::json::Unreadable>,
    ) -> Result<Vec<R>, BrokerError> {
        let mut found: Vec<R> = Vec::new();
        for page in 1..=PAGES_MAX {
            let mut query = query.clone();
            query.push(("page", page.to_string()));
            query.push(("limit", PAGE_LIMIT.to_string()));
            let rows = self.read(Group::Standard, self.path(tail), &query, &parse).await?;
            let full = rows.len() >= PAGE_LIMIT;
            let again = !rows.is_empty() && found.starts_with(&rows);
            if !again {
                found.extend(rows);
            }
            if again || !full {
                return Ok(found);
            }
        }
        Err(BrokerError::Broken { reason: format!("the {tail} did not end after {PAGES_MAX} pages") })
    }
}
