//! GetClip and GetMedia, judged by the ffmpeg program and by the ledger.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod common;

use std::{process::Command, sync::Arc, time::Duration};

use bytes::Bytes;
use common::{Service, footage, packets};
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use kvs_sim::{behaviour::Behaviour, clock::System};
use serde_json::{Value, json};
use tokio::net::TcpStream;

fn selector(kind: &str, start: i64, end: i64) -> Value {
    json!({
        "FragmentSelectorType": kind,
        "TimestampRange": { "StartTimestamp": start as f64 / 1000.0, "EndTimestamp": end as f64 / 1000.0 },
    })
}

/// Track and SHA-256 of each packet of a file, as ffmpeg reads it.
fn hashes(file: &[u8], track: &str) -> Vec<String> {
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), file).unwrap();
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path.path())
        .args([
            "-map",
            track,
            "-c",
            "copy",
            "-f",
            "framehash",
            "-hash",
            "sha256",
            "-",
        ])
        .output()
        .unwrap();
    assert!(
        run.status.success() && run.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let text = String::from_utf8(run.stdout).unwrap();
    text.lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

#[tokio::test]
async fn a_clip_has_whole_fragments_that_begin_in_the_range() {
    let service = Service::start().await;
    service.create_stream("cam", 24).await;
    service.put(&footage(), "cam", 2).await.unwrap();
    let ledger = service.ledger("cam").await;
    let inside = &ledger[1..=3];
    let (start, end) = (
        inside[0].producer_timestamp_millis,
        inside[2].producer_timestamp_millis,
    );
    let input =
        json!({ "StreamName": "cam", "ClipFragmentSelector": selector("PRODUCER_TIMESTAMP", start, end) });
    let (status, headers, clip) = service.post("/getClip", input).await;
    assert_eq!(
        (status, headers["content-type"].to_str().unwrap()),
        (200, "video/mp4")
    );
    assert_eq!(headers["content-length"], clip.len().to_string());
    for (track, number) in [("0:v", 1), ("0:a", 2)] {
        let expected: Vec<String> = inside
            .iter()
            .flat_map(|e| &e.packets)
            .filter(|p| p.track == number)
            .map(|p| p.sha256.clone())
            .collect();
        assert!(!expected.is_empty());
        assert_eq!(hashes(&clip, track), expected, "{track}");
    }
    let just_after = json!({ "StreamName": "cam", "ClipFragmentSelector": selector("PRODUCER_TIMESTAMP", start + 1, end - 1) });
    let (_, _, smaller) = service.post("/getClip", just_after).await;
    let frames = ledger[2].packets.iter().filter(|p| p.track == 1).count();
    assert_eq!(
        hashes(&smaller, "0:v").len(),
        frames,
        "one fragment begins between them"
    );
}

#[tokio::test]
async fn clips_that_cannot_be() {
    let service = Service::start().await;
    let now = kvs_sim::clock::Clock::now(&System).as_millisecond();
    service.create_stream("cam", 24).await;
    service.create_stream("nothing-kept", 0).await;
    let clip = |stream: &str, selector: Value| {
        let (service, input) = (
            &service,
            json!({ "StreamName": stream, "ClipFragmentSelector": selector }),
        );
        async move { service.error("/getClip", input).await.1 }
    };
    let day = 24 * 3_600_000;
    let table = [
        (
            "cam",
            selector("PRODUCER_TIMESTAMP", now - 1000, now),
            "ResourceNotFoundException",
        ),
        (
            "cam",
            selector("PRODUCER_TIMESTAMP", now, now),
            "InvalidArgumentException",
        ),
        (
            "cam",
            selector("PRODUCER_TIMESTAMP", now - day - 1, now),
            "InvalidArgumentException",
        ),
        (
            "cam",
            selector("SERVER_TIMESTAMP", now, now + 100_000),
            "InvalidArgumentException",
        ),
        (
            "cam",
            selector("SERVER_TIMESTAMP", now - 2 * day, now - 2 * day + 1),
            "InvalidArgumentException",
        ),
        (
            "other",
            selector("PRODUCER_TIMESTAMP", now - 1000, now),
            "ResourceNotFoundException",
        ),
        (
            "nothing-kept",
            selector("PRODUCER_TIMESTAMP", now - 1000, now),
            "NoDataRetentionException",
        ),
    ];
    for (stream, selector, expected) in table {
        assert_eq!(
            clip(stream, selector.clone()).await,
            expected,
            "{stream} {selector}"
        );
    }
    // Footage of another resolution on the same stream: the codec private data changes within the clip.
    let other = common::made(
        "other.mkv",
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=160x120:r=25:d=4",
            "-c:v",
            "libx264",
            "-g",
            "50",
        ],
    );
    let start = kvs_sim::clock::Clock::now(&System) - jiff::SignedDuration::from_hours(1);
    for (file, after) in [(footage(), 0), (other, 60)] {
        let mut options = service.options(&file, "cam", 1);
        options.start = Some(start + jiff::SignedDuration::from_secs(after));
        kvs_sim::camera::run(options, std::future::pending())
            .await
            .unwrap();
    }
    let from = start.as_millisecond();
    assert_eq!(
        clip("cam", selector("PRODUCER_TIMESTAMP", from, from + 120_000)).await,
        "InvalidCodecPrivateDataException"
    );
}

