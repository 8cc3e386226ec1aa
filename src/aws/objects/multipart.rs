//! Big files go to S3 in parts: a broken connection costs one part, not the file.
//!
//! Still created only where there is none, still checked end to end: S3 checks every part by its SHA-256, and what was read
//! from the file must come to the SHA-256 of the whole before the upload is completed. An upload that is not completed is
//! aborted: S3 keeps, and bills, its parts for ever.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_sdk_s3 as s3;
use aws_sdk_s3::{
    config::retry::RetryConfig,
    primitives::{ByteStream, Length},
    types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart},
};
use aws_smithy_types::base64;
use sha2::{Digest, Sha256};

use super::{Bucket, Creation, How, NewObject, Objects, length, patience};
use crate::aws::{AwsError, Kind, Result};

/// The most parts of an upload.
const PARTS: u64 = 10_000;

/// What goes in parts, and in how big ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// A file of up to so many bytes goes in one piece. S3 takes 5 GiB at most.
    pub single: u64,
    /// How many bytes a part has at least. S3 takes 5 MiB to 5 GiB; the last part may be smaller.
    pub part: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            single: 256 << 20,
            part: 64 << 20,
        }
    }
}

impl Sizes {
    /// Where the parts of a file of so many bytes begin, and how long they are.
    fn parts(&self, len: u64) -> Vec<(u64, u64)> {
        let size = self.part.max(len.div_ceil(PARTS)).max(1);
        (0..len.div_ceil(size))
            .map(|n| (n * size, size.min(len - n * size)))
            .collect()
    }
}

/// Uploads that are under way: by key, with their id once it is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Open(Arc<Mutex<BTreeMap<String, Option<String>>>>);

impl Open {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    /// Creates an object of a file in parts, if there is none under its key.
    pub(super) async fn create_in_parts(
        &self,
        object: &NewObject,
        path: &Path,
        len: u64,
    ) -> Result<Creation> {
        self.open.lock().insert(object.key.clone(), None);
        let result = match self.begin(object).await {
            Ok(id) => {
                self.open.lock().insert(object.key.clone(), Some(id.clone()));
                self.upload(object, path, len, &id).await
            }
            Err(e) => Err(e),
        };
        match &result {
            // Whatever else is under way there comes too late: what a killed predecessor left is taken away with it.
            Ok(_) => self.abort_others(&object.key).await,
            Err(_) => self.abort(&object.key).await,
        }
        self.open.lock().remove(&object.key);
        result
    }

    /// Aborts every upload that is under way.
    pub(super) async fn abort_all(&self) {
        let keys: Vec<_> = self.open.lock().keys().cloned().collect();
        for key in keys {
            self.abort(&key).await;
            self.open.lock().remove(&key);
        }
    }

    async fn begin(&self, object: &NewObject) -> Result<String> {
        let how = How::of(&object.attributes);
        let call = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(&object.key)
            .set_expected_bucket_owner(self.owner.clone())
            .content_type(object.content_type)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_type(ChecksumType::Composite)
            .set_metadata(Some(object.metadata.clone().into_iter().collect()))
            .set_storage_class(how.storage_class)
            .set_server_side_encryption(how.encryption)
            .set_ssekms_key_id(how.key)
            .set_tagging(how.tagging)
            .set_object_lock_mode(how.lock_mode)
            .set_object_lock_retain_until_date(how.lock_until)
            .set_object_lock_legal_hold_status(how.legal_hold)
            .customize()
            // Each attempt would begin an upload of its own, and an answer that is lost would leave one behind unseen.
            .config_override(s3::config::Builder::new().retry_config(RetryConfig::disabled()))
            .send();
        let on = self.on(&object.key);
        let begun = self.connection.call("s3:PutObject", &on, call).await?;
        begun
            .upload_id
            .ok_or_else(|| self.failed(&object.key, "S3 began an upload without an id"))
    }

