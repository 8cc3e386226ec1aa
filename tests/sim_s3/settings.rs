//! Settings of buckets.

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{
        AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleRule,
        LifecycleRuleFilter, ServerSideEncryption, ServerSideEncryptionByDefault,
        ServerSideEncryptionConfiguration, ServerSideEncryptionRule, StorageClass, Tag, Tagging,
    },
};

use crate::sim::{Sim, code};

#[tokio::test]
async fn what_is_not_set_is_told_as_aws_does() {
    let sim = Sim::with_bucket().await;
    let s3 = &sim.s3;
    assert_eq!(
        code(s3.get_bucket_cors().bucket("footage").send().await),
        "NoSuchCORSConfiguration"
    );
    let lifecycle = s3
        .get_bucket_lifecycle_configuration()
        .bucket("footage")
        .send()
        .await;
    assert_eq!(code(lifecycle), "NoSuchLifecycleConfiguration");
    assert_eq!(
        code(s3.get_bucket_policy().bucket("footage").send().await),
        "NoSuchBucketPolicy"
    );
    let replication = s3.get_bucket_replication().bucket("footage").send().await;
    assert_eq!(code(replication), "ReplicationConfigurationNotFoundError");
    assert_eq!(
        code(s3.get_bucket_tagging().bucket("footage").send().await),
        "NoSuchTagSet"
    );
    assert_eq!(
        code(s3.get_bucket_website().bucket("footage").send().await),
        "NoSuchWebsiteConfiguration"
    );
    let encryption = s3.get_bucket_encryption().bucket("footage").send().await.unwrap();
    let rule = &encryption.server_side_encryption_configuration().unwrap().rules()[0];
    let algorithm = rule
        .apply_server_side_encryption_by_default()
        .unwrap()
        .sse_algorithm();
    assert_eq!(algorithm, &ServerSideEncryption::Aes256);
    let block = s3
        .get_public_access_block()
        .bucket("footage")
        .send()
        .await
        .unwrap();
    assert_eq!(
        block
            .public_access_block_configuration()
            .unwrap()
            .block_public_policy(),
        Some(true)
    );
    s3.delete_public_access_block()
        .bucket("footage")
        .send()
        .await
        .unwrap();
    let block = s3.get_public_access_block().bucket("footage").send().await;
    assert_eq!(code(block), "NoSuchPublicAccessBlockConfiguration");
    assert_eq!(
        s3.get_bucket_logging()
            .bucket("footage")
            .send()
            .await
            .unwrap()
            .logging_enabled(),
        None
    );
    let acl = s3.get_bucket_acl().bucket("footage").send().await.unwrap();
    assert_eq!(acl.grants().len(), 1);
    let inventory = s3
        .list_bucket_inventory_configurations()
        .bucket("footage")
        .send()
        .await;
    assert_eq!(code(inventory), "NotImplemented", "said, not guessed");
}

