//! States move forward alone (INV4).

use domain::ids::AttemptNo;
use domain::intent::IntentState;
use domain::order::AttemptState;
use domain::ports::IntentView;

/// An intent as it was seen last.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) state: IntentState,
    pub(super) version: i64,
    pub(super) filled: u32,
    attempts: Vec<(AttemptNo, AttemptState, u32)>,
}

pub(super) fn kept(view: &IntentView) -> Kept {
    Kept {
        state: view.state,
        version: view.version,
        filled: view.filled,
        attempts: view.attempts.iter().map(|it| (it.no, it.state, it.executed)).collect(),
    }
}

/// What went backwards, if something did.
pub(super) fn backwards(before: &Kept, after: &Kept) -> Option<String> {
    if after.version < before.version {
        return Some(format!("version {} after {}", after.version, before.version));
    }
    if before.state.is_final() && after.state != before.state {
        return Some(format!("{} after {}", after.state.as_str(), before.state.as_str()));
    }
    if after.state == IntentState::Ready && before.state != IntentState::Ready {
        return Some(format!("ready after {}", before.state.as_str()));
    }
    if after.filled < before.filled {
        return Some(format!("{} filled after {}", after.filled, before.filled));
    }
    for (no, state, executed) in &before.attempts {
        let Some((_, now, more)) = after.attempts.iter().find(|it| it.0 == *no) else {
            return Some(format!("attempt {no} is gone"));
        };
        if state.is_final() && now != state {
            return Some(format!("attempt {no} {} after {}", now.as_str(), state.as_str()));
        }
        if more < executed {
            return Some(format!("attempt {no} {more} executed after {executed}"));
        }
    }
    None
}
