//! The report of a session, from the books, after its close.

#![forbid(unsafe_code)]

use domain::account::AccountRef;
use domain::calendar::Session;
use domain::ports::{Clock, HandleError, Ledger, Message, Queue};
use engine::report::{AccountReport, DailyReport};
use jiff::civil::Date;

/// What the function works with.
#[derive(Debug)]
pub struct Report<'a, L, C> {
    /// The books.
    pub ledger: &'a L,
    /// Market time.
    pub clock: &'a C,
}

impl<L: Ledger, C: Clock> Report<'_, L, C> {
    /// Reports the session of today once it has closed; `None` on days without one and before the close. The schedule asks
    /// at both hours a session may close, the calendar knows which was right.
    ///
    /// # Errors
    /// [`HandleError`] when the ledger did not answer.
    pub async fn run(&self) -> Result<Option<DailyReport>, HandleError> {
        let now = self.clock.now();
        let session = session_of(now.new_york_date())?;
        match session.filter(|it| it.close <= now) {
            Some(session) => self.report(&session).await.map(Some),
            None => Ok(None),
        }
    }

    /// Reports the session of `date` as the books stand now, be it over or not.
    ///
    /// # Errors
    /// [`HandleError::Poison`] for a day without a session, [`HandleError`] when the ledger did not answer.
    pub async fn of(&self, date: Date) -> Result<DailyReport, HandleError> {
        let session = session_of(date)?;
        let session = session.ok_or_else(|| HandleError::Poison(format!("{date} has no session")))?;
        self.report(&session).await
    }

    async fn report(&self, session: &Session) -> Result<DailyReport, HandleError> {
        let setups = self.ledger.setups(session.date).await?;
        let at = self.clock.now();
        let mut books = Vec::new();
        for account in self.ledger.active_accounts().await? {
            let book = self.ledger.day_book(&account, session.date).await?;
            // Each user's report holds their own account and nobody else's.
            let own = DailyReport::build(std::slice::from_ref(&book), &setups, session);
            let text = serde_json::to_string(&own).map_err(|it| HandleError::Poison(it.to_string()))?;
            self.ledger.store_report(&account, session.date, &text, at).await?;
            for report in &own.accounts {
                self.ledger.send_later(Queue::Alerts, &summary(&account, session, report), at).await?;
            }
            books.push(book);
        }
        Ok(DailyReport::build(&books, &setups, session))
    }
}

/// The day of one account in one sentence.
fn summary(account: &AccountRef, session: &Session, report: &AccountReport) -> Message {
    let totals = &report.totals;
    let flat = if report.flat { "flat" } else { "NOT flat" };
    let reconciled = if report.reconciled { "reconciled" } else { "NOT reconciled" };
    Message::Alert {
        key: format!("report:{}:{}", account.account, session.date),
        level: "info".to_owned(),
        text: format!(
            "session {}, account {}: {} trades, net {}, fees {}, {flat}, {reconciled}",
            session.date, account.account, totals.trades, totals.realized_net, totals.fees
        ),
    }
}

fn session_of(date: Date) -> Result<Option<Session>, HandleError> {
    Session::of(date).map_err(|it| HandleError::Poison(it.to_string()))
}

#[cfg(test)]
mod tests;