#[tokio::test]
async fn what_is_set_comes_back_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start(Some(folder.path())).await;
    sim.s3.create_bucket().bucket("footage").send().await.unwrap();
    let by_default = ServerSideEncryptionByDefault::builder()
        .sse_algorithm(ServerSideEncryption::AwsKms)
        .kms_master_key_id("arn:aws:kms:us-east-1:123456789012:key/k");
    let rule = ServerSideEncryptionRule::builder()
        .apply_server_side_encryption_by_default(by_default.build().unwrap())
        .bucket_key_enabled(true);
    let encryption = ServerSideEncryptionConfiguration::builder()
        .rules(rule.build())
        .build()
        .unwrap();
    let put = sim.s3.put_bucket_encryption().bucket("footage");
    put.server_side_encryption_configuration(encryption.clone())
        .send()
        .await
        .unwrap();
    let rule = LifecycleRule::builder()
        .id("abort")
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix("").build())
        .abort_incomplete_multipart_upload(
            AbortIncompleteMultipartUpload::builder()
                .days_after_initiation(7)
                .build(),
        );
    let rules = BucketLifecycleConfiguration::builder()
        .rules(rule.build().unwrap())
        .build()
        .unwrap();
    let put = sim.s3.put_bucket_lifecycle_configuration().bucket("footage");
    put.lifecycle_configuration(rules.clone()).send().await.unwrap();
    let tags = Tagging::builder().tag_set(Tag::builder().key("a").value("b&c").build().unwrap());
    let put = sim
        .s3
        .put_bucket_tagging()
        .bucket("footage")
        .tagging(tags.build().unwrap());
    put.send().await.unwrap();
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*",
        "Resource":["arn:aws:s3:::footage","arn:aws:s3:::footage/*"],
        "Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}"#;
    sim.s3
        .put_bucket_policy()
        .bucket("footage")
        .policy(policy)
        .send()
        .await
        .unwrap();
    sim.server.abort();

    let sim = Sim::start(Some(folder.path())).await;
    let got = sim
        .s3
        .get_bucket_encryption()
        .bucket("footage")
        .send()
        .await
        .unwrap();
    assert_eq!(got.server_side_encryption_configuration(), Some(&encryption));
    let got = sim
        .s3
        .get_bucket_lifecycle_configuration()
        .bucket("footage")
        .send()
        .await
        .unwrap();
    assert_eq!(got.rules(), rules.rules());
    let got = sim
        .s3
        .get_bucket_tagging()
        .bucket("footage")
        .send()
        .await
        .unwrap();
    assert_eq!(got.tag_set()[0].value(), "b&c");
    let got = sim.s3.get_bucket_policy().bucket("footage").send().await.unwrap();
    assert_eq!(got.policy(), Some(policy));
    let status = sim
        .s3
        .get_bucket_policy_status()
        .bucket("footage")
        .send()
        .await
        .unwrap();
    assert_eq!(status.policy_status().unwrap().is_public(), Some(false));
    let put = sim
        .s3
        .put_object()
        .bucket("footage")
        .key("k")
        .body(ByteStream::from_static(b"hello"));
    let put = put.send().await.unwrap();
    assert_eq!(put.server_side_encryption(), Some(&ServerSideEncryption::AwsKms));
    assert_eq!(put.bucket_key_enabled(), Some(true));
    assert_ne!(
        put.e_tag(),
        Some("\"5d41402abc4b2a76b9719d911017c592\""),
        "no MD5 of what KMS encrypts"
    );

    let public = policy
        .replace("Deny", "Allow")
        .replace("\"Condition\"", "\"Sid\"")
        .replace(r#"{"Bool":{"aws:SecureTransport":"false"}}"#, "\"everyone\"");
    let put = sim
        .s3
        .put_bucket_policy()
        .bucket("footage")
        .policy(public)
        .send()
        .await;
    assert_eq!(code(put), "AccessDenied");
}

#[tokio::test]
async fn access_control_lists_are_off() {
    let sim = Sim::with_bucket().await;
    let put = || sim.s3.put_object().bucket("footage").key("k");
    let public = put()
        .acl(aws_sdk_s3::types::ObjectCannedAcl::PublicRead)
        .send()
        .await;
    assert_eq!(code(public), "AccessControlListNotSupported");
    put()
        .acl(aws_sdk_s3::types::ObjectCannedAcl::BucketOwnerFullControl)
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn storage_classes() {
    let sim = Sim::with_bucket().await;
    let put = |class: StorageClass| {
        sim.s3
            .put_object()
            .bucket("footage")
            .key("k")
            .storage_class(class)
            .body(ByteStream::from_static(b"x"))
            .send()
    };
    assert_eq!(code(put(StorageClass::from("COLD")).await), "InvalidStorageClass");
    put(StorageClass::DeepArchive).await.unwrap();
    assert_eq!(
        code(sim.s3.get_object().bucket("footage").key("k").send().await),
        "InvalidObjectState"
    );
    let head = sim
        .s3
        .head_object()
        .bucket("footage")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(head.storage_class(), Some(&StorageClass::DeepArchive));
}

#[tokio::test]
async fn another_region_is_told() {
    let sim = Sim::with_bucket().await;
    let s3 = sim.in_region("eu-west-1");
    let error = s3.head_bucket().bucket("footage").send().await.unwrap_err();
    let answer = error.raw_response().unwrap();
    assert_eq!(answer.status().as_u16(), 301);
    assert_eq!(answer.headers().get("x-amz-bucket-region"), Some("us-east-1"));
    assert_eq!(
        code(s3.list_objects_v2().bucket("footage").send().await),
        "PermanentRedirect"
    );
    s3.get_bucket_location()
        .bucket("footage")
        .send()
        .await
        .expect("from anywhere");
}
