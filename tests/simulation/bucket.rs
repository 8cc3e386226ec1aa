//! A bucket in memory. Objects are made once and never change.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use kvs_operator::{
    aws::{
        Kind, Result,
        objects::{Content, Creation, ListedObject, NewObject, Object, ObjectHead, Objects},
    },
    clock::AwsClock,
};

use super::world::{World, error, lock};

/// The bucket, for the judge.
pub type Shelf = Arc<Mutex<BTreeMap<String, Object>>>;

/// The bucket as one process sees it.
#[derive(Debug)]
pub struct Bucket {
    pub world: Arc<World>,
    pub shelf: Shelf,
    pub clock: AwsClock,
}

impl Bucket {
    async fn call<T>(
        &self,
        operation: &'static str,
        effect: impl FnOnce(&mut BTreeMap<String, Object>) -> T,
    ) -> Result<T> {
        let effect = || Ok(effect(&mut lock(&self.shelf)));
        self.world.call(operation, &self.clock, effect).await
    }
}

#[async_trait::async_trait]
impl Objects for Bucket {
    async fn create(&self, object: &NewObject) -> Result<Creation> {
        const OPERATION: &str = "s3:PutObject";
        let bytes = match &object.content {
            Content::Bytes(bytes) => bytes.clone(),
            Content::File(path, _) => Bytes::from(std::fs::read(path).unwrap()),
        };
        if self.world.bad_luck(100) {
            self.world.count("s3:PutObject: ConditionalRequestConflict");
            return Err(error(OPERATION, Kind::Busy));
        }
        let now = self.world.now();
        self.call(OPERATION, |shelf| {
            if shelf.contains_key(&object.key) {
                return Creation::Exists;
            }
            let head = ObjectHead {
                size: bytes.len() as u64,
                sha256: Some(object.sha256),
                metadata: object.metadata.clone(),
                last_modified: Some(now),
            };
            shelf.insert(object.key.clone(), Object { head, bytes });
            Creation::Created
        })
        .await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectHead>> {
        self.call("s3:HeadObject", |shelf| shelf.get(key).map(|o| o.head.clone()))
            .await
    }

    async fn get(&self, key: &str) -> Result<Option<Object>> {
        self.call("s3:GetObject", |shelf| shelf.get(key).cloned()).await
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<ListedObject>> {
        self.call("s3:ListObjectsV2", |shelf| {
            let from = shelf.range(prefix.to_owned()..);
            from.take_while(|(key, _)| key.starts_with(prefix))
                .filter(|(key, _)| key.as_str() > after)
                .map(|(key, object)| ListedObject {
                    key: key.clone(),
                    size: object.head.size,
                    last_modified: object.head.last_modified,
                })
                .collect()
        })
        .await
    }
}
