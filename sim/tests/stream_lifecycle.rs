//! Streams as clients see them: states over time, versions, validation, tags, pages, and what deletion and retention do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod common;

use std::time::Duration;

use common::{Manual, Service, footage};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3600);

async fn describe(service: &Service, name: &str) -> Value {
    service.ok("/describeStream", json!({ "StreamName": name })).await["StreamInfo"].clone()
}

async fn listed(service: &Service, name: &str) -> usize {
    let selector = json!({
        "FragmentSelectorType": "PRODUCER_TIMESTAMP",
        "TimestampRange": { "StartTimestamp": 0, "EndTimestamp": 4_000_000_000u64 },
    });
    let input = json!({ "StreamName": name, "MaxResults": 1000, "FragmentSelector": selector });
    service.ok("/listFragments", input).await["Fragments"]
        .as_array()
        .unwrap()
        .len()
}

#[tokio::test]
async fn states_follow_the_clock() {
    let clock = Manual::new();
    let service = Service::start_with(clock.clone(), |s| s.transition = Duration::from_secs(60)).await;
    let arn = service.create_stream("cam", 24).await;
    let created = describe(&service, "cam").await;
    assert_eq!(created["Status"], "CREATING");
    assert_eq!(
        arn.rsplit('/').next().unwrap(),
        format!("{:.0}", created["CreationTime"].as_f64().unwrap() * 1000.0)
    );
    let early =
        json!({ "StreamName": "cam", "CurrentVersion": created["Version"], "MediaType": "video/h264" });
    assert_eq!(
        service.error("/updateStream", early.clone()).await.1,
        "ResourceInUseException"
    );
    assert_eq!(
        service
            .error("/createStream", json!({ "StreamName": "cam" }))
            .await
            .1,
        "ResourceInUseException"
    );

    clock.advance(Duration::from_secs(60));
    assert_eq!(describe(&service, "cam").await["Status"], "ACTIVE");
    service.ok("/updateStream", early.clone()).await;
    let updating = describe(&service, "cam").await;
    assert_eq!(
        (&updating["Status"], &updating["MediaType"]),
        (&json!("UPDATING"), &json!("video/h264"))
    );
    assert_ne!(updating["Version"], created["Version"]);

    clock.advance(Duration::from_secs(60));
    assert_eq!(
        service.error("/updateStream", early).await.1,
        "VersionMismatchException"
    );
    service.ok("/deleteStream", json!({ "StreamARN": arn })).await;
    assert_eq!(describe(&service, "cam").await["Status"], "DELETING");
    clock.advance(Duration::from_secs(60));
    let (status, code, _) = service
        .error("/describeStream", json!({ "StreamName": "cam" }))
        .await;
    assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
    assert_ne!(
        service.create_stream("cam", 24).await,
        arn,
        "another stream of the same name has another ARN"
    );
    assert_eq!(
        service
            .error("/describeStream", json!({ "StreamARN": arn }))
            .await
            .1,
        "ResourceNotFoundException"
    );
}

