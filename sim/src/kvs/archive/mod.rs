//! What is kept of the footage, and how clients read it again.

pub mod clip;
pub mod fragment;
pub mod fragment_list;
pub mod get_clip;
pub mod get_media;
pub mod list_fragments;
mod live;
pub mod mp4;
pub mod store;
