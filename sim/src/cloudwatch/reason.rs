//! Why an alarm changed its state, in AWS's words and in AWS's JSON: pure.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    evaluate::{Comparison, Missing, Rule, Slot, Verdict},
    model::StateValue,
};

/// The most datapoints that a reason lists.
const LISTED: usize = 5;

/// What the reason needs to know of the alarm beside its rule.
#[derive(Clone, Debug)]
pub struct About {
    /// The statistic; `None` where an expression is watched.
    pub statistic: Option<String>,
    /// Seconds.
    pub period: i64,
    /// Whether the alarm names its M, for which the text has more words.
    pub m_given: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReasonData {
    version: &'static str,
    query_date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statistic: Option<String>,
    period: i64,
    recent_datapoints: Vec<f64>,
    threshold: f64,
    evaluated_datapoints: Vec<EvaluatedDatapoint>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EvaluatedDatapoint {
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_count: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
}

/// A date as alarm data has it: not RFC 3339, and always with milliseconds.
pub fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

/// StateReasonData.
pub fn data(rule: &Rule, about: &About, verdict: &Verdict, queried: Timestamp) -> serde_json::Result<String> {
    let real = || {
        verdict
            .judged
            .iter()
            .filter_map(|slot| Some((slot.start, slot.value?)))
    };
    serde_json::to_string(&ReasonData {
        version: "1.0",
        query_date: date(queried),
        start_date: real().next().map(|(start, _)| date(start)),
        statistic: about.statistic.clone(),
        period: about.period,
        recent_datapoints: real().map(|(_, value)| value.value).collect(),
        threshold: rule.threshold,
        evaluated_datapoints: verdict
            .judged
            .iter()
            .rev()
            .map(|slot| EvaluatedDatapoint {
                timestamp: date(slot.start),
                sample_count: slot.value.and_then(|v| v.samples),
                value: slot.value.map(|v| v.value),
            })
            .collect(),
    })
}

/// StateReason of a state that an evaluation came to.
pub fn text(
    rule: &Rule,
    about: &About,
    verdict: &Verdict,
    state: StateValue,
    previous: StateValue,
) -> String {
    if state == StateValue::InsufficientData {
        return format!(
            "Insufficient Data: {} {} unknown.",
            count(rule.periods, "datapoint"),
            were(rule.periods)
        );
    }
    let alarm = state == StateValue::Alarm;
    let filled = match rule.missing {
        _ if verdict.filled == 0 => None,
        Missing::Breaching => Some("Breaching"),
        _ => Some("NonBreaching"),
    }
    .map(|treated| {
        let missing = count(verdict.filled, "missing datapoint");
        format!(" and {missing} {} treated as [{treated}]", were(verdict.filled))
    })
    .unwrap_or_default();
    let shown: Vec<Slot> = verdict
        .judged
        .iter()
        .rev()
        .filter(|slot| slot.value.is_some_and(|v| rule.breaches(v.value) == alarm))
        .copied()
        .collect();
    if shown.is_empty() {
        return format!(
            "Threshold Crossed: no datapoints were received for {}{filled}.",
            count(rule.periods, "period")
        );
    }
    let number = shown.len();
    let who = if about.m_given {
        format!("{number} out of the last {} datapoints", rule.periods)
    } else {
        count(number, "datapoint")
    };
    let list: Vec<String> = shown.iter().take(LISTED).filter_map(listed).collect();
    let list = format!("[{}]", list.join(", "));
    let crossed = format!(
        "{}{} the threshold ({:?})",
        not(alarm),
        than(rule.comparison),
        rule.threshold
    );
    let crossed = if number <= LISTED {
        format!("{who} {list} {} {crossed}", were(number))
    } else {
        format!(
            "{who} {} {crossed}. The most recent datapoints which crossed the threshold: {list}",
            were(number)
        )
    };
    let least = if about.m_given {
        let least = if alarm {
            rule.to_alarm
        } else {
            rule.periods - rule.to_alarm + 1
        };
        let change = format!("{} -> {}", previous.as_str(), state.as_str());
        format!(" (minimum {} for {change} transition)", count(least, "datapoint"))
    } else {
        String::new()
    };
    format!("Threshold Crossed: {crossed}{filled}{least}.")
}

fn listed(slot: &Slot) -> Option<String> {
    Some(format!(
        "{:?} ({})",
        slot.value?.value,
        slot.start.strftime("%d/%m/%y %H:%M:%S")
    ))
}

fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}

fn were(number: usize) -> &'static str {
    if number == 1 { "was" } else { "were" }
}

