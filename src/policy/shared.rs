//! What all passes of this controller share, for as long as the process lives. Losing it costs a few reads.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{alarms::Watch, caches::Caches, runtime::Context};

/// The least time between two passes over a policy, however much happens to its streams.
const SPACING: Duration = Duration::from_secs(1);

/// What all passes share.
#[derive(Debug)]
pub struct Shared {
    /// The VideoStreams and Recordings.
    pub caches: Arc<Caches>,
    /// What CloudWatch says.
    pub watch: Watch,
    /// By namespace and name of a policy.
    policies: Mutex<HashMap<(String, String), Policy>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Policy {
    /// The newest version of a Recording that its passes have written.
    written: u64,
    /// When its last pass began.
    began: Option<Duration>,
}

impl Shared {
    /// Nothing has been learnt yet.
    pub fn new(context: &Context, caches: Arc<Caches>) -> Self {
        let config = &context.config;
        let interval = Duration::from_secs(config.sweep_interval.secs());
        Self {
            caches,
            watch: Watch::new(
                format!("{}/", config.alarm_prefix),
                interval,
                context.clock.clone(),
            ),
            policies: Mutex::default(),
        }
    }

    fn policy<T>(&self, namespace: &str, name: &str, with: impl FnOnce(&mut Policy) -> T) -> T {
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        with(
            policies
                .entry((namespace.to_owned(), name.to_owned()))
                .or_default(),
        )
    }

    /// The newest version of a Recording that the policy's passes have written.
    pub fn written(&self, namespace: &str, name: &str) -> u64 {
        self.policy(namespace, name, |policy| policy.written)
    }

    /// A pass has written a Recording, which is of this version now.
    pub fn wrote(&self, namespace: &str, name: &str, version: u64) {
        self.policy(namespace, name, |policy| {
            policy.written = policy.written.max(version)
        });
    }

    /// A pass wants to begin; if it is too soon after the one before, how long to wait.
    ///
    /// # Errors
    /// It is too soon.
    pub fn begin(&self, namespace: &str, name: &str, now: Duration) -> Result<(), Duration> {
        self.policy(namespace, name, |policy| {
            let since = policy.began.map(|began| now.saturating_sub(began));
            match since.and_then(|since| SPACING.checked_sub(since)) {
                Some(left) if !left.is_zero() => Err(left),
                _ => {
                    policy.began = Some(now);
                    Ok(())
                }
            }
        })
    }

    /// The policy is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        policies.remove(&(namespace.to_owned(), name.to_owned()));
    }
}
