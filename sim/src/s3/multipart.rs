//! Multipart uploads: create, upload and copy parts, complete, abort, list.

use std::collections::BTreeMap;

use md5::{Digest, Md5};

use super::{
    S3,
    answer::{self, time},
    attributes::{self, set},
    body::{Promise, Sink, discard, receive},
    buckets::{find, owner},
    checksum::{self, Algorithm, Kind},
    conditions,
    error::{Error, Result},
    objects::{etag, quoted},
    range,
    request::Call,
    state::{Bucket, Event, Object, Part, PartInfo, Upload},
    store::NewBody,
    xml::Element,
};
use crate::http::{Body, Response};

/// The smallest part but the last: 5 MiB.
const MIN_PART: u64 = 5 << 20;

/// The most parts, and the highest part number.
const MAX_PARTS: usize = 10_000;

impl S3 {
    pub(super) fn create_upload(&self, call: &Call) -> Result<Response> {
        let attributes = attributes::read(call)?;
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
            initiated: self.world.clock.now(),
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

    pub(super) async fn complete_upload(&self, call: &Call, body: Body) -> Result<Response> {
        let (bucket, key, id) = (
            &call.bucket,
            &call.key,
            call.param("uploadId").unwrap_or_default(),
        );
        let (mp_size, kind) = (call.header("x-amz-mp-object-size"), checksum_type(call)?);
        let promised = Promise::object_checksum(&call.headers);
        let upload = self.upload(call, |bucket, upload| {
            conditions::write(&call.headers, key, bucket.object(key))?;
            Ok(upload.clone())
        })?;
        // The checksum in the headers is the object's, not this document's.
        let document = super::body::plain_document(body).await?;
        let parts = chosen(
            &Element::parse(&document, "CompleteMultipartUpload")?,
            &upload,
            id,
        )?;
        if kind.is_some_and(|kind| kind != upload.kind) {
            return Err(Error::because(
                "BadDigest",
                format!(
                    "The upload was created using the {} checksum type.",
                    upload.kind.name()
                ),
            ));
        }
        let size: u64 = parts.iter().map(|(_, p)| p.size).sum();
        if mp_size.is_some_and(|mp_size| mp_size.parse() != Ok(size)) {
            return Err(Error::because(
                "InvalidRequest",
                "The provided 'x-amz-mp-object-size' header does not match what was computed.",
            ));
        }
        let sums: Vec<_> = parts.iter().map(|(_, p)| (p.checksum.clone(), p.size)).collect();
        let checksum = checksum::of_parts(upload.algorithm, upload.kind, &sums)
            .ok_or_else(|| Error::internal(&"the checksums of the parts do not combine"))?;
        if let Some((algorithm, value)) = promised
            && (algorithm, &value) != (checksum.algorithm, &checksum.value)
        {
            return Err(Error::because(
                "BadDigest",
                format!(
                    "The {} you specified did not match the calculated checksum.",
                    algorithm.name()
                ),
            ));
        }
        let mut md5 = Md5::new();
        for (_, part) in &parts {
            md5.update(hex::decode(&part.md5).map_err(|e| Error::internal(&e))?);
        }
        let file = self.join(&parts).await?;
        let object = Object {
            body: file.name.clone(),
            size,
            etag: format!(
                "{}-{}",
                etag(hex::encode(md5.finalize()), &upload.attributes),
                parts.len()
            ),
            checksum: checksum.clone(),
            parts: parts
                .iter()
                .map(|(number, p)| PartInfo {
                    number: *number,
                    size: p.size,
                    checksum: p.checksum.clone(),
                })
                .collect(),
            attributes: upload.attributes.clone(),
        };
        let tag = object.etag.clone();
        let gone = Event::UploadGone {
            bucket: bucket.clone(),
            id: id.to_owned(),
        };
        // Another request may have completed or changed the upload meanwhile.
        let same = |bucket: &Bucket| match find_upload(bucket, key, id) {
            Ok(now) if *now == upload => Ok(()),
            Ok(_) => Err(Error::new("ConditionalRequestConflict")),
            Err(error) => Err(error),
        };
        let version = self.add_version(bucket, key, object, &call.headers, vec![gone], same)?;
        file.keep();
        let host = call.header("host").unwrap_or_default();
        let mut response = answer::xml(
            &Element::new("CompleteMultipartUploadResult")
                .text(
                    "Location",
                    format!("http://{host}/{bucket}/{}", urlencoding::encode(key)),
                )
                .text("Bucket", bucket)
                .text("Key", key)
                .text("ETag", quoted(&tag))
                .text(&checksum.algorithm.element(), &checksum.value)
                .text("ChecksumType", checksum.kind.name()),
        );
        let headers = response.headers_mut();
        upload
            .attributes
            .encryption
            .iter()
            .for_each(|(name, value)| set(headers, name, value));
        if let Some(version) = version {
            set(headers, "x-amz-version-id", version);
        }
        Ok(response)
    }

    /// One file of all parts, by the kernel's copying.
    async fn join(&self, parts: &[(u32, Part)]) -> Result<NewBody> {
        let file = self.store.create().await?;
        let target = file
            .writer
            .get_ref()
            .try_clone()
            .await
            .map_err(|e| Error::internal(&e))?;
        let mut target = target.into_std().await;
        // An abort may take the parts away while this goes on.
        let sources = parts
            .iter()
            .map(|(_, p)| self.store.body_path(&p.body))
            .collect::<Vec<_>>();
        let copied = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
            for source in sources {
                std::io::copy(&mut std::fs::File::open(source)?, &mut target)?;
            }
            Ok(())
        })
        .await
        .map_err(|e| Error::internal(&e))?;
        match copied {
            Ok(()) => Ok(file),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::new("NoSuchUpload")),
            Err(e) => Err(Error::internal(&e)),
        }
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
    fn upload<T>(&self, call: &Call, look: impl FnOnce(&Bucket, &Upload) -> Result<T>) -> Result<T> {
        let id = call.param("uploadId").unwrap_or_default();
        self.bucket(call, |bucket| look(bucket, find_upload(bucket, &call.key, id)?))
    }
}

