//! Event patterns: which events a rule is for. Pure.
//!
//! As "Comparison operators for use in event patterns" of EventBridge's guide says. A list in an event matches where one of its
//! items does; a list of objects where one object has all that the pattern asks of it. Numbers in a list of values match as
//! they are written (300 is not 300.0), those behind `numeric` by value.

mod test;

use serde_json::{Map, Value};

use self::test::{Test, test};

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// A pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(Vec<Field>);

/// What a pattern asks of one place of an event; all of them must hold.
#[derive(Clone, Debug, PartialEq)]
enum Field {
    /// A field has a value that one of these takes.
    Leaf(String, Vec<Test>),
    /// A field has an object (or a list with an object) that a pattern matches.
    Inner(String, Pattern),
    /// One of these patterns matches.
    Or(Vec<Pattern>),
}

/// The most characters of a pattern.
const LONGEST: usize = 4096;

fn refused<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(why.into()))
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        if text.chars().count() > LONGEST {
            return refused(format!("The pattern has more than {LONGEST} characters"));
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) if fields.is_empty() => refused("Empty patterns are not allowed"),
            Ok(Value::Object(fields)) => Self::of(&fields),
            Ok(_) => refused("Filter is not an object"),
            Err(error) => refused(error.to_string()),
        }
    }

    fn of(fields: &Map<String, Value>) -> Result<Self, Refused> {
        let field = |(name, value): (&String, &Value)| match value {
            Value::Array(items) if name == "$or" && or(items) => {
                let patterns = items.iter().filter_map(Value::as_object).map(Self::of);
                Ok(Field::Or(patterns.collect::<Result<_, _>>()?))
            }
            Value::Array(items) if items.is_empty() => refused("Empty arrays are not allowed"),
            Value::Array(items) => {
                let tests = items.iter().map(test).collect::<Result<_, _>>()?;
                Ok(Field::Leaf(name.clone(), tests))
            }
            Value::Object(fields) if fields.is_empty() => refused("Empty objects are not allowed"),
            Value::Object(fields) => Ok(Field::Inner(name.clone(), Self::of(fields)?)),
            _ => refused(format!("\"{name}\" must be an object or an array")),
        };
        Ok(Self(fields.iter().map(field).collect::<Result<_, _>>()?))
    }

    /// Whether an event is one of those that the pattern is for.
    pub fn matches(&self, event: &Value) -> bool {
        match event {
            Value::Object(fields) => self.0.iter().all(|field| field.matches(fields)),
            Value::Array(items) => items.iter().any(|item| self.matches(item)),
            _ => false,
        }
    }

    /// Whether it matches where there is nothing: `{"exists": false}` does, at any depth.
    fn matches_nothing(&self) -> bool {
        self.matches(&Value::Object(Map::new()))
    }
}

/// Whether a field of this name is the operator: a list of two or more objects.
fn or(items: &[Value]) -> bool {
    let object = |item: &Value| item.as_object().is_some_and(|fields| !fields.is_empty());
    items.len() >= 2 && items.iter().all(object)
}

