//! The kill switch, leases, credentials, settings, reports.

use domain::account::{AccountRef, CredentialRecord, CredentialStatus, Environment, UserSettings};
use domain::books;
use domain::ids::{AccountId, UserId};
use domain::kill::{KillRow, KillScope, KillState};
use domain::ports::{CredentialChange, Fence, KillFlip, LedgerError};
use domain::time::UtcNanos;
use jiff::civil::Date;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql, Type};

use crate::entry::stop_within;
use crate::error::{corrupt, refused};
use crate::money::dollars;
use crate::outbox::{Letters, send_within};
use crate::pool::Store;
use crate::positions::live;
use crate::tx::Tx;
use crate::views::{column, json, only, view, views};

/// The broker every account is at, as the kill switch names it.
const BROKER: &str = "tradier";

/// A row of the switch: scope, state, version, instant, reason, who.
pub(crate) fn kill_row(what: &'static str, row: &Row) -> Result<KillRow, LedgerError> {
    let (scope, state): (&str, &str) = (column(what, row, 0)?, column(what, row, 1)?);
    Ok(KillRow {
        scope: KillScope::parse(scope).ok_or_else(|| corrupt(what, format!("no scope {scope}")))?,
        state: KillState::parse(state).ok_or_else(|| corrupt(what, format!("no state {state}")))?,
        version: column(what, row, 2)?,
        flipped_at: UtcNanos(column(what, row, 3)?),
        reason: column(what, row, 4)?,
        by: column(what, row, 5)?,
    })
}

pub(crate) async fn kill_switch(store: &Store) -> Result<Vec<KillRow>, LedgerError> {
    const WHAT: &str = "kill_switch";
    const SQL: &str =
        "SELECT scope, state, version, flipped_ns, reason, flipped_by FROM kill_switch WHERE version > 0";
    let rows = Tx::read(store, WHAT, None, SQL, &[]).await?;
    let mut rows: Vec<KillRow> = rows.iter().map(|it| kill_row(WHAT, it)).collect::<Result<_, _>>()?;
    rows.sort_by(|a, b| a.scope.cmp(&b.scope));
    Ok(rows)
}

/// The row is made where it is missing, then held FOR UPDATE: marks that hold it FOR SHARE end first, later ones wait.
const MAKE: &str = "INSERT INTO kill_switch (scope, state, version, flipped_ns, flipped_by, reason)
    VALUES ($1, 'normal', 0, 0, '', '') ON CONFLICT DO NOTHING";
const HOLD: &str = "SELECT scope, state, version, flipped_ns, reason, flipped_by FROM kill_switch WHERE scope = $1 FOR UPDATE";
const FLIP: &str = "WITH flip AS (UPDATE kill_switch SET state = $2, version = version + 1, flipped_ns = $3, flipped_by = $4,
        reason = $5 WHERE scope = $1 RETURNING *),
    kept AS (INSERT INTO kill_flips (scope, version, state, flipped_ns, flipped_by, reason)
        SELECT scope, version, state, flipped_ns, flipped_by, reason FROM flip)
    SELECT scope, state, version, flipped_ns, reason, flipped_by FROM flip";

pub(crate) async fn flip(store: &Store, flip: &KillFlip) -> Result<KillRow, LedgerError> {
    const WHAT: &str = "flip_kill_switch";
    let scope = flip.scope.to_string();
    let key: [(&(dyn ToSql + Sync), Type); 1] = [(&scope, Type::TEXT)];
    let (tx, rows) = Tx::open(store, WHAT, None, &[(MAKE, &key), (HOLD, &key)]).await?;
    let old = kill_row(WHAT, only(WHAT, rows.last().map_or(&[], Vec::as_slice))?)?;
    if old.version > 0 && old.state == flip.state && old.flipped_at == flip.at {
        tx.rollback().await?;
        return Ok(old);
    }
    if flip.if_version.is_some_and(|it| it != old.version) {
        tx.rollback().await?;
        return Ok(old);
    }
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&scope, Type::TEXT),
        (&flip.state.as_str(), Type::TEXT),
        (&flip.at.0, Type::INT8),
        (&flip.by, Type::TEXT),
        (&flip.reason, Type::TEXT),
    ];
    let row = kill_row(WHAT, only(WHAT, &tx.query(FLIP, &params).await?)?)?;
    if flip.state >= KillState::SafeMode {
        stop_covered(&tx, flip).await?;
    }
    if flip.state == KillState::HardStop {
        flatten_covered(&tx, flip).await?;
    }
    tx.commit().await?;
    Ok(row)
}

