//! Accounts, credentials, settings, balances, reports.

use domain::account::{AccountRef, CredentialStatus, UserSettings};
use domain::ports::{CredentialChange, Ledger};

use super::{Broken, Outcome};
use crate::fixtures::{self as sample, SESSION, at};

cases! {
    an_account_begins_with_its_first_credential,
    a_proof_is_dated_and_a_new_token_needs_a_new_one,
    a_refused_credential_is_not_worked_and_a_proof_brings_it_back,
    a_refusal_of_a_token_from_before_says_nothing_of_a_new_one,
    a_removed_credential_returns_with_a_new_token_alone,
    an_account_is_its_owners,
    active_accounts_are_sorted,
    settings_are_the_defaults_until_they_are_stored,
    a_snapshot_is_stored_once,
    snapshots_are_the_first_of_the_session_and_the_latest,
    another_user_sees_no_balances,
    a_report_is_replaced,
}

async fn status<L: Ledger>(ledger: &L, account: &AccountRef) -> Result<Option<CredentialStatus>, Broken> {
    let records = ledger.credentials(account.user).await?;
    Ok(records.iter().find(|it| it.account == *account).map(|it| it.status))
}

async fn an_account_begins_with_its_first_credential<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    for change in [CredentialChange::Proven, CredentialChange::Refused, CredentialChange::Removed] {
        refuses!(ledger.change_credential(&account, &change, at(8, 0, 0)).await);
    }
    same!((ledger.active_accounts().await?, ledger.credentials(account.user).await?), (vec![], vec![]));
    let stored = CredentialChange::Stored { secret: "claxton/1".to_owned(), last4: "0042".to_owned() };
    for _ in 0..2 {
        ledger.change_credential(&account, &stored, at(8, 0, 0)).await?;
    }
    same!(ledger.active_accounts().await?, [account]);
    let records = ledger.credentials(account.user).await?;
    let [record] = records.as_slice() else {
        return Err(Broken(format!("one stored credential reads as {records:?}")));
    };
    same!((record.account, record.secret.as_str(), record.last4.as_str()), (account, "claxton/1", "0042"));
    same!((record.status, record.proof_at), (CredentialStatus::Active, None));
    Ok(())
}

async fn a_proof_is_dated_and_a_new_token_needs_a_new_one<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    for minute in [1, 2] {
        ledger.change_credential(&account, &CredentialChange::Proven, at(8, minute, 0)).await?;
        let proof = ledger.credentials(account.user).await?.first().and_then(|it| it.proof_at);
        same!(proof, Some(at(8, minute, 0)));
    }
    sample::enrol(ledger, &account).await?;
    let proof = ledger.credentials(account.user).await?.first().and_then(|it| it.proof_at);
    same!(proof, None);
    Ok(())
}

async fn a_refused_credential_is_not_worked_and_a_proof_brings_it_back<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    for _ in 0..2 {
        ledger.change_credential(&account, &CredentialChange::Refused, at(8, 1, 0)).await?;
    }
    same!(status(ledger, &account).await?, Some(CredentialStatus::Refused));
    same!(ledger.active_accounts().await?, []);
    let context = ledger.opening_context(&account, SESSION, &[]).await?;
    same!(context.credential.map(|it| it.status), Some(CredentialStatus::Refused));
    ledger.change_credential(&account, &CredentialChange::Proven, at(8, 2, 0)).await?;
    same!(ledger.active_accounts().await?, [account]);
    Ok(())
}

async fn a_refusal_of_a_token_from_before_says_nothing_of_a_new_one<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    let stored = CredentialChange::Stored { secret: "claxton/2".to_owned(), last4: "0001".to_owned() };
    ledger.change_credential(&account, &stored, at(9, 30, 0)).await?;
    ledger.change_credential(&account, &CredentialChange::Refused, at(9, 29, 59)).await?;
    same!(ledger.active_accounts().await?, [account]);
    ledger.change_credential(&account, &CredentialChange::Refused, at(9, 30, 0)).await?;
    same!(ledger.active_accounts().await?, []);
    Ok(())
}

async fn a_removed_credential_returns_with_a_new_token_alone<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    for change in [CredentialChange::Removed, CredentialChange::Proven, CredentialChange::Refused] {
        ledger.change_credential(&account, &change, at(8, 1, 0)).await?;
        same!(status(ledger, &account).await?, Some(CredentialStatus::Removed));
    }
    same!(ledger.active_accounts().await?, []);
    sample::enrol(ledger, &account).await?;
    same!(status(ledger, &account).await?, Some(CredentialStatus::Active));
    Ok(())
}

