use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;
use domain::ids::{AccountId, AccountNumber, AttemptNo, BrokerOrderId, IntentId, OrderTag, UserId};
use domain::money::{Price, Side, Usd};
use domain::order::{BrokerLeg, BrokerStatus};
use domain::ports::{NoteError, OwnedNote, SecretError, SendError};
use domain::secret::Token;
use sim::fixtures::{self as sample, SESSION, at};
use sim::shown::{Accounts, Shown, Stands, run};

/// Credentials of user 1 and of user 2, who hands over what they opened by hand.
struct Known;

impl Secrets for Known {
    async fn credential(&self, _: UserId, account: AccountId) -> Result<BrokerCredential, SecretError> {
        Err(SecretError::Missing(account.to_string()))
    }
    async fn all_credentials(&self) -> Result<Vec<BrokerCredential>, SecretError> {
        let one = |n: u8| BrokerCredential {
            account: sample::account(n),
            token: Token::new("t"),
            number: AccountNumber::try_from(format!("VA{n}")).unwrap(),
            flatten_foreign: n == 2,
        };
        Ok(vec![one(1), one(2)])
    }
    async fn put(&self, _: &BrokerCredential) -> Result<String, SecretError> {
        panic!("nothing is stored here")
    }
    async fn remove(&self, _: UserId, _: AccountId) -> Result<(), SecretError> {
        panic!("nothing is removed here")
    }
}

/// Notes by account; `None` for a store that is down.
struct Noted(Option<BTreeMap<AccountId, OwnedNote>>);

impl OwnedNotes for Noted {
    async fn put(&self, _: &OwnedNote) -> Result<(), NoteError> {
        panic!("nothing is noted here")
    }
    async fn get(&self, account: &AccountRef) -> Result<Option<OwnedNote>, NoteError> {
        let notes = self.0.as_ref().ok_or_else(|| NoteError("down".to_owned()))?;
        Ok(notes.get(&account.account).cloned())
    }
    async fn claim(&self, _: &AccountRef, _: &str, _: bool) -> Result<bool, NoteError> {
        panic!("nothing is claimed here")
    }
}

#[derive(Default)]
struct Sent(RefCell<Vec<(Queue, Message)>>);

impl Sender for Sent {
    async fn send(&self, queue: Queue, message: &Message, _: Duration) -> Result<(), SendError> {
        self.0.borrow_mut().push((queue, message.clone()));
        Ok(())
    }
}

fn noted(contracts: u32, flatten: bool) -> Noted {
    let account = sample::account(1);
    let owned = vec![(sample::series(5_600), contracts)];
    let note = OwnedNote { account, owned, structures: Vec::new(), flatten, at: at(10, 0, 0) };
    Noted(Some([(account.account, note)].into()))
}

fn holding(contracts: i64) -> Shown {
    let position =
        BrokerPosition { series: sample::series(5_600), quantity: contracts, cost_basis: Usd::ZERO };
    Shown { positions: vec![position], ..Shown::default() }
}

fn order(tag: Option<OrderTag>, status: BrokerStatus, executed: u32, created: UtcNanos) -> BrokerOrder {
    let series = sample::series(5_600);
    let leg = BrokerLeg { series, side: Side::Buy, opens: true, quantity: 2, executed, average: None };
    BrokerOrder {
        id: BrokerOrderId(1),
        tag,
        status,
        price: Some(Price::from_cents(240)),
        legs: vec![leg],
        created_at: Some(created),
        changed_at: None,
        reason: None,
    }
}

fn ours() -> Option<OrderTag> {
    Some(OrderTag { intent: IntentId::of(&[b"entry"]), attempt: AttemptNo::FIRST })
}

fn flattens() -> Option<OrderTag> {
    let (account, series) = (sample::account(1).account, sample::series(5_600));
    let session = Session::of(SESSION).unwrap().unwrap();
    let intent = intents_of(account, &session, &series)[0];
    Some(OrderTag { intent, attempt: AttemptNo(900) })
}

/// What a run at `now` sees and sends, user 1's broker showing `shown`.
fn watch(shown: Shown, notes: &Noted, now: UtcNanos) -> (Watched, Vec<(Queue, Message)>) {
    let brokers = Accounts([(sample::account(1).account, shown)].into());
    let (clock, sender) = (Stands(now), Sent::default());
    let watch = FlatWatch {
        secrets: &Known,
        brokers: &brokers,
        notes,
        sender: &sender,
        clock: &clock,
        switches: Switches::default(),
    };
    let watched = run(watch.run()).unwrap();
    (watched, sender.0.into_inner())
}

#[test]
fn an_open_position_starts_the_flatten_again() {
    let (watched, sent) = watch(holding(2), &noted(2, true), at(15, 47, 0));
    assert_eq!((watched.accounts, watched.open, watched.started, watched.paged), (2, 1, 1, 0));
    let again = Message::Flatten { account: sample::account(1), session: SESSION, at_once: false };
    assert_eq!(sent, [(Queue::Flatten, again)]);
    assert_eq!(metric(&watched, "test", at(15, 47, 0)), None);
}

