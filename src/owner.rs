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

/// Whom tags name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The one who asked.
    Ours,
    /// Nobody: there are no such tags, or only some, and none that speaks of another.
    Nobody,
    /// Another.
    Another(Owner),
}

impl Owner {
    /// Whom these tags name, seen from this owner.
    pub fn claim(&self, tags: &BTreeMap<String, String>) -> Claim {
        let parts = [
            (CLUSTER, &self.cluster),
            (NAMESPACE, &self.namespace),
            (NAME, &self.name),
        ];
        if parts.iter().all(|(key, ours)| tags.get(*key) == Some(*ours)) {
            Claim::Ours
        } else if parts
            .iter()
            .any(|(key, ours)| tags.get(*key).is_some_and(|theirs| theirs != *ours))
        {
            let part = |key| tags.get(key).cloned().unwrap_or_default();
            Claim::Another(Self {
                cluster: part(CLUSTER),
                namespace: part(NAMESPACE),
                name: part(NAME),
            })
        } else {
            Claim::Nobody
        }
    }

    /// The owner that these tags name, if they name one wholly.
    pub fn named(tags: &BTreeMap<String, String>) -> Option<Self> {
        Some(Self {
            cluster: tags.get(CLUSTER)?.clone(),
            namespace: tags.get(NAMESPACE)?.clone(),
            name: tags.get(NAME)?.clone(),
        })
    }

    /// The tags that name this owner. `uid` is that of the Kubernetes object.
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
        let other = Owner {
            name: "back-door".into(),
            ..owner.clone()
        };
        let mut tags = owner.tags("uid-1");
        assert_eq!(owner.claim(&tags), Claim::Ours);
        assert_eq!(other.claim(&tags), Claim::Another(owner.clone()));
        tags.extend(owner.tags("uid-2"));
        assert_eq!(owner.claim(&tags), Claim::Ours);
        tags.remove(NAMESPACE);
        assert_eq!(owner.claim(&tags), Claim::Nobody, "a lost tag is put back");
        assert!(matches!(other.claim(&tags), Claim::Another(_)));
        assert_eq!(
            owner.claim(&BTreeMap::from([("team".into(), "x".into())])),
            Claim::Nobody
        );
    }
}
