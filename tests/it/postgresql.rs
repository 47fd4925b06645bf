//! What PostgreSQL keeps beyond the suite: row-level security, the audit's chain, the schema's version, broken connections.

use domain::ids::UserId;
use domain::kill::{KillScope, KillState};
use domain::ports::{KillFlip, Ledger as _, LedgerError, Marking, Recorded};
use sim::fixtures as sample;
use tests::Books;
use tokio_postgres::Client;

/// Every table whose rows a user owns.
const OWNED: [&str; 18] = [
    "users",
    "user_settings",
    "accounts",
    "broker_credentials",
    "account_leases",
    "portfolio_snapshots",
    "order_intents",
    "order_attempts",
    "fills",
    "reconciliation_runs",
    "reconciliation_differences",
    "reports",
    "coach_messages",
    "message_heads",
    "taken_over",
    "expiries",
    "audit",
    "audit_heads",
];

/// One count, read as the user set in `client`'s transaction.
async fn count(client: &Client, user: Option<UserId>, sql: &str) -> i64 {
    let user = user.map(|it| it.to_string()).unwrap_or_default();
    client
        .batch_execute(&format!("BEGIN; SELECT set_config('claxton.user_id', '{user}', true)"))
        .await
        .unwrap();
    let count = client.query_typed(sql, &[]).await.unwrap()[0].get(0);
    client.batch_execute("COMMIT").await.unwrap();
    count
}

#[tokio::test]
async fn a_user_sees_and_writes_own_rows_and_without_one_nothing_is_there() {
    let books = Books::start("security").await.unwrap();
    let store = books.store().await.unwrap();
    let (ours, theirs) = (sample::account(1), sample::account(2));
    for account in [&ours, &theirs] {
        sample::enrol(&store, account).await.unwrap();
    }
    sample::trigger(&store, 1).await.unwrap();
    let intent = domain::intent::OrderIntent::Opening(sample::opening(&ours, 1, 2));
    assert_eq!(store.record_intent(&sample::ready(intent)).await.unwrap(), Recorded::New);

    let app = books.client(&books.app_url()).await.unwrap();
    let admin = books.client(&books.admin_url()).await.unwrap();
    for table in OWNED {
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(count(&app, None, &sql).await, 0, "{table} without a user");
        let forced = format!(
            "SELECT count(*) FROM pg_class WHERE relname = '{table}' AND relrowsecurity AND relforcerowsecurity"
        );
        assert_eq!(count(&admin, None, &forced).await, 1, "{table} is not forced");
    }
    let intents = "SELECT count(*) FROM order_intents";
    assert_eq!(
        (count(&app, Some(ours.user), intents).await, count(&app, Some(theirs.user), intents).await),
        (1, 0)
    );
    // Nobody writes rows of somebody else, and nobody at all without a user.
    for user in [String::new(), theirs.user.to_string()] {
        app.batch_execute(&format!("BEGIN; SELECT set_config('claxton.user_id', '{user}', true)"))
            .await
            .unwrap();
        let write = format!(
            "INSERT INTO coach_messages (user_id, reason, message, at_ns) VALUES ('{}', 'r', 'm', 1)",
            ours.user
        );
        let error = app.batch_execute(&write).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "as {user:?}");
        app.batch_execute("ROLLBACK").await.unwrap();
    }
    // Tables that are left out of the list above have no user.
    let left = "SELECT count(*) FROM information_schema.columns c JOIN pg_class t ON t.relname = c.table_name AND t.relkind = 'r'
        WHERE c.table_schema = 'public' AND c.column_name = 'user_id' AND NOT t.relrowsecurity";
    assert_eq!(count(&admin, None, left).await, 0);
    books.stop().await.unwrap();
}