#[test]
fn five_minutes_before_the_close_it_pages_and_counts() {
    let (watched, sent) = watch(holding(2), &noted(2, true), at(15, 55, 0));
    assert_eq!((watched.started, watched.paged, watched.not_flat), (1, 1, Some(1)));
    let (queue, Message::Alert { key, level, text }) = &sent[1] else { panic!("{sent:?}") };
    assert_eq!((*queue, level.as_str()), (Queue::Alerts, "critical"));
    assert_eq!(key, &format!("not_flat:{}:2026-11-20", sample::account(1).account));
    assert!(text.contains("2 SPXW261120C05600000") && text.contains("by hand"), "{text}");
    let line: serde_json::Value =
        serde_json::from_str(&metric(&watched, "test", at(15, 55, 0)).unwrap()).unwrap();
    assert_eq!((&line["NotFlat"], &line["Stage"]), (&1.into(), &"test".into()));
    assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Claxton");
    let flat = watch(Shown::default(), &noted(2, true), at(15, 55, 0));
    assert_eq!((flat.0.not_flat, flat.1), (Some(0), Vec::new()));
}

#[test]
fn what_stayed_open_pages_for_two_minutes_after_the_close_and_starts_nothing() {
    for (now, pages) in [(at(16, 0, 0), 1), (at(16, 1, 0), 1), (at(16, 2, 0), 0)] {
        let (watched, sent) = watch(holding(2), &noted(2, true), now);
        assert_eq!((watched.started, watched.paged, sent.len()), (0, pages, pages as usize), "{now:?}");
        for (_, message) in sent {
            let Message::Alert { key, text, .. } = message else { panic!("{message:?}") };
            assert_eq!(key, format!("not_flat:{}:2026-11-20", sample::account(1).account));
            assert!(
                text.contains("was not flat at the close") && text.contains("2 SPXW261120C05600000"),
                "{text}"
            );
        }
    }
}

#[test]
fn a_flatten_at_work_is_left_alone_until_it_falls_silent() {
    let now = at(15, 47, 30);
    let close = |age| Shown {
        orders: vec![order(flattens(), BrokerStatus::Open, 0, now.minus(Duration::from_secs(age)))],
        ..holding(2)
    };
    assert_eq!(watch(close(29), &noted(2, true), now).0.started, 0);
    assert_eq!(watch(close(30), &noted(2, true), now).0.started, 1);
}

#[test]
fn without_notes_todays_tagged_orders_tell_what_is_ours() {
    let bought =
        |tag| Shown { orders: vec![order(tag, BrokerStatus::Filled, 2, at(10, 0, 0))], ..holding(2) };
    for notes in [Noted(None), Noted(Some(BTreeMap::new())), noted(0, true)] {
        assert_eq!(watch(bought(ours()), &notes, at(15, 50, 0)).0.open, 1);
        assert_eq!(watch(bought(None), &notes, at(15, 50, 0)).0.open, 0);
    }
}

#[test]
fn a_working_order_of_ours_is_open_and_a_position_of_another_day_is_not() {
    let works =
        Shown { orders: vec![order(ours(), BrokerStatus::Open, 0, at(15, 0, 0))], ..Shown::default() };
    assert_eq!(watch(works, &Noted(None), at(15, 50, 0)).0.open, 1);
    let series: OccSymbol = "SPXW261123C05600000".parse().unwrap();
    let mut later = holding(2);
    later.positions[0].series = series;
    let mut notes = noted(2, true);
    notes.0.as_mut().unwrap().values_mut().for_each(|it| it.owned[0].0 = series);
    assert_eq!(watch(later, &notes, at(15, 50, 0)).0.open, 0);
}

#[test]
fn whoever_chose_no_flatten_is_not_flattened_and_whoever_hands_over_is() {
    assert_eq!(watch(holding(2), &noted(2, false), at(15, 50, 0)).0.open, 0);
    let brokers = Accounts([(sample::account(2).account, holding(1))].into());
    let (clock, sender) = (Stands(at(15, 50, 0)), Sent::default());
    let notes = Noted(Some(BTreeMap::new()));
    let switches = Switches::default();
    let watch = FlatWatch {
        secrets: &Known,
        brokers: &brokers,
        notes: &notes,
        sender: &sender,
        clock: &clock,
        switches,
    };
    assert_eq!(run(watch.run()).unwrap().open, 1);
}

#[test]
fn a_broker_that_does_not_answer_pages_with_what_is_noted() {
    let down = || Shown { is_down: true, ..Shown::default() };
    let (watched, sent) = watch(down(), &noted(2, true), at(15, 56, 0));
    assert_eq!((watched.unanswered, watched.started, watched.not_flat), (1, 1, Some(1)));
    let (_, Message::Alert { text, .. }) = &sent[1] else { panic!("{sent:?}") };
    assert!(text.contains("2 SPXW261120C05600000"), "{text}");
    assert_eq!(watch(down(), &noted(0, true), at(15, 56, 0)).0.started, 0);
}

#[test]
fn the_calendar_knows_the_last_minutes() {
    for (now, accounts) in
        [(at(12, 50, 0), 0), (at(15, 46, 59), 0), (at(15, 47, 0), 2), (at(15, 59, 59), 2), (at(16, 2, 0), 0)]
    {
        assert_eq!(watch(Shown::default(), &Noted(None), now).0.accounts, accounts, "{now}");
    }
    let short = |text| watch(Shown::default(), &Noted(None), UtcNanos::parse(text).unwrap()).0.accounts;
    assert_eq!(short("2026-11-27T12:47:00-05:00"), 2);
    assert_eq!(short("2026-11-27T15:47:00-05:00"), 0);
}
