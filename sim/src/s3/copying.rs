//! Copying objects.

use std::fs::File;

use axum::http::HeaderMap;

use super::{
    S3,
    answer::{self, time},
    attributes::{self, set},
    body::{Promise, Sink, receive},
    buckets::find,
    checksum::{Algorithm, Checksum, Kind},
    conditions,
    error::{Error, Result},
    objects::{check_tier, etag, named, quoted},
    request::Call,
    state::{NULL, Version},
    xml::Element,
};
use crate::http::Response;

impl S3 {
    pub(super) async fn copy_object(&self, call: &Call) -> Result<Response> {
        let (version, source) = self.copy_source(call)?;
        let Some(mut object) = version.object else {
            return Err(Error::new("NoSuchKey"));
        };
        check_tier(&object)?;
        let now = self.world.clock.now();
        let mut attributes = self.bucket(call, |bucket| attributes::read(call, bucket, now))?;
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
