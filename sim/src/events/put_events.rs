//! PutEvents: events of clients' own.

use ciborium::Value;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Events, error, model::Event, rules::bus};
use crate::wire::{Fault, Time, tree, typed};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    entries: Vec<Entry>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Entry {
    time: Option<Time>,
    source: Option<String>,
    resources: Vec<String>,
    detail_type: Option<String>,
    detail: Option<String>,
    event_bus_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    failed_entry_count: usize,
    entries: Vec<Done>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Done {
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

impl Events {
    /// PutEvents.
    pub(super) fn put_events(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        if input.entries.is_empty() || input.entries.len() > 10 {
            return Err(error::validation("Entries must have 1 to 10 entries."));
        }
        let now = self.world.clock.now();
        let mut output = Output {
            failed_entry_count: 0,
            entries: vec![],
        };
        for entry in input.entries {
            bus(region, entry.event_bus_name.as_deref())?;
            output.entries.push(match event(region, entry, now) {
                Ok(event) => Done {
                    event_id: Some(self.put(&event)),
                    ..Done::default()
                },
                Err((code, message)) => {
                    output.failed_entry_count += 1;
                    Done {
                        error_code: Some(code),
                        error_message: Some(message),
                        ..Done::default()
                    }
                }
            });
        }
        tree(&output)
    }
}

fn event(region: &str, entry: Entry, now: Timestamp) -> Result<Event, (&'static str, String)> {
    let required = |name: &str, value: Option<String>| {
        value.filter(|value| !value.is_empty()).ok_or_else(|| {
            let message = format!("Parameter {name} is not valid. Reason: {name} is a required argument.");
            ("InvalidArgument", message)
        })
    };
    let source = required("Source", entry.source)?;
    if source.starts_with("aws.") {
        return Err((
            "NotAuthorizedForSourceException",
            "Not authorized for the source.".into(),
        ));
    }
    let detail: serde_json::Value = serde_json::from_str(&required("Detail", entry.detail)?)
        .ok()
        .filter(serde_json::Value::is_object)
        .ok_or_else(|| ("MalformedDetail", "Detail is malformed.".to_owned()))?;
    Ok(Event {
        region: region.to_owned(),
        detail_type: required("DetailType", entry.detail_type)?,
        source,
        time: entry.time.map_or(now, |time| time.0),
        resources: entry.resources,
        detail,
        alarm: None,
    })
}
