//! kvs-sim's S3 through the AWS SDK for Rust.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{path::Path, sync::Arc};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::ProvideErrorMetadata,
    primitives::ByteStream,
    types::{
        BucketVersioningStatus, ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload,
        CompletedPart, Delete, ObjectIdentifier, ServerSideEncryption, StorageClass, VersioningConfiguration,
    },
};
use kvs_sim::{
    clock::System,
    serve::Services,
    world::{Settings, World},
};

/// A simulator that goes with the test.
struct Sim {
    s3: Client,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Sim {
    async fn start(data: Option<&Path>) -> Self {
        let settings = Settings {
            data: data.map(Path::to_owned),
            ..Settings::default()
        };
        let services = Services::open(World::new(Arc::new(System), settings)).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(services.serve(listener));
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .endpoint_url(format!("http://{address}"))
            .force_path_style(true)
            .build();
        Self {
            s3: Client::from_conf(config),
            server,
        }
    }

    async fn with_bucket() -> Self {
        let sim = Self::start(None).await;
        sim.s3.create_bucket().bucket("footage").send().await.unwrap();
        sim
    }

    async fn put(&self, key: &str, body: &[u8]) {
        let body = ByteStream::from(body.to_vec());
        self.s3
            .put_object()
            .bucket("footage")
            .key(key)
            .body(body)
            .send()
            .await
            .unwrap();
    }

    async fn get(&self, key: &str) -> Vec<u8> {
        let object = self
            .s3
            .get_object()
            .bucket("footage")
            .key(key)
            .send()
            .await
            .unwrap();
        object.body.collect().await.unwrap().to_vec()
    }
}

/// An error's code.
fn code<T: std::fmt::Debug, E: ProvideErrorMetadata>(result: Result<T, E>) -> String {
    let error = result.map(|ok| format!("{ok:?}")).expect_err("a failure");
    error.code().unwrap_or_default().to_owned()
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 31 % 251) as u8).collect()
}

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
    let head = s3.head_bucket().bucket("europe").send().await.unwrap();
    assert_eq!(head.bucket_region(), Some("eu-west-1"));
    let error = s3.head_bucket().bucket("nowhere").send().await.unwrap_err();
    assert!(error.into_service_error().is_not_found());
    sim.put("k", b"x").await;
    assert_eq!(
        code(s3.delete_bucket().bucket("footage").send().await),
        "BucketNotEmpty"
    );
    s3.delete_bucket().bucket("europe").send().await.unwrap();
    assert_eq!(
        code(s3.delete_bucket().bucket("europe").send().await),
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
async fn an_object_comes_back_as_it_was_written() {
    let sim = Sim::with_bucket().await;
    let (key, body) = ("stream=a b/day=01/ü+%2B&.mp4", bytes(3_000_000));
    let put = sim
        .s3
        .put_object()
        .bucket("footage")
        .key(key)
        .body(ByteStream::from(body.clone()))
        .content_type("video/mp4")
        .metadata("fragments", "12")
        .storage_class(StorageClass::GlacierIr)
        .server_side_encryption(ServerSideEncryption::AwsKms)
        .ssekms_key_id("1234")
        .tagging("a=1&b=two%20words")
        .expected_bucket_owner("123456789012")
        .send()
        .await
        .unwrap();
    assert!(put.checksum_crc32().is_some(), "the SDK's own choice");
    assert_eq!(put.server_side_encryption(), Some(&ServerSideEncryption::AwsKms));
    let get = sim
        .s3
        .get_object()
        .bucket("footage")
        .key(key)
        .send()
        .await
        .unwrap();
    assert_eq!(get.content_type(), Some("video/mp4"));
    assert_eq!(get.metadata().unwrap()["fragments"], "12");
    assert_eq!(get.storage_class(), Some(&StorageClass::GlacierIr));
    assert_eq!(
        get.ssekms_key_id(),
        Some("arn:aws:kms:us-east-1:123456789012:key/1234")
    );
    assert_eq!(get.tag_count(), Some(2));
    assert_eq!(
        get.content_encoding(),
        None,
        "aws-chunked is no property of the object"
    );
    assert_eq!(get.e_tag(), put.e_tag());
    assert_eq!(get.body.collect().await.unwrap().to_vec(), body);
    let tags = sim
        .s3
        .get_object_tagging()
        .bucket("footage")
        .key(key)
        .send()
        .await
        .unwrap();
    let tags: Vec<_> = tags.tag_set().iter().map(|t| (t.key(), t.value())).collect();
    assert_eq!(tags, [("a", "1"), ("b", "two words")]);
    let head = sim
        .s3
        .head_object()
        .bucket("footage")
        .key(key)
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_length(), Some(3_000_000));
    sim.put("plain", b"hello").await;
    let head = sim
        .s3
        .head_object()
        .bucket("footage")
        .key("plain")
        .send()
        .await
        .unwrap();
    assert_eq!(head.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    assert_eq!(head.server_side_encryption(), Some(&ServerSideEncryption::Aes256));
}

#[tokio::test]
async fn part_of_an_object_and_conditions_on_reading() {
    let sim = Sim::with_bucket().await;
    let body = bytes(1_000_000);
    sim.put("k", &body).await;
    let get = || sim.s3.get_object().bucket("footage").key("k");
    let part = get().range("bytes=500000-500009").send().await.unwrap();
    assert_eq!(part.content_range(), Some("bytes 500000-500009/1000000"));
    assert_eq!(
        part.body.collect().await.unwrap().to_vec(),
        body[500_000..500_010]
    );
    let tail = get()
        .range("bytes=-700000")
        .send()
        .await
        .unwrap()
        .body
        .collect()
        .await
        .unwrap();
    assert_eq!(tail.to_vec(), body[300_000..]);
    assert_eq!(code(get().range("bytes=1000000-").send().await), "InvalidRange");
    let etag = get().send().await.unwrap().e_tag().unwrap().to_owned();
    get().if_match(&etag).send().await.unwrap();
    assert_eq!(
        code(get().if_match("\"other\"").send().await),
        "PreconditionFailed"
    );
    let unchanged = get().if_none_match(&etag).send().await.unwrap_err();
    assert_eq!(unchanged.raw_response().unwrap().status().as_u16(), 304);
    assert_eq!(
        code(sim.s3.get_object().bucket("footage").key("none").send().await),
        "NoSuchKey"
    );
    let head = sim
        .s3
        .head_object()
        .bucket("footage")
        .key("none")
        .send()
        .await
        .unwrap_err();
    assert!(head.into_service_error().is_not_found());
}

#[tokio::test]
async fn one_of_many_conditional_writes_wins() {
    let sim = Sim::with_bucket().await;
    for round in 0..5 {
        let key = format!("k{round}");
        let writes = (0..24_usize).map(|writer| {
            let put = sim.s3.put_object().bucket("footage").key(&key).if_none_match("*");
            let put = put
                .body(ByteStream::from(vec![writer as u8; 100_000 + writer]))
                .send();
            async move { (writer, put.await) }
        });
        let results = futures::future::join_all(writes).await;
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(|(_, result)| result.is_ok());
        assert_eq!((won.len(), lost.len()), (1, 23));
        for (_, result) in lost {
            let error = result.unwrap_err();
            assert_eq!(error.raw_response().unwrap().status().as_u16(), 412);
            assert_eq!(error.code(), Some("PreconditionFailed"));
        }
        let winner = won[0].0;
        assert_eq!(sim.get(&key).await, vec![winner as u8; 100_000 + winner]);
    }
    let put = |etag: &str, body: &'static str| {
        let put = sim.s3.put_object().bucket("footage").key("k0").if_match(etag);
        put.body(ByteStream::from_static(body.as_bytes())).send()
    };
    let etag = sim
        .s3
        .head_object()
        .bucket("footage")
        .key("k0")
        .send()
        .await
        .unwrap()
        .e_tag()
        .unwrap()
        .to_owned();
    assert_eq!(code(put("\"other\"", "no").await), "PreconditionFailed");
    put(&etag, "yes").await.unwrap();
    assert_eq!(sim.get("k0").await, b"yes");
    let missing = sim
        .s3
        .put_object()
        .bucket("footage")
        .key("none")
        .if_match(&etag)
        .send()
        .await;
    assert_eq!(code(missing), "NoSuchKey");
}

