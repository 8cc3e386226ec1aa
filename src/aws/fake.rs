//! The ports in memory, for tests: a stream with footage, a bucket, and one switch that makes everything fail from some call
//! on, as if the process had been killed there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    AwsError, Fragment, FragmentNumber, Kind, Result, StreamArn, TimestampType,
    footage::{Footage, Media, Stream, watched},
    objects::{Content, Creation, ListedObject, NewObject, Object, ObjectHead, Objects},
};
use crate::clock::{AwsClock, Clock};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that stands still, but for sleeping.
#[derive(Debug)]
pub struct FakeClock(AtomicI64);

impl FakeClock {
    /// A clock that shows this time.
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.as_millisecond())))
    }

    /// Sets it.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millisecond(), Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst).unsigned_abs())
    }

    async fn sleep(&self, duration: Duration) {
        self.0.fetch_add(duration.as_millis() as i64, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

/// When calls fail as if the process were killed: from this one on, all of them.
#[derive(Debug, Default)]
pub struct Fate {
    calls: AtomicU64,
    /// The call at which the process dies; 0: never.
    dies_at: AtomicU64,
    /// Whether that call still takes effect.
    after: std::sync::atomic::AtomicBool,
}

impl Fate {
    /// Dies at the `call`th call, before or after it took effect.
    pub fn dies_at(call: u64, after: bool) -> Arc<Self> {
        let fate = Self::default();
        fate.dies_at.store(call, Ordering::SeqCst);
        fate.after.store(after, Ordering::SeqCst);
        Arc::new(fate)
    }

    /// Whether it came to that.
    pub fn died(&self) -> bool {
        let at = self.dies_at.load(Ordering::SeqCst);
        at > 0 && self.calls.load(Ordering::SeqCst) >= at
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn call<T>(&self, effect: impl FnOnce() -> Result<T>) -> Result<T> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        // Lets another archiver have its turn.
        tokio::task::yield_now().await;
        let at = self.dies_at.load(Ordering::SeqCst);
        if at == 0 || call < at {
            return effect();
        }
        if call == at && self.after.load(Ordering::SeqCst) {
            effect().ok();
        }
        Err(error("any", Kind::Unavailable, "killed"))
    }
}

/// An error.
pub fn error(operation: &'static str, kind: Kind, message: &str) -> AwsError {
    AwsError::ours(operation, "it", kind, message)
}

/// How a fragment misbehaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// KVS reports this code in band.
    Reported(&'static str),
    /// KVS answers without it.
    Absent,
    /// Every call that names it fails.
    Fails(Kind),
    /// The body ends this many bytes into it.
    Cut(usize),
    /// The body falls silent this many bytes into it, and does not end.
    Stalls(usize),
    /// Its bytes are no Matroska.
    Garbage,
}

/// A stream with its footage.
#[derive(Debug)]
pub struct FakeStream {
    /// Its ARN.
    pub arn: StreamArn,
    /// Its retention.
    pub retention_hours: u32,
    /// Whether it was deleted.
    pub gone: bool,
    /// Its footage.
    pub footage: Vec<(Fragment, Bytes)>,
    /// Fragments that misbehave.
    pub misbehaving: BTreeMap<FragmentNumber, Misbehaviour>,
    /// How often each was asked for.
    pub asked: BTreeMap<FragmentNumber, u32>,
}

/// KVS as one archiver sees it.
#[derive(Clone, Debug)]
pub struct FakeFootage {
    /// The stream.
    pub stream: Arc<Mutex<FakeStream>>,
    /// Fragments that its listings do not show yet.
    pub blind: BTreeSet<FragmentNumber>,
    /// When it dies.
    pub fate: Arc<Fate>,
    /// AWS's clock, fed by every answer.
    pub clock: AwsClock,
}

impl FakeFootage {
    async fn answer<T>(&self, effect: impl FnOnce(&mut FakeStream, Timestamp) -> Result<T>) -> Result<T> {
        let answer = self.fate.call(|| {
            let now = self.clock.node().now();
            self.clock.saw(now);
            effect(&mut lock(&self.stream), now)
        });
        answer.await
    }
}

#[async_trait::async_trait]
impl Footage for FakeFootage {
    async fn stream_named(&self, _: &str) -> Result<Stream> {
        self.answer(|stream, _| {
            if stream.gone {
                return Err(error("DescribeStream", Kind::NotFound, "gone"));
            }
            Ok(Stream {
                arn: stream.arn.clone(),
                retention_hours: stream.retention_hours,
            })
        })
        .await
    }

    async fn stream(&self, _: &StreamArn) -> Result<Stream> {
        self.stream_named("").await
    }

    async fn list(
        &self,
        _: &StreamArn,
        by: TimestampType,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Fragment>> {
        self.answer(|stream, now| {
            if stream.gone {
                return Err(error("ListFragments", Kind::NotFound, "gone"));
            }
            let horizon = now - jiff::SignedDuration::from_hours(stream.retention_hours.into());
            let seen = stream
                .footage
                .iter()
                .map(|(f, _)| f)
                .filter(|f| f.server >= horizon);
            let seen =
                seen.filter(|f| from <= f.time(by) && f.time(by) < to && !self.blind.contains(&f.number));
            Ok(seen.rev().cloned().collect())
        })
        .await
    }

    async fn media(&self, _: &StreamArn, numbers: &[FragmentNumber]) -> Result<Media> {
        self.answer(|stream, now| {
            if stream.gone {
                return Err(error("GetMediaForFragmentList", Kind::NotFound, "gone"));
            }
            for number in numbers {
                *stream.asked.entry(number.clone()).or_default() += 1;
                if let Some(Misbehaviour::Fails(kind)) = stream.misbehaving.get(number) {
                    return Err(error("GetMediaForFragmentList", *kind, "fails"));
                }
            }
            let horizon = now - jiff::SignedDuration::from_hours(stream.retention_hours.into());
            let (mut body, mut stalls) = (Vec::new(), false);
            for number in numbers {
                let Some((listed, media)) = stream.footage.iter().find(|(f, _)| f.number == *number) else {
                    continue;
                };
                if listed.server < horizon {
                    continue;
                }
                match stream.misbehaving.get(number) {
                    None => body.extend_from_slice(media),
                    Some(Misbehaviour::Reported(code)) => body.extend(matroska::reported(listed, code)),
                    Some(Misbehaviour::Absent | Misbehaviour::Fails(_)) => {}
                    Some(Misbehaviour::Cut(at)) => {
                        body.extend_from_slice(&media[..*at]);
                        break;
                    }
                    Some(Misbehaviour::Stalls(at)) => {
                        body.extend_from_slice(&media[..*at]);
                        stalls = true;
                        break;
                    }
                    Some(Misbehaviour::Garbage) => {
                        body.extend_from_slice(&media[..100]);
                        body.extend(std::iter::repeat_n(0, media.len()));
                    }
                }
            }
            let pieces: Vec<_> = body.chunks(700).map(Bytes::copy_from_slice).collect();
            let pieces = stream::iter(pieces);
            Ok(match stalls {
                true => watched(pieces.map(Ok).chain(stream::pending()), "it"),
                false => Box::pin(pieces.map(Ok)) as Media,
            })
        })
        .await
    }
}

/// A bucket in memory.
#[derive(Clone, Debug)]
pub struct FakeObjects {
    /// What is in it.
    pub bucket: Arc<Mutex<BTreeMap<String, Object>>>,
    /// When it dies.
    pub fate: Arc<Fate>,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
}

#[async_trait::async_trait]
impl Objects for FakeObjects {
    async fn create(&self, object: &NewObject) -> Result<Creation> {
        let bytes = match &object.content {
            Content::Bytes(bytes) => bytes.clone(),
            Content::File(path, _) => Bytes::from(std::fs::read(path).unwrap()),
        };
        assert_eq!(
            bytes.len() as u64,
            object.content.len(),
            "the stated length of {}",
            object.key
        );
        assert_eq!(
            <[u8; 32]>::from(Sha256::digest(&bytes)),
            object.sha256,
            "the stated checksum of {}",
            object.key
        );
        self.fate
            .call(|| {
                let mut bucket = lock(&self.bucket);
                if bucket.contains_key(&object.key) {
                    return Ok(Creation::Exists);
                }
                let head = ObjectHead {
                    size: bytes.len() as u64,
                    sha256: Some(object.sha256),
                    metadata: object.metadata.clone(),
                    last_modified: Some(self.clock.now()),
                };
                bucket.insert(object.key.clone(), Object { head, bytes });
                Ok(Creation::Created)
            })
            .await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectHead>> {
        self.fate
            .call(|| Ok(lock(&self.bucket).get(key).map(|o| o.head.clone())))
            .await
    }

    async fn get(&self, key: &str) -> Result<Option<Object>> {
        self.fate.call(|| Ok(lock(&self.bucket).get(key).cloned())).await
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<ListedObject>> {
        self.fate
            .call(|| {
                let bucket = lock(&self.bucket);
                let found = bucket
                    .iter()
                    .filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
                Ok(found
                    .map(|(key, object)| ListedObject {
                        key: key.clone(),
                        size: object.head.size,
                        last_modified: object.head.last_modified,
                    })
                    .collect())
            })
            .await
    }
}

/// Small fragments as KVS delivers them.
pub mod matroska {
    use super::{Bytes, Fragment};

    /// A fragment whose frames, 40 ms apart, each begin with `name`, with these tags of its producer.
    pub fn fragment(listed: &Fragment, codec: &str, name: &str, more: &[(&str, &str)]) -> Bytes {
        let frames: Vec<_> = (0..=listed.length_ms / 40)
            .map(|n| {
                let mut block = vec![0x81];
                block.extend(((n * 40) as i16).to_be_bytes());
                block.push(0x80);
                block.extend(format!("{name}/{n};").bytes());
                element(&[0xA3], &block)
            })
            .collect();
        let time = element(&[0xE7], &listed.producer.as_millisecond().to_be_bytes());
        let cluster = element(&[0x1F, 0x43, 0xB6, 0x75], &[vec![time], frames].concat().concat());
        document(codec, &tags(listed, more), &cluster).into()
    }

    /// What KVS sends in place of a fragment that it cannot read.
    pub fn reported(listed: &Fragment, code: &str) -> Vec<u8> {
        document(
            "A_TEST",
            &tags(listed, &[("AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE", code)]),
            &[],
        )
    }

    fn document(codec: &str, tags: &[u8], clusters: &[u8]) -> Vec<u8> {
        let header = element(&[0x1A, 0x45, 0xDF, 0xA3], &element(&[0x42, 0x82], b"matroska"));
        let info = element(
            &[0x15, 0x49, 0xA9, 0x66],
            &element(&[0x2A, 0xD7, 0xB1], &1_000_000u32.to_be_bytes()),
        );
        let entry = [
            element(&[0xD7], &[1]),
            element(&[0x83], &[2]),
            element(&[0x86], codec.as_bytes()),
        ]
        .concat();
        let tracks = element(&[0x16, 0x54, 0xAE, 0x6B], &element(&[0xAE], &entry));
        [
            header,
            element(
                &[0x18, 0x53, 0x80, 0x67],
                &[&info, &tracks, tags, clusters].concat(),
            ),
        ]
        .concat()
    }

    fn tags(listed: &Fragment, more: &[(&str, &str)]) -> Vec<u8> {
        let number = listed.number.as_str();
        let all = [&[("AWS_KINESISVIDEO_FRAGMENT_NUMBER", number)], more].concat();
        let tags: Vec<_> = all
            .iter()
            .map(|(name, value)| {
                let pair = [
                    element(&[0x45, 0xA3], name.as_bytes()),
                    element(&[0x44, 0x87], value.as_bytes()),
                ];
                element(&[0x73, 0x73], &element(&[0x67, 0xC8], &pair.concat()))
            })
            .collect();
        element(&[0x12, 0x54, 0xC3, 0x67], &tags.concat())
    }

    fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
        let size = (content.len() as u64 | 1 << 56).to_be_bytes();
        [id, &size, content].concat()
    }
}
