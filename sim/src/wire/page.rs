//! Lists in pages. A token says where the page before it ended; to clients it means nothing.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ciborium::Value;

/// A text as a token.
pub fn token(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

/// The text of a token; `None`: it is no token.
pub fn text(token: &str) -> Option<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    String::from_utf8(bytes).ok()
}

/// What comes after `after` in a list that is sorted by a name, `most` at the most, and the token of the next page.
pub fn page<T>(
    all: impl IntoIterator<Item = T>,
    name: impl Fn(&T) -> &str,
    most: usize,
    after: Option<&str>,
) -> (Vec<T>, Option<String>) {
    let mut page: Vec<T> = all
        .into_iter()
        .filter(|item| after.is_none_or(|after| name(item) > after))
        .take(most.saturating_add(1))
        .collect();
    let more = page.len() > most;
    page.truncate(most);
    let next = page.last().filter(|_| more).map(|last| token(name(last)));
    (page, next)
}

/// A list's answer.
pub fn listed(name: &str, list: Value, next: Option<String>) -> Value {
    let mut members = vec![(name.into(), list)];
    members.extend(next.map(|next| ("NextToken".into(), next.into())));
    Value::Map(members)
}
