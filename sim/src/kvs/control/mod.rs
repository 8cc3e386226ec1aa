//! The control plane: one file for a kind of operation. Each reads, checks, changes and answers; states over time are
//! [`super::streams`]'.

pub mod configuration;
pub mod create;
pub mod delete;
pub mod describe;
pub mod endpoint;
pub mod list;
pub mod tags;
pub mod update;

use super::{
    Call,
    error::{ApiError, ApiResult},
    streams::{Status, Stream, StreamRef, new_version},
};

/// Changes a stream that must be ACTIVE and at the version that the client has read; it is UPDATING then for a while, with
/// another version.
fn change(
    call: &Call<'_>,
    which: &StreamRef,
    version: Option<&str>,
    edit: impl FnOnce(&mut Stream) -> ApiResult<()>,
) -> ApiResult<Stream> {
    let now = call.kvs.now();
    let mut streams = call.kvs.streams();
    let mut stream = streams.find(call.region, which, now)?.stream;
    active(&stream, now)?;
    if version.is_some_and(|version| version != stream.version) {
        return Err(ApiError::version_mismatch());
    }
    edit(&mut stream)?;
    stream.version = new_version();
    stream.status = Status::Updating;
    stream.until = now.saturating_add(transition(call));
    streams.update(stream.clone())?;
    Ok(stream)
}

/// Changes what belongs to a stream but not to its version: tags and the configurations beside it.
fn annotate(
    call: &Call<'_>,
    which: &StreamRef,
    edit: impl FnOnce(&mut Stream) -> ApiResult<()>,
) -> ApiResult<()> {
    let mut streams = call.kvs.streams();
    let mut stream = streams.find(call.region, which, call.kvs.now())?.stream;
    edit(&mut stream)?;
    streams.update(stream)
}

fn active(stream: &Stream, now: i64) -> ApiResult<()> {
    match stream.status_at(now) {
        Some(Status::Active) => Ok(()),
        _ => Err(ApiError::in_use(
            "The stream is not in ACTIVE status. Wait until it is, then try again.",
        )),
    }
}

/// How long a state that passes lasts, in ms.
fn transition(call: &Call<'_>) -> i64 {
    i64::try_from(call.kvs.world.settings.transition.as_millis()).unwrap_or(i64::MAX)
}
