"""Lists of names in short, in their order: runs of numbers in brackets, as `topologies.files.name_ranges` reads."""

from __future__ import annotations

import re
from collections.abc import Sequence

from topologies.errors import InputError

__all__ = ["name_runs"]

_NUMBER = re.compile(r"(\d{1,9})", re.ASCII)
_MOST_NUMBERS = 4


def name_runs(names: Sequence[str]) -> list[str]:
    """Return expressions that together expand to `names` in their order, such as ``h[00-15]/nic[0-7]``.

    Raises
    ------
    InputError
        If a name holds a bracket, which no expression can stand for.
    """
    rows = [_NUMBER.split(name) for name in names]
    for name in names:
        if "[" in name or "]" in name:
            raise InputError(
                what="a name that a fabric file cannot hold", found=repr(name), allowed="names without brackets"
            )
    for place in range(_MOST_NUMBERS):
        rows = _merged(rows, place)
    return ["".join(row) for row in rows]


def _merged(rows: list[list[str]], place: int) -> list[list[str]]:
    """Join runs of rows that differ in one number, the one at `place` from the end, which rises by one."""
    merged: list[list[str]] = []
    first: list[str] = []
    at, count = 0, 0
    for row in [*rows, []]:
        if count and len(row) == len(first) and _follows(first, row, at, count):
            count += 1
            continue
        if count > 1:
            last = f"{int(first[at]) + count - 1:0{len(first[at])}d}"
            merged.append([*first[:at], f"[{first[at]}-{last}]", *first[at + 1 :]])
        elif count:
            merged.append(first)
        first, at = row, len(row) - 2 - 2 * place
        count = 1
        if at < 1:  # no such number in the name
            if row:
                merged.append(row)
            count = 0
    return merged


def _follows(first: list[str], row: list[str], at: int, count: int) -> bool:
    number = first[at]
    if number[:1] == "[" or row[at] != f"{int(number) + count:0{len(number)}d}":
        return False
    return row[at + 1 :] == first[at + 1 :] and row[:at] == first[:at]
