//! `Recording`: one span of one stream that must be in S3.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Clip, Destination, JobTemplate, Span};

/// One span of one stream that must be in S3: everything that is needed to archive it, so that it outlives its policy and
/// its VideoStream.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "kvs-operator.io",
    version = "v1alpha1",
    kind = "Recording",
    plural = "recordings",
    namespaced,
    doc = "One span of one stream that must be in S3: an alarm episode, or a range that a person asks for.",
    shortname = "rec",
    status = "RecordingStatus",
    derive = "PartialEq",
    printcolumn(name = "Stream", type_ = "string", json_path = ".spec.streamName"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Start", type_ = "string", json_path = ".spec.start"),
    printcolumn(name = "End", type_ = "string", json_path = ".spec.end"),
    printcolumn(name = "Archived Through", type_ = "string", json_path = ".status.archivedThrough", priority = 1),
    printcolumn(name = "Clips", type_ = "integer", json_path = ".status.counts.clips"),
    printcolumn(name = "Fragments", type_ = "integer", json_path = ".status.counts.fragments"),
    printcolumn(name = "Lost", type_ = "integer", json_path = ".status.counts.lost"),
    printcolumn(name = "Job", type_ = "string", json_path = ".status.job.name", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name: at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(oldSelf.end) || has(self.end)")
        .message("spec.end is set once: a recording that has ended cannot go on; make a new Recording for another span"),
    validation = Rule::new("!has(self.end) || self.start < self.end")
        .message("spec.end must be after spec.start"),
    validation = Rule::new("has(self.lateUploads) == has(oldSelf.lateUploads)")
        .message("spec.lateUploads is immutable, it cannot be added or removed"),
    validation = Rule::new("has(self.cause) == has(oldSelf.cause)")
        .message("spec.cause is immutable, it cannot be added or removed: what a recording is in S3 depends on it"),
    validation = Rule::new("has(self.roleArn) == has(oldSelf.roleArn) && has(self.externalId) == has(oldSelf.externalId)")
        .message("spec.roleArn and spec.externalId are immutable, they cannot be added or removed"),
    validation = Rule::new("!has(self.externalId) || has(self.roleArn)")
        .message("spec.externalId is for spec.roleArn: give the role, or leave the external id out"),
    validation = Rule::new("has(self.cause) || has(self.end)")
        .message("spec.end is missing: a recording made by hand needs both start and end")
)]
pub struct RecordingSpec {
    /// The stream's name in AWS.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[a-zA-Z0-9_.-]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.streamName is immutable"))]
    pub stream_name: String,
    /// The stream's ARN: a stream made anew under the name is another one.
    #[serde(rename = "streamARN")]
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^arn:[a-z\d-]+:kinesisvideo:[a-z0-9-]+:[0-9]+:stream/[a-zA-Z0-9_.-]+/[0-9]+$")
    )]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.streamARN is immutable"))]
    pub stream_arn: String,
    /// The stream's region.
    #[schemars(length(min = 5, max = 32), regex(pattern = r"^[a-z]{2}(-[a-z]+)+-[0-9]$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.region is immutable"))]
    pub region: String,
    /// The role by which the stream is reached, where it is in another account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 20, max = 2048),
        regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+$")
    )]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.roleArn is immutable"))]
    pub role_arn: Option<String>,
    /// The external id that the role's trust policy asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224), regex(pattern = r"^[\w+=,.@:/-]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.externalId is immutable"))]
    pub external_id: Option<String>,
    /// Where the window begins, in server time (when KVS began to receive a fragment), inclusive.
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.start is immutable"))]
    pub start: MicroTime,
    /// Where the window ends, exclusive. Absent while the alarm lasts. Set once, by the operator or by a user who wants to
    /// stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("spec.end is set once: make a new Recording for another span"))]
    pub end: Option<MicroTime>,
    /// While the alarm has cleared and a new one would still extend this recording: nothing after this time is archived yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_at: Option<MicroTime>,
    /// Why this recording exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.cause is immutable"))]
    pub cause: Option<Cause>,
    /// How often a Job archives what has become due while the recording lasts. Default 10m.
    #[serde(default = "default_archive_every")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s')").message("spec.archiveEvery: at least 10s"))]
    pub archive_every: Span,
    /// Footage of the window that the camera buffered and sent later belongs to it: fragments with producer times from 20 s
    /// before `start` up to `end`, that KVS lists until so long after `end`. Absent: server time alone counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.lateUploads is immutable"))]
    pub late_uploads: Option<Span>,
    /// Where the footage goes.
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.destination is immutable"))]
    pub destination: Destination,
    /// Whether every object that is written for this recording from now on gets a legal hold: nobody can delete it until the
    /// hold is taken off in S3. The bucket must have object lock enabled. It needs the IAM action s3:PutObjectLegalHold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub legal_hold: bool,
    /// How footage is cut into files.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.clip is immutable"))]
    pub clip: Clip,
    /// How the archive Jobs run, where the policy is gone; a living policy's `job` is used instead.
    #[serde(default)]
    pub job: JobTemplate,
}

