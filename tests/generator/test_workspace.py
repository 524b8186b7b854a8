"""Writing a project: the whole or nothing, whatever the disk, the target or the person does."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from ai_factory import workspace
from ai_factory.errors import CannotWrite, DataNotFound, DestinationExists
from ai_factory.tree import Entry, FileTree
from helpers_generator import tree

TREE = FileTree({"a/b/c.txt": Entry(b"1"), "run.sh": Entry(b"#!/bin/sh\n", 0o755), "empty": Entry(b"")})


def last(digests: Mapping[str, str]) -> FileTree:
    return tree(**{".ai-factory/lock.yaml": repr(dict(digests))})


def create(target: Path, *incoming: workspace.Incoming) -> None:
    workspace.create(target, TREE, incoming, last)


def entries(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_every_file_is_written_with_its_bytes_and_mode_and_nothing_else(tmp_path: Path) -> None:
    create(tmp_path / "p")
    assert entries(tmp_path) == ["p/.ai-factory/lock.yaml", "p/a/b/c.txt", "p/empty", "p/run.sh"]
    assert (tmp_path / "p" / "a" / "b" / "c.txt").read_bytes() == b"1"
    assert (tmp_path / "p" / "run.sh").stat().st_mode & stat.S_IXUSR
    assert not (tmp_path / "p" / "empty").stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize("name", ["with space", "ünï-日本", "quote'\"s", "$(touch x)", "a\nb", "-rf"])
def test_the_target_may_have_any_name(tmp_path: Path, name: str) -> None:
    create(tmp_path / name)
    assert (tmp_path / name / "run.sh").is_file()


def test_missing_folders_above_the_target_are_made(tmp_path: Path) -> None:
    create(tmp_path / "x" / "y" / "p")
    assert entries(tmp_path / "x" / "y")[0] == "p/.ai-factory/lock.yaml"


def test_an_empty_folder_is_a_fine_target(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    create(tmp_path / "p")
    assert len(entries(tmp_path / "p")) == 4


def test_a_link_to_an_empty_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    create(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert len(entries(tmp_path / "real")) == 4


@pytest.mark.parametrize("what", ["a file in it", "a file", "a dangling link", "a hidden file in it"])
def test_a_target_that_holds_something_is_left_untouched(tmp_path: Path, what: str) -> None:
    target = tmp_path / "p"
    if what == "a file":
        target.write_text("mine")
    elif what == "a dangling link":
        target.symlink_to(tmp_path / "nowhere")
    else:
        target.mkdir()
        (target / (".git" if "hidden" in what else "mine")).write_text("mine")
    before = snapshot(tmp_path)
    with pytest.raises(DestinationExists, match="needs a folder that does not exist yet"):
        create(target)
    assert snapshot(tmp_path) == before


def names(folder: Path | str) -> list[str]:
    return sorted(p.name for p in Path(folder).iterdir())


def snapshot(folder: Path) -> list[tuple[str, bool, bytes]]:
    return [(str(p), p.is_symlink(), p.read_bytes() if p.is_file() else b"") for p in sorted(folder.rglob("*"))]


def test_a_target_that_is_filled_meanwhile_is_left_untouched(tmp_path: Path) -> None:
    target = tmp_path / "p"

    def fill(digests: Mapping[str, str]) -> FileTree:
        target.mkdir()
        (target / "mine").write_text("mine")
        return last(digests)

    with pytest.raises(DestinationExists, match="filled meanwhile"):
        workspace.create(target, TREE, (), fill)
    assert entries(tmp_path) == ["p/mine"]
    assert names(tmp_path) == ["p"]


def test_a_target_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CannotWrite, match="a part of its path is a file"):
        create(tmp_path / "file" / "deep" / "p")


def test_folders_made_before_one_that_cannot_be_made_are_removed_again(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="name is too long"):
        create(tmp_path / "x" / "y" / ("z" * 300) / "p")
    assert names(tmp_path) == []


def test_a_name_no_file_system_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="its name is too long"):
        create(tmp_path / ("x" * 300))
    with pytest.raises(CannotWrite, match="null"):
        create(tmp_path / "a\0b")


def test_a_read_only_file_system_is_refused_and_said() -> None:
    with pytest.raises(CannotWrite) as refused:
        create(Path("/proc/ai-factory/p"))
    assert str(refused.value).count("Nothing was left behind") == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_without_permission_is_refused() -> None:
    code = (
        "import os, sys; from pathlib import Path; from ai_factory import workspace\n"
        "from ai_factory.tree import FileTree; from ai_factory.errors import CannotWrite\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: workspace.create(Path(sys.argv[1]), FileTree({}), (), lambda d: FileTree({}))\n"
        "except CannotWrite as e: print(e); sys.exit(7)\n"
    )
    # Not below tmp_path, which nobody but its owner may enter.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        done = subprocess.run([sys.executable, "-c", code, f"{folder}/p"], text=True, capture_output=True)
        assert done.returncode == 7, done.stderr
        assert "permission is denied" in done.stdout
        assert names(folder) == []


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "no space is left"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only"), (errno.EIO, "rror")],
)
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_disk_that_refuses_at_any_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str, after: int
) -> None:
    monkeypatch.setattr(os, "fdopen", failing(os.fdopen, number, after))
    with pytest.raises(CannotWrite, match=said):
        create(tmp_path / "x" / "p")
    assert names(tmp_path) == []


def failing(real: Callable[..., object], number: int, after: int) -> Callable[..., object]:
    """The operating system's call, which fails after some successes."""
    calls = iter(range(after))

    def call(*args: object, **kwargs: object) -> object:
        if next(calls, None) is None:
            raise OSError(number, os.strerror(number))
        return real(*args, **kwargs)

    return call


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs a small file system, which only root mounts"
)
def test_a_disk_that_is_really_full_leaves_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this container may not mount")
    try:
        big = FileTree({f"f{i}": Entry(b"x" * 10_000) for i in range(20)})
        with pytest.raises(CannotWrite, match="no space is left"):
            workspace.create(disk / "p", big, (), last)
        assert names(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_interruption_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(digests: Mapping[str, str]) -> FileTree:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.create(tmp_path / "x" / "p", TREE, (), interrupted)
    assert names(tmp_path) == []


def test_the_data_is_copied_and_its_digest_is_that_of_the_copy(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "d.bin").write_bytes(data)
    create(tmp_path / "p", workspace.Incoming(tmp_path / "d.bin", "data/d.bin"))
    assert (tmp_path / "p" / "data" / "d.bin").read_bytes() == data
    assert sha256(data).hexdigest() in (tmp_path / "p" / ".ai-factory" / "lock.yaml").read_text()


@pytest.mark.parametrize("what", ["missing", "folder"])
def test_data_that_cannot_be_read_leaves_nothing(tmp_path: Path, what: str) -> None:
    if what == "folder":
        (tmp_path / "d.csv").mkdir()
    with pytest.raises(DataNotFound, match=r"d\.csv"):
        create(tmp_path / "p", workspace.Incoming(tmp_path / "d.csv", "data/d.csv"))
    assert not (tmp_path / "p").exists()
    assert not list(tmp_path.glob(".*"))


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    stale = tmp_path / ".0123456789ab.ai-factory-staging"
    (stale / "deep").mkdir(parents=True)
    (stale / "deep" / "file").write_text("x")
    create(tmp_path / "p")
    assert names(tmp_path) == ["p"]


def test_the_staging_folder_of_a_running_one_is_left_alone(tmp_path: Path) -> None:
    running = tmp_path / ".0123456789ab.ai-factory-staging"
    running.mkdir()
    hold = "import fcntl, os, sys; d = os.open(sys.argv[1], os.O_RDONLY); fcntl.flock(d, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(running)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        create(tmp_path / "p")
        assert running.is_dir()
        other.communicate("")
    create(tmp_path / "q")
    assert not running.exists()


def test_a_link_that_looks_like_a_staging_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    (tmp_path / ".0123456789ab.ai-factory-staging").symlink_to(tmp_path / "precious")
    create(tmp_path / "p")
    assert (tmp_path / "precious" / "file").read_text() == "x"
