"""Who named a file is told about that file; who named none is told about data.source."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_factory_runtime.base.errors import DataUnreadable
from ai_factory_runtime.base.project import PROJECT_VARIABLE
from ai_factory_runtime.cli import build_app
from ai_factory_runtime.data.named import HINT, named_by_caller
from helpers_serving import make_deployed
from typer.testing import CliRunner


def test_score_and_monitor_of_a_named_file_say_nothing_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_deployed(tmp_path / "project")
    asked = project.usecase.model_dump_json(exclude_none=True, exclude_defaults=True, by_alias=True)
    (project.root / "usecase.yaml").write_text(asked, encoding="utf-8")  # JSON is YAML
    monkeypatch.setenv(PROJECT_VARIABLE, str(project.root))
    app = build_app("churn", project.hooks)
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 and no more")
    for arguments, said in (
        (["score", "absent.csv"], "there is no such file"),
        (["monitor", "absent.csv"], "there is no such file"),
        (["monitor", "--labels", str(tmp_path / "labels.parquet")], "labels.parquet"),
    ):
        refused = CliRunner().invoke(app, arguments).exception
        assert isinstance(refused, DataUnreadable), arguments
        assert said in str(refused)
        assert refused.hint == HINT
    unnamed = CliRunner().invoke(app, ["score"]).exception
    assert isinstance(unnamed, DataUnreadable)
    assert unnamed.hint == DataUnreadable.HINT


def test_a_hint_that_says_more_stays() -> None:
    with pytest.raises(DataUnreadable) as refused, named_by_caller():
        raise DataUnreadable(path="a.csv", problem="it is twice there", hint="Name one.")
    assert refused.value.hint == "Name one."
