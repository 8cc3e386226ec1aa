//! Writes what the plan says, in its order, up to the first failure. Decides nothing.

use super::action::Action;
use crate::{
    aws::{Streams, streams::Stream},
    runtime::{Error, Result},
};

/// What was done.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Actions that AWS accepted.
    pub done: Vec<Action>,
    /// The ARN of a stream that was made.
    pub created: Option<String>,
}

/// Does these, and says what stopped it, if anything did. `stream` is what they are for, as it was read; only making one needs none.
pub async fn act(
    streams: &dyn Streams,
    stream: Option<&Stream>,
    actions: &[Action],
) -> (Outcome, Result<()>) {
    let mut outcome = Outcome::default();
    for action in actions {
        match perform(streams, stream, action).await {
            Ok(created) => {
                outcome.created = outcome.created.or(created);
                outcome.done.push(action.clone());
            }
            Err(error) => return (outcome, Err(error)),
        }
    }
    (outcome, Ok(()))
}

async fn perform(streams: &dyn Streams, stream: Option<&Stream>, action: &Action) -> Result<Option<String>> {
    if let Action::Create(new) = action {
        return Ok(Some(streams.create(new).await?));
    }
    let Some(Stream { arn, version, .. }) = stream else {
        return Err(Error::Spec(format!("there is no stream for: {action}")));
    };
    match action {
        Action::Create(_) => {}
        Action::Tag { tags, .. } => streams.tag(arn, tags).await?,
        Action::Untag(keys) => streams.untag(arn, keys).await?,
        Action::Retention { from, to } => streams.change_retention(arn, version, *from, *to).await?,
        Action::Update { update, .. } => streams.update(arn, version, update).await?,
        Action::Tier { to, .. } => streams.set_tier(arn, version, *to).await?,
        Action::Images { to, .. } => streams.set_images(arn, to.as_ref()).await?,
        Action::Notification { to, .. } => streams.set_notification(arn, to.as_ref()).await?,
        Action::Delete => streams.delete(arn, version).await?,
    }
    Ok(None)
}
