//! H.264 and H.265 parameter sets: what a decoder must know before the first picture, from wherever the camera put it.

use std::io;
use std::ops::Range;

use mp4_atom::{Atom, Avcc, AvccExt, HvcCArray, Hvcc};

use super::bits::Bits;
use super::nal;
use super::spool::Spool;

/// The two codecs that have parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Video {
    H264,
    H265,
}

impl Video {
    /// The types of its parameter sets: video (H.265 only), sequence, picture.
    const fn kinds(self) -> &'static [u8] {
        match self {
            Self::H264 => &[7, 8],
            Self::H265 => &[32, 33, 34],
        }
    }

    fn kind(self, unit: &[u8]) -> Option<u8> {
        let first = unit.first()?;
        Some(match self {
            Self::H264 => first & 0x1f,
            Self::H265 => first >> 1 & 0x3f,
        })
    }
}

/// Parameter sets by their type, each once, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sets(Vec<(u8, Vec<u8>)>);

/// Parameter sets are short; what is longer is a picture.
const LONGEST: u64 = 4096;

impl Sets {
    /// Those among the NAL units `units`.
    pub fn among(video: Video, spool: &(impl Spool + ?Sized), units: Vec<Range<u64>>) -> io::Result<Self> {
        let mut sets = Self::default();
        for unit in units.into_iter().filter(|u| u.end - u.start <= LONGEST) {
            let mut head = [0];
            spool.read_at(unit.start, &mut head)?;
            let kind = video.kind(&head).filter(|k| video.kinds().contains(k));
            let Some(kind) = kind else { continue };
            let mut bytes = vec![0; (unit.end - unit.start) as usize];
            spool.read_at(unit.start, &mut bytes)?;
            sets.add(kind, bytes);
        }
        Ok(sets)
    }

    /// Those in a track's private data that is no configuration record but has start codes.
    pub fn in_private(video: Video, private: &[u8]) -> io::Result<Self> {
        let units = nal::start_codes(private, &(0..private.len() as u64))?;
        Self::among(video, private, units.unwrap_or_default())
    }

    fn add(&mut self, kind: u8, bytes: Vec<u8>) {
        if !self.0.iter().any(|(_, known)| *known == bytes) {
            self.0.push((kind, bytes));
        }
    }

    fn of(&self, kind: u8) -> Vec<Vec<u8>> {
        self.0
            .iter()
            .filter(|(k, _)| *k == kind)
            .map(|(_, bytes)| bytes.clone())
            .collect()
    }

    /// Whether a decoder can begin with them.
    pub fn suffice(&self, video: Video) -> bool {
        video
            .kinds()
            .iter()
            .all(|kind| self.0.iter().any(|(k, _)| k == kind))
    }

    /// What holds where `band` is in the data: its sets, and of the types that it does not have, ours.
    pub fn overridden_by(mut self, band: Self) -> Self {
        if band.0.iter().all(|set| self.0.contains(set)) {
            return self;
        }
        self.0.retain(|(kind, _)| band.0.iter().all(|(k, _)| k != kind));
        self.0.extend(band.0);
        self.0.sort_by_key(|(kind, _)| *kind);
        self
    }
}

impl From<&Avcc> for Sets {
    fn from(avcc: &Avcc) -> Self {
        let mut sets = Self::default();
        avcc.sequence_parameter_sets
            .iter()
            .for_each(|s| sets.add(7, s.clone()));
        avcc.picture_parameter_sets
            .iter()
            .for_each(|s| sets.add(8, s.clone()));
        sets
    }
}

impl From<&Hvcc> for Sets {
    fn from(hvcc: &Hvcc) -> Self {
        let mut sets = Self::default();
        for array in &hvcc.arrays {
            if Video::H265.kinds().contains(&array.nal_unit_type) {
                array
                    .nalus
                    .iter()
                    .for_each(|s| sets.add(array.nal_unit_type, s.clone()));
            }
        }
        sets
    }
}

/// The configuration record of private data, if it is one.
pub(super) fn avcc_of(private: &[u8]) -> Option<Avcc> {
    Avcc::decode_body(&mut &private[..]).ok()
}

/// The configuration record of private data, if it is one.
pub(super) fn hvcc_of(private: &[u8]) -> Option<Hvcc> {
    Hvcc::decode_body(&mut &private[..]).ok()
}

/// The H.264 configuration record of these sets, for lengths of so many bytes.
pub(super) fn avcc(sets: &Sets, length_size: u8) -> Option<Avcc> {
    let (sps, pps) = (sets.of(7), sets.of(8));
    let first = sps.first()?;
    let mut avcc = Avcc::new(first, pps.first()?).ok()?;
    (avcc.length_size, avcc.ext) = (length_size, avcc_ext(first));
    (avcc.sequence_parameter_sets, avcc.picture_parameter_sets) = (sps, pps);
    Some(avcc)
}

/// The profiles whose record tells of chroma and bit depth (ISO/IEC 14496-15, 5.3.3.1.2).
const HIGH: [u8; 4] = [100, 110, 122, 144];

fn avcc_ext(sps: &[u8]) -> Option<AvccExt> {
    if !HIGH.contains(sps.get(1)?) {
        return None;
    }
    let mut bits = Bits::new(sps.get(4..)?);
    bits.golomb()?;
    let chroma_format = bits.golomb()?;
    if chroma_format == 3 {
        bits.flag()?;
    }
    let (luma, chroma) = (bits.golomb()?, bits.golomb()?);
    Some(AvccExt {
        chroma_format: u8::try_from(chroma_format).ok()?,
        bit_depth_luma: u8::try_from(luma).ok()?.checked_add(8)?,
        bit_depth_chroma: u8::try_from(chroma).ok()?.checked_add(8)?,
        sequence_parameter_sets_ext: vec![],
    })
}

