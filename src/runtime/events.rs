//! Kubernetes Events: what happened to an object, for `kubectl describe`. Publishing never fails a pass.

use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tracing::warn;

use super::error::chain;

/// The longest note that the API takes, in bytes.
const NOTE: usize = 1024;
/// The longest action that the API takes, in bytes.
const ACTION: usize = 128;

/// How many Events a recorder is used for. It remembers each for minutes, some 3 KB, to fold repeats; a fresh one begins anew.
const REMEMBERED: usize = 1000;

/// The one recorder of the process. It needs the rights create and patch on events.k8s.io/events.
#[derive(Clone)]
pub struct Events {
    client: Client,
    /// The recorder, and how many Events it was used for.
    current: Arc<Mutex<(Recorder, usize)>>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

impl Events {
    /// A recorder that writes with this client.
    pub fn new(client: Client) -> Self {
        let recorder = recorder(&client);
        Self {
            client,
            current: Arc::new(Mutex::new((recorder, 0))),
        }
    }

    fn recorder(&self) -> Recorder {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.1 >= REMEMBERED {
            *current = (recorder(&self.client), 0);
        }
        current.1 += 1;
        current.0.clone()
    }

    /// Something was done: `note` says what, with old and new value. Every note is an Event of its own.
    pub async fn done(&self, object: &ObjectReference, reason: &str, note: impl Into<String>) {
        let note = note.into();
        // The recorder folds Events with the same action and reason into one and keeps the first note. The note as the action
        // keeps different changes apart.
        let action = cut(&note, ACTION);
        self.publish(object, EventType::Normal, reason, action, note)
            .await;
    }

    /// Something stands in the way. Repeats within minutes are folded into one Event, whatever their notes say.
    pub async fn trouble(&self, object: &ObjectReference, reason: &str, note: impl Into<String>) {
        self.publish(
            object,
            EventType::Warning,
            reason,
            "Reconcile".into(),
            note.into(),
        )
        .await;
    }

    async fn publish(
        &self,
        object: &ObjectReference,
        type_: EventType,
        reason: &str,
        action: String,
        note: String,
    ) {
        let event = Event {
            type_,
            reason: reason.into(),
            note: Some(cut(&note, NOTE)),
            action,
            secondary: None,
        };
        if let Err(e) = self.recorder().publish(&event, object).await {
            let name = object.name.as_deref().unwrap_or_default();
            warn!(
                object = name,
                reason,
                error = chain(&e),
                "an Event could not be written"
            );
        }
    }
}

fn recorder(client: &Client) -> Recorder {
    Recorder::new(client.clone(), Reporter::from("kvs-operator"))
}

/// At most so many bytes of a text, at a character's end.
fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.into();
    }
    let end = (0..=max - '…'.len_utf8())
        .rev()
        .find(|&i| text.is_char_boundary(i))
        .unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(cut("short", 10), "short");
        let long = "ä".repeat(100);
        let short = cut(&long, 11);
        assert_eq!(short, "ääää…");
        assert!(short.len() <= 11);
    }

    #[tokio::test]
    async fn what_is_remembered_has_a_bound() {
        let nobody = tower::service_fn(|_: axum::http::Request<kube::client::Body>| async {
            Err::<axum::http::Response<kube::client::Body>, _>(std::io::Error::other("nobody is there"))
        });
        let events = Events::new(Client::new(nobody, "default"));
        for _ in 0..2 * REMEMBERED + 5 {
            events.recorder();
        }
        assert_eq!(events.current.lock().unwrap().1, 5);
    }
}
