//! Where everything of an archive lies in the bucket.
//!
//! Pure. Keys derive from what an object is (stream, recording, slice, fragments), never from when or by whom it was written:
//! whoever does the same work again comes to the same keys.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::request::{RecordingIdentity, TimestampType};
use crate::{
    aws::{Fragment, FragmentNumber, StreamArn},
    names,
};

/// A recording's place in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    prefix: String,
    stream: StreamArn,
    recording: String,
}

/// One piece of work on a recording; what is written for it has a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Piece {
    /// The slice that begins at this time.
    Slice(Timestamp),
    /// The nth thing that sweeps found, from 1.
    Sweep(u32),
}

/// A file of the archive by what its key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// What was decided.
    Plan(Piece),
    /// What came of it: the commit record.
    Manifest(Piece),
    /// The recording's root.
    Root,
    /// The root of a recording that was closed again, by the closing at this position: footage was found behind the root
    /// before.
    LaterRoot(u32),
    /// The producer's tags of the fragments in a file of footage: its metadata has no room for them.
    Tags(FootageId),
}

impl File {
    /// Its name in its recording's folder.
    pub fn name(self) -> String {
        match self {
            Self::Plan(piece) => format!("{}.plan.json", piece.name()),
            Self::Manifest(piece) => format!("{}.manifest.json", piece.name()),
            Self::Root => "recording.json".into(),
            Self::LaterRoot(position) => format!("recording-{position:06}.json"),
            Self::Tags(id) => format!("tags-{id}.json"),
        }
    }

    /// What a name in a recording's folder stands for; `None`: nothing that this version writes.
    pub fn named(name: &str) -> Option<Self> {
        let file = if name == "recording.json" {
            Self::Root
        } else if let Some(position) = name.strip_prefix("recording-") {
            Self::LaterRoot(position.strip_suffix(".json")?.parse().ok()?)
        } else if let Some(id) = name.strip_prefix("tags-") {
            Self::Tags(FootageId::named(id.strip_suffix(".json")?)?)
        } else if let Some(piece) = name.strip_suffix(".plan.json") {
            Self::Plan(Piece::named(piece)?)
        } else {
            Self::Manifest(Piece::named(name.strip_suffix(".manifest.json")?)?)
        };
        (file.name() == name).then_some(file)
    }
}

impl Layout {
    /// The place of this recording of this stream under `prefix` (may be empty).
    pub fn new(prefix: &str, stream: &StreamArn, recording: &RecordingIdentity) -> Self {
        Self {
            prefix: with_slash(prefix),
            stream: stream.clone(),
            recording: folder_name(stream, recording),
        }
    }

    /// The folder of plans, manifests and root, with a slash at its end.
    pub fn folder(&self) -> String {
        format!("{}{}/", stream_folder(&self.prefix, &self.stream), self.recording)
    }

    /// The folder of the stream's tombstones, with a slash at its end.
    pub fn tombstones(&self) -> String {
        super::tombstone::folder(&self.prefix, &self.stream)
    }

    /// The key of a plan, a manifest or the root.
    pub fn key(&self, file: File) -> String {
        self.folder() + &file.name()
    }

    /// What a key of the folder stands for; `None`: nothing that this version writes.
    pub fn file(&self, key: &str) -> Option<File> {
        File::named(key.strip_prefix(&self.folder())?)
    }

    /// The folder of the files of a day (UTC), with a slash at its end.
    pub fn day(&self, time: Timestamp) -> String {
        let Self { prefix, stream, .. } = self;
        format!(
            "{prefix}stream={}/{}",
            stream.name(),
            time.strftime("year=%Y/month=%m/day=%d/")
        )
    }

    /// The key of a file of footage: part `part` of chunk `chunk` of a piece of work, with these fragments in it (at least
    /// one), on the day of `day`.
    pub fn footage(
        &self,
        id: &FootageId,
        day: Timestamp,
        first: &Fragment,
        last: &Fragment,
        extension: &str,
    ) -> String {
        format!(
            "{}{}_{}_{id}.{extension}",
            self.day(day),
            instant(first.producer),
            instant(last.producer_end())
        )
    }

    /// The beginning of an id that fragments are added to.
    pub fn footage_id(&self, piece: Piece, chunk: usize, part: usize) -> FootageIdBuilder {
        let mut hash = Sha256::new();
        for part in [
            self.stream.as_str(),
            &self.recording,
            &piece.name(),
            &chunk.to_string(),
            &part.to_string(),
        ] {
            add(&mut hash, part);
        }
        FootageIdBuilder(hash)
    }
}

