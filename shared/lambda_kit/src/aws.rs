//! Clients of AWS from the environment a function is given.
//!
//! A function gets its credentials and region as variables and never has others, so nothing is looked up: no profile, no
//! metadata service, and no client for either. `AWS_ENDPOINT_URL_*` names the endpoints of a local run.

use aws_credential_types::Credentials;

use crate::env::{Env, EnvError};

/// The function's own credentials.
///
/// # Errors
/// [`EnvError::Missing`].
pub fn credentials(env: &Env) -> Result<Credentials, EnvError> {
    let key = env.required("AWS_ACCESS_KEY_ID")?;
    let secret = env.required("AWS_SECRET_ACCESS_KEY")?;
    let token = env.get("AWS_SESSION_TOKEN").map(str::to_owned);
    Ok(Credentials::new(key, secret, token, None, "environment"))
}

/// Sends to the queues whose addresses `QUEUE_TRANSITIONS` and its like name.
///
/// # Errors
/// [`EnvError::Missing`].
#[cfg(feature = "sqs")]
pub fn sender(env: &Env) -> Result<crate::queue::SqsSender, EnvError> {
    use aws_sdk_sqs::config::retry::RetryConfig;
    use aws_sdk_sqs::config::timeout::TimeoutConfig;
    use aws_sdk_sqs::config::{BehaviorVersion, Region};

    // What a queue did not confirm stays in the outbox; the SDK would only delay that.
    let mut config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(env.required("AWS_REGION")?.to_owned()))
        .credentials_provider(credentials(env)?)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(SENT_WITHIN).build());
    config.set_endpoint_url(endpoint(env, "AWS_ENDPOINT_URL_SQS"));
    let client = aws_sdk_sqs::Client::from_conf(config.build());
    let url = |it: domain::ports::Queue| env.get(variable(it)).map(|url| (it, url.to_owned()));
    Ok(crate::queue::SqsSender::new(client, domain::ports::Queue::ALL.into_iter().filter_map(url).collect()))
}

/// Broker credentials of this deployment. New ones are encrypted under `CREDENTIALS_KEY` where it is set.
///
/// # Errors
/// [`EnvError::Missing`].
#[cfg(feature = "secrets")]
pub fn secrets(env: &Env) -> Result<crate::secrets::AwsSecrets, EnvError> {
    use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
    use aws_sdk_secretsmanager::config::{BehaviorVersion, Region};
    use domain::account::Environment;

    let mut config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(env.required("AWS_REGION")?.to_owned()))
        .credentials_provider(credentials(env)?)
        .timeout_config(TimeoutConfig::builder().operation_timeout(SENT_WITHIN).build());
    config.set_endpoint_url(endpoint(env, "AWS_ENDPOINT_URL_SECRETS_MANAGER"));
    let client = aws_sdk_secretsmanager::Client::from_conf(config.build());
    let secrets = crate::secrets::AwsSecrets::new(client, vec![Environment::Sandbox, Environment::Live]);
    Ok(match env.get("CREDENTIALS_KEY") {
        Some(key) => secrets.with_kms_key(key),
        None => secrets,
    })
}

/// How long one call of AWS may take, all its tries together.
#[cfg(any(feature = "sqs", feature = "secrets"))]
const SENT_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

#[cfg(any(feature = "sqs", feature = "secrets"))]
fn endpoint(env: &Env, name: &str) -> Option<String> {
    env.get(name).or_else(|| env.get("AWS_ENDPOINT_URL")).map(str::to_owned)
}

/// The variable that holds a queue's address.
#[cfg(feature = "sqs")]
pub const fn variable(queue: domain::ports::Queue) -> &'static str {
    use domain::ports::Queue;
    match queue {
        Queue::Transitions => "QUEUE_TRANSITIONS",
        Queue::Entries => "QUEUE_ENTRIES",
        Queue::Exits => "QUEUE_EXITS",
        Queue::BrokerEvents => "QUEUE_BROKER_EVENTS",
        Queue::Flatten => "QUEUE_FLATTEN",
        Queue::Alerts => "QUEUE_ALERTS",
    }
}
