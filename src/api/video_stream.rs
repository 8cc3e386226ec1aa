//! `VideoStream`: one Kinesis video stream.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DefaultStorageTier, ImageGenerationConfiguration, NotificationConfiguration, StreamStorageConfiguration,
};

/// One Kinesis video stream. A field that is absent is not managed: what AWS has stays as it is.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "kvs-operator.io",
    version = "v1alpha1",
    kind = "VideoStream",
    plural = "videostreams",
    namespaced,
    doc = "One Amazon Kinesis video stream, created, adopted or observed.",
    shortname = "kvs",
    status = "VideoStreamStatus",
    derive = "PartialEq",
    printcolumn(name = "Stream", type_ = "string", json_path = ".status.streamName"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.streamStatus"),
    printcolumn(name = "Retention", type_ = "integer", json_path = ".status.dataRetentionInHours", format = "int32"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "ARN", type_ = "string", json_path = ".status.streamARN", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name: at most 63 characters"),
    validation = Rule::new("!has(self.spec.region) || !has(self.status) || !has(self.status.region) || self.spec.region == self.status.region")
        .message("spec.region: the stream is in another region already (see status.region) and stays in its region; make a new VideoStream")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.streamName) == has(oldSelf.streamName)")
        .message("spec.streamName is immutable, it cannot be added or removed: AWS cannot rename a stream; make a new VideoStream for the new name"),
    validation = Rule::new("has(self.kmsKeyId) == has(oldSelf.kmsKeyId)")
        .message("spec.kmsKeyId is immutable, it cannot be added or removed: AWS sets a stream's key once, when it creates the stream"),
    validation = Rule::new("!has(oldSelf.region) || has(self.region)")
        .message("spec.region cannot be removed: a stream stays in its region"),
    validation = Rule::new("has(self.roleArn) == has(oldSelf.roleArn)")
        .message("spec.roleArn is immutable, it cannot be added or removed: without it the stream is in another account; make a new VideoStream"),
    validation = Rule::new("has(self.externalId) == has(oldSelf.externalId)")
        .message("spec.externalId is immutable, it cannot be added or removed; make a new VideoStream"),
    validation = Rule::new("!has(self.externalId) || has(self.roleArn)")
        .message("spec.externalId is for spec.roleArn: give the role, or leave the external id out"),
    validation = Rule::new("!has(self.dataRetentionInHours) || self.dataRetentionInHours > 0 || \
        !(has(self.imageGenerationConfiguration) && has(self.imageGenerationConfiguration.status)) && \
        !(has(self.notificationConfiguration) && has(self.notificationConfiguration.status))")
        .message("imageGenerationConfiguration and notificationConfiguration need dataRetentionInHours above 0: AWS makes nothing of footage that it does not keep")
)]
pub struct VideoStreamSpec {
    /// The stream's name in AWS. Default: the object's name. Immutable: AWS cannot rename a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[a-zA-Z0-9_.-]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("spec.streamName is immutable: AWS cannot rename a stream; make a new VideoStream for the new name"))]
    pub stream_name: Option<String>,
    /// The AWS region. Default: the operator's. Immutable once set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 5, max = 32), regex(pattern = r"^[a-z]{2}(-[a-z]+)+-[0-9]$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.region is immutable: a stream stays in its region"))]
    pub region: Option<String>,
    /// The ARN of an IAM role by which the operator, and the archive Jobs, reach the stream: for streams of other accounts.
    /// Default: their own identities. Immutable. Only roles that the cluster's administrator has granted to the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 20, max = 2048),
        regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+$")
    )]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("spec.roleArn is immutable: another role may lead to another account; make a new VideoStream"))]
    pub role_arn: Option<String>,
    /// The external id that the role's trust policy asks for. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224), regex(pattern = r"^[\w+=,.@:/-]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.externalId is immutable; make a new VideoStream"))]
    pub external_id: Option<String>,
    /// Hours for which AWS keeps footage, 0 to 87600. A stream that the operator creates gets 24 where this is absent;
    /// with 0 nothing is kept and nothing can be archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 87600))]
    pub data_retention_in_hours: Option<i32>,
    /// The media type, such as `video/h264` or `video/h264,audio/aac`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 128),
        regex(pattern = r"^[\w\-\.\+]+/[\w\-\.\+]+(,[\w\-\.\+]+/[\w\-\.\+]+)*$")
    )]
    pub media_type: Option<String>,
    /// The device's name (AWS stores it and does not use it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-zA-Z0-9_.-]+$"))]
    pub device_name: Option<String>,
    /// The KMS key that encrypts the footage. Default: AWS's own key for the service. Immutable: AWS sets it at creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("spec.kmsKeyId is immutable: AWS sets a stream's key once, when it creates the stream"))]
    pub kms_key_id: Option<String>,
    /// How AWS stores the footage. It needs the IAM actions Describe- and UpdateStreamStorageConfiguration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_storage_configuration: Option<StreamStorageConfiguration>,
    /// Images that AWS makes from the footage and puts into S3. `{}` removes the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_generation_configuration: Option<ImageGenerationConfiguration>,
    /// Notifications that AWS sends when fragments are there. `{}` removes the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_configuration: Option<NotificationConfiguration>,
    /// Tags that the stream has at least. Tags with other keys are kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 45, "additionalProperties" = {"type": "string", "maxLength": 256}))]
    #[x_kube(validation = Rule::new("self.all(k, size(k) <= 128 && !k.startsWith('aws:') && !k.startsWith('kvs-operator.io/'))")
        .message("spec.tags: keys have at most 128 characters; aws: and kvs-operator.io/ are reserved"))]
    pub tags: BTreeMap<String, String>,
    /// `Manage`: the stream is made as this spec says. `Observe`: nothing is ever written to the stream; policies still
    /// work (for streams that another tool manages).
    #[serde(default)]
    pub management_policy: ManagementPolicy,
    /// Which existing stream of that name may become this object's.
    #[serde(default)]
    pub adoption_policy: AdoptionPolicy,
    /// What happens to the stream when this object is deleted. A stream is footage: `Retain` leaves it.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// While true, nothing is read or written for this object.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

