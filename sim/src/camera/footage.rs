//! Footage as fragments: cut at key frames, so that the service takes each.

use std::{collections::BTreeMap, fs::File, os::unix::fs::FileExt, path::Path};

use anyhow::bail;

use super::source::{Frame, Source};
use crate::kvs::mkv::{element, header::Header, ids};

/// Key frames further apart than this (ms) make the file be encoded again: a fragment lasts at most 20 s, and short ones
/// arrive sooner.
const KEY_FRAMES_AT_MOST: i64 = 10_000;

/// Key frames closer than this (ms) share a fragment: the service takes five a second.
const FRAGMENT_AT_LEAST: i64 = 1_000;

/// The longest fragment (ms) that the service takes.
const FRAGMENT_AT_MOST: i64 = 20_000;

/// Fragments of footage without video are this long (ms).
const AUDIO_FRAGMENT: i64 = 2_000;

/// The footage.
#[derive(Debug)]
pub struct Footage {
    /// The Matroska header.
    pub raw_header: Vec<u8>,
    /// The frames of each fragment, in the order in which they are sent.
    pub fragments: Vec<Vec<Frame>>,
    /// How long it lasts, in ms: the next loop begins then.
    pub length: i64,
    header: Header,
    spool: File,
    notes: Vec<String>,
}

impl Footage {
    /// Reads a file.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let read = Source::file(file)?;
        let gap = read.longest_gap();
        if gap <= KEY_FRAMES_AT_MOST {
            return read.cut(vec![]);
        }
        let note = format!(
            "encoded again with a key frame every 2 s: in the file they are up to {:.1} s apart",
            gap as f64 / 1000.0
        );
        println!(
            "{}: key frames are up to {:.1} s apart, so the video is encoded again",
            file.display(),
            gap as f64 / 1000.0
        );
        Source::file_encoded(file)?.cut(vec![note])
    }

    /// The bytes of a frame.
    pub fn bytes(&self, frame: &Frame) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; frame.len];
        self.spool.read_exact_at(&mut bytes, frame.offset)?;
        Ok(bytes)
    }

    /// The bytes of a frame as a SimpleBlock, `relative` ms after its Cluster.
    pub fn block(&self, frame: &Frame, relative: i16) -> std::io::Result<Vec<u8>> {
        // ffmpeg numbers tracks from 1; there are at most two.
        let mut content = vec![0x80 | frame.track as u8];
        content.extend(relative.to_be_bytes());
        content.push(if frame.keyframe { 0x80 } else { 0 });
        content.extend(self.bytes(frame)?);
        Ok(element::element(ids::SIMPLE_BLOCK, &content))
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        let codecs: Vec<&str> = self.header.tracks.iter().map(|t| t.codec_id.as_str()).collect();
        let frames: usize = self.fragments.iter().map(Vec::len).sum();
        let mut text = format!(
            "{}, {:.3} s, {frames} frames in {} fragments",
            codecs.join(" + "),
            self.length as f64 / 1000.0,
            self.fragments.len()
        );
        for note in &self.notes {
            text.push_str("; ");
            text.push_str(note);
        }
        text
    }
}

impl Source {
    fn video(&self) -> Option<u64> {
        self.header.tracks.iter().find(|t| t.kind == 1).map(|t| t.number)
    }