#[tokio::test]
async fn the_audit_is_one_chain_per_account_and_is_only_appended() {
    let books = Books::start("audit").await.unwrap();
    let store = books.store().await.unwrap();
    let account = sample::account(1);
    sample::enrol(&store, &account).await.unwrap();
    sample::trigger(&store, 1).await.unwrap();
    let intent = domain::intent::OrderIntent::Opening(sample::opening(&account, 1, 2));
    store.record_intent(&sample::ready(intent)).await.unwrap();

    let admin = books.client(&books.admin_url()).await.unwrap();
    let lines = count(&admin, None, "SELECT count(*) FROM audit").await;
    let chains = store::audit::verify(&store).await.unwrap();
    assert!(lines >= 2 && chains.len() == 1, "{chains:?}");
    assert_eq!((chains[0].lines, &chains[0].broken), (lines, &None));
    for change in ["UPDATE audit SET what = 'nothing'", "DELETE FROM audit", "TRUNCATE audit"] {
        let error = admin.batch_execute(change).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "23000", "{change}");
    }
    // Whoever owns the database can change a line all the same, and is found out.
    let forged = "ALTER TABLE audit DISABLE TRIGGER USER; UPDATE audit SET body = '{}' WHERE no = 2";
    admin.batch_execute(forged).await.unwrap();
    let broken = store::audit::verify(&store).await.unwrap()[0].broken.clone();
    assert_eq!(broken.map(|it| it.no), Some(2));
    books.stop().await.unwrap();
}

#[tokio::test]
async fn readiness_asks_for_the_schema_and_the_role_and_a_changed_migration_is_refused() {
    let books = Books::start("schema").await.unwrap();
    assert!(books.store().await.unwrap().health().await.unwrap().is_ready());
    let owner = store::Store::connect(&books.admin_url(), 1).await.unwrap();
    let health = owner.health().await.unwrap();
    assert!(!health.is_ready() && !health.bound_by_row_security, "{health:?}");

    let again = store::migrate::migrate(&books.admin_url()).await.unwrap();
    assert_eq!((again.from, again.to), (store::migrate::VERSION, store::migrate::VERSION));
    let admin = books.client(&books.admin_url()).await.unwrap();
    admin.batch_execute("UPDATE schema_migrations SET checksum = 'other' WHERE version = 1").await.unwrap();
    let error = store::migrate::migrate(&books.admin_url()).await.unwrap_err();
    assert!(error.to_string().contains("0001_ledger was changed after it was applied"), "{error}");
    admin.batch_execute("INSERT INTO schema_migrations VALUES (99, 'later', '')").await.unwrap();
    assert!(!books.store().await.unwrap().health().await.unwrap().is_ready());
    books.stop().await.unwrap();
}

#[tokio::test]
async fn a_cut_connection_is_replaced_and_a_stopped_server_is_unavailable() {
    let books = Books::start("cut").await.unwrap();
    let store = books.store().await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), None);
    let admin = books.client(&books.admin_url()).await.unwrap();
    let cut =
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE usename = 'claxton_app'";
    assert!(count(&admin, None, cut).await >= 1);
    // The cut shows at the latest with the next statement; the one after it has a new connection.
    let first = store.next_due().await;
    assert!(matches!(first, Ok(None) | Err(LedgerError::Unavailable { .. })), "{first:?}");
    assert_eq!(store.next_due().await.unwrap(), None);
    books.stop().await.unwrap();
    for _ in 0..2 {
        let stopped = store.next_due().await;
        assert!(matches!(stopped, Err(LedgerError::Unavailable { .. })), "{stopped:?}");
    }
}

