//! What members are told, hand over and take back, and what became of what expired.

use domain::account::AccountRef;
use domain::expiry::Expiry;
use domain::ids::UserId;
use domain::kill::Reading;
use domain::ports::{LedgerError, MESSAGE_COOLDOWN, Members, Recorded, StoredMessage, UserMessage};
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use jiff::civil::Date;
use tokio_postgres::types::{Json, ToSql, Type};

use crate::error::{corrupt, refused};
use crate::pool::Store;
use crate::tx::Tx;
use crate::views::{column, json, only};

/// The head is taken by compare-and-set: of two writers at once one finds the other's instant.
const TELL: &str = "WITH head AS (INSERT INTO message_heads AS h (user_id, key, at_ns) VALUES ($1, $2, $3)
        ON CONFLICT (user_id, key) DO UPDATE SET at_ns = excluded.at_ns WHERE excluded.at_ns - h.at_ns >= $4 RETURNING 1),
    m AS (INSERT INTO coach_messages (user_id, reason, message, at_ns) SELECT $1, $5, $6, $3 FROM head)
    SELECT count(*) FROM head";
const MESSAGES: &str =
    "SELECT message_id, reason, message, at_ns, read_ns FROM coach_messages WHERE user_id = $1
    ORDER BY message_id DESC LIMIT $2";
const READ: &str = "UPDATE coach_messages SET read_ns = COALESCE(read_ns, $3) WHERE user_id = $1 AND message_id = $2 RETURNING 1";
const TAKE_OVER: &str =
    "WITH t AS (INSERT INTO taken_over (account_id, user_id, series, contracts, at_ns) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (account_id, series) DO UPDATE SET contracts = excluded.contracts, at_ns = excluded.at_ns
        RETURNING account_id, user_id)
    INSERT INTO audit (account_id, user_id, at_ns, what, about, body)
    SELECT account_id, user_id, $5, CASE WHEN $4 > 0 THEN 'taken over' ELSE 'given back' END, $3,
        jsonb_build_object('contracts', $4) FROM t";
const TAKEN_OVER: &str =
    "SELECT series, contracts FROM taken_over WHERE account_id = $1 AND contracts > 0 ORDER BY series";
const EXPIRED: &str =
    "SELECT body FROM expiries WHERE account_id = $1 AND opening_id = $2 AND series = $3 FOR UPDATE";
/// The entry behind an expiry, as far as its user sees it.
const OPENING: &str = "SELECT 1 FROM order_intents WHERE account_id = $1 AND intent_id = $2";
const EXPIRE: &str =
    "WITH e AS (INSERT INTO expiries (account_id, opening_id, user_id, expiry, status, body, at_ns)
        VALUES ($1, $2, $3, $4::text::date, $5, $6, $7)
        ON CONFLICT (account_id, opening_id, series) DO UPDATE SET status = excluded.status, body = excluded.body, at_ns = excluded.at_ns
            WHERE expiries.status = 'expired_pending'
        RETURNING account_id, user_id)
    INSERT INTO audit (account_id, user_id, at_ns, what, about, body) SELECT account_id, user_id, $7, $5, $2, $6 FROM e";
const EXPIRIES: &str = "SELECT body FROM expiries WHERE account_id = $1
        AND (expiry = $2::text::date OR (status = 'expired_pending' AND expiry < $2::text::date))
    ORDER BY opening_id, series";

impl Members for Store {
    async fn tell_user(&self, message: &UserMessage) -> Result<Recorded, LedgerError> {
        const WHAT: &str = "tell_user";
        let cooldown = i64::try_from(MESSAGE_COOLDOWN.as_nanos()).unwrap_or(i64::MAX);
        let params: [(&(dyn ToSql + Sync), Type); 6] = [
            (&message.user.0, Type::UUID),
            (&message.key, Type::TEXT),
            (&message.at.0, Type::INT8),
            (&cooldown, Type::INT8),
            (&message.reason, Type::TEXT),
            (&message.text, Type::TEXT),
        ];
        let rows = Tx::read(self, WHAT, Some(message.user), TELL, &params).await?;
        let written: i64 = column(WHAT, only(WHAT, &rows)?, 0)?;
        Ok(if written > 0 { Recorded::New } else { Recorded::Known })
    }

