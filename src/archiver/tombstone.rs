//! Tombstones: what was erased on purpose, and must not come back.
//!
//! Pure. A tombstone is a rule (a span of a stream's time: it also holds for footage that is listed later) and a list of the
//! files that went with it, each with the new files that hold what of it lies outside the span. It is written before anything
//! is deleted, so that an erasure that was interrupted is gone on with, and never forgotten.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{keys::instant, request::TimestampType};
use crate::aws::{Fragment, FragmentNumber, StreamArn};

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// The document's version.
    pub version: u32,
    /// The program that wrote it.
    pub program: String,
    /// The stream.
    #[serde(rename = "streamARN")]
    pub stream_arn: String,
    /// Which of a fragment's times the span is in.
    pub timestamp_type: TimestampType,
    /// Where the span begins, inclusive.
    pub from: Timestamp,
    /// Where it ends, exclusive.
    pub to: Timestamp,
    /// The files that went. Of their fragments only those that are in `remains` are left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Removed>,
}

/// A file of footage that went.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// Its key.
    pub key: String,
    /// The new files with what of it lies outside the span.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remains: Vec<Remains>,
}

/// A file with what is left of one that went.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remains {
    /// Its key.
    pub key: String,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// The fragments in it, in order.
    pub fragments: Vec<FragmentNumber>,
}

/// A file of footage as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its key.
    pub key: &'a str,
    /// SHA-256 of its content, in hex.
    pub sha256: &'a str,
    /// Its size.
    pub bytes: u64,
}

impl Tombstone {
    /// Whether the rule takes this fragment. In the camera's time every fragment goes that has a frame in the span; server
    /// time is only known of its start.
    pub fn takes(&self, fragment: &Fragment) -> bool {
        match self.timestamp_type {
            TimestampType::ServerTimestamp => self.from <= fragment.server && fragment.server < self.to,
            TimestampType::ProducerTimestamp => {
                fragment.producer < self.to && self.from <= fragment.producer_end()
            }
        }
    }

    /// Its key: of the span, and of its place among tombstones of the same span, from 1. `folder` is [`folder`]'s.
    pub fn key(&self, folder: &str, position: usize) -> String {
        let kind = match self.timestamp_type {
            TimestampType::ServerTimestamp => "server",
            TimestampType::ProducerTimestamp => "producer",
        };
        let (from, to) = (instant(self.from), instant(self.to));
        format!("{folder}{kind}-{from}_{to}-{position:03}.json")
    }
}

/// The folder of a stream's tombstones under `prefix`, with a slash at its end.
pub fn folder(prefix: &str, stream: &StreamArn) -> String {
    format!("{}erased/", super::keys::stream_folder(prefix, stream))
}

/// All tombstones of a stream, with their keys.
#[derive(Clone, Debug, Default)]
pub struct Tombstones(pub Vec<(String, Tombstone)>);

impl Tombstones {
    /// The key of the first tombstone whose rule takes this fragment.
    pub fn takes(&self, fragment: &Fragment) -> Option<&str> {
        let found = self.0.iter().find(|(_, tombstone)| tombstone.takes(fragment));
        found.map(|(key, _)| key.as_str())
    }

    /// What became of a file that went; `None`: none says that it did.
    pub fn removed(&self, key: &str) -> Option<&Removed> {
        let removed = self.0.iter().flat_map(|(_, tombstone)| &tombstone.objects);
        removed.into_iter().find(|o| o.key == key)
    }

    /// Where a fragment is now that a manifest says is in `place`; `None`: it was erased with that file. What is left of a
    /// file may have been erased in part again.
    pub fn follow<'a>(&'a self, mut place: Place<'a>, number: &FragmentNumber) -> Option<Place<'a>> {
        // A chain of remains has no circle: each is made of the one before it. A broken document must not hang a reader.
        for _ in 0..=self.0.len() {
            let Some(removed) = self.removed(place.key) else {
                return Some(place);
            };
            let remains = removed.remains.iter().find(|r| r.fragments.contains(number))?;
            place = Place {
                key: &remains.key,
                sha256: &remains.sha256,
                bytes: remains.bytes,
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archiver::plan::VERSION;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn tombstone(by: TimestampType, objects: Vec<Removed>) -> Tombstone {
        Tombstone {
            version: VERSION,
            program: "test".into(),
            stream_arn: "arn:aws:kinesisvideo:eu-west-1:123456789012:stream/front-door/1".into(),
            timestamp_type: by,
            from: at("2026-11-22T10:00:10Z"),
            to: at("2026-11-22T10:00:20Z"),
            objects,
        }
    }

    #[test]
    fn a_fragment_goes_that_has_a_frame_in_the_span() {
        let fragment = |producer: &str, server: &str| Fragment {
            number: "1".parse().unwrap(),
            producer: at(producer),
            server: at(server),
            length_ms: 1960,
            bytes: 1,
        };
        let late = "2026-11-22T12:00:00Z";
        for (producer, server, by_producer, by_server) in [
            ("2026-11-22T10:00:08.039Z", late, false, false),
            ("2026-11-22T10:00:08.04Z", late, true, false),
            ("2026-11-22T10:00:19.999Z", late, true, false),
            ("2026-11-22T10:00:20Z", late, false, false),
            ("1970-01-01T00:00:00Z", "2026-11-22T10:00:09.999Z", false, false),
            ("1970-01-01T00:00:00Z", "2026-11-22T10:00:10Z", false, true),
            ("1970-01-01T00:00:00Z", "2026-11-22T10:00:20Z", false, false),
        ] {
            let fragment = fragment(producer, server);
            let takes = |by| tombstone(by, vec![]).takes(&fragment);
            assert_eq!(
                (
                    takes(TimestampType::ProducerTimestamp),
                    takes(TimestampType::ServerTimestamp)
                ),
                (by_producer, by_server),
                "{fragment:?}"
            );
        }
    }

    #[test]
    fn what_is_left_is_found_however_often_it_was_cut() {
        let remains = |key: &str, numbers: &[&str]| Remains {
            key: key.into(),
            sha256: key.into(),
            bytes: 7,
            fragments: numbers.iter().map(|n| n.parse().unwrap()).collect(),
        };
        let removed = |key: &str, remains| Removed {
            key: key.into(),
            remains,
        };
        let by = TimestampType::ProducerTimestamp;
        let first = vec![removed(
            "a",
            vec![remains("b", &["1", "2"]), remains("c", &["4"])],
        )];
        let second = vec![
            removed("b", vec![remains("d", &["1"])]),
            removed("x", vec![remains("x", &["9"])]),
        ];
        let all = Tombstones(vec![
            ("first".into(), tombstone(by, first)),
            ("second".into(), tombstone(by, second)),
        ]);
        let start = |key| Place {
            key,
            sha256: "s",
            bytes: 1,
        };
        let follow = |key, number: &str| all.follow(start(key), &number.parse().unwrap()).map(|p| p.key);
        for (key, number, expected) in [
            ("z", "1", Some("z")),
            ("a", "1", Some("d")),
            ("a", "2", None),
            ("a", "3", None),
            ("a", "4", Some("c")),
            ("x", "9", None),
        ] {
            assert_eq!(follow(key, number), expected, "{key} {number}");
        }
    }
}
