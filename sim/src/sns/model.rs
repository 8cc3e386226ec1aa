//! Topics and subscriptions: plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::world::ACCOUNT;

/// A topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Topic {
    /// Its ARN.
    pub arn: String,
    /// What was set, by AWS's names.
    pub attributes: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A topic's ARN.
pub fn topic_arn(region: &str, name: &str) -> String {
    format!("arn:aws:sns:{region}:{ACCOUNT}:{name}")
}

/// A queue that a topic's messages go to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its ARN.
    pub arn: String,
    /// The topic's ARN.
    pub topic: String,
    /// The queue's ARN.
    pub endpoint: String,
    /// Whether the queue gets the message itself, and not SNS's document around it.
    pub raw: bool,
}
