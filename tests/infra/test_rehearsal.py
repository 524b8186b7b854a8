"""A rehearsal reaches nothing real, runs the programs as they are, and says what the emulator could not do."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import yaml
from ai_factory_infra.automation.programs import programs
from ai_factory_infra.automation.progress import Screen
from ai_factory_infra.automation.trial import tried
from ai_factory_infra.errors import RehearsalRefused, StateUnusable
from ai_factory_infra.rehearsal import copies, diagram, guard, report
from ai_factory_infra.rehearsal import emulator as emulators
from ai_factory_infra.rehearsal.asking import LOOKS, USES
from ai_factory_infra.rehearsal.emulator import Call
from ai_factory_infra.rehearsal.record import Failed, Made, Record, StackRecord
from ai_factory_infra.rehearsal.run import rehearse
from ai_factory_infra.testing import run_program
from botocore.exceptions import ClientError
from helpers_automation import command, pulumi_that_acts, pulumi_that_counts, write_programs
from helpers_infra import rendered

ADDRESS = "http://127.0.0.1:5000"
PROVIDER = "pulumi:providers:aws"


def change(file: Path, **keys: object) -> None:
    whole = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump(whole | keys), encoding="utf-8")


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("key", ["aws:profile", "aws:accessKey", "aws:assumeRoles", "aws:endpoints"])
def test_a_program_with_a_provider_of_its_own_is_refused(tmp_path: Path, key: str) -> None:
    infra = write_programs(tmp_path)
    change(infra / "serving" / "Pulumi.dev.yaml", config={key: "prod"})
    with pytest.raises(RehearsalRefused, match=f"serving/Pulumi.dev.yaml: `{key}` sets up a provider of its own"):
        guard.refuse_what_is_real(programs(infra, "dev"))


def test_an_environment_that_opens_credentials_is_refused_with_all_others(tmp_path: Path) -> None:
    infra = write_programs(tmp_path)
    change(infra / "serving" / "Pulumi.dev.yaml", environment=["acme/prod"])
    change(infra / "registry" / "Pulumi.dev.yaml", config={"aws:profile": "prod"})
    with pytest.raises(RehearsalRefused) as refused:
        guard.refuse_what_is_real(programs(infra, "dev"))
    assert "serving/Pulumi.dev.yaml: `environment`" in str(refused.value)
    assert "registry/Pulumi.dev.yaml: `aws:profile`" in str(refused.value)


def test_the_stacks_of_a_generated_repository_are_not_refused() -> None:
    guard.refuse_what_is_real(programs(rendered() / "infra", "dev"))


GITHUB = """
import pulumi

class Repository(pulumi.CustomResource):
    def __init__(self):
        super().__init__("github:index/repository:Repository", "mine", {})

Repository()
"""
DYNAMIC = """
import pulumi
from pulumi import dynamic

class Anything(dynamic.ResourceProvider):
    pass

class Thing(dynamic.Resource):
    pass

Thing(Anything(), "mine", {})
"""
HARMLESS = """
import pulumi

class Mine(pulumi.ComponentResource):
    def __init__(self):
        super().__init__("acme:index:Mine", "mine")

Mine()
pulumi.CustomResource("random:index/randomId:RandomId", "id", {"byteLength": 4})
"""


def judged(tmp_path: Path, source: str) -> None:
    """The guard's look at one program of this source."""
    infra = write_programs(tmp_path, reads={"mine": ()})
    (infra / "mine" / "__main__.py").write_text(source, encoding="utf-8")
    found = programs(infra, "dev")
    guard.refuse_other_providers(found, list(tried(found)))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (GITHUB, "mine: the provider github makes real things"),
        (DYNAMIC, "mine: the provider pulumi-python makes real things"),
        ("if False:\n    import pulumi_databricks as bricks\n", "mine: the provider databricks makes real things"),
        ("if False:\n    from pulumi_azure_native import web\n", "mine: the provider azure-native makes real things"),
        ("raise OSError('no answer')\n", "what it makes could not be looked at: OSError: no answer"),
    ],
    ids=["registered", "dynamic", "imported", "imported from", "not to be seen"],
)
def test_a_program_that_could_make_something_elsewhere_is_refused(tmp_path: Path, source: str, said: str) -> None:
    with pytest.raises(RehearsalRefused, match=re.escape(said)):
        judged(tmp_path, source)


def test_a_file_that_cannot_be_read_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "half.py").write_text("def (\n", encoding="utf-8")
    with pytest.raises(RehearsalRefused, match=r"mine: what it imports could not be looked at: .*half\.py, line 1"):
        judged(tmp_path, HARMLESS)


