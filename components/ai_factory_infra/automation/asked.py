"""What AWS is asked about resources that an update was making when it was killed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from ai_factory_infra.automation.half_made import UnansweredError
from ai_factory_infra.automation.identity import caller
from ai_factory_infra.errors import CredentialsMissing


class AskedAws:
    """AWS itself, asked only for what is needed. Everything raises UnansweredError where it does not tell."""

    def __init__(self, region: str) -> None:
        self._region = region
        self.place = cache(self._place)  # of one process: who it is does not change

    def _place(self) -> Mapping[str, str]:
        """Account, partition and region."""
        try:
            who = caller(self._region)
        except CredentialsMissing as error:
            raise UnansweredError(str(error)) from error
        return {"account": who.account, "partition": who.arn.split(":")[1], "region": self._region}

    def tagged(self, name: str) -> Collection[str]:
        """The ids of EC2's resources whose tag `Name` is this."""
        filters = [{"Name": "key", "Values": ["Name"]}, {"Name": "value", "Values": [name]}]
        with self._client("ec2") as ec2:
            pages = ec2.get_paginator("describe_tags").paginate(Filters=filters)
            return {tag["ResourceId"] for page in pages for tag in page["Tags"]}

    def subnet_tables(self, subnet_id: str) -> Collection[str]:
        """The ids of the route tables that a subnet is associated with."""
        filters = [{"Name": "association.subnet-id", "Values": [subnet_id]}]
        with self._client("ec2") as ec2:
            return {table["RouteTableId"] for table in ec2.describe_route_tables(Filters=filters)["RouteTables"]}

    def mappings(self, function: str, source: str) -> Collection[str]:
        """The ids of a function's mappings of an event source."""
        with self._client("lambda") as functions:
            answer = functions.list_event_source_mappings(FunctionName=function, EventSourceArn=source)
            return {mapping["UUID"] for mapping in answer["EventSourceMappings"]}

    @contextmanager
    def _client(self, service: str) -> Iterator[Any]:
        import boto3  # heavy, and needed by nothing that runs without an account
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield boto3.client(service, region_name=self._region or None)
        except (BotoCoreError, ClientError) as error:
            raise UnansweredError(str(error)) from error
