"""A hint names the next command as it is typed here."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_factory_runtime.base.errors import UnknownRun
from ai_factory_runtime.base.refusals import DeploymentUnreadable, NothingCaptured, NothingToRollBack
from ai_factory_runtime.commands.console import show_error
from ai_factory_runtime.releases.registry_refusals import RegistryGone
from ai_factory_runtime.releases.scale_errors import PartitionNeeded
from ai_factory_spec.errors import FactoryError


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (
            DeploymentUnreadable(path=Path("dev.json"), reason="odd"),
            "`python -m churn promote VERSION --stage dev` keeps",
        ),
        (NothingToRollBack(stage="prod", version=1), "instead: `python -m churn promote VERSION --stage prod`."),
        (NothingCaptured(stage="dev", folder=Path("captures")), "let `python -m churn serve` answer"),
        (UnknownRun(run_id="x", known=[]), "`python -m churn show` without"),
        (RegistryGone(address="a", traces=["1 stage file"]), "`python -m churn registry rebuild` makes"),
        (PartitionNeeded(column="market", known=["AT"]), "`--partition VALUE`. `python -m churn partitions` lists"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, FactoryError) else "",
)
def test_a_command_in_a_hint_is_the_whole_command(
    error: FactoryError, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_error(error, command="python -m churn", as_json=False)
    assert shown in capsys.readouterr().err
