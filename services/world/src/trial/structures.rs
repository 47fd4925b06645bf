//! Structures as they are planned: what each member is to open, and when it is to be closed.

use std::time::Duration;

use domain::combo::{ComboEntry, Decided};
use domain::ids::DecisionId;
use domain::intent::{Action, CloseAmount, IntentState, OrderIntent, Origin};
use domain::money::TickGrid;
use domain::ports::NewIntent;
use domain::setup::Direction;
use domain::symbol::{OccSymbol, Right, Root, Strike};
use domain::ticket::{ComboLeg, ComboTerms, LegSide, Net};
use domain::time::UtcNanos;
use engine::combo::walk::net_quote;
use sim::broker::faults::FaultScript;

use super::course::{Course, Draws};
use super::engine::{Engine, Event};
use super::tape::Tape;
use super::tasks::{self, Purpose};

/// Strikes are so many points apart.
const STEP: i64 = 5;
/// An entry may cost so many cents more than the quotes ask for at once.
const ROOM: i64 = 15;
/// One session in so many has structures.
const ONE_IN: u64 = 2;

/// A structure and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedCombo {
    /// When it is decided on.
    pub(crate) at: UtcNanos,
    units: u32,
    /// Legs by right, steps from the strike next to the index, side and ratio.
    legs: Vec<(Right, i64, LegSide, u32)>,
    /// Its exits, each with how long after the step before.
    exits: Vec<(Duration, Action)>,
}

/// Draws the structures of a session.
pub(crate) fn drawn(draws: &mut Draws, from: UtcNanos, until: UtcNanos) -> Vec<PlannedCombo> {
    if draws.below(ONE_IN) > 0 {
        return Vec::new();
    }
    let span = until.since(from).saturating_sub(Duration::from_secs(60));
    let count = draws.below(3).saturating_add(1);
    let mut planned: Vec<PlannedCombo> = (0..count)
        .map(|_| PlannedCombo {
            at: from.plus(draws.between(Duration::ZERO, span)),
            units: u32::try_from(draws.below(3)).unwrap_or(0).saturating_add(1),
            legs: legs(draws),
            exits: exits(draws),
        })
        .collect();
    planned.sort_by_key(|it| it.at);
    planned
}

/// Two to four legs: a spread of calls or puts for a credit or a debit, a butterfly, a condor.
fn legs(draws: &mut Draws) -> Vec<(Right, i64, LegSide, u32)> {
    use LegSide::{BuyToOpen as Buy, SellToOpen as Sell};
    let away = |draws: &mut Draws| i64::try_from(draws.below(3)).unwrap_or(0).saturating_add(1);
    let (near, wide) = (away(draws), away(draws));
    let far = near.saturating_add(wide);
    let (call, put) = (Right::Call, Right::Put);
    match draws.below(6) {
        0 => vec![(put, -near, Sell, 1), (put, -far, Buy, 1)],
        1 => vec![(call, near, Sell, 1), (call, far, Buy, 1)],
        2 => vec![(call, 0, Buy, 1), (call, wide, Sell, 1)],
        3 => vec![(put, 0, Buy, 1), (put, -wide, Sell, 1)],
        4 => vec![(call, -wide, Buy, 1), (call, 0, Sell, 2), (call, wide, Buy, 1)],
        _ => vec![(put, -far, Buy, 1), (put, -near, Sell, 1), (call, near, Sell, 1), (call, far, Buy, 1)],
    }
}

/// What closes a structure. One without an exit is left to the flatten.
fn exits(draws: &mut Draws) -> Vec<(Duration, Action)> {
    let wait = |draws: &mut Draws| draws.between(Duration::from_secs(5), Duration::from_secs(240));
    let any = |draws: &mut Draws| match draws.below(4) {
        0 => Action::TakeProfit1,
        1 => Action::Stop,
        2 => Action::Terminal,
        _ => Action::Emergency,
    };
    let count = draws.below(3);
    (0..count).map(|_| (wait(draws), any(draws))).collect()
}

