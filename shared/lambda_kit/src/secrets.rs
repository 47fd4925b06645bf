//! Broker credentials in AWS Secrets Manager: the `Secrets` port.
//!
//! One secret per account, `claxton/<environment>/<user>/<account>`, tagged so that a flatten finds all of them with
//! the database down. Nothing here prints a secret's content, errors included.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};
use domain::account::{AccountRef, BrokerCredential, Environment};
use domain::ids::{AccountId, UserId};
use domain::ports::{SecretError, Secrets};
use domain::secret::Token;
use serde::{Deserialize, Serialize};

/// The tag that every broker credential carries.
pub const KIND_TAG: (&str, &str) = ("claxton:kind", "broker-credential");
/// The tag that names the account's environment.
pub const ENVIRONMENT_TAG: &str = "claxton:environment";

/// The form of a secret that we write.
const VERSION: u32 = 1;

/// Credentials in Secrets Manager.
#[derive(Debug, Clone)]
pub struct AwsSecrets {
    client: Client,
    /// The environments of this deployment's accounts, the likeliest first: an account has one, its id does not say
    /// which.
    environments: Vec<Environment>,
    kms_key: Option<String>,
}

/// A secret's text, to be written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    version: u32,
    token: &'a str,
    account: &'a str,
    user_id: UserId,
    account_id: AccountId,
    environment: Environment,
    flatten_foreign: bool,
}

/// A secret's text, read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    version: u32,
    token: String,
    account: String,
    user_id: UserId,
    account_id: AccountId,
    environment: Environment,
    flatten_foreign: bool,
}

impl AwsSecrets {
    /// Credentials of accounts in `environments`, looked for in that order.
    pub const fn new(client: Client, environments: Vec<Environment>) -> Self {
        Self { client, environments, kms_key: None }
    }

    /// Encrypts new secrets under a key of the deployment's own.
    #[must_use]
    pub fn with_kms_key(mut self, key: impl Into<String>) -> Self {
        self.kms_key = Some(key.into());
        self
    }

    /// The text of a secret; `None` when there is none by that name.
    async fn text(&self, name: &str) -> Result<Option<String>, SecretError> {
        match self.client.get_secret_value().secret_id(name).send().await {
            Ok(answer) => match answer.secret_string {
                Some(text) => Ok(Some(text)),
                None => Err(malformed(name, "it holds bytes instead of text")),
            },
            Err(SdkError::ServiceError(it)) if is_missing(it.err()) => Ok(None),
            Err(it) => Err(unavailable(it)),
        }
    }

    async fn create(&self, name: &str, text: &str, environment: Environment) -> Result<Created, SecretError> {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let request = self
            .client
            .create_secret()
            .name(name)
            .secret_string(text)
            .set_kms_key_id(self.kms_key.clone())
            .tags(tag(KIND_TAG.0, KIND_TAG.1))
            .tags(tag(ENVIRONMENT_TAG, environment.as_str()));
        match request.send().await {
            Ok(_) => Ok(Created::Yes),
            Err(SdkError::ServiceError(it)) if it.err().is_resource_exists_exception() => Ok(Created::Exists),
            Err(it) => Err(unavailable(it)),
        }
    }

    /// Writes a new version; false when there is no such secret.
    async fn overwrite(&self, name: &str, text: &str) -> Result<bool, SecretError> {
        match self.client.put_secret_value().secret_id(name).secret_string(text).send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(it)) if it.err().is_resource_not_found_exception() => Ok(false),
            Err(it) => Err(unavailable(it)),
        }
    }
}

/// What came of creating a secret.
enum Created {
    Yes,
    Exists,
}

impl Secrets for AwsSecrets {
    async fn credential(&self, user: UserId, account: AccountId) -> Result<BrokerCredential, SecretError> {
        for environment in &self.environments {
            let name = name(&AccountRef { user, account, environment: *environment });
            if let Some(text) = self.text(&name).await? {
                return parse(&name, &text);
            }
        }
        Err(SecretError::Missing(format!("claxton/*/{user}/{account}")))
    }

    async fn all_credentials(&self) -> Result<Vec<BrokerCredential>, SecretError> {
        let filter = |key, value: &str| Filter::builder().key(key).values(value).build();
        let mut found = BTreeMap::new();
        let mut page: Option<String> = None;
        loop {
            let answer = self
                .client
                .batch_get_secret_value()
                .filters(filter(FilterNameStringType::TagKey, KIND_TAG.0))
                .filters(filter(FilterNameStringType::TagValue, KIND_TAG.1))
                .set_next_token(page.take())
                .send()
                .await
                .map_err(unavailable)?;
            for failed in answer.errors() {
                tracing::error!(
                    secret = failed.secret_id().unwrap_or("unnamed"),
                    code = failed.error_code().unwrap_or("unknown"),
                    "a credential could not be read; its account is left out"
                );
            }
            for entry in answer.secret_values() {
                let name = entry.name().unwrap_or("unnamed");
                // One bad secret must not keep the flatten from everybody else's account.
                match parse(name, entry.secret_string().unwrap_or_default()) {
                    Ok(credential) => {
                        found.insert(credential.account, credential);
                    }
                    Err(error) => {
                        tracing::error!(%error, "a credential is unusable; its account is left out")
                    }
                }
            }
            page = answer.next_token;
            if page.is_none() {
                return Ok(found.into_values().collect());
            }
        }
    }

