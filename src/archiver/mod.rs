//! The Job's data plane: fragments → chunks → S3 → manifest. Knows nothing of Kubernetes.

pub mod media;
pub mod request;
