//! What the controllers share: settings and clients, errors and requeue, backoff, status writes, Events, metrics, the admin
//! server, the lease.
//!
//! Knows nothing about video, and none of the controllers.

pub mod apply;
pub mod backoff;
pub mod cache;
pub mod context;
pub mod controller;
pub mod error;
pub mod events;
pub mod lease;
pub mod metrics;
pub mod run;
pub mod server;
pub mod telemetry;

pub use cache::Cache;
pub use context::Context;
pub use controller::{Next, control};
pub use error::{Class, Error, Result};
pub use run::run;
