//! A port that fails on demand.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use kvs_operator::api::{DefaultStorageTier, ImageGenerationConfiguration, NotificationConfiguration};
use kvs_operator::aws::{
    AwsError, Kind, Streams,
    streams::{NewStream, Stream, StreamUpdate},
};

/// Streams whose next change fails in a given way.
#[derive(Debug)]
pub struct Failing {
    pub inner: Arc<dyn Streams>,
    pub next: Arc<Mutex<Option<Kind>>>,
    /// Whether streams may be listed.
    pub lists: bool,
}

impl Failing {
    fn trip(&self, operation: &'static str, on: &str) -> Result<(), AwsError> {
        match self.next.lock().unwrap().take() {
            None => Ok(()),
            Some(kind) => Err(refusal(operation, on, kind)),
        }
    }
}

fn refusal(operation: &'static str, on: &str, kind: Kind) -> AwsError {
    AwsError {
        operation,
        on: on.into(),
        kind,
        code: Some(format!("{}Exception", kind.name()).into()),
        message: Some("as the test wants".into()),
        request_id: Some("request-1".into()),
        source: None,
    }
}

#[async_trait]
impl Streams for Failing {
    async fn describe(&self, name: &str) -> Result<Option<Stream>, AwsError> {
        self.inner.describe(name).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Stream>, AwsError> {
        if !self.lists {
            return Err(refusal("kinesisvideo:ListStreams", "*", Kind::Denied));
        }
        self.inner.list(prefix).await
    }
    async fn tags(&self, arn: &str) -> Result<Option<BTreeMap<String, String>>, AwsError> {
        self.inner.tags(arn).await
    }
    async fn create(&self, stream: &NewStream) -> Result<String, AwsError> {
        self.trip("kinesisvideo:CreateStream", &stream.name)?;
        self.inner.create(stream).await
    }
    async fn change_retention(&self, arn: &str, version: &str, from: i32, to: i32) -> Result<(), AwsError> {
        self.trip("kinesisvideo:UpdateDataRetention", arn)?;
        self.inner.change_retention(arn, version, from, to).await
    }
    async fn update(&self, arn: &str, version: &str, update: &StreamUpdate) -> Result<(), AwsError> {
        self.trip("kinesisvideo:UpdateStream", arn)?;
        self.inner.update(arn, version, update).await
    }
    async fn delete(&self, arn: &str, version: &str) -> Result<(), AwsError> {
        self.trip("kinesisvideo:DeleteStream", arn)?;
        self.inner.delete(arn, version).await
    }
    async fn tag(&self, arn: &str, tags: &BTreeMap<String, String>) -> Result<(), AwsError> {
        self.trip("kinesisvideo:TagStream", arn)?;
        self.inner.tag(arn, tags).await
    }
    async fn untag(&self, arn: &str, keys: &[String]) -> Result<(), AwsError> {
        self.trip("kinesisvideo:UntagStream", arn)?;
        self.inner.untag(arn, keys).await
    }
    async fn tier(&self, arn: &str) -> Result<DefaultStorageTier, AwsError> {
        self.inner.tier(arn).await
    }
    async fn set_tier(&self, arn: &str, version: &str, tier: DefaultStorageTier) -> Result<(), AwsError> {
        self.trip("kinesisvideo:UpdateStreamStorageConfiguration", arn)?;
        self.inner.set_tier(arn, version, tier).await
    }
    async fn images(&self, arn: &str) -> Result<Option<ImageGenerationConfiguration>, AwsError> {
        self.inner.images(arn).await
    }
    async fn set_images(
        &self,
        arn: &str,
        images: Option<&ImageGenerationConfiguration>,
    ) -> Result<(), AwsError> {
        self.trip("kinesisvideo:UpdateImageGenerationConfiguration", arn)?;
        self.inner.set_images(arn, images).await
    }
    async fn notification(&self, arn: &str) -> Result<Option<NotificationConfiguration>, AwsError> {
        self.inner.notification(arn).await
    }
    async fn set_notification(
        &self,
        arn: &str,
        notification: Option<&NotificationConfiguration>,
    ) -> Result<(), AwsError> {
        self.trip("kinesisvideo:UpdateNotificationConfiguration", arn)?;
        self.inner.set_notification(arn, notification).await
    }
}
