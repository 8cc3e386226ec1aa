//! The configurations beside a stream, from the SDK's words into ours and back.

use aws_sdk_kinesisvideo::{error::BuildError, types as sdk};

use crate::api::{
    ConfigurationStatus, DefaultStorageTier, ImageDestination, ImageFormat, ImageFormatConfig,
    ImageGenerationConfiguration, ImageSelectorType, NotificationConfiguration, NotificationDestination,
};

pub(super) fn storage(tier: DefaultStorageTier) -> Result<sdk::StreamStorageConfiguration, BuildError> {
    let tier = match tier {
        DefaultStorageTier::Hot => sdk::DefaultStorageTier::Hot,
        DefaultStorageTier::Warm => sdk::DefaultStorageTier::Warm,
    };
    sdk::StreamStorageConfiguration::builder()
        .default_storage_tier(tier)
        .build()
}

/// `None`: a tier that we do not know.
pub(super) fn tier(storage: &sdk::StreamStorageConfiguration) -> Option<DefaultStorageTier> {
    match storage.default_storage_tier {
        sdk::DefaultStorageTier::Hot => Some(DefaultStorageTier::Hot),
        sdk::DefaultStorageTier::Warm => Some(DefaultStorageTier::Warm),
        _ => None,
    }
}

fn status(status: &sdk::ConfigurationStatus) -> Option<ConfigurationStatus> {
    match status {
        sdk::ConfigurationStatus::Enabled => Some(ConfigurationStatus::Enabled),
        sdk::ConfigurationStatus::Disabled => Some(ConfigurationStatus::Disabled),
        _ => None,
    }
}

const fn sdk_status(status: ConfigurationStatus) -> sdk::ConfigurationStatus {
    match status {
        ConfigurationStatus::Enabled => sdk::ConfigurationStatus::Enabled,
        ConfigurationStatus::Disabled => sdk::ConfigurationStatus::Disabled,
    }
}

/// A value that we do not know is absent, and so differs from every wanted one.
pub(super) fn images(images: &sdk::ImageGenerationConfiguration) -> ImageGenerationConfiguration {
    ImageGenerationConfiguration {
        status: status(&images.status),
        image_selector_type: match images.image_selector_type {
            sdk::ImageSelectorType::ServerTimestamp => Some(ImageSelectorType::ServerTimestamp),
            sdk::ImageSelectorType::ProducerTimestamp => Some(ImageSelectorType::ProducerTimestamp),
            _ => None,
        },
        destination_config: images
            .destination_config
            .as_ref()
            .map(|destination| ImageDestination {
                uri: destination.uri.clone(),
                destination_region: Some(destination.destination_region.clone()),
            }),
        sampling_interval: Some(images.sampling_interval),
        format: match images.format {
            sdk::Format::Jpeg => Some(ImageFormat::Jpeg),
            sdk::Format::Png => Some(ImageFormat::Png),
            _ => None,
        },
        format_config: images
            .format_config
            .as_ref()
            .and_then(|config| config.get(&sdk::FormatConfigKey::JpegQuality))
            .map(|quality| ImageFormatConfig {
                jpeg_quality: quality.clone(),
            }),
        width_pixels: images.width_pixels,
        height_pixels: images.height_pixels,
    }
}

pub(super) fn sdk_images(
    images: &ImageGenerationConfiguration,
) -> Result<sdk::ImageGenerationConfiguration, BuildError> {
    let destination = images.destination_config.as_ref().map(|destination| {
        sdk::ImageGenerationDestinationConfig::builder()
            .uri(&destination.uri)
            .set_destination_region(destination.destination_region.clone())
            .build()
    });
    sdk::ImageGenerationConfiguration::builder()
        .set_status(images.status.map(sdk_status))
        .set_image_selector_type(images.image_selector_type.map(|selector| match selector {
            ImageSelectorType::ServerTimestamp => sdk::ImageSelectorType::ServerTimestamp,
            ImageSelectorType::ProducerTimestamp => sdk::ImageSelectorType::ProducerTimestamp,
        }))
        .set_destination_config(destination.transpose()?)
        .set_sampling_interval(images.sampling_interval)
        .set_format(images.format.map(|format| match format {
            ImageFormat::Jpeg => sdk::Format::Jpeg,
            ImageFormat::Png => sdk::Format::Png,
        }))
        .set_format_config(
            images
                .format_config
                .as_ref()
                .map(|config| [(sdk::FormatConfigKey::JpegQuality, config.jpeg_quality.clone())].into()),
        )
        .set_width_pixels(images.width_pixels)
        .set_height_pixels(images.height_pixels)
        .build()
}

pub(super) fn notification(notification: &sdk::NotificationConfiguration) -> NotificationConfiguration {
    NotificationConfiguration {
        status: status(&notification.status),
        destination_config: notification.destination_config.as_ref().map(|destination| {
            NotificationDestination {
                uri: destination.uri.clone(),
            }
        }),
    }
}

pub(super) fn sdk_notification(
    notification: &NotificationConfiguration,
) -> Result<sdk::NotificationConfiguration, BuildError> {
    let destination = notification.destination_config.as_ref().map(|destination| {
        sdk::NotificationDestinationConfig::builder()
            .uri(&destination.uri)
            .build()
    });
    sdk::NotificationConfiguration::builder()
        .set_status(notification.status.map(sdk_status))
        .set_destination_config(destination.transpose()?)
        .build()
}
