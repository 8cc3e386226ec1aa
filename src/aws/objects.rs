//! Objects of one S3 bucket: conditional creation, reading, listing, in our words.
//!
//! May: create an object where there is none, read, list. May not: overwrite, and may not decide whether what is there is right.

mod multipart;

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use aws_sdk_s3 as s3;
use aws_sdk_s3::{primitives::ByteStream, types::ChecksumMode};
use aws_smithy_types::{base64, timeout::TimeoutConfig};
use bytes::Bytes;
use jiff::Timestamp;

use self::multipart::Open;
pub use self::multipart::Sizes;
use super::{AwsError, Connection, Kind, Result};
use crate::api::{ObjectEncryption, ObjectLockMode, ServerSideEncryption, StorageClass};

/// An upload that moves less than this many bytes a second is given up.
const SLOWEST: u64 = 256 * 1024;

/// How much of a file is read at once: the SDK's own 4 KiB cost more than the rest of an upload.
const READ: usize = 256 << 10;

/// SHA-256 of an object's content.
pub type Sha256 = [u8; 32];

/// What is to be created.
#[derive(Clone, Debug)]
pub struct NewObject {
    /// The key.
    pub key: String,
    /// The content.
    pub content: Content,
    /// SHA-256 of the content; S3 refuses the object if it comes to another.
    pub sha256: Sha256,
    /// The media type.
    pub content_type: &'static str,
    /// User metadata: lower-case names, ASCII, at most 2 KB together.
    pub metadata: BTreeMap<String, String>,
    /// How S3 is to keep it.
    pub attributes: Attributes,
}

/// How S3 is to keep an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The storage class; `None`: STANDARD.
    pub storage_class: Option<StorageClass>,
    /// How it is encrypted; `None`: as the bucket says.
    pub encryption: Option<ObjectEncryption>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Until when it cannot be deleted, and how strictly; `None`: as the bucket says.
    pub retention: Option<(ObjectLockMode, Timestamp)>,
    /// Whether it cannot be deleted until somebody says otherwise.
    pub legal_hold: bool,
}

/// An object's content, from memory or from a file.
#[derive(Clone, Debug)]
pub enum Content {
    /// From memory.
    Bytes(Bytes),
    /// A file and its length.
    File(PathBuf, u64),
}

impl Content {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, len) => *len,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What came of a conditional creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The object is there now, and this call made it.
    Created,
    /// One was there already (412).
    Exists,
}

/// What is known of an object without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHead {
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its content, where S3 keeps one of the whole.
    pub sha256: Option<Sha256>,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// When S3 took it in.
    pub last_modified: Option<Timestamp>,
}

/// An object with its content.
#[derive(Clone, Debug)]
pub struct Object {
    /// What is known of it.
    pub head: ObjectHead,
    /// The content.
    pub bytes: Bytes,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// The key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When S3 took it in.
    pub last_modified: Option<Timestamp>,
}

/// Objects of one bucket.
#[async_trait::async_trait]
pub trait Objects: Send + Sync + fmt::Debug {
    /// Creates an object if there is none under its key.
    async fn create(&self, object: &NewObject) -> Result<Creation>;

    /// What is known of an object; `None`: there is none.
    async fn head(&self, key: &str) -> Result<Option<ObjectHead>>;

    /// An object with its content, in memory: for plans and manifests. `None`: there is none.
    async fn get(&self, key: &str) -> Result<Option<Object>>;

    /// All objects whose key begins with `prefix` and sorts after `after` (empty: all), in the order of their keys.
    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<ListedObject>>;

    /// Takes back what a creation left half done whose future was dropped, as far as S3 lets it.
    async fn abandon(&self) {}
}

/// A bucket through the SDK.
#[derive(Clone)]
pub struct Bucket {
    pub(super) connection: Connection,
    pub(super) client: s3::Client,
    pub(super) bucket: String,
    pub(super) owner: Option<String>,
    sizes: Sizes,
    open: Open,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

impl Bucket {
    /// A bucket in the connection's region. With `owner`, S3 refuses every call if another account owns the bucket.
    pub fn new(connection: &Connection, bucket: &str, owner: Option<&str>) -> Self {
        let config = s3::config::Builder::from(connection.sdk())
            // Buckets as host names need DNS of their own, which an endpoint that stands in for S3 does not have.
            .force_path_style(connection.has_endpoint("S3"))
            .interceptor(connection.date_interceptor())
            .build();
        Self {
            connection: connection.clone(),
            client: s3::Client::from_conf(config),
            bucket: bucket.into(),
            owner: owner.map(Into::into),
            sizes: Sizes::default(),
            open: Open::default(),
        }
    }

