"""Account: where a component's provider points: account, partition and region, for the ARNs in its policies."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, slots=True)
class Account:
    """The account, partition (`aws`, `aws-cn`, …) and region that a component's resources land in."""

    id: pulumi.Output[str]
    partition: pulumi.Output[str]
    region: pulumi.Output[str]

    @classmethod
    def of(cls, parent: pulumi.Resource) -> Account:
        """Ask the provider that `parent` hands to its children; its region is its own setting where it is explicit."""
        opts = pulumi.InvokeOutputOptions(parent=parent)
        provider = parent.get_provider("aws:index/provider:Provider")
        own = provider.region if isinstance(provider, aws.Provider) else aws.get_region_output(opts=opts).region
        return cls(
            id=aws.get_caller_identity_output(opts=opts).account_id,
            partition=aws.get_partition_output(opts=opts).partition,
            region=own.apply(str),
        )

    def arn(self, service: str, resource: pulumi.Input[str]) -> pulumi.Output[str]:
        """The ARN of a resource of this account and region."""
        return pulumi.Output.format("arn:{0}:{1}:{2}:{3}:{4}", self.partition, service, self.region, self.id, resource)

    def named(self, short: str) -> pulumi.Output[str]:
        """An ARN from its short form: `sqs:churn-*` lies in this account and region, `iam::role/x` in no region, `s3:::x`
        in neither.
        """
        service, _, resource = short.partition(":")
        if resource.startswith("::"):
            return pulumi.Output.format("arn:{0}:{1}:::{2}", self.partition, service, resource[2:])
        if resource.startswith(":"):
            return pulumi.Output.format("arn:{0}:{1}::{2}:{3}", self.partition, service, self.id, resource[1:])
        return self.arn(service, resource)

    def bucket(self, name: pulumi.Input[str], path: str = "") -> pulumi.Output[str]:
        """The ARN of a bucket, or of what lies under a path in it."""
        return pulumi.Output.format("arn:{0}:s3:::{1}{2}", self.partition, name, f"/{path}" if path else "")

    @property
    def root(self) -> pulumi.Output[str]:
        """The account itself as a principal: whom a key trusts, so that IAM policies of the account decide."""
        return pulumi.Output.format("arn:{0}:iam::{1}:root", self.partition, self.id)