/// How the operator treats the stream.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default, JsonSchema)]
pub enum ManagementPolicy {
    /// Create, update and tag it.
    #[default]
    Manage,
    /// Only read it.
    Observe,
}

/// Which existing stream may be taken over.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default, JsonSchema)]
pub enum AdoptionPolicy {
    /// Only a stream that this operator created.
    Never,
    /// Also one without an owner's tag: cameras create streams themselves.
    #[default]
    AdoptIfUnowned,
    /// Also one of an owner of this cluster that is gone, or of another cluster; never of a living VideoStream.
    Adopt,
}

/// What happens to the stream when its object is deleted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default, JsonSchema)]
pub enum DeletionPolicy {
    /// The stream and its footage stay.
    #[default]
    Retain,
    /// The stream is deleted with all its footage.
    Delete,
}

/// What is known of the stream.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VideoStreamStatus {
    /// The generation of the spec that this status answers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The stream's name in AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub stream_name: Option<String>,
    /// The region, as resolved once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub region: Option<String>,
    /// The stream's ARN; its last part is the creation time, so a stream made anew under the name has another.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "streamARN")]
    #[schemars(length(max = 1024))]
    pub stream_arn: Option<String>,
    /// AWS's status of the stream: CREATING, ACTIVE, UPDATING or DELETING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub stream_status: Option<String>,
    /// AWS's version of the stream's metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,
    /// When AWS created the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<Time>,
    /// Hours for which AWS keeps footage, as read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_retention_in_hours: Option<i32>,
    /// The media type, as read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub media_type: Option<String>,
    /// The device's name, as read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub device_name: Option<String>,
    /// The KMS key, as read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub kms_key_id: Option<String>,
    /// The storage tier, as read; only where the spec manages it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_storage_tier: Option<DefaultStorageTier>,
    /// Keys of the tags that the operator has set for `spec.tags`: one that the spec no longer has is removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 45))]
    pub tag_keys: Vec<String>,
    /// `Ready`, `Reconciling`, `Stalled`, `OwnedByAnother`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
