//! One endpoint for all services: which service a request is for is read off its path and headers, not off its signature
//! (all three Kinesis Video services sign alike).

use std::{
    collections::HashMap,
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
};
use tokio::net::TcpListener;

use crate::{
    cloudwatch::CloudWatch,
    http::{Body, Request, Response, stamp},
    kvs::Kvs,
    s3::S3,
    world::World,
};

/// All simulated services.
#[derive(Debug)]
pub struct Services {
    /// What they share.
    pub world: Arc<World>,
    /// Kinesis Video Streams.
    pub kvs: Arc<Kvs>,
    /// CloudWatch.
    pub cloudwatch: Arc<CloudWatch>,
    /// S3.
    pub s3: Arc<S3>,
    requests: AtomicU64,
}

impl Services {
    /// All services, with what `world.settings.data` keeps of an earlier life.
    pub fn open(world: Arc<World>) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            kvs: Kvs::open(world.clone())?,
            cloudwatch: CloudWatch::open(world.clone())?,
            s3: S3::open(world.clone())?,
            world,
            requests: AtomicU64::new(1),
        }))
    }

    /// Serves until the listener fails or the future is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> std::io::Result<()> {
        let app = Router::new().fallback(dispatch).with_state(self.clone());
        tokio::select! {
            ended = axum::serve(listener, app).into_future() => ended,
            () = self.background() => Ok(()),
        }
    }

    /// What goes on without a request, for as long as the future lives.
    async fn background(&self) {
        self.cloudwatch.run().await;
    }
}

async fn dispatch(State(services): State<Arc<Services>>, request: Request) -> Response {
    let id = services.requests.fetch_add(1, Ordering::Relaxed);
    let mut response = route(&services, request).await;
    stamp(&mut response, services.world.clock.now(), id);
    response
}

async fn route(services: &Services, request: Request) -> Response {
    let headers = request.headers();
    let target = headers
        .get("x-amz-target")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.starts_with("application/x-www-form-urlencoded"));
    let path = request.uri().path();
    if let Some(own) = path.strip_prefix("/_kvs-sim/") {
        own_endpoint(services, own, request.uri().query().unwrap_or_default())
    } else if Kvs::serves(request.method(), path) {
        services.kvs.clone().handle(request).await
    } else if path.starts_with("/service/GraniteServiceVersion20100801/")
        || target.starts_with("GraniteServiceVersion20100801.")
        || (form && path == "/")
    {
        services.cloudwatch.clone().handle(request).await
    } else {
        services.s3.clone().handle(request).await
    }
}

/// What the simulator itself offers, beside the simulated services.
fn own_endpoint(services: &Services, path: &str, query: &str) -> Response {
    let query: HashMap<String, String> = serde_urlencoded::from_str(query).unwrap_or_default();
    match path {
        "ledger" => services.kvs.ledger(query.get("stream").cloned()),
        "health" => Response::new(Body::from("ok\n")),
        _ => {
            let mut response = Response::new(Body::from(
                "kvs-sim offers /_kvs-sim/health and /_kvs-sim/ledger?stream=NAME\n",
            ));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}
