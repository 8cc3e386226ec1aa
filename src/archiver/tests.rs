//! The archiver on ports in memory: whatever happens on the way, every fragment ends in S3 exactly once.

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
        let media = matroska::fragment(&fragment, codec, &format!("<{n}>"));
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
            spool: Spool::new(None).unwrap(),
            fragments_per_second: 7,
            watcher: Arc::new(Nobody),
        }
    }

    fn request(&self, task: Task) -> ArchiveRequest {
        ArchiveRequest {
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
                    region: None,
                    prefix: "archive".into(),
                    expected_bucket_owner: None,
                },
            },
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
                    }
                    Became::Lost(_) => assert!(verdict.lost.insert(number.clone()), "{number} is lost twice"),
                    Became::Unread(_) => {
                        verdict.unread.insert(number.clone());
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
        verdict.unread = &(&verdict.unread - &verdict.archived) - &verdict.lost;
        verdict
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    archived: BTreeSet<FragmentNumber>,
    lost: BTreeSet<FragmentNumber>,
    unread: BTreeSet<FragmentNumber>,
    named: BTreeSet<String>,
}

fn numbers(range: impl IntoIterator<Item = u64>) -> BTreeSet<FragmentNumber> {
    range.into_iter().map(number).collect()
}

#[tokio::test]
async fn a_slice_is_archived_and_reported() {
    let world = World::new(35);
    let report = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(
        (report.outcome, report.error.as_deref()),
        (Outcome::Committed, None)
    );
    assert_eq!(report.through, Some(world.at(60_000)));
    assert_eq!(
        (report.counts.clips, report.counts.fragments, report.counts.gaps),
        (3, 30, 0)
    );
    assert_eq!(world.judge().archived, numbers(0..30));
    assert!(
        world.stream.lock().unwrap().asked.values().all(|n| *n == 1),
        "nothing is fetched twice"
    );

    let again = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(
        (again.outcome, &again.counts, &again.manifest),
        (report.outcome, &report.counts, &report.manifest)
    );
    let next = world.run(&world.slice(60_000, 3_000_000, report.manifest)).await;
    assert_eq!(
        (next.counts.fragments, next.through),
        (5, Some(world.at(3_000_000)))
    );
    assert_eq!(world.judge().archived, numbers(0..35));
}

#[tokio::test]
async fn an_empty_slice_is_committed_and_hands_on_what_it_got() {
    let world = World::new(5);
    world.add(100, 600_000, "A_TEST");
    let first = world.run(&world.slice(0, 60_000, None)).await;
    let empty = world.run(&world.slice(60_000, 500_000, first.manifest)).await;
    assert_eq!(
        (empty.outcome, empty.counts.fragments, empty.counts.gaps),
        (Outcome::Committed, 0, 0)
    );
    let third = world.run(&world.slice(500_000, 700_000, empty.manifest)).await;
    assert_eq!(
        (third.counts.fragments, third.counts.gaps),
        (1, 1),
        "the gap lies across slices"
    );
}

#[tokio::test]
async fn nothing_is_written_before_anything_is_due() {
    let world = World::new(5);
    world.clock.set(world.at(50_000));
    let report = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(report.outcome, Outcome::TryAgain);
    assert!(world.keys().is_empty());
    world.clock.set(world.at(64_000));
    let report = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(
        (report.through, report.counts.fragments),
        (Some(world.at(4_000)), 2)
    );
}

/// Killed at every call, before and after it took effect, and run again: the same keys, the same bytes, nothing overwritten.
#[tokio::test]
async fn killed_at_any_call_and_run_again() {
    for sweeping in [false, true] {
        let scene = || {
            let world = World::new(30);
            world.add(40, 60_000, "A_OTHER");
            world.add(41, 62_000, "A_TEST");
            world
        };
        let reference = scene();
        let whole = async |world: &World, fate: &Arc<Fate>, blind: &[u64]| {
            let request = world.slice(0, 64_000, None);
            if !sweeping {
                return world.archiver(fate, blind).archive(&request).await;
            }
            // Here the slice saw only a part, and it is the sweep that gets killed.
            world
                .archiver(&Arc::default(), &[3, 17, 18, 40])
                .archive(&request)
                .await;
            let found = world
                .archiver(fate, &[])
                .archive(&world.sweep(0, 64_000, false))
                .await;
            if found.outcome != Outcome::Committed {
                return found;
            }
            world
                .archiver(fate, &[])
                .archive(&world.sweep(1, 64_000, true))
                .await
        };
        let reported = whole(&reference, &Arc::default(), &[]).await;
        assert_eq!(reported.error, None);
        let expected = reference.objects();
        assert_eq!(reference.judge().archived, numbers((0..30).chain(40..42)));
        let (mut call, mut finished) = (0, false);
        while !finished {
            call += 1;
            finished = true;
            for after in [false, true] {
                let world = scene();
                let fate = Fate::dies_at(call, after);
                whole(&world, &fate, &[]).await;
                finished &= !fate.died();
                let before = world.objects();
                let report = whole(&world, &Arc::default(), &[]).await;
                assert_eq!(
                    (report.outcome, &report.counts),
                    (reported.outcome, &reported.counts),
                    "call {call}"
                );
                let now = world.objects();
                assert!(
                    before.iter().all(|(key, bytes)| now.get(key) == Some(bytes)),
                    "call {call}: overwritten"
                );
                assert_eq!(now, expected, "call {call}, after: {after}");
                world.judge();
            }
        }
        assert!(call > 10, "it was killed in {call} places");
    }
}