def test_a_component_of_ones_own_and_what_reaches_nothing_are_rehearsed(tmp_path: Path) -> None:
    judged(tmp_path, HARMLESS)


def test_every_stack_of_a_generated_repository_makes_things_of_aws_only() -> None:
    found = programs(rendered() / "infra", "dev")
    guard.refuse_other_providers(found, list(tried(found)))


@pytest.mark.slow
def test_another_provider_is_refused_before_pulumi_is_asked_for_anything(tmp_path: Path) -> None:
    infra = write_programs(tmp_path / "infra", reads={"mine": ()})
    (infra / "mine" / "__main__.py").write_text(GITHUB, encoding="utf-8")
    calls = pulumi_that_counts(tmp_path / "bin")
    done = command("rehearse", cwd=tmp_path, path=str(tmp_path / "bin"), GITHUB_TOKEN="real")
    assert done.returncode == 1
    assert "the provider github makes real things" in done.stderr
    assert calls.read_text(encoding="utf-8").split() == ["version"]


def test_what_a_rehearsal_leaves_behind_when_it_breaks_off_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infra = write_programs(tmp_path / "infra", reads={"mine": ()})
    (infra / "mine" / "__main__.py").write_text("import pulumi\n", encoding="utf-8")
    pulumi_that_counts(tmp_path / "bin")  # it opens no state
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    out = io.StringIO()
    with pytest.raises(StateUnusable):
        rehearse(infra, "dev", tmp_path / "out", Screen(out))
    (kept,) = tmp_path.glob("rehearsal-*")
    assert f"are kept in {kept}." in out.getvalue()


@pytest.mark.slow
def test_ctrl_c_ends_a_rehearsal_and_leaves_nothing(tmp_path: Path) -> None:
    infra = write_programs(tmp_path / "infra", reads={"ant": (), "bee": ()})
    for name in ("ant", "bee"):
        (infra / name / "__main__.py").write_text("import pulumi\n", encoding="utf-8")
    calls = pulumi_that_acts(tmp_path / "bin")
    (tmp_path / "bin" / "sleeps").touch()
    (tmp_path / "tmp").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "ai_factory_infra", "rehearse"],
        cwd=tmp_path,
        env={**os.environ, "PATH": str(tmp_path / "bin"), "TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None and "\nup " not in f"\n{calls_of(calls)}":
        time.sleep(0.1)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130, out + error
    assert "Stopped." in error
    assert calls_of(calls).count("\nup ") == 1, "another stack was begun"
    assert "bee: up" not in out
    assert list((tmp_path / "tmp").glob("rehearsal-*")) == []
    address = re.search(r"http://127\.0\.0\.1:(\d+)", out)
    assert address
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", int(address[1])), 1):
        pass


def calls_of(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def test_nothing_of_a_persons_sign_in_goes_on(tmp_path: Path) -> None:
    mine = {
        "AWS_PROFILE": "prod",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SESSION_TOKEN": "real",
        "AWS_ENDPOINT_URL_S3": "https://real",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/real",
        "PULUMI_ACCESS_TOKEN": "pul-real",
        "PULUMI_BACKEND_URL": "s3://real",
        "GITHUB_TOKEN": "real",
        "PULUMI_CONFIG": "real",
        "PULUMI_GITHUB_TOKEN": "real",
        "PULUMI_CREDENTIALS_PATH": "/real",
        "DATABRICKS_TOKEN": "real",
        "KUBECONFIG": "/real",
        "GOOGLE_APPLICATION_CREDENTIALS": "/real",
        "ANYTHING_ELSE": "real",
        "PATH": "/bin",
        "PULUMI_HOME": "/plugins",
    }
    stranger = guard.stranger(mine, ADDRESS, tmp_path, "eu-west-1")
    assert not [v for v in stranger.values() if "real" in v.lower()]
    assert "AWS_PROFILE" not in stranger
    assert stranger["AWS_ENDPOINT_URL"] == ADDRESS
    assert stranger["PULUMI_BACKEND_URL"] == f"file://{tmp_path / 'state'}"
    assert (stranger["PATH"], stranger["PULUMI_HOME"]) == ("/bin", "/plugins")


def test_children_inherit_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "prod")
    with guard.only({"PATH": "/bin"}):
        assert dict(os.environ) == {"PATH": "/bin"}
    assert os.environ["AWS_PROFILE"] == "prod"


def test_without_the_emulator_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulators, "find_spec", lambda _: None)
    with pytest.raises(RehearsalRefused, match="moto is not installed"), emulators.emulator("1" * 12, tmp_path / "log"):
        pass


