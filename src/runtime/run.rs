//! The life of the `controller` process: connect, serve, get the lease, run all kinds until told to stop. What stops first stops
//! all.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Context, error::chain, lease::Leadership, server, telemetry};
use crate::{
    aws::{self, AwsError, Connection, Kind, Regions, Settings},
    clock::{AwsClock, Clock, System},
    config::Config,
};

/// A part of the process that runs until the context's shutdown: its name, and what it does.
pub type Part = (&'static str, Pin<Box<dyn Future<Output = ()> + Send>>);

/// Runs until a signal. `parts` makes the controllers.
///
/// # Errors
/// What the process cannot start or go on without: settings, the API server, the lease, a part that stopped by itself.
pub async fn run(config: Config, parts: impl FnOnce(Arc<Context>) -> Vec<Part>) -> anyhow::Result<()> {
    telemetry::start();
    let context = Arc::new(connect(config).await?);
    info!(
        version = env!("CARGO_PKG_VERSION"),
        cluster_id = &*context.cluster_id,
        region = &*context.region,
        "kvs-operator starts"
    );
    let stop = context.shutdown.clone();
    let signal = tokio::spawn(stop_on_signal(stop.clone()));
    // The server outlives the controllers: it answers until everything else has stopped.
    let server_stop = CancellationToken::new();
    let address = context.config.admin_listen;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))?;
    let server = tokio::spawn({
        let (context, server_stop, stop) = (context.clone(), server_stop.clone(), stop.clone());
        async move {
            let result = server::serve(listener, &context, server_stop).await;
            stop.cancel();
            result
        }
    });
    let result = lead(&context, parts).await;
    stop.cancel();
    server_stop.cancel();
    server.await?.context("the admin server stopped")?;
    signal.abort();
    info!("stopped");
    result
}

/// Gets the lease and runs all parts for as long as it is held.
async fn lead(context: &Arc<Context>, parts: impl FnOnce(Arc<Context>) -> Vec<Part>) -> anyhow::Result<()> {
    let leadership = Leadership::new(context.client.clone(), context.clock.clone());
    tokio::select! {
        () = leadership.acquire() => {}
        () = context.shutdown.cancelled() => return Ok(()),
    }
    context.metrics.leader.set(1);
    let mut running = JoinSet::new();
    for (name, part) in parts(context.clone()) {
        running.spawn(async move {
            part.await;
            name
        });
    }
    let mut hold = std::pin::pin!(leadership.hold());
    let mut result = Ok(());
    loop {
        tokio::select! {
            // The lease is renewed until the last pass has ended.
            () = &mut hold => bail!("the lease is lost: stopping at once, another process may lead now"),
            ended = running.join_next() => match ended {
                None => break,
                Some(ended) => {
                    if !context.shutdown.is_cancelled() {
                        result = match ended {
                            Ok(name) => Err(anyhow::anyhow!("{name} stopped by itself")),
                            Err(e) => Err(anyhow::Error::from(e).context("a controller broke")),
                        };
                        context.shutdown.cancel();
                    }
                }
            },
        }
    }
    leadership.release().await;
    context.metrics.leader.set(0);
    result
}

async fn connect(config: Config) -> anyhow::Result<Context> {
    let client = Client::try_default()
        .await
        .context("finding the Kubernetes API (a pod's service account or a kubeconfig)")?;
    let node: Arc<dyn Clock> = Arc::new(System);
    let clock = AwsClock::new(node);
    let settings = Settings {
        region: config.region.clone(),
        endpoint_url: config.aws_endpoint_url.clone(),
        quota_factor: Some(config.aws_quota_factor),
    };
    let connection = Connection::load(&settings, clock.clone()).await;
    let Some(region) = connection.region().map(str::to_owned) else {
        bail!("no AWS region is set: give --region or AWS_REGION");
    };
    let cluster_id = match &config.cluster_id {
        Some(id) => id.clone(),
        None => Api::<Namespace>::all(client.clone())
            .get("kube-system")
            .await
            .context(
                "reading the UID of the namespace kube-system as the cluster's id (or give --cluster-id)",
            )?
            .metadata
            .uid
            .context("the namespace kube-system has no UID: give --cluster-id")?,
    };
    let calls = connection.calls().clone();
    let connection = if config.grants.have_roles() {
        known(connection).await
    } else {
        connection
    };
    Ok(Context::new(
        client,
        Regions::new(connection),
        &calls,
        clock,
        config,
        &cluster_id,
        &region,
    ))
}

/// How long the process waits for its own account before it goes on without: the probes answer only then.
const OWN_ACCOUNT: Duration = Duration::from_secs(5);

/// The connection, with its account: a role of the same account then shares its token buckets.
async fn known(connection: Connection) -> Connection {
    let answer = tokio::time::timeout(OWN_ACCOUNT, aws::own_account(&connection)).await;
    match answer.unwrap_or_else(|_| Err(no_answer())) {
        Ok(Some(account)) => connection.of_account(account),
        Ok(None) => connection,
        Err(e) => {
            warn!(
                error = chain(&e),
                "the operator's own account is not known; a role of it has call rates of its own until a restart"
            );
            connection
        }
    }
}

fn no_answer() -> AwsError {
    let text = format!("no answer within {OWN_ACCOUNT:?}");
    AwsError::ours("sts:GetCallerIdentity", "*", Kind::Unavailable, text)
}

async fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
        () = stop.cancelled() => return Ok(()),
    }
    info!("stopping: passes that have begun are finished");
    stop.cancel();
    Ok(())
}
