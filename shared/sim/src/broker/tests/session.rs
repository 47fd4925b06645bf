//! The day's end, saving and restoring, and that the same calls give the same transcript.

use super::*;

fn close(world: &mut World, after: Duration) {
    world.now = world.broker.session().close.plus(after);
    world.broker.advance(world.now);
}

fn money(world: &World) -> Usd {
    world.broker.account(MARGIN).unwrap().cash
}

#[test]
fn day_orders_in_expiring_series_are_canceled_fifty_seconds_after_the_close() {
    let mut world = World::new();
    let today = world.placed(CALL, "buy_to_open", "1", "2.00");
    let later = world.placed(TOMORROW, "buy_to_open", "1", "8.00");
    close(&mut world, Duration::from_secs(49));
    assert_eq!(world.order(today).0, Status::Open);
    world.after(Duration::from_secs(1));
    assert_eq!((world.order(today).0, world.order(later).0), (Status::Canceled, Status::Open));
    world.after(Duration::from_secs(900));
    assert_eq!(world.order(later).0, Status::Expired);
}

#[test]
fn nothing_executes_after_the_last_trade_and_other_series_trade_on_for_a_quarter_of_an_hour() {
    let mut world = World::new();
    let today = world.placed(CALL, "buy_to_open", "1", "2.00");
    let later = world.placed(TOMORROW, "buy_to_open", "1", "8.00");
    close(&mut world, Duration::from_secs(1));
    world.quote(CALL, 100, 110, 9, 9);
    world.quote(TOMORROW, 790, 800, 9, 9);
    assert_eq!((world.order(today).0, world.order(later).0), (Status::Open, Status::Filled));
    let refused = world.limit(CALL, "buy_to_open", "1", "2.00");
    assert!(refused.contains("TradingDeniedForSecurity"), "{refused}");
}

#[test]
fn expired_series_settle_in_cash_on_the_last_value_at_the_close() {
    let mut world = World::new();
    world.placed(CALL, "buy_to_open", "2", "2.40");
    world.placed(PUT, "buy_to_open", "1", "1.55");
    let before = money(&world);
    world.now = world.broker.session().close;
    world.index(5_615.50);
    world.now = world.now.plus(Duration::from_secs(1));
    world.index(5_700.0);
    world.after(Duration::from_secs(300));
    assert_eq!((world.held(CALL), world.held(PUT)), (0, 0));
    assert_eq!(money(&world) - before, Usd::from_dollars(2 * 550));
    let lines = world.broker.take_transcript();
    let facts = Facts::from_transcript(&lines).accounts[MARGIN].clone();
    assert!(!facts.flat_at_close);
    assert_eq!(facts.realized_pnl, money(&world) - Usd::from_dollars(100_000));
}

#[test]
fn an_order_before_the_open_waits_for_it() {
    let mut world = World::new();
    world.broker = Sandbox::new(config(Rules { latencies: Latencies::NONE, ..Rules::live(7) }));
    world.now = world.broker.session().open.minus(Duration::from_secs(600));
    let id = world.placed(CALL, "buy_to_open", "1", "2.40");
    assert_eq!(world.order(id).0, Status::Pending);
    world.now = world.broker.session().open;
    world.broker.advance(world.now);
    assert_eq!(world.order(id).0, Status::Open);
    world.quote(CALL, 230, 240, 5, 5);
    assert_eq!(world.order(id).0, Status::Filled);
}

