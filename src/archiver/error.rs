//! Why a piece of work could not be committed, and what that means for who asked for it.

use std::{io, path::PathBuf};

use super::{media::MediaError, request::Outcome};
use crate::aws::{AwsError, Kind};

/// Why a piece of work could not be committed. Nothing of it counts then; what lies in S3 already is found again next time.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// An AWS call failed.
    #[error("an AWS call failed")]
    Aws(#[from] AwsError),
    /// What lies in S3 contradicts what should be there. Nothing is overwritten.
    #[error(
        "{key} in S3 is not what it should be: {why}. Nothing was overwritten; look at the object, and move it away if it is wrong"
    )]
    Conflict {
        /// The object.
        key: String,
        /// What contradicts what.
        why: String,
    },
    /// The request cannot be fulfilled as it is.
    #[error("{0}")]
    Invalid(String),
    /// Not now.
    #[error("{0}")]
    NotYet(String),
    /// Every fragment was refused.
    #[error(
        "KVS refuses every fragment: {0}. Grant kinesisvideo:GetMediaForFragmentList on the stream, and kms:Decrypt on its key"
    )]
    Denied(String),
    /// The spool cannot be written or read.
    #[error("the spool {} cannot be used", path.display())]
    Spool {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file could not be made of fragments that were read.
    #[error("no file could be made of the footage")]
    Media(#[from] MediaError),
}

/// The result of archiving.
pub type Result<T> = std::result::Result<T, ArchiveError>;

impl ArchiveError {
    /// What it means for who asked.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Aws(e) => match e.kind {
                Kind::Denied => Outcome::Denied,
                Kind::Invalid | Kind::NotFound => Outcome::Invalid,
                Kind::Stale | Kind::Busy | Kind::Throttled | Kind::Limit | Kind::Unavailable => {
                    Outcome::TryAgain
                }
            },
            Self::Conflict { .. } => Outcome::Conflict,
            Self::Invalid(_) => Outcome::Invalid,
            Self::NotYet(_) | Self::Spool { .. } | Self::Media(_) => Outcome::TryAgain,
            Self::Denied(_) => Outcome::Denied,
        }
    }

    /// The whole chain of causes in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}
