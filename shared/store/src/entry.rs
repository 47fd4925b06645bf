//! What one write leaves behind of an intent: its row, attempts, fills, messages and audit line, in one statement.

use domain::books::{self, After};
use domain::gate::GateCheck;
use domain::order::Attempt;
use domain::ports::{IntentView, LedgerError, Message, Queue};
use domain::position::Fill;
use domain::time::UtcNanos;
use tokio_postgres::types::{Json, ToSql, Type};

use crate::money::dollars;
use crate::outbox::{Letters, SEND};
use crate::tx::Tx;

/// Everything one write leaves behind: the intent, its attempts and fills, its messages, its line in the audit.
const WRITE: &str = concat!(
    "WITH w AS (UPDATE order_intents SET state = $2, reason = $3, stop_requested = $4, version = $5, gates = gates || $6
        WHERE intent_id = $1 RETURNING account_id, user_id),
    a AS (INSERT INTO order_attempts (intent_id, no, account_id, user_id, state, broker_order, side, quantity, price_cents,
            rung, executed, average, marked_ns, repriced_ns, cancel_ns, reason, arrival_bid_cents, arrival_ask_cents,
            acked_ns, filled_ns, combo)
        SELECT $1, x.no, w.account_id, w.user_id, x.state, x.\"brokerOrder\", x.side, x.quantity, x.price, x.rung,
            x.executed, ", dollars!("x.average"), ", x.\"markedAt\", x.\"repricedAt\", x.\"cancelAt\", x.reason,
            (x.trace -> 'arrival' ->> 'bid')::bigint, (x.trace -> 'arrival' ->> 'ask')::bigint,
            (x.trace ->> 'ackedAt')::bigint, (x.trace ->> 'filledAt')::bigint, x.combo
        FROM w, jsonb_to_recordset($7) AS x(no integer, state text, \"brokerOrder\" bigint, side text, quantity bigint,
            price bigint, rung integer, executed bigint, average bigint, \"markedAt\" bigint, \"repricedAt\" bigint,
            \"cancelAt\" bigint, reason text, trace jsonb, combo jsonb)
        ON CONFLICT (intent_id, no) DO UPDATE SET state = excluded.state, broker_order = excluded.broker_order,
            price_cents = excluded.price_cents, rung = excluded.rung, executed = excluded.executed,
            average = excluded.average, repriced_ns = excluded.repriced_ns, cancel_ns = excluded.cancel_ns,
            reason = excluded.reason, arrival_bid_cents = excluded.arrival_bid_cents,
            arrival_ask_cents = excluded.arrival_ask_cents, acked_ns = excluded.acked_ns, filled_ns = excluded.filled_ns,
            combo = excluded.combo),
    f AS (INSERT INTO fills (intent_id, attempt_no, series, to_quantity, from_quantity, account_id, user_id, side, price,
            fees, at_ns, source)
        SELECT $1, x.attempt, x.series, x.\"to\", x.\"from\", w.account_id, w.user_id, x.side, ", dollars!("x.price"), ", ",
            dollars!("x.fees"), ", x.at, x.source
        FROM w, jsonb_to_recordset($8) AS x(attempt integer, series text, \"to\" bigint, \"from\" bigint, side text,
            price bigint, fees bigint, at bigint, source text)),
    c AS (UPDATE fills SET price = ", dollars!("x.price"), ", fees = ", dollars!("x.fees"), "
        FROM jsonb_to_recordset($9) AS x(attempt integer, series text, \"to\" bigint, price bigint, fees bigint)
        WHERE intent_id = $1 AND attempt_no = x.attempt AND fills.series = x.series AND to_quantity = x.\"to\"
            AND fills.price IS NULL),
    l AS (INSERT INTO audit (account_id, user_id, at_ns, what, about, body) SELECT account_id, user_id, $10, $11, $1, $12 FROM w),
    ", SEND!("$13", "$14", "$15"), "
    SELECT count(*) FROM w"
);

/// A line of the audit with its figures.
pub(crate) struct Line<'l> {
    pub(crate) at: UtcNanos,
    pub(crate) what: String,
    pub(crate) body: &'l serde_json::Value,
}

/// The step of an intent as it stands.
fn step(view: &IntentView) -> (Queue, Message) {
    let head = view.intent.head();
    let message = Message::Step { account: head.account, intent: head.id, version: view.version, tries: 0 };
    (message.queue(view.intent.opens()), message)
}

