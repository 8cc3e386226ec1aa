//! What whole-controller tests share: a Kubernetes API in memory, kvs-sim in this process, and one clock that only the test
//! moves.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "a test fails by panicking; not every test uses all of it"
)]

pub mod kubernetes;
mod profile;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use kvs_operator::{
    api::Span,
    aws::{Calls, Connection, Place, Ports, Regions},
    clock::{AwsClock, Clock},
    config::Config,
    grants::Grants,
    runtime::Context,
};
use kvs_sim::{
    serve::Services,
    world::{Settings, World},
};

use serde_json::Value;

use self::kubernetes::Kubernetes;

/// The region of everything.
pub const REGION: &str = "eu-west-1";

/// A role of another account, which asks for an external id.
pub const ROLE: &str = "arn:aws:iam::210987654321:role/video/kvs-operator";
/// The external id.
pub const EXTERNAL_ID: &str = "ours-7";

/// A clock that only the test moves; waiting takes no time and moves it.
#[derive(Debug)]
pub struct Hand(AtomicI64);

impl Hand {
    /// Moves on.
    pub fn advance(&self, by: SignedDuration) {
        self.0
            .fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }

    fn read(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

#[async_trait::async_trait]
impl Clock for Hand {
    fn now(&self) -> Timestamp {
        self.read()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed).unsigned_abs())
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration.try_into().unwrap());
        tokio::task::yield_now().await;
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

impl kvs_sim::clock::Clock for Hand {
    fn now(&self) -> Timestamp {
        self.read()
    }
}

/// A cluster and an AWS of their own, gone with the test.
pub struct Fixture {
    pub kubernetes: Kubernetes,
    pub clock: Arc<Hand>,
    pub sim: Arc<Services>,
    pub connection: Connection,
    pub calls: Calls,
    pub context: Arc<Context>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fixture {
    /// Everything new; `wrap` may put something between the controllers and AWS.
    pub async fn with(wrap: impl FnOnce(Ports) -> Ports) -> Self {
        Self::made(config(), Settings::default(), wrap).await
    }

    /// Everything new, and namespaces may use only what these grants say.
    pub async fn granting(grants: Value) -> Self {
        let settings = Settings {
            external_ids: BTreeMap::from([(ROLE.to_owned(), EXTERNAL_ID.to_owned())]),
            ..Settings::default()
        };
        let config = Config {
            grants: grants.to_string().parse().unwrap(),
            ..config()
        };
        Self::made(config, settings, |ports| ports).await
    }

    async fn made(config: Config, settings: Settings, wrap: impl FnOnce(Ports) -> Ports) -> Self {
        // Not at a whole second: what is written to Kubernetes is.
        let clock = Arc::new(Hand(AtomicI64::new(1_790_000_000_123)));
        let settings = Settings {
            behaviour: profile::behaviour(),
            ..settings
        };
        let sim = Services::open(World::new(clock.clone(), settings)).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(sim.clone().serve(listener));
        let aws_clock = AwsClock::new(clock.clone());
        let connection = Connection::to_simulator(&endpoint, REGION, aws_clock.clone());
        let calls = connection.calls().clone();
        let kubernetes = Kubernetes::default();
        let regions =
            Regions::new(connection.clone()).with(Place::own(REGION), wrap(Ports::connect(&connection)));
        let context = Context::new(
            kubernetes.client(),
            regions,
            &calls,
            aws_clock,
            config,
            "test-cluster",
            REGION,
        );
        Self {
            kubernetes,
            clock,
            sim,
            connection,
            calls,
            context: Arc::new(context),
            server,
        }
    }

    /// Everything new.
    pub async fn new() -> Self {
        Self::with(|ports| ports).await
    }
}

/// The defaults, for tests.
pub fn config() -> Config {
    Config {
        cluster_id: None,
        region: None,
        alarm_prefix: "kvs-operator".into(),
        settle: Span::from_secs(60),
        close_after: Span::from_mins(10),
        sweep_interval: Span::from_secs(15),
        archiver_image: "archiver".into(),
        archiver_image_pull_policy: "IfNotPresent".into(),
        aws_credentials_secret: None,
        aws_endpoint_url: None,
        aws_quota_factor: 1,
        grants: Grants::default(),
        admin_listen: ([127, 0, 0, 1], 0).into(),
    }
}
