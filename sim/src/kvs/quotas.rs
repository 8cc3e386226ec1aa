//! The service's quotas (developer guide, "Limits"): calls a second, for a stream and for an account and region, points that
//! readers spend, and connections. What is over gets ClientLimitExceededException.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::error::{ApiError, ApiResult};
use crate::bucket::Buckets;

/// Streams of an account and region.
pub const STREAMS: usize = 10_000;

/// Points that readers of a stream's index spend in a second.
const METADATA_POINTS: f64 = 10_000.0;

/// Points that readers of a stream's media spend in a second.
const MEDIA_POINTS: f64 = 500.0;

/// Bytes a second that one reading connection gets.
pub const READ_BYTES: f64 = 25_000_000.0;

/// Calls a second: for a stream, for an account and region. `None`: not limited so.
fn calls(operation: &str) -> (Option<f64>, Option<f64>) {
    match operation {
        "CreateStream" | "ListStreams" => (None, Some(50.0)),
        "DescribeStream" | "GetDataEndpoint" => (Some(5.0), Some(300.0)),
        // Their budgets are points.
        "ListFragments" | "GetMediaForFragmentList" | "GetClip" => (None, None),
        "PutMedia" | "GetMedia" => (Some(5.0), None),
        _ => (Some(5.0), Some(50.0)),
    }
}

/// Reading connections that a stream may have at once.
fn connections(operation: &str) -> usize {
    if operation == "GetMedia" { 3 } else { 5 }
}

/// What is spent of the quotas.
#[derive(Debug, Default)]
pub struct Quotas {
    off: bool,
    buckets: Buckets<(String, String)>,
    open: Arc<Mutex<HashMap<(&'static str, String), usize>>>,
}

impl Quotas {
    /// Quotas, or none at all.
    pub fn new(on: bool) -> Self {
        Self {
            off: !on,
            ..Self::default()
        }
    }

    /// Whether there are any.
    pub fn on(&self) -> bool {
        !self.off
    }

    /// A call, of a stream where it names one that exists. `now` in ms.
    pub fn call(&self, operation: &str, region: &str, stream: Option<&str>, now: i64) -> ApiResult<()> {
        let (per_stream, per_account) = calls(operation);
        if let (Some(rate), Some(stream)) = (per_stream, stream) {
            self.spend(operation, stream, rate, 1.0, now)?;
        }
        match per_account {
            Some(rate) => self.spend(operation, region, rate, 1.0, now),
            None => Ok(()),
        }
    }

    /// Points for looking into a stream's index.
    pub fn metadata(&self, stream: &str, points: usize, now: i64) -> ApiResult<()> {
        self.spend("metadata points", stream, METADATA_POINTS, points as f64, now)
    }

    /// Points for reading a stream's media.
    pub fn media(&self, stream: &str, points: usize, now: i64) -> ApiResult<()> {
        self.spend("media points", stream, MEDIA_POINTS, points as f64, now)
    }

    /// A reading connection, for as long as what comes back lives.
    pub fn connect(&self, operation: &'static str, stream: &str) -> ApiResult<Connection> {
        let key = (operation, stream.to_owned());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(key.clone()).or_default();
        if self.on() && *count >= connections(operation) {
            let message =
                format!("The stream has {count} {operation} connections, which is all that it may have.");
            return Err(match operation {
                "GetMedia" => ApiError::too_many_connections(message),
                _ => ApiError::limit(message),
            });
        }
        *count += 1;
        Ok(Connection {
            open: self.open.clone(),
            key,
        })
    }

    fn spend(&self, what: &str, whose: &str, rate: f64, cost: f64, now: i64) -> ApiResult<()> {
        if self.off {
            return Ok(());
        }
        let key = (what.to_owned(), whose.to_owned());
        if self.buckets.take(key, rate, cost, now) {
            return Ok(());
        }
        Err(ApiError::limit(format!(
            "Rate exceeded: {rate} a second of {what} for {whose}."
        )))
    }
}

/// See [`Quotas::connect`].
#[derive(Debug)]
pub struct Connection {
    open: Arc<Mutex<HashMap<(&'static str, String), usize>>>,
    key: (&'static str, String),
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count = count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_back_with_time() {
        let quotas = Quotas::new(true);
        let describe = |now| quotas.call("DescribeStream", "r", Some("arn"), now).is_ok();
        assert_eq!(
            [0, 0, 0, 0, 0, 0].map(describe),
            [true, true, true, true, true, false]
        );
        assert_eq!([100, 200, 300, 300].map(describe), [false, true, false, false]);
        assert!((0..5).all(|_| describe(60_000)));
        assert!(quotas.call("DescribeStream", "r", Some("other"), 300).is_ok());
        assert!(Quotas::new(false).media("arn", 100_000, 0).is_ok());
    }

    #[test]
    fn points_and_connections() {
        let quotas = Quotas::new(true);
        assert!(quotas.media("arn", 400, 0).is_ok());
        assert!(quotas.media("arn", 400, 0).is_err());
        assert!(
            quotas.media("arn", 1000, 1000).is_ok(),
            "a whole second's worth was there"
        );
        assert!(quotas.media("arn", 1, 1500).is_err(), "and half a second more");
        let open: Vec<_> = (0..5)
            .map(|_| quotas.connect("GetMediaForFragmentList", "arn"))
            .collect();
        assert!(open.iter().all(Result::is_ok));
        assert!(quotas.connect("GetMediaForFragmentList", "arn").is_err());
        drop(open);
        assert!(quotas.connect("GetMediaForFragmentList", "arn").is_ok());
    }
}
