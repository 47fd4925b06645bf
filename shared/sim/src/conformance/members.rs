//! Messages to users, what is handed over, and what expired.

use std::time::Duration;

use domain::expiry::{Expiry, ExpiryStatus};
use domain::money::Usd;
use domain::ports::{Ledger, MESSAGE_COOLDOWN, Recorded, UserMessage};
use domain::time::UtcNanos;

use super::stage::{held, opened};
use super::{Broken, Outcome};
use crate::fixtures::{self as sample, SESSION, at};

cases! {
    a_user_hears_of_a_reason_once_in_half_an_hour,
    a_message_is_its_users_alone,
    a_message_is_read_once,
    what_is_handed_over_stays_until_it_is_taken_back,
    another_user_hands_nothing_over,
    what_expired_is_pending_until_it_ends_and_then_stays,
    the_legs_of_a_structure_expire_each_on_its_own,
    what_is_pending_is_shown_in_later_sessions_too,
}

fn message(user: u8, reason: &str, at: UtcNanos) -> UserMessage {
    UserMessage {
        user: sample::user(user),
        reason: reason.to_owned(),
        key: reason.to_owned(),
        text: format!("{reason} of {user}"),
        at,
    }
}

async fn a_user_hears_of_a_reason_once_in_half_an_hour<L: Ledger>(ledger: &L) -> Outcome {
    for n in [1, 2] {
        sample::enrol(ledger, &sample::account(n)).await?;
    }
    let start = at(10, 0, 0);
    let again = start.plus(MESSAGE_COOLDOWN);
    let early = again.minus(Duration::from_secs(1));
    for (user, reason, at, recorded) in [
        (1, "buying_power", start, Recorded::New),
        (1, "buying_power", start, Recorded::Known),
        (1, "buying_power", early, Recorded::Known),
        (1, "day_trades", early, Recorded::New),
        (2, "buying_power", early, Recorded::New),
        (1, "buying_power", again, Recorded::New),
    ] {
        same!(ledger.tell_user(&message(user, reason, at)).await?, recorded);
    }
    let told = ledger.user_messages(sample::user(1), 10).await?;
    let told: Vec<_> = told.iter().map(|it| (it.reason.as_str(), it.at)).collect();
    same!(told, [("buying_power", again), ("day_trades", early), ("buying_power", start)]);
    same!(ledger.user_messages(sample::user(1), 1).await?.len(), 1);
    refuses!(ledger.tell_user(&message(9, "buying_power", start)).await);
    Ok(())
}

async fn a_message_is_its_users_alone<L: Ledger>(ledger: &L) -> Outcome {
    for n in [1, 2] {
        sample::enrol(ledger, &sample::account(n)).await?;
    }
    ledger.tell_user(&message(1, "buying_power", at(10, 0, 0))).await?;
    same!(ledger.user_messages(sample::user(2), 10).await?, []);
    let told = ledger.user_messages(sample::user(1), 10).await?;
    let id = told.first().map(|it| it.id).ok_or_else(|| Broken("the message is not there".to_owned()))?;
    same!(ledger.read_message(sample::user(2), id, at(10, 1, 0)).await?, false);
    same!(ledger.user_messages(sample::user(1), 10).await?, told);
    Ok(())
}

async fn a_message_is_read_once<L: Ledger>(ledger: &L) -> Outcome {
    sample::enrol(ledger, &sample::account(1)).await?;
    let user = sample::user(1);
    ledger.tell_user(&message(1, "buying_power", at(10, 0, 0))).await?;
    let read = async || ledger.user_messages(user, 10).await.map(|it| it.first().cloned());
    let Some(stored) = read().await? else { return Err(Broken("the message is not there".to_owned())) };
    same!((stored.read_at, stored.text.as_str()), (None, "buying_power of 1"));
    for minute in [5, 6] {
        same!(ledger.read_message(user, stored.id, at(10, minute, 0)).await?, true);
        same!(read().await?.and_then(|it| it.read_at), Some(at(10, 5, 0)));
    }
    Ok(())
}

async fn what_is_handed_over_stays_until_it_is_taken_back<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    let (one, other) = (sample::series(5_605), sample::series(5_610));
    ledger.take_over(&account, &other, 1, at(10, 0, 0)).await?;
    for contracts in [2, 3] {
        ledger.take_over(&account, &one, contracts, at(10, 0, 0)).await?;
    }
    same!(ledger.taken_over(&account).await?, [(one, 3), (other, 1)]);
    ledger.take_over(&account, &one, 0, at(10, 1, 0)).await?;
    same!(ledger.taken_over(&account).await?, [(other, 1)]);
    Ok(())
}

