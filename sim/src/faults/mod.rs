//! Faults on demand: rules that say what happens to which requests. Set by HTTP or from a file.

mod answer;
mod target;

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

pub use self::{
    answer::{Words, apply},
    target::Target,
};

/// A rule. The first that strikes a request decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// For requests of this operation, as AWS names it, such as `ListFragments`, `PutObject`, `DescribeAlarms`; absent: of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// On the stream of this name; absent: any request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// On the alarm of this name, where the request names one; absent: any request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
    /// With a path that begins so (for S3 `/bucket/prefix`); absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// So many matching requests pass first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub after: u64,
    /// It strikes so often; absent: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// How probable it is that it strikes a matching request.
    #[serde(default = "always", skip_serializing_if = "is_always")]
    pub probability: f64,
    /// Where `probability`'s dice begin: the same seed, the same strikes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seed: u64,
    /// What happens.
    pub fault: Fault,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Fault {
    /// An error instead of the answer.
    #[serde(rename_all = "camelCase")]
    Error {
        /// The service's name for it.
        code: String,
        /// The HTTP status.
        #[serde(default = "bad_request")]
        status: u16,
        /// For people.
        #[serde(default)]
        message: String,
        /// Whether the operation is performed first: only the answer is lost.
        #[serde(default)]
        performed: bool,
    },
    /// The answer comes later.
    Delay {
        /// By so many ms.
        millis: u64,
    },
    /// The connection breaks: after so many bytes of the answer's body; for PutMedia, of the request's.
    Cut {
        /// Bytes.
        bytes: u64,
    },
    /// The answer's body ends after so many bytes, and looks complete.
    Truncate {
        /// Bytes.
        bytes: u64,
    },
    /// The answer's body stops after so many bytes, and the connection stays open.
    Stall {
        /// Bytes.
        bytes: u64,
    },
    /// GetMediaForFragmentList: an exception in the body, where a fragment should be.
    InBand {
        /// Its code, such as 4500.
        code: u32,
        /// Its text.
        #[serde(default)]
        message: String,
        /// The fragment's number; absent: the first of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fragment: Option<String>,
    },
    /// ListFragments: the answer that it would have given so much earlier.
    Lag {
        /// By so many ms.
        millis: u64,
    },
    /// The stream's key may not be used: PutMedia and GetMediaForFragmentList say 4500 for each fragment, GetClip and GetMedia
    /// are denied.
    KeyDenied {},
    /// What happens to an alarm is told twice.
    Twice {},
    /// What happens to an alarm is not told.
    Missing {},
}

/// What rules strike that no client asks for: it happens to alarms inside AWS. Only a rule that names it strikes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// An evaluation finds that an alarm must change its state.
    AlarmEvaluation,
    /// A change of state is written into the history.
    AlarmHistory,
    /// A change of state is sent to EventBridge's targets and to the alarm's actions.
    AlarmEvent,
}

impl Inside {
    const ALL: [Self; 3] = [Self::AlarmEvaluation, Self::AlarmHistory, Self::AlarmEvent];

    /// As rules name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlarmEvaluation => "AlarmEvaluation",
            Self::AlarmHistory => "AlarmHistory",
            Self::AlarmEvent => "AlarmEvent",
        }
    }
}

/// The longest delay (ms), of rules as of behaviour: 30 days, as long as AWS keeps an alarm's history.
pub const LONGEST_MILLIS: u64 = 30 * 24 * 3_600_000;

fn always() -> f64 {
    1.0
}

fn is_always(probability: &f64) -> bool {
    *probability >= 1.0
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn bad_request() -> u16 {
    400
}

/// The rules, and what became of them.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<State>>,
}

/// A rule and its counts.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The rule.
    pub rule: Rule,
    /// Requests that it was for.
    pub matched: u64,
    /// Requests that it struck.
    pub struck: u64,
}

