//! Why a Job failed or cannot run: one word of a closed set, a sentence, and what follows from it.
//!
//! Pure.

use std::fmt;

use jiff::SignedDuration;

use crate::archiver::request::Outcome;

/// Why a Job failed, or cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In one word.
    pub reason: Reason,
    /// What was seen, for people.
    pub message: String,
}

impl Failure {
    /// A failure; the message is cut to what a status holds.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self {
            reason,
            message: message.chars().take(800).collect(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message.trim_end_matches(['.', ' ', '\n']))?;
        match self.reason.advice() {
            Some(advice) => write!(f, ". {advice}"),
            None => Ok(()),
        }
    }
}

/// The closed set of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The archiver could not finish and asks to be run again.
    TryAgain,
    /// The archiver says that the request is wrong.
    InvalidRequest,
    /// Something in S3 contradicts what should be there.
    Conflict,
    /// AWS refuses access.
    AccessDenied,
    /// The report says that it succeeded and not what came of it.
    UnreadableReport,
    /// The Job ended and its report is gone.
    ResultLost,
    /// The container died without a word.
    Crashed,
    /// The container ran out of memory.
    OutOfMemory,
    /// The pod was evicted, preempted or its node drained.
    Evicted,
    /// The Job took too long.
    DeadlineExceeded,
    /// The image cannot be pulled.
    ImageNotPulled,
    /// The container cannot be set up.
    ContainerNotStarted,
    /// No node takes the pod.
    Unschedulable,
    /// The service account is not there.
    ServiceAccountMissing,
    /// A quota of the namespace is used up.
    QuotaExceeded,
    /// Pod Security, a webhook or another admission plugin refuses the pod or the Job.
    AdmissionRefused,
}

impl Reason {
    /// The word that status and Events carry.
    pub const fn word(self) -> &'static str {
        match self {
            Self::TryAgain => "TryAgain",
            Self::InvalidRequest => "InvalidRequest",
            Self::Conflict => "Conflict",
            Self::AccessDenied => "AccessDenied",
            Self::UnreadableReport => "UnreadableReport",
            Self::ResultLost => "ResultLost",
            Self::Crashed => "Crashed",
            Self::OutOfMemory => "OutOfMemory",
            Self::Evicted => "Evicted",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::ImageNotPulled => "ImageNotPulled",
            Self::ContainerNotStarted => "ContainerNotStarted",
            Self::Unschedulable => "Unschedulable",
            Self::ServiceAccountMissing => "ServiceAccountMissing",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::AdmissionRefused => "AdmissionRefused",
        }
    }

    /// The reason that a word stands for.
    pub fn of_word(word: &str) -> Option<Self> {
        ALL.into_iter().find(|reason| reason.word() == word)
    }

    /// What an archiver's outcome means where it is a failure.
    pub const fn of_outcome(outcome: Outcome) -> Self {
        match outcome {
            Outcome::TryAgain => Self::TryAgain,
            Outcome::Invalid => Self::InvalidRequest,
            Outcome::Conflict => Self::Conflict,
            Outcome::Denied => Self::AccessDenied,
            Outcome::Committed | Outcome::NothingNew | Outcome::Closed => Self::UnreadableReport,
        }
    }

    /// What a container's waiting reason means, where it will not go by itself.
    pub fn of_waiting(reason: &str) -> Option<Self> {
        Some(match reason {
            "ImagePullBackOff"
            | "ErrImagePull"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "RegistryUnavailable" => Self::ImageNotPulled,
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                Self::ContainerNotStarted
            }
            _ => return None,
        })
    }

    /// What the API server's refusal to make a pod (or a Job) means.
    pub fn of_refusal(message: &str) -> Self {
        let message = message.to_ascii_lowercase();
        if message.contains("serviceaccount") && message.contains("not found") {
            Self::ServiceAccountMissing
        } else if message.contains("exceeded quota") {
            Self::QuotaExceeded
        } else {
            Self::AdmissionRefused
        }
    }

    /// Whether only a person can mend it. It is tried again all the same, slowly.
    pub const fn needs_a_person(self) -> bool {
        self.advice().is_some()
    }

    /// Whether a Job that waits for this reason is better made anew than waited for.
    pub const fn cannot_run(self) -> bool {
        matches!(
            self,
            Self::ImageNotPulled
                | Self::ContainerNotStarted
                | Self::ServiceAccountMissing
                | Self::QuotaExceeded
                | Self::AdmissionRefused
        )
    }

    /// What to do about it, where it takes a person.
    const fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::InvalidRequest => {
                "Check the policy's destination and the stream; operator and Job must be of one version"
            }
            Self::Conflict => {
                "Something else wrote under this recording's keys: compare the objects, then remove the wrong one"
            }
            Self::AccessDenied => {
                "Give the Job's service account the right that is named here (the stream's footage, its KMS key, the bucket's prefix)"
            }
            Self::UnreadableReport => "Operator and Job must be of one version",
            Self::OutOfMemory => {
                "Raise spec.job.resources.limits.memory in the policy; the next Job goes on where this one stopped"
            }
            Self::ImageNotPulled => "Make the operator's image pullable from the recording's namespace",
            Self::ContainerNotStarted => {
                "Check that the Secret with AWS credentials exists in the recording's namespace, if one is configured"
            }
            Self::ServiceAccountMissing => {
                "Create it in the recording's namespace, or set spec.job.serviceAccountName in the policy"
            }
            Self::QuotaExceeded => {
                "Raise the namespace's ResourceQuota, or lower spec.job.resources in the policy"
            }
            Self::AdmissionRefused => "Change what refuses it, or what spec.job of the policy asks for",
            Self::TryAgain
            | Self::ResultLost
            | Self::Crashed
            | Self::Evicted
            | Self::DeadlineExceeded
            | Self::Unschedulable => return None,
        })
    }
}

