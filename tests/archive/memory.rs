//! The largest that KVS takes in, through the program as it runs in a Job: it stays in 64 MiB.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use jiff::SignedDuration;
use kvs_operator::archiver::request::Outcome;

use super::sim::{STREAM, Sim};

/// What the program may have, in KiB.
const PEAK: u64 = 64 << 10;

fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    let size = (body.len() as u64 | 1 << 56).to_be_bytes();
    [id, &size, body].concat()
}

/// What a camera sends first.
fn head() -> Vec<u8> {
    let private = [1, 77, 0, 30, 255, 225, 0, 4, 0x67, 77, 0, 30, 1, 0, 2, 0x68, 9];
    let size = [element(&[0xb0], &[16, 0]), element(&[0xba], &[16, 0])].concat();
    let track = [
        element(&[0xd7], &[1]),
        element(&[0x73, 0xc5], &[1]),
        element(&[0x83], &[1]),
        element(&[0x86], b"V_MPEG4/ISO/AVC"),
        element(&[0x63, 0xa2], &private),
        element(&[0xe0], &size),
    ];
    [
        element(&[0x1a, 0x45, 0xdf, 0xa3], &element(&[0x42, 0x82], b"matroska")),
        vec![
            0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ],
        element(
            &[0x15, 0x49, 0xa9, 0x66],
            &element(&[0x2a, 0xd7, 0xb1], &1_000_000u32.to_be_bytes()),
        ),
        element(&[0x16, 0x54, 0xae, 0x6b], &element(&[0xae], &track.concat())),
    ]
    .concat()
}

/// A fragment of `frames` pictures, 40 ms each, of `size` bytes.
fn cluster(begin: i64, frames: i64, size: usize) -> Vec<u8> {
    let mut body = element(&[0xe7], &begin.to_be_bytes());
    for frame in 0..frames {
        let (key, unit) = if frame == 0 { (0x80, 0x65) } else { (0, 0x41) };
        let time = ((frame * 40) as i16).to_be_bytes();
        let mut block = vec![0x81, time[0], time[1], key];
        block.extend((size as u32).to_be_bytes());
        block.push(unit);
        block.resize(8 + size, (frame % 200) as u8 + 5);
        body.extend(element(&[0xa3], &block));
    }
    element(&[0x1f, 0x43, 0xb6, 0x75], &body)
}

/// One PutMedia: `fragments` of them, written by hand, for no camera at hand is as large.
fn put(endpoint: &str, begin: i64, fragments: i64, frames: i64, size: usize) {
    let address = endpoint.trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).unwrap();
    let request = format!(
        "POST /putMedia HTTP/1.1\r\nhost: {address}\r\nx-amzn-stream-name: {STREAM}\r\ntransfer-encoding: chunked\r\n\
         x-amzn-fragment-timecode-type: ABSOLUTE\r\nx-amzn-fragment-acknowledgment-required: 0\r\nconnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).unwrap();
    let mut send = |bytes: &[u8]| {
        write!(connection, "{:x}\r\n", bytes.len()).unwrap();
        connection.write_all(bytes).unwrap();
        connection.write_all(b"\r\n").unwrap();
    };
    send(&head());
    for number in 0..fragments {
        send(&cluster(begin + number * frames * 40, frames, size));
    }
    connection.write_all(b"0\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && !answer.contains("ERROR"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_footage_is_archived_in_64_mib() {
    let sim = Sim::start().await;
    let from = sim.now();
    let (endpoint, begin) = (sim.endpoint.clone(), from.as_millisecond() - 3_600_000);
    tokio::task::spawn_blocking(move || {
        // 20 s and nearly 50 MB; 100 Mbit/s; five a second.
        put(&endpoint, begin, 3, 499, 98_000);
        put(&endpoint, begin + 600_000, 8, 25, 500_000);
        put(&endpoint, begin + 1_200_000, 1500, 5, 2_000);
    })
    .await
    .unwrap();
    let to = sim.now();
    let fragments = sim.ledger().len() as i64;
    assert_eq!(fragments, 3 + 8 + 1500);
    sim.advance(SignedDuration::from_hours(1));

    let mut command = sim.program();
    let (from, to) = (from.to_string(), to.to_string());
    command
        .args(["archive", "--stream", STREAM, "--from", &from, "--to", &to])
        .args(["--bucket", &sim.bucket, "--fragments-per-second", "500"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (output, peak) = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        // The kernel's own peak; it is gone with the process, so the last look counts.
        while child.try_wait().unwrap().is_none() {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            if let Some(line) = status.lines().find_map(|l| l.strip_prefix("VmHWM:")) {
                peak = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
            }
            std::thread::yield_now();
        }
        (child.wait_with_output().unwrap(), peak)
    })
    .await
    .unwrap();
    let report = super::report(&output);
    assert_eq!((report.outcome, &report.error), (Outcome::Committed, &None));
    assert_eq!((report.counts.fragments, report.counts.unread), (fragments, 0));
    eprintln!("peak {peak} KiB");
    assert!(peak > 0 && peak < PEAK, "{peak} KiB");
}
