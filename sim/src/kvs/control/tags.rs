//! Tags, in both spellings of the API.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::annotate;
use crate::kvs::{
    Call,
    error::{ApiError, ApiResult},
    streams::{Stream, StreamRef},
    validate,
};

/// TagStream's request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagStream {
    #[serde(flatten)]
    stream: StreamRef,
    tags: Option<BTreeMap<String, String>>,
}

/// TagStream.
pub fn tag_stream(call: &Call<'_>, input: TagStream) -> ApiResult<Value> {
    set(call, &input.stream, input.tags.unwrap_or_default())
}

/// UntagStream's request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagStream {
    #[serde(flatten)]
    stream: StreamRef,
    tag_key_list: Option<Vec<String>>,
}

/// UntagStream.
pub fn untag_stream(call: &Call<'_>, input: UntagStream) -> ApiResult<Value> {
    remove(
        call,
        &input.stream,
        "TagKeyList",
        &input.tag_key_list.unwrap_or_default(),
    )
}

/// ListTagsForStream. At most 50 tags: there is never a second page.
pub fn list_for_stream(call: &Call<'_>, input: StreamRef) -> ApiResult<Value> {
    Ok(json!({ "Tags": call.kvs.stream(call.region, &input)?.tags }))
}

/// TagResource's request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagResource {
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

/// TagResource.
pub fn tag_resource(call: &Call<'_>, input: TagResource) -> ApiResult<Value> {
    set(
        call,
        &resource(input.resource_arn),
        input.tags.into_iter().map(|t| (t.key, t.value)).collect(),
    )
}

/// UntagResource's request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagResource {
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
    tag_key_list: Vec<String>,
}

/// UntagResource.
pub fn untag_resource(call: &Call<'_>, input: UntagResource) -> ApiResult<Value> {
    remove(
        call,
        &resource(input.resource_arn),
        "TagKeyList",
        &input.tag_key_list,
    )
}

/// ListTagsForResource's request.
#[derive(Debug, Deserialize)]
pub struct ListTagsForResource {
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
}

/// ListTagsForResource.
pub fn list_for_resource(call: &Call<'_>, input: ListTagsForResource) -> ApiResult<Value> {
    list_for_stream(call, resource(input.resource_arn))
}

fn resource(arn: String) -> StreamRef {
    StreamRef {
        name: None,
        arn: Some(arn),
    }
}

fn set(call: &Call<'_>, which: &StreamRef, tags: BTreeMap<String, String>) -> ApiResult<Value> {
    if tags.is_empty() {
        return Err(ApiError::invalid("Tags must have at least one tag."));
    }
    validate::tags(&tags)?;
    annotate(call, which, |stream: &mut Stream| {
        stream.tags.extend(tags);
        if stream.tags.len() > validate::MAX_TAGS {
            Err(ApiError::too_many_tags())
        } else {
            Ok(())
        }
    })?;
    Ok(json!({}))
}

fn remove(call: &Call<'_>, which: &StreamRef, name: &str, keys: &[String]) -> ApiResult<Value> {
    if keys.is_empty() || keys.len() > validate::MAX_TAGS {
        return Err(ApiError::invalid(format!("{name} must have 1 to 50 keys.")));
    }
    annotate(call, which, |stream| {
        stream.tags.retain(|key, _| !keys.contains(key));
        Ok(())
    })?;
    Ok(json!({}))
}
