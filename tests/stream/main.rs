//! Whole passes of the VideoStream controller: a Kubernetes API in memory, kvs-sim in this process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod failing;
mod roles;
mod site;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use jiff::SignedDuration;
use kvs_operator::{
    api::{DefaultStorageTier, condition},
    aws::{Kind, Ports, Streams},
    runtime::Class,
};
use serde_json::{Value, json};

use self::{
    failing::Failing,
    site::{STREAMS, Site},
    support::Fixture,
};

/// A site where the next change of a stream fails as is set, and streams may be listed or not.
async fn failing(spec: Value, lists: bool) -> (Site, Arc<Mutex<Option<Kind>>>) {
    let next = Arc::new(Mutex::new(None));
    let wrap = |ports: Ports| Ports {
        streams: Arc::new(Failing {
            inner: ports.streams.clone(),
            next: next.clone(),
            lists,
        }),
        ..ports
    };
    (Site::on(Fixture::with(wrap).await, spec), next)
}

#[tokio::test]
async fn a_stream_is_made_and_then_nothing_is_written_any_more() {
    let site =
        Site::new(json!({ "dataRetentionInHours": 48, "mediaType": "video/h264", "tags": { "team": "a" } }))
            .await;
    site.pass("front-door").await.unwrap();
    site.pass("front-door").await.unwrap();
    site.is("front-door", "False", "Creating");
    site.settle("front-door").await;
    site.is("front-door", "True", "InSync");
    let stream = site.stream().await;
    assert_eq!(
        (stream.data_retention_in_hours, stream.media_type.as_deref()),
        (48, Some("video/h264"))
    );
    let tags = site.tags().await;
    assert_eq!(tags["team"], "a");
    assert_eq!(tags["kvs-operator.io/name"], "front-door");
    let status = site.object("front-door").status.unwrap();
    assert_eq!(status.stream_arn.as_deref(), Some(stream.arn.as_str()));
    assert_eq!(status.observed_generation, Some(1));

    let before = (site.changes(), site.fixture.kubernetes.writes());
    for _ in 0..3 {
        site.pass("front-door").await.unwrap();
    }
    assert_eq!((site.changes(), site.fixture.kubernetes.writes()), before);
    assert_eq!(site.reasons(), ["Created"]);
}

#[tokio::test]
async fn changes_happen_in_place_and_are_told_with_old_and_new_value() {
    let site = Site::new(json!({ "dataRetentionInHours": 24, "tags": { "team": "a", "floor": "1" } })).await;
    site.settle("front-door").await;
    let arn = site.stream().await.arn;
    site.edit(
        "front-door",
        json!({ "spec": { "dataRetentionInHours": 48, "deviceName": "cam", "tags": { "team": "b", "floor": null } } }),
    );
    site.settle("front-door").await;
    site.edit("front-door", json!({ "spec": { "dataRetentionInHours": 12 } }));
    site.settle("front-door").await;
    let stream = site.stream().await;
    assert_eq!(
        (stream.arn, stream.data_retention_in_hours),
        (arn, 12),
        "the same stream"
    );
    assert_eq!(stream.device_name.as_deref(), Some("cam"));
    let tags = site.tags().await;
    assert_eq!(
        (tags.get("team").map(String::as_str), tags.get("floor")),
        (Some("b"), None)
    );
    let events = site.fixture.kubernetes.events();
    for note in [
        "dataRetentionInHours: 24 -> 48",
        "dataRetentionInHours: 48 -> 12",
        "deviceName: (none) -> cam",
    ] {
        assert!(events.iter().any(|(_, n)| n == note), "{note}: {events:?}");
    }
}

