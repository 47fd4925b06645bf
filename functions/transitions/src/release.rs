//! The entries of one signal share what its series shows: who goes when, and with how much.

use std::collections::BTreeMap;

use domain::intent::{IntentState, OpeningIntent, OrderIntent};
use domain::ports::{IntentView, NewIntent};
use domain::setup::TransitionRecord;
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use engine::release::{Asked, RUNG, release};

/// Why an entry is refused for which no rung is left.
const NO_RUNG: &str = "displayed_size";

/// What was decided for one account.
#[derive(Debug)]
pub(crate) enum Decided {
    /// An entry to be written, and the contracts its series showed.
    New { new: Box<NewIntent>, displayed: u32 },
    /// Written the last time this step was worked. It stands as it is.
    Known(Box<IntentView>),
}

impl Decided {
    /// A "no": it takes nothing of what is shown.
    pub(crate) fn refused(new: NewIntent) -> Self {
        Self::New { new: Box::new(new), displayed: 0 }
    }

    /// The entry where it will be sent, or was.
    fn entry(&self) -> Option<&OpeningIntent> {
        let (intent, state) = match self {
            Self::New { new, .. } => (&new.intent, new.state),
            Self::Known(view) => (&view.intent, view.state),
        };
        let is_out = !matches!(state, IntentState::Blocked | IntentState::WouldSubmit);
        match intent {
            OrderIntent::Opening(opening) if is_out => Some(opening),
            OrderIntent::Opening(_)
            | OrderIntent::Closing(_)
            | OrderIntent::OpeningCombo(_)
            | OrderIntent::ClosingCombo(_) => None,
        }
    }
}

/// The entries of one signal as they are written: series by series those that are ready share the displayed size, and the
/// setup's name decides who goes first. Rungs are counted from the signal, so that a step that is worked a second time gives
/// out no rung twice.
pub(crate) fn released(decided: Vec<Decided>, record: &TransitionRecord, now: UtcNanos) -> Vec<NewIntent> {
    let rung_of = |at: UtcNanos| rung_between(record.transition.ts, at);
    let from = rung_of(now);
    let turn = turn(record);
    let mut by_series: BTreeMap<OccSymbol, (u32, Vec<(usize, Asked)>)> = BTreeMap::new();
    for (at, it) in decided.iter().enumerate() {
        let Some(entry) = it.entry() else { continue };
        let (given, shown) = match it {
            Decided::New { displayed, .. } => (None, *displayed),
            Decided::Known(_) => (Some(rung_of(entry.release_at.unwrap_or(entry.head.decided_at))), 0),
        };
        let (displayed, asked) = by_series.entry(entry.head.series).or_default();
        *displayed = (*displayed).max(shown);
        asked.push((at, Asked { contracts: entry.quantity, given }));
    }
    let mut given = BTreeMap::new();
    for (displayed, asked) in by_series.into_values() {
        let (places, asked): (Vec<usize>, Vec<Asked>) = asked.into_iter().unzip();
        given.extend(places.into_iter().zip(release(&asked, displayed, turn, from)));
    }
    let mut written = Vec::new();
    for (at, it) in decided.into_iter().enumerate() {
        let Decided::New { mut new, .. } = it else { continue };
        if let (Some(released), OrderIntent::Opening(opening)) = (given.get(&at), &mut new.intent) {
            opening.quantity = released.contracts;
            match released.rung.map(|it| it.saturating_sub(from)) {
                Some(0) => {}
                Some(waits) => opening.release_at = Some(now.plus(RUNG.saturating_mul(waits))),
                None => {
                    new.state = IntentState::Blocked;
                    NO_RUNG.clone_into(&mut new.reason);
                }
            }
        }
        written.push(*new);
    }
    written
}

/// Whole rungs from the signal to an instant.
fn rung_between(signal: UtcNanos, at: UtcNanos) -> u32 {
    let rungs = at.since(signal).as_nanos().checked_div(RUNG.as_nanos()).unwrap_or(0);
    u32::try_from(rungs).unwrap_or(u32::MAX)
}

/// Who goes first: as the setup's name falls.
fn turn(record: &TransitionRecord) -> u64 {
    let bytes = record.setup.id.as_bytes();
    bytes.iter().fold(0, |turn: u64, byte| turn.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}
