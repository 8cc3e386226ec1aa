//! Acknowledgements: one JSON object a line, in the answer to a PutMedia that is still running.

use serde::Serialize;

/// Why a fragment or the whole session is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckError {
    /// The body ended inside a fragment.
    StreamRead,
    /// More than 50 MB.
    FragmentSize,
    /// More than 20 s.
    FragmentDuration,
    /// More than 45 minutes.
    ConnectionDuration,
    /// Time went back within one PutMedia.
    TimecodeLesser,
    /// Not Matroska.
    InvalidMkv,
    /// A producer time that cannot be.
    ProducerTimestamp,
    /// The stream is gone.
    StreamNotActive,
    /// More than 10 tags in a fragment.
    Metadata,
    /// A frame of a track that the header does not have.
    TrackNumber,
    /// A track of the header has no frame in the fragment.
    FramesMissing,
    /// More than 3 tracks.
    Tracks,
    /// The stream's key may not be used.
    KeyDenied,
    /// The simulator could not store it.
    Archival,
}

impl AckError {
    /// The number and the name, as in the API reference and AWS's producers.
    pub const fn code(self) -> (u32, &'static str) {
        match self {
            Self::StreamRead => (4000, "STREAM_READ_ERROR"),
            Self::FragmentSize => (4001, "MAX_FRAGMENT_SIZE_REACHED"),
            Self::FragmentDuration => (4002, "MAX_FRAGMENT_DURATION_REACHED"),
            Self::ConnectionDuration => (4003, "MAX_CONNECTION_DURATION_REACHED"),
            Self::TimecodeLesser => (4004, "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS"),
            Self::InvalidMkv => (4006, "INVALID_MKV_DATA"),
            Self::ProducerTimestamp => (4007, "INVALID_PRODUCER_TIMESTAMP"),
            Self::StreamNotActive => (4008, "STREAM_NOT_ACTIVE"),
            Self::Metadata => (4009, "FRAGMENT_METADATA_LIMIT_REACHED"),
            Self::TrackNumber => (4010, "TRACK_NUMBER_MISMATCH"),
            Self::FramesMissing => (4011, "FRAMES_MISSING_FOR_TRACK"),
            Self::Tracks => (4012, "MORE_THAN_ALLOWED_TRACKS_FOUND"),
            Self::KeyDenied => (4500, "KMS_KEY_ACCESS_DENIED"),
            Self::Archival => (5001, "ARCHIVAL_ERROR"),
        }
    }
}

/// What an acknowledgement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AckEvent {
    /// The fragment has begun to arrive.
    Buffering,
    /// It is complete.
    Received,
    /// It is stored.
    Persisted,
    /// It is refused.
    Error,
    /// Nothing has come for a while.
    Idle,
}

/// An acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ack {
    event_type: AckEvent,
    #[serde(skip_serializing_if = "Option::is_none")]
    fragment_timecode: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fragment_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_id: Option<u32>,
}

impl Ack {
    /// About a fragment: its timecode as the producer sent it, in ms, and its number.
    pub fn fragment(event_type: AckEvent, timecode: i64, number: &str) -> Self {
        let (timecode, number) = (Some(timecode), Some(number.to_owned()));
        Self {
            event_type,
            fragment_timecode: timecode,
            fragment_number: number,
            error_code: None,
            error_id: None,
        }
    }

    /// Nothing comes.
    pub fn idle() -> Self {
        let event_type = AckEvent::Idle;
        Self {
            event_type,
            fragment_timecode: None,
            fragment_number: None,
            error_code: None,
            error_id: None,
        }
    }

    /// A refusal, of the fragment under way where there is one.
    pub fn error(error: AckError, fragment: Option<(i64, String)>) -> Self {
        let (id, name) = error.code();
        let (timecode, number) = fragment.unzip();
        Self {
            event_type: AckEvent::Error,
            fragment_timecode: timecode,
            fragment_number: number,
            error_code: Some(name),
            error_id: Some(id),
        }
    }

    /// The line that goes out.
    pub fn line(&self) -> String {
        // A struct of strings and numbers always has a JSON form.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_aws_writes_them() {
        let persisted = Ack::fragment(AckEvent::Persisted, 252_200, "91");
        assert_eq!(
            persisted.line(),
            "{\"EventType\":\"PERSISTED\",\"FragmentTimecode\":252200,\"FragmentNumber\":\"91\"}\n"
        );
        let error = Ack::error(AckError::TimecodeLesser, Some((0, "92".into())));
        assert_eq!(
            error.line(),
            "{\"EventType\":\"ERROR\",\"FragmentTimecode\":0,\"FragmentNumber\":\"92\",\
             \"ErrorCode\":\"FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS\",\"ErrorId\":4004}\n"
        );
        assert_eq!(Ack::idle().line(), "{\"EventType\":\"IDLE\"}\n");
    }
}
