//! Kinesis Video Streams: the control plane in [`control`], what cameras send in [`ingest`], what clients read in [`archive`].

pub mod archive;
pub mod control;
pub mod error;
pub mod ingest;
pub mod lines;
pub mod mkv;
pub mod publish;
pub mod quotas;
pub mod streams;
pub mod validate;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::{HeaderValue, Method, header};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_stream::StreamExt;

use self::{
    archive::{fragment::Numbers, store::Store},
    error::{ApiError, ApiResult},
    ingest::{connection::Connected, ledger::Ledger},
    publish::Publisher,
    quotas::Quotas,
    streams::{Stream, StreamRef, Streams},
};
use crate::{
    behaviour::Denial,
    faults::{Fault, Target},
    http::{self, Body, Request, Response},
    world::World,
};

/// The largest request that is not media.
const MAX_REQUEST: usize = 1 << 20;

/// Kinesis Video Streams.
#[derive(Debug)]
pub struct Kvs {
    world: Arc<World>,
    streams: Mutex<Streams>,
    /// Held while a fragment is entered into index and ledger: a crash leaves at most one that is in one of them only.
    ledger: Mutex<Ledger>,
    ledger_file: PathBuf,
    numbers: Mutex<Numbers>,
    /// The streams that a PutMedia is connected to.
    connected: Mutex<Connected>,
    quotas: Quotas,
    metrics: Publisher,
    /// Where state is kept when nobody wants it kept.
    _temporary: Option<tempfile::TempDir>,
}

impl Kvs {
    /// The service, with what the data folder keeps of an earlier life.
    pub fn open(world: Arc<World>) -> anyhow::Result<Arc<Self>> {
        let temporary = if world.settings.data.is_none() {
            Some(tempfile::tempdir()?)
        } else {
            None
        };
        let folder = match (&world.settings.data, &temporary) {
            (Some(data), _) => data.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => anyhow::bail!("no folder for data"),
        };
        std::fs::create_dir_all(&folder)?;
        let ledger = Ledger::open(&folder)?;
        let streams = Streams::open(folder.join("kvs"), ledger.last())?;
        let mut numbers = Numbers::default();
        for entry in streams.all() {
            if let Some(number) = entry.store.newest() {
                numbers.seen(&number);
            }
        }
        Ok(Arc::new(Self {
            ledger_file: ledger.path().to_owned(),
            ledger: Mutex::new(ledger),
            streams: Mutex::new(streams),
            numbers: Mutex::new(numbers),
            connected: Mutex::default(),
            quotas: Quotas::new(world.settings.quotas),
            metrics: Publisher::new(world.clone()),
            world,
            _temporary: temporary,
        }))
    }

    /// Whether a request is for this service: its operations have paths of their own, which no bucket can have (bucket names
    /// have no capitals).
    pub fn serves(method: &Method, path: &str) -> bool {
        method == Method::POST
            && path
                .trim_start_matches('/')
                .chars()
                .all(|c| c.is_ascii_alphabetic())
            && path.chars().any(|c| c.is_ascii_uppercase())
    }

    /// Answers a request.
    pub async fn handle(self: Arc<Self>, request: Request) -> Response {
        match self.answer(request).await {
            Ok(response) => response,
            Err(error) => error.into(),
        }
    }

