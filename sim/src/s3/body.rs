//! A request's body: decoded, hashed, and written to where it goes while it passes, in bounded memory. What the client
//! declared about it (length, MD5, SHA-256, checksum) is verified.

use axum::http::{HeaderMap, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures::StreamExt;
use md5::Md5;
use sha2::{Digest, Sha256};
use tokio::{fs::File, io::AsyncWriteExt};

use super::{
    checksum::{Algorithm, Hasher},
    chunked::Decoder,
    error::{Error, Result},
};
use crate::http::Body;

/// The longest object of one request: 5 GiB.
const MAX_SIZE: u64 = 5 << 30;

/// The longest document (a DeleteObjects of 1,000 keys of 1,024 bytes, escaped, fits).
const MAX_DOCUMENT: usize = 8 << 20;

/// What came.
#[derive(Debug, Default)]
pub struct Received {
    /// How many bytes, decoded.
    pub size: u64,
    /// Their MD5.
    pub md5: [u8; 16],
    /// Their checksums, in base64: the one that the client declared, and the one that was asked for.
    pub checksums: Vec<(Algorithm, String)>,
}

impl Received {
    /// The checksum by an algorithm.
    pub fn checksum(&self, algorithm: Algorithm) -> Option<&str> {
        self.checksums
            .iter()
            .find(|(a, _)| *a == algorithm)
            .map(|(_, value)| value.as_str())
    }
}

/// What the headers promise about a body.
#[derive(Debug, PartialEq)]
pub struct Promise {
    chunked: bool,
    size: Option<u64>,
    md5: Option<[u8; 16]>,
    sha256: Option<String>,
    /// The algorithm, and the value unless a trailer brings it.
    checksum: Option<(Algorithm, Option<String>)>,
}

impl Promise {
    /// Reads the headers.
    pub fn read(headers: &HeaderMap) -> Result<Self> {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        let hash = text("x-amz-content-sha256").unwrap_or_default();
        let chunked = hash.starts_with("STREAMING-")
            || text("content-encoding").is_some_and(|v| v.split(',').any(|v| v.trim() == "aws-chunked"));
        let length = if chunked {
            "x-amz-decoded-content-length"
        } else {
            header::CONTENT_LENGTH.as_str()
        };
        let md5 = match text("content-md5") {
            Some(value) => {
                let bytes = BASE64_STANDARD.decode(value).ok().and_then(|b| b.try_into().ok());
                Some(bytes.ok_or_else(|| Error::new("InvalidDigest"))?)
            }
            None => None,
        };
        Ok(Self {
            chunked,
            size: text(length).and_then(|v| v.parse().ok()),
            md5,
            sha256: (hash.len() == 64).then(|| hash.to_ascii_lowercase()),
            checksum: declared(headers)?,
        })
    }

    /// A promise of nothing, for a body that is our own.
    pub fn none() -> Self {
        Self {
            chunked: false,
            size: None,
            md5: None,
            sha256: None,
            checksum: None,
        }
    }

    /// The algorithm of the checksum that the client sends.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|(algorithm, _)| *algorithm)
    }

    /// Whether the client sends anything to verify the body by.
    pub fn verifiable(&self) -> bool {
        self.md5.is_some() || self.checksum.is_some()
    }

    /// Refuses a body of unknown or too great length, as S3 does for objects and parts.
    pub fn require_length(&self) -> Result<()> {
        match self.size {
            None => Err(Error::new("MissingContentLength")),
            Some(size) if size > MAX_SIZE => Err(Error::because(
                "EntityTooLarge",
                "Your proposed upload exceeds the maximum allowed size",
            )
            .with("ProposedSize", size.to_string())
            .with("MaxSizeAllowed", MAX_SIZE.to_string())),
            Some(_) => Ok(()),
        }
    }
}

/// The checksum that the headers declare.
fn declared(headers: &HeaderMap) -> Result<Option<(Algorithm, Option<String>)>> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let mut found: Vec<(Algorithm, Option<String>)> = vec![];
    for algorithm in Algorithm::ALL {
        if let Some(value) = text(algorithm.header()) {
            if !algorithm.is_valid(value) {
                return Err(Error::because(
                    "InvalidRequest",
                    format!("Value for {} header is invalid.", algorithm.header()),
                ));
            }
            found.push((algorithm, Some(value.to_owned())));
        }
    }
    for name in text("x-amz-trailer").into_iter().flat_map(|v| v.split(',')) {
        let name = name.trim().to_ascii_lowercase();
        match Algorithm::ALL.into_iter().find(|a| a.header() == name) {
            Some(algorithm) => found.push((algorithm, None)),
            None => {
                return Err(Error::because(
                    "InvalidRequest",
                    "The value specified in the x-amz-trailer header is not supported",
                ));
            }
        }
    }
    if found.len() > 1 {
        return Err(Error::because(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ));
    }
    if found.is_empty() && headers.contains_key("x-amz-sdk-checksum-algorithm") {
        return Err(Error::because(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer \
             headers were found.",
        ));
    }
    Ok(found.pop())
}

