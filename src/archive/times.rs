//! Moments as people write and read them, in a time zone.
//!
//! May: read the system's time zones. May not: know what time it is.

use std::path::Path;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::archiver::error::{ArchiveError, Result};

/// Where systems keep their time zones.
const ZONES: &str = "/usr/share/zoneinfo";

/// The time zone of this name, as `Europe/Berlin`.
pub fn zone(name: &str) -> Result<TimeZone> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    let wrong = |why: String| ArchiveError::Invalid(format!("the time zone {name:?}: {why}"));
    if name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return Err(wrong("a name such as Europe/Berlin is needed".into()));
    }
    let path = Path::new(ZONES).join(name);
    let rules = std::fs::read(&path).map_err(|e| wrong(format!("{} cannot be read: {e}", path.display())))?;
    TimeZone::tzif(name, &rules).map_err(|e| wrong(e.to_string()))
}

/// The moment that a text means; without an offset it is in `zone`.
pub fn moment(text: &str, zone: &TimeZone) -> Result<Timestamp> {
    let wrong = |why: String| ArchiveError::Invalid(format!("{text:?} is not a moment: {why}"));
    let instant = match text.parse::<Timestamp>() {
        Ok(moment) => return Ok(moment),
        Err(e) => e,
    };
    let offset = text
        .get(10..)
        .is_some_and(|time| time.contains(['+', '-', 'Z', 'z', '[']));
    let Some(local) = text.parse::<DateTime>().ok().filter(|_| !offset) else {
        return Err(wrong(format!(
            "{instant}; write 2026-11-22T10:00:00Z, or 2026-11-22T11:00:00 with --tz"
        )));
    };
    let there = zone.to_ambiguous_timestamp(local).unambiguous();
    there.map_err(|_| {
        wrong(
            "clocks were set then, so that it comes twice or not at all: write it with an offset, as +01:00"
                .into(),
        )
    })
}

/// A moment as it is shown.
pub fn shown(moment: Timestamp, zone: &TimeZone) -> String {
    if *zone == TimeZone::UTC {
        moment.to_string()
    } else {
        moment.display_with_offset(zone.to_offset(moment)).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_without_an_offset_is_in_the_zone() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for (text, zone, expected) in [
            ("2026-11-22T11:00:00", &berlin, Some("2026-11-22T10:00:00Z")),
            ("2026-07-01 11:00", &berlin, Some("2026-07-01T09:00:00Z")),
            ("2026-11-22T11:00:00Z", &berlin, Some("2026-11-22T11:00:00Z")),
            ("2026-11-22T11:00:00+05:00", &berlin, Some("2026-11-22T06:00:00Z")),
            (
                "2026-11-22T11:00:00",
                &TimeZone::UTC,
                Some("2026-11-22T11:00:00Z"),
            ),
            // Twice, and never.
            ("2026-10-25T02:30:00", &berlin, None),
            ("2026-03-29T02:30:00", &berlin, None),
            ("2026-11-22T11:00:00+99:00", &berlin, None),
            ("yesterday", &berlin, None),
        ] {
            let found = moment(text, zone).ok().map(|m| m.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        let moment = "2026-11-22T10:00:00.5Z".parse().unwrap();
        assert_eq!(shown(moment, &berlin), "2026-11-22T11:00:00.5+01:00");
        assert_eq!(shown(moment, &TimeZone::UTC), "2026-11-22T10:00:00.5Z");
    }

    #[test]
    fn zones_come_from_the_system_alone() {
        assert!(zone("UTC").is_ok());
        for name in ["../../etc/passwd", "/etc/localtime", "No/Such", ""] {
            assert_eq!(zone(name).unwrap_err().outcome().exit_code(), 2, "{name}");
        }
    }
}
