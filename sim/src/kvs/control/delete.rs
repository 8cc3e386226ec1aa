//! DeleteStream.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{active, transition};
use crate::kvs::{
    Call,
    error::{ApiError, ApiResult},
    streams::{Status, StreamRef},
    validate,
};

/// The request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Input {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    current_version: Option<String>,
}

/// The operation. The footage is out of reach at once; the stream is DELETING for a while.
pub fn run(call: &Call<'_>, input: Input) -> ApiResult<Value> {
    let arn = input
        .stream_arn
        .ok_or_else(|| ApiError::invalid("StreamARN must be given."))?;
    if let Some(version) = &input.current_version {
        validate::text("CurrentVersion", version, 1, 64, |c| c.is_ascii_alphanumeric())?;
    }
    let now = call.kvs.now();
    let mut streams = call.kvs.streams();
    let entry = streams.find(
        call.region,
        &StreamRef {
            name: None,
            arn: Some(arn),
        },
        now,
    )?;
    let mut stream = entry.stream;
    active(&stream, now)?;
    if input
        .current_version
        .is_some_and(|version| version != stream.version)
    {
        return Err(ApiError::version_mismatch());
    }
    stream.status = Status::Deleting;
    stream.until = now.saturating_add(transition(call));
    streams.update(stream)?;
    entry.store.expire(i64::MAX, i64::MAX)?;
    Ok(json!({}))
}
