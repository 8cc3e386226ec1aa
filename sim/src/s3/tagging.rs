//! The tags of objects.

use super::{
    S3, answer,
    attributes::{check_tags, set},
    buckets::find,
    error::{Error, Result},
    objects::object,
    request::Call,
    state::{Attributes, Event, Versioning},
    xml::Element,
};
use crate::http::{Body, Response};

impl S3 {
    pub(super) fn get_object_tagging(&self, call: &Call) -> Result<Response> {
        let (tags, id) = self.bucket(call, |bucket| {
            let (version, object) = object(bucket, call)?;
            let id = (bucket.versioning != Versioning::Unversioned).then(|| version.id.clone());
            Ok((write(&object.attributes.tags), id))
        })?;
        let mut response = answer::xml(&tags);
        if let Some(id) = id {
            set(response.headers_mut(), "x-amz-version-id", id);
        }
        Ok(response)
    }

    pub(super) async fn put_object_tagging(&self, call: &Call, body: Body) -> Result<Response> {
        let tags = read(&call.document(body, "Tagging").await?)?;
        check_tags(&tags, 10)?;
        self.set_tags(call, tags)?;
        Ok(answer::empty())
    }

    pub(super) fn delete_object_tagging(&self, call: &Call) -> Result<Response> {
        self.set_tags(call, vec![])?;
        Ok(answer::no_content())
    }

    fn set_tags(&self, call: &Call, tags: Vec<(String, String)>) -> Result<()> {
        self.store.change(|state| {
            let (version, object) = object(find(&state.buckets, &call.bucket)?, call)?;
            let attributes = Box::new(Attributes {
                tags,
                ..object.attributes.clone()
            });
            let (bucket, key, id) = (call.bucket.clone(), call.key.clone(), version.id.clone());
            Ok((
                vec![Event::Attributes {
                    bucket,
                    key,
                    id,
                    attributes,
                }],
                (),
            ))
        })
    }
}

/// Reads a `Tagging` document.
pub fn read(document: &Element) -> Result<Vec<(String, String)>> {
    let malformed = || Error::new("MalformedXML");
    let set = document.child("TagSet").ok_or_else(malformed)?;
    set.all("Tag")
        .map(|tag| {
            let value = |name| tag.child(name).map(|e| e.value.clone()).ok_or_else(malformed);
            Ok((value("Key")?, value("Value")?))
        })
        .collect()
}

/// Writes a `Tagging` document.
pub fn write(tags: &[(String, String)]) -> Element {
    let tag = |(key, value): &(String, String)| Element::new("Tag").text("Key", key).text("Value", value);
    Element::new("Tagging").push(Element::new("TagSet").extend(tags.iter().map(tag)))
}