#[tokio::test]
async fn tier_images_and_notification_are_set_changed_brought_back_and_removed() {
    let images = |interval: i32| {
        json!({ "status": "ENABLED", "imageSelectorType": "SERVER_TIMESTAMP", "samplingInterval": interval,
                "format": "JPEG", "formatConfig": { "JPEGQuality": "70" },
                "destinationConfig": { "uri": "s3://images/site" } })
    };
    let topic = "arn:aws:sns:eu-west-1:123456789012:fragments";
    let site = Site::new(json!({
        "dataRetentionInHours": 24,
        "streamStorageConfiguration": { "defaultStorageTier": "WARM" },
        "imageGenerationConfiguration": images(3000),
        "notificationConfiguration": { "status": "ENABLED", "destinationConfig": { "uri": topic } },
    }))
    .await;
    site.settle("front-door").await;
    site.is("front-door", "True", "InSync");
    let arn = site.stream().await.arn;
    assert_eq!(site.aws.tier(&arn).await.unwrap(), DefaultStorageTier::Warm);
    assert_eq!(
        site.object("front-door").status.unwrap().default_storage_tier,
        Some(DefaultStorageTier::Warm)
    );
    let there = site.aws.images(&arn).await.unwrap().unwrap();
    let destination = there.destination_config.unwrap();
    assert_eq!(
        (there.sampling_interval, destination.destination_region.as_deref()),
        (Some(3000), Some("eu-west-1"))
    );
    assert_eq!(
        site.aws
            .notification(&arn)
            .await
            .unwrap()
            .unwrap()
            .destination_config
            .unwrap()
            .uri,
        topic
    );
    let before = site.changes();
    site.pass("front-door").await.unwrap();
    assert_eq!(site.changes(), before, "settled");

    site.aws.set_notification(&arn, None).await.unwrap();
    site.edit(
        "front-door",
        json!({ "spec": { "streamStorageConfiguration": { "defaultStorageTier": "HOT" },
                          "imageGenerationConfiguration": { "samplingInterval": 500 } } }),
    );
    site.settle("front-door").await;
    assert_eq!(site.aws.tier(&arn).await.unwrap(), DefaultStorageTier::Hot);
    assert_eq!(
        site.aws.images(&arn).await.unwrap().unwrap().sampling_interval,
        Some(500)
    );
    assert!(
        site.aws.notification(&arn).await.unwrap().is_some(),
        "brought back"
    );

    let nothing = json!({ "status": null, "imageSelectorType": null, "samplingInterval": null, "format": null,
                          "formatConfig": null, "destinationConfig": null });
    site.edit(
        "front-door",
        json!({ "spec": { "imageGenerationConfiguration": nothing, "notificationConfiguration": null } }),
    );
    site.settle("front-door").await;
    assert_eq!(
        site.aws.images(&arn).await.unwrap(),
        None,
        "an empty one removes it"
    );
    assert!(
        site.aws.notification(&arn).await.unwrap().is_some(),
        "absent means not managed"
    );
}

#[tokio::test]
async fn drift_that_the_listing_shows_is_brought_back_within_minutes() {
    let site = Site::new(json!({ "dataRetentionInHours": 24 })).await;
    site.settle("front-door").await;
    let stream = site.stream().await;
    site.aws
        .change_retention(&stream.arn, &stream.version, 24, 6)
        .await
        .unwrap();
    site.fixture.clock.advance(SignedDuration::from_mins(4));
    site.settle("front-door").await;
    assert_eq!(site.stream().await.data_retention_in_hours, 24);
    assert_eq!(site.reasons(), ["Created", "RetentionIncreased"]);
}

#[tokio::test]
async fn drift_of_tags_is_brought_back_within_hours_and_tags_of_others_are_kept() {
    let site = Site::new(json!({ "tags": { "team": "a" } })).await;
    site.settle("front-door").await;
    let arn = site.stream().await.arn;
    let theirs = BTreeMap::from([
        ("cost-centre".to_owned(), "7".to_owned()),
        ("team".to_owned(), "z".to_owned()),
    ]);
    site.aws.tag(&arn, &theirs).await.unwrap();
    site.aws
        .untag(&arn, &["kvs-operator.io/uid".to_owned()])
        .await
        .unwrap();
    site.fixture.clock.advance(SignedDuration::from_hours(6));
    site.settle("front-door").await;
    let tags = site.tags().await;
    assert_eq!((tags["cost-centre"].as_str(), tags["team"].as_str()), ("7", "a"));
    assert!(tags.contains_key("kvs-operator.io/uid"));
}