    /// The same with other sizes of what goes in parts.
    pub fn with_sizes(self, sizes: Sizes) -> Self {
        Self { sizes, ..self }
    }

    pub(super) fn on(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }
}

#[async_trait::async_trait]
impl Objects for Bucket {
    async fn create(&self, object: &NewObject) -> Result<Creation> {
        let body = match &object.content {
            Content::Bytes(bytes) => ByteStream::from(bytes.clone()),
            Content::File(path, len) if *len > self.sizes.single => {
                return self.create_in_parts(object, path, *len).await;
            }
            Content::File(path, _) => ByteStream::read_from()
                .path(path)
                .buffer_size(READ)
                .build()
                .await
                .map_err(|e| self.spool(&object.key, path, e.into()))?,
        };
        let how = How::of(&object.attributes);
        let call = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(&object.key)
            .set_expected_bucket_owner(self.owner.clone())
            .if_none_match("*")
            .content_type(object.content_type)
            .content_length(length(object.content.len()))
            .checksum_sha256(base64::encode(object.sha256))
            .set_metadata(Some(object.metadata.clone().into_iter().collect()))
            .set_storage_class(how.storage_class)
            .set_server_side_encryption(how.encryption)
            .set_ssekms_key_id(how.key)
            .set_tagging(how.tagging)
            .set_object_lock_mode(how.lock_mode)
            .set_object_lock_retain_until_date(how.lock_until)
            .set_object_lock_legal_hold_status(how.legal_hold)
            .body(body)
            .customize()
            .config_override(patience(object.content.len()))
            .send();
        match self
            .connection
            .call("s3:PutObject", &self.on(&object.key), call)
            .await
        {
            Ok(_) => Ok(Creation::Created),
            Err(e) if e.code.as_deref() == Some("PreconditionFailed") => Ok(Creation::Exists),
            Err(e) => Err(e),
        }
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectHead>> {
        let call = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(key)
            .set_expected_bucket_owner(self.owner.clone())
            .checksum_mode(ChecksumMode::Enabled)
            .send();
        match self.connection.call("s3:GetObject", &self.on(key), call).await {
            Ok(head) => Ok(Some(ObjectHead {
                size: size(head.content_length),
                sha256: whole_sha256(head.checksum_sha256.as_deref()),
                metadata: head.metadata.unwrap_or_default().into_iter().collect(),
                last_modified: head.last_modified.and_then(timestamp),
            })),
            // An answer without a body: that the bucket is missing would look the same.
            Err(e) if e.kind == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Object>> {
        let call = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .set_expected_bucket_owner(self.owner.clone())
            .checksum_mode(ChecksumMode::Enabled)
            .send();
        let object = match self.connection.call("s3:GetObject", &self.on(key), call).await {
            Ok(object) => object,
            Err(e) if e.code.as_deref() == Some("NoSuchKey") => return Ok(None),
            Err(e) => return Err(e),
        };
        let head = ObjectHead {
            size: size(object.content_length),
            sha256: whole_sha256(object.checksum_sha256.as_deref()),
            metadata: object.metadata.unwrap_or_default().into_iter().collect(),
            last_modified: object.last_modified.and_then(timestamp),
        };
        let bytes = object.body.collect().await;
        let bytes = bytes.map_err(|e| broke_off(self.on(key), e))?;
        Ok(Some(Object {
            head,
            bytes: bytes.into_bytes(),
        }))
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<ListedObject>> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let call = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(prefix)
                .set_start_after((!after.is_empty()).then(|| after.to_owned()))
                .set_expected_bucket_owner(self.owner.clone())
                .set_continuation_token(token.take())
                .send();
            let page = self
                .connection
                .call("s3:ListBucket", &self.on(prefix), call)
                .await?;
            found.extend(listed(page.contents));
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    async fn abandon(&self) {
        self.abort_all().await;
    }
}

impl Bucket {
    fn spool(
        &self,
        key: &str,
        path: &std::path::Path,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> AwsError {
        let why = format!("the spooled file {} cannot be read", path.display());
        AwsError::ours("s3:PutObject", self.on(key), Kind::Unavailable, why).because(source)
    }
}

/// An object's attributes as the SDK has them, for PutObject and CreateMultipartUpload.
struct How {
    storage_class: Option<s3::types::StorageClass>,
    encryption: Option<s3::types::ServerSideEncryption>,
    key: Option<String>,
    tagging: Option<String>,
    lock_mode: Option<s3::types::ObjectLockMode>,
    lock_until: Option<aws_smithy_types::DateTime>,
    legal_hold: Option<s3::types::ObjectLockLegalHoldStatus>,
}

impl How {
    fn of(attributes: &Attributes) -> Self {
        let tags: Vec<_> = attributes
            .tags
            .iter()
            .map(|(key, value)| format!("{}={}", urlencoding::encode(key), urlencoding::encode(value)))
            .collect();
        let encryption = attributes.encryption.as_ref();
        let retention = attributes.retention;
        Self {
            storage_class: attributes.storage_class.map(storage_class),
            encryption: encryption.map(|e| match e.server_side_encryption {
                ServerSideEncryption::Aes256 => s3::types::ServerSideEncryption::Aes256,
                ServerSideEncryption::AwsKms => s3::types::ServerSideEncryption::AwsKms,
                ServerSideEncryption::AwsKmsDsse => s3::types::ServerSideEncryption::AwsKmsDsse,
            }),
            key: encryption.and_then(|e| e.kms_key_id.clone()),
            tagging: (!tags.is_empty()).then(|| tags.join("&")),
            lock_mode: retention.map(|(mode, _)| match mode {
                ObjectLockMode::Governance => s3::types::ObjectLockMode::Governance,
                ObjectLockMode::Compliance => s3::types::ObjectLockMode::Compliance,
            }),
            lock_until: retention
                .map(|(_, until)| aws_smithy_types::DateTime::from_millis(until.as_millisecond())),
            legal_hold: attributes
                .legal_hold
                .then_some(s3::types::ObjectLockLegalHoldStatus::On),
        }
    }
}

fn storage_class(class: StorageClass) -> s3::types::StorageClass {
    match class {
        StorageClass::Standard => s3::types::StorageClass::Standard,
        StorageClass::StandardIa => s3::types::StorageClass::StandardIa,
        StorageClass::OnezoneIa => s3::types::StorageClass::OnezoneIa,
        StorageClass::IntelligentTiering => s3::types::StorageClass::IntelligentTiering,
        StorageClass::GlacierIr => s3::types::StorageClass::GlacierIr,
        StorageClass::Glacier => s3::types::StorageClass::Glacier,
        StorageClass::DeepArchive => s3::types::StorageClass::DeepArchive,
    }
}

/// How long a call that sends so many bytes may take.
fn patience(bytes: u64) -> s3::config::Builder {
    let attempt = Duration::from_secs(30 + bytes / SLOWEST);
    s3::config::Builder::new().timeout_config(
        TimeoutConfig::builder()
            .operation_attempt_timeout(attempt)
            .operation_timeout(attempt * 4)
            .build(),
    )
}

fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The objects of a listing's page.
pub(super) fn listed(page: Option<Vec<s3::types::Object>>) -> impl Iterator<Item = ListedObject> {
    page.unwrap_or_default().into_iter().filter_map(|object| {
        Some(ListedObject {
            key: object.key?,
            size: size(object.size),
            last_modified: object.last_modified.and_then(timestamp),
        })
    })
}

/// A body that ended too early.
pub(super) fn broke_off(on: String, e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AwsError {
    AwsError::ours("s3:GetObject", on, Kind::Unavailable, "the body broke off").because(e)
}

pub(super) fn size(length: Option<i64>) -> u64 {
    length.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

pub(super) fn timestamp(time: aws_smithy_types::DateTime) -> Option<Timestamp> {
    Timestamp::from_millisecond(time.to_millis().ok()?).ok()
}

/// The checksum of a whole object. A multipart one is of its parts (`…-3`) and says nothing about the whole.
pub(super) fn whole_sha256(text: Option<&str>) -> Option<Sha256> {
    base64::decode(text?).ok()?.try_into().ok()
}
