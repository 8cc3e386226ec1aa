//! SQS: standard queues, which alarms' events and notices reach and from which programs read them.
//!
//! Not simulated: FIFO queues, permissions and keys (a queue's policy is kept and shown, and decides nothing).

mod attributes;
mod batch;
mod book;
mod error;
pub mod model;
mod query;
mod queues;
mod receive;
mod received;
mod send;

use std::sync::{Arc, Mutex, MutexGuard};

use axum::http::header;
use ciborium::Value;
use tokio::sync::Notify;

use crate::{
    http::{Request, Response, region},
    wire::{Asked, Fault, Service},
    world::World,
};
use book::Book;
use queues::Caller;

const SERVICE: Service = Service {
    target: "AmazonSQS",
    shapes: "com.amazonaws.sqs",
    xmlns: "http://queue.amazonaws.com/doc/2012-11-05/",
    json: "1.0",
    flat: true,
};

/// SQS.
#[derive(Debug)]
pub struct Sqs {
    world: Arc<World>,
    book: Mutex<Book>,
    /// Tells waiting receives to look.
    arrived: Notify,
}

impl Sqs {
    /// The service, with what the data folder keeps of an earlier life.
    pub fn open(world: Arc<World>) -> anyhow::Result<Arc<Self>> {
        let folder = world.settings.data.as_ref().map(|data| data.join("sqs"));
        let book = Book::open(folder.as_deref(), world.clock.now())?;
        Ok(Arc::new(Self {
            world,
            book: Mutex::new(book),
            arrived: Notify::new(),
        }))
    }

    /// Answers a request.
    pub async fn handle(self: Arc<Self>, request: Request) -> Response {
        let asked = SERVICE.read(request).await;
        let result = match &asked.call {
            Ok(call) => self
                .perform(&asked, &call.operation, &query::input(&asked, &call.input))
                .await
                .map(|answer| query::output(&asked, &call.operation, answer)),
            Err(fault) => Err(fault.clone()),
        };
        SERVICE.reply(&asked, result)
    }

    async fn perform(&self, asked: &Asked, operation: &str, input: &Value) -> Result<Value, Fault> {
        let host = asked
            .parts
            .headers
            .get(header::HOST)
            .and_then(|v| v.to_str().ok());
        let own = || host.map(|host| format!("http://{host}"));
        let caller = Caller {
            region: region(&asked.parts.headers),
            endpoint: self
                .world
                .settings
                .endpoint
                .clone()
                .or_else(own)
                .unwrap_or_default(),
        };
        match operation {
            "CreateQueue" => self.create(&caller, input),
            "GetQueueUrl" => self.url(&caller, input),
            "ListQueues" => self.list(&caller, input),
            "ListDeadLetterSourceQueues" => self.list_sources(&caller, input),
            "DeleteQueue" => self.delete(&caller, input),
            "PurgeQueue" => self.purge(&caller, input),
            "GetQueueAttributes" => self.attributes(&caller, input),
            "SetQueueAttributes" => self.set_attributes(&caller, input),
            "TagQueue" => self.tag(&caller, input),
            "UntagQueue" => self.untag(&caller, input),
            "ListQueueTags" => self.list_tags(&caller, input),
            "SendMessage" => self.send(&caller, input),
            "SendMessageBatch" => self.send_batch(&caller, input),
            "ReceiveMessage" => self.receive(&caller, input).await,
            "DeleteMessage" => self.delete_message(&caller, input),
            "DeleteMessageBatch" => self.delete_messages(&caller, input),
            "ChangeMessageVisibility" => self.change_visibility(&caller, input),
            "ChangeMessageVisibilityBatch" => self.change_visibilities(&caller, input),
            other => Err(Fault::unknown_operation(other)),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(|e| e.into_inner())
    }
}
