//! Tracks, tags and times, from elements that lie whole in memory.

use std::io::Cursor;

use jiff::Timestamp;
use webm_iterable::WebmIterator;
use webm_iterable::iterator::AllowableErrors;
use webm_iterable::matroska_spec::{Master, MatroskaSpec as M};

use super::fragment::{Track, TrackKind};

/// The tags of one document: AWS's own, which are about the fragment, apart from the producer's.
#[derive(Debug, Default)]
pub(super) struct Tags {
    pub number: Option<String>,
    pub server_timestamp: Option<Timestamp>,
    pub producer_timestamp: Option<Timestamp>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub producers: Vec<(String, String)>,
}

/// What every tag of KVS begins with; the service keeps the prefix to itself.
const AWS: &str = "AWS_KINESISVIDEO_";

impl Tags {
    /// Takes one tag. The API reference and AWS's own parser spell some names differently: both are known.
    fn take(&mut self, name: String, value: String) -> Result<(), &'static str> {
        let Some(name) = name.strip_prefix(AWS) else {
            self.producers.push((name, value));
            return Ok(());
        };
        match name {
            "FRAGMENT_NUMBER" => match &self.number {
                Some(number) if *number != value => return Err("two fragment numbers in one fragment"),
                _ => self.number = Some(value),
            },
            "SERVER_TIMESTAMP" | "SERVER_SIDE_TIMESTAMP" => self.server_timestamp = seconds(&value),
            "PRODUCER_TIMESTAMP" | "PRODUCER_SIDE_TIMESTAMP" => self.producer_timestamp = seconds(&value),
            "EXCEPTION_ERROR_CODE" | "ERROR_CODE" => self.error_code = Some(value),
            "EXCEPTION_MESSAGE" | "EXCEPTION_ERROR_MESSAGE" | "ERROR_ID" => self.error_message = Some(value),
            _ => {}
        }
        Ok(())
    }

    /// Adds a Tags element.
    pub fn read(&mut self, bytes: Vec<u8>) -> Result<(), &'static str> {
        let (mut name, mut value) = (None, String::new());
        for tag in elements(bytes, &[]) {
            match tag? {
                M::SimpleTag(Master::Start) => (name, value) = (None, String::new()),
                M::TagName(n) => name = Some(n),
                M::TagString(v) => value = v,
                M::SimpleTag(Master::End) => {
                    if let Some(name) = name.take() {
                        self.take(name, std::mem::take(&mut value))?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Seconds since 1970 with a fraction, as `1511852109.126`.
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.get(..fraction.len().min(9))?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{digits:0<9}").parse().ok()?;
    Timestamp::new(whole.parse().ok()?, nanoseconds).ok()
}

/// What an Info element says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Info {
    /// The timestamp scale, in nanoseconds.
    pub scale: u64,
    /// DateUTC, in nanoseconds since 2001.
    pub date: Option<i64>,
}

/// Reads an Info element.
pub(super) fn info(bytes: Vec<u8>) -> Result<Info, &'static str> {
    let mut info = Info {
        scale: 1_000_000,
        date: None,
    };
    for tag in elements(bytes, &[]) {
        match tag? {
            M::TimestampScale(scale) => info.scale = scale,
            M::DateUTC(date) => info.date = Some(date),
            _ => {}
        }
    }
    if info.scale == 0 {
        Err("a timestamp scale of zero")
    } else {
        Ok(info)
    }
}

/// The tracks of a Tracks element.
pub(super) fn tracks(bytes: Vec<u8>) -> Result<Vec<Track>, &'static str> {
    let mut tracks: Vec<Track> = vec![];
    for tag in elements(bytes, &[M::TrackEntry(Master::Start)]) {
        if let M::TrackEntry(Master::Full(entry)) = tag? {
            let track = track(entry).ok_or("a track without a number")?;
            if tracks.iter().any(|t| t.number == track.number) {
                return Err("two tracks with one number");
            }
            tracks.push(track);
        }
    }
    Ok(tracks)
}

fn track(entry: Vec<M>) -> Option<Track> {
    let mut track = Track {
        number: 0,
        kind: TrackKind::Other,
        codec_id: String::new(),
        codec_private: vec![],
        name: None,
        default_duration: None,
        size: (0, 0),
        sampling_frequency: 0.0,
        channels: 0,
        entry: vec![],
    };
    for tag in &entry {
        match tag {
            M::TrackNumber(n) => track.number = u16::try_from(*n).ok()?,
            M::TrackType(1) => track.kind = TrackKind::Video,
            M::TrackType(2) => track.kind = TrackKind::Audio,
            M::CodecID(id) => track.codec_id.clone_from(id),
            M::CodecPrivate(private) => track.codec_private.clone_from(private),
            M::Name(name) => track.name = Some(name.clone()),
            M::DefaultDuration(d) => track.default_duration = Some(*d).filter(|d| *d > 0),
            M::Video(Master::Full(video)) => {
                for tag in video {
                    match tag {
                        M::PixelWidth(w) => track.size.0 = *w,
                        M::PixelHeight(h) => track.size.1 = *h,
                        _ => {}
                    }
                }
            }
            M::Audio(Master::Full(audio)) => {
                // Matroska's defaults.
                (track.sampling_frequency, track.channels) = (8000.0, 1);
                for tag in audio {
                    match tag {
                        M::SamplingFrequency(f) => track.sampling_frequency = *f,
                        M::Channels(c) => track.channels = *c,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    track.entry = entry
        .into_iter()
        .filter(|t| !matches!(t, M::TrackUID(_) | M::Void(_) | M::Crc32(_)))
        .collect();
    Some(track)
}

/// The elements of `bytes`, which is one element; those in `whole` with all that is in them.
fn elements(bytes: Vec<u8>, whole: &[M]) -> impl Iterator<Item = Result<M, &'static str>> {
    let len = bytes.len();
    let mut elements = WebmIterator::with_capacity(Cursor::new(bytes), whole, len.max(16));
    elements.set_max_allowable_tag_size(Some(len));
    elements.allow_errors(&[AllowableErrors::InvalidTagIds]);
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let next = elements.next()?.map_err(|_| "metadata that is no Matroska");
        failed = next.is_err();
        Some(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_seconds_with_fractions() {
        let at = |text: &str| seconds(text).map(|t| t.to_string());
        assert_eq!(at("1511852109.126").as_deref(), Some("2017-11-28T06:55:09.126Z"));
        assert_eq!(at("1511852109").as_deref(), Some("2017-11-28T06:55:09Z"));
        assert_eq!(at("0.000").as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(
            at("1.0000000019").as_deref(),
            Some("1970-01-01T00:00:01.000000001Z")
        );
        for bad in ["", ".", "x", "1.-5", "1.5e3", "99999999999999999999"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn knows_both_spellings_of_the_tags() {
        for (server, producer) in [
            ("SERVER_TIMESTAMP", "PRODUCER_TIMESTAMP"),
            ("SERVER_SIDE_TIMESTAMP", "PRODUCER_SIDE_TIMESTAMP"),
        ] {
            let mut tags = Tags::default();
            tags.take(format!("{AWS}{server}"), "1.5".into()).unwrap();
            tags.take(format!("{AWS}{producer}"), "2.5".into()).unwrap();
            tags.take("door".into(), "open".into()).unwrap();
            assert_eq!(tags.server_timestamp, seconds("1.5"));
            assert_eq!(tags.producer_timestamp, seconds("2.5"));
            assert_eq!(tags.producers, [("door".to_owned(), "open".to_owned())]);
        }
    }
}
