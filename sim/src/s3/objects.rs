//! Objects: put, get, head.

use axum::http::{HeaderMap, StatusCode};
use md5::{Digest, Md5};

use super::{
    S3,
    answer::{self, http_date},
    attributes::{self, set},
    body::{Promise, Sink, discard, receive},
    buckets::find,
    checksum::{Algorithm, Checksum, Kind},
    conditions,
    error::{Error, Result},
    range,
    request::Call,
    state::{Attributes, Bucket, Event, Object, PartInfo, Version, Versioning},
};
use crate::http::{Body, Response};

impl S3 {
    pub(super) async fn put_object(&self, call: &Call, body: Body) -> Result<Response> {
        let (attributes, promise) = match self.prepare(call) {
            Ok(prepared) => prepared,
            Err(error) => {
                discard(&call.headers, body).await;
                return Err(error);
            }
        };
        let algorithm = promise.algorithm().unwrap_or(Algorithm::Crc64Nvme);
        let mut file = self.store.create().await?;
        let received = receive(&promise, body, Some(algorithm), Sink::File(&mut file.writer)).await?;
        let value = received.checksum(algorithm).unwrap_or_default().to_owned();
        let object = Object {
            body: file.name.clone(),
            size: received.size,
            etag: etag(hex::encode(received.md5), &attributes),
            checksum: Checksum {
                algorithm,
                kind: Kind::FullObject,
                value,
            },
            parts: vec![],
            attributes,
        };
        let (encryption, checksum) = (object.attributes.encryption.clone(), object.checksum.clone());
        let etag = object.etag.clone();
        let version = self.add_version(&call.bucket, &call.key, object, &call.headers, vec![], |_| Ok(()))?;
        file.keep();
        let mut response = answer::empty();
        let headers = response.headers_mut();
        set(headers, "etag", quoted(&etag));
        set(headers, checksum.algorithm.header(), &checksum.value);
        set(headers, "x-amz-checksum-type", checksum.kind.name());
        encryption
            .iter()
            .for_each(|(name, value)| set(headers, name, value));
        if let Some(version) = version {
            set(headers, "x-amz-version-id", version);
        }
        Ok(response)
    }

    /// What is decided before the body of PutObject is read.
    fn prepare(&self, call: &Call) -> Result<(Attributes, Promise)> {
        let now = self.world.clock.now();
        let attributes = self.bucket(call, |bucket| attributes::read(call, bucket, now))?;
        let promise = Promise::read(&call.headers)?;
        promise.require_length()?;
        if attributes.lock.is_set() && !promise.verifiable() {
            return Err(Error::because(
                "InvalidRequest",
                "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters",
            ));
        }
        Ok((attributes, promise))
    }

    /// Makes an object the current version of its key, if the request's conditions allow it. Returns the version's id where
    /// the bucket has versions. `also`: what happens with it, all or nothing.
    /// `allow`: what else has to hold.
    pub(super) fn add_version(
        &self,
        bucket: &str,
        key: &str,
        object: Object,
        conditions: &HeaderMap,
        also: Vec<Event>,
        allow: impl FnOnce(&Bucket) -> Result<()>,
    ) -> Result<Option<String>> {
        let modified = self.world.clock.now();
        self.store.change(|state| {
            let home = find(&state.buckets, bucket)?;
            allow(home)?;
            conditions::write(conditions, key, home.object(key))?;
            let id = home.version_id(version_id);
            let shown = (home.versioning != Versioning::Unversioned).then(|| id.clone());
            let version = Box::new(Version {
                id,
                modified,
                object: Some(object),
            });
            let mut events = vec![Event::Version {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                version,
            }];
            events.extend(also);
            Ok((events, shown))
        })
    }

