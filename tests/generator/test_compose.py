"""Composition: two blueprints never overwrite each other; what they share, they declare."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_factory.compose import compose, ownership
from ai_factory.errors import InvalidOutput, JoinFailed, PathClaimedTwice
from ai_factory.formats import check
from ai_factory.laying import lay
from ai_factory.plan import Plan
from ai_factory.tree import Entry, FileTree
from helpers_generator import plan_of, write_blueprint, write_minimum


def composed(plan: Plan) -> FileTree:
    return compose(plan, [(layer, lay(layer, plan, "usecase: text\n")[0]) for layer in plan.layers])


def two(folder: Path, path: str, one: str, other: str, how: str | None, *, head: str = "") -> Plan:
    """A plan whose stacks `a` and `b` both write a path."""
    write_minimum(folder)
    for name, text in (("a", one), ("b", other)):
        join = {"path": path, "how": how, **({"head": True} if head == name else {})}
        write_blueprint(folder, f"stacks/{name}", {path: text}, joins=[join] if how else [])
    return plan_of(folder, stacks=["a", "b"])


def test_a_path_claimed_twice_is_refused_and_both_owners_are_named(tmp_path: Path) -> None:
    plan = two(tmp_path, "x.txt", "1", "2", None)
    with pytest.raises(PathClaimedTwice) as refused:
        composed(plan)
    assert (refused.value.path, refused.value.owners) == ("x.txt", ("stacks/a", "stacks/b"))


def test_a_join_that_only_one_declares_is_no_join(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    write_blueprint(tmp_path, "stacks/a", {"x.txt": "1"}, joins=[{"path": "x.txt", "how": "lines"}])
    write_blueprint(tmp_path, "stacks/b", {"x.txt": "2"})
    with pytest.raises(PathClaimedTwice):
        composed(plan_of(tmp_path, stacks=["a", "b"]))


def test_joins_that_differ_are_no_join(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    write_blueprint(tmp_path, "stacks/a", {"x.txt": "1"}, joins=[{"path": "x.txt", "how": "lines"}])
    write_blueprint(tmp_path, "stacks/b", {"x.txt": "2"}, joins=[{"path": "x.txt", "how": "sections"}])
    with pytest.raises(PathClaimedTwice):
        composed(plan_of(tmp_path, stacks=["a", "b"]))


def test_equal_bytes_are_shared(tmp_path: Path) -> None:
    tree = composed(two(tmp_path, "x.txt", "same", "same", None))
    assert tree["x.txt"].rule == "shared"
    assert tree["x.txt"].owners == ("stacks/a", "stacks/b")


def test_sections_stand_in_reading_order_whatever_needs_what(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    shared = [{"path": "NOTES", "how": "sections"}]
    write_blueprint(tmp_path, "stacks/z", {"NOTES": "z"}, joins=shared)
    write_blueprint(
        tmp_path, "stacks/a", {"NOTES": "a"}, joins=shared, requires=[{"need": "stacks/z", "because": "so"}]
    )
    plan = plan_of(tmp_path, stacks=["a"])
    laid = [layer.id for layer in plan.layers]
    assert laid.index("stacks/z") < laid.index("stacks/a")
    text = composed(plan)["NOTES"].data.decode()
    assert text.index(">>> stacks/a") < text.index(">>> stacks/z")


def test_sections_stand_between_marks_in_plan_order(tmp_path: Path) -> None:
    tree = composed(two(tmp_path, "Makefile", "a:\n\ttrue\n", "\n\nb:\n\ttrue\n\n", "sections"))
    assert tree["Makefile"].data.decode() == (
        "# >>> stacks/a\na:\n\ttrue\n# <<< stacks/a\n\n# >>> stacks/b\nb:\n\ttrue\n# <<< stacks/b\n"
    )


def test_the_marks_in_markdown_are_comments_of_markdown(tmp_path: Path) -> None:
    tree = composed(two(tmp_path, "NOTES.md", "# A\n", "## B\n", "sections"))
    assert tree["NOTES.md"].data.startswith(b"<!-- >>> stacks/a -->\n# A\n<!-- <<< stacks/a -->\n")


def test_the_head_comes_first_whatever_the_order(tmp_path: Path) -> None:
    tree = composed(two(tmp_path, "Makefile", "a:\n", "all:\n", "sections", head="b"))
    assert tree["Makefile"].owners == ("stacks/b", "stacks/a")


def test_a_fragment_without_its_head_is_left_out(tmp_path: Path) -> None:
    two(tmp_path, "ci.yml", "jobs: {}\n", "head: 1\n", "sections", head="b")
    assert "ci.yml" not in composed(plan_of(tmp_path, stacks=["a"]))
    assert "ci.yml" in composed(plan_of(tmp_path, stacks=["b"]))


def test_lines_are_united(tmp_path: Path) -> None:
    tree = composed(two(tmp_path, ".gitignore", "# base\n.venv/\n*.pyc\n", "*.pyc\ndata/\n", "lines"))
    assert tree[".gitignore"].data == b"# base\n.venv/\n*.pyc\ndata/\n"


def test_toml_is_merged_key_by_key_and_keeps_comments(tmp_path: Path) -> None:
    one = '# why\n[project]\nname = "x"\ndependencies = ["a", "b"]\n\n[tool.ruff]\nline-length = 120 # wide\n'
    other = (
        '[project]\ndependencies = ["b", "c"]\n\n[tool.ruff]\nline-length = 120\nselect = ["E"]\n\n[tool.new]\nx = 1\n'
    )
    text = composed(two(tmp_path, "pyproject.toml", one, other, "toml"))["pyproject.toml"].data.decode()
    assert text == (
        '# why\n[project]\nname = "x"\ndependencies = ["a", "b", "c"]\n\n'
        '[tool.ruff]\nline-length = 120 # wide\nselect = ["E"]\n\n[tool.new]\nx = 1\n'
    )


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("[a]\nb = 1\n", "[a]\nb = 2\n", "sets a.b to 2, where it is already 1"),
        ("[a]\nb = 1\n", "[a.b]\nc = 1\n", "a.b"),
        ("a = [1]\n", "a = 1\n", "sets a to 1"),
        ("a = 1\n", "a = \n", "no valid TOML"),
    ],
)
def test_toml_that_contradicts_is_refused_with_the_key_and_the_owner(
    tmp_path: Path, one: str, other: str, said: str
) -> None:
    with pytest.raises(JoinFailed, match="stacks/b") as refused:
        composed(two(tmp_path, "x.toml", one, other, "toml"))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        ("x.yaml", "a: 1\n", "  b: [\n"),
        ("x.py", "a = 1\n", "def\n"),
        ("x.yml", "a: 1\n", "\tb: 2\n"),
        ("x.json", "{}\n", "{}\n"),
    ],
)
def test_a_joined_file_its_parser_refuses_is_never_written(tmp_path: Path, path: str, one: str, other: str) -> None:
    tree = composed(two(tmp_path, path, one, other, "sections"))
    with pytest.raises(InvalidOutput, match=r"stacks/a, stacks/b"):
        check(tree)


def test_a_rendered_file_its_parser_refuses_is_never_written() -> None:
    with pytest.raises(InvalidOutput, match=r"a\.toml"):
        check(FileTree({"a.toml": Entry(b"x = 'it's'\n", owners=("stacks/a",), rendered=True)}))


def test_files_of_an_absent_stage_are_left_out(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    files = {f"infra/a/Pulumi.{stage}.yaml": "x: 1\n" for stage in ("dev", "staging", "prod")}
    only = [{"paths": f"infra/**/Pulumi.{stage}.yaml", "stage": stage} for stage in ("staging", "prod")]
    write_blueprint(tmp_path, "stacks/a", files, only_if=only)
    tree = composed(plan_of(tmp_path, stacks=["a"], deployment={"stages": ["dev", "prod"]}))
    assert sorted(p for p in tree if p.startswith("infra")) == ["infra/a/Pulumi.dev.yaml", "infra/a/Pulumi.prod.yaml"]


def test_files_that_go_with_another_blueprint_are_left_out_without_it(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    write_blueprint(tmp_path, "stacks/base", {"base.txt": ""}, provides=["roles"])
    for name, has in (("a", "stacks/base"), ("b", "roles")):
        write_blueprint(
            tmp_path, f"stacks/{name}", {f"{name}.yml": "x: 1\n"}, only_if=[{"paths": f"{name}.yml", "has": has}]
        )
    assert not {"a.yml", "b.yml"} & set(composed(plan_of(tmp_path, stacks=["a", "b"])))
    assert {"a.yml", "b.yml"} <= set(composed(plan_of(tmp_path, stacks=["a", "b", "base"])))


def test_files_that_need_a_stage_and_another_blueprint_need_both(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    write_blueprint(tmp_path, "stacks/base", {"base.txt": ""})
    both = [{"paths": "a.yml", "stage": "staging", "has": "stacks/base"}]
    write_blueprint(tmp_path, "stacks/a", {"a.yml": "x: 1\n"}, only_if=both)
    for stacks, stages, there in (
        (["a", "base"], ["dev", "staging"], True),
        (["a", "base"], ["dev"], False),
        (["a"], ["dev", "staging"], False),
    ):
        tree = composed(plan_of(tmp_path, stacks=stacks, deployment={"stages": stages}))
        assert ("a.yml" in tree) is there, (stacks, stages)


def test_the_last_glob_that_matches_says_who_owns_a_file(tmp_path: Path) -> None:
    write_minimum(tmp_path, "project/base")
    rules = [{"paths": "src/**", "owner": "user"}, {"paths": ["src/*/__main__.py"], "owner": "factory"}]
    files = {"src/x/a.py": "", "src/x/__main__.py": "", "b.txt": "", "c.txt": ""}
    write_blueprint(tmp_path, "project/base", files, ownership=rules)
    plan = plan_of(tmp_path)
    tree = composed(plan)
    owners = {path: ownership(plan.layers, path, tree[path]) for path in files}
    assert owners == {"src/x/a.py": "user", "src/x/__main__.py": "factory", "b.txt": "factory", "c.txt": "factory"}


def test_components_and_pages_are_copied_byte_for_byte_and_shared_by_two_layers(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    for name in "ab":
        write_blueprint(tmp_path, f"stacks/{name}", components=["ai_factory_spec"], docs=["errors.md"])
    tree = composed(plan_of(tmp_path, stacks=["a", "b"]))
    import ai_factory_spec

    source = Path(ai_factory_spec.__file__)
    assert tree["components/ai_factory_spec/__init__.py"].data == source.read_bytes()
    assert tree["components/ai_factory_spec/__init__.py"].owners == ("stacks/a", "stacks/b")
    assert tree["docs/errors.md"].data.startswith(b"# Errors")
    assert not [path for path in tree if "__pycache__" in path]


def test_the_base_lays_the_users_own_use_case(tmp_path: Path) -> None:
    tree = composed(plan_of(write_minimum(tmp_path)))
    assert tree["usecase.yaml"].data == b"usecase: text\n"
    assert tree["usecase.yaml"].owners == ("project/base",)
