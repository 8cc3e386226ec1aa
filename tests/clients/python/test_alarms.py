"""CloudWatch alarms."""

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

    def test_life_of_an_alarm(self):
        self.put(Tags=[{"Key": "a", "Value": "b"}])
        alarm = self.alarm()
        self.assertEqual((alarm["Threshold"], alarm["TreatMissingData"]), (1.0, "notBreaching"))
        arn = alarm["AlarmArn"]
        self.put(Threshold=2.5, Tags=[{"Key": "ignored", "Value": "on update"}])
        self.assertEqual(self.alarm()["Threshold"], 2.5)
        self.cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "c", "Value": "d"}])
        self.cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["a"])
        tags = self.cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]
        self.assertEqual(tags, [{"Key": "c", "Value": "d"}])
        self.cloudwatch.disable_alarm_actions(AlarmNames=[self.name])
        self.assertFalse(self.alarm()["ActionsEnabled"])
        self.cloudwatch.delete_alarms(AlarmNames=[self.name])
        self.assertEqual(self.cloudwatch.describe_alarms(AlarmNames=[self.name])["MetricAlarms"], [])
        missing = {"AlarmName": self.name, "StateValue": "OK", "StateReason": "none"}
        self.refused("ResourceNotFound", self.cloudwatch.set_alarm_state, **missing)

    def test_transitions_are_in_the_history(self):
        # Missing data is ignored, so that nothing but the calls below changes the state.
        self.put(TreatMissingData="ignore")
        for state in ["ALARM", "OK"]:
            change = {"AlarmName": self.name, "StateValue": state, "StateReason": "by hand"}
            self.cloudwatch.set_alarm_state(**change)
            self.assertEqual(self.alarm()["StateValue"], state)
        pages = self.cloudwatch.get_paginator("describe_alarm_history").paginate(
            AlarmName=self.name, HistoryItemType="StateUpdate", PaginationConfig={"PageSize": 1}
        )
        summaries = [item["HistorySummary"] for page in pages for item in page["AlarmHistoryItems"]]
        self.assertIn("to OK", summaries[0])
        self.assertIn("to ALARM", summaries[1])

    def test_refuses_what_is_wrong(self):
        with self.assertRaises(self.cloudwatch.exceptions.ClientError) as caught:
            self.put(Period=7)
        self.assertEqual(caught.exception.response["Error"]["Code"], "ValidationError")
        self.put()
        rule = f'ALARM("{self.name}")'
        self.cloudwatch.put_composite_alarm(AlarmName=self.name + "-all", AlarmRule=rule)
        found = self.cloudwatch.describe_alarms(
            AlarmNames=[self.name + "-all"], AlarmTypes=["CompositeAlarm"]
        )["CompositeAlarms"]
        self.assertEqual(found[0]["AlarmRule"], rule)
