//! What an expression of metric math comes to.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Inputs,
    parse::{Expression, Operator},
};

/// Values by the start of their periods (epoch seconds).
pub type Series = BTreeMap<i64, f64>;

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One number.
    Scalar(f64),
    /// A time series.
    Series(Series),
    /// Several time series.
    List(Vec<Series>),
}

/// Evaluates an expression; `name` gives the value of another query.
///
/// # Errors
/// A function that is not known or not simulated, or an argument that it does not take.
pub fn evaluate(
    expression: &Expression,
    inputs: &Inputs,
    name: &dyn Fn(&str) -> Result<Value, String>,
) -> Result<Value, String> {
    let evaluated = |expression: &Expression| evaluate(expression, inputs, name);
    match expression {
        Expression::Number(number) => Ok(Value::Scalar(*number)),
        Expression::Name(id) => name(id),
        Expression::Negative(inner) => Ok(each(evaluated(inner)?, |v| -v)),
        Expression::Pair(operator, a, b) => pair(*operator, evaluated(a)?, evaluated(b)?),
        Expression::List(items) => {
            let list = items
                .iter()
                .map(|item| series(evaluated(item)?))
                .collect::<Result<_, _>>()?;
            Ok(Value::List(list))
        }
        Expression::Call(function, arguments) => call(function, arguments, inputs, &evaluated),
    }
}

fn call(
    function: &str,
    arguments: &[Expression],
    inputs: &Inputs,
    evaluated: &dyn Fn(&Expression) -> Result<Value, String>,
) -> Result<Value, String> {
    match (function, arguments) {
        ("METRICS", []) => Ok(Value::List(inputs.series.values().cloned().collect())),
        ("ABS", [a]) => Ok(each(evaluated(a)?, f64::abs)),
        ("CEIL", [a]) => Ok(each(evaluated(a)?, f64::ceil)),
        ("FLOOR", [a]) => Ok(each(evaluated(a)?, f64::floor)),
        ("SUM", [a]) => Ok(fold(evaluated(a)?, |values| values.iter().sum())),
        ("AVG", [a]) => Ok(fold(evaluated(a)?, |values| {
            values.iter().sum::<f64>() / values.len() as f64
        })),
        ("MIN", [a]) => Ok(fold(evaluated(a)?, |values| {
            values.iter().copied().fold(f64::INFINITY, f64::min)
        })),
        ("MAX", [a]) => Ok(fold(evaluated(a)?, |values| {
            values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        })),
        ("PERIOD", [Expression::Name(id)]) => inputs
            .periods
            .get(id)
            .map(|p| Value::Scalar(*p as f64))
            .ok_or_else(|| format!("PERIOD of {id}")),
        ("DIFF", [a]) => Ok(Value::Series(steps(&series(evaluated(a)?)?, |_, change| change))),
        ("RATE", [a]) => Ok(Value::Series(steps(
            &series(evaluated(a)?)?,
            |seconds, change| change / seconds,
        ))),
        ("FILL", [a, with]) => {
            let given = series(evaluated(a)?)?;
            let filled: Result<_, String> = match with {
                Expression::Call(how, none) if none.is_empty() && how == "REPEAT" => {
                    Ok(repeat(&given, &inputs.range))
                }
                Expression::Call(how, none) if none.is_empty() && how == "LINEAR" => {
                    Ok(linear(&given, &inputs.range))
                }
                with => {
                    let with = evaluated(with)?;
                    let at = |start: &i64| {
                        Some((
                            *start,
                            given.get(start).copied().or_else(|| value_at(&with, *start))?,
                        ))
                    };
                    Ok(inputs.range.iter().filter_map(at).collect())
                }
            };
            filled.map(Value::Series)
        }
        ("IF", [condition, then]) => choose(&evaluated(condition)?, &evaluated(then)?, None),
        ("IF", [condition, then, other]) => choose(
            &evaluated(condition)?,
            &evaluated(then)?,
            Some(&evaluated(other)?),
        ),
        (function, _) => Err(format!("{function} cannot be used like this")),
    }
}

fn series(value: Value) -> Result<Series, String> {
    match value {
        Value::Series(series) => Ok(series),
        _ => Err("a time series is needed here".into()),
    }
}

