//! GetObjectAttributes: what is known of an object, as a document.

use super::{
    S3,
    answer::{self, http_date},
    attributes::set,
    checksum::Kind,
    error::{Error, Result},
    objects::object,
    request::Call,
    state::{Object, Versioning},
    xml::Element,
};
use crate::http::Response;

impl S3 {
    pub(super) fn get_object_attributes(&self, call: &Call) -> Result<Response> {
        let wanted = call.headers.get_all("x-amz-object-attributes");
        let wanted: Vec<_> = wanted
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .map(str::trim)
            .collect();
        if wanted.is_empty() {
            return Err(Error::because(
                "InvalidRequest",
                "Missing required header x-amz-object-attributes",
            ));
        }
        let after = call
            .header("x-amz-part-number-marker")
            .and_then(|v| v.parse().ok())
            .unwrap_or(0);
        let max = call
            .header("x-amz-max-parts")
            .and_then(|v| v.parse().ok())
            .unwrap_or(1000);
        let (version, object, versioned) = self.bucket(call, |bucket| {
            let (version, object) = object(bucket, call)?;
            let versioned = bucket.versioning != Versioning::Unversioned;
            Ok((version.clone(), object.clone(), versioned))
        })?;
        let mut document = Element::new("GetObjectAttributesResponse");
        for name in wanted {
            document = match name {
                "ETag" => document.text("ETag", &object.etag),
                "Checksum" => document.push(
                    Element::new("Checksum")
                        .text(&object.checksum.algorithm.element(), &object.checksum.value)
                        .text("ChecksumType", object.checksum.kind.name()),
                ),
                "ObjectParts" if object.parts.is_empty() => document,
                "ObjectParts" => document.push(parts(&object, after, max)),
                "StorageClass" => document.text("StorageClass", &object.attributes.storage_class),
                "ObjectSize" => document.text("ObjectSize", object.size),
                _ => {
                    return Err(Error::because(
                        "InvalidArgument",
                        "Invalid attribute name specified.",
                    ));
                }
            };
        }
        let mut response = answer::xml(&document);
        set(
            response.headers_mut(),
            "last-modified",
            http_date(version.modified),
        );
        if versioned {
            set(response.headers_mut(), "x-amz-version-id", version.id);
        }
        Ok(response)
    }
}

/// The parts are listed only where each has a checksum that the object's is made of.
fn parts(object: &Object, after: u32, max: usize) -> Element {
    let mut element = Element::new("ObjectParts").text("PartsCount", object.parts.len());
    if object.checksum.kind == Kind::FullObject {
        return element;
    }
    let mut rest = object.parts.iter().filter(|part| part.number > after);
    let shown: Vec<_> = rest.by_ref().take(max).collect();
    element = element
        .text("PartNumberMarker", after)
        .text(
            "NextPartNumberMarker",
            shown.last().map_or(after, |part| part.number),
        )
        .text("MaxParts", max)
        .text("IsTruncated", rest.next().is_some());
    element.extend(shown.into_iter().map(|part| {
        Element::new("Part")
            .text("PartNumber", part.number)
            .text("Size", part.size)
            .text(&object.checksum.algorithm.element(), &part.checksum)
    }))
}
