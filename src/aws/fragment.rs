//! A fragment as ListFragments tells of it, and its number.
//!
//! Pure data.

use std::{cmp::Ordering, fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Which of a fragment's two times is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TimestampType {
    /// When KVS began to receive it.
    #[default]
    ServerTimestamp,
    /// The camera's clock.
    ProducerTimestamp,
}

/// A fragment's number: up to 128 decimal digits, which grow in the order in which KVS took the fragments in. It fits no
/// machine integer, so it is compared as text: by length, then digit by digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub struct FragmentNumber(#[schemars(regex(pattern = "^[0-9]{1,128}$"))] Box<str>);

/// Why a text is not a fragment number.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a fragment number (1 to 128 decimal digits)")]
pub struct NotAFragmentNumber(String);

impl FragmentNumber {
    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn significant(&self) -> &str {
        self.0.trim_start_matches('0')
    }
}

impl FromStr for FragmentNumber {
    type Err = NotAFragmentNumber;

    fn from_str(text: &str) -> Result<Self, NotAFragmentNumber> {
        if (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.into()))
        } else {
            Err(NotAFragmentNumber(text.chars().take(140).collect()))
        }
    }
}

impl Ord for FragmentNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.significant(), other.significant());
        a.len()
            .cmp(&b.len())
            .then_with(|| a.cmp(b))
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for FragmentNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for FragmentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for FragmentNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FragmentNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// A fragment as ListFragments tells of it. KVS's times have milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fragment {
    /// Its number.
    pub number: FragmentNumber,
    /// When it begins by the camera's clock.
    pub producer: Timestamp,
    /// When KVS began to receive it.
    pub server: Timestamp,
    /// From its first frame to the start of its last, in ms: the last frame's own length is not in it.
    pub length_ms: u32,
    /// Its size in KVS, in bytes.
    pub bytes: u64,
}

impl Fragment {
    /// When its last frame begins by the camera's clock.
    pub fn producer_end(&self) -> Timestamp {
        self.producer
            .checked_add(SignedDuration::from_millis(self.length_ms.into()))
            .unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_as_numbers() {
        let n = |text: &str| text.parse::<FragmentNumber>().unwrap();
        assert!(n("9") < n("10"));
        assert!(
            n("91343852333185057105875891022195998207386831087")
                < n("91343852333185057105875891022195998207386831088")
        );
        assert!(n("0009") < n("10"));
        assert!(n("1") != n("01"), "another text is another number to KVS");
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in ["", "-1", "1e5", "12 ", &"1".repeat(129)] {
            assert!(text.parse::<FragmentNumber>().is_err(), "{text}");
        }
    }
}
