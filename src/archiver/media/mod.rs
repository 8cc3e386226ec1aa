//! Footage as bytes: Matroska fragments in, MP4 or Matroska files out.
//!
//! Pure over bytes: no network, no clock, no async. The same fragments give the same file. What KVS answers to
//! `GetMediaForFragmentList` lies in a spool file; frames are ranges of it, so that memory stays small whatever the footage.
//!
//! The way of a chunk: [`FragmentReader`] finds the fragments in the body as it arrives, [`Fragment::check`] says whether each
//! is whole, [`Format::of`] what a file must agree in and [`Format::join`] how far one file goes (a change begins a new part),
//! [`Format::write`] writes it.

mod adts;
mod bits;
mod block;
mod codec;
mod element;
mod error;
mod format;
mod fragment;
mod joined;
mod metadata;
mod mkv;
mod mp4;
mod mp4_reader;
mod nal;
mod parameter_sets;
mod reader;
mod recorded;
mod spool;
#[cfg(test)]
mod testing;
mod timing;
mod verify;

pub use error::MediaError;
pub use format::{FILE_FRAMES, FileKind, Format, Written};
pub use fragment::{Ending, Fragment, Frame, InBandError, Incomplete, Listed, Track, TrackKind};
pub use joined::{Changed, Joined};
pub use reader::FragmentReader;
pub use recorded::{lay_out, read_file};
pub use spool::Spool;
pub use verify::verify;
