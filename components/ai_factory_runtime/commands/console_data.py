"""What `check-data` and `reveal` print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ai_factory_runtime.commands.console import show_json

if TYPE_CHECKING:
    from ai_factory_runtime.steps.data_check import DataCheck


def show_revealed(column: str, value: str, *, as_json: bool) -> None:
    """The value alone, so that it can be passed on; as JSON with its column."""
    if as_json:
        show_json({"column": column, "value": value})
    else:
        sys.stdout.write(value.encode("utf-8", "replace").decode() + "\n")


def show_data_check(check: DataCheck, *, as_json: bool) -> None:
    """Every violation, what was found about copies, and whether a run would stop."""
    if as_json:
        show_json(check.document())
        return
    report = check.report
    lines = [f"{report.rows} rows read from {check.source}; {report.bad_rows} break the data contract."]
    lines += [f"  {violation}" for violation in report.violations]
    lines += check.cleansing
    lines.append(f"A run would stop: {check.stops}" if check.stops else "A run would use these rows.")
    sys.stdout.write("\n".join(lines) + "\n")
