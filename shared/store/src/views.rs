//! Intents with everything recorded of them, as one JSON value per intent: rows to domain types and back.

use domain::books::SETTLEMENT;
use domain::intent::{IntentState, OrderIntent};
use domain::order::Attempt;
use domain::ports::{IntentView, LedgerError};
use domain::position::Fill;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::error::corrupt;

/// The intent `i` as JSON. `$` needs nothing: it reads the row `i` of `order_intents` and what hangs on it.
macro_rules! view {
    () => {
        concat!(
            "jsonb_build_object('intent', i.body, 'state', i.state, 'reason', i.reason,
                'stopRequested', i.stop_requested, 'version', i.version,
                'attempts', (SELECT COALESCE(jsonb_agg(jsonb_build_object('no', a.no, 'state', a.state,
                    'brokerOrder', a.broker_order, 'side', a.side, 'quantity', a.quantity, 'price', a.price_cents,
                    'rung', a.rung, 'executed', a.executed, 'average', ",
            $crate::money::e4!("a.average"),
            ", 'markedAt', a.marked_ns, 'repricedAt', a.repriced_ns, 'cancelAt', a.cancel_ns, 'reason', a.reason, 'combo', a.combo,
                    'trace', jsonb_build_object('arrival', CASE WHEN a.arrival_bid_cents IS NOT NULL THEN
                        jsonb_build_object('bid', a.arrival_bid_cents, 'ask', a.arrival_ask_cents) END,
                        'ackedAt', a.acked_ns, 'filledAt', a.filled_ns))
                    ORDER BY a.no), '[]') FROM order_attempts a WHERE a.intent_id = i.intent_id),
                'fills', (SELECT COALESCE(jsonb_agg(jsonb_build_object('intent', f.intent_id,
                    'attempt', f.attempt_no, 'series', f.series, 'side', f.side, 'from', f.from_quantity,
                    'to', f.to_quantity, 'price', ",
            $crate::money::e4!("f.price"),
            ", 'fees', ",
            $crate::money::e4!("f.fees"),
            ", 'at', f.at_ns, 'source', f.source) ORDER BY f.ordinal), '[]')
                    FROM fills f WHERE f.intent_id = i.intent_id))"
        )
    };
}

pub(crate) use view;

/// An intent as the statements build it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ViewRow {
    intent: OrderIntent,
    state: IntentState,
    reason: String,
    attempts: Vec<Attempt>,
    fills: Vec<Fill>,
    stop_requested: bool,
    version: i64,
}

impl From<ViewRow> for IntentView {
    fn from(row: ViewRow) -> Self {
        let executed = row.fills.iter().filter(|it| it.attempt != SETTLEMENT).map(Fill::contracts);
        let filled = executed.fold(0, u32::saturating_add);
        Self {
            intent: row.intent,
            state: row.state,
            reason: row.reason,
            attempts: row.attempts,
            filled,
            fills: row.fills,
            stop_requested: row.stop_requested,
            version: row.version,
        }
    }
}

/// Column `index` of a row, as JSON of a domain type.
pub(crate) fn json<T: DeserializeOwned>(
    what: &'static str,
    row: &Row,
    index: usize,
) -> Result<T, LedgerError> {
    row.try_get::<_, Json<T>>(index).map(|it| it.0).map_err(|it| corrupt(what, crate::error::chain(&it)))
}

/// Column `index` of a row.
pub(crate) fn column<'r, T: tokio_postgres::types::FromSql<'r>>(
    what: &'static str,
    row: &'r Row,
    index: usize,
) -> Result<T, LedgerError> {
    row.try_get(index).map_err(|it| corrupt(what, crate::error::chain(&it)))
}

/// The only row of a statement that always has one.
pub(crate) fn only<'r>(what: &'static str, rows: &'r [Row]) -> Result<&'r Row, LedgerError> {
    rows.first().ok_or_else(|| corrupt(what, "a statement that has one row had none"))
}

/// Rows whose first column is an intent.
pub(crate) fn views(what: &'static str, rows: &[Row]) -> Result<Vec<IntentView>, LedgerError> {
    rows.iter().map(|it| json::<ViewRow>(what, it, 0).map(IntentView::from)).collect()
}
