"""What the tests share: clients, and errors by their code."""

import os
import time
import unittest
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# The independent implementation that the suite runs against instead of kvs-sim, if it does.
PEER = os.environ.get("PEER")


def client(service, signature_version=None, **options):
    """A client that tries once: a retry would hide what the first answer was."""
    config = Config(
        retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, signature_version=signature_version
    )
    return boto3.client(service, config=config, **options)


def unique(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def differs(why):
    """A test that localemu fails; `why` says what AWS documents. It must fail there: else it has learnt, and this goes."""
    assert why
    return unittest.expectedFailure if PEER == "localemu" else lambda test: test


def until(condition, seconds=60):
    """Waits for what the simulator does by itself."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError("it did not come to be")


class TestCase(unittest.TestCase):
    def refused(self, code, call, *arguments, **named):
        """The call is refused with this code; returns the HTTP status."""
        with self.assertRaises(ClientError) as caught:
            call(*arguments, **named)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)
        return caught.exception.response["ResponseMetadata"]["HTTPStatusCode"]
