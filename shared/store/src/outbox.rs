//! Messages that leave with a transaction.

use domain::ports::{DeadLetter, LedgerError, Message, OutboxRow, Queue};
use domain::time::UtcNanos;
use tokio_postgres::types::Type;

use crate::error::corrupt;
use crate::pool::Store;
use crate::tx::Tx;
use crate::views::{column, only};

/// Messages to be written, column by column.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    pub(crate) queues: Vec<&'static str>,
    pub(crate) bodies: Vec<String>,
    pub(crate) due: Vec<i64>,
}

impl Letters {
    /// Adds a message. One that is here already is not added again.
    pub(crate) fn put(&mut self, queue: Queue, message: &Message, due: UtcNanos) {
        let body = wire::message::encode(message);
        let again = match message {
            // An alert is told once, by its key.
            Message::Alert { .. } => self.bodies.contains(&body),
            Message::Transition { .. }
            | Message::Step { .. }
            | Message::BrokerOrder { .. }
            | Message::Flatten { .. } => false,
        };
        if !again {
            self.queues.push(queue.as_str());
            self.bodies.push(body);
            self.due.push(due.0);
        }
    }
}

/// Common table expressions that write the messages of three array parameters: queues, bodies, instants. An alert is
/// written with the first use of its key, and a message that already waits for the same instant is not written again. An
/// early message is not written where the same one waits that was rewritten as often or oftener.
macro_rules! SEND {
    ($queues:literal, $bodies:literal, $due:literal) => {
        $crate::outbox::SEND!($queues, $bodies, $due, "true")
    };
    ($queues:literal, $bodies:literal, $due:literal, $when:literal) => {
        concat!(
            "letters AS (SELECT t.queue, t.body, t.due, t.n, CASE WHEN t.body::jsonb ->> 'type' = 'alert' THEN t.body::jsonb END AS alert,
                    CASE WHEN (t.body::jsonb ->> 'tries')::int > 0 THEN t.body::jsonb END AS early
                FROM unnest(", $queues, ", ", $bodies, ", ", $due, ") WITH ORDINALITY AS t(queue, body, due, n) WHERE ", $when, "),
            told AS (INSERT INTO alerts (alert_key, level, message, at_ns)
                SELECT alert ->> 'key', alert ->> 'level', alert ->> 'text', due FROM letters WHERE alert IS NOT NULL
                ON CONFLICT DO NOTHING RETURNING alert_key),
            sent AS (INSERT INTO outbox (queue, body, due_ns) SELECT queue, body, due FROM letters
                WHERE (alert IS NULL OR alert ->> 'key' IN (SELECT alert_key FROM told))
                    AND (early IS NULL OR NOT EXISTS (SELECT FROM outbox AS waits
                        WHERE waits.sent_ns IS NULL AND waits.queue = letters.queue
                            AND waits.body::jsonb - 'tries' = early - 'tries'
                            AND (waits.body::jsonb ->> 'tries')::int >= (early ->> 'tries')::int))
                ORDER BY n ON CONFLICT DO NOTHING)"
        )
    };
}

pub(crate) use SEND;

const SEND_ONLY: &str = concat!("WITH ", SEND!("$1", "$2", "$3"), " SELECT 1");

/// Writes messages in a transaction of their own.
async fn send(store: &Store, what: &'static str, letters: &Letters) -> Result<(), LedgerError> {
    let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] = [
        (&letters.queues, Type::TEXT_ARRAY),
        (&letters.bodies, Type::TEXT_ARRAY),
        (&letters.due, Type::INT8_ARRAY),
    ];
    Tx::read(store, what, None, SEND_ONLY, &params).await.map(drop)
}

/// Writes messages; the transaction goes on.
pub(crate) async fn send_within(tx: &Tx, letters: &Letters) -> Result<(), LedgerError> {
    let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] = [
        (&letters.queues, Type::TEXT_ARRAY),
        (&letters.bodies, Type::TEXT_ARRAY),
        (&letters.due, Type::INT8_ARRAY),
    ];
    tx.query(SEND_ONLY, &params).await.map(drop)
}

/// Writes one message on its own.
pub(crate) async fn send_later(
    store: &Store,
    queue: Queue,
    message: &Message,
    due: UtcNanos,
) -> Result<(), LedgerError> {
    let mut letters = Letters::default();
    letters.put(queue, message, due);
    send(store, "send_later", &letters).await
}

pub(crate) async fn due(store: &Store, now: UtcNanos, limit: u32) -> Result<Vec<OutboxRow>, LedgerError> {
    const WHAT: &str = "due_outbox";
    const SQL: &str =
        "SELECT outbox_id, queue, body, due_ns FROM outbox WHERE sent_ns IS NULL AND due_ns <= $1
        ORDER BY due_ns, outbox_id LIMIT $2";
    let rows =
        Tx::read(store, WHAT, None, SQL, &[(&now.0, Type::INT8), (&i64::from(limit), Type::INT8)]).await?;
    let read = |row: &tokio_postgres::Row| {
        let (queue, body): (&str, &str) = (column(WHAT, row, 1)?, column(WHAT, row, 2)?);
        Ok(OutboxRow {
            id: column(WHAT, row, 0)?,
            queue: Queue::parse(queue).ok_or_else(|| corrupt(WHAT, format!("no queue {queue}")))?,
            message: wire::message::decode(body).map_err(|it| corrupt(WHAT, it))?,
            due_at: UtcNanos(column(WHAT, row, 3)?),
        })
    };
    rows.iter().map(read).collect()
}

pub(crate) async fn next_due(store: &Store) -> Result<Option<UtcNanos>, LedgerError> {
    const SQL: &str = "SELECT min(due_ns) FROM outbox WHERE sent_ns IS NULL";
    let rows = Tx::read(store, "next_due", None, SQL, &[]).await?;
    let due: Option<i64> = column("next_due", only("next_due", &rows)?, 0)?;
    Ok(due.map(UtcNanos))
}

pub(crate) async fn mark_sent(store: &Store, ids: &[i64], at: UtcNanos) -> Result<(), LedgerError> {
    const SQL: &str = "UPDATE outbox SET sent_ns = $2 WHERE outbox_id = ANY ($1) AND sent_ns IS NULL";
    if ids.is_empty() {
        return Ok(());
    }
    Tx::read(store, "mark_sent", None, SQL, &[(&ids, Type::INT8_ARRAY), (&at.0, Type::INT8)]).await.map(drop)
}

pub(crate) async fn dead_letter(store: &Store, letter: &DeadLetter) -> Result<(), LedgerError> {
    const SQL: &str = "INSERT INTO dead_letters (queue, message_id, reason, at_ns) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING";
    let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
        (&letter.queue, Type::TEXT),
        (&letter.message_id, Type::TEXT),
        (&letter.reason, Type::TEXT),
        (&letter.at.0, Type::INT8),
    ];
    Tx::read(store, "record_dead_letter", None, SQL, &params).await.map(drop)
}
