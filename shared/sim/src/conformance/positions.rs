//! Entries, what closes them, settlement, the day's book.

use domain::ids::IntentId;
use domain::intent::{Action, CloseAmount, OrderIntent};
use domain::money::Usd;
use domain::ports::{Ledger, Recorded};
use domain::position::{FillSource, Owned};

use super::stage::{done, held, opened, ready, reread, working, written};
use super::{Broken, Outcome};
use crate::fixtures::{self as sample, SESSION, at};

cases! {
    an_entry_is_owned_from_its_first_fill,
    a_close_reduces_the_entry_it_names,
    a_flatten_reduces_the_entries_of_its_series_in_order_of_opening,
    what_is_held_stays_owned_and_what_is_closed_ends_with_its_session,
    another_users_entries_are_not_owned,
    a_settlement_is_booked_once_for_what_is_left,
    a_settlement_of_what_is_not_held_changes_nothing,
    a_day_book_has_the_whole_session_and_nothing_else,
}

/// (bought, sold, paid, received, fees) of each entry, in dollars.
fn figures(owned: &[Owned]) -> Vec<(u32, u32, i64, i64, i64)> {
    let dollars = |it: Usd| it.e4() / 10_000;
    let figure = |it: &Owned| (it.bought, it.sold, dollars(it.paid), dollars(it.received), dollars(it.fees));
    owned.iter().map(figure).collect()
}

async fn an_entry_is_owned_from_its_first_fill<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    ready(ledger, &account, 2, 1).await?;
    same!(ledger.owned(&account, SESSION).await?, []);
    let entry = held(ledger, &account, fence, 1, (3, 240)).await?;
    let head = entry.intent.head();
    let expected = Owned {
        opening: head.id,
        setup: Some(sample::setup_id(1)),
        series: head.series,
        environment: account.environment,
        bought: 3,
        sold: 0,
        paid: Usd::from_dollars(720),
        received: Usd::ZERO,
        fees: Usd::from_dollars(3),
        price_missing: false,
    };
    same!(ledger.owned(&account, SESSION).await?, [expected]);
    Ok(())
}

async fn a_close_reduces_the_entry_it_names<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    held(ledger, &account, fence, 1, (3, 240)).await?;
    held(ledger, &account, fence, 2, (2, 240)).await?;
    let entry = sample::opening(&account, 1, 3);
    let first = sample::closing(&entry, 3, Action::TakeProfit1, CloseAmount::FractionBp(5_000));
    let first = written(ledger, OrderIntent::Closing(first)).await?;
    done(ledger, &first, fence, (2, 300), 301, at(10, 10, 0)).await?;
    let owned = ledger.owned(&account, SESSION).await?;
    same!(figures(&owned), [(3, 2, 720, 600, 5), (2, 0, 480, 0, 2)]);
    let rest = sample::closing(&entry, 4, Action::Stop, CloseAmount::All);
    let rest = written(ledger, OrderIntent::Closing(rest)).await?;
    done(ledger, &rest, fence, (1, 100), 302, at(10, 20, 0)).await?;
    let owned = ledger.owned(&account, SESSION).await?;
    same!(figures(&owned), [(3, 3, 720, 700, 6), (2, 0, 480, 0, 2)]);
    Ok(())
}

async fn a_flatten_reduces_the_entries_of_its_series_in_order_of_opening<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let same_series = sample::series(5_700);
    for (n, quantity) in [(2, 2), (1, 3)] {
        let mut entry = sample::opening(&account, n, quantity);
        entry.head.series = same_series;
        let entry = written(ledger, OrderIntent::Opening(entry)).await?;
        done(ledger, &entry, fence, (quantity, 200), 200 + u64::from(n), at(10, 1, u32::from(n))).await?;
    }
    held(ledger, &account, fence, 3, (1, 240)).await?;
    let flatten = written(ledger, OrderIntent::Closing(sample::flattening(&account, same_series))).await?;
    let flatten = working(ledger, &flatten, fence, 5, 400, at(15, 45, 0)).await?;
    super::stage::polled(ledger, &flatten, fence, 4, Some(100), at(15, 45, 5)).await?;
    let owned = ledger.owned(&account, SESSION).await?;
    let setups: Vec<_> = owned.iter().map(|it| it.setup).collect();
    same!(setups, [1, 2, 3].map(|n| Some(sample::setup_id(n))));
    same!(figures(&owned), [(3, 3, 600, 300, 6), (2, 1, 400, 100, 3), (1, 0, 240, 0, 1)]);
    Ok(())
}

