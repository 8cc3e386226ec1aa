//! Writing into S3 as the archiver does, against kvs-sim, or against the S3 at `S3_ENDPOINT` (access key and secret `sim`).
//!
//! What an S3 is asked for here is what an archive needs of it; `faults` needs kvs-sim, which makes them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod faults;
mod site;

use futures::future::join_all;
use jiff::SignedDuration;
use kvs_operator::{
    api::{ObjectEncryption, ObjectLockMode, ServerSideEncryption, StorageClass},
    aws::{
        Kind,
        objects::{Attributes, Creation, Objects},
    },
    clock::Clock,
};
use site::{Site, bytes, file, in_parts};

#[tokio::test]
async fn an_object_is_created_once_and_never_overwritten() {
    let site = Site::new().await;
    let first = bytes("a/b.json", b"first");
    assert_eq!(site.bucket.create(&first).await.unwrap(), Creation::Created);
    assert_eq!(
        site.bucket.create(&bytes("a/b.json", b"second")).await.unwrap(),
        Creation::Exists
    );
    let there = site.bucket.get("a/b.json").await.unwrap().unwrap();
    assert_eq!(&there.bytes[..], b"first");
    assert_eq!(there.head.sha256, Some(first.sha256));
    assert_eq!(there.head.metadata["fragment-set"], "abc");
    assert_eq!(site.bucket.head("a/c").await.unwrap(), None);
    assert!(site.bucket.get("a/c").await.unwrap().is_none());
}

#[tokio::test]
async fn of_many_at_once_one_wins() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (small, big) = (
        file(folder.path(), "small", 100_000),
        file(folder.path(), "big", in_parts()),
    );
    for object in [small, big] {
        let all = join_all((0..6).map(|_| site.create(&object))).await;
        let winners = all.iter().filter(|c| **c == Creation::Created).count();
        assert_eq!(winners, 1, "{}: {all:?}", object.key);
        site.is_there(&object).await;
    }
    site.nothing_is_incomplete().await;
}

#[tokio::test]
async fn what_does_not_come_to_its_checksum_is_refused() {
    let site = Site::new().await;
    let mut damaged = bytes("damaged", b"content");
    damaged.sha256[0] ^= 1;
    let error = site.bucket.create(&damaged).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
    // In parts: the file is not what it was when its checksum was taken.
    let folder = tempfile::tempdir().unwrap();
    let changed = file(folder.path(), "changed", in_parts());
    std::fs::write(folder.path().join("changed"), vec![7; in_parts()]).unwrap();
    let error = site.bucket.create(&changed).await.unwrap_err();
    assert!(error.to_string().contains("not what was written"), "{error}");
    assert_eq!(site.bucket.head("damaged").await.unwrap(), None);
    assert_eq!(site.bucket.head("changed").await.unwrap(), None);
    site.nothing_is_incomplete().await;
}

#[tokio::test]
async fn a_big_file_goes_in_parts_and_counts_as_what_it_is() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let big = file(folder.path(), "big", in_parts());
    assert_eq!(site.bucket.create(&big).await.unwrap(), Creation::Created);
    site.is_there(&big).await;
    let head = site.bucket.head("big").await.unwrap().unwrap();
    assert_eq!(
        (head.size, head.sha256),
        (in_parts() as u64, None),
        "S3 has no checksum of the whole"
    );
    assert_eq!(site.bucket.create(&big).await.unwrap(), Creation::Exists);
    // What is there is ours, by the checksum that we wrote beside it.
    let stored = site.store().footage(&big).await.unwrap();
    assert_eq!(stored.sha256, hex::encode(big.sha256));
    site.nothing_is_incomplete().await;
}

