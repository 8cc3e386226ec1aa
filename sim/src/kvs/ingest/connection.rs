//! The one connection that a stream has.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::Notify;

use crate::{
    behaviour::SecondConnection,
    kvs::{
        Kvs,
        error::{ApiError, ApiResult},
    },
};

/// The streams (by ARN) that a PutMedia is connected to, and how that connection is told that another took its place.
pub type Connected = HashMap<String, Arc<Notify>>;

/// The one connection that a stream may have.
pub struct Connection {
    kvs: Arc<Kvs>,
    arn: String,
    replaced: Arc<Notify>,
}

impl Connection {
    /// Connects; where another is connected, it goes or stays as the switch says.
    pub fn open(kvs: &Arc<Kvs>, arn: &str) -> ApiResult<Self> {
        let mut connected = kvs.connected.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(first) = connected.get(arn) {
            match kvs.world.behaviour().second_connection {
                SecondConnection::Refused => {
                    return Err(ApiError::too_many_connections(
                        "Another PutMedia is connected to the stream.",
                    ));
                }
                SecondConnection::Replaces => first.notify_one(),
            }
        }
        let replaced = Arc::new(Notify::new());
        connected.insert(arn.to_owned(), replaced.clone());
        Ok(Self {
            kvs: kvs.clone(),
            arn: arn.to_owned(),
            replaced,
        })
    }

    /// Ready when another took its place.
    pub fn replaced(&self) -> Arc<Notify> {
        self.replaced.clone()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut connected = self.kvs.connected.lock().unwrap_or_else(|e| e.into_inner());
        if connected
            .get(&self.arn)
            .is_some_and(|own| Arc::ptr_eq(own, &self.replaced))
        {
            connected.remove(&self.arn);
        }
    }
}
