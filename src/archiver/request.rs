//! The contract between who asks for an archive (a Recording's Job, or a person) and the archiver: the request is one JSON
//! argument, the report one JSON line on standard output and in the termination message.
//!
//! Data only. Versioned: a writer that knows less refuses what it does not know.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::aws::TimestampType;

use crate::api::{Cause, Clip, Counts, Destination, Loss, ObjectRef, Span};

/// The version of this contract.
pub const VERSION: u32 = 1;

/// The longest report, in bytes: a termination message has 4,096.
pub const REPORT_BYTES: usize = 4000;

/// What is to be archived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchiveRequest {
    /// The contract's version.
    pub version: u32,
    /// The stream's ARN: region, name and creation time are in it.
    #[serde(rename = "streamARN")]
    pub stream_arn: String,
    /// The role by which Kinesis Video Streams is called, where the stream is in another account. S3 is called with the
    /// archiver's own identity.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "roleARN")]
    pub role_arn: Option<String>,
    /// The external id that the role's trust policy asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Whose footage it is.
    pub recording: RecordingIdentity,
    /// What to do.
    pub task: Task,
    /// Where the files go.
    pub destination: Destination,
    /// Whether every object gets a legal hold when it is written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub legal_hold: bool,
    /// How footage is cut into files.
    pub clip: Clip,
    /// How long after its server time a fragment counts as listable.
    pub settle: Span,
    /// Why the recording exists; goes into the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

/// What makes a recording this one and no other: its folder in S3 derives from it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordingIdentity {
    /// The namespace; empty without Kubernetes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Which of a fragment's times the window is in.
    pub timestamp_type: TimestampType,
    /// Where the window begins, inclusive.
    pub start: Timestamp,
    /// Where it ends, for a recording made by hand: there the end is part of the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
}

/// What to do for a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Task {
    /// Archive the slice that begins at `from`.
    #[serde(rename_all = "camelCase")]
    Slice {
        /// Its start: with the recording, its identity.
        from: Timestamp,
        /// It ends here at the latest (exclusive); earlier where `now - settle`, 4 hours or 20,000 fragments say so.
        to: Timestamp,
        /// The manifest of the slice before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        predecessor: Option<ObjectRef>,
    },
    /// List the recording's window again and archive what no manifest of it holds.
    #[serde(rename_all = "camelCase")]
    Sweep {
        /// Its number: with the recording, its identity.
        number: u32,
        /// Where the listing ends (exclusive): the recording's `archivedThrough`.
        through: Timestamp,
        /// The manifest of the sweep before it that found something.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        predecessor: Option<ObjectRef>,
        /// Whether to write the recording's root if nothing new is found.
        #[serde(default)]
        close: bool,
        /// Whether footage that a camera sent later belongs to it: fragments whose producer time is in [start - 20 s, through),
        /// whenever KVS received them. Only where `through` is the recording's end.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        late_uploads: bool,
    },
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveReport {
    /// The contract's version.
    pub version: u32,
    /// In one word.
    pub outcome: Outcome,
    /// AWS's clock when the fragments were listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_at: Option<Timestamp>,
    /// Slice: everything before this is in its manifest or an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Timestamp>,
    /// Slice: what this slice's manifest holds. Sweep: what the recording's manifests hold together, each fragment by what the
    /// latest says of it: those of slices that begin before the sweep's `through`, this sweep's, and those of sweeps before it.
    /// (A slice after `through` may have a manifest that is not reported yet; its own report will count it.)
    pub counts: Counts,
    /// The manifest, where one was written or found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ObjectRef>,
    /// The recording's root, where it was written or found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<ObjectRef>,
    /// The first losses; the manifests have all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
    /// What went wrong, for people: the whole chain of causes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What came of a request, in one word; the exit code says the same to Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A manifest was written, or one was there: it is reported as it is.
    Committed,
    /// Sweep: nothing new, nothing written.
    NothingNew,
    /// Sweep with close: nothing new, and the root is written.
    Closed,
    /// Nothing was committed: try again.
    TryAgain,
    /// The request is wrong.
    Invalid,
    /// Something in S3 contradicts what should be there.
    Conflict,
    /// Access was refused.
    Denied,
}

impl Outcome {
    /// The process's exit code (DESIGN.md section 8).
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Committed | Self::NothingNew | Self::Closed => 0,
            Self::TryAgain => 1,
            Self::Invalid => 2,
            Self::Conflict => 3,
            Self::Denied => 4,
        }
    }
}
