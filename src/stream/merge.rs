//! Pure: a configuration of the spec over the one that is there. What the spec leaves out stays; an empty one removes everything.

use crate::api::{ImageGenerationConfiguration, NotificationConfiguration};

/// The image generation that is to be.
pub fn images(
    wanted: &ImageGenerationConfiguration,
    there: Option<&ImageGenerationConfiguration>,
) -> Option<ImageGenerationConfiguration> {
    if *wanted == ImageGenerationConfiguration::default() {
        return None;
    }
    let (wanted, there) = (wanted.clone(), there.cloned().unwrap_or_default());
    Some(ImageGenerationConfiguration {
        status: wanted.status.or(there.status),
        image_selector_type: wanted.image_selector_type.or(there.image_selector_type),
        destination_config: wanted.destination_config.or(there.destination_config),
        sampling_interval: wanted.sampling_interval.or(there.sampling_interval),
        format: wanted.format.or(there.format),
        format_config: wanted.format_config.or(there.format_config),
        width_pixels: wanted.width_pixels.or(there.width_pixels),
        height_pixels: wanted.height_pixels.or(there.height_pixels),
    })
}

/// The notification that is to be.
pub fn notification(
    wanted: &NotificationConfiguration,
    there: Option<&NotificationConfiguration>,
) -> Option<NotificationConfiguration> {
    if *wanted == NotificationConfiguration::default() {
        return None;
    }
    let (wanted, there) = (wanted.clone(), there.cloned().unwrap_or_default());
    Some(NotificationConfiguration {
        status: wanted.status.or(there.status),
        destination_config: wanted.destination_config.or(there.destination_config),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ConfigurationStatus;

    #[test]
    fn what_is_left_out_stays_and_empty_removes() {
        let there = ImageGenerationConfiguration {
            status: Some(ConfigurationStatus::Enabled),
            sampling_interval: Some(3000),
            width_pixels: Some(640),
            ..ImageGenerationConfiguration::default()
        };
        let wanted = ImageGenerationConfiguration {
            status: Some(ConfigurationStatus::Disabled),
            sampling_interval: Some(200),
            ..ImageGenerationConfiguration::default()
        };
        let merged = images(&wanted, Some(&there)).unwrap();
        assert_eq!(
            (merged.status, merged.sampling_interval),
            (wanted.status, Some(200))
        );
        assert_eq!(merged.width_pixels, Some(640));
        assert_eq!(
            images(&ImageGenerationConfiguration::default(), Some(&there)),
            None
        );
        assert_eq!(notification(&NotificationConfiguration::default(), None), None);
    }
}