    /// How long it is at most from one key frame of the video to the next, or to the end.
    fn longest_gap(&self) -> i64 {
        let Some(video) = self.video() else { return 0 };
        let frames = || self.frames.iter().filter(|f| f.track == video);
        let keys = frames().filter(|f| f.keyframe).map(|f| f.at);
        let mut marks: Vec<i64> = keys.chain(frames().map(|f| f.at).max()).collect();
        marks.sort_unstable();
        marks.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0)
    }

    fn cut(self, mut notes: Vec<String>) -> anyhow::Result<Footage> {
        let starts = match self.video() {
            Some(video) => self.video_starts(video)?,
            None => {
                let last = self.frames.iter().map(|f| f.at).max().unwrap_or(0);
                (0..)
                    .map(|n| n * AUDIO_FRAGMENT)
                    .take_while(|at| *at <= last)
                    .collect()
            }
        };
        let mut fragments: Vec<Vec<Frame>> = vec![vec![]; starts.len()];
        for frame in &self.frames {
            // Audio belongs where the video is that it plays with: the service wants a fragment to begin after all of the
            // one before it.
            let index = starts
                .partition_point(|start| *start <= frame.at)
                .saturating_sub(1);
            fragments[index].push(*frame);
        }
        let fragments = self.with_all_tracks(fragments, &mut notes)?;
        let length = self.end(fragments.iter().flatten());
        let Self {
            header,
            raw_header,
            spool,
            ..
        } = self;
        Ok(Footage {
            raw_header,
            fragments,
            length,
            header,
            spool,
            notes,
        })
    }

    /// Where fragments start: the earliest frame of each group of frames that follows a key frame.
    fn video_starts(&self, video: u64) -> anyhow::Result<Vec<i64>> {
        let mut starts: Vec<i64> = vec![];
        let mut key = i64::MIN;
        for frame in self.frames.iter().filter(|f| f.track == video) {
            if starts.is_empty() || (frame.keyframe && frame.at - key >= FRAGMENT_AT_LEAST) {
                key = frame.at;
                starts.push(frame.at);
            }
            // Frames that are decoded after the key frame and shown before it are part of its fragment.
            if let Some(start) = starts.last_mut() {
                *start = frame.at.min(*start);
            }
        }
        if !starts.is_sorted() {
            bail!("its key frames are not in order");
        }
        Ok(starts)
    }

    /// The service refuses a fragment without a frame of each track: such ones join their neighbour, and what cannot at the
    /// end is left out.
    fn with_all_tracks(
        &self,
        fragments: Vec<Vec<Frame>>,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Vec<Vec<Frame>>> {
        let tracks = &self.header.tracks;
        let complete = |f: &[Frame]| {
            tracks
                .iter()
                .all(|t| f.iter().any(|frame| frame.track == t.number))
        };
        let mut joined: Vec<Vec<Frame>> = vec![];
        for fragment in fragments {
            match joined.last_mut() {
                Some(last)
                    if !complete(last)
                        || (!complete(&fragment) && span(last, &fragment) <= FRAGMENT_AT_MOST) =>
                {
                    last.extend(fragment);
                }
                _ => joined.push(fragment),
            }
        }
        while joined.last().is_some_and(|last| !complete(last)) {
            let dropped = joined.pop().unwrap_or_default();
            let from = dropped.iter().map(|f| f.at).min().unwrap_or(0) as f64 / 1000.0;
            notes.push(format!(
                "what follows {from:.3} s is left out, since one of its tracks ends before"
            ));
        }
        if joined.is_empty()
            || joined
                .iter()
                .any(|f| !complete(f) || span(f, f) > FRAGMENT_AT_MOST)
        {
            bail!("one of its tracks pauses for more than 20 s, which Kinesis Video Streams does not take");
        }
        Ok(joined)
    }

    /// The end of the last frame of all, if each lasts as long as the usual one of its track.
    fn end<'a>(&self, frames: impl Iterator<Item = &'a Frame>) -> i64 {
        let mut times: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        frames.for_each(|f| times.entry(f.track).or_default().push(f.at));
        let ends = times.into_values().map(|mut times| {
            times.sort_unstable();
            let last = times.last().copied().unwrap_or(0);
            let mut steps: Vec<i64> = times.windows(2).map(|w| w[1] - w[0]).collect();
            steps.sort_unstable();
            last + steps.get(steps.len() / 2).copied().unwrap_or(40).max(1)
        });
        ends.max().unwrap_or(1)
    }
}

fn span(a: &[Frame], b: &[Frame]) -> i64 {
    let times = || a.iter().chain(b).map(|f| f.at);
    times().max().unwrap_or(0) - times().min().unwrap_or(0)
}
