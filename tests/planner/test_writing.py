"""Files are written whole or not at all."""

from pathlib import Path

import pytest

from planner.files.writing import json_text, write_text
from topologies.errors import OutputError


def test_replaces_in_one_step_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.txt"
    write_text(path, "first")
    write_text(path, "second")
    assert path.read_text() == "second"
    assert [p.name for p in path.parent.iterdir()] == ["out.txt"]


def test_a_folder_in_the_way_is_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="cannot write the file; found: is a folder"):
        write_text(tmp_path / "out", "text")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_file_as_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write the file"):
        write_text(tmp_path / "file" / "out", "text")


def test_what_cannot_be_encoded_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_no_json_for_infinity() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"x": float("inf")})
