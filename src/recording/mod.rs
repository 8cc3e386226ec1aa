//! The Recording controller: one span of one stream becomes Jobs, one slice after the other, until everything is in S3.
//!
//! A pass looks at the world (`observe`), decides on one step (`plan`), takes it (`act`) and says where the recording stands
//! (`status`).

mod due;
mod failure;
pub mod job;
mod notes;
mod plan;
mod progress;
mod seen;
mod status;
