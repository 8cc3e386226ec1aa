//! What a producer says of its media before the first Cluster: the unit of time, and the tracks.

use super::{Invalid, element, ids};

/// A track, as far as the service looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// The number that blocks refer to.
    pub number: u64,
    /// The kind: 1 video, 2 audio.
    pub kind: u64,
    /// Such as `V_MPEG4/ISO/AVC`.
    pub codec_id: String,
    /// The codec's configuration, as sent.
    pub codec_private: Option<Vec<u8>>,
    /// How long one frame lasts, in ns, where the producer says so.
    pub default_duration: Option<u64>,
}

/// The header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Nanoseconds a tick of time.
    pub scale: u64,
    /// The tracks.
    pub tracks: Vec<Track>,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            scale: 1_000_000,
            tracks: vec![],
        }
    }
}

impl Header {
    /// The track of a number.
    pub fn track(&self, number: u64) -> Option<&Track> {
        self.tracks.iter().find(|t| t.number == number)
    }

    /// Ticks in milliseconds; rounded to the nearest.
    pub fn millis(&self, ticks: i64) -> i64 {
        let nanos = i128::from(ticks) * i128::from(self.scale);
        i64::try_from((nanos + 500_000).div_euclid(1_000_000)).unwrap_or(i64::MAX)
    }

    /// Takes what an Info element's content says.
    pub fn info(&mut self, content: &[u8]) -> Result<(), Invalid> {
        for child in element::children(content) {
            let (id, content) = child?;
            if id == ids::TIMESTAMP_SCALE {
                self.scale = element::uint(content)?;
            }
        }
        if self.scale == 0 {
            return Err(Invalid("the TimestampScale is 0"));
        }
        Ok(())
    }

    /// Takes what a Tracks element's content says.
    pub fn tracks(&mut self, content: &[u8]) -> Result<(), Invalid> {
        for child in element::children(content) {
            let (id, content) = child?;
            if id == ids::TRACK_ENTRY {
                self.tracks.push(track(content)?);
            }
        }
        Ok(())
    }
}

fn track(content: &[u8]) -> Result<Track, Invalid> {
    let mut track = Track {
        number: 0,
        kind: 0,
        codec_id: String::new(),
        codec_private: None,
        default_duration: None,
    };
    for child in element::children(content) {
        let (id, content) = child?;
        match id {
            ids::TRACK_NUMBER => track.number = element::uint(content)?,
            ids::TRACK_TYPE => track.kind = element::uint(content)?,
            ids::CODEC_ID => track.codec_id = element::string(content),
            ids::CODEC_PRIVATE => track.codec_private = Some(content.to_vec()),
            ids::DEFAULT_DURATION => track.default_duration = Some(element::uint(content)?),
            _ => {}
        }
    }
    if track.number == 0 || track.codec_id.is_empty() {
        return Err(Invalid("a track without a number or a codec"));
    }
    Ok(track)
}