fn find_upload<'a>(bucket: &'a Bucket, key: &str, id: &str) -> Result<&'a Upload> {
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

fn checksum_type(call: &Call) -> Result<Option<Kind>> {
    call.header("x-amz-checksum-type")
        .map(|name| {
            Kind::named(name)
                .ok_or_else(|| Error::because("InvalidRequest", "Checksum type provided is unsupported."))
        })
        .transpose()
}

/// The parts that a CompleteMultipartUpload names, which have to be those that were uploaded.
fn chosen(document: &Element, upload: &Upload, id: &str) -> Result<Vec<(u32, Part)>> {
    let mut chosen: Vec<(u32, Part)> = vec![];
    for part in document.all("Part") {
        let number = part.get("PartNumber").and_then(|n| n.parse().ok());
        let number: u32 = number.ok_or_else(|| Error::new("MalformedXML"))?;
        let tag = part
            .get("ETag")
            .ok_or_else(|| Error::new("MalformedXML"))?
            .trim_matches('"');
        if chosen.last().is_some_and(|(last, _)| *last >= number) {
            return Err(Error::new("InvalidPartOrder").with("UploadId", id));
        }
        let invalid = || {
            Error::new("InvalidPart")
                .with("UploadId", id)
                .with("PartNumber", number.to_string())
                .with("ETag", tag)
        };
        let stored = upload
            .parts
            .get(&number)
            .filter(|p| p.md5 == tag)
            .ok_or_else(invalid)?;
        match part.get(&upload.algorithm.element()) {
            Some(sum) if sum != stored.checksum => return Err(invalid()),
            None if upload.declared && upload.kind == Kind::Composite => {
                return Err(Error::because(
                    "InvalidRequest",
                    format!(
                        "The upload was created using a {} checksum. The complete request must include the checksum \
                         for each part. It was missing for part {number} in the request.",
                        upload.algorithm.name().to_ascii_lowercase()
                    ),
                ));
            }
            _ => {}
        }
        chosen.push((number, stored.clone()));
    }
    let Some((_, others)) = chosen.split_last() else {
        return Err(Error::new("MalformedXML"));
    };
    if let Some((number, part)) = others.iter().find(|(_, p)| p.size < MIN_PART) {
        return Err(Error::new("EntityTooSmall")
            .with("ProposedSize", part.size.to_string())
            .with("MinSizeAllowed", MIN_PART.to_string())
            .with("PartNumber", number.to_string())
            .with("ETag", &part.md5));
    }
    if upload.declared
        && chosen
            .iter()
            .zip(1..)
            .any(|((number, _), expected)| *number != expected)
    {
        // AWS answers 500 where parts with checksums are not numbered from 1 without gaps.
        return Err(Error::because(
            "InternalError",
            "We encountered an internal error. Please try again.",
        ));
    }
    Ok(chosen)
}