# ------------------------------------------------------------------ the programs


def test_the_provider_is_pointed_at_the_emulator_with_keys_that_are_nobodys() -> None:
    folder = rendered() / "infra" / "registry"
    exports = {"churn-foundation": dict.fromkeys(("data_key_arn", "alerts_topic_arn"), "arn:aws:sns:eu-west-1:1:x")}
    provider = run_program(folder, "dev", exports=exports, config={"emulator": ADDRESS}).only(PROVIDER).inputs
    assert ADDRESS in str(provider["endpoints"])
    assert "https" not in str(provider["endpoints"])
    assert "rehearsal" in str(provider["accessKey"])
    assert "rehearsal" in str(provider["secretKey"])


def test_without_an_emulator_the_provider_has_neither_address_nor_key() -> None:
    folder = rendered() / "infra" / "registry"
    exports = {"churn-foundation": dict.fromkeys(("data_key_arn", "alerts_topic_arn"), "arn:aws:sns:eu-west-1:1:x")}
    provider = run_program(folder, "dev", exports=exports).only(PROVIDER).inputs
    assert not {"endpoints", "accessKey", "secretKey"} & set(provider)


def test_an_address_of_another_machine_is_refused_by_the_program() -> None:
    with pytest.raises(Exception, match="an AWS emulator on this machine"):
        run_program(rendered() / "infra" / "registry", "dev", config={"emulator": "https://sagemaker.example.com"})


def test_copies_serve_a_release_keep_what_is_protected_and_name_no_state(tmp_path: Path) -> None:
    infra = rendered() / "infra"
    before = (infra / "serving" / "Pulumi.dev.yaml").read_bytes()
    copied = copies.copy(programs(infra, "dev"), tmp_path, emulator=ADDRESS, account="111122223333")
    by_name = {p.stack: p for p in programs(copied, "dev")}
    assert by_name["serving"].settings["release"] == "rehearsal"
    assert by_name["foundation"].settings["protect"] == "true"
    assert {p.account for p in by_name.values()} == {"111122223333"}
    assert {p.backend for p in by_name.values()} == {""}
    assert (infra / "serving" / "Pulumi.dev.yaml").read_bytes() == before


def test_the_policy_pack_goes_along_and_finds_its_environment(tmp_path: Path) -> None:
    infra = write_programs(tmp_path / "infra")
    (infra / "policy").mkdir()
    pack = {"version": "0.1.0", "runtime": {"name": "python", "options": {"virtualenv": "../../.venv"}}}
    (infra / "policy" / "PulumiPolicy.yaml").write_text(yaml.safe_dump(pack), encoding="utf-8")
    copied = copies.copy(programs(infra, "dev"), tmp_path / "work", emulator=ADDRESS, account="1" * 12)
    read = yaml.safe_load((copied / "policy" / "PulumiPolicy.yaml").read_text(encoding="utf-8"))
    assert read["runtime"]["options"]["virtualenv"] == str(tmp_path / ".venv")


def test_a_virtual_environment_beside_a_program_is_not_copied(tmp_path: Path) -> None:
    """What is installed there imports whatever it likes, and the copy names it by its whole path."""
    infra = write_programs(tmp_path / "infra", reads={"mine": ()})
    (infra / "mine" / "venv").mkdir()
    (infra / "mine" / "venv" / "pyvenv.cfg").touch()
    copied = copies.copy(programs(infra, "dev"), tmp_path / "work", emulator=ADDRESS, account="1" * 12)
    assert sorted(p.name for p in (copied / "mine").iterdir()) == ["Pulumi.dev.yaml", "Pulumi.yaml", "__main__.py"]


def test_a_copy_names_its_environment_by_the_whole_path(tmp_path: Path) -> None:
    project = {"backend": {"url": "s3://real"}, "runtime": {"name": "python", "options": {"virtualenv": "../../.venv"}}}
    changed = copies.without_backend(project, tmp_path / "infra" / "serving")
    assert changed == {"runtime": {"name": "python", "options": {"virtualenv": str(tmp_path / ".venv")}}}


# ------------------------------------------------------------------ the emulator


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    log = tmp_path_factory.mktemp("emulator") / "calls.jsonl"
    with emulators.emulator("111122223333", log) as address:
        yield address, log


def client(service: str, address: str) -> object:
    return boto3.client(
        service,
        endpoint_url=address,
        region_name="eu-west-1",
        aws_access_key_id="rehearsal",
        aws_secret_access_key="rehearsal",
    )