async fn an_account_is_its_owners<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    let thief = AccountRef { user: sample::user(2), ..account };
    let stored = CredentialChange::Stored { secret: "thief".to_owned(), last4: "6666".to_owned() };
    for change in [stored, CredentialChange::Proven, CredentialChange::Removed] {
        refuses!(ledger.change_credential(&thief, &change, at(8, 1, 0)).await);
    }
    same!(ledger.credentials(thief.user).await?, []);
    same!(ledger.active_accounts().await?, [account]);
    Ok(())
}

async fn active_accounts_are_sorted<L: Ledger>(ledger: &L) -> Outcome {
    for n in [3, 1, 2] {
        sample::enrol(ledger, &sample::account(n)).await?;
    }
    same!(ledger.active_accounts().await?, [1, 2, 3].map(sample::account));
    ledger.change_credential(&sample::account(2), &CredentialChange::Removed, at(8, 1, 0)).await?;
    same!(ledger.active_accounts().await?, [1, 3].map(sample::account));
    same!(ledger.credentials(sample::user(2)).await?.len(), 1);
    Ok(())
}

async fn settings_are_the_defaults_until_they_are_stored<L: Ledger>(ledger: &L) -> Outcome {
    let user = sample::user(1);
    same!(ledger.settings(user).await?, UserSettings::default());
    let mut chosen = sample::settings();
    chosen.limits.max_trades_per_day = 2;
    for force_flatten in [Some(true), Some(false), None] {
        chosen.force_flatten = force_flatten;
        for _ in 0..2 {
            ledger.store_settings(user, &chosen).await?;
        }
        same!(ledger.settings(user).await?, chosen);
    }
    same!(ledger.settings(sample::user(2)).await?, UserSettings::default());
    let account = sample::account(1);
    same!(ledger.opening_context(&account, SESSION, &[]).await?.settings, chosen);
    Ok(())
}

async fn a_snapshot_is_stored_once<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    let snapshot = sample::snapshot(at(9, 30, 0));
    for _ in 0..2 {
        ledger.record_snapshot(&account, &snapshot, "open").await?;
    }
    same!(ledger.day_book(&account, SESSION).await?.snapshots, [snapshot]);
    same!(ledger.opening_context(&account, SESSION, &[]).await?.snapshot, Some(snapshot));
    Ok(())
}

async fn snapshots_are_the_first_of_the_session_and_the_latest<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    same!(ledger.snapshots(&account, SESSION).await?, []);
    let [first, second, third] = [30, 31, 32].map(|minute| sample::snapshot(at(9, minute, 0)));
    ledger.record_snapshot(&account, &second, "moved").await?;
    same!(ledger.snapshots(&account, SESSION).await?, [second]);
    ledger.record_snapshot(&account, &third, "moved").await?;
    ledger.record_snapshot(&account, &first, "open").await?;
    same!(ledger.snapshots(&account, SESSION).await?, [first, third]);
    same!(ledger.day_book(&account, SESSION).await?.snapshots, [first, second, third]);
    let next = SESSION.tomorrow().map_err(|it| Broken(it.to_string()))?;
    same!(ledger.snapshots(&account, next).await?, [third]);
    Ok(())
}

async fn another_user_sees_no_balances<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    let snapshot = sample::snapshot(at(9, 30, 0));
    refuses!(ledger.record_snapshot(&account, &snapshot, "open").await);
    sample::enrol(ledger, &account).await?;
    ledger.record_snapshot(&account, &snapshot, "open").await?;
    let thief = AccountRef { user: sample::user(2), ..account };
    refuses!(ledger.record_snapshot(&thief, &sample::snapshot(at(9, 31, 0)), "open").await);
    same!(ledger.snapshots(&thief, SESSION).await?, []);
    same!(ledger.day_book(&thief, SESSION).await?.snapshots, []);
    same!(ledger.snapshots(&account, SESSION).await?, [snapshot]);
    Ok(())
}

async fn a_report_is_replaced<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    refuses!(ledger.store_report(&account, SESSION, "{}", at(16, 15, 0)).await);
    sample::enrol(ledger, &account).await?;
    for report in ["{}", "{}", r#"{"trades":1}"#] {
        ledger.store_report(&account, SESSION, report, at(16, 15, 0)).await?;
    }
    let thief = AccountRef { user: sample::user(2), ..account };
    refuses!(ledger.store_report(&thief, SESSION, "{}", at(16, 15, 0)).await);
    Ok(())
}
