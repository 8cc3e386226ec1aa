//! What the operator writes into the description of an alarm that it manages: a sentence for people, and what it must remember
//! of the stream, where DescribeAlarms shows it for nothing.
//!
//! Pure.

use std::fmt;

use jiff::Timestamp;

use crate::aws::StreamArn;

/// What is remembered of an alarm's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The stream's creation time in ms: another one means that it is another stream under the name, of which nothing is in
    /// Recordings yet.
    pub created: u64,
    /// Where the stream came to match after its policy had begun: no recording begins before this.
    pub from: Option<Timestamp>,
}

const BEGIN: &str = "(kvs-operator: ";

impl Mark {
    /// The mark in a description. `None`: there is none.
    pub fn read(description: &str) -> Option<Self> {
        let (_, mark) = description.rsplit_once(BEGIN)?;
        let mut words = mark.strip_suffix(')')?.split(' ');
        let created = words.next()?.strip_prefix("created=")?.parse().ok()?;
        let from = match words.next() {
            Some(word) => Some(word.strip_prefix("from=")?.parse().ok()?),
            None => None,
        };
        Some(Self { created, from })
    }

    /// The whole description.
    pub fn describe(&self, arn: &StreamArn, namespace: &str, policy: &str) -> String {
        format!("Starts recordings of Kinesis video stream {} for ArchivePolicy {namespace}/{policy} {self}", arn.name())
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{BEGIN}created={}", self.created)?;
        if let Some(from) = self.from {
            write!(f, " from={from}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let arn: StreamArn =
            "arn:aws:kinesisvideo:eu-west-1:123456789012:stream/door/1551924009774".parse().unwrap();
        for from in [None, Some("2026-11-23T17:00:00.25Z".parse().unwrap())] {
            let mark = Mark { created: arn.creation_millis(), from };
            let text = mark.describe(&arn, "cameras", "all");
            assert!(text.starts_with("Starts recordings of Kinesis video stream door for ArchivePolicy cameras/all "), "{text}");
            assert_eq!(Mark::read(&text), Some(mark));
        }
        for text in ["", "mine", "(kvs-operator: created=x)", "(kvs-operator: created=1 from=x)", "(kvs-operator: created=1"] {
            assert_eq!(Mark::read(text), None, "{text}");
        }
    }
}
