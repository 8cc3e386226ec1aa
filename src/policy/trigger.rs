//! The alarm that a policy's trigger means for a stream: one that the operator makes, or somebody else's.
//!
//! Pure.

use std::collections::BTreeMap;

use kube::ResourceExt;

use crate::{
    api::{AlarmTrigger, ArchivePolicy, ExistingAlarm, VideoStream},
    aws::{StreamArn, alarms::AlarmDefinition},
    runtime::Error,
};

/// Whose a stream's alarm is.
#[derive(Clone, Debug, PartialEq)]
pub enum Whose {
    /// The operator makes it, and keeps it so.
    Ours(AlarmDefinition),
    /// Somebody else's, which is never changed; the tags that it must have.
    Theirs(BTreeMap<String, String>),
}

/// A policy's trigger.
#[derive(Clone, Copy, Debug)]
pub enum Trigger<'a> {
    /// An alarm to make, and its threshold.
    Alarm(&'a AlarmTrigger, f64),
    /// An alarm that is there.
    Existing(&'a ExistingAlarm),
}

impl<'a> Trigger<'a> {
    /// A policy's.
    ///
    /// # Errors
    /// `Spec`: it has none, or its threshold is no number.
    pub fn of(policy: &'a ArchivePolicy) -> Result<Self, Error> {
        let trigger = policy.spec.trigger.as_ref();
        if let Some(existing) = trigger.and_then(|t| t.existing_alarm.as_ref()) {
            return Ok(Self::Existing(existing));
        }
        let Some(alarm) = trigger.and_then(|t| t.alarm.as_ref()) else {
            return Err(Error::Spec(
                "spec.trigger is missing: say what starts a recording, for instance `trigger: {alarm: {}}`"
                    .into(),
            ));
        };
        let threshold = quantity(&alarm.threshold.0).ok_or_else(|| {
            Error::Spec(format!(
                "spec.trigger.alarm.threshold: {:?} is not a number such as 1, 0.5 or 500k",
                alarm.threshold.0
            ))
        })?;
        Ok(Self::Alarm(alarm, threshold))
    }
}

/// The name of somebody else's alarm for one stream.
///
/// # Errors
/// What the template asks for and the VideoStream does not have.
pub fn existing_name(template: &str, video_stream: &VideoStream, stream: &str) -> Result<String, String> {
    let (mut name, mut rest) = (String::new(), template);
    while let Some((before, behind)) = rest.split_once('{') {
        let (word, after) = behind
            .split_once('}')
            .ok_or_else(|| format!("trigger.existingAlarm.name: a brace is not closed in {template:?}"))?;
        name.push_str(before);
        match word.strip_prefix("labels.") {
            Some(key) => name.push_str(video_stream.labels().get(key).ok_or_else(|| {
                format!(
                    "trigger.existingAlarm.name needs the label {key}, which the VideoStream does not have"
                )
            })?),
            None if word == "streamName" => name.push_str(stream),
            None if word == "name" => name.push_str(&video_stream.name_any()),
            None if word == "namespace" => name.push_str(&video_stream.namespace().unwrap_or_default()),
            None => return Err(format!("trigger.existingAlarm.name: {{{word}}} means nothing")),
        }
        rest = after;
    }
    name.push_str(rest);
    Ok(name)
}

/// What the alarm of a stream watches.
pub fn definition(trigger: &AlarmTrigger, threshold: f64, arn: &StreamArn) -> AlarmDefinition {
    // The names of our enums are CloudWatch's own.
    let word = |value: serde_json::Result<serde_json::Value>| {
        value
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    AlarmDefinition {
        namespace: "AWS/KinesisVideo".into(),
        metric_name: trigger.metric_name.clone(),
        dimensions: BTreeMap::from([("StreamName".into(), arn.name().into())]),
        statistic: word(serde_json::to_value(trigger.statistic)),
        period: trigger.period,
        evaluation_periods: trigger.evaluation_periods,
        datapoints_to_alarm: trigger.datapoints_to_alarm,
        threshold,
        comparison_operator: word(serde_json::to_value(trigger.comparison_operator)),
        treat_missing_data: word(serde_json::to_value(trigger.treat_missing_data)),
    }
}

/// A Kubernetes quantity as a number.
fn quantity(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((text, 1.0));
    // Rust also reads `inf` and `nan`.
    let plain = number
        .bytes()
        .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let value = number.parse::<f64>().ok().filter(|_| plain)? * factor;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for (text, value) in [
            ("1", Some(1.0)),
            ("500m", Some(0.5)),
            ("2k", Some(2000.0)),
            ("1Ki", Some(1024.0)),
            ("1e3", Some(1000.0)),
            ("-0.5", Some(-0.5)),
        ] {
            assert_eq!(quantity(text), value, "{text}");
        }
        for text in ["", "inf", "NaN", "x", "1x", "1e999"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }
}
