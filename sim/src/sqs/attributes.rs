//! Attributes of queues: which can be set, to what, and what is read.

use std::{collections::BTreeMap, ops::RangeInclusive};

use jiff::Timestamp;

use super::{
    error,
    model::{Message, Queue, Standing, redrive},
};
use crate::wire::Fault;

/// Numbers, their ranges and AWS's defaults.
const NUMBERS: [(&str, RangeInclusive<i64>, &str); 5] = [
    ("DelaySeconds", 0..=900, "0"),
    ("MaximumMessageSize", 1024..=1_048_576, "1048576"),
    ("MessageRetentionPeriod", 60..=1_209_600, "345600"),
    ("ReceiveMessageWaitTimeSeconds", 0..=20, "0"),
    ("VisibilityTimeout", 0..=43_200, "30"),
];

/// Texts. A queue's policy and key are kept and shown; permissions and keys are not simulated.
const TEXTS: [&str; 4] = ["Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId"];

const KEY_REUSE: &str = "KmsDataKeyReusePeriodSeconds";
const MANAGED: &str = "SqsManagedSseEnabled";

/// What can only be read.
const READ: [&str; 6] = [
    "QueueArn",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
];

/// Attributes of a request to create or change a queue, checked. An empty text unsets an attribute.
pub fn checked(attributes: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Fault> {
    for (name, value) in &attributes {
        if let Some((_, range, _)) = NUMBERS.iter().find(|(number, _, _)| number == name) {
            if !value.parse().is_ok_and(|value| range.contains(&value)) {
                return Err(error::attribute_value(name));
            }
        } else if name == KEY_REUSE {
            if !value.parse().is_ok_and(|value| (60..=86_400).contains(&value)) {
                return Err(error::attribute_value(name));
            }
        } else if name == MANAGED {
            if !["true", "false"].contains(&value.as_str()) {
                return Err(error::attribute_value(name));
            }
        } else if [
            "FifoQueue",
            "ContentBasedDeduplication",
            "DeduplicationScope",
            "FifoThroughputLimit",
        ]
        .contains(&name.as_str())
        {
            return Err(Fault::not_simulated("FIFO queues"));
        } else if !TEXTS.contains(&name.as_str()) {
            return Err(error::attribute_name(name));
        } else if name != "KmsMasterKeyId"
            && !value.is_empty()
            && serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(value).is_err()
        {
            return Err(error::attribute_value(name));
        }
    }
    if let Some(policy) = attributes
        .get("RedrivePolicy")
        .filter(|policy| !policy.is_empty())
        && !redrive(policy).is_some_and(|redrive| (1..=1000).contains(&redrive.receives))
    {
        let reason = "It needs a deadLetterTargetArn of this account and a maxReceiveCount of 1 to 1000.";
        return Err(error::parameter("RedrivePolicy", policy, reason));
    }
    Ok(attributes)
}

/// Whether a queue with these attributes can be asked for by its name: those that are given are as they are.
pub fn same(queue: &Queue, asked: &BTreeMap<String, String>) -> Result<(), Fault> {
    for (name, value) in asked {
        let default = NUMBERS
            .iter()
            .find_map(|(number, _, default)| (number == name).then_some(*default));
        let is = queue.attributes.get(name).map(String::as_str).or(default);
        if is.unwrap_or_default() != value {
            return Err(error::exists(name));
        }
    }
    Ok(())
}

/// What GetQueueAttributes answers.
pub fn read<'a>(
    queue: &Queue,
    messages: impl Iterator<Item = &'a Message>,
    names: &[String],
    now: Timestamp,
) -> Result<BTreeMap<String, String>, Fault> {
    let known = |name: &str| {
        NUMBERS.iter().any(|(number, _, _)| *number == name)
            || TEXTS.contains(&name)
            || READ.contains(&name)
            || [KEY_REUSE, MANAGED, "All"].contains(&name)
    };
    if let Some(name) = names.iter().find(|name| !known(name)) {
        return Err(error::attribute_name(name));
    }
    let (mut visible, mut in_flight, mut delayed) = (0, 0, 0);
    for message in messages {
        match message.standing(now) {
            Standing::Visible => visible += 1,
            Standing::InFlight => in_flight += 1,
            Standing::Delayed => delayed += 1,
            Standing::Coming => {}
        }
    }
    let mut all: BTreeMap<String, String> = NUMBERS
        .iter()
        .map(|(name, _, default)| ((*name).to_owned(), (*default).to_owned()))
        .collect();
    let keyed = queue.attributes.contains_key("KmsMasterKeyId");
    all.insert(MANAGED.into(), (!keyed).to_string());
    all.extend(queue.attributes.clone());
    all.insert("QueueArn".into(), queue.id.arn());
    all.insert("CreatedTimestamp".into(), queue.created.as_second().to_string());
    all.insert(
        "LastModifiedTimestamp".into(),
        queue.modified.as_second().to_string(),
    );
    all.insert("ApproximateNumberOfMessages".into(), visible.to_string());
    all.insert(
        "ApproximateNumberOfMessagesNotVisible".into(),
        in_flight.to_string(),
    );
    all.insert("ApproximateNumberOfMessagesDelayed".into(), delayed.to_string());
    if !names.iter().any(|name| name == "All") {
        all.retain(|name, _| names.contains(name));
    }
    Ok(all)
}
