"""Loading blueprints: every problem of every manifest at once, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_factory.baking import cookiecutter_json
from ai_factory.catalog import Blueprint
from ai_factory.errors import BlueprintError, SpecNotFound
from ai_factory.loading import load_catalog, load_sources, read_text
from ai_factory.manifest import json_schema
from helpers_generator import ROOT, write_blueprint, write_minimum
from jsonschema import Draft202012Validator


def problems(folder: Path) -> list[str]:
    with pytest.raises(BlueprintError) as refused:
        load_catalog(folder)
    return [f"{Path(file).parent.name}:{problem.line}: {problem}" for file, problem in refused.value.problems]


def test_all_problems_of_all_manifests_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    one = write_blueprint(tmp_path, "stacks/one")
    one.joinpath("blueprint.yaml").write_text(
        "apiVersion: ai-factory/v1\nkind: stacks\nname: one\nversion: 1.0\nsumary: x\nrequires:\n  - {need: a}\n",
        encoding="utf-8",
    )
    two = write_blueprint(tmp_path, "stacks/two")
    two.joinpath("blueprint.yaml").write_text("apiVersion: ai-factory/v2\n  kind: [\n", encoding="utf-8")
    found = problems(tmp_path)
    assert any(p.startswith("one:4: version: ") for p in found)
    assert "one:5: sumary: there is no such field; did you mean 'summary'?" in found
    assert any("summary: field required" in p for p in found)
    assert any(p.startswith("one:7: requires[0].because: field required") for p in found)
    assert any(p.startswith("two:2: ") and "YAML" in p for p in found)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"name": "other"}, "'other' differs from the folder's name 'one'"),
        ({"kind": "pipelines"}, "'pipelines' differs from the folder's name 'stacks'"),
        ({"components": ["no_such_package"]}, "there is no component package 'no_such_package'"),
        ({"docs": ["no-such-page.md"]}, "there is no playbook page 'no-such-page.md'"),
        ({"variables": {"projet_slug": {"default": "", "description": "x"}}}, "did you mean 'project_slug'"),
        ({"provides": ["Not A Name"]}, "provides[0]"),
        ({"ownership": [{"paths": "/etc/**", "owner": "user"}]}, "ownership[0].paths"),
        ({"ownership": [{"paths": "a", "owner": "me"}]}, "ownership[0].owner"),
        ({"joins": [{"path": "a", "how": "glue"}]}, "joins[0].how"),
        ({"only_if": [{"paths": "a", "stage": "test"}]}, "only_if[0].stage"),
        ({"only_if": [{"paths": "a"}]}, "only_if[0]: says neither 'stage' nor 'has'"),
        ({"only_if": [{"paths": "a", "has": "stacks/on"}]}, "only_if[0].has: there is no blueprint or capability"),
        ({"summary": "two\nlines"}, "summary"),
        ({"version": "1"}, "version"),
        ({"apiVersion": "ai-factory/v2"}, "apiVersion"),
    ],
)
def test_a_manifest_that_says_something_impossible_is_refused(
    tmp_path: Path, manifest: dict[str, object], said: str
) -> None:
    home = write_blueprint(tmp_path, "stacks/one")
    text = (home / "blueprint.yaml").read_text(encoding="utf-8")
    import yaml

    changed = yaml.safe_load(text) | manifest
    (home / "blueprint.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    assert any(said in problem for problem in problems(tmp_path))


def test_a_folder_without_blueprints_says_so(tmp_path: Path) -> None:
    assert "there is no blueprint below this folder" in problems(tmp_path)[0]


def test_a_blueprint_without_a_template_folder_is_refused(tmp_path: Path) -> None:
    home = write_blueprint(tmp_path, "stacks/one")
    (home / "{{cookiecutter.project_slug}}").rmdir()
    with pytest.raises(BlueprintError, match="one folder named"):
        load_sources(next(iter(load_catalog(tmp_path))))


def test_caches_of_tools_are_no_part_of_a_blueprint(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    base = load_catalog(tmp_path).get("project/base")
    assert base is not None
    before = load_sources(base)
    cache = Path(base.folder) / "{{cookiecutter.project_slug}}" / "__pycache__"
    cache.mkdir()
    (cache / "x.cpython-311.pyc").write_bytes(b"x")
    (Path(base.folder) / ".DS_Store").write_bytes(b"x")
    assert load_sources(base) == before


@pytest.mark.parametrize("blueprint", list(load_catalog()), ids=lambda b: b.id)
def test_cookiecutter_json_is_what_the_manifest_says(blueprint: Blueprint) -> None:
    on_disk = (Path(blueprint.folder) / "cookiecutter.json").read_text(encoding="utf-8")
    assert on_disk == cookiecutter_json(blueprint), "run `make blueprints-sync`"


@pytest.mark.parametrize("blueprint", list(load_catalog()), ids=lambda b: b.id)
def test_every_built_in_blueprint_has_a_readme_and_passes_its_json_schema(blueprint: Blueprint) -> None:
    import yaml

    folder = Path(blueprint.folder)
    assert (folder / "README.md").is_file()
    manifest = yaml.safe_load((folder / "blueprint.yaml").read_text(encoding="utf-8"))
    Draft202012Validator(json_schema()).validate(manifest)


def test_every_field_of_the_schema_is_described() -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    models = {"Manifest": schema, **schema["$defs"]}
    fields = [
        (name, field, facts) for name, model in models.items() for field, facts in model.get("properties", {}).items()
    ]
    assert len(fields) > 20
    assert [f"{name}.{field}" for name, field, facts in fields if "description" not in facts] == []


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: None, "there is no such file"),
        (lambda p: p.mkdir(), "it is a folder"),
        (lambda p: p.write_bytes(b"\xff\xfea\0"), "UTF-16"),
        (lambda p: p.write_bytes(b"a: caf\xe9\n"), "not UTF-8"),
    ],
)
def test_a_use_case_that_cannot_be_read_says_why(tmp_path: Path, make, reason: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "usecase.yaml")
    with pytest.raises(SpecNotFound, match=reason):
        read_text(tmp_path / "usecase.yaml")


def test_a_byte_order_mark_is_no_part_of_a_use_case(tmp_path: Path) -> None:
    (tmp_path / "u.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_text(tmp_path / "u.yaml") == "a: 1\n"


def test_the_checkout_is_where_the_assets_come_from_here() -> None:
    from ai_factory import assets

    assert assets.blueprints() == ROOT / "blueprints"
    assert assets.playbooks() == ROOT / "playbooks"
    assert assets.component("ai_factory_spec") == ROOT / "components" / "ai_factory_spec"
    assert assets.component("no_such_package") is None
