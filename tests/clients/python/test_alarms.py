"""CloudWatch alarms."""

import json

import sim


class Alarms(sim.TestCase):
    def setUp(self):
        self.cloudwatch = sim.client("cloudwatch")
        self.name = sim.unique("boto3")

    def put(self, **changes):
        alarm = {
            "AlarmName": self.name,
            "Namespace": "AWS/KinesisVideo",
            "MetricName": "PutMedia.IncomingFragments",
            "Dimensions": [{"Name": "StreamName", "Value": self.name}],
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1.0,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "notBreaching",
        }
        self.cloudwatch.put_metric_alarm(**(alarm | changes))

    def alarm(self):
        return self.cloudwatch.describe_alarms(AlarmNames=[self.name])["MetricAlarms"][0]

    def names(self, **filters):
        pages = self.cloudwatch.get_paginator("describe_alarms").paginate(**filters)
        return [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]

    def set(self, state):
        change = {"AlarmName": self.name, "StateValue": state, "StateReason": "by hand"}
        self.cloudwatch.set_alarm_state(**change)

    def transitions(self):
        # Missing data is ignored, so that nothing but the calls changes the state.
        self.put(TreatMissingData="ignore")
        for state in ["ALARM", "OK"]:
            self.set(state)
            self.assertEqual(self.alarm()["StateValue"], state)

    def history(self, **options):
        pages = self.cloudwatch.get_paginator("describe_alarm_history").paginate(
            AlarmName=self.name, HistoryItemType="StateUpdate", **options
        )
        return [item for page in pages for item in page["AlarmHistoryItems"]]

    def summaries(self):
        """Oldest first."""
        return [item["HistorySummary"] for item in sorted(self.history(), key=lambda item: item["Timestamp"])]

    def test_life_of_an_alarm(self):
        self.put(Tags=[{"Key": "a", "Value": "b"}])
        alarm = self.alarm()
        self.assertEqual((alarm["Threshold"], alarm["TreatMissingData"]), (1.0, "notBreaching"))
        arn = alarm["AlarmArn"]
        self.put(Threshold=2.5)
        self.assertEqual(self.alarm()["Threshold"], 2.5)
        self.cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "c", "Value": "d"}])
        self.cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["a"])
        tags = self.cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]
        self.assertEqual(tags, [{"Key": "c", "Value": "d"}])
        self.cloudwatch.disable_alarm_actions(AlarmNames=[self.name])
        self.assertFalse(self.alarm()["ActionsEnabled"])
        self.cloudwatch.enable_alarm_actions(AlarmNames=[self.name])
        self.assertTrue(self.alarm()["ActionsEnabled"])
        self.cloudwatch.delete_alarms(AlarmNames=[self.name])
        self.assertEqual(self.cloudwatch.describe_alarms(AlarmNames=[self.name])["MetricAlarms"], [])
        missing = {"AlarmName": self.name, "StateValue": "OK", "StateReason": "none"}
        self.refused("ResourceNotFound", self.cloudwatch.set_alarm_state, **missing)

    @sim.differs("PutMetricAlarm: tags given for an alarm that exists are ignored; localemu sets them")
    def test_tags_of_an_update_are_ignored(self):
        self.put(Tags=[{"Key": "a", "Value": "b"}])
        self.put(Tags=[{"Key": "c", "Value": "d"}])
        tags = self.cloudwatch.list_tags_for_resource(ResourceARN=self.alarm()["AlarmArn"])["Tags"]
        self.assertEqual(tags, [{"Key": "a", "Value": "b"}])

    def test_a_new_alarm_has_too_little_data(self):
        self.put(TreatMissingData="ignore")
        self.assertEqual(self.alarm()["StateValue"], "INSUFFICIENT_DATA")

    def test_an_alarm_follows_its_metric(self):
        self.put(Namespace="Cameras", MetricName="Fragments")
        dimensions = [{"Name": "StreamName", "Value": self.name}]
        datum = {"MetricName": "Fragments", "Dimensions": dimensions, "Value": 3.0}

        def fed():
            self.cloudwatch.put_metric_data(Namespace="Cameras", MetricData=[datum])
            return self.alarm()["StateValue"] == "ALARM"

        sim.until(fed, seconds=150)
        self.assertTrue(self.summaries()[-1].endswith(" to ALARM"))

    def test_transitions_are_in_the_history(self):
        self.transitions()
        oldest, newest = self.summaries()[-2:]
        self.assertTrue(oldest.endswith(" to ALARM") and newest == "Alarm updated from ALARM to OK")
        last = max(self.history(), key=lambda item: item["Timestamp"])
        data = json.loads(last["HistoryData"])
        self.assertEqual((data["oldState"]["stateValue"], data["newState"]["stateValue"]), ("ALARM", "OK"))
        self.assertEqual(data["newState"]["stateReason"], "by hand")

    @sim.differs("DescribeAlarmHistory: ScanBy says which comes first; localemu's is always the oldest")
    def test_history_comes_in_both_orders(self):
        self.transitions()
        newest = [item["Timestamp"] for item in self.history(ScanBy="TimestampDescending")]
        self.assertEqual(newest, sorted(newest, reverse=True))
        self.assertGreater(newest[0], newest[-1])
        oldest = [item["Timestamp"] for item in self.history(ScanBy="TimestampAscending")]
        self.assertEqual(oldest, newest[::-1])

    @sim.differs("DescribeAlarmHistory: MaxRecords bounds a page; localemu's pages have everything")
    def test_history_comes_in_pages(self):
        self.transitions()
        page = self.cloudwatch.describe_alarm_history(
            AlarmName=self.name, HistoryItemType="StateUpdate", MaxRecords=1
        )
        self.assertEqual(len(page["AlarmHistoryItems"]), 1)
        self.assertIn("to OK", page["AlarmHistoryItems"][0]["HistorySummary"])

    def test_alarms_are_found_by_prefix(self):
        self.put(AlarmName=self.name + "-b")
        self.put(AlarmName=self.name + "-a")
        found = [self.name + "-a", self.name + "-b"]
        self.assertEqual(sorted(self.names(AlarmNamePrefix=self.name)), found)

    @sim.differs("DescribeAlarms: prefix and state both filter; localemu forgets the state")
    def test_alarms_are_found_by_prefix_and_state(self):
        self.put(AlarmName=self.name + "-b")
        self.put(AlarmName=self.name + "-a", TreatMissingData="ignore")
        found = self.name + "-a"
        self.cloudwatch.set_alarm_state(AlarmName=found, StateValue="ALARM", StateReason="by hand")
        self.assertEqual(self.names(AlarmNamePrefix=self.name, StateValue="ALARM"), [found])

    @sim.differs("DescribeAlarms: MaxRecords bounds a page; localemu ignores it")
    def test_alarms_come_in_pages(self):
        self.put(AlarmName=self.name + "-a")
        self.put(AlarmName=self.name + "-b")
        page = self.cloudwatch.describe_alarms(AlarmNamePrefix=self.name, MaxRecords=1)
        self.assertEqual(len(page["MetricAlarms"]), 1)
        self.assertEqual(len(self.names(AlarmNamePrefix=self.name, PaginationConfig={"PageSize": 1})), 2)

    @sim.differs("PutCompositeAlarm: the state follows from the rule; localemu's never changes")
    def test_a_composite_alarm_follows_its_children(self):
        self.put(TreatMissingData="ignore")
        rule = f'ALARM("{self.name}")'
        named = {"AlarmNames": [self.name + "-all"], "AlarmTypes": ["CompositeAlarm"]}
        self.cloudwatch.put_composite_alarm(AlarmName=self.name + "-all", AlarmRule=rule)

        def composite():
            return self.cloudwatch.describe_alarms(**named)["CompositeAlarms"][0]

        self.assertEqual(composite()["AlarmRule"], rule)
        self.set("ALARM")
        sim.until(lambda: composite()["StateValue"] == "ALARM", seconds=15)
        self.set("OK")
        sim.until(lambda: composite()["StateValue"] == "OK", seconds=15)

    def test_refuses_what_is_wrong(self):
        with self.assertRaises(self.cloudwatch.exceptions.ClientError) as caught:
            self.put(Period=7)
        self.assertEqual(caught.exception.response["Error"]["Code"], "ValidationError")

    @sim.differs("ComparisonOperator has seven values; localemu takes any")
    def test_refuses_an_operator_that_there_is_not(self):
        with self.assertRaises(self.cloudwatch.exceptions.ClientError) as caught:
            self.put(ComparisonOperator="AboutAsMuchAs")
        self.assertEqual(caught.exception.response["Error"]["Code"], "ValidationError")
