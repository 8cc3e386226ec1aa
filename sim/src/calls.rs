//! How often each operation was called and how much was sent back: what a client costs, counted where it cannot be wrong
//! about itself.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use serde::Serialize;

use crate::http::{Body, Response};

/// All calls since the simulator began, by AWS's name of the operation.
#[derive(Debug, Default)]
pub struct Calls {
    counts: Mutex<BTreeMap<String, Arc<Count>>>,
}

/// The calls of one operation.
#[derive(Debug, Default)]
pub struct Count {
    calls: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// What was counted of one operation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// How often it was called.
    pub calls: u64,
    /// Bytes that the requests' bodies were to have, where they said so.
    pub bytes_in: u64,
    /// Bytes of the answers' bodies, as far as connections took them.
    pub bytes_out: u64,
}

impl Calls {
    /// Counts a call.
    pub fn begin(&self, operation: &str, headers: &HeaderMap) -> Arc<Count> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(operation.to_owned()).or_default().clone();
        let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
        let bytes = length.and_then(|v| v.parse().ok()).unwrap_or(0);
        count.calls.fetch_add(1, Ordering::Relaxed);
        count.bytes_in.fetch_add(bytes, Ordering::Relaxed);
        count
    }

    /// All counts.
    pub fn all(&self) -> BTreeMap<String, Counts> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |count: &Count| Counts {
            calls: count.calls.load(Ordering::Relaxed),
            bytes_in: count.bytes_in.load(Ordering::Relaxed),
            bytes_out: count.bytes_out.load(Ordering::Relaxed),
        };
        counts
            .iter()
            .map(|(operation, count)| (operation.clone(), read(count)))
            .collect()
    }
}

/// An answer whose body is counted while it is sent.
pub fn counted(response: Response, count: Arc<Count>) -> Response {
    response.map(|inner| Body::new(Counted { inner, count }))
}

struct Counted {
    inner: Body,
    count: Arc<Count>,
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.count.bytes_out.fetch_add(bytes, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
