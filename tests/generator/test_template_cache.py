"""The cache of compiled templates: trusted only where nobody else can have written it, and never needed."""

from __future__ import annotations

import marshal
import os
from hashlib import sha256
from pathlib import Path
from types import CodeType

import pytest
from ai_factory import template_cache

NAME = template_cache.key("digest", jinja_version="3", factory_version="1")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return template_cache.folder()


def codes() -> dict[str, CodeType]:
    return {"file:a": compile("1 + 1", "a", "eval")}


def test_what_is_saved_is_loaded() -> None:
    template_cache.save(NAME, codes())
    assert eval(template_cache.load(NAME)["file:a"]) == 2


def test_the_cache_is_private(own_cache: Path) -> None:
    before = os.umask(0)
    try:
        template_cache.save(NAME, codes())
    finally:
        os.umask(before)
    assert own_cache.stat().st_mode & 0o777 == 0o700
    assert (own_cache / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_cache_that_others_may_write_is_not_read(own_cache: Path, what: str) -> None:
    template_cache.save(NAME, codes())
    (own_cache if what == "folder" else own_cache / NAME).chmod(0o777)
    assert template_cache.load(NAME) == {}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_cache_of_another_user_is_neither_read_nor_written(own_cache: Path, what: str) -> None:
    template_cache.save(NAME, codes())
    os.chown(own_cache if what == "folder" else own_cache / NAME, 12345, 12345)
    assert template_cache.load(NAME) == {}
    if what == "folder":
        template_cache.save("other", codes())
        assert not (own_cache / "other").exists()


def test_a_link_in_the_cache_is_not_followed(own_cache: Path) -> None:
    template_cache.save(NAME, codes())
    (own_cache / "link").symlink_to(own_cache / NAME)
    assert template_cache.load("link") == {}


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_cache_is_as_good_as_none(own_cache: Path, damage: str) -> None:
    template_cache.save(NAME, codes())
    raw = (own_cache / NAME).read_bytes()
    changed = {"truncated": raw[:-3], "flipped": raw[:-1] + bytes([raw[-1] ^ 1]), "empty": b""}[damage]
    (own_cache / NAME).write_bytes(changed)
    assert template_cache.load(NAME) == {}


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    template_cache.save(NAME, codes())
    assert template_cache.load(NAME) == {}


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object) -> None:
        raise KeyError

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    template_cache.save(NAME, codes())
    assert template_cache.load(NAME) == {}


def test_the_key_changes_with_everything_the_code_depends_on() -> None:
    keys = {
        template_cache.key(digest, jinja_version=jinja, factory_version=factory)
        for digest in ("a", "b")
        for jinja in ("1", "2")
        for factory in ("1", "2")
    }
    assert len(keys) == 8


def test_old_files_make_room(own_cache: Path) -> None:
    for i in range(70):
        template_cache.save(f"{i:03}", codes())
        os.utime(own_cache / f"{i:03}", (i, i))
    template_cache.save("new", codes())
    kept = sorted(p.name for p in own_cache.iterdir())
    assert len(kept) == 64
    assert "new" in kept
    assert "000" not in kept


def test_the_file_is_a_digest_and_a_payload(own_cache: Path) -> None:
    template_cache.save(NAME, codes())
    raw = (own_cache / NAME).read_bytes()
    assert sha256(raw[32:]).digest() == raw[:32]
    assert list(marshal.loads(raw[32:])) == ["file:a"]
