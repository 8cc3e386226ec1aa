"""S3 through boto3 and its transfer manager."""

import concurrent.futures
import io
import os
import urllib.request

import sim

BODY = os.urandom(1 << 20)


class Objects(sim.TestCase):
    def setUp(self):
        self.s3 = sim.client("s3")
        self.bucket = sim.unique("boto3")
        self.s3.create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )

    def put(self, key="k", **named):
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=BODY, **named)

    def get(self, key="k", **named):
        return self.s3.get_object(Bucket=self.bucket, Key=key, **named)

    def test_every_checksum_is_verified_and_returned(self):
        wrong = {"CRC32": "AAAAAA==", "CRC32C": "AAAAAA==", "CRC64NVME": "AAAAAAAAAAA="}
        wrong |= {"SHA1": "A" * 27 + "=", "SHA256": "A" * 43 + "="}
        for algorithm, value in wrong.items():
            with self.subTest(algorithm):
                self.assertEqual(self.refused("BadDigest", self.put, **{f"Checksum{algorithm}": value}), 400)
                stored = self.put(ChecksumAlgorithm=algorithm)[f"Checksum{algorithm}"]
                # boto3 computes it again over what it reads.
                found = self.get(ChecksumMode="ENABLED")
                self.assertEqual(found[f"Checksum{algorithm}"], stored)
                self.assertEqual(found["ChecksumType"], "FULL_OBJECT")
                self.assertEqual(found["Body"].read(), BODY)
        self.refused("BadDigest", self.put, ContentMD5="A" * 22 + "==")

    def test_one_of_many_writers_wins(self):
        def write(number):
            try:
                self.s3.put_object(Bucket=self.bucket, Key="k", Body=str(number), IfNoneMatch="*")
                return number
            except self.s3.exceptions.ClientError as error:
                self.assertEqual(error.response["Error"]["Code"], "PreconditionFailed")

        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            winners = [n for n in pool.map(write, range(24)) if n is not None]
        self.assertEqual(self.get()["Body"].read().decode(), str(*winners))

    def test_the_transfer_manager_uploads_in_parts(self):
        body = BODY * 20
        self.s3.upload_fileobj(io.BytesIO(body), self.bucket, "k", {"ContentType": "video/mp4"})
        head = self.s3.head_object(Bucket=self.bucket, Key="k", PartNumber=1)
        self.assertEqual((head["PartsCount"], head["ContentType"]), (3, "video/mp4"))
        target = io.BytesIO()
        self.s3.download_fileobj(self.bucket, "k", target)
        self.assertEqual(target.getvalue(), body)
        self.s3.copy({"Bucket": self.bucket, "Key": "k"}, self.bucket, "copy")
        self.assertEqual(self.get("copy")["Body"].read(), body)

    def test_the_checksum_of_all_parts_is_that_of_the_object(self):
        parts = [os.urandom(5 << 20), os.urandom(1000)]
        for algorithm in ["CRC64NVME", "CRC32C"]:
            upload = self.s3.create_multipart_upload(
                Bucket=self.bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT"
            )["UploadId"]
            named = {"Bucket": self.bucket, "Key": "k", "UploadId": upload}
            done = []
            for number, part in enumerate(parts, 1):
                answer = self.s3.upload_part(
                    **named, PartNumber=number, Body=part, ChecksumAlgorithm=algorithm
                )
                done.append({"PartNumber": number, "ETag": answer["ETag"]})
            answer = self.s3.complete_multipart_upload(**named, MultipartUpload={"Parts": done})
            whole = self.s3.put_object(
                Bucket=self.bucket, Key="whole", Body=b"".join(parts), ChecksumAlgorithm=algorithm
            )
            name = f"Checksum{algorithm}"
            self.assertEqual(answer[name], whole[name])

    def test_lists_in_pages(self):
        keys = sorted(["a b/ü+.mp4", "a b/1&2", "c%41", "d/e/f", "g"])
        for key in keys:
            self.put(key)
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, PaginationConfig={"PageSize": 2}
        )
        self.assertEqual([o["Key"] for page in pages for o in page["Contents"]], keys)
        page = self.s3.list_objects_v2(Bucket=self.bucket, Delimiter="/")
        self.assertEqual([p["Prefix"] for p in page["CommonPrefixes"]], ["a b/", "d/"])
        named = {"Objects": [{"Key": key} for key in keys]}
        answer = self.s3.delete_objects(Bucket=self.bucket, Delete=named)
        self.assertEqual(sorted(d["Key"] for d in answer["Deleted"]), keys)

    def test_presigned(self):
        named = {"Bucket": self.bucket, "Key": "k"}
        signer = sim.client("s3", signature_version="s3v4")
        url = signer.generate_presigned_url("put_object", named)
        urllib.request.urlopen(urllib.request.Request(url, BODY, method="PUT")).close()
        with urllib.request.urlopen(signer.generate_presigned_url("get_object", named)) as answer:
            self.assertEqual(answer.read(), BODY)

    def test_a_client_of_another_region_finds_the_bucket(self):
        self.put()
        elsewhere = sim.client("s3", region_name="us-east-1")
        self.assertEqual(elsewhere.get_object(Bucket=self.bucket, Key="k")["Body"].read(), BODY)

    def test_refuses_what_is_wrong(self):
        self.refused("NoSuchKey", self.get)
        self.refused("NoSuchBucket", self.s3.list_objects_v2, Bucket="nobody-has-this")
        self.refused("404", self.s3.head_object, Bucket=self.bucket, Key="k")
        self.refused("NoSuchBucketPolicy", self.s3.get_bucket_policy, Bucket=self.bucket)

    @sim.differs("ExpectedBucketOwner: where another account owns the bucket, 403; localemu ignores it")
    def test_the_owner_must_be_the_expected_one(self):
        self.assertEqual(self.refused("AccessDenied", self.put, ExpectedBucketOwner="999999999999"), 403)

    def test_conditions_of_reading_and_writing(self):
        tag = self.put()["ETag"]
        self.assertEqual(self.refused("PreconditionFailed", self.put, IfNoneMatch="*"), 412)
        self.assertEqual(self.refused("PreconditionFailed", self.put, IfMatch='"other"'), 412)
        self.assertEqual(self.put(IfMatch=tag)["ETag"], tag)
        self.assertEqual(self.refused("NoSuchKey", self.put, "none", IfMatch=tag), 404)
        self.assertEqual(self.refused("304", self.get, IfNoneMatch=tag), 304)
        self.assertEqual(self.refused("PreconditionFailed", self.get, IfMatch='"other"'), 412)

    def test_ranges(self):
        self.put()
        answer = self.get(Range="bytes=1000-1999")
        self.assertEqual(answer["Body"].read(), BODY[1000:2000])
        self.assertEqual(answer["ContentRange"], f"bytes 1000-1999/{len(BODY)}")
        self.assertEqual(self.get(Range="bytes=-10")["Body"].read(), BODY[-10:])
        self.assertEqual(self.refused("InvalidRange", self.get, Range=f"bytes={len(BODY)}-"), 416)

    def test_what_is_kept_with_an_object(self):
        self.put(
            Metadata={"fragments": "12"}, Tagging="a=b&c=d", StorageClass="STANDARD_IA", ContentType="video/mp4"
        )
        head = self.s3.head_object(Bucket=self.bucket, Key="k")
        self.assertEqual((head["Metadata"], head["ContentType"]), ({"fragments": "12"}, "video/mp4"))
        self.assertEqual((head["StorageClass"], head["ServerSideEncryption"]), ("STANDARD_IA", "AES256"))
        tags = self.s3.get_object_tagging(Bucket=self.bucket, Key="k")["TagSet"]
        self.assertEqual(sorted(t["Key"] + t["Value"] for t in tags), ["ab", "cd"])
        copy = {"Bucket": self.bucket, "Key": "copy", "CopySource": {"Bucket": self.bucket, "Key": "k"}}
        self.s3.copy_object(**copy, MetadataDirective="REPLACE", Metadata={"other": "1"})
        head = self.s3.head_object(Bucket=self.bucket, Key="copy")
        self.assertEqual((head["Metadata"], head.get("StorageClass")), ({"other": "1"}, None))
        self.assertEqual(self.refused("InvalidStorageClass", self.put, StorageClass="WARM"), 400)

    def test_parts_that_are_refused(self):
        named = {"Bucket": self.bucket, "Key": "k"}
        named["UploadId"] = self.s3.create_multipart_upload(**named)["UploadId"]
        parts = []
        for number in [1, 2]:
            answer = self.s3.upload_part(**named, PartNumber=number, Body=b"too small")
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        listed = self.s3.list_parts(**named)["Parts"]
        self.assertEqual([(p["PartNumber"], p["Size"]) for p in listed], [(1, 9), (2, 9)])
        complete = self.s3.complete_multipart_upload
        self.refused("EntityTooSmall", complete, **named, MultipartUpload={"Parts": parts})
        wrong = [parts[0] | {"ETag": '"0123"'}]
        self.refused("InvalidPart", complete, **named, MultipartUpload={"Parts": wrong})
        self.refused("InvalidPartOrder", complete, **named, MultipartUpload={"Parts": parts[::-1]})
        self.put()
        once = {"IfNoneMatch": "*", "MultipartUpload": {"Parts": parts[:1]}}
        self.assertEqual(self.refused("PreconditionFailed", complete, **named, **once), 412)
        self.s3.abort_multipart_upload(**named)
        self.assertEqual(self.refused("NoSuchUpload", self.s3.list_parts, **named), 404)
