//! Writes about intents: locks and rows in, [`domain::books`] decides, rows and messages out.

use domain::account::AccountRef;
use domain::books::{self, After};
use domain::ids::{IntentId, OrderTag};
use domain::intent::{IntentState, OrderIntent, Origin};
use domain::kill::{KillRow, stopping};
use domain::money::Usd;
use domain::order::Mark;
use domain::ports::{
    Answer, Fence, IntentView, LedgerError, MarkRequest, Marking, Message, NewIntent, Progress, Recorded,
    Written,
};
use domain::position::FillSource;
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql, Type};

use crate::control::kill_row;
use crate::entry::{Line, untouched, write};
use crate::error::{corrupt, refused};
use crate::outbox::{Letters, SEND};
use crate::pool::Store;
use crate::tx::{Params, Tx};
use crate::views::{ViewRow, column, json, view, views};

/// The code that decided and sent, as the audit keeps it: the commit where the build names it, else the package's version.
pub(crate) const CODE_VERSION: &str = match option_env!("CLAXTON_COMMIT") {
    Some(commit) => commit,
    None => env!("CARGO_PKG_VERSION"),
};

/// The intent of the account with what is recorded of it.
const ONE: &str =
    concat!("SELECT ", view!(), " FROM order_intents i WHERE i.intent_id = $1 AND i.account_id = $2");

/// The account's lease is held still, then the intent: nobody takes or writes them until this transaction ends.
const LOCK: &str =
    "WITH lease AS MATERIALIZED (SELECT fence FROM account_leases WHERE account_id = $2 FOR SHARE),
    held AS MATERIALIZED (SELECT (SELECT fence FROM lease) AS fence, i.intent_id FROM order_intents i
        WHERE i.intent_id = $1 AND i.account_id = $2 FOR UPDATE OF i)
    SELECT COALESCE((SELECT fence FROM lease), 0), (SELECT intent_id FROM held) IS NOT NULL";

/// A close that names its entry names one of the same account and series.
const RECORD: &str = concat!(
    "WITH opened AS (SELECT $10::text IS NULL OR EXISTS (SELECT FROM order_intents WHERE intent_id = $10 AND account_id = $2
            AND effect = 'opening' AND series = $13 AND (structure_id IS NULL) = ($29::text IS NULL)) AS fits),
    w AS (INSERT INTO order_intents (intent_id, account_id, user_id, environment, setup_id, flatten_session, sequence,
            action, effect, opening_id, family, underlying, series, quantity, worst_cents, session, decided_ns, state,
            reason, version, gates, breakdown, body, decision_id, structure_id)
        SELECT $1, $2, $3, $4, $5, $6::text::date, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16::text::date, $17, $18, $19,
            1, $20, $21, $22, $28, $29 FROM opened WHERE fits
        ON CONFLICT (intent_id) DO NOTHING RETURNING account_id, user_id),
    l AS (INSERT INTO audit (account_id, user_id, at_ns, what, about, body)
        SELECT account_id, user_id, $23, $24, $1, jsonb_build_object('state', $18::text, 'reason', $19::text, 'gates', $20::jsonb,
            'code', $30::text, 'profile', (SELECT s.body ->> 'profile' FROM setup_instances s WHERE s.setup_id = $5))
        FROM w),
    ",
    SEND!("$25", "$26", "$27", "(SELECT count(*) FROM w) > 0"),
    " SELECT count(*), (SELECT count(*) FROM order_intents WHERE intent_id = $1 AND account_id = $2), (SELECT fits FROM opened)
    FROM w"
);

/// An intent read under its locks.
struct Locked {
    tx: Tx,
    fence: i64,
    view: IntentView,
}

