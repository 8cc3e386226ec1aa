//! ADTS: the header that some producers leave before each AAC frame (ISO/IEC 14496-3, 1.A.2).

use std::io;
use std::ops::Range;

use super::spool::Spool;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Adts {
    object_type: u8,
    frequency_index: u8,
    channels: u8,
    /// Its length: 7 bytes, 9 with a checksum.
    pub len: u64,
}

/// The sampling frequencies that AAC has an index for.
const FREQUENCIES: [u32; 13] = [
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
];

/// The ADTS header of a frame, if it has one: the sync word, and a length that is the frame's.
pub(super) fn header(spool: &(impl Spool + ?Sized), frame: &Range<u64>) -> io::Result<Option<Adts>> {
    let len = frame.end - frame.start;
    if len < 8 {
        return Ok(None);
    }
    let mut h = [0u8; 7];
    spool.read_at(frame.start, &mut h)?;
    let sync = h[0] == 0xff && h[1] & 0xf6 == 0xf0;
    let stated = u64::from(h[3] & 3) << 11 | u64::from(h[4]) << 3 | u64::from(h[5] >> 5);
    // More than one raw block in a frame is split by nobody: such a track goes to Matroska as it is.
    if !sync || stated != len || h[6] & 3 != 0 {
        return Ok(None);
    }
    Ok(Some(Adts {
        object_type: (h[2] >> 6) + 1,
        frequency_index: h[2] >> 2 & 15,
        channels: (h[2] & 1) << 2 | h[3] >> 6,
        len: if h[1] & 1 == 1 { 7 } else { 9 },
    }))
}

impl Adts {
    /// The AudioSpecificConfig that says the same.
    pub fn config(self) -> [u8; 2] {
        audio_specific_config(self.object_type, self.frequency_index, self.channels)
    }
}

/// The AudioSpecificConfig of AAC-LC, where neither private data nor a header says more.
pub(super) fn config(frequency: f64, channels: u64) -> Option<[u8; 2]> {
    let index = FREQUENCIES.iter().position(|f| f64::from(*f) == frequency)?;
    let channels = u8::try_from(channels).ok().filter(|c| (1..=7).contains(c))?;
    Some(audio_specific_config(2, index as u8, channels))
}

fn audio_specific_config(object_type: u8, frequency_index: u8, channels: u8) -> [u8; 2] {
    [
        object_type << 3 | frequency_index >> 1,
        frequency_index << 7 | channels << 3,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Option<Adts> {
        header(bytes, &(0..bytes.len() as u64)).unwrap()
    }

    #[test]
    fn recognises_the_header_by_its_length() {
        // AAC-LC, 48 kHz, stereo, 11 bytes in all.
        let frame = [0xff, 0xf1, 0x4c, 0x80, 0x01, 0x7f, 0xfc, 1, 2, 3, 4];
        let adts = of(&frame).unwrap();
        assert_eq!((adts.len, adts.config()), (7, [0x11, 0x90]));
        assert_eq!(of(&frame[..10]), None, "another length");
        assert_eq!(of(&[0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c, 0, 0]), None);
    }

    #[test]
    fn knows_the_usual_frequencies() {
        assert_eq!(config(48000.0, 2), Some([0x11, 0x90]));
        assert_eq!(config(16000.0, 1), Some([0x14, 0x08]));
        assert_eq!(config(12345.0, 2), None);
        assert_eq!(config(48000.0, 0), None);
    }
}