/// The H.265 configuration record of these sets, for lengths of so many bytes (ISO/IEC 14496-15, 8.3.3.1).
pub(super) fn hvcc(sets: &Sets, length_size: u8) -> Option<Hvcc> {
    let sps = sets.of(33);
    let mut bits = Bits::new(sps.first()?.get(2..)?);
    bits.number(4)?;
    let more_layers = bits.number(3)? as u8;
    let mut hvcc = Hvcc {
        num_temporal_layers: more_layers + 1,
        temporal_id_nested: bits.flag()?,
        general_profile_space: bits.number(2)? as u8,
        general_tier_flag: bits.flag()?,
        general_profile_idc: bits.number(5)? as u8,
        length_size_minus_one: length_size.checked_sub(1)?,
        ..Hvcc::new()
    };
    hvcc.general_profile_compatibility_flags = (bits.number(32)? as u32).to_be_bytes();
    hvcc.general_constraint_indicator_flags
        .copy_from_slice(&bits.number(48)?.to_be_bytes()[2..]);
    hvcc.general_level_idc = bits.number(8)? as u8;
    let mut layers = vec![];
    for _ in 0..more_layers {
        layers.push((bits.flag()?, bits.flag()?));
    }
    if more_layers > 0 {
        bits.number(2 * (8 - u32::from(more_layers)))?;
    }
    for (profile, level) in layers {
        if profile {
            bits.number(64)?;
            bits.number(24)?;
        }
        if level {
            bits.number(8)?;
        }
    }
    bits.golomb()?;
    let chroma_format = bits.golomb()?;
    if chroma_format == 3 {
        bits.flag()?;
    }
    bits.golomb()?;
    bits.golomb()?;
    if bits.flag()? {
        for _ in 0..4 {
            bits.golomb()?;
        }
    }
    hvcc.chroma_format_idc = u8::try_from(chroma_format).ok()?;
    hvcc.bit_depth_luma_minus8 = u8::try_from(bits.golomb()?).ok()?;
    hvcc.bit_depth_chroma_minus8 = u8::try_from(bits.golomb()?).ok()?;
    hvcc.arrays = Video::H265
        .kinds()
        .iter()
        .map(|kind| HvcCArray {
            completeness: true,
            nal_unit_type: *kind,
            nalus: sets.of(*kind),
        })
        .collect();
    Some(hvcc)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The record that ffmpeg makes of what x265 writes for 320x180 in 4:2:0.
    const HVCC: &str = "0101600000009000000000003cf000fcfdf8f800000f03\
        2000010018 40010c01ffff016000000300900000030000 03003c959409\
        210001002b 4201010160000003009000000300000 3003ca00a080c1f3e5959529 30bc05a0200000300020000030032 10\
        2200010006 4401c073c189";

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex.replace(' ', "")).unwrap()
    }

    #[test]
    fn tells_parameter_sets_from_pictures() {
        let units = [&[0x67, 77, 0, 30][..], &[0x68, 9], &[0x65, 1, 2], &[0x68, 9]].concat();
        let sets = Sets::among(Video::H264, &units[..], vec![0..4, 4..6, 6..9, 9..11]).unwrap();
        assert_eq!(sets, Sets(vec![(7, vec![0x67, 77, 0, 30]), (8, vec![0x68, 9])]));
        assert!(sets.suffice(Video::H264));
        assert!(!sets.suffice(Video::H265));
    }

    #[test]
    fn sets_in_the_data_count_where_they_differ() {
        let set = |kind, byte| (kind, vec![byte]);
        let private = Sets(vec![set(7, 1), set(8, 2), set(8, 3)]);
        let same = private.clone().overridden_by(Sets(vec![set(8, 3)]));
        assert_eq!(same, private);
        let other = private.overridden_by(Sets(vec![set(8, 4), set(7, 5)]));
        assert_eq!(other, Sets(vec![set(7, 5), set(8, 4)]));
    }

    #[test]
    fn builds_the_h265_record_that_ffmpeg_builds() {
        let mut theirs = hvcc_of(&bytes(HVCC)).unwrap();
        theirs.arrays.iter_mut().for_each(|a| a.completeness = true);
        let sets = Sets::from(&theirs);
        assert!(sets.suffice(Video::H265));
        assert_eq!(hvcc(&sets, 4), Some(theirs));
    }

    #[test]
    fn builds_the_h264_record_with_what_high_profiles_add() {
        // High, level 3.0, 4:2:0 with 8 bits: x264's SPS for 640x480.
        let sps = bytes("6764001eacd940a03da1000003000100000300320f162d96");
        let avcc = avcc(&Sets(vec![(7, sps.clone()), (8, vec![0x68, 0xeb])]), 4).unwrap();
        assert_eq!(
            (
                avcc.avc_profile_indication,
                avcc.avc_level_indication,
                avcc.length_size
            ),
            (100, 30, 4)
        );
        let ext = AvccExt {
            chroma_format: 1,
            bit_depth_luma: 8,
            bit_depth_chroma: 8,
            sequence_parameter_sets_ext: vec![],
        };
        assert_eq!(avcc.ext, Some(ext));
        assert_eq!(avcc_of(&encoded(&avcc)), Some(avcc));
    }

    fn encoded(atom: &impl Atom) -> Vec<u8> {
        let mut bytes = vec![];
        atom.encode_body(&mut bytes).unwrap();
        bytes
    }
}
