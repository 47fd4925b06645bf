//! What follows from fills, and what the gate and the report read: loaded here, derived by [`domain::books`].

use std::time::Duration;

use domain::account::{AccountRef, CredentialRecord, CredentialStatus, UserSettings};
use domain::books::{self, session_span};
use domain::combo::OwnedCombo;
use domain::expiry::Expiry;
use domain::ids::{IntentId, SetupId};
use domain::kill::{KillRow, KillScope, KillState};
use domain::ports::{
    DayBook, Difference, IntentView, LedgerError, Message, OpeningContext, Queue, ReconciliationRun, Snapshot,
};
use domain::position::Owned;
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::Deserialize;
use tokio_postgres::types::{Json, ToSql, Type};

use crate::control::no_account;
use crate::entry::step_within;
use crate::error::{corrupt, refused};
use crate::money::dollars;
use crate::outbox::{Letters, SEND};
use crate::pool::Store;
use crate::tx::Tx;
use crate::views::{ViewRow, column, json, only, view, views};

/// The account's intents that a position, a working entry or a trade since `$2` hangs on: all that were sent, of every
/// series and structure that is not level, or was traded, worked or decided on since.
macro_rules! live {
    () => {
        "i.account_id = $1 AND i.state NOT IN ('blocked', 'would_submit') AND (i.structure_id IN (
            SELECT s.structure_id FROM order_intents s JOIN fills f ON f.intent_id = s.intent_id
            WHERE s.account_id = $1 AND s.structure_id IS NOT NULL GROUP BY s.structure_id, f.series
            HAVING sum(CASE f.side WHEN 'buy' THEN 1 ELSE -1 END * (f.to_quantity - f.from_quantity)) <> 0 OR max(f.at_ns) >= $2
            UNION ALL SELECT o.structure_id FROM order_intents o WHERE o.account_id = $1 AND o.structure_id IS NOT NULL
                AND (o.state IN ('ready', 'working') OR o.decided_ns >= $2))
          OR i.structure_id IS NULL AND i.series IN (
            SELECT f.series FROM fills f WHERE f.account_id = $1 GROUP BY f.series
            HAVING sum(CASE f.side WHEN 'buy' THEN 1 ELSE -1 END * (f.to_quantity - f.from_quantity)) <> 0 OR max(f.at_ns) >= $2
            UNION ALL SELECT o.series FROM order_intents o
            WHERE o.account_id = $1 AND (o.state IN ('ready', 'working') OR o.decided_ns >= $2)))"
    };
}

/// Longer than five sessions ever take, holidays and weekends included.
const DAY_TRADE_WINDOW: Duration = Duration::from_secs(12 * 24 * 3600);

/// Intents as the domain orders them: by decision, then id.
fn ordered(mut views: Vec<IntentView>) -> Vec<IntentView> {
    views.sort_by_key(|it| (it.intent.head().decided_at, it.intent.head().id));
    views
}

pub(crate) async fn owned(
    store: &Store,
    account: &AccountRef,
    session: Date,
) -> Result<Vec<Owned>, LedgerError> {
    const SQL: &str = concat!("SELECT ", view!(), " FROM order_intents i WHERE ", live!());
    let since = session_span(session).0;
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&account.account.0, Type::UUID), (&since.0, Type::INT8)];
    let rows = Tx::read(store, "owned", Some(account.user), SQL, &params).await?;
    Ok(books::owned(&ordered(views("owned", &rows)?), session))
}

/// What hangs on a position, a working entry or a trade of the day, inside a transaction that goes on.
pub(crate) async fn live(
    tx: &Tx,
    what: &'static str,
    account: &AccountRef,
    now: UtcNanos,
) -> Result<Vec<IntentView>, LedgerError> {
    const SQL: &str = concat!("SELECT ", view!(), " FROM order_intents i WHERE ", live!());
    let since = session_span(now.new_york_date()).0;
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&account.account.0, Type::UUID), (&since.0, Type::INT8)];
    views(what, &tx.query(SQL, &params).await?)
}