#[tokio::test]
async fn wrong_requests_get_the_services_errors() {
    let service = Service::start().await;
    let arn = service.create_stream("cam", 1).await;
    let version = describe(&service, "cam").await["Version"].clone();
    let many: serde_json::Map<_, _> = (0..51).map(|n| (format!("k{n}"), json!("v"))).collect();
    let selector = |kind: &str, start: u64, end: u64| json!({ "FragmentSelectorType": kind, "TimestampRange": { "StartTimestamp": start, "EndTimestamp": end } });
    let table = [
        ("/createStream", json!({}), "InvalidArgumentException"),
        (
            "/createStream",
            json!({ "StreamName": "a b" }),
            "InvalidArgumentException",
        ),
        (
            "/createStream",
            json!({ "StreamName": "x".repeat(257) }),
            "InvalidArgumentException",
        ),
        (
            "/createStream",
            json!({ "StreamName": "a", "DataRetentionInHours": -1 }),
            "InvalidArgumentException",
        ),
        (
            "/createStream",
            json!({ "StreamName": "a", "DataRetentionInHours": 87_601 }),
            "InvalidArgumentException",
        ),
        (
            "/createStream",
            json!({ "StreamName": "a", "DataRetentionInHours": "1" }),
            "SerializationException",
        ),
        (
            "/createStream",
            json!({ "StreamName": "a", "MediaType": "h264" }),
            "InvalidArgumentException",
        ),
        (
            "/createStream",
            json!({ "StreamName": "a", "Tags": { "aws:x": "y" } }),
            "InvalidArgumentException",
        ),
        (
            "/createStream",
            json!({ "StreamName": "a", "Tags": many }),
            "TagsPerResourceExceededLimitException",
        ),
        ("/describeStream", json!({}), "InvalidArgumentException"),
        (
            "/describeStream",
            json!({ "StreamName": "cam", "StreamARN": arn }),
            "InvalidArgumentException",
        ),
        (
            "/describeStream",
            json!({ "StreamARN": "cam" }),
            "InvalidArgumentException",
        ),
        (
            "/describeStream",
            json!({ "StreamName": "other" }),
            "ResourceNotFoundException",
        ),
        (
            "/updateStream",
            json!({ "StreamName": "cam", "MediaType": "video/h264" }),
            "InvalidArgumentException",
        ),
        (
            "/updateDataRetention",
            json!({ "StreamName": "cam", "CurrentVersion": version, "Operation": "DECREASE_DATA_RETENTION", "DataRetentionChangeInHours": 2 }),
            "InvalidArgumentException",
        ),
        (
            "/updateDataRetention",
            json!({ "StreamName": "cam", "CurrentVersion": "x", "Operation": "INCREASE_DATA_RETENTION", "DataRetentionChangeInHours": 2 }),
            "VersionMismatchException",
        ),
        (
            "/deleteStream",
            json!({ "StreamARN": arn, "CurrentVersion": "x" }),
            "VersionMismatchException",
        ),
        (
            "/getDataEndpoint",
            json!({ "StreamName": "cam", "APIName": "GET" }),
            "InvalidArgumentException",
        ),
        (
            "/untagStream",
            json!({ "StreamName": "cam", "TagKeyList": [] }),
            "InvalidArgumentException",
        ),
        (
            "/updateImageGenerationConfiguration",
            json!({ "StreamName": "cam", "ImageGenerationConfiguration": { "Status": "ON" } }),
            "InvalidArgumentException",
        ),
        (
            "/listFragments",
            json!({ "StreamName": "cam" }),
            "InvalidArgumentException",
        ),
        (
            "/listFragments",
            json!({ "StreamName": "cam", "FragmentSelector": selector("SERVER_TIMESTAMP", 2, 1) }),
            "InvalidArgumentException",
        ),
        (
            "/listFragments",
            json!({ "StreamName": "cam", "MaxResults": 1001, "FragmentSelector": selector("PRODUCER_TIMESTAMP", 1, 2) }),
            "InvalidArgumentException",
        ),
        (
            "/listFragments",
            json!({ "StreamName": "cam", "NextToken": "bm8=" }),
            "InvalidArgumentException",
        ),
        (
            "/getMediaForFragmentList",
            json!({ "StreamName": "cam", "Fragments": [] }),
            "InvalidArgumentException",
        ),
        (
            "/getMediaForFragmentList",
            json!({ "StreamName": "cam", "Fragments": ["91"] }),
            "InvalidArgumentException",
        ),
        ("/createSignalingChannel", json!({}), "UnknownOperationException"),
    ];
    for (path, input, expected) in table {
        let (_, code, message) = service.error(path, input.clone()).await;
        assert_eq!(code, expected, "{path} {input}: {message}");
        assert!(!message.is_empty());
    }
    let outside = json!({ "StreamName": "cam", "FragmentSelector": selector("SERVER_TIMESTAMP", 1, 2) });
    let (_, _, message) = service.error("/listFragments", outside).await;
    assert_eq!(
        message,
        "End timestamp 2000 is outside of the stream retention period."
    );
}

