"""AlertTopic: one encrypted SNS topic for everything people must know about a stage.

Costs when idle: nothing. Limits: 256 KiB in a message. AWS: "Encrypting Amazon SNS topics with AWS services as publishers".
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.key_set import WITHOUT_ACCOUNT
from ai_factory_infra.problems import Problems

PUBLISHERS = (
    "budgets.amazonaws.com", "cloudwatch.amazonaws.com", "costalerts.amazonaws.com", "events.amazonaws.com"
)  # fmt: skip


class AlertTopicArgs(TypedDict):
    """`kms_key_arn`: a key whose policy lets the publishers use it (KeySet's class `alerts`). `email`: who is told."""

    kms_key_arn: pulumi.Input[str]
    email: NotRequired[str]


class AlertTopic(pulumi.ComponentResource):
    """Alarms, rules, budgets and anomalies of cost publish here, and no person or role. `arn` waits for the policy."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: AlertTopicArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        _check(args)
        super().__init__("ai-factory:index:AlertTopic", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = aws.sns.Topic(name, kms_master_key_id=args["kms_key_arn"], opts=child)
        policy = aws.sns.TopicPolicy(
            name,
            arn=topic.arn,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "AlarmsAndBudgetsPublish",
                            "Effect": "Allow",
                            "Principal": {"Service": [s for s in PUBLISHERS if s not in WITHOUT_ACCOUNT]},
                            "Action": "sns:Publish",
                            "Resource": topic.arn,
                            "Condition": {"StringEquals": {"aws:SourceAccount": Account.of(self).id}},
                        },
                        {
                            "Sid": "RulesPublish",
                            "Effect": "Allow",
                            "Principal": {"Service": sorted(WITHOUT_ACCOUNT)},
                            "Action": "sns:Publish",
                            "Resource": topic.arn,
                        },
                    ],
                }
            ),
            opts=child,
        )
        if args.get("email"):
            aws.sns.TopicSubscription(name, topic=topic.arn, protocol="email", endpoint=args["email"], opts=child)
        self.arn = pulumi.Output.all(topic.arn, policy.id).apply(lambda a: str(a[0]))
        self.register_outputs({"arn": self.arn})


def _check(args: AlertTopicArgs) -> None:
    problems = Problems("AlertTopic")
    if args.get("email"):
        problems.matches("email", args["email"], r"[^@\s]+@[^@\s]+\.[^@\s]+", "one e-mail address, or empty for nobody")
    problems.stop()
