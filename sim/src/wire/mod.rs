//! What the services that are called by operation (CloudWatch, and those that carry its events) have in common, whichever
//! protocol a client speaks: a request is an operation and a tree of values, an answer is a tree or a fault. Timestamps
//! are CBOR's tag 1 in trees; each protocol writes them in its own way.

use std::io::Read;

use axum::http::{HeaderMap, Method, Uri, header, request::Parts};
use bytes::Bytes;
use ciborium::Value;
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::http::{Body, Request, Response};

mod cbor;
mod fault;
mod fields;
mod json;
pub mod page;
mod query;

pub use fault::Fault;
pub use fields::{Time, flag, float, floats, int};

/// The largest body that is read, also when it is unpacked: AWS's own limits are lower.
const LARGEST: usize = 4 << 20;

/// A service's names on the wire.
#[derive(Debug)]
pub struct Service {
    /// The part of the path or of `X-Amz-Target` before the operation, such as `GraniteServiceVersion20100801`.
    pub target: &'static str,
    /// What names of error shapes begin with, such as `com.amazonaws.cloudwatch`.
    pub shapes: &'static str,
    /// The namespace of answers in XML.
    pub xmlns: &'static str,
    /// The version of AWS JSON that its answers are in, such as `1.0`.
    pub json: &'static str,
    /// Whether lists in XML are flat: an element for each item, none around them.
    pub flat: bool,
}

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Smithy RPC v2 CBOR, the SDKs' first choice for CloudWatch.
    Cbor,
    /// AWS JSON 1.0.
    Json,
    /// Query: a form in, XML out.
    Query,
}

/// A decoded request.
#[derive(Debug, PartialEq)]
pub struct Call {
    /// The operation's name, such as `PutMetricAlarm`.
    pub operation: String,
    /// Its input.
    pub input: Value,
}

/// A request that was read, and how its client speaks.
#[derive(Debug)]
pub struct Asked {
    /// Method, path and headers.
    pub parts: Parts,
    /// How the client speaks.
    pub protocol: Protocol,
    /// What it asks for, where that could be decoded.
    pub call: Result<Call, Fault>,
}

impl Service {
    /// Reads a request, has its operation performed, and answers in the client's protocol.
    pub async fn serve(
        &self,
        request: Request,
        perform: impl FnOnce(&HeaderMap, &str, &Value) -> Result<Value, Fault>,
    ) -> Response {
        let asked = self.read(request).await;
        let result = match &asked.call {
            Ok(Call { operation, input }) => perform(&asked.parts.headers, operation, input),
            Err(fault) => Err(fault.clone()),
        };
        self.reply(&asked, result)
    }

    /// Reads a request.
    pub async fn read(&self, request: Request) -> Asked {
        let (parts, body) = request.into_parts();
        let protocol = protocol(&parts);
        let call = match read(&parts.headers, body).await {
            Ok(body) => self.decode(protocol, &parts.method, &parts.uri, &parts.headers, &body),
            Err(fault) => Err(fault),
        };
        Asked {
            parts,
            protocol,
            call,
        }
    }

    /// Answers a request in its client's protocol.
    pub fn reply(&self, asked: &Asked, result: Result<Value, Fault>) -> Response {
        let operation = asked.call.as_ref().map_or("", |call| call.operation.as_str());
        self.answer(asked.protocol, operation, result)
    }

    fn decode(
        &self,
        protocol: Protocol,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Call, Fault> {
        if method != Method::POST {
            return Err(Fault::unknown_operation(&format!("{method} {}", uri.path())));
        }
        match protocol {
            Protocol::Cbor => cbor::decode(self, uri, body),
            Protocol::Json => json::decode(self, headers, body),
            Protocol::Query => query::decode(body),
        }
    }

    fn answer(&self, protocol: Protocol, operation: &str, result: Result<Value, Fault>) -> Response {
        match protocol {
            Protocol::Cbor => cbor::answer(self, result),
            Protocol::Json => json::answer(self, result),
            Protocol::Query => query::answer(self, operation, result),
        }
    }
}

fn protocol(parts: &Parts) -> Protocol {
    if parts.headers.contains_key("x-amz-target") {
        Protocol::Json
    } else if parts.uri.path().starts_with("/service/") {
        Protocol::Cbor
    } else {
        Protocol::Query
    }
}

/// The body, unpacked: SDKs send larger PutMetricData requests with gzip.
async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Fault> {
    let body = Limited::new(body, LARGEST).collect().await;
    let body = body.map_err(|e| Fault::serialization(e.to_string()))?.to_bytes();
    match headers
        .get(header::CONTENT_ENCODING)
        .and_then(|v| v.to_str().ok())
    {
        Some("gzip") => {
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(body.as_ref())
                .take(LARGEST as u64 + 1)
                .read_to_end(&mut unpacked)
                .map_err(|e| Fault::serialization(e.to_string()))?;
            if unpacked.len() > LARGEST {
                return Err(Fault::serialization("the body is too large"));
            }
            Ok(unpacked.into())
        }
        _ => Ok(body),
    }
}

/// A request's tree as its own type. Members that the type does not have are ignored, as AWS does.
pub fn typed<T: DeserializeOwned>(input: &Value) -> Result<T, Fault> {
    input
        .deserialized()
        .map_err(|e| Fault::serialization(e.to_string()))
}

/// An answer as a tree.
pub fn tree<T: Serialize>(answer: &T) -> Result<Value, Fault> {
    Value::serialized(answer).map_err(|e| Fault::internal(e.to_string()))
}

/// Marks a map in a tree, as distinct from a structure: XML writes the two in different ways.
const MAP: u64 = 0x6d61_7000;

/// A map of an answer.
pub fn map(entries: Vec<(Value, Value)>) -> Value {
    Value::Tag(MAP, Box::new(Value::Map(entries)))
}

/// An answer without members.
pub fn empty() -> Value {
    Value::Map(vec![])
}

/// The members of two trees in one.
pub fn join(first: Value, second: Value) -> Value {
    match (first, second) {
        (Value::Map(mut members), Value::Map(more)) => {
            members.extend(more);
            Value::Map(members)
        }
        (first, _) => first,
    }
}

/// Whether a tag's key has 1 to 128 characters and its value at most 256.
pub fn tag_fits(key: &str, value: &str) -> bool {
    !key.is_empty() && key.chars().count() <= 128 && value.chars().count() <= 256
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}
