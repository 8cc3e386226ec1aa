//! CloudWatch: alarms that are evaluated, with tags and history, and the metrics that they watch.
//!
//! Requests come in through `crate::wire`, whichever protocol they speak; each operation is a method from one tree of values to
//! another. What an evaluation comes to is decided in `evaluate`, which is pure; `evaluator` feeds it.

mod alarms;
mod announce;
mod book;
mod composite;
mod describe;
mod evaluate;
mod evaluator;
mod get_data;
mod history;
mod list_metrics;
mod math;
mod model;
mod put_data;
mod quotas;
mod reason;
mod rule;
mod states;
mod statistics;
mod tags;
mod validate;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicU64},
};

use axum::http::HeaderMap;
use ciborium::Value;
use jiff::{SignedDuration, Timestamp};

use crate::{
    events::Events,
    http::{Request, Response, place},
    log::Log,
    metrics::Sample,
    sns::Sns,
    wire::{Fault, Service},
    world::World,
};
use book::Book;
use model::AlarmId;

use quotas::Quotas;

const SERVICE: Service = Service {
    target: "GraniteServiceVersion20100801",
    shapes: "com.amazonaws.cloudwatch",
    xmlns: "http://monitoring.amazonaws.com/doc/2010-08-01/",
    json: "1.0",
    flat: false,
};

/// How long metrics of one minute are kept across restarts.
const METRICS_KEPT: SignedDuration = SignedDuration::from_hours(15 * 24);

/// CloudWatch.
#[derive(Debug)]
pub struct CloudWatch {
    world: Arc<World>,
    events: Arc<Events>,
    sns: Arc<Sns>,
    book: Mutex<Book>,
    metrics: Mutex<Log>,
    quotas: Quotas,
    /// Changes of state so far, in this life.
    transitions: AtomicU64,
    /// Alarms whose change of state a rule keeps back, and until when.
    held: Mutex<BTreeMap<AlarmId, Timestamp>>,
}

impl CloudWatch {
    /// The service, with what the data folder keeps of an earlier life.
    pub fn open(world: Arc<World>, events: Arc<Events>, sns: Arc<Sns>) -> anyhow::Result<Arc<Self>> {
        let folder = world.settings.data.as_ref().map(|data| data.join("cloudwatch"));
        let now = world.clock.now();
        let book = Book::open(folder.as_deref(), now)?;
        let (mut metrics, samples) = Log::open::<Sample>(folder.as_deref(), "metrics.jsonl")?;
        let oldest = (now - METRICS_KEPT).as_second();
        for sample in samples.into_iter().filter(|sample| sample.minute >= oldest) {
            world.metrics.restore(sample);
        }
        metrics.rewrite(world.metrics.changed())?;
        Ok(Arc::new(Self {
            world,
            events,
            sns,
            book: Mutex::new(book),
            metrics: Mutex::new(metrics),
            quotas: Quotas::default(),
            transitions: AtomicU64::new(0),
            held: Mutex::default(),
        }))
    }

    /// Answers a request.
    pub async fn handle(self: Arc<Self>, request: Request) -> Response {
        let perform = |headers: &HeaderMap, operation: &str, input: &Value| {
            self.perform(&place(headers), operation, input)
        };
        SERVICE.serve(request, perform).await
    }

    fn perform(&self, region: &str, operation: &str, input: &Value) -> Result<Value, Fault> {
        if self.world.settings.quotas {
            self.quotas.take(region, operation, self.world.clock.now())?;
        }
        match operation {
            "PutMetricAlarm" => self.put_metric_alarm(region, input),
            "PutCompositeAlarm" => self.put_composite_alarm(region, input),
            "DescribeAlarms" => self.describe_alarms(region, input),
            "DescribeAlarmsForMetric" => self.describe_alarms_for_metric(region, input),
            "DescribeAlarmHistory" => self.describe_alarm_history(region, input),
            "SetAlarmState" => self.set_alarm_state(region, input),
            "DeleteAlarms" => self.delete_alarms(region, input),
            "EnableAlarmActions" => self.enable_actions(region, input, true),
            "DisableAlarmActions" => self.enable_actions(region, input, false),
            "TagResource" => self.tag_resource(region, input),
            "UntagResource" => self.untag_resource(region, input),
            "ListTagsForResource" => self.list_tags_for_resource(region, input),
            "PutMetricData" => self.put_metric_data(region, input),
            "GetMetricStatistics" => self.get_metric_statistics(region, input),
            "GetMetricData" => self.get_metric_data(region, input),
            "ListMetrics" => self.list_metrics(region, input),
            other => Err(Fault::unknown_operation(other)),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Writes what was added to metrics since the last time. A crash loses the metrics of the seconds in between.
    fn keep_metrics(&self) -> Result<(), Fault> {
        let mut log = self.metrics.lock().unwrap_or_else(|e| e.into_inner());
        log.append(self.world.metrics.changed())
            .map_err(|e| Fault::internal(format!("metrics cannot be written: {e}")))
    }
}
