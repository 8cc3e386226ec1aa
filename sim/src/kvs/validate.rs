//! The API model's constraints on what comes in (botocore's service model of kinesisvideo, 2017-09-30).

use std::collections::BTreeMap;

use super::error::{ApiError, ApiResult};

/// The most tags that a stream has.
pub const MAX_TAGS: usize = 50;

/// The longest retention: 10 years.
pub const MAX_RETENTION_HOURS: i64 = 87_600;

/// Epoch seconds, as they come in JSON, in ms.
pub fn millis(seconds: f64) -> i64 {
    // Out-of-range values saturate: they are before or after everything.
    (seconds * 1000.0).round() as i64
}

/// A text of `min..=max` characters that `allowed` takes.
pub fn text(
    name: &str,
    value: &str,
    min: usize,
    max: usize,
    allowed: impl Fn(char) -> bool,
) -> ApiResult<()> {
    if !(min..=max).contains(&value.chars().count()) {
        return Err(ApiError::invalid(format!(
            "{name} must have {min} to {max} characters."
        )));
    }
    match value.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(ApiError::invalid(format!(
            "{name} must not contain '{}'.",
            c.escape_default()
        ))),
        None => Ok(()),
    }
}

/// StreamName and DeviceName.
pub fn name(name: &str, value: &str, max: usize) -> ApiResult<()> {
    text(name, value, 1, max, |c| {
        c.is_ascii_alphanumeric() || "_.-".contains(c)
    })
}

/// MediaType: `type/subtype`, several separated by commas.
pub fn media_type(value: &str) -> ApiResult<()> {
    text("MediaType", value, 1, 128, |c| {
        c.is_ascii_alphanumeric() || "_-.+/,".contains(c)
    })?;
    let pairs = value.split(',').all(|pair| matches!(pair.split_once('/'), Some((a, b)) if !a.is_empty() && !b.is_empty() && !b.contains('/')));
    if pairs {
        Ok(())
    } else {
        Err(ApiError::invalid(
            "MediaType must be type/subtype, several separated by commas.",
        ))
    }
}

/// KmsKeyId.
pub fn kms_key(value: &str) -> ApiResult<()> {
    text("KmsKeyId", value, 1, 2048, |c| c != '\n')
}

/// A number in `min..=max`, where given.
pub fn range(name: &str, value: Option<i64>, min: i64, max: i64) -> ApiResult<Option<i64>> {
    match value {
        Some(v) if !(min..=max).contains(&v) => {
            Err(ApiError::invalid(format!("{name} must be {min} to {max}.")))
        }
        _ => Ok(value),
    }
}

/// A stream's ARN, as far as its form goes.
pub fn is_stream_arn(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let [start, partition, service, region, account, resource] = parts[..] else {
        return false;
    };
    let plain = |s: &str| {
        !s.is_empty()
            && s.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let digits = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_digit());
    let resource: Vec<&str> = resource.split('/').collect();
    let [kind, stream, created] = resource[..] else {
        return false;
    };
    arn.len() <= 1024
        && start == "arn"
        && plain(partition)
        && service == "kinesisvideo"
        && plain(region)
        && digits(account)
        && kind == "stream"
        && name("StreamName", stream, 256).is_ok()
        && digits(created)
}

/// Tags that are to be set.
pub fn tags(tags: &BTreeMap<String, String>) -> ApiResult<()> {
    let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c);
    for (key, value) in tags {
        text("A tag's key", key, 1, 128, allowed)?;
        text("A tag's value", value, 0, 256, allowed)?;
        if key.starts_with("aws:") {
            return Err(ApiError::invalid("Tag keys that start with aws: are reserved."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns() {
        let table = [
            (
                "arn:aws:kinesisvideo:us-east-1:123456789012:stream/a.b-c_d/1551924009774",
                true,
            ),
            ("arn:aws-cn:kinesisvideo:cn-north-1:1:stream/a/1", true),
            ("arn:aws:kinesisvideo:us-east-1:123456789012:channel/a/1", false),
            ("arn:aws:kinesisvideo:us-east-1:123456789012:stream/a", false),
            ("arn:aws:s3:::bucket", false),
            ("cam", false),
        ];
        for (arn, expected) in table {
            assert_eq!(is_stream_arn(arn), expected, "{arn}");
        }
    }

    #[test]
    fn media_types() {
        for good in ["video/h264", "video/h264,audio/aac", "video/x-matroska"] {
            assert_eq!(media_type(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "video",
            "video/",
            "/h264",
            "video/h264,",
            "video/h264/x",
            "video/ä",
        ] {
            assert!(media_type(bad).is_err(), "{bad}");
        }
    }
}
