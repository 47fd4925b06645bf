//! Queues and secrets by their protocols, through the AWS SDK.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sqs::types::{Message as Received, MessageSystemAttributeName};
use domain::account::{AccountRef, BrokerCredential, Environment};
use domain::ids::{AccountId, SetupId, UserId};
use domain::ports::{Message, OutboxRow, Queue, SecretError, Secrets, Sender};
use domain::secret::Token;
use domain::time::UtcNanos;
use lambda_kit::queue::SqsSender;
use lambda_kit::secrets::{self, AwsSecrets};
use local::aws::{AwsLocal, QueuePair, RECEIVES_MAX};
use uuid::Uuid;

async fn receive(client: &aws_sdk_sqs::Client, url: &str, hide_secs: i32) -> Vec<Received> {
    let request = client
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(10)
        .visibility_timeout(hide_secs)
        .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
    request.send().await.unwrap().messages.unwrap_or_default()
}

fn sender(client: &aws_sdk_sqs::Client, queues: &BTreeMap<Queue, QueuePair>) -> SqsSender {
    SqsSender::new(client.clone(), queues.iter().map(|(queue, pair)| (*queue, pair.url.clone())).collect())
}

fn transition(sequence: u32) -> Message {
    Message::Transition { setup: SetupId::of(&[b"test"]), sequence, tries: 0 }
}

#[tokio::test]
async fn every_queue_carries_messages_and_hides_what_was_received() {
    let begun = tokio::time::Instant::now();
    let aws = AwsLocal::start().await.unwrap();
    let queues = aws.create_queues().await.unwrap();
    println!("endpoints and queues are there after {:?}", begun.elapsed());
    let client = aws.sqs();
    let sender = sender(&client, &queues);
    for queue in Queue::ALL {
        let url = &queues[&queue].url;
        sender.send(queue, &transition(7), Duration::ZERO).await.unwrap();
        let first = receive(&client, url, 60).await;
        assert_eq!(first.len(), 1, "{queue:?}");
        assert_eq!(wire::message::decode(first[0].body().unwrap()).unwrap(), transition(7));
        assert!(receive(&client, url, 60).await.is_empty(), "hidden while worked");
        let handle = first[0].receipt_handle().unwrap();
        let change =
            client.change_message_visibility().queue_url(url).receipt_handle(handle).visibility_timeout(0);
        change.send().await.unwrap();
        let second = receive(&client, url, 60).await;
        let count =
            second[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount].clone();
        assert_eq!(count, "2", "a returned message counts its deliveries");
        let handle = second[0].receipt_handle().unwrap();
        client.delete_message().queue_url(url).receipt_handle(handle).send().await.unwrap();
        assert!(receive(&client, url, 60).await.is_empty());
    }
    aws.stop().await;
}

#[tokio::test]
async fn a_message_that_keeps_failing_ends_among_the_dead_letters() {
    let aws = AwsLocal::start().await.unwrap();
    let pair = aws.create_queues().await.unwrap().remove(&Queue::Entries).unwrap();
    let client = aws.sqs();
    client.send_message().queue_url(&pair.url).message_body("not a message").send().await.unwrap();
    for delivery in 1..=RECEIVES_MAX {
        assert_eq!(receive(&client, &pair.url, 0).await.len(), 1, "delivery {delivery}");
    }
    assert!(receive(&client, &pair.url, 0).await.is_empty());
    let waiting = client.receive_message().queue_url(&pair.dead_letters).wait_time_seconds(5).send();
    let dead = waiting.await.unwrap().messages.unwrap_or_default();
    assert_eq!(dead.iter().map(|it| it.body().unwrap()).collect::<Vec<_>>(), ["not a message"]);
    aws.stop().await;
}

