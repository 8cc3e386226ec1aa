//! Kinesis Video Streams.

use std::sync::Arc;

use crate::{
    http::{Body, Request, Response},
    world::World,
};

/// Kinesis Video Streams.
#[derive(Debug)]
pub struct Kvs {
    #[expect(dead_code, reason = "being built")]
    world: Arc<World>,
}

impl Kvs {
    /// The service, with what the data folder keeps of an earlier life.
    pub fn open(world: Arc<World>) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self { world }))
    }

    /// Answers a request.
    pub async fn handle(self: Arc<Self>, _request: Request) -> Response {
        let mut response = Response::new(Body::from("not built yet"));
        *response.status_mut() = axum::http::StatusCode::NOT_IMPLEMENTED;
        response
    }
}

impl Kvs {
    /// Whether a request is for this service: its operations have paths of their own.
    pub fn serves(method: &axum::http::Method, path: &str) -> bool {
        method == axum::http::Method::POST && ["/createStream"].contains(&path)
    }
}
