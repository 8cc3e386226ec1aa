//! What can go wrong in a pass, and what its class means for the next one.

use std::{error::Error as StdError, fmt::Write, time::Duration};

use kube::core::Status;

use crate::{
    aws::{AwsError, Kind},
    grants,
};

/// Why a pass failed. `Display` says what was done, on what, and what the other side answered; it never repeats its source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An AWS call failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The Kubernetes API refused.
    #[error("{doing}: {}", status.message)]
    Refused {
        /// What was to be done, on what.
        doing: String,
        /// What it answered.
        status: Box<Status>,
    },
    /// The Kubernetes API could not be asked, or its answer not be read.
    #[error("{doing}: no usable answer from the Kubernetes API")]
    Unreachable {
        /// What was to be done, on what.
        doing: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// The object asks for something that cannot be done; a person must change it.
    #[error("{0}")]
    Spec(String),
    /// A watch has not told yet of what was written.
    #[error("the watch of {0} objects is behind what was written")]
    Behind(String),
    /// Every pass needs AWS's time, and no answer has told it yet.
    #[error("no answer of AWS has told the time yet")]
    NoTime,
    /// The administrator has not granted it; a person must change the object or the grants.
    #[error(transparent)]
    NotGranted(#[from] grants::Missing),
    /// The pass took too long.
    #[error("not done within {0:?}")]
    Deadline(Duration),
}

/// The result of a step of a pass.
pub type Result<T> = std::result::Result<T, Error>;

/// What a failure means for the next pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// What was read is no longer so: look again soon.
    Soon,
    /// The other side fails or is too busy: back off.
    Transient,
    /// A person must mend it: try slowly, and at once when the object changes. Nothing is given up for ever.
    Person,
}

impl Error {
    /// Puts what was being done to an error of the Kubernetes client.
    pub fn kube(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        |error| match error {
            kube::Error::Api(status) => Self::Refused {
                doing: doing.into(),
                status,
            },
            error => Self::Unreachable {
                doing: doing.into(),
                source: Box::new(error),
            },
        }
    }

    /// What it means for the next pass.
    pub fn class(&self) -> Class {
        match self {
            Self::Aws(e) => match e.kind {
                Kind::NotFound | Kind::Stale | Kind::Busy => Class::Soon,
                Kind::Throttled | Kind::Unavailable => Class::Transient,
                Kind::Denied | Kind::Invalid | Kind::Limit => Class::Person,
            },
            Self::Refused { status, .. } => match status.code {
                404 | 409 => Class::Soon,
                400 | 401 | 403 | 422 => Class::Person,
                _ => Class::Transient,
            },
            Self::Unreachable { .. } | Self::Behind(_) | Self::NoTime | Self::Deadline(_) => Class::Transient,
            Self::Spec(_) | Self::NotGranted(_) => Class::Person,
        }
    }

    /// What failed and what to do, for a condition: the same each time the same thing fails.
    pub fn explain(&self) -> String {
        match self {
            Self::Aws(e) if e.refuses_role() => format!(
                "{}; the role's trust policy must allow sts:AssumeRole to the operator's identity (where it asks for an \
                 sts:ExternalId: to that of spec.externalId), and the operator's IAM policy must allow sts:AssumeRole on the role",
                e.stable()
            ),
            Self::Aws(e) => match e.kind {
                Kind::Denied => format!(
                    "{}; allow the IAM action {} to the operator",
                    e.stable(),
                    e.operation
                ),
                Kind::Limit => format!("{}; ask AWS to raise the account's limit", e.stable()),
                _ => e.stable(),
            },
            Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::Spec(_)
            | Self::Behind(_)
            | Self::NoTime
            | Self::NotGranted(_)
            | Self::Deadline(_) => self.to_string(),
        }
    }

    /// One word of a closed set, for conditions and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Aws(e) if e.refuses_role() => "RoleRefused",
            Self::Aws(e) => e.kind.name(),
            Self::Refused { .. } => "KubernetesRefused",
            Self::Unreachable { .. } | Self::Behind(_) => "KubernetesUnreachable",
            Self::Spec(_) => "InvalidSpec",
            Self::NoTime => Kind::Unavailable.name(),
            Self::NotGranted(_) => "NotGranted",
            Self::Deadline(_) => "Timeout",
        }
    }
}

/// An error and all its causes in one line, for logs and people.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some libraries print their cause themselves.
        if !text.ends_with(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16) -> Error {
        let status = Status {
            code,
            message: "no".into(),
            ..Status::default()
        };
        Error::kube("reading the namespace kube-system")(kube::Error::Api(status.boxed()))
    }

    #[test]
    fn the_class_follows_from_who_can_mend_it() {
        for (code, class) in [
            (409, Class::Soon),
            (404, Class::Soon),
            (403, Class::Person),
            (422, Class::Person),
            (500, Class::Transient),
        ] {
            assert_eq!(refused(code).class(), class, "{code}");
        }
        assert_eq!(Error::Spec("x".into()).class(), Class::Person);
        assert_eq!(refused(403).to_string(), "reading the namespace kube-system: no");
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        let error = Error::Unreachable {
            doing: "listing Jobs".into(),
            source: Box::new(kube::Error::ReadEvents(std::io::Error::other("cut"))),
        };
        assert_eq!(
            chain(&error),
            "listing Jobs: no usable answer from the Kubernetes API: Error reading events stream: cut"
        );
    }
}
