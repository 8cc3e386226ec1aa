//! What lies in a bucket, as who checks or reads an archive needs it, in our words.
//!
//! May: list, describe, read. May not: write, delete, or decide what is right.

use std::fmt;

use aws_sdk_s3::types::{ChecksumMode, ExpirationStatus, LifecycleRule};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;

use super::{
    Kind, Result,
    objects::{Bucket, ListedObject, Sha256, broke_off, listed, size, timestamp, whole_sha256},
};

/// The most keys in a page.
const PAGE: i32 = 1000;

/// What is known of an object without its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its content, where S3 keeps one of the whole.
    pub sha256: Option<Sha256>,
    /// Its storage class, where it is not STANDARD.
    pub storage_class: Option<String>,
    /// It lies in an archive class, but a copy was restored for reading.
    pub restored: bool,
}

impl Description {
    /// The storage class, where the content cannot be read before somebody restores it.
    pub fn frozen(&self) -> Option<&str> {
        let class = self.storage_class.as_deref()?;
        (["GLACIER", "DEEP_ARCHIVE"].contains(&class) && !self.restored).then_some(class)
    }
}

/// A version of an object; a bucket without versions has one of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// It says that the object was deleted, and has no content.
    pub delete_marker: bool,
    /// It is what readers of the key see.
    pub latest: bool,
    /// When S3 took it in.
    pub last_modified: Option<Timestamp>,
}

/// A lifecycle rule that deletes objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Its name.
    pub id: String,
    /// What the keys that it is about begin with.
    pub prefix: String,
    /// The sizes in bytes that it is about: larger than the first, smaller than the second; a bound that is absent bounds nothing.
    pub sizes: (Option<u64>, Option<u64>),
    /// How many days after they were written.
    pub days: i32,
}

impl Expiry {
    /// Whether it is about an object.
    pub fn is_about(&self, key: &str, bytes: u64) -> bool {
        let (larger, smaller) = self.sizes;
        key.starts_with(&self.prefix)
            && larger.is_none_or(|bound| bytes > bound)
            && smaller.is_none_or(|bound| bytes < bound)
    }

    /// What a rule says of keys and sizes; `None`: it is not in force, deletes nothing by age, or goes by tags, too, of which an
    /// object that is gone shows none.
    fn of(rule: LifecycleRule) -> Option<Self> {
        if rule.status != ExpirationStatus::Enabled {
            return None;
        }
        let filter = rule.filter;
        let and = filter.as_ref().and_then(|f| f.and.as_ref());
        let tagged = filter.as_ref().is_some_and(|f| f.tag.is_some())
            || and.is_some_and(|a| a.tags.as_ref().is_some_and(|t| !t.is_empty()));
        if tagged {
            return None;
        }
        // A rule has one condition, or several below And.
        let of = filter.as_ref();
        #[allow(deprecated, reason = "rules of the old form are still in buckets")]
        let prefix = of
            .and_then(|f| f.prefix.clone())
            .or(and.and_then(|a| a.prefix.clone()))
            .or(rule.prefix);
        let larger = of
            .and_then(|f| f.object_size_greater_than)
            .or(and.and_then(|a| a.object_size_greater_than));
        let smaller = of
            .and_then(|f| f.object_size_less_than)
            .or(and.and_then(|a| a.object_size_less_than));
        let bytes = |bound: i64| u64::try_from(bound).unwrap_or(0);
        Some(Self {
            id: rule.id.unwrap_or_default(),
            prefix: prefix.unwrap_or_default(),
            sizes: (larger.map(bytes), smaller.map(bytes)),
            days: rule.expiration?.days?,
        })
    }
}

/// Content in the pieces in which it comes.
pub type Pieces = BoxStream<'static, Result<Bytes>>;

/// What lies in a bucket, or in a folder that was downloaded from one.
#[async_trait::async_trait]
pub trait Contents: Send + Sync + fmt::Debug {
    /// The next objects whose key begins with `prefix` and sorts after `after`, in the order of their keys; none: that was all.
    async fn page(&self, prefix: &str, after: &str) -> Result<Vec<ListedObject>>;

    /// The folders directly below `prefix` (which is empty or ends with a slash), with a slash at their end, in order.
    async fn folders(&self, prefix: &str) -> Result<Vec<String>>;

    /// What is known of an object; `None`: there is none.
    async fn describe(&self, key: &str) -> Result<Option<Description>>;

    /// An object's content; `None`: there is none.
    async fn read(&self, key: &str) -> Result<Option<Pieces>>;

    /// All versions of an object, the newest first.
    async fn versions(&self, key: &str) -> Result<Vec<Version>>;

    /// The lifecycle rules that delete objects by their age.
    async fn expiries(&self) -> Result<Vec<Expiry>>;
}

