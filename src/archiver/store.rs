//! Writing into the archive so that whoever writes first wins and nobody overwrites.
//!
//! May: create objects, look at what is there, try again. May not: overwrite or delete, and may not decide what is written.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{
    error::{ArchiveError, Result},
    keeping::Keeping,
    plan,
};
use crate::{
    api::ObjectRef,
    aws::{
        AwsError, Kind,
        objects::{Attributes, Content, Creation, ListedObject, NewObject, ObjectHead, Objects},
    },
    clock::{AwsClock, Clock},
};

/// How often a call is tried, beyond what the SDK tries by itself.
const ATTEMPTS: u32 = 5;

/// Names of the metadata of a file of footage.
pub mod metadata {
    /// SHA-256 of the stream's ARN and the fragment numbers in their order.
    pub const FRAGMENT_SET: &str = "fragment-set";
    /// SHA-256 of the content.
    pub const SHA256: &str = "sha256";
    /// What a user of the file should know, separated by commas.
    pub const FLAGS: &str = "flags";
    /// How many of its fragments carry tags of their producer.
    pub const TAGGED: &str = "tagged-fragments";
}

/// The bucket, and the patience to write into it.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    keeping: Option<(Keeping, AwsClock)>,
}

/// A document of the archive (plan, manifest, root) as it lies in S3.
#[derive(Clone, Debug)]
pub struct Document<T> {
    /// What it says.
    pub content: T,
    /// Its key and checksum.
    pub object: ObjectRef,
    /// When S3 took it in.
    pub last_modified: Option<Timestamp>,
    /// Whether it was there before.
    pub found: bool,
}

/// A file of footage as it lies in S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// SHA-256 of its content, in hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

impl Store {
    /// A store in a bucket.
    pub fn new(objects: Arc<dyn Objects>, clock: Arc<dyn Clock>) -> Self {
        Self {
            objects,
            clock,
            keeping: None,
        }
    }

    /// The same, and objects are kept like this from AWS's time of writing on; without it, as the bucket says.
    pub fn keeping(self, keeping: Keeping, clock: AwsClock) -> Self {
        Self {
            keeping: Some((keeping, clock)),
            ..self
        }
    }

    /// Writes a document if there is none under its key; one that is there wins and is returned instead.
    pub async fn commit<T: Serialize + DeserializeOwned>(
        &self,
        key: String,
        content: T,
    ) -> Result<Document<T>> {
        let mut text = serde_json::to_vec(&content)
            .map_err(|e| ArchiveError::Invalid(format!("{key} cannot be written: {e}")))?;
        text.push(b'\n');
        let sha256 = Sha256::digest(&text).into();
        let object = NewObject {
            key,
            content: Content::Bytes(Bytes::from(text)),
            sha256,
            content_type: "application/json",
            metadata: BTreeMap::new(),
            attributes: self.attributes(Keeping::document)?,
        };
        match self.create(&object).await? {
            Creation::Created => {
                let object = ObjectRef {
                    key: object.key,
                    sha256: hex::encode(sha256),
                };
                Ok(Document {
                    content,
                    object,
                    last_modified: None,
                    found: false,
                })
            }
            Creation::Exists => self.document(&object.key).await?.ok_or_else(|| {
                ArchiveError::NotYet(format!(
                    "{} was there when it was to be written, and is gone again",
                    object.key
                ))
            }),
        }
    }

    /// Reads a document; `None`: there is none. One that cannot be understood is a conflict: it is never passed over.
    pub async fn document<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Document<T>>> {
        let Some(object) = self.patiently(async || self.objects.get(key).await).await? else {
            return Ok(None);
        };
        let content =
            plan::document(&object.bytes).map_err(|why| ArchiveError::Conflict { key: key.into(), why })?;
        let sha256 = hex::encode(Sha256::digest(&object.bytes));
        let object_ref = ObjectRef {
            key: key.into(),
            sha256,
        };
        Ok(Some(Document {
            content,
            object: object_ref,
            last_modified: object.head.last_modified,
            found: true,
        }))
    }