/// The folder of all documents of a stream under `prefix` (may be empty), with a slash at its end.
pub fn stream_folder(prefix: &str, stream: &StreamArn) -> String {
    let (prefix, name, creation) = (with_slash(prefix), stream.name(), stream.creation_millis());
    format!("{prefix}_kvs/{name}-{creation}/")
}

/// A prefix with one slash at its end; an empty one stays empty.
pub fn with_slash(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    }
}

/// The recording's folder: its name, and digits of all that makes it this one.
fn folder_name(stream: &StreamArn, recording: &RecordingIdentity) -> String {
    let kind = match recording.timestamp_type {
        TimestampType::ServerTimestamp => "SERVER_TIMESTAMP",
        TimestampType::ProducerTimestamp => "PRODUCER_TIMESTAMP",
    };
    let micros = |t: Timestamp| t.as_microsecond().to_string();
    let start = micros(recording.start);
    let end = recording.end.map(micros);
    let mut identity = vec![
        &recording.namespace,
        &recording.name,
        stream.as_str(),
        kind,
        &start,
    ];
    identity.extend(end.as_deref());
    format!("{}-{}", recording.name, names::digits(&identity))
}

impl Piece {
    /// Its name, which is also its part of the keys and sorts as the pieces do.
    pub fn name(self) -> String {
        match self {
            Self::Slice(from) => format!("slice-{}", from.strftime("%Y%m%dT%H%M%S%.6fZ")),
            Self::Sweep(n) => format!("sweep-{n:06}"),
        }
    }

    fn named(name: &str) -> Option<Self> {
        let piece = if let Some(n) = name.strip_prefix("sweep-") {
            Self::Sweep(n.parse().ok()?)
        } else {
            let from = name.strip_prefix("slice-")?.strip_suffix('Z')?;
            let from = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S%.f", from).ok()?;
            Self::Slice(from.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        };
        (piece.name() == name).then_some(piece)
    }
}

/// A time in a key: UTC, without colons, to the millisecond.
pub fn instant(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%S%.3fZ").to_string()
}

fn add(hash: &mut Sha256, part: &str) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part);
}

/// An id that is being made: fragments are added in their order.
#[derive(Clone)]
pub struct FootageIdBuilder(Sha256);

impl FootageIdBuilder {
    /// Adds a fragment.
    pub fn add(&mut self, number: &FragmentNumber) {
        add(&mut self.0, number.as_str());
    }

    /// The id of the fragments so far.
    pub fn id(&self) -> FootageId {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        FootageId(
            digest
                .iter()
                .take(8)
                .fold(0, |id, byte| id << 8 | u64::from(*byte)),
        )
    }
}

/// What a file of footage is, in 16 hex digits: stream, recording, piece, chunk, part and the fragments in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FootageId(u64);

impl FootageId {
    /// The id that a key of footage holds.
    pub fn of_key(key: &str) -> Option<Self> {
        let name = key.rsplit('/').next()?;
        let (stem, _) = name.split_once('_').map(|(_, rest)| rest)?.rsplit_once('.')?;
        let (_, id) = stem.rsplit_once('_')?;
        Self::named(id)
    }

    fn named(digits: &str) -> Option<Self> {
        let id = Self(u64::from_str_radix(digits, 16).ok()?);
        (id.to_string() == digits).then_some(id)
    }
}

