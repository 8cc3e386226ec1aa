//! Topics as clients make, change, read, tag and delete them.

use std::collections::BTreeMap;

use ciborium::Value;
use serde::{Deserialize, Serialize};

use super::{
    Sns,
    book::Change,
    error,
    model::{Topic, topic_arn},
    page,
};
use crate::{
    wire::{Fault, Tag, empty, map, page::listed, tag_fits, tree, typed},
    world::ACCOUNT,
};

const MOST_TAGS: usize = 50;

/// What can be set. All of it is kept and shown; only delivery to queues is simulated.
const ATTRIBUTES: [&str; 6] = [
    "DisplayName",
    "Policy",
    "DeliveryPolicy",
    "KmsMasterKeyId",
    "SignatureVersion",
    "TracingConfig",
];

/// An entry of a map in a form.
#[derive(Clone, Deserialize)]
pub struct Entry {
    key: String,
    #[serde(default)]
    value: String,
}

/// A map in a form.
pub fn entries(list: Vec<Entry>) -> BTreeMap<String, String> {
    list.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    name: Option<String>,
    topic_arn: Option<String>,
    resource_arn: Option<String>,
    attributes: Vec<Entry>,
    attribute_name: Option<String>,
    attribute_value: Option<String>,
    tags: Vec<Tag>,
    tag_keys: Vec<String>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    topic_arn: String,
}

impl Sns {
    /// CreateTopic: also where the topic is there, with the same attributes and tags.
    pub(super) fn create_topic(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let name = input.name.unwrap_or_default();
        if name.ends_with(".fifo") {
            return Err(error::parameter("kvs-sim does not simulate FIFO topics"));
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 256 || !name.chars().all(legal) {
            return Err(error::parameter("Topic Name"));
        }
        let topic = Topic {
            arn: topic_arn(region, &name),
            attributes: checked(entries(input.attributes))?,
            tags: tags(input.tags)?,
        };
        let arn = topic.arn.clone();
        let mut book = self.book();
        match book.topic(&arn) {
            Ok(old)
                if topic
                    .attributes
                    .iter()
                    .any(|(k, v)| old.attributes.get(k) != Some(v)) =>
            {
                return Err(error::parameter(
                    "Attributes Reason: Topic already exists with different attributes",
                ));
            }
            Ok(old) if topic.tags != old.tags && !topic.tags.is_empty() => {
                return Err(error::parameter(
                    "Tags Reason: Topic already exists with different tags",
                ));
            }
            Ok(_) => {}
            Err(_) => book.commit(Change::Topic(topic))?,
        }
        tree(&Named { topic_arn: arn })
    }

    /// DeleteTopic: also where there is none.
    pub(super) fn delete_topic(&self, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let arn = input.topic_arn.ok_or_else(|| error::parameter("TopicArn"))?;
        self.book().commit(Change::TopicGone(arn))?;
        Ok(empty())
    }

    /// ListTopics.
    pub(super) fn list_topics(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let book = self.book();
        let prefix = topic_arn(region, "");
        let arns = book.topics().map(|topic| topic.arn.clone());
        let arns: Vec<String> = arns.filter(|arn| arn.starts_with(&prefix)).collect();
        let (page, next) = page(arns, String::as_str, input.next_token)?;
        let found: Result<Vec<Value>, Fault> = page
            .into_iter()
            .map(|topic_arn| tree(&Named { topic_arn }))
            .collect();
        Ok(listed("Topics", Value::Array(found?), next))
    }

    /// GetTopicAttributes.
    pub(super) fn topic_attributes(&self, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let arn = input.topic_arn.ok_or_else(|| error::parameter("TopicArn"))?;
        let book = self.book();
        let topic = book.topic(&arn)?;
        let confirmed = book
            .subscriptions()
            .filter(|subscription| subscription.topic == arn);
        let mut attributes = BTreeMap::from([
            ("TopicArn", arn.clone()),
            ("Owner", ACCOUNT.to_owned()),
            ("DisplayName", String::new()),
            ("Policy", policy(&arn)),
            ("SubscriptionsConfirmed", confirmed.count().to_string()),
            ("SubscriptionsPending", "0".to_owned()),
            ("SubscriptionsDeleted", "0".to_owned()),
        ]);
        attributes.extend(topic.attributes.iter().map(|(k, v)| (k.as_str(), v.clone())));
        let attributes = attributes.into_iter().map(|(k, v)| (k.into(), v.into()));
        Ok(Value::Map(vec![("Attributes".into(), map(attributes.collect()))]))
    }

    /// SetTopicAttributes.
    pub(super) fn set_topic_attributes(&self, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let arn = input.topic_arn.ok_or_else(|| error::parameter("TopicArn"))?;
        let name = input
            .attribute_name
            .ok_or_else(|| error::parameter("AttributeName"))?;
        let set = checked(BTreeMap::from([(
            name,
            input.attribute_value.unwrap_or_default(),
        )]))?;
        let mut book = self.book();
        let mut topic = book.topic(&arn)?.clone();
        topic.attributes.extend(set);
        book.commit(Change::Topic(topic))?;
        Ok(empty())
    }

    /// TagResource.
    pub(super) fn tag(&self, input: &Value) -> Result<Value, Fault> {
        self.retag(input, |topic, input| {
            topic.extend(tags(input.tags)?);
            Ok(())
        })
    }

    /// UntagResource.
    pub(super) fn untag(&self, input: &Value) -> Result<Value, Fault> {
        self.retag(input, |topic, input| {
            topic.retain(|key, _| !input.tag_keys.contains(key));
            Ok(())
        })
    }

    fn retag(
        &self,
        input: &Value,
        change: impl FnOnce(&mut BTreeMap<String, String>, Input) -> Result<(), Fault>,
    ) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let arn = input
            .resource_arn
            .clone()
            .ok_or_else(|| error::parameter("ResourceArn"))?;
        let mut book = self.book();
        let mut topic = book.topic(&arn).map_err(|_| error::no_resource())?.clone();
        change(&mut topic.tags, input)?;
        if topic.tags.len() > MOST_TAGS {
            return Err(error::tags());
        }
        book.commit(Change::Topic(topic))?;
        Ok(empty())
    }

