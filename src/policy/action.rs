//! What a pass may do: to Recordings, and to alarms.
//!
//! Pure: says what is to be done and tells of it; `act` does it.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use kube::ResourceExt;

use super::windows::Change;
use crate::{
    api::Recording,
    aws::{Place, alarms::NewAlarm},
};

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make a Recording; `entry` is what the checkpoint stays before until it is there.
    Begin(Box<Recording>, Timestamp),
    /// Set where a Recording stops or ends.
    Change {
        /// What to set.
        change: Change,
        /// The version of the Recording that this follows from.
        version: Option<String>,
    },
    /// Make an alarm, or overwrite it.
    PutAlarm {
        /// Where it is.
        place: Place,
        /// The alarm.
        alarm: Box<NewAlarm>,
        /// Whether there is none yet.
        new: bool,
    },
    /// Set tags that an alarm lacks.
    TagAlarm {
        /// Where it is.
        place: Place,
        /// Its name.
        name: String,
        /// Its ARN.
        arn: String,
        /// The tags.
        tags: BTreeMap<String, String>,
    },
    /// Delete an alarm.
    DeleteAlarm {
        /// Where it is.
        place: Place,
        /// Its name.
        name: String,
    },
}

impl Action {
    /// Whether it changes an alarm: those calls are few a second.
    pub fn is_alarm_write(&self) -> bool {
        !matches!(self, Self::Begin(..) | Self::Change { .. })
    }

    /// One word for Events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Begin(..) => "RecordingStarted",
            Self::Change {
                change: Change { end: Some(_), .. },
                ..
            } => "RecordingEnded",
            Self::Change { .. } => "RecordingHeld",
            Self::PutAlarm { new: true, .. } => "AlarmCreated",
            Self::PutAlarm { .. } | Self::TagAlarm { .. } => "AlarmUpdated",
            Self::DeleteAlarm { .. } => "AlarmDeleted",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(recording, _) => {
                let spec = &recording.spec;
                write!(
                    f,
                    "Recording {} of stream {} begins at {}",
                    recording.name_any(),
                    spec.stream_name,
                    spec.start.0
                )
            }
            Self::Change { change, .. } => match (change.end, change.hold_at) {
                (Some(end), _) => {
                    write!(f, "Recording {} ends at {end}", change.name)?;
                    change
                        .ended
                        .map_or(Ok(()), |ended| write!(f, " ({})", ended.name()))
                }
                (None, Some(hold_at)) => {
                    write!(
                        f,
                        "Recording {} is held at {hold_at}, unless the alarm comes back",
                        change.name
                    )
                }
                (None, None) => write!(f, "Recording {} goes on: the alarm is back", change.name),
            },
            Self::PutAlarm { alarm, new: true, .. } => write!(f, "made alarm {}", alarm.name),
            Self::PutAlarm { alarm, .. } => write!(f, "put alarm {} right", alarm.name),
            Self::TagAlarm { name, tags, .. } => {
                let keys: Vec<_> = tags.keys().map(String::as_str).collect();
                write!(f, "tagged alarm {name} with {}", keys.join(", "))
            }
            Self::DeleteAlarm { name, .. } => write!(f, "deleted alarm {name}"),
        }
    }
}
