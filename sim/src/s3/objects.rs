//! Objects: put, get, head, delete, copy.

use axum::http::{HeaderMap, StatusCode};
use md5::{Digest, Md5};
use std::fs::File;

use super::{
    S3,
    answer::{self, http_date, time},
    attributes::{self, set},
    body::{Promise, Sink, discard, receive},
    buckets::find,
    checksum::{Algorithm, Checksum, Kind},
    conditions,
    error::{Error, Result},
    range,
    request::Call,
    state::{Attributes, Bucket, Event, NULL, Object, PartInfo, Version, Versioning},
    xml::Element,
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
        self.bucket(call, |_| Ok(()))?;
        let promise = Promise::read(&call.headers)?;
        promise.require_length()?;
        Ok((attributes::read(call)?, promise))
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

    pub(super) fn delete_object(&self, call: &Call) -> Result<Response> {
        let gone = self.remove(
            &call.bucket,
            &call.key,
            call.param("versionId"),
            call.header("if-match"),
        )?;
        let mut response = answer::no_content();
        if gone.marker {
            set(response.headers_mut(), "x-amz-delete-marker", "true");
        }
        if let Some(version) = gone.version {
            set(response.headers_mut(), "x-amz-version-id", version);
        }
        Ok(response)
    }

    pub(super) async fn delete_objects(&self, call: &Call, body: Body) -> Result<Response> {
        self.bucket(call, |_| Ok(()))?;
        if !Promise::read(&call.headers)?.verifiable() {
            return Err(Error::because(
                "InvalidRequest",
                "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
            ));
        }
        let document = call.document(body, "Delete").await?;
        let quiet = document.get("Quiet") == Some("true");
        let objects: Vec<_> = document.all("Object").collect();
        if objects.is_empty() || objects.len() > 1000 {
            return Err(Error::new("MalformedXML"));
        }
        let mut result = Element::new("DeleteResult");
        for object in objects {
            let key = object
                .child("Key")
                .map(|k| k.value.as_str())
                .ok_or_else(|| Error::new("MalformedXML"))?;
            let version = object.get("VersionId");
            match self.remove(&call.bucket, key, version, object.get("ETag")) {
                Ok(_) if quiet => {}
                Ok(gone) => {
                    let mut deleted = Element::new("Deleted")
                        .text("Key", key)
                        .maybe("VersionId", version);
                    if gone.marker {
                        deleted = deleted
                            .text("DeleteMarker", true)
                            .maybe("DeleteMarkerVersionId", gone.version);
                    }
                    result.children.push(deleted);
                }
                Err(error) => result.children.push(
                    Element::new("Error")
                        .text("Key", key)
                        .maybe("VersionId", version)
                        .text("Code", error.code)
                        .text("Message", error.message()),
                ),
            }
        }
        Ok(answer::xml(&result))
    }

    /// Removes a version for good, or where versions are kept and none is named, hides the key behind a delete marker.
    fn remove(&self, bucket: &str, key: &str, id: Option<&str>, if_match: Option<&str>) -> Result<Gone> {
        let modified = self.world.clock.now();
        self.store.change(|state| {
            let home = find(&state.buckets, bucket)?;
            if let (Some(tags), Some(object)) = (if_match, home.object(key))
                && !conditions::matches(tags, &object.etag)
            {
                return Err(Error::new("PreconditionFailed").with("Condition", "If-Match"));
            }
            let (bucket, key) = (bucket.to_owned(), key.to_owned());
            if let Some(id) = id {
                let version = home.keys.get(&key).and_then(|v| v.iter().find(|v| v.id == id));
                let marker = version.is_some_and(|v| v.object.is_none());
                let event = version.map(|_| Event::VersionGone {
                    bucket,
                    key,
                    id: id.to_owned(),
                });
                return Ok((
                    event.into_iter().collect(),
                    Gone {
                        marker,
                        version: Some(id.to_owned()),
                    },
                ));
            }
            if home.versioning == Versioning::Unversioned {
                let there = home.keys.contains_key(&key);
                let event = there.then(|| Event::VersionGone {
                    bucket,
                    key,
                    id: NULL.to_owned(),
                });
                return Ok((
                    event.into_iter().collect(),
                    Gone {
                        marker: false,
                        version: None,
                    },
                ));
            }
            let id = home.version_id(version_id);
            let version = Box::new(Version {
                id: id.clone(),
                modified,
                object: None,
            });
            Ok((
                vec![Event::Version { bucket, key, version }],
                Gone {
                    marker: true,
                    version: Some(id),
                },
            ))
        })
    }

    pub(super) async fn copy_object(&self, call: &Call) -> Result<Response> {
        let (version, source) = self.copy_source(call)?;
        let Some(mut object) = version.object else {
            return Err(Error::new("NoSuchKey"));
        };
        check_tier(&object)?;
        let mut attributes = attributes::read(call)?;
        let replaces = |name| {
            call.header(name)
                .is_some_and(|v| v.eq_ignore_ascii_case("REPLACE"))
        };
        if !replaces("x-amz-metadata-directive") {
            attributes.headers = object.attributes.headers.clone();
        }
        if !replaces("x-amz-tagging-directive") {
            attributes.tags = object.attributes.tags.clone();
        }
        let mut file = self.store.create().await?;
        let algorithm = match call.header("x-amz-checksum-algorithm") {
            Some(name) => Algorithm::named(name).ok_or_else(|| {
                Error::because("InvalidRequest", "Checksum algorithm provided is unsupported.")
            })?,
            None => object.checksum.algorithm,
        };
        // A copy is one piece, so its entity tag and checksum are those of the whole.
        let body = answer::file(source, 0, object.size);
        let promise = Promise::none();
        let received = receive(&promise, body, Some(algorithm), Sink::File(&mut file.writer)).await?;
        object.body = file.name.clone();
        object.etag = etag(hex::encode(received.md5), &attributes);
        object.parts.clear();
        object.attributes = attributes;
        object.checksum = Checksum {
            algorithm,
            kind: Kind::FullObject,
            value: received.checksum(algorithm).unwrap_or_default().to_owned(),
        };
        let copied = object.clone();
        let shown = self.add_version(&call.bucket, &call.key, object, &call.headers, vec![], |_| Ok(()))?;
        file.keep();
        let document = Element::new("CopyObjectResult")
            .text("LastModified", time(self.world.clock.now()))
            .text("ETag", quoted(&copied.etag))
            .text(&algorithm.element(), &copied.checksum.value)
            .text("ChecksumType", copied.checksum.kind.name());
        let mut response = answer::xml(&document);
        let headers = response.headers_mut();
        copied
            .attributes
            .encryption
            .iter()
            .for_each(|(name, value)| set(headers, name, value));
        if let Some(shown) = shown {
            set(headers, "x-amz-version-id", shown);
        }
        if version.id != NULL {
            set(headers, "x-amz-copy-source-version-id", version.id);
        }
        Ok(response)
    }

    /// What `x-amz-copy-source` names, open for reading, if the request's conditions on it hold.
    pub(super) fn copy_source(&self, call: &Call) -> Result<(Version, File)> {
        let text = call.header("x-amz-copy-source").unwrap_or_default();
        let invalid = || {
            Error::because(
                "InvalidArgument",
                "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            )
            .with("ArgumentName", "x-amz-copy-source")
        };
        let (path, id) = match text.split_once("?versionId=") {
            Some((path, id)) => (path, Some(id)),
            None => (text, None),
        };
        let path = urlencoding::decode(path).map_err(|_| invalid())?;
        let (bucket, key) = path.trim_start_matches('/').split_once('/').ok_or_else(invalid)?;
        let mut conditions = HeaderMap::new();
        for name in [
            "if-match",
            "if-none-match",
            "if-modified-since",
            "if-unmodified-since",
        ] {
            if let Some(value) = call.header(&format!("x-amz-copy-source-{name}")) {
                set(&mut conditions, name, value);
            }
        }
        self.store.read(|state| {
            let (version, object) = named(find(&state.buckets, bucket)?, key, id)?;
            // For a copy there is no "not modified": every failed condition is 412.
            conditions::read(&conditions, &object.etag, version.modified)
                .map_err(|_| Error::new("PreconditionFailed"))?;
            Ok((version.clone(), self.store.open_body(&object.body)?))
        })
    }
}

/// What a deletion did.
struct Gone {
    /// Whether a delete marker was made, or was what went.
    marker: bool,
    /// The version that was made or went.
    version: Option<String>,
}

/// The object that a request names.
pub fn object<'a>(bucket: &'a Bucket, call: &Call) -> Result<(&'a Version, &'a Object)> {
    named(bucket, &call.key, call.param("versionId"))
}

/// A key's object: its current one, or a version of it.
fn named<'a>(bucket: &'a Bucket, key: &str, id: Option<&str>) -> Result<(&'a Version, &'a Object)> {
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
fn check_tier(object: &Object) -> Result<()> {
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
