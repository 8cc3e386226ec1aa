//! What is in a track, recognised in its data rather than believed, and what must be done with its frames.

use std::io::{self, Write};
use std::ops::Range;

use mp4_atom::{Atom, Avcc, Hvcc};

use super::adts;
use super::fragment::{Frame, Track};
use super::nal;
use super::spool::{Spool, copy};

/// A codec that MP4 can hold, with what its decoder must know first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264 and its AVCDecoderConfigurationRecord.
    H264(Avcc),
    /// H.265 and its HEVCDecoderConfigurationRecord.
    H265(Hvcc),
    /// AAC and its AudioSpecificConfig.
    Aac(Vec<u8>),
    /// Anything else: only Matroska holds it.
    Other,
}

/// How a track's frames are to be turned into what a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// They are as they must be.
    AsIs,
    /// H.264 or H.265 with start codes: these become lengths.
    StartCodes,
    /// AAC with ADTS headers: these are left out.
    Adts,
}

/// Recognises a track by its codec id, its private data and all of its frames.
pub(super) fn recognise<'a>(
    spool: &(impl Spool + ?Sized),
    track: &Track,
    frames: impl Iterator<Item = &'a Frame> + Clone,
) -> io::Result<(Codec, Framing)> {
    let found = match track.codec_id.as_str() {
        "V_MPEG4/ISO/AVC" => h264(spool, track, frames)?,
        "V_MPEGH/ISO/HEVC" => h265(spool, track, frames)?,
        id if id == "A_AAC" || id.starts_with("A_AAC/") => aac(spool, track, frames)?,
        _ => None,
    };
    Ok(found.unwrap_or((Codec::Other, Framing::AsIs)))
}

fn h264<'a>(
    spool: &(impl Spool + ?Sized),
    track: &Track,
    frames: impl Iterator<Item = &'a Frame> + Clone,
) -> io::Result<Option<(Codec, Framing)>> {
    let private = Avcc::decode_body(&mut &track.codec_private[..]).ok();
    let private =
        private.filter(|a| !a.sequence_parameter_sets.is_empty() && !a.picture_parameter_sets.is_empty());
    let length_size = private.as_ref().map_or(4, |a| a.length_size);
    let Some(framing) = video_framing(spool, length_size, frames.clone())? else {
        return Ok(None);
    };
    let config = match private {
        Some(config) => Some(config),
        None => {
            let sets = parameter_sets(spool, track, length_size, framing, frames)?;
            let of = |kind: u8| {
                sets.iter()
                    .filter(|s| s[0] & 0x1f == kind)
                    .cloned()
                    .collect::<Vec<_>>()
            };
            let (sps, pps) = (of(7), of(8));
            match (sps.first(), pps.first()) {
                (Some(first), Some(second)) => Avcc::new(first, second).ok().map(|mut config| {
                    (config.sequence_parameter_sets, config.picture_parameter_sets) =
                        (sps.clone(), pps.clone());
                    config
                }),
                _ => None,
            }
        }
    };
    Ok(config.map(|mut config| {
        if framing == Framing::StartCodes {
            config.length_size = 4;
        }
        (Codec::H264(config), framing)
    }))
}

fn h265<'a>(
    spool: &(impl Spool + ?Sized),
    track: &Track,
    frames: impl Iterator<Item = &'a Frame> + Clone,
) -> io::Result<Option<(Codec, Framing)>> {
    let Some(mut config) = Hvcc::decode_body(&mut &track.codec_private[..])
        .ok()
        .filter(|h| !h.arrays.is_empty())
    else {
        return Ok(None);
    };
    let Some(framing) = video_framing(spool, config.length_size_minus_one + 1, frames)? else {
        return Ok(None);
    };
    if framing == Framing::StartCodes {
        config.length_size_minus_one = 3;
    }
    Ok(Some((Codec::H265(config), framing)))
}

/// How the frames of a video track are framed; `None` where they differ. A frame that fits neither way is broken, but the
/// camera's: it is kept as it is among frames with lengths.
fn video_framing<'a>(
    spool: &(impl Spool + ?Sized),
    length_size: u8,
    frames: impl Iterator<Item = &'a Frame>,
) -> io::Result<Option<Framing>> {
    let (mut lengths, mut codes, mut neither) = (false, false, false);
    for frame in frames {
        if nal::length_prefixed(spool, &frame.data, length_size)?.is_some() {
            lengths = true;
        } else if nal::begins_with_start_code(spool, &frame.data)? {
            codes = true;
        } else {
            neither = true;
        }
    }
    Ok(match (lengths, codes, neither) {
        (_, false, _) => Some(Framing::AsIs),
        (false, true, false) => Some(Framing::StartCodes),
        _ => None,
    })
}

