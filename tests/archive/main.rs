//! `kvs-operator archive` against kvs-sim: footage that a camera sent is in the bucket, packet by packet.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod export;
mod find;
mod get_clip;
mod judge;
mod memory;
#[path = "../support/profile.rs"]
mod profile;
mod sim;
mod verify;
mod windows;

use std::{collections::BTreeMap, process::Output};

use jiff::{SignedDuration, Timestamp};
use kvs_operator::archiver::{
    manifest::{Manifest, Root},
    preview::{Preview, PreviewState},
    request::{ArchiveReport, Outcome},
};
use kvs_sim::behaviour::Behaviour;
use sha2::{Digest, Sha256};
use sim::{STREAM, Sim};

fn report(output: &Output) -> ArchiveReport {
    let line = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(line.trim()).unwrap_or_else(|e| panic!("{e}: {line}\n{said}"))
}

/// The packets of the ledger by kind: time in ms since 1970, and SHA-256.
fn persisted(sim: &Sim, window: (Timestamp, Timestamp)) -> BTreeMap<String, Vec<(i64, String)>> {
    let mut packets: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    let (from, to) = (window.0.as_millisecond(), window.1.as_millisecond());
    for entry in sim
        .ledger()
        .iter()
        .filter(|e| (from..to).contains(&e.server_timestamp_millis))
    {
        for packet in &entry.packets {
            let kind = if packet.codec_id.starts_with("V_") {
                "video"
            } else {
                "audio"
            };
            packets
                .entry(kind.into())
                .or_default()
                .push((packet.timestamp_millis, packet.sha256.clone()));
        }
    }
    packets
}

/// The packets of a closed recording's files, in the order of their keys; checksums on the way.
async fn archived(sim: &Sim, report: &ArchiveReport) -> BTreeMap<String, Vec<(i64, String)>> {
    let read = async |key: &str, sha256: &str| {
        let content = sim.object(key).await;
        assert_eq!(hex::encode(Sha256::digest(&content)), sha256, "{key}");
        content
    };
    let root = report.root.as_ref().expect("the recording is closed");
    let root: Root = serde_json::from_slice(&read(&root.key, &root.sha256).await).unwrap();
    let mut packets: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    let mut files = vec![];
    for manifest in &root.manifests {
        let manifest: Manifest =
            serde_json::from_slice(&read(&manifest.key, &manifest.sha256).await).unwrap();
        files.extend(manifest.objects);
    }
    // Footage that was listed late lies in a file of its own, which sorts to its place by the time in its key.
    files.sort_by(|a, b| a.key.cmp(&b.key));
    for object in &files {
        let content = read(&object.key, &object.sha256).await;
        let name = object.key.rsplit('/').next().unwrap();
        let begin: Timestamp = name.split('_').next().unwrap().parse().unwrap();
        for (kind, found) in judge::packets(&content, name.rsplit('.').next().unwrap()) {
            let found = found
                .into_iter()
                .map(|(time, hash)| (begin.as_millisecond() + time, hash));
            packets.entry(kind).or_default().extend(found);
        }
    }
    packets
}

