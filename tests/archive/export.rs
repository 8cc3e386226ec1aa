//! `kvs-operator export`: a file whose packets are the ledger's, from the archive alone; and what is told of what is not in it.

use std::{path::Path, process::Output};

use aws_sdk_s3::types::StorageClass;
use jiff::{SignedDuration, Timestamp};
use kvs_operator::archiver::{plan::VERSION, request::TimestampType, tombstone::Tombstone};
use serde_json::Value;

use crate::{
    judge,
    sim::{STREAM, Sim},
    verify::{PREFIX, archive, archived},
};

/// Exports by the program, without KVS: every call of it fails.
async fn export(
    sim: &Sim,
    (from, to): (&str, &str),
    file: &Path,
    more: &[&str],
) -> (Option<i32>, Value, Output) {
    sim.faults(serde_json::json!([
        {"operation": "ListFragments", "fault": {"error": {"code": "AccessDenied", "status": 403}}},
        {"operation": "GetMediaForFragmentList", "fault": {"error": {"code": "AccessDenied", "status": 403}}},
        {"operation": "DescribeStream", "fault": {"error": {"code": "AccessDenied", "status": 403}}},
    ]));
    let what = [
        "export",
        STREAM,
        "--from",
        from,
        "--to",
        to,
        "-o",
        file.to_str().unwrap(),
    ];
    let place = ["--bucket", &sim.bucket, "--prefix", PREFIX];
    let output = sim.kvs_operator(&[&what[..], &place, more].concat()).await;
    sim.faults(serde_json::json!([]));
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), report, output)
}

/// The hashes of the ledger's packets of a kind, in order, where `wanted` says so of a fragment's place.
fn sent(sim: &Sim, kind: char, wanted: impl Fn(usize) -> bool) -> Vec<String> {
    let ledger = sim.ledger();
    let fragments = ledger.iter().enumerate().filter(|(place, _)| wanted(*place));
    let packets = fragments.flat_map(|(_, entry)| &entry.packets);
    packets
        .filter(|p| p.codec_id.starts_with(kind))
        .map(|p| p.sha256.clone())
        .collect()
}

/// When the first packet of the ledger was taken, and when the last, in ms since 1970.
fn sent_from_to(sim: &Sim) -> (i64, i64) {
    let packets = sim.ledger().into_iter().flat_map(|e| e.packets);
    let times: Vec<i64> = packets.map(|p| p.timestamp_millis).collect();
    (*times.iter().min().unwrap(), *times.iter().max().unwrap())
}

fn at(ms: i64) -> String {
    Timestamp::from_millisecond(ms).unwrap().to_string()
}

fn hashes(packets: &judge::Packets, kind: &str) -> Vec<String> {
    packets[kind].iter().map(|p| p.1.clone()).collect()
}

