//! What each gate refuses, and that nothing else does.

use super::*;
use crate::daytrade::TRADIER_SWITCHED;
use crate::testing::{DAY, balances, context, opening as intent_for, selected, setup};
use domain::ids::UserId;
use domain::intent::approve_opening;
use domain::kill::{KillRow, KillScope, KillState};
use domain::market::Points;
use domain::money::Usd;
use domain::ports::Snapshot;
use domain::time::at_new_york;

/// A world in which every gate passes, to be spoilt one input at a time.
struct World {
    switches: Switches,
    context: OpeningContext,
    session: Option<Session>,
    now: UtcNanos,
    intent: OpeningIntent,
    quote: Option<OptionQuote>,
    signal_at: UtcNanos,
    is_feed_gap: bool,
    is_counted: bool,
}

impl World {
    fn new() -> Self {
        let chosen = selected();
        let worst = TickGrid::FIVE_TEN.up(chosen.ask);
        let now = chosen.row.quote.ts;
        Self {
            switches: Switches { execution_enabled: true, ..Switches::default() },
            context: context(now),
            session: Session::of(DAY).unwrap(),
            now,
            intent: intent_for(&chosen, worst, 2),
            quote: Some(chosen.row.quote),
            signal_at: now,
            is_feed_gap: false,
            is_counted: false,
        }
    }

    fn ask(&self) -> Vec<GateCheck> {
        opening(&GateInputs {
            switches: &self.switches,
            context: &self.context,
            session: self.session.as_ref(),
            now: self.now,
            intent: &self.intent,
            quote: self.quote.as_ref(),
            signal_at: self.signal_at,
            resolution_ns: 1,
            is_feed_gap: self.is_feed_gap,
            is_counted: self.is_counted,
            broker_switched: TRADIER_SWITCHED,
        })
    }

    fn live(mut self) -> Self {
        self.intent.head.account.environment = Environment::Live;
        self.switches.sandbox = false;
        self.switches.production_enabled = true;
        self
    }
}

#[test]
fn every_gate_is_asked_in_order_and_a_good_entry_is_approved() {
    let world = World::new();
    let gates = world.ask();
    let names: Vec<&str> = gates.iter().map(|it| it.gate.as_str()).collect();
    assert_eq!(names, OPENING_GATES);
    assert_eq!(verdict(&gates), (IntentState::Ready, String::new()), "{gates:#?}");
    assert!(approve_opening(world.intent.clone(), &gates).is_ok());
    assert_eq!(verdict(&World::new().live().ask()).0, IntentState::Ready);
}

type Spoil = fn(&mut World);

