//! AWS Query: a form in, in which `Tags.member.1.Key` names a member of a list's entry, and XML out. Terraform speaks it.

use std::{collections::BTreeMap, fmt::Write};

use axum::http::{HeaderValue, StatusCode, header};
use bytes::Bytes;
use ciborium::Value;
use jiff::Timestamp;
use quick_xml::escape::escape;

use super::{Call, Fault, MAP, Service};
use crate::http::{Body, Response};

/// How deep names of fields may nest: CloudWatch's own need fewer.
const DEEPEST: usize = 16;

/// Fields of a form, by the parts of their names.
#[derive(Debug, Default)]
struct Node {
    text: Option<String>,
    members: BTreeMap<String, Node>,
}

pub(super) fn decode(body: &Bytes) -> Result<Call, Fault> {
    let fields: Vec<(String, String)> =
        serde_urlencoded::from_bytes(body).map_err(|e| Fault::serialization(e.to_string()))?;
    let mut root = Node::default();
    for (name, text) in fields {
        if name.split('.').count() > DEEPEST {
            return Err(Fault::serialization(format!("{name} nests too deep")));
        }
        let node = name.split('.').fold(&mut root, |node, part| {
            node.members.entry(part.into()).or_default()
        });
        node.text = Some(text);
    }
    let operation = root.members.remove("Action").and_then(|node| node.text);
    root.members.remove("Version");
    let operation = operation.ok_or_else(|| Fault::missing("Action"))?;
    let input = value(root).unwrap_or_else(super::empty);
    Ok(Call { operation, input })
}

/// `None`: an empty field, which is how an absent text or an empty list is sent.
fn value(mut node: Node) -> Option<Value> {
    // `Tags.member.1`, in maps `Attributes.entry.1`, and where lists are flat just `Tag.1`.
    let list = ["member", "entry"]
        .iter()
        .find_map(|name| node.members.remove(*name));
    let flat = |node: &Node| {
        !node.members.is_empty() && node.members.keys().all(|name| name.parse::<usize>().is_ok())
    };
    if let Some(list) = list.or_else(|| flat(&node).then(|| std::mem::take(&mut node))) {
        let mut items: Vec<(usize, Node)> = list
            .members
            .into_iter()
            .filter_map(|(number, item)| Some((number.parse().ok()?, item)))
            .collect();
        items.sort_by_key(|(number, _)| *number);
        return Some(Value::Array(
            items.into_iter().filter_map(|(_, item)| value(item)).collect(),
        ));
    }
    if node.members.is_empty() {
        return node.text.filter(|text| !text.is_empty()).map(Value::Text);
    }
    let member = |(name, node): (String, Node)| {
        // A tag's value may be empty.
        let empty = ["Value", "value"].contains(&name.as_str()) && node.text.as_deref() == Some("");
        let value = if empty {
            Value::Text(String::new())
        } else {
            value(node)?
        };
        Some((Value::Text(name), value))
    };
    Some(Value::Map(node.members.into_iter().filter_map(member).collect()))
}

