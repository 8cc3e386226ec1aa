//! Events to the targets of the rules that they match.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Events,
    model::{Event, Rule, Target},
    pattern::Pattern,
};
use crate::{
    delivery, id,
    sns::Notice,
    sqs::model::{Attribute, Content},
    wire::Fault,
};

impl Events {
    /// Puts an event on its region's and account's bus; returns its id. Whoever sends it never hears what became of it.
    pub fn put(&self, event: &Event) -> String {
        let id = id::uuid();
        let document = event.document(&id);
        let matching: Vec<Rule> = self
            .book()
            .rules(&event.region)
            .filter(|rule| rule.enabled && Pattern::parse(&rule.pattern).is_ok_and(|p| p.matches(&document)))
            .cloned()
            .collect();
        for rule in &matching {
            for target in rule.targets.values() {
                for arrives in delivery::copies(&self.world, event.alarm.as_deref()) {
                    self.deliver(rule, target, &document, arrives);
                }
            }
        }
        id
    }

    fn deliver(&self, rule: &Rule, target: &Target, document: &serde_json::Value, arrives: Timestamp) {
        let body = input(target, document);
        let result = if target.arn.starts_with("arn:aws:sns:") {
            let notice = Notice {
                message: body.clone(),
                ..Notice::default()
            };
            self.sns.publish(&target.arn, notice, arrives).map(|_| ())
        } else {
            let content = Content {
                body: body.clone(),
                attributes: BTreeMap::new(),
            };
            self.sqs.deliver(&target.arn, content, arrives)
        };
        if let Err(fault) = result {
            tracing::warn!(%fault, target.arn, "an event cannot be delivered");
            self.give_up(rule, target, body, arrives, &fault);
        }
    }

    /// To the target's dead-letter queue, with AWS's attributes of why.
    fn give_up(&self, rule: &Rule, target: &Target, body: String, at: Timestamp, fault: &Fault) {
        let Some(queue) = target
            .dead_letter_config
            .as_ref()
            .and_then(|config| config.arn.as_ref())
        else {
            return;
        };
        let attributes = [
            ("RULE_ARN", rule.id.arn()),
            ("TARGET_ARN", target.arn.clone()),
            ("ERROR_CODE", "INVALID_PARAMETER".to_owned()),
            ("ERROR_MESSAGE", fault.message.clone()),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), Attribute::text(value)));
        let content = Content {
            body,
            attributes: attributes.into(),
        };
        if let Err(fault) = self.sqs.deliver(queue, content, at) {
            tracing::warn!(%fault, queue, "an event cannot be put into the dead-letter queue");
        }
    }
}

/// What of an event a target gets.
fn input(target: &Target, document: &serde_json::Value) -> String {
    if let Some(input) = &target.input {
        return input.clone();
    }
    let path = target.input_path.as_deref().unwrap_or("$");
    let mut part = document;
    for name in path.split('.').skip(1) {
        part = &part[name];
    }
    part.to_string()
}
