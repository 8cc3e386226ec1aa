//! An MP4 of this program, read back: its sample tables as frames.

use std::ops::Range;

use jiff::Timestamp;
use mp4_atom::{
    Atom, Codec as Entry, Ctts, Decode, Ilst, IlstDataValue, Meta, Moov, StscEntry, StszSamples, Trak,
};
use webm_iterable::matroska_spec::{Master, MatroskaSpec as M};

use super::block::KEY;
use super::error::MediaError;
use super::fragment::{Ending, Fragment, Frame, Track, TrackKind};
use super::mp4::SINCE_1904;
use super::spool::Spool;

/// What the boxes before the frames may have: an hour of three tracks has a few megabytes.
const HEAD: u64 = 256 << 20;

/// Reads a file that `mp4.rs` wrote.
pub(super) fn read(spool: &(impl Spool + ?Sized), file: Range<u64>) -> Result<Fragment, MediaError> {
    let mut at = file.start;
    let moov = loop {
        if file.end - at < 8 {
            return Err(malformed(at, "no moov box"));
        }
        let mut head = [0; 8];
        spool.read_at(at, &mut head)?;
        let size = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        if size < 8 || size > (file.end - at).min(HEAD) {
            return Err(malformed(at, "no moov box before the frames"));
        }
        if &head[4..] == b"moov" {
            let mut moov = vec![0; size as usize];
            spool.read_at(at, &mut moov)?;
            break Moov::decode(&mut &moov[..])
                .map_err(|_| malformed(at, "a moov box that cannot be read"))?;
        }
        at += size;
    };
    let start = start(&moov);
    let (mut tracks, mut frames) = (vec![], vec![]);
    for trak in &moov.trak {
        let track = track(trak).ok_or_else(|| malformed(at, "a track that this program does not write"))?;
        let samples = samples(trak, moov.mvhd.timescale, &file, start, track.number);
        frames.extend(samples.ok_or_else(|| malformed(at, "sample tables that contradict each other"))?);
        tracks.push(track);
    }
    frames.sort_by_key(|f| f.data().start);
    Ok(Fragment {
        number: None,
        server_timestamp: None,
        producer_timestamp: Timestamp::from_nanosecond(start.into()).ok(),
        error: None,
        tags: vec![],
        tracks,
        frames,
        bytes: file,
        ending: Ending::Sized,
    })
}

/// When the file begins: to the millisecond if it says so, else to the second.
fn start(moov: &Moov) -> i64 {
    let exact =
        moov.meta
            .as_ref()
            .and_then(Meta::get::<Ilst>)
            .and_then(|list| match &list.mdta.first()?.1.value {
                IlstDataValue::Utf8(text) => text.parse::<Timestamp>().ok(),
                _ => None,
            });
    let exact = exact.and_then(|t| i64::try_from(t.as_nanosecond()).ok());
    exact.unwrap_or(
        (moov.mvhd.creation_time as i64)
            .saturating_sub(SINCE_1904)
            .saturating_mul(1_000_000_000),
    )
}

fn track(trak: &Trak) -> Option<Track> {
    let mut track = Track {
        number: u16::try_from(trak.tkhd.track_id).ok()?,
        kind: TrackKind::Video,
        codec_id: String::new(),
        codec_private: vec![],
        name: None,
        default_duration: None,
        size: (0, 0),
        sampling_frequency: 0.0,
        channels: 0,
        entry: vec![],
    };
    let visual = match trak.mdia.minf.stbl.stsd.codecs.first()? {
        Entry::Avc1(avc1) => {
            track.codec_id = "V_MPEG4/ISO/AVC".into();
            avc1.avcc.encode_body(&mut track.codec_private).ok()?;
            Some(&avc1.visual)
        }
        Entry::Hvc1(hvc1) => {
            track.codec_id = "V_MPEGH/ISO/HEVC".into();
            hvc1.hvcc.encode_body(&mut track.codec_private).ok()?;
            Some(&hvc1.visual)
        }
        Entry::Mp4a(mp4a) => {
            track.codec_id = "A_AAC".into();
            track.kind = TrackKind::Audio;
            track
                .codec_private
                .clone_from(&mp4a.esds.es_desc.dec_config.dec_specific.as_ref()?.raw);
            track.sampling_frequency = mp4a.audio.sample_rate.integer().into();
            track.channels = mp4a.audio.channel_count.into();
            None
        }
        _ => return None,
    };
    let about = match visual {
        Some(visual) => {
            track.size = (visual.width.into(), visual.height.into());
            M::Video(Master::Full(vec![
                M::PixelWidth(track.size.0),
                M::PixelHeight(track.size.1),
            ]))
        }
        None => {
            let sound = vec![
                M::SamplingFrequency(track.sampling_frequency),
                M::Channels(track.channels),
            ];
            M::Audio(Master::Full(sound))
        }
    };
    track.entry = vec![
        M::TrackNumber(track.number.into()),
        M::TrackType(if visual.is_some() { 1 } else { 2 }),
        M::CodecID(track.codec_id.clone()),
        M::CodecPrivate(track.codec_private.clone()),
        about,
    ];
    Some(track)
}

