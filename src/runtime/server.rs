//! The admin server: /livez, /readyz and /metrics. It has no secrets and changes nothing.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Context, metrics::Metrics};

/// What the process still waits for before it can work. One that stands by for the lease is ready too: it waits for nothing.
#[derive(Debug, Default)]
pub struct Readiness {
    waiting: Mutex<BTreeSet<&'static str>>,
}

impl Readiness {
    /// From now on not ready, until this has arrived.
    pub fn wait_for(&self, what: &'static str) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(what);
    }

    /// This has arrived.
    pub fn arrived(&self, what: &'static str) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(what);
    }

    /// What is still waited for.
    pub fn waiting(&self) -> Vec<&'static str> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .copied()
            .collect()
    }
}

#[derive(Clone)]
struct Admin {
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
}

/// Serves until the process is to stop.
///
/// # Errors
/// The listener failed.
pub async fn serve(listener: TcpListener, context: &Context, stop: CancellationToken) -> std::io::Result<()> {
    let admin = Admin {
        readiness: context.readiness.clone(),
        metrics: context.metrics.clone(),
    };
    axum::serve(listener, router(admin))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let waiting = admin.readiness.waiting();
    if waiting.is_empty() {
        return "ok\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("waiting for: {}\n", waiting.join(", ")),
    )
        .into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match admin.metrics.text() {
        Ok(text) => {
            let type_ = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, type_)], text).into_response()
        }
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Calls;

    #[tokio::test]
    async fn not_ready_says_what_it_waits_for() {
        let admin = Admin {
            readiness: Arc::default(),
            metrics: Arc::new(Metrics::new(&Calls::default())),
        };
        assert_eq!(readyz(State(admin.clone())).await.status(), StatusCode::OK);
        admin.readiness.wait_for("videostream");
        let answer = readyz(State(admin.clone())).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = axum::body::to_bytes(answer.into_body(), 1024).await.unwrap();
        assert_eq!(&body[..], b"waiting for: videostream\n");
        admin.readiness.arrived("videostream");
        assert_eq!(readyz(State(admin)).await.status(), StatusCode::OK);
    }
}
