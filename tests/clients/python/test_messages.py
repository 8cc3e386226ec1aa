"""EventBridge, SQS and SNS."""

import json

import sim

PATTERN = {"source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"]}


class Messages(sim.TestCase):
    def setUp(self):
        self.sqs, self.sns, self.events = (sim.client(name) for name in ["sqs", "sns", "events"])
        self.name = sim.unique("boto3")
        self.url = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.arn = self.attribute("QueueArn")
        self.addCleanup(self.sqs.delete_queue, QueueUrl=self.url)

    def attribute(self, name, url=None):
        answer = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=[name])
        return answer["Attributes"][name]

    def receive(self, **more):
        options = {"QueueUrl": self.url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 5} | more
        return self.sqs.receive_message(**options).get("Messages", [])

    def topic(self):
        arn = self.sns.create_topic(Name=self.name, Tags=[{"Key": "a", "Value": "b"}])["TopicArn"]
        self.addCleanup(self.sns.delete_topic, TopicArn=arn)
        return arn

    def test_life_of_a_queue(self):
        self.assertEqual(self.sqs.get_queue_url(QueueName=self.name)["QueueUrl"], self.url)
        self.assertIn(self.url, self.sqs.list_queues(QueueNamePrefix=self.name)["QueueUrls"])
        self.assertEqual(self.sqs.create_queue(QueueName=self.name)["QueueUrl"], self.url)
        other = {"QueueName": self.name, "Attributes": {"VisibilityTimeout": "1"}}
        self.refused("QueueAlreadyExists", self.sqs.create_queue, **other)
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"VisibilityTimeout": "7"})
        self.assertEqual(self.attribute("VisibilityTimeout"), "7")
        wrong = {"QueueUrl": self.url, "Attributes": {"VisibilityTimeout": "-1"}}
        self.refused("InvalidAttributeValue", self.sqs.set_queue_attributes, **wrong)
        self.sqs.tag_queue(QueueUrl=self.url, Tags={"a": "1", "b": ""})
        self.sqs.untag_queue(QueueUrl=self.url, TagKeys=["a"])
        self.assertEqual(self.sqs.list_queue_tags(QueueUrl=self.url)["Tags"], {"b": ""})
        none = self.url + "-none"
        with self.assertRaises(self.sqs.exceptions.QueueDoesNotExist) as caught:
            self.sqs.get_queue_attributes(QueueUrl=none, AttributeNames=["All"])
        code = caught.exception.response["Error"]["Code"]
        self.assertEqual(code, "AWS.SimpleQueueService.NonExistentQueue")

    def test_messages_come_once_and_back_until_deleted(self):
        attributes = {
            "who": {"DataType": "String", "StringValue": "me"},
            "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        }
        sent = self.sqs.send_message(QueueUrl=self.url, MessageBody="<ä>", MessageAttributes=attributes)
        asked = {"MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["All"]}
        [message] = self.receive(**asked, VisibilityTimeout=0)
        self.assertEqual((message["Body"], message["MessageId"]), ("<ä>", sent["MessageId"]))
        self.assertEqual(message["MessageAttributes"]["raw"]["BinaryValue"], b"\x00\xff")
        self.assertEqual(message["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"])
        [message] = self.receive(**asked)
        self.assertEqual(message["Attributes"]["ApproximateReceiveCount"], "2")
        self.assertEqual(self.receive(WaitTimeSeconds=0), [])
        self.assertEqual(self.attribute("ApproximateNumberOfMessagesNotVisible"), "1")
        handle = {"QueueUrl": self.url, "ReceiptHandle": message["ReceiptHandle"]}
        self.sqs.change_message_visibility(**handle, VisibilityTimeout=0)
        [message] = self.receive()
        handle["ReceiptHandle"] = message["ReceiptHandle"]
        self.sqs.delete_message(**handle)
        self.assertEqual(self.attribute("ApproximateNumberOfMessagesNotVisible"), "0")
        wrong = {"QueueUrl": self.url, "ReceiptHandle": "nonsense"}
        self.refused("ReceiptHandleIsInvalid", self.sqs.delete_message, **wrong)

    def test_batches(self):
        entries = [{"Id": str(i), "MessageBody": f"message {i}"} for i in range(5)]
        answer = self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)
        self.assertEqual(len(answer["Successful"]), 5)
        messages = self.receive()
        handles = [{"Id": m["MessageId"], "ReceiptHandle": m["ReceiptHandle"]} for m in messages]
        hidden = [entry | {"VisibilityTimeout": 60} for entry in handles]
        self.sqs.change_message_visibility_batch(QueueUrl=self.url, Entries=hidden)
        bad = [{"Id": "bad", "ReceiptHandle": "x"}]
        answer = self.sqs.delete_message_batch(QueueUrl=self.url, Entries=handles + bad)
        self.assertEqual(len(answer["Successful"]), 5)
        self.assertEqual(answer["Failed"][0]["Code"], "ReceiptHandleIsInvalid")
        twice = [{"Id": "a", "MessageBody": "x"}] * 2
        code = "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"
        self.refused(code, self.sqs.send_message_batch, QueueUrl=self.url, Entries=twice)

    def test_dead_letters(self):
        dead = self.sqs.create_queue(QueueName=self.name + "-dead")["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=dead)
        policy = {"deadLetterTargetArn": self.attribute("QueueArn", dead), "maxReceiveCount": 1}
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"RedrivePolicy": json.dumps(policy)})
        self.assertEqual(self.sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"], [self.url])
        self.sqs.send_message(QueueUrl=self.url, MessageBody="m")
        self.assertEqual(len(self.receive(VisibilityTimeout=0)), 1)
        self.assertEqual(self.receive(WaitTimeSeconds=0), [])
        self.assertEqual([m["Body"] for m in self.receive(QueueUrl=dead)], ["m"])
        self.sqs.purge_queue(QueueUrl=dead)
        self.assertEqual(self.attribute("ApproximateNumberOfMessagesNotVisible", dead), "0")

    def test_a_rule_and_its_targets(self):
        rule = {"Name": self.name, "EventPattern": json.dumps({"source": ["me"]})}
        arn = self.events.put_rule(**rule, Tags=[{"Key": "a", "Value": "b"}])["RuleArn"]
        target = {"Id": "queue", "Arn": self.arn, "InputPath": "$.detail"}
        put = self.events.put_targets(Rule=self.name, Targets=[target])
        self.assertEqual(put["FailedEntryCount"], 0)
        self.assertEqual(self.events.list_targets_by_rule(Rule=self.name)["Targets"], [target])
        self.assertEqual(self.events.describe_rule(Name=self.name)["State"], "ENABLED")
        self.assertEqual(self.events.list_rules(NamePrefix=self.name)["Rules"][0]["Arn"], arn)
        tags = self.events.list_tags_for_resource(ResourceARN=arn)["Tags"]
        self.assertEqual(tags, [{"Key": "a", "Value": "b"}])
        event = {"Source": "me", "DetailType": "test", "Detail": json.dumps({"n": 1})}
        answer = self.events.put_events(Entries=[event, event | {"Detail": "no"}])
        self.assertEqual(answer["FailedEntryCount"], 1)
        self.assertEqual([json.loads(m["Body"]) for m in self.receive()], [{"n": 1}])
        self.refused("ValidationException", self.events.delete_rule, Name=self.name)
        self.events.remove_targets(Rule=self.name, Ids=["queue"])
        self.events.delete_rule(Name=self.name)
        self.refused("ResourceNotFoundException", self.events.describe_rule, Name=self.name)
        wrong = {"Name": self.name, "EventPattern": json.dumps({"source": [{"like": "x"}]})}
        self.refused("InvalidEventPatternException", self.events.put_rule, **wrong)

    def test_an_alarm_wakes_a_queue(self):
        pattern = PATTERN | {"resources": [{"suffix": ":alarm:" + self.name}]}
        self.events.put_rule(Name=self.name, EventPattern=json.dumps(pattern))
        self.events.put_targets(Rule=self.name, Targets=[{"Id": "queue", "Arn": self.arn}])
        cloudwatch = sim.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName=self.name,
            Namespace="any",
            MetricName="any",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="ignore",
            AlarmActions=[self.topic()],
        )
        cloudwatch.set_alarm_state(AlarmName=self.name, StateValue="ALARM", StateReason="by hand")
        [message] = self.receive()
        event = json.loads(message["Body"])
        self.assertEqual(event["detail"]["state"]["value"], "ALARM")
        test = {"EventPattern": json.dumps(pattern), "Event": json.dumps(event)}
        self.assertTrue(self.events.test_event_pattern(**test)["Result"])

    def test_a_topic_and_its_queues(self):
        topic = self.topic()
        subscribe = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": self.arn}
        arn = self.sns.subscribe(**subscribe)["SubscriptionArn"]
        self.assertEqual(self.sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"], "1")
        listed = self.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        self.assertEqual(listed[0]["Endpoint"], self.arn)
        attributes = {"n": {"DataType": "Number", "StringValue": "5"}}
        self.sns.publish(TopicArn=topic, Message="hello", Subject="s", MessageAttributes=attributes)
        [message] = self.receive()
        document = json.loads(message["Body"])
        self.assertEqual((document["Message"], document["Subject"]), ("hello", "s"))
        self.assertEqual(document["MessageAttributes"], {"n": {"Type": "Number", "Value": "5"}})
        raw = {"AttributeName": "RawMessageDelivery", "AttributeValue": "true"}
        self.sns.set_subscription_attributes(SubscriptionArn=arn, **raw)
        self.sns.publish(TopicArn=topic, Message="raw", MessageAttributes=attributes)
        [message] = self.receive(MessageAttributeNames=["n"])
        self.assertEqual((message["Body"], message["MessageAttributes"]["n"]["StringValue"]), ("raw", "5"))
        self.sns.unsubscribe(SubscriptionArn=arn)
        self.assertEqual(self.sns.list_tags_for_resource(ResourceArn=topic)["Tags"], [{"Key": "a", "Value": "b"}])
        self.assertIn({"TopicArn": topic}, self.sns.list_topics()["Topics"])
        self.refused("NotFound", self.sns.publish, TopicArn=topic + "-none", Message="m")