/// AWS asks for a checksum of what it will lock.
#[tokio::test]
async fn a_default_retention_of_the_bucket_holds() {
    let site = Site::new().await;
    site.default_retention().await;
    let folder = tempfile::tempdir().unwrap();
    for object in [bytes("small", b"small"), file(folder.path(), "big", in_parts())] {
        assert_eq!(site.bucket.create(&object).await.unwrap(), Creation::Created);
        assert_eq!(site.deletion(&object.key).await, "AccessDenied", "{}", object.key);
    }
}

#[tokio::test]
async fn locks_and_tags_are_set_when_an_object_is_written() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let until = kvs_operator::clock::System.now() + SignedDuration::from_hours(48);
    for mut object in [bytes("small", b"small"), file(folder.path(), "big", in_parts())] {
        object.attributes = Attributes {
            tags: [("team", "north - south"), ("a/b", "x=y+z")]
                .map(|(k, v)| (k.into(), v.into()))
                .into(),
            retention: Some((ObjectLockMode::Governance, until)),
            legal_hold: true,
            ..Attributes::default()
        };
        assert_eq!(site.bucket.create(&object).await.unwrap(), Creation::Created);
        let head = site.raw_head(&object.key).await;
        assert_eq!(head.object_lock_mode().map(|m| m.as_str()), Some("GOVERNANCE"));
        assert_eq!(
            head.object_lock_retain_until_date().map(|d| d.secs()),
            Some(until.as_second())
        );
        assert_eq!(
            head.object_lock_legal_hold_status().map(|h| h.as_str()),
            Some("ON")
        );
        let tags: Vec<_> = site.tags(&object.key).await.into_iter().collect();
        assert_eq!(
            tags,
            [
                ("a/b".into(), "x=y+z".into()),
                ("team".into(), "north - south".into())
            ]
        );
    }
}

/// kvs-sim keeps both as AWS does; not every S3 has classes and keys.
#[tokio::test]
async fn classes_and_keys_are_asked_for() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    for mut object in [bytes("small", b"small"), file(folder.path(), "big", in_parts())] {
        object.attributes = Attributes {
            storage_class: Some(StorageClass::StandardIa),
            encryption: Some(ObjectEncryption {
                server_side_encryption: ServerSideEncryption::AwsKmsDsse,
                kms_key_id: Some("arn:aws:kms:us-east-1:123456789012:key/k".into()),
            }),
            ..Attributes::default()
        };
        assert_eq!(site.bucket.create(&object).await.unwrap(), Creation::Created);
        let head = site.raw_head(&object.key).await;
        assert_eq!(head.storage_class().map(|c| c.as_str()), Some("STANDARD_IA"));
        assert_eq!(
            head.server_side_encryption().map(|e| e.as_str()),
            Some("aws:kms:dsse")
        );
        assert_eq!(
            head.ssekms_key_id(),
            Some("arn:aws:kms:us-east-1:123456789012:key/k")
        );
    }
}

/// The bucket of another account gets nothing.
#[tokio::test]
async fn another_owners_bucket_is_refused() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let other = site.owned_by("999999999999");
    for object in [bytes("small", b"small"), file(folder.path(), "big", in_parts())] {
        assert_eq!(other.create(&object).await.unwrap_err().kind, Kind::Denied);
    }
    assert_eq!(site.bucket.list("", "").await.unwrap(), []);
}

#[tokio::test]
async fn listings_are_whole_and_in_order() {
    let site = Site::new().await;
    let keys: Vec<String> = (0..1100).map(|n| format!("day=01/{n:04}.mp4")).collect();
    for some in keys.chunks(50) {
        join_all(some.iter().map(|key| async {
            site.bucket.create(&bytes(key, b"x")).await.unwrap();
        }))
        .await;
    }
    site.bucket.create(&bytes("day=02/0.mp4", b"x")).await.unwrap();
    let listed = site.bucket.list("day=01/", "").await.unwrap();
    assert!(listed.iter().map(|o| &o.key).eq(&keys));
    let after = site.bucket.list("day=01/", "day=01/1089.mp4").await.unwrap();
    assert_eq!(after.len(), 10);
}
