//! Rules as clients make, change, read, tag and delete them.

use std::collections::BTreeMap;

use ciborium::Value;
use serde::{Deserialize, Serialize};

use super::{
    Events,
    book::Change,
    error,
    model::{Rule, RuleId},
    pattern::Pattern,
};
use crate::{
    wire::{Fault, Tag, empty, int, page, tag_fits, tree, typed},
    world::Place,
};

const MOST_TAGS: usize = 50;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    name: Option<String>,
    event_bus_name: Option<String>,
    event_pattern: Option<String>,
    schedule_expression: Option<String>,
    state: Option<String>,
    description: Option<String>,
    role_arn: Option<String>,
    tags: Vec<Tag>,
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    tag_keys: Vec<String>,
    name_prefix: Option<String>,
    event: Option<String>,
    #[serde(deserialize_with = "int")]
    limit: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'a> {
    name: &'a str,
    arn: String,
    event_pattern: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_arn: Option<&'a str>,
    event_bus_name: &'static str,
}

impl Rule {
    fn shown(&self) -> Shown<'_> {
        Shown {
            name: &self.id.name,
            arn: self.id.arn(),
            event_pattern: &self.pattern,
            state: if self.enabled { "ENABLED" } else { "DISABLED" },
            description: self.description.as_deref(),
            role_arn: self.role.as_deref(),
            event_bus_name: "default",
        }
    }
}

/// The one bus that is simulated, by its name or ARN.
pub fn bus(region: &str, name: Option<&str>) -> Result<(), Fault> {
    match name {
        None | Some("default") => Ok(()),
        Some(name) => {
            let Place { region, account } = Place::of(region);
            if name == format!("arn:aws:events:{region}:{account}:event-bus/default") {
                Ok(())
            } else {
                Err(error::no_bus(name))
            }
        }
    }
}

/// The rule that a request names.
pub fn rule_id(region: &str, name: Option<String>, bus_name: Option<&str>) -> Result<RuleId, Fault> {
    bus(region, bus_name)?;
    let name = name.ok_or_else(|| error::missing("Name"))?;
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
        return Err(error::validation(format!(
            "1 validation error detected: Value '{name}' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+"
        )));
    }
    Ok(RuleId {
        region: region.to_owned(),
        name,
    })
}

impl Events {
    /// PutRule: makes a rule, or replaces one's definition; targets stay, tags are ignored on a change.
    pub(super) fn put_rule(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = rule_id(region, input.name, input.event_bus_name.as_deref())?;
        if input.schedule_expression.is_some() {
            return Err(error::not_simulated("schedules"));
        }
        let pattern = input.event_pattern.ok_or_else(|| {
            error::validation("Parameter(s) EventPattern or ScheduleExpression must be specified.")
        })?;
        Pattern::parse(&pattern).map_err(|refused| error::pattern(&refused))?;
        let enabled = match input.state.as_deref() {
            None | Some("ENABLED" | "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS") => true,
            Some("DISABLED") => false,
            Some(other) => return Err(error::validation(format!("State {other} is not known."))),
        };
        if input
            .description
            .as_ref()
            .is_some_and(|d| d.chars().count() > 512)
        {
            return Err(error::validation("Description must have at most 512 characters."));
        }
        let new_tags = tags(input.tags)?;
        let mut book = self.book();
        let (targets, tags) = match book.rule(&id) {
            Ok(old) => (old.targets.clone(), old.tags.clone()),
            Err(_) => (BTreeMap::new(), new_tags),
        };
        let arn = id.arn();
        book.commit(Change::Rule(Box::new(Rule {
            id,
            pattern,
            enabled,
            description: input.description,
            role: input.role_arn,
            targets,
            tags,
        })))?;
        Ok(Value::Map(vec![("RuleArn".into(), arn.into())]))
    }

    /// DeleteRule: also where there is none; not while it has targets.
    pub(super) fn delete_rule(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = rule_id(region, input.name, input.event_bus_name.as_deref())?;
        let mut book = self.book();
        if book.rule(&id).is_ok_and(|rule| !rule.targets.is_empty()) {
            return Err(error::validation("Rule can't be deleted since it has targets."));
        }
        book.commit(Change::Gone(id))?;
        Ok(empty())
    }

    /// DescribeRule.
    pub(super) fn describe_rule(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = rule_id(region, input.name, input.event_bus_name.as_deref())?;
        tree(&self.book().rule(&id)?.shown())
    }

