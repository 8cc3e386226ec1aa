//! The Job's data plane: fragments → chunks → S3 → manifest. Knows nothing of Kubernetes.

pub mod error;
pub mod keys;
pub mod manifest;
pub mod media;
pub mod plan;
pub mod request;
pub mod store;
