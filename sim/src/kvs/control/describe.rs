//! DescribeStream.

use serde_json::{Map, Value, json};

use crate::kvs::{
    Call,
    error::ApiResult,
    streams::{Stream, StreamRef},
};

/// The operation. Tags, tier and the configurations beside the stream have operations of their own.
pub fn run(call: &Call<'_>, input: StreamRef) -> ApiResult<Value> {
    let stream = call.kvs.stream(call.region, &input)?;
    Ok(json!({ "StreamInfo": info(&stream, call.kvs.now()) }))
}

/// A stream as DescribeStream and ListStreams show it.
pub fn info(stream: &Stream, now: i64) -> Value {
    let mut info = Map::new();
    let mut set = |key: &str, value: Value| info.insert(key.to_owned(), value);
    if let Some(device) = &stream.device_name {
        set("DeviceName", device.as_str().into());
    }
    if let Some(media_type) = &stream.media_type {
        set("MediaType", media_type.as_str().into());
    }
    set("StreamName", stream.name.as_str().into());
    set("StreamARN", stream.arn.as_str().into());
    set("KmsKeyId", stream.kms_key_id.as_str().into());
    set("Version", stream.version.as_str().into());
    set("Status", json!(stream.status_at(now)));
    set("CreationTime", json!(stream.created as f64 / 1000.0));
    set("DataRetentionInHours", stream.retention_hours.into());
    info.into()
}
