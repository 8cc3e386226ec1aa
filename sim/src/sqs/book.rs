//! All queues and their messages. Every change goes to the log first, then into memory.

use std::{collections::BTreeMap, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    error,
    model::{Message, Queue, QueueId},
};
use crate::{log::Log, wire::Fault};

/// One change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Change {
    /// A queue is now this.
    Queue(Box<Queue>),
    /// A queue is gone, with its messages.
    Gone(QueueId),
    /// A message is now this.
    Message(QueueId, Box<Message>),
    /// A message is gone.
    Deleted(QueueId, u64),
}

/// All queues and their messages.
#[derive(Debug)]
pub struct Book {
    queues: BTreeMap<QueueId, Queue>,
    messages: BTreeMap<QueueId, BTreeMap<u64, Message>>,
    next: u64,
    log: Log,
}

impl Book {
    /// What the folder keeps of an earlier life.
    pub fn open(folder: Option<&Path>, now: Timestamp) -> anyhow::Result<Self> {
        let (log, changes) = Log::open(folder, "queues.jsonl")?;
        let mut book = Self {
            queues: BTreeMap::new(),
            messages: BTreeMap::new(),
            next: 0,
            log,
        };
        changes.into_iter().for_each(|change| book.apply(change));
        let queues: Vec<QueueId> = book.queues.keys().cloned().collect();
        queues.iter().for_each(|id| book.forget(id, now));
        let queues = book.queues.values().map(|q| Change::Queue(Box::new(q.clone())));
        let messages = book.messages.iter().flat_map(|(id, messages)| {
            messages
                .values()
                .map(|m| Change::Message(id.clone(), Box::new(m.clone())))
        });
        book.log.rewrite(queues.chain(messages))?;
        Ok(book)
    }

    /// Makes changes, all or none.
    pub fn commit(&mut self, changes: Vec<Change>) -> Result<(), Fault> {
        self.log.commit(&changes)?;
        changes.into_iter().for_each(|change| self.apply(change));
        Ok(())
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Queue(queue) => {
                self.queues.insert(queue.id.clone(), *queue);
            }
            Change::Gone(id) => {
                self.queues.remove(&id);
                self.messages.remove(&id);
            }
            Change::Message(id, message) => {
                self.next = self.next.max(message.number + 1);
                self.messages
                    .entry(id)
                    .or_default()
                    .insert(message.number, *message);
            }
            Change::Deleted(id, number) => {
                self.messages.entry(id).or_default().remove(&number);
            }
        }
    }

    /// Drops messages that are older than their queue keeps them. After a restart they are dropped again.
    pub fn forget(&mut self, id: &QueueId, now: Timestamp) {
        if let (Some(queue), Some(messages)) = (self.queues.get(id), self.messages.get_mut(id)) {
            let retention = queue.retention();
            messages.retain(|_, message| now.duration_since(message.sent) < retention);
        }
    }

    /// The next message's number.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// One queue.
    pub fn queue(&self, id: &QueueId) -> Result<&Queue, Fault> {
        self.queues.get(id).ok_or_else(error::no_queue)
    }

    /// A region's queues by name.
    pub fn queues<'a>(&'a self, region: &'a str) -> impl Iterator<Item = &'a Queue> {
        self.queues
            .values()
            .filter(move |queue| queue.id.region == region)
    }

    /// One message.
    pub fn message(&self, id: &QueueId, number: u64) -> Option<&Message> {
        self.messages.get(id)?.get(&number)
    }

    /// A queue's messages, oldest first.
    pub fn messages(&self, id: &QueueId) -> impl Iterator<Item = &Message> {
        self.messages.get(id).into_iter().flat_map(BTreeMap::values)
    }
}
