//! A request to S3 taken apart: bucket, key, query, headers, and the body apart from them.

use axum::http::{HeaderMap, Method, header, request::Parts};

use super::{
    body,
    error::{Error, Result},
    xml::Element,
};
use crate::{
    http::{self, Body, Request},
    world::ACCOUNT,
};

/// The longest key in bytes.
const MAX_KEY: usize = 1024;

/// A request.
#[derive(Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The bucket; empty where the request is for the account.
    pub bucket: String,
    /// The key; empty where the request is for a bucket.
    pub key: String,
    /// The query's parameters in order.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The region that it is signed for, if it is signed.
    pub region: Option<String>,
}

impl Call {
    /// Takes a request apart. `host`: the endpoint's own name, where one is set.
    pub fn read(request: Request, host: Option<&str>) -> Result<(Self, Body)> {
        let (parts, body) = request.into_parts();
        Ok((Self::of(parts, host)?, body))
    }

    /// What a request is about, without its body.
    pub fn of(parts: Parts, host: Option<&str>) -> Result<Self> {
        let path = urlencoding::decode(parts.uri.path()).map_err(|_| Error::new("InvalidURI"))?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, key) = match virtual_bucket(&parts.headers, host) {
            Some(bucket) => (bucket, path),
            None => path
                .split_once('/')
                .map_or((path.to_owned(), ""), |(b, k)| (b.to_owned(), k)),
        };
        if key.len() > MAX_KEY {
            return Err(Error::new("KeyTooLongError")
                .with("Size", key.len().to_string())
                .with("MaxSizeAllowed", MAX_KEY.to_string()));
        }
        let query: Vec<(String, String)> = serde_urlencoded::from_str(parts.uri.query().unwrap_or_default())
            .map_err(|_| Error::new("InvalidURI"))?;
        Ok(Self {
            method: parts.method,
            bucket,
            key: key.to_owned(),
            region: signed_region(&parts.headers, &query),
            query,
            headers: parts.headers,
        })
    }

    /// A parameter of the query.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// Whether the query has a parameter.
    pub fn has(&self, name: &str) -> bool {
        self.param(name).is_some()
    }

    /// A parameter of the query that is a number.
    pub fn number(&self, name: &str) -> Result<Option<usize>> {
        match self.param(name) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                Error::because(
                    "InvalidArgument",
                    format!("Provided {name} not an integer or within integer range"),
                )
                .with("ArgumentName", name)
                .with("ArgumentValue", text)
            }),
        }
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The body as a document whose root has this name.
    pub async fn document(&self, body: Body, root: &str) -> Result<Element> {
        Element::parse(&body::document(&self.headers, body).await?, root)
    }

    /// Refuses a request that expects another owner; there is only one.
    pub fn check_owner(&self) -> Result<()> {
        let expected = [
            "x-amz-expected-bucket-owner",
            "x-amz-source-expected-bucket-owner",
        ];
        if expected
            .iter()
            .any(|name| self.header(name).is_some_and(|owner| owner != ACCOUNT))
        {
            return Err(Error::new("AccessDenied"));
        }
        Ok(())
    }
}

/// The region of the signature, in a header or in the query of a presigned URL.
fn signed_region(headers: &HeaderMap, query: &[(String, String)]) -> Option<String> {
    if headers.contains_key(header::AUTHORIZATION) {
        return Some(http::region(headers));
    }
    let (_, credential) = query.iter().find(|(name, _)| name == "X-Amz-Credential")?;
    credential.split('/').nth(2).map(str::to_owned)
}

/// The bucket in the Host header: `BUCKET.localhost`, or `BUCKET.` and the endpoint's own name.
fn virtual_bucket(headers: &HeaderMap, endpoint: Option<&str>) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let host = host.split(':').next()?;
    endpoint
        .into_iter()
        .chain(["localhost"])
        .find_map(|own| host.strip_suffix(own)?.strip_suffix('.'))
        .filter(|bucket| !bucket.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(host: &str, uri: &str) -> Result<(String, String)> {
        let request = axum::http::Request::builder()
            .uri(uri)
            .header("host", host)
            .body(Body::empty());
        Call::read(request.unwrap(), Some("sim.example")).map(|(call, _)| (call.bucket, call.key))
    }

    #[test]
    fn bucket_and_key_are_in_the_path_or_the_host() {
        for (host, uri, bucket, key) in [
            ("127.0.0.1:4600", "/b/k/l", "b", "k/l"),
            ("127.0.0.1:4600", "/b/", "b", ""),
            ("127.0.0.1:4600", "/b", "b", ""),
            ("127.0.0.1:4600", "/", "", ""),
            ("127.0.0.1:4600", "/b//k%20%2B+é%C3%A9/", "b", "/k ++éé/"),
            ("localhost:4600", "/b/k", "b", "k"),
            ("b.localhost:4600", "/k", "b", "k"),
            ("my.bucket.sim.example", "/k", "my.bucket", "k"),
            ("sim.example", "/b/k", "b", "k"),
            ("sim.svc.cluster.local", "/b/k", "b", "k"),
        ] {
            assert_eq!(
                read(host, uri).unwrap(),
                (bucket.into(), key.into()),
                "{host} {uri}"
            );
        }
        assert_eq!(read("h", "/b/%FF").unwrap_err().code, "InvalidURI");
        assert_eq!(
            read("h", &format!("/b/{}", "k".repeat(1025))).unwrap_err().code,
            "KeyTooLongError"
        );
    }
}
