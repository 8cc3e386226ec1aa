//! Smithy RPC v2 CBOR: `POST /service/{service}/operation/{operation}`.

use axum::http::{HeaderValue, StatusCode, Uri, header};
use bytes::Bytes;
use ciborium::Value;

use super::{Call, Fault, MAP, Service};
use crate::http::{Body, Response};

pub(super) fn decode(service: &Service, uri: &Uri, body: &Bytes) -> Result<Call, Fault> {
    let operation = uri
        .path()
        .strip_prefix("/service/")
        .and_then(|rest| rest.strip_prefix(service.target))
        .and_then(|rest| rest.strip_prefix("/operation/"))
        .ok_or_else(|| Fault::unknown_operation(uri.path()))?;
    let input = if body.is_empty() {
        super::empty()
    } else {
        ciborium::from_reader(body.as_ref()).map_err(|e| Fault::serialization(e.to_string()))?
    };
    Ok(Call {
        operation: operation.to_owned(),
        input,
    })
}

pub(super) fn answer(service: &Service, result: Result<Value, Fault>) -> Response {
    let (status, tree, fault) = match result {
        Ok(tree) => (StatusCode::OK, tree, None),
        Err(fault) => {
            let members = [
                ("__type", format!("{}#{}", service.shapes, fault.shape)),
                ("message", fault.message.clone()),
            ];
            let tree = members.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
            (fault.status, Value::Map(tree), Some(fault))
        }
    };
    let tree = unmarked(tree);
    let mut bytes = Vec::new();
    // Writing a tree into memory has no way to fail.
    let _ = ciborium::into_writer(&tree, &mut bytes);
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/cbor"));
    headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    if let Some(fault) = fault {
        fault.mark(&mut response);
    }
    response
}

/// CBOR writes maps and structures alike.
fn unmarked(tree: Value) -> Value {
    match tree {
        Value::Tag(MAP, inner) => unmarked(*inner),
        Value::Map(members) => Value::Map(members.into_iter().map(|(name, v)| (name, unmarked(v))).collect()),
        Value::Array(items) => Value::Array(items.into_iter().map(unmarked).collect()),
        other => other,
    }
}