    async fn answer(self: Arc<Self>, request: Request) -> ApiResult<Response> {
        self.sweep()?;
        let (head, body) = request.into_parts();
        let region = http::place(&head.headers);
        let path = head.uri.path();
        let operation = Target::kvs(&head, &[]).operation.unwrap_or_default();
        let fault = head.extensions.get::<Fault>().cloned();
        if path == "/putMedia" {
            let body = match fault {
                Some(Fault::Cut { bytes }) => cut_after(body, bytes),
                _ => body,
            };
            let denied = matches!(fault, Some(Fault::KeyDenied {}));
            return ingest::put_media::run(self, &region, &head.headers, body, denied).await;
        }
        let body = Limited::new(body, MAX_REQUEST).collect().await;
        let body = body
            .map_err(|e| ApiError::invalid(format!("The request cannot be read: {e}")))?
            .to_bytes();
        let stream = self.named(&region, &body);
        self.quotas.call(
            &operation,
            &region,
            stream.as_ref().map(|s| s.arn.as_str()),
            self.now(),
        )?;
        if let Some(stream) = &stream {
            self.denied(path, stream, fault.as_ref())?;
        }
        let lag = match &fault {
            Some(Fault::Lag { millis }) => i64::try_from(*millis).unwrap_or(i64::MAX),
            _ => 0,
        };
        let call = Call {
            kvs: &self,
            region: &region,
            host: head.headers.get(header::HOST),
            body: &body,
        };
        match path {
            "/createStream" => call.json(control::create::run),
            "/describeStream" => call.json(control::describe::run),
            "/listStreams" => call.json(control::list::run),
            "/updateStream" => call.json(control::update::stream),
            "/updateDataRetention" => call.json(control::update::retention),
            "/deleteStream" => call.json(control::delete::run),
            "/getDataEndpoint" => call.json(control::endpoint::run),
            "/tagStream" => call.json(control::tags::tag_stream),
            "/untagStream" => call.json(control::tags::untag_stream),
            "/listTagsForStream" => call.json(control::tags::list_for_stream),
            "/TagResource" => call.json(control::tags::tag_resource),
            "/UntagResource" => call.json(control::tags::untag_resource),
            "/ListTagsForResource" => call.json(control::tags::list_for_resource),
            "/describeStreamStorageConfiguration" => call.json(control::configuration::describe_storage),
            "/updateStreamStorageConfiguration" => call.json(control::configuration::update_storage),
            "/describeImageGenerationConfiguration" => call.json(control::configuration::describe_images),
            "/updateImageGenerationConfiguration" => call.json(control::configuration::update_images),
            "/describeNotificationConfiguration" => call.json(control::configuration::describe_notification),
            "/updateNotificationConfiguration" => call.json(control::configuration::update_notification),
            "/describeMappedResourceConfiguration" => call.json(control::configuration::describe_mapped),
            "/listFragments" => self.clone().read(&call, "ListFragments", |call| {
                call.json(|call, input| archive::list_fragments::run(call.kvs, call.region, input, lag))
            }),
            "/getClip" => archive::get_clip::run(self.clone(), &region, call.input()?).await,
            "/getMedia" => self.clone().read(&call, "GetMedia", |call| {
                archive::get_media::run(call.kvs.clone(), call.region, call.input()?)
            }),
            "/getMediaForFragmentList" => self.clone().read(&call, "GetMediaForFragmentList", |call| {
                archive::fragment_list::run(call.kvs.clone(), call.region, call.input()?, fault.clone())
            }),
            _ => Err(ApiError::unknown_operation(path)),
        }
    }

    /// What permissions would refuse: the use of the stream's key, by rule, and changes that a condition on tags is for, while
    /// tags are new.
    fn denied(&self, path: &str, stream: &Stream, fault: Option<&Fault>) -> ApiResult<()> {
        let behaviour = self.world.behaviour();
        if matches!(fault, Some(Fault::KeyDenied {})) && ["/getClip", "/getMedia"].contains(&path) {
            return Err(ApiError::denied(
                behaviour.key_denied_error,
                "The stream's key may not be used.",
            ));
        }
        let changes = [
            "/updateStream",
            "/updateDataRetention",
            "/deleteStream",
            "/updateStreamStorageConfiguration",
            "/updateImageGenerationConfiguration",
            "/updateNotificationConfiguration",
        ];
        let since = self.now().saturating_sub(stream.tagged);
        if changes.contains(&path) && since < behaviour.tag_conditions_late_millis {
            let message =
                "No identity-based policy allows the action: the stream's tags do not fulfil its condition.";
            return Err(ApiError::denied(Denial::AccessDenied, message));
        }
        Ok(())
    }

    /// The stream that a request names in any of the ways, if it is there.
    fn named(&self, region: &str, body: &[u8]) -> Option<Stream> {
        #[derive(serde::Deserialize)]
        struct Named {
            #[serde(flatten)]
            stream: StreamRef,
            #[serde(rename = "ResourceARN")]
            resource: Option<String>,
        }
        let Named { mut stream, resource } = serde_json::from_slice(body).ok()?;
        stream.arn = stream.arn.or(resource);
        self.stream(region, &stream).ok()
    }

