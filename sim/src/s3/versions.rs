//! Versioning of buckets, and the list of all versions.

use super::{
    S3,
    answer::{self, time},
    buckets::{find, owner},
    error::{Error, Result},
    lists::{Encode, MAX_PAGE, encoding},
    objects::quoted,
    request::Call,
    state::{Bucket, Event, Version, Versioning},
    xml::Element,
};
use crate::http::{Body, Response};

impl S3 {
    pub(super) async fn put_bucket_versioning(&self, call: &Call, body: Body) -> Result<Response> {
        let name = call.bucket.clone();
        let document = call.document(body, "VersioningConfiguration").await?;
        let versioning = match document.get("Status") {
            Some("Enabled") => Versioning::Enabled,
            Some("Suspended") => Versioning::Suspended,
            _ => return Err(Error::new("MalformedXML")),
        };
        self.store.change(|state| {
            let bucket = find(&state.buckets, &name)?;
            if bucket.settings.contains_key("object-lock") && versioning != Versioning::Enabled {
                return Err(Error::because(
                    "InvalidBucketState",
                    "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
                ));
            }
            Ok((
                vec![Event::Versioning {
                    bucket: name.clone(),
                    versioning,
                }],
                (),
            ))
        })?;
        Ok(answer::empty())
    }

    pub(super) fn get_bucket_versioning(&self, call: &Call) -> Result<Response> {
        let status = self.bucket(call, |bucket| {
            Ok(match bucket.versioning {
                Versioning::Unversioned => None,
                Versioning::Enabled => Some("Enabled"),
                Versioning::Suspended => Some("Suspended"),
            })
        })?;
        Ok(answer::xml(
            &Element::new("VersioningConfiguration").maybe("Status", status),
        ))
    }

    pub(super) fn list_object_versions(&self, call: &Call) -> Result<Response> {
        let encode = encoding(call)?;
        let marker = call.param("key-marker").unwrap_or_default();
        let id_marker = call.param("version-id-marker").unwrap_or_default();
        if marker.is_empty() && !id_marker.is_empty() {
            return Err(Error::because(
                "InvalidArgument",
                "A version-id marker cannot be specified without a key marker.",
            )
            .with("ArgumentName", "version-id-marker"));
        }
        let (prefix, delimiter) = (
            call.param("prefix").unwrap_or_default(),
            call.param("delimiter").unwrap_or_default(),
        );
        let max = call.number("max-keys")?.unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let document = self.bucket(call, |bucket| {
            let mut entries = entries(bucket, prefix, delimiter).skip_while(|entry| match entry {
                Entry::Prefix(rolled) => *rolled <= marker,
                Entry::Version { key, .. } if id_marker.is_empty() => *key <= marker,
                Entry::Version { key, .. } => *key < marker,
            });
            if !id_marker.is_empty() {
                // Up to and with the marker's version; if it went meanwhile, from the key after it.
                let rest: Vec<_> = entries.by_ref().collect();
                let at = rest.iter().position(|entry| match entry {
                    Entry::Version { key, version, .. } => *key == marker && version.id == id_marker,
                    Entry::Prefix(_) => false,
                });
                let from = match at {
                    Some(at) => at + 1,
                    None => rest
                        .iter()
                        .take_while(|e| matches!(e, Entry::Version { key, .. } if *key == marker))
                        .count(),
                };
                return Ok(page(call, rest.into_iter().skip(from), max, encode));
            }
            Ok(page(call, entries, max, encode))
        })?;
        Ok(answer::xml(&document))
    }
}

/// What a list of versions has in it.
enum Entry<'a> {
    /// Keys that begin so, rolled up.
    Prefix(&'a str),
    /// A version, and whether it is its key's current one.
    Version {
        key: &'a str,
        version: &'a Version,
        latest: bool,
    },
}

/// All entries in order: by key, of a key the newest first.
fn entries<'a>(bucket: &'a Bucket, prefix: &'a str, delimiter: &'a str) -> impl Iterator<Item = Entry<'a>> {
    let mut last = None;
    bucket
        .keys
        .range(prefix.to_owned()..)
        .take_while(move |(key, _)| key.starts_with(prefix))
        .flat_map(move |(key, versions)| {
            let rolled = match key[prefix.len()..].find(delimiter) {
                Some(at) if !delimiter.is_empty() => Some(&key[..prefix.len() + at + delimiter.len()]),
                _ => None,
            };
            let repeated = rolled.is_some() && rolled == last;
            last = rolled;
            let shown = if rolled.is_some() {
                &[]
            } else {
                versions.as_slice()
            };
            let versions = shown.iter().rev().enumerate();
            let versions = versions.map(|(at, version)| Entry::Version {
                key,
                version,
                latest: at == 0,
            });
            rolled
                .filter(|_| !repeated)
                .map(Entry::Prefix)
                .into_iter()
                .chain(versions)
        })
}

fn page<'a>(
    call: &Call,
    mut entries: impl Iterator<Item = Entry<'a>>,
    max: usize,
    encode: Encode,
) -> Element {
    let shown: Vec<_> = entries.by_ref().take(max).collect();
    let next = shown
        .last()
        .filter(|_| entries.next().is_some())
        .map(|last| match last {
            Entry::Prefix(rolled) => (*rolled, None),
            Entry::Version { key, version, .. } => (*key, Some(version.id.as_str())),
        });
    Element::new("ListVersionsResult")
        .text("Name", &call.bucket)
        .text("Prefix", encode(call.param("prefix").unwrap_or_default()))
        .text("KeyMarker", encode(call.param("key-marker").unwrap_or_default()))
        .text(
            "VersionIdMarker",
            call.param("version-id-marker").unwrap_or_default(),
        )
        .maybe("NextKeyMarker", next.map(|(key, _)| encode(key)))
        .maybe("NextVersionIdMarker", next.and_then(|(_, id)| id))
        .text("MaxKeys", max)
        .maybe("Delimiter", call.param("delimiter").map(encode))
        .maybe("EncodingType", call.param("encoding-type"))
        .text("IsTruncated", next.is_some())
        .extend(shown.iter().map(|entry| match entry {
            Entry::Prefix(rolled) => Element::new("CommonPrefixes").text("Prefix", encode(rolled)),
            Entry::Version { key, version, latest } => element(key, version, *latest, encode),
        }))
}

fn element(key: &str, version: &Version, latest: bool, encode: Encode) -> Element {
    let name = if version.object.is_some() {
        "Version"
    } else {
        "DeleteMarker"
    };
    let element = Element::new(name)
        .text("Key", encode(key))
        .text("VersionId", &version.id)
        .text("IsLatest", latest)
        .text("LastModified", time(version.modified));
    let element = match &version.object {
        Some(object) => element
            .text("ETag", quoted(&object.etag))
            .text("ChecksumAlgorithm", object.checksum.algorithm.name())
            .text("ChecksumType", object.checksum.kind.name())
            .text("Size", object.size)
            .text("StorageClass", &object.attributes.storage_class),
        None => element,
    };
    element.push(owner("Owner"))
}
