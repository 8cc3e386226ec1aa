//! A stream's ARN: region, account, name and creation time are in it.
//!
//! Pure. A stream made anew under an old name is another stream with another ARN, which is why everything after the first
//! look goes by ARN.

use std::{fmt, str::FromStr};

/// `arn:PARTITION:kinesisvideo:REGION:ACCOUNT:stream/NAME/CREATION`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamArn {
    text: String,
    region: String,
    account: String,
    name: String,
    creation: u64,
}

/// Why a text is not a stream's ARN.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the ARN of a Kinesis video stream: write arn:aws:kinesisvideo:REGION:ACCOUNT:stream/NAME/CREATION"
)]
pub struct NotAStreamArn(String);

impl StreamArn {
    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The stream's region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account that owns it.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was made, in ms since 1970.
    pub fn creation_millis(&self) -> u64 {
        self.creation
    }
}

impl FromStr for StreamArn {
    type Err = NotAStreamArn;

    fn from_str(text: &str) -> Result<Self, NotAStreamArn> {
        let taken_apart = || {
            let [arn, partition, service, region, account, resource] =
                text.splitn(6, ':').collect::<Vec<_>>().try_into().ok()?;
            let [kind, name, creation] = resource.split('/').collect::<Vec<_>>().try_into().ok()?;
            let named = |s: &str| {
                !s.is_empty()
                    && s.bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
            };
            let right = arn == "arn"
                && named(partition)
                && service == "kinesisvideo"
                && named(region)
                && account.bytes().all(|b| b.is_ascii_digit())
                && kind == "stream"
                && named(name)
                && name.len() <= 256;
            right.then_some(Self {
                text: text.into(),
                region: region.into(),
                account: account.into(),
                name: name.into(),
                creation: creation.parse().ok()?,
            })
        };
        taken_apart().ok_or_else(|| NotAStreamArn(text.chars().take(200).collect()))
    }
}

impl fmt::Display for StreamArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_apart() {
        let arn: StreamArn = "arn:aws:kinesisvideo:eu-west-1:123456789012:stream/front.door_1/1551924009774"
            .parse()
            .unwrap();
        assert_eq!(
            (arn.region(), arn.name(), arn.creation_millis()),
            ("eu-west-1", "front.door_1", 1_551_924_009_774)
        );
        assert_eq!(arn.account(), "123456789012");
    }

    #[test]
    fn refuses_what_is_another_thing() {
        for text in [
            "",
            "front-door",
            "arn:aws:kinesisvideo:eu-west-1:123456789012:channel/c/1551924009774",
            "arn:aws:kinesisvideo:eu-west-1:123456789012:stream/c",
            "arn:aws:kinesisvideo:eu-west-1:123456789012:stream/c/x",
            "arn:aws:kinesisvideo:eu-west-1:123456789012:stream/a/b/1",
            "arn:aws:s3:::bucket/stream/1",
        ] {
            assert!(text.parse::<StreamArn>().is_err(), "{text}");
        }
    }
}
