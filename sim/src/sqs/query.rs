//! SQS's own Query protocol: flat lists and other names for members. Requests become what the JSON protocol has, answers become
//! what XML has.

use ciborium::Value;

use crate::{
    wire::{Asked, Protocol},
    world::ACCOUNT,
};

/// Maps, which the form has as lists of names and values: in the form, in JSON, and what name and value are called.
const MAPS: [(&str, &str, &str); 5] = [
    ("Attribute", "Attributes", "Name"),
    ("MessageAttribute", "MessageAttributes", "Name"),
    ("MessageSystemAttribute", "MessageSystemAttributes", "Name"),
    ("Tag", "Tags", "Key"),
    ("Tags", "Tags", "Key"),
];

/// Lists.
const LISTS: [(&str, &str); 7] = [
    ("AttributeName", "AttributeNames"),
    ("MessageAttributeName", "MessageAttributeNames"),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames"),
    ("TagKey", "TagKeys"),
    ("SendMessageBatchRequestEntry", "Entries"),
    ("DeleteMessageBatchRequestEntry", "Entries"),
    ("ChangeMessageVisibilityBatchRequestEntry", "Entries"),
];

/// A request as the JSON protocol would have it. A queue's own URL may stand in for its parameter.
pub fn input(asked: &Asked, input: &Value) -> Value {
    if asked.protocol != Protocol::Query {
        return input.clone();
    }
    let mut input = renamed(input);
    let path = asked.parts.uri.path();
    if let Value::Map(members) = &mut input
        && path.starts_with(&format!("/{ACCOUNT}/"))
        && !members.iter().any(|(name, _)| name.as_text() == Some("QueueUrl"))
    {
        members.push(("QueueUrl".into(), path.into()));
    }
    input
}

fn renamed(tree: &Value) -> Value {
    match tree {
        Value::Map(members) => Value::Map(members.iter().map(|(name, v)| member(name, v)).collect()),
        Value::Array(items) => Value::Array(items.iter().map(renamed).collect()),
        other => other.clone(),
    }
}

fn member(name: &Value, value: &Value) -> (Value, Value) {
    let text = name.as_text().unwrap_or_default();
    if let (Some((_, json, key)), Some(entries)) =
        (MAPS.iter().find(|(form, _, _)| *form == text), value.as_array())
    {
        let part = |entry: &Value, part: &str| {
            let members = entry.as_map()?;
            members
                .iter()
                .find(|(name, _)| name.as_text() == Some(part))
                .map(|(_, value)| value.clone())
        };
        let entries = entries
            .iter()
            .filter_map(|entry| Some((part(entry, key)?, part(entry, "Value")?)));
        return ((*json).into(), Value::Map(entries.collect()));
    }
    match LISTS.iter().find(|(form, _)| *form == text) {
        Some((_, json)) => ((*json).into(), renamed(value)),
        None => (name.clone(), renamed(value)),
    }
}

/// An answer as XML has it.
pub fn output(asked: &Asked, operation: &str, answer: Value) -> Value {
    if asked.protocol != Protocol::Query {
        return answer;
    }
    unfolded(answer, operation)
}

fn unfolded(tree: Value, operation: &str) -> Value {
    match tree {
        Value::Map(members) => Value::Map(
            members
                .into_iter()
                .map(|(name, value)| {
                    let xml = match name.as_text().unwrap_or_default() {
                        "QueueUrls" | "queueUrls" => "QueueUrl".to_owned(),
                        "Messages" => "Message".to_owned(),
                        "Attributes" => "Attribute".to_owned(),
                        "MessageAttributes" => "MessageAttribute".to_owned(),
                        "Tags" => "Tag".to_owned(),
                        "Successful" => format!("{operation}ResultEntry"),
                        "Failed" => "BatchResultErrorEntry".to_owned(),
                        other => other.to_owned(),
                    };
                    let (key, of) = if xml == "Tag" {
                        ("Key", "Value")
                    } else {
                        ("Name", "Value")
                    };
                    let value = match value {
                        Value::Tag(_, entries) => Value::Array(
                            entries
                                .into_map()
                                .unwrap_or_default()
                                .into_iter()
                                .map(|(k, v)| {
                                    Value::Map(vec![(key.into(), k), (of.into(), unfolded(v, operation))])
                                })
                                .collect(),
                        ),
                        value => unfolded(value, operation),
                    };
                    (xml.into(), value)
                })
                .collect(),
        ),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| unfolded(item, operation)).collect())
        }
        other => other,
    }
}
