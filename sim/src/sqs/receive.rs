//! ReceiveMessage: at least once, in no order, with long polling.

use std::{collections::BTreeMap, time::Duration};

use ciborium::Value;
use jiff::{SignedDuration, Timestamp};
use md5::{Digest, Md5};
use serde::Deserialize;

use super::{
    Sqs,
    book::{Book, Change},
    error,
    model::{Message, Queue, QueueId, Standing},
    queues::{Caller, queue_of},
    send,
};
use crate::{
    wire::{Fault, int, map, page, tree, typed},
    world::ACCOUNT,
};

/// How often a waiting receive looks for what became visible by the clock alone.
const LOOK: Duration = Duration::from_millis(100);

/// The most messages in flight.
const MOST_IN_FLIGHT: usize = 120_000;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    queue_url: Option<String>,
    #[serde(deserialize_with = "int")]
    max_number_of_messages: Option<i64>,
    #[serde(deserialize_with = "int")]
    visibility_timeout: Option<i64>,
    #[serde(deserialize_with = "int")]
    wait_time_seconds: Option<i64>,
    attribute_names: Vec<String>,
    message_system_attribute_names: Vec<String>,
    message_attribute_names: Vec<String>,
}

/// A checked request.
struct Ask {
    id: QueueId,
    most: usize,
    hidden: Option<SignedDuration>,
    wait: Option<Duration>,
    system: Vec<String>,
    attributes: Vec<String>,
}

impl Ask {
    fn read(caller: &Caller, input: &Value) -> Result<Self, Fault> {
        let input: Input = typed(input)?;
        let within = |name: &str, value: Option<i64>, least: i64, most: i64| match value {
            Some(value) if !(least..=most).contains(&value) => Err(error::parameter(
                name,
                &value.to_string(),
                &format!("Must be between {least} and {most}, if provided."),
            )),
            value => Ok(value),
        };
        let most = within("MaxNumberOfMessages", input.max_number_of_messages, 1, 10)?;
        let hidden = within("VisibilityTimeout", input.visibility_timeout, 0, 43_200)?;
        let wait = within("WaitTimeSeconds", input.wait_time_seconds, 0, 20)?;
        Ok(Self {
            id: queue_of(&caller.region, input.queue_url.as_deref())?,
            most: most.unwrap_or(1) as usize,
            hidden: hidden.map(SignedDuration::from_secs),
            wait: wait.map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
            system: [input.attribute_names, input.message_system_attribute_names].concat(),
            attributes: input.message_attribute_names,
        })
    }
}

