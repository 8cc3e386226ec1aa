//! The archiver on ports in memory: whatever happens on the way, every fragment ends in S3 exactly once.

mod erased;
mod interleavings;
mod once;
mod reading;
mod sweeps;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{
    Archiver,
    manifest::{Fate as Became, Flag, Manifest, Root},
    plan::Plan,
    progress::Nobody,
    request::{ArchiveReport, ArchiveRequest, Outcome, RecordingIdentity, Task, TimestampType, VERSION},
    spool::Spool,
    store::Store,
};
use crate::{
    api::{Clip, Container, Destination, ObjectRef, S3Destination, Span},
    archive::schema,
    aws::{
        Fragment, FragmentNumber, Kind,
        fake::{FakeClock, FakeFootage, FakeObjects, FakeStream, Fate, Misbehaviour, matroska},
        objects::Object,
    },
    clock::AwsClock,
};

const ARN: &str = "arn:aws:kinesisvideo:eu-west-1:123456789012:stream/front-door/1763800000000";

/// A stream and a bucket, and archivers that come and go.
struct World {
    stream: Arc<Mutex<FakeStream>>,
    bucket: Arc<Mutex<BTreeMap<String, Object>>>,
    clock: Arc<FakeClock>,
    start: Timestamp,
}

/// The producer's tags of a fragment: some have one.
fn tags(n: u64) -> Vec<(&'static str, &'static str)> {
    if n % 7 == 3 {
        vec![("door", "open")]
    } else {
        vec![]
    }
}

fn number(n: u64) -> FragmentNumber {
    format!("91343852333185057105875891022195998207{n:06}")
        .parse()
        .unwrap()
}

impl World {
    /// `fragments` of two seconds each, the first at the recording's start; now is an hour later.
    fn new(fragments: u64) -> Self {
        let start: Timestamp = "2025-11-22T10:00:00Z".parse().unwrap();
        let stream = FakeStream {
            arn: ARN.parse().unwrap(),
            retention_hours: 24,
            gone: false,
            footage: Vec::new(),
            misbehaving: BTreeMap::new(),
            asked: BTreeMap::new(),
        };
        let world = Self {
            stream: Arc::new(Mutex::new(stream)),
            bucket: Arc::default(),
            clock: FakeClock::at(start + SignedDuration::from_hours(1)),
            start,
        };
        (0..fragments).for_each(|n| world.add(n, n as i64 * 2000, "A_TEST"));
        world
    }

    fn at(&self, ms: i64) -> Timestamp {
        self.start + SignedDuration::from_millis(ms)
    }

    /// A fragment whose producer time is `ms` after the start; the server has it a second later.
    fn add(&self, n: u64, ms: i64, codec: &str) {
        let mut fragment = Fragment {
            number: number(n),
            producer: self.at(ms),
            server: self.at(ms),
            length_ms: 1960,
            bytes: 0,
        };
        let media = matroska::fragment(&fragment, codec, &format!("<{n}>"), &tags(n));
        fragment.bytes = media.len() as u64 - 300;
        self.stream.lock().unwrap().footage.push((fragment, media));
    }

    fn misbehave(&self, n: u64, how: Option<Misbehaviour>) {
        let mut stream = self.stream.lock().unwrap();
        match how {
            Some(how) => stream.misbehaving.insert(number(n), how),
            None => stream.misbehaving.remove(&number(n)),
        };
    }

    fn archiver(&self, fate: &Arc<Fate>, blind: &[u64]) -> Archiver {
        let clock = AwsClock::new(self.clock.clone());
        let footage = FakeFootage {
            stream: self.stream.clone(),
            blind: blind.iter().map(|n| number(*n)).collect(),
            fate: fate.clone(),
            clock: clock.clone(),
        };
        let objects = FakeObjects {
            bucket: self.bucket.clone(),
            fate: fate.clone(),
            clock: self.clock.clone(),
        };
        Archiver {
            footage: Arc::new(footage),
            store: Store::new(Arc::new(objects), self.clock.clone()),
            clock,
            spool: Spool::new(None).unwrap().in_order(),
            fragments_per_second: 7,
            watcher: Arc::new(Nobody),
        }
    }

    fn request(&self, task: Task) -> ArchiveRequest {
        ArchiveRequest {
            role_arn: None,
            external_id: None,
            version: VERSION,
            stream_arn: ARN.into(),
            recording: RecordingIdentity {
                namespace: "cameras".into(),
                name: "front-door-1".into(),
                timestamp_type: TimestampType::ServerTimestamp,
                start: self.start,
                end: None,
            },
            task,
            destination: Destination {
                s3: S3Destination {
                    bucket: "footage".into(),
                    prefix: "archive".into(),
                    ..S3Destination::default()
                },
            },
            legal_hold: false,
            clip: Clip {
                duration: Span::from_secs(20),
                container: Container::Auto,
            },
            settle: Span::from_mins(1),
            cause: None,
        }
    }

    fn slice(&self, from: i64, to: i64, predecessor: Option<ObjectRef>) -> ArchiveRequest {
        self.request(Task::Slice {
            from: self.at(from),
            to: self.at(to),
            predecessor,
        })
    }

