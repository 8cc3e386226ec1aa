//! `kvs-operator find`: the file and the place in it, or what is nearest.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    sim::{STREAM, Sim},
    verify::{PREFIX, archived},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_is_found_in_every_recording_that_has_it() {
    let sim = Sim::start().await;
    archived(&sim).await;
    let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
    let find = async |stream: &str, at: Timestamp| {
        let place = ["--bucket", &sim.bucket, "--prefix", PREFIX];
        let output = sim
            .kvs_operator(&[&["find", stream, "--at", &at.to_string()][..], &place].concat())
            .await;
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), found)
    };
    let ledger = sim.ledger();
    let times = || ledger.iter().flat_map(|e| &e.packets).map(|p| p.timestamp_millis);
    let (first, last) = (times().min().unwrap(), times().max().unwrap());

    let middle = (first + last) / 2;
    let (code, found) = find(STREAM, at(middle)).await;
    assert_eq!(code, Some(0), "{found}");
    let files = found["files"].as_array().unwrap();
    assert_eq!(files.len(), 2, "both recordings have it: {found}");
    for file in files {
        let from: Timestamp = file["from"].as_str().unwrap().parse().unwrap();
        let to: Timestamp = file["to"].as_str().unwrap().parse().unwrap();
        assert!(from <= at(middle) && at(middle) <= to + SignedDuration::from_millis(250));
        assert_eq!(file["offsetMs"], middle - from.as_millisecond());
        let key = file["key"].as_str().unwrap();
        assert!(sim.keys(PREFIX).await.iter().any(|k| k == key), "{key}");
    }

    for (moment, side, other) in [
        (first - 60_000, "after", "before"),
        (last + 60_000, "before", "after"),
    ] {
        let (code, found) = find(STREAM, at(moment)).await;
        assert_eq!(
            (code, found["files"].as_array().unwrap().len()),
            (Some(1), 0),
            "{found}"
        );
        assert!(
            found[side]["key"].is_string() && found[other].is_null(),
            "{found}"
        );
    }
    assert_eq!(find("another", at(middle)).await.0, Some(2));
}