pub(crate) async fn structures(
    store: &Store,
    account: &AccountRef,
    session: Date,
) -> Result<Vec<OwnedCombo>, LedgerError> {
    const SQL: &str =
        concat!("SELECT ", view!(), " FROM order_intents i WHERE i.structure_id IS NOT NULL AND ", live!());
    let since = session_span(session).0;
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&account.account.0, Type::UUID), (&since.0, Type::INT8)];
    let rows = Tx::read(store, "structures", Some(account.user), SQL, &params).await?;
    Ok(books::structures(&ordered(views("structures", &rows)?), session))
}

pub(crate) async fn open_intents(
    store: &Store,
    account: &AccountRef,
) -> Result<Vec<IntentView>, LedgerError> {
    const SQL: &str = concat!(
        "SELECT ",
        view!(),
        " FROM order_intents i WHERE i.account_id = $1 AND i.state IN ('ready', 'working')"
    );
    let rows =
        Tx::read(store, "open_intents", Some(account.user), SQL, &[(&account.account.0, Type::UUID)]).await?;
    views("open_intents", &rows).map(ordered)
}

pub(crate) async fn intents_of(
    store: &Store,
    account: &AccountRef,
    setup: SetupId,
) -> Result<Vec<IntentView>, LedgerError> {
    const SQL: &str =
        concat!("SELECT ", view!(), " FROM order_intents i WHERE i.account_id = $1 AND i.setup_id = $2");
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&account.account.0, Type::UUID), (&setup.to_string(), Type::TEXT)];
    let rows = Tx::read(store, "intents_of", Some(account.user), SQL, &params).await?;
    let mut views = ordered(views("intents_of", &rows)?);
    views.sort_by_key(|it| it.intent.head().sequence);
    Ok(views)
}

/// What the gate reads, as one statement builds it.
#[derive(Deserialize)]
struct ContextRow {
    settings: Option<UserSettings>,
    credential: Option<Credential>,
    kill: Vec<Kill>,
    snapshot: Option<Snapshot>,
    agreed_at: Option<UtcNanos>,
    views: Vec<ViewRow>,
}

#[derive(Deserialize)]
struct Credential {
    account: AccountRef,
    secret: String,
    last4: String,
    status: CredentialStatus,
    proof: Option<UtcNanos>,
}

#[derive(Deserialize)]
struct Kill {
    scope: String,
    state: KillState,
    version: i64,
    at: UtcNanos,
    by: String,
    reason: String,
}

pub(crate) async fn opening_context(
    store: &Store,
    account: &AccountRef,
    session: Date,
    scopes: &[KillScope],
) -> Result<OpeningContext, LedgerError> {
    const WHAT: &str = "opening_context";
    const SQL: &str = concat!(
        "SELECT jsonb_build_object(
            'settings', (SELECT body FROM user_settings WHERE user_id = $3),
            'credential', (SELECT jsonb_build_object('account', jsonb_build_object('user', user_id, 'account', account_id,
                'environment', environment), 'secret', secret, 'last4', last4, 'status', status, 'proof', proof_ns)
                FROM broker_credentials WHERE account_id = $1),
            'kill', (SELECT COALESCE(jsonb_agg(jsonb_build_object('scope', scope, 'state', state, 'version', version,
                'at', flipped_ns, 'by', flipped_by, 'reason', reason)), '[]') FROM kill_switch WHERE scope = ANY ($4) AND version > 0),
            'snapshot', (SELECT body FROM portfolio_snapshots WHERE account_id = $1 ORDER BY at_ns DESC LIMIT 1),
            'agreed_at', (SELECT min(at_ns) FROM reconciliation_runs WHERE account_id = $1 AND at_ns >= $5 AND at_ns < $6
                AND faults = 0),
            'views', (SELECT COALESCE(jsonb_agg(", view!(), "), '[]') FROM order_intents i WHERE ", live!(), "))"
    );
    let (from, until) = session_span(session);
    let since = from.minus(DAY_TRADE_WINDOW);
    let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    let params: [(&(dyn ToSql + Sync), Type); 6] = [
        (&account.account.0, Type::UUID),
        (&since.0, Type::INT8),
        (&account.user.0, Type::UUID),
        (&scopes, Type::TEXT_ARRAY),
        (&from.0, Type::INT8),
        (&until.0, Type::INT8),
    ];
    let rows = Tx::read(store, WHAT, Some(account.user), SQL, &params).await?;
    let row: ContextRow = json(WHAT, only(WHAT, &rows)?, 0)?;
    let kill = |it: Kill| {
        let scope =
            KillScope::parse(&it.scope).ok_or_else(|| corrupt(WHAT, format!("no scope {}", it.scope)))?;
        Ok(KillRow {
            scope,
            state: it.state,
            version: it.version,
            flipped_at: it.at,
            by: it.by,
            reason: it.reason,
        })
    };
    let mut kill: Vec<KillRow> = row.kill.into_iter().map(kill).collect::<Result<_, LedgerError>>()?;
    kill.sort_by(|a, b| a.scope.cmp(&b.scope));
    let views = ordered(row.views.into_iter().map(IntentView::from).collect());
    Ok(OpeningContext {
        settings: row.settings.unwrap_or_default(),
        credential: row.credential.map(|it| CredentialRecord {
            account: it.account,
            secret: it.secret,
            last4: it.last4,
            status: it.status,
            proof_at: it.proof,
        }),
        kill,
        snapshot: row.snapshot,
        agreed_at: row.agreed_at,
        day: books::day_risk(&views, session),
        owned_series: books::owned_series(&views),
        open_legs: books::open_legs(&views),
    })
}