/// Two at once that see different listings: one plan wins, both do the same.
#[tokio::test]
async fn two_at_once_with_different_views() {
    for (a, b) in [
        (vec![], vec![29]),
        (vec![0, 9, 28], vec![4, 5]),
        (vec![7], vec![]),
    ] {
        let world = World::new(30);
        let slice = world.slice(0, 60_000, None);
        let (one, two) = (
            world.archiver(&Arc::default(), &a),
            world.archiver(&Arc::default(), &b),
        );
        let (one, two) = tokio::join!(one.archive(&slice), two.archive(&slice));
        assert_eq!(
            (&one.error, &one.counts, &one.manifest),
            (&two.error, &two.counts, &two.manifest)
        );
        assert_eq!(one.outcome, Outcome::Committed);

        // Two sweeps at once, again with different views, and one that closes.
        let (one, two) = (
            world.archiver(&Arc::default(), &a),
            world.archiver(&Arc::default(), &b),
        );
        let (first, second) = (world.sweep(0, 60_000, false), world.sweep(0, 60_000, true));
        tokio::join!(one.archive(&first), two.archive(&second));
        let mut rounds = 1;
        let closed = loop {
            let report = world.run(&world.sweep(rounds, 60_000, true)).await;
            assert_eq!(report.error, None);
            if report.outcome == Outcome::Closed {
                break report;
            }
            rounds += 1;
            assert!(rounds < 5);
        };
        let verdict = world.judge();
        assert_eq!(closed.counts.fragments as usize, verdict.archived.len());
        let root: Root = serde_json::from_slice(&world.objects()[&closed.root.unwrap().key]).unwrap();
        assert_eq!(
            root.manifests.len(),
            world.manifests().len(),
            "the root names every manifest"
        );
        let files: BTreeSet<_> = world
            .keys()
            .into_iter()
            .filter(|k| k.contains("/stream="))
            .collect();
        assert_eq!(files, verdict.named, "every file is named");
    }
}

#[tokio::test]
async fn a_sweep_finds_what_was_listed_late_and_closes_when_nothing_is_new() {
    let world = World::new(30);
    let blind = world.archiver(&Arc::default(), &[4, 5, 20]);
    let slice = blind.archive(&world.slice(0, 60_000, None)).await;
    assert_eq!((slice.counts.fragments, slice.counts.gaps), (27, 2));
    let still_blind = blind.archive(&world.sweep(0, 60_000, false)).await;
    assert_eq!(
        (still_blind.outcome, still_blind.counts.fragments),
        (Outcome::NothingNew, 27)
    );
    let found = world.run(&world.sweep(1, 60_000, true)).await;
    assert_eq!((found.outcome, found.counts.fragments), (Outcome::Committed, 30));
    let again = world.run(&world.sweep(1, 60_000, true)).await;
    assert_eq!(
        (again.outcome, &again.counts, &again.manifest),
        (found.outcome, &found.counts, &found.manifest)
    );
    let closed = world.run(&world.sweep(2, 60_000, true)).await;
    assert_eq!((closed.outcome, closed.counts.fragments), (Outcome::Closed, 30));
    assert_eq!(world.run(&world.sweep(2, 60_000, true)).await.root, closed.root);
    assert_eq!(world.judge().archived, numbers(0..30));
}