fn default_archive_every() -> Span {
    Span::from_mins(10)
}

/// Why a recording exists.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// The ArchivePolicy that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub policy: Option<String>,
    /// The VideoStream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub video_stream: Option<String>,
    /// The CloudWatch alarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub alarm: Option<String>,
    /// The alarm's transition to ALARM that this recording is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transition: Option<MicroTime>,
    /// What CloudWatch gave as the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// Where a recording stands.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default, JsonSchema)]
pub enum Phase {
    /// The alarm lasts, or may come back within the merge gap.
    #[default]
    Active,
    /// It has ended; the rest is archived and checked.
    Draining,
    /// Everything is in S3.
    Complete,
    /// Everything that could be is in S3; what is lost is listed.
    Incomplete,
}

/// What of a recording is in S3.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RecordingStatus {
    /// The generation of the spec that this status answers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the recording stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Everything before this time has a manifest in S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_through: Option<MicroTime>,
    /// The Job that works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobStatus>,
    /// What is in S3 and what is not.
    #[serde(default)]
    pub counts: Counts,
    /// The manifest of the last slice: the next one names it as its predecessor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_manifest: Option<ObjectRef>,
    /// The sweeps so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweeps: Option<SweepStatus>,
    /// `recording.json`: the root of the finished archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<ObjectRef>,
    /// When the last clip was written, by AWS's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_clip_time: Option<Time>,
    /// When retention would take the oldest footage that is not yet archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// What is lost and why, at most 20; the manifests have all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub losses: Vec<Loss>,
    /// `Ready`, `Reconciling`, `Stalled`, `Complete`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// A Job that works on a recording.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// Its name.
    #[schemars(length(max = 63))]
    pub name: String,
    /// What it archives ends here at the latest, whichever attempt wrote the plan: a slice's latest end of all its attempts,
    /// a sweep's `through`. Once this status answers to the spec's generation, no slice reaches past it, so the policy
    /// controller can set `end` without cutting into a slice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<MicroTime>,
    /// How often a Job under this name has failed in a row.
    #[serde(default)]
    pub failures: i32,
    /// Why it last failed, or cannot run: one word of a closed set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub reason: Option<String>,
    /// What happened and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// What is in S3 and what is not. Counts are complete, however long the lists beside them may be.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Files written.
    pub clips: i64,
    /// Fragments in them.
    pub fragments: i64,
    /// Bytes of the files.
    pub bytes: i64,
    /// Fragments that KVS did not deliver whole; later sweeps try again.
    pub unread: i64,
    /// Fragments (and spans) that are lost.
    pub lost: i64,
    /// Gaps in the camera's time.
    pub gaps: i64,
    /// Fragments that a tombstone in S3 takes: they were erased on purpose before they were archived.
    pub erased: i64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.clips += more.clips;
        self.fragments += more.fragments;
        self.bytes += more.bytes;
        self.unread += more.unread;
        self.lost += more.lost;
        self.gaps += more.gaps;
        self.erased += more.erased;
    }
}

/// The sweeps of a recording.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SweepStatus {
    /// How many are done; the next one has this number.
    pub done: i32,
    /// When the last one listed, by AWS's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<MicroTime>,
    /// When the first of the latest unbroken run of sweeps that found nothing new listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean_since: Option<MicroTime>,
    /// The manifest of the last sweep that found something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_manifest: Option<ObjectRef>,
}

/// An object in S3, by key and content.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// The key.
    #[schemars(length(max = 1024))]
    pub key: String,
    /// SHA-256 of the content, in hex.
    #[schemars(length(min = 64, max = 64))]
    pub sha256: String,
}

/// Something that is lost.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    /// A fragment's number, or a span of server time as `FROM/TO`.
    #[schemars(length(max = 160))]
    pub what: String,
    /// Why.
    #[schemars(length(max = 256))]
    pub reason: String,
}

impl Loss {
    /// The same, no longer than its schema allows.
    #[must_use]
    pub fn short(&self) -> Self {
        let cut = |text: &str, most| text.chars().take(most).collect();
        Self {
            what: cut(&self.what, 160),
            reason: cut(&self.reason, 256),
        }
    }
}
