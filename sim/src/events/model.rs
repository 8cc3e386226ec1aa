//! Rules and their targets: plain data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::world::Place;

/// Where a rule is: names are unique within the default bus of a region of an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleId {
    /// The region and account (`Place::key`).
    pub region: String,
    /// The name.
    pub name: String,
}

impl RuleId {
    /// The rule's ARN.
    pub fn arn(&self) -> String {
        let Place { region, account } = Place::of(&self.region);
        format!("arn:aws:events:{region}:{account}:rule/{}", self.name)
    }

    /// The rule that an ARN names, if it is one of a default bus.
    pub fn from_arn(arn: &str) -> Option<Self> {
        let (region, rest) = arn.strip_prefix("arn:aws:events:")?.split_once(':')?;
        let (account, name) = rest.split_once(":rule/")?;
        Some(Self {
            region: Place::key(account, region),
            name: name.trim_start_matches("default/").to_owned(),
        })
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Where it is.
    pub id: RuleId,
    /// Which events it is for.
    pub pattern: String,
    /// Whether it does anything.
    pub enabled: bool,
    /// For people.
    pub description: Option<String>,
    /// A role, which is kept and shown.
    pub role: Option<String>,
    /// Its targets, by their ids.
    pub targets: BTreeMap<String, Target>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// Where a rule sends events, and what of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Target {
    /// Its id, unique in its rule.
    pub id: String,
    /// The ARN of a queue or topic.
    pub arn: String,
    /// A role, which is kept and shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// This JSON instead of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// This part of the event, such as `$.detail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_path: Option<String>,
    /// How often and how long delivery is tried: kept and shown. Here a delivery fails for good, or not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// Where events go that cannot be delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_config: Option<DeadLetterConfig>,
}

/// See [`Target::retry_policy`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RetryPolicy {
    /// 0 to 185.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_retry_attempts: Option<i64>,
    /// 60 to 86400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_event_age_in_seconds: Option<i64>,
}

/// See [`Target::dead_letter_config`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeadLetterConfig {
    /// The queue's ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
}

/// An event on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The region and account of its bus (`Place::key`).
    pub region: String,
    /// What kind of event it is, for people.
    pub detail_type: String,
    /// Where it comes from.
    pub source: String,
    /// When it happened.
    pub time: Timestamp,
    /// ARNs of what it is about.
    pub resources: Vec<String>,
    /// What happened: an object.
    pub detail: serde_json::Value,
    /// The alarm whose change of state it tells of.
    pub alarm: Option<String>,
}

impl Event {
    /// The document that targets get.
    pub fn document(&self, id: &str) -> serde_json::Value {
        let Place { region, account } = Place::of(&self.region);
        serde_json::json!({
            "version": "0",
            "id": id,
            "detail-type": self.detail_type,
            "source": self.source,
            "account": account,
            "time": self.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": region,
            "resources": self.resources,
            "detail": self.detail,
        })
    }
}
