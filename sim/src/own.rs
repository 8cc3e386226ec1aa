//! What the simulator itself offers, beside the simulated services: its ledger, counts of calls, faults on demand, and the
//! answers to what AWS leaves open.

use std::collections::HashMap;

use axum::http::{HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::Serialize;

use crate::{
    behaviour::Behaviour,
    faults::Rule,
    http::{Body, Request, Response},
    serve::Services,
};

/// How the paths begin. No bucket can have such a name.
pub const PREFIX: &str = "/_kvs-sim/";

const HELP: &str = "\
GET    /_kvs-sim/health
GET    /_kvs-sim/ledger?stream=NAME   what PutMedia persisted, a fragment a line
GET    /_kvs-sim/calls                how often each operation was called, and its bytes
GET    /_kvs-sim/faults               the rules, and how often each has struck
POST   /_kvs-sim/faults               add a rule, or a list of rules
DELETE /_kvs-sim/faults               drop all rules
GET    /_kvs-sim/behaviour            the answers to what AWS leaves open
PATCH  /_kvs-sim/behaviour            change some of them
PUT    /_kvs-sim/behaviour?profile=P  aws or hostile
";

/// Answers a request.
pub async fn handle(services: &Services, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, 1 << 20).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return answer(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let query: HashMap<String, String> =
        serde_urlencoded::from_str(parts.uri.query().unwrap_or_default()).unwrap_or_default();
    let world = &services.world;
    let path = parts.uri.path().trim_start_matches(PREFIX);
    match (&parts.method, path) {
        (&Method::GET, "health") => answer(StatusCode::OK, "ok\n"),
        (&Method::GET, "ledger") => services.kvs.ledger(query.get("stream").cloned()),
        (&Method::GET, "calls") => json(&services.calls.all()),
        (&Method::GET, "faults") => json(&world.faults.states()),
        (&Method::POST, "faults") => match rules(&body) {
            Ok(rules) => {
                rules.into_iter().for_each(|rule| world.faults.add(rule));
                json(&world.faults.states())
            }
            Err(error) => answer(StatusCode::BAD_REQUEST, format!("not a rule: {error}\n")),
        },
        (&Method::DELETE, "faults") => {
            world.faults.clear();
            json(&world.faults.states())
        }
        (&Method::GET, "behaviour") => json(&*world.behaviour()),
        (&Method::PATCH, "behaviour") => match world.behaviour().patched(&body) {
            Ok(behaviour) => {
                world.set_behaviour(behaviour);
                json(&*world.behaviour())
            }
            Err(error) => answer(StatusCode::BAD_REQUEST, format!("not a behaviour: {error}\n")),
        },
        (&Method::PUT, "behaviour") => {
            let Some(behaviour) = query.get("profile").and_then(|name| Behaviour::profile(name)) else {
                return answer(StatusCode::BAD_REQUEST, "profile is aws or hostile\n");
            };
            world.set_behaviour(behaviour);
            json(&*world.behaviour())
        }
        _ => answer(StatusCode::NOT_FOUND, HELP),
    }
}

/// Rules from JSON: one or a list.
///
/// # Errors
/// The JSON is no rule, or a rule could never do anything.
pub fn rules(json: &[u8]) -> anyhow::Result<Vec<Rule>> {
    let rules: Vec<Rule> = if json.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice(json)?
    } else {
        vec![serde_json::from_slice(json)?]
    };
    for rule in &rules {
        rule.check().map_err(anyhow::Error::msg)?;
    }
    Ok(rules)
}

/// An answer in plain text.
pub fn answer(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec_pretty(value) {
        Ok(mut json) => {
            json.push(b'\n');
            let mut response = Response::new(Body::from(json));
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
