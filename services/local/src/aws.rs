//! Queue and secret endpoints of this machine: SQS and Secrets Manager by their real protocols, on ports of the loopback
//! interface, spoken to through the AWS SDK like their originals.
//!
//! Everything is kept in memory. What must survive a run is in the ledger: unconsumed outbox rows are sent again and
//! secrets are rewritten at the next start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use aws_credential_types::Credentials;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Region};
use aws_sdk_sqs::types::QueueAttributeName;
use domain::ports::Queue;
use rustack_secretsmanager_core::config::SecretsManagerConfig;
use rustack_secretsmanager_core::handler::RustackSecretsManagerHandler;
use rustack_secretsmanager_core::provider::RustackSecretsManager;
use rustack_secretsmanager_http::{SecretsManagerHttpConfig, SecretsManagerHttpService};
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::service::{SqsHttpConfig, SqsHttpService};
use tokio::task::JoinSet;

use crate::serving::{listen, serve};

/// The region everything local pretends to be in.
pub const REGION: &str = "us-east-1";
/// The access key of everything local. The endpoints check no signature.
pub const ACCESS_KEY: &str = "local";
/// The secret that goes with it.
pub const SECRET_KEY: &str = "local";
/// What a queue's name starts with.
pub const QUEUE_PREFIX: &str = "claxton-";

/// How often a message is received before it is dead: as in the deployment.
pub const RECEIVES_MAX: u32 = 5;
/// How long a received message stays hidden by default: six times the longest handler.
pub const VISIBILITY: Duration = Duration::from_secs(180);

/// A queue and the queue that takes its dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePair {
    /// The queue's address.
    pub url: String,
    /// The address of its dead letters.
    pub dead_letters: String,
}

/// The endpoints, serving until dropped.
#[derive(Debug)]
pub struct AwsLocal {
    /// Where SQS is.
    pub sqs_endpoint: String,
    /// Where Secrets Manager is.
    pub secrets_endpoint: String,
    queues: Arc<RustackSqs>,
    /// Dropping it ends the servers.
    _servers: JoinSet<()>,
}

impl AwsLocal {
    /// Starts both endpoints on free ports of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> anyhow::Result<Self> {
        let (sqs, sqs_address) = listen().await?;
        let (secrets, secrets_address) = listen().await?;
        let config =
            SqsConfig { host: "127.0.0.1".to_owned(), port: sqs_address.port(), ..SqsConfig::default() };
        let queues = Arc::new(RustackSqs::new(config));
        let handler = Arc::new(RustackSqsHandler::new(Arc::clone(&queues)));
        let mut servers = JoinSet::new();
        servers.spawn(serve(sqs, SqsHttpService::new(handler, SqsHttpConfig::default())));
        let provider = Arc::new(RustackSecretsManager::new(SecretsManagerConfig::default()));
        let handler = Arc::new(RustackSecretsManagerHandler::new(provider));
        let service = SecretsManagerHttpService::new(handler, SecretsManagerHttpConfig::default());
        servers.spawn(serve(secrets, service));
        Ok(Self {
            sqs_endpoint: format!("http://{sqs_address}"),
            secrets_endpoint: format!("http://{secrets_address}"),
            queues,
            _servers: servers,
        })
    }

    /// A client for the queues that sends everything once.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .credentials_provider(credentials())
            .endpoint_url(&self.sqs_endpoint)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts());
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    /// A client for the secrets.
    pub fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .credentials_provider(credentials())
            .endpoint_url(&self.secrets_endpoint)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts());
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// What another process needs to reach these endpoints through its AWS SDK.
    pub fn environment(&self) -> BTreeMap<String, String> {
        [
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_ENDPOINT_URL_SQS", self.sqs_endpoint.as_str()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets_endpoint.as_str()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
    }

    /// Creates every queue with its dead letters.
    ///
    /// # Errors
    /// The endpoint's words.
    pub async fn create_queues(&self) -> anyhow::Result<BTreeMap<Queue, QueuePair>> {
        let client = self.sqs();
        let mut pairs = BTreeMap::new();
        for queue in Queue::ALL {
            let pair = create_pair(&client, queue).await;
            pairs.insert(queue, pair.with_context(|| format!("cannot create the queue {}", queue.as_str()))?);
        }
        Ok(pairs)
    }

    /// Ends the queues' workers and the servers.
    pub async fn stop(self) {
        self.queues.shutdown_all().await;
    }
}

async fn create_pair(client: &aws_sdk_sqs::Client, queue: Queue) -> anyhow::Result<QueuePair> {
    let name = format!("{QUEUE_PREFIX}{}", queue.as_str());
    let dead = client.create_queue().queue_name(format!("{name}-dead")).send().await?;
    let dead_letters = dead.queue_url.context("the dead-letter queue got no address")?;
    let arn = QueueAttributeName::QueueArn;
    let asked =
        client.get_queue_attributes().queue_url(&dead_letters).attribute_names(arn.clone()).send().await?;
    let dead_arn =
        asked.attributes().and_then(|it| it.get(&arn)).ok_or_else(|| anyhow!("no ARN for {name}-dead"))?;
    let redrive = serde_json::json!({ "deadLetterTargetArn": dead_arn, "maxReceiveCount": RECEIVES_MAX });
    let made = client
        .create_queue()
        .queue_name(name)
        .attributes(QueueAttributeName::VisibilityTimeout, VISIBILITY.as_secs().to_string())
        .attributes(QueueAttributeName::RedrivePolicy, redrive.to_string())
        .send()
        .await?;
    Ok(QueuePair { url: made.queue_url.context("the queue got no address")?, dead_letters })
}

fn credentials() -> Credentials {
    Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "local")
}

/// Longer than the longest poll, short enough to notice an endpoint that is gone.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(25))
        .build()
}
