"""STS: a role's credentials are good for its own account."""

import sim

ROLE = "arn:aws:iam::210987654321:role/video/archive"


class Roles(sim.TestCase):
    def assume(self):
        answer = sim.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="test")
        self.assertEqual(answer["AssumedRoleUser"]["Arn"], "arn:aws:sts::210987654321:assumed-role/archive/test")
        credentials = answer["Credentials"]
        return {
            "aws_access_key_id": credentials["AccessKeyId"],
            "aws_secret_access_key": credentials["SecretAccessKey"],
            "aws_session_token": credentials["SessionToken"],
        }

    def test_a_role_is_who_it_is(self):
        own = sim.client("sts").get_caller_identity()
        theirs = sim.client("sts", **self.assume()).get_caller_identity()
        self.assertEqual(theirs["Account"], "210987654321")
        self.assertNotEqual(own["Account"], theirs["Account"])
        self.assertEqual(theirs["Arn"], "arn:aws:sts::210987654321:assumed-role/archive/test")

    def test_what_is_no_role_is_refused(self):
        sts = sim.client("sts")
        self.refused("ValidationError", sts.assume_role, RoleArn="arn:aws:iam::1:role/x", RoleSessionName="test")

    def test_streams_are_their_accounts(self):
        name = sim.unique("theirs")
        kvs = sim.client("kinesisvideo", **self.assume())
        arn = kvs.create_stream(StreamName=name)["StreamARN"]
        self.assertIn(":210987654321:stream/", arn)
        self.assertEqual(kvs.describe_stream(StreamName=name)["StreamInfo"]["StreamARN"], arn)
        self.refused("ResourceNotFoundException", sim.client("kinesisvideo").describe_stream, StreamName=name)