pub(crate) async fn record_snapshot(
    store: &Store,
    account: &AccountRef,
    snapshot: &Snapshot,
    reason: &str,
) -> Result<(), LedgerError> {
    const SQL: &str = concat!(
        "INSERT INTO portfolio_snapshots (account_id, user_id, at_ns, reason, total_equity, option_buying_power, body)
        VALUES ($1, $2, $3, $4, ", dollars!("$5"), ", ", dollars!("$6"), ", $7) ON CONFLICT DO NOTHING"
    );
    let params: [(&(dyn ToSql + Sync), Type); 7] = [
        (&account.account.0, Type::UUID),
        (&account.user.0, Type::UUID),
        (&snapshot.at.0, Type::INT8),
        (&reason, Type::TEXT),
        (&snapshot.balances.total_equity.e4(), Type::INT8),
        (&snapshot.balances.option_buying_power.map(|it| it.e4()), Type::INT8),
        (&Json(snapshot), Type::JSONB),
    ];
    Tx::read(store, "record_snapshot", Some(account.user), SQL, &params).await.map(drop)
}

/// The first balances of the session and the latest of all, in order of time, each once.
pub(crate) async fn snapshots(
    store: &Store,
    account: &AccountRef,
    session: Date,
) -> Result<Vec<Snapshot>, LedgerError> {
    const SQL: &str = "SELECT body FROM portfolio_snapshots WHERE account_id = $1 AND at_ns IN (
            (SELECT min(at_ns) FROM portfolio_snapshots WHERE account_id = $1 AND at_ns >= $2 AND at_ns < $3),
            (SELECT max(at_ns) FROM portfolio_snapshots WHERE account_id = $1))
        ORDER BY at_ns";
    let (from, until) = session_span(session);
    let params: [(&(dyn ToSql + Sync), Type); 3] =
        [(&account.account.0, Type::UUID), (&from.0, Type::INT8), (&until.0, Type::INT8)];
    let rows = Tx::read(store, "snapshots", Some(account.user), SQL, &params).await?;
    rows.iter().map(|it| json("snapshots", it, 0)).collect()
}

/// One run with its differences, its alerts and a line of the audit; nothing when the run is known.
const RUN: &str = concat!(
    "WITH l AS (INSERT INTO audit (account_id, user_id, at_ns, what, about, body) VALUES ($1, $2, $3, 'reconciled', 'account', $4)),
    d AS (INSERT INTO reconciliation_differences (account_id, at_ns, no, user_id, kind, about, ours, broker, cure)
        SELECT $1, $3, n, $2, x ->> 'kind', x ->> 'about', x ->> 'ours', x ->> 'broker', x ->> 'cure'
        FROM jsonb_array_elements($4) WITH ORDINALITY AS t(x, n)),
    ", SEND!("$5", "$6", "$7"), " SELECT 1"
);

