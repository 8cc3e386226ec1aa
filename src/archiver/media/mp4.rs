//! The MP4 writer: everything that a player must know first, then the frames as they are.

use std::io::Write;

use jiff::Timestamp;
use mp4_atom::{
    Any, Audio, Avc1, Co64, Codec as Entry, Ctts, CttsEntry, Dinf, Dref, DrefEntry, Edts, Elst, ElstEntry,
    Encode, FixedPoint, FourCC, Ftyp, Hdlr, Hvc1, Ilst, IlstData, IlstDataValue, KeyEntry, Keys, Mdhd, Mdia,
    Meta, Minf, Moov, Mp4a, Mvhd, Stbl, Stco, Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts,
    SttsEntry, Tkhd, Trak, Url, Visual, esds,
};

use super::codec::Codec;
use super::error::MediaError;
use super::format::{Format, TrackFormat, frames, start};
use super::fragment::{Fragment, TrackKind};
use super::spool::Spool;
use super::timing::timing;

/// Seconds from 1904, MP4's beginning of time, to 1970.
pub(super) const SINCE_1904: i64 = 2_082_844_800;
/// What a lone picture lasts where nothing says it, in nanoseconds.
const PICTURE: i64 = 40_000_000;

/// Writes `ftyp`, `moov`, `mdat`.
pub(super) fn write(
    format: &Format,
    fragments: &[&Fragment],
    spool: &(impl Spool + ?Sized),
    out: &mut impl Write,
) -> Result<(), MediaError> {
    let start = start(fragments).ok_or(MediaError::DoesNotFit("a file without frames"))?;
    let scale = Scale::of(fragments, start);
    let mut tracks: Vec<Samples<'_>> = format.tracks.iter().map(Samples::new).collect();
    let mut media = 0u64;
    let mut last = None;
    for frame in frames(fragments) {
        let index = tracks.iter().position(|t| t.format.track.number == frame.track);
        let index = index.ok_or(MediaError::DoesNotFit("a frame of another format"))?;
        let track = &mut tracks[index];
        let size = track.format.framing.size(spool, &frame.data())?;
        // Frames of one track that follow each other are one chunk.
        if last.replace(index) == Some(index) {
            if let Some(chunk) = track.chunks.last_mut() {
                chunk.1 += 1;
            }
        } else {
            track.chunks.push((media, 1));
        }
        track.times.push(scale.units(frame.time - start));
        track
            .sizes
            .push(u32::try_from(size).map_err(|_| MediaError::DoesNotFit("a frame of more than 4 GiB"))?);
        track.keys.push(frame.key());
        track.duration = frame.duration().or(track.duration);
        media += size;
    }

    let ftyp = Ftyp {
        major_brand: b"isom".into(),
        minor_version: 512,
        compatible_brands: vec![b"isom".into(), b"iso2".into(), b"avc1".into(), b"mp41".into()],
    };
    let mut head = vec![];
    ftyp.encode(&mut head).map_err(refused)?;
    let long = media > u64::from(u32::MAX) - (64 << 20);
    let mdat = if long { 16 } else { 8 };
    // Where the frames lie depends on how long all that is before them; that does not depend on where they lie.
    let moov = {
        let mut moov = vec![];
        movie(&tracks, scale, start, 0, long)?
            .encode(&mut moov)
            .map_err(refused)?;
        moov.len()
    };
    let base = (head.len() + moov + mdat) as u64;
    movie(&tracks, scale, start, base, long)?
        .encode(&mut head)
        .map_err(refused)?;
    if long {
        head.extend(1u32.to_be_bytes());
        head.extend(b"mdat");
        head.extend((media + 16).to_be_bytes());
    } else {
        head.extend((media as u32 + 8).to_be_bytes());
        head.extend(b"mdat");
    }
    out.write_all(&head)?;
    for frame in frames(fragments) {
        format.track(frame)?.framing.write(spool, &frame.data(), out)?;
    }
    Ok(())
}

fn refused(error: mp4_atom::Error) -> MediaError {
    match error {
        mp4_atom::Error::Io(error) => MediaError::Io(error),
        _ => MediaError::DoesNotFit("a value that MP4 cannot hold"),
    }
}

/// How many units a second has: thousandths where the source has no finer times, as cameras have.
#[derive(Clone, Copy)]
struct Scale(u32);

impl Scale {
    fn of(fragments: &[&Fragment], start: i64) -> Self {
        let whole = frames(fragments).all(|f| (f.time - start) % 1_000_000 == 0);
        // Durations have 32 bits: in millionths an hour.
        let short = frames(fragments).all(|f| f.time - start < 3_600_000_000_000);
        Self(if whole || !short { 1000 } else { 1_000_000 })
    }

