//! What a story has beyond the rows: how its fills met the market, and what its owner was told meanwhile.

use domain::account::AccountRef;
use domain::ids::{AccountId, IntentId};
use domain::intent::OrderIntent;
use domain::money::Usd;
use domain::ports::{Clock, IntentView, Ledger, StoredMessage};
use domain::time::UtcNanos;
use engine::fidelity::{self, Fidelity};
use lambda_kit::http::{Caller, Problem};
use serde_json::{Value, json};

use crate::{Api, MESSAGES_MAX, Reads, told};

/// How long after its decision a message still belongs to an order's story.
const MEANWHILE: std::time::Duration = std::time::Duration::from_secs(30 * 60);

impl<L: Ledger, R: Reads, C: Clock> Api<'_, L, R, C> {
    /// Adds `fidelity` and `messages` to a story that names its account and intent.
    pub(crate) async fn enrich(&self, caller: &Caller, story: &mut Value) -> Result<(), Problem> {
        let text = |path: &str| story.pointer(path).and_then(Value::as_str);
        let intent = text("/order/intent").and_then(|it| it.parse::<IntentId>().ok());
        let account = text("/order/account").and_then(|it| it.parse::<AccountId>().ok());
        let Some((id, account)) = intent.zip(account) else { return Ok(()) };
        let own = self.ledger.credentials(caller.user).await?;
        let Some(account) = own.iter().map(|it| it.account).find(|it| it.account == account) else {
            return Ok(());
        };
        let Some(view) = self.ledger.intent(&account, id).await? else { return Ok(()) };
        let entry = self.entry_of(&account, &view).await?;
        let opening = match entry.as_ref().map(|it| &it.intent) {
            Some(OrderIntent::Opening(it)) => Some(it),
            Some(OrderIntent::Closing(_) | OrderIntent::OpeningCombo(_) | OrderIntent::ClosingCombo(_))
            | None => None,
        };
        let fills: Vec<Value> = fidelity::of(&view, opening).iter().map(shown).collect();
        let from = view.intent.head().decided_at;
        let last = view.fills.iter().map(|it| it.at).max().unwrap_or(from).plus(MEANWHILE);
        let meanwhile = |it: &&StoredMessage| from <= it.at.plus(MEANWHILE) && it.at <= last;
        let messages = self.ledger.user_messages(caller.user, MESSAGES_MAX).await?;
        let messages: Vec<Value> = messages.iter().rev().filter(meanwhile).map(told).collect();
        if let Value::Object(fields) = story {
            fields.insert("fidelity".to_owned(), fills.into());
            fields.insert("messages".to_owned(), messages.into());
        }
        Ok(())
    }

    /// The entry behind a close that names one.
    async fn entry_of(&self, account: &AccountRef, view: &IntentView) -> Result<Option<IntentView>, Problem> {
        match &view.intent {
            OrderIntent::Closing(it) => match it.opening {
                Some(opening) => Ok(self.ledger.intent(account, opening).await?),
                None => Ok(None),
            },
            OrderIntent::Opening(_) | OrderIntent::OpeningCombo(_) | OrderIntent::ClosingCombo(_) => Ok(None),
        }
    }
}

/// In the API's units: dollars as numbers, instants as text.
fn shown(it: &Fidelity) -> Value {
    let money = |amount: Option<Usd>| amount.map(Usd::to_f64);
    let instant = |at: Option<UtcNanos>| at.map(|it| it.to_string());
    json!({
        "attempt": it.attempt,
        "series": it.series.to_string(),
        "side": it.side,
        "contracts": it.contracts,
        "decisionMid": money(it.decision_mid),
        "arrivalMid": money(it.arrival_mid),
        "arrivalSpreadTicks": it.arrival_spread_ticks,
        "price": money(it.price),
        "slippageTicks": it.slippage_ticks,
        "slippage": money(it.slippage),
        "slippageBp": it.slippage_bp,
        "slippageR": it.slippage_r,
        "timeToFillMs": it.time_to_fill_ms,
        "rungs": it.rungs,
        "decidedAt": it.decided_at.to_string(),
        "submittedAt": it.submitted_at.to_string(),
        "ackedAt": instant(it.acked_at),
        "firstFillAt": instant(it.first_fill_at),
    })
}
