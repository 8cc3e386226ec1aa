//! `kvs-operator verify` against archives that were damaged in every way.

use std::process::Output;

use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, BucketVersioningStatus, ExpirationStatus, LifecycleExpiration,
    LifecycleRule, LifecycleRuleAndOperator, LifecycleRuleFilter, StorageClass, Tag, VersioningConfiguration,
    builders::LifecycleRuleFilterBuilder,
};
use jiff::SignedDuration;
use serde_json::Value;

use crate::sim::Sim;

pub const PREFIX: &str = "cameras/archive";

/// A closed archive of two recordings of the same footage, and an open one.
pub async fn archived(sim: &Sim) -> (String, String) {
    let (from, to) = sim.footage(2).await;
    let (from, to) = (from.to_string(), to.to_string());
    archive(sim, (&from, &to), &["--recording", "one"]).await;
    archive(sim, (&from, &to), &["--recording", "one", "--sweep", "--close"]).await;
    archive(sim, (&from, &to), &["--recording", "two"]).await;
    (from, to)
}

pub async fn archive(sim: &Sim, (from, to): (&str, &str), more: &[&str]) -> Output {
    let how = ["--clip-duration", "20s", "--prefix", PREFIX];
    let output = sim.archive(from, to, &[&how, more].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    output
}

pub async fn verify(sim: &Sim, more: &[&str]) -> (Option<i32>, Value) {
    let place = ["verify", "--bucket", &sim.bucket, "--prefix", PREFIX];
    let output = sim.kvs_operator(&[&place[..], more].concat()).await;
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    (output.status.code(), report)
}

/// The findings as `kind key`, without those that an undamaged archive has.
pub fn findings(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .filter(|f| f["kind"] != "open")
        .map(|f| format!("{} {}", f["kind"].as_str().unwrap(), f["key"].as_str().unwrap()))
        .collect()
}

async fn write(sim: &Sim, key: &str, content: Vec<u8>) {
    let put = sim
        .s3
        .put_object()
        .bucket(&sim.bucket)
        .key(key)
        .body(content.into());
    put.checksum_algorithm(aws_sdk_s3::types::ChecksumAlgorithm::Sha256)
        .send()
        .await
        .unwrap();
}

async fn delete(sim: &Sim, key: &str) {
    sim.s3
        .delete_object()
        .bucket(&sim.bucket)
        .key(key)
        .send()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_damage_is_named() {
    let sim = Sim::start().await;
    archived(&sim).await;
    for deep in [&[][..], &["--deep"]] {
        let (code, report) = verify(&sim, deep).await;
        assert_eq!((code, findings(&report)), (Some(0), vec![]), "{report}");
        assert_eq!(report["proven"], true);
        assert_eq!(
            (&report["totals"]["recordings"], &report["totals"]["open"]),
            (&2.into(), &1.into())
        );
        assert_eq!(report["totals"]["frames"].as_u64().unwrap() > 0, !deep.is_empty());
    }

    let keys = sim.keys(PREFIX).await;
    let named = |part: &str, end: &str| {
        let found = keys.iter().find(|k| k.contains(part) && k.ends_with(end));
        found
            .unwrap_or_else(|| panic!("no {part}…{end} in {keys:?}"))
            .clone()
    };
    let (film, root) = (named("/stream=", ".mp4"), named("/one-", "recording.json"));
    let (manifest, plan) = (named("/one-", ".manifest.json"), named("/one-", ".plan.json"));
    let closing = named("/one-", "sweep-000001.plan.json");
    let (open, open_plan) = (named("/two-", ".manifest.json"), named("/two-", ".plan.json"));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();

    // The damage, and what must be found; each is mended before the next.
    type Change = Box<dyn Fn(Vec<u8>) -> Option<Vec<u8>>>;
    let gone = || -> Change { Box::new(|_| None) };
    let swapped = |a: &'static str, b: &'static str| -> Change {
        Box::new(move |old| {
            let old = text(&old);
            assert!(old.contains(a), "{old}");
            Some(old.replacen(a, b, 1).into_bytes())
        })
    };
    let flipped: Change = Box::new(|mut old| {
        let middle = old.len() / 2;
        old[middle] ^= 1;
        Some(old)
    });
    for (name, key, change, expected, code) in [
        (
            "a file is gone",
            &film,
            gone(),
            vec![format!("missing {film}")],
            3,
        ),
        (
            "a bit of a file has flipped",
            &film,
            flipped,
            vec![format!("changed {film}")],
            3,
        ),
        (
            "a file was cut",
            &film,
            Box::new(|mut old: Vec<u8>| {
                old.pop();
                Some(old)
            }) as Change,
            vec![format!("changed {film}")],
            3,
        ),
        (
            "the root is gone: the recording counts as open, and its closing as begun",
            &root,
            gone(),
            vec![format!("unfinished {closing}")],
            0,
        ),
        (
            "a plan is gone",
            &plan,
            gone(),
            vec![format!("missing {plan}")],
            3,
        ),
        (
            "a document is no document",
            &manifest,
            Box::new(|_| Some(b"{".to_vec())) as Change,
            vec![format!("missing {manifest}"), format!("unreadable {manifest}")],
            3,
        ),
        (
            "a document of a newer version",
            &open,
            swapped("\"version\":1", "\"version\":2"),
            vec![format!("unreadable {open}")],
            3,
        ),
        (
            "a manifest was changed",
            &manifest,
            swapped("\"program\":\"kvs", "\"program\":\"kws"),
            vec![format!("changed {manifest}")],
            3,
        ),
        (
            "a manifest's counts were changed",
            &open,
            swapped("\"lost\":0", "\"lost\":1"),
            vec![format!("contradiction {open}")],
            3,
        ),
        (
            "a plan was changed",
            &open_plan,
            swapped("\"duration\":\"20s\"", "\"duration\":\"21s\""),
            vec![format!("changed {open_plan}")],
            3,
        ),
        (
            "a manifest of another stream",
            &open,
            swapped("123456789012", "123456789013"),
            vec![format!("contradiction {open}")],
            3,
        ),
    ] {
        let before = sim.object(key).await;
        match change(before.clone()) {
            Some(content) => write(&sim, key, content).await,
            None => delete(&sim, key).await,
        }
        let (status, report) = verify(&sim, &[]).await;
        let found = findings(&report);
        for finding in &expected {
            assert!(
                found.contains(finding),
                "{name}: {finding} is not among {found:?}"
            );
        }
        assert_eq!(expected.is_empty(), found.is_empty(), "{name}: {found:?}");
        assert_eq!(status, Some(code), "{name}: {report}");
        write(&sim, key, before).await;
    }
    let (code, report) = verify(&sim, &[]).await;
    assert_eq!((code, findings(&report)), (Some(0), vec![]), "all is mended");

    // A manifest that is gone leaves its files unexplained by it; its plan still explains them.
    let before = sim.object(&open).await;
    delete(&sim, &open).await;
    let (code, report) = verify(&sim, &[]).await;
    let found = findings(&report);
    assert!(
        found.iter().all(|f| f.starts_with("unfinished ")) && found.len() > 1,
        "{found:?}"
    );
    assert_eq!(code, Some(0));
    write(&sim, &open, before).await;

    let stray = film.replace("_", "-") + ".tmp";
    write(&sim, &stray, b"x".to_vec()).await;
    let (code, report) = verify(&sim, &[]).await;
    assert_eq!(
        (code, findings(&report)),
        (Some(0), vec![format!("stray {stray}")])
    );
    delete(&sim, &stray).await;

    // Nothing there, and an archive that nobody can reach.
    let nothing = sim
        .kvs_operator(&["verify", "--bucket", &sim.bucket, "--prefix", "other"])
        .await;
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    let nowhere = sim.kvs_operator(&["verify", "--bucket", "no-such-bucket"]).await;
    assert_eq!(nowhere.status.code(), Some(2), "{nowhere:?}");

    // A downloaded folder, with the prefix as folders and without it; then a byte of it changes.
    let folder = tempfile::tempdir().unwrap();
    for key in sim.keys(PREFIX).await {
        let path = folder.path().join(&key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, sim.object(&key).await).unwrap();
    }
    for root in [folder.path().to_owned(), folder.path().join(PREFIX)] {
        let (code, report) = verify(&sim, &["--dir", root.to_str().unwrap()]).await;
        assert_eq!((code, findings(&report)), (Some(0), vec![]), "{report}");
        assert_eq!(report["totals"]["read"], report["totals"]["files"]);
    }
    let path = folder.path().join(&film);
    let mut content = std::fs::read(&path).unwrap();
    content[1000] ^= 1;
    std::fs::write(path, content).unwrap();
    let (code, report) = verify(&sim, &["--dir", folder.path().to_str().unwrap()]).await;
    assert_eq!(
        (code, findings(&report)),
        (Some(3), vec![format!("changed {film}")])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn glacier_delete_markers_and_lifecycle_are_named_as_such() {
    let sim = Sim::start().await;
    let versioned = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    let put = sim.s3.put_bucket_versioning().bucket(&sim.bucket);
    put.versioning_configuration(versioned).send().await.unwrap();
    archived(&sim).await;
    let films: Vec<_> = sim.keys(&format!("{PREFIX}/stream=")).await;
    let copy = sim.s3.copy_object().bucket(&sim.bucket).key(&films[0]);
    copy.copy_source(format!("{}/{}", sim.bucket, films[0]))
        .storage_class(StorageClass::DeepArchive)
        .send()
        .await
        .unwrap();
    let (code, report) = verify(&sim, &["--deep"]).await;
    assert_eq!(
        (code, findings(&report)),
        (Some(0), vec![format!("frozen {}", films[0])]),
        "{report}"
    );

    delete(&sim, &films[1]).await;
    let (code, report) = verify(&sim, &[]).await;
    assert_eq!(
        (code, findings(&report)),
        (Some(3), vec![format!("missing {}", films[1])])
    );
    let marker = report["findings"].to_string();
    assert!(marker.contains("a delete marker hides it since"), "{marker}");

    let footage = format!("{PREFIX}/stream=");
    expire(&sim, LifecycleRuleFilter::builder().prefix(&footage)).await;
    let (code, _) = verify(&sim, &[]).await;
    assert_eq!(code, Some(3), "it went before its time");
    sim.advance(SignedDuration::from_hours(24 * 31));
    // Rules for other keys, other sizes or some tag do not explain that it is gone.
    let all = LifecycleRuleFilter::builder;
    let and = || LifecycleRuleAndOperator::builder().prefix(&footage);
    let tag = Tag::builder().key("keep").value("no").build().unwrap();
    let large = and().object_size_greater_than(1 << 40).build();
    let small = and()
        .object_size_greater_than(0)
        .object_size_less_than(1000)
        .build();
    for filter in [
        all().prefix("elsewhere/"),
        all().object_size_greater_than(1 << 40),
        all().object_size_less_than(1000),
        all().tag(tag.clone()),
        all().and(large),
        all().and(small),
        all().and(and().tags(tag).build()),
    ] {
        let what = format!("{filter:?}");
        expire(&sim, filter).await;
        let (code, report) = verify(&sim, &[]).await;
        let found = (code, findings(&report));
        assert_eq!(found, (Some(3), vec![format!("missing {}", films[1])]), "{what}");
    }
    let fits = and()
        .object_size_greater_than(1000)
        .object_size_less_than(1 << 40);
    expire(&sim, all().and(fits.build())).await;
    let (code, report) = verify(&sim, &[]).await;
    assert_eq!(
        (code, findings(&report)),
        (Some(0), vec![format!("expired {}", films[1])]),
        "{report}"
    );
}

/// Gives the bucket one rule: what the filter takes goes after thirty days.
async fn expire(sim: &Sim, filter: LifecycleRuleFilterBuilder) {
    let rule = LifecycleRule::builder()
        .id("thirty days")
        .status(ExpirationStatus::Enabled)
        .filter(filter.build())
        .expiration(LifecycleExpiration::builder().days(30).build());
    let rules = BucketLifecycleConfiguration::builder().rules(rule.build().unwrap());
    let put = sim.s3.put_bucket_lifecycle_configuration().bucket(&sim.bucket);
    put.lifecycle_configuration(rules.build().unwrap())
        .send()
        .await
        .unwrap();
}

/// The procedure of docs/archive.md: a tombstone, then the files; nothing comes back.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_by_hand_is_known_as_erased_and_does_not_come_back() {
    let sim = Sim::start().await;
    let (from, to) = archived(&sim).await;
    let keys = sim.keys(PREFIX).await;
    let films: Vec<_> = keys.iter().filter(|k| k.contains("/stream=")).cloned().collect();
    let folder = keys.iter().find(|k| k.contains("/_kvs/")).unwrap();
    let folder = folder.rsplitn(3, '/').nth(2).unwrap();
    let manifest = keys.iter().find(|k| k.ends_with(".manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&sim.object(manifest).await).unwrap();
    let times = |field: &str| {
        let fragments = manifest["fragments"].as_array().unwrap().iter();
        fragments
            .map(|f| f[field].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let begin = times("producer").into_iter().min().unwrap();
    let fragments = times("number").len();
    let objects: Vec<_> = films.iter().map(|key| serde_json::json!({"key": key})).collect();
    let tombstone = serde_json::json!({
        "version": 1, "program": "by hand", "streamARN": manifest["streamARN"],
        "timestampType": "PRODUCER_TIMESTAMP", "from": begin, "to": "2100-01-01T00:00:00Z", "objects": objects,
    });
    let key = format!("{folder}/erased/by-hand.json");
    write(&sim, &key, tombstone.to_string().into_bytes()).await;
    for film in &films {
        delete(&sim, film).await;
    }
    // The bucket keeps versions: a delete marker hides footage, and does not erase it.
    let (code, report) = verify(&sim, &[]).await;
    let left: Vec<_> = films.iter().map(|film| format!("notErased {film}")).collect();
    assert_eq!((code, findings(&report)), (Some(3), left));
    let versions = sim
        .s3
        .list_object_versions()
        .bucket(&sim.bucket)
        .prefix(format!("{PREFIX}/stream="));
    let versions = versions.send().await.unwrap();
    let markers = versions
        .delete_markers()
        .iter()
        .map(|m| (m.key(), m.version_id()));
    for (key, id) in versions
        .versions()
        .iter()
        .map(|v| (v.key(), v.version_id()))
        .chain(markers)
    {
        let delete = sim
            .s3
            .delete_object()
            .bucket(&sim.bucket)
            .set_key(key.map(Into::into));
        delete.set_version_id(id.map(Into::into)).send().await.unwrap();
    }
    let (code, report) = verify(&sim, &[]).await;
    assert_eq!((code, findings(&report)), (Some(0), vec![]), "{report}");
    assert_eq!(
        report["totals"]["erased"],
        2 * fragments as u64,
        "of both recordings"
    );

    for more in [
        &["--recording", "one"][..],
        &["--recording", "two", "--sweep"],
        &["--recording", "three"],
    ] {
        archive(&sim, (&from, &to), more).await;
    }
    assert_eq!(sim.keys(&format!("{PREFIX}/stream=")).await, Vec::<String>::new());
    let (code, report) = verify(&sim, &[]).await;
    assert_eq!((code, findings(&report)), (Some(0), vec![]), "{report}");
    assert_eq!(report["totals"]["erased"], 3 * fragments as u64);
}