    /// A reading operation, counted in the stream's metrics where the stream is known.
    fn read(
        self: Arc<Self>,
        call: &Call<'_>,
        operation: &str,
        run: impl Fn(&Call<'_>) -> ApiResult<Response>,
    ) -> ApiResult<Response> {
        let began = std::time::Instant::now();
        let result = run(call);
        let stream = call
            .input::<StreamRef>()
            .and_then(|which| self.stream(call.region, &which));
        if let Ok(stream) = stream {
            self.measure(&stream, &format!("{operation}.Requests"), 1.0);
            self.measure(
                &stream,
                &format!("{operation}.Success"),
                if result.is_ok() { 1.0 } else { 0.0 },
            );
            if operation == "ListFragments" {
                self.measure(
                    &stream,
                    "ListFragments.Latency",
                    began.elapsed().as_secs_f64() * 1000.0,
                );
            }
        }
        result
    }

    /// The ledger's lines of one stream (its name or ARN), or of all.
    pub fn ledger(&self, stream: Option<String>) -> Response {
        let path = self.ledger_file.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        tokio::task::spawn_blocking(move || {
            let sent = ingest::ledger::read(&path, stream.as_deref(), |line| {
                sender.blocking_send(Ok(line)).is_ok()
            });
            if let Err(error) = sent {
                // The reader's body then ends with an error instead of looking complete.
                let _ = sender.blocking_send(Err(error));
            }
        });
        let mut response = Response::new(Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(
            receiver,
        )));
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-ndjson"),
        );
        response
    }

    /// Now, in ms.
    pub fn now(&self) -> i64 {
        self.world.clock.now().as_millisecond()
    }

    /// The stream that a request names.
    pub fn stream(&self, region: &str, which: &StreamRef) -> ApiResult<Stream> {
        Ok(self.streams().find(region, which, self.now())?.stream)
    }

    /// The stream that a request names, for its footage: a stream that is being deleted has none any more.
    pub fn archive(&self, region: &str, which: &StreamRef) -> ApiResult<(Stream, Arc<Store>)> {
        let now = self.now();
        let entry = self.streams().find(region, which, now)?;
        match entry.stream.status_at(now) {
            None | Some(streams::Status::Deleting) => Err(ApiError::no_stream()),
            Some(_) => Ok((entry.stream, entry.store)),
        }
    }

    /// Adds to a metric of a stream.
    pub fn measure(&self, stream: &Stream, name: &str, value: f64) {
        self.metrics.add(stream, name, value);
    }

    /// What goes on without a request, for as long as the future lives.
    pub async fn run(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Err(error) = self.tick() {
                tracing::error!(%error, "kvs-sim cannot clean up");
            }
        }
    }

    /// Publishes metrics that are due, and drops what time has ended: deleted streams, expired fragments.
    pub fn tick(&self) -> ApiResult<()> {
        self.sweep()?;
        let now = self.now();
        let entries: Vec<streams::Entry> = self.streams().all().cloned().collect();
        for entry in &entries {
            entry.store.expire(entry.stream.horizon(now), now)?;
        }
        self.metrics
            .tick(|| entries.into_iter().map(|e| e.stream).collect());
        Ok(())
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what time has ended: deleted streams.
    fn sweep(&self) -> ApiResult<()> {
        Ok(self.streams().sweep(self.now())?)
    }
}

/// A body that breaks off after so many bytes.
fn cut_after(body: Body, bytes: u64) -> Body {
    let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
    let pieces = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(std::io::Error::other)?;
        left = left
            .checked_sub(piece.len())
            .ok_or_else(|| std::io::Error::other("cut"))?;
        Ok::<_, std::io::Error>(piece)
    });
    Body::from_stream(pieces)
}

/// A request of the JSON protocol.
pub struct Call<'a> {
    /// The service.
    pub kvs: &'a Arc<Kvs>,
    /// The region and account that it is signed for (`Place::key`).
    pub region: &'a str,
    /// Its Host header.
    pub host: Option<&'a HeaderValue>,
    body: &'a [u8],
}

impl Call<'_> {
    /// The request's JSON.
    pub fn input<I: DeserializeOwned>(&self) -> ApiResult<I> {
        let body = if self.body.is_empty() { b"{}" } else { self.body };
        serde_json::from_slice(body).map_err(|e| ApiError::serialization(&e))
    }

    /// An operation with JSON in and out.
    fn json<I: DeserializeOwned>(
        &self,
        run: impl Fn(&Call<'_>, I) -> ApiResult<Value>,
    ) -> ApiResult<Response> {
        let output = run(self, self.input()?)?;
        let mut response = Response::new(Body::from(output.to_string()));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }
}
