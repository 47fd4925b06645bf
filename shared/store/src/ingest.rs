//! What the ingester writes and the transitions function reads: chains, setups, bars, checkpoints. No user.

use domain::chain::ChainSnapshot;
use domain::ids::{ChainId, SetupId};
use domain::market::{Microbar, Points};
use domain::ports::{LedgerError, Message, Queue, Recorded, SetupBook};
use domain::setup::{Setup, SetupState, Transition, TransitionRecord};
use domain::symbol::Underlying;
use domain::time::UtcNanos;
use jiff::civil::Date;
use tokio_postgres::types::{Json, ToSql, Type};

use crate::error::{corrupt, refused};
use crate::outbox::{Letters, SEND};
use crate::pool::Store;
use crate::tx::Tx;
use crate::views::{column, json};

pub(crate) async fn store_chain(store: &Store, chain: &ChainSnapshot) -> Result<ChainId, LedgerError> {
    const SQL: &str =
        "INSERT INTO chains (chain_id, underlying, ts_ns, series_count, body) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING";
    let id = chain.id();
    let series = i32::try_from(chain.rows.len()).unwrap_or(i32::MAX);
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&id.to_string(), Type::TEXT),
        (&chain.underlying.as_str(), Type::TEXT),
        (&chain.ts.0, Type::INT8),
        (&series, Type::INT4),
        (&Json(chain), Type::JSONB),
    ];
    Tx::read(store, "store_chain", None, SQL, &params).await?;
    Ok(id)
}

pub(crate) async fn chain(store: &Store, id: ChainId) -> Result<Option<ChainSnapshot>, LedgerError> {
    const SQL: &str = "SELECT body FROM chains WHERE chain_id = $1";
    let rows = Tx::read(store, "chain", None, SQL, &[(&id.to_string(), Type::TEXT)]).await?;
    rows.first().map(|it| json("chain", it, 0)).transpose()
}

const STEP: &str = concat!(
    "WITH s AS (INSERT INTO setup_instances (setup_id, session, symbol, kind, direction, state, sequence, formed_ns, body)
        VALUES ($1, $2::text::date, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (setup_id) DO UPDATE SET state = excluded.state, sequence = excluded.sequence, body = excluded.body),
    t AS (INSERT INTO setup_transitions (setup_id, sequence, from_state, to_state, ts_ns, written_ns, reason, chain_id,
            record)
        VALUES ($1, $7, $10, $6, $11, $12, $13, $14, $15)),
    ", SEND!("$16", "$17", "$18"), " SELECT 1"
);

pub(crate) async fn record(
    store: &Store,
    record: &TransitionRecord,
    at: UtcNanos,
) -> Result<Recorded, LedgerError> {
    const WHAT: &str = "record_transition";
    const LOCK: &str = "SELECT sequence, state FROM setup_instances WHERE setup_id = $1 FOR UPDATE";
    let TransitionRecord { setup, transition, chain, .. } = record;
    let id = transition.setup.to_string();
    let (tx, rows) = Tx::open(store, WHAT, None, &[(LOCK, &[(&id, Type::TEXT)])]).await?;
    let known = match rows.iter().flatten().next() {
        None => None,
        Some(row) => {
            let (sequence, state): (i64, &str) = (column(WHAT, row, 0)?, column(WHAT, row, 1)?);
            let state =
                SetupState::parse(state).ok_or_else(|| corrupt(WHAT, format!("setup {id} is {state}")))?;
            Some((sequence, state))
        }
    };
    let next = known.map_or(0, |it| it.0.saturating_add(1));
    if i64::from(transition.sequence) < next {
        tx.rollback().await?;
        return Ok(Recorded::Known);
    }
    if i64::from(transition.sequence) != next || !follows(known.map(|it| it.1), setup, transition) {
        tx.rollback().await?;
        let (sequence, to) = (transition.sequence, transition.to.as_str());
        return Err(refused(WHAT, format!("step {sequence} to {to} is not the next of setup {id}")));
    }
    let mut letters = Letters::default();
    let message = Message::Transition { setup: setup.id, sequence: transition.sequence, tries: 0 };
    letters.put(Queue::Transitions, &message, at);
    let params: [(&(dyn ToSql + Sync), Type); 18] = [
        (&id, Type::TEXT),
        (&setup.session.to_string(), Type::TEXT),
        (&setup.symbol.as_str(), Type::TEXT),
        (&setup.kind.as_str(), Type::TEXT),
        (&setup.direction.as_str(), Type::TEXT),
        (&transition.to.as_str(), Type::TEXT),
        (&i64::from(transition.sequence), Type::INT8),
        (&setup.formed_at.0, Type::INT8),
        (&Json(setup), Type::JSONB),
        (&transition.from.map(SetupState::as_str), Type::TEXT),
        (&transition.ts.0, Type::INT8),
        (&at.0, Type::INT8),
        (&transition.reason, Type::TEXT),
        (&chain.map(|it| it.to_string()), Type::TEXT),
        (&Json(record), Type::JSONB),
        (&letters.queues, Type::TEXT_ARRAY),
        (&letters.bodies, Type::TEXT_ARRAY),
        (&letters.due, Type::INT8_ARRAY),
    ];
    tx.finish(STEP, &params).await?;
    Ok(Recorded::New)
}