    /// How a file of footage that is written now is kept.
    pub fn footage_attributes(&self) -> Result<Attributes> {
        self.attributes(Keeping::footage)
    }

    fn attributes(&self, of: impl FnOnce(&Keeping, Timestamp) -> Attributes) -> Result<Attributes> {
        let Some((keeping, clock)) = &self.keeping else {
            return Ok(Attributes::default());
        };
        let now = match clock.now() {
            Some(now) => now,
            None if keeping.needs_time() => {
                return Err(ArchiveError::NotYet("AWS's answers carry no date".into()));
            }
            None => Timestamp::MIN,
        };
        Ok(of(keeping, now))
    }

    /// Takes back what a creation left half done that was given up.
    pub async fn abandon(&self) {
        self.objects.abandon().await;
    }

    /// Writes a file of footage. Where one is under its key already, it counts if it has the same content, or by its metadata
    /// holds the same fragments (another version of the program wrote it): then the file that is there is the one that is
    /// archived. Anything else is a conflict.
    pub async fn footage(&self, object: &NewObject) -> Result<Stored> {
        let ours = Stored {
            sha256: hex::encode(object.sha256),
            bytes: object.content.len(),
        };
        if self.create(object).await? == Creation::Created {
            return Ok(ours);
        }
        let Some(there) = self.head(&object.key).await? else {
            return Err(ArchiveError::NotYet(format!(
                "{} was there when it was to be written, and is gone again",
                object.key
            )));
        };
        let stored = stored(&there);
        if stored.as_ref() == Some(&ours) {
            return Ok(ours);
        }
        let set = object.metadata.get(metadata::FRAGMENT_SET);
        match stored {
            Some(stored) if set.is_some() && there.metadata.get(metadata::FRAGMENT_SET) == set => Ok(stored),
            _ => Err(ArchiveError::Conflict {
                key: object.key.clone(),
                why: format!(
                    "it has {} bytes and other content than the {} bytes of the same fragments that belong there",
                    there.size, ours.bytes
                ),
            }),
        }
    }

    /// What is known of an object; `None`: there is none.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectHead>> {
        Ok(self.patiently(async || self.objects.head(key).await).await?)
    }

    /// All objects whose key begins with `prefix` and sorts after `after`.
    pub async fn list(&self, prefix: &str, after: &str) -> Result<Vec<ListedObject>> {
        Ok(self
            .patiently(async || self.objects.list(prefix, after).await)
            .await?)
    }

    async fn create(&self, object: &NewObject) -> Result<Creation> {
        // A creation whose answer was lost is tried again and then finds its own object: `Exists`, which callers compare.
        Ok(self.patiently(async || self.objects.create(object).await).await?)
    }

    async fn patiently<T>(
        &self,
        call: impl AsyncFn() -> std::result::Result<T, AwsError>,
    ) -> std::result::Result<T, AwsError> {
        let mut attempt = 1;
        loop {
            match call().await {
                Err(e) if attempt < ATTEMPTS && passes(e.kind) => {
                    tracing::warn!(attempt, error = %e, "trying again");
                    self.clock.sleep(backoff(attempt, self.clock.chance())).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }
}

/// Whether a failure may pass by itself.
pub fn passes(kind: Kind) -> bool {
    matches!(kind, Kind::Throttled | Kind::Unavailable | Kind::Busy)
}

/// How long to wait before the next attempt: doubling from half a second to 16 s, with jitter.
pub fn backoff(attempt: u32, chance: f64) -> Duration {
    Duration::from_millis(500 << (attempt - 1).min(5)).mul_f64(0.5 + chance)
}

/// A file of footage as its head tells of it; `None`: the head has no checksum of the whole.
pub fn stored(head: &ObjectHead) -> Option<Stored> {
    let sha256 = head
        .sha256
        .map(hex::encode)
        .or_else(|| head.metadata.get(metadata::SHA256).cloned())?;
    Some(Stored {
        sha256,
        bytes: head.size,
    })
}
