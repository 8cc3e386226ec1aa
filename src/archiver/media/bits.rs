//! Numbers in parameter sets: single bits and Exp-Golomb codes (ITU-T H.264 and H.265, 7.2 and 9).

/// The payload of a NAL unit, bit by bit. Everything is `None` behind its end.
pub(super) struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    /// Of a unit without its header; the bytes that keep start codes out of it are taken away.
    pub fn new(payload: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(payload.len());
        let mut zeros = 0;
        for byte in payload {
            if *byte == 3 && zeros >= 2 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            bytes.push(*byte);
        }
        Self { bytes, at: 0 }
    }

    /// The next `count` bits as a number, at most 64.
    pub fn number(&mut self, count: u32) -> Option<u64> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u64::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    pub fn flag(&mut self) -> Option<bool> {
        Some(self.number(1)? == 1)
    }

    /// An unsigned Exp-Golomb code.
    pub fn golomb(&mut self) -> Option<u64> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 32 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.number(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_bits_and_codes() {
        let mut bits = Bits::new(&[0b1010_0011, 0b0010_0010, 0b1000_0000]);
        assert_eq!(bits.golomb(), Some(0));
        assert_eq!(bits.golomb(), Some(1));
        assert_eq!(bits.golomb(), Some(5));
        assert_eq!(bits.number(2), Some(1));
        assert_eq!(bits.golomb(), Some(9));
        assert_eq!(bits.number(64), None);
    }

    #[test]
    fn leaves_out_what_keeps_start_codes_out() {
        let mut bits = Bits::new(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3]);
        assert_eq!(bits.number(64), Some(0x0000_0100_0000_0003));
        assert_eq!(bits.flag(), None);
    }
}
