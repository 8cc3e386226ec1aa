//! Multipart uploads, and what a restart leaves of them.

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart},
};

use crate::sim::{Sim, bytes, code};

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