/// Entries that are not final and lie within the scope, by account: the transaction becomes each owner in turn, because
/// no role sees all rows at once.
async fn stop_covered(tx: &Tx, flip: &KillFlip) -> Result<(), LedgerError> {
    const WHAT: &str = "flip_kill_switch";
    const HOLD_ENTRIES: &str = "SELECT intent_id FROM order_intents WHERE account_id = $1 AND effect = 'opening'
        AND state IN ('ready', 'working') AND ($2::text IS NULL OR family = $2) AND ($3::text IS NULL OR underlying = $3)
        ORDER BY intent_id FOR UPDATE";
    const ENTRIES: &str = concat!("SELECT ", view!(), " FROM order_intents i WHERE i.intent_id = ANY ($1)");
    let (user, family, symbol) = match &flip.scope {
        KillScope::Global => (None, None, None),
        KillScope::User(user) => (Some(*user), None, None),
        KillScope::Strategy(name) => (None, Some(name.as_str()), None),
        KillScope::Symbol(symbol) | KillScope::Market(symbol) => (None, None, Some(symbol.as_str())),
        KillScope::Broker(name) if name == BROKER => (None, None, None),
        KillScope::Broker(_) => return Ok(()),
    };
    let why = format!("asked to stop: {} by {}", flip.state.as_str(), flip.by);
    let rows = tx.query("SELECT user_id, account_id, environment FROM account_directory(false)", &[]).await?;
    for row in &rows {
        let account = account_ref(WHAT, row)?;
        if user.is_some_and(|it| it != account.user) {
            continue;
        }
        tx.become_user(account.user).await?;
        let params: [(&(dyn ToSql + Sync), Type); 3] =
            [(&account.account.0, Type::UUID), (&family, Type::TEXT), (&symbol, Type::TEXT)];
        let held = tx.query(HOLD_ENTRIES, &params).await?;
        let ids: Vec<&str> = held.iter().map(|it| column(WHAT, it, 0)).collect::<Result<_, _>>()?;
        let entries = views(WHAT, &tx.query(ENTRIES, &[(&ids, Type::TEXT_ARRAY)]).await?)?;
        stop_within(tx, &entries, flip.at, &why).await?;
    }
    Ok(())
}

/// Writes the flatten at once of every active account that a hard stop covers.
async fn flatten_covered(tx: &Tx, flip: &KillFlip) -> Result<(), LedgerError> {
    const WHAT: &str = "flip_kill_switch";
    let session = books::closes_in(flip.at).map_err(|it| refused(WHAT, it.to_string()))?;
    let rows = tx.query("SELECT user_id, account_id, environment FROM account_directory(true)", &[]).await?;
    let mut letters = Letters::default();
    for row in &rows {
        let account = account_ref(WHAT, row)?;
        tx.become_user(account.user).await?;
        let views = match flip.scope {
            KillScope::Strategy(_) | KillScope::Symbol(_) | KillScope::Market(_) => {
                live(tx, WHAT, &account, flip.at).await?
            }
            KillScope::Global | KillScope::User(_) | KillScope::Broker(_) => Vec::new(),
        };
        if books::is_covered(&flip.scope, &account, BROKER, &views) {
            let (queue, message, due) = books::flatten_at_once(account, session, flip.at);
            letters.put(queue, &message, due);
        }
    }
    send_within(tx, &letters).await
}

/// User, account and environment of a row.
fn account_ref(what: &'static str, row: &Row) -> Result<AccountRef, LedgerError> {
    let environment: &str = column(what, row, 2)?;
    Ok(AccountRef {
        user: UserId(column(what, row, 0)?),
        account: AccountId(column(what, row, 1)?),
        environment: Environment::parse(environment)
            .ok_or_else(|| corrupt(what, format!("no environment {environment}")))?,
    })
}

pub(crate) async fn active_accounts(store: &Store) -> Result<Vec<AccountRef>, LedgerError> {
    accounts(store, "active_accounts", "SELECT user_id, account_id, environment FROM account_directory(true)")
        .await
}

/// The accounts whose credential was taken out, too.
pub(crate) async fn every_account(store: &Store) -> Result<Vec<AccountRef>, LedgerError> {
    accounts(store, "every_account", "SELECT user_id, account_id, environment FROM account_directory(false)")
        .await
}

