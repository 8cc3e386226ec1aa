//! Who an AWS object belongs to, as its tags say. Pure.
//!
//! The owner is cluster, namespace and name: an object made anew under the same name, in a rebuilt cluster with the same id,
//! is the same owner. The uid is information, and renewed.

use std::{collections::BTreeMap, fmt};

/// What the keys of our own tags begin with; users cannot set such tags.
pub const PREFIX: &str = "kvs-operator.io/";
const CLUSTER: &str = "kvs-operator.io/cluster";
const NAMESPACE: &str = "kvs-operator.io/namespace";
const NAME: &str = "kvs-operator.io/name";
const UID: &str = "kvs-operator.io/uid";

/// The Kubernetes object that an AWS object belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The cluster's id.
    pub cluster: String,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl Owner {
    /// The owner that these tags name. `None`: they name none.
    pub fn of(tags: &BTreeMap<String, String>) -> Option<Self> {
        let part = |key| tags.get(key).cloned();
        let owner = (part(CLUSTER), part(NAMESPACE), part(NAME));
        // A stream that lost one of the tags still has an owner: better an owner with an empty name than none.
        (owner != (None, None, None)).then(|| Self {
            cluster: owner.0.unwrap_or_default(),
            namespace: owner.1.unwrap_or_default(),
            name: owner.2.unwrap_or_default(),
        })
    }

    /// The tags that say so. `uid` is that of the Kubernetes object.
    pub fn tags(&self, uid: &str) -> BTreeMap<String, String> {
        BTreeMap::from([
            (CLUSTER.into(), self.cluster.clone()),
            (NAMESPACE.into(), self.namespace.clone()),
            (NAME.into(), self.name.clone()),
            (UID.into(), uid.into()),
        ])
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} of cluster {}", self.namespace, self.name, self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_their_owner_whatever_the_uid() {
        let owner = Owner {
            cluster: "c".into(),
            namespace: "n".into(),
            name: "front-door".into(),
        };
        let mut tags = owner.tags("uid-1");
        assert_eq!(Owner::of(&tags), Some(owner.clone()));
        tags.extend(owner.tags("uid-2"));
        assert_eq!(Owner::of(&tags), Some(owner.clone()));
        tags.remove(NAME);
        assert!(
            Owner::of(&tags).is_some_and(|other| other != owner),
            "half an owner is another owner"
        );
        assert_eq!(Owner::of(&BTreeMap::from([("team".into(), "x".into())])), None);
    }
}
