//! A small tree of XML elements: what requests carry and answers are written from. Namespaces are dropped on reading.

use std::fmt::Write;

use quick_xml::{Reader, escape::escape, events::Event};
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// How deep a document may nest; S3's own nest five deep.
const MAX_DEPTH: usize = 32;

/// An element with text or with children.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// Its name without prefix.
    pub name: String,
    /// Its attributes, as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(String, String)>,
    /// Its text, where it has no children.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Its children in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Element>,
}

impl Element {
    /// An empty element.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// With a child that holds text.
    pub fn text(self, name: &str, value: impl std::fmt::Display) -> Self {
        self.push(Self {
            name: name.to_owned(),
            value: value.to_string(),
            ..Self::default()
        })
    }

    /// With a child that holds text, where there is one.
    pub fn maybe(self, name: &str, value: Option<impl std::fmt::Display>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// With a child.
    pub fn push(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// With children.
    pub fn extend(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// The first child of a name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|c| c.name == name)
    }

    /// All children of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// The text of the first child of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.child(name).map(|c| c.value.trim())
    }

    /// Reads a document whose root has this name.
    pub fn parse(text: &[u8], root: &str) -> Result<Self> {
        let malformed = || Error::new("MalformedXML");
        let text = std::str::from_utf8(text).map_err(|_| malformed())?;
        let element = read(text).ok_or_else(malformed)?;
        if element.name == root {
            Ok(element)
        } else {
            Err(malformed())
        }
    }

    /// The document, in S3's namespace, except for errors, which have none.
    pub fn document(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let namespace = (self.name != "Error").then_some(NAMESPACE);
        self.write(&mut out, namespace);
        out
    }

    fn write(&self, out: &mut String, namespace: Option<&str>) {
        let name = &self.name;
        out.push('<');
        out.push_str(name);
        if let Some(namespace) = namespace {
            let _ = write!(out, " xmlns=\"{namespace}\"");
        }
        for (key, value) in &self.attributes {
            let _ = write!(out, " {key}=\"{}\"", escape(value.as_str()));
        }
        if self.value.is_empty() && self.children.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        out.push_str(&escape(self.value.as_str()));
        for child in &self.children {
            child.write(out, None);
        }
        let _ = write!(out, "</{name}>");
    }
}

/// The root element; `None` if the document is malformed.
fn read(text: &str) -> Option<Element> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = vec![];
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                if open.len() == MAX_DEPTH {
                    return None;
                }
                open.push(element(&tag)?);
            }
            Event::Empty(tag) => {
                let element = element(&tag)?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Some(element),
                }
            }
            Event::Text(text) => {
                if let Some(element) = open.last_mut() {
                    element.value.push_str(&text.xml10_content());
                }
            }
            Event::CData(text) => open.last_mut()?.value.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let c = match reference.resolve_char_ref().ok()? {
                    Some(c) => c.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&reference)?.to_owned(),
                };
                open.last_mut()?.value.push_str(&c);
            }
            Event::End(_) => {
                let mut element = open.pop()?;
                if !element.children.is_empty() {
                    element.value.clear();
                }
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Some(element),
                }
            }
            Event::DocType(_) | Event::Eof => return None,
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
        }
    }
}

fn element(tag: &quick_xml::events::BytesStart<'_>) -> Option<Element> {
    let mut element = Element::new(tag.local_name().as_ref());
    for attribute in tag.attributes() {
        let attribute = attribute.ok()?;
        let key: &str = attribute.key.as_ref();
        if key != "xmlns" {
            element
                .attributes
                .push((key.to_owned(), attribute.value.clone().into_owned()));
        }
    }
    Some(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let tree = Element::new("Tagging").push(
            Element::new("TagSet").push(
                Element::new("Tag")
                    .text("Key", "a<b>&\"c\"")
                    .text("Value", "é \u{1f3a5}"),
            ),
        );
        assert_eq!(
            Element::parse(tree.document().as_bytes(), "Tagging").unwrap(),
            tree
        );
    }

    #[test]
    fn reads_prefixes_entities_and_cdata() {
        let text = "<?xml version='1.0'?><!-- x --><s3:A xmlns:s3='u'>\n <s3:B>&#65;&amp;<![CDATA[<]]></s3:B>\n <C/></s3:A>";
        let tree = Element::parse(text.as_bytes(), "A").unwrap();
        assert_eq!(tree.get("B"), Some("A&<"));
        assert_eq!(tree.get("C"), Some(""));
        assert_eq!(tree.value, "");
    }

    #[test]
    fn refuses_what_is_not_a_document_of_the_name() {
        let deep = "<A>".repeat(100);
        for text in [
            "",
            "<A>",
            "<A></B>",
            "<B/>",
            "text",
            "<A>&nope;</A>",
            "<!DOCTYPE A><A/>",
            deep.as_str(),
        ] {
            assert_eq!(
                Element::parse(text.as_bytes(), "A").unwrap_err().code,
                "MalformedXML",
                "{text}"
            );
        }
    }
}
