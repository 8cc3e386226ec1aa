"""Archived media: what the camera sent comes out again, as another library reads it."""

import datetime
import json
import os
import pathlib
import subprocess
import tempfile

import sim

FRAGMENTS, FRAMES = int(os.environ["FRAGMENTS"]), int(os.environ["FRAMES"])


def packets(file):
    """Counts packets by codec, as ffprobe sees them in a file or in a body."""
    probe = ["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=codec_name,nb_read_packets"]
    body = file if isinstance(file, bytes) else None
    source = "-" if body else file
    out = subprocess.run([*probe, "-of", "json", source], input=body, capture_output=True, check=True)
    if out.stderr:
        raise AssertionError(out.stderr.decode())
    return {s["codec_name"]: int(s["nb_read_packets"]) for s in json.loads(out.stdout)["streams"]}


class Media(sim.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.kvs = sim.client("kinesisvideo")
        cls.name = sim.unique("boto3-camera")
        cls.kvs.create_stream(StreamName=cls.name, DataRetentionInHours=24)
        sim.until(lambda: cls.kvs.describe_stream(StreamName=cls.name)["StreamInfo"]["Status"] == "ACTIVE")
        put = [os.environ["SIM"], "put", "--as-fast-as-possible", "--stream", cls.name]
        subprocess.run([*put, os.environ["FOOTAGE"]], check=True, stdout=subprocess.DEVNULL)

    def service(self, name, operation):
        endpoint = self.kvs.get_data_endpoint(StreamName=self.name, APIName=operation)["DataEndpoint"]
        return sim.client(name, endpoint_url=endpoint)

    def fragments(self, kind="SERVER_TIMESTAMP", page=1000):
        archive = self.service("kinesis-video-archived-media", "LIST_FRAGMENTS")
        pages = archive.get_paginator("list_fragments").paginate(
            StreamName=self.name,
            FragmentSelector={
                "FragmentSelectorType": kind,
                "TimestampRange": {"StartTimestamp": 0, "EndTimestamp": 4_000_000_000},
            },
            PaginationConfig={"PageSize": page},
        )
        found = [fragment for page in pages for fragment in page["Fragments"]]
        return sorted(found, key=lambda f: f["ProducerTimestamp"])

    def test_fragments_are_listed_in_pages_by_both_times(self):
        found = self.fragments()
        self.assertEqual(len(found), FRAGMENTS)
        self.assertEqual(len({f["FragmentNumber"] for f in found}), FRAGMENTS)
        # Audio packets do not end where key frames are.
        for fragment in found:
            self.assertAlmostEqual(fragment["FragmentLengthInMilliseconds"], 2000, delta=100)
        self.assertEqual(found, self.fragments("PRODUCER_TIMESTAMP", page=5))

    def test_every_frame_comes_out(self):
        archive = self.service("kinesis-video-archived-media", "GET_MEDIA_FOR_FRAGMENT_LIST")
        video = audio = 0
        for fragment in self.fragments():
            numbers = [fragment["FragmentNumber"]]
            answer = archive.get_media_for_fragment_list(StreamName=self.name, Fragments=numbers)
            self.assertEqual(answer["ContentType"], "video/webm")
            found = packets(answer["Payload"].read())
            video, audio = video + found["h264"], audio + found["aac"]
        sent = packets(os.environ["FOOTAGE"])["aac"]
        self.assertEqual((video, audio), (FRAMES, sent))

    def test_get_media_begins_where_it_is_told(self):
        media = self.service("kinesis-video-media", "GET_MEDIA")
        numbers = [f["FragmentNumber"] for f in self.fragments()]
        after = {"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": numbers[8]}
        for selector, expected in [({"StartSelectorType": "EARLIEST"}, numbers), (after, numbers[9:])]:
            answer = media.get_media(StreamName=self.name, StartSelector=selector)
            # It goes on as long as the camera may: what is read is what was asked for.
            body = b""
            while expected[-1].encode() not in body:
                body += answer["Payload"].read(4096)
            answer["Payload"].close()
            self.assertEqual([n for n in numbers if n.encode() in body], expected)

    def test_get_clip_has_every_frame(self):
        archive = self.service("kinesis-video-archived-media", "GET_CLIP")
        begins = [fragment["ProducerTimestamp"] for fragment in self.fragments()]
        # boto3 sends whole seconds.
        span = {"StartTimestamp": begins[0], "EndTimestamp": begins[-1] + datetime.timedelta(seconds=1)}
        selector = {"FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": span}
        answer = archive.get_clip(StreamName=self.name, ClipFragmentSelector=selector)
        self.assertEqual(answer["ContentType"], "video/mp4")
        clip = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), "clip.mp4")
        clip.write_bytes(answer["Payload"].read())
        self.assertEqual(packets(clip)["h264"], FRAMES)

    def test_several_fragments_in_the_order_asked_for(self):
        archive = self.service("kinesis-video-archived-media", "GET_MEDIA_FOR_FRAGMENT_LIST")
        numbers = [f["FragmentNumber"] for f in self.fragments()][:3]
        answer = archive.get_media_for_fragment_list(StreamName=self.name, Fragments=numbers)
        body = answer["Payload"].read()
        self.assertEqual(body.count(b"\x1a\x45\xdf\xa3"), 3, "one EBML head a fragment")
        places = [body.index(number.encode()) for number in numbers]
        self.assertEqual(places, sorted(places))

    def test_refuses_what_is_wrong(self):
        archive = self.service("kinesis-video-archived-media", "LIST_FRAGMENTS")
        self.refused("ResourceNotFoundException", archive.list_fragments, StreamName="nobody")
