//! Object lock.

use aws_sdk_s3::{
    primitives::{ByteStream, DateTime},
    types::{
        DefaultRetention, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockLegalHold,
        ObjectLockLegalHoldStatus, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode,
        ObjectLockRule,
    },
};

use crate::sim::{Sim, code};

/// So many days from now.
fn days(count: i64) -> DateTime {
    DateTime::from_secs(DateTime::from(std::time::SystemTime::now()).secs() + count * 86_400)
}

async fn locked_bucket() -> Sim {
    let sim = Sim::start(None).await;
    let create = sim
        .s3
        .create_bucket()
        .bucket("footage")
        .object_lock_enabled_for_bucket(true);
    create.send().await.unwrap();
    sim
}

#[tokio::test]
async fn a_locked_version_stays() {
    let sim = locked_bucket().await;
    let put = |key: &str| {
        sim.s3
            .put_object()
            .bucket("footage")
            .key(key)
            .body(ByteStream::from_static(b"x"))
    };
    let retained = put("kept").object_lock_mode(ObjectLockMode::Compliance);
    let retained = retained
        .object_lock_retain_until_date(days(1))
        .send()
        .await
        .unwrap();
    let delete = || sim.s3.delete_object().bucket("footage").key("kept");
    delete().send().await.expect("a delete marker hides it");
    let version = retained.version_id().unwrap();
    let attempt = delete()
        .version_id(version)
        .bypass_governance_retention(true)
        .send()
        .await;
    assert_eq!(code(attempt), "AccessDenied");
    let retention = ObjectLockRetention::builder().mode(ObjectLockRetentionMode::Compliance);
    let sooner = retention.retain_until_date(days(0)).build();
    let shorten = sim
        .s3
        .put_object_retention()
        .bucket("footage")
        .key("kept")
        .version_id(version);
    let shorten = shorten.retention(sooner).send().await;
    assert_eq!(code(shorten), "InvalidArgument", "the past");

    let held = put("held")
        .object_lock_legal_hold_status(ObjectLockLegalHoldStatus::On)
        .send()
        .await
        .unwrap();
    let delete = || {
        sim.s3
            .delete_object()
            .bucket("footage")
            .key("held")
            .version_id(held.version_id().unwrap())
    };
    assert_eq!(code(delete().send().await), "AccessDenied");
    let off = ObjectLockLegalHold::builder()
        .status(ObjectLockLegalHoldStatus::Off)
        .build();
    sim.s3
        .put_object_legal_hold()
        .bucket("footage")
        .key("held")
        .legal_hold(off)
        .send()
        .await
        .unwrap();
    delete().send().await.unwrap();
}

#[tokio::test]
async fn the_default_retention_of_a_bucket() {
    let sim = locked_bucket().await;
    let retention = DefaultRetention::builder()
        .mode(aws_sdk_s3::types::ObjectLockRetentionMode::Governance)
        .days(7);
    let configuration = ObjectLockConfiguration::builder()
        .object_lock_enabled(ObjectLockEnabled::Enabled)
        .rule(
            ObjectLockRule::builder()
                .default_retention(retention.build())
                .build(),
        )
        .build();
    let put = sim.s3.put_object_lock_configuration().bucket("footage");
    put.object_lock_configuration(configuration).send().await.unwrap();
    sim.put("k", b"x").await;
    let head = sim
        .s3
        .head_object()
        .bucket("footage")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(head.object_lock_mode(), Some(&ObjectLockMode::Governance));
    let until = head.object_lock_retain_until_date().unwrap().secs();
    assert!((until - days(7).secs()).abs() < 3600, "{until}");
    let delete = || {
        sim.s3
            .delete_object()
            .bucket("footage")
            .key("k")
            .version_id(head.version_id().unwrap())
    };
    assert_eq!(code(delete().send().await), "AccessDenied");
    delete().bypass_governance_retention(true).send().await.unwrap();
}

#[tokio::test]
async fn without_object_lock() {
    let sim = Sim::with_bucket().await;
    let get = sim
        .s3
        .get_object_lock_configuration()
        .bucket("footage")
        .send()
        .await;
    assert_eq!(code(get), "ObjectLockConfigurationNotFoundError");
    let put = sim.s3.put_object().bucket("footage").key("k");
    let put = put
        .object_lock_legal_hold_status(ObjectLockLegalHoldStatus::On)
        .send()
        .await;
    assert_eq!(code(put), "InvalidRequest");
    sim.put("k", b"x").await;
    let hold = sim
        .s3
        .get_object_legal_hold()
        .bucket("footage")
        .key("k")
        .send()
        .await;
    assert_eq!(code(hold), "InvalidRequest");
    let locked = locked_bucket().await;
    locked.put("k", b"x").await;
    let hold = locked
        .s3
        .get_object_legal_hold()
        .bucket("footage")
        .key("k")
        .send()
        .await;
    assert_eq!(code(hold), "NoSuchObjectLockConfiguration");
}
