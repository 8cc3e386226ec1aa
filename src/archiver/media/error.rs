//! What can be wrong with footage.

use std::io;

/// Why a body could not be read, or a file not be written.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The body ended inside a fragment: what KVS sent did not arrive whole. Ask again.
    #[error("the body ends inside a fragment, at byte {at}{}", .number.as_deref().map(|n| format!(" (fragment {n})")).unwrap_or_default())]
    Truncated {
        /// Where in the spool.
        at: u64,
        /// The fragment that was cut, where its number had already been read.
        number: Option<String>,
    },
    /// The bytes contradict Matroska. Asked for alone and answered twice alike, the fragment is stored as it came.
    #[error("not a fragment that can be read: {reason}, at byte {at}{}", .number.as_deref().map(|n| format!(" (fragment {n})")).unwrap_or_default())]
    Malformed {
        /// Where in the spool.
        at: u64,
        /// What contradicts what.
        reason: &'static str,
        /// The fragment, where its number had already been read.
        number: Option<String>,
    },
    /// A file cannot hold what it was given.
    #[error("cannot be written: {0}")]
    DoesNotFit(&'static str),
    /// The spool could not be read, or the file not be written.
    #[error("reading the spool or writing the file failed")]
    Io(#[from] io::Error),
}