#[test]
fn the_next_session_forgets_what_ended_and_keeps_positions() {
    let mut world = World::new();
    world.placed(TOMORROW, "buy_to_open", "1", "9.20");
    close(&mut world, Duration::from_secs(3_600));
    let next = world.broker.session().next().unwrap();
    world
        .broker
        .start_session(next, &[ListedSeries { series: TOMORROW.parse().unwrap(), open_interest: None }]);
    world.now = next.open;
    assert_eq!(world.get("/accounts/VA00000001/orders", &[]), r#"{"orders":"null"}"#);
    assert_eq!(world.held(TOMORROW), 1);
    world.quote(TOMORROW, 1_000, 1_010, 5, 5);
    let id = world.placed(TOMORROW, "sell_to_close", "1", "10.00");
    assert_eq!(world.order(id).0, Status::Filled);
}

#[test]
fn a_foreign_order_shows_like_any_other_but_is_told_apart() {
    let mut world = World::new();
    let order = ForeignOrder {
        account: MARGIN.to_owned(),
        series: CALL.parse().unwrap(),
        side: LegSide::BuyToOpen,
        quantity: 1,
        price: None,
        tag: None,
    };
    let id = world.broker.place_foreign(world.now, order).unwrap();
    world.after(Duration::from_millis(1));
    assert_eq!(world.order(id).0, Status::Filled);
    assert_eq!(world.held(CALL), 1);
    let facts = Facts::from_transcript(&world.broker.take_transcript());
    assert_eq!((facts.total.broker_orders, facts.total.foreign_orders, facts.total.fills), (0, 1, 1));
}

/// Some of everything, steered by `seed`.
fn busy_day(world: &mut World, seed: u64, steps: std::ops::Range<u64>) {
    for step in steps {
        let draw = blake3::hash(&[seed.to_le_bytes(), step.to_le_bytes()].concat());
        let [a, b, c, ..] = *draw.as_bytes();
        let series = [CALL, HIGHER, PUT][usize::from(a % 3)];
        let base = 100 + u32::from(b) / 5 * 5;
        world.quote(series, base, base + 10 + u32::from(c % 4) * 10, u32::from(a % 5), u32::from(b % 5));
        let price = format!("{:.2}", f64::from(base) / 100.0);
        match c % 9 {
            0 | 1 => drop(world.limit(series, "buy_to_open", "2", &price)),
            2 | 3 => drop(world.limit(series, "sell_to_close", "1", &price)),
            4 => drop(world.cancel(141_000_001 + u64::from(a % 50))),
            5 => {
                let path = format!("/accounts/{MARGIN}/orders/{}", 141_000_001 + u64::from(b % 50));
                drop(world.ask(Method::Put, &path, &[("price", &price)]));
            }
            _ => drop(world.get("/accounts/VA00000001/orders", &[])),
        }
        world.after(Duration::from_millis(400 + u64::from(a)));
    }
}

#[test]
fn the_same_calls_give_the_same_transcript_also_over_a_restart() {
    let run = |restart: bool| {
        let mut world = World::with(Rules::live(3));
        busy_day(&mut world, 11, 0..150);
        if restart {
            let saved = world.broker.to_bytes().unwrap();
            world.broker = Sandbox::from_bytes(&saved).unwrap();
        }
        busy_day(&mut world, 11, 150..300);
        close(&mut world, Duration::from_secs(1_200));
        world.broker.take_transcript()
    };
    let (once, again, restarted) = (run(false), run(false), run(true));
    assert!(once.iter().filter(|it| matches!(it.event, TranscriptEvent::Filled { .. })).count() > 20);
    assert!(once == again && once == restarted);
    assert!(once.iter().zip(1..).all(|(line, seq)| line.seq == seq));
}

#[test]
fn facts_agree_with_the_accounts_after_a_busy_day() {
    for seed in 0..8 {
        let mut world = World::with(Rules::live(seed));
        world.index(5_611.25);
        busy_day(&mut world, seed, 0..300);
        close(&mut world, Duration::from_secs(1_200));
        let facts = Facts::from_transcript(&world.broker.take_transcript()).accounts[MARGIN].clone();
        assert_eq!(facts.realized_pnl, money(&world) - Usd::from_dollars(100_000), "seed {seed}");
        assert_eq!(facts.naked_shorts, 0);
    }
}

#[test]
fn no_token_reaches_transcript_or_saved_state() {
    let mut world = World::new();
    busy_day(&mut world, 5, 0..50);
    let saved = String::from_utf8(world.broker.to_bytes().unwrap()).unwrap();
    let lines = serde_json::to_string(&world.broker.take_transcript()).unwrap();
    assert!(!saved.contains("stub-token") && !lines.contains("stub-token"));
    let read: Vec<TranscriptLine> = serde_json::from_str(&lines).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), lines);
}

#[test]
fn reads_change_no_revision_and_orders_do() {
    let mut world = World::new();
    let before = world.broker.revision();
    world.get("/accounts/VA00000001/orders", &[]);
    world.get("/markets/quotes", &[("symbols", CALL)]);
    world.quote(CALL, 230, 240, 5, 5);
    assert_eq!(world.broker.revision(), before);
    world.limit(CALL, "buy_to_open", "1", "2.00");
    assert!(world.broker.revision() > before);
}

#[test]
fn a_broken_state_file_says_so() {
    let error = Sandbox::from_bytes(b"{").unwrap_err().to_string();
    assert!(error.contains("remove it"), "{error}");
}

#[test]
fn a_transcript_that_nobody_takes_forgets_its_beginning() {
    let mut world = World::with(Rules { limits: Limits::Off, ..Rules::live(7) });
    // A line of 60 kilobytes each; 256 megabytes are kept.
    let long = "x".repeat(60_000);
    for _ in 0..5_000 {
        world.ask(Method::Get, "/markets/clock", &[("odd", long.as_str())]);
    }
    let last = world.broker.lines();
    let lines = world.broker.take_transcript();
    assert!(lines.len() < 5_000 && lines.len() > 2_500, "{}", lines.len());
    assert_eq!(lines.last().map(|it| it.seq), Some(last));
    assert!(lines[0].seq > 1);
}
