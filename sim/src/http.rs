//! What every service needs of a request: which region it is signed for, and the answer's common headers.

use axum::http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;

use crate::world::DEFAULT_REGION;

/// The body type of requests and answers.
pub use axum::body::Body;
/// A request.
pub type Request = axum::http::Request<Body>;
/// An answer.
pub type Response = axum::http::Response<Body>;

/// The region in the signature's credential scope (`Credential=KEY/DATE/REGION/SERVICE/aws4_request`).
pub fn region(headers: &HeaderMap) -> String {
    scope(headers, 2).unwrap_or(DEFAULT_REGION).to_owned()
}

/// The service in the signature's credential scope.
pub fn service(headers: &HeaderMap) -> Option<&str> {
    scope(headers, 3)
}

fn scope(headers: &HeaderMap, part: usize) -> Option<&str> {
    let signature = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    signature.split("Credential=").nth(1)?.split('/').nth(part)
}

/// A Date header from the simulator's own clock, and a request id.
pub fn stamp(response: &mut Response, now: Timestamp, id: u64) {
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
    if let Some(date) = date.ok().and_then(|d| HeaderValue::from_str(&d).ok()) {
        response.headers_mut().insert(header::DATE, date);
    }
    if let Ok(id) = HeaderValue::from_str(&format!("{id:016x}")) {
        response.headers_mut().insert("x-amzn-requestid", id.clone());
        response.headers_mut().insert("x-amz-request-id", id);
    }
}
