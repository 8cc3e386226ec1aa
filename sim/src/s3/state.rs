//! What S3 holds: plain data, changed by events only. The same events, read from the journal, bring it back after a restart.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    checksum::{Algorithm, Checksum, Kind},
    lock::Lock,
};

/// The id of the one version that an unversioned bucket keeps of a key.
pub const NULL: &str = "null";

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The buckets by name.
    pub buckets: BTreeMap<String, Bucket>,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its region.
    pub region: String,
    /// When it was created.
    pub created: Timestamp,
    /// Whether it keeps old versions.
    #[serde(default)]
    pub versioning: Versioning,
    /// Its other settings by name, as documents.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// The versions of each key, the oldest first.
    pub keys: BTreeMap<String, Vec<Version>>,
    /// Multipart uploads under way, by id.
    pub uploads: BTreeMap<String, Upload>,
}

/// Whether a bucket keeps old versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    /// It never did.
    #[default]
    Unversioned,
    /// It does.
    Enabled,
    /// It did, and keeps those that there are.
    Suspended,
}

impl Bucket {
    /// A bucket with nothing in it.
    pub fn new(region: &str, created: Timestamp) -> Self {
        Self {
            region: region.to_owned(),
            created,
            versioning: Versioning::default(),
            settings: BTreeMap::new(),
            keys: BTreeMap::new(),
            uploads: BTreeMap::new(),
        }
    }

    /// The id that the next version of a key gets; `fresh` where versions are kept.
    pub fn version_id(&self, fresh: impl FnOnce() -> String) -> String {
        if self.versioning == Versioning::Enabled {
            fresh()
        } else {
            NULL.to_owned()
        }
    }

    /// A key's current version, which may be a delete marker.
    pub fn current(&self, key: &str) -> Option<&Version> {
        self.keys.get(key)?.last()
    }

    /// A key's current object.
    pub fn object(&self, key: &str) -> Option<&Object> {
        self.current(key)?.object.as_ref()
    }
}

/// A version of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Its id; [`NULL`] without versioning.
    pub id: String,
    /// When it was written.
    pub modified: Timestamp,
    /// What it holds; nothing: a delete marker.
    pub object: Option<Object>,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// The file that holds its bytes.
    pub body: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Its checksum.
    pub checksum: Checksum,
    /// The sizes and checksums of its parts, if it was uploaded in parts.
    pub parts: Vec<PartInfo>,
    /// What its writer said about it.
    pub attributes: Attributes,
}

/// What remains known of a part of a complete object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartInfo {
    /// Its number.
    pub number: u32,
    /// Its size in bytes.
    pub size: u64,
    /// Its checksum in base64, by the object's algorithm.
    pub checksum: String,
}

/// What an object's writer says about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    /// Headers that come back as they were: content type and its like, and `x-amz-meta-*`.
    pub headers: BTreeMap<String, String>,
    /// The storage class.
    pub storage_class: String,
    /// The headers that say how it is encrypted.
    pub encryption: BTreeMap<String, String>,
    /// The tags.
    pub tags: Vec<(String, String)>,
    /// What keeps it from being deleted.
    #[serde(default)]
    pub lock: Lock,
}

/// A multipart upload under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    /// The key.
    pub key: String,
    /// When it was initiated.
    pub initiated: Timestamp,
    /// What the object will be.
    pub attributes: Attributes,
    /// The checksum's algorithm.
    pub algorithm: Algorithm,
    /// What the checksum will be of.
    pub kind: Kind,
    /// Whether the client named the algorithm: then every part needs a checksum to complete with.
    pub declared: bool,
    /// The parts by number.
    pub parts: BTreeMap<u32, Part>,
}

/// A part that was uploaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The file that holds its bytes.
    pub body: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its MD5 in hex, which is its entity tag.
    pub md5: String,
    /// Its checksum in base64, by the upload's algorithm.
    pub checksum: String,
    /// When it was uploaded.
    pub modified: Timestamp,
}

