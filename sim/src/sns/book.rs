//! All topics and subscriptions. Every change goes to the log first, then into memory.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    error,
    model::{Subscription, Topic},
};
use crate::{log::Log, wire::Fault};

/// One change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Change {
    /// A topic is now this.
    Topic(Topic),
    /// A topic is gone, with its subscriptions.
    TopicGone(String),
    /// A subscription is now this.
    Subscription(Subscription),
    /// A subscription is gone.
    SubscriptionGone(String),
}

/// All topics and subscriptions.
#[derive(Debug)]
pub struct Book {
    topics: BTreeMap<String, Topic>,
    subscriptions: BTreeMap<String, Subscription>,
    log: Log,
}

impl Book {
    /// What the folder keeps of an earlier life.
    pub fn open(folder: Option<&Path>) -> anyhow::Result<Self> {
        let (log, changes) = Log::open(folder, "topics.jsonl")?;
        let mut book = Self {
            topics: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            log,
        };
        changes.into_iter().for_each(|change| book.apply(change));
        let topics = book.topics.values().cloned().map(Change::Topic);
        let subscriptions = book.subscriptions.values().cloned().map(Change::Subscription);
        book.log.rewrite(topics.chain(subscriptions))?;
        Ok(book)
    }

    /// Makes a change.
    pub fn commit(&mut self, change: Change) -> Result<(), Fault> {
        self.log.commit([&change])?;
        self.apply(change);
        Ok(())
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Topic(topic) => {
                self.topics.insert(topic.arn.clone(), topic);
            }
            Change::TopicGone(arn) => {
                self.topics.remove(&arn);
                self.subscriptions
                    .retain(|_, subscription| subscription.topic != arn);
            }
            Change::Subscription(subscription) => {
                self.subscriptions.insert(subscription.arn.clone(), subscription);
            }
            Change::SubscriptionGone(arn) => {
                self.subscriptions.remove(&arn);
            }
        }
    }

    /// One topic.
    pub fn topic(&self, arn: &str) -> Result<&Topic, Fault> {
        self.topics.get(arn).ok_or_else(|| error::not_found("Topic"))
    }

    /// All topics by ARN.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values()
    }

    /// One subscription.
    pub fn subscription(&self, arn: &str) -> Result<&Subscription, Fault> {
        self.subscriptions
            .get(arn)
            .ok_or_else(|| error::not_found("Subscription"))
    }

    /// All subscriptions by ARN.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.values()
    }
}