/// Opens a transaction on an intent: lease held, row locked, everything of it read.
async fn lock(
    store: &Store,
    what: &'static str,
    account: &AccountRef,
    id: IntentId,
) -> Result<Locked, LedgerError> {
    let name = id.to_string();
    let key = [(&name as &(dyn ToSql + Sync), Type::TEXT), (&account.account.0, Type::UUID)];
    let (tx, rows) = Tx::open(store, what, Some(account.user), &[(LOCK, &key), (ONE, &key)]).await?;
    locked(tx, what, account, id, &rows).await
}

/// The intent out of the answers to [`LOCK`] and [`ONE`], the last two of `rows`.
async fn locked(
    tx: Tx,
    what: &'static str,
    account: &AccountRef,
    id: IntentId,
    rows: &[Vec<Row>],
) -> Result<Locked, LedgerError> {
    let [.., lease, intent] = rows else { return Err(corrupt(what, "a statement was not answered")) };
    let fence: i64 = lease.first().map_or(Ok(0), |it| column(what, it, 0))?;
    match views(what, intent)?.into_iter().next() {
        Some(view) => Ok(Locked { tx, fence, view }),
        None => refuse(tx, what, format!("account {} has no intent {id}", account.account)).await,
    }
}

/// Why a compare-and-set does not apply: the lease comes first, for who lost it must stop.
fn late(locked: &Locked, fence: Option<Fence>, version: i64) -> Option<Written> {
    books::late(fence, Some(Fence(locked.fence)), &locked.view, version)
}

fn value(of: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(of).unwrap_or_default()
}

pub(crate) async fn record(store: &Store, new: &NewIntent) -> Result<Recorded, LedgerError> {
    const WHAT: &str = "record_intent";
    let head = new.intent.head();
    books::begins(new).map_err(|it| refused(WHAT, it))?;
    let (setup, flatten, decision) = match head.origin {
        Origin::Setup(setup) => (Some(setup.to_string()), None, None),
        Origin::Flatten(session) => (None, Some(session.to_string()), None),
        Origin::Decision(decision) => (None, None, Some(decision.to_string())),
    };
    let opening = new.intent.opening().map(|it| it.to_string());
    let (effect, quantity, worst) = match &new.intent {
        OrderIntent::Opening(it) => {
            let (quantity, worst) = (Some(i64::from(it.quantity)), Some(i64::from(it.worst.cents())));
            ("opening", quantity, worst)
        }
        // Its worst net: below zero where it is received.
        OrderIntent::OpeningCombo(it) => {
            ("opening", Some(i64::from(it.units)), Some(it.terms.worst().cents()))
        }
        OrderIntent::Closing(_) | OrderIntent::ClosingCombo(_) => ("closing", None, None),
    };
    // What hangs on one structure carries the name of its entry, the entry too.
    let structure = new.intent.is_combo().then(|| opening.clone().unwrap_or_else(|| head.id.to_string()));
    let mut letters = Letters::default();
    if new.state == IntentState::Ready {
        let message = Message::Step { account: head.account, intent: head.id, version: 1, tries: 0 };
        letters.put(message.queue(new.intent.opens()), &message, new.first_step_due());
    }
    let (id, series, underlying) = (head.id.to_string(), head.series.to_string(), head.series.underlying());
    let what = format!("intent {} {}", head.action.as_str(), new.state.as_str());
    let rows = Tx::read(
        store,
        WHAT,
        Some(head.account.user),
        RECORD,
        &[
            (&id, Type::TEXT),
            (&head.account.account.0, Type::UUID),
            (&head.account.user.0, Type::UUID),
            (&head.account.environment.as_str(), Type::TEXT),
            (&setup, Type::TEXT),
            (&flatten, Type::TEXT),
            (&i64::from(head.sequence), Type::INT8),
            (&head.action.as_str(), Type::TEXT),
            (&effect, Type::TEXT),
            (&opening, Type::TEXT),
            (&new.intent.strategy(), Type::TEXT),
            (&underlying.as_str(), Type::TEXT),
            (&series, Type::TEXT),
            (&quantity, Type::INT8),
            (&worst, Type::INT8),
            (&head.decided_at.new_york_date().to_string(), Type::TEXT),
            (&head.decided_at.0, Type::INT8),
            (&new.state.as_str(), Type::TEXT),
            (&new.reason, Type::TEXT),
            (&Json(&new.gates), Type::JSONB),
            (&new.breakdown, Type::TEXT),
            (&Json(&new.intent), Type::JSONB),
            (&new.at.0, Type::INT8),
            (&what, Type::TEXT),
            (&letters.queues, Type::TEXT_ARRAY),
            (&letters.bodies, Type::TEXT_ARRAY),
            (&letters.due, Type::INT8_ARRAY),
            (&decision, Type::TEXT),
            (&structure, Type::TEXT),
            (&CODE_VERSION, Type::TEXT),
        ],
    )
    .await?;
    let row = crate::views::only(WHAT, &rows)?;
    let (written, known): (i64, i64) = (column(WHAT, row, 0)?, column(WHAT, row, 1)?);
    let fits: bool = column(WHAT, row, 2)?;
    match (written, known) {
        (1, _) => Ok(Recorded::New),
        (_, 1) => Ok(Recorded::Known),
        _ if !fits => Err(refused(WHAT, format!("the entry it names did not open {series} here"))),
        // The row stands, yet this statement began before its writer's commit: a new one sees whose it is.
        _ => match one(store, &head.account, head.id).await? {
            Some(_) => Ok(Recorded::Known),
            None => Err(refused(WHAT, "the id is another account's")),
        },
    }
}

