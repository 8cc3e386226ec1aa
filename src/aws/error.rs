//! What a failed AWS call means, in our words.

use std::fmt;

/// What a failure means for who made the call: the class decides what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// There is no such thing.
    NotFound,
    /// The version that was sent is not the current one: read again and plan again.
    Stale,
    /// The thing is there already, or changes at the moment: look again soon.
    Busy,
    /// Too many calls: back off.
    Throttled,
    /// Credentials, IAM or KMS refuse: a person must mend it. Never loss.
    Denied,
    /// The request is wrong: a person must mend it.
    Invalid,
    /// A limit of the account is reached: a person must mend it.
    Limit,
    /// AWS or the network failed: try again.
    Unavailable,
}

impl Kind {
    /// One word for metrics, logs and condition reasons.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::Stale => "Stale",
            Self::Busy => "Busy",
            Self::Throttled => "Throttled",
            Self::Denied => "AccessDenied",
            Self::Invalid => "InvalidRequest",
            Self::Limit => "LimitExceeded",
            Self::Unavailable => "Unavailable",
        }
    }
}

/// A failed AWS call. `Display` names the call and what AWS said; the source is what the SDK saw.
#[derive(Debug)]
pub struct AwsError {
    /// The operation, as IAM writes it, such as `kinesisvideo:CreateStream`.
    pub operation: &'static str,
    /// On what, such as a stream's name or a key.
    pub on: String,
    /// What it means.
    pub kind: Kind,
    /// AWS's error code, where there was an answer.
    pub code: Option<Box<str>>,
    /// AWS's message, where there was an answer.
    pub message: Option<String>,
    /// AWS's request id, where there was an answer.
    pub request_id: Option<Box<str>>,
    /// What the SDK saw.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl AwsError {
    /// A failure that AWS did not tell of itself: what came back cannot be used, or nothing did.
    pub fn ours(
        operation: &'static str,
        on: impl Into<String>,
        kind: Kind,
        message: impl Into<String>,
    ) -> Self {
        Self {
            operation,
            on: on.into(),
            kind,
            code: None,
            message: Some(message.into()),
            request_id: None,
            source: None,
        }
    }

    /// An answer that lacks what the API promises.
    pub fn incomplete(operation: &'static str, on: &str, lacks: &str) -> Self {
        Self::ours(
            operation,
            on,
            Kind::Unavailable,
            format!("the answer lacks {lacks}"),
        )
    }

    /// The same with what lies under it.
    #[must_use]
    pub fn because(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..self
        }
    }

    /// Whether it is a role that may not be assumed.
    pub fn refuses_role(&self) -> bool {
        self.operation == "sts:AssumeRole" && self.kind == Kind::Denied
    }

    /// The same as `Display`, without what differs from try to try: for conditions, which must not change by themselves.
    pub fn stable(&self) -> String {
        let mut text = format!("{} on {}", self.operation, self.on);
        let parts = [self.code.as_deref(), self.message.as_deref()];
        if parts == [None, None] {
            text.push_str(&format!(": no answer ({})", self.kind.name()));
        }
        for part in parts.into_iter().flatten() {
            text.push_str(": ");
            text.push_str(part);
        }
        text
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stable())?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for AwsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

/// The result of an AWS call.
pub type Result<T> = std::result::Result<T, AwsError>;

/// What a service's error code means. `None`: the code is not known; the caller goes by the HTTP status.
fn kind_of_code(code: &str) -> Option<Kind> {
    Some(match code {
        "ResourceNotFoundException"
        | "ResourceNotFound"
        | "NoSuchKey"
        | "NoSuchBucket"
        | "NotFound"
        | "QueueDoesNotExist" => Kind::NotFound,
        "VersionMismatchException" => Kind::Stale,
        "ResourceInUseException"
        | "ConditionalRequestConflict"
        | "OperationAborted"
        | "ConcurrentModificationException" => Kind::Busy,
        "ClientLimitExceededException"
        | "ConnectionLimitExceededException"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown"
        | "RequestThrottledException"
        | "ProvisionedThroughputExceededException"
        | "BandwidthLimitExceeded" => Kind::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "NotAuthorizedException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "SignatureDoesNotMatch"
        | "InvalidAccessKeyId"
        | "KMSAccessDeniedException"
        | "AllAccessDisabled" => Kind::Denied,
        // S3 answers 400 to what got damaged or stuck on its way.
        "BadDigest"
        | "IncompleteBody"
        | "RequestTimeout"
        | "XAmzContentChecksumMismatch"
        | "XAmzContentSHA256Mismatch" => Kind::Unavailable,
        // What KMS says to S3.
        "KMS.ThrottlingException" => Kind::Throttled,
        code if code.starts_with("KMS.") => Kind::Denied,
        "AccountStreamLimitExceededException"
        | "DeviceStreamLimitExceededException"
        | "LimitExceeded"
        | "LimitExceededFault"
        | "TagsPerResourceExceededLimitException" => Kind::Limit,
        _ => return None,
    })
}

/// What a failure means, by the service's error code and the HTTP status of the answer (none: there was no answer).
pub fn kind(code: Option<&str>, status: Option<u16>) -> Kind {
    code.and_then(kind_of_code).unwrap_or(match status {
        // S3: the bucket is in another region.
        Some(301) => Kind::Invalid,
        Some(404) => Kind::NotFound,
        Some(401 | 403) => Kind::Denied,
        Some(429 | 503) => Kind::Throttled,
        Some(400..=499) => Kind::Invalid,
        _ => Kind::Unavailable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_before_statuses() {
        for (code, status, expected) in [
            (Some("ClientLimitExceededException"), Some(400), Kind::Throttled),
            (Some("VersionMismatchException"), Some(400), Kind::Stale),
            (Some("SomethingNew"), Some(400), Kind::Invalid),
            (Some("BadDigest"), Some(400), Kind::Unavailable),
            (Some("KMS.DisabledException"), Some(400), Kind::Denied),
            (Some("ConditionalRequestConflict"), Some(409), Kind::Busy),
            (Some("InternalFailure"), Some(500), Kind::Unavailable),
            (None, None, Kind::Unavailable),
            (None, Some(403), Kind::Denied),
            (None, Some(301), Kind::Invalid),
            (Some("PermanentRedirect"), Some(301), Kind::Invalid),
        ] {
            assert_eq!(kind(code, status), expected, "{code:?} {status:?}");
        }
    }
}