/// A change. What happened, not what was asked: applying it cannot fail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A bucket as a whole, such as a new one.
    Bucket { bucket: String, as_it_is: Box<Bucket> },
    /// A bucket went.
    BucketGone { bucket: String },
    /// A key has a new current version; one of the same id goes.
    Version {
        bucket: String,
        key: String,
        version: Box<Version>,
    },
    /// A version went.
    VersionGone { bucket: String, key: String, id: String },
    /// A multipart upload, such as a new one.
    Upload {
        bucket: String,
        id: String,
        upload: Box<Upload>,
    },
    /// A part came; one of the same number goes.
    Part {
        bucket: String,
        id: String,
        number: u32,
        part: Part,
    },
    /// A multipart upload went, completed or aborted.
    UploadGone { bucket: String, id: String },
    /// A bucket's versioning changed.
    Versioning { bucket: String, versioning: Versioning },
    /// One of a bucket's settings changed.
    Setting {
        bucket: String,
        name: String,
        document: Option<String>,
    },
    /// What is said about a version changed: its tags or its lock.
    Attributes {
        bucket: String,
        key: String,
        id: String,
        attributes: Box<Attributes>,
    },
}

impl State {
    /// Applies an event. Returns the files that nothing needs any more.
    pub fn apply(&mut self, event: Event) -> Vec<String> {
        match event {
            Event::Bucket { bucket, as_it_is } => {
                self.buckets.insert(bucket, *as_it_is);
                vec![]
            }
            Event::BucketGone { bucket } => {
                let gone = self.buckets.remove(&bucket);
                gone.iter().flat_map(Bucket::files).map(str::to_owned).collect()
            }
            Event::Version { bucket, key, version } => {
                let Some(bucket) = self.buckets.get_mut(&bucket) else {
                    return vec![];
                };
                let versions = bucket.keys.entry(key).or_default();
                let gone = remove(versions, &version.id);
                versions.push(*version);
                gone
            }
            Event::VersionGone { bucket, key, id } => {
                let Some(bucket) = self.buckets.get_mut(&bucket) else {
                    return vec![];
                };
                let Some(versions) = bucket.keys.get_mut(&key) else {
                    return vec![];
                };
                let gone = remove(versions, &id);
                if versions.is_empty() {
                    bucket.keys.remove(&key);
                }
                gone
            }
            Event::Upload { bucket, id, upload } => {
                if let Some(bucket) = self.buckets.get_mut(&bucket) {
                    bucket.uploads.insert(id, *upload);
                }
                vec![]
            }
            Event::Part {
                bucket,
                id,
                number,
                part,
            } => {
                let upload = self.buckets.get_mut(&bucket).and_then(|b| b.uploads.get_mut(&id));
                upload
                    .and_then(|u| u.parts.insert(number, part))
                    .map(|p| p.body)
                    .into_iter()
                    .collect()
            }
            Event::UploadGone { bucket, id } => {
                let upload = self.buckets.get_mut(&bucket).and_then(|b| b.uploads.remove(&id));
                upload
                    .into_iter()
                    .flat_map(|u| u.parts.into_values())
                    .map(|p| p.body)
                    .collect()
            }
            Event::Versioning { bucket, versioning } => {
                if let Some(bucket) = self.buckets.get_mut(&bucket) {
                    bucket.versioning = versioning;
                }
                vec![]
            }
            Event::Setting {
                bucket,
                name,
                document,
            } => {
                if let Some(bucket) = self.buckets.get_mut(&bucket) {
                    match document {
                        Some(document) => bucket.settings.insert(name, document),
                        None => bucket.settings.remove(&name),
                    };
                }
                vec![]
            }
            Event::Attributes {
                bucket,
                key,
                id,
                attributes,
            } => {
                let versions = self.buckets.get_mut(&bucket).and_then(|b| b.keys.get_mut(&key));
                let version = versions.into_iter().flatten().find(|v| v.id == id);
                if let Some(object) = version.and_then(|v| v.object.as_mut()) {
                    object.attributes = *attributes;
                }
                vec![]
            }
        }
    }

    /// All files that hold something.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.buckets.values().flat_map(Bucket::files)
    }
}

impl Bucket {
    fn files(&self) -> impl Iterator<Item = &str> {
        let objects = self
            .keys
            .values()
            .flatten()
            .filter_map(|v| v.object.as_ref())
            .map(|o| o.body.as_str());
        let parts = self
            .uploads
            .values()
            .flat_map(|u| u.parts.values())
            .map(|p| p.body.as_str());
        objects.chain(parts)
    }
}

fn remove(versions: &mut Vec<Version>, id: &str) -> Vec<String> {
    let gone: Vec<_> = versions.extract_if(.., |v| v.id == id).collect();
    gone.into_iter()
        .filter_map(|v| v.object)
        .map(|o| o.body)
        .collect()
}