async fn another_user_hands_nothing_over<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    let series = sample::series(5_605);
    ledger.take_over(&account, &series, 2, at(10, 0, 0)).await?;
    let thief = domain::account::AccountRef { user: sample::user(2), ..account };
    refuses!(ledger.take_over(&thief, &series, 5, at(10, 0, 0)).await);
    same!(ledger.taken_over(&thief).await?, []);
    same!(ledger.taken_over(&account).await?, [(series, 2)]);
    Ok(())
}

async fn expired<L: Ledger>(ledger: &L) -> Result<(domain::account::AccountRef, Expiry), Broken> {
    let (account, fence) = opened(ledger).await?;
    let view = held(ledger, &account, fence, 1, (2, 240)).await?;
    let head = view.intent.head();
    let expiry = Expiry {
        opening: head.id,
        series: head.series,
        contracts: 2,
        is_short: false,
        price: None,
        status: ExpiryStatus::ExpiredPending,
        at: at(16, 0, 0),
    };
    Ok((account, expiry))
}

async fn what_expired_is_pending_until_it_ends_and_then_stays<L: Ledger>(ledger: &L) -> Outcome {
    let (account, pending) = expired(ledger).await?;
    let priced = Expiry { price: Some(Usd::from_cents(700)), at: at(16, 1, 0), ..pending };
    let settled = Expiry { status: ExpiryStatus::Settled, at: at(16, 2, 0), ..priced };
    for (write, recorded, stands) in [
        (pending, Recorded::New, pending),
        (pending, Recorded::Known, pending),
        (priced, Recorded::New, priced),
        (pending, Recorded::Known, priced),
        (settled, Recorded::New, settled),
        (priced, Recorded::Known, settled),
    ] {
        same!(ledger.record_expiry(&account, &write).await?, recorded);
        same!(ledger.expiries(&account, SESSION).await?, [stands]);
    }
    let thief = domain::account::AccountRef { user: sample::user(2), ..account };
    refuses!(ledger.record_expiry(&thief, &pending).await);
    same!(ledger.expiries(&thief, SESSION).await?, []);
    Ok(())
}

async fn what_is_pending_is_shown_in_later_sessions_too<L: Ledger>(ledger: &L) -> Outcome {
    let (account, pending) = expired(ledger).await?;
    ledger.record_expiry(&account, &pending).await?;
    let next = SESSION.tomorrow().map_err(|it| Broken(it.to_string()))?;
    same!(ledger.expiries(&account, next).await?, [pending]);
    let settled = Expiry { status: ExpiryStatus::Settled, ..pending };
    ledger.record_expiry(&account, &settled).await?;
    same!(ledger.expiries(&account, next).await?, []);
    Ok(())
}

async fn the_legs_of_a_structure_expire_each_on_its_own<L: Ledger>(ledger: &L) -> Outcome {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await?;
    let entry = sample::combos::entry(&account, 1, 2).map_err(|it| Broken(it.to_string()))?;
    sample::combos::open(ledger, &entry, 101, at(10, 1, 0)).await?;
    let mut legs: Vec<Expiry> = entry
        .terms
        .legs()
        .iter()
        .map(|leg| Expiry {
            opening: entry.head.id,
            series: leg.series,
            contracts: 2,
            is_short: leg.side.side() == domain::money::Side::Sell,
            price: Some(Usd::from_dollars(5)),
            status: ExpiryStatus::ExpiredPending,
            at: at(16, 0, 0),
        })
        .collect();
    legs.sort_by_key(|it| it.series.to_string());
    for leg in &legs {
        same!(ledger.record_expiry(&account, leg).await?, Recorded::New);
        same!(ledger.record_expiry(&account, leg).await?, Recorded::Known);
    }
    same!(ledger.expiries(&account, SESSION).await?, legs);
    let Some(first) = legs.first_mut() else { return Ok(()) };
    *first = first.ended(at(16, 5, 0));
    let ended = *first;
    same!(ledger.record_expiry(&account, &ended).await?, Recorded::New);
    same!(ledger.day_book(&account, SESSION).await?.expiries, legs);
    Ok(())
}
