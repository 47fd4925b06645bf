use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use domain::market::{MarketEvent, MarketSource, SourceProfile};
use domain::ports::Ledger;
use domain::setup::{FamilyStatus, SetupKind, SetupState};
use engine::context::{Beforehand, OiSource, Regime};
use engine::macros::MacroCalendar;
use engine::profile::{Profile, Standing};
use sim::ledger::MemLedger;
use sim::market::{GeneratedSession, SessionSpec};

use crate::{CheckpointError, Emission, Ingester, Replay};

/// Drives a future of the in-memory ledger, which never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(it) => it,
        Poll::Pending => panic!("the in-memory ledger waits for nothing"),
    }
}

/// The first `limit` events of a generated short session.
fn day(limit: usize) -> (SourceProfile, Vec<MarketEvent>) {
    let mut source = GeneratedSession::new(&SessionSpec::of_seed(5)).unwrap();
    let mut events = Vec::new();
    while events.len() < limit {
        let Some(event) = source.next_event().unwrap() else { break };
        events.push(event);
    }
    (source.profile().clone(), events)
}

fn feed(ingester: &mut Ingester, events: &[MarketEvent]) {
    for event in events {
        while let Some(due) = ingester.next_due().filter(|it| *it < event.ts()) {
            ingester.on_time(due);
        }
        ingester.on_event(event);
    }
}

fn emissions(ingester: &Ingester) -> Vec<Emission> {
    ingester.emissions().cloned().collect()
}

#[test]
fn a_generated_day_goes_into_the_ledger_once_whoever_restarts_in_between() {
    let (source, events) = day(usize::MAX);
    let (profile, ledger) = (Profile::orb_v1(), MemLedger::new());
    let mut whole = Ingester::new(&source, &profile, true);
    feed(&mut whole, &events);
    whole.finish();
    let expected = emissions(&whole);
    let bars: usize = whole.bars().map(|(_, it)| it.len()).sum();

    let mut ingester = Ingester::new(&source, &profile, true);
    let mut restarts = 0;
    for (n, event) in events.iter().enumerate() {
        feed(&mut ingester, std::slice::from_ref(event));
        if ingester.wants_commit() {
            now(ingester.commit(&ledger)).unwrap();
        }
        // A crash loses everything since the last checkpoint; the source starts again with its first event.
        if n % 60_011 == 60_010 {
            restarts += 1;
            let saved = now(ledger.checkpoint(source.session.date)).unwrap().unwrap();
            ingester = Ingester::restore(&saved, &source, &profile, true, Replay::FromStart).unwrap();
            feed(&mut ingester, &events[..=n]);
        }
    }
    ingester.finish();
    now(ingester.commit(&ledger)).unwrap();
    assert!(restarts > 3 && !ingester.wants_commit());

    let books = now(ledger.setups(source.session.date)).unwrap();
    let recorded: usize = books.iter().map(|it| it.transitions.len()).sum();
    assert_eq!(recorded, expected.len());
    for it in &expected {
        let step = &it.record.transition;
        let kept = now(ledger.transition(step.setup, step.sequence)).unwrap();
        assert_eq!(kept.as_ref(), Some(&it.record));
        if let Some(chain) = &it.chain {
            assert_eq!(now(ledger.chain(chain.id())).unwrap().as_ref(), Some(chain));
        }
    }
    let stored: usize =
        [source.index, source.proxy.unwrap()].map(|it| ledger.microbars(it).len()).iter().sum();
    assert_eq!(stored, bars);
    assert_eq!(ingester.metrics(), whole.metrics());
    assert_eq!(ingester.metrics().tape.dropped.total(), 0);
    assert!(ingester.metrics().coverage_pct().is_some_and(|it| it > 90.0));
}

#[test]
fn a_trigger_comes_with_the_chain_around_spot_and_nothing_else_does() {
    let (source, events) = day(usize::MAX);
    let mut ingester = Ingester::new(&source, &Profile::orb_v1(), true);
    feed(&mut ingester, &events);
    ingester.finish();
    let all = emissions(&ingester);
    assert!(all.iter().any(|it| it.record.transition.to == SetupState::Triggered), "the day has a trigger");
    for it in &all {
        let opens = it.record.transition.to == SetupState::Triggered;
        assert_eq!(it.chain.is_some(), opens, "{:?}", it.record.transition);
        assert_eq!(it.record.chain, it.chain.as_ref().map(|it| it.id()));
        let Some(chain) = &it.chain else { continue };
        let spot = chain.spot.to_f64();
        assert!(chain.rows.len() > 100, "{} rows", chain.rows.len());
        assert!(chain.rows.is_sorted_by_key(|it| it.series));
        for row in &chain.rows {
            assert!((row.series.strike.points() - spot).abs() <= 0.03 * spot);
            assert_eq!(row.series.expiry, source.session.date);
            assert!(row.quote.ts <= chain.ts && chain.ts == it.at);
        }
    }
}

