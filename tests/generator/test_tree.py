"""FileTree: no path in it can leave the project, or fail to exist on another system."""

from __future__ import annotations

import pytest
from ai_factory.errors import UnsafePath
from ai_factory.tree import Entry, FileTree, matches
from helpers_generator import tree


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("~/x", "absolute"),
        ("C:/x", "absolute"),
        ("a\\b", "backslash"),
        ("a\nb", "control character"),
        ("a\0b", "control character"),
        ("../x", "is no name"),
        ("a/../../x", "is no name"),
        ("./x", "is no name"),
        ("a//b", "empty"),
        ("a/", "empty"),
        ("a/b.", "dot or a space"),
        ("a /b", "dot or a space"),
        (".git/config", "belongs to git"),
        ("a/.GIT/hooks/post-commit", "belongs to git"),
        ("ab:c", "one of"),
        ("what?", "one of"),
        ("aux.txt", "device"),
        ("docs/CON", "device"),
        ("x" * 256, "255 bytes"),
        ("ü" * 128, "255 bytes"),
    ],
)
def test_an_unsafe_path_is_refused_with_the_reason(path: str, reason: str) -> None:
    with pytest.raises(UnsafePath, match=reason):
        tree(**{path: "x"})


@pytest.mark.parametrize(
    "path",
    [".github/workflows/ci.yml", ".gitignore", ".gitattributes", "a b/c d.txt", "ü/ö.md", "x" * 255, "console/x"],
)
def test_an_ordinary_path_is_taken(path: str) -> None:
    assert list(tree(**{path: "x"})) == [path]


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("docs/A.md", "docs/a.md", "only by case"),
        ("Docs/a.md", "docs/b.md", "only by case"),
        ("\u00e9.md", "e\u0301.md", "accents"),
        ("straße", "STRASSE", "only by case"),
        ("data", "data/x.csv", "cannot be a folder"),
    ],
)
def test_two_paths_that_some_system_takes_for_one_are_refused(one: str, other: str, reason: str) -> None:
    with pytest.raises(UnsafePath, match=reason):
        tree(**{one: "1", other: "2"})


def test_the_error_names_who_brought_the_path() -> None:
    with pytest.raises(UnsafePath, match="stacks/evil"):
        FileTree({"../x": Entry(b"", owners=("stacks/evil",))})


def test_a_tree_is_sorted_whatever_the_order_it_was_given_in() -> None:
    assert list(tree(b="2", a="1")) == list(tree(a="1", b="2")) == ["a", "b"]


def test_the_digest_changes_with_content_path_and_mode_and_with_nothing_else() -> None:
    base = FileTree({"a": Entry(b"1"), "b": Entry(b"2")})
    assert base.digest == FileTree({"b": Entry(b"2", owners=("x",)), "a": Entry(b"1")}).digest
    others = ({"a": Entry(b"1")}, {"a": Entry(b"2"), "b": Entry(b"2")}, {"a": Entry(b"1", 0o755), "b": Entry(b"2")})
    assert base.digest not in {FileTree(entries).digest for entries in others}


def test_folders_come_parents_first() -> None:
    assert tree(**{"a/b/c": "", "a/d": "", "e": ""}).folders() == ("a", "a/b")


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("src/**", "src/a/b.py", True),
        ("src/**", "src2/a.py", False),
        ("src/*", "src/a/b.py", False),
        ("**/x.md", "x.md", True),
        ("**/x.md", "a/b/x.md", True),
        ("infra/**/Pulumi.staging.yaml", "infra/serving/Pulumi.staging.yaml", True),
        ("infra/**/Pulumi.staging.yaml", "infra/serving/Pulumi.prod.yaml", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[!a]b", "ab", False),
        ("[!a]b", "cb", True),
        ("a.md", "axmd", False),
    ],
)
def test_globs(pattern: str, path: str, fits: bool) -> None:
    assert matches(path, (pattern,)) is fits
