//! Where in S3 footage goes, and how its objects are written.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where footage goes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// An S3 bucket.
    pub s3: S3Destination,
}

/// A place in an S3 bucket, and how objects are written there.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct S3Destination {
    /// The bucket.
    #[schemars(length(min = 3, max = 63), regex(pattern = r"^[a-z0-9][a-z0-9.-]+[a-z0-9]$"))]
    pub bucket: String,
    /// The bucket's region. Default: the stream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 5, max = 32), regex(pattern = r"^[a-z]{2}(-[a-z]+)+-[0-9]$"))]
    pub region: Option<String>,
    /// What every key begins with, without a slash at either end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(
        length(max = 256),
        regex(pattern = r"^([a-zA-Z0-9!_.*'()-]+(/[a-zA-Z0-9!_.*'()-]+)*)?$")
    )]
    pub prefix: String,
    /// The account that must own the bucket; S3 refuses every request if another does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 12, max = 12), regex(pattern = r"^[0-9]{12}$"))]
    pub expected_bucket_owner: Option<String>,
    /// The storage class of files of footage. Default: `STANDARD`. Plans and manifests are always in `STANDARD`, so that an
    /// archive can be read and checked without a restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<StorageClass>,
    /// How every object is encrypted. Default: as the bucket says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<ObjectEncryption>,
    /// Tags of files of footage. Plans and manifests have none, so that a lifecycle rule that goes by a tag leaves them
    /// alone. They need the IAM action s3:PutObjectTagging.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 10, "additionalProperties" = {"type": "string", "maxLength": 256,
        "pattern": r"^[\p{L}\p{Z}\p{N}_.:/=+@-]*$"}))]
    #[x_kube(validation = Rule::new("self.all(k, size(k) >= 1 && size(k) <= 128 && !k.startsWith('aws:') && \
        k.matches('^[\\\\p{L}\\\\p{Z}\\\\p{N}_.:/=+@-]+$'))")
        .message("tags: keys have 1 to 128 letters, digits, spaces and _.:/=+@- and do not begin with aws:"))]
    pub tags: BTreeMap<String, String>,
    /// How long every object is kept from deletion, beyond what the bucket's default retention says. The bucket must have
    /// object lock enabled. It needs the IAM action s3:PutObjectRetention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock: Option<ObjectLock>,
}

/// S3's storage classes for objects that a bucket holds whole.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum StorageClass {
    #[serde(rename = "STANDARD")]
    Standard,
    #[serde(rename = "STANDARD_IA")]
    StandardIa,
    #[serde(rename = "ONEZONE_IA")]
    OnezoneIa,
    #[serde(rename = "INTELLIGENT_TIERING")]
    IntelligentTiering,
    #[serde(rename = "GLACIER_IR")]
    GlacierIr,
    #[serde(rename = "GLACIER")]
    Glacier,
    #[serde(rename = "DEEP_ARCHIVE")]
    DeepArchive,
}

/// How S3 encrypts an object.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.kmsKeyId) || self.serverSideEncryption != 'AES256'")
    .message("encryption.kmsKeyId: only with serverSideEncryption aws:kms or aws:kms:dsse"))]
pub struct ObjectEncryption {
    /// By which keys: S3's own, KMS's, or KMS's twice.
    pub server_side_encryption: ServerSideEncryption,
    /// The KMS key, as its ARN where it is of another account. Default: the account's key `aws/s3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub kms_key_id: Option<String>,
}

/// S3's kinds of encryption at its end.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum ServerSideEncryption {
    #[serde(rename = "AES256")]
    Aes256,
    #[serde(rename = "aws:kms")]
    AwsKms,
    #[serde(rename = "aws:kms:dsse")]
    AwsKmsDsse,
}

/// A retention that every object gets when it is written.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectLock {
    /// `GOVERNANCE`: who has s3:BypassGovernanceRetention can delete. `COMPLIANCE`: nobody can, the account's root included.
    pub mode: ObjectLockMode,
    /// For how many days from its writing, 1 to 36500.
    #[schemars(range(min = 1, max = 36500))]
    pub days: i32,
}

/// How strictly an object is kept.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum ObjectLockMode {
    #[serde(rename = "GOVERNANCE")]
    Governance,
    #[serde(rename = "COMPLIANCE")]
    Compliance,
}
