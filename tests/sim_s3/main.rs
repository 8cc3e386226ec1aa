//! kvs-sim's S3 through the AWS SDK for Rust.
#![allow(clippy::unwrap_used, reason = "a test")]

mod buckets;
mod locks;
mod multipart;
mod objects;
mod settings;
mod sim;
mod versions;