#[tokio::test]
async fn after_a_restart_one_listing_answers_for_all_and_nothing_is_written() {
    let mut site = Site::new(json!({ "dataRetentionInHours": 24 })).await;
    let names: Vec<String> = (0..20).map(|n| format!("camera-{n}")).collect();
    for name in &names {
        site.apply(
            name,
            json!({ "dataRetentionInHours": 24, "tags": { "team": "a" } }),
        );
        site.settle(name).await;
        site.is(name, "True", "InSync");
    }
    assert_eq!(
        site.calls("kinesisvideo:ListTagsForStream"),
        0,
        "what was made a moment ago has the tags it was made with"
    );
    site.restart();
    site.fixture.clock.advance(SignedDuration::from_mins(10));
    let read = |site: &Site| {
        [
            "kinesisvideo:ListStreams",
            "kinesisvideo:DescribeStream",
            "kinesisvideo:ListTagsForStream",
        ]
        .map(|o| site.calls(o))
    };
    let (before, changes, writes) = (read(&site), site.changes(), site.fixture.kubernetes.writes());
    for _ in 0..3 {
        for name in &names {
            site.pass(name).await.unwrap();
        }
    }
    assert_eq!(read(&site), [before[0] + 1, before[1], before[2]]);
    assert_eq!(
        (site.changes(), site.fixture.kubernetes.writes()),
        (changes, writes)
    );
}

#[tokio::test]
async fn where_streams_may_not_be_listed_each_is_looked_at() {
    let (site, _) = failing(json!({ "dataRetentionInHours": 24 }), false).await;
    site.settle("front-door").await;
    site.is("front-door", "True", "InSync");
    let before = site.calls("kinesisvideo:DescribeStream");
    site.pass("front-door").await.unwrap();
    assert_eq!(site.calls("kinesisvideo:DescribeStream"), before + 1);
}

#[tokio::test]
async fn a_cameras_own_stream_is_adopted_and_corrected() {
    let site = Site::new(json!({ "dataRetentionInHours": 24 })).await;
    site.camera_makes(&[("made-by", "camera")]).await;
    site.settle("front-door").await;
    site.is("front-door", "True", "InSync");
    assert_eq!(site.stream().await.data_retention_in_hours, 24);
    assert_eq!(site.tags().await["made-by"], "camera");
    assert_eq!(site.reasons(), ["Adopted", "RetentionIncreased"]);
}

#[tokio::test]
async fn what_may_not_be_adopted_is_left_alone() {
    let site = Site::new(json!({ "adoptionPolicy": "Never" })).await;
    site.camera_makes(&[]).await;
    let before = site.changes();
    site.settle("front-door").await;
    site.is("front-door", "False", "NotAdopted");
    assert!(condition::is_true(
        &site.object("front-door").status.unwrap().conditions,
        condition::STALLED
    ));
    assert_eq!(
        (
            site.changes(),
            site.object("front-door").status.unwrap().stream_arn
        ),
        (before, None)
    );
}

#[tokio::test]
async fn another_owner_is_named_and_taken_from_only_by_adopt() {
    let theirs = [
        ("kvs-operator.io/cluster", "other-cluster"),
        ("kvs-operator.io/namespace", "site"),
        ("kvs-operator.io/name", "front-door"),
    ];
    let site = Site::new(json!({})).await;
    site.camera_makes(&theirs).await;
    let before = site.changes();
    site.settle("front-door").await;
    site.is("front-door", "False", "OwnedByAnother");
    assert!(condition::is_true(
        &site.object("front-door").status.unwrap().conditions,
        condition::OWNED_BY_ANOTHER
    ));
    assert!(
        site.message("front-door")
            .contains("site/front-door of cluster other-cluster"),
        "{}",
        site.message("front-door")
    );
    assert_eq!(site.changes(), before);
    site.edit("front-door", json!({ "spec": { "adoptionPolicy": "Adopt" } }));
    site.settle("front-door").await;
    site.is("front-door", "True", "InSync");
    assert_eq!(site.tags().await["kvs-operator.io/cluster"], "test-cluster");
}

#[tokio::test]
async fn of_two_objects_for_one_stream_the_first_keeps_it_until_it_goes() {
    let site = Site::new(json!({})).await;
    site.settle("front-door").await;
    site.apply(
        "second",
        json!({ "streamName": "front-door", "adoptionPolicy": "Adopt" }),
    );
    site.settle("second").await;
    site.is("second", "False", "OwnedByAnother");
    assert!(
        site.message("second").contains("only one of the two"),
        "{}",
        site.message("second")
    );
    site.fixture.kubernetes.delete(STREAMS, "site", "front-door");
    site.settle("second").await;
    site.is("second", "True", "InSync");
    assert_eq!(site.tags().await["kvs-operator.io/name"], "second");
}