def test_the_emulator_is_the_stages_account_and_writes_down_every_call(running: tuple[str, Path]) -> None:
    address, log = running
    assert client("sts", address).get_caller_identity()["Account"] == "111122223333"  # type: ignore[attr-defined]
    assert Call("sts", "GetCallerIdentity", 200) in emulators.calls(log)


def test_a_call_that_it_cannot_answer_is_found(running: tuple[str, Path]) -> None:
    address, log = running
    with pytest.raises(ClientError, match="NotImplementedException"):
        client("sagemaker", address).create_mlflow_tracking_server(  # type: ignore[attr-defined]
            TrackingServerName="t", ArtifactStoreUri="s3://b", RoleArn="arn:aws:iam::111122223333:role/r"
        )
    assert [c.operation for c, _ in emulators.unanswered(log)] == ["CreateMlflowTrackingServer"]


def test_a_bucket_that_denies_plain_http_can_still_be_used(running: tuple[str, Path]) -> None:
    address, _ = running
    s3 = client("s3", address)
    s3.create_bucket(Bucket="rehearsed", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})  # type: ignore[attr-defined]
    deny = '{"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}]}'
    s3.put_bucket_policy(Bucket="rehearsed", Policy=deny)  # type: ignore[attr-defined]
    outputs = {"bucket": "rehearsed"}
    assert LOOKS["aws:s3/bucketPolicy:BucketPolicy"](lambda _: s3, outputs)
    assert USES["aws:s3/bucket:Bucket"](lambda _: s3, outputs) == "a file written, read (5 bytes) and deleted"


# ------------------------------------------------------------------ the report


@pytest.fixture
def record() -> Record:
    role = Made("aws:iam/role:Role", "<role>", "r", found="there")
    bucket = Made("aws:s3/bucket:Bucket", "data", "b", used="a file written")
    lost = Made("aws:s3/bucketPolicy:BucketPolicy", "data", "b", found="not there: NoSuchBucketPolicy", lost=True)
    lacking = Failed("serving", "sfn StateMachine", "door", "StatusCode: 501, not implemented")
    return Record(
        "dev",
        "111122223333",
        "eu-west-1",
        [
            StackRecord("foundation", [], [bucket, lost], destroyed="destroyed"),
            StackRecord("serving", ["foundation"], [role], [lacking], destroyed="destroyed"),
        ],
        [(Call("budgets", "ListTagsForResource", 501), 3)],
        12.0,
    )


def test_what_the_emulator_lacks_is_no_fault_of_the_program(record: Record) -> None:
    assert record.faults == ()
    said = report.text(record)
    assert "sfn StateMachine door: not made" in said
    assert "s3 BucketPolicy data: not there: NoSuchBucketPolicy" in said
    assert "call budgets ListTagsForResource: status 501, 3 times" in said


def test_what_the_program_does_wrong_and_what_stays_is_a_fault() -> None:
    wrong = Failed("serving", "sagemaker Endpoint", "e", "ValidationException: the name is too long")
    stacks = [StackRecord("serving", [], [], [wrong], destroyed="the bucket is not empty")]
    faults = Record("dev", "1" * 12, "eu-west-1", stacks, [], 1.0).faults
    assert [f.split(": ")[-1] for f in faults] == ["the name is too long", "the bucket is not empty"]


def test_the_page_stands_alone_and_escapes_what_it_shows(record: Record, tmp_path: Path) -> None:
    page = report.write(record, tmp_path / "out").read_text(encoding="utf-8")
    assert "&lt;role&gt;" in page
    assert "<role>" not in page
    assert "<script" not in page
    assert "http" not in page
    assert (tmp_path / "out" / "diagram.mmd").read_text(encoding="utf-8").count("foundation --> serving") == 1
    assert "```mermaid" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_the_drawing_leaves_out_what_follows_from_other_arrows() -> None:
    stacks = [
        StackRecord("foundation", [], []),
        StackRecord("serving", ["foundation"], []),
        StackRecord("monitoring", ["foundation", "serving"], []),
    ]
    assert diagram.direct(stacks) == [("foundation", "serving"), ("serving", "monitoring")]
    assert diagram.levels(stacks) == {"foundation": 0, "serving": 1, "monitoring": 2}
    drawn = diagram.svg(Record("dev", "1" * 12, "eu-west-1", stacks, [], 1.0))
    assert drawn.count("<rect") == 3
    assert drawn.count("url(#end)") == 2
