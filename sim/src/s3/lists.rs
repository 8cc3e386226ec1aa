//! What a bucket lists: objects (both versions of the API) and multipart uploads under way.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    S3,
    answer::{self, time},
    buckets::owner,
    error::{Error, Result},
    listing::{self, Page, Query},
    objects::quoted,
    request::Call,
    state::{Bucket, Version},
    xml::Element,
};
use crate::http::Response;

/// The most entries of a page.
pub const MAX_PAGE: usize = 1000;

impl S3 {
    pub(super) fn list_objects_v2(&self, call: &Call) -> Result<Response> {
        let encode = encoding(call)?;
        let start_after = call.param("start-after");
        let token = call.param("continuation-token");
        let after = match token {
            Some(token) => BASE64_STANDARD
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .filter(|after| !after.is_empty())
                .ok_or_else(|| {
                    Error::because("InvalidArgument", "The continuation token provided is incorrect")
                        .with("ArgumentName", "continuation-token")
                })?,
            None => start_after.unwrap_or_default().to_owned(),
        };
        let query = query(call, &after)?;
        let owners = call.param("fetch-owner") == Some("true");
        let document = self.bucket(call, |bucket| {
            let page = listing::list(&bucket.keys, &query, is_object);
            Ok(head("ListBucketResult", call, &query, encode)
                .text("KeyCount", page.keys.len() + page.prefixes.len())
                .text("IsTruncated", page.next.is_some())
                .maybe("ContinuationToken", token)
                .maybe(
                    "NextContinuationToken",
                    page.next.as_deref().map(|n| BASE64_STANDARD.encode(n)),
                )
                .maybe("StartAfter", start_after.map(encode))
                .extend(contents(bucket, &page, encode, owners)))
        })?;
        Ok(answer::xml(&document))
    }

    pub(super) fn list_objects(&self, call: &Call) -> Result<Response> {
        let encode = encoding(call)?;
        let query = query(call, call.param("marker").unwrap_or_default())?;
        let document = self.bucket(call, |bucket| {
            let page = listing::list(&bucket.keys, &query, is_object);
            // Without a delimiter the last key says where to go on.
            let next = page.next.as_deref().filter(|_| !query.delimiter.is_empty());
            Ok(head("ListBucketResult", call, &query, encode)
                .text("Marker", encode(query.after))
                .maybe("NextMarker", next.map(encode))
                .text("IsTruncated", page.next.is_some())
                .extend(contents(bucket, &page, encode, true)))
        })?;
        Ok(answer::xml(&document))
    }

    pub(super) fn list_uploads(&self, call: &Call) -> Result<Response> {
        let encode = encoding(call)?;
        let prefix = call.param("prefix").unwrap_or_default();
        let after = (
            call.param("key-marker").unwrap_or_default(),
            call.param("upload-id-marker").unwrap_or_default(),
        );
        let max = call.number("max-uploads")?.unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let document = self.bucket(call, |bucket| {
            let mut uploads: Vec<_> = bucket
                .uploads
                .iter()
                .map(|(id, upload)| (upload.key.as_str(), id.as_str(), upload))
                .filter(|(key, id, _)| {
                    key.starts_with(prefix)
                        && if after.1.is_empty() {
                            *key > after.0
                        } else {
                            (*key, *id) > after
                        }
                })
                .collect();
            uploads.sort_unstable_by_key(|(key, id, _)| (*key, *id));
            let truncated = uploads.len() > max;
            uploads.truncate(max);
            let last = uploads.last().filter(|_| truncated);
            Ok(Element::new("ListMultipartUploadsResult")
                .text("Bucket", &call.bucket)
                .text("KeyMarker", encode(after.0))
                .text("UploadIdMarker", after.1)
                .maybe("NextKeyMarker", last.map(|(key, ..)| encode(key)))
                .maybe("NextUploadIdMarker", last.map(|(_, id, _)| id))
                .text("Prefix", encode(prefix))
                .maybe("EncodingType", call.param("encoding-type"))
                .text("MaxUploads", max)
                .text("IsTruncated", truncated)
                .extend(uploads.iter().map(|(key, id, upload)| {
                    Element::new("Upload")
                        .text("Key", encode(key))
                        .text("UploadId", id)
                        .push(owner("Initiator"))
                        .push(owner("Owner"))
                        .text("StorageClass", &upload.attributes.storage_class)
                        .text("Initiated", time(upload.initiated))
                        .maybe(
                            "ChecksumAlgorithm",
                            upload.declared.then_some(upload.algorithm.name()),
                        )
                        .maybe("ChecksumType", upload.declared.then_some(upload.kind.name()))
                })))
        })?;
        Ok(answer::xml(&document))
    }
}

/// How keys are written: as they are, or as a URL has them.
pub type Encode = fn(&str) -> String;

/// How a request wants keys written.
pub fn encoding(call: &Call) -> Result<Encode> {
    match call.param("encoding-type") {
        None => Ok(str::to_owned),
        Some("url") => Ok(|text| urlencoding::encode(text).replace("%2F", "/")),
        Some(other) => Err(
            Error::because("InvalidArgument", "Invalid Encoding Method specified in Request")
                .with("ArgumentName", "encoding-type")
                .with("ArgumentValue", other),
        ),
    }
}

fn query<'a>(call: &'a Call, after: &'a str) -> Result<Query<'a>> {
    Ok(Query {
        prefix: call.param("prefix").unwrap_or_default(),
        delimiter: call.param("delimiter").unwrap_or_default(),
        after,
        max: call.number("max-keys")?.unwrap_or(MAX_PAGE).min(MAX_PAGE),
    })
}

fn is_object(versions: &[Version]) -> bool {
    versions.last().is_some_and(|v| v.object.is_some())
}

fn head(name: &str, call: &Call, query: &Query<'_>, encode: Encode) -> Element {
    Element::new(name)
        .text("Name", &call.bucket)
        .text("Prefix", encode(query.prefix))
        .maybe(
            "Delimiter",
            Some(encode(query.delimiter)).filter(|d| !d.is_empty()),
        )
        .maybe("EncodingType", call.param("encoding-type"))
        .text("MaxKeys", query.max)
}

fn contents(bucket: &Bucket, page: &Page<'_>, encode: Encode, owners: bool) -> Vec<Element> {
    let objects = page.keys.iter().filter_map(|key| {
        let version = bucket.current(key)?;
        let object = version.object.as_ref()?;
        let element = Element::new("Contents")
            .text("Key", encode(key))
            .text("LastModified", time(version.modified))
            .text("ETag", quoted(&object.etag))
            .text("ChecksumAlgorithm", object.checksum.algorithm.name())
            .text("ChecksumType", object.checksum.kind.name())
            .text("Size", object.size)
            .text("StorageClass", &object.attributes.storage_class);
        Some(if owners {
            element.push(owner("Owner"))
        } else {
            element
        })
    });
    let prefixes = page
        .prefixes
        .iter()
        .map(|p| Element::new("CommonPrefixes").text("Prefix", encode(p)));
    objects.chain(prefixes).collect()
}
