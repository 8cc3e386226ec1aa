//! Pure: what a VideoStream asks for, everything decided: names, region, tags, owner.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    api::{
        AdoptionPolicy, DefaultStorageTier, DeletionPolicy, ImageGenerationConfiguration, ManagementPolicy,
        NotificationConfiguration, VideoStream,
    },
    aws::{Place, Role},
    grants::{Grants, Missing},
    owner::Owner,
    runtime::{Error, Result},
};

/// To insist on dropping footage that a recording still needs: until when, in RFC 3339. It ends by itself, so that it is not
/// forgotten.
pub const ALLOW_LOSS: &str = "kvs-operator.io/allow-footage-loss-until";

/// Keeps an object until its stream is deleted.
pub const FINALIZER: &str = "kvs-operator.io/stream";

/// Hours for which a stream that we make keeps footage where the spec does not say: none would be AWS's default, and then there
/// is nothing to archive.
pub const DEFAULT_RETENTION: i32 = 24;

/// What a VideoStream asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The stream's name in AWS.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// Hours for which footage is kept. `None`: not managed.
    pub retention: Option<i32>,
    /// The media type. `None`: not managed.
    pub media_type: Option<String>,
    /// The device's name. `None`: not managed.
    pub device_name: Option<String>,
    /// The key. `None`: not managed.
    pub kms_key_id: Option<String>,
    /// The storage tier. `None`: not managed.
    pub tier: Option<DefaultStorageTier>,
    /// The image generation; an empty one is to be removed. `None`: not managed.
    pub images: Option<ImageGenerationConfiguration>,
    /// The notification; an empty one is to be removed. `None`: not managed.
    pub notification: Option<NotificationConfiguration>,
    /// The user's tags.
    pub tags: BTreeMap<String, String>,
    /// Keys of tags that we set earlier.
    pub tags_before: Vec<String>,
    /// Whose the stream is to be.
    pub owner: Owner,
    /// The tags that say so.
    pub owner_tags: BTreeMap<String, String>,
    /// Whether anything may be written.
    pub management: ManagementPolicy,
    /// Which existing stream may be taken.
    pub adoption: AdoptionPolicy,
    /// What happens to the stream when the object goes.
    pub deletion: DeletionPolicy,
    /// Whether the object is being deleted.
    pub deleting: bool,
    /// Whether it may not go before we let it.
    pub finalizer: bool,
    /// Whether nothing is to be done.
    pub suspend: bool,
    /// The ARN of the stream that this object stood for so far.
    pub known_arn: Option<String>,
    /// Until when loss of footage that is still needed is allowed.
    pub allow_loss_until: Option<Timestamp>,
}

