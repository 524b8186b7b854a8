"""The data check: what a run would say of the rows, without running; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass

from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.base.project import Project
from ai_factory_runtime.data.cleansing import cleanse
from ai_factory_runtime.data.contract import ContractReport, hold, require
from ai_factory_runtime.steps.prepare import read


@dataclass(frozen=True, slots=True)
class DataCheck:
    """The contract's report, sentences about copies, and the reason why a run would stop (empty: it would not)."""

    source: str
    report: ContractReport
    cleansing: tuple[str, ...]
    stops: str

    def document(self) -> dict[str, object]:
        """The result as JSON values."""
        return {
            "source": self.source, **self.report.document(), "cleansing": list(self.cleansing), "stops": self.stops
        }  # fmt: skip


def check_data(project: Project) -> DataCheck:
    """Read the rows as a run does and judge them. Raises what reading raises."""
    data = project.usecase.data
    examined = hold(read(project), data)
    cleansing: tuple[str, ...] = ()
    try:
        require(examined, data.contract)
        cleansing = cleanse(examined.good, data).facts.sentences()
    except FactoryError as error:
        return DataCheck(data.source, examined.report, cleansing, str(error).splitlines()[0].rstrip(":"))
    return DataCheck(data.source, examined.report, cleansing, "")
