"""What buckets are set to, and what that does to their objects."""

import datetime

import sim


class Buckets(sim.TestCase):
    def setUp(self):
        self.s3 = sim.client("s3")
        self.named = {"Bucket": sim.unique("boto3")}

    def create(self, **options):
        place = {"LocationConstraint": "eu-west-1"}
        self.s3.create_bucket(**self.named, CreateBucketConfiguration=place, **options)

    def put(self, key="k", **options):
        return self.s3.put_object(**self.named, Key=key, Body=b"footage", **options)["VersionId"]

    def test_what_a_new_bucket_has(self):
        self.create()
        location = self.s3.get_bucket_location(**self.named)["LocationConstraint"]
        self.assertEqual(location, "eu-west-1")
        rules = self.s3.get_bucket_encryption(**self.named)["ServerSideEncryptionConfiguration"]["Rules"]
        self.assertEqual(rules[0]["ApplyServerSideEncryptionByDefault"], {"SSEAlgorithm": "AES256"})
        closed = self.s3.get_public_access_block(**self.named)["PublicAccessBlockConfiguration"]
        self.assertEqual(set(closed.values()), {True})
        rules = self.s3.get_bucket_ownership_controls(**self.named)["OwnershipControls"]["Rules"]
        self.assertEqual(rules, [{"ObjectOwnership": "BucketOwnerEnforced"}])
        self.assertNotIn("Status", self.s3.get_bucket_versioning(**self.named))
        self.refused("NoSuchLifecycleConfiguration", self.s3.get_bucket_lifecycle_configuration, **self.named)
        self.refused("NoSuchTagSet", self.s3.get_bucket_tagging, **self.named)
        self.refused(
            "ObjectLockConfigurationNotFoundError", self.s3.get_object_lock_configuration, **self.named
        )
        self.assertEqual(self.refused("BucketAlreadyOwnedByYou", self.create), 409)

    def test_settings_are_kept(self):
        self.create()
        rule = {"ID": "cold", "Status": "Enabled", "Filter": {"Prefix": "archive/"}}
        rule["Transitions"] = [{"Days": 30, "StorageClass": "GLACIER_IR"}]
        self.s3.put_bucket_lifecycle_configuration(**self.named, LifecycleConfiguration={"Rules": [rule]})
        found = self.s3.get_bucket_lifecycle_configuration(**self.named)["Rules"]
        self.assertEqual(found, [rule])
        tags = [{"Key": "site", "Value": "north"}]
        self.s3.put_bucket_tagging(**self.named, Tagging={"TagSet": tags})
        self.assertEqual(self.s3.get_bucket_tagging(**self.named)["TagSet"], tags)
        key = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        rules = [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
        self.s3.put_bucket_encryption(**self.named, ServerSideEncryptionConfiguration={"Rules": rules})
        found = self.s3.get_bucket_encryption(**self.named)["ServerSideEncryptionConfiguration"]["Rules"][0]
        self.assertEqual((found["ApplyServerSideEncryptionByDefault"], found["BucketKeyEnabled"]), (default, True))

    def test_versions(self):
        self.create()
        self.s3.put_bucket_versioning(**self.named, VersioningConfiguration={"Status": "Enabled"})
        old, new = self.put(), self.put()
        marker = self.s3.delete_object(**self.named, Key="k")
        self.assertTrue(marker["DeleteMarker"])
        self.refused("NoSuchKey", self.s3.get_object, **self.named, Key="k")
        listed = self.s3.list_object_versions(**self.named)
        self.assertEqual([v["VersionId"] for v in listed["Versions"]], [new, old])
        self.assertTrue(listed["DeleteMarkers"][0]["IsLatest"])
        self.s3.delete_object(**self.named, Key="k", VersionId=marker["VersionId"])
        self.assertEqual(self.s3.get_object(**self.named, Key="k")["VersionId"], new)
        self.assertEqual(self.refused("BucketNotEmpty", self.s3.delete_bucket, **self.named), 409)

    def test_what_is_locked_stays(self):
        self.create(ObjectLockEnabledForBucket=True)
        self.assertEqual(self.s3.get_bucket_versioning(**self.named)["Status"], "Enabled")
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
        version = self.put(ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
        held = {"Key": "k", "VersionId": version}
        self.assertEqual(self.refused("AccessDenied", self.s3.delete_object, **self.named, **held), 403)
        self.s3.delete_object(**self.named, **held, BypassGovernanceRetention=True)
        held["VersionId"] = self.put(ObjectLockLegalHoldStatus="ON")
        self.assertEqual(self.refused("AccessDenied", self.s3.delete_object, **self.named, **held), 403)
        self.s3.put_object_legal_hold(**self.named, **held, LegalHold={"Status": "OFF"})
        self.s3.delete_object(**self.named, **held)