#[tokio::test]
async fn a_rebuilt_cluster_finds_its_streams_again() {
    let site = Site::new(json!({})).await;
    site.settle("front-door").await;
    let arn = site.stream().await.arn;
    site.fixture.kubernetes.delete(STREAMS, "site", "front-door");
    assert!(site.find("front-door").is_none(), "nothing holds it under Retain");
    site.apply("front-door", json!({ "adoptionPolicy": "Never" }));
    site.settle("front-door").await;
    site.is("front-door", "True", "InSync");
    assert_eq!(site.stream().await.arn, arn);
    let uid = site.object("front-door").metadata.uid.unwrap();
    assert_eq!(
        site.tags().await["kvs-operator.io/uid"],
        uid,
        "the uid is renewed"
    );
}

#[tokio::test]
async fn observing_writes_nothing() {
    let site = Site::new(
        json!({ "managementPolicy": "Observe", "dataRetentionInHours": 99, "deletionPolicy": "Delete" }),
    )
    .await;
    site.settle("front-door").await;
    site.is("front-door", "False", "StreamNotFound");
    site.camera_makes(&[]).await;
    let before = site.changes();
    site.settle("front-door").await;
    site.is("front-door", "True", "Observed");
    assert_eq!(
        site.object("front-door").status.unwrap().data_retention_in_hours,
        Some(2)
    );
    site.fixture.kubernetes.delete(STREAMS, "site", "front-door");
    assert!(site.find("front-door").is_none());
    assert_eq!(site.changes(), before);
}

#[tokio::test]
async fn under_delete_the_stream_goes_with_its_object() {
    let site = Site::new(json!({ "deletionPolicy": "Delete" })).await;
    site.fixture.kubernetes.create(
        "namespaces",
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "site" } }),
    );
    site.settle("front-door").await;
    assert_eq!(
        site.object("front-door").metadata.finalizers.unwrap(),
        ["kvs-operator.io/stream"]
    );
    site.fixture.kubernetes.delete(STREAMS, "site", "front-door");
    site.settle("front-door").await;
    assert!(site.find("front-door").is_none());
    assert_eq!(site.aws.describe("front-door").await.unwrap(), None);
    assert_eq!(site.reasons().last().unwrap(), "Deleted");
}

#[tokio::test]
async fn a_refused_deletion_names_the_missing_action_and_keeps_the_object_until_it_is_let_go() {
    let (site, next) = failing(json!({ "deletionPolicy": "Delete" }), true).await;
    site.fixture.kubernetes.create(
        "namespaces",
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "site" } }),
    );
    site.settle("front-door").await;
    site.fixture.kubernetes.delete(STREAMS, "site", "front-door");
    *next.lock().unwrap() = Some(Kind::Denied);
    let error = site.pass("front-door").await.unwrap_err();
    assert_eq!(error.class(), Class::Person, "only a person can mend it");

    site.is("front-door", "False", "AccessDenied");
    let stalled = condition::is_true(
        &site.object("front-door").status.unwrap().conditions,
        condition::STALLED,
    );
    assert!(stalled);
    let message = site.message("front-door");
    assert!(
        message.contains("allow the IAM action kinesisvideo:DeleteStream"),
        "{message}"
    );
    assert_eq!(
        site.reasons().last().unwrap(),
        "AccessDenied",
        "an Event says it, too"
    );
    assert!(site.aws.describe("front-door").await.unwrap().is_some());

    site.edit("front-door", json!({ "spec": { "deletionPolicy": "Retain" } }));
    site.settle("front-door").await;
    assert!(site.find("front-door").is_none(), "it is let go");
    assert!(
        site.aws.describe("front-door").await.unwrap().is_some(),
        "and the stream stays"
    );
    assert_eq!(site.reasons().last().unwrap(), "Retained");
}

