"""Read a text file within a stated size, or say in one line why not."""

from __future__ import annotations

import difflib
import os
import re
import stat
from pathlib import Path

from topologies.errors import InputError

__all__ = ["MAX_JSON_BYTES", "MAX_YAML_BYTES", "decode_text", "nearest", "read_bytes", "read_text"]

MAX_YAML_BYTES = 32 * 2**20
"""Largest YAML file read. A fabric of 100,000 accelerators is under a kilobyte as a design."""

MAX_JSON_BYTES = 128 * 2**20
"""Largest JSON file read. A placement of a million accelerators is about 20 MB."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def nearest(word: str, choices: list[str]) -> str:
    """Return the choice that `word` was most likely meant to be, or an empty string."""
    lowered = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return lowered[found[0]] if found else ""


def read_bytes(path: str | os.PathLike[str], *, max_bytes: int) -> bytes:
    """Read a whole file, refusing it before reading when it is larger than `max_bytes`.

    Raises
    ------
    InputError
        If the file is missing, a folder, unreadable or too large.
    """
    place = os.fspath(path)
    try:
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(what="this is a folder, not a file", where=place, fix="name a file in it")
        if status.st_size > max_bytes:
            raise _too_large(place, f"{status.st_size} bytes", max_bytes)
        with Path(path).open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except FileNotFoundError:
        raise InputError(what="no such file", where=place, fix=_missing_fix(Path(path))) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(what="the file cannot be read", where=place, found=reason) from None
    if len(data) > max_bytes:  # a pipe, whose size is not known beforehand
        raise _too_large(place, f"more than {max_bytes} bytes", max_bytes)
    return data


def decode_text(data: bytes, name: str) -> str:
    """Decode UTF-8 text, refusing binary data and text without content.

    Raises
    ------
    InputError
        If the bytes are not UTF-8 text, hold control characters, or are blank.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            what="not a text file in UTF-8",
            where=f"{name}:{line}",
            found=f"byte 0x{data[error.start]:02x} at offset {error.start}",
            allowed="UTF-8 text",
            fix="save the file as UTF-8",
        ) from None
    control = _CONTROL.search(text)
    if control:
        raise InputError(
            what="not a text file",
            where=f"{name}:{text.count(chr(10), 0, control.start()) + 1}",
            found=f"control character U+{ord(control.group()):04X}",
            allowed="UTF-8 text",
            fix="name a text file, or take the character out",
        )
    if not text.strip():
        raise InputError(what="the file is empty", where=name, fix="write a document into it")
    return text


def read_text(path: str | os.PathLike[str], *, max_bytes: int) -> str:
    """Read a whole UTF-8 file; see `read_bytes` and `decode_text` for what is refused."""
    return decode_text(read_bytes(path, max_bytes=max_bytes), os.fspath(path))


def _too_large(place: str, found: str, max_bytes: int) -> InputError:
    return InputError(
        what="the file is too large",
        where=place,
        found=found,
        allowed=f"at most {max_bytes} bytes",
        fix="state it in a shorter form, or split it",
    )


def _missing_fix(path: Path) -> str:
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        return f"the folder {path.parent} does not exist either; check the path"
    match = nearest(path.name, names)
    return f"did you mean {path.parent / match}?" if match else "check the path"
