//! What is in a track, recognised in its data rather than believed, and what must be done with its frames.

use std::io::{self, Write};
use std::ops::Range;

use mp4_atom::{Avcc, Hvcc};
use webm_iterable::matroska_spec::MatroskaSpec as M;

use super::adts;
use super::fragment::{Frame, Track};
use super::nal;
use super::parameter_sets::{self, Sets, Video};
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
        // Compressed or encrypted frames (Matroska's ContentEncodings) are not the codec's.
        _ if track.entry.iter().any(|e| matches!(e, M::ContentEncodings(_))) => None,
        // The second is how KVS's guide spells it.
        "V_MPEG4/ISO/AVC" | "V_MPEG/ISO/AVC" => video(Video::H264, spool, track, frames)?,
        "V_MPEGH/ISO/HEVC" => video(Video::H265, spool, track, frames)?,
        id if id == "A_AAC" || id.starts_with("A_AAC/") => aac(spool, track, frames)?,
        _ => None,
    };
    Ok(found.unwrap_or((Codec::Other, Framing::AsIs)))
}

fn video<'a>(
    video: Video,
    spool: &(impl Spool + ?Sized),
    track: &Track,
    frames: impl Iterator<Item = &'a Frame> + Clone,
) -> io::Result<Option<(Codec, Framing)>> {
    let private = match video {
        Video::H264 => parameter_sets::avcc_of(&track.codec_private).map(Codec::H264),
        Video::H265 => parameter_sets::hvcc_of(&track.codec_private).map(Codec::H265),
    };
    let (length_size, known) = match &private {
        Some(Codec::H264(avcc)) => (avcc.length_size, Sets::from(avcc)),
        Some(Codec::H265(hvcc)) => (hvcc.length_size_minus_one + 1, Sets::from(hvcc)),
        _ => (4, Sets::in_private(video, &track.codec_private)?),
    };
    let Some(framing) = video_framing(spool, length_size, frames.clone())? else {
        return Ok(None);
    };
    let band = match frames.clone().find(|f| f.key()) {
        Some(frame) => {
            let units = match framing {
                Framing::StartCodes => nal::start_codes(spool, &frame.data())?,
                _ => nal::length_prefixed(spool, &frame.data(), length_size)?,
            };
            Sets::among(video, spool, units.unwrap_or_default())?
        }
        None => Sets::default(),
    };
    let sets = known.clone().overridden_by(band);
    if !sets.suffice(video) {
        return Ok(None);
    }
    let width = if framing == Framing::AsIs { length_size } else { 4 };
    // A record that says all stays as it is: it may hold more than we know of.
    let codec = match (private, video) {
        (Some(codec), _) if sets == known && width == length_size => Some(codec),
        (_, Video::H264) => parameter_sets::avcc(&sets, width).map(Codec::H264),
        (_, Video::H265) => parameter_sets::hvcc(&sets, width).map(Codec::H265),
    };
    Ok(codec.map(|codec| (codec, framing)))
}

/// How the frames of a video track are framed; `None` where they differ or nobody can tell. A frame that fits neither way is broken, but the
/// camera's: it is kept as it is among frames with lengths.
fn video_framing<'a>(
    spool: &(impl Spool + ?Sized),
    length_size: u8,
    frames: impl Iterator<Item = &'a Frame>,
) -> io::Result<Option<Framing>> {
    let (mut lengths, mut codes, mut neither) = (false, false, false);
    for frame in frames {
        if nal::length_prefixed(spool, &frame.data(), length_size)?.is_some() {
            lengths = true;
        } else if nal::start_codes(spool, &frame.data())?.is_some() {
            codes = true;
        } else {
            neither = true;
        }
    }
    Ok(match (lengths, codes, neither) {
        (true, false, _) | (false, false, false) => Some(Framing::AsIs),
        (false, true, false) => Some(Framing::StartCodes),
        _ => None,
    })
}

fn aac<'a>(
    spool: &(impl Spool + ?Sized),
    track: &Track,
    mut frames: impl Iterator<Item = &'a Frame> + Clone,
) -> io::Result<Option<(Codec, Framing)>> {
    let mut first = None;
    let (mut with, mut without) = (false, false);
    for frame in frames.clone() {
        match adts::header(spool, &frame.data())? {
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
