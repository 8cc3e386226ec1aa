//! The alarm watcher: what CloudWatch says of alarms comes in, episodes go out.
//!
//! History entries name episodes; an alarm's present state (its level) says when to look, and stands in where an entry is
//! missing.

pub mod episodes;
pub mod history;
pub mod recent;
pub mod tags;
pub mod watch;

pub use episodes::{Episode, Found, Level, episodes};
pub use history::Transition;
pub use watch::{Need, Watch};