fn kinds(report: &Value) -> Vec<&str> {
    let notes = report["notes"].as_array().unwrap().iter();
    notes.map(|n| n["kind"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_the_footage_once() {
    let sim = Sim::start().await;
    // Two recordings of the same footage.
    archived(&sim).await;
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = sent_from_to(&sim);
    let all = (at(first), at(last + 1));
    for name in ["all.mp4", "all.mkv"] {
        let file = folder.path().join(name);
        let (code, report, output) = export(&sim, (&all.0, &all.1), &file, &[]).await;
        assert_eq!(code, Some(0), "{output:?}");
        let packets = judge::packets(&std::fs::read(&file).unwrap(), &name[4..]);
        for (letter, kind) in [('V', "video"), ('A', "audio")] {
            assert!(
                hashes(&packets, kind) == sent(&sim, letter, |_| true),
                "{name}: {kind}"
            );
        }
        assert_eq!(report["file"]["fragments"], sim.ledger().len());
        assert!(kinds(&report).iter().all(|k| *k == "gap"), "{report}");
    }

    // Whole fragments, from the folder alone, in a time zone; a file that is there stays.
    let ledger = sim.ledger();
    let starts: Vec<i64> = ledger
        .iter()
        .map(|e| e.packets.iter().map(|p| p.timestamp_millis).min().unwrap())
        .collect();
    let copy = folder.path().join("copy");
    for key in sim.keys(PREFIX).await {
        let path = copy.join(&key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, sim.object(&key).await).unwrap();
    }
    let file = folder.path().join("some.mp4");
    let copy = copy.to_str().unwrap();
    let (code, report, output) = export(
        &sim,
        (&at(starts[2] + 5), &at(starts[4] + 5)),
        &file,
        &["--dir", copy],
    )
    .await;
    assert_eq!(
        (code, &report["file"]["fragments"]),
        (Some(0), &3.into()),
        "{output:?}"
    );
    let packets = judge::packets(&std::fs::read(&file).unwrap(), "mp4");
    assert!(hashes(&packets, "video") == sent(&sim, 'V', |place| (2..=4).contains(&place)));
    let covers: Timestamp = report["file"]["covers"]["from"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(covers.as_millisecond(), starts[2]);
    let (code, ..) = export(&sim, (&all.0, &all.1), &file, &[]).await;
    assert_eq!(code, Some(2), "it is not replaced unasked");
    let (code, ..) = export(&sim, (&all.0, &all.1), &file, &["--overwrite"]).await;
    assert_eq!(code, Some(0));
    for (span, name, expected) in [
        ((&at(first - 60_000), &at(first - 1000)), "none.mp4", 1),
        ((&all.1, &all.0), "none.mp4", 2),
        ((&all.0, &all.1), "none.avi", 2),
    ] {
        let file = folder.path().join(name);
        let (code, _, output) = export(&sim, (span.0, span.1), &file, &[]).await;
        assert_eq!((code, file.exists()), (Some(expected), false), "{output:?}");
    }

    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 4, "nothing else is left: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_glacier_another_recordings_copy_is_taken_and_without_one_the_file_is_named() {
    let sim = Sim::start().await;
    archived(&sim).await;
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = sent_from_to(&sim);
    let all = (at(first), at(last + 1));
    let documents = sim.keys(&format!("{PREFIX}/_kvs/")).await;
    let file = folder.path().join("all.mp4");
    for (recording, expected) in [("/one-", 0), ("/two-", 1)] {
        let manifest = documents
            .iter()
            .find(|k| k.contains(recording) && k.ends_with(".manifest.json"));
        let manifest: Value = serde_json::from_slice(&sim.object(manifest.unwrap()).await).unwrap();
        for object in manifest["objects"].as_array().unwrap() {
            let key = object["key"].as_str().unwrap();
            let put = sim.s3.put_object().bucket(&sim.bucket).key(key);
            let put = put.body(sim.object(key).await.into());
            put.storage_class(StorageClass::Glacier).send().await.unwrap();
        }
        let more = ["--overwrite", "--tz", "Europe/Berlin", "--output", "text"];
        let (code, _, output) = export(&sim, (&all.0, &all.1), &file, &more).await;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(code, Some(expected), "{said}");
        assert!(
            said.contains(["+01:00", "is in GLACIER"][expected as usize]),
            "{said}"
        );
    }
}

/// Camera's time with a gap and a repeat, and footage that was erased by rule: each is told, where it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_one_would_think_is_told() {
    let sim = Sim::start().await;
    let folder = tempfile::tempdir().unwrap();
    let footage = crate::sim::footage(folder.path());
    let from = sim.now();
    let start = from - SignedDuration::from_mins(10);
    sim.put_from(&footage, 1, Some(start)).await;
    let one = sim.ledger().len();
    let end = |sim: &Sim| sent_from_to(sim).1;
    let first_end = end(&sim);
    // Half a minute of nothing; then the same again, five seconds too early by the camera's clock.
    let second = Timestamp::from_millisecond(first_end + 30_000).unwrap();
    sim.put_from(&footage, 1, Some(second)).await;
    let third = Timestamp::from_millisecond(end(&sim) - 5_000).unwrap();
    sim.put_from(&footage, 1, Some(third)).await;
    let to = sim.now();
    sim.advance(SignedDuration::from_hours(1));
    archive(
        &sim,
        (&from.to_string(), &to.to_string()),
        &["--recording", "one"],
    )
    .await;

    let last = Timestamp::from_millisecond(end(&sim) + 1).unwrap();
    let span = (start.to_string(), last.to_string());
    let file = folder.path().join("notes.mp4");
    let (code, report, output) = export(&sim, (&span.0, &span.1), &file, &[]).await;
    assert_eq!(code, Some(0), "{output:?}");
    assert_eq!(kinds(&report), ["gap", "repeat"], "{report}");
    let at = report["notes"][0]["atMs"].as_i64().unwrap();
    assert!(
        (at - (first_end - start.as_millisecond())).abs() <= 60,
        "{report}"
    );
    let packets = judge::packets(&std::fs::read(&file).unwrap(), "mp4");
    assert!(hashes(&packets, "video") == sent(&sim, 'V', |_| true));

    // The rule of a tombstone counts from when it is there.
    let arn = format!("arn:aws:kinesisvideo:us-east-1:123456789012:stream/{STREAM}/");
    let manifest = sim.keys(&format!("{PREFIX}/_kvs/")).await;
    let stream_folder = manifest[0].split_inclusive('/').take(4).collect::<String>();
    let erased = Tombstone {
        version: VERSION,
        program: "test".into(),
        stream_arn: arn,
        timestamp_type: TimestampType::ProducerTimestamp,
        from: second,
        to: last,
        objects: vec![],
    };
    let key = erased.key(&format!("{stream_folder}erased/"), 1);
    let put = sim.s3.put_object().bucket(&sim.bucket).key(key);
    put.body(serde_json::to_vec(&erased).unwrap().into())
        .send()
        .await
        .unwrap();
    let (code, report, output) = export(&sim, (&span.0, &span.1), &file, &["--overwrite"]).await;
    assert_eq!(code, Some(0), "{output:?}");
    assert!(kinds(&report).contains(&"erased"), "{report}");
    let packets = judge::packets(&std::fs::read(&file).unwrap(), "mp4");
    assert!(hashes(&packets, "video") == sent(&sim, 'V', |place| place < one));

    // A changed file is never joined.
    let key = sim.keys(&format!("{PREFIX}/stream=")).await.remove(0);
    let mut content = sim.object(&key).await;
    let middle = content.len() / 2;
    content[middle] ^= 1;
    sim.s3
        .put_object()
        .bucket(&sim.bucket)
        .key(&key)
        .body(content.into())
        .send()
        .await
        .unwrap();
    let (code, _, output) = export(&sim, (&span.0, &span.1), &folder.path().join("no.mp4"), &[]).await;
    assert_eq!(code, Some(3), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains(&key),
        "{output:?}"
    );
}
