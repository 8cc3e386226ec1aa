//! Subscriptions of queues to topics.

use std::collections::BTreeMap;

use ciborium::Value;
use serde::{Deserialize, Serialize};

use super::{
    Sns,
    book::Change,
    error,
    model::{Subscription, topic_arn},
    page,
    topics::{Entry, entries},
};
use crate::{
    id,
    sqs::model::QueueId,
    wire::{Fault, empty, map, page::listed, tree, typed},
    world::ACCOUNT,
};

const RAW: &str = "RawMessageDelivery";

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    topic_arn: Option<String>,
    subscription_arn: Option<String>,
    protocol: Option<String>,
    endpoint: Option<String>,
    attributes: Vec<Entry>,
    attribute_name: Option<String>,
    attribute_value: Option<String>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed<'a> {
    subscription_arn: &'a str,
    owner: &'a str,
    protocol: &'a str,
    endpoint: &'a str,
    topic_arn: &'a str,
}

impl Sns {
    /// Subscribe. A queue needs no confirmation.
    pub(super) fn subscribe(&self, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let topic = input.topic_arn.ok_or_else(|| error::parameter("TopicArn"))?;
        let endpoint = input.endpoint.ok_or_else(|| error::parameter("Endpoint"))?;
        match input.protocol.as_deref() {
            Some("sqs") if QueueId::from_arn(&endpoint).is_some() => {}
            Some("sqs") => return Err(error::parameter("SQS endpoint ARN")),
            Some(other) => {
                return Err(error::parameter(&format!(
                    "Protocol Reason: kvs-sim does not simulate {other}"
                )));
            }
            None => return Err(error::parameter("Protocol")),
        }
        let mut raw = false;
        for (name, value) in entries(input.attributes) {
            raw = set(&name, &value)?;
        }
        let mut book = self.book();
        book.topic(&topic)?;
        let old = book
            .subscriptions()
            .find(|old| old.topic == topic && old.endpoint == endpoint);
        let subscription = match old {
            Some(old) if old.raw != raw => {
                return Err(error::parameter(
                    "Attributes Reason: Subscription already exists with different attributes",
                ));
            }
            Some(old) => old.clone(),
            None => Subscription {
                arn: format!("{topic}:{}", id::uuid()),
                topic,
                endpoint,
                raw,
            },
        };
        let arn = subscription.arn.clone();
        book.commit(Change::Subscription(subscription))?;
        Ok(Value::Map(vec![("SubscriptionArn".into(), arn.into())]))
    }

    /// Unsubscribe: also where there is none.
    pub(super) fn unsubscribe(&self, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let arn = input
            .subscription_arn
            .ok_or_else(|| error::parameter("SubscriptionArn"))?;
        self.book().commit(Change::SubscriptionGone(arn))?;
        Ok(empty())
    }

    /// ListSubscriptions and ListSubscriptionsByTopic.
    pub(super) fn list_subscriptions(
        &self,
        region: &str,
        input: &Value,
        by_topic: bool,
    ) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let book = self.book();
        let found: Vec<&Subscription> = if by_topic {
            let topic = input.topic_arn.ok_or_else(|| error::parameter("TopicArn"))?;
            book.topic(&topic)?;
            book.subscriptions()
                .filter(|found| found.topic == topic)
                .collect()
        } else {
            let prefix = topic_arn(region, "");
            book.subscriptions()
                .filter(|found| found.topic.starts_with(&prefix))
                .collect()
        };
        let (page, next) = page(found, |found| found.arn.as_str(), input.next_token)?;
        let found: Result<Vec<Value>, Fault> = page
            .into_iter()
            .map(|found| {
                tree(&Listed {
                    subscription_arn: &found.arn,
                    owner: ACCOUNT,
                    protocol: "sqs",
                    endpoint: &found.endpoint,
                    topic_arn: &found.topic,
                })
            })
            .collect();
        Ok(listed("Subscriptions", Value::Array(found?), next))
    }

    /// GetSubscriptionAttributes.
    pub(super) fn subscription_attributes(&self, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let arn = input
            .subscription_arn
            .ok_or_else(|| error::parameter("SubscriptionArn"))?;
        let book = self.book();
        let found = book.subscription(&arn)?;
        let attributes = BTreeMap::from([
            ("SubscriptionArn", arn.clone()),
            ("TopicArn", found.topic.clone()),
            ("Protocol", "sqs".to_owned()),
            ("Endpoint", found.endpoint.clone()),
            ("Owner", ACCOUNT.to_owned()),
            ("SubscriptionPrincipal", format!("arn:aws:iam::{ACCOUNT}:root")),
            ("ConfirmationWasAuthenticated", "true".to_owned()),
            ("PendingConfirmation", "false".to_owned()),
            (RAW, found.raw.to_string()),
        ]);
        let attributes = attributes.into_iter().map(|(k, v)| (k.into(), v.into()));
        Ok(Value::Map(vec![("Attributes".into(), map(attributes.collect()))]))
    }

    /// SetSubscriptionAttributes.
    pub(super) fn set_subscription_attributes(&self, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let arn = input
            .subscription_arn
            .ok_or_else(|| error::parameter("SubscriptionArn"))?;
        let name = input
            .attribute_name
            .ok_or_else(|| error::parameter("AttributeName"))?;
        let raw = set(&name, &input.attribute_value.unwrap_or_default())?;
        let mut book = self.book();
        let subscription = Subscription {
            raw,
            ..book.subscription(&arn)?.clone()
        };
        book.commit(Change::Subscription(subscription))?;
        Ok(empty())
    }
}

/// The one attribute that is simulated.
fn set(name: &str, value: &str) -> Result<bool, Fault> {
    match (name, value.to_ascii_lowercase().as_str()) {
        (RAW, "true") => Ok(true),
        (RAW, "false") => Ok(false),
        (RAW, _) => Err(error::parameter(&format!("{RAW} Reason: it is true or false"))),
        _ => Err(error::parameter(&format!(
            "Attributes Reason: kvs-sim does not simulate {name}"
        ))),
    }
}
