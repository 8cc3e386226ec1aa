//! PutMedia: one long request whose body is Matroska and whose answer, sent meanwhile, is acknowledgements. Here its head is
//! checked; what comes then is a [`Session`].

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderValue, header};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    assembler::{Assembler, Limits},
    connection::Connection,
    session::{Acks, Session},
};
use crate::{
    http::{Body, Response},
    kvs::{
        Kvs,
        error::{ApiError, ApiResult},
        streams::{Status, StreamRef},
    },
};

/// The operation: checks the request's head, then answers 200 and goes on in a task.
///
/// `denied`: the stream's key may not be used, so every fragment is refused.
pub async fn run(
    kvs: Arc<Kvs>,
    region: &str,
    headers: &HeaderMap,
    body: Body,
    denied: bool,
) -> ApiResult<Response> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .filter(|v| !v.is_empty())
    };
    let which = StreamRef {
        name: text("x-amzn-stream-name").map(str::to_owned),
        arn: text("x-amzn-stream-arn").map(str::to_owned),
    };
    let start = match text("x-amzn-producer-start-timestamp") {
        Some(start) => Some(seconds(start).ok_or_else(|| {
            ApiError::invalid(
                "x-amzn-producer-start-timestamp must be seconds since 1970, with decimals, or ISO 8601.",
            )
        })?),
        None => None,
    };
    let base = match (text("x-amzn-fragment-timecode-type"), start) {
        (Some("ABSOLUTE"), _) => 0,
        (Some("RELATIVE"), Some(start)) => start,
        (Some("RELATIVE"), None) => {
            let message = "x-amzn-producer-start-timestamp must be given where timecodes are RELATIVE.";
            return Err(ApiError::invalid(message));
        }
        _ => {
            return Err(ApiError::invalid(
                "x-amzn-fragment-timecode-type must be ABSOLUTE or RELATIVE.",
            ));
        }
    };
    let (stream, store) = kvs.archive(region, &which)?;
    if stream.status_at(kvs.now()) == Some(Status::Creating) {
        return Err(ApiError::no_stream());
    }
    kvs.quotas
        .call("PutMedia", region, Some(&stream.arn), kvs.now())?;
    kvs.measure(&stream, "PutMedia.Requests", 1.0);
    let connection = Connection::open(&kvs, &stream.arn).inspect_err(|_| {
        kvs.measure(&stream, "PutMedia.ConnectionErrors", 1.0);
    })?;
    let (acks, lines) = mpsc::channel(4096);
    let acks = Acks {
        wanted: text("x-amzn-fragment-acknowledgment-required") != Some("0"),
        lines: acks,
    };
    let limits = Limits {
        keep_end: kvs.world.behaviour().end_of_fragment_tag,
        ..Limits::default()
    };
    let session = Session::new(
        kvs,
        connection,
        stream,
        store,
        acks,
        Assembler::new(base, limits),
        denied,
    );
    let (started, first_bytes) = tokio::sync::oneshot::channel();
    tokio::spawn(session.run(body, started));
    // A client that waits for "100 Continue" gets it when the body is first read, which must be before the answer begins.
    let _ = timeout(Duration::from_secs(1), first_bytes).await;
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(lines)));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// A time in ms: seconds with decimals as the C producer writes it, or ISO 8601 as AWS's client for Java does.
fn seconds(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    let seconds: f64 = text.parse().ok()?;
    seconds.is_finite().then_some((seconds * 1000.0).round() as i64)
}
