//! Answers: documents, empty ones, times, and bodies from disk.

use std::io::SeekFrom;

use axum::http::{HeaderValue, StatusCode, header};
use bytes::{Bytes, BytesMut};
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::xml::Element;
use crate::http::{Body, Response};

/// How much of a body is in memory at once.
const PIECE: usize = 256 << 10;

/// 200 without a body.
pub fn empty() -> Response {
    Response::new(Body::empty())
}

/// 204.
pub fn no_content() -> Response {
    let mut response = empty();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// 200 with a document.
pub fn xml(document: &Element) -> Response {
    text("application/xml", document.document())
}

/// 200 with a text of a type.
pub fn text(kind: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A time as documents have it. S3 keeps whole seconds.
pub fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// A time as headers have it.
pub fn http_date(time: Timestamp) -> String {
    DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&time)
        .unwrap_or_default()
}

/// Bytes of a file, read as the client takes them.
pub fn file(file: std::fs::File, from: u64, count: u64) -> Body {
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(PIECE);
    let stream =
        futures::stream::try_unfold((file, Some(from), count), |(mut file, seek, left)| async move {
            if let Some(from) = seek {
                file.seek(SeekFrom::Start(from)).await?;
            }
            if left == 0 {
                return Ok::<Option<(Bytes, _)>, std::io::Error>(None);
            }
            let mut piece = BytesMut::with_capacity(usize::try_from(left).unwrap_or(PIECE).min(PIECE));
            if (&mut file).take(left).read_buf(&mut piece).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let left = left - piece.len() as u64;
            Ok(Some((piece.freeze(), (file, None, left))))
        });
    Body::from_stream(stream)
}
