//! GetMediaForFragmentList: one complete EBML document a fragment, one after the other.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::{HeaderValue, header};
use bytes::Bytes;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use super::{
    fragment::{self, Meta},
    store::Store,
};
use crate::{
    behaviour::{Order, TagNames},
    faults::Fault,
    http::{Body, Response},
    kvs::{
        Kvs,
        error::{ApiError, ApiResult},
        mkv::{element, ids, tags},
        quotas::READ_BYTES,
        streams::{Stream, StreamRef},
    },
};

/// The request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    fragments: Vec<String>,
}

/// The operation: answers at once and sends the media as it is read.
pub fn run(kvs: Arc<Kvs>, region: &str, input: Input, fault: Option<Fault>) -> ApiResult<Response> {
    let (stream, store) = kvs.archive(region, &input.stream)?;
    let mut numbers = input.fragments;
    if numbers.is_empty() || numbers.len() > 1000 {
        return Err(ApiError::invalid(
            "Fragments must have 1 to 1000 fragment numbers.",
        ));
    }
    if numbers.iter().any(|number| !fragment::is_of(number, &stream.arn)) {
        return Err(ApiError::invalid("Fragment numbers are invalid."));
    }
    kvs.quotas.media(&stream.arn, numbers.len(), kvs.now())?;
    let connection = kvs.quotas.connect("GetMediaForFragmentList", &stream.arn)?;
    let broken = fault.and_then(|fault| broken(fault, &numbers));
    let behaviour = kvs.world.behaviour();
    if behaviour.fragment_list_order == Order::Shuffled {
        numbers.sort_by_cached_key(|number| Sha256::digest(number).to_vec());
    }
    let (sender, receiver) = mpsc::channel::<Bytes>(2);
    tokio::task::spawn_blocking(move || {
        let _connection = connection;
        let mut throttle = Throttle::new(kvs.quotas.on());
        for number in numbers {
            let (bytes, frames) = match &broken {
                Some((broken, code, message)) if broken.as_ref().is_none_or(|broken| *broken == number) => {
                    (exception(&number, *code, message), 0)
                }
                _ => read(&kvs, &stream, &store, &number, behaviour.fragment_list_tags),
            };
            count(&kvs, &stream, bytes.len(), frames);
            throttle.wait(bytes.len());
            if sender.blocking_send(bytes.into()).is_err() {
                return;
            }
        }
    });
    let mut response = Response::new(Body::from_stream(
        ReceiverStream::new(receiver).map(Ok::<_, Infallible>),
    ));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("video/webm"));
    Ok(response)
}

/// The fragment of the request that a fault on demand breaks (`None`: all of them), with code and text.
fn broken(fault: Fault, numbers: &[String]) -> Option<(Option<String>, u32, String)> {
    match fault {
        Fault::InBand {
            code,
            message,
            fragment,
        } => Some((
            Some(fragment.or_else(|| numbers.first().cloned())?),
            code,
            message,
        )),
        Fault::KeyDenied {} => Some((None, 4500, "The stream's key may not be used.".into())),
        _ => None,
    }
}

/// What is sent of a fragment, and how many frames that has.
fn read(kvs: &Kvs, stream: &Stream, store: &Store, number: &str, names: TagNames) -> (Vec<u8>, u64) {
    let horizon = stream.horizon(kvs.now());
    let meta = store.get(number).filter(|m| m.server >= horizon);
    match meta.as_ref().map(|meta| document(store, meta, names)) {
        Some(Ok(Some(bytes))) => (bytes, meta.map_or(0, |m| m.frames)),
        Some(Ok(None)) | None => (exception(number, 4000, "Requested fragment is not found"), 0),
        Some(Err(error)) => (exception(number, 5000, &format!("Internal error: {error}")), 0),
    }
}

/// Keeps a connection at the rate that it may have.
struct Throttle {
    on: bool,
    began: Instant,
    bytes: f64,
}

impl Throttle {
    fn new(on: bool) -> Self {
        Self {
            on,
            began: Instant::now(),
            bytes: 0.0,
        }
    }

    fn wait(&mut self, bytes: usize) {
        let due = Duration::from_secs_f64(self.bytes / READ_BYTES);
        self.bytes += bytes as f64;
        if let Some(early) = due.checked_sub(self.began.elapsed()).filter(|_| self.on) {
            std::thread::sleep(early);
        }
    }
}

/// A fragment as clients get it: the producer's header, the service's tags, the Cluster.
pub fn document(store: &Store, meta: &Meta, names: TagNames) -> std::io::Result<Option<Vec<u8>>> {
    let Some((mut bytes, body)) = store.read(meta)? else {
        return Ok(None);
    };
    bytes.extend(meta.tags(names));
    bytes.extend(body);
    Ok(Some(bytes))
}

/// A fragment that cannot be read: a document that says why, where its media would be.
fn exception(number: &str, code: u32, message: &str) -> Vec<u8> {
    // DocType matroska, as everywhere.
    let mut bytes = element::element(ids::EBML, &element::element(0x4282, b"matroska"));
    bytes.extend(element::unknown_size(ids::SEGMENT));
    bytes.extend(tags::write(&[
        ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", number),
        ("AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE", &code.to_string()),
        ("AWS_KINESISVIDEO_EXCEPTION_MESSAGE", message),
    ]));
    bytes
}

fn count(kvs: &Kvs, stream: &Stream, bytes: usize, frames: u64) {
    if frames > 0 {
        kvs.measure(stream, "GetMediaForFragmentList.OutgoingFragments", 1.0);
        kvs.measure(stream, "GetMediaForFragmentList.OutgoingFrames", frames as f64);
        kvs.measure(stream, "ArchivedFragmentsConsumed.Media", 1.0);
    }
    kvs.measure(stream, "GetMediaForFragmentList.OutgoingBytes", bytes as f64);
}
