//! What a member hands over to us, and what they take back.
//!
//! Nothing is sent for either, and a position is handed over whole. What is taken over was opened by hand: it is closed with ours from then on. What is taken back
//! leaves our books at its cost, and nothing of ours touches it any more.

use std::time::Duration;

use domain::account::AccountRef;
use domain::ids::AccountId;
use domain::money::CONTRACT_MULTIPLIER;
use domain::ports::{Clock, DifferenceKind, Ledger};
use domain::position::{FillSource, Owned};
use domain::symbol::OccSymbol;
use lambda_kit::http::{Answer, Call, Caller, Problem};
use serde::Deserialize;

use crate::Control;

/// How long a hand-over holds the account's lease.
const LEASE: Duration = Duration::from_secs(20);
/// Who holds it.
const HOLDER: &str = "control";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HandoverBody {
    account: AccountId,
    series: String,
}

impl<L: Ledger, C: Clock> Control<'_, L, C> {
    /// A position opened by hand becomes ours to close.
    pub(crate) async fn post_take_over(&self, call: &Call) -> Result<Answer, Problem> {
        let (account, series) = self.asked(call).await?;
        let book = self.ledger.day_book(&account, self.clock.now().new_york_date()).await?;
        let name = series.to_string();
        let is_foreign =
            |it: &domain::ports::Difference| it.kind == DifferenceKind::Foreign && it.about == name;
        if !book.differences.iter().any(is_foreign) {
            let detail = format!(
                "the last reconciliation found nothing opened by hand in {name}: GET /v1/reconciliation shows what it did"
            );
            return Err(Problem::conflict(&detail));
        }
        self.ledger.take_over(&account, &series, u32::MAX, self.clock.now()).await?;
        Answer::ok(&serde_json::json!({ "series": name, "takenOver": true }))
    }

    /// A position leaves our hands: one that was taken over, or one we opened.
    pub(crate) async fn post_mine_now(&self, call: &Call) -> Result<Answer, Problem> {
        let (account, series) = self.asked(call).await?;
        let now = self.clock.now();
        let taken_over = self.ledger.taken_over(&account).await?.iter().any(|it| it.0 == series);
        if taken_over {
            self.ledger.take_over(&account, &series, 0, now).await?;
        }
        let fence = self.ledger.take_lease(&account, HOLDER, now, now.plus(LEASE)).await?;
        let Some(fence) = fence else {
            return Err(Problem::conflict(
                "the account is being worked at this moment: ask again in a few seconds",
            ));
        };
        let given = self.give_back(&account, &series).await;
        self.ledger.release_lease(&account, fence).await?;
        let given = given?;
        if given == 0 && !taken_over {
            let detail = format!("nothing of ours is held in {series}: GET /v1/positions shows what is");
            return Err(Problem::not_found(&detail));
        }
        Answer::ok(
            &serde_json::json!({ "series": series.to_string(), "givenBack": given, "takenOverEnds": taken_over }),
        )
    }

    /// Takes what is held of a series out of the books, once no order of ours works in it. Returns the contracts.
    async fn give_back(&self, account: &AccountRef, series: &OccSymbol) -> Result<u32, Problem> {
        let now = self.clock.now();
        let open = self.ledger.open_intents(account).await?;
        let mut working = 0_u32;
        for view in open.iter().filter(|it| it.intent.head().series == *series) {
            working = working.saturating_add(1);
            self.ledger.request_stop(account, view.intent.head().id, now).await?;
        }
        if working > 0 {
            let detail =
                format!("{working} orders of ours in {series} are being ended: ask again in a few seconds");
            return Err(Problem::conflict(&detail));
        }
        let owned = self.ledger.owned(account, now.new_york_date()).await?;
        let held: Vec<&Owned> = owned.iter().filter(|it| it.series == *series && it.held() > 0).collect();
        if held.iter().any(|it| it.price_missing) {
            let detail = format!("the price of a fill in {series} is still asked for: ask again in a minute");
            return Err(Problem::conflict(&detail));
        }
        let mut given = 0_u32;
        for entry in held {
            let shares = i64::from(entry.bought).saturating_mul(CONTRACT_MULTIPLIER);
            let cost = entry.paid.scaled(1, shares);
            self.ledger.record_settlement(account, entry.opening, cost, now, FillSource::Handover).await?;
            given = given.saturating_add(entry.held());
        }
        Ok(given)
    }

    /// Whose account, which series. Nobody hands over what is another's, whatever their role.
    async fn asked(&self, call: &Call) -> Result<(AccountRef, OccSymbol), Problem> {
        let caller: Caller = call.caller()?;
        let body: HandoverBody = call.read()?;
        let series = body.series.parse().map_err(|_| {
            Problem::invalid("series", "series is an option symbol such as SPXW261120C05605000")
        })?;
        let own = self.ledger.credentials(caller.user).await?;
        let account = own.iter().map(|it| it.account).find(|it| it.account == body.account);
        let account = account.ok_or_else(|| {
            Problem::not_found(&format!("you have no account {}: GET /v1/status shows yours", body.account))
        })?;
        Ok((account, series))
    }
}

#[cfg(test)]
mod tests;
