//! Media that a sweep read when it looked whether unread fragments can be read now: archived from here, not paid for again.

use std::{collections::BTreeMap, ops::Range};

use super::{
    super::{
        error::Result,
        media::{self, FragmentReader, Spool},
        spool::Body,
    },
    Delivery, listed,
};
use crate::aws::{Fragment, FragmentNumber};

/// The most bytes that are kept.
const BYTES: u64 = 256 << 20;

/// How much is read at once.
const WINDOW: u64 = 64 << 10;

/// Whole fragments in the spool.
#[derive(Debug)]
pub struct Kept {
    body: Body,
    places: BTreeMap<FragmentNumber, Range<u64>>,
}

impl Kept {
    /// Nothing yet.
    pub fn new(body: Body) -> Self {
        Self {
            body,
            places: BTreeMap::new(),
        }
    }

    /// Where to fetch to.
    pub fn body(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Keeps what came whole of what was fetched behind `begin`; what is too much goes, and is asked for again.
    pub fn keep<'a>(
        &mut self,
        begin: u64,
        came: impl Iterator<Item = (&'a Fragment, &'a Delivery)>,
    ) -> Result<()> {
        if self.body.len() > BYTES {
            return self.body.truncate(begin);
        }
        for (fragment, delivery) in came {
            if let Delivery::Whole(media) = delivery {
                self.places.insert(fragment.number.clone(), media.bytes.clone());
            }
        }
        Ok(())
    }

    /// Copies a fragment behind `body`, if it is here, and checks it as if it came just now.
    pub(super) fn take(&self, fragment: &Fragment, body: &mut Body) -> Result<Option<media::Fragment>> {
        let Some(place) = self.places.get(&fragment.number) else {
            return Ok(None);
        };
        let begin = body.len();
        let (mut reader, mut found, mut at) = (FragmentReader::new(begin), Vec::new(), place.start);
        let mut buffer = vec![0; WINDOW as usize];
        while at < place.end {
            let piece = &mut buffer[..WINDOW.min(place.end - at) as usize];
            self.body
                .file()
                .read_at(at, piece)
                .map_err(media::MediaError::from)?;
            body.append(piece)?;
            reader.push(piece, &mut found)?;
            at += piece.len() as u64;
        }
        found.extend(reader.finish()?);
        let whole = found
            .pop()
            .filter(|f| found.is_empty() && f.check(Some(listed(fragment))).is_ok());
        if whole.is_none() {
            body.truncate(begin)?;
        }
        Ok(whole)
    }
}
