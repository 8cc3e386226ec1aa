//! kvs-sim: simulated AWS for video archives, in one process on one endpoint: Kinesis Video Streams with real media,
//! CloudWatch alarms, S3, and EventBridge, SQS and SNS as far as alarms need them.
//!
//! It shares no code with the operator, above all none for media: what simulator and archiver agree on is AWS's behaviour,
//! not a common bug.

pub mod behaviour;
pub mod bucket;
pub mod calls;
pub mod camera;
pub mod clock;
pub mod cloudwatch;
pub mod delivery;
pub mod events;
pub mod faults;
pub mod histogram;
pub mod http;
pub mod id;
pub mod kvs;
pub mod log;
pub mod metrics;
pub mod own;
pub mod s3;
pub mod serve;
pub mod sns;
pub mod sqs;
pub mod sts;
pub mod wire;
pub mod world;
