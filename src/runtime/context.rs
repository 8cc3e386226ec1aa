//! What every pass gets: clients, clocks, settings and the things that live as long as the process.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use super::{Error, Result, backoff::Backoff, events::Events, metrics::Metrics, server::Readiness};
use crate::{
    aws::{Calls, Place, Ports, Regions},
    clock::AwsClock,
    config::Config,
};

/// What every pass gets.
#[derive(Clone)]
pub struct Context {
    /// The Kubernetes API.
    pub client: Client,
    /// AWS, region by region.
    pub aws: Arc<Regions>,
    /// AWS's clock for decisions about footage; the node's is under it.
    pub clock: AwsClock,
    /// The administrator's settings.
    pub config: Arc<Config>,
    /// What marks AWS objects as this cluster's.
    pub cluster_id: Arc<str>,
    /// The region of streams that name none.
    pub region: Arc<str>,
    /// The one recorder of Events.
    pub events: Events,
    /// Failures in a row, object by object.
    pub backoff: Arc<Backoff>,
    /// What Prometheus reads.
    pub metrics: Arc<Metrics>,
    /// What /readyz answers.
    pub readiness: Arc<Readiness>,
    /// Cancelled when the process is to stop.
    pub shutdown: CancellationToken,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("cluster_id", &self.cluster_id)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// A context with everything new but what is given.
    pub fn new(
        client: Client,
        aws: Regions,
        calls: &Calls,
        clock: AwsClock,
        config: Config,
        cluster_id: &str,
        region: &str,
    ) -> Self {
        Self {
            events: Events::new(client.clone()),
            client,
            aws: Arc::new(aws),
            clock,
            config: Arc::new(config),
            cluster_id: cluster_id.into(),
            region: region.into(),
            backoff: Arc::default(),
            metrics: Arc::new(Metrics::new(calls)),
            readiness: Arc::default(),
            shutdown: CancellationToken::new(),
        }
    }

    /// The ports of a place.
    pub fn ports(&self, place: &Place) -> Ports {
        self.aws.ports(place)
    }

    /// The time for what people read, such as conditions: AWS's, before its first answer the node's. Decisions about footage
    /// take `clock.now()` alone.
    pub fn stamp(&self) -> Timestamp {
        self.clock.now().unwrap_or_else(|| self.clock.node().now())
    }

    /// Whether a namespace is being deleted, or is gone.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn is_terminating(&self, namespace: &str) -> Result<bool> {
        let found = Api::<Namespace>::all(self.client.clone())
            .get_opt(namespace)
            .await;
        let found = found.map_err(Error::kube(format!("reading namespace {namespace}")))?;
        Ok(found.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()))
    }

    /// Chance for jitter, in [0, 1).
    pub fn chance(&self) -> f64 {
        self.clock.node().chance()
    }
}
