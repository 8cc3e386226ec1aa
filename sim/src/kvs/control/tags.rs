//! Tags, in both spellings of the API.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
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

/// ListTagsForStream's request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListTagsForStream {
    #[serde(flatten)]
    stream: StreamRef,
    next_token: Option<String>,
}

/// ListTagsForStream.
pub fn list_for_stream(call: &Call<'_>, input: ListTagsForStream) -> ApiResult<Value> {
    list(call, &input.stream, input.next_token)
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
    #[serde(rename = "NextToken")]
    next_token: Option<String>,
}

/// ListTagsForResource.
pub fn list_for_resource(call: &Call<'_>, input: ListTagsForResource) -> ApiResult<Value> {
    list(call, &resource(input.resource_arn), input.next_token)
}

fn resource(arn: String) -> StreamRef {
    StreamRef {
        name: None,
        arn: Some(arn),
    }
}

/// A page of tags, in the order of their keys; the token is the last key.
fn list(call: &Call<'_>, which: &StreamRef, token: Option<String>) -> ApiResult<Value> {
    let after = match token.filter(|token| !token.is_empty()) {
        Some(token) => {
            let key = BASE64_STANDARD
                .decode(token)
                .ok()
                .and_then(|t| String::from_utf8(t).ok());
            Some(key.ok_or_else(|| ApiError::invalid("NextToken is not one that this operation returned."))?)
        }
        None => None,
    };
    let tags = call.kvs.stream(call.region, which)?.tags;
    let mut rest = tags
        .into_iter()
        .filter(|(key, _)| after.as_ref().is_none_or(|after| key > after))
        .peekable();
    let count = call.kvs.world.behaviour().tags_per_page.max(1);
    let page: BTreeMap<String, String> = rest.by_ref().take(count).collect();
    let next = rest
        .peek()
        .and_then(|_| page.keys().next_back())
        .map(|key| BASE64_STANDARD.encode(key));
    Ok(json!({ "Tags": page, "NextToken": next }))
}

fn set(call: &Call<'_>, which: &StreamRef, tags: BTreeMap<String, String>) -> ApiResult<Value> {
    if tags.is_empty() {
        return Err(ApiError::invalid("Tags must have at least one tag."));
    }
    validate::tags(&tags)?;
    let now = call.kvs.now();
    annotate(call, which, |stream: &mut Stream| {
        stream.tagged = now;
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
    let now = call.kvs.now();
    annotate(call, which, |stream| {
        stream.tagged = now;
        stream.tags.retain(|key, _| !keys.contains(key));
        Ok(())
    })?;
    Ok(json!({}))
}
