//! UpdateStream and UpdateDataRetention.

use serde::Deserialize;
use serde_json::{Value, json};

use super::change;
use crate::kvs::{
    Call,
    error::{ApiError, ApiResult},
    streams::StreamRef,
    validate,
};

/// The request of UpdateStream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamInput {
    #[serde(flatten)]
    stream: StreamRef,
    current_version: Option<String>,
    device_name: Option<String>,
    media_type: Option<String>,
}

/// UpdateStream.
pub fn stream(call: &Call<'_>, input: StreamInput) -> ApiResult<Value> {
    let version = required_version(input.current_version)?;
    if let Some(device) = &input.device_name {
        validate::name("DeviceName", device, 128)?;
    }
    if let Some(media_type) = &input.media_type {
        validate::media_type(media_type)?;
    }
    change(call, &input.stream, Some(&version), |stream| {
        stream.device_name = input.device_name.or(stream.device_name.take());
        stream.media_type = input.media_type.or(stream.media_type.take());
        Ok(())
    })?;
    Ok(json!({}))
}

/// The request of UpdateDataRetention.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RetentionInput {
    #[serde(flatten)]
    stream: StreamRef,
    current_version: Option<String>,
    operation: Option<String>,
    data_retention_change_in_hours: Option<i64>,
}

/// UpdateDataRetention. What a decrease leaves outside is deleted at once.
pub fn retention(call: &Call<'_>, input: RetentionInput) -> ApiResult<Value> {
    let version = required_version(input.current_version)?;
    let hours = input.data_retention_change_in_hours;
    let hours = validate::range("DataRetentionChangeInHours", hours, 1, i64::MAX)?
        .ok_or_else(|| ApiError::invalid("DataRetentionChangeInHours must be given."))?;
    let change_by = match input.operation.as_deref() {
        Some("INCREASE_DATA_RETENTION") => hours,
        Some("DECREASE_DATA_RETENTION") => -hours,
        _ => {
            let message = "Operation must be INCREASE_DATA_RETENTION or DECREASE_DATA_RETENTION.";
            return Err(ApiError::invalid(message));
        }
    };
    let stream = change(call, &input.stream, Some(&version), |stream| {
        let hours = stream.retention_hours.saturating_add(change_by);
        if !(0..=validate::MAX_RETENTION_HOURS).contains(&hours) {
            let message = format!("The retention would be {hours} h; it must be 0 to 87600.");
            return Err(ApiError::invalid(message));
        }
        stream.retention_hours = hours;
        Ok(())
    })?;
    let (_, store) = call.kvs.archive(call.region, &input.stream)?;
    let now = call.kvs.now();
    store.expire(stream.horizon(now), now)?;
    Ok(json!({}))
}

/// The version without which nothing is changed.
pub fn required_version(version: Option<String>) -> ApiResult<String> {
    let version = version.ok_or_else(|| ApiError::invalid("CurrentVersion must be given."))?;
    validate::text("CurrentVersion", &version, 1, 64, |c| c.is_ascii_alphanumeric())?;
    Ok(version)
}
