//! What receivers do with messages: DeleteMessage and ChangeMessageVisibility, and their batches.

use ciborium::Value;
use jiff::SignedDuration;
use serde::Deserialize;

use super::{
    Sqs, batch,
    book::{Book, Change},
    error,
    model::{QueueId, Standing},
    queues::{Caller, queue_of},
    receive::handled,
};
use crate::wire::{Fault, empty, int, typed};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    queue_url: Option<String>,
    receipt_handle: Option<String>,
    #[serde(deserialize_with = "int")]
    visibility_timeout: Option<i64>,
}

type Perform = fn(&Sqs, &mut Book, &QueueId, Input) -> Result<Value, Fault>;

impl Sqs {
    /// DeleteMessage.
    pub(super) fn delete_message(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        self.one(caller, input, Self::forget)
    }

    /// DeleteMessageBatch.
    pub(super) fn delete_messages(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        self.batch(caller, input, Self::forget)
    }

    /// ChangeMessageVisibility.
    pub(super) fn change_visibility(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        self.one(caller, input, Self::hide)
    }

    /// ChangeMessageVisibilityBatch.
    pub(super) fn change_visibilities(&self, caller: &Caller, input: &Value) -> Result<Value, Fault> {
        self.batch(caller, input, Self::hide)
    }

    fn one(&self, caller: &Caller, input: &Value, perform: Perform) -> Result<Value, Fault> {
        let input: Input = typed(input)?;
        let id = queue_of(&caller.region, input.queue_url.as_deref())?;
        let mut book = self.book();
        book.queue(&id)?;
        perform(self, &mut book, &id, input)
    }

    fn batch(&self, caller: &Caller, input: &Value, perform: Perform) -> Result<Value, Fault> {
        let url: Input = typed(input)?;
        let id = queue_of(&caller.region, url.queue_url.as_deref())?;
        let entries = batch::entries(input)?;
        let mut book = self.book();
        book.queue(&id)?;
        batch::answer(entries, |entry| perform(self, &mut book, &id, entry))
    }

    /// What is gone stays gone; the handle of an earlier receive deletes nothing, and is no error.
    fn forget(&self, book: &mut Book, id: &QueueId, input: Input) -> Result<Value, Fault> {
        let handle = input
            .receipt_handle
            .ok_or_else(|| Fault::missing("ReceiptHandle"))?;
        let (number, receives) = handled(id, &handle)?;
        if book
            .message(id, number)
            .is_some_and(|message| message.receives == receives)
        {
            book.commit(vec![Change::Deleted(id.clone(), number)])?;
        }
        Ok(empty())
    }

    fn hide(&self, book: &mut Book, id: &QueueId, input: Input) -> Result<Value, Fault> {
        let handle = input
            .receipt_handle
            .ok_or_else(|| Fault::missing("ReceiptHandle"))?;
        let seconds = input
            .visibility_timeout
            .ok_or_else(|| Fault::missing("VisibilityTimeout"))?;
        if !(0..=43_200).contains(&seconds) {
            let reason = "VisibilityTimeout must be an integer between 0 and 43200.";
            return Err(error::parameter(
                "VisibilityTimeout",
                &seconds.to_string(),
                reason,
            ));
        }
        let (number, receives) = handled(id, &handle)?;
        let now = self.world.clock.now();
        let mut message = book
            .message(id, number)
            .filter(|message| message.receives == receives && message.standing(now) == Standing::InFlight)
            .ok_or_else(error::not_in_flight)?
            .clone();
        message.visible = now + SignedDuration::from_secs(seconds);
        book.commit(vec![Change::Message(id.clone(), Box::new(message))])?;
        self.arrived.notify_waiters();
        Ok(empty())
    }
}