/// Rows of the switch are held FOR SHARE, and made where they are missing: a flip waits for this mark or comes first.
const HOLD_SWITCH: &str = "INSERT INTO kill_switch (scope, state, version, flipped_ns, flipped_by, reason)
    SELECT scope, 'normal', 0, 0, '', '' FROM unnest($1::text[]) AS scope
    WHERE NOT EXISTS (SELECT FROM kill_switch k WHERE k.scope = scope.scope)
    ORDER BY scope ON CONFLICT DO NOTHING";
const READ_SWITCH: &str = "SELECT scope, state, version, flipped_ns, reason, flipped_by FROM kill_switch
    WHERE scope = ANY ($1) ORDER BY scope FOR SHARE";

pub(crate) async fn mark(store: &Store, request: &MarkRequest) -> Result<Marking, LedgerError> {
    const WHAT: &str = "mark_submitting";
    let (name, account) = (request.intent.to_string(), request.account.account.0);
    let key = [(&name as &(dyn ToSql + Sync), Type::TEXT), (&account, Type::UUID)];
    let user = Some(request.account.user);
    let scopes: Vec<String> = request.kill_scopes.iter().map(ToString::to_string).collect();
    let scopes = [(&scopes as &(dyn ToSql + Sync), Type::TEXT_ARRAY)];
    let all: [(&str, Params<'_>); 4] =
        [(HOLD_SWITCH, &scopes), (READ_SWITCH, &scopes), (LOCK, &key), (ONE, &key)];
    let asked = if request.kill_scopes.is_empty() { &all[2..] } else { &all[..] };
    let (tx, rows) = Tx::open(store, WHAT, user, asked).await?;
    let kill: Vec<KillRow> = match rows.as_slice() {
        [_, switch, _, _] => switch.iter().map(|it| kill_row(WHAT, it)).collect::<Result<_, _>>()?,
        _ => Vec::new(),
    };
    let locked = locked(tx, WHAT, &request.account, request.intent, &rows).await?;
    let verdict = match late(&locked, Some(request.fence), request.version) {
        Some(Written::LeaseLost) => Ok(Marking::LeaseLost),
        Some(Written::Stale | Written::Version(_)) => Ok(Marking::Stale),
        None if locked.view.intent.opens() && request.kill_scopes.is_empty() => {
            Err(refused(WHAT, "an entry names no scopes of the kill switch"))
        }
        None => match stopping(&kill).filter(|_| locked.view.intent.opens()) {
            Some(row) => Ok(Marking::Killed(row.clone())),
            None => return marked(locked, request).await,
        },
    };
    locked.tx.rollback().await?;
    verdict
}

async fn marked(locked: Locked, request: &MarkRequest) -> Result<Marking, LedgerError> {
    let after = match books::marked(&locked.view, request) {
        Ok(after) => after,
        Err(why) => return refuse(locked.tx, "mark_submitting", why).await,
    };
    let tag = OrderTag { intent: request.intent, attempt: request.attempt };
    let body = serde_json::json!({
        "attempt": request.attempt.0, "quantity": request.quantity, "priceCents": request.price.cents(),
        "version": after.view.version, "fence": request.fence.0, "gates": value(&request.gates), "code": CODE_VERSION,
    });
    let line = Line { at: request.at, what: format!("submitting {tag}"), body: &body };
    write(locked.tx, &after, &request.gates, Some(request.follow_up), &[], line).await?;
    Ok(Marking::Marked(Mark { tag, at: request.at, version: after.view.version }))
}

pub(crate) async fn answer(store: &Store, answer: &Answer) -> Result<Written, LedgerError> {
    const WHAT: &str = "record_answer";
    let locked = lock(store, WHAT, &answer.account, answer.tag.intent).await?;
    if let Some(verdict) = late(&locked, Some(answer.fence), answer.version) {
        locked.tx.rollback().await?;
        return Ok(verdict);
    }
    let after = match books::answered(&locked.view, answer) {
        Ok(after) => after,
        Err(why) => return refuse(locked.tx, WHAT, why).await,
    };
    let body = serde_json::json!({
        "words": answer.broker_words, "attempt": value(&answer.attempt), "state": after.view.state.as_str(),
        "version": after.view.version,
    });
    let line = Line { at: answer.at, what: format!("answer to {}", answer.tag), body: &body };
    write(locked.tx, &after, &[], answer.follow_up, &[], line).await?;
    Ok(Written::Version(after.view.version))
}

pub(crate) async fn progress(store: &Store, progress: &Progress) -> Result<Written, LedgerError> {
    const WHAT: &str = "record_progress";
    let locked = lock(store, WHAT, &progress.account, progress.intent).await?;
    if let Some(verdict) = late(&locked, progress.fence, progress.version) {
        locked.tx.rollback().await?;
        return Ok(verdict);
    }
    let after = match books::progressed(&locked.view, progress) {
        Ok(after) => after,
        Err(why) => return refuse(locked.tx, WHAT, why).await,
    };
    let body = serde_json::json!({
        "attempts": value(&progress.attempts), "added": value(&after.added), "completed": value(&after.completed),
        "state": after.view.state.as_str(), "reason": after.view.reason, "version": after.view.version,
        "gates": value(&progress.gates),
    });
    let line = Line { at: progress.at, what: progress.what.clone(), body: &body };
    write(locked.tx, &after, &progress.gates, progress.follow_up, &progress.also, line).await?;
    Ok(Written::Version(after.view.version))
}

pub(crate) async fn stop(
    store: &Store,
    account: &AccountRef,
    id: IntentId,
    at: UtcNanos,
) -> Result<(), LedgerError> {
    let locked = lock(store, "request_stop", account, id).await?;
    let Some(after) = books::stopped(&locked.view) else { return locked.tx.rollback().await };
    let body = serde_json::json!({ "version": after.view.version });
    write(locked.tx, &after, &[], Some(at), &[], Line { at, what: "asked to stop".to_owned(), body: &body })
        .await
}

/// Every intent of the entry's series, for what is left of it.
const SETTLING: &str = concat!(
    "SELECT ",
    view!(),
    " FROM order_intents i WHERE i.account_id = $2
        AND i.series = (SELECT series FROM order_intents WHERE intent_id = $1 AND account_id = $2)
    ORDER BY i.decided_ns, i.intent_id"
);

pub(crate) async fn settle(
    store: &Store,
    account: &AccountRef,
    opening: IntentId,
    price: Usd,
    at: UtcNanos,
    source: FillSource,
) -> Result<Recorded, LedgerError> {
    const WHAT: &str = "record_settlement";
    let name = opening.to_string();
    let key = [(&name as &(dyn ToSql + Sync), Type::TEXT), (&account.account.0, Type::UUID)];
    let (tx, rows) = Tx::open(store, WHAT, Some(account.user), &[(LOCK, &key), (SETTLING, &key)]).await?;
    let all = views(WHAT, rows.last().map_or(&[], Vec::as_slice))?;
    let Some(view) = all.iter().find(|it| it.intent.head().id == opening).filter(|it| it.intent.opens())
    else {
        return refuse(tx, WHAT, format!("account {} opened nothing by {opening}", account.account)).await;
    };
    let held = books::held(&all, opening);
    let Some(fill) = books::settled(view, held, price, at, source) else {
        tx.rollback().await?;
        return Ok(Recorded::Known);
    };
    let body = value(&fill);
    // The intent itself stays as it is, with its version: a settlement is no step of it.
    let after = After { added: vec![fill], ..untouched(view.clone()) };
    write(tx, &after, &[], None, &[], Line { at, what: "settled".to_owned(), body: &body }).await?;
    Ok(Recorded::New)
}

/// Every intent of the structure.
const STRUCTURE: &str = concat!(
    "SELECT ",
    view!(),
    " FROM order_intents i WHERE i.account_id = $2 AND i.structure_id = $1 ORDER BY i.decided_ns, i.intent_id"
);

pub(crate) async fn settle_combo(
    store: &Store,
    account: &AccountRef,
    opening: IntentId,
    prices: &[(OccSymbol, Usd)],
    at: UtcNanos,
    source: FillSource,
) -> Result<Recorded, LedgerError> {
    const WHAT: &str = "record_combo_settlement";
    let name = opening.to_string();
    let key = [(&name as &(dyn ToSql + Sync), Type::TEXT), (&account.account.0, Type::UUID)];
    let (tx, rows) = Tx::open(store, WHAT, Some(account.user), &[(LOCK, &key), (STRUCTURE, &key)]).await?;
    let all = views(WHAT, rows.last().map_or(&[], Vec::as_slice))?;
    let fills = match books::combo_settled(&all, opening, prices, at, source) {
        Ok(fills) => fills,
        Err(why) => return refuse(tx, WHAT, why).await,
    };
    let view = all.into_iter().find(|it| it.intent.head().id == opening).filter(|_| !fills.is_empty());
    let Some(view) = view else {
        tx.rollback().await?;
        return Ok(Recorded::Known);
    };
    let body = value(&fills);
    // The intent itself stays as it is, with its version: a settlement is no step of it.
    let after = After { added: fills, ..untouched(view) };
    write(tx, &after, &[], None, &[], Line { at, what: "settled".to_owned(), body: &body }).await?;
    Ok(Recorded::New)
}

async fn refuse<T>(tx: Tx, what: &'static str, why: String) -> Result<T, LedgerError> {
    tx.rollback().await?;
    Err(refused(what, why))
}

pub(crate) async fn one(
    store: &Store,
    account: &AccountRef,
    id: IntentId,
) -> Result<Option<IntentView>, LedgerError> {
    let name = id.to_string();
    let key = [(&name as &(dyn ToSql + Sync), Type::TEXT), (&account.account.0, Type::UUID)];
    let rows = Tx::read(store, "intent", Some(account.user), ONE, &key).await?;
    rows.first().map(|it| json::<ViewRow>("intent", it, 0).map(IntentView::from)).transpose()
}
