"""Network: where containers run: a private network of their own, one that exists, or none at all.

The containers of this library need no network: SageMaker brings their inputs and takes their outputs, and metrics leave
through their log. They run in network isolation in every mode. A network adds that SageMaker's own traffic to S3 stays
inside it, under an endpoint policy, and in a flow log. So `create` has no internet gateway, no NAT and, unless `interfaces`
asks for some, no interface endpoints: what runs in it can call no other service.

Costs when idle: nothing by the hour, the flow log by volume; each of `interfaces` by the hour in two zones (about 16 USD a month,
and by what passes). Limits: at most 16 subnets and 5 security groups a job.
AWS: "Give SageMaker processing jobs access to resources in your VPC", "DescribeAvailabilityZones".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import NotRequired

import pulumi
import pulumi_aws as aws
from ai_factory_spec.suggest import did_you_mean

from ai_factory_infra.dependency import MODES, Mode
from ai_factory_infra.inputs import RoleInputs
from ai_factory_infra.limits import LOG_RETENTION_DAYS, SECURITY_GROUPS, SUBNETS
from ai_factory_infra.network_doors import IMAGES, INTERFACES, door_to_s3, doors_to_services, group_name
from ai_factory_infra.pipeline_parts import role
from ai_factory_infra.policies import write_flow_log
from ai_factory_infra.problems import Problems

ZONES = 2


class NetworkArgs(RoleInputs):
    """`mode`: create, existing or skip. `existing` takes `subnet_ids` and `security_group_ids`.

    `create` takes `cidr` (a /16 to /24, split between two zones), `buckets` (names; the only ones that can be reached),
    `logs_key_arn` and `log_retention_days` for the flow log. `role_arns`: a role that exists, for the part `flow`. `interfaces`:
    services that can be called from inside, such as `sagemaker.runtime`; none by default, each costs by the hour.
    """

    mode: Mode | str
    subnet_ids: NotRequired[Sequence[str]]
    security_group_ids: NotRequired[Sequence[str]]
    cidr: NotRequired[str]
    buckets: NotRequired[Sequence[pulumi.Input[str]]]
    logs_key_arn: NotRequired[pulumi.Input[str]]
    log_retention_days: NotRequired[int]
    interfaces: NotRequired[Sequence[str]]


class Network(pulumi.ComponentResource):
    """`subnet_ids` and `security_group_ids`: what jobs and endpoints are given; both empty with `skip`."""

    subnet_ids: pulumi.Output[list[str]]
    security_group_ids: pulumi.Output[list[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        _check(args)
        super().__init__("ai-factory:index:Network", name, {}, opts)
        if args["mode"] == "create":
            self.subnet_ids, self.security_group_ids = self._create(name, args)
        else:
            self.subnet_ids = pulumi.Output.from_input(list(args.get("subnet_ids", ())))
            self.security_group_ids = pulumi.Output.from_input(list(args.get("security_group_ids", ())))
        self.register_outputs({"subnet_ids": self.subnet_ids, "security_group_ids": self.security_group_ids})

    def _create(self, name: str, args: NetworkArgs) -> tuple[pulumi.Output[list[str]], pulumi.Output[list[str]]]:
        child = pulumi.ResourceOptions(parent=self)
        cidr = args.get("cidr", "10.60.0.0/20")
        vpc = aws.ec2.Vpc(
            name, cidr_block=cidr, enable_dns_support=True, enable_dns_hostnames=True, tags={"Name": name}, opts=child
        )
        # Local Zones that the account has opted in to sort before the zones of the region itself, and have no SageMaker.
        zones = aws.get_availability_zones_output(
            state="available",
            filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
            opts=pulumi.InvokeOutputOptions(parent=self),
        )
        table = aws.ec2.RouteTable(name, vpc_id=vpc.id, tags={"Name": name}, opts=child)
        subnets = []
        for i, block in enumerate(split(cidr, ZONES)):
            subnet = aws.ec2.Subnet(
                f"{name}-{i}",
                vpc_id=vpc.id,
                cidr_block=block,
                availability_zone=zones.names[i],
                map_public_ip_on_launch=False,
                tags={"Name": f"{name}-{i}"},
                # A zone that AWS adds, or has no room in today, would move the others along and replace the subnets.
                opts=pulumi.ResourceOptions(parent=self, ignore_changes=["availability_zone"]),
            )
            aws.ec2.RouteTableAssociation(f"{name}-{i}", subnet_id=subnet.id, route_table_id=table.id, opts=child)
            subnets.append(subnet.id)
        services = args.get("interfaces", ())
        door = door_to_s3(name, vpc, table, args.get("buckets", ()), images=IMAGES in services, parent=self)
        group = self._group(name, vpc, door)
        if services:
            doors_to_services(name, vpc, subnets, group, services, parent=self)
        self._flow_log(name, vpc, args)
        # AWS makes this group with the network and lets everything in it talk; emptied, it lets nothing.
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=vpc.id, ingress=[], egress=[], opts=child)
        return pulumi.Output.all(*subnets), pulumi.Output.all(group)

    def _group(self, name: str, vpc: aws.ec2.Vpc, door: aws.ec2.VpcEndpoint) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        group = aws.ec2.SecurityGroup(
            group_name(f"{name}-jobs"),
            vpc_id=vpc.id,
            description="Containers of the project: nothing comes in, only S3 goes out.",
            tags={"Name": f"{name}-jobs"},
            opts=child,
        )
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-s3",
            security_group_id=group.id,
            description="Objects in the project's buckets",
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            prefix_list_id=door.prefix_list_id,
            tags={"Name": f"{name}-s3"},
            opts=child,
        )
        return group.id

    def _flow_log(self, name: str, vpc: aws.ec2.Vpc, args: NetworkArgs) -> None:
        child = pulumi.ResourceOptions(parent=self)
        group = aws.cloudwatch.LogGroup(
            f"{name}-flow",
            name=f"/ai-factory/{name}/flow",
            retention_in_days=args.get("log_retention_days", 30),
            kms_key_id=args.get("logs_key_arn"),
            opts=child,
        )
        writer = role(self, name, "flow", write_flow_log(group.arn), args, "vpc-flow-logs.amazonaws.com")
        aws.ec2.FlowLog(
            f"{name}-flow",
            vpc_id=vpc.id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=writer.arn,
            tags={"Name": f"{name}-flow"},
            opts=child,
        )


def split(cidr: str, parts: int) -> list[str]:
    """The first `parts` equal blocks of a network, as large as they can be."""
    network = ipaddress.ip_network(cidr)
    return [str(block) for block in list(network.subnets(prefixlen_diff=(parts - 1).bit_length()))[:parts]]


def _check(args: NetworkArgs) -> None:
    problems = Problems("Network")
    mode, subnets, groups = args["mode"], args.get("subnet_ids", ()), args.get("security_group_ids", ())
    problems.unless(mode in MODES, "mode", f"got {mode!r}; allowed: {', '.join(MODES)}")
    for path, ids, start, most in (
        ("subnet_ids", subnets, "subnet-", SUBNETS),
        ("security_group_ids", groups, "sg-", SECURITY_GROUPS),
    ):
        if mode == "existing":
            problems.unless(1 <= len(ids) <= most, path, f"got {len(ids)}; AWS allows 1 to {most}")
        else:
            problems.unless(not ids, path, f"fits the mode existing, not {mode}")
        for i in ids:
            problems.matches(path, i, start + r"[0-9a-f]{8,17}", f"{start} and 8 to 17 hexadecimal digits")
    if mode == "create":
        problems.unless(
            _is_network(args.get("cidr", "10.60.0.0/20")), "cidr", f"got {args.get('cidr')!r}; a private /16 to /24"
        )
        problems.unless(bool(args.get("buckets")), "buckets", "got none; the network would reach nothing")
        days = args.get("log_retention_days", 30)
        problems.unless(
            days in LOG_RETENTION_DAYS, "log_retention_days", f"got {days}; AWS allows {LOG_RETENTION_DAYS}"
        )
    _check_interfaces(problems, mode, args.get("interfaces", ()))
    problems.stop()


def _check_interfaces(problems: Problems, mode: str, services: Sequence[str]) -> None:
    problems.unless(mode == "create" or not services, "interfaces", f"fits the mode create, not {mode}")
    for service in sorted(set(services) - set(INTERFACES)):
        meant = did_you_mean(service, INTERFACES)
        problems.add("interfaces", f"got {service!r}; allowed: {', '.join(INTERFACES)}{meant}")
    problems.unless(len(set(services)) == len(services), "interfaces", "the same service twice")


def _is_network(cidr: str) -> bool:
    if not re.fullmatch(r"[\d.]+/\d+", cidr):
        return False
    try:
        network = ipaddress.ip_network(cidr)
    except ValueError:
        return False
    return network.is_private and 16 <= network.prefixlen <= 24
