//! The routes of `credentials`.

use domain::account::{CredentialRecord, Environment};
use domain::ids::{AccountId, AccountNumber};
use domain::ports::{Brokers, Clock, Ledger, Secrets};
use domain::secret::Token;
use lambda_kit::http::{Answer, Call, Problem};
use serde::{Deserialize, Serialize};

use crate::{CredentialError, Credentials, NewCredential, Tested};

const ROUTES: [(&str, &str); 4] = [
    ("GET", "/v1/credentials"),
    ("PUT", "/v1/credentials"),
    ("POST", "/v1/credentials/test"),
    ("DELETE", "/v1/credentials"),
];
/// Longer than any token Tradier issues.
const TOKEN_MAX: usize = 512;

/// No `Debug`: it holds the token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StoreBody {
    token: String,
    account_number: String,
    environment: String,
    #[serde(default)]
    flatten_foreign: bool,
    #[serde(default)]
    account_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TestBody {
    account_id: String,
}

/// What is shown of a credential.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    account_id: AccountId,
    environment: &'static str,
    last4: String,
    status: &'static str,
    proof_at: Option<String>,
}

impl From<CredentialRecord> for Shown {
    fn from(record: CredentialRecord) -> Self {
        Self {
            account_id: record.account.account,
            environment: record.account.environment.as_str(),
            last4: record.last4,
            status: record.status.as_str(),
            proof_at: record.proof_at.map(|it| it.to_string()),
        }
    }
}

impl From<CredentialError> for Problem {
    fn from(error: CredentialError) -> Self {
        let words = error.to_string();
        match error {
            CredentialError::Unknown(_) => {
                Self { field: Some("accountId".to_owned()), ..Self::not_found(&words) }
            }
            CredentialError::InUse { .. } => Self::conflict(&words),
            CredentialError::OtherEnvironment(..) => Self::invalid("environment", &words),
            CredentialError::Broker(_) => Self::new(502, "broker", "The broker did not answer", &words),
            CredentialError::Port(error) => error.into(),
        }
    }
}

impl<L: Ledger, S: Secrets, B: Brokers, C: Clock> Credentials<'_, L, S, B, C> {
    /// Answers a call.
    ///
    /// # Errors
    /// [`Problem`], which repeats nothing of the token.
    pub async fn call(&self, call: &Call) -> Result<Answer, Problem> {
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("GET", ["v1", "credentials"]) => {
                let records = self.list(call.caller()?.user).await?;
                Answer::ok(&records.into_iter().map(Shown::from).collect::<Vec<_>>())
            }
            ("PUT", ["v1", "credentials"]) => {
                let user = call.caller()?.user;
                let new = checked(call.read_secret()?)?;
                Answer::ok(&Shown::from(self.store(user, new).await?))
            }
            ("POST", ["v1", "credentials", "test"]) => {
                let user = call.caller()?.user;
                let body: TestBody = call.read()?;
                let answer = match self.test(user, account(&body.account_id)?).await? {
                    Tested::Proven { equity } => {
                        serde_json::json!({ "proven": true, "totalEquity": equity.to_f64() })
                    }
                    Tested::Refused => serde_json::json!({
                        "proven": false,
                        "reason": "the broker refuses the token: store a new one",
                    }),
                };
                Answer::ok(&answer)
            }
            ("DELETE", ["v1", "credentials"]) => {
                let user = call.caller()?.user;
                let missing = || Problem::invalid("accountId", "say which: ?accountId=<uuid>");
                let id = account(call.query.get("accountId").ok_or_else(missing)?)?;
                self.remove(user, id).await?;
                Answer::ok(&serde_json::json!({ "accountId": id, "status": "removed" }))
            }
            _ => Err(Problem::no_route(call, &ROUTES)),
        }
    }
}

/// The body as something that can be stored. Errors name the field and say what it takes.
fn checked(body: StoreBody) -> Result<NewCredential, Problem> {
    let token = body.token.trim();
    let is_header = token.bytes().all(|b| b.is_ascii_graphic());
    if token.is_empty() || token.len() > TOKEN_MAX || !is_header {
        let detail = format!(
            "token is 1 to {TOKEN_MAX} characters without spaces, as the broker shows it under API access"
        );
        return Err(Problem::invalid("token", &detail));
    }
    let number = AccountNumber::try_from(body.account_number.trim().to_owned());
    let number = number.map_err(|_| {
        Problem::invalid(
            "accountNumber",
            "accountNumber is the broker's: 1 to 32 letters and digits, such as VA00000001",
        )
    })?;
    let environment = Environment::parse(&body.environment).filter(|it| *it != Environment::Paper);
    let environment = environment.ok_or_else(|| {
        Problem::invalid("environment", "environment is sandbox or live; paper accounts have no credential")
    })?;
    Ok(NewCredential {
        token: Token::new(token),
        number,
        environment,
        flatten_foreign: body.flatten_foreign,
        account: body.account_id.as_deref().map(account).transpose()?,
    })
}

fn account(text: &str) -> Result<AccountId, Problem> {
    text.parse()
        .map_err(|_| Problem::invalid("accountId", "accountId is a UUID: GET /v1/credentials lists them"))
}