    async fn put(&self, credential: &BrokerCredential) -> Result<String, SecretError> {
        let name = name(&credential.account);
        let text = render(credential).map_err(|why| malformed(&name, why))?;
        if self.overwrite(&name, &text).await? {
            return Ok(name);
        }
        match self.create(&name, &text, credential.account.environment).await? {
            Created::Yes => Ok(name),
            // Somebody else created it in between: ours becomes the newest version.
            Created::Exists if self.overwrite(&name, &text).await? => Ok(name),
            Created::Exists => {
                Err(SecretError::Unavailable(format!("{name} appears and disappears: try again")))
            }
        }
    }

    async fn remove(&self, user: UserId, account: AccountId) -> Result<(), SecretError> {
        let mut removed = false;
        for environment in &self.environments {
            let name = name(&AccountRef { user, account, environment: *environment });
            // Its owner took the credential back: no recovery window in which it could still be read. Deleting what is
            // not there succeeds without a trace, so the secret is looked for first.
            if self.text(&name).await?.is_some() {
                let request =
                    self.client.delete_secret().secret_id(&name).force_delete_without_recovery(true);
                request.send().await.map_err(unavailable)?;
                removed = true;
            }
        }
        if removed { Ok(()) } else { Err(SecretError::Missing(format!("claxton/*/{user}/{account}"))) }
    }
}

/// The name of an account's secret.
pub fn name(account: &AccountRef) -> String {
    format!("claxton/{}/{}/{}", account.environment.as_str(), account.user, account.account)
}

fn render(credential: &BrokerCredential) -> Result<String, String> {
    let written = Written {
        version: VERSION,
        token: credential.token.reveal(),
        account: credential.number.as_str(),
        user_id: credential.account.user,
        account_id: credential.account.account,
        environment: credential.account.environment,
        flatten_foreign: credential.flatten_foreign,
    };
    serde_json::to_string(&written).map_err(|it| place(&it))
}

fn parse(name: &str, text: &str) -> Result<BrokerCredential, SecretError> {
    let stored: Stored = serde_json::from_str(text).map_err(|it| malformed(name, place(&it)))?;
    if stored.version != VERSION {
        return Err(malformed(
            name,
            format!("version {} is unknown; this build reads {VERSION}", stored.version),
        ));
    }
    if stored.token.trim().is_empty() {
        return Err(malformed(name, "its token is empty"));
    }
    let number = stored.account.try_into();
    Ok(BrokerCredential {
        account: AccountRef {
            user: stored.user_id,
            account: stored.account_id,
            environment: stored.environment,
        },
        token: Token::new(stored.token),
        number: number
            .map_err(|_| malformed(name, "its account number is not 1 to 32 letters and digits"))?,
        flatten_foreign: stored.flatten_foreign,
    })
}

/// Where JSON went wrong, without quoting it: the parser's own words repeat the content.
fn place(error: &serde_json::Error) -> String {
    format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column())
}

fn malformed(name: &str, why: impl Into<String>) -> SecretError {
    SecretError::Malformed { name: name.to_owned(), why: why.into() }
}

fn unavailable<E>(error: E) -> SecretError
where
    E: std::error::Error,
{
    SecretError::Unavailable(DisplayErrorContext(error).to_string())
}

/// Gone, or marked for deletion: both mean that there is no credential.
fn is_missing(error: &GetSecretValueError) -> bool {
    error.is_resource_not_found_exception()
        || (error.is_invalid_request_exception()
            && error.message().is_some_and(|it| it.contains("deletion") || it.contains("deleted")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"version":1,"token":"very-secret","account":"VA00000001","userId":"00000000-0000-0000-0000-000000000001","accountId":"00000000-0000-0000-0000-000000000002","environment":"sandbox","flattenForeign":true}"#;

    #[test]
    fn a_secret_reads_back_as_it_was_written() {
        let credential = parse("n", GOOD).unwrap();
        assert_eq!(render(&credential).unwrap(), GOOD);
        assert_eq!(
            name(&credential.account),
            "claxton/sandbox/00000000-0000-0000-0000-000000000001/00000000-0000-0000-0000-000000000002"
        );
    }

    #[test]
    fn a_bad_secret_is_refused_without_repeating_it() {
        for bad in [
            GOOD.replace("\"version\":1", "\"version\":2"),
            GOOD.replace("\"flattenForeign\":true", "\"flattenForeign\":\"very-secret\""),
            GOOD.replace("VA00000001", "very-secret number"),
            GOOD.replace("\"very-secret\"", "\" \""),
            GOOD.replace("\"sandbox\"", "\"very-secret\""),
            "very-secret".to_owned(),
            String::new(),
        ] {
            let error = parse("claxton/x", &bad).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains("claxton/x") && !text.contains("very-secret"), "{text}");
        }
    }
}
