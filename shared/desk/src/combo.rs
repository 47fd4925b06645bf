//! Orders on structures: the same four steps, with the legs in the row.

use domain::gate::GateCheck;
use domain::ids::{BrokerOrderId, IntentId};
use domain::intent::Approved;
use domain::kill::KillScope;
use domain::order::Ticket;
use domain::ports::{BrokerError, BrokerPort, Clock, Ledger};
use domain::ticket::{ComboOpening, ComboTicket, CoveredClose, LegClose, Net};

use crate::{Desk, DeskError, Kind, LookedUp, NetAt, Slot, Submitted};

impl<L: Ledger, B: BrokerPort, C: Clock> Desk<'_, L, B, C> {
    /// Sends an approved entry into a structure at a net price. The approval is used up.
    ///
    /// # Errors
    /// [`DeskError`] when the ledger fails, as for single entries.
    pub async fn submit_combo_entry(
        &self,
        intent: IntentId,
        approved: Approved<ComboOpening>,
        slot: Slot,
        at: NetAt<'_>,
        (scopes, gates): (Vec<KillScope>, &[GateCheck]),
    ) -> Result<Submitted, DeskError> {
        // A price beyond the proof's bound never leaves, and the row says what leaves.
        let at = NetAt { net: at.net.min(approved.get().risk.worst()), ..at };
        let slot = Slot { price: at.net.magnitude(), ..slot };
        self.submit(Kind::ComboEntry { intent, approved: &approved, scopes, gates, at }, slot).await
    }

    /// Sends the close of whole units at a net price. The proof is used up.
    ///
    /// # Errors
    /// [`DeskError`] when the ledger fails, as for entries.
    pub async fn submit_combo_close(
        &self,
        intent: IntentId,
        covered: CoveredClose,
        slot: Slot,
        at: NetAt<'_>,
    ) -> Result<Submitted, DeskError> {
        let slot = Slot { price: at.net.magnitude(), ..slot };
        self.submit(Kind::ComboClose { intent, covered: &covered, at }, slot).await
    }

    /// Sends the close of one leg on its own; its net is a debit where it buys a short back. The proof is used up.
    ///
    /// # Errors
    /// [`DeskError`] when the ledger fails, as for entries.
    pub async fn submit_leg_close(
        &self,
        intent: IntentId,
        close: LegClose,
        slot: Slot,
        at: NetAt<'_>,
    ) -> Result<Submitted, DeskError> {
        let slot = Slot { price: at.net.magnitude(), ..slot };
        self.submit(Kind::LegClose { intent, close: &close, at }, slot).await
    }

    /// Sends a flatten's close of whole units with the books down; see [`Desk::submit_by_tag`].
    ///
    /// # Errors
    /// The broker's, sorted as ever; nothing here sends twice.
    pub async fn submit_combo_by_tag(
        &self,
        covered: CoveredClose,
        looked_up: LookedUp,
        net: Net,
    ) -> Result<BrokerOrderId, BrokerError> {
        let mark = self.mark_by_tag(looked_up)?;
        self.broker.place_combo(&ComboTicket::close(&covered, &mark, net)).await
    }

    /// Sends a flatten's close of one leg with the books down; see [`Desk::submit_by_tag`].
    ///
    /// # Errors
    /// The broker's, sorted as ever; nothing here sends twice.
    pub async fn submit_leg_by_tag(
        &self,
        close: LegClose,
        looked_up: LookedUp,
        net: Net,
    ) -> Result<BrokerOrderId, BrokerError> {
        let mark = self.mark_by_tag(looked_up)?;
        self.broker.place(&Ticket::close_leg(&close, &mark, net.magnitude())).await
    }
}
