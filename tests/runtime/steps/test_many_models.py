"""One model for each value of a column: trained, gated and registered each for itself; one that fails, fails alone."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer.main
from ai_factory_runtime.base.errors import NothingDeployed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.batch.job import score
from ai_factory_runtime.cli import build_app
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.model_package.package import load_package
from ai_factory_runtime.monitoring.monitor import monitor
from ai_factory_runtime.releases.fleet import Fleet, Member, load_fleet, make_fleet
from ai_factory_runtime.releases.partitions import folder_name, partition_of
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.releases.release import approve, list_releases
from ai_factory_runtime.releases.scale_errors import (
    BackendUnavailable,
    ParallelForOneModel,
    PartitionNeeded,
    PartitionsUnusable,
    UnknownPartition,
)
from ai_factory_runtime.releases.stages import Deployed, deployed, load_deployed, promote
from ai_factory_runtime.serving.server import create_app
from ai_factory_runtime.steps.partition_status import list_partitions
from ai_factory_runtime.steps.scale_out import ManyResult, train_all
from ai_factory_runtime.steps.stepwise import Folders, run_step
from ai_factory_spec.usecase import UseCase
from helpers_runtime import columns_of, make_project, quick, real_rows
from starlette.testclient import TestClient

GOOD, SHUFFLED, EMPTY = ("AT", "d/e"), "FR", "XX"
MARKETS = [*GOOD, SHUFFLED, EMPTY]


def markets(rows: pd.DataFrame, values: list[str]) -> pd.DataFrame:
    return rows.assign(market=[values[i % len(values)] for i in range(len(rows))])


def make_many(folder: Path, frame: pd.DataFrame, known: list[str], **changes: Any) -> Project:
    columns = [c for c in columns_of(frame) if c["name"] != "market"]
    columns.append({"name": "market", "type": "category", "categories": known})
    data = {"source": "data/rows.csv", "target": "outcome", "contract": {"columns": columns, "max_bad_rows": 0.02}}
    settings = {"candidates": quick, **changes}
    return make_project(folder, frame, "binary", data=data, model={"partition_by": "market"}, **settings)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, ManyResult]:
    """Two markets that learn, one whose target is noise, one without rows; six rows belong to no market."""
    frame = markets(real_rows("breast_cancer"), [*GOOD, SHUFFLED])
    noise = frame["market"] == SHUFFLED
    frame.loc[noise, "outcome"] = frame.loc[noise, "outcome"].sample(frac=1.0, random_state=3).to_numpy()
    frame.loc[:3, "market"] = "narnia"
    frame.loc[4:5, "market"] = None
    project = make_many(tmp_path_factory.mktemp("many") / "project", frame, MARKETS)
    return project, train_all(project, backend="sequential")


@pytest.fixture
def many(shared: tuple[Project, ManyResult], tmp_path: Path) -> Project:
    project, _ = shared
    shutil.copytree(project.root, tmp_path / "project")
    return dataclasses.replace(project, root=tmp_path / "project")


def test_each_value_is_registered_for_itself_and_the_bad_ones_fail_alone(shared: tuple[Project, ManyResult]) -> None:
    project, result = shared
    told = {o.value: (o.version, o.failed) for o in result.outcomes}
    assert told == {"AT": (1, ""), "d/e": (1, ""), SHUFFLED: (None, "gate-failed"), EMPTY: (None, "data-unreadable")}
    assert [o.value for o in result.failed] == [SHUFFLED, EMPTY]
    assert not result.ok
    for value in GOOD:
        own = partition_of(project, value)
        (version,) = open_registry(own).versions()
        assert version.folder.is_relative_to(project.artifacts / "partitions" / folder_name(value) / "models")
        assert (version.aliases, deployed(own, "dev").version) == (("champion",), 1)
        names = [c.name for c in load_package(version.folder).signature.features]
        assert "market" not in names
        assert len(names) == 30
    for value in (SHUFFLED, EMPTY):
        assert open_registry(partition_of(project, value)).versions() == ()


def test_a_partitions_model_has_seen_its_own_rows_alone(shared: tuple[Project, ManyResult]) -> None:
    project, result = shared
    frame = pd.read_csv(project.root / "data" / "rows.csv")
    for outcome in result.outcomes:
        assert outcome.rows == (frame["market"] == outcome.value).sum()
    for outcome in result.outcomes[:2]:
        report = json.loads((partition_of(project, outcome.value).runs / outcome.run_id / "report.json").read_bytes())
        assert report["rows"]["read"] == outcome.rows
        assert report["lineage"]["rows"] <= outcome.rows


def test_rows_that_belong_to_no_model_are_counted_and_named(shared: tuple[Project, ManyResult]) -> None:
    _, result = shared
    assert (result.rows, result.unassigned, result.strange) == (569, 6, (("narnia", 4),))
    assert not result.too_many_unassigned
    assert dataclasses.replace(result, allowed=0.01).too_many_unassigned


def test_each_row_of_a_batch_is_answered_by_its_values_model_and_one_without_model_is_set_aside(
    many: Project, tmp_path: Path
) -> None:
    rows = markets(real_rows("breast_cancer").head(60), [*GOOD, SHUFFLED]).drop(columns="outcome")
    rows.to_csv(tmp_path / "in.csv", index=False)
    result = score(many, tmp_path / "in.csv", tmp_path / "out.parquet", "dev")
    scored = pd.read_parquet(result.output)
    assert scored["row"].tolist() == [n for n in range(60) if rows["market"][n] != SHUFFLED]
    assert result.rejects is not None
    told = pd.read_csv(result.rejects)
    assert told["row"].tolist() == [n for n in range(60) if rows["market"][n] == SHUFFLED]
    assert set(told["reason"]) == {"is none of the categories"}
    assert set(told["allowed"]) == {"one of 'AT', 'd/e'"}
    for value in GOOD:
        package = load_package(deployed(partition_of(many, value), "dev").folder)
        own = rows[rows["market"] == value]
        direct = package.predict(to_canonical(own, package.signature.features))
        mine = scored[scored["row"].isin(own.index)]
        assert mine["prediction"].tolist() == direct.values.tolist()
        assert direct.probabilities is not None
        np.testing.assert_array_equal(mine["probability_malignant"], direct.probabilities[:, 1])
        assert set(mine["model_digest"]) == {package.digest}
        assert set(mine["model_version"]) == {1}


def test_a_stage_has_the_partitions_that_were_approved_for_it_and_no_other(many: Project) -> None:
    with pytest.raises(NothingDeployed):
        load_fleet(many, "staging")
    first = partition_of(many, GOOD[0])
    for role, by in (("owner", "Ann"), ("validator", "Bob"), ("consumer", "Cy"), ("risk", "Di")):
        if role in list_releases(first)[0].missing:
            approve(first, 1, role, by)
    promote(first, 1, "staging")
    _, fleet = load_fleet(many, "staging")
    assert isinstance(fleet, Fleet)
    assert [m.value for m in fleet.members] == [GOOD[0]]
    assert [(r.version, r.approved, r.problems) for r in list_releases(many)].count((1, True, ())) == 1


def test_a_command_about_one_model_asks_which_is_meant(many: Project) -> None:
    asks: list[Any] = [lambda: open_registry(many), lambda: deployed(many, "dev"), lambda: promote(many, 1, "staging")]
    for ask in asks:
        with pytest.raises(PartitionNeeded, match="one model for each market"):
            ask()
    _, fleet = load_deployed(many, "dev")
    with pytest.raises(PartitionNeeded):
        _ = fleet.sketch_json
    with pytest.raises(UnknownPartition, match="'at' is no value of market; did you mean 'AT'"):
        partition_of(many, "at")
    with pytest.raises(UnknownPartition, match="one model for all rows"):
        partition_of(partition_of(many, "AT"), "AT")


def invoke(project: Project, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setenv("AI_FACTORY_PROJECT", str(project.root))
    command = typer.main.get_command(build_app(project.package, project.hooks))
    code = command.main(list(arguments), prog_name="churn", standalone_mode=False)
    return int(code or 0)


def test_the_option_before_a_command_chooses_a_partition(
    many: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(many, monkeypatch, "--partition", "d/e", "show", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["version"] == 1
    with pytest.raises(PartitionNeeded):
        invoke(many, monkeypatch, "show")
    assert invoke(many, monkeypatch, "partitions") == 0
    said = capsys.readouterr().out
    assert all(value in said for value in MARKETS)
    listed = {p.value: (p.versions, p.champion, p.stages, p.last) for p in list_partitions(many)}
    assert listed["AT"] == (1, 1, {"dev": "version 1"}, "registered")
    assert listed[SHUFFLED] == (0, None, {}, "gate-failed")


def test_run_trains_again_exits_4_and_its_table_names_who_failed(
    many: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_csv(many.root / "data" / "rows.csv")
    few = frame[(frame["market"] != "AT") | (frame.index < 60)]  # too few of AT to be judged
    few.to_csv(many.root / "data" / "rows.csv", index=False)
    assert invoke(many, monkeypatch, "run", "--backend", "sequential") == 4
    said = capsys.readouterr()
    assert "1 of 4 partitions have a new version" in said.out
    assert f"{SHUFFLED} failed alone, gate-failed" in said.out
    assert "6 rows belong to no model: 'narnia' (4)" in said.out
    assert "d/e: version 2" in said.err
    assert deployed(partition_of(many, "AT"), "dev").version == 1, "a failed training leaves the model that is there"


@pytest.mark.parametrize("name", ["nope", "loky"])
def test_a_backend_is_refused_for_one_model_before_anything_is_trained(
    name: str, many: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(many.artifacts.rglob("*"))
    with pytest.raises(ParallelForOneModel, match=rf"`--backend {name}` would change nothing") as refused:
        invoke(many, monkeypatch, "--partition", "d/e", "run", "--backend", name)
    assert "loky, sequential, ray" in str(refused.value)
    assert refused.value.hint.endswith(" --partition d/e run`.")
    assert sorted(many.artifacts.rglob("*")) == before


def test_a_file_with_the_rows_of_all_is_monitored_by_those_of_the_partition(many: Project) -> None:
    rows = pd.read_csv(many.root / "data" / "rows.csv")
    foreign = rows["market"] != "AT"
    rows.loc[foreign, "mean_radius"] *= 25.4
    rows.to_csv(many.root / "new.csv", index=False)
    found = monitor(partition_of(many, "AT"), many.root / "new.csv", "dev")
    assert found.window.rows == int((~foreign).sum())
    assert "data" not in found.kinds
    assert "data" in monitor(partition_of(many, "d/e"), many.root / "new.csv", "dev").kinds


def test_a_step_of_the_container_pipeline_asks_which_model_is_meant_before_it_works(
    many: Project, tmp_path: Path
) -> None:
    with pytest.raises(PartitionNeeded, match="one model for each market"):
        run_step(many, "prepare", Folders(tmp_path / "input", tmp_path / "output"), lambda _step, _detail: None)
    assert not (tmp_path / "output").exists()


class Broken:
    """A feature step whose error is none of ours."""

    def fit(self, *_: Any) -> Any:
        raise ZeroDivisionError("boom")

    def __sklearn_clone__(self) -> Any:
        raise ZeroDivisionError("boom")


def broken_in_at(usecase: UseCase) -> Any:
    from ai_factory_runtime.training.features import default_features

    return Broken() if usecase.title.endswith("(market: AT)") else default_features(usecase)


def test_a_bug_in_one_partition_is_written_down_and_takes_no_other_along(tmp_path: Path) -> None:
    frame = markets(real_rows("breast_cancer"), list(GOOD))
    project = make_many(tmp_path / "project", frame, list(GOOD), features=broken_in_at)
    result = train_all(project, backend="sequential")
    at, de = result.outcomes
    assert at.failed
    assert "boom" in at.message
    assert (de.version, de.failed) == (1, "")


def test_a_column_that_divides_nothing_is_refused(tmp_path: Path) -> None:
    frame = markets(real_rows("breast_cancer").head(60), list(GOOD))
    project = make_many(
        tmp_path / "project", frame, list(GOOD), loader=lambda usecase, root: frame.drop(columns="market")
    )
    with pytest.raises(PartitionsUnusable, match=r"data\.py gives no such column"):
        train_all(project, backend="sequential")
    with pytest.raises(UnknownPartition):
        train_all(partition_of(project, "AT"))
    with pytest.raises(BackendUnavailable, match="'abacus' cannot be used"):
        train_all(project, backend="abacus")


def test_models_that_cannot_answer_side_by_side_are_refused(many: Project) -> None:
    column = many.usecase.data.column("market")
    _, fleet = load_fleet(many, "dev")
    assert isinstance(fleet, Fleet)
    one, other = fleet.members
    first = other.package.signature.features[0]
    for changed, told in (
        (
            {"features": (first.model_copy(update={"type": "text", "min": None, "max": None}),)},
            "as text, others as number",
        ),
        ({"classes": ("a", "b")}, "answers another question"),
    ):
        signature = dataclasses.replace(other.package.signature, **changed)  # type: ignore[arg-type]
        odd = dataclasses.replace(other, package=dataclasses.replace(other.package, signature=signature))
        with pytest.raises(PartitionsUnusable, match=f"the model of 'd/e' .*{told}"):
            make_fleet(many.artifacts, column, [one, odd])


def test_a_fleet_takes_what_any_member_takes_and_tells_when_a_member_changed(many: Project) -> None:
    column = many.usecase.data.column("market")
    model, fleet = load_fleet(many, "dev")
    assert isinstance(fleet, Fleet)
    one, other = fleet.members
    narrow = one.package.signature.features[0].model_copy(update={"min": 1.0, "max": 9.0})
    wide = narrow.model_copy(update={"min": 0.0, "max": None, "nullable": True})
    members = [
        Member(m.value, m.model, dataclasses.replace(m.package, signature=dataclasses.replace(m.package.signature, features=(f,))))
        for m, f in ((one, narrow), (other, wide))
    ]  # fmt: skip
    chooser, both = make_fleet(many.artifacts, column, members)[1].signature.features
    assert chooser.categories == GOOD
    assert (both.min, both.max, both.nullable) == (0.0, None, True)
    newer = Deployed("dev", 2, "f" * 64, other.model.folder, other.model.at)
    assert (
        make_fleet(many.artifacts, column, [one, Member(other.value, newer, other.package)])[0].digest != model.digest
    )


def test_a_container_may_be_handed_the_models_of_all_partitions(many: Project, tmp_path: Path) -> None:
    for value in GOOD:
        shutil.move(deployed(partition_of(many, value), "dev").folder, tmp_path / "handed" / folder_name(value))
    model, fleet = load_fleet(many, "dev", {"AI_FACTORY_MODEL": str(tmp_path / "handed")})
    assert isinstance(fleet, Fleet)
    assert [m.model.folder.parent for m in fleet.members] == [tmp_path / "handed"] * 2
    assert model.version == 0


def deadly(usecase: UseCase) -> Mapping[str, Any]:
    """Takes down the process of one partition."""
    if usecase.title.endswith("(market: AT)"):
        os.kill(os.getpid(), signal.SIGKILL)
    return quick(usecase)


@pytest.mark.slow
@pytest.mark.matrix
def test_a_process_that_is_killed_takes_one_partition_with_it_and_the_others_are_registered(tmp_path: Path) -> None:
    frame = markets(real_rows("breast_cancer"), list(GOOD))
    project = make_many(tmp_path / "project", frame, list(GOOD), candidates=deadly)
    result = train_all(project, backend="loky", jobs=2)
    assert [(o.value, o.failed, o.version) for o in result.outcomes] == [("AT", "worker-lost", None), ("d/e", "", 1)]


def fingerprints(project: Project) -> dict[str, str]:
    return {v: dict(open_registry(partition_of(project, v)).versions()[-1].tags)["fingerprint"] for v in GOOD}


@pytest.mark.slow
@pytest.mark.matrix
def test_processes_make_the_very_models_that_one_process_makes(many: Project, tmp_path: Path) -> None:
    before = fingerprints(many)
    shutil.rmtree(many.artifacts)
    result = train_all(many, backend="loky", jobs=2)
    assert [(o.value, o.failed) for o in result.outcomes][:2] == [(value, "") for value in GOOD]
    assert fingerprints(many) == before


@pytest.mark.extras
def test_a_ray_cluster_makes_the_very_models_that_one_process_makes(
    many: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    before = fingerprints(many)
    shutil.rmtree(many.artifacts)
    monkeypatch.setenv(
        "RAY_AUTH_MODE", "disabled"
    )  # a cluster of this test alone; else it writes a key into the home folder
    # Its machines have the project's code installed; here the hooks are in this folder.
    paths = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=paths)
    try:
        result = train_all(many, backend="ray", jobs=2)
    finally:
        ray.shutdown()
    assert [(o.value, o.failed) for o in result.outcomes][:2] == [(value, "") for value in GOOD]
    assert fingerprints(many) == before


def test_the_endpoint_answers_each_row_by_its_values_model_and_captures_it_for_that_partition(many: Project) -> None:
    rows = markets(real_rows("breast_cancer").head(9), list(GOOD)).drop(columns="outcome")
    records = rows.to_dict("records")
    with TestClient(create_app(many, "dev", capture_rate=1.0)) as client:
        for example in (
            [client.get("/openapi.json").json()],
            [client.get("/docs").text],
            [client.get("/metrics").text],
        ):
            assert example
        for record in records[:4]:
            own = deployed(partition_of(many, record["market"]), "dev")
            said = client.post("/invocations", json={"records": [record], "reasons": 2})
            assert said.status_code == 200, said.text
            assert said.json()["model"] == {"version": 1, "digest": own.digest}
            assert len(said.json()["predictions"][0]["reasons"]) == 2
        mixed = client.post("/invocations", json={"records": records, "reasons": 1}).json()
        assert mixed["model"]["version"] == 0
        refused = client.post("/invocations", json={"records": [{**records[0], "market": SHUFFLED}]})
        assert refused.status_code == 422
        assert refused.json()["problems"][0]["allowed"] == "one of 'AT', 'd/e'"
    for value in GOOD:
        package = load_package(deployed(partition_of(many, value), "dev").folder)
        own = rows[rows["market"] == value]
        direct = package.predict(to_canonical(own, package.signature.features))
        assert direct.probabilities is not None
        answers = [mixed["predictions"][place] for place in own.index]
        assert [a["prediction"] for a in answers] == direct.values.tolist()
        np.testing.assert_allclose(
            [a["probability"]["malignant"] for a in answers], direct.probabilities[:, 1], rtol=1e-12
        )
        lines = [
            json.loads(line)
            for file in sorted((partition_of(many, value).captures / "dev").glob("*"))
            for line in file.read_text(encoding="utf-8").splitlines()
        ]
        assert len(lines) == 2 + len(own)
        assert {line["digest"] for line in lines} == {package.digest}
