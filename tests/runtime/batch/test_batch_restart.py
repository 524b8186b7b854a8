"""A scoring that is killed goes on when it is started again, and gives the bytes it would have given; folders and processes change nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from ai_factory_runtime.base.errors import DataUnreadable, RunLocked, WriteFailed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import BatchUnusable, OutputRefused
from ai_factory_runtime.batch.job import score
from ai_factory_runtime.batch.journal import folder_of, open_journal
from ai_factory_runtime.data import tables
from ai_factory_runtime.model_package.package import load_package, write_package
from ai_factory_runtime.releases.scale_errors import WorkerLost
from ai_factory_runtime.releases.stages import deploy
from helpers_serving import make_deployed, make_documents, make_rows

TESTS = Path(__file__).resolve().parents[2]
CHUNK, ROWS = 50, 400
OUTPUTS = (".parquet", ".csv")

# Ends itself with SIGKILL at one moment: `before` or `after` the n-th call of a method of the journal.
KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from ai_factory_runtime.batch import job as batch
from ai_factory_runtime.data import tables
from ai_factory_runtime.batch.journal import Journal
from ai_factory_runtime.base.project import Hooks, Project
from helpers_serving import make_usecase

import skops.io, sklearn.compose, sklearn.impute, sklearn.linear_model, sklearn.pipeline  # once, not in each child

tables.CHUNK_ROWS = {chunk}
project = Project(Path({root!r}), "churn", make_usecase(), Hooks(None, None, None))

def dying(method, moment, number):
    calls = iter(range(10_000))
    def patched(*given):
        this = next(calls)
        if (this, moment) == (number, "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        answer = method(*given)
        if (this, moment) == (number, "after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return patched

for at in {moments!r}:
    child = os.fork()
    if not child:
        name, moment, number, suffix = at
        setattr(Journal, name, dying(getattr(Journal, name), moment, number))
        batch.score(project, Path({source!r}), Path({out!r}) / ("-".join(map(str, at[:3])) + suffix), "dev", jobs=1)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (at, status)
"""
MOMENTS = [
    (name, moment, number, suffix)
    for name, calls in (("keep", (0, 3, 7)), ("deliver", (0, 1)))
    for number in calls
    for moment, suffix in (("before", OUTPUTS[number % 2]), ("after", OUTPUTS[(number + 1) % 2]))
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_deployed(tmp_path_factory.mktemp("restart") / "project")


@pytest.fixture
def project(shared: Project, tmp_path: Path) -> Project:
    shutil.copytree(shared.root, tmp_path / "project")
    return dataclasses.replace(shared, root=tmp_path / "project")


@pytest.fixture
def chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", CHUNK)


def some_bad_rows(rows: int = ROWS, seed: int = 2) -> pd.DataFrame:
    frame = make_rows(rows, seed)
    frame.loc[frame.index % 37 == 5, "age"] = 300
    return frame


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.parquet"
    some_bad_rows().to_parquet(path, index=False)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def killed(shared: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what kill -9 left at each of the moments, the source beside it, all in a project of its own."""
    place = tmp_path_factory.mktemp("killed")
    shutil.copytree(shared.root, place / "project")
    some_bad_rows().to_parquet(place / "in.parquet", index=False)
    (place / "out").mkdir()
    code = KILLED.format(
        tests=str(TESTS), chunk=CHUNK, root=str(place / "project"), source=str(place / "in.parquet"), moments=MOMENTS, out=str(place / "out"),
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize("at", MOMENTS, ids=lambda at: "-".join(map(str, at)))
def test_after_kill_9_the_same_command_gives_the_bytes_of_a_run_that_was_never_killed(
    shared: Project, killed: Path, chunked: None, at: tuple[str, str, int, str]
) -> None:
    project = dataclasses.replace(shared, root=killed / "project")
    name, moment, number, suffix = at
    out = killed / "out" / f"{name}-{moment}-{number}{suffix}"
    assert folder_of(out).is_dir(), "the kill left nothing to go on from"
    result = score(project, killed / "in.parquet", out, "dev", jobs=1)
    untouched = score(project, killed / "in.parquet", killed / f"never{suffix}", "dev", jobs=1)
    assert out.read_bytes() == untouched.output.read_bytes()
    assert result.rejects is not None
    assert untouched.rejects is not None
    assert result.rejects.read_bytes() == untouched.rejects.read_bytes()
    done = number + (moment == "after") if name == "keep" else ROWS // CHUNK
    assert (result.resumed, untouched.resumed) == (CHUNK * done, 0)
    assert not folder_of(out).exists()
    scored = pd.read_parquet(out) if suffix == ".parquet" else pd.read_csv(out)
    told = pd.read_csv(result.rejects)
    assert sorted([*scored["row"], *told["row"]]) == list(range(ROWS))


def interrupted(
    project: Project, source: Path, out: Path | None, monkeypatch: pytest.MonkeyPatch, after: int = 3
) -> None:
    """Stop a scoring as Ctrl-C does, after some chunks."""
    from ai_factory_runtime.batch import journal

    kept = 0
    keep = journal.Journal.keep

    def stop(self: journal.Journal, number: int, body: bytes) -> None:
        nonlocal kept
        keep(self, number, body)
        kept += 1
        if kept == after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(journal.Journal, "keep", stop)
        with pytest.raises(KeyboardInterrupt):
            score(project, source, out, "dev", jobs=1)


def test_without_a_named_output_the_interrupted_one_is_continued(
    project: Project, source: Path, chunked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(project, source, None, monkeypatch)
    (journal,) = (project.scores / "dev").iterdir()
    result = score(project, source, None, "dev", jobs=1)
    assert folder_of(result.output) == journal
    assert result.resumed == 3 * CHUNK
    assert score(project, source, None, "dev", jobs=1).resumed == 0


def change_source(project: Project, source: Path) -> None:
    some_bad_rows(seed=9).to_parquet(source, index=False)


def change_model(project: Project, source: Path) -> None:
    from helpers_serving import make_package

    folder, digest = make_package(project, "run-2", seed=5)
    deploy(project, "dev", version=2, digest=digest, folder=folder)


@pytest.mark.parametrize("change", [change_source, change_model])
def test_rows_of_another_source_or_model_are_never_mixed_in(
    project: Project, source: Path, tmp_path: Path, chunked: None, monkeypatch: pytest.MonkeyPatch, change: object
) -> None:
    out = tmp_path / "out.parquet"
    interrupted(project, source, out, monkeypatch)
    change(project, source)  # type: ignore[operator]
    result = score(project, source, out, "dev", jobs=1)
    assert result.resumed == 0
    assert out.read_bytes() == score(project, source, tmp_path / "new.parquet", "dev", jobs=1).output.read_bytes()


def test_a_damaged_part_of_the_journal_is_scored_again(
    project: Project, source: Path, tmp_path: Path, chunked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.parquet"
    interrupted(project, source, out, monkeypatch)
    first, second, _ = sorted(folder_of(out).glob("*.part"))
    first.write_bytes(first.read_bytes()[:-9])
    body = bytearray(second.read_bytes())
    body[len(body) // 2] ^= 1
    second.write_bytes(body)
    result = score(project, source, out, "dev", jobs=1)
    assert result.resumed == CHUNK
    assert out.read_bytes() == score(project, source, tmp_path / "new.parquet", "dev", jobs=1).output.read_bytes()


def test_two_scorings_of_one_output_do_not_meet(project: Project, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with open_journal(out, "the plan of another process"), pytest.raises(RunLocked, match=f"process {os.getpid()}"):
        score(project, source, out, "dev")
    assert score(project, source, out, "dev").rows == ROWS


def test_a_scoring_at_work_is_not_continued_by_a_second_one(
    project: Project, source: Path, chunked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(project, source, None, monkeypatch)
    (left,) = (project.scores / "dev").iterdir()
    output = left.with_name(left.name.removeprefix(".").removesuffix(".scoring"))
    with open_journal(output, (left / "plan.json").read_text(encoding="utf-8")):
        other = score(project, source, None, "dev", jobs=1)
    assert other.output != output
    assert other.resumed == 0


def test_a_disk_that_fills_up_part_way_is_told_and_costs_no_chunk_that_is_done(
    project: Project, source: Path, tmp_path: Path, chunked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, replaced, calls = tmp_path / "out.csv", Path.replace, Counter[str]()

    def full(self: Path, target: Path) -> Path:
        calls[Path(target).suffix] += 1
        if calls[".part"] > 4:
            raise OSError(28, "No space left on device")
        return replaced(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(WriteFailed, match="No space left"):
            score(project, source, out, "dev", jobs=1)
    assert not out.exists()
    assert not list(folder_of(out).glob("*.partial"))
    assert score(project, source, out, "dev", jobs=1).resumed == 4 * CHUNK


def test_a_folder_of_parts_is_scored_as_one_and_each_row_names_its_file(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    (folder / "b").mkdir(parents=True)
    rows = some_bad_rows(90)
    rows[:40].to_csv(folder / "a.csv", index=False)
    rows[40:70].drop(columns=["customer"]).to_parquet(folder / "b" / "b.parquet", index=False)
    rows[70:].to_csv(folder / "c.csv", index=False)
    (folder / "_SUCCESS").touch()
    (folder / ".hidden.csv").write_text("no part", encoding="utf-8")
    result = score(project, folder, tmp_path / "out.parquet", "dev")
    assert result.rejects is not None
    scored, told = pd.read_parquet(result.output), pd.read_csv(result.rejects)
    found = sorted([*zip(scored["file"], scored["row"], strict=True), *zip(told["file"], told["row"], strict=True)])
    assert found == [(f, n) for f, count in (("a.csv", 40), ("b/b.parquet", 30), ("c.csv", 20)) for n in range(count)]
    assert scored["customer"].isna().sum() == (scored["file"] == "b/b.parquet").sum()
    whole = tmp_path / "whole.csv"
    rows.to_csv(whole, index=False)
    at_once = pd.read_parquet(score(project, whole, tmp_path / "one.parquet", "dev").output)
    assert scored["prediction"].tolist() == at_once["prediction"].tolist()
    assert scored["probability_yes"].tolist() == at_once["probability_yes"].tolist()


def test_a_folder_with_a_file_that_is_no_part_is_refused_so_that_no_rows_are_passed_over(
    project: Project, tmp_path: Path
) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    with pytest.raises(BatchUnusable, match="there are no files in it"):
        score(project, folder, None, "dev")
    make_rows(5, seed=1).to_csv(folder / "a.csv", index=False)
    make_rows(5, seed=1).to_csv(folder / "b.csv.gz", index=False)
    with pytest.raises(BatchUnusable, match=r"b\.csv\.gz: its name ends in none of"):
        score(project, folder, None, "dev")
    with pytest.raises(OutputRefused, match="lies in the folder"):
        score(project, folder, folder / "out.csv", "dev")


def test_every_part_that_lacks_a_column_is_named_at_once(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    make_rows(5, seed=1).to_csv(folder / "a.csv", index=False)
    make_rows(5, seed=1).drop(columns=["age"]).to_csv(folder / "b.csv", index=False)
    make_rows(5, seed=1).rename(columns={"plan": "plans"}).to_csv(folder / "c.csv", index=False)
    with pytest.raises(BatchUnusable) as refusal:
        score(project, folder, None, "dev")
    assert [p.partition(";")[0] for p in refusal.value.problems] == [
        "b.csv: the column 'age' is missing",
        "c.csv: the column 'plan' is missing",
    ]


def test_a_damaged_part_of_a_folder_leaves_nothing(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    make_rows(5, seed=1).to_csv(folder / "a.csv", index=False)
    (folder / "b.csv").write_bytes(b"age,plan\n1,gold\n1,gold,3\n")
    with pytest.raises((DataUnreadable, BatchUnusable)):
        score(project, folder, tmp_path / "out.csv", "dev")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["parts", "project"]


def children(parent: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name_and_rest = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
            found += [int(stat.parent.name)] if int(name_and_rest[1]) == parent else []
    return found


def await_end(processes: list[int]) -> None:
    """Wait until none of the processes is there; a failure after half a minute."""
    for _ in range(300):
        if not any(Path(f"/proc/{pid}").exists() for pid in processes):
            return
        time.sleep(0.1)
    raise AssertionError(f"still there: {processes}")


PATIENT = """
import sys, time; sys.path.insert(0, {tests!r})
from pathlib import Path
from ai_factory_runtime.batch import job as batch
from ai_factory_runtime.batch.scoring import Scorer
from ai_factory_runtime.data import tables
from ai_factory_runtime.base.project import Hooks, Project
from helpers_serving import make_usecase
tables.CHUNK_BYTES = 100_000
score, own = Scorer.score, []
def slow(self, chunk):  # in this process only, so that the other one has time to start and gets its share
    time.sleep(0.1)
    own.append(chunk)
    return score(self, chunk)
Scorer.score = slow
project = Project(Path({root!r}), "churn", make_usecase(), Hooks(None, None, None))
if __name__ == "__main__":
    batch.score(project, Path({source!r}), Path(sys.argv[1]), "dev", jobs=2)
    print(len(own))
"""


@pytest.mark.slow
@pytest.mark.matrix
def test_two_processes_give_the_bytes_of_one_and_a_kill_among_them_too(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "two.parquet"
    some_bad_rows(100_000).to_csv(source, index=False)
    code = PATIENT.format(tests=str(TESTS), root=str(project.root), source=str(source))
    working = subprocess.Popen([sys.executable, "-c", code, str(out)])
    while working.poll() is None and len(list(folder_of(out).glob("*.part"))) < 5:
        time.sleep(0.002)
    workers = children(working.pid)
    working.kill()
    assert working.wait() == -signal.SIGKILL
    assert not out.exists()
    assert len(workers) >= 2
    await_end(workers)
    monkeypatch.setattr(tables, "CHUNK_BYTES", 100_000)
    parts = len(list(folder_of(out).glob("*.part")))
    done = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, text=True, check=True)
    chunks = -(-source.stat().st_size // tables.CHUNK_BYTES)
    assert int(done.stdout) < chunks - parts, "the other process scored nothing"
    assert out.read_bytes() == score(project, source, tmp_path / "one.parquet", "dev", jobs=1).output.read_bytes()


# Kills any process but the one that fitted it; that one takes its time, so that the other is there before the end.
DEADLY = """
import os, signal, time
from pathlib import Path
from sklearn.base import BaseEstimator, ClassifierMixin
OTHERS = Path(__file__).with_name("started")
with OTHERS.open("a") as file:
    file.write(f"{os.getpid()}\\n")
class Deadly(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_, self.parent_ = sorted(set(y)), os.getpid()
        return self
    def predict_proba(self, X):
        if os.getpid() != self.parent_:
            os.kill(os.getpid(), signal.SIGKILL)
        for _ in range(600 if len(X) > 20 else 0):  # not for the reference rows
            if len(OTHERS.read_text().split()) > 1:
                break
            time.sleep(0.1)
        time.sleep(0.2 if len(X) > 20 else 0)
        return [[0.5, 0.5]] * len(X)
"""


@pytest.mark.slow
def test_a_worker_that_is_killed_is_told_and_the_next_run_works(
    project: Project, source: Path, tmp_path: Path, chunked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "deadly_project.py").write_text(DEADLY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "src")
    from deadly_project import Deadly  # type: ignore[import-not-found]

    package = load_package(project.models / "run-1")
    features, _ = package.reference
    deadly, signature = Deadly().fit(features, ["no", "yes"] * (len(features) // 2)), package.signature
    digest = write_package(
        project.models / "deadly", estimator=deadly, signature=signature, sketch=package.sketch_json, reference=features,
        documents=make_documents(project),
    )  # fmt: skip
    deploy(project, "dev", version=2, digest=digest, folder=project.models / "deadly")
    theirs = dataclasses.replace(project, package="deadly_project")
    with pytest.raises(WorkerLost, match="One of 2 worker processes was killed") as lost:
        score(theirs, source, tmp_path / "out.csv", "dev", jobs=2)
    assert lost.value.exit_code == 1
    assert not (tmp_path / "out.csv").exists()
    assert score(theirs, source, tmp_path / "out.csv", "dev", jobs=1).rows == ROWS
