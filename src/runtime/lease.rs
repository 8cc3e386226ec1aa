//! One leader at a time, by a Lease of our own.
//!
//! Another's lease is taken over only after our own monotonic clock has seen no change of it for its whole length: wall clocks
//! of different nodes are never compared. Every write names the version that was read, so two can never both win. Who cannot
//! renew in time stops the process. What a leader that was cut off may still do is harmless: every AWS change is versioned or
//! repeatable, and all names are derived.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client, api::ObjectMeta, api::PostParams};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Error, Result, error::chain};
use crate::clock::AwsClock;

/// The Lease's name, in the process's own namespace.
pub const NAME: &str = "kvs-operator";
/// How long a leader that says nothing keeps the lease.
const LENGTH: Duration = Duration::from_secs(20);
/// How often the leader renews it, and the others look at it.
const EVERY: Duration = Duration::from_secs(4);
/// How long one attempt may take: several fit into `GIVE_UP`, so that one lost answer costs nothing.
const ATTEMPT: Duration = Duration::from_secs(3);
/// A leader whose last renewal began this long ago stops: before another may take over.
const GIVE_UP: Duration = Duration::from_secs(15);

/// What to do about the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// It is ours: renew it.
    Renew,
    /// Nobody holds it, or its holder has been silent for its whole length: take it.
    Take,
    /// Another holds it.
    Wait,
}

/// Decides. `unchanged` is for how long our own clock has seen no change of the lease.
fn decide(lease: &LeaseSpec, me: &str, unchanged: Duration) -> Decision {
    let length = lease
        .lease_duration_seconds
        .and_then(|s| u64::try_from(s).ok())
        .map_or(LENGTH, Duration::from_secs);
    match lease.holder_identity.as_deref() {
        None | Some("") => Decision::Take,
        Some(holder) if holder == me => Decision::Renew,
        Some(_) if unchanged >= length => Decision::Take,
        Some(_) => Decision::Wait,
    }
}

/// The lease's content once it is ours.
fn held(lease: &LeaseSpec, me: &str, now: Timestamp) -> LeaseSpec {
    let ours = lease.holder_identity.as_deref() == Some(me);
    LeaseSpec {
        holder_identity: Some(me.into()),
        lease_duration_seconds: i32::try_from(LENGTH.as_secs()).ok(),
        renew_time: Some(MicroTime(now)),
        acquire_time: if ours {
            lease.acquire_time.clone()
        } else {
            Some(MicroTime(now))
        },
        lease_transitions: Some(lease.lease_transitions.unwrap_or(0) + i32::from(!ours)),
        ..LeaseSpec::default()
    }
}

/// Our side of the lease.
pub struct Leadership {
    api: Api<Lease>,
    me: String,
    clock: AwsClock,
}