#[tokio::test]
async fn tags_and_configurations_are_beside_the_stream() {
    let service = Service::start().await;
    let arn = service.create_stream("cam", 1).await;
    service
        .ok(
            "/tagStream",
            json!({ "StreamName": "cam", "Tags": { "a": "1", "b": "2" } }),
        )
        .await;
    let tag =
        json!({ "ResourceARN": arn, "Tags": [{ "Key": "a", "Value": "3" }, { "Key": "c", "Value": "" }] });
    service.ok("/TagResource", tag).await;
    service
        .ok(
            "/untagStream",
            json!({ "StreamARN": arn, "TagKeyList": ["b", "unknown"] }),
        )
        .await;
    let tags = service
        .ok("/ListTagsForResource", json!({ "ResourceARN": arn }))
        .await;
    assert_eq!(tags["Tags"], json!({ "a": "3", "c": "" }));
    assert!(describe(&service, "cam").await.get("Tags").is_none());

    let version = describe(&service, "cam").await["Version"].clone();
    let warm = json!({ "StreamName": "cam", "CurrentVersion": version, "StreamStorageConfiguration": { "DefaultStorageTier": "WARM" } });
    service.ok("/updateStreamStorageConfiguration", warm).await;
    let storage = service
        .ok(
            "/describeStreamStorageConfiguration",
            json!({ "StreamName": "cam" }),
        )
        .await;
    assert_eq!(
        storage["StreamStorageConfiguration"]["DefaultStorageTier"],
        "WARM"
    );

    let notification =
        json!({ "Status": "ENABLED", "DestinationConfig": { "Uri": "arn:aws:sns:us-east-1:1:topic" } });
    let input = json!({ "StreamName": "cam", "NotificationConfiguration": notification });
    service.ok("/updateNotificationConfiguration", input).await;
    let described = || {
        service.ok(
            "/describeNotificationConfiguration",
            json!({ "StreamName": "cam" }),
        )
    };
    assert_eq!(described().await["NotificationConfiguration"], notification);
    service
        .ok("/updateNotificationConfiguration", json!({ "StreamName": "cam" }))
        .await;
    assert_eq!(described().await, json!({}));
}

#[tokio::test]
async fn pages_of_streams_are_smaller_than_the_reference_says() {
    let service = Service::start().await;
    for n in 0..12 {
        service.create_stream(&format!("cam-{n:02}"), 0).await;
    }
    service.create_stream("other", 0).await;
    let condition = json!({ "ComparisonOperator": "BEGINS_WITH", "ComparisonValue": "cam-" });
    let first = service
        .ok("/listStreams", json!({ "StreamNameCondition": condition }))
        .await;
    assert_eq!(first["StreamInfoList"].as_array().unwrap().len(), 10);
    let second = json!({ "StreamNameCondition": condition, "NextToken": first["NextToken"] });
    let second = service.ok("/listStreams", second).await;
    assert_eq!(second["StreamInfoList"].as_array().unwrap().len(), 2);
    assert_eq!(second["NextToken"], Value::Null);
}

#[tokio::test]
async fn footage_expires_and_a_shorter_retention_drops_it_at_once() {
    let clock = Manual::new();
    let service = Service::start_with(clock.clone(), |_| ()).await;
    service.create_stream("cam", 3).await;
    service.put(&footage(), "cam", 1).await.unwrap();
    let count = listed(&service, "cam").await;
    assert!(count > 0);
    clock.advance(2 * HOUR);
    service.put(&footage(), "cam", 1).await.unwrap();
    assert_eq!(listed(&service, "cam").await, 2 * count);
    clock.advance(2 * HOUR);
    assert_eq!(listed(&service, "cam").await, count, "the first is 4 h old");

    let change = |operation: &str| {
        let (service, operation) = (&service, operation.to_owned());
        async move {
            let version = describe(service, "cam").await["Version"].clone();
            let input = json!({ "StreamName": "cam", "CurrentVersion": version, "Operation": operation, "DataRetentionChangeInHours": 2 });
            service.ok("/updateDataRetention", input).await;
        }
    };
    change("DECREASE_DATA_RETENTION").await;
    assert_eq!(listed(&service, "cam").await, 0);
    change("INCREASE_DATA_RETENTION").await;
    assert_eq!(
        listed(&service, "cam").await,
        0,
        "what is deleted does not come back"
    );
    assert_eq!(
        service.ledger("cam").await.len(),
        2 * count,
        "the ledger forgets nothing"
    );
}

#[tokio::test]
async fn the_data_endpoint_is_the_one_that_the_client_uses() {
    let service = Service::start().await;
    service.create_stream("cam", 1).await;
    let input = json!({ "StreamName": "cam", "APIName": "LIST_FRAGMENTS" });
    assert_eq!(
        service.ok("/getDataEndpoint", input).await["DataEndpoint"],
        service.url()
    );
}