pub(crate) async fn reconcile(
    store: &Store,
    account: &AccountRef,
    run: &ReconciliationRun,
) -> Result<(), LedgerError> {
    const WHAT: &str = "record_reconciliation";
    const CLAIM: &str = "INSERT INTO reconciliation_runs (account_id, user_id, at_ns, session, faults)
        VALUES ($1, $2, $3, $4::text::date, $5) ON CONFLICT DO NOTHING RETURNING 1";
    const HOLD: &str = "SELECT intent_id FROM order_intents WHERE account_id = $1 AND intent_id = ANY ($2)
        ORDER BY intent_id FOR UPDATE";
    const STEPS: &str = concat!(
        "SELECT ",
        view!(),
        " FROM order_intents i WHERE i.account_id = $1 AND i.intent_id = ANY ($2)"
    );
    let faults = run.differences.iter().filter(|it| it.kind.is_fault()).count();
    let faults = i32::try_from(faults).unwrap_or(i32::MAX);
    let session = run.at.new_york_date().to_string();
    let names: Vec<String> = run.steps.iter().map(IntentId::to_string).collect();
    let claim: [(&(dyn ToSql + Sync), Type); 5] = [
        (&account.account.0, Type::UUID),
        (&account.user.0, Type::UUID),
        (&run.at.0, Type::INT8),
        (&session, Type::TEXT),
        (&faults, Type::INT4),
    ];
    let key: [(&(dyn ToSql + Sync), Type); 2] =
        [(&account.account.0, Type::UUID), (&names, Type::TEXT_ARRAY)];
    let asked: [(&str, crate::tx::Params<'_>); 3] = [(CLAIM, &claim), (HOLD, &key), (STEPS, &key)];
    let asked = if names.is_empty() { &asked[..1] } else { &asked[..] };
    let (tx, rows) = Tx::open(store, WHAT, Some(account.user), asked).await?;
    if rows.first().is_none_or(Vec::is_empty) {
        return tx.rollback().await;
    }
    let found = rows.get(2).map_or_else(|| Ok(Vec::new()), |it| views(WHAT, it)).map(ordered)?;
    let missing = run.steps.iter().find(|id| !found.iter().any(|it| it.intent.head().id == **id));
    if let Some(id) = missing {
        tx.rollback().await?;
        return Err(refused(WHAT, format!("account {} has no intent {id}", account.account)));
    }
    step_within(&tx, &in_order(found, &run.steps), run.at, "stepped by reconciliation").await?;
    let mut letters = Letters::default();
    for alert in &run.alerts {
        letters.put(Queue::Alerts, alert, run.at);
    }
    let params: [(&(dyn ToSql + Sync), Type); 7] = [
        (&account.account.0, Type::UUID),
        (&account.user.0, Type::UUID),
        (&run.at.0, Type::INT8),
        (&Json(&run.differences), Type::JSONB),
        (&letters.queues, Type::TEXT_ARRAY),
        (&letters.bodies, Type::TEXT_ARRAY),
        (&letters.due, Type::INT8_ARRAY),
    ];
    tx.finish(RUN, &params).await.map(drop)
}

/// The intents in the order they were named, each once.
fn in_order(mut found: Vec<IntentView>, named: &[IntentId]) -> Vec<IntentView> {
    let place = |it: &IntentView| named.iter().position(|id| *id == it.intent.head().id);
    found.sort_by_key(place);
    found
}

/// A session of an account, as one statement builds it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DayRow {
    decided: Vec<ViewRow>,
    live: Vec<ViewRow>,
    snapshots: Vec<Snapshot>,
    reconciled_at: Option<UtcNanos>,
    differences: Vec<Difference>,
    expiries: Vec<Expiry>,
}

pub(crate) async fn day_book(
    store: &Store,
    account: &AccountRef,
    session: Date,
) -> Result<DayBook, LedgerError> {
    const WHAT: &str = "day_book";
    const SQL: &str = concat!(
        "WITH run AS (SELECT max(at_ns) AS at_ns FROM reconciliation_runs WHERE account_id = $1 AND at_ns >= $2 AND at_ns < $3)
        SELECT jsonb_build_object(
            'decided', (SELECT COALESCE(jsonb_agg(", view!(), "), '[]') FROM order_intents i
                WHERE i.account_id = $1 AND i.decided_ns >= $2 AND i.decided_ns < $3),
            'live', (SELECT COALESCE(jsonb_agg(", view!(), "), '[]') FROM order_intents i WHERE ", live!(), "),
            'snapshots', (SELECT COALESCE(jsonb_agg(body ORDER BY at_ns), '[]') FROM portfolio_snapshots
                WHERE account_id = $1 AND at_ns >= $2 AND at_ns < $3),
            'reconciledAt', (SELECT at_ns FROM run),
            'differences', (SELECT COALESCE(jsonb_agg(jsonb_build_object('kind', kind, 'about', about, 'ours', ours,
                'broker', broker, 'cure', cure) ORDER BY no), '[]') FROM reconciliation_differences
                WHERE account_id = $1 AND at_ns = (SELECT at_ns FROM run)),
            'expiries', (SELECT COALESCE(jsonb_agg(body ORDER BY opening_id, series), '[]') FROM expiries WHERE account_id = $1
                AND (expiry = $4::text::date OR (status = 'expired_pending' AND expiry < $4::text::date))))"
    );
    let (from, until) = session_span(session);
    let today = session.to_string();
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&account.account.0, Type::UUID),
        (&from.0, Type::INT8),
        (&until.0, Type::INT8),
        (&today, Type::TEXT),
    ];
    let rows = Tx::read(store, WHAT, Some(account.user), SQL, &params).await?;
    let row: DayRow = json(WHAT, only(WHAT, &rows)?, 0)?;
    let views = |rows: Vec<ViewRow>| ordered(rows.into_iter().map(IntentView::from).collect());
    let live = views(row.live);
    Ok(DayBook {
        account: *account,
        session,
        intents: views(row.decided),
        owned: books::owned(&live, session),
        structures: books::structures(&live, session),
        snapshots: row.snapshots,
        differences: row.differences,
        reconciled_at: row.reconciled_at,
        expiries: row.expiries,
    })
}