impl Desired {
    /// What this object asks for, in this cluster, with the operator's region as the default.
    ///
    /// # Errors
    /// `Spec`: what it asks for contradicts itself.
    pub fn of(object: &VideoStream, cluster_id: &str, region: &str) -> Result<Self> {
        let (spec, status) = (&object.spec, object.status.as_ref());
        let resolved = status.and_then(|s| s.region.as_deref());
        let region = match (spec.region.as_deref(), resolved) {
            (Some(wanted), Some(resolved)) if wanted != resolved => {
                return Err(Error::Spec(format!(
                    "spec.region is {wanted}, but the stream is in {resolved} and stays there: make a new VideoStream for {wanted}"
                )));
            }
            (Some(region), _) | (None, Some(region)) => region,
            (None, None) => region,
        };
        let allow_loss_until = object
            .annotations()
            .get(ALLOW_LOSS)
            .map(|text| {
                text.parse().map_err(|_| {
                    Error::Spec(format!(
                        "the annotation {ALLOW_LOSS} is {text:?}: write until when, such as 2026-01-31T12:00:00Z"
                    ))
                })
            })
            .transpose()?;
        let images = spec
            .image_generation_configuration
            .clone()
            .map(|images| in_region(images, region))
            .transpose()?;
        let owner = Owner {
            cluster: cluster_id.into(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        };
        Ok(Self {
            name: spec.stream_name.clone().unwrap_or_else(|| object.name_any()),
            place: Place {
                region: region.into(),
                role: Role::of(spec.role_arn.as_ref(), spec.external_id.as_ref()),
            },
            retention: spec.data_retention_in_hours,
            media_type: spec.media_type.clone(),
            device_name: spec.device_name.clone(),
            kms_key_id: spec.kms_key_id.clone(),
            tier: spec
                .stream_storage_configuration
                .as_ref()
                .map(|storage| storage.default_storage_tier),
            images,
            notification: spec.notification_configuration.clone(),
            tags: spec.tags.clone(),
            tags_before: status.map(|s| s.tag_keys.clone()).unwrap_or_default(),
            owner_tags: owner.tags(&object.uid().unwrap_or_default()),
            owner,
            management: spec.management_policy,
            adoption: spec.adoption_policy,
            deletion: spec.deletion_policy,
            deleting: object.metadata.deletion_timestamp.is_some(),
            finalizer: object.finalizers().iter().any(|f| f == FINALIZER),
            suspend: spec.suspend,
            known_arn: status.and_then(|s| s.stream_arn.clone()),
            allow_loss_until,
        })
    }

    /// The object's namespace and name.
    pub fn key(&self) -> String {
        format!("{}/{}", self.owner.namespace, self.owner.name)
    }

    /// Whether the administrator lets the object's namespace use what it asks for.
    ///
    /// # Errors
    /// Not: which grant is missing.
    pub fn granted(&self, grants: &Grants) -> std::result::Result<(), Missing> {
        let namespace = &self.owner.namespace;
        let role = self.place.role.as_ref().map(|role| role.arn.as_str());
        grants.stream(namespace, &self.name, role)?;
        let images = self
            .images
            .as_ref()
            .and_then(|images| images.destination_config.as_ref());
        match images.and_then(|destination| destination.uri.strip_prefix("s3://")) {
            Some(uri) => {
                let (bucket, prefix) = uri.split_once('/').unwrap_or((uri, ""));
                grants.bucket(namespace, bucket, prefix.trim_end_matches('/'))
            }
            None => Ok(()),
        }
    }

    /// Every tag that the stream is to have.
    pub fn all_tags(&self) -> BTreeMap<String, String> {
        let mut tags = self.tags.clone();
        tags.extend(self.owner_tags.clone());
        tags
    }
}

/// The images' bucket must be in the stream's region; where the spec does not say, it is.
fn in_region(mut images: ImageGenerationConfiguration, region: &str) -> Result<ImageGenerationConfiguration> {
    if let Some(destination) = &mut images.destination_config {
        let bucket_region = destination
            .destination_region
            .get_or_insert_with(|| region.into());
        if bucket_region != region {
            return Err(Error::Spec(format!(
                "spec.imageGenerationConfiguration.destinationConfig.destinationRegion is {bucket_region}: it must be the stream's, {region}"
            )));
        }
    }
    Ok(images)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{VideoStreamSpec, VideoStreamStatus};

    fn object(spec: serde_json::Value) -> VideoStream {
        let spec: VideoStreamSpec = serde_json::from_value(spec).unwrap();
        let mut object = VideoStream::new("front-door", spec);
        object.metadata.namespace = Some("site".into());
        object
    }

    #[test]
    fn what_is_absent_is_not_managed_and_the_name_is_the_objects() {
        let desired = Desired::of(&object(serde_json::json!({})), "cluster", "eu-west-1").unwrap();
        assert_eq!(
            (desired.name.as_str(), desired.place.region.as_str()),
            ("front-door", "eu-west-1")
        );
        assert_eq!((desired.retention, desired.media_type), (None, None));
        assert_eq!(desired.owner.to_string(), "site/front-door of cluster cluster");
    }

    #[test]
    fn the_region_once_resolved_stays() {
        let mut object = object(serde_json::json!({}));
        object.status = Some(VideoStreamStatus {
            region: Some("eu-west-1".into()),
            ..Default::default()
        });
        assert_eq!(
            Desired::of(&object, "c", "us-east-1").unwrap().place.region,
            "eu-west-1"
        );
        object.spec.region = Some("us-east-1".into());
        let error = Desired::of(&object, "c", "us-east-1").unwrap_err().to_string();
        assert!(error.contains("stays there"), "{error}");
    }

    #[test]
    fn an_annotation_that_is_no_time_is_said() {
        let mut object = object(serde_json::json!({}));
        object.annotations_mut().insert(ALLOW_LOSS.into(), "yes".into());
        let error = Desired::of(&object, "c", "r").unwrap_err().to_string();
        assert!(error.contains(ALLOW_LOSS) && error.contains("\"yes\""), "{error}");
    }
}
