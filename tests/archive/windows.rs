//! Windows of the camera's time, what a camera sends later, refusals and losses, through the program itself.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use kvs_operator::archiver::{
    manifest::{Fate, Manifest},
    request::{ArchiveReport, Outcome},
};
use kvs_sim::kvs::ingest::ledger::Entry;

use crate::{
    report,
    sim::{self, Sim},
};

/// The program on one span of the stream.
struct Span<'a> {
    sim: &'a Sim,
    from: Timestamp,
    to: Timestamp,
}

impl Span<'_> {
    fn new(sim: &Sim, from: Timestamp, to: Timestamp) -> Span<'_> {
        Span { sim, from, to }
    }

    async fn archive(&self, more: &[&str]) -> (Option<i32>, ArchiveReport) {
        let output = self.sim.archive(self.from, self.to, more).await;
        (output.status.code(), report(&output))
    }

    /// Sweeps until nothing new is found and the root is there. A hostile AWS lists late.
    async fn closed(&self, more: &[&str]) -> ArchiveReport {
        for _ in 0..6 {
            let (code, told) = self.archive(&[&["--sweep", "--close"], more].concat()).await;
            assert_eq!(code, Some(0), "{told:?}");
            if told.outcome == Outcome::Closed {
                return told;
            }
            self.sim.advance(SignedDuration::from_mins(3));
        }
        panic!("it does not close");
    }
}

async fn manifests(sim: &Sim) -> Vec<Manifest> {
    let mut all = vec![];
    for key in sim.keys("_kvs/").await {
        if key.ends_with(".manifest.json") {
            all.push(serde_json::from_slice(&sim.object(&key).await).unwrap());
        }
    }
    all
}

/// The numbers of the fragments that the manifests name as archived; none twice.
fn archived(manifests: &[Manifest]) -> BTreeSet<String> {
    let mut numbers = BTreeSet::new();
    for entry in manifests.iter().flat_map(|m| &m.fragments) {
        if matches!(entry.fate, Fate::Object(_)) {
            assert!(
                numbers.insert(entry.fragment.number.to_string()),
                "archived twice"
            );
        }
    }
    numbers
}

