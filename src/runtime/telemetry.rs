//! Logs: JSON lines on standard error, plain lines on a terminal. RUST_LOG chooses what.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging. A second call changes nothing.
pub fn start() {
    let filter = EnvFilter::try_from_default_env()
        // kube logs every failed request by itself; we log each failure once, with what was being done.
        .unwrap_or_else(|_| EnvFilter::new("info,kube_client=off,kube_runtime=warn,aws_config=warn"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // It fails only where logging has started already.
    let _ = if std::io::stderr().is_terminal() {
        logs.compact().try_init()
    } else {
        logs.json().flatten_event(true).try_init()
    };
}