#[tokio::test(flavor = "multi_thread")]
async fn every_packet_is_archived_once_by_hand() {
    let sim = Sim::start().await;
    let (from, to) = sim.footage(3).await;
    let archive = async |more: &[&str]| {
        let how = ["--prefix", "cameras/archive", "--clip-duration", "20s"];
        sim.archive(from, to, &[&how, more].concat()).await
    };

    let dry = archive(&["--dry-run"]).await;
    assert_eq!(
        dry.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&dry.stdout)
    );
    let preview: Preview = serde_json::from_slice(&dry.stdout).unwrap();
    assert_eq!(
        sim.keys("").await,
        Vec::<String>::new(),
        "a dry run writes nothing"
    );

    let output = archive(&[]).await;
    let first = report(&output);
    assert_eq!(
        (output.status.code(), first.outcome, &first.error),
        (Some(0), Outcome::Committed, &None)
    );
    assert_eq!(
        (first.counts.unread, first.counts.lost, first.through),
        (0, 0, Some(to))
    );
    let files = sim.keys("cameras/archive/stream=front-door/").await;
    assert_eq!(files.len() as i64, first.counts.clips);
    assert!(
        files.len() >= 4 && files.iter().all(|k| k.ends_with(".mp4")),
        "{files:?}"
    );

    let shown: Vec<_> = preview.files.iter().map(|f| f.key.clone()).collect();
    let mut sorted = shown.clone();
    sorted.sort();
    assert_eq!(sorted, files, "a dry run shows what is written then");
    assert_eq!(
        (
            preview.fragments as i64,
            preview.through,
            preview.gaps.len() as i64
        ),
        (first.counts.fragments, to, first.counts.gaps)
    );
    // What KVS lists is the size of its Matroska, a little more than what lies in the files.
    let bytes = first.counts.bytes as f64;
    assert!(
        (0.95..1.2).contains(&(preview.bytes as f64 / bytes)),
        "{preview:?}"
    );
    assert!((preview.usd - preview.bytes as f64 * 0.0085 / 1e9).abs() < 1e-9);
    let dry = archive(&["--dry-run"]).await;
    let preview: Preview = serde_json::from_slice(&dry.stdout).unwrap();
    assert_eq!(
        (preview.bytes, preview.slices[0].state),
        (0, PreviewState::Archived)
    );

    let again = report(&archive(&[]).await);
    assert_eq!(
        (&again.counts, &again.manifest),
        (&first.counts, &first.manifest),
        "the same again"
    );
    let closed = archive(&["--sweep", "--close"]).await;
    assert_eq!(report(&closed).outcome, Outcome::Closed);
    assert_eq!(
        sim.keys("cameras/archive/stream=").await,
        files,
        "nothing is added"
    );

    assert_same(
        &persisted(&sim, (from, to)),
        &archived(&sim, &report(&closed)).await,
    );
}

type Packets = BTreeMap<String, Vec<(i64, String)>>;

/// Every packet once, in order, at its time.
fn assert_same(expected: &Packets, found: &Packets) {
    assert_eq!(expected.keys().collect::<Vec<_>>(), ["audio", "video"]);
    for (kind, expected) in expected {
        let hashes = |packets: &[(i64, String)]| packets.iter().map(|p| p.1.clone()).collect::<Vec<_>>();
        assert!(
            hashes(expected) == hashes(&found[kind]),
            "{kind}: every packet once, in order"
        );
        for (sent, found) in expected.iter().zip(&found[kind]) {
            assert!(
                (sent.0 - found.0).abs() <= 1,
                "{kind}: sent at {}, found at {}",
                sent.0,
                found.0
            );
        }
    }
}

