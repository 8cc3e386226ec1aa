//! What a request is, in AWS's words: which operation, on which stream.

use std::collections::HashMap;

use axum::http::{header, request::Parts};
use serde_json::Value;

/// A request, as rules see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// AWS's name of the operation, where it can be told.
    pub operation: Option<String>,
    /// The name of the Kinesis Video stream, where there is one.
    pub stream: Option<String>,
    /// The name of the alarm, where there is one.
    pub alarm: Option<String>,
    /// The path.
    pub path: String,
}

impl Target {
    /// A request of Kinesis Video.
    pub fn kvs(parts: &Parts, body: &[u8]) -> Self {
        let path = parts.uri.path();
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|v| v.to_str().ok())
                .map(str::to_owned)
        };
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let field = |name: &str| body[name].as_str().map(str::to_owned);
        let arn = field("StreamARN")
            .or_else(|| field("ResourceARN"))
            .or_else(|| header("x-amzn-stream-arn"));
        let of_arn = arn.and_then(|arn| arn.split('/').nth(1).map(str::to_owned));
        Self {
            operation: Some(capitalized(path.trim_start_matches('/'))),
            stream: field("StreamName")
                .or_else(|| header("x-amzn-stream-name"))
                .or(of_arn),
            alarm: None,
            path: path.to_owned(),
        }
    }

    /// A request of a service that is called by operation, in any of its protocols.
    pub fn by_operation(parts: &Parts, body: &[u8]) -> Self {
        let path = parts.uri.path();
        let json = parts
            .headers
            .get("x-amz-target")
            .and_then(|v| v.to_str().ok())
            .and_then(|t| t.rsplit('.').next());
        let cbor = path.rsplit_once("/operation/").map(|(_, operation)| operation);
        let form: HashMap<String, String> = serde_urlencoded::from_bytes(body).unwrap_or_default();
        let query = |name: &str| form.get(name).cloned();
        let (operation, alarm) = if let Some(json_operation) = json {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            let alarm = body["AlarmName"].as_str().map(str::to_owned);
            (Some(json_operation.to_owned()), alarm)
        } else if let Some(operation) = cbor {
            (Some(operation.to_owned()), alarm_in_cbor(body))
        } else {
            (query("Action"), query("AlarmName"))
        };
        Self {
            operation,
            stream: None,
            alarm,
            path: path.to_owned(),
        }
    }

    /// A request of S3, whose operation S3 itself tells.
    pub fn s3(parts: &Parts, operation: Option<String>) -> Self {
        Self {
            operation,
            path: parts.uri.path().to_owned(),
            ..Self::default()
        }
    }

    /// Whether a request's operation is in a form in its body.
    pub fn is_form(parts: &Parts) -> bool {
        let kind = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok());
        kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
    }
}

fn alarm_in_cbor(body: &[u8]) -> Option<String> {
    let tree: ciborium::Value = ciborium::from_reader(body).ok()?;
    let members = tree.as_map()?;
    let (_, name) = members
        .iter()
        .find(|(name, _)| name.as_text() == Some("AlarmName"))?;
    name.as_text().map(str::to_owned)
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn operations_have_awss_names() {
        let list = parts("POST", "/listFragments", &[]);
        let target = Target::kvs(
            &list,
            br#"{"StreamARN": "arn:aws:kinesisvideo:r:1:stream/cam/1"}"#,
        );
        assert_eq!(
            (target.operation.as_deref(), target.stream.as_deref()),
            (Some("ListFragments"), Some("cam"))
        );
        let put = parts("POST", "/putMedia", &[("x-amzn-stream-name", "cam")]);
        let target = Target::kvs(&put, b"");
        assert_eq!(
            (target.operation.as_deref(), target.stream.as_deref()),
            (Some("PutMedia"), Some("cam"))
        );

        let cbor = parts(
            "POST",
            "/service/GraniteServiceVersion20100801/operation/DescribeAlarms",
            &[],
        );
        let json = parts(
            "POST",
            "/",
            &[("x-amz-target", "GraniteServiceVersion20100801.DescribeAlarms")],
        );
        let query = parts(
            "POST",
            "/",
            &[("content-type", "application/x-www-form-urlencoded")],
        );
        // {"AlarmName": "a"}
        let tree = b"\xa1\x69AlarmName\x61a".as_slice();
        for (parts, body) in [
            (cbor, tree),
            (json, br#"{"AlarmName": "a"}"#),
            (query, b"Version=1&Action=DescribeAlarms&AlarmName=a"),
        ] {
            let target = Target::by_operation(&parts, body);
            assert_eq!(
                (target.operation.as_deref(), target.alarm.as_deref()),
                (Some("DescribeAlarms"), Some("a"))
            );
        }
    }
}
