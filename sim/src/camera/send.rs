//! Sends footage: paced, acknowledged, and again from the first fragment that was not acknowledged when a connection is cut.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    connection::{Refused, Service, Stream},
    footage::Footage,
    pace::Pace,
    source::Frame,
};
use crate::kvs::mkv::{element, ids, tags};

/// How long the camera tries to connect without getting a fragment through.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// Sends footage.
pub struct Sender {
    service: Service,
    stream: Stream,
    footage: Arc<Footage>,
    start: i64,
    pace: Pace,
    /// The number of fragments to send, over all loops; fewer once someone says stop.
    end: Arc<AtomicU64>,
    stop: watch::Receiver<bool>,
    /// The first fragment, counted over all loops, that is not acknowledged.
    next: u64,
    frames: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ack {
    event_type: String,
    fragment_timecode: Option<i64>,
    fragment_number: Option<String>,
    error_id: Option<u32>,
    error_code: Option<String>,
}

/// How a connection ended.
enum Ended {
    /// Everything is acknowledged.
    Done,
    /// Something is not: connect again.
    Cut(String),
}

impl Sender {
    /// For footage that begins at `start`, until it is sent `loops` times (0: for ever) or `stop` says so.
    pub fn new(
        service: Service,
        stream: Stream,
        footage: Footage,
        (start, pace, loops): (Timestamp, Pace, u64),
        stop: watch::Receiver<bool>,
    ) -> Self {
        let count = footage.fragments.len() as u64;
        let end = if loops == 0 {
            u64::MAX
        } else {
            loops.saturating_mul(count)
        };
        Self {
            service,
            stream,
            footage: Arc::new(footage),
            start: start.as_millisecond(),
            pace,
            end: Arc::new(AtomicU64::new(end)),
            stop,
            next: 0,
            frames: 0,
        }
    }

    /// Sends all of it.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut progress = (self.next, Instant::now());
        let mut wait = Duration::from_millis(200);
        loop {
            let reason = match self.connect(began).await {
                Ok(Ended::Done) => {
                    println!(
                        "{} fragments with {} frames sent, all acknowledged",
                        self.next, self.frames
                    );
                    return Ok(());
                }
                Ok(Ended::Cut(reason)) => reason,
                Err(error) => match error.downcast_ref::<Refused>() {
                    Some(refused) if refused.code != "ConnectionLimitExceededException" => return Err(error),
                    _ => format!("{error:#}"),
                },
            };
            if self.next > progress.0 {
                progress = (self.next, Instant::now());
                wait = Duration::from_millis(200);
            }
            if progress.1.elapsed() > GIVE_UP_AFTER {
                bail!(
                    "gave up after {} s without getting a fragment through: {reason}",
                    GIVE_UP_AFTER.as_secs()
                );
            }
            println!(
                "connection lost ({reason}); again from fragment {} in {wait:?}",
                self.next + 1
            );
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(8));
        }
    }

    /// One connection, from the first fragment that is not acknowledged.
    async fn connect(&mut self, began: Instant) -> anyhow::Result<Ended> {
        let first = self.next;
        let (body, chunks) = mpsc::channel(8);
        let feed = Feed {
            footage: self.footage.clone(),
            start: self.start,
            pace: self.pace,
            began,
            end: self.end.clone(),
            stop: self.stop.clone(),
        };
        let (sent, mut sent_fragments) = mpsc::unbounded_channel();
        let mut feeding = tokio::spawn(async move { feed.run(body, first, sent).await });
        let mut waiting: VecDeque<(u64, i64, u64)> = VecDeque::new();
        // Where it is refused, its body goes, and feeding ends by itself.
        let mut lines = Lines::new(self.service.put_media(&self.stream, chunks).await?.into_body());
        let ended = loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) => break None,
                Err(error) => break Some(format!("{error:#}")),
            };
            while let Ok(fragment) = sent_fragments.try_recv() {
                waiting.push_back(fragment);
            }
            let ack: Ack =
                serde_json::from_str(&line).with_context(|| format!("not an acknowledgement: {line}"))?;
            let last = if self.stream.persists {
                "PERSISTED"
            } else {
                "RECEIVED"
            };
            if ack.event_type == "ERROR" {
                let code = ack.error_code.unwrap_or_default();
                if ack.error_id == Some(4003) {
                    break Some(code);
                }
                feeding.abort();
                bail!(
                    "the service refused the fragment at {}: {} {code}",
                    ack.fragment_timecode
                        .map_or_else(|| "an unknown time".into(), time),
                    ack.error_id.unwrap_or(0)
                );
            } else if ack.event_type == last {
                while let Some((index, timecode, frames)) = waiting.pop_front() {
                    self.next = index + 1;
                    self.frames += frames;
                    if Some(timecode) == ack.fragment_timecode {
                        let (number, last) =
                            (ack.fragment_number.as_deref().unwrap_or("?"), last.to_lowercase());
                        println!("{}  {frames} frames  {last}  {number}", time(timecode));
                        break;
                    }
                }
            }
        };
        if self.next >= self.end.load(Ordering::Relaxed) {
            return Ok(Ended::Done);
        }
        feeding.abort();
        let why = match (&mut feeding).await {
            Ok(Err(error)) => return Err(error),
            _ => ended.unwrap_or_else(|| "the service ended it".into()),
        };
        Ok(Ended::Cut(why))
    }
}

