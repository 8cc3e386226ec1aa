//! Multipart uploads: create, upload and copy parts, abort, list parts.

use std::collections::BTreeMap;

use super::{
    S3,
    answer::{self, time},
    attributes::{self, set},
    body::{Promise, Sink, discard, receive},
    buckets::{find, owner},
    checksum::{Algorithm, Kind},
    error::{Error, Result},
    objects::quoted,
    range,
    request::Call,
    state::{Bucket, Event, Part, Upload},
    xml::Element,
};
use crate::http::{Body, Response};

/// The most parts, and the highest part number.
const MAX_PARTS: usize = 10_000;

impl S3 {
    pub(super) fn create_upload(&self, call: &Call) -> Result<Response> {
        let now = self.world.clock.now();
        let attributes = self.bucket(call, |bucket| attributes::read(call, bucket, now))?;
        let (algorithm, kind) = (
            call.header("x-amz-checksum-algorithm"),
            call.header("x-amz-checksum-type"),
        );
        let invalid = |what| {
            Error::because(
                "InvalidRequest",
                format!("Checksum {what} provided is unsupported."),
            )
        };
        let declared = algorithm.is_some();
        let algorithm = match algorithm {
            Some(name) => Algorithm::named(name).ok_or_else(|| invalid("algorithm"))?,
            None if kind.is_some() => {
                return Err(Error::because(
                    "InvalidRequest",
                    "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
                ));
            }
            None => Algorithm::Crc64Nvme,
        };
        let kind = match kind {
            Some(name) => Kind::named(name).ok_or_else(|| invalid("type"))?,
            None => algorithm.default_kind(),
        };
        if !algorithm.allows(kind) {
            return Err(Error::because(
                "InvalidRequest",
                format!(
                    "The {} checksum type cannot be used with the {} checksum algorithm.",
                    kind.name(),
                    algorithm.name().to_ascii_lowercase()
                ),
            ));
        }
        let encryption = attributes.encryption.clone();
        let upload = Upload {
            key: call.key.clone(),
            initiated: now,
            attributes,
            algorithm,
            kind,
            declared,
            parts: BTreeMap::new(),
        };
        let id = super::objects::version_id();
        self.store.change(|state| {
            find(&state.buckets, &call.bucket)?;
            let (bucket, id, upload) = (call.bucket.clone(), id.clone(), Box::new(upload));
            Ok((vec![Event::Upload { bucket, id, upload }], ()))
        })?;
        let mut response = answer::xml(
            &Element::new("InitiateMultipartUploadResult")
                .text("Bucket", &call.bucket)
                .text("Key", &call.key)
                .text("UploadId", id),
        );
        let headers = response.headers_mut();
        encryption
            .iter()
            .for_each(|(name, value)| set(headers, name, value));
        if declared {
            set(headers, "x-amz-checksum-algorithm", algorithm.name());
            set(headers, "x-amz-checksum-type", kind.name());
        }
        Ok(response)
    }

    pub(super) async fn upload_part(&self, call: &Call, body: Body) -> Result<Response> {
        let (number, promise, algorithm) = match self.prepare_part(call) {
            Ok(prepared) => prepared,
            Err(error) => {
                discard(&call.headers, body).await;
                return Err(error);
            }
        };
        let target = (
            call.bucket.as_str(),
            call.key.as_str(),
            call.param("uploadId").unwrap_or_default(),
            number,
        );
        let (part, sent) = self.store_part(target, &promise, body, algorithm).await?;
        let mut response = answer::empty();
        set(response.headers_mut(), "etag", quoted(&part.md5));
        match sent {
            Some((sent, value)) => set(response.headers_mut(), sent.header(), value),
            None => set(response.headers_mut(), algorithm.header(), &part.checksum),
        }
        Ok(response)
    }

    /// What is decided before the body of a part is read.
    fn prepare_part(&self, call: &Call) -> Result<(u32, Promise, Algorithm)> {
        let number = part_number(call)?;
        let promise = Promise::read(&call.headers)?;
        promise.require_length()?;
        let (algorithm, declared) = self.upload(call, |_, upload| Ok((upload.algorithm, upload.declared)))?;
        if let Some(sent) = promise.algorithm().filter(|sent| declared && *sent != algorithm) {
            let name = |a: Algorithm| a.name().to_ascii_lowercase();
            return Err(Error::because(
                "InvalidRequest",
                format!(
                    "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                    name(algorithm),
                    name(sent)
                ),
            ));
        }
        Ok((number, promise, algorithm))
    }