impl Faults {
    /// With these rules.
    pub fn new(rules: Vec<Rule>) -> Self {
        let faults = Self::default();
        rules.into_iter().for_each(|rule| faults.add(rule));
        faults
    }

    /// Adds a rule.
    pub fn add(&self, rule: Rule) {
        self.lock().push(State {
            rule,
            matched: 0,
            struck: 0,
        });
    }

    /// Drops all rules.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The rules and their counts.
    pub fn states(&self) -> Vec<State> {
        self.lock().clone()
    }

    /// Whether there are rules at all.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// What strikes something that happens to an alarm, if anything does.
    pub fn strike_inside(&self, what: Inside, alarm: &str) -> Option<Fault> {
        self.strike(&Target {
            operation: Some(what.name().to_owned()),
            alarm: Some(alarm.to_owned()),
            ..Target::default()
        })
    }

    /// What strikes a request, if anything does.
    pub fn strike(&self, target: &Target) -> Option<Fault> {
        self.lock().iter_mut().find_map(|state| state.strike(target))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<State>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn strike(&mut self, target: &Target) -> Option<Fault> {
        if !self.rule.takes(target) {
            return None;
        }
        self.matched += 1;
        let strikes = self.matched > self.rule.after
            && self.rule.times.is_none_or(|times| self.struck < times)
            && dice(self.rule.seed, self.matched) < self.rule.probability;
        if !strikes {
            return None;
        }
        self.struck += 1;
        Some(self.rule.fault.clone())
    }
}

impl Rule {
    /// Whether the fault can happen to what the rule names: a rule that can never do anything is a mistake.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check(&self) -> Result<(), String> {
        if let Fault::Delay { millis } | Fault::Lag { millis } = self.fault
            && millis > LONGEST_MILLIS
        {
            return Err(format!("millis is {millis}: at most 30 days, {LONGEST_MILLIS}"));
        }
        if let Fault::Error { status, .. } = self.fault
            && !(400..=599).contains(&status)
        {
            return Err(format!("status {status} is no error: 400 to 599"));
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(format!("probability {} is not within 0 and 1", self.probability));
        }
        let inside = Inside::ALL
            .into_iter()
            .find(|inside| self.operation.as_deref() == Some(inside.name()));
        match (inside, &self.fault) {
            (None, Fault::Twice {} | Fault::Missing {}) => {
                Err("twice and missing are for AlarmHistory and AlarmEvent".into())
            }
            (None, Fault::Lag { .. }) if self.operation.as_deref() != Some("ListFragments") => {
                Err("lag is for ListFragments".into())
            }
            (None, _) | (Some(_), Fault::Delay { .. }) => Ok(()),
            (Some(Inside::AlarmHistory | Inside::AlarmEvent), Fault::Twice {} | Fault::Missing {}) => Ok(()),
            (Some(inside), _) => Err(format!("this fault cannot happen to {}", inside.name())),
        }
    }

    fn takes(&self, target: &Target) -> bool {
        let same = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
        let inside = Inside::ALL
            .iter()
            .any(|inside| target.operation.as_deref() == Some(inside.name()));
        (!inside || self.operation.is_some())
            && same(&self.operation, &target.operation)
            && same(&self.stream, &target.stream)
            && same(&self.alarm, &target.alarm)
            && self
                .path
                .as_ref()
                .is_none_or(|path| target.path.starts_with(path))
    }
}

