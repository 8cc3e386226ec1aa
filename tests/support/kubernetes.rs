//! A Kubernetes API in memory: objects by path, with resource versions, generations, finalizers, merge patches and server-side
//! apply as far as one field manager uses it. It knows no schema: real rules are tested on a real API server.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::http::{Method, Request, Response, header::CONTENT_TYPE};
use kube::{Client, client::Body};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// The collections that tests look into.
pub const STREAMS: &str = "kvs-operator.io/v1alpha1/videostreams";
pub const POLICIES: &str = "kvs-operator.io/v1alpha1/archivepolicies";
pub const RECORDINGS: &str = "kvs-operator.io/v1alpha1/recordings";
pub const JOBS: &str = "batch/v1/jobs";
pub const PODS: &str = "v1/pods";

/// What a simulation puts around the API. Without one the API answers at once, always, and time stands still in it.
#[async_trait::async_trait]
pub trait Weather: Send + Sync {
    /// A request is on its way: waits as long as that takes. `Some`: it never arrives, and this is the answer.
    async fn way_there(&self, method: &Method, collection: &str, name: &str) -> Option<Refusal>;
    /// An answer is on its way back. `Some`: it is lost, and this is what comes instead.
    async fn way_back(&self, method: &Method, collection: &str, name: &str) -> Option<Refusal>;
    /// The time that objects get.
    fn now(&self) -> String;
    /// An object was made, changed or removed (`after` is absent).
    fn changed(&self, collection: &str, before: Option<&Value>, after: Option<&Value>);
}

/// A status code and its reason.
pub type Refusal = (u16, &'static str);

/// The API's state.
#[derive(Clone, Default)]
pub struct Kubernetes {
    state: Arc<Mutex<State>>,
    weather: Option<Arc<dyn Weather>>,
}

#[derive(Default)]
struct State {
    /// By collection (such as `kvs-operator.io/v1alpha1/videostreams`), namespace and name.
    objects: BTreeMap<(String, String, String), Value>,
    version: u64,
    writes: u64,
    /// What creating in a collection is refused with.
    refused: BTreeMap<String, String>,
    weather: Option<Arc<dyn Weather>>,
}

/// What a request is for.
struct Target {
    collection: String,
    namespace: String,
    name: String,
    status: bool,
}

impl Target {
    fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            _ => return None,
        };
        let target = |namespace: &str, plural: &str, name: &str, status| Self {
            collection: format!("{group}/{plural}"),
            namespace: namespace.into(),
            name: name.into(),
            status,
        };
        Some(match rest {
            ["namespaces", name] => target("", "namespaces", name, false),
            ["namespaces", namespace, plural] => target(namespace, plural, "", false),
            ["namespaces", namespace, plural, name] => target(namespace, plural, name, false),
            ["namespaces", namespace, plural, name, "status"] => target(namespace, plural, name, true),
            [plural] => target("", plural, "", false),
            _ => return None,
        })
    }

    fn key(&self) -> (String, String, String) {
        (self.collection.clone(), self.namespace.clone(), self.name.clone())
    }
}

/// Labels and fields that a list asks for; only equality.
struct Selector {
    labels: Vec<(String, String)>,
    fields: Vec<(String, String)>,
}

impl Selector {
    fn of(query: &str) -> Self {
        let parameter = |name: &str| -> Vec<(String, String)> {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let value = pairs
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value)
                .next()
                .unwrap_or_default();
            let value = value.replace("%2F", "/").replace("%3D", "=").replace("%2C", ",");
            value
                .split(',')
                .filter_map(|one| one.split_once('='))
                .map(|(k, v)| (k.into(), v.into()))
                .collect()
        };
        Self {
            labels: parameter("labelSelector"),
            fields: parameter("fieldSelector"),
        }
    }

    fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels
            .iter()
            .all(|(key, value)| labels[key.as_str()] == **value)
            && self.fields.iter().all(|(path, value)| {
                let field = path.split('.').fold(object, |at, part| &at[part]);
                *field == **value
            })
    }
}

