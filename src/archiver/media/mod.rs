//! Footage as bytes: Matroska fragments in, MP4 or Matroska files out.
//!
//! Pure over bytes: no network, no clock, no async. The same fragments give the same file. What KVS answers to
//! `GetMediaForFragmentList` lies in a spool file; frames are ranges of it, so that memory stays small whatever the footage.
//!
//! The way of a chunk: [`FragmentReader`] finds the fragments in the body as it arrives, [`Fragment::check`] says whether each
//! is whole, [`Format::of`] what a file must agree in (a change begins a new part).

mod block;
mod element;
mod error;
mod fragment;
mod metadata;
mod reader;
#[cfg(test)]
mod testing;

pub use error::MediaError;
pub use fragment::{Ending, Fragment, Frame, InBandError, Incomplete, Listed, Track, TrackKind};
pub use reader::FragmentReader;
