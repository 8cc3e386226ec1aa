//! Cameras: mostly silent, at times sending. Their clocks are their own.

use std::sync::{Arc, Mutex};

use jiff::SignedDuration;

use super::{
    alarms::CloudWatch,
    matroska::FRAME,
    video::{Readable, Video},
    world::{World, lock},
};

/// The longest that a fragment may be listed late: less than `closeAfter`, after which a recording is closed.
const LATEST: i64 = 8 * 60_000;

/// A camera that sends to a stream for ever: about three minutes in an hour.
pub async fn camera(
    world: Arc<World>,
    video: Arc<Mutex<Video>>,
    cloudwatch: Arc<Mutex<CloudWatch>>,
    name: String,
) {
    let mut wrong_by = world.within(-3_000..3_000);
    loop {
        world.wait(300_000..7_000_000).await;
        if world.bad_luck(4) {
            wrong_by = world.within(-200_000_000..200_000_000);
            world.count("camera clocks jumped");
        }
        let fragments = world.within(1..45);
        world.tell(format!("camera {name} sends {fragments} fragments"));
        for _ in 0..fragments {
            let began = world.now();
            let length = world.within(2..10);
            world.wait(length * 1000..length * 1000 + 300).await;
            if world.bad_luck(40) {
                world.count("cameras disconnected");
                world.wait(1_000..90_000).await;
                continue;
            }
            let (now, mut video) = (world.now(), lock(&video));
            video.catch_up(now);
            let Some(arn) = video.takes_footage(&name).map(str::to_owned) else {
                continue;
            };
            let late = if world.bad_luck(20) {
                LATEST
            } else if world.one_in(4) {
                20_000
            } else {
                500
            };
            let readable = if world.bad_luck(60) {
                Readable::Never
            } else if world.bad_luck(40) {
                Readable::From(now + SignedDuration::from_secs(world.within(0..3600)))
            } else {
                Readable::Yes
            };
            if readable != Readable::Yes {
                world.count("fragments that KVS does not give out");
            }
            let producer = began + SignedDuration::from_millis(wrong_by);
            let times = if world.bad_luck(50) { 2 } else { 1 };
            for _ in 0..times {
                let listed_from = now + SignedDuration::from_millis(world.within(0..late));
                let length = (u32::try_from(length).unwrap() - 1) * FRAME;
                if video.persist(&arn, (began, producer), length, listed_from, readable) {
                    lock(&cloudwatch).fragment(&name, now);
                    world.count("fragments");
                }
            }
        }
    }
}