fn value_at(value: &Value, start: i64) -> Option<f64> {
    match value {
        Value::Scalar(number) => Some(*number),
        Value::Series(series) => series.get(&start).copied(),
        Value::List(_) => None,
    }
}

fn each(value: Value, change: impl Fn(f64) -> f64 + Copy) -> Value {
    let all = |series: Series| series.into_iter().map(|(start, v)| (start, change(v))).collect();
    match value {
        Value::Scalar(number) => Value::Scalar(change(number)),
        Value::Series(series) => Value::Series(all(series)),
        Value::List(list) => Value::List(list.into_iter().map(all).collect()),
    }
}

/// A list becomes one series, each time from the series that have a value then; a series becomes one number.
fn fold(value: Value, together: impl Fn(&[f64]) -> f64) -> Value {
    match value {
        Value::Scalar(number) => Value::Scalar(number),
        Value::Series(series) => {
            let values: Vec<f64> = series.into_values().collect();
            Value::Scalar(if values.is_empty() { 0.0 } else { together(&values) })
        }
        Value::List(list) => {
            let starts: BTreeSet<i64> = list.iter().flat_map(|series| series.keys().copied()).collect();
            let at = |start: i64| {
                let values: Vec<f64> = list
                    .iter()
                    .filter_map(|series| series.get(&start).copied())
                    .collect();
                (start, together(&values))
            };
            Value::Series(starts.into_iter().map(at).collect())
        }
    }
}

fn pair(operator: Operator, a: Value, b: Value) -> Result<Value, String> {
    let result = match (a, b) {
        (Value::Scalar(a), Value::Scalar(b)) => {
            return apply(operator, a, b)
                .map(Value::Scalar)
                .ok_or_else(|| "a number cannot be computed".into());
        }
        (Value::List(list), other) => list_with(list, &other, |a, b| apply(operator, a, b)),
        (other, Value::List(list)) => list_with(list, &other, |b, a| apply(operator, a, b)),
        (a, b) => Value::Series(joined(&a, &b, |a, b| apply(operator, a, b))),
    };
    Ok(result)
}

fn list_with(list: Vec<Series>, other: &Value, with: impl Fn(f64, f64) -> Option<f64>) -> Value {
    Value::List(
        list.into_iter()
            .map(|series| joined(&Value::Series(series), other, &with))
            .collect(),
    )
}

/// Where both sides have a value.
fn joined(a: &Value, b: &Value, with: impl Fn(f64, f64) -> Option<f64>) -> Series {
    let ((Value::Series(starts), _) | (_, Value::Series(starts))) = (a, b) else {
        return Series::new();
    };
    let at = |start: &i64| Some((*start, with(value_at(a, *start)?, value_at(b, *start)?)?));
    starts.keys().filter_map(at).collect()
}

/// Nothing where there is no finite result, as for a division by zero.
fn apply(operator: Operator, a: f64, b: f64) -> Option<f64> {
    let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
    let result = match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::Power => a.powf(b),
        Operator::Less => truth(a < b),
        Operator::LessOrEqual => truth(a <= b),
        Operator::Greater => truth(a > b),
        Operator::GreaterOrEqual => truth(a >= b),
        Operator::Equal => truth(a == b),
        Operator::NotEqual => truth(a != b),
        Operator::And => truth(a != 0.0 && b != 0.0),
        Operator::Or => truth(a != 0.0 || b != 0.0),
    };
    result.is_finite().then_some(result)
}

fn choose(condition: &Value, then: &Value, other: Option<&Value>) -> Result<Value, String> {
    if let Value::Scalar(condition) = condition {
        return match (if *condition != 0.0 { Some(then) } else { other }, then) {
            (Some(value), _) => Ok(value.clone()),
            (None, _) => Ok(Value::Series(Series::new())),
        };
    }
    let Value::Series(conditions) = condition else {
        return Err("IF needs one time series or number".into());
    };
    let at = |(start, holds): (&i64, &f64)| {
        let value = if *holds != 0.0 {
            value_at(then, *start)
        } else {
            value_at(other?, *start)
        };
        Some((*start, value?))
    };
    Ok(Value::Series(conditions.iter().filter_map(at).collect()))
}