/// A recording of the stream that has not archived anything of the last 30 hours.
async fn recording(site: &Site) -> Value {
    let arn = site.stream().await.arn;
    let start = site.fixture.context.stamp() - SignedDuration::from_hours(30);
    json!({ "apiVersion": "kvs-operator.io/v1alpha1", "kind": "Recording",
            "metadata": { "name": "alarm-1", "namespace": "site" },
            "spec": { "streamName": "front-door", "streamARN": arn, "region": "eu-west-1", "start": start.to_string(),
                      "destination": { "s3": { "bucket": "footage" } } } })
}

#[tokio::test]
async fn footage_that_a_recording_needs_holds_a_decrease_and_a_deletion() {
    let site = Site::new(json!({ "dataRetentionInHours": 48, "deletionPolicy": "Delete" })).await;
    site.fixture.kubernetes.create(
        "namespaces",
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "site" } }),
    );
    site.settle("front-door").await;
    site.fixture
        .kubernetes
        .create("recordings", recording(&site).await);

    site.edit("front-door", json!({ "spec": { "dataRetentionInHours": 24 } }));
    site.settle("front-door").await;
    site.is("front-door", "False", "RetentionDecreaseHeld");
    assert!(
        site.message("front-door").contains("site/alarm-1"),
        "{}",
        site.message("front-door")
    );
    assert_eq!(site.stream().await.data_retention_in_hours, 48);

    let until = site.fixture.context.stamp() + SignedDuration::from_hours(1);
    let insist = json!({ "metadata": { "annotations": { "kvs-operator.io/allow-footage-loss-until": until.to_string() } } });
    site.edit("front-door", insist);
    site.settle("front-door").await;
    assert_eq!(site.stream().await.data_retention_in_hours, 24, "insisted");

    site.edit("front-door", json!({ "metadata": { "annotations": null } }));
    site.fixture.kubernetes.delete(STREAMS, "site", "front-door");
    site.settle("front-door").await;
    site.is("front-door", "False", "DeletionHeld");

    let done = json!({ "status": { "phase": "Complete" } });
    site.fixture
        .kubernetes
        .change("kvs-operator.io/v1alpha1/recordings", "site", "alarm-1", done);
    site.settle("front-door").await;
    assert!(site.find("front-door").is_none());
    assert_eq!(site.aws.describe("front-door").await.unwrap(), None);
}

#[tokio::test]
async fn a_policy_that_has_not_read_its_history_holds_a_decrease() {
    let site = Site::new(json!({ "dataRetentionInHours": 48 })).await;
    site.settle("front-door").await;
    let policy = |name: &str, site_label: &str| {
        json!({ "apiVersion": "kvs-operator.io/v1alpha1", "kind": "ArchivePolicy",
                "metadata": { "name": name, "namespace": "site" },
                "spec": { "streamSelector": { "matchLabels": { "site": site_label } }, "trigger": { "alarm": {} },
                          "destination": { "s3": { "bucket": "footage" } } } })
    };
    site.fixture
        .kubernetes
        .create("archivepolicies", policy("north", "north"));
    site.fixture
        .kubernetes
        .create("archivepolicies", policy("south", "south"));
    site.edit("front-door", json!({ "spec": { "dataRetentionInHours": 24 } }));
    site.settle("front-door").await;
    site.is("front-door", "False", "RetentionDecreaseHeld");
    let message = site.message("front-door");
    assert!(
        message.contains("site/north") && !message.contains("south"),
        "{message}"
    );
    let read = site.fixture.context.stamp() - SignedDuration::from_mins(11);
    let status = json!({ "status": { "historyThrough": read.to_string() } });
    site.fixture.kubernetes.change(
        "kvs-operator.io/v1alpha1/archivepolicies",
        "site",
        "north",
        status,
    );
    site.settle("front-door").await;
    assert_eq!(site.stream().await.data_retention_in_hours, 24);
}

#[tokio::test]
async fn a_terminating_namespace_waits_for_nothing() {
    let site = Site::new(json!({ "deletionPolicy": "Delete" })).await;
    site.settle("front-door").await;
    site.fixture
        .kubernetes
        .create("recordings", recording(&site).await);
    // There is no Namespace object at all: it is as good as gone.
    site.fixture.kubernetes.delete(STREAMS, "site", "front-door");
    site.settle("front-door").await;
    assert!(site.find("front-door").is_none());
    assert!(
        site.aws.describe("front-door").await.unwrap().is_some(),
        "its footage is needed: it stays"
    );
    assert_eq!(site.reasons().last().unwrap(), "Retained");
}

