//! GetClip.

use std::{io::Read, sync::Arc, time::Instant};

use axum::http::{HeaderValue, header};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    clip,
    fragment::Meta,
    list_fragments::{Selector, SelectorType},
    mp4,
    store::Store,
};
use crate::{
    behaviour::{ClipLimit, Gaps},
    http::{Body, Response},
    kvs::{
        Kvs,
        error::{ApiError, ApiResult},
        streams::{Stream, StreamRef},
        validate::millis,
    },
};

/// The longest range, in ms.
const RANGE: i64 = 24 * 3_600_000;

/// The request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    clip_fragment_selector: Option<Selector>,
}

/// The operation.
pub async fn run(kvs: Arc<Kvs>, region: &str, input: Input) -> ApiResult<Response> {
    let (stream, store) = kvs.archive(region, &input.stream)?;
    let began = Instant::now();
    kvs.measure(&stream, "GetClip.Requests", 1.0);
    let result = clip(&kvs, &stream, &store, input.clip_fragment_selector).await;
    kvs.measure(&stream, "GetClip.Success", if result.is_ok() { 1.0 } else { 0.0 });
    kvs.measure(&stream, "GetClip.Latency", began.elapsed().as_secs_f64() * 1000.0);
    result
}

async fn clip(
    kvs: &Arc<Kvs>,
    stream: &Stream,
    store: &Arc<Store>,
    selector: Option<Selector>,
) -> ApiResult<Response> {
    let selector = selector.ok_or_else(|| ApiError::invalid("ClipFragmentSelector must be given."))?;
    let (now, behaviour) = (kvs.now(), kvs.world.behaviour());
    check(&selector, stream, now)?;
    let horizon = stream.horizon(now);
    let listable = |m: &Meta| m.persisted.saturating_add(behaviour.listing_lag.of(m.chance())) <= now;
    let taken = store.select(|m| m.server >= horizon && selector.takes(m) && listable(m));
    if taken.is_empty() {
        return Err(ApiError::not_found(
            "No fragments found in the stream for the clip request.",
        ));
    }
    let of_file = behaviour.clip_limit_of == ClipLimit::Mp4;
    let limit = behaviour.clip_limit_bytes;
    let clip = clip::select(taken, if of_file { u64::MAX } else { limit });
    kvs.quotas.metadata(&stream.arn, clip.len(), now)?;
    kvs.quotas.media(&stream.arn, clip.len(), now)?;
    kvs.measure(stream, "ArchivedFragmentsConsumed.Metadata", clip.len() as f64);
    kvs.measure(stream, "ArchivedFragmentsConsumed.Media", clip.len() as f64);
    let mark = behaviour.clip_bytes_vary.then(crate::kvs::streams::new_version);
    let (reading, media) = (store.clone(), tokio::task::spawn_blocking);
    let most = if of_file { limit } else { u64::MAX };
    let gaps = behaviour.clip_gaps;
    let file = media(move || make(&reading, &clip, mark.as_deref(), gaps, most))
        .await
        .map_err(ApiError::internal)??;
    let length = file.as_file().metadata()?.len();
    kvs.measure(stream, "GetClip.OutgoingBytes", length as f64);
    let mut response = Response::new(body(file));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    if behaviour.clip_content_length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(response)
}

fn check(selector: &Selector, stream: &Stream, now: i64) -> ApiResult<()> {
    if stream.retention_hours == 0 {
        return Err(ApiError::no_data_retention());
    }
    let range = &selector.timestamp_range;
    let (start, end) = (millis(range.start_timestamp), millis(range.end_timestamp));
    if end <= start || end.saturating_sub(start) > RANGE {
        return Err(ApiError::invalid(
            "EndTimestamp must be later than StartTimestamp, by at most 24 hours.",
        ));
    }
    if selector.fragment_selector_type == SelectorType::ProducerTimestamp {
        return Ok(());
    }
    if end < stream.horizon(now) {
        let message = format!("End timestamp {end} is outside of the stream retention period.");
        return Err(ApiError::invalid(message));
    }
    if end > now {
        return Err(ApiError::invalid("EndTimestamp must be in the past."));
    }
    if start < stream.horizon(now).max(stream.created) {
        return Err(ApiError::invalid(
            "StartTimestamp must be later than the stream head.",
        ));
    }
    Ok(())
}

/// The file of a clip's fragments, or of as many of them as fit into so many bytes.
fn make(
    store: &Store,
    clip: &[Meta],
    mark: Option<&str>,
    gaps: Gaps,
    most: u64,
) -> ApiResult<tempfile::NamedTempFile> {
    let mut parts = vec![];
    let mut headers = vec![];
    for meta in clip {
        // What expires meanwhile is no more in the clip than what expired before.
        if let Some((header, body)) = store.read(meta)? {
            headers.push(mp4::header(&header)?);
            parts.push(mp4::Part {
                producer: meta.producer,
                length: meta.length,
                header,
                body,
            });
        }
    }
    clip::check_tracks(&headers)?;
    let Some(header) = headers.first() else {
        return Err(ApiError::not_found(
            "No fragments found in the stream for the clip request.",
        ));
    };
    loop {
        let file = mp4::make(&parts, header, mark, gaps)?;
        let size = file.as_file().metadata()?.len();
        if size <= most || parts.len() == 1 {
            return Ok(file);
        }
        // As many as are likely to fit; at least one less, and at least one.
        let fit = parts.len() as u64 * most / size;
        parts.truncate((fit as usize).clamp(1, parts.len() - 1));
    }
}

/// A file's bytes; the file goes when they are sent.
fn body(mut file: tempfile::NamedTempFile) -> Body {
    let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(2);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = vec![0; 1 << 16];
            let read = file.read(&mut piece).map(|len| {
                piece.truncate(len);
                Bytes::from(piece)
            });
            let last = read.as_ref().map_or(true, Bytes::is_empty);
            if read.as_ref().is_ok_and(Bytes::is_empty) || sender.blocking_send(read).is_err() || last {
                return;
            }
        }
    });
    Body::from_stream(ReceiverStream::new(receiver))
}
