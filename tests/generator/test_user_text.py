"""Whatever text a user gives, every generated file stays valid in its format, and usecase.yaml carries the text unharmed."""

from __future__ import annotations

import ast
import functools
import json
import keyword
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

import pytest
import yaml
from ai_factory.pipeline import compose_repository, draft, write_repository
from ai_factory.tree import FileTree
from ai_factory_spec import parse_usecase
from helpers_generator import USECASE, write_usecase
from hypothesis import given, settings
from hypothesis import strategies as st

# Anything a person can type or paste, and what has broken other generators.
NASTY = st.sampled_from(
    [
        "{{ cookiecutter.package }}",
        "{% raw %}{{ x }}",
        "{#",
        "${{ github.event.head_commit.message }}",
        "$(rm -rf /)",
        "`id`",
        "'''\"\"\"",
        "a\"b\\c'd",
        "line\nbreak\r\nand\ttab",
        "# >>> project/base\n# <<< project/base",
        "<!-- >>> x --><script>alert(1)</script>",
        "--- !!python/object/apply:os.system ['id']",
        "yes",
        "null",
        "1e3",
        "0x10",
        "*alias",
        "&anchor",
        "🎉 ünï 日本 \u202e \u2028",
        "\x85\x9f\x7f\ufeff",
        "]]>",
        "%Y %s %(x)s {0}",
        "import",
        "os",
        "x" * 199,
    ]
)
CHARACTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
TEXT = NASTY | st.text(CHARACTERS, max_size=60) | st.tuples(NASTY, st.text(CHARACTERS, max_size=10)).map("".join)
SHORT = TEXT.map(lambda s: s[:200]).filter(lambda s: len(s) > 0)
COLUMN = SHORT.filter(lambda s: s == s.strip())


@st.composite
def use_cases(draw: st.DrawFn) -> dict[str, object]:
    """A use case whose every free text is arbitrary."""
    names = draw(st.lists(COLUMN, min_size=3, max_size=5, unique_by=str.casefold))
    classes = draw(st.lists(SHORT, min_size=2, max_size=2, unique=True))
    columns = [{"name": n, "type": "number"} for n in names[:-2]]
    columns += [
        {
            "name": names[-2],
            "type": "category",
            "categories": draw(st.lists(SHORT, min_size=1, max_size=3, unique=True)),
        }
    ]
    columns += [{"name": names[-1], "type": "category", "categories": classes}]
    return {
        **USECASE,
        "name": draw(SHORT),
        "title": draw(TEXT),
        "description": draw(TEXT),
        "owner": draw(TEXT),
        "business": {
            "driver": draw(TEXT),
            "sponsor": draw(TEXT),
            "consumers": draw(st.lists(SHORT, max_size=2)),
            "kpi": {"name": draw(SHORT), "unit": draw(TEXT), "baseline": 1, "target": 2},
        },
        "data": {"source": "churn.csv", "target": names[-1], "contract": {"columns": columns}},
        "model": {"task": "binary", "positive": classes[0]},
    }


def generated(asked: dict[str, object]) -> FileTree:
    text = yaml.safe_dump(asked, sort_keys=False)
    return compose_repository(draft(text, file="usecase.yaml", folder=Path("/in"))).tree


@settings(max_examples=60)
@given(use_cases())
def test_every_generated_file_stays_valid_and_the_text_arrives_unharmed(asked: dict[str, object]) -> None:
    tree = generated(asked)
    told = parse_usecase(tree["usecase.yaml"].data.decode(), file="usecase.yaml")
    wanted = parse_usecase(yaml.safe_dump(asked), file="usecase.yaml")
    assert told.model_dump(exclude={"data": {"source"}}) == wanted.model_dump(exclude={"data": {"source"}})
    parsed = [path for path, entry in tree.items() if parse(path, entry.data) and entry.rendered]
    assert {".py", ".toml", ".yml"} <= {PurePosixPath(path).suffix for path in parsed}
    package = next(path.split("/")[1] for path in tree if path.startswith("src/"))
    assert package.isidentifier()
    assert not keyword.iskeyword(package)
    assert package not in sys.stdlib_module_names
    described = tomllib.loads(tree["pyproject.toml"].data.decode())["project"]["description"]
    assert described == (wanted.title.strip() or wanted.name)


@functools.cache
def parse(path: str, data: bytes) -> bool:
    """Parse a file by its format's own parser; whether there is one. The same bytes are parsed once."""
    suffix, name = PurePosixPath(path).suffix, PurePosixPath(path).name
    if suffix == ".py":
        ast.parse(data.decode())
    elif suffix == ".toml":
        tomllib.loads(data.decode())
    elif suffix in (".yaml", ".yml"):
        yaml.safe_load(data.decode())
    elif suffix == ".json":
        json.loads(data)
    elif name == "Dockerfile":
        check_dockerfile(data.decode())
    else:
        return False
    return True


INSTRUCTIONS = frozenset(
    [
        "FROM",
        "ENV",
        "WORKDIR",
        "COPY",
        "RUN",
        "USER",
        "EXPOSE",
        "ENTRYPOINT",
        "CMD",
        "ARG",
        "LABEL",
        "HEALTHCHECK",
        "VOLUME",
        "ADD",
        "SHELL",
        "STOPSIGNAL",
    ]
)


def check_dockerfile(text: str) -> None:
    """Every logical line is an instruction Docker knows; what looks like a JSON list is one."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        instruction, _, rest = line.partition(" ")
        assert instruction in INSTRUCTIONS, line
        if rest.startswith("["):
            assert all(isinstance(word, str) for word in json.loads(rest))


def test_the_dockerfile_checker_refuses_a_stray_line_and_a_broken_list() -> None:
    with pytest.raises(AssertionError):
        check_dockerfile("FROM x\nevil\n")
    with pytest.raises(ValueError, match="delimiter"):
        check_dockerfile('FROM x\nENTRYPOINT ["a" "b"]\n')


NAMES = [
    "class",
    "os",
    "test",
    "make",
    "x" * 200,
    "{{ x }}",
    'a"b',
    "two\nlines",
    "日本",
    "../../etc",
    "-rf",
    "numpy",
    "$(id)",
]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_a_repository_of_any_name_has_a_makefile_that_make_reads(name: str, tmp_path: Path) -> None:
    spec = write_usecase(tmp_path / "in folder ü", name=name, title=name)
    target = tmp_path / "out folder 'ü"
    asked = draft(spec.read_text(encoding="utf-8"), file="usecase.yaml", folder=spec.parent)
    write_repository(compose_repository(asked), target)
    done = subprocess.run(["make", "-n", "help", "run"], cwd=target, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert asked.plan.facts["command"] in done.stdout
    assert [p.name for p in tmp_path.iterdir() if p.name not in ("in folder ü", target.name)] == []