/// Keeps the message that the broker spoke of an order; refused for an account the user does not own.
pub(crate) async fn broker_event(
    store: &Store,
    account: &AccountRef,
    order: domain::ids::BrokerOrderId,
    at: UtcNanos,
) -> Result<(), LedgerError> {
    const WHAT: &str = "record_broker_event";
    const SQL: &str = concat!(
        "WITH own AS (SELECT 1 FROM accounts WHERE account_id = $4), ",
        SEND!("$1", "$2", "$3", "EXISTS (SELECT FROM own)"),
        " SELECT EXISTS (SELECT FROM own)"
    );
    let mut letters = Letters::default();
    letters.put(Queue::BrokerEvents, &Message::BrokerOrder { account: *account, order }, at);
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&letters.queues, Type::TEXT_ARRAY),
        (&letters.bodies, Type::TEXT_ARRAY),
        (&letters.due, Type::INT8_ARRAY),
        (&account.account.0, Type::UUID),
    ];
    let rows = Tx::read(store, WHAT, Some(account.user), SQL, &params).await?;
    let known: bool = column(WHAT, only(WHAT, &rows)?, 0)?;
    if known { Ok(()) } else { Err(no_account(WHAT, account)) }
}

pub(crate) async fn intent_of_order(
    store: &Store,
    account: &AccountRef,
    order: domain::ids::BrokerOrderId,
) -> Result<Option<IntentId>, LedgerError> {
    const WHAT: &str = "intent_of_order";
    const SQL: &str = "SELECT intent_id FROM order_attempts WHERE account_id = $1 AND broker_order = $2";
    let Ok(number) = i64::try_from(order.0) else { return Ok(None) };
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&account.account.0, Type::UUID), (&number, Type::INT8)];
    let rows = Tx::read(store, WHAT, Some(account.user), SQL, &params).await?;
    let read =
        |row| column::<&str>(WHAT, row, 0)?.parse().map_err(|it: domain::ids::IdError| corrupt(WHAT, it));
    rows.first().map(read).transpose()
}
