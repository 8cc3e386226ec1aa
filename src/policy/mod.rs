//! The ArchivePolicy controller: one alarm for each matched stream, one Recording for each episode.

pub mod checkpoint;
mod desired;
mod mark;
pub mod windows;
