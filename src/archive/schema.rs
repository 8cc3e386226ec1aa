//! The JSON schemas of an archive's documents, from the types that write them.
//!
//! Pure. `make generate` writes them to docs/schema/; a test fails when those are stale.

use schemars::{JsonSchema, Schema, generate::SchemaSettings};

use crate::archiver::{
    manifest::{Manifest, Root},
    plan::Plan,
    tombstone::Tombstone,
};

/// The documents' names, as the files in docs/schema/ have them, with their schemas (JSON Schema 2020-12).
pub fn schemas() -> [(&'static str, Schema); 4] {
    [
        ("plan", of::<Plan>()),
        ("manifest", of::<Manifest>()),
        ("recording", of::<Root>()),
        ("tombstone", of::<Tombstone>()),
    ]
}

fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
}

/// Panics where a document of an archive does not keep to its schema; other keys are passed over.
#[cfg(test)]
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub fn check(key: &str, bytes: &[u8]) {
    use std::{collections::BTreeMap, sync::LazyLock};
    static VALIDATORS: LazyLock<BTreeMap<&str, jsonschema::Validator>> = LazyLock::new(|| {
        schemas()
            .into_iter()
            .map(|(name, schema)| (name, jsonschema::validator_for(schema.as_value()).unwrap()))
            .collect()
    });
    let name = match key {
        _ if key.ends_with(".plan.json") => "plan",
        _ if key.ends_with(".manifest.json") => "manifest",
        _ if key
            .rsplit('/')
            .next()
            .is_some_and(|name| name.starts_with("recording")) =>
        {
            "recording"
        }
        _ if key.contains("/erased/") => "tombstone",
        _ => return,
    };
    let document = serde_json::from_slice(bytes).unwrap();
    if let Err(e) = VALIDATORS[name].validate(&document) {
        panic!("{key} does not keep to its schema: {e} at {}", e.instance_path());
    }
}
