//! What works on an archive alone: all that it knows lies in S3, or in a downloaded folder.
//!
//! May not: ask KVS or Kubernetes anything.

pub mod catalogue;
pub mod export;
pub mod files;
pub mod find;
mod folder;
mod place;
pub mod schema;
mod split;
mod times;
pub mod verify;
