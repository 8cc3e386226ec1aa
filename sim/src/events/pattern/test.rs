//! What a pattern asks of one value: read from the pattern, and asked of an event's values. Pure.

use serde_json::Value;

use super::{Refused, refused};

/// What is asked of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It is this one.
    Is(Value),
    /// There is one, or none.
    Exists(bool),
    /// It is such a text.
    Text(Text),
    /// It is a number of which all of these hold.
    Numeric(Vec<(Compare, f64)>),
    /// It is an address in this network: the network's bits, its mask, and whether it is of IPv4.
    Cidr(u128, u128, bool),
    /// None of these takes it.
    Not(Vec<Test>),
}

/// What is asked of a text; those without regard to case are in lower case.
#[derive(Clone, Debug, PartialEq)]
pub enum Text {
    /// How it begins.
    Prefix(String),
    /// How it ends.
    Suffix(String),
    /// How it begins, in any case.
    PrefixAnyCase(String),
    /// How it ends, in any case.
    SuffixAnyCase(String),
    /// What it is, in any case.
    AnyCase(String),
    /// The parts between asterisks.
    Wildcard(Vec<String>),
}

/// How a value is to a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Compare {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// The largest number, up or down, that can be compared.
const LARGEST: f64 = 5e9;

/// Reads what a pattern asks of a value.
pub fn test(item: &Value) -> Result<Test, Refused> {
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
    /// Whether a value is as asked.
    pub fn takes(&self, value: &Value) -> bool {
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
