//! Which bytes of an object a request is for. Pure.

use super::error::{Error, Result};

/// The first byte and the number of bytes that a Range header names. `None`: the whole object, also for what S3 does not
/// understand, such as several ranges.
pub fn bytes(header: Option<&str>, size: u64) -> Result<Option<(u64, u64)>> {
    let Some(text) = header else { return Ok(None) };
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|r| r.split_once('-')) else {
        return Ok(None);
    };
    let unsatisfiable = || {
        Err(Error::new("InvalidRange")
            .with("RangeRequested", text)
            .with("ActualObjectSize", size.to_string()))
    };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first > last => Ok(None),
        (Ok(first), last) if last.is_ok() || text.ends_with('-') => {
            if first >= size {
                return unsatisfiable();
            }
            let last = last.unwrap_or(u64::MAX).min(size - 1);
            Ok(Some((first, last - first + 1)))
        }
        (Err(_), Ok(suffix)) if first.is_empty() => {
            if suffix == 0 || size == 0 {
                return unsatisfiable();
            }
            let count = suffix.min(size);
            Ok(Some((size - count, count)))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        for (header, expected) in [
            ("bytes=0-0", Some((0, 1))),
            ("bytes=2-5", Some((2, 4))),
            ("bytes=2-", Some((2, 8))),
            ("bytes=2-99", Some((2, 8))),
            ("bytes=-3", Some((7, 3))),
            ("bytes=-99", Some((0, 10))),
            ("bytes=5-2", None),
            ("bytes=0-1,4-5", None),
            ("bytes=x-", None),
            ("bytes=-", None),
            ("items=0-1", None),
        ] {
            assert_eq!(bytes(Some(header), 10).unwrap(), expected, "{header}");
        }
        for header in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(
                bytes(Some(header), 10).unwrap_err().code,
                "InvalidRange",
                "{header}"
            );
        }
        assert_eq!(bytes(Some("bytes=-1"), 0).unwrap_err().code, "InvalidRange");
    }
}
