//! `Span`: a length of time as users write it (`90s`, `3m`, `1h30m`).

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A length of time in whole seconds, written as hours, minutes and seconds: `1h`, `3m`, `90s`, `1h30m`.
///
/// Unlike kube's `Duration` it prints as people write it (`10m`, not `600s`), which shows in the CRD's defaults and in
/// `kubectl describe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(u64);

impl Span {
    /// A span of so many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// A span of so many minutes.
    pub const fn from_mins(minutes: u64) -> Self {
        Self(minutes * 60)
    }

    /// A span of so many hours.
    pub const fn from_hours(hours: u64) -> Self {
        Self(hours * 3600)
    }

    /// Its length in seconds.
    pub const fn secs(self) -> u64 {
        self.0
    }

    /// Its length for arithmetic with timestamps.
    pub fn duration(self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_secs(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}

/// Why a text is not a `Span`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write hours, minutes and seconds, such as 90s, 3m or 1h30m")]
pub struct NotASpan(String);

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let wrong = || NotASpan(text.chars().take(40).collect());
        let (mut total, mut rest, mut any) = (0u64, text, false);
        for (unit, factor) in [('h', 3600), ('m', 60), ('s', 1)] {
            let Some((digits, tail)) = rest.split_once(unit) else {
                continue;
            };
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(wrong());
            }
            let number: u64 = digits.parse().map_err(|_| wrong())?;
            total = number
                .checked_mul(factor)
                .and_then(|n| total.checked_add(n))
                .ok_or_else(wrong)?;
            (rest, any) = (tail, true);
        }
        if any && rest.is_empty() {
            Ok(Self(total))
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if seconds > 0 || self.0 == 0 {
            write!(f, "{seconds}s")?;
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // The bounds keep CEL's cost estimate small and every value far from overflow.
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": 16,
            "pattern": "^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,7}s)?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_as_people_write() {
        for (text, seconds, printed) in [
            ("90s", 90, "1m30s"),
            ("3m", 180, "3m"),
            ("1h30m", 5400, "1h30m"),
            ("0s", 0, "0s"),
            ("600s", 600, "10m"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(
                (span.secs(), span.to_string().as_str()),
                (seconds, printed),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_is_not_a_span() {
        for text in [
            "",
            "3",
            "m",
            "-3m",
            "3s1m",
            "1.5h",
            "3 m",
            "3d",
            "99999999999999999999h",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
