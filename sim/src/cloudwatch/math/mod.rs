//! Metric math: expressions over metrics, for alarms and GetMetricData. Pure.

mod eval;
mod parse;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use eval::{Series, Value, evaluate};
pub use parse::{Expression, parse};

use super::model::MetricDataQuery;

/// Expressions of a list of queries, parsed and checked against each other.
///
/// # Errors
/// What is wrong, by the id of the query.
pub fn expressions(queries: &[MetricDataQuery]) -> Result<HashMap<&str, Expression>, String> {
    let ids: BTreeSet<&str> = queries.iter().map(|query| query.id.as_str()).collect();
    let mut parsed = HashMap::new();
    for query in queries {
        let Some(text) = &query.expression else { continue };
        let expression = parse(text).map_err(|e| format!("Expression of {}: {e}", query.id))?;
        if let Some(unknown) = expression.names().into_iter().find(|name| !ids.contains(name)) {
            return Err(format!(
                "Expression of {} names {unknown}, which is not in the list",
                query.id
            ));
        }
        parsed.insert(query.id.as_str(), expression);
    }
    let mut done = BTreeSet::new();
    for id in parsed.keys() {
        circle(id, &parsed, &mut vec![], &mut done)?;
    }
    Ok(parsed)
}

fn circle<'a>(
    id: &'a str,
    parsed: &'a HashMap<&str, Expression>,
    above: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Result<(), String> {
    if above.contains(&id) {
        return Err(format!("Expression of {id} refers to itself"));
    }
    if let Some(expression) = parsed.get(id).filter(|_| !done.contains(id)) {
        above.push(id);
        for name in expression.names() {
            circle(name, parsed, above, done)?;
        }
        above.pop();
        done.insert(id);
    }
    Ok(())
}

/// What expressions are evaluated over.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Each metric's values by the start of their periods.
    pub series: BTreeMap<String, Series>,
    /// Each metric's period in seconds.
    pub periods: BTreeMap<String, i64>,
    /// All starts of periods in the range, for `FILL`.
    pub range: Vec<i64>,
}

/// The values of one query, which is a metric or an expression.
///
/// # Errors
/// The expression does not come to a time series, or uses a value as what it is not.
pub fn resolve(id: &str, parsed: &HashMap<&str, Expression>, inputs: &Inputs) -> Result<Series, String> {
    match value(id, parsed, inputs)? {
        Value::Series(series) => Ok(series),
        _ => Err(format!("{id} does not come to a time series")),
    }
}

fn value(id: &str, parsed: &HashMap<&str, Expression>, inputs: &Inputs) -> Result<Value, String> {
    match parsed.get(id) {
        Some(expression) => evaluate(expression, inputs, &|name| value(name, parsed, inputs)),
        None => Ok(Value::Series(inputs.series.get(id).cloned().unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(id: &str, expression: &str) -> MetricDataQuery {
        MetricDataQuery {
            id: id.into(),
            expression: Some(expression.into()),
            ..Default::default()
        }
    }

    #[test]
    fn what_cannot_be_together() {
        let metric = MetricDataQuery {
            id: "m".into(),
            ..Default::default()
        };
        assert!(expressions(&[metric.clone(), query("e", "m + f"), query("f", "2 * m")]).is_ok());
        for (queries, wrong) in [
            (vec![query("e", "m +")], "Expression of e"),
            (vec![query("e", "m")], "names m"),
            (vec![query("e", "f"), query("f", "e + 1")], "refers to itself"),
            (vec![query("e", "e")], "refers to itself"),
        ] {
            let error = expressions(&queries).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn expressions_over_expressions() {
        let queries = [query("e", "f / 2"), query("f", "m + 1")];
        let metric = MetricDataQuery {
            id: "m".into(),
            ..Default::default()
        };
        let queries: Vec<_> = queries.into_iter().chain([metric]).collect();
        let parsed = expressions(&queries).unwrap();
        let series = BTreeMap::from([("m".to_owned(), Series::from([(0, 3.0), (60, 5.0)]))]);
        let inputs = Inputs {
            series,
            ..Default::default()
        };
        assert_eq!(
            resolve("e", &parsed, &inputs).unwrap(),
            Series::from([(0, 2.0), (60, 3.0)])
        );
        assert_eq!(resolve("m", &parsed, &inputs).unwrap().len(), 2);
    }
}
