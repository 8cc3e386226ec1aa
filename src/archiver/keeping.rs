//! How a request's objects are kept in S3: class, encryption, tags, locks.
//!
//! Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::request::ArchiveRequest;
use crate::{
    api::{ObjectEncryption, ObjectLock, StorageClass},
    aws::objects::Attributes,
};

/// How a request's objects are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    storage_class: Option<StorageClass>,
    encryption: Option<ObjectEncryption>,
    tags: BTreeMap<String, String>,
    object_lock: Option<ObjectLock>,
    legal_hold: bool,
}

impl Keeping {
    /// As a request says.
    pub fn of(request: &ArchiveRequest) -> Self {
        let s3 = request.destination.s3.clone();
        Self {
            storage_class: s3.storage_class,
            encryption: s3.encryption,
            tags: s3.tags,
            object_lock: s3.object_lock,
            legal_hold: request.legal_hold,
        }
    }

    /// Whether it depends on the time of writing.
    pub fn needs_time(&self) -> bool {
        self.object_lock.is_some()
    }

    /// A file of footage that is written now.
    pub fn footage(&self, now: Timestamp) -> Attributes {
        Attributes {
            storage_class: self.storage_class,
            tags: self.tags.clone(),
            ..self.document(now)
        }
    }

    /// A plan, manifest or root that is written now: always in STANDARD and without tags, so that neither the class nor a
    /// lifecycle rule that goes by a tag keeps the archive from being read and checked.
    pub fn document(&self, now: Timestamp) -> Attributes {
        let until = |lock: ObjectLock| now.checked_add(SignedDuration::from_hours(24 * i64::from(lock.days)));
        Attributes {
            storage_class: None,
            encryption: self.encryption.clone(),
            tags: BTreeMap::new(),
            retention: self
                .object_lock
                .map(|lock| (lock.mode, until(lock).unwrap_or(Timestamp::MAX))),
            legal_hold: self.legal_hold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ObjectLockMode, ServerSideEncryption};

    #[test]
    fn documents_are_encrypted_and_locked_as_footage_is_but_standard_and_without_tags() {
        let keeping = Keeping {
            storage_class: Some(StorageClass::DeepArchive),
            encryption: Some(ObjectEncryption {
                server_side_encryption: ServerSideEncryption::AwsKms,
                kms_key_id: Some("key".into()),
            }),
            tags: BTreeMap::from([("team".into(), "north".into())]),
            object_lock: Some(ObjectLock {
                mode: ObjectLockMode::Compliance,
                days: 30,
            }),
            legal_hold: true,
        };
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let until: Timestamp = "2026-12-22T10:00:00Z".parse().unwrap();
        let (footage, document) = (keeping.footage(now), keeping.document(now));
        assert_eq!(footage.retention, Some((ObjectLockMode::Compliance, until)));
        assert_eq!(
            (footage.storage_class, footage.tags.len()),
            (Some(StorageClass::DeepArchive), 1)
        );
        assert_eq!(
            document,
            Attributes {
                storage_class: None,
                tags: BTreeMap::new(),
                ..footage
            }
        );
    }
}