#[async_trait::async_trait]
impl Contents for Bucket {
    async fn page(&self, prefix: &str, after: &str) -> Result<Vec<ListedObject>> {
        let call = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .max_keys(PAGE)
            .set_start_after((!after.is_empty()).then(|| after.to_owned()))
            .set_expected_bucket_owner(self.owner.clone())
            .send();
        let page = self
            .connection
            .call("s3:ListBucket", &self.on(prefix), call)
            .await?;
        Ok(listed(page.contents).collect())
    }

    async fn folders(&self, prefix: &str) -> Result<Vec<String>> {
        let (mut folders, mut token) = (Vec::new(), None);
        loop {
            let call = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(prefix)
                .delimiter("/")
                .set_continuation_token(token.take())
                .set_expected_bucket_owner(self.owner.clone())
                .send();
            let page = self
                .connection
                .call("s3:ListBucket", &self.on(prefix), call)
                .await?;
            let found = page.common_prefixes.unwrap_or_default();
            folders.extend(found.into_iter().filter_map(|p| p.prefix));
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(folders);
            }
        }
    }

    async fn describe(&self, key: &str) -> Result<Option<Description>> {
        let call = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(key)
            .set_expected_bucket_owner(self.owner.clone())
            .checksum_mode(ChecksumMode::Enabled)
            .send();
        let head = match self.connection.call("s3:GetObject", &self.on(key), call).await {
            Ok(head) => head,
            Err(e) if e.kind == Kind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        Ok(Some(Description {
            size: size(head.content_length),
            sha256: whole_sha256(head.checksum_sha256.as_deref()),
            storage_class: head.storage_class.map(|c| c.as_str().to_owned()),
            restored: head
                .restore
                .is_some_and(|r| r.contains("ongoing-request=\"false\"")),
        }))
    }

    async fn read(&self, key: &str) -> Result<Option<Pieces>> {
        let call = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .set_expected_bucket_owner(self.owner.clone())
            .send();
        let body = match self.connection.call("s3:GetObject", &self.on(key), call).await {
            Ok(object) => object.body,
            Err(e) if e.code.as_deref() == Some("NoSuchKey") => return Ok(None),
            Err(e) => return Err(e),
        };
        let on = self.on(key);
        Ok(Some(Box::pin(stream::unfold(Some(body), move |body| {
            let on = on.clone();
            async move {
                let mut body = body?;
                match body.next().await? {
                    Ok(piece) => Some((Ok(piece), Some(body))),
                    Err(e) => Some((Err(broke_off(on, e)), None)),
                }
            }
        }))))
    }

    async fn versions(&self, key: &str) -> Result<Vec<Version>> {
        let (mut found, mut at) = (Vec::new(), (None, None));
        loop {
            // Keys that only begin with this one come behind it.
            let call = self
                .client
                .list_object_versions()
                .bucket(&self.bucket)
                .prefix(key)
                .set_key_marker(at.0.take())
                .set_version_id_marker(at.1.take())
                .set_expected_bucket_owner(self.owner.clone())
                .send();
            let page = self
                .connection
                .call("s3:ListBucketVersions", &self.on(key), call)
                .await?;
            let mut beyond = false;
            for version in page.versions.unwrap_or_default() {
                if version.key.as_deref() != Some(key) {
                    beyond = true;
                    continue;
                }
                found.push(Version {
                    delete_marker: false,
                    latest: version.is_latest.unwrap_or(false),
                    last_modified: version.last_modified.and_then(timestamp),
                });
            }
            for marker in page.delete_markers.unwrap_or_default() {
                if marker.key.as_deref() == Some(key) {
                    found.push(Version {
                        delete_marker: true,
                        latest: marker.is_latest.unwrap_or(false),
                        last_modified: marker.last_modified.and_then(timestamp),
                    });
                }
            }
            at = (page.next_key_marker, page.next_version_id_marker);
            if beyond || !page.is_truncated.unwrap_or(false) || at.0.is_none() {
                found.sort_by_key(|v| std::cmp::Reverse((v.latest, v.last_modified)));
                return Ok(found);
            }
        }
    }

    async fn expiries(&self) -> Result<Vec<Expiry>> {
        let call = self
            .client
            .get_bucket_lifecycle_configuration()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.owner.clone())
            .send();
        let rules = match self
            .connection
            .call("s3:GetLifecycleConfiguration", &self.on(""), call)
            .await
        {
            Ok(found) => found.rules.unwrap_or_default(),
            // An S3 without lifecycles has no rules, either.
            Err(e)
                if matches!(
                    e.code.as_deref(),
                    Some("NoSuchLifecycleConfiguration" | "NotImplemented")
                ) =>
            {
                Vec::new()
            }
            Err(e) => return Err(e),
        };
        Ok(rules.into_iter().filter_map(Expiry::of).collect())
    }
}