fn sent(sim: &Sim, is_inside: impl Fn(&Entry) -> bool) -> BTreeSet<String> {
    let ledger = sim.ledger();
    let inside = ledger.iter().filter(|entry| is_inside(entry));
    inside.map(|entry| entry.fragment_number.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_the_cameras_time() {
    let sim = Sim::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = sim::footage(folder.path());
    let hours = SignedDuration::from_hours;
    // Nine hours long: three slices. What was sent before and behind it in the same minute stays out.
    let from = Timestamp::from_millisecond((sim.now() - hours(11)).as_millisecond()).unwrap();
    let to = from + hours(9);
    for start in [from - hours(1), from + hours(5), from, to] {
        sim.put_from(&file, 1, Some(start)).await;
    }
    sim.advance(hours(1));
    let span = Span::new(&sim, from, to);
    let (code, told) = span.archive(&["--by", "producer"]).await;
    assert_eq!(
        (code, told.outcome, told.through),
        (Some(0), Outcome::Committed, Some(to)),
        "{told:?}"
    );
    let closed = span.closed(&["--by", "producer"]).await;
    let manifests = manifests(&sim).await;
    let inside = sent(&sim, |entry| {
        (from.as_millisecond()..to.as_millisecond()).contains(&entry.producer_timestamp_millis)
    });
    assert!(!inside.is_empty() && inside.len() < sim.ledger().len());
    assert_eq!(archived(&manifests), inside);
    assert_eq!(
        (closed.counts.fragments, closed.counts.lost),
        (inside.len() as i64, 0)
    );
    let slices = sim
        .keys("_kvs/")
        .await
        .into_iter()
        .filter(|k| k.contains("/slice-") && k.ends_with(".manifest.json"));
    assert_eq!(slices.count(), 3, "four hours each at most");
    let (code, told) = span
        .archive(&["--by", "producer", "--sweep", "--late-uploads"])
        .await;
    assert_eq!((code, told.outcome), (Some(2), Outcome::Invalid));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_camera_sends_later_is_found_by_its_own_time() {
    let sim = Sim::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = sim::footage(folder.path());
    let from = sim.now();
    sim.put(&file, 1).await;
    sim.advance(SignedDuration::from_mins(20));
    let to = sim.now();
    sim.advance(SignedDuration::from_hours(1));
    let span = Span::new(&sim, from, to);
    assert_eq!(span.archive(&[]).await.0, Some(0));
    sim.put_from(&file, 1, Some(from + SignedDuration::from_mins(5)))
        .await;
    sim.advance(SignedDuration::from_mins(10));
    let closed = span.closed(&["--late-uploads"]).await;
    let millis = |t: Timestamp| t.as_millisecond();
    let inside = sent(&sim, |entry| {
        (millis(from)..millis(to)).contains(&entry.server_timestamp_millis)
            || (millis(from) - 20_000..millis(to)).contains(&entry.producer_timestamp_millis)
    });
    assert_eq!(inside.len(), sim.ledger().len());
    assert_eq!(archived(&manifests(&sim).await), inside);
    assert_eq!(closed.counts.fragments, inside.len() as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_altogether_commits_nothing_and_who_is_refused_in_part_says_so() {
    let sim = Sim::start().await;
    let folder = tempfile::tempdir().unwrap();
    let from = sim.now();
    sim.put(&sim::footage(folder.path()), 1).await;
    let to = sim.now();
    sim.advance(SignedDuration::from_hours(1));
    let span = Span::new(&sim, from, to);
    let refused = |code: &str| {
        serde_json::json!([{"operation": "GetMediaForFragmentList",
        "fault": {"error": {"code": code, "status": 403}}}])
    };
    for code in ["AccessDeniedException", "NotAuthorizedException"] {
        sim.faults(refused(code));
        let (code, told) = span.archive(&[]).await;
        assert_eq!((code, told.outcome), (Some(4), Outcome::Denied), "{told:?}");
        assert!(manifests(&sim).await.is_empty());
    }

    let one = sim.ledger()[1].fragment_number.clone();
    sim.faults(serde_json::json!([{"operation": "GetMediaForFragmentList",
        "fault": {"inBand": {"code": 4502, "fragment": one}}}]));
    let (code, told) = span.archive(&["--fail-on-loss"]).await;
    assert_eq!(
        (code, told.counts.unread, told.counts.lost),
        (Some(0), 1, 0),
        "{told:?}"
    );
    let denied = manifests(&sim)
        .await
        .iter()
        .flat_map(|m| m.fragments.clone())
        .find(|e| e.fragment.number.to_string() == one);
    assert!(matches!(denied.unwrap().fate, Fate::Unread(why) if why.denied));
    sim.faults(serde_json::json!([]));
    let closed = span.closed(&[]).await;
    assert_eq!(
        (closed.counts.fragments, closed.counts.unread),
        (sim.ledger().len() as i64, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_have_an_exit_code_where_that_is_wanted() {
    let sim = Sim::start().await;
    let folder = tempfile::tempdir().unwrap();
    let from = sim.now();
    sim.put(&sim::footage(folder.path()), 1).await;
    let to = sim.now();
    sim.advance(SignedDuration::from_hours(30));
    let span = Span::new(&sim, from, to);
    let (code, told) = span.archive(&["--fail-on-loss"]).await;
    assert_eq!(
        (code, told.outcome, told.counts.lost),
        (Some(5), Outcome::Committed, 1),
        "{told:?}"
    );
    assert!(told.losses[0].reason.starts_with("Expired"), "{told:?}");
    assert_eq!(span.archive(&[]).await.0, Some(0));
    assert_eq!(
        span.archive(&["--sweep", "--close", "--fail-on-loss"]).await.0,
        Some(5)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_elsewhere_is_named() {
    if std::env::var_os("S3_ENDPOINT").is_some() {
        eprintln!("skipped: another S3 may have no regions");
        return;
    }
    let sim = Sim::start().await;
    let from = sim.now();
    sim.advance(SignedDuration::from_hours(1));
    let span = Span::new(&sim, from, from + SignedDuration::from_mins(1));
    let (code, told) = span.archive(&["--bucket-region", "eu-west-1"]).await;
    assert_eq!((code, told.outcome), (Some(2), Outcome::Invalid), "{told:?}");
    assert!(told.error.unwrap().contains("the bucket is in region us-east-1"));
}
