//! Ports: one small trait a service, in our words. SDK types never leave this folder.
//!
//! May: call AWS, and say in our words what came back. May not: decide anything about streams, alarms or footage.

pub mod alarms;
mod arn;
mod assume;
mod budget;
mod configuration;
mod connect;
pub mod contents;
pub mod error;
#[cfg(test)]
pub mod fake;
pub mod footage;
mod fragment;
pub mod objects;
mod place;
mod regions;
pub mod streams;

pub use alarms::Alarms;
pub use arn::{NotAStreamArn, StreamArn};
pub use assume::own_account;
pub use budget::{Call, Calls};
pub use connect::{Connection, Settings};
pub use error::{AwsError, Kind, Result};
pub use fragment::{Fragment, FragmentNumber, NotAFragmentNumber, TimestampType};
pub use place::{Place, Role};
pub use regions::{Ports, Regions};
pub use streams::Streams;
