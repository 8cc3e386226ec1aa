//! Kinesis Video Streams' control plane: streams, their retention and tags.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use aws_sdk_kinesisvideo::{
    Client,
    error::BuildError,
    types::{
        ComparisonOperator, Status as SdkStatus, StreamInfo, StreamNameCondition,
        UpdateDataRetentionOperation,
    },
};
use jiff::Timestamp;

use super::{AwsError, Connection, Kind, Result, configuration, connect::KinesisVideoThrottling};
use crate::api::{DefaultStorageTier, ImageGenerationConfiguration, NotificationConfiguration};

/// AWS's status of a stream. There is none for a stream that is gone: it is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamStatus {
    /// It is being made.
    Creating,
    /// It can be used and changed.
    Active,
    /// It is being changed; another change would be refused.
    Updating,
    /// It is being deleted; its footage is gone already.
    Deleting,
}

impl StreamStatus {
    /// As AWS writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
        }
    }
}

/// A stream, as DescribeStream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Its ARN; the last part is its creation time, so a stream made anew under the name has another.
    pub arn: String,
    /// Its status.
    pub status: StreamStatus,
    /// The version of its metadata; a change must name it.
    pub version: String,
    /// When it was made.
    pub creation_time: Option<Timestamp>,
    /// Hours for which footage is kept.
    pub data_retention_in_hours: i32,
    /// The media type.
    pub media_type: Option<String>,
    /// The device's name.
    pub device_name: Option<String>,
    /// The key that encrypts the footage.
    pub kms_key_id: Option<String>,
}

/// A stream to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStream {
    /// Its name.
    pub name: String,
    /// Hours for which footage is kept.
    pub data_retention_in_hours: i32,
    /// The media type.
    pub media_type: Option<String>,
    /// The device's name.
    pub device_name: Option<String>,
    /// The key that encrypts the footage.
    pub kms_key_id: Option<String>,
    /// How footage is stored. `None`: as AWS's default says.
    pub tier: Option<DefaultStorageTier>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// What UpdateStream can change. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamUpdate {
    /// The media type.
    pub media_type: Option<String>,
    /// The device's name.
    pub device_name: Option<String>,
}

/// The control plane. Changes are asynchronous: the stream is CREATING, UPDATING or DELETING after them.
#[async_trait]
pub trait Streams: Send + Sync + fmt::Debug {
    /// The stream of that name. `None`: there is none.
    async fn describe(&self, name: &str) -> Result<Option<Stream>>;
    /// All streams of the account and region whose names begin so.
    async fn list(&self, prefix: &str) -> Result<Vec<Stream>>;
    /// The tags of the stream with that ARN. `None`: it is gone.
    async fn tags(&self, arn: &str) -> Result<Option<BTreeMap<String, String>>>;
    /// Makes a stream and returns its ARN.
    ///
    /// # Errors
    /// `Busy`: there is one of that name.
    async fn create(&self, stream: &NewStream) -> Result<String>;
    /// Changes retention from so many hours to another number of them. On a decrease AWS deletes at once what is older.
    ///
    /// # Errors
    /// `Stale`: the version is not the current one. `Busy`: the stream is not ACTIVE.
    async fn change_retention(&self, arn: &str, version: &str, from: i32, to: i32) -> Result<()>;
    /// Changes media type and device name; errors as for retention.
    async fn update(&self, arn: &str, version: &str, update: &StreamUpdate) -> Result<()>;
    /// Deletes the stream with all its footage, irreversibly; errors as for retention.
    async fn delete(&self, arn: &str, version: &str) -> Result<()>;
    /// Sets tags; those with other keys stay.
    async fn tag(&self, arn: &str, tags: &BTreeMap<String, String>) -> Result<()>;
    /// Removes tags; keys that are not there are no error.
    async fn untag(&self, arn: &str, keys: &[String]) -> Result<()>;
    /// The storage tier.
    async fn tier(&self, arn: &str) -> Result<DefaultStorageTier>;
    /// Changes the storage tier; errors as for retention.
    async fn set_tier(&self, arn: &str, version: &str, tier: DefaultStorageTier) -> Result<()>;
    /// The image generation. `None`: there is none.
    async fn images(&self, arn: &str) -> Result<Option<ImageGenerationConfiguration>>;
    /// Sets or removes the image generation.
    async fn set_images(&self, arn: &str, images: Option<&ImageGenerationConfiguration>) -> Result<()>;
    /// The notification. `None`: there is none.
    async fn notification(&self, arn: &str) -> Result<Option<NotificationConfiguration>>;
    /// Sets or removes the notification.
    async fn set_notification(
        &self,
        arn: &str,
        notification: Option<&NotificationConfiguration>,
    ) -> Result<()>;
}

/// The port that calls AWS.
#[derive(Debug)]
pub struct Sdk {
    client: Client,
    connection: Connection,
}

