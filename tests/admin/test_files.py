"""Files that appear whole or not at all."""

import errno
import os
import resource
from pathlib import Path

import pytest

from admin.errors import Failure
from admin.files import PRIVATE, PUBLIC, make_folder, remove_unfinished, write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_has_its_octets_and_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_whole(tmp_path / "a", b"public", mode=PUBLIC)
    finally:
        os.umask(before)
    write_whole(tmp_path / "b", b"private", mode=PRIVATE)
    assert (tmp_path / "a").read_bytes() == b"public"
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o644, 0o600]
    assert names(tmp_path) == ["a", "b"]


def test_a_file_that_stands_is_kept_unless_it_shall_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"first", mode=PUBLIC)
    with pytest.raises(FileExistsError):
        write_whole(path, b"second", mode=PRIVATE)
    assert path.read_bytes() == b"first"
    write_whole(path, b"second", mode=PRIVATE, replace=True)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"second", 0o600)
    assert names(tmp_path) == ["a"]


def test_a_disk_that_is_full_leaves_nothing_behind_and_what_stood_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"first", mode=PUBLIC)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_whole(path, bytes(1000), mode=PUBLIC, replace=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["a"]


def test_a_folder_is_made_with_its_parents_and_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b", mode=0o700)
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").write_text("x")
    with pytest.raises(Failure, match=r"file is a file"):
        make_folder(tmp_path / "file" / "below" / "it")


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a", "b", ".a.0123abcd.part", ".b.0123abcd.part", ".a.txt", ".ab.0123abcd.part"):
        (tmp_path / name).write_text("x")
    remove_unfinished(tmp_path / "a")
    assert names(tmp_path) == [".a.txt", ".ab.0123abcd.part", ".b.0123abcd.part", "a", "b"]
