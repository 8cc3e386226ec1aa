//! Smithy RPC v2 CBOR: `POST /service/GraniteServiceVersion20100801/operation/{operation}`.

use axum::http::{HeaderValue, StatusCode, Uri, header};
use bytes::Bytes;
use ciborium::Value;

use super::{super::fault::Fault, Call, Protocol};
use crate::http::{Body, Response};

const PREFIX: &str = "/service/GraniteServiceVersion20100801/operation/";

pub(super) fn decode(uri: &Uri, body: &Bytes) -> Result<Call, Fault> {
    let operation = uri
        .path()
        .strip_prefix(PREFIX)
        .ok_or_else(|| Fault::unknown_operation(uri.path()))?;
    let input = if body.is_empty() {
        super::empty()
    } else {
        ciborium::from_reader(body.as_ref()).map_err(|e| Fault::serialization(e.to_string()))?
    };
    Ok(Call {
        protocol: Protocol::Cbor,
        operation: operation.to_owned(),
        input,
    })
}

pub(super) fn answer(result: Result<Value, Fault>) -> Response {
    let (status, tree, code) = match result {
        Ok(tree) => (StatusCode::OK, tree, None),
        Err(fault) => {
            let members = [
                ("__type", format!("com.amazonaws.cloudwatch#{}", fault.shape)),
                ("message", fault.message.clone()),
            ];
            let tree = members.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
            (fault.status, Value::Map(tree), Some(fault.code))
        }
    };
    let mut bytes = Vec::new();
    // Writing a tree into memory has no way to fail.
    let _ = ciborium::into_writer(&tree, &mut bytes);
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/cbor"));
    headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    if let Some(code) = code {
        let who = if status.is_server_error() {
            "Receiver"
        } else {
            "Sender"
        };
        if let Ok(value) = HeaderValue::from_str(&format!("{code};{who}")) {
            headers.insert("x-amzn-query-error", value);
        }
    }
    response
}