#[test]
fn a_ledger_that_lost_the_answer_gets_the_same_again_without_effect() {
    let (source, events) = day(usize::MAX);
    let (profile, ledger) = (Profile::orb_v1(), MemLedger::new());
    for _ in 0..2 {
        let mut ingester = Ingester::new(&source, &profile, true);
        feed(&mut ingester, &events);
        ingester.finish();
        now(ingester.commit(&ledger)).unwrap();
        assert_eq!(ingester.metrics().transitions_refused, 0);
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused_and_says_what_to_do() {
    let (source, events) = day(1_000);
    let mut ingester = Ingester::new(&source, &Profile::orb_v1(), true);
    feed(&mut ingester, &events);
    let saved = ingester.checkpoint().unwrap();
    let other = SourceProfile { name: "generated:seed=6".to_owned(), ..source.clone() };
    let restore = |bytes: &[u8], source| {
        Ingester::restore(bytes, source, &Profile::orb_v1(), true, Replay::Live).map(|it| it.events())
    };
    assert_eq!(restore(&saved, &source).unwrap(), 1_000);
    let refused = restore(&saved, &other).unwrap_err();
    assert!(
        matches!(refused, CheckpointError::OtherRun { .. }) && refused.to_string().contains("same source")
    );
    for bytes in [&b""[..], b"{}", br#"{"version":2,"run":{"source":"","profile":"","quotes":true}}"#] {
        assert!(matches!(restore(bytes, &source), Err(CheckpointError::Unreadable(_))));
    }
}

/// A recorded session, where its files lie beside the checkout.
fn recorded(date: &str) -> Option<Ingester> {
    recorded_by(date, &Profile::orb_v1())
}

fn recorded_by(date: &str, profile: &Profile) -> Option<Ingester> {
    recorded_knowing(date, profile, Beforehand::default())
}

fn recorded_knowing(date: &str, profile: &Profile, beforehand: Beforehand) -> Option<Ingester> {
    let dir = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    if !dir.exists() {
        println!("skipped: {} is not there", dir.display());
        return None;
    }
    let mut source = crate::sources::open_recorded(dir, date.parse().unwrap()).unwrap();
    let mut ingester = Ingester::knowing(source.profile(), profile, true, beforehand);
    while let Some(event) = source.next_event().unwrap() {
        feed(&mut ingester, std::slice::from_ref(&event));
    }
    ingester.finish();
    Some(ingester)
}

#[test]
fn a_day_of_minutes_without_a_proxy_gets_ready_and_never_triggers() {
    let Some(ingester) = recorded("2021-01-04") else { return };
    let all = emissions(&ingester);
    let states: Vec<_> = all.iter().map(|it| it.record.transition.to).collect();
    assert!(states.contains(&SetupState::Ready), "{states:?}");
    assert!(!states.contains(&SetupState::Triggered));
    for it in all.iter().filter(|it| it.record.transition.from == Some(SetupState::Ready)) {
        let gates = &it.record.transition.gates;
        let reasons: Vec<_> = gates.iter().filter(|it| it.blocks()).map(|it| it.reason.as_str()).collect();
        assert!(reasons.contains(&"microstructure_unavailable"), "{reasons:?}");
        let resolution = gates.iter().find(|it| it.gate == "source_resolution").unwrap();
        assert_eq!(resolution.observed.as_deref(), Some("60s"));
    }
}

#[test]
fn a_day_of_spy_ticks_forms_setups_on_the_index_made_from_them() {
    let Some(ingester) = recorded("2013-10-07") else { return };
    let all = emissions(&ingester);
    let states: Vec<_> = all.iter().map(|it| it.record.transition.to).collect();
    assert!(states.contains(&SetupState::Triggered), "{states:?}");
    let metrics = ingester.metrics();
    assert!(metrics.coverage_pct().is_some_and(|it| it > 60.0), "{metrics:?}");
    assert_eq!(metrics.tape.dropped.total(), 0);
}

/// Every family, with nothing in its way but its own gates and the market.
fn every_family() -> Profile {
    let mut profile = Profile { macro_floor: None, ..Profile::setups_v1() };
    if let Some(families) = &mut profile.families {
        let active = Standing::Fixed(FamilyStatus::Active);
        families.governance.standings = SetupKind::ALL.into_iter().map(|it| (it, active)).collect();
    }
    profile
}

#[test]
fn on_recorded_days_families_form_and_without_a_macro_calendar_none_triggers() {
    for (date, kinds_min) in [("2013-10-07", 4), ("2021-01-04", 2)] {
        let Some(ingester) = recorded_by(date, &every_family()) else { return };
        let all = emissions(&ingester);
        let kinds: BTreeSet<_> = all.iter().map(|it| it.record.setup.kind).collect();
        assert!(kinds.len() >= kinds_min, "{date}: {kinds:?}");
        assert!(all.iter().all(|it| it.record.transition.to != SetupState::Triggered), "{date}");
        let ready = all.iter().filter(|it| it.record.transition.to == SetupState::Ready);
        for it in ready {
            let check = it.record.transition.gates.iter().find(|it| it.gate == "macro_window").unwrap();
            assert_eq!(check.reason, "macro_calendar_missing");
        }
        let wider = ingester.market().context().wider().unwrap();
        assert_eq!(wider.regime().regime, Regime::Unknown, "nobody told of the sessions before");
        assert!(!wider.clusters().is_empty());
        println!("{date}: {} steps, {kinds:?}, basis {:?}", all.len(), wider.basis());
    }
}

#[test]
fn told_that_nothing_is_published_other_families_enter_on_the_recorded_day_of_ticks() {
    let beforehand = Beforehand { macros: MacroCalendar::Known(Vec::new()), ..Beforehand::default() };
    let Some(ingester) = recorded_knowing("2013-10-07", &every_family(), beforehand) else { return };
    let all = emissions(&ingester);
    let entered: BTreeSet<_> = all
        .iter()
        .map(|it| &it.record)
        .filter(|it| {
            it.transition.to == SetupState::Triggered && it.transition.from == Some(SetupState::Ready)
        })
        .map(|it| it.setup.kind)
        .collect();
    println!("{entered:?}");
    assert!(entered.iter().any(|it| *it != SetupKind::OrbBreakout), "{entered:?}");
    for it in &all {
        let family = it.record.setup.facts.family;
        assert!(family.trades(), "each is active here, and an entry that is not would open nothing");
    }
}

#[test]
fn with_every_family_a_generated_day_goes_on_the_same_from_any_checkpoint() {
    let (source, events) = day(200_000);
    let profile = every_family();
    let mut whole = Ingester::new(&source, &profile, true);
    feed(&mut whole, &events);
    let mut ingester = Ingester::new(&source, &profile, true);
    for part in events.chunks(20_011) {
        feed(&mut ingester, part);
        let waiting = emissions(&ingester);
        let saved = ingester.checkpoint().unwrap();
        let restored = Ingester::restore(&saved, &source, &profile, true, Replay::Live).unwrap();
        assert_eq!(restored.market(), ingester.market());
        assert!(waiting.len() <= emissions(&whole).len());
        assert_eq!(
            emissions(&whole)[..waiting.len()],
            waiting[..],
            "what was said is what the whole day says"
        );
    }
    assert_eq!(ingester.market(), whole.market());
    let gamma = whole.market().context().wider().unwrap().gamma().unwrap();
    assert_eq!(gamma.zero_dte.source, OiSource::OiBaseline, "a chain without prints is the morning's");
    assert!(gamma.zero_dte.rows.len() > 50, "{} series", gamma.zero_dte.rows.len());
}

#[test]
fn what_the_breakout_says_by_its_first_profile_stays_as_it_was() {
    let mut found = Vec::new();
    for seed in [5, 7, 11, 12] {
        let mut source = GeneratedSession::new(&SessionSpec::of_seed(seed)).unwrap();
        let mut ingester = Ingester::new(source.profile(), &Profile::orb_v1(), true);
        while let Some(event) = source.next_event().unwrap() {
            feed(&mut ingester, std::slice::from_ref(&event));
        }
        ingester.finish();
        let steps: Vec<_> = ingester.emissions().map(|it| it.record.clone()).collect();
        let text = serde_json::to_vec(&steps).unwrap();
        found.push((seed, steps.len(), domain::ids::SetupId::of(&[&text]).to_string()));
    }
    let expected = [
        (5, 9, "20stujuc73hzv7prsnukfrtsp2"),
        (7, 12, "pfgu7ww0md81rh9bhc78jf9xt6"),
        (11, 6, "5qgcx9wdk8bdfvmrylqkrcgcx2"),
        (12, 10, "sxvmfyz6fmpxj9273xphpqvk04"),
    ];
    assert_eq!(found.iter().map(|it| (it.0, it.1, it.2.as_str())).collect::<Vec<_>>(), expected);
}
