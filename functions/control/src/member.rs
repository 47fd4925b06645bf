//! What a member says about themselves: that a message was read, that they consent to being traded for.

use domain::ports::{Clock, Ledger};
use lambda_kit::http::{Answer, Call, Problem};
use serde::Deserialize;

use crate::Control;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConsentBody {
    consent: bool,
}

impl<L: Ledger, C: Clock> Control<'_, L, C> {
    /// Notes that a message was read.
    pub(crate) async fn post_read(&self, call: &Call, id: &str) -> Result<Answer, Problem> {
        let user = call.caller()?.user;
        let id = id.parse().map_err(|_| Problem::invalid("id", "a message's id is a whole number"))?;
        match self.ledger.read_message(user, id, self.clock.now()).await? {
            true => Answer::ok(&serde_json::json!({ "id": id, "read": true })),
            false => {
                Err(Problem::not_found(&format!("no message {id} of yours: GET /v1/messages lists them")))
            }
        }
    }

    /// Stores a member's consent to being traded for, dated, or takes it back. Without it no entry is sent.
    pub(crate) async fn put_consent(&self, call: &Call) -> Result<Answer, Problem> {
        let user = call.caller()?.user;
        let body: ConsentBody = call.read()?;
        let mut settings = self.ledger.settings(user).await?;
        settings.consent_at = match (body.consent, settings.consent_at) {
            (true, Some(at)) => Some(at),
            (true, None) => Some(self.clock.now()),
            (false, _) => None,
        };
        self.ledger.store_settings(user, &settings).await?;
        let at = settings.consent_at.map(|it| it.to_string());
        Answer::ok(&serde_json::json!({ "consentAt": at }))
    }
}
