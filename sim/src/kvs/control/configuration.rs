//! The configurations beside a stream: storage tier, image generation, notification, and the mapping to a channel.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{active, annotate, change, create::Storage, update::required_version};
use crate::{
    kvs::{
        Call,
        error::{ApiError, ApiResult},
        streams::{Stream, StreamRef},
        validate,
    },
    world::Place,
};

/// DescribeStreamStorageConfiguration.
pub fn describe_storage(call: &Call<'_>, input: StreamRef) -> ApiResult<Value> {
    let stream = call.kvs.stream(call.region, &input)?;
    Ok(json!({
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "StreamStorageConfiguration": { "DefaultStorageTier": stream.tier },
    }))
}

/// UpdateStreamStorageConfiguration's request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateStorage {
    #[serde(flatten)]
    stream: StreamRef,
    current_version: Option<String>,
    stream_storage_configuration: Option<Storage>,
}

/// UpdateStreamStorageConfiguration.
pub fn update_storage(call: &Call<'_>, input: UpdateStorage) -> ApiResult<Value> {
    let version = required_version(input.current_version)?;
    let storage = input.stream_storage_configuration;
    let tier = storage
        .ok_or_else(|| ApiError::invalid("StreamStorageConfiguration must be given."))?
        .tier()?;
    change(call, &input.stream, Some(&version), |stream| {
        stream.tier = tier;
        Ok(())
    })?;
    Ok(json!({}))
}

/// DescribeImageGenerationConfiguration.
pub fn describe_images(call: &Call<'_>, input: StreamRef) -> ApiResult<Value> {
    let stream = call.kvs.stream(call.region, &input)?;
    Ok(present("ImageGenerationConfiguration", stream.image_generation))
}

/// UpdateImageGenerationConfiguration's request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateImages {
    #[serde(flatten)]
    stream: StreamRef,
    image_generation_configuration: Option<Value>,
}

/// UpdateImageGenerationConfiguration: without a configuration it is deleted.
pub fn update_images(call: &Call<'_>, input: UpdateImages) -> ApiResult<Value> {
    if let Some(configuration) = &input.image_generation_configuration {
        check_images(configuration, call.region)?;
    }
    configure(call, &input.stream, |stream| {
        stream.image_generation = input.image_generation_configuration
    })
}

/// DescribeNotificationConfiguration.
pub fn describe_notification(call: &Call<'_>, input: StreamRef) -> ApiResult<Value> {
    let stream = call.kvs.stream(call.region, &input)?;
    Ok(present("NotificationConfiguration", stream.notification))
}

/// UpdateNotificationConfiguration's request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateNotification {
    #[serde(flatten)]
    stream: StreamRef,
    notification_configuration: Option<Value>,
}

/// UpdateNotificationConfiguration: without a configuration it is deleted.
pub fn update_notification(call: &Call<'_>, input: UpdateNotification) -> ApiResult<Value> {
    if let Some(configuration) = &input.notification_configuration {
        one_of(configuration, "Status", &["ENABLED", "DISABLED"])?;
        uri(configuration)?;
    }
    configure(call, &input.stream, |stream| {
        stream.notification = input.notification_configuration
    })
}

/// DescribeMappedResourceConfiguration: channels are not simulated, so no stream is mapped to one.
pub fn describe_mapped(call: &Call<'_>, input: StreamRef) -> ApiResult<Value> {
    call.kvs.stream(call.region, &input)?;
    Ok(json!({ "MappedResourceConfigurationList": [] }))
}

fn present(name: &str, configuration: Option<Value>) -> Value {
    configuration.map_or(json!({}), |configuration| json!({ name: configuration }))
}

fn configure(call: &Call<'_>, which: &StreamRef, edit: impl FnOnce(&mut Stream)) -> ApiResult<Value> {
    let now = call.kvs.now();
    annotate(call, which, |stream| {
        active(stream, now)?;
        if stream.retention_hours == 0 {
            return Err(ApiError::no_data_retention());
        }
        edit(stream);
        Ok(())
    })?;
    Ok(json!({}))
}

fn check_images(configuration: &Value, region: &str) -> ApiResult<()> {
    one_of(configuration, "Status", &["ENABLED", "DISABLED"])?;
    one_of(
        configuration,
        "ImageSelectorType",
        &["SERVER_TIMESTAMP", "PRODUCER_TIMESTAMP"],
    )?;
    one_of(configuration, "Format", &["JPEG", "PNG"])?;
    uri(configuration)?;
    if configuration["DestinationConfig"]["DestinationRegion"].as_str() != Some(Place::of(region).region) {
        return Err(ApiError::invalid(
            "DestinationRegion must be the stream's region.",
        ));
    }
    let number = |name: &str, min, max| validate::range(name, configuration[name].as_i64(), min, max);
    if number("SamplingInterval", 200, i64::MAX)?.is_none() {
        return Err(ApiError::invalid("SamplingInterval must be given."));
    }
    number("WidthPixels", 1, 3840)?;
    number("HeightPixels", 1, 2160)?;
    if let Some(config) = configuration["FormatConfig"].as_object() {
        let quality = config
            .get("JPEGQuality")
            .and_then(Value::as_str)
            .and_then(|q| q.parse::<u8>().ok());
        if config.len() != 1 || !quality.is_some_and(|q| (1..=100).contains(&q)) {
            return Err(ApiError::invalid(
                "FormatConfig must have JPEGQuality, 1 to 100, and nothing else.",
            ));
        }
    }
    Ok(())
}

fn one_of(configuration: &Value, name: &str, values: &[&str]) -> ApiResult<()> {
    match configuration[name].as_str() {
        Some(value) if values.contains(&value) => Ok(()),
        _ => Err(ApiError::invalid(format!(
            "{name} must be one of {}.",
            values.join(", ")
        ))),
    }
}

fn uri(configuration: &Value) -> ApiResult<()> {
    let uri = configuration["DestinationConfig"]["Uri"]
        .as_str()
        .unwrap_or_default();
    validate::text("DestinationConfig.Uri", uri, 1, 255, |c| c != '*')?;
    match uri.split_once(':') {
        Some((scheme, rest))
            if !scheme.is_empty()
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !rest.trim_start_matches('/').is_empty() =>
        {
            Ok(())
        }
        _ => Err(ApiError::invalid("DestinationConfig.Uri must be a URI.")),
    }
}