/// Whether a step follows the state recorded, and the setup with it agrees.
fn follows(known: Option<SetupState>, setup: &Setup, transition: &Transition) -> bool {
    let steps = match known {
        None => transition.from.is_none() && matches!(transition.to, SetupState::Forming | SetupState::Ready),
        Some(state) => transition.from == Some(state) && state.may_become(transition.to),
    };
    steps
        && setup.id == transition.setup
        && setup.state == transition.to
        && setup.sequence == transition.sequence
}

pub(crate) async fn transition(
    store: &Store,
    setup: SetupId,
    sequence: u32,
) -> Result<Option<TransitionRecord>, LedgerError> {
    const SQL: &str = "SELECT record FROM setup_transitions WHERE setup_id = $1 AND sequence = $2";
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&setup.to_string(), Type::TEXT), (&i64::from(sequence), Type::INT8)];
    let rows = Tx::read(store, "transition", None, SQL, &params).await?;
    rows.first().map(|it| json("transition", it, 0)).transpose()
}

pub(crate) async fn handled_up_to(store: &Store, setup: SetupId) -> Result<Option<u32>, LedgerError> {
    const WHAT: &str = "handled_up_to";
    const SQL: &str = "SELECT handled FROM setup_instances WHERE setup_id = $1";
    let rows = Tx::read(store, WHAT, None, SQL, &[(&setup.to_string(), Type::TEXT)]).await?;
    let handled: Option<i64> = rows.first().map_or(Ok(None), |it| column(WHAT, it, 0))?;
    handled.map(|it| u32::try_from(it).map_err(|error| corrupt(WHAT, error))).transpose()
}

pub(crate) async fn mark_handled(store: &Store, setup: SetupId, sequence: u32) -> Result<(), LedgerError> {
    const WHAT: &str = "mark_handled";
    // The step is taken only as the next one; what stood before says why not.
    const SQL: &str =
        "WITH old AS (SELECT handled, sequence FROM setup_instances WHERE setup_id = $1 FOR UPDATE),
        new AS (UPDATE setup_instances s SET handled = $2 FROM old
            WHERE s.setup_id = $1 AND $2 = COALESCE(old.handled + 1, 0) AND $2 <= old.sequence RETURNING 1)
        SELECT handled, (SELECT count(*) FROM new) FROM old";
    let (id, step) = (setup.to_string(), i64::from(sequence));
    let rows = Tx::read(store, WHAT, None, SQL, &[(&id, Type::TEXT), (&step, Type::INT8)]).await?;
    let missing = || refused(WHAT, format!("setup {setup} has no step {sequence}"));
    let row = rows.first().ok_or_else(missing)?;
    let (handled, written): (Option<i64>, i64) = (column(WHAT, row, 0)?, column(WHAT, row, 1)?);
    let next = handled.map_or(0, |it| it.saturating_add(1));
    if written == 1 || step < next {
        return Ok(());
    }
    if step > next {
        return Err(refused(WHAT, format!("step {next} of setup {setup} comes before step {sequence}")));
    }
    Err(missing())
}

