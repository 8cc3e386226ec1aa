//! Footage goes in by PutMedia and comes out by ListFragments and GetMediaForFragmentList: every packet that the source has
//! is in the ledger, and every packet of the ledger is in what clients read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod common;

use common::{Service, footage, packets};
use serde_json::json;

/// Everything that clients read of a stream, fragment by fragment in the order of their numbers.
async fn read_all(service: &Service, stream: &str) -> Vec<(String, Vec<u8>)> {
    let mut numbers = vec![];
    let mut token = None;
    loop {
        let selector = json!({
            "FragmentSelectorType": "SERVER_TIMESTAMP",
            "TimestampRange": { "StartTimestamp": 0, "EndTimestamp": 4_000_000_000u64 },
        });
        let input = match &token {
            None => json!({ "StreamName": stream, "MaxResults": 2, "FragmentSelector": selector }),
            Some(token) => json!({ "StreamName": stream, "MaxResults": 2, "NextToken": token }),
        };
        let page = service.ok("/listFragments", input).await;
        let listed = page["Fragments"].as_array().unwrap();
        numbers.extend(
            listed
                .iter()
                .map(|f| f["FragmentNumber"].as_str().unwrap().to_owned()),
        );
        token = page["NextToken"].as_str().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    let in_listed_order = numbers.clone();
    numbers.sort();
    assert!(
        numbers.len() < 4 || numbers != in_listed_order,
        "a listing has no useful order"
    );
    let mut documents = vec![];
    for number in numbers {
        let input = json!({ "StreamName": stream, "Fragments": [number] });
        let (status, _, body) = service.post("/getMediaForFragmentList", input).await;
        assert_eq!(status, 200);
        documents.push((number, body));
    }
    documents
}

#[tokio::test]
async fn every_packet_comes_out_as_it_went_in() {
    let file = footage();
    let service = Service::start().await;
    service.create_stream("cam", 24).await;
    service.put(&file, "cam", 2).await.unwrap();

    let ledger = service.ledger("cam").await;
    let in_ledger: Vec<(u64, i64, String)> = ledger
        .iter()
        .flat_map(|entry| &entry.packets)
        .map(|p| (p.track, p.timestamp_millis, p.sha256.clone()))
        .collect();
    let source = packets(&std::fs::read(&file).unwrap());
    let track = |all: &[(u64, i64, String)], track| -> Vec<String> {
        all.iter().filter(|p| p.0 == track).map(|p| p.2.clone()).collect()
    };
    for number in [1, 2] {
        let twice = [track(&source, number), track(&source, number)].concat();
        assert_eq!(track(&in_ledger, number), twice, "track {number}");
    }

    let documents = read_all(&service, "cam").await;
    assert_eq!(documents.len(), ledger.len());
    let mut read = vec![];
    for ((number, document), entry) in documents.iter().zip(&ledger) {
        assert_eq!(*number, entry.fragment_number);
        let text = String::from_utf8_lossy(document);
        assert!(text.contains(number.as_str()) && text.contains("AWS_KINESISVIDEO_SERVER_TIMESTAMP"));
        read.extend(packets(document));
    }
    assert_eq!(read, in_ledger);

    // What that cost is counted.
    let calls = service.services.calls.all();
    let media = &calls["GetMediaForFragmentList"];
    let bytes: usize = documents.iter().map(|(_, document)| document.len()).sum();
    assert_eq!(
        (media.calls, media.bytes_out),
        (documents.len() as u64, bytes as u64)
    );
}

#[tokio::test]
async fn a_restart_keeps_streams_footage_and_ledger() {
    let file = footage();
    let mut service = Service::start().await;
    service.create_stream("cam", 24).await;
    service
        .ok("/tagStream", json!({ "StreamName": "cam", "Tags": { "a": "b" } }))
        .await;
    service.put(&file, "cam", 1).await.unwrap();
    let (before, documents) = (service.ledger("cam").await, read_all(&service, "cam").await);

    service.restart().await;

    assert_eq!(service.ledger("cam").await, before);
    assert_eq!(read_all(&service, "cam").await, documents);
    let tags = service
        .ok("/listTagsForStream", json!({ "StreamName": "cam" }))
        .await;
    assert_eq!(tags["Tags"]["a"], "b");
    service.put(&file, "cam", 1).await.unwrap();
    let after = service.ledger("cam").await;
    assert_eq!(after.len(), 2 * before.len());
    assert!(after.is_sorted_by(|a, b| a.fragment_number < b.fragment_number && a.sequence < b.sequence));
}

#[tokio::test]
async fn without_retention_nothing_is_persisted() {
    let service = Service::start().await;
    service.create_stream("cam", 0).await;
    service.put(&footage(), "cam", 1).await.unwrap();
    assert_eq!(service.ledger("cam").await, []);
    assert!(service.metric("cam", "PutMedia.IncomingFragments") > 0.0);
}

#[tokio::test]
async fn metrics_say_what_happened() {
    let service = Service::start().await;
    service.create_stream("cam", 24).await;
    service.put(&footage(), "cam", 1).await.unwrap();
    let ledger = service.ledger("cam").await;
    let documents = read_all(&service, "cam").await;
    let frames: usize = ledger.iter().map(|e| e.packets.len()).sum();
    let bytes: usize = documents.iter().map(|d| d.1.len()).sum();
    for (name, expected) in [
        ("PutMedia.Requests", 1.0),
        ("PutMedia.IncomingFragments", ledger.len() as f64),
        ("PutMedia.IncomingFrames", frames as f64),
        ("PutMedia.Success", ledger.len() as f64),
        ("GetMediaForFragmentList.Requests", ledger.len() as f64),
        ("GetMediaForFragmentList.OutgoingFrames", frames as f64),
        ("GetMediaForFragmentList.OutgoingBytes", bytes as f64),
    ] {
        assert_eq!(service.metric("cam", name), expected, "{name}");
    }
    assert!(service.metric("cam", "PutMedia.IncomingBytes") > 0.0);
    assert!(service.metric("cam", "PutMedia.ActiveConnections") >= 1.0);
}