#[tokio::test]
async fn checksums_are_verified_and_kept() {
    let sim = Sim::with_bucket().await;
    let put = || {
        sim.s3
            .put_object()
            .bucket("footage")
            .key("k")
            .body(ByteStream::from_static(b"123456789"))
    };
    let nothing = [0_u8; 32];
    let base64 = |bytes: &[u8]| aws_smithy_types::base64::encode(bytes);
    for (put, name) in [
        (put().checksum_crc32(base64(&nothing[..4])), "CRC32"),
        (put().checksum_crc32_c(base64(&nothing[..4])), "CRC32C"),
        (put().checksum_crc64_nvme(base64(&nothing[..8])), "CRC64NVME"),
        (put().checksum_sha1(base64(&nothing[..20])), "SHA1"),
        (put().checksum_sha256(base64(&nothing)), "SHA256"),
        (put().content_md5(base64(&nothing[..16])), "MD5"),
    ] {
        assert_eq!(code(put.send().await), "BadDigest", "{name}");
    }
    assert_eq!(code(put().content_md5("short").send().await), "InvalidDigest");
    assert_eq!(
        code(sim.s3.get_object().bucket("footage").key("k").send().await),
        "NoSuchKey",
        "nothing was stored"
    );

    let crc64 = base64(&0xae8b_1486_0a79_9888_u64.to_be_bytes());
    put().checksum_crc64_nvme(&crc64).send().await.unwrap();
    let get = sim
        .s3
        .get_object()
        .bucket("footage")
        .key("k")
        .checksum_mode(ChecksumMode::Enabled);
    let get = get.send().await.unwrap();
    assert_eq!(get.checksum_crc64_nvme(), Some(crc64.as_str()));
    assert_eq!(get.checksum_type(), Some(&ChecksumType::FullObject));
    for algorithm in [
        ChecksumAlgorithm::Sha256,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Crc32C,
    ] {
        let put = put().checksum_algorithm(algorithm).send().await.unwrap();
        let get = sim
            .s3
            .get_object()
            .bucket("footage")
            .key("k")
            .checksum_mode(ChecksumMode::Enabled);
        let get = get.send().await.unwrap();
        assert_eq!(get.checksum_sha256(), put.checksum_sha256());
        assert_eq!(get.checksum_sha1(), put.checksum_sha1());
        assert_eq!(get.checksum_crc32_c(), put.checksum_crc32_c());
    }
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

const PART: usize = 5 << 20;

/// Uploads parts and gives what completes them.
async fn upload(sim: &Sim, key: &str, id: &str, sizes: &[usize]) -> CompletedMultipartUpload {
    let mut done = CompletedMultipartUpload::builder();
    for (number, size) in (1..).zip(sizes) {
        let part = sim
            .s3
            .upload_part()
            .bucket("footage")
            .key(key)
            .upload_id(id)
            .part_number(number);
        let part = part
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .body(ByteStream::from(bytes(*size)));
        let part = part.send().await.unwrap();
        let e_tag = part.e_tag().unwrap();
        done = done.parts(CompletedPart::builder().part_number(number).e_tag(e_tag).build());
    }
    done.build()
}

async fn begin(sim: &Sim, key: &str) -> String {
    let create = sim
        .s3
        .create_multipart_upload()
        .bucket("footage")
        .key(key)
        .content_type("video/mp4");
    let create = create
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
        .checksum_type(ChecksumType::FullObject);
    create.send().await.unwrap().upload_id().unwrap().to_owned()
}

#[tokio::test]
async fn multipart() {
    let sim = Sim::with_bucket().await;
    let id = begin(&sim, "k").await;
    let parts = upload(&sim, "k", &id, &[PART, PART, 10]).await;
    let listed = sim
        .s3
        .list_parts()
        .bucket("footage")
        .key("k")
        .upload_id(&id)
        .max_parts(2)
        .send()
        .await
        .unwrap();
    assert_eq!((listed.parts().len(), listed.is_truncated()), (2, Some(true)));
    let uploads = sim
        .s3
        .list_multipart_uploads()
        .bucket("footage")
        .send()
        .await
        .unwrap();
    assert_eq!(uploads.uploads()[0].upload_id(), Some(id.as_str()));
    assert_eq!(
        code(sim.s3.get_object().bucket("footage").key("k").send().await),
        "NoSuchKey"
    );

    let complete = || {
        sim.s3
            .complete_multipart_upload()
            .bucket("footage")
            .key("k")
            .upload_id(&id)
    };
    let wrong = complete()
        .multipart_upload(parts.clone())
        .checksum_crc64_nvme("AAAAAAAAAAA=");
    assert_eq!(code(wrong.send().await), "BadDigest");
    let wrong = complete().multipart_upload(parts.clone()).mpu_object_size(11);
    assert_eq!(code(wrong.send().await), "InvalidRequest");
    let done = complete()
        .multipart_upload(parts.clone())
        .if_none_match("*")
        .send()
        .await
        .unwrap();
    assert!(done.e_tag().unwrap().ends_with("-3\""), "{done:?}");
    let body = [bytes(PART), bytes(PART), bytes(10)].concat();
    assert_eq!(sim.get("k").await, body);
    let whole = sim
        .s3
        .put_object()
        .bucket("footage")
        .key("whole")
        .body(ByteStream::from(body));
    let whole = whole
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
        .send()
        .await
        .unwrap();
    assert_eq!(done.checksum_crc64_nvme(), whole.checksum_crc64_nvme());
    let part = sim
        .s3
        .get_object()
        .bucket("footage")
        .key("k")
        .part_number(3)
        .send()
        .await
        .unwrap();
    assert_eq!((part.parts_count(), part.content_length()), (Some(3), Some(10)));
    assert_eq!(
        code(complete().multipart_upload(parts).send().await),
        "NoSuchUpload"
    );

    let id = begin(&sim, "k").await;
    let parts = upload(&sim, "k", &id, &[10, 10]).await;
    let complete = || {
        sim.s3
            .complete_multipart_upload()
            .bucket("footage")
            .key("k")
            .upload_id(&id)
    };
    assert_eq!(
        code(complete().multipart_upload(parts.clone()).send().await),
        "EntityTooSmall"
    );
    let exists = complete()
        .multipart_upload(parts.clone())
        .if_none_match("*")
        .send()
        .await;
    assert_eq!(code(exists), "PreconditionFailed");
    let mut turned = parts.parts().to_vec();
    turned.reverse();
    let turned = CompletedMultipartUpload::builder()
        .set_parts(Some(turned))
        .build();
    assert_eq!(
        code(complete().multipart_upload(turned).send().await),
        "InvalidPartOrder"
    );
    sim.s3
        .abort_multipart_upload()
        .bucket("footage")
        .key("k")
        .upload_id(&id)
        .send()
        .await
        .unwrap();
    assert_eq!(
        code(complete().multipart_upload(parts).send().await),
        "NoSuchUpload"
    );
}

#[tokio::test]
async fn one_of_many_conditional_completions_wins() {
    let sim = Sim::with_bucket().await;
    let uploads = futures::future::join_all((0..24).map(|writer| {
        let sim = &sim;
        async move {
            let id = begin(sim, "k").await;
            let parts = upload(sim, "k", &id, &[1000 + writer]).await;
            (id, parts)
        }
    }))
    .await;
    let results = futures::future::join_all(uploads.iter().map(|(id, parts)| {
        let complete = sim
            .s3
            .complete_multipart_upload()
            .bucket("footage")
            .key("k")
            .upload_id(id);
        complete.multipart_upload(parts.clone()).if_none_match("*").send()
    }))
    .await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    for result in results.into_iter().filter(|r| r.is_err()) {
        assert_eq!(code(result), "PreconditionFailed");
    }
}

#[tokio::test]
async fn copies() {
    let sim = Sim::with_bucket().await;
    let put = sim
        .s3
        .put_object()
        .bucket("footage")
        .key("from é")
        .content_type("video/mp4")
        .metadata("a", "b");
    put.body(ByteStream::from_static(b"hello")).send().await.unwrap();
    let copy = sim
        .s3
        .copy_object()
        .bucket("footage")
        .key("to")
        .copy_source("footage/from%20%C3%A9");
    let copied = copy.send().await.unwrap();
    assert_eq!(
        copied.copy_object_result().unwrap().e_tag(),
        Some("\"5d41402abc4b2a76b9719d911017c592\"")
    );
    let head = sim
        .s3
        .head_object()
        .bucket("footage")
        .key("to")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (head.content_type(), head.metadata().unwrap()["a"].as_str()),
        (Some("video/mp4"), "b")
    );
    assert_eq!(sim.get("to").await, b"hello");
}