impl Promise {
    /// The checksum that CompleteMultipartUpload promises of the object.
    pub fn object_checksum(headers: &HeaderMap) -> Option<(Algorithm, String)> {
        let sent = Algorithm::ALL
            .into_iter()
            .find_map(|a| Some((a, headers.get(a.header())?.to_str().ok()?)));
        sent.map(|(algorithm, value)| (algorithm, value.to_owned()))
    }
}

/// Where a body goes.
pub enum Sink<'a> {
    /// Into a file.
    File(&'a mut tokio::io::BufWriter<File>),
    /// Into memory, up to the length of a document.
    Memory(&'a mut Vec<u8>),
}

/// Receives a body and verifies it. `also`: one more checksum to compute.
pub async fn receive(
    promise: &Promise,
    body: Body,
    also: Option<Algorithm>,
    mut sink: Sink<'_>,
) -> Result<Received> {
    let mut algorithms: Vec<_> = promise.algorithm().into_iter().chain(also).collect();
    algorithms.dedup();
    let mut hashers: Vec<_> = algorithms.into_iter().map(Hasher::new).collect();
    let mut md5 = Md5::new();
    let mut sha256 = promise.sha256.as_ref().map(|_| Sha256::new());
    let mut decoder = promise.chunked.then(Decoder::default);
    let mut size = 0_u64;

    let mut stream = body.into_data_stream();
    while let Some(piece) = stream.next().await {
        let mut piece = piece.map_err(|_| Error::new("IncompleteBody"))?;
        loop {
            let data = match &mut decoder {
                Some(decoder) => decoder.next(&mut piece)?,
                None => Some(std::mem::take(&mut piece)).filter(|p| !p.is_empty()),
            };
            let Some(data) = data else { break };
            size += data.len() as u64;
            md5.update(&data);
            hashers.iter_mut().for_each(|h| h.update(&data));
            if let Some(sha256) = &mut sha256 {
                sha256.update(&data);
            }
            match &mut sink {
                Sink::File(file) => file.write_all(&data).await.map_err(|e| Error::internal(&e))?,
                Sink::Memory(memory) if memory.len() + data.len() > MAX_DOCUMENT => {
                    return Err(Error::because(
                        "MaxMessageLengthExceeded",
                        "Your request was too big.",
                    ));
                }
                Sink::Memory(memory) => memory.extend_from_slice(&data),
            }
        }
    }
    if let Sink::File(file) = sink {
        file.flush().await.map_err(|e| Error::internal(&e))?;
    }
    let trailers = decoder.map(Decoder::finish).transpose()?.unwrap_or_default();
    if promise.size.is_some_and(|promised| promised != size) {
        return Err(Error::new("IncompleteBody"));
    }
    let received = Received {
        size,
        md5: md5.finalize().into(),
        checksums: hashers.into_iter().map(|h| (h.algorithm(), h.finish())).collect(),
    };
    verify(
        promise,
        &received,
        sha256.map(|s| hex::encode(s.finalize())),
        &trailers,
    )?;
    Ok(received)
}

/// Compares what came with what was promised.
fn verify(
    promise: &Promise,
    received: &Received,
    sha256: Option<String>,
    trailers: &[(String, String)],
) -> Result<()> {
    if promise.sha256 != sha256 {
        return Err(Error::because(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
        .with(
            "ClientComputedContentSHA256",
            promise.sha256.clone().unwrap_or_default(),
        )
        .with("S3ComputedContentSHA256", sha256.unwrap_or_default()));
    }
    if let Some(promised) = promise.md5
        && promised != received.md5
    {
        return Err(Error::because(
            "BadDigest",
            "The Content-MD5 you specified did not match what we received.",
        )
        .with("ExpectedDigest", hex::encode(promised))
        .with("CalculatedDigest", BASE64_STANDARD.encode(received.md5)));
    }
    if let Some((algorithm, value)) = &promise.checksum {
        let trailer = || {
            trailers
                .iter()
                .find(|(name, _)| name == algorithm.header())
                .map(|(_, v)| v.as_str())
        };
        let Some(value) = value.as_deref().or_else(trailer) else {
            return Err(Error::because(
                "MalformedTrailerError",
                "The request contained trailing data that was not well-formed or did not conform to our published schema.",
            ));
        };
        if received.checksum(*algorithm) != Some(value) {
            return Err(Error::because(
                "BadDigest",
                format!(
                    "The {} you specified did not match the calculated checksum.",
                    algorithm.name()
                ),
            ));
        }
    }
    Ok(())
}

/// Reads away the body of a request that is refused already, so that a client that is still writing reads the answer. One
/// that waits for `100 Continue` is spared it.
pub async fn discard(headers: &HeaderMap, body: Body) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let mut stream = body.into_data_stream();
    while let Some(Ok(_)) = stream.next().await {}
}

/// Receives a document.
pub async fn document(headers: &HeaderMap, body: Body) -> Result<Vec<u8>> {
    let promise = Promise::read(headers)?;
    let mut memory = vec![];
    receive(&promise, body, None, Sink::Memory(&mut memory)).await?;
    Ok(memory)
}

/// Receives a document about which the headers say nothing.
pub async fn plain_document(body: Body) -> Result<Vec<u8>> {
    let mut memory = vec![];
    receive(&Promise::none(), body, None, Sink::Memory(&mut memory)).await?;
    Ok(memory)
}
