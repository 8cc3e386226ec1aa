//! The layers of ARCHITECTURE.md hold: what a folder or a pure file may not mention, it does not mention.
//!
//! By text, with test modules and comments left out: crude, quick, and nothing slips through that matters.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder of the repository, by its path from the root.
fn files(folder: &str) -> Vec<String> {
    let mut found = vec![];
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// A file's code: without comments, and up to its test module.
fn code(file: &str) -> String {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Panics with every place in `files` that mentions one of `words`.
fn forbid(why: &str, files: &[String], words: &[&str]) {
    assert!(!files.is_empty(), "{why}: there is nothing to check");
    let found: Vec<_> = files
        .iter()
        .flat_map(|file| {
            let code = code(file);
            words
                .iter()
                .filter(move |word| code.contains(**word))
                .map(move |word| format!("{file}: {word}"))
        })
        .collect();
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

const CLIENTS: &[&str] = &[
    "async ",
    ".await",
    "tokio::",
    "kube::Client",
    "kube::Api",
    "Api<",
    "aws_sdk",
    "aws_config",
];
const TIME: &[&str] = &["Timestamp::now", "Zoned::now", "SystemTime::now", "rand::"];

#[test]
fn sdk_types_stay_in_their_folder() {
    let outside: Vec<_> = files("src")
        .into_iter()
        .filter(|f| !f.starts_with("src/aws/"))
        .collect();
    forbid(
        "SDK types do not leave src/aws",
        &outside,
        &["aws_sdk_", "aws_smithy_", "aws_config::", "aws_runtime::"],
    );
}

#[test]
fn wall_time_and_chance_come_from_one_place() {
    let others: Vec<_> = files("src").into_iter().filter(|f| f != "src/clock.rs").collect();
    forbid("wall time and chance come from src/clock.rs", &others, TIME);
    // tokio's Instant is the runtime's, which a simulation pauses and moves; the standard library's is the machine's.
    let machine: Vec<_> = others
        .into_iter()
        .filter(|f| !code(f).contains("tokio::time::Instant"))
        .collect();
    forbid("monotonic time is tokio's", &machine, &["Instant::now"]);
}

#[test]
fn the_archiver_knows_nothing_of_kubernetes() {
    forbid(
        "the archiver knows no Kubernetes",
        &files("src/archiver"),
        &["kube::", "k8s_openapi"],
    );
}

#[test]
fn what_users_write_has_no_behaviour() {
    forbid(
        "src/api describes data",
        &files("src/api"),
        &["kube::Client", "async ", "crate::aws", "crate::runtime"],
    );
}

#[test]
fn the_runtime_knows_nothing_of_video() {
    forbid(
        "src/runtime knows no video",
        &files("src/runtime"),
        &["VideoStream", "Recording", "ArchivePolicy", "archiver::"],
    );
}

#[test]
fn decisions_are_pure() {
    let pure = [
        "desired.rs",
        "grants.rs",
        "plan.rs",
        "status.rs",
        "job.rs",
        "episodes.rs",
        "recent.rs",
        "keys.rs",
    ];
    let files: Vec<_> = files("src")
        .into_iter()
        .filter(|f| {
            let name = Path::new(f).file_name().unwrap().to_string_lossy();
            // Of a controller's folder, everything but the four files that read, write and wire.
            let recording = f.starts_with("src/recording/")
                && !["act.rs", "mod.rs", "observe.rs", "shared.rs"].contains(&name.as_ref());
            pure.contains(&name.as_ref()) || recording || f.starts_with("src/archiver/media/")
        })
        .collect();
    forbid("pure files import no client, no async, no clock", &files, CLIENTS);
    forbid("pure files import no client, no async, no clock", &files, TIME);
}

#[test]
fn the_simulator_shares_no_code_with_the_operator() {
    let manifest = fs::read_to_string(root().join("sim/Cargo.toml")).unwrap();
    for word in [
        "kvs-operator\" }",
        "path = \"..\"",
        "webm-iterable",
        "mp4-atom",
        "aws-sdk",
    ] {
        assert!(!manifest.contains(word), "sim/Cargo.toml mentions {word}");
    }
    forbid(
        "kvs-sim stands alone",
        &files("sim/src"),
        &["kvs_operator", "webm_iterable", "mp4_atom", "aws_sdk"],
    );
}
