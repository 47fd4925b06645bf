//! The day before a recorded session, where the daily table has it.

use std::path::Path;

use domain::calendar::{Session, previous_session};
use domain::market::{Points, PriorDay, SourceError};
use jiff::civil::Date;

use super::table::{Table, broken};

const FILE: &str = "daily_ohlc.csv.gz";

/// `symbol`'s figures of the session before `session`; `None` where the table or the row is not there.
pub(super) fn day_before(
    dir: &Path,
    session: &Session,
    symbol: &str,
) -> Result<Option<PriorDay>, SourceError> {
    if !dir.join(FILE).exists() {
        return Ok(None);
    }
    let before = previous_session(session.date)
        .map_err(|error| broken(FILE, 0, 0, format!("a session within the calendar ({error})")))?;
    let mut table = Table::open(dir, FILE, &["date", "symbol", "high", "low", "close"])?;
    while table.next_unordered()? {
        if table.cell(1)? != symbol {
            continue;
        }
        let date: Option<Date> = table.read(0, "a date such as 2013-10-04", |it| it.parse().ok())?;
        if date == Some(before.date) {
            let price = |i| -> Result<Points, SourceError> {
                let price = table.points(i)?;
                table.must(i, price, "a decimal price")
            };
            return Ok(Some(PriorDay { high: price(2)?, low: price(3)?, close: price(4)? }));
        }
    }
    Ok(None)
}
