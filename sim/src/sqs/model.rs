//! Queues and messages: plain data.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::world::ACCOUNT;

/// Where a queue is: names are unique within a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QueueId {
    /// The region.
    pub region: String,
    /// The name.
    pub name: String,
}

impl QueueId {
    /// The queue's ARN.
    pub fn arn(&self) -> String {
        format!("arn:aws:sqs:{}:{ACCOUNT}:{}", self.region, self.name)
    }

    /// The queue that an ARN names, if it is one of this account.
    pub fn from_arn(arn: &str) -> Option<Self> {
        let (region, rest) = arn.strip_prefix("arn:aws:sqs:")?.split_once(':')?;
        let name = rest.strip_prefix(ACCOUNT)?.strip_prefix(':')?;
        Some(Self {
            region: region.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// Where it is.
    pub id: QueueId,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
    /// What was set, by AWS's names; the rest is AWS's default.
    pub attributes: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// Where messages go that were received too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// The queue.
    pub to: QueueId,
    /// How often a message is received before.
    pub receives: u32,
}

impl Queue {
    /// A number that was set, or AWS's default.
    fn number(&self, name: &str, default: i64) -> i64 {
        self.attributes
            .get(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    }

    /// Seconds that a received message is hidden.
    pub fn visibility_timeout(&self) -> i64 {
        self.number("VisibilityTimeout", 30)
    }

    /// Seconds until a sent message can be received.
    pub fn delay(&self) -> i64 {
        self.number("DelaySeconds", 0)
    }

    /// Seconds that a receive waits.
    pub fn wait(&self) -> i64 {
        self.number("ReceiveMessageWaitTimeSeconds", 0)
    }

    /// Bytes of the largest message.
    pub fn largest(&self) -> i64 {
        self.number("MaximumMessageSize", 1 << 20)
    }

    /// How long a message is kept.
    pub fn retention(&self) -> SignedDuration {
        SignedDuration::from_secs(self.number("MessageRetentionPeriod", 345_600))
    }

    /// Where messages go that were received too often.
    pub fn redrive(&self) -> Option<Redrive> {
        redrive(self.attributes.get("RedrivePolicy")?)
    }
}

/// A RedrivePolicy.
pub fn redrive(policy: &str) -> Option<Redrive> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let receives = &policy["maxReceiveCount"];
    let receives = receives
        .as_u64()
        .or_else(|| receives.as_str()?.parse().ok())
        .and_then(|receives| u32::try_from(receives).ok())?;
    Some(Redrive {
        to: QueueId::from_arn(policy["deadLetterTargetArn"].as_str()?)?,
        receives,
    })
}

/// A message's attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Attribute {
    /// `String`, `Number` or `Binary`, with or without a name of the sender's behind a dot.
    pub data_type: String,
    /// The value of a String or Number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// The value of a Binary, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<String>,
}

impl Attribute {
    /// A text.
    pub fn text(value: impl Into<String>) -> Self {
        Self {
            data_type: "String".into(),
            string_value: Some(value.into()),
            binary_value: None,
        }
    }
}

/// What a sender gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// The body.
    pub body: String,
    /// Attributes, by name.
    pub attributes: BTreeMap<String, Attribute>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its number, unique and growing.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// What was sent.
    pub content: Content,
    /// When it came to the queue.
    pub sent: Timestamp,
    /// From when it can be received.
    pub visible: Timestamp,
    /// How often it was received.
    pub receives: u32,
    /// When it was received first.
    pub first_received: Option<Timestamp>,
    /// The ARN of the queue that it was moved from.
    pub moved_from: Option<String>,
}

/// Which of a queue's messages is which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// On its way to the queue.
    Coming,
    /// Sent, and not to be received yet.
    Delayed,
    /// Can be received.
    Visible,
    /// Received, and hidden.
    InFlight,
}

impl Message {
    /// What it is at a time.
    pub fn standing(&self, now: Timestamp) -> Standing {
        if self.sent > now {
            Standing::Coming
        } else if self.visible <= now {
            Standing::Visible
        } else if self.receives == 0 {
            Standing::Delayed
        } else {
            Standing::InFlight
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_policy_has_its_number_as_number_or_as_text() {
        let arn = "arn:aws:sqs:r:123456789012:dead";
        for receives in ["3", "\"3\""] {
            let policy = format!(r#"{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": {receives}}}"#);
            let redrive = redrive(&policy).unwrap();
            assert_eq!((redrive.to.arn().as_str(), redrive.receives), (arn, 3));
        }
        assert!(redrive("{}").is_none() && redrive("[").is_none());
    }
}
