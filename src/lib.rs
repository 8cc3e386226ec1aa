//! A Kubernetes operator that archives Amazon Kinesis Video Streams footage to S3: complete, once, soon, provable.

pub mod alarms;
pub mod api;
pub mod archive;
pub mod archiver;
pub mod aws;
pub mod caches;
pub mod cli;
pub mod clock;
pub mod config;
pub mod grants;
pub mod names;
pub mod owner;
pub mod policy;
pub mod recording;
pub mod runtime;
pub mod stream;
