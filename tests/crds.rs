//! The committed CRDs are what the types say: in `crds/` for `kubectl apply`, and in the chart.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::Path};

use kvs_operator::api;

#[test]
fn committed_crds_are_what_the_types_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["crds", "charts/kvs-operator/crd-manifests"] {
        let mut expected = BTreeSet::new();
        for crd in api::crds() {
            let file = format!("{folder}/{}.yaml", crd.spec.names.plural);
            let committed = fs::read_to_string(root.join(&file)).unwrap_or_default();
            let generated = serde_saphyr::to_string(&crd).unwrap();
            assert!(
                committed.trim() == generated.trim(),
                "{file} is stale: run `make generate` and commit what it changes"
            );
            expected.insert(file);
        }
        let there: BTreeSet<_> = fs::read_dir(root.join(folder))
            .unwrap()
            .map(|entry| format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy()))
            .collect();
        assert_eq!(there, expected, "files in {folder} that are no CRD of ours");
    }
}

/// What a CRD costs on every API server, and what `kubectl apply` can carry in an annotation.
#[test]
fn crds_stay_small() {
    for crd in api::crds() {
        let size = serde_json::to_vec(&crd).unwrap().len();
        assert!(size < 200_000, "{} has {size} bytes", crd.spec.names.kind);
    }
}
