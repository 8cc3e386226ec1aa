//! Messages into queues: SendMessage and its batch, and what other services deliver.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use ciborium::Value;
use jiff::{SignedDuration, Timestamp};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::{
    Sqs,
    batch::{self, Entry},
    book::{Book, Change},
    error,
    model::{Attribute, Content, Message, Queue, QueueId},
    queues::{Caller, queue_of},
};
use crate::{
    id,
    wire::{Fault, int, tree, typed},
};

/// The most bytes of a batch.
const MOST_BYTES: usize = 1 << 20;

#[derive(Clone, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    queue_url: Option<String>,
    message_body: Option<String>,
    #[serde(deserialize_with = "int")]
    delay_seconds: Option<i64>,
    message_attributes: BTreeMap<String, Attribute>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    md5_of_message_body: String,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    md5_of_message_attributes: Option<String>,
}

impl Sqs {
    /// SendMessage.
    pub(super) fn send(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = queue_of(&caller.region, input.queue_url.as_deref())?;
        let sent = self.put(&mut self.book(), &id, input)?;
        self.arrived.notify_waiters();
        tree(&sent)
    }

    /// SendMessageBatch.
    pub(super) fn send_batch(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let url: Input = typed(input)?;
        let id = queue_of(&caller.region, url.queue_url.as_deref())?;
        let entries: Vec<Entry<Input>> = batch::entries(input)?;
        let size = |entry: &Entry<Input>| {
            let body = entry.of.message_body.as_ref().map_or(0, String::len);
            body + size(&entry.of.message_attributes)
        };
        let bytes: usize = entries.iter().map(size).sum();
        if bytes > MOST_BYTES {
            return Err(error::long_batch(bytes));
        }
        let mut book = self.book();
        book.queue(&id)?;
        let answer = batch::answer(entries, |entry| self.put(&mut book, &id, entry));
        self.arrived.notify_waiters();
        answer
    }

    fn put(&self, book: &mut Book, id: &QueueId, input: Input) -> Result<Output, Fault> {
        let queue = book.queue(id)?.clone();
        if input.message_deduplication_id.is_some() || input.message_group_id.is_some() {
            return Err(Fault::not_simulated("FIFO queues and message groups"));
        }
        let content = Content {
            body: input.message_body.unwrap_or_default(),
            attributes: input.message_attributes,
        };
        check(&queue, &content)?;
        let delay = input.delay_seconds.unwrap_or_else(|| queue.delay());
        if !(0..=900).contains(&delay) {
            let reason = "DelaySeconds must be >= 0 and <= 900.";
            return Err(error::parameter("DelaySeconds", &delay.to_string(), reason));
        }
        let output = Output {
            message_id: id::uuid(),
            md5_of_message_body: hex::encode(Md5::digest(&content.body)),
            md5_of_message_attributes: digest(&content.attributes),
        };
        let now = self.world.clock.now();
        let message = Message {
            number: book.number(),
            id: output.message_id.clone(),
            content,
            sent: now,
            visible: now + SignedDuration::from_secs(delay),
            receives: 0,
            first_received: None,
            moved_from: None,
        };
        book.commit(vec![Change::Message(id.clone(), Box::new(message))])?;
        Ok(output)
    }

    /// What another service sends, which arrives at a time that may be in the future.
    ///
    /// # Errors
    /// There is no such queue, or the message does not fit it.
    pub fn deliver(&self, arn: &str, content: Content, arrives: Timestamp) -> Result<(), Fault> {
        let id = QueueId::from_arn(arn).ok_or_else(error::no_queue)?;
        let mut book = self.book();
        let queue = book.queue(&id)?;
        check(queue, &content)?;
        let delay = SignedDuration::from_secs(queue.delay());
        let message = Message {
            number: book.number(),
            id: id::uuid(),
            content,
            sent: arrives,
            visible: arrives + delay,
            receives: 0,
            first_received: None,
            moved_from: None,
        };
        book.commit(vec![Change::Message(id, Box::new(message))])?;
        drop(book);
        self.arrived.notify_waiters();
        Ok(())
    }
}

/// What a queue does not take.
fn check(queue: &Queue, content: &Content) -> Result<(), Fault> {
    if content.body.is_empty() {
        return Err(Fault::missing("MessageBody"));
    }
    // XML 1.0's characters.
    let legal = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    if !content.body.chars().all(legal) {
        return Err(error::contents());
    }
    if content.attributes.len() > 10 {
        return Err(Fault::value(
            "Number of message attributes exceeds the allowed maximum [10].",
        ));
    }
    for (name, attribute) in &content.attributes {
        let kind = attribute.data_type.split('.').next().unwrap_or_default();
        let fits = match kind {
            "String" => attribute.string_value.as_ref().is_some_and(|v| !v.is_empty()),
            "Number" => attribute
                .string_value
                .as_ref()
                .is_some_and(|v| v.parse::<f64>().is_ok()),
            "Binary" => binary(attribute).is_some_and(|v| !v.is_empty()),
            _ => false,
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !fits || name.is_empty() || name.len() > 256 || !name.chars().all(legal) {
            return Err(Fault::value(format!(
                "The message attribute '{name}' must have a name of letters, digits, _, - and ., a type, and a value of it."
            )));
        }
    }
    let bytes = content.body.len() + size(&content.attributes);
    if i64::try_from(bytes).is_ok_and(|bytes| bytes > queue.largest()) {
        return Err(Fault::value(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {} bytes.",
            queue.largest()
        )));
    }
    Ok(())
}

fn binary(attribute: &Attribute) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(attribute.binary_value.as_ref()?).ok()
}

fn size(attributes: &BTreeMap<String, Attribute>) -> usize {
    let value = |attribute: &Attribute| match &attribute.string_value {
        Some(text) => text.len(),
        None => binary(attribute).map_or(0, |bytes| bytes.len()),
    };
    attributes
        .iter()
        .map(|(name, attribute)| name.len() + attribute.data_type.len() + value(attribute))
        .sum()
}

/// MD5OfMessageAttributes, as the developer guide says: by name, each part with its length before it.
pub fn digest(attributes: &BTreeMap<String, Attribute>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut md5 = Md5::new();
    let mut part = |prefix: &[u8], bytes: &[u8]| {
        md5.update(prefix);
        md5.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        md5.update(bytes);
    };
    for (name, attribute) in attributes {
        part(&[], name.as_bytes());
        part(&[], attribute.data_type.as_bytes());
        match &attribute.string_value {
            Some(text) => part(&[1], text.as_bytes()),
            None => part(&[2], &binary(attribute).unwrap_or_default()),
        }
    }
    Some(hex::encode(md5.finalize()))
}
