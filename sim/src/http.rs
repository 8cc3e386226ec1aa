//! What every service needs of a request: which region and account it is signed for, and the answer's common headers.

use axum::http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;

use crate::world::{ACCOUNT, DEFAULT_REGION, Place};

/// The body type of requests and answers.
pub use axum::body::Body;
/// A request.
pub type Request = axum::http::Request<Body>;
/// An answer.
pub type Response = axum::http::Response<Body>;

/// A part of the signature's credential scope (`Credential=KEY/DATE/REGION/SERVICE/aws4_request`).
fn scope(headers: &HeaderMap, part: usize) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.split("Credential=").nth(1)?.split('/').nth(part)
}

/// The region that a request is signed for.
pub fn region(headers: &HeaderMap) -> String {
    scope(headers, 2).unwrap_or(DEFAULT_REGION).to_owned()
}

/// The service that a request is signed for.
pub fn service(headers: &HeaderMap) -> Option<&str> {
    scope(headers, 3)
}

/// The account of the credentials that a request is signed with: that of the assumed role, else the one account.
pub fn account(headers: &HeaderMap) -> &str {
    scope(headers, 0)
        .and_then(crate::sts::account_of)
        .unwrap_or(ACCOUNT)
}

/// Where a request goes: its account and region.
pub fn place(headers: &HeaderMap) -> String {
    Place::key(account(headers), &region(headers))
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
