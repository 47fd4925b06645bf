//! Setups as they are planned: their steps, each written by a task of the ingester, and the chain that goes with a trigger.

use std::time::Duration;

use domain::chain::ChainRow;
use domain::ids::SetupId;
use domain::setup::{Direction, Setup, SetupKind, SetupState, Transition, TransitionRecord, TriggerFacts};
use domain::symbol::{OccSymbol, Root, Underlying};
use engine::profile::Profile;
use sim::fixtures::levels_at;
use sim::perils::{Peril, Port};

use super::engine::{Engine, Event};
use super::tape::Tape;
use super::tasks::{self, Purpose, Step};

impl Engine {
    pub(super) fn setup(&mut self, plan: usize, sequence: u32) {
        let Some(planned) = self.course.setups.get(plan) else { return };
        let (direction, r, steps) = (planned.direction, planned.r, planned.steps.clone());
        let now = self.now();
        let (to, reason) = match sequence {
            0 => (SetupState::Ready, "range"),
            1 => (SetupState::Triggered, "break"),
            later => {
                let index = usize::try_from(later.saturating_sub(2)).unwrap_or(usize::MAX);
                let Some((_, to, reason)) = steps.get(index) else { return };
                (*to, *reason)
            }
        };
        let spot = self.tape.spot(now);
        let session = self.course.session.date;
        let seed = self.course.seed;
        let setup = self.setups.entry(plan).or_insert_with(|| Setup {
            id: SetupId::of(&[&seed.to_le_bytes(), &plan.to_le_bytes()]),
            session,
            symbol: Underlying::SPX,
            kind: SetupKind::OrbBreakout,
            profile: Profile::default().version,
            direction,
            state: to,
            sequence,
            levels: levels_at(direction, spot, r),
            valid_until: now.plus(Duration::from_secs(600)),
            formed_at: now,
            triggered_at: None,
            facts: TriggerFacts::default(),
            trailing_stop_path: Vec::new(),
        });
        let mut setup = setup.clone();
        let from = (sequence > 0).then_some(setup.state);
        (setup.state, setup.sequence) = (to, sequence);
        if sequence == 1 {
            setup.levels = levels_at(direction, spot, r);
            setup.triggered_at = Some(now);
        }
        let transition = Transition {
            setup: setup.id,
            sequence,
            from,
            to,
            ts: now,
            price: spot,
            reason: reason.to_owned(),
            bar: now,
            gates: Vec::new(),
        };
        let chain = (sequence == 1).then(|| self.chain(direction));
        if sequence == 1 {
            self.laws.signalled(setup.id, now);
        }
        let record =
            TransitionRecord { setup, transition, chain: None, source: "trial".to_owned(), resolution_ns: 1 };
        let work = tasks::step(&self.parts, Step { record, chain });
        self.spawn("ingester", Purpose::Setup { plan, sequence }, work);
    }

    pub(super) fn next_step(&mut self, plan: usize, sequence: u32) {
        let now = self.now();
        let planned = self.course.setups.get(plan);
        let state = match sequence {
            0 => Some(SetupState::Ready),
            1 => Some(SetupState::Triggered),
            later => {
                let index = usize::try_from(later.saturating_sub(2)).unwrap_or(usize::MAX);
                planned.and_then(|it| it.steps.get(index)).map(|it| it.1)
            }
        };
        if let (Some(setup), Some(state)) = (self.setups.get_mut(&plan), state) {
            (setup.state, setup.sequence) = (state, sequence);
        }
        let Some(planned) = self.course.setups.get(plan) else { return };
        let at = match sequence {
            0 => planned.at.max(now),
            later => {
                let index = usize::try_from(later.saturating_sub(1)).unwrap_or(usize::MAX);
                let Some((after, ..)) = planned.steps.get(index) else { return };
                now.plus(*after)
            }
        };
        // From the flatten on setups end without an intent.
        if at < self.course.session.before_close(16) {
            self.at(at, Event::Setup { plan, sequence: sequence.saturating_add(1) });
        }
    }

    /// The chain around the index, and the market shown to the broker as it stands with it.
    fn chain(&self, direction: Direction) -> Vec<ChainRow> {
        let now = self.now();
        let drawn = self.parts.perils.strike("chain", "listing", Port::Chain);
        let spot = self.tape.spot(now).to_f64();
        let strikes = Tape::strikes().into_iter().filter(|it| (it.points() - spot).abs() <= 30.0);
        let mut rows = Vec::new();
        for (index, strike) in strikes.enumerate() {
            let is_missing =
                matches!(drawn, Some((Peril::StrikesMissing, amount)) if amount >> (index % 16) & 1 == 1);
            let series = OccSymbol {
                root: Root::SPXW,
                expiry: self.course.session.date,
                right: direction.right(),
                strike,
            };
            let row = |series| ChainRow {
                series,
                quote: self.tape.quote(&series, now),
                open_interest: Some(1_000),
                volume: None,
            };
            if !is_missing {
                rows.push(row(series));
            }
            if matches!(drawn, Some((Peril::OtherRoots, _))) {
                rows.push(row(OccSymbol { root: Root::SPX, ..series }));
            }
        }
        rows
    }
}
