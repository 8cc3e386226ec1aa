//! Event patterns: which events a rule is for. Pure.
//!
//! As "Comparison operators for use in event patterns" of EventBridge's guide says. A list in an event matches where one of its
//! items does; a list of objects where one object has all that the pattern asks of it. Numbers in a list of values match as
//! they are written (300 is not 300.0), those behind `numeric` by value.

use serde_json::{Map, Value};

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

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Is(Value),
    Exists(bool),
    Text(Text),
    Numeric(Vec<(Compare, f64)>),
    Cidr(u128, u128, bool),
    Not(Vec<Test>),
}

#[derive(Clone, Debug, PartialEq)]
enum Text {
    Prefix(String),
    Suffix(String),
    PrefixAnyCase(String),
    SuffixAnyCase(String),
    AnyCase(String),
    /// The parts between asterisks.
    Wildcard(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The most characters of a pattern.
const LONGEST: usize = 4096;
/// The largest number, up or down, that can be compared.
const LARGEST: f64 = 5e9;

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

fn test(item: &Value) -> Result<Test, Refused> {
    let fields = match item {
        Value::Object(fields) => fields,
        Value::Array(_) => return refused("Match value must be String, number, true, false, or null"),
        value => return Ok(Test::Is(value.clone())),
    };
    let (Some((operator, value)), 1) = (fields.iter().next(), fields.len()) else {
        return refused("Only one key allowed in match expression");
    };
    match (operator.as_str(), value) {
        ("exists", Value::Bool(wanted)) => Ok(Test::Exists(*wanted)),
        ("numeric", Value::Array(items)) => numeric(items),
        ("cidr", Value::String(block)) => cidr(block),
        ("anything-but", value) => anything_but(value),
        (operator, value) => Ok(Test::Text(text(operator, value)?)),
    }
}

fn text(operator: &str, value: &Value) -> Result<Text, Refused> {
    let any_case = |value: &Value| {
        let fields = value.as_object().filter(|fields| fields.len() == 1)?;
        Some(fields.get("equals-ignore-case")?.as_str()?.to_lowercase())
    };
    match (operator, value) {
        ("prefix", Value::String(text)) => Ok(Text::Prefix(text.clone())),
        ("suffix", Value::String(text)) => Ok(Text::Suffix(text.clone())),
        ("equals-ignore-case", Value::String(text)) => Ok(Text::AnyCase(text.to_lowercase())),
        ("wildcard", Value::String(text)) if text.contains("**") => {
            refused("Consecutive wildcard characters are not allowed")
        }
        ("wildcard", Value::String(text)) => wildcard(text),
        ("prefix", value) if any_case(value).is_some() => {
            Ok(Text::PrefixAnyCase(any_case(value).unwrap_or_default()))
        }
        ("suffix", value) if any_case(value).is_some() => {
            Ok(Text::SuffixAnyCase(any_case(value).unwrap_or_default()))
        }
        ("prefix" | "suffix" | "equals-ignore-case" | "wildcard" | "exists" | "numeric" | "cidr", _) => {
            refused(format!("Value of {operator} has the wrong type"))
        }
        _ => refused(format!("Unrecognized match type {operator}")),
    }
}

/// The parts between asterisks; `\*` and `\\` stand for themselves.
fn wildcard(text: &str) -> Result<Text, Refused> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let character = match character {
            '*' => {
                parts.push(String::new());
                continue;
            }
            '\\' => match characters.next() {
                Some(escaped @ ('*' | '\\')) => escaped,
                _ => return refused("Invalid escape character in wildcard"),
            },
            other => other,
        };
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    Ok(Text::Wildcard(parts))
}

fn numeric(items: &[Value]) -> Result<Test, Refused> {
    let mut comparisons = vec![];
    for pair in items.chunks(2) {
        let (Some(operator), Some(number)) = (pair[0].as_str(), pair.get(1).and_then(Value::as_f64)) else {
            return refused("Numeric match needs operators, each with a number");
        };
        let compare = match operator {
            "=" => Compare::Equal,
            "<" => Compare::Less,
            "<=" => Compare::LessOrEqual,
            ">" => Compare::Greater,
            ">=" => Compare::GreaterOrEqual,
            other => return refused(format!("Unrecognized numeric range operator: {other}")),
        };
        if number.abs() > LARGEST {
            return refused("Value must be between -5.0E9 and +5.0E9, inclusive");
        }
        comparisons.push((compare, number));
    }
    if comparisons.is_empty() || comparisons.len() > 2 {
        return refused("Numeric match has one comparison, or two for a range");
    }
    Ok(Test::Numeric(comparisons))
}

fn cidr(block: &str) -> Result<Test, Refused> {
    let (address, bits) = block.split_once('/').unwrap_or((block, ""));
    let Ok(address) = address.parse::<std::net::IpAddr>() else {
        return refused("Malformed CIDR");
    };
    let (number, width) = number(address);
    let bits = if bits.is_empty() { Ok(width) } else { bits.parse() };
    match bits {
        Ok(bits) if bits <= width => {
            let free = width - bits;
            let mask = u128::MAX.checked_shl(free).unwrap_or(0);
            Ok(Test::Cidr(number & mask, mask, width == 32))
        }
        _ => refused("Malformed CIDR, mask bits must be within the address's"),
    }
}

fn number(address: std::net::IpAddr) -> (u128, u32) {
    match address {
        std::net::IpAddr::V4(four) => (u128::from(four.to_bits()), 32),
        std::net::IpAddr::V6(six) => (six.to_bits(), 128),
    }
}

fn anything_but(value: &Value) -> Result<Test, Refused> {
    let all_text = |items: &[Value]| items.iter().all(Value::is_string);
    let all_numbers = |items: &[Value]| items.iter().all(Value::is_number);
    match value {
        Value::String(_) | Value::Number(_) => Ok(Test::Not(vec![Test::Is(value.clone())])),
        Value::Array(items) if !items.is_empty() && (all_text(items) || all_numbers(items)) => {
            Ok(Test::Not(items.iter().cloned().map(Test::Is).collect()))
        }
        Value::Object(fields) if fields.len() == 1 => {
            let tests: Result<Vec<Test>, Refused> = fields
                .iter()
                .flat_map(|(operator, value)| match value {
                    Value::Array(items) => items.iter().map(|item| (operator, item)).collect(),
                    value => vec![(operator, value)],
                })
                .map(|(operator, value)| Ok(Test::Text(text(operator, value)?)))
                .collect();
            match tests? {
                tests if tests.is_empty() => refused("Empty arrays are not allowed"),
                tests => Ok(Test::Not(tests)),
            }
        }
        _ => refused("Value of anything-but must be text, numbers, or lists of either"),
    }
}

impl Test {
    fn takes(&self, value: &Value) -> bool {
        match self {
            Self::Is(wanted) => wanted == value,
            Self::Exists(wanted) => *wanted,
            Self::Text(text) => value.as_str().is_some_and(|value| text.takes(value)),
            Self::Numeric(comparisons) => value.as_f64().is_some_and(|value| {
                comparisons.iter().all(|(compare, number)| match compare {
                    Compare::Equal => value == *number,
                    Compare::Less => value < *number,
                    Compare::LessOrEqual => value <= *number,
                    Compare::Greater => value > *number,
                    Compare::GreaterOrEqual => value >= *number,
                })
            }),
            Self::Cidr(network, mask, four) => value
                .as_str()
                .and_then(|text| text.parse().ok())
                .map(number)
                .is_some_and(|(address, width)| (width == 32) == *four && address & mask == *network),
            Self::Not(tests) => !tests.iter().any(|test| test.takes(value)),
        }
    }
}

impl Text {
    fn takes(&self, value: &str) -> bool {
        match self {
            Self::Prefix(text) => value.starts_with(text),
            Self::Suffix(text) => value.ends_with(text),
            Self::PrefixAnyCase(text) => value.to_lowercase().starts_with(text),
            Self::SuffixAnyCase(text) => value.to_lowercase().ends_with(text),
            Self::AnyCase(text) => value.to_lowercase() == *text,
            Self::Wildcard(parts) => between(parts, value),
        }
    }
}

/// Whether a text is these parts with anything between them. The first fit of each part from the left is as good as any.
fn between(parts: &[String], value: &str) -> bool {
    let [first, middle @ .., last] = parts else {
        return parts.first().is_some_and(|only| only == value);
    };
    let Some(mut rest) = value.strip_prefix(first.as_str()) else {
        return false;
    };
    for part in middle {
        match rest.find(part.as_str()) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last.as_str())
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