#[tokio::test]
async fn versions() {
    let sim = Sim::with_bucket().await;
    sim.put("k", b"before").await;
    let enabled = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    sim.s3
        .put_bucket_versioning()
        .bucket("footage")
        .versioning_configuration(enabled)
        .send()
        .await
        .unwrap();
    sim.put("k", b"after").await;
    let gone = sim
        .s3
        .delete_object()
        .bucket("footage")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(gone.delete_marker(), Some(true));
    assert_eq!(
        code(sim.s3.get_object().bucket("footage").key("k").send().await),
        "NoSuchKey"
    );
    let old = sim
        .s3
        .get_object()
        .bucket("footage")
        .key("k")
        .version_id("null")
        .send()
        .await
        .unwrap();
    assert_eq!(old.body.collect().await.unwrap().to_vec(), b"before");
    sim.s3
        .put_object()
        .bucket("footage")
        .key("k")
        .if_none_match("*")
        .send()
        .await
        .expect("a marker is no object");
    sim.s3
        .delete_object()
        .bucket("footage")
        .key("k")
        .version_id(gone.version_id().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(sim.get("k").await, b"");
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start(Some(folder.path())).await;
    sim.s3.create_bucket().bucket("footage").send().await.unwrap();
    sim.put("kept", b"hello").await;
    sim.put("gone", b"hello").await;
    sim.s3
        .delete_object()
        .bucket("footage")
        .key("gone")
        .send()
        .await
        .unwrap();
    let id = begin(&sim, "k").await;
    let parts = upload(&sim, "k", &id, &[PART, 10]).await;
    sim.server.abort();
    drop(sim);

    let sim = Sim::start(Some(folder.path())).await;
    assert_eq!(sim.get("kept").await, b"hello");
    let complete = sim
        .s3
        .complete_multipart_upload()
        .bucket("footage")
        .key("k")
        .upload_id(&id);
    complete.multipart_upload(parts).send().await.unwrap();
    let listed = sim.s3.list_objects_v2().bucket("footage").send().await.unwrap();
    assert_eq!(listed.key_count(), Some(2));
    let bodies = std::fs::read_dir(folder.path().join("s3/bodies"))
        .unwrap()
        .count();
    assert_eq!(bodies, 2, "nothing is left of what went");
}
