//! Fields that the protocols write differently: a number is text in a form, a timestamp is a tag, a number or text.

use ciborium::{Value, tag::Required};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A moment, on the wire with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.0.serialize(serializer)
        } else {
            Required::<f64, 1>(self.0.as_millisecond() as f64 / 1000.0).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        if let Value::Tag(1, inner) = value {
            value = *inner;
        }
        let moment = match &value {
            Value::Text(text) => match text.parse::<f64>() {
                Ok(seconds) => from_seconds(seconds),
                Err(_) => text.parse().ok(),
            },
            Value::Float(seconds) => from_seconds(*seconds),
            Value::Integer(seconds) => from_seconds(i128::from(*seconds) as f64),
            _ => None,
        };
        moment
            .map(Time)
            .ok_or_else(|| D::Error::custom("not a timestamp"))
    }
}

fn from_seconds(seconds: f64) -> Option<Timestamp> {
    // Milliseconds are all that a double carries for certain.
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok()
}

/// An optional integer.
pub fn int<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let number = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::Integer(number) => i64::try_from(i128::from(number)).ok(),
        Value::Float(number) if number.fract() == 0.0 => Some(number as i64),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    number.map(Some).ok_or_else(|| D::Error::custom("not an integer"))
}

/// An optional number.
pub fn float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        value => number(&value)
            .map(Some)
            .ok_or_else(|| D::Error::custom("not a number")),
    }
}

/// A list of numbers.
pub fn floats<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let values: Vec<Value> = Vec::deserialize(deserializer)?;
    values
        .iter()
        .map(|v| number(v).ok_or_else(|| D::Error::custom("not a number")))
        .collect()
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(i128::from(*number) as f64),
        Value::Float(number) => Some(*number),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// An optional truth value.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(flag)),
        Value::Text(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Value::Text(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        _ => Err(D::Error::custom("not true or false")),
    }
}
