"""Output files: written whole beside their place and moved there, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from topologies.errors import OutputError

__all__ = ["json_text", "write_bytes", "write_folder", "write_text"]


def json_text(value: Any) -> str:
    """Return a value as JSON for people and programs: readable characters, no NaN, a newline at the end.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in one step: after a failure the old file, if any, is still there, and no part of the new one.

    Missing folders on the way are made.

    Raises
    ------
    OutputError
        If the file cannot be written.
    UnicodeEncodeError
        If the text holds half of a surrogate pair.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file in one step, as `write_text` does.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    target = Path(path)
    temporary = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise IsADirectoryError(0, "is a folder")
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            temporary = file.name
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise OutputError(
            what="cannot write the file",
            where=target,
            found=error.strerror or error,
            fix="give a path in a folder that you may write",
        ) from None


def write_folder(path: str | os.PathLike[str], files: Mapping[str, str]) -> None:
    """Write files into a new folder in one step: after a failure there is no folder.

    Raises
    ------
    OutputError
        If the folder is there already and not empty, or cannot be written.
    """
    target = Path(path)
    made = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.")
        for name, text in files.items():
            (Path(made) / name).write_text(text, encoding="utf-8")
        Path(made).chmod(0o777 & ~_umask())
        Path(made).replace(target)
    except OSError as error:
        if made:
            shutil.rmtree(made, ignore_errors=True)
        raise OutputError(
            what="cannot write the folder",
            where=target,
            found=error.strerror or error,
            fix="name a new folder in one that you may write",
        ) from None


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
