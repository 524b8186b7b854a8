"""The pack as Pulumi's engine meets it: a process of its own that answers over gRPC; advice in dev, a stop everywhere else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from google.protobuf import empty_pb2, struct_pb2
from helpers_infra import rendered
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

ADVISORY, MANDATORY = analyzer_pb2.ADVISORY, analyzer_pb2.MANDATORY


@contextmanager
def served() -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    """The pack of a rendered project, started as the engine starts it: it is told no stage."""
    pack = rendered(architecture="realtime") / "infra" / "policy"
    command = [sys.executable, "-m", "pulumi.policy", "127.0.0.1:1", str(pack)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)  # type: ignore[no-untyped-call]
    finally:
        process.kill()
        process.communicate()


def group(stage: str, **inputs: object) -> analyzer_pb2.AnalyzeRequest:
    """A log group, tagged by its provider as every stage's is."""
    properties, settings = struct_pb2.Struct(), struct_pb2.Struct()
    properties.update(inputs)
    settings.update({"defaultTags": '{"tags": {"project": "churn", "stage": "prod"}}'})
    return analyzer_pb2.AnalyzeRequest(
        type="aws:cloudwatch/logGroup:LogGroup",
        urn=f"urn:pulumi:{stage}::churn-serving::aws:cloudwatch/logGroup:LogGroup::churn",
        name="churn",
        properties=properties,
        options=analyzer_pb2.AnalyzerResourceOptions(),
        provider=analyzer_pb2.AnalyzerProviderResource(type="pulumi:providers:aws", properties=settings, name="aws"),
    )


def test_a_violation_advises_in_dev_and_stops_every_other_stage() -> None:
    with served() as pack:
        assert pack.GetAnalyzerInfo(empty_pb2.Empty()).name == "churn-policy"
        for stage, level in (("dev", ADVISORY), ("staging", MANDATORY), ("prod", MANDATORY)):
            (found,) = pack.Analyze(group(stage)).diagnostics
            assert found.policyName.startswith("logs-end")
            assert found.enforcementLevel == level, stage
            assert found.message.endswith("keeps its lines for ever: set retention_in_days")
            assert list(pack.Analyze(group(stage, retentionInDays=30)).diagnostics) == []
