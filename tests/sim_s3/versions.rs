//! Versions and delete markers.

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};

use crate::sim::{Sim, code};

/// Sets a bucket's versioning.
async fn version(sim: &Sim, status: BucketVersioningStatus) {
    let configuration = VersioningConfiguration::builder().status(status).build();
    let put = sim
        .s3
        .put_bucket_versioning()
        .bucket("footage")
        .versioning_configuration(configuration);
    put.send().await.unwrap();
}

#[tokio::test]
async fn versions() {
    let sim = Sim::with_bucket().await;
    sim.put("k", b"before").await;
    version(&sim, BucketVersioningStatus::Enabled).await;
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
    let marker = sim
        .s3
        .get_object()
        .bucket("footage")
        .key("k")
        .version_id(gone.version_id().unwrap());
    assert_eq!(code(marker.send().await), "MethodNotAllowed");
    let create = sim.s3.put_object().bucket("footage").key("k").if_none_match("*");
    create.send().await.expect("a marker is no object");
    let delete = sim.s3.delete_object().bucket("footage").key("k");
    let marker = delete
        .version_id(gone.version_id().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(marker.delete_marker(), Some(true), "a marker is what went");
    assert_eq!(sim.get("k").await, b"");
    version(&sim, BucketVersioningStatus::Suspended).await;
    sim.put("k", b"null again").await;
    let old = sim
        .s3
        .get_object()
        .bucket("footage")
        .key("k")
        .version_id("null")
        .send()
        .await
        .unwrap();
    assert_eq!(old.body.collect().await.unwrap().to_vec(), b"null again");
}

#[tokio::test]
async fn all_versions_are_listed_in_pages() {
    let sim = Sim::with_bucket().await;
    version(&sim, BucketVersioningStatus::Enabled).await;
    for (key, body) in [("a", "1"), ("a", "2"), ("b/1", "1"), ("b/2", "1"), ("c", "1")] {
        sim.put(key, body.as_bytes()).await;
    }
    sim.s3
        .delete_object()
        .bucket("footage")
        .key("a")
        .send()
        .await
        .unwrap();
    let list = || sim.s3.list_object_versions().bucket("footage");
    let all = list().send().await.unwrap();
    let keys: Vec<_> = all.versions().iter().filter_map(|v| v.key()).collect();
    assert_eq!(keys, ["a", "a", "b/1", "b/2", "c"]);
    assert_eq!(all.versions()[0].is_latest(), Some(false));
    assert_eq!(
        (all.delete_markers().len(), all.delete_markers()[0].is_latest()),
        (1, Some(true))
    );
    let mut seen = vec![];
    let (mut key, mut id) = (None, None);
    loop {
        let page = list()
            .max_keys(1)
            .delimiter("/")
            .set_key_marker(key)
            .set_version_id_marker(id);
        let page = page.send().await.unwrap();
        seen.extend(page.versions().iter().filter_map(|v| v.key().map(str::to_owned)));
        seen.extend(
            page.delete_markers()
                .iter()
                .filter_map(|v| v.key().map(|k| format!("{k} is deleted"))),
        );
        seen.extend(
            page.common_prefixes()
                .iter()
                .filter_map(|p| p.prefix().map(str::to_owned)),
        );
        if page.is_truncated() != Some(true) {
            break;
        }
        (key, id) = (page.next_key_marker, page.next_version_id_marker);
    }
    assert_eq!(seen, ["a is deleted", "a", "a", "b/", "c"]);
}