    async fn upload(&self, object: &NewObject, path: &Path, len: u64, id: &str) -> Result<Creation> {
        let mut whole = Sha256::new();
        let mut parts_hash = Sha256::new();
        let mut done = CompletedMultipartUpload::builder();
        let parts = self.sizes.parts(len);
        for (number, (offset, size)) in (1..).zip(&parts) {
            let (hash, so_far) = hash(path.to_owned(), *offset, *size, whole)
                .await
                .map_err(|e| self.spool(&object.key, path, e.into()))?;
            whole = so_far;
            parts_hash.update(hash);
            let body = ByteStream::read_from()
                .path(path)
                .offset(*offset)
                .length(Length::Exact(*size))
                .buffer_size(super::READ)
                .build()
                .await
                .map_err(|e| self.spool(&object.key, path, e.into()))?;
            let checksum = base64::encode(hash);
            let call = self
                .client
                .upload_part()
                .bucket(&self.bucket)
                .key(&object.key)
                .set_expected_bucket_owner(self.owner.clone())
                .upload_id(id)
                .part_number(number)
                .content_length(length(*size))
                .checksum_sha256(&checksum)
                .body(body)
                .customize()
                .config_override(patience(*size))
                .send();
            let sent = self
                .connection
                .call("s3:PutObject", &self.on(&object.key), call)
                .await;
            let sent = match sent {
                Ok(sent) => sent,
                Err(e) => return self.unless_gone(object, e).await,
            };
            let part = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag)
                .checksum_sha256(checksum);
            done = done.parts(part.build());
        }
        if <[u8; 32]>::from(whole.finalize()) != object.sha256 {
            return Err(self.failed(&object.key, "the spooled file is not what was written to it"));
        }
        let call = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(&object.key)
            .set_expected_bucket_owner(self.owner.clone())
            .upload_id(id)
            .if_none_match("*")
            .checksum_type(ChecksumType::Composite)
            .checksum_sha256(format!(
                "{}-{}",
                base64::encode(parts_hash.finalize()),
                parts.len()
            ))
            .mpu_object_size(length(len))
            .multipart_upload(done.build())
            .send();
        let on = self.on(&object.key);
        match self.connection.call("s3:PutObject", &on, call).await {
            Ok(_) => Ok(Creation::Created),
            Err(e) if e.code.as_deref() == Some("PreconditionFailed") => Ok(Creation::Exists),
            Err(e) => self.unless_gone(object, e).await,
        }
    }

    /// An upload that is gone was completed by an attempt whose answer was lost, or aborted by somebody who was faster: then
    /// the object is there. Otherwise it has to be begun again.
    async fn unless_gone(&self, object: &NewObject, error: AwsError) -> Result<Creation> {
        if error.code.as_deref() != Some("NoSuchUpload") {
            return Err(error);
        }
        match self.head(&object.key).await? {
            Some(_) => Ok(Creation::Exists),
            None => Err(AwsError {
                kind: Kind::Unavailable,
                ..error
            }),
        }
    }

    /// Aborts the upload of a key; where its id is not known, whatever uploads of the key there are.
    async fn abort(&self, key: &str) {
        let known = self.open.lock().get(key).cloned().flatten();
        match known {
            Some(id) => self.abort_one(key, &id).await,
            None => self.abort_others(key).await,
        }
    }

    async fn abort_one(&self, key: &str, id: &str) {
        let call = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .set_expected_bucket_owner(self.owner.clone())
            .upload_id(id)
            .send();
        match self
            .connection
            .call("s3:AbortMultipartUpload", &self.on(key), call)
            .await
        {
            Err(e) if e.code.as_deref() != Some("NoSuchUpload") => {
                tracing::warn!(error = %e, "an incomplete upload stays until a lifecycle rule of the bucket aborts it");
            }
            _ => {}
        }
    }

    async fn abort_others(&self, key: &str) {
        let call = self
            .client
            .list_multipart_uploads()
            .bucket(&self.bucket)
            .prefix(key)
            .set_expected_bucket_owner(self.owner.clone())
            .send();
        let listed = self
            .connection
            .call("s3:ListBucketMultipartUploads", &self.on(key), call)
            .await;
        match listed {
            Ok(listed) => {
                for upload in listed.uploads.unwrap_or_default() {
                    if let (Some(id), Some(key)) = (upload.upload_id, upload.key.filter(|k| k == key)) {
                        self.abort_one(&key, &id).await;
                    }
                }
            }
            Err(e) => {
                tracing::warn!(error = %e, "whether an incomplete upload was left cannot be seen; a lifecycle rule of the bucket should abort such");
            }
        }
    }

    fn failed(&self, key: &str, why: &str) -> AwsError {
        AwsError::ours("s3:PutObject", self.on(key), Kind::Unavailable, why)
    }
}

/// The SHA-256 of a piece of a file, and that of everything up to its end.
async fn hash(
    path: std::path::PathBuf,
    mut at: u64,
    size: u64,
    mut whole: Sha256,
) -> std::io::Result<([u8; 32], Sha256)> {
    let work = move || {
        let file = File::open(path)?;
        let mut piece = Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        let end = at + size;
        while at < end {
            let want = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            file.read_exact_at(&mut buffer[..want], at)?;
            piece.update(&buffer[..want]);
            whole.update(&buffer[..want]);
            at += want as u64;
        }
        Ok((piece.finalize().into(), whole))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_file_and_are_at_most_ten_thousand() {
        let sizes = Sizes { single: 0, part: 8 };
        for (len, expected) in [
            (1, vec![(0, 1)]),
            (8, vec![(0, 8)]),
            (17, vec![(0, 8), (8, 8), (16, 1)]),
        ] {
            assert_eq!(sizes.parts(len), expected, "{len}");
        }
        for len in [79_999, 80_000, 80_001, 1_000_003] {
            let parts = sizes.parts(len);
            assert!(parts.len() as u64 <= PARTS, "{len}: {}", parts.len());
            assert!(parts.windows(2).all(|p| p[0].0 + p[0].1 == p[1].0), "{len}");
            assert_eq!(parts.iter().map(|p| p.1).sum::<u64>(), len);
        }
        let most = Sizes::default().parts(5 << 40);
        assert!(most.len() as u64 <= PARTS && most[0].1 <= 5 << 30);
    }
}
