//! Pure data: what is to be done to a stream, with everything that doing it needs, and how it reads.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    api::{DefaultStorageTier, ImageGenerationConfiguration, NotificationConfiguration},
    aws::streams::{NewStream, StreamUpdate},
};

/// One AWS call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the stream.
    Create(NewStream),
    /// Set tags.
    Tag {
        /// The tags.
        tags: BTreeMap<String, String>,
        /// Whether this makes the stream ours, and whose it was.
        adopts: Option<String>,
    },
    /// Remove tags that we had set.
    Untag(Vec<String>),
    /// Change for how long footage is kept.
    Retention {
        /// Hours so far.
        from: i32,
        /// Hours from now on.
        to: i32,
    },
    /// Change media type or device name.
    Update {
        /// Only what differs.
        update: StreamUpdate,
        /// What that is so far.
        from: StreamUpdate,
    },
    /// Change the storage tier.
    Tier {
        /// So far.
        from: DefaultStorageTier,
        /// From now on.
        to: DefaultStorageTier,
    },
    /// Set or remove the image generation.
    Images {
        /// So far.
        from: Option<ImageGenerationConfiguration>,
        /// From now on.
        to: Option<ImageGenerationConfiguration>,
    },
    /// Set or remove the notification.
    Notification {
        /// So far.
        from: Option<NotificationConfiguration>,
        /// From now on.
        to: Option<NotificationConfiguration>,
    },
    /// Delete the stream with all its footage.
    Delete,
}

impl Action {
    /// Whether it makes the stream.
    pub fn creates(&self) -> bool {
        matches!(self, Self::Create(_))
    }

    /// The reason of its Event.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Create(_) => "Created",
            Self::Tag { adopts: Some(_), .. } => "Adopted",
            Self::Tag { .. } => "Tagged",
            Self::Untag(_) => "Untagged",
            Self::Retention { from, to } if from < to => "RetentionIncreased",
            Self::Retention { .. } => "RetentionDecreased",
            Self::Update { .. } | Self::Tier { .. } | Self::Images { .. } | Self::Notification { .. } => {
                "Updated"
            }
            Self::Delete => "Deleted",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(new) => {
                write!(
                    f,
                    "created the stream {}, which keeps footage for {} h",
                    new.name, new.data_retention_in_hours
                )
            }
            Self::Tag {
                tags,
                adopts: Some(whose),
            } => {
                write!(
                    f,
                    "adopted the stream, {whose}; set its tags {}",
                    list(tags.keys())
                )
            }
            Self::Tag { tags, adopts: None } => {
                let tags = tags.iter().map(|(key, value)| format!("{key}={value}"));
                write!(f, "set the tags {}", list(tags))
            }
            Self::Untag(keys) => write!(f, "removed the tags {}", list(keys)),
            Self::Retention { from, to } => write!(f, "dataRetentionInHours: {from} -> {to}"),
            Self::Update { update, from } => {
                let fields = [
                    ("mediaType", &from.media_type, &update.media_type),
                    ("deviceName", &from.device_name, &update.device_name),
                ];
                let changes = fields.iter().filter_map(|(field, old, new)| {
                    Some(format!(
                        "{field}: {} -> {}",
                        old.as_deref().unwrap_or("(none)"),
                        new.as_deref()?
                    ))
                });
                f.write_str(&list(changes))
            }
            Self::Tier { from, to } => write!(
                f,
                "defaultStorageTier: {} -> {}",
                text(Some(from)),
                text(Some(to))
            ),
            Self::Images { from, to } => {
                write!(
                    f,
                    "imageGenerationConfiguration: {} -> {}",
                    text(from.as_ref()),
                    text(to.as_ref())
                )
            }
            Self::Notification { from, to } => {
                write!(
                    f,
                    "notificationConfiguration: {} -> {}",
                    text(from.as_ref()),
                    text(to.as_ref())
                )
            }
            Self::Delete => f.write_str("deleted the stream with its footage"),
        }
    }
}

/// A value as a user would write it.
fn text(value: Option<&impl Serialize>) -> String {
    value
        .and_then(|value| serde_json::to_string(value).ok())
        .unwrap_or_else(|| "(none)".into())
}

fn list(items: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    items
        .into_iter()
        .map(|i| i.as_ref().to_owned())
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_read_with_old_and_new_value() {
        let some = |s: &str| Some(s.to_owned());
        for (action, text) in [
            (
                Action::Retention { from: 24, to: 48 },
                "dataRetentionInHours: 24 -> 48",
            ),
            (
                Action::Update {
                    update: StreamUpdate {
                        media_type: some("video/h265"),
                        device_name: None,
                    },
                    from: StreamUpdate::default(),
                },
                "mediaType: (none) -> video/h265",
            ),
            (
                Action::Untag(vec!["a".into(), "b".into()]),
                "removed the tags a, b",
            ),
        ] {
            assert_eq!(action.to_string(), text);
        }
    }
}
