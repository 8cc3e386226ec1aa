//! What is kept of the footage, and how clients read it again.

pub mod fragment;
pub mod fragment_list;
pub mod list_fragments;
pub mod store;
