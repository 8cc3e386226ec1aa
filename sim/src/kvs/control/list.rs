//! ListStreams.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::describe::info;
use crate::kvs::{
    Call,
    error::{ApiError, ApiResult},
    validate,
};

/// The request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Input {
    max_results: Option<i64>,
    next_token: Option<String>,
    stream_name_condition: Option<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Condition {
    comparison_operator: Option<String>,
    comparison_value: Option<String>,
}

/// The operation. The pages are as small as the service really makes them, whatever its reference says: 10 where the
/// client does not say, never more than 1000.
pub fn run(call: &Call<'_>, input: Input) -> ApiResult<Value> {
    let count =
        validate::range("MaxResults", input.max_results, 1, 10_000)?.map_or(10, |n| n.min(1000)) as usize;
    let prefix = match input.stream_name_condition {
        Some(Condition {
            comparison_operator: Some(op),
            ..
        }) if op != "BEGINS_WITH" => {
            return Err(ApiError::invalid("ComparisonOperator must be BEGINS_WITH."));
        }
        Some(condition) => condition.comparison_value.unwrap_or_default(),
        None => String::new(),
    };
    let after = match input.next_token {
        Some(token) => Some(
            BASE64_STANDARD
                .decode(token)
                .ok()
                .and_then(|t| String::from_utf8(t).ok())
                .ok_or_else(|| ApiError::invalid("NextToken is not one that ListStreams returned."))?,
        ),
        None => None,
    };
    let now = call.kvs.now();
    let streams = call.kvs.streams();
    let mut listed: Vec<_> = streams
        .list(call.region, now)
        .into_iter()
        .filter(|s| s.name.starts_with(&prefix) && after.as_ref().is_none_or(|after| s.name > *after))
        .collect();
    let more = listed.len() > count;
    listed.truncate(count);
    let next = more
        .then(|| listed.last().map(|s| BASE64_STANDARD.encode(&s.name)))
        .flatten();
    let infos: Vec<Value> = listed.iter().map(|s| info(s, now)).collect();
    Ok(json!({ "StreamInfoList": infos, "NextToken": next }))
}
