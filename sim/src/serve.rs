//! One endpoint for all services: which service a request is for is read off its path and headers, and only for forms off its
//! signature (all three Kinesis Video services sign alike).

use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, request::Parts},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use tokio::net::TcpListener;

use crate::{
    calls::{self, Calls},
    cloudwatch::CloudWatch,
    events::Events,
    faults::{self, Target, Words},
    http::{Body, Request, Response, service, stamp},
    kvs::Kvs,
    own,
    s3::S3,
    sns::Sns,
    sqs::Sqs,
    sts,
    world::{ACCOUNT, World},
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
    /// How often each operation was called.
    pub calls: Calls,
    /// EventBridge.
    pub events: Arc<Events>,
    /// SQS.
    pub sqs: Arc<Sqs>,
    /// SNS.
    pub sns: Arc<Sns>,
    requests: AtomicU64,
}

impl Services {
    /// All services, with what `world.settings.data` keeps of an earlier life.
    pub fn open(world: Arc<World>) -> anyhow::Result<Arc<Self>> {
        let sqs = Sqs::open(world.clone())?;
        let sns = Sns::open(world.clone(), sqs.clone())?;
        let events = Events::open(world.clone(), sqs.clone(), sns.clone())?;
        Ok(Arc::new(Self {
            kvs: Kvs::open(world.clone())?,
            cloudwatch: CloudWatch::open(world.clone(), events.clone(), sns.clone())?,
            events,
            sqs,
            sns,
            s3: S3::open(world.clone())?,
            calls: Calls::default(),
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

    /// Answers one request, whichever service it is for.
    pub async fn answer(&self, request: Request) -> Response {
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut response = route(self, request).await;
        stamp(&mut response, self.world.clock.now(), id);
        response
    }

    /// What goes on without a request, for as long as the future lives.
    async fn background(&self) {
        tokio::join!(self.cloudwatch.run(), self.kvs.run());
    }
}

async fn dispatch(State(services): State<Arc<Services>>, request: Request) -> Response {
    services.answer(request).await
}

/// Which service a request is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Own,
    Kvs,
    CloudWatch,
    Events,
    Sqs,
    Sns,
    Sts,
    S3,
}

fn to(parts: &Parts) -> To {
    let path = parts.uri.path();
    let target = parts
        .headers
        .get("x-amz-target")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    if path.starts_with(own::PREFIX) {
        To::Own
    } else if Kvs::serves(&parts.method, path) {
        To::Kvs
    } else if Target::is_form(parts) && service(&parts.headers) == Some("sts") {
        To::Sts
    } else if path.starts_with("/service/GraniteServiceVersion20100801/")
        || target.starts_with("GraniteServiceVersion20100801.")
    {
        To::CloudWatch
    } else if target.starts_with("AWSEvents.") {
        To::Events
    } else if target.starts_with("AmazonSQS.") {
        To::Sqs
    } else if Target::is_form(parts) && (path == "/" || path.starts_with(&format!("/{ACCOUNT}/"))) {
        // A form names its operation in its body only; the service is the one that it is signed for.
        match service(&parts.headers) {
            Some("sqs") => To::Sqs,
            Some("sns") => To::Sns,
            _ if path != "/" => To::Sqs,
            _ => To::CloudWatch,
        }
    } else {
        To::S3
    }
}

async fn route(services: &Services, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let to = to(&parts);
    // A form names its operation in its body only.
    let (known, body) = if Target::is_form(&parts) && to != To::S3 {
        match whole(body).await {
            Ok(bytes) => (bytes.clone(), Body::from(bytes)),
            Err(error) => return unreadable(&error),
        }
    } else {
        (Bytes::new(), body)
    };
    let operation = target(services, to, &parts, &known).and_then(|(target, _)| target.operation);
    let count = operation.map(|operation| services.calls.begin(&operation, &parts.headers));
    let response = if to == To::Own || services.world.faults.is_empty() {
        perform(services, to, Request::from_parts(parts, body)).await
    } else {
        with_faults(services, to, parts, body)
            .await
            .unwrap_or_else(|error| unreadable(&error))
    };
    match count {
        Some(count) => calls::counted(response, count),
        None => response,
    }
}

async fn whole(body: Body) -> anyhow::Result<Bytes> {
    let body = Limited::new(body, LARGEST).collect().await;
    Ok(body.map_err(|e| anyhow::anyhow!(e))?.to_bytes())
}

fn unreadable(error: &anyhow::Error) -> Response {
    own::answer(
        StatusCode::BAD_REQUEST,
        format!("the request cannot be read: {error}\n"),
    )
}

async fn perform(services: &Services, to: To, request: Request) -> Response {
    match to {
        To::Own => own::handle(services, request).await,
        To::Kvs => services.kvs.clone().handle(request).await,
        To::CloudWatch => services.cloudwatch.clone().handle(request).await,
        To::Sts => sts::handle(&services.world, request).await,
        To::S3 => services.s3.clone().handle(request).await,
        To::Events => services.events.clone().handle(request).await,
        To::Sqs => services.sqs.clone().handle(request).await,
        To::Sns => services.sns.clone().handle(request).await,
    }
}

/// The largest body that is read to see what a request is; media is not read for that.
const LARGEST: usize = 4 << 20;

/// What a request is for, and in which words its service answers; `None`: it is ours, and no fault strikes it.
fn target(services: &Services, to: To, parts: &Parts, body: &[u8]) -> Option<(Target, Words)> {
    match to {
        To::Own => None,
        To::Kvs => Some((Target::kvs(parts, body), Words::Kvs)),
        To::S3 => Some((Target::s3(parts, services.s3.operation(parts)), Words::S3)),
        To::CloudWatch | To::Events | To::Sqs | To::Sns | To::Sts => {
            Some((Target::by_operation(parts, body), Words::ByOperation))
        }
    }
}

async fn with_faults(services: &Services, to: To, parts: Parts, body: Body) -> anyhow::Result<Response> {
    let media = to == To::S3 || parts.uri.path() == "/putMedia";
    let (known, body) = if media {
        (Bytes::new(), body)
    } else {
        let bytes = whole(body).await?;
        (bytes.clone(), Body::from(bytes))
    };
    let mut request = Request::from_parts(parts.clone(), body);
    let Some((target, words)) = target(services, to, &parts, &known) else {
        return Ok(perform(services, to, request).await);
    };
    match services.world.faults.strike(&target) {
        None => Ok(perform(services, to, request).await),
        Some(fault) => {
            tracing::info!(?target, ?fault, "fault on demand");
            // Some only the operation itself can commit.
            request.extensions_mut().insert(fault.clone());
            Ok(faults::apply(fault, words, &parts, perform(services, to, request)).await)
        }
    }
}