/// A track's frames, from its tables; `None` where these contradict each other or the file.
fn samples(trak: &Trak, movie: u32, file: &Range<u64>, start: i64, number: u16) -> Option<Vec<Frame>> {
    let stbl = &trak.mdia.minf.stbl;
    let StszSamples::Different { sizes } = &stbl.stsz.samples else {
        return None;
    };
    let chunks: Vec<u64> = match (&stbl.stco, &stbl.co64) {
        (Some(stco), None) => stco.entries.iter().map(|e| u64::from(*e)).collect(),
        (None, Some(co64)) => co64.entries.clone(),
        _ => return None,
    };
    let (mut late, mut skipped) = (0i64, 0);
    for edit in trak
        .edts
        .iter()
        .filter_map(|e| e.elst.as_ref())
        .flat_map(|e| &e.entries)
    {
        match edit.media_time {
            None => late = nanoseconds(edit.segment_duration, movie)?.checked_add(late)?,
            Some(time) => skipped = nanoseconds(time, trak.mdia.mdhd.timescale)?,
        }
    }
    let mut offsets = stbl.ctts.as_ref().map(offsets);
    let mut deltas = stbl
        .stts
        .entries
        .iter()
        .flat_map(|e| std::iter::repeat_n(e.sample_delta, e.sample_count as usize));
    let mut frames = Vec::with_capacity(sizes.len());
    let mut decode = 0u64;
    for (chunk, count) in chunks.iter().zip(per_chunk(&stbl.stsc.entries)) {
        let mut at = file.start.checked_add(*chunk)?;
        for _ in 0..count {
            let end = at.checked_add(u64::from(*sizes.get(frames.len())?))?;
            let offset = offsets.as_mut().map_or(Some(0), Iterator::next)?;
            let shown = nanoseconds(decode.checked_add_signed(offset)?, trak.mdia.mdhd.timescale)?;
            decode += u64::from(deltas.next()?);
            let sample = u32::try_from(frames.len()).ok()? + 1;
            let key = stbl
                .stss
                .as_ref()
                .is_none_or(|s| s.entries.binary_search(&sample).is_ok());
            let time = start
                .checked_add(late)?
                .checked_add(shown)?
                .checked_sub(skipped)?;
            frames.push(Frame::new(number, time, if key { KEY } else { 0 }, &(at..end))?);
            at = end;
        }
        if at > file.end {
            return None;
        }
    }
    (frames.len() == sizes.len()).then_some(frames)
}

/// Time units as nanoseconds.
fn nanoseconds(units: u64, scale: u32) -> Option<i64> {
    let whole = i128::from(units) * 1_000_000_000;
    i64::try_from(whole.checked_div(scale.into())?).ok()
}

fn offsets(ctts: &Ctts) -> impl Iterator<Item = i64> {
    ctts.entries
        .iter()
        .flat_map(|e| std::iter::repeat_n(e.sample_offset, e.sample_count as usize))
}

/// How many samples each chunk has.
fn per_chunk(entries: &[StscEntry]) -> impl Iterator<Item = u32> {
    let ends = entries.iter().skip(1).map(|e| Some(e.first_chunk)).chain([None]);
    entries.iter().zip(ends).flat_map(|(entry, end)| {
        let count = end.map_or(usize::MAX, |end| end.saturating_sub(entry.first_chunk) as usize);
        std::iter::repeat_n(entry.samples_per_chunk, count)
    })
}

fn malformed(at: u64, reason: &'static str) -> MediaError {
    MediaError::Malformed {
        at,
        reason,
        number: None,
    }
}