    /// Rounded to the nearest.
    fn units(self, nanoseconds: i64) -> i64 {
        let unit = 1_000_000_000 / i64::from(self.0);
        nanoseconds.saturating_add(unit / 2).div_euclid(unit)
    }
}

/// The samples of one track.
struct Samples<'a> {
    format: &'a TrackFormat,
    /// Display times from the start of the file, in units.
    times: Vec<i64>,
    sizes: Vec<u32>,
    keys: Vec<bool>,
    /// Where each chunk begins in the media, and how many samples it has.
    chunks: Vec<(u64, u32)>,
    /// What the last block lasts, in nanoseconds, where it says so.
    duration: Option<u64>,
}

impl<'a> Samples<'a> {
    fn new(format: &'a TrackFormat) -> Self {
        Self {
            format,
            times: vec![],
            sizes: vec![],
            keys: vec![],
            chunks: vec![],
            duration: None,
        }
    }
}

fn movie(
    tracks: &[Samples<'_>],
    scale: Scale,
    start: i64,
    base: u64,
    long: bool,
) -> Result<Moov, MediaError> {
    let created = u64::try_from(start.div_euclid(1_000_000_000) + SINCE_1904).unwrap_or(0);
    let mut moov = Moov {
        mvhd: Mvhd {
            creation_time: created,
            modification_time: created,
            timescale: scale.0,
            duration: 0,
            rate: 1.into(),
            volume: 1.into(),
            matrix: Default::default(),
            next_track_id: 1,
        },
        meta: Some(wall_clock(start)),
        mvex: None,
        trak: vec![],
        udta: None,
        ainf: None,
    };
    for samples in tracks.iter().filter(|t| !t.times.is_empty()) {
        let trak = track(samples, moov.mvhd.next_track_id, scale, created, base, long)?;
        moov.mvhd.next_track_id += 1;
        moov.mvhd.duration = moov.mvhd.duration.max(trak.tkhd.duration);
        moov.trak.push(trak);
    }
    Ok(moov)
}

/// When the footage begins, to the millisecond: `mvhd` has only seconds. Under the key that cameras and phones use.
fn wall_clock(start: i64) -> Meta {
    let key = KeyEntry {
        key_namespace: FourCC::new(b"mdta"),
        key_value: "com.apple.quicktime.creationdate".into(),
    };
    let time = Timestamp::from_nanosecond(start.into()).unwrap_or_default();
    let value = IlstData {
        country_indicator: 0,
        language_indicator: 0,
        value: IlstDataValue::Utf8(format!("{time:.3}")),
    };
    let list = Ilst {
        mdta: vec![(1, value)],
        ..Default::default()
    };
    Meta {
        hdlr: Hdlr {
            handler: FourCC::new(b"mdta"),
            name: String::new(),
        },
        items: vec![Any::Keys(Keys { entries: vec![key] }), Any::Ilst(list)],
    }
}

fn track(
    s: &Samples<'_>,
    id: u32,
    scale: Scale,
    created: u64,
    base: u64,
    long: bool,
) -> Result<Trak, MediaError> {
    let track = &s.format.track;
    let video = track.kind == TrackKind::Video;
    let lone = s
        .duration
        .or(track.default_duration)
        .and_then(|d| i64::try_from(d).ok())
        .unwrap_or(PICTURE);
    let lone = u32::try_from(scale.units(lone)).unwrap_or(1);
    let timing = timing(&s.times, lone).ok_or(MediaError::DoesNotFit("frames that lie 49 days apart"))?;
    let late = s.times.iter().min().copied().unwrap_or(0) as u64;
    let duration = timing.deltas.iter().map(|d| u64::from(*d)).sum();
    let (width, height) = (short(track.size.0), short(track.size.1));
    let edits = [
        (late > 0).then(|| ElstEntry {
            segment_duration: late,
            media_time: None,
            media_rate: 1.into(),
        }),
        (late > 0 || timing.delay > 0).then(|| ElstEntry {
            segment_duration: timing.shown,
            media_time: Some(u64::from(timing.delay)),
            media_rate: 1.into(),
        }),
    ];
    let edits: Vec<ElstEntry> = edits.into_iter().flatten().collect();
    let places: Vec<u64> = s.chunks.iter().map(|c| base + c.0).collect();
    let stbl = Stbl {
        stsd: Stsd {
            codecs: vec![entry(s.format)?],
        },
        stts: Stts {
            entries: runs(&timing.deltas)
                .map(|(n, d)| SttsEntry {
                    sample_count: n,
                    sample_delta: d,
                })
                .collect(),
        },
        ctts: timing.offsets.iter().any(|o| *o != 0).then(|| Ctts {
            entries: runs(&timing.offsets)
                .map(|(n, o)| CttsEntry {
                    sample_count: n,
                    sample_offset: o.into(),
                })
                .collect(),
        }),
        stss: s.keys.iter().any(|k| !k).then(|| Stss {
            entries: (1..)
                .zip(&s.keys)
                .filter(|(_, key)| **key)
                .map(|(k, _)| k)
                .collect(),
        }),
        stsc: Stsc {
            entries: chunks(&s.chunks),
        },
        stsz: Stsz {
            samples: StszSamples::Different {
                sizes: s.sizes.clone(),
            },
        },
        stco: (!long).then(|| Stco {
            entries: places.iter().map(|p| *p as u32).collect(),
        }),
        co64: long.then(|| Co64 {
            entries: places.clone(),
        }),
        ..Default::default()
    };
    Ok(Trak {
        tkhd: Tkhd {
            creation_time: created,
            modification_time: created,
            track_id: id,
            duration: late + timing.shown,
            enabled: true,
            in_movie: true,
            volume: if video { 0.into() } else { 1.into() },
            width: FixedPoint::new(width, 0),
            height: FixedPoint::new(height, 0),
            ..Default::default()
        },
        edts: (!edits.is_empty()).then_some(Edts {
            elst: Some(Elst { entries: edits }),
        }),
        meta: None,
        senc: None,
        tref: None,
        udta: None,
        mdia: Mdia {
            mdhd: Mdhd {
                creation_time: created,
                modification_time: created,
                timescale: scale.0,
                duration,
                language: "und".into(),
            },
            hdlr: Hdlr {
                handler: FourCC::new(if video { b"vide" } else { b"soun" }),
                name: if video { "VideoHandler" } else { "SoundHandler" }.into(),
            },
            minf: Minf {
                vmhd: video.then(Default::default),
                smhd: (!video).then(Default::default),
                dinf: Dinf {
                    dref: Dref {
                        entries: vec![DrefEntry::Url(Url::default())],
                    },
                },
                stbl,
                ..Default::default()
            },
        },
    })
}

/// The sample entry: what the decoder must know.
fn entry(format: &TrackFormat) -> Result<Entry, MediaError> {
    let track = &format.track;
    let visual = Visual {
        data_reference_index: 1,
        width: short(track.size.0),
        height: short(track.size.1),
        ..Default::default()
    };
    Ok(match &format.codec {
        Codec::H264(avcc) => Entry::Avc1(Avc1 {
            visual,
            avcc: avcc.clone(),
            ..Default::default()
        }),
        Codec::H265(hvcc) => Entry::Hvc1(Hvc1 {
            visual,
            hvcc: hvcc.clone(),
            ..Default::default()
        }),
        Codec::Aac(config) => Entry::Mp4a(Mp4a {
            audio: Audio {
                data_reference_index: 1,
                channel_count: short(track.channels),
                sample_size: 16,
                sample_rate: FixedPoint::new(short(track.sampling_frequency as u64), 0),
            },
            esds: esds::Esds {
                es_desc: esds::EsDescriptor {
                    es_id: 1,
                    dec_config: esds::DecoderConfig {
                        object_type_indication: 0x40,
                        stream_type: 5,
                        dec_specific: Some(esds::DecoderSpecific {
                            raw: config.clone(),
                            ..Default::default()
                        }),
                        ..Default::default()
                    },
                    ..Default::default()
                },
            },
            btrt: None,
            taic: None,
        }),
        Codec::Other => return Err(MediaError::DoesNotFit("a codec that MP4 does not hold")),
    })
}

/// A number of 16 bits, or 0 ("look into the stream") where it has more.
fn short(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(0)
}

/// Equal values that follow each other, and how many.
fn runs(values: &[u32]) -> impl Iterator<Item = (u32, u32)> {
    values
        .chunk_by(|a, b| a == b)
        .map(|run| (run.len() as u32, run[0]))
}

fn chunks(chunks: &[(u64, u32)]) -> Vec<StscEntry> {
    let mut entries: Vec<StscEntry> = vec![];
    for (k, (_, samples)) in (1..).zip(chunks) {
        if entries.last().is_none_or(|e| e.samples_per_chunk != *samples) {
            entries.push(StscEntry {
                first_chunk: k,
                samples_per_chunk: *samples,
                sample_description_index: 1,
            });
        }
    }
    entries
}
