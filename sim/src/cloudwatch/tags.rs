//! Tags of alarms: TagResource, UntagResource, ListTagsForResource.

use std::collections::BTreeMap;

use ciborium::Value;
use serde::{Deserialize, Serialize};

use super::{
    CloudWatch,
    book::Change,
    model::{Alarm, AlarmId},
};
use crate::wire::{Fault, Tag, empty, tag_fits, tree, typed};

/// The most tags of one resource.
const MOST: usize = 50;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    tags: Vec<Tag>,
    tag_keys: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    tags: Vec<Tag>,
}

/// Tags of a request, checked.
pub fn checked(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, Fault> {
    let mut map = BTreeMap::new();
    for Tag { key, value } in tags {
        if !tag_fits(&key, &value) {
            return Err(Fault::validation(format!(
                "Tag key \"{key}\" must have 1 to 128 characters, and its value at most 256."
            )));
        }
        if key.starts_with("aws:") {
            return Err(Fault::value("Tag keys that begin with aws: are reserved."));
        }
        if map.insert(key.clone(), value).is_some() {
            return Err(Fault::value(format!("Tag key \"{key}\" is given twice.")));
        }
    }
    at_most(map)
}

fn at_most(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Fault> {
    if tags.len() > MOST {
        return Err(Fault::value(format!("A resource has at most {MOST} tags.")));
    }
    Ok(tags)
}

impl CloudWatch {
    /// TagResource.
    pub(super) fn tag_resource(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        self.retag(region, input, |tags, input| {
            tags.extend(checked(input.tags)?);
            Ok(())
        })
    }

    /// UntagResource.
    pub(super) fn untag_resource(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        self.retag(region, input, |tags, input| {
            tags.retain(|key, _| !input.tag_keys.contains(key));
            Ok(())
        })
    }

    fn retag(
        &self,
        region: &str,
        input: &Value,
        change: impl FnOnce(&mut BTreeMap<String, String>, Input) -> Result<(), Fault>,
    ) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = resource(region, &input)?;
        let mut book = self.book();
        let mut alarm: Alarm = book
            .alarm(&id)
            .ok_or_else(|| Fault::no_resource(&id.arn()))?
            .clone();
        change(&mut alarm.tags, input)?;
        alarm.tags = at_most(alarm.tags)?;
        book.commit(vec![Change::Alarm(Box::new(alarm))])?;
        Ok(empty())
    }

    /// ListTagsForResource.
    pub(super) fn list_tags_for_resource(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let id = resource(region, &typed(input)?)?;
        let book = self.book();
        let alarm = book.alarm(&id).ok_or_else(|| Fault::no_resource(&id.arn()))?;
        let tag = |(key, value): (&String, &String)| Tag {
            key: key.clone(),
            value: value.clone(),
        };
        tree(&Output {
            tags: alarm.tags.iter().map(tag).collect(),
        })
    }
}

fn resource(region: &str, input: &Input) -> Result<AlarmId, Fault> {
    let arn = input
        .resource_arn
        .as_deref()
        .ok_or_else(|| Fault::missing("ResourceARN"))?;
    match AlarmId::from_arn(arn) {
        Some(id) if id.region == region => Ok(id),
        Some(_) => Err(Fault::no_resource(arn)),
        None => Err(Fault::value(format!("{arn} is not the ARN of an alarm."))),
    }
}