#[tokio::test]
async fn a_clip_leaves_out_what_was_sent_twice_and_may_have_other_bytes_each_time() {
    let service = Service::start_with(Arc::new(System), |s| {
        s.behaviour = Behaviour {
            clip_bytes_vary: true,
            clip_content_length: false,
            ..Behaviour::default()
        };
    })
    .await;
    service.create_stream("cam", 24).await;
    let mut options = service.options(&footage(), "cam", 1);
    let start = kvs_sim::clock::Clock::now(&System) - jiff::SignedDuration::from_hours(1);
    options.start = Some(start);
    for _ in 0..2 {
        kvs_sim::camera::run(options.clone(), std::future::pending())
            .await
            .unwrap();
    }
    let ledger = service.ledger("cam").await;
    let once: usize = ledger[..ledger.len() / 2]
        .iter()
        .flat_map(|e| &e.packets)
        .filter(|p| p.track == 1)
        .count();
    let from = start.as_millisecond();
    let input = json!({ "StreamName": "cam", "ClipFragmentSelector": selector("PRODUCER_TIMESTAMP", from, from + 600_000) });
    let (_, headers, first) = service.post("/getClip", input.clone()).await;
    let (_, _, second) = service.post("/getClip", input).await;
    assert!(!headers.contains_key("content-length"));
    assert_eq!(hashes(&first, "0:v").len(), once);
    assert_ne!(first, second);
    assert_eq!(hashes(&first, "0:v"), hashes(&second, "0:v"));
}