#[test]
fn each_gate_blocks_alone_with_its_reason() {
    let table: [(&str, &str, Spoil); 31] = [
        ("execution_enabled", "execution_disabled", |w| w.switches.execution_enabled = false),
        ("four_lights", "execution_off", |w| w.context.settings.spx_auto_execute = false),
        ("four_lights", "no_credential", |w| w.context.credential = None),
        ("four_lights", "credential_not_active", |w| {
            w.context.credential.as_mut().unwrap().status = CredentialStatus::Refused;
        }),
        ("consent", "no_consent", |w| w.context.settings.consent_at = None),
        ("consent", "no_consent", |w| {
            w.context.settings.consent_at = Some(w.now.plus(Duration::from_secs(1)));
        }),
        ("kill_switch", "kill_switch", |w| {
            w.context.kill.push(KillRow {
                scope: KillScope::Global,
                state: KillState::NoEntries,
                version: 1,
                flipped_at: w.now,
                by: "operator".to_owned(),
                reason: "test".to_owned(),
            });
        }),
        ("reconciliation", "not_reconciled", |w| w.context.agreed_at = None),
        ("session_hours", "no_session", |w| w.session = None),
        ("signal_age", "feed_gap", |w| w.is_feed_gap = true),
        ("signal_age", "signal_stale", |w| w.signal_at = w.now.minus(Duration::from_millis(30_001))),
        ("quote", "quote_one_sided", |w| w.quote.as_mut().unwrap().bid = None),
        ("quote", "quote_missing", |w| w.quote = None),
        ("quote", "quote_stale", |w| {
            w.quote.as_mut().unwrap().ts = w.now.minus(Duration::from_secs(61));
        }),
        ("price_bound", "price_beyond_worst", |w| {
            let quote = w.quote.as_mut().unwrap();
            quote.bid = quote.bid.map(|it| TickGrid::FIVE_TEN.step_by(it, 5));
            quote.ask = quote.ask.map(|it| TickGrid::FIVE_TEN.step_by(it, 5));
        }),
        ("price_bound", "bound_off_grid", |w| {
            w.intent.worst = Price::from_cents(w.intent.worst.cents() + 1);
        }),
        ("reward_to_risk", "reward_to_risk", |w| w.intent.levels.t1 = Points::whole(5_601)),
        ("reward_to_risk", "reward_not_modelled", |w| w.intent.market.spot = Points::whole(9_000)),
        ("day_trading", "balances_missing", |w| w.context.snapshot = None),
        ("day_trading", "zero_dte_floor", |w| {
            w.context.snapshot.as_mut().unwrap().balances.total_equity = Usd::from_dollars(2_499);
        }),
        ("daily_loss", "daily_loss_limit", |w| w.context.day.realized = Usd::from_dollars(-1_500)),
        ("daily_loss", "daily_loss_limit", |w| w.context.day.open_premium = Usd::from_dollars(1_500)),
        ("trade_count", "max_trades", |w| w.context.day.entries = 6),
        ("trade_count", "paused_after_losses", |w| w.context.day.losses_in_a_row = 3),
        ("exposure", "no_contracts", |w| w.intent.quantity = 0),
        ("exposure", "max_contracts", |w| w.context.settings.limits.max_contracts = 1),
        ("exposure", "direction_cap", |w| w.context.day.long_contracts = 9),
        ("exposure", "series_owned", |w| {
            w.context.owned_series.push((w.intent.head.series, Some(setup(9))));
        }),
        ("buying_power", "balances_stale", |w| {
            w.context.snapshot.as_mut().unwrap().at = w.now.minus(Duration::from_secs(601));
        }),
        ("buying_power", "buying_power", |w| {
            w.context.day.working_debits = Usd::from_dollars(49_500);
        }),
        ("buying_power", "balances_missing", |w| w.context.snapshot = None),
    ];
    for (gate, reason, spoil) in table {
        let mut world = World::new();
        spoil(&mut world);
        let gates = world.ask();
        let check = gates.iter().find(|it| it.gate == gate).unwrap();
        assert_eq!((check.reason.as_str(), check.blocks()), (reason, true), "{gate}: {gates:#?}");
        assert!(approve_opening(world.intent.clone(), &gates).is_err());
        let (state, _) = verdict(&gates);
        let expected =
            if gate == "execution_enabled" { IntentState::WouldSubmit } else { IntentState::Blocked };
        assert_eq!(state, expected, "{gate} {reason}");
    }
}

#[test]
fn real_money_needs_all_four_lights() {
    let table: [(&str, Spoil); 5] = [
        ("sandbox_deployment", |w| w.switches.sandbox = true),
        ("production_disabled", |w| w.switches.production_enabled = false),
        ("execution_off", |w| w.context.settings.spx_auto_execute = false),
        ("proof_missing", |w| w.context.credential.as_mut().unwrap().proof_at = None),
        ("proof_stale", |w| {
            w.context.credential.as_mut().unwrap().proof_at = Some(w.now.minus(PROOF_AGE_MAX));
        }),
    ];
    for (reason, spoil) in table {
        let mut world = World::new().live();
        spoil(&mut world);
        assert_eq!(verdict(&world.ask()), (IntentState::Blocked, reason.to_owned()));
    }
}