#[tokio::test]
async fn what_cannot_be_read_is_unread_then_archived_or_lost() {
    for (name, how, expected) in [
        (
            "an error in band",
            Misbehaviour::Reported("5000"),
            "reported 5000",
        ),
        (
            "not found in band",
            Misbehaviour::Reported("4000"),
            "reported 4000",
        ),
        ("absent", Misbehaviour::Absent, "without it"),
        ("a failing call", Misbehaviour::Fails(Kind::Unavailable), "fails"),
        ("an invalid number", Misbehaviour::Fails(Kind::Invalid), "fails"),
        ("denied in band", Misbehaviour::Reported("4502"), "reported 4502"),
        ("a cut body", Misbehaviour::Cut(700), "ends inside"),
    ] {
        let world = World::new(30);
        world.misbehave(12, Some(how));
        let report = world.run(&world.slice(0, 60_000, None)).await;
        assert_eq!(
            (report.outcome, report.error),
            (Outcome::Committed, None),
            "{name}"
        );
        assert_eq!((report.counts.fragments, report.counts.unread), (29, 1), "{name}");
        let text = serde_json::to_string(&world.manifests()).unwrap();
        assert!(text.contains(expected), "{name}: {text}");

        let sweep = world.run(&world.sweep(0, 60_000, true)).await;
        assert_eq!(
            (sweep.outcome, sweep.counts.unread, sweep.root),
            (Outcome::NothingNew, 1, None),
            "{name}"
        );
        world.misbehave(12, None);
        let sweep = world.run(&world.sweep(1, 60_000, true)).await;
        assert_eq!(
            (sweep.outcome, sweep.counts.unread, sweep.counts.fragments),
            (Outcome::Committed, 0, 30),
            "{name}"
        );
        assert_eq!(
            world.run(&world.sweep(2, 60_000, true)).await.outcome,
            Outcome::Closed,
            "{name}"
        );
        assert_eq!(world.judge().archived, numbers(0..30), "{name}");
    }
}

#[tokio::test]
async fn unread_becomes_lost_when_retention_has_taken_it_and_not_before() {
    let world = World::new(30);
    world.misbehave(12, Some(Misbehaviour::Reported("4500")));
    world.run(&world.slice(0, 60_000, None)).await;
    world.clock.set(world.at(23 * 3_600_000 + 1_800_000));
    let before = world.run(&world.sweep(0, 60_000, true)).await;
    assert_eq!(
        (before.outcome, before.counts.unread, before.counts.lost),
        (Outcome::NothingNew, 1, 0)
    );
    world.clock.set(world.at(24 * 3_600_000 + 60_000));
    let after = world.run(&world.sweep(1, 60_000, true)).await;
    assert_eq!(
        (after.outcome, after.counts.unread, after.counts.lost),
        (Outcome::Committed, 0, 1)
    );
    assert!(
        after.losses[0].reason.starts_with("Expired"),
        "{:?}",
        after.losses
    );
    let closed = world.run(&world.sweep(2, 60_000, true)).await;
    assert_eq!(
        (closed.outcome, closed.counts.lost, closed.losses.len()),
        (Outcome::Closed, 1, 1)
    );
    assert_eq!(
        (world.judge().archived.len(), world.judge().lost),
        (29, numbers([12]))
    );
}

#[tokio::test]
async fn what_cannot_be_parsed_is_stored_as_it_came() {
    let world = World::new(30);
    world.misbehave(12, Some(Misbehaviour::Garbage));
    let report = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(
        (report.outcome, report.counts.fragments, report.counts.unread),
        (Outcome::Committed, 30, 0)
    );
    let raw: Vec<_> = world
        .manifests()
        .into_iter()
        .flat_map(|m| m.objects)
        .filter(|o| o.flags.contains(&Flag::Raw))
        .collect();
    assert_eq!(raw.len(), 1);
    world.judge();
}

#[tokio::test]
async fn refused_altogether_commits_nothing() {
    for how in [Misbehaviour::Reported("4501"), Misbehaviour::Fails(Kind::Denied)] {
        let world = World::new(30);
        (0..30).for_each(|n| world.misbehave(n, Some(how.clone())));
        let report = world.run(&world.slice(0, 60_000, None)).await;
        assert_eq!(report.outcome, Outcome::Denied, "{how:?}");
        assert!(world.manifests().is_empty());
        (0..30).for_each(|n| world.misbehave(n, None));
        assert_eq!(
            world.run(&world.slice(0, 60_000, None)).await.counts.fragments,
            30,
            "access is mended"
        );
    }
}

#[tokio::test]
async fn a_bad_day_of_kvs_commits_nothing() {
    let world = World::new(3);
    (0..3).for_each(|n| world.misbehave(n, Some(Misbehaviour::Fails(Kind::Unavailable))));
    assert_eq!(
        world.run(&world.slice(0, 60_000, None)).await.outcome,
        Outcome::TryAgain
    );
    let world = World::new(3);
    (0..3).for_each(|n| world.misbehave(n, Some(Misbehaviour::Fails(Kind::Throttled))));
    assert_eq!(
        world.run(&world.slice(0, 60_000, None)).await.outcome,
        Outcome::TryAgain
    );
    assert!(world.manifests().is_empty());
}

