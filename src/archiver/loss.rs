//! When a fragment that cannot be read counts as lost.
//!
//! Pure. Access and key errors are never loss: a person can mend them until retention takes the fragment.

use jiff::{SignedDuration, Timestamp};

use super::manifest::Unread;
use crate::aws::Fragment;

/// KVS's own error counts as final when it has lasted this long.
const PERSISTENT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What the world is like when it is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// AWS's time.
    pub now: Timestamp,
    /// How long the stream keeps footage.
    pub retention: SignedDuration,
    /// The stream is gone.
    pub gone: bool,
}

impl Circumstances {
    /// What retention has taken by now: everything whose server time is before this.
    pub fn horizon(&self) -> Timestamp {
        self.now.checked_sub(self.retention).unwrap_or(Timestamp::MIN)
    }

    /// Why what is before the horizon is not there.
    pub fn expired(&self) -> String {
        if self.retention.is_zero() {
            "NoDataRetention: the stream keeps no footage (retention 0)".into()
        } else {
            format!(
                "Expired: the stream keeps footage for {} h",
                self.retention.as_hours()
            )
        }
    }

    /// Why nothing of the stream is there any more.
    pub fn deleted(&self) -> String {
        "StreamDeleted: the stream is gone, and its footage with it".into()
    }

    /// Why an unread fragment is lost; `None`: it is not, later sweeps try again. `since`: when the first manifest that names
    /// it unread by KVS's own error was written.
    pub fn lost(&self, fragment: &Fragment, unread: &Unread, since: Option<Timestamp>) -> Option<String> {
        if self.gone {
            return Some(self.deleted());
        }
        let expiry = fragment
            .server
            .checked_add(self.retention)
            .unwrap_or(Timestamp::MAX);
        if expiry < self.now {
            return Some(format!("{} (unread: {})", self.expired(), unread.reason));
        }
        let margin = SignedDuration::from_hours(1).min(self.retention / 4);
        let lasted = since.is_some_and(|since| self.now.duration_since(since) >= PERSISTENT);
        let soon = expiry.duration_since(self.now) <= margin;
        (!unread.denied && (lasted || soon)).then(|| format!("Unreadable: {}", unread.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_only_when_it_can_never_come() {
        let t0: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let hours = SignedDuration::from_hours;
        let fragment = Fragment {
            number: "1".parse().unwrap(),
            producer: t0,
            server: t0,
            length_ms: 1960,
            bytes: 1,
        };
        let unread = |denied| Unread {
            reason: "5000".into(),
            denied,
        };
        for (name, after, retention, gone, denied, since, expected) in [
            ("fresh", 1, 24, false, false, None, None),
            ("past its expiry", 25, 24, false, false, None, Some("Expired")),
            (
                "denied, past its expiry",
                25,
                24,
                false,
                true,
                None,
                Some("Expired"),
            ),
            (
                "an hour before expiry",
                23,
                24,
                false,
                false,
                None,
                Some("Unreadable"),
            ),
            ("denied an hour before expiry", 23, 24, false, true, None, None),
            (
                "a quarter of a short retention before expiry",
                3,
                4,
                false,
                false,
                None,
                Some("Unreadable"),
            ),
            ("for six days", 200, 1000, false, false, Some(56), None),
            (
                "for seven days",
                200,
                1000,
                false,
                false,
                Some(32),
                Some("Unreadable"),
            ),
            ("denied for seven days", 200, 1000, false, true, Some(32), None),
            (
                "the stream is gone",
                1,
                24,
                true,
                true,
                None,
                Some("StreamDeleted"),
            ),
        ] {
            let c = Circumstances {
                now: t0 + hours(after),
                retention: hours(retention),
                gone,
            };
            let since = since.map(|h| t0 + hours(h));
            let lost = c.lost(&fragment, &unread(denied), since);
            assert_eq!(
                lost.as_deref().map(|l| l.split(':').next().unwrap()),
                expected,
                "{name}"
            );
        }
    }
}