/// The values of [`WRITE`].
struct Entry<'e> {
    id: String,
    state: &'static str,
    view: &'e IntentView,
    gates: Json<&'e [GateCheck]>,
    touched: Json<Vec<&'e Attempt>>,
    added: Json<&'e [Fill]>,
    completed: Json<&'e [Fill]>,
    letters: Letters,
    at: UtcNanos,
    what: &'e str,
    body: Json<&'e serde_json::Value>,
}

impl<'e> Entry<'e> {
    fn of(after: &'e After, gates: &'e [GateCheck], letters: Letters, line: &'e Line<'_>) -> Self {
        let view = &after.view;
        Self {
            id: view.intent.head().id.to_string(),
            state: view.state.as_str(),
            view,
            gates: Json(gates),
            touched: Json(view.attempts.iter().filter(|it| after.attempts.contains(&it.no)).collect()),
            added: Json(&after.added),
            completed: Json(&after.completed),
            letters,
            at: line.at,
            what: &line.what,
            body: Json(line.body),
        }
    }

    fn params(&self) -> [(&(dyn ToSql + Sync), Type); 15] {
        [
            (&self.id, Type::TEXT),
            (&self.state, Type::TEXT),
            (&self.view.reason, Type::TEXT),
            (&self.view.stop_requested, Type::BOOL),
            (&self.view.version, Type::INT8),
            (&self.gates, Type::JSONB),
            (&self.touched, Type::JSONB),
            (&self.added, Type::JSONB),
            (&self.completed, Type::JSONB),
            (&self.at.0, Type::INT8),
            (&self.what, Type::TEXT),
            (&self.body, Type::JSONB),
            (&self.letters.queues, Type::TEXT_ARRAY),
            (&self.letters.bodies, Type::TEXT_ARRAY),
            (&self.letters.due, Type::INT8_ARRAY),
        ]
    }
}

/// Writes what became of an intent and ends the transaction.
pub(crate) async fn write(
    tx: Tx,
    after: &After,
    gates: &[GateCheck],
    follow_up: Option<UtcNanos>,
    also: &[(Queue, Message, UtcNanos)],
    line: Line<'_>,
) -> Result<(), LedgerError> {
    let mut letters = Letters::default();
    if let Some(due) = follow_up {
        let (queue, message) = step(&after.view);
        letters.put(queue, &message, due);
    }
    for (queue, message, due) in also {
        letters.put(*queue, message, *due);
    }
    let entry = Entry::of(after, gates, letters, &line);
    tx.finish(WRITE, &entry.params()).await.map(drop)
}

/// Writes what became of an intent, with a step for it due at once; the transaction goes on.
async fn write_within(tx: &Tx, after: &After, what: &str, at: UtcNanos) -> Result<(), LedgerError> {
    let mut letters = Letters::default();
    let (queue, message) = step(&after.view);
    letters.put(queue, &message, at);
    let body = serde_json::json!({ "version": after.view.version });
    let line = Line { at, what: what.to_owned(), body: &body };
    let entry = Entry::of(after, &[], letters, &line);
    tx.query(WRITE, &entry.params()).await.map(drop)
}

/// Asks the entries among `views` to stop, inside the transaction of the flip that covers them.
pub(crate) async fn stop_within(
    tx: &Tx,
    views: &[IntentView],
    at: UtcNanos,
    why: &str,
) -> Result<(), LedgerError> {
    for after in views.iter().filter_map(books::stopped) {
        write_within(tx, &after, why, at).await?;
    }
    Ok(())
}

/// Steps the intents among `views` that are not final at once. Their version is raised: what waited for the old one
/// is over.
pub(crate) async fn step_within(
    tx: &Tx,
    views: &[IntentView],
    at: UtcNanos,
    why: &str,
) -> Result<(), LedgerError> {
    for view in views.iter().filter(|it| !it.state.is_final()) {
        let raised = IntentView { version: view.version.saturating_add(1), ..view.clone() };
        write_within(tx, &untouched(raised), why, at).await?;
    }
    Ok(())
}

/// A write that leaves attempts and fills alone.
pub(crate) const fn untouched(view: IntentView) -> After {
    After { view, attempts: Vec::new(), added: Vec::new(), completed: Vec::new() }
}
