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
        url = self.s3.generate_presigned_url("put_object", named)
        urllib.request.urlopen(urllib.request.Request(url, BODY, method="PUT")).close()
        with urllib.request.urlopen(self.s3.generate_presigned_url("get_object", named)) as answer:
            self.assertEqual(answer.read(), BODY)

    def test_a_client_of_another_region_finds_the_bucket(self):
        self.put()
        elsewhere = sim.client("s3", region_name="us-east-1")
        self.assertEqual(elsewhere.get_object(Bucket=self.bucket, Key="k")["Body"].read(), BODY)

    def test_refuses_what_is_wrong(self):
        self.refused("NoSuchKey", self.get)
        self.refused("NoSuchBucket", self.s3.list_objects_v2, Bucket="nobody-has-this")
        self.refused("404", self.s3.head_object, Bucket=self.bucket, Key="k")
        self.assertEqual(self.refused("AccessDenied", self.put, ExpectedBucketOwner="999999999999"), 403)
        self.refused("NoSuchBucketPolicy", self.s3.get_bucket_policy, Bucket=self.bucket)
