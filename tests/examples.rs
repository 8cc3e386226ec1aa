//! Every file in `examples/` decodes, says nothing that would be ignored, and passes the rules of its kind; and wrong objects are
//! refused with a text that says what to do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use kube::{
    CustomResourceExt,
    core::cel::{validate_cel, validate_cel_update},
};
use kvs_operator::api::{ArchivePolicy, Recording, VideoStream};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Panics where `said` has something that `understood` lacks.
fn nothing_is_ignored(said: &Value, understood: &Value, place: &str) {
    match (said, understood) {
        (Value::Object(said), Value::Object(understood)) => {
            for (key, value) in said {
                let place = format!("{place}.{key}");
                match understood.get(key) {
                    Some(known) => nothing_is_ignored(value, known, &place),
                    // What equals the default may be left out again.
                    None => assert!(
                        value.as_object().is_some_and(serde_json::Map::is_empty) || *value == json!(false),
                        "{place} is no field of this kind"
                    ),
                }
            }
        }
        (Value::Array(said), Value::Array(understood)) => {
            assert_eq!(said.len(), understood.len(), "{place}");
            for (said, understood) in said.iter().zip(understood) {
                nothing_is_ignored(said, understood, place);
            }
        }
        _ => {}
    }
}

fn check<K: CustomResourceExt + DeserializeOwned + Serialize>(document: &Value, place: &str) {
    let object: K = serde_json::from_value(document.clone()).unwrap_or_else(|e| panic!("{place}: {e}"));
    nothing_is_ignored(document, &serde_json::to_value(&object).unwrap(), place);
    validate_cel(&object).unwrap_or_else(|e| panic!("{place}: {e}"));
}

#[test]
fn every_example_is_understood_whole_and_valid() {
    let examples = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"));
    assert!(examples.len() >= 3);
    for file in examples {
        let place = file.display().to_string();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(&file).unwrap())
            .unwrap_or_else(|e| panic!("{place}: {e}"));
        assert!(!documents.is_empty(), "{place} is empty");
        for document in documents {
            match document["kind"].as_str() {
                Some("VideoStream") => check::<VideoStream>(&document, &place),
                Some("ArchivePolicy") => check::<ArchivePolicy>(&document, &place),
                Some("Recording") => check::<Recording>(&document, &place),
                // What examples need of Kubernetes itself.
                Some("Namespace" | "ServiceAccount" | "Secret") => {}
                other => panic!("{place}: kind {other:?}"),
            }
        }
    }
}

fn stream(spec: Value) -> VideoStream {
    let document = json!({
        "apiVersion": "kvs-operator.io/v1alpha1", "kind": "VideoStream",
        "metadata": { "name": "front-door", "namespace": "site" }, "spec": spec,
    });
    serde_json::from_value(document).unwrap()
}

