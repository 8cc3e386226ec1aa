//! AWS JSON 1.0 and 1.1: `X-Amz-Target: {service}.{operation}`, timestamps as epoch seconds.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::Bytes;
use ciborium::Value;
use serde_json::json;

use super::{Call, Fault, Service, tree};
use crate::http::{Body, Response};

pub(super) fn decode(service: &Service, headers: &HeaderMap, body: &Bytes) -> Result<Call, Fault> {
    let target = headers
        .get("x-amz-target")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let operation = target
        .strip_prefix(service.target)
        .and_then(|rest| rest.strip_prefix('.'))
        .ok_or_else(|| Fault::unknown_operation(target))?;
    let input = if body.is_empty() {
        super::empty()
    } else {
        let json: serde_json::Value =
            serde_json::from_slice(body).map_err(|e| Fault::serialization(e.to_string()))?;
        tree(&json)?
    };
    Ok(Call {
        operation: operation.to_owned(),
        input,
    })
}

pub(super) fn answer(service: &Service, result: Result<Value, Fault>) -> Response {
    let (status, body, fault) = match result {
        Ok(tree) => (StatusCode::OK, plain(&tree), None),
        Err(fault) => {
            let shape = format!("{}#{}", service.shapes, fault.shape);
            (
                fault.status,
                json!({ "__type": shape, "message": fault.message }),
                Some(fault),
            )
        }
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    if let Ok(content_type) = HeaderValue::from_str(&format!("application/x-amz-json-{}", service.json)) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    if let Some(fault) = fault {
        fault.mark(&mut response);
    }
    response
}

fn plain(tree: &Value) -> serde_json::Value {
    match tree {
        Value::Map(members) => members
            .iter()
            .filter_map(|(name, v)| Some((name.as_text()?.to_owned(), plain(v))))
            .collect(),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Tag(_, inner) => plain(inner),
        Value::Text(text) => text.clone().into(),
        Value::Bool(flag) => (*flag).into(),
        Value::Integer(number) => i64::try_from(i128::from(*number)).ok().into(),
        Value::Float(number) => (*number).into(),
        _ => serde_json::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_seconds() {
        let time = Value::Tag(1, Box::new(Value::Float(12.5)));
        let tree = Value::Map(vec![
            ("At".into(), time),
            ("List".into(), Value::Array(vec![1.into()])),
        ]);
        assert_eq!(plain(&tree), json!({ "At": 12.5, "List": [1] }));
    }
}