type Answer = Result<Value, (u16, &'static str)>;

const NOT_FOUND: (u16, &str) = (404, "NotFound");
const CONFLICT: (u16, &str) = (409, "Conflict");
const EXISTS: (u16, &str) = (409, "AlreadyExists");

impl Kubernetes {
    /// An API in this weather.
    pub fn under(weather: Arc<dyn Weather>) -> Self {
        let state = State {
            weather: Some(weather.clone()),
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            weather: Some(weather),
        }
    }

    /// A client of this API.
    pub fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let body: Value = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).unwrap()
        };
        let kind = head
            .headers
            .get(CONTENT_TYPE)
            .map(|v| v.to_str().unwrap().to_owned());
        let query = head.uri.query().unwrap_or_default();
        assert!(
            !query.contains("watch="),
            "nothing is watched here: tests call passes themselves"
        );
        let target = Target::of(head.uri.path()).unwrap_or_else(|| panic!("no such path: {}", head.uri));
        let selector = Selector::of(query);
        let mut lost = None;
        if let Some(weather) = &self.weather {
            lost = weather
                .way_there(&head.method, &target.collection, &target.name)
                .await;
        }
        let answer = match lost {
            Some(refusal) => Err(refusal),
            None => {
                let served =
                    self.state
                        .lock()
                        .unwrap()
                        .serve(&head.method, &target, &selector, kind.as_deref(), body);
                let mut lost = None;
                if let Some(weather) = &self.weather {
                    lost = weather
                        .way_back(&head.method, &target.collection, &target.name)
                        .await;
                }
                lost.map_or(served, Err)
            }
        };
        let (code, body) = match answer {
            Ok(body) => (200, body),
            Err((code, reason)) => {
                let state = self.state.lock().unwrap();
                let refused = state.refused.get(&target.collection).filter(|_| code == 403);
                let told = || format!("{} \"{}\": {reason}", target.collection, target.name);
                let message = refused.cloned().unwrap_or_else(told);
                (
                    code,
                    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                               "reason": reason, "message": message }),
                )
            }
        };
        Response::builder()
            .status(code)
            .body(Body::from(serde_json::to_vec(&body).unwrap()))
            .unwrap()
    }

    /// An object that a user makes, as the API server then has it.
    pub fn create(&self, plural: &str, object: Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let target = Target {
            collection: format!("{}/{plural}", text(&object["apiVersion"])),
            namespace: text(&object["metadata"]["namespace"]),
            name: String::new(),
            status: false,
        };
        self.state.lock().unwrap().create(&target, object).unwrap();
    }

    /// An object that a user changes, by a merge patch.
    pub fn change(&self, collection: &str, namespace: &str, name: &str, patch: Value) {
        let target = Target {
            collection: collection.into(),
            namespace: namespace.into(),
            name: name.into(),
            status: false,
        };
        self.state.lock().unwrap().patch(&target, patch).unwrap();
    }

    /// An object that a user deletes.
    pub fn delete(&self, collection: &str, namespace: &str, name: &str) {
        let target = Target {
            collection: collection.into(),
            namespace: namespace.into(),
            name: name.into(),
            status: false,
        };
        self.state.lock().unwrap().delete(&target).unwrap();
    }

    /// From now on nothing can be made in a collection; `None`: it can again.
    pub fn refuse(&self, collection: &str, message: Option<&str>) {
        let refused = &mut self.state.lock().unwrap().refused;
        match message {
            Some(message) => refused.insert(collection.into(), message.into()),
            None => refused.remove(collection),
        };
    }

    /// All objects of a collection.
    pub fn all<K: DeserializeOwned>(&self, collection: &str) -> Vec<K> {
        let state = self.state.lock().unwrap();
        let of = state.objects.iter().filter(|(key, _)| key.0 == collection);
        of.map(|(_, object)| serde_json::from_value(object.clone()).unwrap())
            .collect()
    }

    /// An object as it is.
    pub fn get<K: DeserializeOwned>(&self, collection: &str, namespace: &str, name: &str) -> Option<K> {
        let key = (collection.to_owned(), namespace.to_owned(), name.to_owned());
        let object = self.state.lock().unwrap().objects.get(&key).cloned();
        object.map(|object| serde_json::from_value(object).unwrap())
    }

    /// Reason and note of every Event so far, oldest first.
    pub fn events(&self) -> Vec<(String, String)> {
        let state = self.state.lock().unwrap();
        let mut events: Vec<_> = state
            .objects
            .iter()
            .filter(|(key, _)| key.0.ends_with("/events"))
            .collect();
        events.sort_by_key(|(_, event)| {
            event["metadata"]["resourceVersion"]
                .as_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        });
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        events
            .iter()
            .map(|(_, event)| (text(&event["reason"]), text(&event["note"])))
            .collect()
    }

    /// How often anything but an Event was written.
    pub fn writes(&self) -> u64 {
        self.state.lock().unwrap().writes
    }
}

impl State {
    fn serve(
        &mut self,
        method: &Method,
        target: &Target,
        selector: &Selector,
        kind: Option<&str>,
        body: Value,
    ) -> Answer {
        if *method != Method::GET && !target.collection.ends_with("/events") {
            self.writes += 1;
        }
        match (method.as_str(), target.name.is_empty()) {
            ("GET", true) => Ok(self.list(target, selector)),
            ("GET", false) => self.objects.get(&target.key()).cloned().ok_or(NOT_FOUND),
            ("POST", true) if self.refused.contains_key(&target.collection) => Err((403, "Forbidden")),
            ("POST", true) => self.create(target, body),
            ("PUT", false) => self.replace(target, body),
            ("DELETE", false) => self.delete_if(target, &body["preconditions"]),
            ("PATCH", false) => match kind {
                Some("application/apply-patch+yaml") => self.apply(target, body),
                _ => self.patch(target, body),
            },
            _ => panic!("{method} is not served here"),
        }
    }