fn steps(series: &Series, step: impl Fn(f64, f64) -> f64) -> Series {
    let pairs = series.iter().zip(series.iter().skip(1));
    pairs
        .map(|((s, a), (t, b))| (*t, step((t - s) as f64, b - a)))
        .collect()
}

fn repeat(given: &Series, range: &[i64]) -> Series {
    let at = |start: &i64| Some((*start, *given.range(..=*start).next_back()?.1));
    range.iter().filter_map(at).collect()
}

fn linear(given: &Series, range: &[i64]) -> Series {
    let at = |start: &i64| {
        let (before, low) = given.range(..=*start).next_back()?;
        let (after, high) = given.range(*start..).next()?;
        let share = if after == before {
            0.0
        } else {
            (start - before) as f64 / (after - before) as f64
        };
        Some((*start, low + (high - low) * share))
    };
    range.iter().filter_map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::parse::parse, *};

    /// Values of periods of one minute from 0; `-` is missing.
    fn drawn(drawing: &str) -> Series {
        let value = |(i, text): (usize, &str)| Some((60 * i as i64, text.parse().ok()?));
        drawing.split(' ').enumerate().filter_map(value).collect()
    }

    fn shown(value: &Value) -> String {
        let line = |series: &Series| {
            let at = |i: i64| series.get(&(60 * i)).map_or("-".to_owned(), f64::to_string);
            (0..4).map(at).collect::<Vec<_>>().join(" ")
        };
        match value {
            Value::Scalar(number) => number.to_string(),
            Value::Series(series) => line(series),
            Value::List(list) => list.iter().map(line).collect::<Vec<_>>().join(" | "),
        }
    }

    #[test]
    fn what_expressions_come_to() {
        let inputs = Inputs {
            series: BTreeMap::from([("a".into(), drawn("1 2 - 4")), ("b".into(), drawn("0 1 5 -"))]),
            periods: BTreeMap::from([("a".into(), 60)]),
            range: vec![0, 60, 120, 180],
        };
        let cases = [
            ("2 + 3 * 2 ^ 2 - -1", "15"),
            ("(1 + 1) * 2 > 3 AND 0 == 0 || 0", "1"),
            ("a", "1 2 - 4"),
            ("-a * 2", "-2 -4 - -8"),
            ("a + b", "1 3 - -"),
            ("a / b", "- 2 - -"),
            ("10 - a", "9 8 - 6"),
            ("a >= 2", "0 1 - 1"),
            ("SUM(a)", "7"),
            ("SUM([a, b])", "1 3 5 4"),
            ("SUM(METRICS())", "1 3 5 4"),
            ("AVG([a, b])", "0.5 1.5 5 4"),
            ("MAX([a, b]) + MIN([a, b])", "1 3 10 8"),
            ("[a, b] * 2", "2 4 - 8 | 0 2 10 -"),
            ("ABS(0 - a)", "1 2 - 4"),
            ("CEIL(a / 2) + FLOOR(0.9)", "1 1 - 2"),
            ("a / PERIOD(a) * 60", "1 2 - 4"),
            ("FILL(a, 0)", "1 2 0 4"),
            ("FILL(a, REPEAT)", "1 2 2 4"),
            ("FILL(a, LINEAR)", "1 2 3 4"),
            ("FILL(a, b)", "1 2 5 4"),
            ("FILL(b, 0) + FILL(a, 0)", "1 3 5 4"),
            ("IF(a > 1, a, 0)", "0 2 - 4"),
            ("IF(a > 1, b)", "- 1 - -"),
            ("IF(1, a, b)", "1 2 - 4"),
            ("DIFF(a)", "- 1 - 2"),
            ("RATE(a) * 60", "- 1 - 1"),
        ];
        for (text, expected) in cases {
            let value = evaluate(&parse(text).unwrap(), &inputs, &|id| {
                Ok(Value::Series(inputs.series[id].clone()))
            });
            assert_eq!(shown(&value.unwrap()), expected, "{text}");
        }
        for text in ["DIFF(1)", "FILL(1, 2)", "PERIOD(1)", "REPEAT", "1 / 0"] {
            let value = evaluate(&parse(text).unwrap(), &inputs, &|id| {
                Ok(Value::Series(inputs.series[id].clone()))
            });
            assert!(value.is_err(), "{text}");
        }
    }
}