    async fn user_messages(&self, user: UserId, limit: u32) -> Result<Vec<StoredMessage>, LedgerError> {
        const WHAT: &str = "user_messages";
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&user.0, Type::UUID), (&i64::from(limit), Type::INT8)];
        let rows = Tx::read(self, WHAT, Some(user), MESSAGES, &params).await?;
        let read = |row| {
            Ok(StoredMessage {
                id: column(WHAT, row, 0)?,
                reason: column(WHAT, row, 1)?,
                text: column(WHAT, row, 2)?,
                at: UtcNanos(column(WHAT, row, 3)?),
                read_at: column::<Option<i64>>(WHAT, row, 4)?.map(UtcNanos),
            })
        };
        rows.iter().map(read).collect()
    }

    async fn read_message(&self, user: UserId, id: i64, at: UtcNanos) -> Result<bool, LedgerError> {
        let params: [(&(dyn ToSql + Sync), Type); 3] =
            [(&user.0, Type::UUID), (&id, Type::INT8), (&at.0, Type::INT8)];
        let rows = Tx::read(self, "read_message", Some(user), READ, &params).await?;
        Ok(!rows.is_empty())
    }

    async fn take_over(
        &self,
        account: &AccountRef,
        series: &OccSymbol,
        contracts: u32,
        at: UtcNanos,
    ) -> Result<(), LedgerError> {
        let params: [(&(dyn ToSql + Sync), Type); 5] = [
            (&account.account.0, Type::UUID),
            (&account.user.0, Type::UUID),
            (&series.to_string(), Type::TEXT),
            (&i64::from(contracts), Type::INT8),
            (&at.0, Type::INT8),
        ];
        Tx::read(self, "take_over", Some(account.user), TAKE_OVER, &params).await.map(drop)
    }

    async fn taken_over(&self, account: &AccountRef) -> Result<Vec<(OccSymbol, u32)>, LedgerError> {
        const WHAT: &str = "taken_over";
        let key = [(&account.account.0 as &(dyn ToSql + Sync), Type::UUID)];
        let rows = Tx::read(self, WHAT, Some(account.user), TAKEN_OVER, &key).await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            let series: OccSymbol = column::<&str>(WHAT, row, 0)?.parse().map_err(|it| corrupt(WHAT, it))?;
            let contracts = u32::try_from(column::<i64>(WHAT, row, 1)?).map_err(|it| corrupt(WHAT, it))?;
            all.push((series, contracts));
        }
        all.sort();
        Ok(all)
    }

    async fn record_expiry(&self, account: &AccountRef, expiry: &Expiry) -> Result<Recorded, LedgerError> {
        const WHAT: &str = "record_expiry";
        let opening = expiry.opening.to_string();
        let key: [(&(dyn ToSql + Sync), Type); 2] =
            [(&account.account.0, Type::UUID), (&opening, Type::TEXT)];
        let series = expiry.series.to_string();
        let of_leg: [(&(dyn ToSql + Sync), Type); 3] =
            [(&account.account.0, Type::UUID), (&opening, Type::TEXT), (&series, Type::TEXT)];
        let (tx, rows) =
            Tx::open(self, WHAT, Some(account.user), &[(EXPIRED, &of_leg), (OPENING, &key)]).await?;
        if rows.get(1).is_none_or(Vec::is_empty) {
            tx.rollback().await?;
            return Err(refused(WHAT, format!("account {} has no entry {opening}", account.account)));
        }
        let known: Option<Expiry> =
            rows.first().and_then(|it| it.first()).map(|it| json(WHAT, it, 0)).transpose()?;
        let after = match &known {
            None => Some(*expiry),
            Some(known) => known.then(expiry),
        };
        let Some(after) = after else {
            tx.rollback().await?;
            return Ok(Recorded::Known);
        };
        let params: [(&(dyn ToSql + Sync), Type); 7] = [
            (&account.account.0, Type::UUID),
            (&opening, Type::TEXT),
            (&account.user.0, Type::UUID),
            (&after.series.expiry.to_string(), Type::TEXT),
            (&after.status.as_str(), Type::TEXT),
            (&Json(&after), Type::JSONB),
            (&after.at.0, Type::INT8),
        ];
        tx.finish(EXPIRE, &params).await?;
        Ok(Recorded::New)
    }

    async fn record_reading(&self, reading: &Reading) -> Result<(), LedgerError> {
        const SQL: &str = "INSERT INTO market_readings (at_ns, body) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&reading.at.0, Type::INT8), (&Json(reading), Type::JSONB)];
        Tx::read(self, "record_reading", None, SQL, &params).await.map(drop)
    }

    async fn readings(&self, since: UtcNanos) -> Result<Vec<Reading>, LedgerError> {
        const SQL: &str = "SELECT body FROM market_readings WHERE at_ns >= $1 ORDER BY at_ns";
        let params = [(&since.0 as &(dyn ToSql + Sync), Type::INT8)];
        let rows = Tx::read(self, "readings", None, SQL, &params).await?;
        rows.iter().map(|it| json("readings", it, 0)).collect()
    }

    async fn expiries(&self, account: &AccountRef, session: Date) -> Result<Vec<Expiry>, LedgerError> {
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&account.account.0, Type::UUID), (&session.to_string(), Type::TEXT)];
        let rows = Tx::read(self, "expiries", Some(account.user), EXPIRIES, &params).await?;
        rows.iter().map(|it| json("expiries", it, 0)).collect()
    }
}
