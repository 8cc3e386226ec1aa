//! Buckets and what they list.

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{Delete, ObjectIdentifier},
};

use crate::sim::{Sim, bytes, code};

#[tokio::test]
async fn buckets() {
    let sim = Sim::with_bucket().await;
    let s3 = &sim.s3;
    s3.create_bucket()
        .bucket("footage")
        .send()
        .await
        .expect("again is no error in us-east-1");
    let eu = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(aws_sdk_s3::types::BucketLocationConstraint::EuWest1)
        .build();
    s3.create_bucket()
        .bucket("europe")
        .create_bucket_configuration(eu)
        .send()
        .await
        .unwrap();
    assert_eq!(
        code(s3.create_bucket().bucket("europe").send().await),
        "BucketAlreadyOwnedByYou"
    );
    assert_eq!(
        code(s3.create_bucket().bucket("No").send().await),
        "InvalidBucketName"
    );
    let listed = s3.list_buckets().send().await.unwrap();
    let names: Vec<_> = listed.buckets().iter().filter_map(|b| b.name()).collect();
    assert_eq!(names, ["europe", "footage"]);
    let location = s3.get_bucket_location().bucket("europe").send().await.unwrap();
    assert_eq!(location.location_constraint().unwrap().as_str(), "eu-west-1");
    let eu = sim.in_region("eu-west-1");
    let head = eu.head_bucket().bucket("europe").send().await.unwrap();
    assert_eq!(head.bucket_region(), Some("eu-west-1"));
    let error = s3.head_bucket().bucket("nowhere").send().await.unwrap_err();
    assert!(error.into_service_error().is_not_found());
    sim.put("k", b"x").await;
    assert_eq!(
        code(s3.delete_bucket().bucket("footage").send().await),
        "BucketNotEmpty"
    );
    eu.delete_bucket().bucket("europe").send().await.unwrap();
    assert_eq!(
        code(eu.delete_bucket().bucket("europe").send().await),
        "NoSuchBucket"
    );
    assert_eq!(
        code(s3.list_objects_v2().bucket("europe").send().await),
        "NoSuchBucket"
    );
    let large = ByteStream::from(bytes(3_000_000));
    assert_eq!(
        code(s3.put_object().bucket("europe").key("k").body(large).send().await),
        "NoSuchBucket"
    );
    let stranger = s3
        .head_bucket()
        .bucket("footage")
        .expected_bucket_owner("999999999999")
        .send()
        .await;
    assert_eq!(
        stranger.unwrap_err().raw_response().unwrap().status().as_u16(),
        403
    );
}

#[tokio::test]
async fn lists_in_pages() {
    let sim = Sim::with_bucket().await;
    for key in ["a", "b/1", "b/2", "b/c/3", "c d+é", "e/1"] {
        sim.put(key, b"x").await;
    }
    let list = || sim.s3.list_objects_v2().bucket("footage");
    let all = list().send().await.unwrap();
    let keys: Vec<_> = all.contents().iter().filter_map(|o| o.key()).collect();
    assert_eq!(keys, ["a", "b/1", "b/2", "b/c/3", "c d+é", "e/1"]);
    assert_eq!(all.key_count(), Some(6));
    let rolled = list().delimiter("/").send().await.unwrap();
    let prefixes: Vec<_> = rolled
        .common_prefixes()
        .iter()
        .filter_map(|p| p.prefix())
        .collect();
    assert_eq!((rolled.contents().len(), prefixes), (2, vec!["b/", "e/"]));
    let mut pages = list().delimiter("/").into_paginator().page_size(1).send();
    let mut seen = vec![];
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        seen.extend(page.contents().iter().filter_map(|o| o.key().map(str::to_owned)));
        seen.extend(
            page.common_prefixes()
                .iter()
                .filter_map(|p| p.prefix().map(str::to_owned)),
        );
    }
    assert_eq!(seen, ["a", "b/", "c d+é", "e/"]);
    let after = list().start_after("b/2").prefix("b").send().await.unwrap();
    assert_eq!(after.contents()[0].key(), Some("b/c/3"));
    let first = sim
        .s3
        .list_objects()
        .bucket("footage")
        .max_keys(2)
        .delimiter("/")
        .send()
        .await
        .unwrap();
    assert_eq!(first.next_marker(), Some("b/"));
    let second = sim
        .s3
        .list_objects()
        .bucket("footage")
        .marker("b/")
        .delimiter("/")
        .send()
        .await
        .unwrap();
    assert_eq!(second.contents()[0].key(), Some("c d+é"));
    assert_eq!(
        code(list().continuation_token("?").send().await),
        "InvalidArgument"
    );
    let id = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
    let delete = Delete::builder()
        .objects(id("a"))
        .objects(id("none"))
        .build()
        .unwrap();
    let deleted = sim
        .s3
        .delete_objects()
        .bucket("footage")
        .delete(delete)
        .send()
        .await
        .unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (2, 0));
    sim.s3
        .delete_object()
        .bucket("footage")
        .key("b/1")
        .send()
        .await
        .unwrap();
    sim.s3
        .delete_object()
        .bucket("footage")
        .key("b/1")
        .send()
        .await
        .expect("again is no error");
    assert_eq!(list().send().await.unwrap().key_count(), Some(4));
}