#[tokio::test]
async fn what_expired_before_it_was_listed_is_a_lost_span() {
    let world = World::new(30);
    world.clock.set(world.at(24 * 3_600_000 + 30_500));
    let report = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(
        (report.outcome, report.counts.fragments, report.counts.lost),
        (Outcome::Committed, 14, 1)
    );
    assert_eq!(
        report.losses[0].what,
        format!("{}/{}", world.at(0), world.at(30_500))
    );
    let sweep = world.run(&world.sweep(0, 60_000, true)).await;
    assert_eq!(
        (sweep.outcome, sweep.counts.lost),
        (Outcome::Closed, 1),
        "a sweep loses nothing"
    );
}

#[tokio::test]
async fn a_deleted_stream_is_a_lost_span_and_what_was_planned_is_lost() {
    let world = World::new(30);
    let fate = Fate::dies_at(9, false);
    world
        .archiver(&fate, &[])
        .archive(&world.slice(0, 60_000, None))
        .await;
    let plans = world
        .keys()
        .into_iter()
        .filter(|k| k.ends_with(".plan.json"))
        .count();
    let files = world
        .keys()
        .into_iter()
        .filter(|k| k.contains("/stream="))
        .count();
    assert_eq!((plans, files), (1, 1), "it died after its first file");
    world.stream.lock().unwrap().gone = true;
    let report = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(
        (report.outcome, report.counts.fragments, report.counts.lost),
        (Outcome::Committed, 10, 20)
    );
    let next = world.run(&world.slice(60_000, 120_000, report.manifest)).await;
    assert_eq!(
        (next.outcome, next.counts.lost, next.through),
        (Outcome::Committed, 1, Some(world.at(120_000)))
    );
    assert!(next.losses[0].reason.starts_with("StreamDeleted"));
    assert_eq!(
        world.run(&world.sweep(0, 120_000, true)).await.outcome,
        Outcome::Closed
    );
    world.judge();
}

#[tokio::test]
async fn what_contradicts_is_a_conflict_and_never_overwritten() {
    let world = World::new(30);
    let first = world.run(&world.slice(0, 60_000, None)).await.manifest.unwrap();
    let tampered =
        |key: &str, change: &dyn Fn(&mut Object)| change(world.bucket.lock().unwrap().get_mut(key).unwrap());
    tampered(&first.key, &|o| o.bytes = Bytes::from_static(b"{}"));
    assert_eq!(
        world.run(&world.slice(0, 60_000, None)).await.outcome,
        Outcome::Conflict
    );
    assert_eq!(
        world
            .run(&world.slice(60_000, 90_000, Some(first.clone())))
            .await
            .outcome,
        Outcome::Conflict
    );
    assert_eq!(
        world.run(&world.sweep(0, 60_000, false)).await.outcome,
        Outcome::Conflict
    );
    world.bucket.lock().unwrap().remove(&first.key);
    assert_eq!(
        world.run(&world.sweep(0, 60_000, false)).await.outcome,
        Outcome::Conflict
    );
    // A file of other content under one of our keys: by another version of the writer if it holds the same fragments.
    let file = world.keys().into_iter().find(|k| k.contains("/stream=")).unwrap();
    tampered(&file, &|o| (o.head.sha256, o.head.size) = (Some([7; 32]), 7));
    let adopted = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(adopted.outcome, Outcome::Committed);
    let sums: Vec<_> = world
        .manifests()
        .into_iter()
        .flat_map(|m| m.objects)
        .map(|o| o.sha256)
        .collect();
    assert!(sums.contains(&hex::encode([7; 32])));
    world
        .bucket
        .lock()
        .unwrap()
        .retain(|key, _| !key.ends_with(".manifest.json"));
    tampered(&file, &|o| o.head.metadata.clear());
    let conflict = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(conflict.outcome, Outcome::Conflict);
    assert!(conflict.error.unwrap().contains(&file));
}

#[tokio::test]
async fn a_first_slice_begins_at_the_recordings_start() {
    let world = World::new(3);
    assert_eq!(
        world.run(&world.slice(2_000, 60_000, None)).await.outcome,
        Outcome::Invalid
    );
    let mut later = world.slice(0, 60_000, None);
    later.version = 99;
    assert_eq!(world.run(&later).await.outcome, Outcome::Invalid);
    assert!(world.keys().is_empty());
}

#[tokio::test]
async fn neither_plan_nor_manifest_says_when_or_where_it_was_made() {
    let documents = async |now: i64| {
        let world = World::new(30);
        world.clock.set(world.at(now));
        world.run(&world.slice(0, 60_000, None)).await;
        let objects = world.objects();
        let plan = objects.iter().find(|(k, _)| k.ends_with(".plan.json")).unwrap();
        serde_json::from_slice::<Plan>(plan.1).unwrap();
        objects
    };
    assert_eq!(documents(3_600_000).await, documents(7_200_000).await);
}