    fn sweep(&self, number: u32, through: i64, close: bool) -> ArchiveRequest {
        self.request(Task::Sweep {
            number,
            through: self.at(through),
            predecessor: None,
            close,
            late_uploads: false,
        })
    }

    async fn run(&self, request: &ArchiveRequest) -> ArchiveReport {
        self.archiver(&Arc::default(), &[]).archive(request).await
    }

    fn keys(&self) -> BTreeSet<String> {
        self.bucket.lock().unwrap().keys().cloned().collect()
    }

    fn objects(&self) -> BTreeMap<String, Bytes> {
        self.bucket
            .lock()
            .unwrap()
            .iter()
            .map(|(key, object)| (key.clone(), object.bytes.clone()))
            .collect()
    }

    fn manifests(&self) -> Vec<Manifest> {
        let documents = self
            .objects()
            .into_iter()
            .filter(|(key, _)| key.ends_with(".manifest.json"));
        documents
            .map(|(_, bytes)| serde_json::from_slice(&bytes).unwrap())
            .collect()
    }

    /// How often fragments that are in a file in S3 were asked for.
    fn asked_of_stored(&self) -> BTreeMap<FragmentNumber, u32> {
        let objects = self.objects();
        let files = || objects.iter().filter(|(key, _)| key.contains("/stream="));
        let asked = self.stream.lock().unwrap().asked.clone();
        let is_stored = |number: &FragmentNumber| {
            let n: u64 = number.as_str()[38..].parse().unwrap();
            let name = format!("<{n}>/0;");
            files().any(|(_, bytes)| bytes.windows(name.len()).any(|w| w == name.as_bytes()))
        };
        asked
            .into_iter()
            .filter(|(number, _)| is_stored(number))
            .collect()
    }

    /// The judge: reads manifests and files alone, and says which fragments are archived, lost and unread. Fails where a
    /// fragment is archived twice, a file is missing or changed, or does not hold what its manifest says, whole and in order.
    fn judge(&self) -> Verdict {
        let objects = self.objects();
        let mut verdict = Verdict::default();
        for (key, bytes) in &objects {
            schema::check(key, bytes);
        }
        for manifest in self.manifests() {
            assert_eq!(manifest.counts, manifest.counted());
            let mut inside: Vec<Vec<&FragmentNumber>> = vec![vec![]; manifest.objects.len()];
            for entry in &manifest.fragments {
                let number = &entry.fragment.number;
                match &entry.fate {
                    Became::Object(index) => {
                        assert!(
                            verdict.archived.insert(number.clone()),
                            "{number} is archived twice"
                        );
                        inside[*index as usize].push(number);
                        let n: u64 = number.as_str()[38..].parse().unwrap();
                        let raw = manifest.objects[*index as usize].flags.contains(&Flag::Raw);
                        let told = entry
                            .tags
                            .iter()
                            .map(|(name, value)| (name.as_str(), value.as_str()));
                        assert!(raw || told.eq(tags(n)), "the tags of {number}");
                    }
                    Became::Lost(_) => assert!(verdict.lost.insert(number.clone()), "{number} is lost twice"),
                    Became::Unread(_) => {
                        verdict.unread.insert(number.clone());
                    }
                    Became::Erased(_) => {
                        assert!(verdict.erased.insert(number.clone()), "{number} is erased twice")
                    }
                }
            }
            for (object, numbers) in manifest.objects.iter().zip(inside) {
                let content = objects
                    .get(&object.key)
                    .unwrap_or_else(|| panic!("{} is missing", object.key));
                assert_eq!(
                    hex::encode(Sha256::digest(content)),
                    object.sha256,
                    "{}",
                    object.key
                );
                assert_eq!(content.len() as u64, object.bytes);
                verdict.named.insert(object.key.clone());
                if object.flags.contains(&Flag::Raw) {
                    continue;
                }
                let mut at = 0;
                for number in numbers {
                    let n: u64 = number.as_str()[38..].parse().unwrap();
                    for frame in 0..=49 {
                        let name = format!("<{n}>/{frame};");
                        let found = content[at..]
                            .windows(name.len())
                            .position(|w| w == name.as_bytes());
                        at += found.unwrap_or_else(|| panic!("{name} is not in {} in its place", object.key))
                            + name.len();
                    }
                }
                assert!(
                    !content[at..].contains(&b'<'),
                    "{} holds more than its manifest says",
                    object.key
                );
            }
        }
        assert!(verdict.archived.is_disjoint(&verdict.lost));
        assert!(verdict.archived.is_disjoint(&verdict.erased));
        verdict.unread = &(&(&verdict.unread - &verdict.archived) - &verdict.lost) - &verdict.erased;
        verdict
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    archived: BTreeSet<FragmentNumber>,
    lost: BTreeSet<FragmentNumber>,
    unread: BTreeSet<FragmentNumber>,
    erased: BTreeSet<FragmentNumber>,
    named: BTreeSet<String>,
}

fn numbers(range: impl IntoIterator<Item = u64>) -> BTreeSet<FragmentNumber> {
    range.into_iter().map(number).collect()
}
