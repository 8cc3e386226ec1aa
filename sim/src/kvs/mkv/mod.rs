//! Matroska as Kinesis Video sees it: read as it arrives, kept as it came, and the few elements that the service adds.
//!
//! Own code on purpose: the operator's archiver reads Matroska with another reader, so that a misunderstanding in one does
//! not hide in the other.

pub mod block;
pub mod element;
pub mod header;
pub mod ids;
pub mod reader;
pub mod tags;

/// What came is not Matroska that Kinesis Video takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);