    fn list(&self, target: &Target, selector: &Selector) -> Value {
        let items: Vec<_> = self
            .objects
            .iter()
            .filter(|((collection, namespace, _), _)| {
                *collection == target.collection
                    && (target.namespace.is_empty() || *namespace == target.namespace)
            })
            .filter(|(_, object)| selector.matches(object))
            .map(|(_, object)| object.clone())
            .collect();
        json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": self.version.to_string() },
                "items": items })
    }

    fn create(&mut self, target: &Target, mut object: Value) -> Answer {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let key = (target.collection.clone(), target.namespace.clone(), name);
        if self.objects.contains_key(&key) {
            return Err(EXISTS);
        }
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.insert("uid".into(), json!(format!("uid-{}", self.version + 1)));
        metadata.insert("generation".into(), json!(1));
        let now = self.now();
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.insert("creationTimestamp".into(), json!(now));
        Ok(self.store(key, object))
    }

    fn now(&self) -> String {
        self.weather
            .as_ref()
            .map_or_else(|| "2026-01-01T00:00:00Z".to_owned(), |weather| weather.now())
    }

    fn replace(&mut self, target: &Target, object: Value) -> Answer {
        let there = self.objects.get(&target.key()).ok_or(NOT_FOUND)?;
        if object["metadata"]["resourceVersion"] != there["metadata"]["resourceVersion"] {
            return Err(CONFLICT);
        }
        Ok(self.store(target.key(), object))
    }

    fn delete(&mut self, target: &Target) -> Answer {
        self.delete_if(target, &Value::Null)
    }

    fn delete_if(&mut self, target: &Target, preconditions: &Value) -> Answer {
        let mut object = self.objects.get(&target.key()).cloned().ok_or(NOT_FOUND)?;
        for field in ["resourceVersion", "uid"] {
            let wanted = &preconditions[field];
            if !wanted.is_null() && *wanted != object["metadata"][field] {
                return Err(CONFLICT);
            }
        }
        if object["metadata"]["deletionTimestamp"].is_null() {
            object["metadata"]["deletionTimestamp"] = json!(self.now());
        }
        Ok(self.store(target.key(), object))
    }

    /// A merge patch. A version or uid in it must be the object's.
    fn patch(&mut self, target: &Target, patch: Value) -> Answer {
        let there = self.objects.get(&target.key()).cloned().ok_or(NOT_FOUND)?;
        for field in ["resourceVersion", "uid"] {
            let wanted = &patch["metadata"][field];
            if !wanted.is_null() && *wanted != there["metadata"][field] {
                return Err(CONFLICT);
            }
        }
        let mut object = there.clone();
        merge(&mut object, patch);
        if object["spec"] != there["spec"] {
            let generation = there["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            object["metadata"]["generation"] = json!(generation);
        }
        Ok(self.store(target.key(), object))
    }

    /// Server-side apply by the one manager there is: what it leaves out of a status, it gives up.
    fn apply(&mut self, target: &Target, body: Value) -> Answer {
        if target.status {
            let there = self.objects.get(&target.key()).cloned().ok_or(NOT_FOUND)?;
            let of = |object: &Value, field: &str| object["metadata"][field].clone();
            let read = of(&body, "resourceVersion");
            if of(&body, "uid") != of(&there, "uid")
                || !(read.is_null() || read == of(&there, "resourceVersion"))
            {
                return Err(CONFLICT);
            }
            let mut object = there;
            object["status"] = body["status"].clone();
            return Ok(self.store(target.key(), object));
        }
        if self.objects.contains_key(&target.key()) {
            self.patch(target, body)
        } else {
            self.create(target, body)
        }
    }

    /// Stores it under a new version, if it differs; one that is deleted and held by nothing goes.
    fn store(&mut self, key: (String, String, String), mut object: Value) -> Value {
        let metadata = object["metadata"].as_object_mut().unwrap();
        let held = metadata
            .get("finalizers")
            .and_then(Value::as_array)
            .is_some_and(|f| !f.is_empty());
        if metadata.contains_key("deletionTimestamp") && !held {
            let before = self.objects.remove(&key);
            if let Some(weather) = &self.weather {
                weather.changed(&key.0, before.as_ref(), None);
            }
            self.collect_garbage(&object["metadata"]["uid"]);
            return object;
        }
        if self.objects.get(&key) != Some(&object) {
            self.version += 1;
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
            let collection = key.0.clone();
            let before = self.objects.insert(key, object.clone());
            if let Some(weather) = &self.weather {
                weather.changed(&collection, before.as_ref(), Some(&object));
            }
        }
        object
    }

    /// What had this owner goes, too.
    fn collect_garbage(&mut self, uid: &Value) {
        let owned = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == *uid))
        };
        let orphans: Vec<_> = self.objects.iter().filter(|(_, object)| owned(object)).collect();
        let orphans: Vec<_> = orphans.into_iter().map(|(key, _)| key.clone()).collect();
        for (collection, namespace, name) in orphans {
            let target = Target {
                collection,
                namespace,
                name,
                status: false,
            };
            self.delete(&target).ok();
        }
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let object = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            object.remove(&key);
        } else {
            merge(object.entry(key).or_insert(Value::Null), value);
        }
    }
}