/// What the broker does to orders of several legs: legs that execute apart, fills that beat their cancel, prices that come
/// late. As often as the session's classes say.
pub(crate) fn faults_of(course: &Course) -> Option<FaultScript> {
    let mut draws = Draws::new(course.seed, 4);
    let mut rate = |class: u8| match draws.below(60) {
        drawn if course.classes.contains(&class) => drawn,
        _ => 0,
    };
    let (legs, beats, late) = (rate(18), rate(17), rate(19));
    if course.structures.is_empty() || legs + beats + late == 0 {
        return None;
    }
    let script = format!(
        "{{\"seed\": {}, \"rates\": {{\"partial_legs\": 0.{legs:02}, \"fill_beats_cancel\": 0.{beats:02}, \"late_price\": 0.{late:02}}}}}",
        course.seed
    );
    FaultScript::parse(&script).ok()
}

impl Engine {
    /// A member decides: sequence 0 opens the structure, the later ones close it.
    pub(super) fn decides(&mut self, plan: usize, member: usize, sequence: u32) {
        let key = (plan, member, sequence);
        if !self.decisions.contains_key(&key) {
            let Some(new) = self.decision(plan, member, sequence) else { return };
            self.decisions.insert(key, new);
        }
        let Some(new) = self.decisions.get(&key).cloned() else { return };
        let work = tasks::decide(&self.parts, new);
        self.spawn("strategy", Purpose::Decision { plan, member, sequence }, work);
    }

    /// What follows a decision that is recorded.
    pub(super) fn decided(&mut self, plan: usize, member: usize, sequence: u32) {
        let exits = self.course.structures.get(plan).map(|it| &it.exits);
        let next = exits.and_then(|it| it.get(usize::try_from(sequence).unwrap_or(usize::MAX)));
        let Some((after, _)) = next else { return };
        let at = self.now().plus(*after);
        // From the flatten on it alone closes.
        if at < self.course.session.before_close(16) {
            self.at(at, Event::Decision { plan, member, sequence: sequence.saturating_add(1) });
        }
    }

    fn decision(&self, plan: usize, member: usize, sequence: u32) -> Option<NewIntent> {
        let (planned, at) = (self.course.structures.get(plan)?, self.now());
        let account = self.parts.members.get(member)?.account;
        let seed = self.course.seed;
        let origin = Origin::Decision(DecisionId::of(&[&seed.to_le_bytes(), &plan.to_le_bytes()]));
        let by = Decided { account, origin, sequence, at };
        let intent = if sequence == 0 {
            let terms = self.terms(planned)?;
            let direction = Some(Direction::Long);
            let entry = ComboEntry::decided(by, "trial_structure", direction, planned.units, terms).ok()?;
            OrderIntent::OpeningCombo(entry)
        } else {
            let opened = self.decisions.get(&(plan, member, 0))?;
            let OrderIntent::OpeningCombo(entry) = &opened.intent else { return None };
            let place = usize::try_from(sequence.saturating_sub(1)).ok()?;
            let (_, action) = *planned.exits.get(place)?;
            OrderIntent::ClosingCombo(entry.exit(by, action, CloseAmount::All, action.as_str()))
        };
        Some(NewIntent {
            intent,
            state: IntentState::Ready,
            reason: String::new(),
            gates: Vec::new(),
            breakdown: String::new(),
            at,
        })
    }

    /// The legs around the index and the worst net price of a unit; `None` where they would be no bounded risk, or not
    /// all of them are listed.
    fn terms(&self, planned: &PlannedCombo) -> Option<ComboTerms> {
        let now = self.now();
        let (date, strikes) = (self.course.session.date, Tape::strikes());
        let spot = self.tape.spot(now).to_f64();
        let next = strikes
            .iter()
            .map(|it| it.points())
            .min_by(|a, b| (a - spot).abs().total_cmp(&(b - spot).abs()))?;
        let leg = |(right, steps, side, ratio): (Right, i64, LegSide, u32)| {
            let points = (next as i64).saturating_add(steps.saturating_mul(STEP));
            let strike = Strike::from_points(u32::try_from(points).ok()?);
            let series = OccSymbol { root: Root::SPXW, expiry: date, right, strike };
            strikes.contains(&strike).then_some(ComboLeg { series, side, ratio })
        };
        let legs: Vec<ComboLeg> = planned.legs.iter().map(|it| leg(*it)).collect::<Option<_>>()?;
        let quotes: Vec<_> = legs.iter().map(|it| Some(self.tape.quote(&it.series, now))).collect();
        let natural = net_quote(&legs, &quotes).natural?;
        let grid = TickGrid::net(&Root::SPXW, false, date);
        let worst = Net::from_cents(natural.cents().saturating_add(ROOM)).passive(grid);
        ComboTerms::check(legs, worst).ok()
    }
}