    pub(super) async fn upload_part_copy(&self, call: &Call) -> Result<Response> {
        let number = part_number(call)?;
        let algorithm = self.upload(call, |_, upload| Ok(upload.algorithm))?;
        let (version, source) = self.copy_source(call)?;
        let size = version.object.map_or(0, |o| o.size);
        let wanted = call.header("x-amz-copy-source-range");
        let (from, count) = match (wanted, range::bytes(wanted, size)?) {
            (None, _) => (0, size),
            (Some(_), Some(range)) => range,
            (Some(text), None) => {
                return Err(Error::because(
                    "InvalidArgument",
                    "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are \
                     the zero-based offsets of the first and last bytes to copy",
                )
                .with("ArgumentName", "x-amz-copy-source-range")
                .with("ArgumentValue", text));
            }
        };
        let id = call.param("uploadId").unwrap_or_default();
        let body = answer::file(source, from, count);
        let target = (call.bucket.as_str(), call.key.as_str(), id, number);
        let (part, _) = self.store_part(target, &Promise::none(), body, algorithm).await?;
        let document = Element::new("CopyPartResult")
            .text("LastModified", time(part.modified))
            .text("ETag", quoted(&part.md5))
            .text(&algorithm.element(), &part.checksum);
        Ok(answer::xml(&document))
    }

    /// Receives a part. Returns it, and the checksum that the client sent.
    async fn store_part(
        &self,
        (bucket, key, id, number): (&str, &str, &str, u32),
        promise: &Promise,
        body: Body,
        algorithm: Algorithm,
    ) -> Result<(Part, Option<(Algorithm, String)>)> {
        let mut file = self.store.create().await?;
        let received = receive(promise, body, Some(algorithm), Sink::File(&mut file.writer)).await?;
        let part = Part {
            body: file.name.clone(),
            size: received.size,
            md5: hex::encode(received.md5),
            checksum: received.checksum(algorithm).unwrap_or_default().to_owned(),
            modified: self.world.clock.now(),
        };
        self.store.change(|state| {
            find_upload(find(&state.buckets, bucket)?, key, id)?;
            let (bucket, id, part) = (bucket.to_owned(), id.to_owned(), part.clone());
            Ok((
                vec![Event::Part {
                    bucket,
                    id,
                    number,
                    part,
                }],
                (),
            ))
        })?;
        file.keep();
        let sent = promise
            .algorithm()
            .and_then(|a| Some((a, received.checksum(a)?.to_owned())));
        Ok((part, sent))
    }

    pub(super) fn abort_upload(&self, call: &Call) -> Result<Response> {
        let id = call.param("uploadId").unwrap_or_default();
        self.store.change(|state| {
            find_upload(find(&state.buckets, &call.bucket)?, &call.key, id)?;
            Ok((
                vec![Event::UploadGone {
                    bucket: call.bucket.clone(),
                    id: id.to_owned(),
                }],
                (),
            ))
        })?;
        Ok(answer::no_content())
    }

    pub(super) fn list_parts(&self, call: &Call) -> Result<Response> {
        let after = call.number("part-number-marker")?.unwrap_or(0);
        let max = call.number("max-parts")?.unwrap_or(1000).min(1000);
        let document = self.upload(call, |_, upload| {
            let mut rest = upload
                .parts
                .iter()
                .filter(|(number, _)| **number as usize > after)
                .peekable();
            let mut parts = vec![];
            let mut last = after;
            while let Some((number, part)) = rest.next_if(|_| parts.len() < max) {
                last = *number as usize;
                parts.push(
                    Element::new("Part")
                        .text("PartNumber", number)
                        .text("LastModified", time(part.modified))
                        .text("ETag", quoted(&part.md5))
                        .text("Size", part.size)
                        .maybe(
                            &upload.algorithm.element(),
                            upload.declared.then_some(&part.checksum),
                        ),
                );
            }
            Ok(Element::new("ListPartsResult")
                .text("Bucket", &call.bucket)
                .text("Key", &call.key)
                .text("UploadId", call.param("uploadId").unwrap_or_default())
                .push(owner("Initiator"))
                .push(owner("Owner"))
                .text("StorageClass", &upload.attributes.storage_class)
                .text("PartNumberMarker", after)
                .text("NextPartNumberMarker", last)
                .text("MaxParts", max)
                .text("IsTruncated", rest.peek().is_some())
                .maybe(
                    "ChecksumAlgorithm",
                    upload.declared.then_some(upload.algorithm.name()),
                )
                .maybe("ChecksumType", upload.declared.then_some(upload.kind.name()))
                .extend(parts))
        })?;
        Ok(answer::xml(&document))
    }

    /// The upload that a request is for.
    pub(super) fn upload<T>(
        &self,
        call: &Call,
        look: impl FnOnce(&Bucket, &Upload) -> Result<T>,
    ) -> Result<T> {
        let id = call.param("uploadId").unwrap_or_default();
        self.bucket(call, |bucket| look(bucket, find_upload(bucket, &call.key, id)?))
    }
}

pub fn find_upload<'a>(bucket: &'a Bucket, key: &str, id: &str) -> Result<&'a Upload> {
    bucket
        .uploads
        .get(id)
        .filter(|upload| upload.key == key)
        .ok_or_else(|| Error::new("NoSuchUpload").with("UploadId", id))
}

fn part_number(call: &Call) -> Result<u32> {
    match call.number("partNumber")? {
        Some(number @ 1..=MAX_PARTS) => Ok(number as u32),
        number => Err(Error::because(
            "InvalidArgument",
            format!("Part number must be an integer between 1 and {MAX_PARTS}, inclusive"),
        )
        .with("ArgumentName", "partNumber")
        .with("ArgumentValue", number.map(|n| n.to_string()).unwrap_or_default())),
    }
}
