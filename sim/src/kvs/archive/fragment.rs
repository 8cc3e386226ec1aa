//! Persisted fragments: what the archive knows of each, and their numbers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{behaviour::TagNames, kvs::mkv::tags};

/// What the archive knows of a fragment; times in ms since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// Counts what was persisted, over all streams.
    pub sequence: u64,
    /// Its number.
    pub number: String,
    /// When its first byte arrived.
    pub server: i64,
    /// Its time on the producer's clock.
    pub producer: i64,
    /// How long it plays, in ms.
    pub length: i64,
    /// When it was persisted.
    pub persisted: i64,
    /// Bytes of the Matroska header in its file.
    pub header: u64,
    /// Bytes after that.
    pub body: u64,
    /// Frames.
    pub frames: u64,
}

impl Meta {
    /// Its size as clients see it.
    pub fn size(&self) -> u64 {
        self.header + self.body
    }

    /// The Tags element that the service puts between the producer's header and the Cluster.
    pub fn tags(&self, names: TagNames) -> Vec<u8> {
        let (server, producer) = match names {
            TagNames::Short => (
                "AWS_KINESISVIDEO_SERVER_TIMESTAMP",
                "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP",
            ),
            TagNames::Side => (
                "AWS_KINESISVIDEO_SERVER_SIDE_TIMESTAMP",
                "AWS_KINESISVIDEO_PRODUCER_SIDE_TIMESTAMP",
            ),
        };
        tags::write(&[
            ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", self.number.as_str()),
            (server, &seconds(self.server)),
            (producer, &seconds(self.producer)),
        ])
    }

    /// A number that is the same for this fragment always, and says nothing.
    pub fn chance(&self) -> u64 {
        Sha256::digest(&self.number)
            .iter()
            .take(8)
            .fold(0, |n, b| n << 8 | u64::from(*b))
    }
}

/// Milliseconds as the service writes them into tags: seconds with three decimals.
pub fn seconds(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    let millis = millis.unsigned_abs();
    format!("{sign}{}.{:03}", millis / 1000, millis % 1000)
}

/// Gives numbers to fragments: 47 digits that rise in the order of ingestion, over restarts too.
///
/// `913438523331` as AWS's begin, the time in ms, a count within that ms, and digits that tell the stream.
#[derive(Debug, Default)]
pub struct Numbers {
    last: (i64, u32),
}

const HEAD: &str = "913438523331";

impl Numbers {
    /// All numbers from now on are higher than this one.
    pub fn seen(&mut self, number: &str) {
        let millis = number.get(12..25).and_then(|d| d.parse().ok());
        let count = number.get(25..28).and_then(|d| d.parse().ok());
        if let (Some(millis), Some(count)) = (millis, count) {
            self.last = self.last.max((millis, count));
        }
    }

    /// The next number.
    pub fn next(&mut self, stream_arn: &str, now: Timestamp) -> String {
        let now = now.as_millisecond();
        let (millis, count) = self.last;
        self.last = match (now > millis, count < 999) {
            (true, _) => (now, 0),
            (false, true) => (millis, count + 1),
            (false, false) => (millis + 1, 0),
        };
        let (millis, count) = self.last;
        format!("{HEAD}{millis:013}{count:03}{}", stream_digits(stream_arn))
    }
}

/// Whether a number was given to a fragment of this stream, be it still there or not.
pub fn is_of(number: &str, stream_arn: &str) -> bool {
    number.len() == 47 && number.starts_with(HEAD) && number.ends_with(&stream_digits(stream_arn))
}

fn stream_digits(stream_arn: &str) -> String {
    let hash = Sha256::digest(stream_arn);
    let number = hash.iter().take(8).fold(0u64, |n, b| n << 8 | u64::from(*b));
    format!("{:019}", number % 10_000_000_000_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_whatever_the_clock_does() {
        let mut numbers = Numbers::default();
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let mut given = vec![];
        for ms in [5, 5, 4, 9, 1].into_iter().chain([9; 2500]) {
            given.push(numbers.next("arn:a", at(1_700_000_000_000 + ms)));
        }
        let mut again = Numbers::default();
        again.seen(given.last().unwrap());
        given.push(again.next("arn:b", at(0)));
        assert!(given.is_sorted_by(|a, b| a < b));
        assert!(given.iter().all(|n| n.len() == 47));
        assert!(is_of(&given[0], "arn:a") && !is_of(&given[0], "arn:b") && !is_of("123", "arn:a"));
    }

    #[test]
    fn seconds_have_three_decimals() {
        assert_eq!(seconds(1_511_852_109_126), "1511852109.126");
        assert_eq!(seconds(5), "0.005");
        assert_eq!(seconds(-1_500), "-1.500");
    }
}
