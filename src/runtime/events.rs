//! Kubernetes Events: what happened to an object, for `kubectl describe`. Publishing never fails a pass.

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

/// The one recorder of the process. It needs the rights create and patch on events.k8s.io/events.
#[derive(Clone)]
pub struct Events(Recorder);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

impl Events {
    /// A recorder that writes with this client.
    pub fn new(client: Client) -> Self {
        Self(Recorder::new(client, Reporter::from("kvs-operator")))
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
        if let Err(e) = self.0.publish(&event, object).await {
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
}