/// The worst answer to everything that AWS leaves open, and faults everywhere: the same footage, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_aws_changes_nothing() {
    let sim = Sim::start_with(Behaviour::hostile()).await;
    let folder = tempfile::tempdir().unwrap();
    let from = sim.now();
    sim.put(&sim::footage(folder.path()), 2).await;
    let to = sim.now();
    // Some fragments are listed two and a half minutes after they were persisted: the sweeps' part.
    sim.advance(SignedDuration::from_secs(90));
    let error = |code: &str, status: u16, performed: bool| serde_json::json!({"error": {"code": code, "status": status, "performed": performed}});
    let mut rules = vec![];
    for (operation, times, fault) in [
        (
            "ListFragments",
            2,
            error("ClientLimitExceededException", 400, false),
        ),
        ("GetDataEndpoint", 1, error("InternalFailure", 500, false)),
        (
            "GetMediaForFragmentList",
            1,
            error("ClientLimitExceededException", 400, false),
        ),
        (
            "GetMediaForFragmentList",
            2,
            serde_json::json!({"truncate": {"bytes": 300_000}}),
        ),
        (
            "GetMediaForFragmentList",
            2,
            serde_json::json!({"cut": {"bytes": 900_000}}),
        ),
        (
            "GetMediaForFragmentList",
            1,
            serde_json::json!({"inBand": {"code": 5000}}),
        ),
        ("PutObject", 2, error("SlowDown", 503, false)),
        ("PutObject", 2, error("InternalError", 500, true)),
        ("PutObject", 1, error("ConditionalRequestConflict", 409, false)),
        ("GetObject", 1, error("InternalError", 500, false)),
    ] {
        rules.push(serde_json::json!({"operation": operation, "times": times, "fault": fault}));
    }
    sim.faults(rules.into());
    let mut runs = 0;
    let closed = loop {
        runs += 1;
        let sweep: &[&str] = if runs > 1 { &["--sweep", "--close"] } else { &[] };
        let output = sim
            .archive(from, to, &[&["--clip-duration", "10s"], sweep].concat())
            .await;
        let told = report(&output);
        assert!(
            [Outcome::Committed, Outcome::NothingNew, Outcome::Closed].contains(&told.outcome),
            "{told:?}"
        );
        if told.outcome == Outcome::Closed {
            break told;
        }
        sim.advance(SignedDuration::from_mins(3));
        assert!(runs < 6, "{told:?}");
    };
    assert_eq!((closed.counts.unread, closed.counts.lost), (0, 0));
    assert_same(&persisted(&sim, (from, to)), &archived(&sim, &closed).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_passes_one_json_argument_and_leaves_a_termination_message() {
    let sim = Sim::start().await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("termination-log");
    std::fs::write(&log, "").unwrap();
    let log = log.to_str().unwrap();
    let garbage = sim
        .kvs_operator(&["archive", "--request", "{}", "--termination-log", log])
        .await;
    assert_eq!(
        (garbage.status.code(), report(&garbage).outcome),
        (Some(2), Outcome::Invalid)
    );

    let from = sim.now();
    sim.advance(SignedDuration::from_hours(1));
    let arn = format!("arn:aws:kinesisvideo:us-east-1:123456789012:stream/{STREAM}/1");
    let request = serde_json::json!({
        "version": 1,
        "streamARN": arn,
        "recording": {"name": "gone", "timestampType": "SERVER_TIMESTAMP", "start": from},
        "task": {"slice": {"from": from, "to": from + SignedDuration::from_secs(60)}},
        "destination": {"s3": {"bucket": sim.bucket, "prefix": "p"}},
        "clip": {"duration": "3m", "container": "Auto"},
        "settle": "60s",
    });
    let output = sim
        .kvs_operator(&[
            "archive",
            "--request",
            &request.to_string(),
            "--termination-log",
            log,
        ])
        .await;
    let told = report(&output);
    assert_eq!(
        (output.status.code(), told.outcome, told.counts.lost),
        (Some(0), Outcome::Committed, 1),
        "{told:?}"
    );
    assert!(
        told.losses[0].reason.starts_with("StreamDeleted"),
        "a stream made anew is another: {told:?}"
    );
    let message = std::fs::read_to_string(log).unwrap();
    assert_eq!(serde_json::from_str::<ArchiveReport>(&message).unwrap(), told);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_span_is_verified_empty_and_a_span_to_come_is_for_later() {
    let sim = Sim::start().await;
    let from = sim.now();
    sim.advance(SignedDuration::from_hours(2));
    let run = async |to: Timestamp, more: &[&str]| sim.archive(from, to, more).await;
    let empty = run(from + SignedDuration::from_hours(1), &["--fail-on-loss"]).await;
    let told = report(&empty);
    assert_eq!(
        (empty.status.code(), told.outcome, told.counts.fragments),
        (Some(0), Outcome::Committed, 0)
    );

    let later = from + SignedDuration::from_hours(9);
    let dry = run(later, &["--dry-run"]).await;
    let preview: Preview = serde_json::from_slice(&dry.stdout).unwrap();
    assert!(
        preview.through > from && preview.through < later,
        "the rest is not due: {preview:?}"
    );
    assert_eq!(preview.slices[0].from, from);
    let early = run(later, &[]).await;
    let told = report(&early);
    assert_eq!(
        (early.status.code(), told.outcome),
        (Some(1), Outcome::TryAgain),
        "{told:?}"
    );
    assert!(
        told.through
            .is_some_and(|through| through > from && through < later),
        "{told:?}"
    );
    let error = told.error.unwrap_or_default();
    assert!(
        error.contains("is archived and committed; behind it: nothing is due"),
        "{error}"
    );

    for (args, code) in [
        (vec!["--clip-duration", "1s"], 2),
        (vec!["--recording", "a/b"], 2),
        (vec!["--sweep", "--close"], 3),
        (vec!["--close"], 2),
    ] {
        let output = run(later, &args).await;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

/// Storage class, encryption, tags, locks and a legal hold: on footage and on documents, as far as each gets them.
#[tokio::test(flavor = "multi_thread")]
async fn objects_are_kept_as_the_flags_say() {
    let sim = Sim::start().await;
    let (from, to) = sim.footage(1).await;
    let archive = async |more: &str| sim.archive(from, to, &more.split(' ').collect::<Vec<_>>()).await;
    for wrong in [
        "--storage-class COLD",
        "--sse rot13",
        "--sse AES256 --sse-kms-key-id key",
        "--sse-kms-key-id key",
        "--tag team",
        "--tag aws:team=north",
        "--tag a=1 --tag a=2",
        "--object-lock-mode GOVERNANCE",
        "--object-lock-mode GOVERNANCE --object-lock-days 0",
    ] {
        assert_eq!(archive(wrong).await.status.code(), Some(2), "{wrong}");
    }
    let how = "--storage-class GLACIER_IR --sse aws:kms --sse-kms-key-id alias/north --tag team=north --tag path=a/b \
               --object-lock-mode GOVERNANCE --object-lock-days 30 --legal-hold --expected-bucket-owner 123456789012";
    let how = how.split_whitespace().collect::<Vec<_>>().join(" ");
    let output = archive(&how).await;
    assert_eq!(output.status.code(), Some(0), "{:?}", report(&output));
    let closed = archive(&format!("{how} --sweep --close")).await;
    assert_eq!(report(&closed).outcome, Outcome::Closed);
    let (mut footage, mut documents) = (0, 0);
    for key in sim.keys("").await {
        let head = sim.s3.head_object().bucket(&sim.bucket).key(&key);
        let head = head.send().await.unwrap();
        let class = head.storage_class().map(|c| c.as_str());
        let tags = sim.s3.get_object_tagging().bucket(&sim.bucket).key(&key);
        let tags = tags.send().await.unwrap().tag_set.len();
        if key.contains("/_kvs/") || key.starts_with("_kvs/") {
            documents += 1;
            assert!(matches!(class, None | Some("STANDARD")), "{key}: {class:?}");
            assert_eq!(tags, 0, "{key}");
        } else {
            footage += 1;
            assert_eq!((class, tags), (Some("GLACIER_IR"), 2), "{key}");
        }
        assert_eq!(
            head.server_side_encryption().map(|e| e.as_str()),
            Some("aws:kms"),
            "{key}"
        );
        assert!(
            head.ssekms_key_id().is_some_and(|k| k.ends_with("alias/north")),
            "{key}"
        );
        assert_eq!(
            head.object_lock_mode().map(|m| m.as_str()),
            Some("GOVERNANCE"),
            "{key}"
        );
        let until = head.object_lock_retain_until_date().unwrap().secs() - sim.now().as_second();
        assert!((29 * 86400..=30 * 86400).contains(&until), "{key}: {until}");
        assert_eq!(
            head.object_lock_legal_hold_status().map(|h| h.as_str()),
            Some("ON"),
            "{key}"
        );
    }
    assert!(footage >= 1 && documents >= 3, "{footage} {documents}");

    let other = archive("--recording other --expected-bucket-owner 999999999999").await;
    assert_eq!(
        (other.status.code(), report(&other).outcome),
        (Some(4), Outcome::Denied)
    );
}
