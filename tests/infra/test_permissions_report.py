"""The report of who may do what: every role, every statement, a reason for each; as Markdown and as one page."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from ai_factory_infra.permissions import Line, RoleReport, html, main, markdown, roles
from helpers_infra import ARCHITECTURES, registered, rendered

ROLE = "aws:iam/role:Role"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_role_and_every_statement_is_in_it_with_its_reason(architecture: str) -> None:
    stacks = registered(architecture, "prod", live=True)
    found = roles(stacks)
    assert [r.name for r in found] == [r.name for stack in stacks.values() for r in stack.of(ROLE)]
    written = {
        (r.name, s["Sid"]) for stack in stacks.values() for r, s in stack.statements() if "/rolePolicy:" in r.type
    }
    assert {(role.name, line.sid) for role in found for line in role.lines} == written
    assert [f"{role.name}: {line.sid}" for role in found for line in role.lines if not line.why.strip()] == []


def test_what_training_may_never_do_is_said_as_such() -> None:
    found = {r.name: r for r in roles(registered("realtime", "prod", live=True))}
    never = [line for line in found["churn-prod-training-run"].lines if line.never]
    assert sorted(line.actions for line in never) == [
        ("sagemaker:CreateModelPackage",),  # as one that is approved already
        ("sagemaker:UpdateModelPackage",),
    ]
    assert "**never**: NeverApprove" in markdown("prod", list(found.values()))


def test_the_command_writes_both_forms_with_the_role_that_deploys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    infra = rendered(architecture="realtime", repository="github.com/acme/churn", state_backend="") / "infra"
    assert main([str(infra), "--stage", "dev", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "permissions-dev.md").read_text(encoding="utf-8")
    assert "assumed by" in text
    assert "repo:acme/churn:environment:dev" in text
    assert "who may push code must not be able to widen what pushing code may do" in text
    assert "permissions-dev.html" in capsys.readouterr().out


def test_a_folder_without_programs_gives_no_empty_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "infra"), "--stage", "prod", "--out", str(tmp_path / "docs")]) == 2
    assert "holds no Pulumi program" in capsys.readouterr().err
    assert not (tmp_path / "docs").exists()


class Tables(HTMLParser):
    """Counts the rows of every table, and the tags that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.open = 0, list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.rows += tag == "tr"
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_escapes_what_it_shows() -> None:
    line = Line("S", False, ("s3:GetObject",), ("arn:<b>|*",), (), "because <script>")
    role = RoleReport("training", "r", "sagemaker.amazonaws.com", True, (line, line))
    page = Tables()
    text = html("prod", [role])
    page.feed(text)
    assert (page.rows, page.open) == (3, [])
    assert "<script>" not in text
    assert "`arn:<b>\\|*`" in markdown("prod", [role])