#[test]
fn entries_keep_to_their_hours_also_on_short_days() {
    for (day, short) in [(DAY, false), (jiff::civil::date(2026, 11, 27), true)] {
        let session = Session::of(day).unwrap().unwrap();
        assert_eq!(session.short, short);
        let end = if short { time(12, 40, 0, 0) } else { time(15, 0, 0, 0) };
        let open = time(9, 35, 0, 0);
        assert_eq!(entry_hours(&session), (at_new_york(day, open), at_new_york(day, end)));
    }
    for (at, passes) in [
        (time(9, 34, 59, 0), false),
        (time(9, 35, 0, 0), true),
        (time(14, 59, 59, 0), true),
        (time(15, 0, 0, 0), false),
    ] {
        let world = World { now: at_new_york(DAY, at), ..World::new() };
        let gates = world.ask();
        let check = gates.iter().find(|it| it.gate == "session_hours").unwrap();
        assert_eq!(!check.blocks(), passes, "{at}");
    }
}

#[test]
fn no_entry_is_sent_later_than_twenty_minutes_before_the_close() {
    let session = Session::of(jiff::civil::date(2026, 11, 27)).unwrap().unwrap();
    let (_, until) = entry_hours(&session);
    assert_eq!(session.close.since(until), Duration::from_secs(20 * 60));
}

#[test]
fn three_losses_in_a_row_pause_entries() {
    for (losses, blocks) in [(2, false), (3, true), (4, true)] {
        let mut world = World::new();
        world.context.day.losses_in_a_row = losses;
        let gates = world.ask();
        let check = gates.iter().find(|it| it.gate == "trade_count").unwrap();
        assert_eq!((check.blocks(), check.reason == "paused_after_losses"), (blocks, blocks), "{losses}");
    }
}

#[test]
fn a_halted_market_lets_no_entry_through_and_says_so() {
    let mut world = World::new();
    let underlying = world.intent.head.series.underlying();
    let row = |scope, state| KillRow {
        scope,
        state,
        version: 1,
        flipped_at: world.now,
        by: "halt".to_owned(),
        reason: "test".to_owned(),
    };
    let halted = row(KillScope::Market(underlying), KillState::SafeMode);
    let elsewhere = row(KillScope::Market("XSP".parse().unwrap()), KillState::Normal);
    world.context.kill = vec![elsewhere.clone(), halted];
    assert_eq!(verdict(&world.ask()), (IntentState::Blocked, "market_halted".to_owned()));
    world.context.kill = vec![elsewhere];
    assert_eq!(verdict(&world.ask()).0, IntentState::Ready);
}

#[test]
fn an_intent_that_is_counted_already_does_not_count_against_itself() {
    let mut world = World::new();
    let debit = world.intent.worst.notional(2) + Usd::from_cents(210);
    let limits = &mut world.context.settings.limits;
    limits.daily_loss_limit = debit;
    limits.max_trades_per_day = 1;
    limits.max_direction_contracts = 2;
    world.context.day.open_premium = debit;
    world.context.day.working_debits = debit;
    world.context.day.entries = 1;
    world.context.day.long_contracts = 2;
    world.context.snapshot = Some(Snapshot { at: world.now, balances: balances(2_500) });
    assert_eq!(verdict(&world.ask()).0, IntentState::Blocked);
    world.is_counted = true;
    assert_eq!(verdict(&world.ask()).0, IntentState::Ready, "{:#?}", world.ask());
}

#[test]
fn the_switch_with_another_block_is_blocked_by_the_first_reason() {
    let mut world = World::new();
    world.switches.execution_enabled = false;
    world.context.settings.consent_at = None;
    assert_eq!(verdict(&world.ask()), (IntentState::Blocked, "execution_disabled".to_owned()));
    // A kill row of another user never reaches the context; a normal row of ours lets through.
    let mut world = World::new();
    world.context.kill.push(KillRow {
        by: "operator".to_owned(),
        scope: KillScope::User(UserId("00000000-0000-0000-0000-000000000001".parse().unwrap())),
        state: KillState::Normal,
        version: 3,
        flipped_at: world.now,
        reason: String::new(),
    });
    assert_eq!(verdict(&world.ask()).0, IntentState::Ready);
}
