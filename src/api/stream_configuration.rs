//! The configurations beside a stream: storage tier, image generation, notification. They have AWS's names and values.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How AWS stores the footage.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StreamStorageConfiguration {
    /// `HOT`: charged by volume, quick. `WARM`: charged by fragment, for at least 30 days, a little slower; it pays for long
    /// retention and fragments of more than about 1.2 MB.
    pub default_storage_tier: DefaultStorageTier,
}

/// AWS's storage tiers.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum DefaultStorageTier {
    Hot,
    Warm,
}

/// Whether a configuration is in force.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum ConfigurationStatus {
    Enabled,
    Disabled,
}

/// Images that AWS makes from the footage and puts into S3. `{}` removes the configuration.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "has(self.status) == has(self.imageSelectorType) && has(self.status) == has(self.destinationConfig) && \
     has(self.status) == has(self.samplingInterval) && has(self.status) == has(self.format) && \
     (has(self.status) || !(has(self.formatConfig) || has(self.widthPixels) || has(self.heightPixels)))")
    .message("imageGenerationConfiguration: give status, imageSelectorType, destinationConfig, samplingInterval and format; or write {} to remove it"))]
pub struct ImageGenerationConfiguration {
    /// Whether images are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ConfigurationStatus>,
    /// Whose timestamps images are taken by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_selector_type: Option<ImageSelectorType>,
    /// Where images go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_config: Option<ImageDestination>,
    /// Milliseconds between images, at least 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 200, max = 20000))]
    pub sampling_interval: Option<i32>,
    /// The images' format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<ImageFormat>,
    /// More about the format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format_config: Option<ImageFormatConfig>,
    /// Pixels; with the height absent the aspect ratio is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3840))]
    pub width_pixels: Option<i32>,
    /// Pixels; with the width absent the aspect ratio is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2160))]
    pub height_pixels: Option<i32>,
}

/// AWS's two timestamps of a fragment.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum ImageSelectorType {
    ServerTimestamp,
    ProducerTimestamp,
}

/// AWS's image formats.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum ImageFormat {
    Jpeg,
    Png,
}

/// More about an image format.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ImageFormatConfig {
    /// From "1" (smallest) to "100" (best).
    #[serde(rename = "JPEGQuality")]
    #[schemars(length(min = 1, max = 3), regex(pattern = r"^([1-9][0-9]?|100)$"))]
    pub jpeg_quality: String,
}

/// Where images go.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ImageDestination {
    /// A bucket and a prefix, as `s3://bucket/prefix`.
    #[schemars(
        length(min = 1, max = 255),
        regex(pattern = r"^s3://[a-z0-9][a-z0-9.-]+(/.*)?$")
    )]
    pub uri: String,
    /// The bucket's region. It must be the stream's, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 5, max = 32), regex(pattern = r"^[a-z]{2}(-[a-z]+)+-[0-9]$"))]
    pub destination_region: Option<String>,
}

/// Notifications that AWS sends when fragments are there. `{}` removes the configuration.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.status) == has(self.destinationConfig)")
    .message("notificationConfiguration: give status and destinationConfig; or write {} to remove it"))]
pub struct NotificationConfiguration {
    /// Whether notifications are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ConfigurationStatus>,
    /// Where they go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_config: Option<NotificationDestination>,
}

/// Where notifications go.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NotificationDestination {
    /// The ARN of a standard SNS topic.
    #[schemars(length(min = 1, max = 255))]
    pub uri: String,
}
