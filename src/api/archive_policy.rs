//! `ArchivePolicy`: for the streams that a selector matches, what to keep around an alarm and where in S3 it goes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::{
    api::resource::Quantity,
    apis::meta::v1::{Condition, LabelSelector, Time},
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Destination, JobTemplate, Span};

/// For the streams that `streamSelector` matches: which alarm triggers, how much to keep around it, where in S3 it goes.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "kvs-operator.io",
    version = "v1alpha1",
    kind = "ArchivePolicy",
    plural = "archivepolicies",
    namespaced,
    doc = "What of the footage of which streams goes to S3, and when.",
    shortname = "ap",
    status = "ArchivePolicyStatus",
    derive = "PartialEq",
    printcolumn(name = "Streams", type_ = "integer", json_path = ".status.streams", format = "int32"),
    printcolumn(name = "In Alarm", type_ = "integer", json_path = ".status.inAlarm", format = "int32"),
    printcolumn(name = "Active", type_ = "integer", json_path = ".status.activeRecordings", format = "int32"),
    printcolumn(name = "Archived Through", type_ = "date", json_path = ".status.archivedThrough"),
    printcolumn(name = "Lost", type_ = "integer", json_path = ".status.lost", format = "int64"),
    printcolumn(name = "Last Clip", type_ = "date", json_path = ".status.lastClipTime"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name: at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.trigger)")
    .message("spec.trigger is missing: say what starts a recording, for instance `trigger: {alarm: {}}` (the default alarm: footage is arriving)"))]
pub struct ArchivePolicySpec {
    /// Which VideoStreams of this namespace the policy is for. `{}` means all of them.
    pub stream_selector: LabelSelector,
    /// What starts a recording: exactly one of its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// How much to keep around an alarm.
    #[serde(default)]
    pub recording: RecordingRules,
    /// How footage is cut into files.
    #[serde(default)]
    pub clip: Clip,
    /// How often a Job archives what has become due while a recording lasts, at least 10s. Default 10m.
    #[serde(default = "default_archive_every")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s')").message("archiveEvery: at least 10s"))]
    pub archive_every: Span,
    /// Where the footage goes.
    pub destination: Destination,
    /// How the archive Jobs run.
    #[serde(default)]
    pub job: JobTemplate,
    /// While true, no new recording begins; open ones end and drain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

fn default_archive_every() -> Span {
    Span::from_mins(10)
}

/// What starts a recording.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.alarm) != has(self.existingAlarm)")
    .message("spec.trigger: set exactly one of: alarm, existingAlarm"))]
pub struct Trigger {
    /// A CloudWatch alarm that the operator makes for every matched stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<AlarmTrigger>,
    /// A CloudWatch alarm that somebody else made, on whatever metric: a motion detector, a door. It is never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing_alarm: Option<ExistingAlarm>,
}

/// A metric alarm that is there already, in the stream's account and region.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExistingAlarm {
    /// The alarm's name. `{streamName}`, `{name}` and `{namespace}` (of the VideoStream) and `{labels.KEY}` (one of its labels)
    /// stand for each stream's own; without them one alarm starts recordings of all matched streams.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new(r"self.matches('^([^{}]|[{](streamName|name|namespace|labels[.][A-Za-z0-9._/-]+)[}])+$')")
        .message("trigger.existingAlarm.name: braces only around streamName, name, namespace or labels.KEY"))]
    pub name: String,
    /// Tags that the alarm must have to start recordings, such as `RepeatedAlarm: "true"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub require_tags: BTreeMap<String, String>,
}

/// An alarm on one metric of the stream. The defaults say "footage is arriving".
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.datapointsToAlarm <= self.evaluationPeriods")
        .message("datapointsToAlarm cannot be more than evaluationPeriods"),
    validation = Rule::new("self.period % 60 == 0")
        .message("period: a multiple of 60 (the stream's metrics have one value a minute)"),
    validation = Rule::new("self.period * self.evaluationPeriods <= 86400")
        .message("period x evaluationPeriods: at most 86400 seconds")
)]
pub struct AlarmTrigger {
    /// A metric of the namespace AWS/KinesisVideo with the dimension StreamName.
    #[serde(default = "default_metric")]
    #[schemars(length(min = 1, max = 255))]
    pub metric_name: String,
    /// How the values of a period become one.
    #[serde(default)]
    pub statistic: Statistic,
    /// Seconds, a multiple of 60.
    #[serde(default = "default_period")]
    #[schemars(range(min = 60, max = 86400))]
    pub period: i32,
    /// How many periods are looked at.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1440))]
    pub evaluation_periods: i32,
    /// How many of them must breach.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1440))]
    pub datapoints_to_alarm: i32,
    /// What the value is compared with.
    #[serde(default = "default_threshold")]
    pub threshold: Quantity,
    /// How it is compared.
    #[serde(default)]
    pub comparison_operator: ComparisonOperator,
    /// What a period without a value counts as.
    #[serde(default)]
    pub treat_missing_data: TreatMissingData,
}