/// A number in [0, 1) that a seed and a count decide (SplitMix64).
fn dice(seed: u64, count: u64) -> f64 {
    let mut z = seed.wrapping_add(count.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(operation: &str, stream: &str) -> Target {
        Target {
            operation: Some(operation.into()),
            stream: Some(stream.into()),
            alarm: None,
            path: format!("/{operation}"),
        }
    }

    fn rule(json: &str) -> Rule {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_rule_strikes_what_it_names_as_often_as_it_says() {
        let faults = Faults::new(vec![
            rule(
                r#"{"operation": "A", "stream": "cam", "after": 1, "times": 2, "fault": {"delay": {"millis": 5}}}"#,
            ),
            rule(r#"{"path": "/A", "fault": {"error": {"code": "X"}}}"#),
        ]);
        let mut hits = vec![];
        for _ in 0..5 {
            hits.push(match faults.strike(&target("A", "cam")) {
                Some(Fault::Delay { millis: 5 }) => 'd',
                Some(Fault::Error { status: 400, .. }) => 'e',
                _ => '-',
            });
        }
        assert_eq!(hits, ['e', 'd', 'd', 'e', 'e']);
        assert!(faults.strike(&target("B", "cam")).is_none());
        let states = faults.states();
        assert_eq!((states[0].matched, states[0].struck, states[1].struck), (5, 2, 3));
    }

    #[test]
    fn the_same_seed_strikes_the_same_requests() {
        let strikes = |seed: u64| -> Vec<bool> {
            let json =
                format!(r#"{{"probability": 0.3, "seed": {seed}, "fault": {{"cut": {{"bytes": 0}}}}}}"#);
            let faults = Faults::new(vec![rule(&json)]);
            (0..1000)
                .map(|_| faults.strike(&target("A", "s")).is_some())
                .collect()
        };
        assert_eq!(strikes(1), strikes(1));
        assert_ne!(strikes(1), strikes(2));
        let count = strikes(1).iter().filter(|s| **s).count();
        assert!((200..400).contains(&count), "{count}");
    }

    #[test]
    fn what_happens_to_alarms_is_struck_only_by_rules_that_name_it() {
        let faults = Faults::new(vec![
            rule(r#"{"fault": {"error": {"code": "X"}}}"#),
            rule(r#"{"operation": "AlarmHistory", "alarm": "porch", "fault": {"twice": {}}}"#),
        ]);
        assert_eq!(faults.strike_inside(Inside::AlarmEvaluation, "porch"), None);
        assert_eq!(faults.strike_inside(Inside::AlarmHistory, "garage"), None);
        assert_eq!(
            faults.strike_inside(Inside::AlarmHistory, "porch"),
            Some(Fault::Twice {})
        );
        let table = [
            (
                r#"{"operation": "AlarmEvaluation", "fault": {"delay": {"millis": 1}}}"#,
                true,
            ),
            (
                r#"{"operation": "AlarmEvaluation", "fault": {"missing": {}}}"#,
                false,
            ),
            (r#"{"operation": "AlarmEvent", "fault": {"missing": {}}}"#, true),
            (
                r#"{"operation": "AlarmEvent", "fault": {"error": {"code": "X"}}}"#,
                false,
            ),
            (r#"{"operation": "PutObject", "fault": {"twice": {}}}"#, false),
            (r#"{"fault": {"delay": {"millis": 2592000000}}}"#, true),
            (r#"{"fault": {"delay": {"millis": 2592000001}}}"#, false),
            (r#"{"fault": {"delay": {"millis": 18446744073709551615}}}"#, false),
            (
                r#"{"operation": "ListFragments", "fault": {"lag": {"millis": 18446744073709551615}}}"#,
                false,
            ),
            (r#"{"fault": {"error": {"code": "X", "status": 200}}}"#, false),
            (
                r#"{"probability": 1.5, "fault": {"error": {"code": "X"}}}"#,
                false,
            ),
        ];
        for (json, can) in table {
            assert_eq!(rule(json).check().is_ok(), can, "{json}");
        }
    }

    #[test]
    fn a_rule_with_an_unknown_fault_is_refused() {
        for wrong in [
            r#"{"fault": {"explode": {}}}"#,
            r#"{"operation": "A"}"#,
            r#"{"fault": {"delay": {}}}"#,
            r#"{"opertion": "A", "fault": {"cut": {"bytes": 1}}}"#,
        ] {
            assert!(serde_json::from_str::<Rule>(wrong).is_err(), "{wrong}");
        }
    }
}
