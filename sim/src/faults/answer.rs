//! Does to an answer what a fault says, in the words of the service that it is of.

use std::{io, time::Duration};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use bytes::Bytes;
use ciborium::Value;
use tokio_stream::StreamExt;

use super::Fault;
use crate::http::{Body, Response};

/// Which service's words an error is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// JSON with the name in a header.
    Kvs,
    /// XML.
    S3,
    /// CBOR, JSON or XML, as the client speaks.
    ByOperation,
}

/// Performs a request, or not, and does what the fault says.
pub async fn apply(
    fault: Fault,
    words: Words,
    parts: &Parts,
    perform: impl Future<Output = Response>,
) -> Response {
    match fault {
        Fault::Error {
            code,
            status,
            message,
            performed,
        } => {
            if performed {
                perform.await;
            }
            let message = if message.is_empty() {
                "A fault on demand.".to_owned()
            } else {
                message
            };
            error(words, &parts.headers, parts.uri.path(), &code, status, &message)
        }
        Fault::Delay { millis } => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            perform.await
        }
        Fault::Cut { bytes } => limited(perform.await, bytes, Some(End::Cut)),
        Fault::Stall { bytes } => limited(perform.await, bytes, Some(End::Stall)),
        Fault::Truncate { bytes } => limited(perform.await, bytes, None),
        // The operations read them off the request's extensions; the last two are not about requests.
        Fault::InBand { .. }
        | Fault::Lag { .. }
        | Fault::KeyDenied {}
        | Fault::Twice {}
        | Fault::Missing {} => perform.await,
    }
}

#[derive(Clone, Copy)]
enum End {
    Cut,
    Stall,
}

/// The first bytes of a body, and then an end of some kind.
fn limited(response: Response, bytes: u64, end: Option<End>) -> Response {
    let (mut head, body) = response.into_parts();
    if end.is_none() {
        // With the length in its head a short body would not look complete.
        head.headers.remove(header::CONTENT_LENGTH);
    }
    let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
    let first = body
        .into_data_stream()
        .map(|piece| piece.map_err(io::Error::other))
        .map_while(move |piece| match piece {
            _ if left == 0 => None,
            Ok(piece) => {
                let piece = piece.slice(..piece.len().min(left));
                left -= piece.len();
                Some(Ok(piece))
            }
            Err(error) => Some(Err(error)),
        });
    let body = match end {
        None => Body::from_stream(first),
        Some(End::Cut) => {
            // A body's error closes the connection at once; what comes before it must have left the machine.
            let cut = futures::stream::once(async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err::<Bytes, _>(io::Error::other("cut"))
            });
            Body::from_stream(first.chain(cut))
        }
        Some(End::Stall) => Body::from_stream(first.chain(tokio_stream::pending())),
    };
    Response::from_parts(head, body)
}

fn error(words: Words, request: &HeaderMap, path: &str, code: &str, status: u16, message: &str) -> Response {
    let escaped = quick_xml::escape::escape(message);
    let members = || vec![("__type".into(), code.into()), ("message".into(), message.into())];
    let (kind, body): (_, Vec<u8>) = match words {
        Words::Kvs => (
            "application/json",
            serde_json::json!({ "Message": message }).to_string().into(),
        ),
        Words::S3 => (
            "application/xml",
            format!("<Error><Code>{code}</Code><Message>{escaped}</Message></Error>").into(),
        ),
        Words::ByOperation if request.contains_key("x-amz-target") => {
            let json = serde_json::json!({ "__type": code, "message": message });
            ("application/x-amz-json-1.0", json.to_string().into())
        }
        Words::ByOperation if path.starts_with("/service/") => {
            let mut cbor = vec![];
            // Writing into memory has no way to fail.
            let _ = ciborium::into_writer(&Value::Map(members()), &mut cbor);
            ("application/cbor", cbor)
        }
        Words::ByOperation => {
            let error =
                format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{escaped}</Message></Error>");
            (
                "text/xml",
                format!("<ErrorResponse>{error}<RequestId>fault</RequestId></ErrorResponse>").into(),
            )
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if kind == "application/cbor" {
        headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    }
    if let (Words::Kvs, Ok(code)) = (words, HeaderValue::from_str(code)) {
        headers.insert("x-amzn-errortype", code);
    }
    response
}
