//! Kinesis Video Streams in memory: streams that take time to change, fragments that are listed late, footage that expires.
//! What was persisted also goes into a ledger that nothing but the judge reads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures::stream;
use jiff::{SignedDuration, Timestamp};
use kvs_operator::{
    api::{DefaultStorageTier, ImageGenerationConfiguration, NotificationConfiguration},
    aws::{
        Fragment, FragmentNumber, Kind, Result, StreamArn, TimestampType,
        footage::{self, Footage, Media},
        streams::{NewStream, Stream, StreamStatus, StreamUpdate, Streams},
    },
    clock::AwsClock,
};

use super::{
    matroska,
    world::{World, error, lock},
};

/// The account of everything.
pub const ACCOUNT: &str = "123456789012";

/// All streams.
#[derive(Debug, Default)]
pub struct Video {
    streams: BTreeMap<String, Kept>,
    versions: u64,
    fragments: u64,
    /// Everything that was ever persisted.
    pub ledger: Vec<Persisted>,
    /// The names of streams that were deleted, and when.
    pub deleted: Vec<(String, Timestamp)>,
}

/// A stream.
#[derive(Debug)]
struct Kept {
    stream: Stream,
    busy_until: Timestamp,
    tier: DefaultStorageTier,
    tags: BTreeMap<String, String>,
    images: Option<ImageGenerationConfiguration>,
    notification: Option<NotificationConfiguration>,
    footage: Vec<Footprint>,
}

/// A fragment in a stream.
#[derive(Clone, Debug)]
struct Footprint {
    fragment: Fragment,
    listed_from: Timestamp,
    readable: Readable,
}

/// Whether KVS gives a fragment out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readable {
    /// Yes.
    Yes,
    /// Not before this time.
    From(Timestamp),
    /// Never.
    Never,
}

/// A line of the ledger.
#[derive(Clone, Debug)]
pub struct Persisted {
    /// The stream.
    pub arn: String,
    /// The fragment.
    pub fragment: Fragment,
    /// Whether KVS gives it out.
    pub readable: Readable,
    /// When retention took it, or a change of retention, or the deletion of the stream.
    pub gone: Option<Timestamp>,
}

impl Video {
    /// What time alone changes: streams become ACTIVE or go, footage expires.
    pub fn catch_up(&mut self, now: Timestamp) {
        for kept in self.streams.values_mut() {
            let horizon = now - SignedDuration::from_hours(kept.stream.data_retention_in_hours.into());
            let expired = kept.footage.partition_point(|f| f.fragment.server < horizon);
            for gone in kept.footage.drain(..expired) {
                mark_gone(&mut self.ledger, &kept.stream.arn, &gone.fragment.number, now);
            }
            if now >= kept.busy_until && kept.stream.status != StreamStatus::Deleting {
                kept.stream.status = StreamStatus::Active;
            }
        }
        let over = |kept: &Kept| kept.stream.status == StreamStatus::Deleting && now >= kept.busy_until;
        self.streams.retain(|_, kept| !over(kept));
    }

    /// The ARN of a stream that takes footage now.
    pub fn takes_footage(&self, name: &str) -> Option<&str> {
        let kept = self.streams.get(name)?;
        let takes = matches!(kept.stream.status, StreamStatus::Active | StreamStatus::Updating)
            && kept.stream.data_retention_in_hours > 0;
        takes.then_some(&*kept.stream.arn)
    }

    /// A fragment was received whole. Returns whether it was persisted.
    pub fn persist(
        &mut self,
        arn: &str,
        (server, producer): (Timestamp, Timestamp),
        length_ms: u32,
        listed_from: Timestamp,
        readable: Readable,
    ) -> bool {
        let Some(kept) = self.streams.values_mut().find(|kept| kept.stream.arn == arn) else {
            return false;
        };
        if kept.stream.status == StreamStatus::Deleting {
            return false;
        }
        self.fragments += 1;
        let number = format!("9134385233318157356{:028}", self.fragments);
        let mut fragment = Fragment {
            number: number.parse().unwrap(),
            producer,
            server,
            length_ms,
            bytes: 0,
        };
        fragment.bytes = matroska::fragment(&fragment).len() as u64;
        self.ledger.push(Persisted {
            arn: arn.into(),
            fragment: fragment.clone(),
            readable,
            gone: None,
        });
        let at = kept
            .footage
            .partition_point(|f| f.fragment.server <= fragment.server);
        let footprint = Footprint {
            fragment,
            listed_from,
            readable,
        };
        kept.footage.insert(at, footprint);
        true
    }

