//! Setups that trigger and end within seconds, written into the books as the ingester writes its own.

use std::time::Duration;

use domain::chain::{ChainRow, ChainSnapshot};
use domain::ids::SetupId;
use domain::market::Points;
use domain::ports::{BrokerPort as _, Brokers as _, Clock as _, Ledger as _};
use domain::setup::{Direction, Setup, SetupKind, SetupState, Transition, TransitionRecord, TriggerFacts};
use domain::symbol::{OccSymbol, Root, Strike, Underlying};
use domain::time::UtcNanos;

use engine::profile::Profile;
use sim::fixtures::levels_at;

use super::perils::Dice;
use super::standing::Standing;

/// Setups of a round.
const SETUPS: u64 = 6;
/// They trigger within this long.
const TRIGGERED_WITHIN_MS: u64 = 9_000;
/// Strikes stand so many points apart.
const STEP: u32 = 5;
/// And are asked for so many steps to either side of the index.
const STEPS: u32 = 8;
/// An index value older than this is none to trade on.
const INDEX_AGE_MAX: Duration = Duration::from_secs(10);

/// What is traded in a round.
pub(super) struct Trading {
    planned: Vec<Planned>,
}

struct Planned {
    id: SetupId,
    after: Duration,
    direction: Direction,
    /// Index points at risk.
    r: i64,
    /// After the trigger, each so long after the one before.
    steps: Vec<(Duration, SetupState, &'static str)>,
}

impl Trading {
    /// What `seed` holds for `round`.
    pub(super) fn draw(seed: u64, round: u32) -> Self {
        let mut dice = Dice::of(seed, round, 2);
        let planned = (0..SETUPS).map(|n| {
            let id = SetupId::of(&[b"chaos", &seed.to_le_bytes(), &round.to_le_bytes(), &n.to_le_bytes()]);
            let after = Duration::from_millis(dice.below(TRIGGERED_WITHIN_MS));
            let direction = if dice.below(2) == 0 { Direction::Long } else { Direction::Short };
            let r = 8 + i64::try_from(dice.below(7)).unwrap_or(0);
            Planned { id, after, direction, r, steps: steps(&mut dice) }
        });
        Self { planned: planned.collect() }
    }

    /// Writes it all; tells the setups.
    pub(super) async fn run(&self, standing: &Standing) -> anyhow::Result<Vec<SetupId>> {
        futures_util::future::try_join_all(self.planned.iter().map(|it| it.run(standing))).await?;
        Ok(self.planned.iter().map(|it| it.id).collect())
    }
}

/// What becomes of a setup: a target and then its end, or its end at once.
fn steps(dice: &mut Dice) -> Vec<(Duration, SetupState, &'static str)> {
    let wait = |dice: &mut Dice| Duration::from_millis(3_000 + dice.below(7_000));
    let end = match dice.below(3) {
        0 => (SetupState::Stopped, "stop"),
        1 => (SetupState::Expired, "max_hold"),
        _ => (SetupState::T2Hit, "t2"),
    };
    match dice.below(2) {
        0 if end.0 != SetupState::T2Hit => vec![(wait(dice), end.0, end.1)],
        _ => vec![(wait(dice), SetupState::T1Hit, "t1"), (wait(dice), end.0, end.1)],
    }
}

impl Planned {
    async fn run(&self, standing: &Standing) -> anyhow::Result<()> {
        tokio::time::sleep(self.after).await;
        let chain = standing.written(async || chain(standing, self.direction).await).await?;
        let spot = chain.spot;
        let now = standing.clock.now();
        let setup = Setup {
            id: self.id,
            session: now.new_york_date(),
            symbol: Underlying::SPX,
            kind: SetupKind::OrbBreakout,
            profile: Profile::default().version,
            direction: self.direction,
            state: SetupState::Ready,
            sequence: 0,
            levels: levels_at(self.direction, spot, self.r),
            valid_until: now.plus(Duration::from_secs(600)),
            formed_at: now,
            triggered_at: None,
            facts: TriggerFacts::default(),
            trailing_stop_path: Vec::new(),
        };
        let chain_id = standing.written(async || Ok(standing.store.store_chain(&chain).await?)).await?;
        let mut record = TransitionRecord {
            transition: step(&setup, None, now, spot, "range"),
            setup,
            chain: None,
            source: "chaos".to_owned(),
            resolution_ns: 1,
        };
        write(standing, &record).await?;
        let trigger = (Duration::ZERO, SetupState::Triggered, "break");
        for (wait, state, reason) in std::iter::once(trigger).chain(self.steps.iter().copied()) {
            tokio::time::sleep(wait).await;
            let (from, now) = (record.setup.state, standing.clock.now());
            record.setup.state = state;
            record.setup.sequence = record.setup.sequence.saturating_add(1);
            let triggers = state == SetupState::Triggered;
            if triggers {
                record.setup.triggered_at = Some(now);
            }
            record.chain = triggers.then_some(chain_id);
            record.transition = step(&record.setup, Some(from), now, spot, reason);
            write(standing, &record).await?;
        }
        Ok(())
    }
}

async fn write(standing: &Standing, record: &TransitionRecord) -> anyhow::Result<()> {
    let at = standing.clock.now();
    standing.written(async || Ok(standing.store.record_transition(record, at).await?)).await?;
    Ok(())
}

fn step(setup: &Setup, from: Option<SetupState>, at: UtcNanos, price: Points, reason: &str) -> Transition {
    Transition {
        setup: setup.id,
        sequence: setup.sequence,
        from,
        to: setup.state,
        ts: at,
        price,
        reason: reason.to_owned(),
        bar: at,
        gates: Vec::new(),
    }
}

/// The series around the index as the broker quotes them now.
async fn chain(standing: &Standing, direction: Direction) -> anyhow::Result<ChainSnapshot> {
    let member = standing.members.first().ok_or_else(|| anyhow::anyhow!("no member"))?;
    let broker = standing.brokers.account(&member.account).await?;
    let now = standing.clock.now();
    let of = |strike| OccSymbol {
        root: Root::SPXW,
        expiry: now.new_york_date(),
        right: direction.right(),
        strike,
    };
    let market = broker.market(of(Strike::from_points(5_600))).await?;
    let spot = market.spot(now, INDEX_AGE_MAX).ok_or_else(|| anyhow::anyhow!("the index is silent"))?;
    let middle = (spot.to_f64() / f64::from(STEP)).round() * f64::from(STEP);
    let lowest = (middle as u32).saturating_sub(STEP * STEPS);
    let series: Vec<OccSymbol> =
        (0..=2 * STEPS).map(|n| of(Strike::from_points(lowest + n * STEP))).collect();
    let quotes = broker.quotes(&series).await?;
    let row = |(series, quote): (OccSymbol, Option<_>)| {
        Some(ChainRow { series, quote: quote?, open_interest: Some(1_000), volume: None })
    };
    let rows = series.into_iter().zip(quotes).filter_map(row).collect();
    Ok(ChainSnapshot { underlying: Underlying::SPX, spot, ts: now, rows })
}
