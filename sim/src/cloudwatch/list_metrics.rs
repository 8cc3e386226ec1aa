//! Which metrics there are: ListMetrics.

use ciborium::Value;
use serde::{Deserialize, Serialize};

use super::{
    CloudWatch,
    model::{Dimension, MetricName},
};
use crate::{
    metrics::Metric,
    wire::{Fault, page, tree, typed},
};

/// The most metrics on a page.
const PAGE: usize = 500;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct List {
    namespace: Option<String>,
    metric_name: Option<String>,
    dimensions: Vec<DimensionFilter>,
    recently_active: Option<String>,
    next_token: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct DimensionFilter {
    name: String,
    value: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    metrics: Vec<MetricName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl CloudWatch {
    /// ListMetrics.
    pub(super) fn list_metrics(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let input: List = typed(input)?;
        if input.recently_active.is_some() {
            return Err(Fault::not_simulated("RecentlyActive"));
        }
        let skip = match &input.next_token {
            None => 0,
            Some(token) => page::text(token)
                .and_then(|text| text.parse::<usize>().ok())
                .ok_or_else(Fault::next_token)?,
        };
        let wanted = |metric: &Metric| {
            metric.region == region
                && input.namespace.as_ref().is_none_or(|n| *n == metric.namespace)
                && input.metric_name.as_ref().is_none_or(|n| *n == metric.name)
                && input.dimensions.iter().all(|filter| {
                    let value = metric.dimensions.get(&filter.name);
                    value.is_some_and(|value| filter.value.as_ref().is_none_or(|v| v == value))
                })
        };
        let found: Vec<Metric> = self
            .world
            .metrics
            .list()
            .into_iter()
            .filter(wanted)
            .skip(skip)
            .collect();
        let next_token = (found.len() > PAGE).then(|| page::token(&(skip + PAGE).to_string()));
        let name = |metric: Metric| MetricName {
            namespace: metric.namespace,
            metric_name: metric.name,
            dimensions: metric
                .dimensions
                .into_iter()
                .map(|(name, value)| Dimension { name, value })
                .collect(),
        };
        tree(&Listed {
            metrics: found.into_iter().take(PAGE).map(name).collect(),
            next_token,
        })
    }
}
