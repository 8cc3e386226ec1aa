//! S3.

use std::sync::Arc;

use crate::{
    http::{Body, Request, Response},
    world::World,
};

/// S3.
#[derive(Debug)]
pub struct S3 {
    #[expect(dead_code, reason = "being built")]
    world: Arc<World>,
}

impl S3 {
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
