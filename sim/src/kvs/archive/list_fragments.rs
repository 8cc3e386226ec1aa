//! ListFragments.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::fragment::Meta;
use crate::{
    behaviour::BeforeHead,
    kvs::{
        Kvs,
        error::{ApiError, ApiResult},
        streams::{Stream, StreamRef},
        validate::{self, millis},
    },
};

/// The request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    max_results: Option<i64>,
    next_token: Option<String>,
    fragment_selector: Option<Selector>,
}

/// Which fragments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Selector {
    /// Which of their times is compared.
    pub fragment_selector_type: SelectorType,
    /// With what.
    pub timestamp_range: Range,
}

/// Which of a fragment's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SelectorType {
    /// The camera's.
    ProducerTimestamp,
    /// The service's.
    ServerTimestamp,
}

/// Epoch seconds, both ends inclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Range {
    /// From.
    pub start_timestamp: f64,
    /// To.
    pub end_timestamp: f64,
}

/// What a token carries on: the selection, as of when it was made, and the last position.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    stream: String,
    selector: Selector,
    as_of: i64,
    after: String,
}

impl Selector {
    /// Whether a fragment's start is in the range.
    pub fn takes(&self, meta: &Meta) -> bool {
        let at = match self.fragment_selector_type {
            SelectorType::ProducerTimestamp => meta.producer,
            SelectorType::ServerTimestamp => meta.server,
        };
        (millis(self.timestamp_range.start_timestamp)..=millis(self.timestamp_range.end_timestamp))
            .contains(&at)
    }
}

/// The operation, as it would have answered `lag` ms ago. Fragments come in no useful order, over pages too, but in the same one for the same request.
pub fn run(kvs: &Kvs, region: &str, input: Input, lag: i64) -> ApiResult<Value> {
    let now = kvs.now();
    let (stream, store) = kvs.archive(region, &input.stream)?;
    let behaviour = kvs.world.behaviour();
    let count = validate::range("MaxResults", input.max_results, 1, 1000)?;
    let count = count.unwrap_or(behaviour.listing_default_results).max(1) as usize;
    if input.next_token.is_none() || behaviour.listing_next_pages_cost {
        kvs.quotas.metadata(&stream.arn, count, now)?;
    }
    kvs.measure(&stream, "ArchivedFragmentsConsumed.Metadata", count as f64);
    let token = input
        .next_token
        .as_deref()
        .map(|t| read_token(t, &stream))
        .transpose()?;
    let (selector, as_of, after) = match (token, input.fragment_selector) {
        (Some(token), _) => (token.selector, token.as_of, Some(token.after)),
        (None, Some(selector)) => (selector, now.saturating_sub(lag), None),
        (None, None) => {
            return Err(ApiError::invalid(
                "FragmentSelector must be given where NextToken is not.",
            ));
        }
    };
    check(&selector, &stream, now)?;
    let horizon = stream.horizon(now);
    let head = horizon.max(stream.created);
    let before_head = selector.fragment_selector_type == SelectorType::ServerTimestamp
        && millis(selector.timestamp_range.start_timestamp) < head;
    if before_head && behaviour.listing_before_head == BeforeHead::Empty {
        return Ok(json!({ "Fragments": [], "NextToken": null }));
    }
    let listable = |m: &Meta| m.persisted.saturating_add(behaviour.listing_lag.of(m.chance())) <= as_of;
    let listed = store.select(|m| m.server >= horizon && selector.takes(m) && listable(m));
    let mut listed: Vec<(String, Meta)> = listed.into_iter().map(|m| (place(&m), m)).collect();
    listed.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(after) = after {
        listed.retain(|(place, _)| *place > after);
    }
    let more = listed.len() > count;
    listed.truncate(count);
    let next = more
        .then(|| listed.last().map(|(place, _)| place.clone()))
        .flatten();
    let next = next.map(|after| {
        write_token(&Token {
            stream: stream.arn.clone(),
            selector,
            as_of,
            after,
        })
    });
    let fragments: Vec<Value> = listed
        .iter()
        .map(|(_, m)| {
            json!({
                "FragmentNumber": m.number,
                "FragmentSizeInBytes": m.size(),
                "ProducerTimestamp": m.producer as f64 / 1000.0,
                "ServerTimestamp": m.server as f64 / 1000.0,
                "FragmentLengthInMilliseconds": m.length,
            })
        })
        .collect();
    Ok(json!({ "Fragments": fragments, "NextToken": next }))
}

/// The service refuses server times that lie wholly outside retention; producer times may be anything.
fn check(selector: &Selector, stream: &Stream, now: i64) -> ApiResult<()> {
    let (start, end) = (
        millis(selector.timestamp_range.start_timestamp),
        millis(selector.timestamp_range.end_timestamp),
    );
    if start > end {
        return Err(ApiError::invalid(
            "StartTimestamp must not be later than EndTimestamp.",
        ));
    }
    if selector.fragment_selector_type == SelectorType::ServerTimestamp && end < stream.horizon(now) {
        let message = format!("End timestamp {end} is outside of the stream retention period.");
        return Err(ApiError::invalid(message));
    }
    Ok(())
}

/// Where a fragment stands in a listing: anywhere, but always there.
fn place(meta: &Meta) -> String {
    hex::encode(&Sha256::digest(&meta.number)[..12])
}

fn write_token(token: &Token) -> String {
    // Numbers and strings always have a JSON form.
    BASE64_STANDARD.encode(serde_json::to_vec(token).unwrap_or_default())
}

fn read_token(token: &str, stream: &Stream) -> ApiResult<Token> {
    BASE64_STANDARD
        .decode(token)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Token>(&bytes).ok())
        .filter(|t| t.stream == stream.arn)
        .ok_or_else(|| ApiError::invalid("NextToken is not one that ListFragments returned for this stream."))
}