impl Leadership {
    /// For the lease in the client's own namespace.
    pub fn new(client: Client, clock: AwsClock) -> Self {
        // A pod's host name is its own name. The process id tells apart two processes of one machine; in a container that
        // starts again it is the same, and so the lease is ours still.
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "kvs-operator".into());
        Self {
            api: Api::default_namespaced(client),
            me: format!("{host}_{}", std::process::id()),
            clock,
        }
    }

    /// Waits until the lease is ours.
    pub async fn acquire(&self) {
        let mut seen: Option<(String, Instant)> = None;
        let mut said = false;
        loop {
            match tokio::time::timeout(ATTEMPT, self.attempt(&mut seen)).await {
                Ok(Ok(true)) => {
                    info!(me = self.me, "holding the lease");
                    return;
                }
                Ok(Ok(false)) if !said => {
                    said = true;
                    info!("standing by: another process holds the lease");
                }
                Ok(Ok(false)) => {}
                Ok(Err(e)) => warn!(error = chain(&e), "the lease could not be taken; trying again"),
                Err(_) => warn!("the Kubernetes API does not answer; trying again"),
            }
            self.clock.node().sleep(EVERY).await;
        }
    }

    /// Renews the lease for as long as that works; returns when it is lost.
    pub async fn hold(&self) {
        let mut renewed = Instant::now();
        let mut seen = None;
        loop {
            let attempt = async {
                self.clock.node().sleep(EVERY).await;
                let began = Instant::now();
                (
                    began,
                    tokio::time::timeout(ATTEMPT, self.attempt(&mut seen)).await,
                )
            };
            match tokio::time::timeout_at(renewed + GIVE_UP, attempt).await {
                Ok((began, Ok(Ok(true)))) => renewed = began,
                Ok((_, Ok(Ok(false)))) | Err(_) => return,
                Ok((_, Ok(Err(e)))) => {
                    warn!(error = chain(&e), "the lease could not be renewed; trying again")
                }
                Ok((_, Err(_))) => warn!("the lease could not be renewed in time; trying again"),
            }
        }
    }

    /// Gives the lease back, so that another need not wait for its end.
    pub async fn release(&self) {
        let released = async {
            let Some(mut lease) = self.read().await? else {
                return Ok(());
            };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(self.me.as_str()) {
                spec.holder_identity = None;
                self.write(&lease).await?;
            }
            Ok::<_, Error>(())
        };
        match tokio::time::timeout(ATTEMPT, released).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => warn!(
                error = chain(&e),
                "the lease could not be given back; it ends by itself"
            ),
            Err(_) => warn!("the lease could not be given back in time; it ends by itself"),
        }
    }

    /// Looks once and does what is to be done. `seen` is the version that was last seen, and since when.
    async fn attempt(&self, seen: &mut Option<(String, Instant)>) -> Result<bool> {
        let now = self.clock.node().now();
        let Some(lease) = self.read().await? else {
            let metadata = ObjectMeta {
                name: Some(NAME.into()),
                ..ObjectMeta::default()
            };
            let lease = Lease {
                metadata,
                spec: Some(held(&LeaseSpec::default(), &self.me, now)),
            };
            return won(
                self.api.create(&PostParams::default(), &lease).await,
                "making the Lease kvs-operator",
            );
        };
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let since = match seen {
            Some((last, since)) if *last == version => *since,
            _ => {
                let now = Instant::now();
                *seen = Some((version, now));
                now
            }
        };
        let spec = lease.spec.clone().unwrap_or_default();
        match decide(&spec, &self.me, since.elapsed()) {
            Decision::Wait => Ok(false),
            Decision::Renew | Decision::Take => {
                self.write(&Lease {
                    spec: Some(held(&spec, &self.me, now)),
                    ..lease
                })
                .await
            }
        }
    }

    async fn read(&self) -> Result<Option<Lease>> {
        self.api
            .get_opt(NAME)
            .await
            .map_err(Error::kube("reading the Lease kvs-operator"))
    }

    /// Writes over the version that was read.
    async fn write(&self, lease: &Lease) -> Result<bool> {
        won(
            self.api.replace(NAME, &PostParams::default(), lease).await,
            "writing the Lease kvs-operator",
        )
    }
}

/// Whether a write went through; a conflict means that another was quicker.
fn won(result: kube::Result<Lease>, doing: &str) -> Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
        Err(e) => Err(Error::kube(doing)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: Option<&str>) -> LeaseSpec {
        LeaseSpec {
            holder_identity: holder.map(Into::into),
            lease_duration_seconds: Some(20),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn anothers_lease_is_taken_only_after_its_whole_length_of_silence() {
        let seconds = Duration::from_secs;
        for (holder, unchanged, decision) in [
            (None, 0, Decision::Take),
            (Some(""), 0, Decision::Take),
            (Some("me"), 1000, Decision::Renew),
            (Some("other"), 0, Decision::Wait),
            (Some("other"), 19, Decision::Wait),
            (Some("other"), 20, Decision::Take),
        ] {
            assert_eq!(
                decide(&lease(holder), "me", seconds(unchanged)),
                decision,
                "{holder:?} {unchanged}"
            );
        }
        let long = LeaseSpec {
            lease_duration_seconds: Some(60),
            ..lease(Some("other"))
        };
        assert_eq!(
            decide(&long, "me", seconds(30)),
            Decision::Wait,
            "its own length counts"
        );
    }

    #[test]
    fn renewing_keeps_the_time_of_acquisition_and_taking_counts_a_transition() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let taken = held(&lease(Some("other")), "me", at(1));
        assert_eq!(
            (taken.lease_transitions, taken.acquire_time.clone()),
            (Some(1), Some(MicroTime(at(1))))
        );
        let renewed = held(&taken, "me", at(2));
        assert_eq!(
            (renewed.lease_transitions, renewed.acquire_time),
            (Some(1), Some(MicroTime(at(1))))
        );
        assert_eq!(renewed.renew_time, Some(MicroTime(at(2))));
    }

    #[test]
    fn a_leader_stops_before_another_may_take_over() {
        assert!(GIVE_UP < LENGTH && (EVERY + ATTEMPT) * 2 < GIVE_UP);
    }
}