fn time(millis: i64) -> String {
    Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |t| format!("{t:.3}"))
}

/// Blocks with their times since the first frame of all.
type Blocks = Vec<(i64, Vec<u8>)>;

/// Writes a PutMedia body.
struct Feed {
    footage: Arc<Footage>,
    start: i64,
    pace: Pace,
    began: Instant,
    end: Arc<AtomicU64>,
    stop: watch::Receiver<bool>,
}

impl Feed {
    /// Fragments are counted over all loops; each is told (its number, time and frames) before its end is sent. Ends when all
    /// are sent, or nobody takes them any more.
    async fn run(
        self,
        body: mpsc::Sender<Bytes>,
        mut index: u64,
        sent: mpsc::UnboundedSender<(u64, i64, u64)>,
    ) -> anyhow::Result<()> {
        let mut stop = self.stop.clone();
        let this = Arc::new(self);
        if body.send(this.footage.raw_header.clone().into()).await.is_err() {
            return Ok(());
        }
        while index < this.end.load(Ordering::Relaxed) {
            let (loaded, place) = (this.clone(), this.place(index)?);
            let (timecode, blocks) = tokio::task::spawn_blocking(move || loaded.load(place)).await??;
            let frames = blocks.len() as u64;
            let mut pending = cluster(timecode);
            for (at, block) in blocks {
                let due = this.pace.due(at);
                if let Some(due) = due {
                    // Once someone says stop, the fragment under way is finished without waiting.
                    tokio::select! {
                        () = tokio::time::sleep_until(this.began + due) => {}
                        Ok(_) = stop.wait_for(|stop| *stop) => {}
                    }
                }
                pending.extend(block);
                // A Cluster's head goes with its first frame: its first byte makes the fragment's server time.
                if due.is_some() && body.send(std::mem::take(&mut pending).into()).await.is_err() {
                    return Ok(());
                }
            }
            pending.extend(tags::write(&[(tags::END_OF_FRAGMENT, "")]));
            if *stop.borrow() {
                this.end.store(index + 1, Ordering::Relaxed);
            }
            let told = sent.send((index, timecode, frames)).is_ok();
            if !told || body.send(pending.into()).await.is_err() {
                return Ok(());
            }
            index += 1;
        }
        Ok(())
    }

    /// Where a fragment is: in the file, and its loop's start in ms.
    fn place(&self, index: u64) -> anyhow::Result<(usize, i64)> {
        let count = self.footage.fragments.len() as u64;
        let round = i64::try_from(index / count)?;
        Ok((
            usize::try_from(index % count)?,
            self.footage.length.saturating_mul(round),
        ))
    }

    /// A fragment's timecode and blocks.
    fn load(&self, (index, offset): (usize, i64)) -> anyhow::Result<(i64, Blocks)> {
        let frames: &[Frame] = &self.footage.fragments[index];
        let first = frames.iter().map(|f| f.at).min().unwrap_or(0);
        let blocks = frames.iter().map(|frame| {
            let relative = i16::try_from(frame.at - first).context("a fragment is too long")?;
            Ok((offset + frame.at, self.footage.block(frame, relative)?))
        });
        Ok((
            self.start + offset + first,
            blocks.collect::<anyhow::Result<_>>()?,
        ))
    }
}

/// The beginning of a Cluster.
fn cluster(timecode: i64) -> Vec<u8> {
    let mut bytes = element::unknown_size(ids::CLUSTER);
    bytes.extend(element::element(ids::TIMESTAMP, &timecode.max(0).to_be_bytes()));
    bytes
}

/// Lines of a body that is still coming.
struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Lines {
    fn new(body: Incoming) -> Self {
        Self { body, buffer: vec![] }
    }

    async fn next(&mut self) -> anyhow::Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = String::from_utf8(line)?.trim().to_owned();
                if !line.is_empty() {
                    return Ok(Some(line));
                }
                continue;
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(bytes) = frame?.into_data() {
                        self.buffer.extend_from_slice(&bytes);
                    }
                }
                None => return Ok(None),
            }
        }
    }
}