pub(crate) async fn setups(store: &Store, session: Date) -> Result<Vec<SetupBook>, LedgerError> {
    const WHAT: &str = "setups";
    const SQL: &str = "SELECT s.body, (SELECT jsonb_agg(t.record -> 'transition' ORDER BY t.sequence) FROM setup_transitions t
            WHERE t.setup_id = s.setup_id)
        FROM setup_instances s WHERE s.session = $1::text::date";
    let rows = Tx::read(store, WHAT, None, SQL, &[(&session.to_string(), Type::TEXT)]).await?;
    let read = |row| Ok(SetupBook { setup: json(WHAT, row, 0)?, transitions: json(WHAT, row, 1)? });
    let mut books: Vec<SetupBook> = rows.iter().map(read).collect::<Result<_, LedgerError>>()?;
    books.sort_by_key(|it| (it.setup.formed_at, it.setup.id));
    Ok(books)
}

/// Bars column by column, as one statement takes them.
#[derive(Default)]
struct Columns {
    required: [Vec<i64>; 11],
    optional: [Vec<Option<i64>>; 6],
}

impl Columns {
    fn of(bars: &[Microbar]) -> Self {
        let count = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
        let mut columns = Self::default();
        for bar in bars {
            let required = [
                bar.ts_open.0,
                count(bar.volume),
                i64::from(bar.trades),
                count(bar.buy_volume),
                count(bar.sell_volume),
                count(bar.neutral_volume),
                i64::from(bar.ticks),
                i64::from(bar.quoted_ticks),
                count(bar.bid_size_sum),
                count(bar.ask_size_sum),
                bar.spread_sum,
            ];
            let price = |of: fn(&domain::market::Ohlc) -> Points| bar.ohlc.as_ref().map(|it| of(it).0);
            let optional = [
                price(|it| it.open),
                price(|it| it.high),
                price(|it| it.low),
                price(|it| it.close),
                bar.bid_size_at_close.map(i64::from),
                bar.ask_size_at_close.map(i64::from),
            ];
            columns.required.iter_mut().zip(required).for_each(|(column, it)| column.push(it));
            columns.optional.iter_mut().zip(optional).for_each(|(column, it)| column.push(it));
        }
        columns
    }
}

/// Bars in one statement; more would hold the statement's arrays beyond a few megabytes.
const BARS_MAX: usize = 5_000;

pub(crate) async fn store_microbars(
    store: &Store,
    symbol: Underlying,
    bars: &[Microbar],
) -> Result<(), LedgerError> {
    const SQL: &str = "INSERT INTO microbars (symbol, ts_ns, volume, trades, buy_volume, sell_volume, neutral_volume, ticks,
            quoted_ticks, bid_size_sum, ask_size_sum, spread_sum, open_e4, high_e4, low_e4, close_e4, bid_size_at_close,
            ask_size_at_close)
        SELECT $1, * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
        ON CONFLICT DO NOTHING";
    let symbol = symbol.as_str();
    for bars in bars.chunks(BARS_MAX) {
        let columns = Columns::of(bars);
        let mut params: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&symbol, Type::TEXT)];
        params.extend(columns.required.iter().map(|it| (it as &(dyn ToSql + Sync), Type::INT8_ARRAY)));
        params.extend(columns.optional.iter().map(|it| (it as &(dyn ToSql + Sync), Type::INT8_ARRAY)));
        Tx::read(store, "store_microbars", None, SQL, &params).await?;
    }
    Ok(())
}

pub(crate) async fn save_checkpoint(
    store: &Store,
    session: Date,
    checkpoint: &[u8],
) -> Result<(), LedgerError> {
    const SQL: &str = "INSERT INTO ingester_checkpoints (session, body) VALUES ($1::text::date, $2)
        ON CONFLICT (session) DO UPDATE SET body = excluded.body, saved_at = now()";
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&session.to_string(), Type::TEXT), (&checkpoint, Type::BYTEA)];
    Tx::read(store, "save_checkpoint", None, SQL, &params).await.map(drop)
}

pub(crate) async fn checkpoint(store: &Store, session: Date) -> Result<Option<Vec<u8>>, LedgerError> {
    const SQL: &str = "SELECT body FROM ingester_checkpoints WHERE session = $1::text::date";
    let rows = Tx::read(store, "checkpoint", None, SQL, &[(&session.to_string(), Type::TEXT)]).await?;
    rows.first().map(|it| column("checkpoint", it, 0)).transpose()
}
