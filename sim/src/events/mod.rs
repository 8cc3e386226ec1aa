//! EventBridge: rules on the default bus, and events that they send to queues and topics.
//!
//! Not simulated: other buses, schedules, input transformers, other targets, archives, permissions.

mod book;
mod deliver;
mod error;
pub mod model;
pub mod pattern;
mod put_events;
mod rules;
mod targets;

use std::sync::{Arc, Mutex, MutexGuard};

use axum::http::HeaderMap;
use ciborium::Value;

use crate::{
    http::{Request, Response, place},
    sns::Sns,
    sqs::Sqs,
    wire::{Fault, Service},
    world::World,
};
use book::Book;

const SERVICE: Service = Service {
    target: "AWSEvents",
    shapes: "com.amazonaws.events",
    xmlns: "http://events.amazonaws.com/doc/2015-10-07",
    json: "1.1",
    flat: false,
};

/// EventBridge.
#[derive(Debug)]
pub struct Events {
    world: Arc<World>,
    sqs: Arc<Sqs>,
    sns: Arc<Sns>,
    book: Mutex<Book>,
}

impl Events {
    /// The service, with what the data folder keeps of an earlier life.
    pub fn open(world: Arc<World>, sqs: Arc<Sqs>, sns: Arc<Sns>) -> anyhow::Result<Arc<Self>> {
        let folder = world.settings.data.as_ref().map(|data| data.join("events"));
        Ok(Arc::new(Self {
            book: Mutex::new(Book::open(folder.as_deref())?),
            world,
            sqs,
            sns,
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
        match operation {
            "PutRule" => self.put_rule(region, input),
            "DeleteRule" => self.delete_rule(region, input),
            "DescribeRule" => self.describe_rule(region, input),
            "EnableRule" => self.enable(region, input, true),
            "DisableRule" => self.enable(region, input, false),
            "ListRules" => self.list_rules(region, input),
            "ListRuleNamesByTarget" => self.list_rule_names(region, input),
            "PutTargets" => self.put_targets(region, input),
            "RemoveTargets" => self.remove_targets(region, input),
            "ListTargetsByRule" => self.list_targets(region, input),
            "TestEventPattern" => self.test_pattern(input),
            "PutEvents" => self.put_events(region, input),
            "TagResource" => self.tag(input),
            "UntagResource" => self.untag(input),
            "ListTagsForResource" => self.list_tags(input),
            other => Err(Fault::unknown_operation(other)),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(|e| e.into_inner())
    }
}
