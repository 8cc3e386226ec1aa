//! SNS: standard topics, and queues that are subscribed to them.
//!
//! Not simulated: FIFO topics, other subscribers than queues, filter policies, signatures.

mod book;
mod error;
mod model;
mod publish;
mod subscriptions;
mod topics;

use std::sync::{Arc, Mutex, MutexGuard};

use axum::http::HeaderMap;
use ciborium::Value;

use crate::{
    http::{Request, Response, region},
    sqs::Sqs,
    wire::{Fault, Service, page},
    world::World,
};
use book::Book;
pub use publish::Notice;

const SERVICE: Service = Service {
    target: "AmazonSimpleNotificationService",
    shapes: "com.amazonaws.sns",
    xmlns: "http://sns.amazonaws.com/doc/2010-03-31/",
    json: "1.0",
    flat: false,
};

/// How many are in a page of a list.
const PAGE: usize = 100;

/// SNS.
#[derive(Debug)]
pub struct Sns {
    world: Arc<World>,
    sqs: Arc<Sqs>,
    book: Mutex<Book>,
}

impl Sns {
    /// The service, with what the data folder keeps of an earlier life.
    pub fn open(world: Arc<World>, sqs: Arc<Sqs>) -> anyhow::Result<Arc<Self>> {
        let folder = world.settings.data.as_ref().map(|data| data.join("sns"));
        Ok(Arc::new(Self {
            book: Mutex::new(Book::open(folder.as_deref())?),
            world,
            sqs,
        }))
    }

    /// Answers a request.
    pub async fn handle(self: Arc<Self>, request: Request) -> Response {
        let perform = |headers: &HeaderMap, operation: &str, input: &Value| {
            self.perform(&region(headers), operation, input)
        };
        SERVICE.serve(request, perform).await
    }

    fn perform(&self, region: &str, operation: &str, input: &Value) -> Result<Value, Fault> {
        match operation {
            "CreateTopic" => self.create_topic(region, input),
            "DeleteTopic" => self.delete_topic(input),
            "ListTopics" => self.list_topics(region, input),
            "GetTopicAttributes" => self.topic_attributes(input),
            "SetTopicAttributes" => self.set_topic_attributes(input),
            "TagResource" => self.tag(input),
            "UntagResource" => self.untag(input),
            "ListTagsForResource" => self.list_tags(input),
            "Subscribe" => self.subscribe(input),
            "Unsubscribe" => self.unsubscribe(input),
            "ListSubscriptions" => self.list_subscriptions(region, input, false),
            "ListSubscriptionsByTopic" => self.list_subscriptions(region, input, true),
            "GetSubscriptionAttributes" => self.subscription_attributes(input),
            "SetSubscriptionAttributes" => self.set_subscription_attributes(input),
            "Publish" => self.publish_request(input),
            other => Err(Fault::unknown_operation(other)),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// A page of a list that is sorted by a name, and the token of the next.
fn page<T>(
    all: Vec<T>,
    name: impl Fn(&T) -> &str,
    token: Option<String>,
) -> Result<(Vec<T>, Option<String>), Fault> {
    let invalid = || error::parameter("NextToken");
    let after = token.map(|token| page::text(&token).ok_or_else(invalid));
    Ok(page::page(all, name, PAGE, after.transpose()?.as_deref()))
}
