//! Closing intents: for every account that opened something on this setup.

use domain::account::AccountRef;
use domain::ids::IntentId;
use domain::intent::{Action, CloseAmount, ClosingIntent, IntentHead, OrderIntent, Origin, intent_id};
use domain::ports::{Clock, HandleError, IntentView, Ledger, NewIntent};
use domain::setup::TransitionRecord;

use crate::Transitions;

/// Which end of a setup asks for a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    T1,
    T2,
    Stop,
    Terminal,
}

impl Closing {
    const fn action(self) -> Action {
        match self {
            Self::T1 => Action::TakeProfit1,
            Self::T2 => Action::TakeProfit2,
            Self::Stop => Action::Stop,
            Self::Terminal => Action::Terminal,
        }
    }
}

impl<L: Ledger, C: Clock> Transitions<'_, L, C> {
    pub(crate) async fn close(
        &self,
        account: &AccountRef,
        record: &TransitionRecord,
        closing: Closing,
    ) -> Result<(), HandleError> {
        let setup = record.setup.id;
        let amount = match closing {
            Closing::T1 => CloseAmount::FractionBp(self.t1_fraction(account).await?),
            Closing::T2 | Closing::Stop | Closing::Terminal => CloseAmount::All,
        };
        let intents = self.ledger.intents_of(account, setup).await?;
        for opened in &intents {
            let OrderIntent::Opening(opening) = &opened.intent else { continue };
            // What was never sent, or ended without a fill, leaves nothing to close. What still works may fill yet.
            if opened.state.is_final() && opened.filled == 0 {
                continue;
            }
            let origin = Origin::Setup(setup);
            let sequence = record.transition.sequence;
            let head = IntentHead {
                id: intent_id(origin, sequence, account.account, closing.action(), None),
                // The close goes where the position is, whatever the account is set to today.
                account: opening.head.account,
                origin,
                sequence,
                action: closing.action(),
                series: opening.head.series,
                decided_at: self.clock.now(),
            };
            let reason = record.transition.reason.clone();
            let amount = match closing {
                Closing::T1 => protected_share(&intents, opening.head.id).unwrap_or(amount),
                Closing::T2 | Closing::Stop | Closing::Terminal => amount,
            };
            let intent = ClosingIntent { head, opening: Some(opening.head.id), amount, reason };
            let new = NewIntent::ready(OrderIntent::Closing(intent), self.clock.now());
            self.ledger.record_intent(&new).await?;
        }
        Ok(())
    }
}

/// T1 closes what its protection rests for: the user's share as it was when the entry filled.
fn protected_share(intents: &[IntentView], opening: IntentId) -> Option<CloseAmount> {
    intents.iter().find_map(|it| match &it.intent {
        OrderIntent::Closing(closing)
            if closing.opening == Some(opening) && closing.head.action == Action::ProtectT1 =>
        {
            Some(closing.amount)
        }
        OrderIntent::Closing(_)
        | OrderIntent::Opening(_)
        | OrderIntent::OpeningCombo(_)
        | OrderIntent::ClosingCombo(_) => None,
    })
}