impl Sdk {
    /// A client of this connection.
    pub fn new(connection: &Connection) -> Self {
        let config = aws_sdk_kinesisvideo::config::Builder::from(connection.sdk())
            .interceptor(connection.date_interceptor())
            .retry_classifier(KinesisVideoThrottling)
            .build();
        Self {
            client: Client::from_conf(config),
            connection: connection.clone(),
        }
    }
}

/// What is not there is data, not an error.
fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(AwsError {
            kind: Kind::NotFound, ..
        }) => Ok(None),
        Err(e) => Err(e),
    }
}

#[async_trait]
impl Streams for Sdk {
    async fn describe(&self, name: &str) -> Result<Option<Stream>> {
        const OPERATION: &str = "kinesisvideo:DescribeStream";
        let call = self.client.describe_stream().stream_name(name).send();
        let Some(output) = found(self.connection.call(OPERATION, name, call).await)? else {
            return Ok(None);
        };
        let info = output
            .stream_info
            .ok_or_else(|| AwsError::incomplete(OPERATION, name, "StreamInfo"))?;
        stream(info)
            .map(Some)
            .map_err(|lacks| AwsError::incomplete(OPERATION, name, lacks))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Stream>> {
        const OPERATION: &str = "kinesisvideo:ListStreams";
        let condition = (!prefix.is_empty()).then(|| {
            StreamNameCondition::builder()
                .comparison_operator(ComparisonOperator::BeginsWith)
                .comparison_value(prefix)
                .build()
        });
        let mut streams = vec![];
        let mut token = None;
        loop {
            let call = self
                .client
                .list_streams()
                // Without it a page has 10; AWS gives 1,000 at most whatever is asked for.
                .max_results(10_000)
                .set_stream_name_condition(condition.clone())
                .set_next_token(token)
                .send();
            let page = self.connection.call(OPERATION, "*", call).await?;
            for info in page.stream_info_list.unwrap_or_default() {
                streams.push(stream(info).map_err(|lacks| AwsError::incomplete(OPERATION, "*", lacks))?);
            }
            token = page.next_token.filter(|t| !t.is_empty());
            if token.is_none() {
                return Ok(streams);
            }
        }
    }

    async fn tags(&self, arn: &str) -> Result<Option<BTreeMap<String, String>>> {
        let mut tags = BTreeMap::new();
        let mut token = None;
        loop {
            let call = self
                .client
                .list_tags_for_stream()
                .stream_arn(arn)
                .set_next_token(token)
                .send();
            let page = found(
                self.connection
                    .call("kinesisvideo:ListTagsForStream", arn, call)
                    .await,
            )?;
            let Some(page) = page else { return Ok(None) };
            tags.extend(page.tags.unwrap_or_default());
            token = page.next_token.filter(|t| !t.is_empty());
            if token.is_none() {
                return Ok(Some(tags));
            }
        }
    }

    async fn create(&self, stream: &NewStream) -> Result<String> {
        const OPERATION: &str = "kinesisvideo:CreateStream";
        let call = self
            .client
            .create_stream()
            .stream_name(&stream.name)
            .data_retention_in_hours(stream.data_retention_in_hours)
            .set_media_type(stream.media_type.clone())
            .set_device_name(stream.device_name.clone())
            .set_kms_key_id(stream.kms_key_id.clone())
            .set_stream_storage_configuration(
                stream
                    .tier
                    .map(configuration::storage)
                    .transpose()
                    .map_err(|e| invalid(OPERATION, &stream.name, e))?,
            )
            .set_tags((!stream.tags.is_empty()).then(|| stream.tags.clone().into_iter().collect()))
            .send();
        let output = self.connection.call(OPERATION, &stream.name, call).await?;
        output
            .stream_arn
            .ok_or_else(|| AwsError::incomplete(OPERATION, &stream.name, "StreamARN"))
    }

    async fn change_retention(&self, arn: &str, version: &str, from: i32, to: i32) -> Result<()> {
        // AWS takes the difference, not the value.
        let operation = if to > from {
            UpdateDataRetentionOperation::IncreaseDataRetention
        } else {
            UpdateDataRetentionOperation::DecreaseDataRetention
        };
        let call = self
            .client
            .update_data_retention()
            .stream_arn(arn)
            .current_version(version)
            .operation(operation)
            .data_retention_change_in_hours((to - from).abs())
            .send();
        self.connection
            .call("kinesisvideo:UpdateDataRetention", arn, call)
            .await
            .map(drop)
    }

    async fn update(&self, arn: &str, version: &str, update: &StreamUpdate) -> Result<()> {
        let call = self
            .client
            .update_stream()
            .stream_arn(arn)
            .current_version(version)
            .set_media_type(update.media_type.clone())
            .set_device_name(update.device_name.clone())
            .send();
        self.connection
            .call("kinesisvideo:UpdateStream", arn, call)
            .await
            .map(drop)
    }

    async fn delete(&self, arn: &str, version: &str) -> Result<()> {
        let call = self
            .client
            .delete_stream()
            .stream_arn(arn)
            .current_version(version)
            .send();
        self.connection
            .call("kinesisvideo:DeleteStream", arn, call)
            .await
            .map(drop)
    }

    async fn tag(&self, arn: &str, tags: &BTreeMap<String, String>) -> Result<()> {
        let call = self
            .client
            .tag_stream()
            .stream_arn(arn)
            .set_tags(Some(tags.clone().into_iter().collect()))
            .send();
        self.connection
            .call("kinesisvideo:TagStream", arn, call)
            .await
            .map(drop)
    }

    async fn untag(&self, arn: &str, keys: &[String]) -> Result<()> {
        let call = self
            .client
            .untag_stream()
            .stream_arn(arn)
            .set_tag_key_list(Some(keys.to_vec()))
            .send();
        self.connection
            .call("kinesisvideo:UntagStream", arn, call)
            .await
            .map(drop)
    }

    async fn tier(&self, arn: &str) -> Result<DefaultStorageTier> {
        const OPERATION: &str = "kinesisvideo:DescribeStreamStorageConfiguration";
        let call = self
            .client
            .describe_stream_storage_configuration()
            .stream_arn(arn)
            .send();
        let output = self.connection.call(OPERATION, arn, call).await?;
        let tier = output
            .stream_storage_configuration
            .as_ref()
            .and_then(configuration::tier);
        tier.ok_or_else(|| AwsError::incomplete(OPERATION, arn, "a known DefaultStorageTier"))
    }

    async fn set_tier(&self, arn: &str, version: &str, tier: DefaultStorageTier) -> Result<()> {
        const OPERATION: &str = "kinesisvideo:UpdateStreamStorageConfiguration";
        let storage = configuration::storage(tier).map_err(|e| invalid(OPERATION, arn, e))?;
        let call = self
            .client
            .update_stream_storage_configuration()
            .stream_arn(arn)
            .current_version(version)
            .stream_storage_configuration(storage)
            .send();
        self.connection.call(OPERATION, arn, call).await.map(drop)
    }

    async fn images(&self, arn: &str) -> Result<Option<ImageGenerationConfiguration>> {
        let call = self
            .client
            .describe_image_generation_configuration()
            .stream_arn(arn)
            .send();
        let output = self
            .connection
            .call("kinesisvideo:DescribeImageGenerationConfiguration", arn, call)
            .await?;
        Ok(output
            .image_generation_configuration
            .as_ref()
            .map(configuration::images))
    }

    async fn set_images(&self, arn: &str, images: Option<&ImageGenerationConfiguration>) -> Result<()> {
        const OPERATION: &str = "kinesisvideo:UpdateImageGenerationConfiguration";
        let images = images
            .map(configuration::sdk_images)
            .transpose()
            .map_err(|e| invalid(OPERATION, arn, e))?;
        let call = self
            .client
            .update_image_generation_configuration()
            .stream_arn(arn)
            .set_image_generation_configuration(images)
            .send();
        self.connection.call(OPERATION, arn, call).await.map(drop)
    }

    async fn notification(&self, arn: &str) -> Result<Option<NotificationConfiguration>> {
        let call = self
            .client
            .describe_notification_configuration()
            .stream_arn(arn)
            .send();
        let output = self
            .connection
            .call("kinesisvideo:DescribeNotificationConfiguration", arn, call)
            .await?;
        Ok(output
            .notification_configuration
            .as_ref()
            .map(configuration::notification))
    }

    async fn set_notification(
        &self,
        arn: &str,
        notification: Option<&NotificationConfiguration>,
    ) -> Result<()> {
        const OPERATION: &str = "kinesisvideo:UpdateNotificationConfiguration";
        let notification = notification
            .map(configuration::sdk_notification)
            .transpose()
            .map_err(|e| invalid(OPERATION, arn, e))?;
        let call = self
            .client
            .update_notification_configuration()
            .stream_arn(arn)
            .set_notification_configuration(notification)
            .send();
        self.connection.call(OPERATION, arn, call).await.map(drop)
    }
}

/// A stream in our words; or what the answer lacks.
fn stream(info: StreamInfo) -> std::result::Result<Stream, &'static str> {
    Ok(Stream {
        name: info.stream_name.ok_or("StreamName")?,
        arn: info.stream_arn.ok_or("StreamARN")?,
        status: match info.status {
            Some(SdkStatus::Active) => StreamStatus::Active,
            Some(SdkStatus::Creating) => StreamStatus::Creating,
            Some(SdkStatus::Updating) => StreamStatus::Updating,
            Some(SdkStatus::Deleting) => StreamStatus::Deleting,
            _ => return Err("a known Status"),
        },
        version: info.version.ok_or("Version")?,
        creation_time: info
            .creation_time
            .and_then(|t| Timestamp::from_nanosecond(t.as_nanos()).ok()),
        data_retention_in_hours: info.data_retention_in_hours.unwrap_or(0),
        media_type: info.media_type,
        device_name: info.device_name,
        kms_key_id: info.kms_key_id,
    })
}

/// A request that cannot be built: something in it is missing.
fn invalid(operation: &'static str, on: &str, error: BuildError) -> AwsError {
    AwsError::ours(operation, on, Kind::Invalid, error.to_string())
}