impl std::fmt::Display for FootageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The SHA-256 that names a set of fragments, in hex: of the stream and the numbers in their order. Two files with the same
/// hash hold the same footage, whichever version of the program wrote them.
pub fn fragment_set<'a>(stream: &StreamArn, numbers: impl IntoIterator<Item = &'a FragmentNumber>) -> String {
    let mut hash = Sha256::new();
    add(&mut hash, stream.as_str());
    for number in numbers {
        add(&mut hash, number.as_str());
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kinesisvideo:eu-west-1:123456789012:stream/front-door/1551924009774";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn identity() -> RecordingIdentity {
        RecordingIdentity {
            namespace: "cameras".into(),
            name: "front-door-1".into(),
            timestamp_type: TimestampType::ServerTimestamp,
            start: at("2026-11-22T10:00:00.123456Z"),
            end: None,
        }
    }

    fn layout(prefix: &str) -> Layout {
        Layout::new(prefix, &ARN.parse().unwrap(), &identity())
    }

    fn fragment(number: &str, producer: &str, length_ms: u32) -> Fragment {
        let producer = at(producer);
        Fragment {
            number: number.parse().unwrap(),
            producer,
            server: producer,
            length_ms,
            bytes: 1,
        }
    }

    /// The keys themselves: who changes one of these loses what is already in S3.
    #[test]
    fn keys_are_these() {
        let layout = layout("video/archive");
        let folder = "video/archive/_kvs/front-door-1551924009774/front-door-1-e8fc177c9d/";
        assert_eq!(layout.folder(), folder);
        let slice = Piece::Slice(at("2026-11-22T10:00:00.123456Z"));
        for (file, name) in [
            (File::Plan(slice), "slice-20261122T100000.123456Z.plan.json"),
            (
                File::Manifest(slice),
                "slice-20261122T100000.123456Z.manifest.json",
            ),
            (File::Manifest(Piece::Sweep(3)), "sweep-000003.manifest.json"),
            (File::Root, "recording.json"),
            (File::LaterRoot(5), "recording-000005.json"),
            (File::Tags(FootageId(0xff)), "tags-00000000000000ff.json"),
        ] {
            assert_eq!(layout.key(file), format!("{folder}{name}"));
            assert_eq!(layout.file(&format!("{folder}{name}")), Some(file));
        }
        let (a, b) = (
            fragment("91", "2026-11-22T23:59:58.5Z", 1960),
            fragment("92", "2026-11-23T00:00:00.5Z", 1960),
        );
        let mut id = layout.footage_id(slice, 0, 0);
        id.add(&a.number);
        id.add(&b.number);
        let key = layout.footage(&id.id(), a.producer, &a, &b, "mp4");
        assert_eq!(
            key,
            "video/archive/stream=front-door/year=2026/month=11/day=22/\
             20261122T235958.500Z_20261123T000002.460Z_7c7e64c7330e2559.mp4"
        );
        assert_eq!(FootageId::of_key(&key), Some(id.id()));
    }

    #[test]
    fn no_prefix_no_slash() {
        assert!(layout("").folder().starts_with("_kvs/front-door-"));
        assert!(
            layout("")
                .day(at("2026-01-02T00:00:00Z"))
                .starts_with("stream=front-door/year=2026/month=01/day=02/")
        );
    }

    #[test]
    fn what_makes_a_recording_another_gives_it_another_folder() {
        let arn: StreamArn = ARN.parse().unwrap();
        let other_stream: StreamArn = ARN.replace("774", "775").parse().unwrap();
        let base = Layout::new("p", &arn, &identity()).folder();
        let i = identity;
        for (stream, identity) in [
            (
                &arn,
                RecordingIdentity {
                    namespace: "other".into(),
                    ..i()
                },
            ),
            (
                &arn,
                RecordingIdentity {
                    timestamp_type: TimestampType::ProducerTimestamp,
                    ..i()
                },
            ),
            (
                &arn,
                RecordingIdentity {
                    start: at("2026-11-22T10:00:00.123457Z"),
                    ..i()
                },
            ),
            (
                &arn,
                RecordingIdentity {
                    end: Some(at("2026-11-22T11:00:00Z")),
                    ..i()
                },
            ),
            (&other_stream, i()),
        ] {
            assert_ne!(Layout::new("p", stream, &identity).folder(), base, "{identity:?}");
        }
    }

    #[test]
    fn other_keys_are_not_ours() {
        let layout = layout("p");
        let folder = layout.folder();
        for name in [
            "slice-x.plan.json",
            "sweep-3.manifest.json",
            "recording.json.bak",
            "recording-5.json",
            "tags-ff.json",
            "slice-20261122T100000Z.plan.json",
        ] {
            assert_eq!(layout.file(&format!("{folder}{name}")), None, "{name}");
        }
        assert_eq!(layout.file("p/_kvs/other/recording.json"), None);
        assert_eq!(FootageId::of_key("p/stream=x/a_b_zz.mp4"), None);
    }

    #[test]
    fn an_id_is_of_every_fragment_in_order_and_of_its_place() {
        let layout = layout("p");
        let piece = Piece::Sweep(1);
        let id = |piece, chunk, part, numbers: &[&str]| {
            let mut id = layout.footage_id(piece, chunk, part);
            numbers.iter().for_each(|n| id.add(&n.parse().unwrap()));
            id.id()
        };
        let base = id(piece, 0, 0, &["1", "2"]);
        for other in [
            id(Piece::Sweep(2), 0, 0, &["1", "2"]),
            id(piece, 1, 0, &["1", "2"]),
            id(piece, 0, 1, &["1", "2"]),
            id(piece, 0, 0, &["2", "1"]),
            id(piece, 0, 0, &["12"]),
            id(piece, 0, 0, &["1"]),
        ] {
            assert_ne!(base, other);
        }
    }
}
