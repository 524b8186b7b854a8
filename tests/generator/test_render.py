"""Rendering: the same bytes as cookiecutter, without what cookiecutter lets a template do."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_factory.catalog import Blueprint
from ai_factory.errors import BlueprintError, RenderError, UnsafePath
from ai_factory.loading import load_catalog, load_sources
from ai_factory.render import names_used, render_layer
from ai_factory.tree import FileTree
from cookiecutter.generate import generate_files
from helpers_generator import write_blueprint, write_minimum

ANSWERS = {"project_slug": "demo", "package": "demo_pkg", "command": "demo"}
VARIABLES = {name: {"default": value, "description": "A fact."} for name, value in ANSWERS.items()}


def blueprint_of(home: Path) -> Blueprint:
    folder = home.parent.parent
    found = load_catalog(folder).get(f"{home.parent.name}/{home.name}")
    assert found is not None
    return found


def rendered(home: Path, answers: dict[str, str] | None = None) -> FileTree:
    blueprint = blueprint_of(home)
    return render_layer(blueprint, load_sources(blueprint).template, answers or ANSWERS, {})


def by_cookiecutter(blueprint: Blueprint, answers: dict[str, str], out: Path) -> dict[str, tuple[bytes, bool]]:
    """What cookiecutter itself makes of the folder: path -> bytes and whether it may be executed."""
    context = {"cookiecutter": {**answers, "_copy_without_render": list(blueprint.copy_only)}}
    root = Path(generate_files(blueprint.folder, context, output_dir=out, accept_hooks=False))
    files = (p for p in root.rglob("*") if p.is_file())
    return {p.relative_to(root).as_posix(): (p.read_bytes(), bool(p.stat().st_mode & 0o100)) for p in files}


def as_oracle(tree: FileTree) -> dict[str, tuple[bytes, bool]]:
    return {path: (entry.data, bool(entry.mode & 0o100)) for path, entry in tree.items()}


REAL = list(load_catalog())


@pytest.mark.parametrize("blueprint", REAL, ids=lambda b: b.id)
def test_a_built_in_blueprint_renders_to_the_bytes_cookiecutter_makes(blueprint: Blueprint, tmp_path: Path) -> None:
    answers = {v.name: v.default for v in blueprint.variables}
    ours = render_layer(blueprint, load_sources(blueprint).template, answers, {})
    assert as_oracle(ours) == by_cookiecutter(blueprint, answers, tmp_path)


ODD: dict[str, str | bytes] = {
    "plain.txt": "no markup\n",
    "no-final-newline.txt": "{{ cookiecutter.package }}",
    "two-final-newlines.txt": "{{ cookiecutter.package }}\n\n",
    "windows.txt": b"{{ cookiecutter.package }}\r\nsecond\r\n",
    "windows-plain.txt": b"a\r\nb\r\n",
    "empty.txt": "",
    "image.png": b"\x89PNG\r\n\x1a\n\0\0{{ cookiecutter.package }}",
    "latin1.txt": b"caf\xe9 {{ cookiecutter.package }}\n",
    "raw.yml": "{% raw %}${{ github.ref }}{% endraw %}\n",
    "unicode-ü.md": "ü {{ cookiecutter.package }} 🎉\n",
    "copied/keep.txt": "{{ cookiecutter.package }} stays\n",
    "also.keep": "{{ nothing }}\n",
    "filters.txt": "{{ 'Ä b' | slugify }} {{ {'b': 1, 'a': [2]} | jsonify }} {{ cookiecutter.package | upper }}\n",
    "loop.txt": "{% for x in 'a b'.split() %}{{ x }}\n{% endfor %}",
    "{{cookiecutter.package}}/{{cookiecutter.command}}.py": "x = '{{ cookiecutter.package }}'\n",
    "{% if cookiecutter.package == 'other' %}left-out.txt{% endif %}": "never\n",
    "comment.txt": "a{# gone #}b\n",
}


def test_odd_files_render_to_the_bytes_cookiecutter_makes(tmp_path: Path) -> None:
    home = write_blueprint(
        tmp_path / "b", "project/odd", ODD, variables=VARIABLES, copy_only=["copied", "*.keep", "latin1.txt"]
    )
    script = home / "{{cookiecutter.project_slug}}" / "run.sh"
    script.write_text("#!/bin/sh\necho {{ cookiecutter.command }}\n", encoding="utf-8")
    script.chmod(0o755)
    ours = as_oracle(rendered(home))
    assert ours == by_cookiecutter(blueprint_of(home), ANSWERS, tmp_path)
    assert ours["run.sh"] == (b"#!/bin/sh\necho demo\n", True)
    assert ours["windows.txt"][0] == b"demo_pkg\r\nsecond\r\n"
    assert "left-out.txt" not in ours


@pytest.mark.parametrize("blueprint", REAL, ids=lambda b: b.id)
def test_a_built_in_manifest_declares_exactly_the_variables_its_templates_use(blueprint: Blueprint) -> None:
    # The folder's own name uses project_slug.
    assert names_used(load_sources(blueprint).template) | {"project_slug"} == {v.name for v in blueprint.variables}


def test_an_undefined_variable_is_named_with_its_file_line_and_blueprint(tmp_path: Path) -> None:
    home = write_blueprint(tmp_path, "project/base", {"src/a.txt": "one\ntwo {{ cookiecutter.pakage }}\n"})
    with pytest.raises(RenderError) as refused:
        rendered(home)
    error = refused.value
    assert (error.blueprint, error.file, error.line, error.variable) == ("project/base", "src/a.txt", 2, "pakage")
    assert "src/a.txt:2: the variable 'pakage' is not defined" in str(error)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ cookiecutter.package.nothing.more }}", "'nothing' is not defined"),
        ("{% if %}", "no valid template"),
        ("{{ 'x' | no_such_filter }}", "No filter named 'no_such_filter'"),
        ("{% include 'missing.txt' %}", "includes 'missing.txt', which is not there"),
        ("{{ 'a' + 1 }}", "TypeError"),
    ],
)
def test_a_template_that_raises_is_named_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    home = write_blueprint(tmp_path, "project/base", {"a.txt": text})
    with pytest.raises(RenderError, match=r"project/base cannot be rendered: a\.txt") as refused:
        rendered(home)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cookiecutter.__init__.__globals__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cookiecutter.update({'package': 'x'}) }}",
        "{% set _ = [].append(1) %}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ range(1000000000) | length }}",
    ],
)
def test_a_template_cannot_leave_the_sandbox(tmp_path: Path, text: str) -> None:
    home = write_blueprint(tmp_path, "project/base", {"a.txt": text})
    with pytest.raises(RenderError):
        rendered(home)


@pytest.mark.parametrize(
    "text",
    ["{% now 'utc' %}", "{{ random_ascii_string(4) }}", "{{ [1, 2] | random }}", "{{ uuid4() }}", "{{ lipsum() }}"],
)
def test_a_template_reaches_no_clock_and_no_random_number(tmp_path: Path, text: str) -> None:
    home = write_blueprint(tmp_path, "project/base", {"a.txt": text})
    with pytest.raises(RenderError):
        rendered(home)


@pytest.mark.parametrize("value", ["../../evil", "/evil", "a/../../evil", ".git", ""])
def test_an_answer_cannot_lead_a_file_out_of_the_project(tmp_path: Path, value: str) -> None:
    home = write_blueprint(tmp_path, "project/base", {"{{cookiecutter.package}}/a.txt": "x"}, variables=VARIABLES)
    with pytest.raises(UnsafePath):
        rendered(home, {**ANSWERS, "package": value})


def test_two_files_whose_names_render_alike_are_refused(tmp_path: Path) -> None:
    files = {"{{cookiecutter.package}}.txt": "1", "{{cookiecutter.command}}.txt": "2"}
    home = write_blueprint(tmp_path, "project/base", files, variables=VARIABLES)
    with pytest.raises(RenderError, match=r"also named 'same\.txt'"):
        rendered(home, {"project_slug": "demo", "package": "same", "command": "same"})


def test_a_symbolic_link_in_a_blueprint_is_refused(tmp_path: Path) -> None:
    home = write_blueprint(tmp_path, "project/base", {"a.txt": "x"})
    (home / "{{cookiecutter.project_slug}}" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(BlueprintError, match="symbolic link"):
        rendered(home)


def test_a_hook_does_not_run(tmp_path: Path) -> None:
    home = write_blueprint(tmp_path / "b", "project/base", {"a.txt": "x"})
    hook = home / "hooks" / "post_gen_project.py"
    hook.parent.mkdir()
    hook.write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n", encoding="utf-8")
    assert list(rendered(home)) == ["a.txt"]
    assert not (tmp_path / "ran").exists()


def test_an_included_file_of_the_same_blueprint_is_found(tmp_path: Path) -> None:
    home = write_blueprint(
        tmp_path, "project/base", {"a.txt": "{% include 'part.txt' %}!", "part.txt": "{{ cookiecutter.project_slug }}"}
    )
    assert rendered(home)["a.txt"].data == b"demo!"


def test_compiled_templates_are_used_again(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    blueprint = blueprint_of(tmp_path / "project" / "base")
    template = load_sources(blueprint).template
    codes: dict[str, object] = {}
    first = render_layer(blueprint, template, ANSWERS, codes)  # type: ignore[arg-type]
    before = dict(codes)
    again = render_layer(blueprint, template, ANSWERS, codes)  # type: ignore[arg-type]
    assert codes == before != {}
    assert first == again
