//! What every protocol has in common: a request is an operation and a tree of values, an answer is a tree or a fault.
//! Timestamps are CBOR's tag 1 in trees; each protocol writes them in its own way.

use axum::http::{HeaderMap, Method, Uri};
use bytes::Bytes;
use ciborium::Value;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::fault::Fault;
use crate::http::Response;

mod cbor;
mod fields;

pub use fields::{Time, flag, float, floats, int};

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Smithy RPC v2 CBOR, the Rust SDK's.
    Cbor,
}

/// A decoded request.
#[derive(Debug)]
pub struct Call {
    /// How it was sent, and is to be answered.
    pub protocol: Protocol,
    /// The operation's name, such as `PutMetricAlarm`.
    pub operation: String,
    /// Its input.
    pub input: Value,
}

impl Call {
    /// Decodes a request.
    pub fn decode(method: &Method, uri: &Uri, _headers: &HeaderMap, body: &Bytes) -> Result<Self, Fault> {
        if method != Method::POST {
            return Err(Fault::unknown_operation(uri.path()));
        }
        cbor::decode(uri, body)
    }
}

impl Protocol {
    /// The answer to an operation.
    pub fn answer(self, result: Result<Value, Fault>) -> Response {
        match self {
            Self::Cbor => cbor::answer(result),
        }
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

/// A key and its value, such as a tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}
