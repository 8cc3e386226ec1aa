//! What one piece of work archives, decided before anything is fetched: which fragments, in which files, up to where.
//!
//! Pure. A plan is written once, by a conditional creation; whoever comes later does what is in it, whatever his own view of
//! ListFragments. So nothing in it depends on when, where or how often it is tried.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    gaps,
    keys::Piece,
    request::{RecordingIdentity, TimestampType},
};
use crate::{
    api::{Clip, ObjectRef},
    aws::Fragment,
};

/// The version of plans, manifests and roots. A program refuses a version that it does not know.
pub const VERSION: u32 = 1;

/// The longest slice.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(4);

/// The most fragments in a piece of work.
pub const FRAGMENTS: usize = 20_000;

/// The most bytes in a file, by what KVS lists: far below what one PutObject may hold, and a bound for the spool.
const FILE_BYTES: u64 = 1 << 30;

/// A camera whose clock is further off than this gets flagged, and the day in the key is the server's.
const SKEW: SignedDuration = SignedDuration::from_hours(24);

/// Reads a document of the archive. Its version comes first: one that this program does not know may say anything.
///
/// # Errors
/// It is of another version, or not what it is read as; the text says which.
pub fn document<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } =
        serde_json::from_slice(bytes).map_err(|e| format!("it cannot be read: {e}"))?;
    if version != VERSION {
        return Err(format!(
            "it is of version {version}, and this program knows version {VERSION}: use the one that wrote it"
        ));
    }
    serde_json::from_slice(bytes).map_err(|e| format!("it cannot be read as what its name says: {e}"))
}

/// A document about a piece of work: what plans and manifests say alike.
pub trait About {
    /// The stream's ARN and the work.
    fn about(&self) -> (&str, Work);
}

impl About for Plan {
    fn about(&self) -> (&str, Work) {
        (&self.stream_arn, self.work)
    }
}

/// The document.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// The document's version.
    pub version: u32,
    /// The stream.
    #[serde(rename = "streamARN")]
    pub stream_arn: String,
    /// The recording.
    pub recording: RecordingIdentity,
    /// Which piece of work it is.
    pub work: Work,
    /// How footage is cut into files.
    pub clip: Clip,
    /// The manifest before this one's: slices follow slices, sweeps follow sweeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<ObjectRef>,
    /// The files, in order, as far as they can be known before the footage is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<Chunk>,
    /// Where the camera's time has holes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Hole>,
    /// Where the camera sent a time again, or went back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<Hole>,
    /// Up to where the camera's time is covered by this slice and those before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covered: Option<Timestamp>,
    /// Footage that was lost before it could be listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_spans: Vec<LostSpan>,
    /// Sweep: fragments that an earlier manifest names unread and that are lost now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostFragment>,
}

/// Which piece of work a plan or manifest is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Work {
    /// The window [from, through) of the recording's kind of time.
    #[serde(rename_all = "camelCase")]
    Slice {
        /// Its start, inclusive.
        from: Timestamp,
        /// Its end, exclusive.
        through: Timestamp,
    },
    /// What a sweep found.
    #[serde(rename_all = "camelCase")]
    Sweep {
        /// Its place among what sweeps of this recording found, from 1.
        position: u32,
        /// The number of the sweep that found it.
        number: u32,
        /// Where that sweep's listing ended, exclusive.
        through: Timestamp,
        /// It found nothing more, and the recording is closed with it: this document takes the place of any later find.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        close: bool,
    },
}

impl Work {
    /// Its place in the bucket.
    pub const fn piece(&self) -> Piece {
        match self {
            Self::Slice { from, .. } => Piece::Slice(*from),
            Self::Sweep { position, .. } => Piece::Sweep(*position),
        }
    }
}

/// Fragments for one file (more, where the codec changes in between).
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chunk {
    /// The camera's clock is more than 24 h off: the day in the key is the server's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clock_skew: bool,
    /// The fragments, in the order in which KVS took them in.
    pub fragments: Vec<Fragment>,
}

/// A span of the camera's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hole {
    /// Where it begins.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
}

/// A span of the recording's kind of time whose footage was lost before it could be listed.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LostSpan {
    /// Its start, inclusive.
    pub from: Timestamp,
    /// Its end, exclusive.
    pub to: Timestamp,
    /// Why.
    pub reason: String,
}

/// A fragment that is lost.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LostFragment {
    /// The fragment.
    pub fragment: Fragment,
    /// Why.
    pub reason: String,
}