#[tokio::test]
async fn reads_of_the_api_are_json_of_one_user() {
    let books = Books::start("reads").await.unwrap();
    let store = books.store().await.unwrap();
    let (ours, theirs) = (sample::account(1), sample::account(2));
    sample::enrol(&store, &ours).await.unwrap();
    sample::enrol(&store, &theirs).await.unwrap();
    sample::trigger(&store, 1).await.unwrap();
    let intent = domain::intent::OrderIntent::Opening(sample::opening(&ours, 1, 2));
    let session = intent.head().decided_at.new_york_date();
    store.record_intent(&sample::ready(intent)).await.unwrap();
    store.store_report(&ours, session, "{\"flat\":true}", sample::at(16, 15, 0)).await.unwrap();

    let orders = store::reads::orders(&store, ours.user, session).await.unwrap();
    assert_eq!(orders[0]["state"], "ready");
    assert_eq!(store::reads::orders(&store, theirs.user, session).await.unwrap(), serde_json::json!([]));
    let name = orders[0]["intent"].as_str().unwrap();
    let story = store::reads::order(&store, ours.user, name).await.unwrap();
    assert_eq!((&story["order"], &story["setup"]["id"]), (&orders[0], &orders[0]["setup"]));
    assert_eq!(story["audit"][0]["what"], "intent enter ready");
    for (user, other) in [(theirs.user, name), (ours.user, "141000001"), (ours.user, "99999999999999999999")]
    {
        let none = store::reads::order(&store, user, other).await.unwrap();
        assert!(none.is_null(), "{other}: {none}");
    }
    let report = store::reads::report(&store, ours.user, session).await.unwrap();
    assert_eq!(report[0]["report"]["flat"], true);
    let status = store::reads::status(&store, ours.user).await.unwrap();
    assert_eq!(status["accounts"].as_array().unwrap().len(), 1);
    assert_eq!(status["schemaVersion"], store::migrate::VERSION);
    let setups = store::reads::setups(&store, ours.user, session).await.unwrap();
    assert!(!setups[0]["transitions"].as_array().unwrap().is_empty());
    for empty in [
        store::reads::positions(&store, ours.user).await,
        store::reads::fills(&store, ours.user, session).await,
        store::reads::snapshots(&store, ours.user, session).await,
    ] {
        assert!(empty.unwrap().is_array());
    }
    books.stop().await.unwrap();
}

#[tokio::test]
async fn writers_that_meet_leave_one_effect_and_a_flip_misses_no_entry() {
    let books = Books::start("meet").await.unwrap();
    for round in 0..8u64 {
        let store = books.fresh(false).await.unwrap();
        let account = sample::account(1);
        sample::enrol(&store, &account).await.unwrap();
        sample::trigger(&store, 1).await.unwrap();
        let intent = domain::intent::OrderIntent::Opening(sample::opening(&account, 1, 2));
        let (id, new) = (intent.head().id, sample::ready(intent));
        let (one, two) = tokio::join!(store.record_intent(&new), store.record_intent(&new));
        let written = [one.unwrap(), two.unwrap()];
        assert_eq!(written.iter().filter(|it| **it == Recorded::New).count(), 1, "round {round}");

        let fence = store
            .take_lease(&account, "worker", sample::at(9, 0, 0), sample::at(17, 0, 0))
            .await
            .unwrap()
            .unwrap();
        let view = store.intent(&account, id).await.unwrap().unwrap();
        let mark = sample::mark(&view, fence, 2, sample::at(10, 0, 0));
        let flip = KillFlip {
            if_version: None,
            scope: KillScope::Global,
            state: KillState::SafeMode,
            by: "operator".into(),
            reason: "drill".into(),
            at: sample::at(10, 0, 0),
        };
        let (one, two, flipped) = if round % 2 == 0 {
            tokio::join!(
                store.mark_submitting(&mark),
                store.mark_submitting(&mark),
                store.flip_kill_switch(&flip)
            )
        } else {
            let (flipped, one, two) = tokio::join!(
                store.flip_kill_switch(&flip),
                store.mark_submitting(&mark),
                store.mark_submitting(&mark)
            );
            (one, two, flipped)
        };
        assert_eq!(flipped.unwrap().version, 1, "round {round}");
        let marks = [one.unwrap(), two.unwrap()];
        let marked = marks.iter().filter(|it| matches!(it, Marking::Marked(_))).count();
        assert!(marked <= 1, "round {round}: {marks:?}");
        // Marked before the flip, the entry was asked to stop by it; marked after it, it was refused.
        let after = store.intent(&account, id).await.unwrap().unwrap();
        assert_eq!(after.attempts.len(), marked, "round {round}: {marks:?}");
        assert!(after.stop_requested, "round {round}: {after:?}");
    }
    books.stop().await.unwrap();
}
