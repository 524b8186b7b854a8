"""What a killed update was making is found again, whatever it is: by its name, its tag, what it connects; or it is said to be lost."""

from __future__ import annotations

import ast
import importlib
import string
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import ai_factory_infra
import boto3
import pulumi_aws
import pytest
from ai_factory_infra.automation.asked import AskedAws
from ai_factory_infra.automation.half_made import (
    ASKED_FOR,
    IDENTIFIED_BY,
    LEFT_OUT,
    MADE_TWICE_IS_MADE_ONCE,
    NAMED_BY_AWS,
    TAGGED,
    UnansweredError,
    found,
)
from helpers_automation import ACCOUNT, emulator, signed_in
from pulumi._types import input_type_py_to_pulumi_names

REGION = "eu-west-1"
WAYS = (IDENTIFIED_BY.keys(), TAGGED.keys(), ASKED_FOR.keys(), MADE_TWICE_IS_MADE_ONCE, NAMED_BY_AWS)


def calls_in_the_library() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a function or class by a dotted name, with the file it is in."""
    for file in sorted(Path(ai_factory_infra.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield file.name, node


@cache
def made_by_the_library() -> dict[str, type]:
    """Type token -> class of every resource of AWS that a component makes."""
    named = {tuple(ast.unparse(call.func).split(".")) for _, call in calls_in_the_library()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pulumi_aws's own older classes
        classes = [getattr(getattr(pulumi_aws, n[1]), n[2]) for n in named if len(n) == 3 and n[0] == "aws"]
    return {c.pulumi_type: c for c in classes if hasattr(c, "pulumi_type")}


def test_for_everything_that_the_library_makes_it_is_said_how_it_is_found_again_and_in_one_way() -> None:
    types = made_by_the_library()
    assert len(types) > 60
    assert {t: n for t in types if (n := sum(t in way for way in WAYS)) != 1} == {}
    assert {t for way in WAYS for t in way} - types.keys() == set(), "nothing makes it any more"


@pytest.mark.parametrize("kind", sorted(IDENTIFIED_BY))
def test_an_id_is_put_together_from_inputs_that_the_type_has(kind: str) -> None:
    made = made_by_the_library()[kind]
    args = getattr(importlib.import_module(made.__module__), f"{made.__name__}Args")
    inputs = input_type_py_to_pulumi_names(args).values()
    parts = {part for _, part, _, _ in string.Formatter().parse(IDENTIFIED_BY[kind]) if part}
    assert parts <= {*inputs, "account", "partition", "region"}


@pytest.mark.parametrize("kind", sorted(TAGGED))
def test_what_is_found_by_its_tag_has_one_wherever_the_library_makes_it(kind: str) -> None:
    name, without = made_by_the_library()[kind].__name__, []
    for file, call in calls_in_the_library():
        tags = next((k.value for k in call.keywords if k.arg == "tags"), None)
        if ast.unparse(call.func).endswith(f".{name}") and "'Name':" not in ast.unparse(tags or call.func):
            without.append(f"{file}:{call.lineno}")
    assert without == []


@dataclass(frozen=True)
class Creating:
    type: str
    inputs: Mapping[str, Any]

    @property
    def urn(self) -> str:
        return f"urn:pulumi:dev::churn::{self.type}::it"


@dataclass
class Account:
    """An AWS that knows what it is told to; `None`: it does not answer."""

    tags: Mapping[str, Collection[str]] | None = field(default_factory=dict)
    tables: Collection[str] = ()
    uuids: Collection[str] = ()
    signed_in: bool = True

    def place(self) -> Mapping[str, str]:
        if not self.signed_in:
            raise UnansweredError("no credentials")
        return {"account": ACCOUNT, "partition": "aws", "region": REGION}

    def tagged(self, name: str) -> Collection[str]:
        if self.tags is None:
            raise UnansweredError("AccessDenied")
        return self.tags.get(name, ())

    def subnet_tables(self, subnet_id: str) -> Collection[str]:
        return self.tables

    def mappings(self, function: str, source: str) -> Collection[str]:
        return self.uuids


VPC, SUBNET = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"
NAMED = {"tags": {"Name": "churn-dev-net"}}


def one(kind: str, inputs: Mapping[str, Any], aws: Account, known: Collection[str] = ()) -> str | None:
    """The id that is found; empty where there is nothing to find, None where it is lost."""
    creation = Creating(kind, inputs)
    answer = found([creation], known, aws)
    return None if creation.urn in answer.lost else answer.ids.get(creation.urn, "")


@pytest.mark.parametrize(
    ("kind", "inputs", "identifier"),
    [
        ("aws:s3/bucket:Bucket", {"bucket": "lake-27773df"}, "lake-27773df"),
        ("aws:budgets/budget:Budget", {"name": "churn-dev"}, f"{ACCOUNT}:churn-dev"),
        ("aws:iam/policy:Policy", {"name": "edge"}, f"arn:aws:iam::{ACCOUNT}:policy/edge"),
        ("aws:iam/policy:Policy", {"name": "edge", "path": "/ml/"}, f"arn:aws:iam::{ACCOUNT}:policy/ml/edge"),
        ("aws:scheduler/schedule:Schedule", {"name": "nightly"}, "default/nightly"),
        (
            "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
            {"url": "https://gitlab.com"},
            f"arn:aws:iam::{ACCOUNT}:oidc-provider/gitlab.com",
        ),
        ("aws:sns/topic:Topic", {"name": "alerts"}, f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts"),
    ],
)
def test_a_name_tells_the_id(kind: str, inputs: Mapping[str, str], identifier: str) -> None:
    assert one(kind, inputs, Account()) == identifier


def test_without_credentials_only_what_needs_an_account_is_lost() -> None:
    assert one("aws:iam/role:Role", {"name": "runs"}, Account(signed_in=False)) == "runs"
    assert one("aws:budgets/budget:Budget", {"name": "churn"}, Account(signed_in=False)) is None


def test_a_name_that_the_inputs_do_not_tell_is_lost() -> None:
    assert one("aws:iam/role:Role", {}, Account()) is None
    assert one("aws:iam/role:Role", {"name": {"a": "secret"}}, Account()) is None


def test_what_aws_names_is_found_by_its_tag_among_those_of_its_kind() -> None:
    tags = {"churn-dev-net": ("vpc-1", "rtb-1")}
    assert one(VPC, NAMED, Account(tags)) == "vpc-1"
    assert one(SUBNET, NAMED, Account(tags)) == ""


def test_what_the_state_holds_is_not_what_was_being_made() -> None:
    assert one(VPC, NAMED, Account({"churn-dev-net": ("vpc-1", "vpc-2")}), known={"vpc-1"}) == "vpc-2"


def test_several_with_the_same_tag_a_missing_tag_and_a_refused_question_are_lost() -> None:
    assert one(VPC, NAMED, Account({"churn-dev-net": ("vpc-1", "vpc-2")})) is None
    assert one(VPC, {}, Account()) is None
    assert one(VPC, NAMED, Account(None)) is None


def test_two_that_were_being_made_are_not_taken_for_the_same_one() -> None:
    rules = [Creating(f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule", NAMED) for way in ("Egress", "Ingress")]
    answer = found(rules, (), Account({"churn-dev-net": ("sgr-1",)}))
    assert list(answer.ids.values()) == ["sgr-1"]


def test_what_connects_two_things_is_found_by_them() -> None:
    association = {"subnetId": "subnet-1", "routeTableId": "rtb-1"}
    kind = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    assert one(kind, association, Account(tables=("rtb-1",))) == "subnet-1/rtb-1"
    assert one(kind, association, Account(tables=("rtb-of-the-network",))) == ""
    mapping = {"functionName": "f", "eventSourceArn": "s"}
    assert one("aws:lambda/eventSourceMapping:EventSourceMapping", mapping, Account(uuids=("u",))) == "u"


@pytest.mark.parametrize("kind", sorted(MADE_TWICE_IS_MADE_ONCE))
def test_what_is_only_set_is_set_again(kind: str) -> None:
    assert one(kind, {"name": "x"}, Account(None, signed_in=False)) == ""


@pytest.mark.parametrize("kind", [*sorted(NAMED_BY_AWS), "aws:ec2/natGateway:NatGateway"])
def test_what_nothing_tells_of_is_lost(kind: str) -> None:
    assert one(kind, NAMED, Account({"churn-dev-net": ("x-1",)})) is None


@pytest.fixture(scope="module")
def network() -> Iterator[dict[str, str]]:
    """An emulator, signed in to, with a network; the ids in it."""
    with emulator() as address, pytest.MonkeyPatch.context() as patch:
        for key, value in signed_in(address).items():
            patch.setenv(key, value)
        ec2 = boto3.client("ec2", region_name=REGION)
        named = [{"Key": "Name", "Value": "churn-dev-net"}]
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/20", TagSpecifications=[{"ResourceType": "vpc", "Tags": named}])
        inside = {"VpcId": vpc["Vpc"]["VpcId"]}
        subnet = ec2.create_subnet(CidrBlock="10.0.0.0/22", **inside)["Subnet"]["SubnetId"]
        other = ec2.create_subnet(CidrBlock="10.0.4.0/22", **inside)["Subnet"]["SubnetId"]
        table = ec2.create_route_table(**inside)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(SubnetId=subnet, RouteTableId=table)
        yield {"vpc": inside["VpcId"], "subnet": subnet, "other": other, "table": table}


def test_aws_tells_who_is_asked_and_what_has_a_name(network: Mapping[str, str]) -> None:
    aws = AskedAws(REGION)
    assert aws.place() == {"account": ACCOUNT, "partition": "aws", "region": REGION}
    assert set(aws.tagged("churn-dev-net")) == {network["vpc"]}
    assert set(aws.tagged("churn-prod-net")) == set()


def test_aws_tells_what_a_subnet_is_associated_with(network: Mapping[str, str]) -> None:
    aws = AskedAws(REGION)
    assert set(aws.subnet_tables(network["subnet"])) == {network["table"]}
    assert set(aws.subnet_tables(network["other"])) == set()


def test_what_aws_does_not_tell_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers who was signed in
    monkeypatch.setenv("AWS_PROFILE", "nobody-wrote-this-one")
    aws = AskedAws(REGION)
    with pytest.raises(UnansweredError, match="nobody-wrote-this-one"):
        aws.place()
    with pytest.raises(UnansweredError, match="nobody-wrote-this-one"):
        aws.tagged("churn-dev-net")


def test_what_aws_takes_where_nothing_is_said_is_an_input_of_something() -> None:
    assert {part for part in LEFT_OUT if any(f"{{{part}}}" in t for t in IDENTIFIED_BY.values())} == set(LEFT_OUT)
