//! One entry of an alarm's history becomes a transition.
//!
//! Pure. CloudWatch promises little about the text of an entry: it may be cut at 4,095 characters, reason data may be an
//! object, a text or absent (SetAlarmState), and dates are written with `+0000`.

use jiff::{Timestamp, fmt::strtime::BrokenDownTime};
use serde_json::Value;

/// An alarm changed its state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transition {
    /// The entry's timestamp, by which CloudWatch tells apart what happened from what it repeats.
    pub at: Timestamp,
    /// Whether the alarm is not in ALARM since then. (False sorts first: at the same instant ALARM comes before its end.)
    pub cleared: bool,
    /// Whether it was in ALARM before, where the entry says so.
    pub was_alarm: Option<bool>,
    /// Where the oldest period begins that CloudWatch looked at: the true start.
    pub start: Option<Timestamp>,
    /// CloudWatch's reason, for people.
    pub reason: Option<String>,
}

/// The transition that a StateUpdate entry tells of; `data` is its HistoryData, `summary` its HistorySummary. `None`: it
/// cannot be made out; then the alarm's level is what is left.
pub fn transition(at: Timestamp, summary: &str, data: &str) -> Option<Transition> {
    let json: Value = serde_json::from_str(data).unwrap_or_default();
    let (old, new) = (&json["oldState"], &json["newState"]);
    let state = |state: &Value| state["stateValue"].as_str().map(|s| s == "ALARM");
    if let Some(alarm) = state(new) {
        return Some(Transition {
            at,
            cleared: !alarm,
            was_alarm: state(old),
            start: start_date(&new["stateReasonData"]),
            reason: new["stateReason"].as_str().map(str::to_owned),
        });
    }
    // The data is cut or empty: the summary says the states, and a start date may stand before the cut.
    let (old, new) = summary.strip_prefix("Alarm updated from ")?.split_once(" to ")?;
    let new_data = data.split_once("\"newState\"").map_or("", |(_, new)| new);
    let start = new_data
        .split_once("\"startDate\":\"")
        .and_then(|(_, rest)| date(rest.split('"').next()?));
    Some(Transition {
        at,
        cleared: new.trim() != "ALARM",
        was_alarm: Some(old.trim() == "ALARM"),
        start,
        reason: None,
    })
}

/// The start date in reason data, which is an object in history and a text in DescribeAlarms and in events.
pub fn start_date(reason_data: &Value) -> Option<Timestamp> {
    match reason_data {
        Value::String(text) => start_date(&serde_json::from_str(text).ok().filter(Value::is_object)?),
        data => date(data["startDate"].as_str()?),
    }
}

/// A date as CloudWatch writes it: `2014-04-09T18:44:00.000+0000`.
fn date(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let parsed = BrokenDownTime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).ok()?;
        parsed.to_timestamp().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The example of AWS's documentation of DescribeAlarmHistory, with the states the other way round.
    const ENTRY: &str = r#"{"version":"1.0","oldState":{"stateValue":"OK","stateReason":"testing purposes"},
        "newState":{"stateValue":"ALARM","stateReason":"Threshold Crossed",
        "stateReasonData":{"version":"1.0","queryDate":"2014-04-09T18:59:06.419+0000","startDate":"2014-04-09T18:44:00.000+0000",
        "statistic":"Average","period":300,"recentDatapoints":[38.958,40.292],"threshold":70.0}}}"#;

    #[test]
    fn reads_what_cloudwatch_writes() {
        let read = transition(
            at("2014-04-09T18:59:06.442Z"),
            "Alarm updated from OK to ALARM",
            ENTRY,
        )
        .unwrap();
        assert_eq!(
            read,
            Transition {
                at: at("2014-04-09T18:59:06.442Z"),
                cleared: false,
                was_alarm: Some(false),
                start: Some(at("2014-04-09T18:44:00Z")),
                reason: Some("Threshold Crossed".into()),
            }
        );
    }

    #[test]
    fn bears_with_what_is_missing() {
        let now = at("2014-04-09T18:59:06.442Z");
        let summary = "Alarm updated from OK to ALARM";
        for (what, summary, data, expected) in [
            (
                "no reason data",
                summary,
                r#"{"newState":{"stateValue":"ALARM"}}"#.to_owned(),
                Some((false, None)),
            ),
            (
                "reason data as text",
                "",
                r#"{"newState":{"stateValue":"OK","stateReasonData":"{\"startDate\":\"2014-04-09T18:44:00.000+0000\"}"}}"#.into(),
                Some((true, Some("2014-04-09T18:44:00Z"))),
            ),
            (
                "cut after the start date",
                summary,
                ENTRY[..ENTRY.find("statistic").unwrap()].into(),
                Some((false, Some("2014-04-09T18:44:00Z"))),
            ),
            ("cut before it", summary, ENTRY[..60].into(), Some((false, None))),
            ("nothing", summary, String::new(), Some((false, None))),
            ("INSUFFICIENT_DATA", "Alarm updated from ALARM to INSUFFICIENT_DATA", String::new(), Some((true, None))),
            ("not a transition", "Alarm \"x\" created", "{}".into(), None),
            ("an odd date", summary, r#"{"newState":{"stateValue":"ALARM","stateReasonData":{"startDate":7}}}"#.into(), Some((false, None))),
        ] {
            let read = transition(now, summary, &data).map(|t| (t.cleared, t.start));
            let expected = expected.map(|(cleared, start)| (cleared, start.map(at)));
            assert_eq!(read, expected, "{what}");
        }
    }
}
