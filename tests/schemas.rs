//! The committed JSON schemas are what the types say, and the documents of an archive keep to them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::Path};

use kvs_operator::archive::schema;

#[test]
fn committed_schemas_are_what_the_types_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
    let mut expected = BTreeSet::new();
    for (name, schema) in schema::schemas() {
        let file = format!("{name}.schema.json");
        let committed = fs::read_to_string(folder.join(&file)).unwrap_or_default();
        let generated = serde_json::to_string_pretty(&schema).unwrap();
        assert!(
            committed.trim() == generated,
            "docs/schema/{file} is stale: run `make generate` and commit what it changes"
        );
        expected.insert(file);
    }
    let there: BTreeSet<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(there, expected, "files in docs/schema that are no schema of ours");
}
