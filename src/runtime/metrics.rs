//! What Prometheus reads. No label names an object: the number of series does not grow with the number of streams.

use std::sync::{Mutex, PoisonError};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

use crate::aws::Calls;

/// Which controller, and what came of a pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Pass {
    /// The controller.
    pub controller: &'static str,
    /// `ok`, or why it failed, from a closed set.
    pub result: &'static str,
}

/// Which controller.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Which {
    /// The controller.
    pub controller: &'static str,
}

/// The process's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Passes by controller and result.
    pub passes: Family<Pass, Counter>,
    /// How long passes take.
    pub seconds: Family<Which, Histogram>,
    /// Status writes.
    pub status_writes: Family<Which, Counter>,
    /// Whether this process holds the lease.
    pub leader: Gauge,
}

impl Metrics {
    /// All at zero; `calls` are counted by the AWS connection.
    pub fn new(calls: &Calls) -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("kvs_operator")),
            passes: Family::default(),
            seconds: Family::new_with_constructor(|| {
                Histogram::new([0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0])
            }),
            status_writes: Family::default(),
            leader: Gauge::default(),
        };
        metrics.register("reconciles", "Passes over an object", metrics.passes.clone());
        metrics.register(
            "reconcile_seconds",
            "How long a pass takes",
            metrics.seconds.clone(),
        );
        metrics.register("status_writes", "Statuses written", metrics.status_writes.clone());
        metrics.register(
            "leader",
            "1 where this process holds the lease",
            metrics.leader.clone(),
        );
        metrics.register("aws_calls", "AWS calls by operation and result", calls.clone());
        metrics
    }

    /// Adds a metric of a controller's own; counters get the suffix `_total` by themselves.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .register(name, help, metric);
    }

    /// All of them in OpenMetrics text.
    ///
    /// # Errors
    /// A metric that cannot be written.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(
            &mut text,
            &self.registry.lock().unwrap_or_else(PoisonError::into_inner),
        )?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Call;

    #[test]
    fn counts_show_with_their_labels() {
        let calls = Calls::default();
        let metrics = Metrics::new(&calls);
        metrics
            .passes
            .get_or_create(&Pass {
                controller: "videostream",
                result: "ok",
            })
            .inc();
        calls
            .get_or_create(&Call {
                operation: "kinesisvideo:DescribeStream",
                result: "Throttled",
            })
            .inc_by(2);
        let text = metrics.text().unwrap();
        assert!(
            text.contains(r#"kvs_operator_reconciles_total{controller="videostream",result="ok"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"kvs_operator_aws_calls_total{operation="kinesisvideo:DescribeStream",result="Throttled"} 2"#),
            "{text}"
        );
    }
}