    /// EnableRule and DisableRule.
    pub(super) fn enable(&self, region: &str, input: &Value, enabled: bool) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = rule_id(region, input.name, input.event_bus_name.as_deref())?;
        let mut book = self.book();
        let rule = Rule {
            enabled,
            ..book.rule(&id)?.clone()
        };
        book.commit(Change::Rule(Box::new(rule)))?;
        Ok(empty())
    }

    /// ListRules.
    pub(super) fn list_rules(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        bus(region, input.event_bus_name.as_deref())?;
        let prefix = input.name_prefix.unwrap_or_default();
        let book = self.book();
        let found = book
            .rules(region)
            .filter(|rule| rule.id.name.starts_with(&prefix));
        let (page, next) = page(found, |rule| &rule.id.name, input.limit, input.next_token)?;
        let rules: Vec<Shown<'_>> = page.into_iter().map(Rule::shown).collect();
        Ok(page::listed("Rules", tree(&rules)?, next))
    }

    /// TestEventPattern.
    pub(super) fn test_pattern(&self, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let pattern = input
            .event_pattern
            .ok_or_else(|| error::missing("EventPattern"))?;
        let pattern = Pattern::parse(&pattern).map_err(|refused| error::pattern(&refused))?;
        let event: serde_json::Value = input
            .event
            .and_then(|event| serde_json::from_str(&event).ok())
            .ok_or_else(|| error::validation("Parameter Event is not valid. Reason: it is not JSON"))?;
        let fields = [
            "id",
            "account",
            "source",
            "time",
            "region",
            "resources",
            "detail-type",
        ];
        if let Some(field) = fields.into_iter().find(|field| event.get(field).is_none()) {
            return Err(error::validation(format!(
                "Parameter Event is not valid. Reason: {field} must be there"
            )));
        }
        Ok(Value::Map(vec![(
            "Result".into(),
            pattern.matches(&event).into(),
        )]))
    }

    /// TagResource.
    pub(super) fn tag(&self, input: &Value) -> Result<Value, Fault> {
        self.retag(input, |tagged, input| {
            tagged.extend(tags(input.tags)?);
            Ok(())
        })
    }

    /// UntagResource.
    pub(super) fn untag(&self, input: &Value) -> Result<Value, Fault> {
        self.retag(input, |tagged, input| {
            tagged.retain(|key, _| !input.tag_keys.contains(key));
            Ok(())
        })
    }

    fn retag(
        &self,
        input: &Value,
        change: impl FnOnce(&mut BTreeMap<String, String>, Input) -> Result<(), Fault>,
    ) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = resource(input.resource_arn.as_deref())?;
        let mut book = self.book();
        let mut rule = book.rule(&id)?.clone();
        change(&mut rule.tags, input)?;
        if rule.tags.len() > MOST_TAGS {
            return Err(error::validation("A rule has at most 50 tags."));
        }
        book.commit(Change::Rule(Box::new(rule)))?;
        Ok(empty())
    }

    /// ListTagsForResource.
    pub(super) fn list_tags(&self, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = resource(input.resource_arn.as_deref())?;
        let book = self.book();
        let tag = |(key, value): (&String, &String)| Tag {
            key: key.clone(),
            value: value.clone(),
        };
        let tags: Vec<Tag> = book.rule(&id)?.tags.iter().map(tag).collect();
        Ok(Value::Map(vec![("Tags".into(), tree(&tags)?)]))
    }
}

fn resource(arn: Option<&str>) -> Result<RuleId, Fault> {
    let arn = arn.ok_or_else(|| error::missing("ResourceARN"))?;
    RuleId::from_arn(arn).ok_or_else(|| error::validation(format!("{arn} is not the ARN of a rule.")))
}

fn tags(list: Vec<Tag>) -> Result<BTreeMap<String, String>, Fault> {
    let tags: BTreeMap<String, String> = list.into_iter().map(|tag| (tag.key, tag.value)).collect();
    if tags.len() > MOST_TAGS || !tags.iter().all(|(key, value)| tag_fits(key, value)) {
        return Err(error::validation(
            "A rule has at most 50 tags, with keys of 1 to 128 and values of at most 256 characters.",
        ));
    }
    Ok(tags)
}

/// A page of a list that is sorted by a name, and the token of the next.
pub fn page<T>(
    all: impl IntoIterator<Item = T>,
    name: impl Fn(&T) -> &str,
    limit: Option<i64>,
    token: Option<String>,
) -> Result<(Vec<T>, Option<String>), Fault> {
    let most = match limit {
        None => 100,
        Some(limit @ 1..=100) => limit as usize,
        Some(limit) => {
            return Err(error::validation(format!(
                "Limit {limit} is not within 1 and 100."
            )));
        }
    };
    let invalid = || error::validation("The token is not valid.");
    let after = token.map(|token| page::text(&token).ok_or_else(invalid));
    Ok(page::page(all, name, most, after.transpose()?.as_deref()))
}
