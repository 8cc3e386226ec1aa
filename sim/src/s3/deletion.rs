//! Deleting objects, one or many: for good, or behind a delete marker where versions are kept.

use super::{
    S3, answer,
    attributes::set,
    body::Promise,
    buckets::find,
    conditions,
    error::{Error, Result},
    lock::bypasses,
    objects::version_id,
    request::Call,
    state::{Event, NULL, Version, Versioning},
    xml::Element,
};
use crate::http::{Body, Response};

impl S3 {
    pub(super) fn delete_object(&self, call: &Call) -> Result<Response> {
        let gone = self.remove(call, &call.key, call.param("versionId"), call.header("if-match"))?;
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
            match self.remove(call, key, version, object.get("ETag")) {
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
    fn remove(&self, call: &Call, key: &str, id: Option<&str>, if_match: Option<&str>) -> Result<Gone> {
        let modified = self.world.clock.now();
        self.store.change(|state| {
            let home = find(&state.buckets, &call.bucket)?;
            if let (Some(tags), Some(object)) = (if_match, home.object(key))
                && !conditions::matches(tags, &object.etag)
            {
                return Err(Error::new("PreconditionFailed").with("Condition", "If-Match"));
            }
            let (bucket, key) = (call.bucket.clone(), key.to_owned());
            if let Some(id) = id {
                let version = home.keys.get(&key).and_then(|v| v.iter().find(|v| v.id == id));
                if let Some(object) = version.and_then(|v| v.object.as_ref()) {
                    object.attributes.lock.check_deletion(modified, bypasses(call))?;
                }
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
}

/// What a deletion did.
struct Gone {
    /// Whether a delete marker was made, or was what went.
    marker: bool,
    /// The version that was made or went.
    version: Option<String>,
}
