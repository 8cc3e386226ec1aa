//! What works on an archive alone: all that it knows lies in S3, or in a downloaded folder.
//!
//! May not: ask KVS or Kubernetes anything.

pub mod schema;
