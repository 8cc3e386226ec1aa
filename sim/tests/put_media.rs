//! PutMedia as producers see it: what is acknowledged, what is refused and how, and what a cut connection leaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod common;

use bytes::Bytes;
use common::{Service, footage};
use http_body_util::{Full, StreamBody};
use hyper::{Request, body::Frame};
use kvs_sim::kvs::mkv::{element::element, ids, tags};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// A header with so many tracks.
fn header(tracks: u8) -> Vec<u8> {
    let entry = |number: u8| {
        let parts = [
            element(ids::TRACK_NUMBER, &[number]),
            element(ids::TRACK_TYPE, &[1]),
            element(ids::CODEC_ID, b"V_TEST"),
        ];
        element(ids::TRACK_ENTRY, &parts.concat())
    };
    let entries: Vec<u8> = (1..=tracks).flat_map(entry).collect();
    [
        element(ids::EBML, &[]),
        kvs_sim::kvs::mkv::element::unknown_size(ids::SEGMENT),
        element(ids::TRACKS, &entries),
    ]
    .concat()
}

/// A cluster at a time (ms), with frames of (track, ms after it).
fn cluster(timecode: u64, frames: &[(u8, i16)]) -> Vec<u8> {
    let mut content = element(ids::TIMESTAMP, &timecode.to_be_bytes());
    for (track, relative) in frames {
        let [high, low] = relative.to_be_bytes();
        content.extend(element(
            ids::SIMPLE_BLOCK,
            &[0x80 | track, high, low, 0x80, 1, 2, 3],
        ));
    }
    element(ids::CLUSTER, &content)
}

async fn put(service: &Service, body: impl Into<Bytes>) -> (u16, Vec<Value>) {
    let request = Request::post("/putMedia")
        .header("host", &service.address)
        .header("x-amzn-stream-name", "cam")
        .header("x-amzn-fragment-timecode-type", "ABSOLUTE")
        .body(Full::new(body.into()))
        .unwrap();
    let (status, _, body) = service.send(request).await;
    let lines = body.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    (
        status,
        lines.map(|l| serde_json::from_slice(l).unwrap()).collect(),
    )
}

#[tokio::test]
async fn what_is_refused() {
    let service = Service::start().await;
    service.create_stream("cam", 1).await;
    let now = 1_700_000_000_000;
    let metadata: Vec<u8> = (0..11)
        .flat_map(|n| tags::write(&[(format!("t{n}"), "v")]))
        .collect();
    let far = 8_000_000_000_000;
    let large = element(
        ids::SIMPLE_BLOCK,
        &[&[0x81, 0, 0, 0x80][..], &vec![0; 26_000_000]].concat(),
    );
    let large = [element(ids::TIMESTAMP, &[1]), large.clone(), large].concat();
    let table: [(&str, Vec<u8>, u64); 12] = [
        ("no Matroska", b"hello".to_vec(), 4006),
        (
            "a second document",
            [header(1), cluster(now, &[(1, 0)]), header(1)].concat(),
            4006,
        ),
        (
            "tracks in the middle",
            [header(1), cluster(now, &[(1, 0)]), element(ids::TRACKS, &[])].concat(),
            4006,
        ),
        ("four tracks", [header(4), cluster(now, &[(1, 0)])].concat(), 4012),
        (
            "a track that the header has not",
            [header(1), cluster(now, &[(2, 0)])].concat(),
            4010,
        ),
        (
            "a track without a frame",
            [header(2), cluster(now, &[(1, 0)])].concat(),
            4011,
        ),
        (
            "longer than 20 s",
            [header(1), cluster(now, &[(1, 0), (1, 20_001)])].concat(),
            4002,
        ),
        (
            "more than 50 MB",
            [header(1), element(ids::CLUSTER, &large)].concat(),
            4001,
        ),
        (
            "back in time",
            [header(1), cluster(now, &[(1, 0)]), cluster(now - 1, &[(1, 2)])].concat(),
            4004,
        ),
        (
            "a frame before the last one",
            [header(1), cluster(now, &[(1, 9)]), cluster(now + 5, &[(1, 0)])].concat(),
            4004,
        ),
        (
            "a producer in the future",
            [header(1), cluster(far, &[(1, 0)])].concat(),
            4007,
        ),
        (
            "too many tags",
            [header(1), cluster(now, &[(1, 0)]), metadata].concat(),
            4009,
        ),
    ];
    for (what, body, expected) in table {
        let (status, acks) = put(&service, body).await;
        let last = acks
            .last()
            .unwrap_or_else(|| panic!("{what}: no acknowledgement"));
        assert_eq!(
            (status, &last["EventType"], &last["ErrorId"]),
            (200, &"ERROR".into(), &expected.into()),
            "{what}"
        );
    }
    let persisted = service.ledger("cam").await.len();
    assert_eq!(
        persisted, 2,
        "only what was complete before the refusal: twice a first fragment, back in time"
    );
}