/// Reads GetMedia until so many continuation tokens have come.
async fn live(service: &Service, start: Value, chunks: usize) -> Vec<u8> {
    let tcp = TcpStream::connect(&service.address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
    let connection = tokio::spawn(connection);
    let input = json!({ "StreamName": "cam", "StartSelector": start }).to_string();
    let request = Request::post("/getMedia").header("host", &service.address);
    let request = request.body(Full::<Bytes>::from(input)).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    let mut all = vec![];
    while tokens(&all).len() < chunks {
        all.extend(body.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    connection.abort();
    all
}

fn tokens(body: &[u8]) -> Vec<String> {
    let name = b"AWS_KINESISVIDEO_CONTINUATION_TOKEN";
    let at = (0..body.len().saturating_sub(name.len() + 52)).filter(|at| body[*at..].starts_with(name));
    // A TagString's head has 6 bytes here.
    at.map(|at| String::from_utf8(body[at + name.len() + 6..][..47].to_vec()).unwrap())
        .collect()
}

#[tokio::test]
async fn get_media_sends_what_is_there_and_goes_on() {
    let service = Arc::new(Service::start().await);
    service.create_stream("cam", 24).await;
    service.put(&footage(), "cam", 1).await.unwrap();
    let ledger = service.ledger("cam").await;
    let numbers: Vec<String> = ledger.iter().map(|e| e.fragment_number.clone()).collect();
    let count = numbers.len();

    let all = live(&service, json!({ "StartSelectorType": "EARLIEST" }), count).await;
    assert_eq!(tokens(&all), numbers);
    let rest = json!({ "StartSelectorType": "CONTINUATION_TOKEN", "ContinuationToken": numbers[0] });
    assert_eq!(tokens(&live(&service, rest, count - 1).await), numbers[1..]);
    let third = &ledger[2];
    let at = (third.producer_timestamp_millis + 1) as f64 / 1000.0;
    let from_third = json!({ "StartSelectorType": "PRODUCER_TIMESTAMP", "StartTimestamp": at });
    assert_eq!(tokens(&live(&service, from_third, count - 2).await), numbers[2..]);

    // From now on: the last fragment, and then those that a camera sends meanwhile.
    let reading = {
        let service = service.clone();
        tokio::spawn(async move { live(&service, json!({ "StartSelectorType": "NOW" }), count + 1).await })
    };
    while service.metric("cam", "GetMedia.Requests") < 4.0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    service.put(&footage(), "cam", 1).await.unwrap();
    let seen = tokens(&reading.await.unwrap());
    let all_numbers: Vec<String> = service
        .ledger("cam")
        .await
        .iter()
        .map(|e| e.fragment_number.clone())
        .collect();
    assert_eq!(seen, all_numbers[count - 1..]);
    let wrong = json!({ "StreamName": "cam", "StartSelector": { "StartSelectorType": "FRAGMENT_NUMBER" } });
    assert_eq!(
        service.error("/getMedia", wrong).await.1,
        "InvalidArgumentException"
    );
    // What came is footage.
    let first: Vec<_> = ledger[0].packets.iter().map(|p| p.sha256.clone()).collect();
    let end = all
        .len()
        .min(ledger[0].packets.iter().map(|p| p.size).sum::<usize>() + 4000);
    let read: Vec<_> = packets(&all[..end.min(second_document(&all))])
        .into_iter()
        .map(|p| p.2)
        .collect();
    assert_eq!(read, first);
}

#[tokio::test]
async fn without_retention_get_media_has_the_last_five_minutes_and_nothing_else_has_any() {
    let clock = common::Manual::new();
    let service = Service::start_with(clock.clone(), |_| ()).await;
    service.create_stream("cam", 0).await;
    service.put(&footage(), "cam", 1).await.unwrap();
    assert!(service.ledger("cam").await.is_empty(), "nothing is persisted");
    let count = service.metric("cam", "PutMedia.IncomingFragments") as usize;
    let earliest = json!({ "StartSelectorType": "EARLIEST" });
    let first = tokens(&live(&service, earliest.clone(), count).await);
    assert_eq!(first.len(), count);
    let list = json!({ "StreamName": "cam", "MaxResults": 10, "FragmentSelector": selector("PRODUCER_TIMESTAMP", 0, 4_000_000_000_000) });
    let (_, _, listed) = service.post("/listFragments", list).await;
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!(listed["Fragments"], json!([]));
    let media = json!({ "StreamName": "cam", "Fragments": [first[0]] });
    let (_, _, body) = service.post("/getMediaForFragmentList", media).await;
    assert!(String::from_utf8_lossy(&body).contains("AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE"));

    // Five minutes later only what comes then.
    clock.advance(Duration::from_secs(301));
    service.put(&footage(), "cam", 1).await.unwrap();
    let second = tokens(&live(&service, earliest, count).await);
    assert!(first.iter().all(|number| !second.contains(number)));
}

fn second_document(body: &[u8]) -> usize {
    (4..body.len())
        .find(|at| body[*at..].starts_with(&[0x1A, 0x45, 0xDF, 0xA3]))
        .unwrap_or(body.len())
}
