//! Writes to the Kubernetes API: status by server-side apply under one field manager, finalizers under the version that was
//! read.

use std::fmt::Debug;

use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{Context, Error, Result, metrics::Which};

/// Who owns the fields that the operator writes.
pub const FIELD_MANAGER: &str = "kvs-operator";

/// The parameters of every server-side apply: only fields that are ours are sent, so they are taken.
pub fn params() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force()
}

/// The API for objects of `object`'s kind in its namespace.
pub fn api<K>(context: &Context, object: &K) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default())
}

/// Writes the whole status where it differs from the one that the object has. An object that is gone is no error.
///
/// The object may be older than what the API server has; then its newer version comes by the watch, and the pass over that one
/// corrects what this one left.
///
/// # Errors
/// The API refused, or another object has the name by now.
pub async fn status<K, S>(
    context: &Context,
    controller: &'static str,
    object: &K,
    old: Option<&S>,
    new: &S,
) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    S: Serialize,
{
    // By what is written, not by what is held: written times have whole seconds or microseconds.
    let written = |status: &S| {
        serde_json::to_value(status).map_err(|e| Error::Spec(format!("a status that JSON cannot hold: {e}")))
    };
    if old.map(written).transpose()? == Some(written(new)?) {
        return Ok(());
    }
    // With the uid, a status never reaches another object that has got the name meanwhile.
    let metadata = json!({ "name": object.name_any(), "uid": object.meta().uid });
    apply_status(context, controller, object, metadata, new)
        .await
        .map(drop)
}

/// Writes the whole status over the version that was read and no other, and returns the object as it is then; `None`: it is
/// gone. For a status that decisions are made from: one that was computed from an older version must not undo a newer one.
///
/// # Errors
/// `Refused` with a conflict: the object has changed since; the next pass sees it.
pub async fn status_over<K, S>(
    context: &Context,
    controller: &'static str,
    object: &K,
    new: &S,
) -> Result<Option<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    S: Serialize,
{
    let (meta, name) = (object.meta(), object.name_any());
    let metadata = json!({ "name": name, "uid": meta.uid, "resourceVersion": meta.resource_version });
    apply_status(context, controller, object, metadata, new).await
}

async fn apply_status<K, S>(
    context: &Context,
    controller: &'static str,
    object: &K,
    metadata: serde_json::Value,
    new: &S,
) -> Result<Option<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    S: Serialize,
{
    let name = object.name_any();
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": metadata,
        "status": new,
    });
    match api(context, object)
        .patch_status(&name, &params(), &Patch::Apply(&body))
        .await
    {
        Ok(written) => {
            context
                .metrics
                .status_writes
                .get_or_create(&Which { controller })
                .inc();
            Ok(Some(written))
        }
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(e) => Err(Error::kube(format!(
            "writing the status of {} {name}",
            K::kind(&())
        ))(e)),
    }
}

/// Adds or removes a finalizer, and says whether that was needed. It is written only over the version that was read.
///
/// # Errors
/// `Refused` with a conflict: the object has changed since; the next pass sees it.
pub async fn finalizer<K>(context: &Context, object: &K, finalizer: &str, wanted: bool) -> Result<bool>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let there = object.finalizers().iter().any(|f| f == finalizer);
    if there == wanted {
        return Ok(false);
    }
    let name = object.name_any();
    let mut finalizers: Vec<&str> = object
        .finalizers()
        .iter()
        .map(String::as_str)
        .filter(|f| *f != finalizer)
        .collect();
    if wanted {
        finalizers.push(finalizer);
    }
    let body =
        json!({ "metadata": { "resourceVersion": object.resource_version(), "finalizers": finalizers } });
    match api(context, object)
        .patch(&name, &PatchParams::default(), &Patch::Merge(&body))
        .await
    {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if !wanted && status.is_not_found() => Ok(false),
        Err(e) => Err(Error::kube(format!(
            "setting the finalizer of {} {name}",
            K::kind(&())
        ))(e)),
    }
}