impl Sqs {
    /// ReceiveMessage.
    pub(super) async fn receive(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        let ask = Ask::read(caller, input)?;
        let default = self.book().queue(&ask.id)?.wait();
        let wait = ask.wait.unwrap_or(Duration::from_secs(default.unsigned_abs()));
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let arrival = self.arrived.notified();
            let messages = self.take(&mut self.book(), &ask)?;
            if !messages.is_empty() {
                return Ok(Value::Map(vec![("Messages".into(), Value::Array(messages))]));
            }
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if left.is_zero() {
                return Ok(crate::wire::empty());
            }
            // Which of them it was does not matter.
            let _ = tokio::time::timeout(left.min(LOOK), arrival).await;
        }
    }

    /// What can be received now; hides it.
    fn take(&self, book: &mut Book, ask: &Ask) -> Result<Vec<Value>, Fault> {
        let now = self.world.clock.now();
        let behaviour = self.world.behaviour();
        book.forget(&ask.id, now);
        let queue = book.queue(&ask.id)?.clone();
        let (visible, hidden): (Vec<&Message>, Vec<&Message>) = book
            .messages(&ask.id)
            .filter(|message| matches!(message.standing(now), Standing::Visible | Standing::InFlight))
            .partition(|message| message.standing(now) == Standing::Visible);
        if hidden.len() >= MOST_IN_FLIGHT {
            return Err(error::over_limit());
        }
        let mut visible: Vec<Message> = visible.into_iter().cloned().collect();
        if behaviour.queue_shuffled {
            use rand::seq::SliceRandom;
            visible.shuffle(&mut rand::rng());
        }
        let timeout = ask
            .hidden
            .unwrap_or(SignedDuration::from_secs(queue.visibility_timeout()));
        let (mut changes, mut received) = (vec![], vec![]);
        for mut message in visible {
            if received.len() == ask.most {
                break;
            }
            message.receives += 1;
            if let Some(redrive) = queue.redrive().filter(|to| message.receives > to.receives)
                && book.queue(&redrive.to).is_ok()
            {
                changes.extend(moved(&queue, &redrive.to, message, now));
                continue;
            }
            message.first_received.get_or_insert(now);
            let again = behaviour.queue_twice_one_in;
            if (message.number + u64::from(message.receives)).checked_rem(again) != Some(0) {
                message.visible = now + timeout;
            }
            received.push(self.shown(&ask.id, &message, ask)?);
            changes.push(Change::Message(ask.id.clone(), Box::new(message)));
        }
        book.commit(changes)?;
        Ok(received)
    }

    fn shown(&self, id: &QueueId, message: &Message, ask: &Ask) -> Result<Value, Fault> {
        let millis = |at: jiff::Timestamp| at.as_millisecond().to_string();
        let first = message.first_received.unwrap_or(message.sent);
        let system: Vec<(Value, Value)> = [
            ("SenderId", Some(ACCOUNT.to_owned())),
            ("SentTimestamp", Some(millis(message.sent))),
            ("ApproximateReceiveCount", Some(message.receives.to_string())),
            ("ApproximateFirstReceiveTimestamp", Some(millis(first))),
            ("DeadLetterQueueSourceArn", message.moved_from.clone()),
        ]
        .into_iter()
        .filter(|(name, _)| ask.system.iter().any(|asked| asked == "All" || asked == name))
        .filter_map(|(name, value)| Some((name.into(), value?.into())))
        .collect();
        let asked = |name: &String| {
            ask.attributes.iter().any(|asked| match asked.strip_suffix(".*") {
                Some(prefix) => name.starts_with(prefix),
                None => asked == "All" || asked == name,
            })
        };
        let mut attributes = message.content.attributes.clone();
        attributes.retain(|name, _| asked(name));
        let text = |name: &str, value: String| (Value::from(name), Value::from(value));
        let mut members = vec![
            text("MessageId", message.id.clone()),
            text("ReceiptHandle", handle(id, message)),
            text("MD5OfBody", hex::encode(Md5::digest(&message.content.body))),
            text("Body", message.content.body.clone()),
        ];
        if !system.is_empty() {
            members.push(("Attributes".into(), map(system)));
        }
        if let Some(digest) = send::digest(&attributes) {
            members.push(text("MD5OfMessageAttributes", digest));
            let entries: Result<Vec<_>, Fault> = attributes
                .iter()
                .map(|(name, attribute)| Ok((name.clone().into(), tree(attribute)?)))
                .collect();
            members.push(("MessageAttributes".into(), map(entries?)));
        }
        Ok(Value::Map(members))
    }
}

/// A message that goes where dead letters go: its age stays, so it is kept from when it was first sent.
fn moved(from: &Queue, to: &QueueId, message: Message, now: Timestamp) -> [Change; 2] {
    let gone = Change::Deleted(from.id.clone(), message.number);
    let message = Message {
        visible: now,
        receives: 0,
        first_received: None,
        moved_from: Some(from.id.arn()),
        ..message
    };
    [gone, Change::Message(to.clone(), Box::new(message))]
}

/// The handle of one receive of a message.
fn handle(id: &QueueId, message: &Message) -> String {
    page::token(&format!("{}/{}/{}", id.name, message.number, message.receives))
}

/// The message that a handle is of, and which of its receives.
pub fn handled(id: &QueueId, handle: &str) -> Result<(u64, u32), Fault> {
    let text = page::text(handle).ok_or_else(error::receipt)?;
    let parts: BTreeMap<usize, &str> = text.split('/').enumerate().collect();
    match (parts.get(&0), parts.get(&1), parts.get(&2)) {
        (Some(name), Some(number), Some(receives)) if *name == id.name => number
            .parse()
            .ok()
            .zip(receives.parse().ok())
            .ok_or_else(error::receipt),
        _ => Err(error::receipt()),
    }
}