fn not(alarm: bool) -> &'static str {
    if alarm { "" } else { "not " }
}

fn than(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::GreaterOrEqual => "greater than or equal to",
        Comparison::Greater => "greater than",
        Comparison::Less => "less than",
        Comparison::LessOrEqual => "less than or equal to",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::evaluate::Value, *};

    fn rule(missing: Missing) -> Rule {
        Rule {
            comparison: Comparison::GreaterOrEqual,
            threshold: 1.0,
            periods: 1,
            to_alarm: 1,
            missing,
        }
    }

    fn about(m_given: bool) -> About {
        About {
            statistic: Some("Sum".into()),
            period: 60,
            m_given,
        }
    }

    fn slot(at: &str, value: Option<f64>) -> Slot {
        Slot {
            start: at.parse().unwrap(),
            value: value.map(|value| Value {
                value,
                samples: Some(value),
            }),
        }
    }

    #[test]
    fn in_the_words_of_aws() {
        let one = vec![slot("2026-11-04T15:58:00Z", Some(5.0))];
        let zero = vec![slot("2026-11-04T15:58:00Z", Some(0.0))];
        let none = vec![slot("2026-11-04T15:58:00Z", None)];
        use StateValue::{Alarm, InsufficientData as Unknown, Ok};
        let cases = [
            (
                Missing::NotBreaching,
                true,
                one.clone(),
                Alarm,
                "Threshold Crossed: 1 out of the last 1 datapoints [5.0 (04/11/26 15:58:00)] was greater than or equal to the threshold (1.0) (minimum 1 datapoint for OK -> ALARM transition).",
            ),
            (
                Missing::NotBreaching,
                false,
                one,
                Alarm,
                "Threshold Crossed: 1 datapoint [5.0 (04/11/26 15:58:00)] was greater than or equal to the threshold (1.0).",
            ),
            (
                Missing::NotBreaching,
                false,
                zero,
                Ok,
                "Threshold Crossed: 1 datapoint [0.0 (04/11/26 15:58:00)] was not greater than or equal to the threshold (1.0).",
            ),
            (
                Missing::NotBreaching,
                false,
                none.clone(),
                Ok,
                "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching].",
            ),
            (
                Missing::Breaching,
                false,
                none.clone(),
                Alarm,
                "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [Breaching].",
            ),
            (
                Missing::Unknown,
                false,
                none,
                Unknown,
                "Insufficient Data: 1 datapoint was unknown.",
            ),
        ];
        for (missing, m_given, range, state, expected) in cases {
            let rule = rule(missing);
            let verdict = rule.judge(&range);
            assert_eq!(verdict.state, Some(state));
            assert_eq!(
                text(&rule, &about(m_given), &verdict, state, StateValue::Ok),
                expected
            );
        }
    }

    #[test]
    fn data_as_aws_writes_it() {
        let rule = Rule {
            periods: 2,
            ..rule(Missing::NotBreaching)
        };
        let queried = "2026-11-04T16:00:04.419Z".parse().unwrap();
        let verdict = rule.judge(&[
            slot("2026-11-04T15:56:00Z", None),
            slot("2026-11-04T15:57:00Z", None),
            slot("2026-11-04T15:58:00Z", Some(5.0)),
        ]);
        assert_eq!(
            data(&rule, &about(true), &verdict, queried).unwrap(),
            r#"{"version":"1.0","queryDate":"2026-11-04T16:00:04.419+0000","startDate":"2026-11-04T15:58:00.000+0000","statistic":"Sum","period":60,"recentDatapoints":[5.0],"threshold":1.0,"evaluatedDatapoints":[{"timestamp":"2026-11-04T15:58:00.000+0000","sampleCount":5.0,"value":5.0},{"timestamp":"2026-11-04T15:57:00.000+0000"}]}"#
        );
        let verdict = rule.judge(&[slot("2026-11-04T15:58:00Z", None)]);
        let text = data(&rule, &about(true), &verdict, queried).unwrap();
        assert!(
            !text.contains("startDate") && text.contains(r#""recentDatapoints":[]"#),
            "{text}"
        );
    }
}
