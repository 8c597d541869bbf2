"""`Source`: one input file as text, with its lines counted for messages."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from topologies.errors import InputError
from topologies.files.document import Document
from topologies.files.reading import decode_text, read_bytes

__all__ = ["MAX_SOURCES", "MAX_TEXT_BYTES", "Source", "only_one", "read_head", "read_sources"]

MAX_TEXT_BYTES = 512 * 2**20
"""Largest file read, unpacked. The ibnetdiscover output of 10,000 hosts with 8 NICs each has some 30 MB."""

MAX_SOURCES = 100_000
"""Most files of a folder (LLDP writes one a device)."""

_HEAD_CHARS = 65_536
_COLOURS = re.compile(rb"\x1b\[[0-9;]{0,20}m")
"""What terminals are told to underline by; nvidia-smi puts it into files too."""

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Source:
    """A file that was read.

    Attributes
    ----------
    name
        The path as the user gave it.
    text
        Its text.
    """

    name: str
    text: str = field(repr=False)

    @property
    def head(self) -> str:
        """The beginning, enough to tell what kind of file it is."""
        return self.text[:_HEAD_CHARS]

    @property
    def stem(self) -> str:
        """The file's name without folder and suffix."""
        return Path(self.name.removesuffix(".gz")).stem or "fabric"

    @property
    def suffix(self) -> str:
        """The suffix in lower case, that of ``x.json.gz`` being ``.json``."""
        return Path(self.name.removesuffix(".gz")).suffix.lower()

    @property
    def is_json(self) -> bool:
        """Whether the text begins as a JSON object or list does."""
        return self.head.lstrip()[:1] in ("{", "[")

    @property
    def is_yaml(self) -> bool:
        """Whether the file's name says YAML."""
        return self.suffix in (".yaml", ".yml")

    @cached_property
    def document(self) -> Document:
        """The file as JSON, if it begins like it, else as YAML; by the strict readers.

        Raises
        ------
        InputError
            If it is not well-formed.
        """
        if self.is_json:
            from topologies.files.strict_json import parse_json

            return parse_json(self.text, self.name)
        from topologies.files.strict_yaml import parse_yaml

        return parse_yaml(self.text, self.name)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield line numbers, from 1, and lines without their ends."""
        return enumerate(self.text.split("\n"), start=1)

    def where(self, line: int | None = None) -> str:
        """Return ``file:line`` for a message."""
        return self.name if line is None else f"{self.name}:{line}"

    def line_at(self, offset: int) -> int:
        """Return the line of a character."""
        return self.text.count("\n", 0, offset) + 1

    def error(
        self, line: int | None, *, what: str, found: object = "", allowed: object = "", fix: object = ""
    ) -> InputError:
        """Return an error that points at a line of this file; the caller raises it."""
        return InputError(what=what, where=self.where(line), found=found, allowed=allowed, fix=fix)


def read_sources(paths: Iterable[str | os.PathLike[str]]) -> list[Source]:
    """Read files; a folder stands for the files in it, by name. Gzipped files are unpacked.

    Raises
    ------
    InputError
        If a file cannot be read, is too large, or is no text.
    """
    found: list[Path] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            try:
                inside = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
            except OSError as error:
                raise InputError(what="cannot read the folder", where=path, found=error.strerror) from None
            if not inside:
                raise InputError(what="the folder holds no file", where=path, fix="name a folder with files")
            found += inside
        else:
            found.append(path)
        if len(found) > MAX_SOURCES:
            raise InputError(what="too many files", where=given, found=len(found), allowed=f"at most {MAX_SOURCES}")
    if not found:
        raise InputError(what="no file to read", fix="name a file")
    return [Source(str(path), _text(path)) for path in found]


def read_head(path: str | os.PathLike[str]) -> Source | None:
    """Return the beginning of a file, unpacked; None if it cannot be read, so that who reads it whole says why."""
    try:
        with Path(path).open("rb") as stream:
            is_packed = stream.read(2) == _GZIP_MAGIC
            stream.seek(0)
            data = gzip.GzipFile(fileobj=stream).read(_HEAD_CHARS) if is_packed else stream.read(_HEAD_CHARS)
    except (OSError, EOFError, zlib.error, ValueError):
        return None
    return Source(os.fspath(path), _COLOURS.sub(b"", data).decode("utf-8-sig", errors="replace"))


def _text(path: Path) -> str:
    data = read_bytes(path, max_bytes=MAX_TEXT_BYTES)
    if data[:2] == _GZIP_MAGIC:
        data = _unpacked(data, str(path))
    text = decode_text(_COLOURS.sub(b"", data) if b"\x1b[" in data else data, str(path))
    return text.replace("\r\n", "\n") if "\r" in text else text


def _unpacked(data: bytes, name: str) -> bytes:
    """Return the content of a gzipped file, refusing one that unpacks to more than `MAX_TEXT_BYTES`."""
    import io

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            unpacked = stream.read(MAX_TEXT_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            what="not a whole gzip file", where=name, found=error, fix="copy the file again, or unpack it"
        ) from None
    if len(unpacked) > MAX_TEXT_BYTES:
        raise InputError(what="the file is too large", where=name, allowed=f"at most {MAX_TEXT_BYTES} bytes unpacked")
    return unpacked


def only_one(sources: Sequence[Source], two: str) -> Source:
    """Return the one file of a format that takes one.

    Parameters
    ----------
    two
        What is wrong with several, as in ``two topologies``.

    Raises
    ------
    InputError
        If there are several; names the first two.
    """
    if len(sources) > 1:
        raise sources[1].error(None, what=two, found=sources[0].name, fix="give one")
    return sources[0]
