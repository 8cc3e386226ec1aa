//! What an object's writer says about it, from the request's headers and back into answers.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use super::{
    acl, encryption,
    error::{Error, Result},
    lock::Lock,
    request::Call,
    state::{Attributes, Bucket},
};

/// Headers that come back as they were sent.
const KEPT: [&str; 7] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-website-redirect-location",
];

const STORAGE_CLASSES: [&str; 8] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
];

/// The longest user metadata in bytes, names and values.
const MAX_METADATA: usize = 2048;

/// Reads the headers of PutObject, CreateMultipartUpload or CopyObject; what they leave open the bucket's settings say.
pub fn read(call: &Call, bucket: &Bucket, now: Timestamp) -> Result<Attributes> {
    acl::check_object(call, bucket)?;
    let mut attributes = Attributes {
        storage_class: storage_class(call.header("x-amz-storage-class"))?,
        encryption: encryption::of_new(call, bucket)?,
        tags: tags(call.header("x-amz-tagging").unwrap_or_default())?,
        lock: Lock::of_new(call, bucket, now)?,
        headers: BTreeMap::new(),
    };
    let mut metadata = 0;
    for (name, value) in &call.headers {
        let name = name.as_str();
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if let Some(short) = name.strip_prefix("x-amz-meta-") {
            metadata += short.len() + value.len();
        } else if !KEPT.contains(&name) {
            continue;
        }
        attributes.headers.insert(name.to_owned(), value);
    }
    if metadata > MAX_METADATA {
        return Err(Error::new("MetadataTooLarge")
            .with("Size", metadata.to_string())
            .with("MaxSizeAllowed", MAX_METADATA.to_string()));
    }
    // What the upload was wrapped in is no property of the object.
    if let Some(encoding) = attributes.headers.remove("content-encoding") {
        let rest: Vec<_> = encoding
            .split(',')
            .map(str::trim)
            .filter(|e| !e.is_empty() && *e != "aws-chunked")
            .collect();
        if !rest.is_empty() {
            attributes
                .headers
                .insert("content-encoding".to_owned(), rest.join(","));
        }
    }
    attributes
        .headers
        .entry("content-type".to_owned())
        .or_insert_with(|| "binary/octet-stream".to_owned());
    Ok(attributes)
}

/// Writes them into an answer to GetObject or HeadObject.
pub fn write(attributes: &Attributes, headers: &mut HeaderMap) {
    for (name, value) in attributes.headers.iter().chain(&attributes.encryption) {
        set(headers, name, value);
    }
    attributes.lock.write(headers);
    if attributes.storage_class != "STANDARD" {
        set(headers, "x-amz-storage-class", &attributes.storage_class);
    }
    if !attributes.tags.is_empty() {
        set(headers, "x-amz-tagging-count", attributes.tags.len().to_string());
    }
}

/// Sets a header, if name and value can be one.
pub fn set(headers: &mut HeaderMap, name: &str, value: impl AsRef<[u8]>) {
    if let (Ok(name), Ok(value)) = (
        HeaderName::try_from(name),
        HeaderValue::from_bytes(value.as_ref()),
    ) {
        headers.insert(name, value);
    }
}

fn storage_class(class: Option<&str>) -> Result<String> {
    let class = class.unwrap_or("STANDARD");
    if STORAGE_CLASSES.contains(&class) {
        Ok(class.to_owned())
    } else {
        Err(Error::new("InvalidStorageClass"))
    }
}

/// Tags of the header form `k=v&k=v`, with S3's limits.
pub fn tags(text: &str) -> Result<Vec<(String, String)>> {
    let tags: Vec<(String, String)> = serde_urlencoded::from_str(text).map_err(|_| {
        Error::because("InvalidArgument", "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
    })?;
    check_tags(&tags, 10)?;
    Ok(tags)
}

/// Refuses tags beyond S3's limits.
pub fn check_tags(tags: &[(String, String)], most: usize) -> Result<()> {
    let invalid = |message: &str| Err(Error::because("InvalidTag", message));
    if tags.len() > most {
        let what = if most == 10 { "Object" } else { "Bucket" };
        return Err(Error::because(
            "BadRequest",
            format!("{what} tags cannot be greater than {most}"),
        ));
    }
    for (at, (key, value)) in tags.iter().enumerate() {
        if key.is_empty() || key.chars().count() > 128 {
            return invalid("The TagKey you have provided is invalid");
        }
        if value.chars().count() > 256 {
            return invalid("The TagValue you have provided is invalid");
        }
        if tags[..at].iter().any(|(k, _)| k == key) {
            return invalid("Cannot provide multiple Tags with the same key");
        }
    }
    Ok(())
}
