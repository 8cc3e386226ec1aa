//! Queues as clients make, change, read and delete them.

use std::collections::BTreeMap;

use ciborium::Value;
use serde::{Deserialize, Serialize};

use super::{
    Sqs, attributes,
    book::{Book, Change},
    error,
    model::{Queue, QueueId},
};
use crate::{
    wire::{Fault, empty, int, page, tag_fits, tree, typed},
    world::ACCOUNT,
};

/// The most tags of a queue.
const MOST_TAGS: usize = 50;

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The region that it is signed for.
    pub region: String,
    /// How its client reaches the service.
    pub endpoint: String,
}

impl Caller {
    fn url(&self, id: &QueueId) -> String {
        format!("{}/{ACCOUNT}/{}", self.endpoint.trim_end_matches('/'), id.name)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    queue_name: Option<String>,
    queue_url: Option<String>,
    queue_name_prefix: Option<String>,
    attributes: BTreeMap<String, String>,
    attribute_names: Vec<String>,
    // AWS's own model has this one name in lower case.
    #[serde(alias = "tags")]
    tags: BTreeMap<String, String>,
    tag_keys: Vec<String>,
    #[serde(deserialize_with = "int")]
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Url {
    queue_url: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// The queue that a URL names: by its last part, whatever the host.
pub fn queue_of(region: &str, url: Option<&str>) -> Result<QueueId, Fault> {
    let url = url.ok_or_else(|| Fault::missing("QueueUrl"))?;
    let name = url.rsplit('/').next().filter(|name| !name.is_empty());
    Ok(QueueId {
        region: region.to_owned(),
        name: name.ok_or_else(error::no_queue)?.to_owned(),
    })
}

impl Sqs {
    /// CreateQueue: also where the queue is there, with the same attributes.
    pub(super) fn create(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let name = input.queue_name.ok_or_else(|| Fault::missing("QueueName"))?;
        let id = QueueId {
            region: caller.region.clone(),
            name: checked_name(name)?,
        };
        let attributes = attributes::checked(input.attributes)?;
        let now = self.world.clock.now();
        let mut book = self.book();
        if let Ok(queue) = book.queue(&id) {
            attributes::same(queue, &attributes)?;
        } else {
            dead_letters_go_somewhere(&book, &attributes)?;
            let queue = Queue {
                id: id.clone(),
                created: now,
                modified: now,
                attributes: set(BTreeMap::new(), attributes),
                tags: at_most(input.tags)?,
            };
            book.commit(vec![Change::Queue(Box::new(queue))])?;
        }
        tree(&Url {
            queue_url: caller.url(&id),
        })
    }

    /// GetQueueUrl.
    pub(super) fn url(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = QueueId {
            region: caller.region.clone(),
            name: input.queue_name.ok_or_else(|| Fault::missing("QueueName"))?,
        };
        self.book().queue(&id)?;
        tree(&Url {
            queue_url: caller.url(&id),
        })
    }

    /// ListQueues.
    pub(super) fn list(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let prefix = input.queue_name_prefix.unwrap_or_default();
        let book = self.book();
        let found = book.queues(&caller.region).map(|queue| queue.id.clone());
        let found: Vec<QueueId> = found.filter(|id| id.name.starts_with(&prefix)).collect();
        drop(book);
        page(found, input.max_results, input.next_token.as_deref(), caller)
    }

    /// ListDeadLetterSourceQueues.
    pub(super) fn list_sources(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let dead = queue_of(&caller.region, input.queue_url.as_deref())?;
        let book = self.book();
        book.queue(&dead)?;
        let sources = book
            .queues(&caller.region)
            .filter(|queue| queue.redrive().is_some_and(|redrive| redrive.to == dead));
        let found: Vec<QueueId> = sources.map(|queue| queue.id.clone()).collect();
        drop(book);
        match page(found, input.max_results, input.next_token.as_deref(), caller)? {
            // This operation writes the name in its own way.
            Value::Map(members) => Ok(Value::Map(
                members
                    .into_iter()
                    .map(|(name, value)| match name.as_text() {
                        Some("QueueUrls") => ("queueUrls".into(), value),
                        _ => (name, value),
                    })
                    .collect(),
            )),
            other => Ok(other),
        }
    }

    /// DeleteQueue.
    pub(super) fn delete(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = queue_of(&caller.region, input.queue_url.as_deref())?;
        let mut book = self.book();
        book.queue(&id)?;
        book.commit(vec![Change::Gone(id)])?;
        Ok(empty())
    }

    /// PurgeQueue. On AWS it takes up to a minute; here it is done at once.
    pub(super) fn purge(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = queue_of(&caller.region, input.queue_url.as_deref())?;
        let now = self.world.clock.now();
        let mut book = self.book();
        book.queue(&id)?;
        let gone = book.messages(&id).filter(|message| message.sent <= now);
        let gone: Vec<Change> = gone
            .map(|message| Change::Deleted(id.clone(), message.number))
            .collect();
        book.commit(gone)?;
        Ok(empty())
    }

    /// GetQueueAttributes.
    pub(super) fn attributes(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = queue_of(&caller.region, input.queue_url.as_deref())?;
        let now = self.world.clock.now();
        let mut book = self.book();
        book.forget(&id, now);
        let read = attributes::read(book.queue(&id)?, book.messages(&id), &input.attribute_names, now)?;
        if read.is_empty() {
            return Ok(empty());
        }
        Ok(Value::Map(vec![("Attributes".into(), texts(read))]))
    }

    /// SetQueueAttributes.
    pub(super) fn set_attributes(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = queue_of(&caller.region, input.queue_url.as_deref())?;
        let attributes = attributes::checked(input.attributes)?;
        self.change(&id, |book, mut queue| {
            dead_letters_go_somewhere(book, &attributes)?;
            queue.attributes = set(queue.attributes, attributes);
            queue.modified = self.world.clock.now();
            Ok(queue)
        })
    }

    /// TagQueue.
    pub(super) fn tag(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = queue_of(&caller.region, input.queue_url.as_deref())?;
        self.change(&id, |_, mut queue| {
            queue.tags.extend(input.tags);
            queue.tags = at_most(queue.tags)?;
            Ok(queue)
        })
    }

    /// UntagQueue.
    pub(super) fn untag(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = queue_of(&caller.region, input.queue_url.as_deref())?;
        self.change(&id, |_, mut queue| {
            queue.tags.retain(|key, _| !input.tag_keys.contains(key));
            Ok(queue)
        })
    }

    /// ListQueueTags.
    pub(super) fn list_tags(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = queue_of(&caller.region, input.queue_url.as_deref())?;
        let tags = self.book().queue(&id)?.tags.clone();
        if tags.is_empty() {
            return Ok(empty());
        }
        Ok(Value::Map(vec![("Tags".into(), texts(tags))]))
    }

    fn change(
        &self,
        id: &QueueId,
        change: impl FnOnce(&Book, Queue) -> Result<Queue, Fault>,
    ) -> Result<Value, Fault> {
        let mut book = self.book();
        let queue = change(&book, book.queue(id)?.clone())?;
        book.commit(vec![Change::Queue(Box::new(queue))])?;
        Ok(empty())
    }
}

/// An answer's map from text to text.
fn texts(map: BTreeMap<String, String>) -> Value {
    crate::wire::map(map.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
}

fn set(mut attributes: BTreeMap<String, String>, new: BTreeMap<String, String>) -> BTreeMap<String, String> {
    attributes.extend(new);
    attributes.retain(|_, value| !value.is_empty());
    attributes
}

fn checked_name(name: String) -> Result<String, Fault> {
    if name.ends_with(".fifo") {
        return Err(Fault::not_simulated("FIFO queues"));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 80 || !name.chars().all(legal) {
        return Err(Fault::value(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ));
    }
    Ok(name)
}

fn at_most(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Fault> {
    if tags.len() > MOST_TAGS || !tags.iter().all(|(key, value)| tag_fits(key, value)) {
        return Err(Fault::value(
            "A queue has at most 50 tags, with keys of 1 to 128 and values of at most 256 characters.",
        ));
    }
    Ok(tags)
}

fn dead_letters_go_somewhere(book: &Book, attributes: &BTreeMap<String, String>) -> Result<(), Fault> {
    let Some(policy) = attributes.get("RedrivePolicy") else {
        return Ok(());
    };
    match super::model::redrive(policy) {
        Some(redrive) if book.queue(&redrive.to).is_err() => Err(error::parameter(
            "RedrivePolicy",
            policy,
            "Dead letter target does not exist.",
        )),
        _ => Ok(()),
    }
}

/// A page of queues; without MaxResults AWS answers with at most 1000, and with no token.
fn page(found: Vec<QueueId>, max: Option<i64>, token: Option<&str>, caller: &Caller) -> Result<Value, Fault> {
    let most = match max {
        None => 1000,
        Some(max @ 1..=1000) => max as usize,
        Some(max) => {
            return Err(error::parameter(
                "MaxResults",
                &max.to_string(),
                "Must be between 1 and 1000.",
            ));
        }
    };
    let invalid = |token| error::parameter("NextToken", token, "Invalid token.");
    let after = token.map(|token| page::text(token).ok_or_else(|| invalid(token)));
    let (found, next) = page::page(found, |id| &id.name, most, after.transpose()?.as_deref());
    tree(&Listed {
        queue_urls: found.iter().map(|id| caller.url(id)).collect(),
        next_token: next.filter(|_| max.is_some()),
    })
}
