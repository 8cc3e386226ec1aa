//! Listing a window: everything that KVS has in it, or an error; never a part that passes for the whole.
//!
//! May: list, and say which part of the window had already expired. May not: decide what is archived.

use jiff::{SignedDuration, Timestamp};

use super::{
    error::Result,
    loss::Circumstances,
    plan::{FRAGMENTS, LostSpan},
    request::TimestampType,
};
use crate::{
    aws::{Fragment, Kind, StreamArn, footage::Footage},
    clock::AwsClock,
};

/// How much is listed in one go: what bounds memory where footage is dense.
const PART: SignedDuration = SignedDuration::from_hours(1);

/// A listing that begins right at the edge of retention may come back empty, or be refused (both seen by users of KVS); a
/// minute later the edge is behind.
const EDGE: SignedDuration = SignedDuration::from_mins(1);

/// What is in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Its fragments, in no order, each once.
    pub fragments: Vec<Fragment>,
    /// Where the listing stopped: at the window's end, or before it with more than 20,000 fragments.
    pub through: Timestamp,
    /// What retention took before it could be listed.
    pub lost: Option<LostSpan>,
}

/// Lists a window in parts, until its end or until there are more fragments than a piece of work may have.
pub async fn window(
    footage: &dyn Footage,
    clock: &AwsClock,
    stream: &StreamArn,
    by: TimestampType,
    (from, to): (Timestamp, Timestamp),
    mut circumstances: Circumstances,
) -> Result<Listing> {
    let created = i64::try_from(stream.creation_millis())
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let created = created
        .filter(|_| by == TimestampType::ServerTimestamp)
        .unwrap_or(Timestamp::MIN);
    let mut listing = Listing {
        through: to,
        ..Listing::default()
    };
    let mut expired = circumstances.horizon().min(to);
    // In producer time footage may have come late: what is there is there, whatever its time.
    let mut at = from.max(created);
    if by == TimestampType::ServerTimestamp {
        at = at.max(expired);
    }
    while at < to {
        let end = at.checked_add(PART).unwrap_or(to).min(to);
        let found = match footage.list(stream, by, at, end).await {
            Ok(found) if found.is_empty() && at <= expired && expired < end => {
                let later = at.checked_add(EDGE).unwrap_or(end).min(end);
                footage.list(stream, by, later, end).await?
            }
            Err(e) if e.kind == Kind::Invalid && by == TimestampType::ServerTimestamp => {
                circumstances.now = clock.now().unwrap_or(circumstances.now);
                let edge = circumstances.horizon().checked_add(EDGE).unwrap_or(to);
                if edge <= at {
                    return Err(e.into());
                }
                expired = edge.min(end);
                if expired == end {
                    Vec::new()
                } else {
                    footage.list(stream, by, expired, end).await?
                }
            }
            other => other?,
        };
        listing.fragments.extend(found);
        at = end;
        if listing.fragments.len() > FRAGMENTS {
            listing.through = end;
            break;
        }
    }
    let begin = from.max(created);
    if begin < expired {
        listing.lost = Some(LostSpan {
            from: begin,
            to: expired,
            reason: circumstances.expired(),
        });
    }
    Ok(listing)
}