    /// Somebody deletes a stream behind everybody's back; it is gone at once.
    pub fn vanish(&mut self, name: &str, now: Timestamp) {
        if let Some(kept) = self.streams.remove(name) {
            for gone in &kept.footage {
                mark_gone(&mut self.ledger, &kept.stream.arn, &gone.fragment.number, now);
            }
            self.deleted.push((name.to_owned(), now));
        }
    }

    /// A stream as somebody else makes it.
    pub fn make(&mut self, new: &NewStream, now: Timestamp) -> String {
        self.versions += 1;
        let arn = format!(
            "arn:aws:kinesisvideo:{}:{ACCOUNT}:stream/{}/{}",
            super::site::REGION,
            new.name,
            now.as_millisecond()
        );
        let stream = Stream {
            name: new.name.clone(),
            arn: arn.clone(),
            status: StreamStatus::Creating,
            version: format!("v{}", self.versions),
            creation_time: Some(now),
            data_retention_in_hours: new.data_retention_in_hours,
            media_type: new.media_type.clone(),
            device_name: new.device_name.clone(),
            kms_key_id: new.kms_key_id.clone(),
        };
        let kept = Kept {
            stream,
            busy_until: now + SignedDuration::from_secs(4),
            tier: new.tier.unwrap_or(DefaultStorageTier::Hot),
            tags: new.tags.clone(),
            images: None,
            notification: None,
            footage: vec![],
        };
        self.streams.insert(new.name.clone(), kept);
        arn
    }

    /// A stream's tags, for who changes them behind everybody's back.
    pub fn tags(&mut self, name: &str) -> Option<&mut BTreeMap<String, String>> {
        self.streams.get_mut(name).map(|kept| &mut kept.tags)
    }

    fn by_arn(&mut self, arn: &str) -> Option<&mut Kept> {
        self.streams.values_mut().find(|kept| kept.stream.arn == arn)
    }

    /// A change of an ACTIVE stream whose version is known.
    fn change(
        &mut self,
        operation: &'static str,
        arn: &str,
        version: &str,
        now: Timestamp,
        change: impl FnOnce(&mut Kept),
    ) -> Result<()> {
        self.versions += 1;
        let next = format!("v{}", self.versions);
        let kept = self.by_arn(arn).ok_or_else(|| error(operation, Kind::NotFound))?;
        if kept.stream.status != StreamStatus::Active {
            return Err(error(operation, Kind::Busy));
        }
        if kept.stream.version != version {
            return Err(error(operation, Kind::Stale));
        }
        change(kept);
        kept.stream.version = next;
        kept.stream.status = StreamStatus::Updating;
        kept.busy_until = now + SignedDuration::from_secs(3);
        Ok(())
    }
}

fn mark_gone(ledger: &mut [Persisted], arn: &str, number: &FragmentNumber, now: Timestamp) {
    let mut lines = ledger.iter_mut().rev();
    if let Some(line) = lines.find(|line| line.fragment.number == *number && line.arn == arn) {
        line.gone = Some(now);
    }
}

/// KVS as one process sees it.
#[derive(Clone, Debug)]
pub struct Kvs {
    pub world: Arc<World>,
    pub video: Arc<Mutex<Video>>,
    pub clock: AwsClock,
}

impl Kvs {
    async fn call<T>(
        &self,
        operation: &'static str,
        effect: impl FnOnce(&mut Video, Timestamp) -> Result<T>,
    ) -> Result<T> {
        let effect = || {
            let (now, mut video) = (self.world.now(), lock(&self.video));
            video.catch_up(now);
            effect(&mut video, now)
        };
        self.world.call(operation, &self.clock, effect).await
    }
}

