//! GetMedia: fragments in the order of their numbers, and on as they come, for as long as the client listens; also those of a
//! stream without retention, while its buffer has them.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::{HeaderValue, header};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use super::{fragment::Meta, fragment_list::document, store::Store};
use crate::{
    behaviour::TagNames,
    http::{Body, Response},
    kvs::{
        Kvs,
        error::{ApiError, ApiResult},
        mkv::tags,
        quotas::{Connection, READ_BYTES},
        streams::{Stream, StreamRef},
        validate::millis,
    },
};

/// The request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    start_selector: Option<StartSelector>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartSelector {
    start_selector_type: String,
    after_fragment_number: Option<String>,
    start_timestamp: Option<f64>,
    continuation_token: Option<String>,
}

/// Where reading begins: after a number, or where there is none at the oldest.
type After = Option<String>;

/// The operation.
pub fn run(kvs: Arc<Kvs>, region: &str, input: Input) -> ApiResult<Response> {
    let (stream, store) = kvs.archive(region, &input.stream)?;
    let selector = input
        .start_selector
        .ok_or_else(|| ApiError::invalid("StartSelector must be given."))?;
    let after = begin(&selector, &kvs, &stream, &store)?;
    let connection = kvs.quotas.connect("GetMedia", &stream.arn)?;
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(
        Session {
            kvs,
            stream,
            store,
            sender,
            _connection: connection,
        }
        .run(after),
    );
    let mut response = Response::new(Body::from_stream(
        ReceiverStream::new(receiver).map(Ok::<Bytes, Infallible>),
    ));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("video/webm"));
    Ok(response)
}

/// The number after which the first fragment comes.
fn begin(selector: &StartSelector, kvs: &Kvs, stream: &Stream, store: &Store) -> ApiResult<After> {
    let number = |name: &str, value: &Option<String>| match value {
        Some(v) if !v.is_empty() && v.len() <= 128 && v.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(Some(v.clone()))
        }
        _ => Err(ApiError::invalid(format!("{name} must be a fragment number."))),
    };
    let at = || {
        selector
            .start_timestamp
            .map(millis)
            .ok_or_else(|| ApiError::invalid("StartTimestamp must be given."))
    };
    let now = kvs.now();
    let all = || store.live(stream.horizon(now), now);
    // What contains the time, or begins after it; the number before the first such.
    let from = |start: &dyn Fn(&Meta) -> i64, at: i64| {
        let all = all();
        match all.iter().position(|m| start(m) + m.length >= at) {
            Some(0) => None,
            Some(first) => Some(all[first - 1].number.clone()),
            None => all.last().map(|m| m.number.clone()),
        }
    };
    match selector.start_selector_type.as_str() {
        "EARLIEST" => Ok(None),
        "NOW" => {
            let all = all();
            Ok(all
                .len()
                .checked_sub(2)
                .map(|before_last| all[before_last].number.clone()))
        }
        "FRAGMENT_NUMBER" => number("AfterFragmentNumber", &selector.after_fragment_number),
        "CONTINUATION_TOKEN" => number("ContinuationToken", &selector.continuation_token),
        "SERVER_TIMESTAMP" => Ok(from(&|m| m.server, at()?)),
        "PRODUCER_TIMESTAMP" => Ok(from(&|m| m.producer, at()?)),
        _ => Err(ApiError::invalid(
            "StartSelectorType must be one of NOW, EARLIEST, FRAGMENT_NUMBER, PRODUCER_TIMESTAMP, SERVER_TIMESTAMP, \
             CONTINUATION_TOKEN.",
        )),
    }
}

struct Session {
    kvs: Arc<Kvs>,
    stream: Stream,
    store: Arc<Store>,
    sender: mpsc::Sender<Bytes>,
    _connection: Connection,
}

impl Session {
    async fn run(self, mut after: After) {
        let mut added = self.store.watch();
        let (began, mut bytes) = (Instant::now(), 0.0);
        loop {
            added.mark_unchanged();
            if self.store.is_destroyed() {
                return;
            }
            let now = self.kvs.now();
            let next = self
                .store
                .next_live(after.as_deref(), self.stream.horizon(now), now);
            let Some(meta) = next else {
                tokio::select! {
                    changed = added.changed() => if changed.is_err() { return },
                    () = self.sender.closed() => return,
                }
                continue;
            };
            let chunk = self.chunk(&meta);
            let size = chunk.len() as f64;
            if self.sender.send(chunk.into()).await.is_err() {
                return;
            }
            self.count(&meta, size);
            after = Some(meta.number);
            bytes += size;
            if self.kvs.quotas.on() {
                let due = Duration::from_secs_f64(bytes / READ_BYTES);
                tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
            }
        }
    }

    /// A fragment and what follows it, or why it cannot be read.
    fn chunk(&self, meta: &Meta) -> Vec<u8> {
        match document(&self.store, meta, TagNames::Short) {
            Ok(Some(mut chunk)) => {
                let behind = self.kvs.now().saturating_sub(meta.server).max(0);
                chunk.extend(tags::write(&[
                    ("AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", behind.to_string().as_str()),
                    ("AWS_KINESISVIDEO_CONTINUATION_TOKEN", &meta.number),
                ]));
                chunk
            }
            Ok(None) => error("4000", "Requested fragment is not found"),
            Err(e) => error("5000", &format!("Internal error: {e}")),
        }
    }

    fn count(&self, meta: &Meta, bytes: f64) {
        let behind = self.kvs.now().saturating_sub(meta.server).max(0) as f64;
        for (name, value) in [
            ("GetMedia.OutgoingBytes", bytes),
            ("GetMedia.OutgoingFragments", 1.0),
            ("GetMedia.OutgoingFrames", meta.frames as f64),
            ("GetMedia.MillisBehindNow", behind),
        ] {
            self.kvs.measure(&self.stream, name, value);
        }
    }
}

fn error(id: &str, text: &str) -> Vec<u8> {
    tags::write(&[
        ("AWS_KINESISVIDEO_ERROR_CODE", text),
        ("AWS_KINESISVIDEO_ERROR_ID", id),
    ])
}