/// The parameter sets where the private data is no configuration record: in it with start codes, or in the first key frame.
fn parameter_sets<'a>(
    spool: &(impl Spool + ?Sized),
    track: &Track,
    length_size: u8,
    framing: Framing,
    mut frames: impl Iterator<Item = &'a Frame>,
) -> io::Result<Vec<Vec<u8>>> {
    let private = &track.codec_private[..];
    if let Some(units) = nal::start_codes(private, &(0..private.len() as u64))? {
        return read_units(private, units);
    }
    let Some(frame) = frames.find(|f| f.key) else {
        return Ok(vec![]);
    };
    let units = match framing {
        Framing::StartCodes => nal::start_codes(spool, &frame.data)?,
        _ => nal::length_prefixed(spool, &frame.data, length_size)?,
    };
    read_units(spool, units.unwrap_or_default())
}

/// Parameter sets are short; what is longer is a picture.
const PARAMETER_SET: u64 = 4096;

fn read_units(spool: &(impl Spool + ?Sized), units: Vec<Range<u64>>) -> io::Result<Vec<Vec<u8>>> {
    let short = units.into_iter().filter(|u| u.end - u.start <= PARAMETER_SET);
    let mut found: Vec<Vec<u8>> = vec![];
    for unit in short {
        let mut bytes = vec![0; (unit.end - unit.start) as usize];
        spool.read_at(unit.start, &mut bytes)?;
        if !found.contains(&bytes) {
            found.push(bytes);
        }
    }
    Ok(found)
}

fn aac<'a>(
    spool: &(impl Spool + ?Sized),
    track: &Track,
    mut frames: impl Iterator<Item = &'a Frame> + Clone,
) -> io::Result<Option<(Codec, Framing)>> {
    let mut first = None;
    let (mut with, mut without) = (false, false);
    for frame in frames.clone() {
        match adts::header(spool, &frame.data)? {
            Some(header) => {
                with = true;
                first.get_or_insert(header);
            }
            None => without = true,
        }
    }
    if with && without {
        return Ok(None);
    }
    let framing = if with { Framing::Adts } else { Framing::AsIs };
    let config = match (track.codec_private.len(), first) {
        (2.., _) => track.codec_private.clone(),
        (_, Some(header)) => header.config().to_vec(),
        (_, None) if frames.next().is_none() => return Ok(None),
        _ => match adts::config(track.sampling_frequency, track.channels) {
            Some(config) => config.to_vec(),
            None => return Ok(None),
        },
    };
    Ok(Some((Codec::Aac(config), framing)))
}

impl Framing {
    /// How many bytes a frame has in the file.
    pub(super) fn size(self, spool: &(impl Spool + ?Sized), frame: &Range<u64>) -> io::Result<u64> {
        Ok(match self {
            Self::AsIs => frame.end - frame.start,
            Self::StartCodes => units(spool, frame)?.iter().map(|u| 4 + u.end - u.start).sum(),
            Self::Adts => frame.end - frame.start - adts_len(spool, frame)?,
        })
    }

    /// Writes a frame as the file holds it.
    pub(super) fn write(
        self,
        spool: &(impl Spool + ?Sized),
        frame: &Range<u64>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        match self {
            Self::AsIs => copy(spool, frame, out),
            Self::StartCodes => {
                for unit in units(spool, frame)? {
                    let len = u32::try_from(unit.end - unit.start).map_err(io::Error::other)?;
                    out.write_all(&len.to_be_bytes())?;
                    copy(spool, &unit, out)?;
                }
                Ok(())
            }
            Self::Adts => copy(spool, &(frame.start + adts_len(spool, frame)?..frame.end), out),
        }
    }
}

fn units(spool: &(impl Spool + ?Sized), frame: &Range<u64>) -> io::Result<Vec<Range<u64>>> {
    Ok(nal::start_codes(spool, frame)?.unwrap_or_default())
}

fn adts_len(spool: &(impl Spool + ?Sized), frame: &Range<u64>) -> io::Result<u64> {
    Ok(adts::header(spool, frame)?.map_or(0, |h| h.len))
}