/// Panics unless going from `old` to `new` is refused with a text that contains `why`.
fn refused(old: &VideoStream, new: &VideoStream, why: &str) {
    let error = validate_cel_update(new, old).expect_err(why).to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn what_aws_cannot_change_is_refused_with_the_reason() {
    let none = stream(json!({}));
    for (field, one, two, why) in [
        ("streamName", "a", "b", "cannot rename"),
        ("kmsKeyId", "k1", "k2", "sets a stream's key once"),
        ("region", "eu-west-1", "us-east-1", "stays in its region"),
    ] {
        let with = |value: &str| stream(json!({ field: value }));
        refused(&with(one), &with(two), why);
        validate_cel_update(&with(one), &with(one)).unwrap();
        refused(&with(one), &none, "cannot be");
        if field != "region" {
            refused(&none, &with(one), "cannot be added");
        }
    }
    let (one, two) = (
        "arn:aws:iam::210987654321:role/one",
        "arn:aws:iam::210987654321:role/two",
    );
    refused(
        &stream(json!({ "roleArn": one })),
        &stream(json!({ "roleArn": two })),
        "another role",
    );
    refused(
        &stream(json!({ "roleArn": one })),
        &none,
        "cannot be added or removed",
    );
    refused(
        &none,
        &stream(json!({ "roleArn": one })),
        "cannot be added or removed",
    );
    let with_id = |id: &str| stream(json!({ "roleArn": one, "externalId": id }));
    refused(&with_id("a1"), &with_id("a2"), "spec.externalId is immutable");
    refused(
        &stream(json!({ "roleArn": one })),
        &with_id("a1"),
        "spec.externalId is immutable",
    );
    let alone = validate_cel(&stream(json!({ "externalId": "a1" })))
        .unwrap_err()
        .to_string();
    assert!(alone.contains("is for spec.roleArn"), "{alone}");
    let mut resolved = none.clone();
    resolved.status = serde_json::from_value(json!({ "region": "eu-west-1" })).unwrap();
    let mut moved = stream(json!({ "region": "us-east-1" }));
    moved.status.clone_from(&resolved.status);
    refused(&resolved, &moved, "stays in its region");
    moved.spec.region = Some("eu-west-1".into());
    validate_cel_update(&moved, &resolved).unwrap();
}

#[test]
fn reserved_tags_and_long_names_are_refused() {
    let error = validate_cel(&stream(json!({ "tags": { "kvs-operator.io/name": "x" } })))
        .unwrap_err()
        .to_string();
    assert!(error.contains("reserved"), "{error}");
    let mut long = stream(json!({}));
    long.metadata.name = Some("x".repeat(64));
    assert!(
        validate_cel(&long)
            .unwrap_err()
            .to_string()
            .contains("at most 63")
    );
}

#[test]
fn a_policy_without_a_trigger_is_told_what_to_write() {
    let document = json!({
        "apiVersion": "kvs-operator.io/v1alpha1", "kind": "ArchivePolicy",
        "metadata": { "name": "north", "namespace": "site" },
        "spec": { "streamSelector": {}, "destination": { "s3": { "bucket": "footage" } } },
    });
    let policy: ArchivePolicy = serde_json::from_value(document).unwrap();
    let error = validate_cel(&policy).unwrap_err().to_string();
    assert!(error.contains("trigger: {alarm: {}}"), "{error}");
}

#[test]
fn how_objects_are_kept_is_checked() {
    let policy = |s3: Value| -> ArchivePolicy {
        let mut all = json!({ "bucket": "footage" });
        all.as_object_mut()
            .unwrap()
            .extend(s3.as_object().unwrap().clone());
        serde_json::from_value(json!({
            "apiVersion": "kvs-operator.io/v1alpha1", "kind": "ArchivePolicy", "metadata": { "name": "all" },
            "spec": { "streamSelector": {}, "trigger": { "alarm": {} }, "destination": { "s3": all } },
        }))
        .unwrap()
    };
    for fine in [
        json!({ "encryption": { "serverSideEncryption": "AES256" } }),
        json!({ "encryption": { "serverSideEncryption": "aws:kms", "kmsKeyId": "alias/north" } }),
        json!({ "tags": { "team": "north", "Kostenstelle Süd": "" } }),
        json!({ "storageClass": "DEEP_ARCHIVE", "objectLock": { "mode": "COMPLIANCE", "days": 365 } }),
    ] {
        validate_cel(&policy(fine.clone())).unwrap_or_else(|e| panic!("{fine}: {e}"));
    }
    for (wrong, said) in [
        (
            json!({ "encryption": { "serverSideEncryption": "AES256", "kmsKeyId": "alias/north" } }),
            "only with serverSideEncryption aws:kms",
        ),
        (
            json!({ "tags": { "aws:team": "north" } }),
            "do not begin with aws:",
        ),
        (json!({ "tags": { "a&b": "north" } }), "letters, digits, spaces"),
    ] {
        let error = validate_cel(&policy(wrong.clone())).unwrap_err().to_string();
        assert!(error.contains(said), "{wrong}: {error}");
    }
}

#[test]
fn a_trigger_is_one_alarm_ours_or_somebody_elses() {
    let policy = |trigger: Value| -> ArchivePolicy {
        serde_json::from_value(json!({
            "apiVersion": "kvs-operator.io/v1alpha1", "kind": "ArchivePolicy",
            "metadata": { "name": "all", "namespace": "site" },
            "spec": { "streamSelector": {}, "trigger": trigger, "destination": { "s3": { "bucket": "bucket" } } },
        }))
        .unwrap()
    };
    for name in [
        "motion",
        "m-{streamName}",
        "{namespace}/{name}-{labels.example.com/site}",
    ] {
        validate_cel(&policy(json!({ "existingAlarm": { "name": name } }))).unwrap();
    }
    let both = json!({ "alarm": {}, "existingAlarm": { "name": "motion" } });
    for (trigger, why) in [
        (both, "exactly one of"),
        (json!({}), "exactly one of"),
        (
            json!({ "existingAlarm": { "name": "m-{stream}" } }),
            "braces only around",
        ),
        (
            json!({ "existingAlarm": { "name": "m-{name" } }),
            "braces only around",
        ),
    ] {
        let error = validate_cel(&policy(trigger)).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
}
