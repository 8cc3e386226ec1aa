//! What is still to be asked for of one chunk's fragments, in which calls, and what has arrived.
//!
//! Pure. Here is decided how much is asked for at once.

use std::collections::{BTreeMap, VecDeque};

use super::{
    super::{manifest::Unread, media},
    Delivery,
};
use crate::aws::{Fragment, FragmentNumber};

/// The most bytes, as listed, that are asked for in one call: what a broken body costs.
const CALL_BYTES: u64 = 64 << 20;

/// What is asked for in one call.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) fragments: Vec<&'a Fragment>,
    pub(super) tries: u32,
    /// Another fragment, asked for behind the one that matters: where KVS goes on with it, that one is whole.
    pub(super) companion: Option<&'a Fragment>,
}

/// The fragments of one chunk, while they are fetched.
#[derive(Debug)]
pub(super) struct Round<'a> {
    pub(super) wanted: &'a [Fragment],
    pub(super) arrived: BTreeMap<&'a FragmentNumber, Delivery>,
    pub(super) queue: VecDeque<Batch<'a>>,
    /// What a fragment that could not be parsed looked like.
    pub(super) unparsed: BTreeMap<&'a FragmentNumber, [u8; 32]>,
}

impl<'a> Batch<'a> {
    pub(super) fn alone(fragment: &'a Fragment, tries: u32) -> Self {
        Self {
            fragments: vec![fragment],
            tries,
            companion: None,
        }
    }

    /// Which of the fragments this is. One without a number is the one that was asked for alone.
    pub(super) fn place(&self, found: &media::Fragment) -> Option<usize> {
        match &found.number {
            Some(number) => self.fragments.iter().position(|f| f.number.as_str() == number),
            None => (self.fragments.len() == 1 && self.companion.is_none()).then_some(0),
        }
    }
}

impl<'a> Round<'a> {
    /// A round for these, at most `burst` in one call; some were read before.
    pub(super) fn new(
        wanted: &'a [Fragment],
        read_before: Vec<(&'a Fragment, media::Fragment)>,
        burst: usize,
    ) -> Self {
        let whole =
            |(fragment, media): (&'a Fragment, _)| (&fragment.number, Delivery::Whole(Box::new(media)));
        let arrived: BTreeMap<_, _> = read_before.into_iter().map(whole).collect();
        let open = wanted.iter().filter(|f| !arrived.contains_key(&f.number));
        Self {
            wanted,
            queue: batches(open, burst),
            arrived,
            unparsed: BTreeMap::new(),
        }
    }

    /// How each of the wanted fragments arrived, in their order.
    pub(super) fn over(self) -> Vec<Delivery> {
        let Self {
            wanted, mut arrived, ..
        } = self;
        let of = |f: &'a Fragment| {
            let delivery = arrived.remove(&f.number);
            delivery.unwrap_or_else(|| unread("it was never asked for"))
        };
        wanted.iter().map(of).collect()
    }

    pub(super) fn unread(&mut self, fragment: &'a Fragment, reason: impl ToString) {
        self.arrived.insert(&fragment.number, unread(reason));
    }

    pub(super) fn denied(&mut self, fragment: &'a Fragment, reason: String) {
        self.arrived.insert(
            &fragment.number,
            Delivery::Unread(Unread { reason, denied: true }),
        );
    }

    pub(super) fn split(&mut self, mut batch: Batch<'a>) {
        let second = batch.fragments.split_off(batch.fragments.len() / 2);
        for fragments in [second, batch.fragments] {
            self.queue.push_front(Batch {
                fragments,
                tries: 0,
                companion: None,
            });
        }
    }

    /// The fragment after this one, or before it.
    pub(super) fn companion(&self, fragment: &Fragment) -> Option<&'a Fragment> {
        let at = self.wanted.iter().position(|f| f.number == fragment.number)?;
        self.wanted
            .get(at + 1)
            .or_else(|| self.wanted.get(at.checked_sub(1)?))
    }
}

fn batches<'a>(wanted: impl Iterator<Item = &'a Fragment>, burst: usize) -> VecDeque<Batch<'a>> {
    let mut batches: VecDeque<Batch<'_>> = VecDeque::new();
    let mut bytes = 0;
    for fragment in wanted {
        match batches.back_mut() {
            Some(batch)
                if batch.fragments.len() < burst.min(1000) && bytes + fragment.bytes <= CALL_BYTES =>
            {
                bytes += fragment.bytes;
                batch.fragments.push(fragment);
            }
            _ => {
                bytes = fragment.bytes;
                batches.push_back(Batch::alone(fragment, 0));
            }
        }
    }
    batches
}

fn unread(reason: impl ToString) -> Delivery {
    Delivery::Unread(Unread {
        reason: reason.to_string(),
        denied: false,
    })
}
