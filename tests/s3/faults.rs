//! What goes wrong on the way: answers that are lost, conflicts, parts that do not get through. kvs-sim makes them.

use futures::future::join_all;
use kvs_operator::aws::{
    Kind,
    objects::{Creation, Objects},
};
use serde_json::{Value, json};

use crate::site::{Site, bytes, file, in_parts};

fn rule(operation: &str, times: u32, code: &str, status: u16, performed: bool) -> Value {
    json!({"operation": operation, "times": times, "fault": {"error": {"code": code, "status": status, "performed": performed}}})
}

/// However a creation is disturbed: in the end the object is there once, as it should be, and nothing is left beside it.
#[tokio::test]
async fn a_disturbed_creation_comes_to_the_same() {
    let disturbances = [
        rule("PutObject", 1, "ConditionalRequestConflict", 409, false),
        rule("PutObject", 3, "InternalError", 500, true),
        rule("PutObject", 5, "SlowDown", 503, false),
        rule("PutObject", 1, "RequestTimeout", 400, false),
        rule("CreateMultipartUpload", 2, "InternalError", 500, true),
        rule("CreateMultipartUpload", 2, "SlowDown", 503, false),
        rule("UploadPart", 2, "InternalError", 500, true),
        rule("UploadPart", 1, "BadDigest", 400, false),
        rule("UploadPart", 1, "NoSuchUpload", 404, false),
        rule(
            "CompleteMultipartUpload",
            1,
            "ConditionalRequestConflict",
            409,
            false,
        ),
        rule("CompleteMultipartUpload", 1, "InternalError", 500, true),
        rule("CompleteMultipartUpload", 6, "InternalError", 500, true),
        rule("CompleteMultipartUpload", 6, "InternalError", 500, false),
    ];
    // At once: the SDK waits between its attempts.
    join_all(disturbances.into_iter().map(async |disturbance| {
        let site = Site::simulated().await;
        let folder = tempfile::tempdir().unwrap();
        let size = if disturbance["operation"] == "PutObject" {
            1000
        } else {
            in_parts()
        };
        let object = file(folder.path(), "object", size);
        site.faults(json!([disturbance]));
        let stored = site.store().footage(&object).await.unwrap();
        assert_eq!(stored.sha256, hex::encode(object.sha256), "{disturbance}");
        site.faults(json!([]));
        site.is_there(&object).await;
        assert_eq!(site.uploads().await, 0, "{disturbance}");
    }))
    .await;
}

#[tokio::test]
async fn a_creation_that_fails_leaves_nothing_behind() {
    let failures = [
        ("CreateMultipartUpload", "InternalError", 500, Kind::Unavailable),
        ("UploadPart", "InternalError", 500, Kind::Unavailable),
        ("UploadPart", "AccessDenied", 403, Kind::Denied),
        (
            "CompleteMultipartUpload",
            "KMS.DisabledException",
            400,
            Kind::Denied,
        ),
        ("CompleteMultipartUpload", "InvalidPart", 400, Kind::Invalid),
    ];
    join_all(failures.into_iter().map(async |(operation, code, status, kind)| {
        let site = Site::simulated().await;
        let folder = tempfile::tempdir().unwrap();
        let object = file(folder.path(), "object", in_parts());
        let performed = operation != "CompleteMultipartUpload";
        site.faults(json!([rule(operation, 1000, code, status, performed)]));
        let error = site.bucket.create(&object).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        site.faults(json!([]));
        assert_eq!(site.uploads().await, 0, "{operation} {code}");
        assert_eq!(site.bucket.head("object").await.unwrap(), None);
    }))
    .await;
}

/// The process is told to stop in the middle of an upload.
#[tokio::test]
async fn an_upload_that_is_given_up_is_aborted() {
    let site = Site::simulated().await;
    let folder = tempfile::tempdir().unwrap();
    let object = file(folder.path(), "object", in_parts());
    site.faults(
        json!([{"operation": "UploadPart", "after": 1, "times": 1, "fault": {"delay": {"millis": 600_000}}}]),
    );
    let creation = {
        let bucket = site.bucket.clone();
        tokio::spawn(async move { bucket.create(&object).await })
    };
    while site.uploads().await == 0 {
        tokio::task::yield_now().await;
    }
    creation.abort();
    assert!(creation.await.unwrap_err().is_cancelled());
    assert_eq!(site.uploads().await, 1);
    site.bucket.abandon().await;
    assert_eq!(site.uploads().await, 0);
}

/// A Job was killed in the middle of an upload; the next one takes away what it left, and nothing of others.
#[tokio::test]
async fn what_a_killed_job_left_goes_when_the_work_is_done() {
    let site = Site::simulated().await;
    let folder = tempfile::tempdir().unwrap();
    site.leave_upload("object").await;
    site.leave_upload("object-of-another").await;
    let object = file(folder.path(), "object", in_parts());
    assert_eq!(site.bucket.create(&object).await.unwrap(), Creation::Created);
    assert_eq!(site.uploads().await, 1, "the other's");
    assert_eq!(
        site.bucket.create(&bytes("small", b"small")).await.unwrap(),
        Creation::Created
    );
}
