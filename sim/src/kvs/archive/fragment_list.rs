//! GetMediaForFragmentList: one complete EBML document a fragment, one after the other.

use std::{convert::Infallible, sync::Arc};

use axum::http::{HeaderValue, header};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use super::{
    fragment::{self, Meta},
    store::Store,
};
use crate::{
    http::{Body, Response},
    kvs::{
        Kvs,
        error::{ApiError, ApiResult},
        mkv::{element, ids, tags},
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
pub fn run(kvs: Arc<Kvs>, region: &str, input: Input) -> ApiResult<Response> {
    let (stream, store) = kvs.archive(region, &input.stream)?;
    if input.fragments.is_empty() || input.fragments.len() > 1000 {
        return Err(ApiError::invalid(
            "Fragments must have 1 to 1000 fragment numbers.",
        ));
    }
    if input
        .fragments
        .iter()
        .any(|number| !fragment::is_of(number, &stream.arn))
    {
        return Err(ApiError::invalid("Fragment numbers are invalid."));
    }
    let (sender, receiver) = mpsc::channel::<Bytes>(2);
    tokio::task::spawn_blocking(move || {
        for number in input.fragments {
            let horizon = stream.horizon(kvs.now());
            let found = store.get(&number).filter(|m| m.server >= horizon);
            let (bytes, frames) = match found.as_ref().map(|meta| document(&store, meta)) {
                Some(Ok(Some(bytes))) => (bytes, found.map_or(0, |m| m.frames)),
                Some(Ok(None)) | None => (exception(&number, 4000, "Requested fragment is not found"), 0),
                Some(Err(error)) => (exception(&number, 5000, &format!("Internal error: {error}")), 0),
            };
            count(&kvs, &stream, bytes.len(), frames);
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

/// A fragment as clients get it: the producer's header, the service's tags, the Cluster.
pub fn document(store: &Store, meta: &Meta) -> std::io::Result<Option<Vec<u8>>> {
    let Some((mut bytes, body)) = store.read(meta)? else {
        return Ok(None);
    };
    bytes.extend(meta.tags());
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
