//! What the operator writes into the description of an alarm that it manages: a sentence for people, and what it must remember
//! of the stream, where DescribeAlarms shows it for nothing.
//!
//! Pure.

use jiff::Timestamp;

use crate::owner::Owner;

/// What is remembered of an alarm's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The stream's creation time in ms: another one means that it is another stream under the name, of which nothing is in
    /// Recordings yet.
    pub created: u64,
    /// Where the stream came to match after its policy had begun: no recording begins before this.
    pub from: Option<Timestamp>,
}

impl Mark {
    /// The mark in a description. `None`: there is none, or it is another owner's.
    pub fn read(description: &str, owner: &Owner) -> Option<Self> {
        let (_, mark) = description.rsplit_once(&begin(owner))?;
        let mut words = mark.strip_suffix(')')?.split(' ');
        let created = words.next()?.strip_prefix("created=")?.parse().ok()?;
        let from = match words.next() {
            Some(word) => Some(word.strip_prefix("from=")?.parse().ok()?),
            None => None,
        };
        Some(Self { created, from })
    }

    /// The whole description of the alarm of a stream.
    pub fn describe(&self, stream: &str, owner: &Owner) -> String {
        let from = self.from.map(|from| format!(" from={from}")).unwrap_or_default();
        let begin = begin(owner);
        format!(
            "Starts recordings of Kinesis video stream {stream} for {begin}created={}{from})",
            self.created
        )
    }
}

/// Two clusters may have policies of the same name; each must see that the other's alarm is not its own.
fn begin(owner: &Owner) -> String {
    format!(
        "ArchivePolicy {}/{} (kvs-operator: cluster={} ",
        owner.namespace, owner.name, owner.cluster
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let owner = |cluster: &str| Owner {
            cluster: cluster.into(),
            namespace: "cameras".into(),
            name: "all".into(),
        };
        for from in [None, Some("2026-11-23T17:00:00.25Z".parse().unwrap())] {
            let mark = Mark {
                created: 1_551_924_009_774,
                from,
            };
            let text = mark.describe("door", &owner("c-1"));
            assert!(
                text.starts_with(
                    "Starts recordings of Kinesis video stream door for ArchivePolicy cameras/all ("
                ),
                "{text}"
            );
            assert_eq!(Mark::read(&text, &owner("c-1")), Some(mark));
            assert_eq!(Mark::read(&text, &owner("c-2")), None);
            assert_eq!(Mark::read(text.trim_end_matches(')'), &owner("c-1")), None);
        }
        let text = Mark {
            created: 1,
            from: None,
        }
        .describe("door", &owner("c"));
        for odd in [
            text.replace("created=1", "created=x"),
            text.replace(')', " from=x)"),
            "mine".into(),
            String::new(),
        ] {
            assert_eq!(Mark::read(&odd, &owner("c")), None, "{odd}");
        }
    }
}
