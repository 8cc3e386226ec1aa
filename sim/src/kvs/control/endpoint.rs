//! GetDataEndpoint.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::kvs::{
    Call,
    error::{ApiError, ApiResult},
    streams::StreamRef,
};

/// The request.
#[derive(Debug, Deserialize)]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    #[serde(rename = "APIName")]
    api_name: Option<String>,
}

const API_NAMES: [&str; 8] = [
    "PUT_MEDIA",
    "GET_MEDIA",
    "LIST_FRAGMENTS",
    "GET_MEDIA_FOR_FRAGMENT_LIST",
    "GET_HLS_STREAMING_SESSION_URL",
    "GET_DASH_STREAMING_SESSION_URL",
    "GET_CLIP",
    "GET_IMAGES",
];

/// The operation: all services are here, so the endpoint is the one that the client already uses.
pub fn run(call: &Call<'_>, input: Input) -> ApiResult<Value> {
    let api = input.api_name.unwrap_or_default();
    if !API_NAMES.contains(&api.as_str()) {
        return Err(ApiError::invalid(format!(
            "APIName must be one of {}.",
            API_NAMES.join(", ")
        )));
    }
    call.kvs.stream(call.region, &input.stream)?;
    let own = call.kvs.world.settings.endpoint.clone();
    let host = call
        .host
        .and_then(|h| h.to_str().ok())
        .map(|host| format!("http://{host}"));
    let endpoint = own
        .or(host)
        .ok_or_else(|| ApiError::invalid("The request has no Host header."))?;
    Ok(json!({ "DataEndpoint": endpoint }))
}
