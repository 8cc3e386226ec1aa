//! Conditional requests: `If-Match` and its kin. Pure.

use axum::http::HeaderMap;
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};

use super::{
    error::{Error, Result},
    state::Object,
};

/// Decides on a read (RFC 9110, section 13.2.2).
pub fn read(headers: &HeaderMap, etag: &str, modified: Timestamp) -> Result<()> {
    let modified = modified.as_second();
    let after = |name| date(headers, name).map(|date| modified > date.as_second());
    let failed = |condition: &str| Err(Error::new("PreconditionFailed").with("Condition", condition));
    match tags(headers, "if-match") {
        Some(tags) if !matches(&tags, etag) => return failed("If-Match"),
        Some(_) => {}
        None if after("if-unmodified-since") == Some(true) => return failed("If-Unmodified-Since"),
        None => {}
    }
    let unchanged = match tags(headers, "if-none-match") {
        Some(tags) => matches(&tags, etag),
        None => after("if-modified-since") == Some(false),
    };
    if unchanged {
        Err(Error::new("NotModified"))
    } else {
        Ok(())
    }
}

/// Decides on a write over what a key holds now.
pub fn write(headers: &HeaderMap, key: &str, current: Option<&Object>) -> Result<()> {
    if let Some(tags) = tags(headers, "if-none-match") {
        if tags != "*" || headers.contains_key("if-match") {
            return Err(Error::new("NotImplemented").with("Header", "If-None-Match"));
        }
        if current.is_some() {
            return Err(Error::new("PreconditionFailed").with("Condition", "If-None-Match"));
        }
    }
    if let Some(tags) = tags(headers, "if-match") {
        let current = current.ok_or_else(|| Error::new("NoSuchKey").with("Key", key))?;
        if !matches(&tags, &current.etag) {
            return Err(Error::new("PreconditionFailed").with("Condition", "If-Match"));
        }
    }
    Ok(())
}

/// Whether a list of entity tags, such as `"a", "b"` or `*`, has this one.
pub fn matches(tags: &str, etag: &str) -> bool {
    tags.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/").trim_matches('"') == etag)
}

fn tags(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

/// A date that cannot be read is no condition.
fn date(headers: &HeaderMap, name: &str) -> Option<Timestamp> {
    DateTimeParser::new()
        .parse_timestamp(headers.get(name)?.to_str().ok()?)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads() {
        let modified: Timestamp = "2026-03-01T12:00:00.5Z".parse().unwrap();
        let (before, same) = ("Sun, 01 Mar 2026 11:59:59 GMT", "Sun, 01 Mar 2026 12:00:00 GMT");
        type Headers<'a> = &'a [(&'a str, &'a str)];
        let table: &[(Headers<'_>, Option<&str>)] = &[
            (&[], None),
            (&[("if-match", "\"e\"")], None),
            (&[("if-match", "e")], None),
            (&[("if-match", "\"x\", \"e\"")], None),
            (&[("if-match", "\"x\"")], Some("PreconditionFailed")),
            (&[("if-none-match", "\"e\"")], Some("NotModified")),
            (&[("if-none-match", "*")], Some("NotModified")),
            (&[("if-none-match", "\"x\"")], None),
            (&[("if-modified-since", same)], Some("NotModified")),
            (&[("if-modified-since", before)], None),
            (&[("if-modified-since", "yesterday")], None),
            (&[("if-unmodified-since", before)], Some("PreconditionFailed")),
            (&[("if-unmodified-since", same)], None),
            (&[("if-match", "\"e\""), ("if-unmodified-since", before)], None),
            (&[("if-none-match", "\"x\""), ("if-modified-since", same)], None),
        ];
        for (headers, expected) in table {
            let map = headers
                .iter()
                .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()))
                .collect();
            assert_eq!(
                read(&map, "e", modified).err().map(|e| e.code),
                *expected,
                "{headers:?}"
            );
        }
    }
}