#[tokio::test]
async fn a_fragment_is_persisted_when_it_is_complete() {
    let service = Service::start().await;
    service.create_stream("cam", 1).await;
    let end = tags::write(&[(tags::END_OF_FRAGMENT, "")]);
    let (first, second) = (cluster(1000, &[(1, 0), (1, 40)]), cluster(2000, &[(1, 0)]));
    let (_, acks) = put(&service, [header(1), first.clone(), second, end].concat()).await;
    let said: Vec<_> = acks
        .iter()
        .map(|a| {
            (
                a["EventType"].as_str().unwrap(),
                a["FragmentTimecode"].as_i64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("BUFFERING", 1000),
        ("RECEIVED", 1000),
        ("PERSISTED", 1000),
        ("BUFFERING", 2000),
        ("RECEIVED", 2000),
        ("PERSISTED", 2000),
    ];
    assert_eq!(said, expected);
    // A body that ends inside an element leaves what was complete.
    let cut = [header(1), first, cluster(9000, &[(1, 0)])].concat();
    let (_, acks) = put(&service, cut[..cut.len() - 2].to_vec()).await;
    assert_eq!(acks.last().unwrap()["ErrorCode"], "STREAM_READ_ERROR");
    assert_eq!(service.ledger("cam").await.len(), 3);
}

#[tokio::test]
async fn a_cut_connection_leaves_no_half_fragment_and_frees_the_stream() {
    let service = Service::start().await;
    service.create_stream("cam", 1).await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(8);
    let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
    sender
        .send(Ok(Frame::data(
            [header(1), cluster(1000, &[(1, 0)])].concat().into(),
        )))
        .await
        .unwrap();
    let open = put_stream(&service, body);
    tokio::pin!(open);
    let arrived = async {
        while service.metric("cam", "PutMedia.IncomingBytes") == 0.0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            put(&service, header(1)).await.0,
            400,
            "a stream has one connection"
        );
    };
    tokio::select! { _ = &mut open => panic!("ended early"), () = arrived => {} }
    drop(sender.send(Err(std::io::Error::other("cut"))).await);
    assert!(open.await.is_err());
    // Then the stream is free again.
    while put(&service, [header(1), cluster(5000, &[(1, 0)])].concat())
        .await
        .0
        != 200
    {
        tokio::task::yield_now().await;
    }
    let times: Vec<i64> = service
        .ledger("cam")
        .await
        .iter()
        .map(|e| e.producer_timestamp_millis)
        .collect();
    assert_eq!(
        times,
        [5000],
        "the first connection's fragment was never complete"
    );
}

async fn put_stream<B>(service: &Service, body: B) -> Result<(), hyper::Error>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let tcp = TcpStream::connect(&service.address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(tcp);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    let request = Request::post("/putMedia")
        .header("host", &service.address)
        .header("x-amzn-stream-name", "cam")
        .header("x-amzn-fragment-timecode-type", "ABSOLUTE")
        .body(body)
        .unwrap();
    let sent = sender.send_request(request);
    let (_, ended) = tokio::join!(sent, connection);
    ended
}

/// A proxy that cuts its first connections after so many bytes each.
async fn cutting_proxy(target: String, cuts: Vec<usize>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut cuts = cuts.into_iter();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(&target).await.unwrap();
            let (mut from, mut to) = client.into_split();
            let (mut back, mut forth) = server.into_split();
            let answers = tokio::spawn(async move { tokio::io::copy(&mut back, &mut to).await });
            let limit = cuts.next();
            tokio::spawn(async move {
                let mut limited =
                    tokio::io::AsyncReadExt::take(&mut from, limit.unwrap_or(usize::MAX) as u64);
                let _ = tokio::io::copy(&mut limited, &mut forth).await;
                if limit.is_some() {
                    answers.abort();
                }
                let _ = forth.shutdown().await;
            });
        }
    });
    address
}

#[tokio::test]
async fn the_camera_resends_after_a_cut_what_was_not_acknowledged() {
    let service = Service::start().await;
    service.create_stream("cam", 1).await;
    // The first two connections are DescribeStream and GetDataEndpoint, which the proxy answers with its own address.
    let proxy = cutting_proxy(service.address.clone(), vec![100_000, 100_000, 300_000, 700_000]).await;
    let mut through = service.options(&footage(), "cam", 1);
    through.endpoint = format!("http://{proxy}");
    kvs_sim::camera::run(through, std::future::pending())
        .await
        .unwrap();
    let mut sent: Vec<i64> = service
        .ledger("cam")
        .await
        .iter()
        .map(|e| e.producer_timestamp_millis)
        .collect();
    let persisted = sent.len();
    sent.sort_unstable();
    sent.dedup();
    let direct = service.create_stream("direct", 1).await;
    assert!(!direct.is_empty());
    service.put(&footage(), "direct", 1).await.unwrap();
    assert_eq!(
        sent.len(),
        service.ledger("direct").await.len(),
        "each fragment at least once"
    );
    assert!(persisted >= sent.len());
}
