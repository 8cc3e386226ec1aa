//! What the batches have in common: up to ten entries with ids, each with a result of its own.

use std::collections::BTreeSet;

use ciborium::Value;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::error;
use crate::wire::{Fault, join, tree, typed};

/// An entry of a batch.
#[derive(Debug)]
pub struct Entry<T> {
    /// What its result is called by.
    pub id: String,
    /// What it asks for.
    pub of: T,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    entries: Vec<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Named {
    id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Done {
    id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    id: String,
    sender_fault: bool,
    code: &'static str,
    message: String,
}

/// The entries of a request.
pub fn entries<T: DeserializeOwned>(input: &Value) -> Result<Vec<Entry<T>>, Fault> {
    let input: Input = typed(input)?;
    match input.entries.len() {
        0 => return Err(error::empty_batch()),
        1..=10 => {}
        many => return Err(error::large_batch(many)),
    }
    let mut seen = BTreeSet::new();
    let mut entries = vec![];
    for entry in &input.entries {
        let id = typed::<Named>(entry)?.id.ok_or_else(|| Fault::missing("Id"))?;
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if id.is_empty() || id.len() > 80 || !id.chars().all(legal) {
            return Err(error::entry_id());
        }
        if !seen.insert(id.clone()) {
            return Err(error::repeated_id(&id));
        }
        entries.push(Entry {
            id,
            of: typed(entry)?,
        });
    }
    Ok(entries)
}

/// Does for each entry what is asked.
pub fn answer<T, R: Serialize>(
    entries: Vec<Entry<T>>,
    mut perform: impl FnMut(T) -> Result<R, Fault>,
) -> Result<Value, Fault> {
    let (mut successful, mut failed) = (vec![], vec![]);
    for Entry { id, of } in entries {
        match perform(of) {
            Ok(result) => successful.push(join(tree(&Done { id })?, tree(&result)?)),
            Err(fault) => failed.push(tree(&Failed {
                id,
                sender_fault: !fault.status.is_server_error(),
                code: fault.code,
                message: fault.message,
            })?),
        }
    }
    let lists = [("Successful", successful), ("Failed", failed)];
    let given = lists.into_iter().filter(|(_, list)| !list.is_empty());
    Ok(Value::Map(
        given
            .map(|(name, list)| (name.into(), Value::Array(list)))
            .collect(),
    ))
}