const ALL: [Reason; 16] = [
    Reason::TryAgain,
    Reason::InvalidRequest,
    Reason::Conflict,
    Reason::AccessDenied,
    Reason::UnreadableReport,
    Reason::ResultLost,
    Reason::Crashed,
    Reason::OutOfMemory,
    Reason::Evicted,
    Reason::DeadlineExceeded,
    Reason::ImageNotPulled,
    Reason::ContainerNotStarted,
    Reason::Unschedulable,
    Reason::ServiceAccountMissing,
    Reason::QuotaExceeded,
    Reason::AdmissionRefused,
];

/// How long to wait after a failure, the `failures`-th in a row under this name. Short retention shortens it: a stream that
/// forgets after an hour cannot be retried once an hour.
pub fn backoff(reason: Reason, failures: i32, retention: Option<SignedDuration>) -> SignedDuration {
    let (first, longest) = match reason {
        // The archive may be whole already: only its report is missing, and a second run returns it.
        Reason::ResultLost | Reason::Evicted if failures <= 1 => return SignedDuration::ZERO,
        reason if reason.needs_a_person() => (60, 30 * 60),
        _ => (15, 10 * 60),
    };
    let doubled = first << failures.clamp(1, 12).saturating_sub(1);
    let bound = retention
        .filter(|r| !r.is_zero())
        .map_or(longest, |r| (r.as_secs() / 16).clamp(first, longest));
    SignedDuration::from_secs(doubled.min(bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_lead_back() {
        for reason in ALL {
            assert_eq!(Reason::of_word(reason.word()), Some(reason));
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        for (message, reason) in [
            (
                r#"Error creating: pods "a-" is forbidden: error looking up service account cams/kvs-archiver: serviceaccount "kvs-archiver" not found"#,
                Reason::ServiceAccountMissing,
            ),
            (
                r#"Error creating: pods "a-x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1"#,
                Reason::QuotaExceeded,
            ),
            (
                r#"pods "a" is forbidden: violates PodSecurity "restricted:latest""#,
                Reason::AdmissionRefused,
            ),
            (
                r#"admission webhook "w.example.com" denied the request: no"#,
                Reason::AdmissionRefused,
            ),
        ] {
            assert_eq!(Reason::of_refusal(message), reason, "{message}");
        }
    }

    #[test]
    fn the_wait_grows_and_is_bounded() {
        let seconds = |reason, failures, hours: i64| {
            backoff(reason, failures, Some(SignedDuration::from_hours(hours))).as_secs()
        };
        assert_eq!(seconds(Reason::TryAgain, 1, 24), 15);
        assert_eq!(seconds(Reason::TryAgain, 3, 24), 60);
        assert_eq!(seconds(Reason::TryAgain, 1000, 24), 600);
        assert_eq!(seconds(Reason::AccessDenied, 1000, 24), 1800);
        assert_eq!(seconds(Reason::AccessDenied, 1000, 1), 225);
        assert_eq!(seconds(Reason::ResultLost, 1, 24), 0);
        assert_eq!(seconds(Reason::ResultLost, 2, 24), 30);
    }
}
