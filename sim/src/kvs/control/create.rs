//! CreateStream.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::transition;
use crate::{
    kvs::{
        Call,
        error::{ApiError, ApiResult},
        quotas,
        streams::{Status, Stream, arn, new_version},
        validate,
    },
    world::Place,
};

/// The request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Input {
    stream_name: Option<String>,
    device_name: Option<String>,
    media_type: Option<String>,
    kms_key_id: Option<String>,
    data_retention_in_hours: Option<i64>,
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
    stream_storage_configuration: Option<Storage>,
}

/// Which tier the footage goes to.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Storage {
    /// HOT or WARM.
    pub default_storage_tier: String,
}

impl Storage {
    /// The tier, if it is one.
    pub fn tier(self) -> ApiResult<String> {
        match self.default_storage_tier.as_str() {
            "HOT" | "WARM" => Ok(self.default_storage_tier),
            _ => Err(ApiError::invalid("DefaultStorageTier must be HOT or WARM.")),
        }
    }
}

/// The operation.
pub fn run(call: &Call<'_>, input: Input) -> ApiResult<Value> {
    let name = input
        .stream_name
        .ok_or_else(|| ApiError::invalid("StreamName must be given."))?;
    validate::name("StreamName", &name, 256)?;
    if let Some(device) = &input.device_name {
        validate::name("DeviceName", device, 128)?;
    }
    if let Some(media_type) = &input.media_type {
        validate::media_type(media_type)?;
    }
    if let Some(key) = &input.kms_key_id {
        validate::kms_key(key)?;
    }
    let hours = input.data_retention_in_hours;
    let hours =
        validate::range("DataRetentionInHours", hours, 0, validate::MAX_RETENTION_HOURS)?.unwrap_or(0);
    let tags = input.tags.unwrap_or_default();
    validate::tags(&tags)?;
    if tags.len() > validate::MAX_TAGS {
        return Err(ApiError::too_many_tags());
    }
    let tier = input
        .stream_storage_configuration
        .map_or(Ok("HOT".into()), Storage::tier)?;
    let now = call.kvs.now();
    let last = call.kvs.ledger.lock().unwrap_or_else(|e| e.into_inner()).last();
    let mut streams = call.kvs.streams();
    if streams.is_taken(call.region, &name, now) {
        return Err(ApiError::in_use("The stream already exists."));
    }
    if streams.list(call.region, now).len() >= quotas::STREAMS {
        return Err(ApiError::too_many_streams());
    }
    let arn = arn(call.region, &name, now);
    let Place { region, account } = Place::of(call.region);
    let key = format!("arn:aws:kms:{region}:{account}:alias/aws/kinesisvideo");
    let stream = Stream {
        region: call.region.to_owned(),
        name,
        arn: arn.clone(),
        created: now,
        tagged: now,
        device_name: input.device_name,
        media_type: input.media_type,
        kms_key_id: input.kms_key_id.unwrap_or(key),
        retention_hours: hours,
        tier,
        tags,
        image_generation: None,
        notification: None,
        version: new_version(),
        visible: now.saturating_add(call.kvs.world.behaviour().stream_visible_after_millis),
        status: Status::Creating,
        until: now.saturating_add(transition(call)),
    };
    streams.create(stream, last)?;
    Ok(json!({ "StreamARN": arn }))
}