#[tokio::test]
async fn a_stream_made_anew_behind_our_back_is_told() {
    let site = Site::new(json!({})).await;
    site.settle("front-door").await;
    let first = site.stream().await;
    site.fixture.clock.advance(SignedDuration::from_mins(5));
    site.aws.delete(&first.arn, &first.version).await.unwrap();
    site.fixture.clock.advance(SignedDuration::from_secs(11));
    site.camera_makes(&[]).await;
    site.settle("front-door").await;
    let second = site.stream().await;
    assert_ne!(first.arn, second.arn);
    assert_eq!(
        site.object("front-door").status.unwrap().stream_arn,
        Some(second.arn)
    );
    let events = site.fixture.kubernetes.events();
    assert!(
        events
            .iter()
            .any(|(r, n)| r == "StreamReplaced" && n.contains(&first.arn)),
        "{events:?}"
    );
}

#[tokio::test]
async fn suspended_means_untouched() {
    let site = Site::new(json!({ "suspend": true })).await;
    site.settle("front-door").await;
    site.is("front-door", "False", "Suspended");
    assert_eq!(site.aws.describe("front-door").await.unwrap(), None);
    site.edit("front-door", json!({ "spec": { "suspend": false } }));
    site.settle("front-door").await;
    site.is("front-door", "True", "InSync");
}

#[tokio::test]
async fn every_failure_has_its_own_visible_state_and_class() {
    for (kind, class, reason, bad) in [
        (Kind::Denied, Class::Person, "AccessDenied", condition::STALLED),
        (Kind::Limit, Class::Person, "LimitExceeded", condition::STALLED),
        (Kind::Invalid, Class::Person, "InvalidRequest", condition::STALLED),
        (
            Kind::Throttled,
            Class::Transient,
            "Throttled",
            condition::RECONCILING,
        ),
        (
            Kind::Unavailable,
            Class::Transient,
            "Unavailable",
            condition::RECONCILING,
        ),
        (Kind::Stale, Class::Soon, "Stale", condition::RECONCILING),
        (Kind::Busy, Class::Soon, "Busy", condition::RECONCILING),
    ] {
        let (site, next) = failing(json!({ "dataRetentionInHours": 24 }), true).await;
        site.settle("front-door").await;
        site.edit("front-door", json!({ "spec": { "dataRetentionInHours": 48 } }));
        *next.lock().unwrap() = Some(kind);
        let error = site.pass("front-door").await.unwrap_err();
        assert_eq!(error.class(), class);
        site.is("front-door", "False", reason);
        assert!(
            condition::is_true(&site.object("front-door").status.unwrap().conditions, bad),
            "{kind:?}"
        );
        let message = site.message("front-door");
        assert!(
            !message.contains("request-1"),
            "a message that differs each time would write each time: {message}"
        );
        if kind == Kind::Denied {
            assert!(
                message.contains("allow the IAM action kinesisvideo:UpdateDataRetention"),
                "{message}"
            );
        }
        site.settle("front-door").await;
        site.is("front-door", "True", "InSync");
        assert_eq!(
            site.stream().await.data_retention_in_hours,
            48,
            "{kind:?}: nothing is terminal"
        );
    }
}

#[tokio::test]
async fn a_tier_that_does_not_pay_is_told_once() {
    let site = Site::new(json!({
        "dataRetentionInHours": 168,
        "streamStorageConfiguration": { "defaultStorageTier": "WARM" },
    }))
    .await;
    site.settle("front-door").await;
    site.is("front-door", "True", "InSync");
    assert!(
        site.message("front-door").contains("at least 720 h"),
        "{}",
        site.message("front-door")
    );
    for _ in 0..3 {
        site.fixture.clock.advance(SignedDuration::from_hours(6));
        site.settle("front-door").await;
    }
    let told = |site: &Site| site.reasons().iter().filter(|r| *r == "TierDoesNotPay").count();
    assert_eq!(told(&site), 1);
    site.edit("front-door", json!({ "spec": { "dataRetentionInHours": 720 } }));
    site.settle("front-door").await;
    assert!(
        !site.message("front-door").contains("WARM"),
        "{}",
        site.message("front-door")
    );
    assert_eq!(told(&site), 1);
}