#[async_trait::async_trait]
impl Streams for Kvs {
    async fn describe(&self, name: &str) -> Result<Option<Stream>> {
        self.call("kinesisvideo:DescribeStream", |video, _| {
            Ok(video.streams.get(name).map(|kept| kept.stream.clone()))
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Stream>> {
        self.call("kinesisvideo:ListStreams", |video, _| {
            let all = video.streams.values().map(|kept| kept.stream.clone());
            Ok(all.filter(|stream| stream.name.starts_with(prefix)).collect())
        })
        .await
    }

    async fn tags(&self, arn: &str) -> Result<Option<BTreeMap<String, String>>> {
        self.call("kinesisvideo:ListTagsForStream", |video, _| {
            Ok(video.by_arn(arn).map(|kept| kept.tags.clone()))
        })
        .await
    }

    async fn create(&self, stream: &NewStream) -> Result<String> {
        self.call("kinesisvideo:CreateStream", |video, now| {
            if video.streams.contains_key(&stream.name) {
                return Err(error("kinesisvideo:CreateStream", Kind::Busy));
            }
            self.world.wrote("CreateStream", &stream.name);
            Ok(video.make(stream, now))
        })
        .await
    }

    async fn change_retention(&self, arn: &str, version: &str, from: i32, to: i32) -> Result<()> {
        const OPERATION: &str = "kinesisvideo:UpdateDataRetention";
        self.call(OPERATION, |video, now| {
            let mut wrong = false;
            video.change(OPERATION, arn, version, now, |kept| {
                wrong = kept.stream.data_retention_in_hours != from;
                kept.stream.data_retention_in_hours = to;
            })?;
            if wrong {
                self.world
                    .violated("retention was changed from a value that it had not");
            }
            self.world.wrote("UpdateDataRetention", arn);
            video.catch_up(now);
            Ok(())
        })
        .await
    }

    async fn update(&self, arn: &str, version: &str, update: &StreamUpdate) -> Result<()> {
        const OPERATION: &str = "kinesisvideo:UpdateStream";
        self.call(OPERATION, |video, now| {
            video.change(OPERATION, arn, version, now, |kept| {
                let stream = &mut kept.stream;
                stream.media_type = update.media_type.clone().or(stream.media_type.take());
                stream.device_name = update.device_name.clone().or(stream.device_name.take());
            })?;
            self.world.wrote("UpdateStream", arn);
            Ok(())
        })
        .await
    }

    async fn delete(&self, arn: &str, version: &str) -> Result<()> {
        const OPERATION: &str = "kinesisvideo:DeleteStream";
        self.call(OPERATION, |video, now| {
            video.change(OPERATION, arn, version, now, |_| {})?;
            self.world.wrote("DeleteStream", arn);
            let Some(kept) = video.by_arn(arn) else {
                return Ok(());
            };
            kept.stream.status = StreamStatus::Deleting;
            let name = kept.stream.name.clone();
            let footage = std::mem::take(&mut kept.footage);
            for gone in &footage {
                mark_gone(&mut video.ledger, arn, &gone.fragment.number, now);
            }
            video.deleted.push((name, now));
            Ok(())
        })
        .await
    }

    async fn tag(&self, arn: &str, tags: &BTreeMap<String, String>) -> Result<()> {
        const OPERATION: &str = "kinesisvideo:TagStream";
        self.call(OPERATION, |video, _| {
            let kept = video
                .by_arn(arn)
                .ok_or_else(|| error(OPERATION, Kind::NotFound))?;
            kept.tags.extend(tags.clone());
            self.world.wrote("TagStream", arn);
            Ok(())
        })
        .await
    }

    async fn untag(&self, arn: &str, keys: &[String]) -> Result<()> {
        const OPERATION: &str = "kinesisvideo:UntagStream";
        self.call(OPERATION, |video, _| {
            let kept = video
                .by_arn(arn)
                .ok_or_else(|| error(OPERATION, Kind::NotFound))?;
            kept.tags.retain(|key, _| !keys.contains(key));
            self.world.wrote("UntagStream", arn);
            Ok(())
        })
        .await
    }

    async fn tier(&self, arn: &str) -> Result<DefaultStorageTier> {
        const OPERATION: &str = "kinesisvideo:DescribeStreamStorageConfiguration";
        self.call(OPERATION, |video, _| {
            let kept = video.by_arn(arn);
            kept.map(|kept| kept.tier)
                .ok_or_else(|| error(OPERATION, Kind::NotFound))
        })
        .await
    }

    async fn set_tier(&self, arn: &str, version: &str, tier: DefaultStorageTier) -> Result<()> {
        const OPERATION: &str = "kinesisvideo:UpdateStreamStorageConfiguration";
        self.call(OPERATION, |video, now| {
            video.change(OPERATION, arn, version, now, |kept| kept.tier = tier)?;
            self.world.wrote("UpdateStreamStorageConfiguration", arn);
            Ok(())
        })
        .await
    }

    async fn images(&self, arn: &str) -> Result<Option<ImageGenerationConfiguration>> {
        self.call("kinesisvideo:DescribeImageGenerationConfiguration", |video, _| {
            Ok(video.by_arn(arn).and_then(|kept| kept.images.clone()))
        })
        .await
    }

    async fn set_images(&self, arn: &str, images: Option<&ImageGenerationConfiguration>) -> Result<()> {
        self.call("kinesisvideo:UpdateImageGenerationConfiguration", |video, _| {
            if let Some(kept) = video.by_arn(arn) {
                kept.images = images.cloned();
            }
            self.world.wrote("UpdateImageGenerationConfiguration", arn);
            Ok(())
        })
        .await
    }

    async fn notification(&self, arn: &str) -> Result<Option<NotificationConfiguration>> {
        self.call("kinesisvideo:DescribeNotificationConfiguration", |video, _| {
            Ok(video.by_arn(arn).and_then(|kept| kept.notification.clone()))
        })
        .await
    }

    async fn set_notification(
        &self,
        arn: &str,
        notification: Option<&NotificationConfiguration>,
    ) -> Result<()> {
        self.call("kinesisvideo:UpdateNotificationConfiguration", |video, _| {
            if let Some(kept) = video.by_arn(arn) {
                kept.notification = notification.cloned();
            }
            self.world.wrote("UpdateNotificationConfiguration", arn);
            Ok(())
        })
        .await
    }
}

#[async_trait::async_trait]
impl Footage for Kvs {
    async fn stream_named(&self, name: &str) -> Result<footage::Stream> {
        const OPERATION: &str = "kinesisvideo:DescribeStream";
        self.call(OPERATION, |video, _| {
            let kept = video.streams.get(name);
            let kept = kept.ok_or_else(|| error(OPERATION, Kind::NotFound))?;
            Ok(footage::Stream {
                arn: kept.stream.arn.parse().unwrap(),
                retention_hours: kept.stream.data_retention_in_hours.try_into().unwrap(),
            })
        })
        .await
    }

    async fn stream(&self, arn: &StreamArn) -> Result<footage::Stream> {
        self.stream_named(arn.name()).await
    }

    async fn list(
        &self,
        arn: &StreamArn,
        by: TimestampType,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Fragment>> {
        const OPERATION: &str = "kinesisvideo:ListFragments";
        self.call(OPERATION, |video, now| {
            let kept = video.by_arn(arn.as_str());
            let kept = kept.ok_or_else(|| error(OPERATION, Kind::NotFound))?;
            if kept.stream.status == StreamStatus::Deleting {
                return Err(error(OPERATION, Kind::NotFound));
            }
            let inside = |f: &&Footprint| {
                from <= f.fragment.time(by) && f.fragment.time(by) < to && f.listed_from <= now
            };
            let listed = kept.footage.iter().rev().filter(inside);
            Ok(listed.map(|f| f.fragment.clone()).collect())
        })
        .await
    }

    async fn media(&self, arn: &StreamArn, numbers: &[FragmentNumber]) -> Result<Media> {
        const OPERATION: &str = "kinesisvideo:GetMediaForFragmentList";
        let documents = self
            .call(OPERATION, |video, now| {
                let kept = video.by_arn(arn.as_str());
                let kept = kept.ok_or_else(|| error(OPERATION, Kind::NotFound))?;
                let document = |number: &FragmentNumber| {
                    let found = kept.footage.iter().find(|f| f.fragment.number == *number)?;
                    let readable = match found.readable {
                        Readable::Yes => true,
                        Readable::From(time) => time <= now,
                        Readable::Never => false,
                    };
                    Some(if readable {
                        matroska::fragment(&found.fragment)
                    } else {
                        matroska::refused(number.as_str(), "5000")
                    })
                };
                Ok(numbers.iter().filter_map(document).collect::<Vec<_>>())
            })
            .await?;
        let mut body = documents.concat();
        let whole = body.len();
        if whole > 0 && self.world.bad_luck(25) {
            self.world.count("media bodies cut");
            body.truncate(usize::try_from(self.world.within(0..i64::try_from(whole).unwrap())).unwrap());
        }
        let breaks = self.world.bad_luck(2) && body.len() < whole;
        let mut pieces: Vec<_> = body
            .chunks(4096)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        if breaks {
            pieces.push(Err(error(OPERATION, Kind::Unavailable)));
        }
        Ok(Box::pin(stream::iter(pieces)))
    }
}