async fn what_is_held_stays_owned_and_what_is_closed_ends_with_its_session<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let closed = held(ledger, &account, fence, 1, (3, 240)).await?;
    let entry = sample::opening(&account, 1, 3);
    let close = sample::closing(&entry, 3, Action::Stop, CloseAmount::All);
    let close = written(ledger, OrderIntent::Closing(close)).await?;
    done(ledger, &close, fence, (3, 100), 301, at(10, 10, 0)).await?;
    let open = held(ledger, &account, fence, 2, (2, 240)).await?;
    let next = SESSION.tomorrow().map_err(|it| Broken(it.to_string()))?;
    let ids = |owned: Vec<Owned>| owned.iter().map(|it| it.opening).collect::<Vec<IntentId>>();
    let (closed, open) = (closed.intent.head().id, open.intent.head().id);
    same!(ids(ledger.owned(&account, SESSION).await?), [closed, open]);
    same!(ids(ledger.owned(&account, next).await?), [open]);
    Ok(())
}

async fn another_users_entries_are_not_owned<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = held(ledger, &account, fence, 1, (3, 240)).await?;
    let other = sample::account(2);
    sample::enrol(ledger, &other).await?;
    let id = entry.intent.head().id;
    for stranger in [other, domain::account::AccountRef { user: other.user, ..account }] {
        same!(ledger.owned(&stranger, SESSION).await?, []);
        let settled =
            ledger.record_settlement(&stranger, id, Usd::ZERO, at(16, 1, 0), FillSource::Settlement);
        refuses!(settled.await);
        let book = ledger.day_book(&stranger, SESSION).await?;
        same!(
            (book.account, book.session, book.owned.len(), book.reconciled_at),
            (stranger, SESSION, 0, None)
        );
    }
    Ok(())
}

async fn a_settlement_is_booked_once_for_what_is_left<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = held(ledger, &account, fence, 1, (3, 240)).await?;
    let close = sample::closing(&sample::opening(&account, 1, 3), 3, Action::TakeProfit1, CloseAmount::All);
    let close = written(ledger, OrderIntent::Closing(close)).await?;
    done(ledger, &close, fence, (1, 300), 301, at(10, 10, 0)).await?;
    let id = entry.intent.head().id;
    let price = Usd::from_cents(450);
    for expected in [Recorded::New, Recorded::Known] {
        let settled =
            ledger.record_settlement(&account, id, price, at(16, 1, 0), FillSource::Settlement).await?;
        same!(settled, expected);
    }
    let owned = ledger.owned(&account, SESSION).await?;
    same!(figures(&owned), [(3, 3, 720, 1_200, 4)]);
    let view = reread(ledger, &entry).await?;
    same!((view.filled, view.version, view.state), (3, entry.version, entry.state));
    let settled = view.fills.last().map(|it| (it.attempt, it.contracts(), it.price, it.source));
    same!(settled, Some((domain::books::SETTLEMENT, 2, Some(price), FillSource::Settlement)));
    Ok(())
}

async fn a_settlement_of_what_is_not_held_changes_nothing<L: Ledger>(ledger: &L) -> Outcome {
    let (account, _) = opened(ledger).await?;
    let entry = ready(ledger, &account, 1, 3).await?;
    let id = entry.intent.head().id;
    let settle = |id| ledger.record_settlement(&account, id, Usd::ZERO, at(16, 1, 0), FillSource::Settlement);
    same!(settle(id).await?, Recorded::Known);
    same!(reread(ledger, &entry).await?, entry);
    let flatten =
        written(ledger, OrderIntent::Closing(sample::flattening(&account, sample::series(5_605)))).await?;
    refuses!(settle(flatten.intent.head().id).await);
    refuses!(settle(IntentId::of(&[b"another"])).await);
    Ok(())
}

async fn a_day_book_has_the_whole_session_and_nothing_else<L: Ledger>(ledger: &L) -> Outcome {
    let (account, fence) = opened(ledger).await?;
    let entry = held(ledger, &account, fence, 1, (3, 240)).await?;
    let waiting = ready(ledger, &account, 2, 1).await?;
    ledger.record_snapshot(&account, &sample::snapshot(at(9, 30, 0)), "open").await?;
    let book = ledger.day_book(&account, SESSION).await?;
    same!(book.intents, [entry, waiting]);
    same!(book.owned, ledger.owned(&account, SESSION).await?);
    same!(book.snapshots, [sample::snapshot(at(9, 30, 0))]);
    same!((book.differences.len(), book.reconciled_at), (0, None));
    let next = SESSION.tomorrow().map_err(|it| Broken(it.to_string()))?;
    let book = ledger.day_book(&account, next).await?;
    same!((book.intents.len(), book.owned.len(), book.snapshots.len()), (0, 1, 0));
    Ok(())
}
