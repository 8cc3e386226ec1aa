"""The control plane of Kinesis Video Streams."""

import sim


class Streams(sim.TestCase):
    def setUp(self):
        self.kvs = sim.client("kinesisvideo")
        self.name = sim.unique("boto3")

    def describe(self):
        return self.kvs.describe_stream(StreamName=self.name)["StreamInfo"]

    def active(self):
        return sim.until(lambda: (info := self.describe())["Status"] == "ACTIVE" and info)

    def test_life_of_a_stream(self):
        arn = self.kvs.create_stream(
            StreamName=self.name,
            DataRetentionInHours=24,
            MediaType="video/h264",
            DeviceName="front",
            Tags={"site": "north"},
        )["StreamARN"]
        self.assertRegex(arn, rf"^arn:aws:kinesisvideo:eu-west-1:\d{{12}}:stream/{self.name}/\d{{13}}$")
        self.refused("ResourceInUseException", self.kvs.create_stream, StreamName=self.name)
        info = self.active()
        self.assertEqual((info["StreamARN"], info["DataRetentionInHours"]), (arn, 24))
        self.assertEqual((info["MediaType"], info["DeviceName"]), ("video/h264", "front"))
        self.assertEqual(self.kvs.list_tags_for_stream(StreamARN=arn)["Tags"], {"site": "north"})

        self.kvs.update_data_retention(
            StreamName=self.name,
            CurrentVersion=info["Version"],
            Operation="INCREASE_DATA_RETENTION",
            DataRetentionChangeInHours=24,
        )
        changed = self.active()
        self.assertEqual(changed["DataRetentionInHours"], 48)
        self.assertNotEqual(changed["Version"], info["Version"])
        self.refused(
            "VersionMismatchException",
            self.kvs.update_stream,
            StreamName=self.name,
            CurrentVersion=info["Version"],
            MediaType="video/h265",
        )
        self.kvs.update_stream(StreamARN=arn, CurrentVersion=changed["Version"], MediaType="video/h265")
        self.assertEqual(self.active()["MediaType"], "video/h265")

        self.kvs.tag_stream(StreamName=self.name, Tags={"floor": "2"})
        self.kvs.untag_stream(StreamName=self.name, TagKeyList=["site"])
        self.assertEqual(self.kvs.list_tags_for_stream(StreamName=self.name)["Tags"], {"floor": "2"})

        self.kvs.delete_stream(StreamARN=arn, CurrentVersion=self.describe()["Version"])
        gone = lambda: self.name not in self.names()
        sim.until(gone)
        self.refused("ResourceNotFoundException", self.kvs.describe_stream, StreamName=self.name)

    def names(self):
        pages = self.kvs.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 1})
        return [info["StreamName"] for page in pages for info in page["StreamInfoList"]]

    def test_lists_by_prefix(self):
        for suffix in "abc":
            self.kvs.create_stream(StreamName=f"{self.name}-{suffix}")
        condition = {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": self.name}
        found = self.kvs.list_streams(StreamNameCondition=condition)["StreamInfoList"]
        self.assertEqual(sorted(i["StreamName"] for i in found), [f"{self.name}-{s}" for s in "abc"])

    def test_configurations(self):
        arn = self.kvs.create_stream(StreamName=self.name, DataRetentionInHours=24)["StreamARN"]
        self.active()
        storage = self.kvs.describe_stream_storage_configuration(StreamARN=arn)
        self.assertEqual(storage["StreamStorageConfiguration"]["DefaultStorageTier"], "HOT")
        self.kvs.update_notification_configuration(
            StreamARN=arn,
            NotificationConfiguration={
                "Status": "ENABLED",
                "DestinationConfig": {"Uri": "arn:aws:sns:eu-west-1:123456789012:topic"},
            },
        )
        self.active()
        found = self.kvs.describe_notification_configuration(StreamARN=arn)
        self.assertEqual(found["NotificationConfiguration"]["Status"], "ENABLED")

    def test_refuses_what_is_wrong(self):
        self.refused("ResourceNotFoundException", self.kvs.describe_stream, StreamName="nobody")
        self.refused("InvalidArgumentException", self.kvs.create_stream, StreamName="no spaces")
        too_long = {"StreamName": self.name, "DataRetentionInHours": 999_999}
        self.refused("InvalidArgumentException", self.kvs.create_stream, **too_long)