async fn accounts(store: &Store, what: &'static str, sql: &str) -> Result<Vec<AccountRef>, LedgerError> {
    let rows = Tx::read(store, what, None, sql, &[]).await?;
    let mut accounts: Vec<AccountRef> =
        rows.iter().map(|it| account_ref(what, it)).collect::<Result<_, _>>()?;
    accounts.sort_by_key(|it| it.account);
    Ok(accounts)
}

pub(crate) async fn take_lease(
    store: &Store,
    account: &AccountRef,
    holder: &str,
    now: UtcNanos,
    until: UtcNanos,
) -> Result<Option<Fence>, LedgerError> {
    const WHAT: &str = "take_lease";
    const SQL: &str = "INSERT INTO account_leases AS l (account_id, user_id, holder, fence, until_ns)
        VALUES ($1, $2, $3, 1, $5)
        ON CONFLICT (account_id) DO UPDATE SET holder = $3, fence = l.fence + 1, until_ns = $5
            WHERE l.holder IN ('', $3) OR l.until_ns <= $4
        RETURNING fence";
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&account.account.0, Type::UUID),
        (&account.user.0, Type::UUID),
        (&holder, Type::TEXT),
        (&now.0, Type::INT8),
        (&until.0, Type::INT8),
    ];
    let rows = Tx::read(store, WHAT, Some(account.user), SQL, &params).await?;
    rows.first().map(|it| column(WHAT, it, 0).map(Fence)).transpose()
}

pub(crate) async fn release_lease(
    store: &Store,
    account: &AccountRef,
    fence: Fence,
) -> Result<(), LedgerError> {
    const WHAT: &str = "release_lease";
    const SQL: &str = "WITH free AS (UPDATE account_leases SET holder = '' WHERE account_id = $1 AND fence = $2 RETURNING 1)
        SELECT EXISTS (SELECT FROM accounts WHERE account_id = $1), (SELECT count(*) FROM free)";
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&account.account.0, Type::UUID), (&fence.0, Type::INT8)];
    let rows = Tx::read(store, WHAT, Some(account.user), SQL, &params).await?;
    let known: bool = column(WHAT, only(WHAT, &rows)?, 0)?;
    if known { Ok(()) } else { Err(no_account(WHAT, account)) }
}

pub(crate) fn no_account(what: &'static str, account: &AccountRef) -> LedgerError {
    refused(what, format!("user {} has no account {}", account.user, account.account))
}

/// Stores or rotates: the account is made with its first credential. A new token is active and not proven yet.
const STORED: &str = "WITH u AS (INSERT INTO users (user_id) VALUES ($2) ON CONFLICT DO NOTHING),
    a AS (INSERT INTO accounts (account_id, user_id, environment) VALUES ($1, $2, $3)
        ON CONFLICT (account_id) DO UPDATE SET environment = excluded.environment),
    c AS (INSERT INTO broker_credentials AS c (account_id, user_id, environment, secret, last4, status, changed_ns)
        VALUES ($1, $2, $3, $4, $5, 'active', $6)
        ON CONFLICT (account_id) DO UPDATE SET environment = excluded.environment, secret = excluded.secret,
            last4 = excluded.last4, status = 'active', proof_ns = NULL, changed_ns = excluded.changed_ns
        RETURNING account_id, user_id),
    l AS (INSERT INTO audit (account_id, user_id, at_ns, what, about, body)
        SELECT account_id, user_id, $6, 'credential stored', 'credential', '{}' FROM c)
    SELECT count(*) FROM c";
/// Taken out is taken out: only a new token brings it back. A refusal of a token that was read before the credential was
/// stored or proven is another token's.
const CHANGED: &str = "WITH old AS (SELECT account_id, user_id, status FROM broker_credentials WHERE account_id = $1 FOR UPDATE),
    c AS (UPDATE broker_credentials b SET status = $2, changed_ns = $3,
            proof_ns = CASE WHEN $2 = 'active' THEN $3 END
        FROM old WHERE b.account_id = old.account_id AND (old.status <> 'removed' OR $2 = 'removed')
            AND ($2 <> 'refused' OR b.changed_ns <= $3)
        RETURNING b.account_id, b.user_id, old.status),
    l AS (INSERT INTO audit (account_id, user_id, at_ns, what, about, body)
        SELECT account_id, user_id, $3, 'credential ' || $2, 'credential', '{}' FROM c WHERE status <> $2)
    SELECT count(*) FROM old";

