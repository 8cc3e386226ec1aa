//! Checksums of objects and parts: computed while a body passes, compared with what the client declares, and combined for
//! multipart uploads.

use base64::{Engine, prelude::BASE64_STANDARD};
use crc_fast::CrcAlgorithm;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// An algorithm that S3 keeps a checksum of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// CRC-32.
    #[serde(rename = "CRC32")]
    Crc32,
    /// CRC-32C (Castagnoli).
    #[serde(rename = "CRC32C")]
    Crc32c,
    /// CRC-64/NVME, which S3 computes where a client declares none.
    #[serde(rename = "CRC64NVME")]
    Crc64Nvme,
    /// SHA-1.
    #[serde(rename = "SHA1")]
    Sha1,
    /// SHA-256.
    #[serde(rename = "SHA256")]
    Sha256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// S3's name for it, which is also its element in documents after `Checksum`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// By S3's name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// The header that carries it.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The element that carries it.
    pub fn element(self) -> String {
        format!("Checksum{}", self.name())
    }

    fn bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    /// What S3 assumes for a multipart upload that names only the algorithm.
    pub fn default_kind(self) -> Kind {
        if self == Self::Crc64Nvme {
            Kind::FullObject
        } else {
            Kind::Composite
        }
    }

    /// Whether a multipart upload may have this kind of checksum by this algorithm.
    pub fn allows(self, kind: Kind) -> bool {
        match kind {
            Kind::FullObject => self.crc().is_some(),
            Kind::Composite => self != Self::Crc64Nvme,
        }
    }

    /// Whether a text is a checksum of this algorithm.
    pub fn is_valid(self, text: &str) -> bool {
        BASE64_STANDARD
            .decode(text)
            .is_ok_and(|b| b.len() == self.bytes())
    }
}

/// What a checksum is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// All bytes of the object.
    FullObject,
    /// The checksums of its parts.
    Composite,
}

impl Kind {
    /// S3's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// By S3's name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::FullObject, Self::Composite]
            .into_iter()
            .find(|k| k.name() == name)
    }
}

/// A checksum as S3 keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// By which algorithm.
    pub algorithm: Algorithm,
    /// Of what.
    pub kind: Kind,
    /// Base64, for COMPOSITE with `-` and the number of parts.
    pub value: String,
}

/// Hashes by one algorithm while bytes pass.
pub enum Hasher {
    /// A CRC.
    Crc(Algorithm, Box<crc_fast::Digest>),
    /// SHA-1.
    Sha1(Sha1),
    /// SHA-256.
    Sha256(Sha256),
}

impl Hasher {
    /// A fresh one.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm.crc() {
            Some(crc) => Self::Crc(algorithm, Box::new(crc_fast::Digest::new(crc))),
            None if algorithm == Algorithm::Sha1 => Self::Sha1(Sha1::new()),
            None => Self::Sha256(Sha256::new()),
        }
    }

    /// By which algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Crc(algorithm, _) => *algorithm,
            Self::Sha1(_) => Algorithm::Sha1,
            Self::Sha256(_) => Algorithm::Sha256,
        }
    }

    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(_, digest) => digest.update(bytes),
            Self::Sha1(digest) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
        }
    }

    /// The digest in base64.
    pub fn finish(self) -> String {
        match self {
            Self::Crc(algorithm, digest) => encode_crc(algorithm, digest.finalize()),
            Self::Sha1(digest) => BASE64_STANDARD.encode(digest.finalize()),
            Self::Sha256(digest) => BASE64_STANDARD.encode(digest.finalize()),
        }
    }
}

fn encode_crc(algorithm: Algorithm, crc: u64) -> String {
    BASE64_STANDARD.encode(&crc.to_be_bytes()[8 - algorithm.bytes()..])
}

/// The checksum of an object from those of its parts (base64) and their sizes. `None` if a part's is not valid.
pub fn of_parts(algorithm: Algorithm, kind: Kind, parts: &[(String, u64)]) -> Option<Checksum> {
    let value = match (kind, algorithm.crc()) {
        (Kind::FullObject, Some(crc)) => {
            let mut whole: Option<u64> = None;
            for (value, size) in parts {
                let bytes = BASE64_STANDARD.decode(value).ok()?;
                let part = bytes.iter().fold(0_u64, |crc, b| crc << 8 | u64::from(*b));
                whole = Some(match whole {
                    Some(whole) => crc_fast::checksum_combine(crc, whole, part, *size),
                    None => part,
                });
            }
            encode_crc(algorithm, whole?)
        }
        (Kind::FullObject, None) => return None,
        (Kind::Composite, _) => {
            let mut hasher = Hasher::new(algorithm);
            for (value, _) in parts {
                hasher.update(&BASE64_STANDARD.decode(value).ok()?);
            }
            format!("{}-{}", hasher.finish(), parts.len())
        }
    };
    Some(Checksum {
        algorithm,
        kind,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The check values of the CRC catalogue and the FIPS 180 digests of "123456789" and "abc".
    #[test]
    fn known_values() {
        let table = [
            (Algorithm::Crc32, "123456789", "cbf43926"),
            (Algorithm::Crc32c, "123456789", "e3069283"),
            (Algorithm::Crc64Nvme, "123456789", "ae8b14860a799888"),
            (Algorithm::Sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                Algorithm::Sha256,
                "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
        ];
        for (algorithm, input, expected) in table {
            let value = digest(algorithm, input.as_bytes());
            assert_eq!(hex::encode(BASE64_STANDARD.decode(&value).unwrap()), expected);
            assert!(algorithm.is_valid(&value));
        }
    }

    #[test]
    fn full_object_checksums_combine_to_the_checksum_of_all_bytes() {
        let body: Vec<u8> = (0..100_000_u32).map(|i| (i * 7 % 251) as u8).collect();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            for cut in [1, 33_333, 99_999] {
                let parts: Vec<_> = [&body[..cut], &body[cut..]]
                    .map(|p| (digest(algorithm, p), p.len() as u64))
                    .into();
                let whole = of_parts(algorithm, Kind::FullObject, &parts).unwrap();
                assert_eq!(
                    whole.value,
                    digest(algorithm, &body),
                    "{algorithm:?} cut at {cut}"
                );
            }
        }
    }
}