    /// ListTagsForResource.
    pub(super) fn list_tags(&self, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let arn = input
            .resource_arn
            .ok_or_else(|| error::parameter("ResourceArn"))?;
        let book = self.book();
        let topic = book.topic(&arn).map_err(|_| error::no_resource())?;
        let tag = |(key, value): (&String, &String)| Tag {
            key: key.clone(),
            value: value.clone(),
        };
        let tags: Vec<Tag> = topic.tags.iter().map(tag).collect();
        Ok(Value::Map(vec![("Tags".into(), tree(&tags)?)]))
    }
}

fn checked(attributes: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Fault> {
    match attributes
        .keys()
        .find(|name| !ATTRIBUTES.contains(&name.as_str()))
    {
        Some(name) => Err(error::parameter(&format!("AttributeName {name}"))),
        None => Ok(attributes),
    }
}

fn tags(list: Vec<Tag>) -> Result<BTreeMap<String, String>, Fault> {
    let tags: BTreeMap<String, String> = list.into_iter().map(|tag| (tag.key, tag.value)).collect();
    if tags.len() > MOST_TAGS {
        return Err(error::tags());
    }
    if !tags.iter().all(|(key, value)| tag_fits(key, value)) {
        return Err(error::parameter(
            "Tags Reason: keys have 1 to 128 characters, values at most 256",
        ));
    }
    Ok(tags)
}

/// The policy that AWS gives a topic.
fn policy(arn: &str) -> String {
    serde_json::json!({
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [{
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": { "AWS": "*" },
            "Action": ["SNS:GetTopicAttributes", "SNS:SetTopicAttributes", "SNS:AddPermission", "SNS:RemovePermission",
                "SNS:DeleteTopic", "SNS:Subscribe", "SNS:ListSubscriptionsByTopic", "SNS:Publish"],
            "Resource": arn,
            "Condition": { "StringEquals": { "AWS:SourceOwner": ACCOUNT } },
        }],
    })
    .to_string()
}