impl Field {
    fn matches(&self, event: &Map<String, Value>) -> bool {
        match self {
            Self::Or(patterns) => {
                let event = Value::Object(event.clone());
                patterns.iter().any(|pattern| pattern.matches(&event))
            }
            Self::Inner(name, pattern) => match event.get(name) {
                Some(inner @ (Value::Object(_) | Value::Array(_))) => pattern.matches(inner),
                _ => pattern.matches_nothing(),
            },
            Self::Leaf(name, tests) => {
                let values = match event.get(name) {
                    None | Some(Value::Object(_)) => &[],
                    Some(Value::Array(items)) => items.as_slice(),
                    Some(value) => std::slice::from_ref(value),
                };
                let values = || values.iter().filter(|value| !value.is_object());
                tests.iter().any(|test| match test {
                    Test::Exists(wanted) => *wanted == values().next().is_some(),
                    test => values().any(|value| test.takes(value)),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operators_match_what_aws_s_guide_says() {
        let event = json!({
            "source": "aws.cloudwatch",
            "detail-type": "CloudWatch Alarm State Change",
            "resources": ["arn:aws:cloudwatch:us-east-1:123456789012:alarm:kvs-porch"],
            "n": 300, "f": 2.5, "none": null, "empty": "", "flag": true,
            "ip": "10.0.0.17", "file": "dir/IMAGE.png", "list": [1, 2], "nothing": [],
            "detail": {
                "alarmName": "kvs-porch",
                "state": { "value": "ALARM" },
                "items": [{ "a": 1, "b": 2 }, { "a": 3, "b": 4 }],
            },
        });
        let table = [
            // The sample's rule, and ours.
            (
                json!({ "source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"] }),
                true,
            ),
            (
                json!({ "resources": [{ "prefix": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:kvs-" }] }),
                true,
            ),
            (
                json!({ "detail": { "state": { "value": ["OK", "ALARM"] } } }),
                true,
            ),
            (json!({ "detail": { "state": { "value": ["OK"] } } }), false),
            // Values.
            (json!({ "n": [300] }), true),
            (json!({ "n": [300.0] }), false),
            (json!({ "n": ["300"] }), false),
            (json!({ "none": [null] }), true),
            (json!({ "empty": [""] }), true),
            (json!({ "absent": [null] }), false),
            (json!({ "flag": [true] }), true),
            (json!({ "list": [2, 7] }), true),
            // Texts.
            (json!({ "file": [{ "suffix": ".png" }] }), true),
            (json!({ "file": [{ "suffix": ".PNG" }] }), false),
            (
                json!({ "file": [{ "suffix": { "equals-ignore-case": ".PNG" } }] }),
                true,
            ),
            (
                json!({ "file": [{ "prefix": { "equals-ignore-case": "DIR/" } }] }),
                true,
            ),
            (
                json!({ "file": [{ "equals-ignore-case": "DIR/image.PNG" }] }),
                true,
            ),
            (json!({ "file": [{ "wildcard": "dir/*.png" }] }), true),
            (json!({ "file": [{ "wildcard": "*/I*E.*" }] }), true),
            (json!({ "file": [{ "wildcard": "dir/\\*.png" }] }), false),
            (json!({ "file": [{ "wildcard": "dir/IMAGE.png*png" }] }), false),
            // Anything but.
            (json!({ "n": [{ "anything-but": 300 }] }), false),
            (json!({ "n": [{ "anything-but": [1, 2] }] }), true),
            (json!({ "source": [{ "anything-but": "aws.ec2" }] }), true),
            (
                json!({ "source": [{ "anything-but": { "prefix": "aws." } }] }),
                false,
            ),
            (
                json!({ "source": [{ "anything-but": { "suffix": ["x", "cloudwatch"] } }] }),
                false,
            ),
            (
                json!({ "source": [{ "anything-but": { "equals-ignore-case": ["AWS.CLOUDWATCH"] } }] }),
                false,
            ),
            (
                json!({ "source": [{ "anything-but": { "wildcard": "aws.*x" } }] }),
                true,
            ),
            (json!({ "absent": [{ "anything-but": "x" }] }), false),
            // Numbers and addresses.
            (json!({ "n": [{ "numeric": ["=", 300.0] }] }), true),
            (json!({ "f": [{ "numeric": [">", 2, "<=", 2.5] }] }), true),
            (json!({ "f": [{ "numeric": ["<", 2.5] }] }), false),
            (json!({ "source": [{ "numeric": [">", 0] }] }), false),
            (json!({ "ip": [{ "cidr": "10.0.0.0/24" }] }), true),
            (json!({ "ip": [{ "cidr": "10.0.1.0/24" }] }), false),
            (json!({ "ip": [{ "cidr": "::/0" }] }), false),
            // Exists: of leaves only.
            (json!({ "n": [{ "exists": true }] }), true),
            (json!({ "n": [{ "exists": false }] }), false),
            (json!({ "absent": [{ "exists": false }] }), true),
            (json!({ "absent": { "deep": [{ "exists": false }] } }), true),
            (json!({ "detail": [{ "exists": true }] }), false),
            (json!({ "nothing": [{ "exists": true }] }), false),
            (json!({ "none": [{ "exists": true }] }), true),
            // Lists of objects: one object has all.
            (json!({ "detail": { "items": { "a": [1], "b": [2] } } }), true),
            (json!({ "detail": { "items": { "a": [1], "b": [4] } } }), false),
            // Or.
            (
                json!({ "$or": [{ "n": [1] }, { "detail": { "alarmName": [{ "prefix": "kvs-" }] } }] }),
                true,
            ),
            (json!({ "$or": [{ "n": [1] }, { "f": [1] }] }), false),
            (
                json!({ "source": ["aws.ec2"], "$or": [{ "n": [300] }, { "f": [1] }] }),
                false,
            ),
            (
                json!({ "detail": { "$or": [{ "alarmName": ["x"] }, { "state": { "value": ["ALARM"] } }] } }),
                true,
            ),
        ];
        for (pattern, expected) in table {
            let parsed = Pattern::parse(&pattern.to_string()).unwrap();
            assert_eq!(parsed.matches(&event), expected, "{pattern}");
        }
    }

    #[test]
    fn what_aws_refuses_is_refused() {
        let long = json!({ "a": ["x".repeat(5000)] }).to_string();
        let deep = "{\"a\":".repeat(200) + "[1]" + &"}".repeat(200);
        let table = [
            "",
            "[]",
            "{}",
            "{\"a\": 1}",
            "{\"a\": []}",
            "{\"a\": {}}",
            "{\"a\": [[1]]}",
            "{\"a\": [{}]}",
            "{\"a\": [{\"prefix\": \"x\", \"suffix\": \"y\"}]}",
            "{\"a\": [{\"prefix\": 1}]}",
            "{\"a\": [{\"contains\": \"x\"}]}",
            "{\"a\": [{\"exists\": \"yes\"}]}",
            "{\"a\": [{\"numeric\": []}]}",
            "{\"a\": [{\"numeric\": [\">\"]}]}",
            "{\"a\": [{\"numeric\": [\"~\", 1]}]}",
            "{\"a\": [{\"numeric\": [\">\", 6e9]}]}",
            "{\"a\": [{\"cidr\": \"10.0.0.0/33\"}]}",
            "{\"a\": [{\"cidr\": \"x\"}]}",
            "{\"a\": [{\"wildcard\": \"a**b\"}]}",
            "{\"a\": [{\"wildcard\": \"a\\\\b\"}]}",
            "{\"a\": [{\"anything-but\": []}]}",
            "{\"a\": [{\"anything-but\": [1, \"x\"]}]}",
            "{\"a\": [{\"anything-but\": {\"numeric\": [\">\", 1]}}]}",
            "{\"$or\": [{\"a\": [1]}, {\"b\": []}]}",
            long.as_str(),
            deep.as_str(),
        ];
        for pattern in table {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