#[tokio::test]
async fn a_relay_names_what_was_sent_and_leaves_what_is_not_due() {
    let aws = AwsLocal::start().await.unwrap();
    let mut queues = aws.create_queues().await.unwrap();
    queues.remove(&Queue::Alerts);
    let client = aws.sqs();
    let sender = sender(&client, &queues);
    let now = UtcNanos::from_secs(1_000_000);
    let row = |id: i64, queue, due_in: u64| OutboxRow {
        id,
        queue,
        message: transition(u32::try_from(id).unwrap()),
        due_at: now.plus(Duration::from_secs(due_in)),
    };
    let mut rows: Vec<OutboxRow> = (1..=23).map(|id| row(id, Queue::Transitions, 0)).collect();
    rows.push(row(24, Queue::Exits, 3_600));
    rows.push(row(25, Queue::Alerts, 0));
    let relayed = sender.relay(&rows, now).await;
    assert_eq!(relayed.sent, (1..=23).collect::<Vec<i64>>());
    assert_eq!(relayed.failed.iter().map(|it| it.0).collect::<Vec<_>>(), [25], "its queue is not configured");
    let mut sequences = Vec::new();
    for _ in 0..3 {
        for message in receive(&client, &queues[&Queue::Transitions].url, 60).await {
            let Message::Transition { sequence, .. } =
                wire::message::decode(message.body().unwrap()).unwrap()
            else {
                panic!("{message:?}")
            };
            sequences.push(sequence);
        }
    }
    assert_eq!(sequences, (1..=23).collect::<Vec<u32>>(), "in the order of the outbox");
    aws.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_an_error_and_not_a_hang() {
    let aws = AwsLocal::start().await.unwrap();
    let queues = aws.create_queues().await.unwrap();
    let (sender, secrets) =
        (sender(&aws.sqs(), &queues), AwsSecrets::new(aws.secrets(), vec![Environment::Sandbox]));
    aws.stop().await;
    assert!(sender.send(Queue::Entries, &transition(1), Duration::ZERO).await.is_err());
    assert!(matches!(secrets.all_credentials().await, Err(SecretError::Unavailable(_))));
}

fn credential(n: u128, environment: Environment, token: &str) -> BrokerCredential {
    BrokerCredential {
        account: AccountRef {
            user: UserId(Uuid::from_u128(n)),
            account: AccountId(Uuid::from_u128(n + 1_000)),
            environment,
        },
        token: Token::new(token),
        number: format!("VA{n:08}").try_into().unwrap(),
        flatten_foreign: n.is_multiple_of(2),
    }
}

#[tokio::test]
async fn credentials_are_written_rotated_listed_and_removed() {
    let aws = AwsLocal::start().await.unwrap();
    let store = AwsSecrets::new(aws.secrets(), vec![Environment::Sandbox, Environment::Live]);
    let mine = credential(1, Environment::Sandbox, "first");
    let (user, account) = (mine.account.user, mine.account.account);
    assert!(matches!(store.credential(user, account).await, Err(SecretError::Missing(_))));

    let name = store.put(&mine).await.unwrap();
    assert_eq!(name, secrets::name(&mine.account));
    store.put(&credential(1, Environment::Sandbox, "second")).await.unwrap();
    let read = store.credential(user, account).await.unwrap();
    assert_eq!(
        (read.token.reveal(), read.number.as_str(), read.flatten_foreign),
        ("second", "VA00000001", false)
    );
    assert_eq!(read.account, mine.account);

    for n in 2..=30 {
        store.put(&credential(n, Environment::Live, "token")).await.unwrap();
    }
    // A stranger's secret and a broken one of ours do not keep the others from being found.
    let client = aws.secrets();
    client.create_secret().name("somebody/else").secret_string("{}").send().await.unwrap();
    let broken = credential(99, Environment::Live, "token");
    let name = store.put(&broken).await.unwrap();
    client.put_secret_value().secret_id(name).secret_string("{\"version\":9}").send().await.unwrap();
    let all = store.all_credentials().await.unwrap();
    assert_eq!(all.len(), 30);
    assert!(all.iter().all(|it| it.account != broken.account));
    let why = store.credential(broken.account.user, broken.account.account).await.unwrap_err();
    assert!(matches!(why, SecretError::Malformed { .. }), "{why}");

    store.remove(user, account).await.unwrap();
    assert!(matches!(store.credential(user, account).await, Err(SecretError::Missing(_))));
    assert!(matches!(store.remove(user, account).await, Err(SecretError::Missing(_))));
    assert_eq!(store.all_credentials().await.unwrap().len(), 29);
    store.put(&mine).await.unwrap();
    assert_eq!(store.credential(user, account).await.unwrap().token.reveal(), "first");
    aws.stop().await;
}
