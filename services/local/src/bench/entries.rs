//! Entries for many accounts at once: one decision, repeated under other names.

use anyhow::{Context as _, bail};
use domain::ids::{IntentId, SetupId};
use domain::intent::{Action, IntentHead, IntentState, OpeningIntent, OrderIntent, Origin, intent_id};
use domain::ports::{Clock as _, Ledger as _, Message, NewIntent};
use domain::setup::TransitionRecord;
use transitions::Transitions;
use world::simulated::{Member, switches};

use super::stage::{Stage, Template};

/// What `transitions` decides for the account of `member`, to be repeated for others.
pub(super) async fn decided(
    stage: &Stage,
    template: &Template,
    member: &Member,
) -> anyhow::Result<OpeningIntent> {
    let setup = SetupId::of(&[b"bench", b"decision"]);
    stage.tell_before(template, setup).await?;
    let record = stage.trigger(template, setup).await?;
    let function = Transitions { ledger: &stage.ledger, clock: &stage.clock, switches: switches() };
    let sequence = record.transition.sequence;
    function.handle(&Message::Transition { setup, sequence, tries: 0 }).await?;
    let views = stage.ledger.intents_of(&member.account, setup).await?;
    let view = views.into_iter().next().context("nothing was decided")?;
    match view.intent {
        OrderIntent::Opening(opening) if view.state == IntentState::Ready => Ok(opening),
        OrderIntent::Opening(_)
        | OrderIntent::Closing(_)
        | OrderIntent::OpeningCombo(_)
        | OrderIntent::ClosingCombo(_) => bail!("the decision is {} ({})", view.state.as_str(), view.reason),
    }
}

/// Writes the same decision for the account of `member` on the trigger of another setup; its first step is due.
pub(super) async fn record(
    stage: &Stage,
    opening: &OpeningIntent,
    member: &Member,
    trigger: &TransitionRecord,
) -> anyhow::Result<IntentId> {
    let (origin, sequence) = (Origin::Setup(trigger.setup.id), trigger.transition.sequence);
    let at = stage.clock.now();
    let id = intent_id(origin, sequence, member.account.account, Action::Enter, None);
    let head = IntentHead { id, account: member.account, origin, sequence, decided_at: at, ..opening.head };
    let intent = OrderIntent::Opening(OpeningIntent { head, ..opening.clone() });
    stage.ledger.record_intent(&NewIntent::ready(intent, at)).await?;
    Ok(id)
}
