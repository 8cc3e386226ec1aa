//! The camera's side of the service: a few calls of JSON, and the PutMedia connection.

use std::{convert::Infallible, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

/// The service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its URL.
    pub endpoint: String,
    /// The region.
    pub region: String,
}

/// What a camera needs to know of a stream.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Whether footage is kept at all.
    pub persists: bool,
    /// Where PutMedia goes.
    pub data_endpoint: String,
}

/// The service answered with an error.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    /// AWS's name of the error.
    pub code: String,
    /// Its text.
    pub message: String,
}

type Body = BoxBody<Bytes, Infallible>;

impl Service {
    /// The stream, once it is active.
    pub async fn stream(&self, name: &str) -> anyhow::Result<Stream> {
        loop {
            let described = self.call("/describeStream", json!({ "StreamName": name })).await;
            let info = match described {
                Ok(described) => described["StreamInfo"].clone(),
                Err(error)
                    if error
                        .downcast_ref::<Refused>()
                        .is_some_and(|r| r.code == "ResourceNotFoundException") =>
                {
                    bail!(
                        "there is no stream {name} in {} at {}; create it first, for example: aws kinesisvideo create-stream \
                         --stream-name {name} --data-retention-in-hours 24 --region {} --endpoint-url {}",
                        self.region,
                        self.endpoint,
                        self.region,
                        self.endpoint
                    );
                }
                Err(error) => return Err(error),
            };
            if info["Status"] != "CREATING" {
                let input = json!({ "StreamName": name, "APIName": "PUT_MEDIA" });
                let endpoint = self.call("/getDataEndpoint", input).await?;
                let data_endpoint = endpoint["DataEndpoint"]
                    .as_str()
                    .context("no DataEndpoint")?
                    .to_owned();
                let persists = info["DataRetentionInHours"].as_i64().unwrap_or(0) > 0;
                return Ok(Stream {
                    name: name.to_owned(),
                    persists,
                    data_endpoint,
                });
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn call(&self, path: &str, input: Value) -> anyhow::Result<Value> {
        let request = self
            .request(&self.endpoint, path)?
            .body(Full::from(input.to_string()).boxed())?;
        let response = send(&self.endpoint, request).await?;
        let body = accepted(response).await?.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }

    /// PutMedia: what comes through `body` is sent. The answer's head comes when the service has begun to take it.
    pub async fn put_media(
        &self,
        stream: &Stream,
        body: mpsc::Receiver<Bytes>,
    ) -> anyhow::Result<Response<Incoming>> {
        let body =
            StreamBody::new(ReceiverStream::new(body).map(|bytes| Ok::<_, Infallible>(Frame::data(bytes))));
        let request = self
            .request(&stream.data_endpoint, "/putMedia")?
            .header("x-amzn-stream-name", &stream.name)
            .header("x-amzn-fragment-timecode-type", "ABSOLUTE")
            .header("x-amzn-fragment-acknowledgment-required", "1")
            .body(body.boxed())?;
        accepted(send(&stream.data_endpoint, request).await?).await
    }

    fn request(&self, endpoint: &str, path: &str) -> anyhow::Result<hyper::http::request::Builder> {
        // The simulator reads the region off the signature and checks no signature.
        let credential = format!(
            "AWS4-HMAC-SHA256 Credential=camera/20000101/{}/kinesisvideo/aws4_request",
            self.region
        );
        Ok(Request::post(path)
            .header(header::HOST, authority(endpoint)?)
            .header(header::AUTHORIZATION, credential)
            .header(header::CONTENT_TYPE, "application/json"))
    }
}

fn authority(endpoint: &str) -> anyhow::Result<String> {
    let url: hyper::Uri = endpoint
        .parse()
        .with_context(|| format!("{endpoint} is not a URL"))?;
    match (url.scheme_str(), url.authority()) {
        (Some("http"), Some(authority)) => Ok(authority.to_string()),
        _ => bail!("{endpoint} must be an http:// URL: this camera is for kvs-sim"),
    }
}

async fn send(endpoint: &str, request: Request<Body>) -> anyhow::Result<Response<Incoming>> {
    let authority = authority(endpoint)?;
    let address = if authority.contains(':') {
        authority
    } else {
        format!("{authority}:80")
    };
    let tcp = TcpStream::connect(&address)
        .await
        .with_context(|| format!("cannot reach {endpoint}"))?;
    tcp.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::info!(%error, "connection ended");
        }
    });
    Ok(sender.send_request(request).await?)
}

async fn accepted(response: Response<Incoming>) -> anyhow::Result<Response<Incoming>> {
    if response.status().is_success() {
        return Ok(response);
    }
    let code = response
        .headers()
        .get("x-amzn-errortype")
        .and_then(|v| v.to_str().ok());
    let code = code.map_or_else(|| response.status().to_string(), str::to_owned);
    let body = response.into_body().collect().await?.to_bytes();
    let message = serde_json::from_slice::<Value>(&body).ok();
    let message = message.and_then(|m| m["Message"].as_str().map(str::to_owned));
    Err(Refused {
        code,
        message: message.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned()),
    }
    .into())
}
