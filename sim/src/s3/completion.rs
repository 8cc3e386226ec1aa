//! CompleteMultipartUpload: parts become an object.

use md5::{Digest, Md5};

use super::{
    S3, answer,
    attributes::set,
    body::Promise,
    checksum::{self, Kind},
    conditions,
    error::{Error, Result},
    multipart::find_upload,
    objects::{etag, quoted},
    request::Call,
    state::{Bucket, Event, Object, Part, PartInfo, Upload},
    store::NewBody,
    xml::Element,
};
use crate::http::{Body, Response};

/// The smallest part but the last: 5 MiB.
const MIN_PART: u64 = 5 << 20;

impl S3 {
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
