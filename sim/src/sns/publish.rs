//! Messages to topics, and what queues get of them.

use std::collections::BTreeMap;

use ciborium::Value;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{
    Sns, error,
    model::{Subscription, Topic},
};
use crate::{
    delivery, id,
    sqs::model::{Attribute, Content},
    wire::{Fault, typed},
};

/// The most bytes of a message.
const MOST_BYTES: usize = 262_144;

/// A message.
#[derive(Clone, Debug, Default)]
pub struct Notice {
    /// A line about it.
    pub subject: Option<String>,
    /// The message.
    pub message: String,
    /// Attributes, by name.
    pub attributes: BTreeMap<String, Attribute>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    topic_arn: Option<String>,
    target_arn: Option<String>,
    subject: Option<String>,
    message: Option<String>,
    message_structure: Option<String>,
    message_attributes: Vec<Named>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Named {
    name: String,
    value: Attribute,
}

impl Sns {
    /// Publish.
    pub(super) fn publish_request(&self, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let arn = input.topic_arn.or(input.target_arn).ok_or_else(|| {
            error::parameter("TopicArn or TargetArn Reason: no value for required parameter")
        })?;
        let message = input.message.ok_or_else(|| error::parameter("Empty message"))?;
        let message = match input.message_structure.as_deref() {
            None => message,
            Some("json") => structured(&message)?,
            Some(_) => return Err(error::parameter("MessageStructure")),
        };
        let legal = |c: char| (' '..='\u{7e}').contains(&c);
        if let Some(subject) = &input.subject
            && (subject.is_empty() || subject.len() > 100 || !subject.chars().all(legal))
        {
            return Err(error::parameter("Subject"));
        }
        let attributes = input.message_attributes.into_iter();
        let id = self.publish(
            &arn,
            Notice {
                subject: input.subject,
                message,
                attributes: attributes.map(|named| (named.name, named.value)).collect(),
            },
            self.world.clock.now(),
        )?;
        Ok(Value::Map(vec![("MessageId".into(), id.into())]))
    }

    /// Publishes a message that reaches the topic at a time, which may be in the future; returns its id.
    ///
    /// # Errors
    /// There is no such topic, or the message is too long.
    pub fn publish(&self, arn: &str, notice: Notice, at: Timestamp) -> Result<String, Fault> {
        if notice.message.is_empty() || notice.message.len() > MOST_BYTES {
            return Err(error::parameter("Message Reason: it must have 1 to 262144 bytes"));
        }
        let book = self.book();
        let topic = book.topic(arn)?.clone();
        let subscriptions = book.subscriptions().filter(|s| s.topic == arn);
        let subscriptions: Vec<Subscription> = subscriptions.cloned().collect();
        drop(book);
        let id = id::uuid();
        let now = self.world.clock.now();
        for subscription in subscriptions {
            let content = content(&topic, &subscription, &notice, &id, at);
            for copy in delivery::copies(&self.world, None) {
                let arrives = at + copy.duration_since(now);
                // SNS tries for hours and then lets a message go: the publisher never hears of it.
                if let Err(fault) = self.sqs.deliver(&subscription.endpoint, content.clone(), arrives) {
                    tracing::warn!(%fault, subscription.arn, "a message cannot be delivered");
                }
            }
        }
        Ok(id)
    }
}

/// What a queue gets.
fn content(topic: &Topic, to: &Subscription, notice: &Notice, id: &str, at: Timestamp) -> Content {
    if to.raw {
        return Content {
            body: notice.message.clone(),
            attributes: notice.attributes.clone(),
        };
    }
    let mut body = json!({
        "Type": "Notification",
        "MessageId": id,
        "TopicArn": topic.arn,
        "Message": notice.message,
        "Timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        "SignatureVersion": "1",
        "Signature": "kvs-sim does not sign",
        "UnsubscribeURL": format!("?Action=Unsubscribe&SubscriptionArn={}", to.arn),
    });
    if let Some(subject) = &notice.subject {
        body["Subject"] = subject.as_str().into();
    }
    if !notice.attributes.is_empty() {
        let attribute = |a: &Attribute| {
            let value = a.string_value.as_ref().or(a.binary_value.as_ref());
            json!({ "Type": a.data_type, "Value": value })
        };
        let attributes = notice.attributes.iter();
        body["MessageAttributes"] = attributes.map(|(name, a)| (name.clone(), attribute(a))).collect();
    }
    Content {
        body: body.to_string(),
        attributes: BTreeMap::new(),
    }
}

/// A message with a text for each protocol.
fn structured(message: &str) -> Result<String, Fault> {
    let texts: serde_json::Value = serde_json::from_str(message)
        .map_err(|_| error::parameter("Message Structure - JSON message body failed to parse"))?;
    let default = texts["default"]
        .as_str()
        .ok_or_else(|| error::parameter("Message Structure - No default entry in JSON message body"))?;
    Ok(texts["sqs"].as_str().unwrap_or(default).to_owned())
}
