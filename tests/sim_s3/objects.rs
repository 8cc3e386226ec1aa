//! Objects: what comes back, conditions, checksums, copies.

use aws_sdk_s3::{
    error::ProvideErrorMetadata,
    primitives::ByteStream,
    types::{ChecksumAlgorithm, ChecksumMode, ChecksumType, ServerSideEncryption, StorageClass},
};

use crate::sim::{Sim, bytes, code};

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
