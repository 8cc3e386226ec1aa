//! What happens, told to whoever watches: a person at a terminal, or a log.

use std::fmt;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// So much is to be fetched and written.
    Planned {
        /// Fragments.
        fragments: u64,
        /// Bytes, as KVS lists them.
        bytes: u64,
    },
    /// So much more is dealt with: read, found in S3 already, or known to be unreadable.
    Done {
        /// Fragments.
        fragments: u64,
        /// Bytes, as KVS lists them.
        bytes: u64,
    },
    /// A file is in S3.
    Stored {
        /// Its key.
        key: &'a str,
        /// Its size.
        bytes: u64,
        /// Whether it was there already.
        found: bool,
    },
}

/// Who watches.
pub trait Watcher: Send + Sync + fmt::Debug {
    /// Takes notice.
    fn see(&self, event: &Event<'_>);
}

/// Nobody watches.
#[derive(Debug, Default)]
pub struct Nobody;

impl Watcher for Nobody {
    fn see(&self, _: &Event<'_>) {}
}