/// Fragments cut into files, and what the camera's clock did between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The files.
    pub chunks: Vec<Chunk>,
    /// Holes in the camera's time.
    pub gaps: Vec<Hole>,
    /// Times that the camera sent again.
    pub repeats: Vec<Hole>,
    /// Up to where the camera's time is covered now.
    pub covered: Option<Timestamp>,
}

/// Where a slice that begins at `from` ends at the latest; `None`: nothing is due yet. A cut that is chosen here lies between
/// milliseconds: finer ones tell no fragments apart, and whoever keeps the cut may not hold them.
pub fn due(from: Timestamp, to: Timestamp, now: Timestamp, settle: SignedDuration) -> Option<Timestamp> {
    let whole = |at: Timestamp| Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
    let settled = now.checked_sub(settle).map_or(Timestamp::MIN, whole);
    let longest = from.checked_add(LONGEST).map_or(Timestamp::MAX, whole);
    let end = to.min(settled).min(longest);
    (from < end).then_some(end)
}

/// Keeps the earliest `most` fragments at most, and says where the slice then ends: `end`, or the time of the first fragment
/// that is left out. A cut lies only between different milliseconds; `None`: there is no place for one.
pub fn limit(
    fragments: &mut Vec<Fragment>,
    by: TimestampType,
    end: Timestamp,
    most: usize,
) -> Option<Timestamp> {
    if fragments.len() <= most {
        return Some(end);
    }
    fragments.sort_by(|a, b| (a.time(by), &a.number).cmp(&(b.time(by), &b.number)));
    let end = fragments[most].time(by);
    let keep = fragments.partition_point(|f| f.time(by) < end);
    fragments.truncate(keep);
    (keep > 0).then_some(end)
}

impl Fragment {
    /// Its time of this kind.
    pub fn time(&self, by: TimestampType) -> Timestamp {
        match by {
            TimestampType::ServerTimestamp => self.server,
            TimestampType::ProducerTimestamp => self.producer,
        }
    }

    /// Whether the camera's clock is more than 24 h off.
    pub fn clock_skew(&self) -> bool {
        self.producer.duration_since(self.server).abs() > SKEW
    }
}

/// Cuts fragments into files: at the clip's duration, at gaps, where the camera's time goes back or repeats, and at the size
/// that a file may have. `covered`: up to where earlier slices cover the camera's time.
pub fn cut(mut fragments: Vec<Fragment>, clip: &Clip, covered: Option<Timestamp>) -> Cut {
    fragments.sort_by(|a, b| a.number.cmp(&b.number));
    fragments.dedup_by(|a, b| a.number == b.number);
    let tolerance = gaps::tolerance(&fragments);
    let mut repeats = Vec::new();
    let gaps = gaps::between(&fragments, tolerance, covered);
    let covered = fragments
        .iter()
        .filter(|f| !f.clock_skew())
        .map(Fragment::producer_end)
        .max()
        .max(covered);
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut bytes = 0;
    for fragment in fragments {
        let skew = fragment.clock_skew();
        let same_file = chunks.last().is_some_and(|chunk| {
            let [first, last] = chunk.ends();
            let apart = fragment.producer.duration_since(last.producer_end());
            let back = fragment.producer <= last.producer || apart < -tolerance;
            if back && skew == chunk.clock_skew {
                repeats.push(Hole {
                    from: fragment.producer,
                    to: last.producer_end().max(fragment.producer),
                });
            }
            !back
                && apart <= tolerance
                && skew == chunk.clock_skew
                && fragment.producer.duration_since(first.producer) < clip.duration.duration()
                && bytes + fragment.bytes <= FILE_BYTES
        });
        match chunks.last_mut().filter(|_| same_file) {
            Some(chunk) => {
                bytes += fragment.bytes;
                chunk.fragments.push(fragment);
            }
            None => {
                bytes = fragment.bytes;
                chunks.push(Chunk {
                    clock_skew: skew,
                    fragments: vec![fragment],
                });
            }
        }
    }
    Cut {
        chunks,
        gaps,
        repeats,
        covered,
    }
}

impl Chunk {
    fn ends(&self) -> [&Fragment; 2] {
        // A chunk is made with its first fragment, and none is ever taken out.
        [&self.fragments[0], &self.fragments[self.fragments.len() - 1]]
    }

    /// Its first fragment.
    pub fn first(&self) -> &Fragment {
        self.ends()[0]
    }

    /// Its last fragment.
    pub fn last(&self) -> &Fragment {
        self.ends()[1]
    }

    /// Its size in KVS, in bytes.
    pub fn bytes(&self) -> u64 {
        self.fragments.iter().map(|f| f.bytes).sum()
    }
}

#[cfg(test)]
mod tests;