pub(super) fn answer(service: &Service, operation: &str, result: Result<Value, Fault>) -> Response {
    let xmlns = service.xmlns;
    let (status, body) = match result {
        Ok(tree) => {
            let mut result = String::new();
            xml(&mut result, &tree, service.flat);
            let response = format!(
                "<{operation}Response xmlns=\"{xmlns}\"><{operation}Result>{result}</{operation}Result>\
                 <ResponseMetadata/></{operation}Response>"
            );
            (StatusCode::OK, response)
        }
        Err(fault) => {
            let (code, message) = (fault.code, escape(fault.message.as_str()));
            let error = format!(
                "<Type>{}</Type><Code>{code}</Code><Message>{message}</Message>",
                fault.who()
            );
            (
                fault.status,
                format!("<ErrorResponse xmlns=\"{xmlns}\"><Error>{error}</Error></ErrorResponse>"),
            )
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

fn xml(to: &mut String, tree: &Value, flat: bool) {
    // Writing to a String does not fail.
    let _ = match tree {
        Value::Map(members) => {
            for (name, value) in members
                .iter()
                .filter_map(|(name, value)| Some((name.as_text()?, value)))
            {
                let items = match value {
                    Value::Array(items) if flat => items.as_slice(),
                    value => std::slice::from_ref(value),
                };
                for item in items {
                    to.push_str(&format!("<{name}>"));
                    xml(to, item, flat);
                    to.push_str(&format!("</{name}>"));
                }
            }
            Ok(())
        }
        Value::Array(items) => {
            for item in items {
                to.push_str("<member>");
                xml(to, item, flat);
                to.push_str("</member>");
            }
            Ok(())
        }
        Value::Tag(MAP, entries) => {
            for (key, value) in entries.as_map().into_iter().flatten() {
                to.push_str("<entry><key>");
                xml(to, key, flat);
                to.push_str("</key><value>");
                xml(to, value, flat);
                to.push_str("</value></entry>");
            }
            Ok(())
        }
        Value::Tag(_, seconds) => {
            let millis = seconds.as_float().map(|s| (s * 1000.0).round() as i64);
            match millis.and_then(|millis| Timestamp::from_millisecond(millis).ok()) {
                Some(at) => write!(to, "{}", at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ")),
                None => Ok(()),
            }
        }
        Value::Text(text) => {
            to.push_str(&escape(text.as_str()));
            Ok(())
        }
        Value::Bool(flag) => write!(to, "{flag}"),
        Value::Integer(number) => write!(to, "{}", i128::from(*number)),
        Value::Float(number) => write!(to, "{number:?}"),
        _ => Ok(()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, value: &str) -> (Value, Value) {
        (name.into(), value.into())
    }

    #[test]
    fn forms_become_trees() {
        let form = "Action=TagResource&Version=2010-08-01&ResourceARN=a%3Ab&OKActions=&Tags.member.2.Key=k&\
                    Tags.member.2.Value=&Tags.member.10.Key=z&Tags.member.10.Value=1&A.B=c&F.2=z&F.1=y&M.entry.1.key=k&M.entry.1.value=v";
        let call = decode(&Bytes::from_static(form.as_bytes())).unwrap();
        assert_eq!(call.operation, "TagResource");
        let tags = vec![
            Value::Map(vec![text("Key", "k"), text("Value", "")]),
            Value::Map(vec![text("Key", "z"), text("Value", "1")]),
        ];
        let expected = vec![
            ("A".into(), Value::Map(vec![text("B", "c")])),
            ("F".into(), Value::Array(vec!["y".into(), "z".into()])),
            (
                "M".into(),
                Value::Array(vec![Value::Map(vec![text("key", "k"), text("value", "v")])]),
            ),
            text("ResourceARN", "a:b"),
            ("Tags".into(), Value::Array(tags)),
        ];
        assert_eq!(call.input, Value::Map(expected));
        assert_eq!(
            decode(&Bytes::from_static(b"Version=1")).unwrap_err().code,
            "MissingParameter"
        );
        let deep = format!("Action=A&{}=1", ["x"; 1000].join("."));
        assert_eq!(
            decode(&Bytes::from(deep)).unwrap_err().code,
            "SerializationException"
        );
    }

    #[test]
    fn trees_become_xml() {
        let time = Value::Tag(1, Box::new(Value::Float(0.25)));
        let list = Value::Array(vec!["<a>".into(), true.into()]);
        let tree = Value::Map(vec![
            ("At".into(), time),
            ("List".into(), list),
            ("N".into(), 1.5.into()),
        ]);
        let mut written = String::new();
        xml(&mut written, &tree, false);
        assert_eq!(
            written,
            "<At>1970-01-01T00:00:00.250Z</At><List><member>&lt;a&gt;</member><member>true</member></List><N>1.5</N>"
        );
        written.clear();
        xml(&mut written, &tree, true);
        assert_eq!(
            written,
            "<At>1970-01-01T00:00:00.250Z</At><List>&lt;a&gt;</List><List>true</List><N>1.5</N>"
        );
    }
}
