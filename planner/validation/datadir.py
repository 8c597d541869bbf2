"""A directory of validation data: reads CSV, JSON and YAML, plain or gzipped; a malformed row is one clear error."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from topologies.errors import InputError

__all__ = ["DataDir", "Row"]

# A data file above this size is not one of ours; it would only fill the memory.
_MAX_FILE_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a CSV file that knows where it stood.

    Attributes
    ----------
    values
        Column name to text.
    where
        ``file:line``, for messages.
    """

    values: Mapping[str, str]
    where: str

    def text(self, column: str) -> str:
        """Return a column as text without outer blanks.

        Raises
        ------
        InputError
            If the file has no such column or the row is cut short.
        """
        value = self.values.get(column)
        if value is None:
            raise InputError(
                what=f"no column {column!r}" if column not in self.values else f"row ends before column {column!r}",
                where=self.where,
                found=", ".join(key for key, text in self.values.items() if key and text is not None),
                fix="give the column, as in the documented layout",
            )
        return value.strip()

    def number(self, column: str, *, minimum: float = -math.inf) -> float:
        """Return a column as a finite number not below `minimum`.

        Raises
        ------
        InputError
            If it is missing, no number, not finite or too small.
        """
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < minimum:
            allowed = "a number" if minimum == -math.inf else f"a number of at least {minimum:g}"
            raise InputError(what=f"bad {column}", where=self.where, found=repr(text), allowed=allowed)
        return value

    def optional(self, column: str, *, minimum: float = -math.inf) -> float | None:
        """Return a column as a number, or ``None`` where it is blank, ``nan`` or absent."""
        text = (self.values.get(column) or "").strip()
        return None if text.lower() in {"", "nan", "na", "n/a", "none"} else self.number(column, minimum=minimum)

    def integer(self, column: str, *, minimum: int = 0) -> int:
        """Return a column as a whole number not below `minimum`."""
        value = self.number(column, minimum=minimum)
        if value != int(value):
            raise InputError(what=f"bad {column}", where=self.where, found=repr(value), allowed="a whole number")
        return int(value)

    def choice(self, column: str, allowed: Sequence[str]) -> str:
        """Return a column that must be one of `allowed`."""
        text = self.text(column)
        if text not in allowed:
            raise InputError(what=f"bad {column}", where=self.where, found=repr(text), allowed=", ".join(allowed))
        return text


@dataclass(frozen=True, slots=True)
class DataDir:
    """A directory in the layout of the validation data.

    Parameters
    ----------
    path
        The directory.
    """

    path: Path

    def find(self, name: str) -> Path | None:
        """Return the file `name`, or `name` + ``.gz``, or ``None``."""
        for candidate in (self.path / name, self.path / f"{name}.gz"):
            if candidate.is_file():
                return candidate
        return None

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return those of `names` that are not there in either form."""
        return [name for name in names if self.find(name) is None]

    def read_text(self, name: str) -> tuple[str, str]:
        """Return the text of a file and its path for messages.

        Raises
        ------
        InputError
            If it is missing, too large, not readable, not gzip or not UTF-8.
        """
        path = self.find(name)
        if path is None:
            raise InputError(what="no such data file", where=self.path / name, fix="put the file there, plain or .gz")
        try:
            if path.suffix == ".gz":
                with gzip.open(path, "rb") as stream:
                    raw = stream.read(_MAX_FILE_BYTES + 1)
            else:
                with path.open("rb") as stream:
                    raw = stream.read(_MAX_FILE_BYTES + 1)
            if len(raw) > _MAX_FILE_BYTES:
                raise InputError(what="data file too large", where=path, allowed=f"at most {_MAX_FILE_BYTES} bytes")
            return raw.decode("utf-8-sig"), str(path)
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise InputError(what="cannot read data file", where=path, found=error) from error

    def rows(self, name: str, *, columns: Sequence[str] = ()) -> list[Row]:
        """Return the rows of a CSV file.

        Parameters
        ----------
        name
            Path inside the directory, without ``.gz``.
        columns
            Columns that must be there.

        Raises
        ------
        InputError
            If the file is no CSV, has no header, misses a column, or a row has more fields than the header.
        """
        text, where = self.read_text(name)
        return list(_parse_rows(text, where, columns))

    def json(self, name: str) -> Any:
        """Return the content of a JSON file.

        Raises
        ------
        InputError
            If it is not JSON.
        """
        text, where = self.read_text(name)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(what="not JSON", where=where, found=error) from error

    def yaml(self, name: str) -> Any:
        """Return the content of a YAML file, read by the strict loader.

        Raises
        ------
        InputError
            If it is not YAML.
        """
        from topologies.files.loading import parse_document

        text, where = self.read_text(name)
        return parse_document(text, where.removesuffix(".gz")).root


def _parse_rows(text: str, where: str, columns: Sequence[str]) -> Iterator[Row]:
    if "\0" in text:
        raise InputError(what="not a CSV file", where=where, found="a NUL character")
    reader = csv.DictReader(text.splitlines(), strict=True)
    try:
        header = reader.fieldnames
        if not header:
            raise InputError(what="empty data file", where=where, allowed="a CSV file with a header")
        if len(set(header)) != len(header):
            raise InputError(what="a column is there twice", where=f"{where}:1", found=",".join(header))
        for column in columns:
            if column not in header:
                raise InputError(
                    what=f"no column {column!r}", where=f"{where}:1", found=",".join(header), allowed=",".join(columns)
                )
        for values in reader:
            place = f"{where}:{reader.line_num}"
            if None in values:
                raise InputError(what="more fields than columns", where=place, allowed=f"{len(header)} fields")
            yield Row(values, place)
    except csv.Error as error:
        raise InputError(what="not a CSV file", where=f"{where}:{reader.line_num}", found=error) from error
