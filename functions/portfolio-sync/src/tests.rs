use super::*;
use domain::account::AccountType;
use domain::ports::Members as _;
use sim::fixtures::{self as sample, at};
use sim::ledger::MemLedger;
use sim::shown::{Accounts, Shown, Stands, run};

fn balances(equity: i64) -> Balances {
    Balances {
        account_type: AccountType::Margin,
        total_equity: Usd::from_dollars(equity),
        total_cash: Usd::from_dollars(equity),
        option_buying_power: Some(Usd::from_dollars(equity)),
        day_trade_buying_power: None,
        cash_available: None,
        unsettled_funds: None,
        close_pl: Usd::ZERO,
        open_pl: Usd::ZERO,
        pending_orders: 0,
    }
}

fn enrolled() -> MemLedger {
    let ledger = MemLedger::new();
    for n in [1, 2] {
        run(sample::enrol(&ledger, &sample::account(n))).unwrap();
    }
    ledger
}

/// A run at `now` with what the broker says of accounts 1 and 2.
fn sync(ledger: &MemLedger, now: UtcNanos, says: [Result<Balances, BrokerError>; 2]) -> Synced {
    let shown = |balances| Shown { balances: Some(balances), ..Shown::default() };
    let accounts = [1, 2].map(|n| sample::account(n).account).into_iter().zip(says.map(shown));
    let (brokers, clock) = (Accounts(accounts.collect()), Stands(now));
    let switches = Switches { portfolio_sync: true, ..Switches::default() };
    run(PortfolioSync { ledger, brokers: &brokers, clock: &clock, switches }.run()).unwrap()
}

fn told(ledger: &MemLedger, n: u8) -> Vec<String> {
    let messages = run(ledger.user_messages(sample::user(n), 100)).unwrap();
    messages.into_iter().map(|it| it.reason).collect()
}

#[test]
fn balances_are_stored_when_they_say_something_new() {
    let session = Session::of(sample::SESSION).unwrap().unwrap();
    let floors = [Usd::from_dollars(2_500), Usd::from_dollars(25_000)];
    let stored = |was: i64, is: i64, now| {
        let last = Snapshot { at: session.open, balances: balances(was) };
        reason_to_store(Some(&last), &balances(is), &session, now, &floors)
    };
    let at = |s| session.open.plus(Duration::from_secs(s));
    for (was, is, now, reason) in [
        (10_000, 10_000, at(60), None),
        (10_000, 10_100, at(60), None),
        (10_000, 10_101, at(60), Some("moved")),
        (10_000, 9_899, at(60), Some("moved")),
        (10_000, 2_499, at(60), Some("floor_crossed")),
        (25_000, 24_999, at(60), Some("floor_crossed")),
        (24_999, 25_000, at(60), Some("floor_crossed")),
        (10_000, 10_000, at(299), None),
        (10_000, 10_000, at(300), Some("five_minutes")),
        (10_000, 10_000, session.close, Some("session_close")),
    ] {
        assert_eq!(stored(was, is, now), reason, "{was} to {is} at {now}");
    }
    assert_eq!(reason_to_store(None, &balances(1), &session, at(0), &floors), Some("session_open"));
}

#[test]
fn balances_are_stored_at_both_ends_of_a_session_whatever_the_day_before_left() {
    let ledger = enrolled();
    let rich = || [Ok(balances(50_000)), Ok(balances(50_000))];
    let yesterday = Snapshot { at: at(9, 29, 59), balances: balances(50_000) };
    run(ledger.record_snapshot(&sample::account(1), &yesterday, "session_close")).unwrap();
    assert_eq!(sync(&ledger, at(9, 30, 0), rich()).stored, 2);
    assert_eq!(sync(&ledger, at(9, 31, 0), rich()).stored, 0);
    assert_eq!(sync(&ledger, at(15, 59, 0), rich()).stored, 2);
    assert_eq!(sync(&ledger, at(16, 0, 0), rich()).stored, 2);
    assert_eq!(sync(&ledger, at(16, 2, 0), rich()), Synced::default(), "the session is over");
}

#[test]
fn one_users_bad_token_is_marked_and_told_and_stops_nobody_else() {
    let ledger = enrolled();
    let bad = Err(BrokerError::Authentication { reason: "Invalid Access Token".to_owned() });
    let done = sync(&ledger, at(10, 0, 0), [bad, Ok(balances(50_000))]);
    assert_eq!((done.accounts, done.stored, done.failed), (2, 1, 1));
    let statuses = [1, 2].map(|n| run(ledger.credentials(sample::user(n))).unwrap()[0].status);
    assert_eq!(
        statuses,
        [domain::account::CredentialStatus::Refused, domain::account::CredentialStatus::Active]
    );
    assert_eq!((told(&ledger, 1), told(&ledger, 2)), (vec!["credential_refused".to_owned()], vec![]));
    let silent = || Err(BrokerError::Unknown { reason: "silence".to_owned() });
    assert_eq!(sync(&ledger, at(10, 1, 0), [silent(), silent()]).failed, 1, "the refused one is not asked");
}

#[test]
fn a_user_hears_of_low_buying_power_every_half_hour_at_most_and_nobody_else_does() {
    let ledger = enrolled();
    let low = || {
        let power = Some(Usd::from_dollars(100));
        [Ok(Balances { option_buying_power: power, ..balances(50_000) }), Ok(balances(50_000))]
    };
    for (hour, minute, count) in [(10, 0, 1), (10, 1, 1), (10, 29, 1), (10, 30, 2), (11, 0, 3)] {
        sync(&ledger, at(hour, minute, 0), low());
        assert_eq!(told(&ledger, 1), vec!["buying_power"; count], "at {hour}:{minute}");
    }
    assert_eq!(told(&ledger, 2), Vec::<String>::new());
}

#[test]
fn equity_that_crosses_a_floor_is_stored_at_once_and_its_user_told() {
    let ledger = enrolled();
    let with = |equity| [Ok(balances(equity)), Ok(balances(50_000))];
    sync(&ledger, at(10, 0, 0), with(2_500));
    let done = sync(&ledger, at(10, 1, 0), with(2_499));
    assert_eq!((done.stored, done.told), (1, 1));
    assert_eq!(told(&ledger, 1), ["policy_floor"]);
}

#[test]
fn a_daily_loss_holds_for_its_session_and_an_operators_stop_longer() {
    let ledger = enrolled();
    let rich = || [Ok(balances(50_000)), Ok(balances(50_000))];
    for (n, by) in [(1, DAILY_LOSS), (2, "operator:1")] {
        let scope = KillScope::User(sample::user(n));
        let flip = KillFlip {
            scope,
            state: KillState::SafeMode,
            by: by.to_owned(),
            reason: "a test".to_owned(),
            at: at(10, 0, 0),
            if_version: None,
        };
        run(ledger.flip_kill_switch(&flip)).unwrap();
    }
    let states = || run(ledger.kill_switch()).unwrap().iter().map(|it| it.state).collect::<Vec<_>>();
    sync(&ledger, at(15, 59, 0), rich());
    assert_eq!(states(), [KillState::SafeMode; 2]);
    sync(&ledger, at(9, 30, 0).plus(Duration::from_secs(3 * 24 * 3_600)), rich());
    assert_eq!(states(), [KillState::Normal, KillState::SafeMode]);
}
