//! Targets of rules as clients add, list and remove them.

use ciborium::Value;
use serde::{Deserialize, Serialize};

use super::{
    Events,
    book::Change,
    error,
    model::Target,
    rules::{bus, page, rule_id},
};
use crate::wire::{Fault, int, page::listed, tree, typed};

/// The most targets of a rule.
const MOST: usize = 5;

/// Members of a target that AWS has and the simulator does not.
const NOT_SIMULATED: [&str; 8] = [
    "InputTransformer",
    "KinesisParameters",
    "RunCommandParameters",
    "EcsParameters",
    "BatchParameters",
    "HttpParameters",
    "SageMakerPipelineParameters",
    "AppSyncParameters",
];

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    rule: Option<String>,
    event_bus_name: Option<String>,
    targets: Vec<Value>,
    ids: Vec<String>,
    target_arn: Option<String>,
    #[serde(deserialize_with = "int")]
    limit: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    failed_entry_count: usize,
    failed_entries: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    target_id: String,
    error_code: &'static str,
    error_message: String,
}

impl Events {
    /// PutTargets: each is added, or replaces the one of its id.
    pub(super) fn put_targets(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = rule_id(region, input.rule, input.event_bus_name.as_deref())?;
        if input.targets.is_empty() || input.targets.len() > 100 {
            return Err(error::validation("Targets must have 1 to 100 entries."));
        }
        let targets: Vec<Target> = input.targets.iter().map(checked).collect::<Result<_, _>>()?;
        let mut book = self.book();
        let mut rule = book.rule(&id)?.clone();
        rule.targets
            .extend(targets.into_iter().map(|target| (target.id.clone(), target)));
        if rule.targets.len() > MOST {
            return Err(Fault::sender(
                "LimitExceededException",
                "LimitExceededException",
                "The requested resource exceeds the maximum number allowed.",
            ));
        }
        book.commit(Change::Rule(Box::new(rule)))?;
        tree(&Failed {
            failed_entry_count: 0,
            failed_entries: vec![],
        })
    }

    /// RemoveTargets.
    pub(super) fn remove_targets(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = rule_id(region, input.rule, input.event_bus_name.as_deref())?;
        let mut book = self.book();
        let mut rule = book.rule(&id)?.clone();
        let unknown = input.ids.iter().filter(|id| !rule.targets.contains_key(*id));
        let failed_entries: Vec<Entry> = unknown
            .map(|id| Entry {
                target_id: id.clone(),
                error_code: "ResourceNotFoundException",
                error_message: format!("Rule {} does not have target {id}.", rule.id.name),
            })
            .collect();
        rule.targets.retain(|id, _| !input.ids.contains(id));
        book.commit(Change::Rule(Box::new(rule)))?;
        tree(&Failed {
            failed_entry_count: failed_entries.len(),
            failed_entries,
        })
    }

    /// ListTargetsByRule.
    pub(super) fn list_targets(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = rule_id(region, input.rule, input.event_bus_name.as_deref())?;
        let book = self.book();
        let targets = book.rule(&id)?.targets.values();
        let (page, next) = page(targets, |target| &target.id, input.limit, input.next_token)?;
        Ok(listed("Targets", tree(&page)?, next))
    }

    /// ListRuleNamesByTarget.
    pub(super) fn list_rule_names(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        bus(region, input.event_bus_name.as_deref())?;
        let arn = input.target_arn.ok_or_else(|| error::missing("TargetArn"))?;
        let book = self.book();
        let rules = book
            .rules(region)
            .filter(|rule| rule.targets.values().any(|target| target.arn == arn));
        let (page, next) = page(rules, |rule| &rule.id.name, input.limit, input.next_token)?;
        let names = page
            .into_iter()
            .map(|rule| rule.id.name.as_str().into())
            .collect();
        Ok(listed("RuleNames", Value::Array(names), next))
    }
}

fn checked(input: &Value) -> Result<Target, Fault> {
    let members = input.as_map().into_iter().flatten();
    let names: Vec<&str> = members.filter_map(|(name, _)| name.as_text()).collect();
    if let Some(name) = names.iter().find(|name| NOT_SIMULATED.contains(name)) {
        return Err(error::not_simulated(&format!("a target's {name}")));
    }
    let target: Target = typed(input)?;
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if target.id.is_empty() || target.id.len() > 64 || !target.id.chars().all(legal) {
        return Err(error::validation(
            "A target's Id has 1 to 64 letters, digits, ., _ and -.",
        ));
    }
    if !target.arn.starts_with("arn:") {
        return Err(error::validation(format!(
            "Parameter {} is not valid. Reason: Provided Arn is not in correct format.",
            target.arn
        )));
    }
    if !target.arn.starts_with("arn:aws:sqs:") && !target.arn.starts_with("arn:aws:sns:") {
        return Err(error::not_simulated("targets other than queues and topics"));
    }
    let json = |text: &String| serde_json::from_str::<serde_json::Value>(text).is_ok();
    if target.input.is_some() && target.input_path.is_some() {
        return Err(error::validation(
            "Only one of Input, InputPath, or InputTransformer must be provided.",
        ));
    }
    if !target.input.as_ref().is_none_or(json) {
        return Err(error::validation(format!(
            "JSON syntax error in input for target {}.",
            target.id
        )));
    }
    if !target
        .input_path
        .as_ref()
        .is_none_or(|path| path == "$" || path.starts_with("$."))
    {
        return Err(error::validation("InputPath must be a JSONPath such as $.detail"));
    }
    Ok(target)
}
