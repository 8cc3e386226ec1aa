//! Under which of kvs-sim's profiles a test runs: `make check` runs each under both.

use kvs_sim::behaviour::Behaviour;

/// kvs-sim's answers to what AWS leaves open: those of the profile that `KVS_SIM_PROFILE` names, as for `kvs-sim serve`.
pub fn behaviour() -> Behaviour {
    let name = std::env::var("KVS_SIM_PROFILE").unwrap_or_else(|_| "aws".into());
    Behaviour::profile(&name).unwrap_or_else(|| panic!("KVS_SIM_PROFILE is aws or hostile, not {name}"))
}