pub(crate) async fn change_credential(
    store: &Store,
    account: &AccountRef,
    change: &CredentialChange,
    at: UtcNanos,
) -> Result<(), LedgerError> {
    const WHAT: &str = "change_credential";
    let status = match change {
        CredentialChange::Stored { secret, last4 } => {
            let params: [(&(dyn ToSql + Sync), Type); 6] = [
                (&account.account.0, Type::UUID),
                (&account.user.0, Type::UUID),
                (&account.environment.as_str(), Type::TEXT),
                (secret, Type::TEXT),
                (last4, Type::TEXT),
                (&at.0, Type::INT8),
            ];
            return Tx::read(store, WHAT, Some(account.user), STORED, &params).await.map(drop);
        }
        CredentialChange::Proven => CredentialStatus::Active,
        CredentialChange::Refused => CredentialStatus::Refused,
        CredentialChange::Removed => CredentialStatus::Removed,
    };
    let params: [(&(dyn ToSql + Sync), Type); 3] =
        [(&account.account.0, Type::UUID), (&status.as_str(), Type::TEXT), (&at.0, Type::INT8)];
    let rows = Tx::read(store, WHAT, Some(account.user), CHANGED, &params).await?;
    let known: i64 = column(WHAT, only(WHAT, &rows)?, 0)?;
    if known == 1 { Ok(()) } else { Err(no_account(WHAT, account)) }
}

pub(crate) async fn credentials(store: &Store, user: UserId) -> Result<Vec<CredentialRecord>, LedgerError> {
    const WHAT: &str = "credentials";
    const SQL: &str =
        "SELECT user_id, account_id, environment, secret, last4, status, proof_ns FROM broker_credentials
        WHERE user_id = $1 ORDER BY account_id";
    let rows = Tx::read(store, WHAT, Some(user), SQL, &[(&user.0, Type::UUID)]).await?;
    let read = |row: &Row| {
        let status: &str = column(WHAT, row, 5)?;
        Ok(CredentialRecord {
            account: account_ref(WHAT, row)?,
            secret: column(WHAT, row, 3)?,
            last4: column(WHAT, row, 4)?,
            status: CredentialStatus::parse(status)
                .ok_or_else(|| corrupt(WHAT, format!("no status {status}")))?,
            proof_at: column::<Option<i64>>(WHAT, row, 6)?.map(UtcNanos),
        })
    };
    rows.iter().map(read).collect()
}

pub(crate) async fn settings(store: &Store, user: UserId) -> Result<UserSettings, LedgerError> {
    const SQL: &str = "SELECT body FROM user_settings WHERE user_id = $1";
    let rows = Tx::read(store, "settings", Some(user), SQL, &[(&user.0, Type::UUID)]).await?;
    rows.first().map_or_else(|| Ok(UserSettings::default()), |it| json("settings", it, 0))
}

pub(crate) async fn store_settings(
    store: &Store,
    user: UserId,
    settings: &UserSettings,
) -> Result<(), LedgerError> {
    const SQL: &str = concat!(
        "WITH u AS (INSERT INTO users (user_id) VALUES ($1) ON CONFLICT DO NOTHING)
        INSERT INTO user_settings (user_id, spx_auto_execute, consent_ns, daily_loss_limit, body)
        VALUES ($1, $2, $3, ", dollars!("$4"), ", $5)
        ON CONFLICT (user_id) DO UPDATE SET spx_auto_execute = excluded.spx_auto_execute, consent_ns = excluded.consent_ns,
            daily_loss_limit = excluded.daily_loss_limit, body = excluded.body, changed_at = now()"
    );
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&user.0, Type::UUID),
        (&settings.spx_auto_execute, Type::BOOL),
        (&settings.consent_at.map(|it| it.0), Type::INT8),
        (&settings.limits.daily_loss_limit.e4(), Type::INT8),
        (&Json(settings), Type::JSONB),
    ];
    Tx::read(store, "store_settings", Some(user), SQL, &params).await.map(drop)
}

pub(crate) async fn store_report(
    store: &Store,
    account: &AccountRef,
    session: Date,
    report: &str,
    at: UtcNanos,
) -> Result<(), LedgerError> {
    const SQL: &str = "INSERT INTO reports (account_id, user_id, session, body, written_ns) VALUES ($1, $2, $3::text::date, $4, $5)
        ON CONFLICT (account_id, session) DO UPDATE SET body = excluded.body, written_ns = excluded.written_ns";
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&account.account.0, Type::UUID),
        (&account.user.0, Type::UUID),
        (&session.to_string(), Type::TEXT),
        (&report, Type::TEXT),
        (&at.0, Type::INT8),
    ];
    Tx::read(store, "store_report", Some(account.user), SQL, &params).await.map(drop)
}
