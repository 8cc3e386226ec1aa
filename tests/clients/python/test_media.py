"""Archived media: what the camera sent comes out again, as another library reads it."""

import json
import os
import pathlib
import subprocess

import sim

FRAGMENTS, FRAMES = int(os.environ["FRAGMENTS"]), int(os.environ["FRAMES"])


def packets(body):
    """Counts a file's packets by track, as ffprobe sees them."""
    probe = ["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=codec_name,nb_read_packets"]
    out = subprocess.run([*probe, "-of", "json", "-"], input=body, capture_output=True, check=True)
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
        sent = packets(pathlib.Path(os.environ["FOOTAGE"]).read_bytes())["aac"]
        self.assertEqual((video, audio), (FRAMES, sent))

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
