//! What the tests of this folder begin with.

use jiff::Timestamp;

use crate::api::Recording;

/// A recording that a policy made, with defaults everywhere.
pub fn recording(name: &str, start: Timestamp) -> Recording {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "kvs-operator.io/v1alpha1",
        "kind": "Recording",
        "metadata": { "name": name, "namespace": "ns", "generation": 1, "uid": "0b5d" },
        "spec": {
            "streamName": "s",
            "streamARN": "arn:aws:kinesisvideo:eu-west-1:111122223333:stream/s/1700000000000",
            "region": "eu-west-1",
            "start": start,
            "cause": { "policy": "p" },
            "destination": { "s3": { "bucket": "bucket" } },
        },
    }))
    .unwrap()
}

/// A time of one morning, as `HH:MM:SS`.
pub fn at(time: &str) -> Timestamp {
    format!("2026-03-01T{time}Z").parse().unwrap()
}