    /// GetObject and HeadObject.
    pub(super) fn get_object(&self, call: &Call, head: bool) -> Result<Response> {
        let (version, file, versioned) = self.bucket(call, |bucket| {
            let (version, object) = object(bucket, call)?;
            let file = if head {
                None
            } else {
                Some(self.store.open_body(&object.body)?)
            };
            Ok((
                version.clone(),
                file,
                bucket.versioning != Versioning::Unversioned,
            ))
        })?;
        let Some(object) = version.object else {
            return Err(Error::new("NoSuchKey"));
        };
        let (etag, modified) = (quoted(&object.etag), http_date(version.modified));
        conditions::read(&call.headers, &object.etag, version.modified)
            .map_err(|e| e.header("etag", &etag).header("last-modified", &modified))?;
        if file.is_some() {
            check_tier(&object)?;
        }
        let (part, range) = match call.number("partNumber")? {
            Some(number) => {
                if call.header("range").is_some() {
                    return Err(Error::because(
                        "InvalidRequest",
                        "Cannot specify both Range header and partNumber query parameter",
                    ));
                }
                let (part, range) = part(&object, number)?;
                (Some(part), Some(range))
            }
            None => (None, range::bytes(call.header("range"), object.size)?),
        };
        let mut response = answer::empty();
        let (from, count) = range.unwrap_or((0, object.size));
        if range.is_some() {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        if let Some(file) = file {
            *response.body_mut() = answer::file(file, from, count);
        }
        let headers = response.headers_mut();
        attributes::write(&object.attributes, headers);
        override_headers(call, headers);
        set(headers, "accept-ranges", "bytes");
        set(headers, "content-length", count.to_string());
        set(headers, "etag", etag);
        set(headers, "last-modified", modified);
        if range.is_some() && object.size > 0 {
            set(
                headers,
                "content-range",
                format!("bytes {from}-{}/{}", from + count - 1, object.size),
            );
        }
        if call
            .header("x-amz-checksum-mode")
            .is_some_and(|mode| mode.eq_ignore_ascii_case("ENABLED"))
        {
            // Of a range that is not a part there is none.
            let value = match (&part, range) {
                (Some(Some(part)), _) => Some(&part.checksum),
                (Some(None), _) | (None, None) => Some(&object.checksum.value),
                (None, Some(_)) => None,
            };
            if let Some(value) = value {
                set(headers, object.checksum.algorithm.header(), value);
                set(headers, "x-amz-checksum-type", object.checksum.kind.name());
            }
        }
        if part.is_some() && !object.parts.is_empty() {
            set(headers, "x-amz-mp-parts-count", object.parts.len().to_string());
        }
        if versioned {
            set(headers, "x-amz-version-id", version.id);
        }
        Ok(response)
    }
}

/// The object that a request names.
pub fn object<'a>(bucket: &'a Bucket, call: &Call) -> Result<(&'a Version, &'a Object)> {
    named(bucket, &call.key, call.param("versionId"))
}

/// A key's object: its current one, or a version of it.
pub fn named<'a>(bucket: &'a Bucket, key: &str, id: Option<&str>) -> Result<(&'a Version, &'a Object)> {
    let no_key = || Error::new("NoSuchKey").with("Key", key);
    let version = match id {
        None => bucket.current(key).ok_or_else(no_key)?,
        Some(id) => bucket
            .keys
            .get(key)
            .and_then(|versions| versions.iter().find(|v| v.id == id))
            .ok_or_else(|| Error::new("NoSuchVersion").with("Key", key).with("VersionId", id))?,
    };
    match &version.object {
        Some(object) => Ok((version, object)),
        None => {
            let error = if id.is_some() {
                Error::new("MethodNotAllowed").header("allow", "DELETE")
            } else {
                no_key()
            };
            Err(error
                .header("x-amz-delete-marker", "true")
                .header("x-amz-version-id", &version.id))
        }
    }
}

/// A fresh version id.
pub fn version_id() -> String {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>())
}

/// An entity tag in quotes.
pub fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// The entity tag: the MD5, except that of what is encrypted with KMS nothing can be concluded from it.
pub fn etag(md5: String, attributes: &Attributes) -> String {
    let kms = attributes.encryption.values().any(|v| v.starts_with("aws:kms"));
    if kms {
        hex::encode(Md5::digest(format!("kms {md5}")))
    } else {
        md5
    }
}

/// What lies in an archive has to be restored first.
pub fn check_tier(object: &Object) -> Result<()> {
    let class = &object.attributes.storage_class;
    if class == "GLACIER" || class == "DEEP_ARCHIVE" {
        return Err(Error::because(
            "InvalidObjectState",
            "The operation is not valid for the object's storage class",
        )
        .with("StorageClass", class));
    }
    Ok(())
}

/// A part of an object, and which bytes it is.
fn part(object: &Object, number: usize) -> Result<(Option<&PartInfo>, (u64, u64))> {
    let mut from = 0;
    for part in &object.parts {
        if part.number as usize == number {
            return Ok((Some(part), (from, part.size)));
        }
        from += part.size;
    }
    if number == 1 && object.parts.is_empty() {
        return Ok((None, (0, object.size)));
    }
    Err(
        Error::because("InvalidPartNumber", "The requested partnumber is not satisfiable")
            .with("PartNumberRequested", number.to_string())
            .with("ActualPartCount", object.parts.len().max(1).to_string()),
    )
}

/// Headers that the query asks for instead of the object's.
fn override_headers(call: &Call, headers: &mut HeaderMap) {
    for name in [
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    ] {
        if let Some(value) = call.param(&format!("response-{name}")) {
            set(headers, name, value);
        }
    }
}