fn default_metric() -> String {
    "PutMedia.IncomingFragments".into()
}
fn default_period() -> i32 {
    60
}
fn one() -> i32 {
    1
}
fn default_threshold() -> Quantity {
    Quantity("1".into())
}

/// CloudWatch's statistics.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default, JsonSchema)]
#[allow(missing_docs)]
pub enum Statistic {
    #[default]
    Sum,
    SampleCount,
    Average,
    Minimum,
    Maximum,
}

/// CloudWatch's comparisons of one value with a threshold.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default, JsonSchema)]
#[allow(missing_docs)]
pub enum ComparisonOperator {
    #[default]
    GreaterThanOrEqualToThreshold,
    GreaterThanThreshold,
    LessThanThreshold,
    LessThanOrEqualToThreshold,
}

/// CloudWatch's treatments of a missing value.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum TreatMissingData {
    Breaching,
    #[default]
    NotBreaching,
    Ignore,
    Missing,
}

/// How much to keep around an alarm.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RecordingRules {
    /// Footage before the start of the episode. Default 30s.
    #[serde(default = "default_pre_roll")]
    pub pre_roll: Span,
    /// Footage after its end. Default 60s.
    #[serde(default = "default_post_roll")]
    pub post_roll: Span,
    /// Episodes less than this apart are one recording. Default 3m.
    #[serde(default = "default_merge_gap")]
    pub merge_gap: Span,
    /// The longest that one Recording gets, at most 7 days (168h); what goes on longer goes on in the next. Default 24h.
    #[serde(default = "default_max_duration")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('168h') && duration(self) >= duration('10m')")
        .message("recording.maxDuration: from 10m to 168h (7 days)"))]
    pub max_duration: Span,
    /// For cameras that buffer footage and send it later: what the camera's own time puts into the recording belongs to it, if
    /// KVS has it within so long after the end (at most 168h). The recording is complete only then. Absent: not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('168h') && duration(self) >= duration('1m')")
        .message("recording.lateUploads: from 1m to 168h (7 days)"))]
    pub late_uploads: Option<Span>,
}

impl Default for RecordingRules {
    fn default() -> Self {
        Self {
            pre_roll: default_pre_roll(),
            post_roll: default_post_roll(),
            merge_gap: default_merge_gap(),
            max_duration: default_max_duration(),
            late_uploads: None,
        }
    }
}

fn default_pre_roll() -> Span {
    Span::from_secs(30)
}
fn default_post_roll() -> Span {
    Span::from_secs(60)
}
fn default_merge_gap() -> Span {
    Span::from_mins(3)
}
fn default_max_duration() -> Span {
    Span::from_hours(24)
}

/// How footage is cut into files.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Clip {
    /// How long a file gets: it ends with the first fragment that begins this long after its start. Default 3m.
    #[serde(default = "default_clip_duration")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('1h')")
        .message("clip.duration: from 10s to 1h"))]
    pub duration: Span,
    /// `Auto`: MP4 where the codecs allow it, otherwise Matroska. `Matroska`: always Matroska.
    #[serde(default)]
    pub container: Container,
}

impl Default for Clip {
    fn default() -> Self {
        Self {
            duration: default_clip_duration(),
            container: Container::Auto,
        }
    }
}

fn default_clip_duration() -> Span {
    Span::from_mins(3)
}

/// The files' container.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default, JsonSchema)]
pub enum Container {
    /// MP4 where the codecs allow it, otherwise Matroska.
    #[default]
    Auto,
    /// Always Matroska.
    Matroska,
}

/// What the policy does at the moment.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ArchivePolicyStatus {
    /// The generation of the spec that this status answers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The checkpoint: alarm history is read, and is in Recordings, up to this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_through: Option<Time>,
    /// Since when alarms start recordings: the policy's creation, or when it last went on after a suspension. Absent while it
    /// is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watching_since: Option<Time>,
    /// How many VideoStreams match.
    #[serde(default)]
    pub streams: i32,
    /// How many of their alarms are in ALARM.
    #[serde(default)]
    pub in_alarm: i32,
    /// How many recordings are not yet complete.
    #[serde(default)]
    pub active_recordings: i32,
    /// Up to when everything that is due is in S3: the earliest of the recordings that are not yet complete. Absent where
    /// there is none. `kubectl get` shows it as its distance from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_through: Option<Time>,
    /// Fragments lost, in all recordings that exist.
    #[serde(default)]
    pub lost: i64,
    /// When the last clip was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_clip_time: Option<Time>,
    /// What stands in the way, stream by stream; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub problems: Vec<Problem>,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Something that stands in the way of one stream's recordings.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The VideoStream.
    #[schemars(length(max = 63))]
    pub stream: String,
    /// One word of a closed set.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// What it is and what to do.
    #[schemars(length(max = 1024))]
    pub message: String,
}
