//! kvs-sim's SQS, seen by the Rust SDK.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::{Arc, Mutex};

use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::ProvideErrorMetadata,
    types::{MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry},
};
use jiff::{SignedDuration, Timestamp};
use kvs_sim::{
    clock::Clock,
    serve::Services,
    world::{Settings, World},
};

/// A clock that stands still until the test moves it.
#[derive(Debug)]
struct Hand(Mutex<Timestamp>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Sim {
    clock: Arc<Hand>,
    settings: Settings,
    client: Client,
    endpoint: String,
    server: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Sim {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            data: Some(folder.path().to_owned()),
            ..Settings::default()
        };
        let clock = Arc::new(Hand(Mutex::new("2026-11-23T12:00:00Z".parse().unwrap())));
        let (endpoint, server) = serve(clock.clone(), settings.clone()).await;
        Self {
            client: client(&endpoint),
            clock,
            settings,
            endpoint,
            server,
            _folder: folder,
        }
    }

    async fn restart(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
        (self.endpoint, self.server) = serve(self.clock.clone(), self.settings.clone()).await;
        self.client = client(&self.endpoint);
    }

    fn pass(&self, seconds: i64) {
        *self.clock.0.lock().unwrap() += SignedDuration::from_secs(seconds);
    }

    async fn queue(&self, name: &str, attributes: &[(QueueAttributeName, &str)]) -> String {
        let mut create = self.client.create_queue().queue_name(name);
        for (name, value) in attributes {
            create = create.attributes(name.clone(), *value);
        }
        create.send().await.unwrap().queue_url.unwrap()
    }

    async fn send(&self, url: &str, body: &str) {
        let send = self.client.send_message().queue_url(url).message_body(body);
        send.send().await.unwrap();
    }

    /// Bodies, how often each was received, and handles.
    async fn receive(&self, url: &str) -> Vec<(String, String, String)> {
        let receive = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10);
        let count = MessageSystemAttributeName::ApproximateReceiveCount;
        let answer = receive
            .message_system_attribute_names(count.clone())
            .send()
            .await
            .unwrap();
        let messages = answer.messages.unwrap_or_default().into_iter();
        messages
            .map(|m| {
                (
                    m.body.unwrap(),
                    m.attributes.unwrap()[&count].clone(),
                    m.receipt_handle.unwrap(),
                )
            })
            .collect()
    }

    async fn bodies(&self, url: &str) -> Vec<String> {
        self.receive(url)
            .await
            .into_iter()
            .map(|(body, _, _)| body)
            .collect()
    }
}

async fn serve(clock: Arc<Hand>, settings: Settings) -> (String, tokio::task::JoinHandle<()>) {
    let services = Services::open(World::new(clock, settings)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { services.serve(listener).await.unwrap() });
    (endpoint, server)
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

#[tokio::test]
async fn a_message_is_hidden_while_it_is_worked_on_and_comes_back() {
    let mut sim = Sim::start().await;
    let url = sim
        .queue("q", &[(QueueAttributeName::VisibilityTimeout, "60")])
        .await;
    sim.send(&url, "wake up").await;
    let first = sim.receive(&url).await;
    assert_eq!((first[0].0.as_str(), first[0].1.as_str()), ("wake up", "1"));
    assert!(sim.bodies(&url).await.is_empty());
    sim.restart().await;
    assert!(sim.bodies(&url).await.is_empty(), "hidden also after a restart");
    sim.pass(61);
    let second = sim.receive(&url).await;
    assert_eq!(second[0].1, "2");
    let delete = sim.client.delete_message().queue_url(&url);
    delete.receipt_handle(&first[0].2).send().await.unwrap();
    sim.pass(61);
    let third = sim.receive(&url).await;
    assert_eq!(third.len(), 1, "the handle of an earlier receive deletes nothing");
    let delete = sim.client.delete_message().queue_url(&url);
    delete.receipt_handle(&third[0].2).send().await.unwrap();
    sim.restart().await;
    sim.pass(61);
    assert!(sim.bodies(&url).await.is_empty());
}

#[tokio::test]
async fn a_waiting_receive_gets_what_comes_meanwhile() {
    let sim = Sim::start().await;
    let url = sim.queue("q", &[]).await;
    let receive = sim.client.receive_message().queue_url(&url).wait_time_seconds(20);
    let (answer, ()) = tokio::join!(receive.send(), sim.send(&url, "now"));
    assert_eq!(answer.unwrap().messages()[0].body(), Some("now"));
}

#[tokio::test]
async fn messages_are_delayed_expire_and_go_where_dead_letters_go() {
    let sim = Sim::start().await;
    sim.queue("dead", &[]).await;
    let policy =
        r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:123456789012:dead","maxReceiveCount":"2"}"#;
    let attributes = [
        (QueueAttributeName::RedrivePolicy, policy),
        (QueueAttributeName::DelaySeconds, "5"),
        (QueueAttributeName::MessageRetentionPeriod, "600"),
    ];
    let url = sim.queue("q", &attributes).await;
    let entries = ["a", "b"].map(|id| {
        SendMessageBatchRequestEntry::builder()
            .id(id)
            .message_body(id)
            .build()
            .unwrap()
    });
    let batch = sim
        .client
        .send_message_batch()
        .queue_url(&url)
        .set_entries(Some(entries.into()));
    assert_eq!(batch.send().await.unwrap().successful().len(), 2);
    assert!(sim.bodies(&url).await.is_empty(), "delayed");
    for _ in 0..2 {
        sim.pass(31);
        assert_eq!(sim.bodies(&url).await, ["a", "b"]);
    }
    sim.pass(31);
    assert!(sim.bodies(&url).await.is_empty());
    let dead = format!("{}/123456789012/dead", sim.endpoint);
    assert_eq!(sim.bodies(&dead).await, ["a", "b"]);
    sim.send(&url, "old").await;
    sim.pass(601);
    assert!(sim.bodies(&url).await.is_empty(), "expired");
}

#[tokio::test]
async fn errors_have_the_names_that_the_sdk_knows() {
    let sim = Sim::start().await;
    let url = sim.queue("q", &[]).await;
    let none = sim.client.receive_message().queue_url(format!("{url}-none"));
    assert!(
        none.send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_queue_does_not_exist()
    );
    let bad = sim.client.delete_message().queue_url(&url).receipt_handle("no");
    assert!(
        bad.send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_receipt_handle_is_invalid()
    );
    let fifo = sim
        .client
        .create_queue()
        .queue_name("q.fifo")
        .send()
        .await
        .unwrap_err();
    assert!(fifo.message().unwrap().contains("FIFO"));
    let control = sim
        .client
        .send_message()
        .queue_url(&url)
        .message_body("\u{1}")
        .send()
        .await
        .unwrap_err();
    assert!(control.into_service_error().is_invalid_message_contents());
}
